"""`whilst run`: make one call an item, as xargs does for programs, in the mode that fits."""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import partial
from functools import reduce as fold
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from whilst.cli import supervising
from whilst.cli.loading import (
    FunctionName,
    InputError,
    load_exception,
    load_function,
    read_items,
    require_different,
    require_writable,
)
from whilst.cli.options import NearChoice
from whilst.cli.result_lines import line_of, message_of, opened
from whilst.cli.wording import as_options
from whilst.errors import DeadlineExceededError, WhilstError, WorkerDiedError
from whilst.model import Decision, Mode, Timeline, timeline_to_json
from whilst.running.backends import BACKENDS
from whilst.running.results import RunReport
from whilst.running.splitting.api import reduce
from whilst.running.splitting.chunks import chunks
from whilst.running.splitting.division import FileDivision
from whilst.running.splitting.files import FilePart
from whilst.running.splitting.sampling import sample
from whilst.running.splitting.verdict import SplitReport
from whilst.running.verbs.api import imap

_FILE = click.Path(path_type=Path, dir_okay=False)
_FAILED = 1
_MODES = ["auto", *(mode.value for mode in Mode)]
_ESCAPES = {rb"\n": b"\n", rb"\t": b"\t", rb"\r": b"\r", rb"\0": b"\0"}
_SUSPECTS: Final = 64
"""So many calls are made one by one after a death that any of those in flight may have caused."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is asked for beside the calls."""

    function: str
    given: list[Any]
    output: Path | None
    html: Path | None
    is_json: bool
    is_shown: bool
    is_quiet: bool
    started_ns: int = field(default_factory=time.perf_counter_ns)

    @property
    def elapsed_s(self) -> float:
        return (time.perf_counter_ns() - self.started_ns) / 1e9

    @property
    def is_one_document(self) -> bool:
        """Results and report are one JSON document."""
        return self.is_json and self.output is None


class _ModeChoice(NearChoice):
    """Tells who names a back end which modes it has."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See click; fails with the mode that is meant."""
        if value in BACKENDS:
            modes = " or ".join(f"--mode {mode}" for mode in BACKENDS[value].modes)
            self.fail(f"{value!r} is a back end; write {modes}, or --backend {value}", param, ctx)
        return super().convert(value, param, ctx)


