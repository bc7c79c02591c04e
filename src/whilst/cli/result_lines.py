"""What `whilst run` writes: one JSON line an item, or all of them and the run's report in one JSON document."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Final, TextIO

import click

from whilst.cli.loading import InputError
from whilst.cli.wording import as_options
from whilst.errors import WhilstError
from whilst.running.splitting.files import FilePart

READER_GONE: Final = 141
"""As a shell reports a program that SIGPIPE ended."""


@contextmanager
def opened(output: Path | None, *, goes_on: bool = False) -> Iterator[Callable[[str], object]]:
    """A function that writes text; complete lines only, also when the run is interrupted.

    What a file held before is gone once something is written, or all is over: not if the run is refused.

    Args:
        output: a file, or None for standard output.
        goes_on: the file holds what was written before.
    Raises:
        InputError: the file can't be written.
    """
    if output is None:
        results = sys.stdout
        # What the function prints would stand between the lines, and nobody could read them as JSON.
        with redirect_stdout(sys.stderr):
            yield lambda text: _write(results, text, "standard output")
        return
    try:
        file: TextIO = output.open("a", encoding="utf-8")
    except OSError as error:
        raise InputError(f"Can't write {output}: {error.strerror or error}.") from error
    is_old = not goes_on and output.is_file()

    def write(text: str) -> None:
        nonlocal is_old
        if is_old:
            is_old = False
            file.truncate(0)
        _write(file, text, str(output))

    with file:
        yield write
        write("")


def _write(file: TextIO, text: str, name: str) -> None:
    try:
        try:
            file.write(text)
        except UnicodeEncodeError:  # in JSON, what is not ASCII stands in texts only, and there may be escaped
            file.write(re.sub("[^\x00-\x7f]", lambda found: json.dumps(found[0])[1:-1], text))
        file.flush()
    except OSError as error:
        with suppress(OSError), Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), file.fileno())  # what it still holds would be written when it is closed
        if isinstance(error, BrokenPipeError):  # whoever reads has had enough, as `head` has
            raise click.exceptions.Exit(READER_GONE) from None
        raise InputError(f"Can't write {name}: {error.strerror or error}.") from error


def line_of(item: object, result: object) -> tuple[str, BaseException | None]:
    """The line of one item, and the failure if it tells one: the call's, or that its result can't be written."""
    if isinstance(result, BaseException):
        return _failure_line(item, result, message_of(result)), result
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
        said = f"the call returned, but its result can't be written ({message_of(error)}); return what JSON can hold"
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


def message_of(error: BaseException) -> str:
    """Its text, also where its `__str__` raises."""
    try:
        return as_options(str(error)) if isinstance(error, WhilstError) else str(error)
    except Exception as failure:
        return f"its message can't be had: __str__ raised {type(failure).__name__}"
