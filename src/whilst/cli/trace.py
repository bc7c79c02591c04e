"""`whilst trace`: run a program as it is, and say what it really did; the program's exit code is handed on."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from whilst.cli.loading import require_file
from whilst.cli.options import Output
from whilst.seeing import Trace
from whilst.showing.renderers import FORMATS

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-m", "is_module", is_flag=True, help="PROGRAM is a module, as for python -m.")
@click.option("--html", type=_FILE, metavar="FILE", help=f"Also write {FORMATS['html'][1]}.")
@click.option("--perfetto", type=_FILE, metavar="FILE", help=f"Also write {FORMATS['perfetto'][1]}.")
@click.option("--json", "json_file", type=_FILE, metavar="FILE", help="Also write all of it as JSON.")
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="PROGRAM [ARGUMENT]…")
def trace(
    program: tuple[str, ...], is_module: bool, html: Path | None, perfetto: Path | None, json_file: Path | None
) -> int:
    """See what a program really does: what was in progress, what at work, and what held it up, at which line.

    PROGRAM is a script, or with -m a module; it runs as it would without, in an interpreter of its own, with the rest
    of the arguments. Its threads, asyncio tasks and child processes are seen. Its output, and its exit code, stay its
    own: what the trace has to say goes to stderr. Ctrl-C ends the program, and shows what there is.

    \b
    Examples:
      whilst trace shop.py --orders 100
      whilst trace --html trace.html shop.py
      whilst trace --json trace.json -m pytest tests
    """
    from whilst.seeing import trace_program

    for path in (html, perfetto, json_file):
        if path is not None and not path.absolute().parent.is_dir():
            raise click.UsageError(f"There is no folder {path.parent} to write {path.name} to.")
    if not is_module:
        require_file(program[0], "script", "*.py", f" For a module, write -m {program[0]}.")
    result = trace_program(program, is_module=is_module)
    _show(result)
    Output(files={form: path for form, path in (("html", html), ("perfetto", perfetto)) if path}).write_files(result)
    if json_file is not None:
        _write_json(result, json_file)
    return result.exit_code or 0


def _show(result: Trace) -> None:
    from whilst.showing import terminal

    terminal.show(result, Console(stderr=True, highlight=False))


def _write_json(result: Trace, path: Path) -> None:
    try:
        path.write_text(json.dumps(result.to_dict(), allow_nan=False), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"Can't write {path}: {error.strerror or error}.") from error
    click.echo(f"wrote {path}", err=True)
