"""`whilst run`: make one call an item, as xargs does for programs, in the mode that fits."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from functools import partial
from functools import reduce as fold
from pathlib import Path
from typing import Any, TextIO

import click

from whilst.cli.loading import InputError, load_function, read_items, require_writable
from whilst.errors import WhilstError
from whilst.model import Mode
from whilst.running.results import RunReport
from whilst.running.splitting.api import reduce
from whilst.running.splitting.chunks import chunks
from whilst.running.splitting.division import FileDivision
from whilst.running.splitting.files import FilePart
from whilst.running.splitting.sampling import sample
from whilst.running.splitting.verdict import SplitReport
from whilst.running.verbs.api import imap

_FILE = click.Path(path_type=Path, dir_okay=False)
_SECONDS = click.FloatRange(min=0, min_open=True)
_FAILED = 1
_ESCAPES = {rb"\n": b"\n", rb"\t": b"\t", rb"\r": b"\r", rb"\0": b"\0"}
_READER_GONE = 141
"""As a shell reports a program that SIGPIPE ended."""


@click.command()
@click.argument("function", metavar="MODULE:FUNCTION")
@click.option("--items", type=_FILE, metavar="FILE", help="One item a line; - is standard input.")
@click.option("--split", type=_FILE, metavar="FILE", help="In place of items: parts of one large file.")
@click.option(
    "--at", metavar="line|TEXT", default="line", show_default=True,
    help="Where --split may cut: after lines, or after this text (\\n, \\t, \\r and \\0 are known).",
)  # fmt: skip
@click.option("--parts", type=click.IntRange(min=1), metavar="N", help="How many parts at most [default: 64].")
@click.option("--reduce", "combine", metavar="MODULE:COMBINE", help="Make one result of those of the parts, in order.")
@click.option(
    "--check/--no-check", default=True, show_default=True,
    help="Hold what --reduce joins against the same undivided, and in other groups.",
)  # fmt: skip
@click.option("--jsonl", is_flag=True, help="Each line of FILE is a JSON value (also if it is called *.jsonl).")
@click.option(
    "--mode", type=click.Choice(["auto", *(mode.value for mode in Mode)]), default="auto", show_default=True,
    help="How to run the calls; auto finds out from the first ones.",
)  # fmt: skip
@click.option("--on", metavar="ADDRESS", help="Make the calls on the Dask cluster there: tcp://host:8786.")
@click.option("--backend", metavar="NAME", help="A back end by name, in place of the mode's own.")
@click.option(
    "--pilot", type=click.Choice(["inline", "worker"]), default="inline", show_default=True,
    help="Where auto makes the first calls; in a worker, a call that kills its process does not end the command.",
)  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="How many threads or processes.")
@click.option(
    "--errors", type=click.Choice(["raise", "return"]), default="raise", show_default=True,
    help="raise: stop at the first call that fails. return: go on, and write what each one raised.",
)  # fmt: skip
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Per call."
)
@click.option(
    "--retries", type=click.IntRange(min=0), default=0, metavar="N", help="For calls lost to a worker that died."
)
@click.option("--seed", type=int, help="The same random draws for each item in every mode.")
@click.option("--output", type=_FILE, metavar="FILE", help="One JSON line an item, in order (default: stdout).")
@click.option("--journal", type=_FILE, metavar="FILE", help="Remember finished calls; a run that was killed goes on.")
@click.option("--html", type=_FILE, metavar="FILE", help="Also write the timeline as one self-contained page.")
@click.option("--quiet", is_flag=True, help="No progress bar and no summary.")
def run(function: str, items: Path | None, output: Path | None, **options: Any) -> int:
    """Call FUNCTION on every item, and write one JSON line for each: {"item": ..., "result": ...}.

    A result that JSON can't hold is written as its repr under "result_repr"; a call that failed as "error" with
    "type", "message" and "traceback", and so is one whose result can't be written at all. Progress, summary and,
    unless there is --output, what FUNCTION prints go to stderr. Exit code 1 if any call failed.

    With --split, FUNCTION is called with parts of a file: loop over one for its lines (str; with --at TEXT its records,
    bytes), or .read() its bytes. No line is cut, and none is in memory before it is read. With --reduce, COMBINE(left,
    right) joins the results of neighbours, and one line is written. FUNCTION of some stretches of the file is held
    against what COMBINE makes of their parts, and COMBINE against itself in other groups.

    \b
    Examples:
      whilst run shop:fetch --items urls.txt --output pages.jsonl
      whilst run jobs/resize.py:resize --items sizes.jsonl --mode parallel --workers 4
      whilst run shop:fetch --items urls.txt --errors return --journal fetch.db --output pages.jsonl
      whilst run shop:fetch --items urls.txt --on tcp://scheduler:8786
      find . -name '*.log' | whilst run logs:count --items - --quiet
      whilst run logs:count_words --split log.txt --at line --reduce operator:add
    """
    call = load_function(function)
    require_writable(options["html"])
    combine, html, is_quiet = options.pop("combine"), options.pop("html"), options.pop("quiet")
    checks = options.pop("check")
    given = _items(
        items, as_json=options.pop("jsonl"), **{name: options.pop(name) for name in ("split", "at", "parts")}
    )
    if combine is not None:
        return _reduce(
            call, load_function(combine), given, output, html, is_quiet=is_quiet, checks=checks, options=options
        )
    is_raising = options["errors"] == "raise"
    started = time.perf_counter()
    # Where the results come on the same screen, they show how far it is, and a bar would stand between them.
    has_bar = not is_quiet and not (output is None and sys.stdout.isatty())
    # Failures are always taken as values here, so that each is written down before the run is ended for it.
    stream = imap(call, given, **{**options, "errors": "return"}, progress=has_bar)
    failed = done = 0
    failure: BaseException | None = None
    with _opened(output) as write:
        try:
            for item, result in zip(given, stream, strict=False):
                done += 1
                line, failure = _line(item, result)
                failed += failure is not None
                write(line)
                if failure is not None and is_raising:
                    break
        except KeyboardInterrupt:
            again = "; the same command goes on from there" if options["journal"] is not None else ""
            click.echo(f"\nwhilst: {done:,} of {len(given):,} calls were made{again}.", err=True)
            raise
        finally:
            stream.close()
    if failure is not None and is_raising:
        said = f"{type(failure).__name__}: {_message(failure)}".partition("\n")[0]
        click.echo(f"whilst: stopped, since the call for {item!r:.80} failed: {said:.200}", err=True)
        if done < len(given):
            click.echo("whilst: --errors return makes the others as well.", err=True)
    if not is_quiet:
        _summarise(stream, done, failed, len(given), time.perf_counter() - started)
    if html is not None:
        RunReport(stream.decision, stream.timeline, done, failed, time.perf_counter() - started).to_html(html)
        if not is_quiet:
            click.echo(f"wrote {html}", err=True)
    return _FAILED if failed else 0


def _items(items: Path | None, *, as_json: bool, split: Path | None, at: str, parts: int | None) -> list[Any]:
    """What there is a call for each of.

    Raises:
        click.UsageError: neither or both of --items and --split.
        InputError: the file can't be read or cut.
    """
    if items is not None:
        if split is not None:
            raise click.UsageError("Pass --items or --split, not both", click.get_current_context())
        return read_items(items, as_json=as_json, may_be_none=True)
    if split is None:
        context = click.get_current_context()
        raise click.MissingParameter(ctx=context, param_hint="'--items'", param_type="option")
    separator = at.encode()
    for written, meant in _ESCAPES.items():
        separator = separator.replace(written, meant)
    try:
        return list(chunks(split, parts, at="line" if at == "line" else separator))
    except OSError as error:
        raise InputError(f"Can't read {split}: {error.strerror or error}.") from error


def _reduce(
    call: Callable[[Any], Any],
    combine: Callable[..., Any],
    given: list[Any],
    output: Path | None,
    html: Path | None,
    *,
    is_quiet: bool,
    checks: bool,
    options: dict[str, Any],
) -> int:
    """Join the results of all calls, and write one line."""
    if not given:
        raise InputError("There is nothing to reduce: the file is empty.")
    started = time.perf_counter()
    reports: list[SplitReport] = []
    first, last = given[0], given[-1]
    item = (
        {"path": first.path, "start": first.start, "stop": last.stop} if isinstance(first, FilePart) else [first, last]
    )
    with _opened(output) as write:
        try:
            seen = checks and isinstance(first, FilePart) and sample(call, FileDivision(given), partial(fold, combine))
            result: object = reduce(
                combine, given, of=call, parts=len(given), check=checks, report=reports.append,
                progress=not is_quiet, **options,
            )  # fmt: skip
        except WhilstError:  # what was asked for can't be had: nothing that FUNCTION gave
            raise
        except Exception as error:
            click.echo(f"whilst: stopped, since {type(error).__name__}: {_message(error)}".partition("\n")[0], err=True)
            result = error
        line, failure = _line(item, result)
        write(line)
    elapsed_s = time.perf_counter() - started
    for report in reports:
        if not is_quiet:
            click.echo(f"{report.parts:,} parts in {elapsed_s:.2f} s.", err=True)
            also = f" As much held {seen.reason}." if seen and seen.triples else ""
            click.echo(_wrapped(f"{report.verdict}{also} {report.decision}"), err=True)
        if html is not None:
            RunReport(report.decision, report.timeline, report.parts, 0, elapsed_s).to_html(html)
    return _FAILED if failure is not None else 0


@contextmanager
def _opened(output: Path | None) -> Iterator[Callable[[str], object]]:
    """A function that writes one line; complete lines only, also when the run is interrupted."""
    if output is None:
        results = sys.stdout
        # What the function prints would stand between the lines, and nobody could read them as JSON.
        with redirect_stdout(sys.stderr):
            yield lambda line: _write(results, line, "standard output")
        return
    try:
        file: TextIO = output.open("w", encoding="utf-8")
    except OSError as error:
        raise InputError(f"Can't write {output}: {error.strerror or error}.") from error
    with file:
        yield lambda line: _write(file, line, str(output))


def _write(file: TextIO, line: str, name: str) -> None:
    try:
        try:
            file.write(f"{line}\n")
        except UnicodeEncodeError:  # in JSON, what is not ASCII stands in texts only, and there may be escaped
            file.write(re.sub("[^\x00-\x7f]", lambda found: json.dumps(found[0])[1:-1], f"{line}\n"))
        file.flush()
    except OSError as error:
        with suppress(OSError), Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), file.fileno())  # what it still holds would be written when it is closed
        if isinstance(error, BrokenPipeError):  # whoever reads has had enough, as `head` has
            raise click.exceptions.Exit(_READER_GONE) from None
        raise InputError(f"Can't write {name}: {error.strerror or error}.") from error


def _line(item: object, result: object) -> tuple[str, BaseException | None]:
    """The line of one item, and the failure if it tells one: the call's, or that its result can't be written."""
    if isinstance(result, BaseException):
        return _failure_line(item, result, _message(result)), result
    try:
        try:
            held = f'"result": {json.dumps(result, ensure_ascii=False, allow_nan=False)}'
        except (TypeError, ValueError):
            held = None
        if held is None:
            held = f'"result_repr": {json.dumps(repr(result), ensure_ascii=False)}'
        held.encode()  # half a surrogate pair is no text that another program could read
    except Exception as error:
        # From the result's own code on, where the error comes from there.
        error = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
        said = f"the call returned, but its result can't be written ({_message(error)}); return what JSON can hold"
        return _failure_line(item, error, said), error
    return f'{{"item": {json.dumps(item, ensure_ascii=False, default=_offsets)}, {held}}}', None


def _offsets(part: FilePart) -> dict[str, object]:
    """A part of a file, as JSON has it."""
    return {"path": part.path, "start": part.start, "stop": part.stop}


def _failure_line(item: object, error: BaseException, message: str) -> str:
    import traceback

    text = "".join(traceback.format_exception(error))
    failure = {"type": type(error).__name__, "message": message, "traceback": text}
    return json.dumps({"item": item, "error": failure}, ensure_ascii=False, default=_offsets)


def _message(error: BaseException) -> str:
    """Its text, also where its `__str__` raises."""
    try:
        return str(error)
    except Exception as failure:
        return f"its message can't be had: __str__ raised {type(failure).__name__}"


def _wrapped(text: str) -> str:
    """At words, for a terminal; a file or a pipe has it in one line."""
    columns = shutil.get_terminal_size().columns
    return textwrap.fill(text, columns, break_long_words=False) if sys.stderr.isatty() else text


def _summarise(stream: Any, done: int, failed: int, total: int, elapsed_s: float) -> None:
    counts = f"{done:,} of {total:,} calls in {elapsed_s:.2f} s"
    failures = f", {failed:,} failed" if failed else ""
    click.echo(f"{counts}{failures}.", err=True)
    click.echo(_wrapped(str(stream.decision)), err=True)
    timeline = stream.timeline
    if timeline:
        click.echo(timeline.to_text().rstrip(), err=True)