@click.command()
@click.argument("function", metavar="MODULE:FUNCTION", type=FunctionName())
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
    "--mode", type=_ModeChoice(_MODES), default="auto", metavar="MODE",
    help="How to run the calls: sequential, concurrent, parallel, combined, or auto, which finds out from the first "
    "ones. [default: auto]",
)  # fmt: skip
@click.option("--on", metavar="ADDRESS", help="Make the calls on the Dask cluster there: tcp://host:8786.")
@click.option("--backend", metavar="NAME", help="A back end by name, in place of the mode's own.")
@click.option(
    "--pilot", type=NearChoice(["inline", "worker"]), default="inline", show_default=True,
    help="Where auto makes the first calls; in a worker, a call that kills its process is alone in it.",
)  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="How many threads or processes.")
@click.option(
    "--errors", type=NearChoice(["raise", "return"]), default="raise", show_default=True,
    help="raise: stop at the first call that fails. return: go on, and write what each one raised.",
)  # fmt: skip
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Per call."
)
@click.option(
    "--deadline",
    "deadline_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="For the whole run.",
)
@click.option(
    "--retries", type=click.IntRange(min=0), metavar="N",
    help="For calls lost to a worker that died, or that raised what --retry-on names [default: 0; 3 with --retry-on].",
)  # fmt: skip
@click.option(
    "--retry-on", multiple=True, metavar="EXCEPTION",
    help="Make calls again that raise this (ConnectionError, shop:Busy), after longer and longer waits. Repeatable.",
)  # fmt: skip
@click.option(
    "--rate", "rate_per_s", type=click.FloatRange(min=0, min_open=True), metavar="N",
    help="How many calls begin a second at most, over all workers.",
)  # fmt: skip
@click.option("--seed", type=int, help="The same random draws for each item in every mode.")
@click.option("--output", type=_FILE, metavar="FILE", help="One JSON line an item, in order (default: stdout).")
@click.option("--journal", type=_FILE, metavar="FILE", help="Remember finished calls; a run that was killed goes on.")
@click.option("--html", type=_FILE, metavar="FILE", help="Also write the timeline as one self-contained page.")
@click.option("--json", "is_json", is_flag=True, help="Print decision, timeline and results as one JSON document.")
@click.option("--show", "is_shown", is_flag=True, help="Draw the decision and the timeline once it is over.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Say how it would run, after the first few calls, and end.")
@click.option("--quiet", "is_quiet", is_flag=True, help="No progress bar and no summary.")
def run(
    function: str, items: Path | None, output: Path | None, html: Path | None, combine: str | None,
    is_json: bool, is_shown: bool, is_dry: bool, is_quiet: bool, **options: Any,
) -> int:  # fmt: skip
    """Call FUNCTION on every item, and write one JSON line for each: {"item": ..., "result": ...}.

    A result that JSON can't hold is written as its repr under "result_repr"; a call that failed as "error" with
    "type", "message" and "traceback", and so is one whose result can't be written at all. Progress, summary and,
    unless there is --output, what FUNCTION prints go to stderr. Exit code 1 if any call failed.

    A call that kills its process does not end the command: calls are made in a fork of it (on Linux), and that call's
    line says what happened. With --errors return the others are made all the same. One that raises SystemExit has
    failed, as one that raises anything else.

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
      whilst run shop:fetch --items urls.txt --retry-on ConnectionError --rate 10 --deadline 600
      whilst run shop:fetch --items urls.txt --dry-run
      find . -name '*.log' | whilst run logs:count --items - --quiet
      whilst run logs:count_words --split log.txt --at line --reduce operator:add
    """
    read = {"--items": items, "--split": options["split"]}
    require_different({**read, "--journal": options["journal"], "--output": output, "--html": html}, written=3)
    wanted = _Wanted(
        function,
        _items(items, as_json=options.pop("jsonl"), **{name: options.pop(name) for name in ("split", "at", "parts")}),
        output, html, is_json, is_shown, is_quiet,
    )  # fmt: skip
    require_writable(html)
    checks = options.pop("check")
    work: Callable[[], int] | None = None
    if is_dry:
        work = partial(_decide, wanted, options)
    elif combine is not None:
        work = partial(_reduce, wanted, combine, options, checks=checks)
    is_in_workers = options["mode"] in ("parallel", "combined") or options["pilot"] == "worker" or options["on"]
    if not supervising.is_possible() or is_in_workers:
        return work() if work is not None else _make_calls(wanted, options, supervising.Board())
    return supervising.leave(_supervised_calls(wanted, options) if work is None else supervising.survived(work, _ALONE))


def _keywords(options: dict[str, Any]) -> dict[str, Any]:
    """The options as keywords, the exceptions loaded that they name."""
    return {**options, "retry_on": tuple(map(load_exception, options["retry_on"]))}


_OTHERS: Final = "--errors return makes the others as well."
_SAME_AGAIN: Final = "the same command goes on from there."
_ALONE: Final = "--mode parallel makes calls in processes of their own, and says which one does that."


