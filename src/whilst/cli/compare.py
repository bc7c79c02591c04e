"""`whilst compare`: perform a day, or a function over items, in every mode."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from functools import partial
from pathlib import Path

import click

from whilst.cli import supervising
from whilst.cli.loading import FunctionName, InputError, load_function, read_items, require_file
from whilst.cli.options import Output, StatusLine, output_options
from whilst.comparing import Comparison
from whilst.comparing import compare as compare_modes
from whilst.comparing.moving import Move, compare_interpreters

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("what", metavar="DAY|MODULE:FUNCTION", type=FunctionName())
@click.option("--items", type=_FILE, metavar="FILE", help="What to call the function on, one item a line.")
@click.option("--jsonl", is_flag=True, help="Each line of FILE is a JSON value (also if it is called *.jsonl).")
@click.option("--modes", metavar="LIST", help="Only these, e.g. sequential,concurrent.")
@click.option("--workers", type=click.IntRange(min=1), metavar="K", help="Executors in parallel and combined mode.")
@click.option("--overlap", type=click.IntRange(min=1), metavar="M", help="Calls at once on one executor.")
@click.option("--interpreter", metavar="PATH", help="Another CPython to make the same calls under: should I move?")
@output_options
def compare(
    what: str,
    items: Path | None,
    jsonl: bool,
    modes: str | None,
    interpreter: str | None,
    output: Output,
    **sizes: int | None,
) -> int:
    """Perform a day, or a function over items, in every mode, and put them side by side.

    A day is planned, then performed at its scale. A function is called on every item in every mode; its results
    must be the same in all of them (exit code 1 if they are not, or if a call raised).

    With --interpreter a function is called under another CPython, too, 3.9 or newer, say one without the GIL: one after
    the other, in threads and in processes, in turn with this one. That needs what the function imports there, and
    nothing else. The first line says whether moving pays, and why.

    \b
    Examples:
      whilst compare day.toml
      whilst compare shop:fetch --items urls.txt
      whilst compare jobs/resize.py:resize --items sizes.jsonl --workers 4 --html out.html
      whilst compare shop:fetch --items urls.txt --modes sequential,concurrent --json
      whilst compare shop:price --items carts.jsonl --interpreter python3.14t
    """
    work = partial(_compare, what, items, jsonl, modes, interpreter, output, sizes)
    if _is_day(what) or not supervising.is_possible():
        return work()
    return supervising.leave(supervising.survived(work, "--modes parallel makes calls in processes of their own."))


def _compare(
    what: str,
    items: Path | None,
    jsonl: bool,
    modes: str | None,
    interpreter: str | None,
    output: Output,
    sizes: dict[str, int | None],
) -> int:
    names = None if modes is None else [name.strip() for name in modes.split(",") if name.strip()]
    result: Comparison | Move
    with _stdout_for_the_report(), StatusLine() as progress:
        if interpreter is not None:
            if _is_day(what) or ":" not in what or modes is not None or sizes["overlap"] is not None:
                raise InputError("--interpreter goes with MODULE:FUNCTION, --items and --workers only.")
            function = load_function(what)
            given = _given(what, items, as_json=jsonl)
            result = compare_interpreters(
                function, what, given, interpreter, workers=sizes["workers"], on_progress=progress
            )
        elif _is_day(what):
            if items is not None or jsonl or sizes["overlap"] is not None:
                raise InputError("A day brings its own tasks; --items, --jsonl and --overlap go with MODULE:FUNCTION.")
            require_file(what, "file", "*.toml")
            result = compare_modes(what, modes=names, workers=sizes["workers"], on_progress=progress)
        elif ":" not in what:
            raise InputError(f"{what!r} is neither a file that holds a day nor MODULE:FUNCTION.")
        else:
            function = load_function(what)
            given = _given(what, items, as_json=jsonl)
            result = compare_modes(function, given, modes=names, on_progress=progress, **sizes)
    output.write(result)
    return _exit_code(result)


def _given(what: str, items: Path | None, *, as_json: bool) -> list[object]:
    if items is None:
        raise InputError(f"What shall {what} be called on? Name a file with --items FILE.")
    return read_items(items, as_json=as_json)


@contextmanager
def _stdout_for_the_report() -> Iterator[None]:
    """What the function's module, or a program that it starts, prints goes to stderr: stdout is one document."""
    sys.stdout.flush()
    with ExitStack() as stack:
        try:
            kept = os.dup(1)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, 1)
            os.dup2(2, 1)
        except OSError:  # closed, or no such thing
            pass
        with redirect_stdout(sys.stderr):
            yield


def _is_day(what: str) -> bool:
    """A path, as long as it doesn't end in :NAME."""
    return what.endswith(".toml") or (":" not in what and Path(what).exists())


def _exit_code(result: Comparison | Move) -> int:
    return 1 if result.agrees is False or result.raised else 0
