"""Options that several commands share, and what they do with a result."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import click

from whilst.model import Drawable, Timeline, timeline_to_json
from whilst.showing.renderers import FORMATS

_FILE = click.Path(dir_okay=False, path_type=Path)


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
        return command(*args, output=Output(as_json, files), **rest)

    for form, (_, what) in FORMATS.items():
        with_output = click.option(f"--{form}", type=_FILE, metavar="FILE", help=f"Also write {what}.")(with_output)
    return with_output