def _supervised_calls(wanted: _Wanted, options: dict[str, Any]) -> int:
    """Make the calls in forks, one after the other: the next goes on after the call that killed the one before.

    Which call that was is known where calls did not overlap. Otherwise the next fork makes those that may have been in
    flight one by one. A call is made again only for that, or where --retries asks for it.
    """
    board, total = supervising.Board(), len(wanted.given)
    is_alone, retried = False, dict[int, int]()
    while True:
        until = min(board.read()[0] + _SUSPECTS, total) if is_alone else total
        chosen = {**options, "mode": "sequential", "backend": None} if is_alone else options
        ended = supervising.supervised(partial(_make_calls, wanted, chosen, board, until), board)
        done, failed, overlaps, _ = board.read()
        if isinstance(ended, int):
            if done < total and not is_alone and ended == 0:
                click.echo(f"whilst: the program was ended after {done:,} of {total:,} calls.", err=True)
                return _FAILED
            if ended not in (0, _FAILED) or options["errors"] == "raise" or done == total or not is_alone:
                return ended
            is_alone = False
            continue
        is_known_by_place = options["journal"] is not None or options["seed"] is not None
        if not (is_known_by_place or overlaps) and retried.get(done, 0) < (options["retries"] or 0):
            retried[done] = retried.get(done, 0) + 1
            continue
        goes_on = options["errors"] == "return" and not is_known_by_place
        if goes_on and overlaps:
            is_alone = True
            click.echo(f"whilst: the process that makes the calls {ended.text}; looking for the call.", err=True)
            continue
        is_alone = False
        if done == total:  # all was written: what came after it is of no consequence for the results
            click.echo(f"whilst: the process that makes the calls {ended.text} after all of them.", err=True)
            return _FAILED
        item = wanted.given[done]
        where = "in this call or in one that overlapped with it" if overlaps else "in this call"
        error = WorkerDiedError(f"the process that makes the calls {ended.text} {where}")
        goes_on = goes_on and done + 1 < total
        with opened(wanted.output, goes_on=True) as write:
            writer = _Writer(write, wanted, done)
            writer.line(line_of(item, error)[0])
            if not goes_on:
                writer.end({"calls": done + 1, "failed": failed + 1, "of": total, "length_s": wanted.elapsed_s})
        board.write(done=1, failed=1)
        if not goes_on:
            if not wanted.is_quiet:
                counts = f"{done + 1:,} of {total:,} calls in {_seconds(wanted.elapsed_s)}"
                click.echo(f"{counts}; {failed + 1:,} failed.", err=True)
            remedy = _OTHERS if options["seed"] is None else _ALONE
            remedy = _SAME_AGAIN if options["journal"] is not None else remedy
            _say_stopped(item, error, remedy if done + 1 < total else "")
            return _FAILED


def _make_calls(wanted: _Wanted, options: dict[str, Any], board: supervising.Board, until: int | None = None) -> int:
    """Make the calls that no line was written for yet, up to item number `until`, and say at the end how it went."""
    done, failed, *_ = board.read()
    total = len(wanted.given)
    given = wanted.given[done:until]
    is_raising = options["errors"] == "raise"
    call = load_function(wanted.function)
    # Where the results come on the same screen, they show how far it is, and a bar would stand between them.
    has_bar = not wanted.is_quiet and not (wanted.output is None and sys.stdout.isatty())
    # Failures are always taken as values here, so that each is written down before the run is ended for it.
    stream = imap(call, given, **{**_keywords(options), "errors": "return"}, progress=has_bar)
    stream.take_exits_as_failures()
    stream.go_on(wanted.started_ns, done, total)
    stream.call_before_overlap(partial(board.write, overlaps=True))
    failure: BaseException | None = None
    with opened(wanted.output, goes_on=done > 0) as write, _stdout_for_json(wanted):
        writer = _Writer(write, wanted, done)
        try:
            for result, item in zip(stream, given, strict=False):  # in this order the stream is read to its end
                line, failure = line_of(item, result)
                writer.line(line)
                board.write(done=1, failed=failure is not None)
                if failure is not None and is_raising:
                    break
        except KeyboardInterrupt:
            again = "; the same command goes on from there" if options["journal"] is not None else ""
            click.echo(f"\nwhilst: {board.read()[0]:,} of {total:,} calls were made{again}.", err=True)
            raise
        finally:
            stream.close()
        done, failed, *_ = board.read()
        is_stopped = failure is not None and is_raising
        if done < total and not is_stopped:
            return _FAILED  # another process goes on
        report = RunReport(stream.decision, stream.timeline, done, failed, wanted.elapsed_s)
        writer.end({**_figures(report, total), **_as_json(stream.decision, stream.timeline)})
    _summarise(wanted, report, total, stream.recalled)
    if failure is not None and is_stopped:
        remedy = _OTHERS if done < total else ""
        if isinstance(failure, DeadlineExceededError):  # there is no time for the others, in whichever way
            remedy = _SAME_AGAIN if options["journal"] is not None else ""
        _say_stopped(item, failure, remedy)
    return _FAILED if failed else 0


