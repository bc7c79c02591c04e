"""What lets a value of the model be shown, without the model knowing how.

Only `showing/` draws, and `model/` may not import it. The public face installs a loader once; a value's `show`
asks it for the renderers at the moment something is drawn, so that `import whilst` does not pay for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from whilst.errors import WhilstError

if TYPE_CHECKING:
    from whilst.model.timeline import Timeline

__all__ = ["Drawable", "Renderers", "Report", "install_renderers"]


class Renderers(Protocol):
    """What `showing/` offers: each takes one drawable value."""

    def show(self, value: Drawable, /) -> None:
        """Print a picture to the terminal."""

    def text(self, value: Drawable, /, *, width: int | None = None) -> str:
        """The same picture as plain text."""

    def write_html(self, value: Drawable, path: str | PathLike[str], /) -> None:
        """Write one self-contained page."""

    def write_perfetto(self, value: Drawable, path: str | PathLike[str], /) -> None:
        """Write Chrome's trace-event JSON, which Perfetto opens."""


_load: Callable[[], Renderers] | None = None


def install_renderers(load: Callable[[], Renderers]) -> None:
    """Say where the renderers come from; called once, by the public face."""
    global _load
    _load = load


class Drawable:
    """A value that can be looked at."""

    __slots__ = ()

    def show(self) -> None:
        """Print a picture of this to the terminal."""
        _renderers().show(self)

    def to_text(self, *, width: int | None = None) -> str:
        """The terminal picture as plain text, `width` columns wide (the terminal's width by default)."""
        return _renderers().text(self, width=width)

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write one self-contained page to `path`; it opens from disk and needs no network."""
        _renderers().write_html(self, path)

    def to_perfetto(self, path: str | PathLike[str]) -> None:
        """Write Chrome's trace-event JSON to `path`; open it at ui.perfetto.dev or in chrome://tracing."""
        _renderers().write_perfetto(self, path)


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


def _renderers() -> Renderers:
    if _load is None:
        raise WhilstError("No renderers are installed; import whilst before drawing a value of its model.")
    return _load()
