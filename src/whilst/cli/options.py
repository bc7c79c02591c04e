"""Options that several commands share, and what they do with a result."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import click

from whilst.model import Drawable, Timeline, timeline_to_json

__all__ = ["Output", "output_options"]

_FILE = click.Path(dir_okay=False, path_type=Path)


@runtime_checkable
class HasDict(Protocol):
    """A result that can be written as JSON."""

    def to_dict(self) -> dict[str, object]: ...


@dataclass(frozen=True, slots=True)
class Output:
    """Where a result goes: to the terminal as a picture or as JSON, and to files."""

    as_json: bool = False
    html: Path | None = None
    perfetto: Path | None = None

    def write(self, value: Drawable) -> None:
        """Show the value as asked. Paths of files written go to stderr, so that stdout stays one document."""
        if self.html is not None:
            self._to_file(value.to_html, self.html)
        if self.perfetto is not None:
            self._to_file(value.to_perfetto, self.perfetto)
        if not self.as_json:
            value.show()
        elif isinstance(value, Timeline):
            click.echo(timeline_to_json(value))
        elif isinstance(value, HasDict):
            json.dump(value.to_dict(), sys.stdout, indent=2, allow_nan=False)
            click.echo()
        else:
            raise click.ClickException(f"A {type(value).__name__} can't be written as JSON.")

    def _to_file(self, write: Callable[[Path], None], path: Path) -> None:
        try:
            write(path)
        except OSError as error:
            raise click.ClickException(f"Can't write {path}: {error.strerror or error}.") from error
        click.echo(f"wrote {path}", err=True)


def output_options(command: Callable[..., object]) -> Callable[..., object]:
    """Add `--json`, `--html FILE` and `--perfetto FILE`; the command receives one `output: Output`."""

    @click.option("--json", "as_json", is_flag=True, help="Print JSON in place of a picture.")
    @click.option("--html", type=_FILE, metavar="FILE", help="Also write one self-contained page; it opens from disk.")
    @click.option("--perfetto", type=_FILE, metavar="FILE", help="Also write a trace to open at ui.perfetto.dev.")
    @functools.wraps(command)
    def with_output(*args: object, as_json: bool, html: Path | None, perfetto: Path | None, **rest: object) -> object:
        return command(*args, output=Output(as_json, html, perfetto), **rest)

    return with_output
