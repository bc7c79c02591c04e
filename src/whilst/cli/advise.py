"""`whilst advise`: which loops of a script to change, as a diff that was run and gave the same output."""

from __future__ import annotations

from pathlib import Path

import click

from whilst.cli.loading import InputError, require_file, require_writable
from whilst.cli.options import Output, StatusLine

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--apply", "is_applied", is_flag=True, help="Write the change, if it was proved; keeps the old text.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of a table.")
@click.option("--html", type=_FILE, metavar="FILE", help="Also write a self-contained page.")
@click.option(
    "--stdin", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE", help="Its input."
)
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), default=600.0, metavar="SECONDS",
              help="How long one run may take (600).")  # fmt: skip
@click.option("--allow-effects", is_flag=True, help="Let it change files outside its folder.")
@click.option("--interpreter", metavar="PATH", help="Another CPython to run it under as well: should I move?")
@click.argument("script")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENT]…")
def advise(
    script: str, arguments: tuple[str, ...], is_applied: bool, as_json: bool, html: Path | None, stdin: Path | None,
    timeout_s: float, allow_effects: bool, interpreter: str | None,
) -> int:  # fmt: skip
    """Say which loops of a script to change, in which mode, with how many executors, and prove it.

    SCRIPT is run some eight times with the rest of the arguments, on copies of its folder. A change is shown as a diff
    only if the changed script gave the same output, exit code and files, and was at least 1.1 times as fast. Nothing
    of yours is changed without --apply. Put -- before arguments of the script that are options of this command too.

    With --interpreter it is then run under another CPython, 3.11 or newer, say one without the GIL: as it is, and with
    those loops in threads and in processes, in turn with this one. The first line says whether moving pays, and why.

    \b
    Examples:
      whilst advise shop.py
      whilst advise report.py --year 2024 --json
      whilst advise shop.py --apply
      whilst advise --interpreter python3.14t shop.py
    """
    from whilst.seeing.advising import advise as advise_on

    require_writable(html)
    require_file(script, "script", "*.py")
    if interpreter is not None:
        if is_applied:
            raise InputError("--apply writes what was proved here; leave --interpreter out.")
        from whilst.seeing.advising.moving import advise_interpreter

        with StatusLine() as line:
            move = advise_interpreter(
                script, arguments, interpreter, stdin=stdin.read_bytes() if stdin else b"", timeout_s=timeout_s,
                allow_effects=allow_effects, on_progress=line,
            )  # fmt: skip
        Output(as_json, {"html": html} if html else {}).write(move)
        return 0 if move.advice.is_runnable and move.agrees else 1
    with StatusLine() as line:
        advice = advise_on(
            script, arguments, apply=is_applied, stdin=stdin.read_bytes() if stdin else b"", timeout_s=timeout_s,
            allow_effects=allow_effects, on_progress=line,
        )  # fmt: skip
    Output(as_json, {"html": html} if html else {}).write(advice)
    return 0 if advice.is_runnable else 1
