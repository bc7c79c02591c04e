"""`whilst show`: draw timelines that were saved as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import click

from whilst.cli.loading import require_file
from whilst.cli.options import Output, output_options
from whilst.errors import TimelineError
from whilst.model import Drawable, Timeline, timeline_from_json, timeline_to_json
from whilst.model.record import FORMAT


class _Several(Drawable):
    """Several timelines on one axis; implements `whilst.model.Report`."""

    title = ""

    def __init__(self, timelines: Sequence[Timeline]) -> None:
        self._timelines = timelines

    def timelines(self) -> Sequence[Timeline]:
        return self._timelines

    def table(self) -> Sequence[Sequence[str]]:
        return ()

    def to_dict(self) -> dict[str, object]:
        return {"timelines": [json.loads(timeline_to_json(timeline)) for timeline in self._timelines]}

    def notes(self) -> Sequence[str]:
        return ()


@click.command()
@click.argument(
    "files", nargs=-1, required=True, metavar="TIMELINE.json…", type=click.Path(dir_okay=False, allow_dash=True)
)
@output_options
def show(files: tuple[str, ...], output: Output) -> None:
    """Draw one timeline, or several under each other on one axis.

    Reads what `whilst.model.timeline_to_json` wrote, and every timeline in what another command wrote by --json; "-" is
    standard input.

    \b
    Examples:
      whilst show run.json
      whilst show before.json after.json --html both.html
      whilst plan day.toml --mode combined --json | whilst show -
      whilst compare shop:fetch --items urls.txt --json | whilst show -
    """
    read = [(name, line) for name in files for line in _read(name)]
    if len(read) == 1:
        output.write(read[0][1])
    elif read:
        output.write(_Several([line if line.name else replace(line, name=name) for name, line in read]))


def _read(name: str) -> list[Timeline]:
    """Return the timeline of a file, or all those in what a command wrote."""
    if name != "-":
        require_file(name, "file")
    try:
        text = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        found = [timeline_from_json(each) for each in _timelines_in(text)]
        if not found and (answer := _answer_of(text)):
            click.echo(f"{answer}: there is no interleaving to draw.")
            return []
        return found or [timeline_from_json(text)]
    except TimelineError as error:
        raise TimelineError(f"{name}: {error}") from error
    except OSError as error:
        raise click.ClickException(f"Can't read {name}: {error.strerror or error}.") from error


def _answer_of(text: bytes) -> str:
    """What a verdict without a counterexample says; "" where it is none."""
    with suppress(ValueError, RecursionError):
        plain = json.loads(text)
        if isinstance(plain, dict) and plain.get("answer") and isinstance(plain.get("tasks"), list):
            return f"{plain['answer']}: {', '.join(map(str, plain['tasks']))}"
    return ""


def _timelines_in(text: bytes) -> list[str]:
    """Return each timeline in it as JSON of its own, wherever it stands; none where it is no JSON."""
    found: list[str] = []

    def look(plain: object) -> None:
        if isinstance(plain, dict) and plain.get("format") == FORMAT:
            found.append(json.dumps(plain))
        elif isinstance(plain, dict | list):
            for each in plain.values() if isinstance(plain, dict) else plain:
                look(each)

    with suppress(ValueError, RecursionError):
        look(json.loads(text))
    return found