def _decide(wanted: _Wanted, options: dict[str, Any]) -> int:
    """Say how the calls would be run."""
    call = load_function(wanted.function)
    with redirect_stdout(sys.stderr):
        stream = imap(call, wanted.given, **{**_keywords(options), "errors": "return", "journal": None})
        stream.take_exits_as_failures()
        decision = stream.decide()
    if wanted.is_json:
        click.echo(json.dumps(decision.to_dict(), indent=2, allow_nan=False))
        return 0
    calls = f"{stream.done} call{'' if stream.done == 1 else 's'}" if stream.done else "no call"
    _with_options(decision).show()
    if not wanted.is_quiet:
        click.echo(f"Decided after {calls} of {len(wanted.given):,}; nothing was written.", err=True)
    return 0


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


def _reduce(wanted: _Wanted, combine: str, options: dict[str, Any], *, checks: bool) -> int:
    """Join the results of all calls, and write one line."""
    given = wanted.given
    if not given:
        raise InputError("There is nothing to reduce: the file is empty.")
    call = load_function(wanted.function)
    join: Callable[..., Any] = load_function(combine)
    reports: list[SplitReport] = []
    first, last = given[0], given[-1]
    item = (
        {"path": first.path, "start": first.start, "stop": last.stop} if isinstance(first, FilePart) else [first, last]
    )
    result: object
    error: BaseException | None = None
    with opened(wanted.output) as write, _stdout_for_json(wanted):
        try:
            seen = checks and isinstance(first, FilePart) and sample(call, FileDivision(given), partial(fold, join))
            result = reduce(
                join, given, of=call, parts=len(given), check=checks, report=reports.append,
                progress=not wanted.is_quiet, **_keywords(options),
            )  # fmt: skip
        except WhilstError:  # what was asked for can't be had: nothing that FUNCTION gave
            raise
        except (Exception, SystemExit) as raised:
            result = error = raised
        line, failure = line_of(item, result)
        writer = _Writer(write, wanted, 0)
        writer.line(line)
        found = [_as_json(each.decision, each.timeline) | {"verdict": str(each.verdict)} for each in reports]
        writer.end(found[0] if found else {})
    for report in reports:
        if not wanted.is_quiet:
            counts = f"{report.parts:,} parts in {_seconds(wanted.elapsed_s)}"
            also = f" As much held {seen.reason}." if seen and seen.triples else ""
            click.echo(_wrapped(f"{counts}: {_in_short(report.decision)}. {report.verdict}{also}"), err=True)
        _show(wanted, RunReport(report.decision, report.timeline, report.parts, 0, wanted.elapsed_s))
    if error is not None:
        click.echo(f"whilst: stopped, since {_in_a_line(error)}", err=True)
    return _FAILED if failure is not None else 0


class _Writer:
    """Lines where they are wanted; or one document, of which the lines are a part."""

    def __init__(self, write: Any, wanted: _Wanted, done: int) -> None:
        self._write = write
        self._wanted = wanted
        self._count = done
        if wanted.is_one_document and not done:
            write('{"results": [')

    def line(self, line: str) -> None:
        """Write the line of one item."""
        if self._wanted.is_one_document:
            self._write(f"{',' if self._count else ''}\n{line}")
        else:
            self._write(f"{line}\n")
        self._count += 1

    def end(self, report: dict[str, object]) -> None:
        """Write how it went, where that is wanted as JSON."""
        plain = json.dumps(report, allow_nan=False)
        if self._wanted.is_one_document:
            self._write(f"\n], {plain[1:]}\n")
        elif self._wanted.is_json:
            click.echo(plain, file=sys.__stdout__)


