"""What several commands share: their options, what they do with a result, and the line that says how far they are."""

from __future__ import annotations

import functools
import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self, runtime_checkable

import click

from whilst.cli.loading import nearest, require_writable
from whilst.model import Drawable, Timeline, timeline_to_json
from whilst.showing.renderers import FORMATS

_FILE = click.Path(dir_okay=False, path_type=Path)
_EVERY_S: Final = 0.1


@runtime_checkable
class HasDict(Protocol):
    """A result that can be written as JSON."""

    def to_dict(self) -> dict[str, object]: ...


@dataclass(frozen=True, slots=True)
class Output:
    """Where a result goes: to the terminal as a picture or as JSON, and to files."""

    as_json: bool = False
    files: Mapping[str, Path] = field(default_factory=dict)
    """Format: path."""

    def write(self, value: Drawable) -> None:
        """Show the value as asked. Paths of files written go to stderr, so that stdout stays one document."""
        self.write_files(value)
        self._show(value)

    def write_files(self, value: Drawable) -> None:
        """Only the files."""
        for form, path in self.files.items():
            try:
                value.to_file(path, form)
            except OSError as error:
                raise click.ClickException(f"Can't write {path}: {error.strerror or error}.") from error
            click.echo(f"wrote {path}", err=True)

    def _show(self, value: Drawable) -> None:
        if not self.as_json:
            value.show()
        elif isinstance(value, Timeline):
            click.echo(timeline_to_json(value))
        elif isinstance(value, HasDict):
            json.dump(value.to_dict(), sys.stdout, indent=2, allow_nan=False)
            click.echo()
        else:
            raise click.ClickException(f"A {type(value).__name__} can't be written as JSON.")


def output_options(command: Callable[..., object]) -> Callable[..., object]:
    """Add `--json`, and an option for each format of a file; the command receives one `output: Output`."""

    @click.option("--json", "as_json", is_flag=True, help="Print JSON in place of a picture.")
    @functools.wraps(command)
    def with_output(*args: object, as_json: bool, **rest: Any) -> object:
        paths = {form: rest.pop(form) for form in FORMATS}
        files = {form: path for form, path in paths.items() if path is not None}
        for path in files.values():
            require_writable(path)
        return command(*args, output=Output(as_json, files), **rest)

    for form, (_, what) in FORMATS.items():
        with_output = click.option(f"--{form}", type=_FILE, metavar="FILE", help=f"Also write {what}.")(with_output)
    return with_output


class NearChoice(click.Choice[str]):
    """One of several words, and which one was nearly written."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See click."""
        if value not in self.choices:
            self.fail(f"{value!r} is not one of {', '.join(self.choices)}.{nearest(value, self.choices)}", param, ctx)
        return str(super().convert(value, param, ctx))


class StatusLine:
    """One line on a terminal's stderr that says how far a long command has come; nothing anywhere else.

    Call it with a text; the line is gone when the block ends.
    """

    def __init__(self) -> None:
        self.is_shown = sys.stderr.isatty()
        self._next_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        # Ten times a second is as often as one can read, and keeps the drawing out of what is measured.
        if self.is_shown and now >= self._next_s:
            self._next_s = now + _EVERY_S
            self._write(text)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.is_shown and self._next_s:
            self._write("")

    def _write(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\x1b[K{text[:width]}")
        sys.stderr.flush()
