"""Two protocols: what a renderer offers (`Renderers`), and what a value needs to be drawn (`Report`)."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Final, Protocol, runtime_checkable

from whilst.model.drawable import Drawable
from whilst.model.timeline import Timeline


class Renderers(Protocol):
    """What `showing/` offers: each takes one drawable value."""

    def show(self, value: Drawable, /) -> None:
        """Print a picture to the terminal."""

    def text(self, value: Drawable, /, *, width: int | None = None) -> str:
        """The same picture as plain text."""

    def write(self, value: Drawable, form: str, path: str | PathLike[str], /) -> None:
        """Write a file of that format."""


@runtime_checkable
class Report(Protocol):
    """What a drawable offers to be shown with pictures and figures: a plan, a comparison, a run.

    A class need not name this protocol; the renderers ask for the four by their names.
    """

    @property
    def title(self) -> str:
        """One line above everything; may be empty."""

    def timelines(self) -> Sequence[Timeline]:
        """The pictures, drawn under each other on one common axis, each under its `name`; may be empty."""

    def table(self) -> Sequence[Sequence[str]]:
        """Rows of plain text; the first row is the heading; columns of figures are aligned by the renderer.

        Empty for no table. Every row is as long as the heading.
        """

    def notes(self) -> Sequence[str]:
        """Sentences below the table: why a mode failed, what was given up, what explains a figure."""


@runtime_checkable
class Answering(Protocol):
    """What a report may offer besides, to be read before any picture."""

    def answers(self) -> Sequence[tuple[str, str]]:
        """(what a reader asks, the answer), in the order in which they ask: what was done, was that good, and so on.

        What disturbed the figures stands under `CAREFUL`. Lines of an answer are shown as a list, a diff as it is.
        """

    def bars(self) -> Sequence[tuple[str, float, str]]:
        """(the name of a timeline, how many times as fast, the same in words), best first; may be empty."""


CAREFUL: Final = "Careful"
"""The question before an answer that says why the others are not to be trusted far."""