def _stdout_for_json(wanted: _Wanted) -> Any:
    """What FUNCTION prints must not stand before the document."""
    return redirect_stdout(sys.stderr) if wanted.is_json else nullcontext()


def _as_json(decision: Decision, timeline: Timeline) -> dict[str, object]:
    return {"decision": decision.to_dict(), "timeline": json.loads(timeline_to_json(timeline))}


def _figures(report: RunReport, total: int) -> dict[str, object]:
    return {"calls": report.calls, "failed": report.failed, "of": total, "length_s": report.length_s}


def _wrapped(text: str) -> str:
    """At words, for a terminal; a file or a pipe has it in one line."""
    if not sys.stderr.isatty():
        return text
    bound = _AFTER_NUMBER.sub("\xa0", text)  # where no line is broken
    columns = shutil.get_terminal_size().columns
    return textwrap.fill(bound, columns, break_long_words=False).replace("\xa0", " ")


_AFTER_NUMBER: Final = re.compile(r"(?<=\d) (?=[\w%])")


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s"


def _with_options(decision: Decision) -> Decision:
    """As it is drawn here: what it advises is in the words of the command line."""
    return replace(
        decision, reason=as_options(decision.reason), given_up=tuple(map(as_options, decision.given_up)),
        rejected=tuple(replace(each, reason=as_options(each.reason)) for each in decision.rejected),
    )  # fmt: skip


def _in_short(decision: Decision) -> str:
    """Mode, who, and the first of its reasons; before it, where one thing forbids all other modes, that."""
    why = (decision.reason or "as asked").partition("; ")[0].rstrip(".")
    forbidding = {each.reason.rstrip(".") for each in decision.rejected}
    if decision.mode is Mode.SEQUENTIAL and len(forbidding) == 1:
        why = f"{forbidding.pop()}, so that {why}"
    return f"{decision.mode.value}, {decision.who}: {as_options(why)}"


def _summarise(wanted: _Wanted, report: RunReport, total: int, recalled: int) -> None:
    """One line; what was done without, if anything; and the pictures that are asked for."""
    decision = report.decision
    if not wanted.is_quiet:
        journal = f" ({recalled:,} from the journal)" if recalled else ""
        failures = f" {report.failed:,} failed." if report.failed else ""
        counts = f"{report.calls:,} of {total:,} calls{journal} in {_seconds(report.length_s)}"
        click.echo(_wrapped(f"{counts}: {_in_short(decision)}.{failures}"), err=True)
        for text in decision.given_up:
            click.echo(_wrapped(f"{as_options(text).rstrip('.')}."), err=True)
    _show(wanted, report)


def _show(wanted: _Wanted, report: RunReport) -> None:
    if wanted.is_shown:
        from whilst.showing import terminal

        console = Console(stderr=True, highlight=False)
        terminal.show(_with_options(report.decision), console)
        if report.timeline:
            terminal.show(report.timeline, console)
    if wanted.html is not None:
        try:
            report.to_html(wanted.html)
        except OSError as error:
            raise InputError(f"Can't write {wanted.html}: {error.strerror or error}.") from error
        if not wanted.is_quiet:
            click.echo(f"wrote {wanted.html}", err=True)


def _in_a_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {message_of(error)}".partition("\n")[0].removesuffix(": ")


def _say_stopped(item: object, failure: BaseException, remedy: str) -> None:
    """What ended the run, and what goes on with the others."""
    if isinstance(failure, DeadlineExceededError):
        why = message_of(failure)
    else:
        why = f"the call for {item!r:.80} failed: {_in_a_line(failure):.200}"
    click.echo(f"whilst: stopped, since {why}", err=True)
    if remedy:
        click.echo(f"whilst: {remedy}", err=True)
