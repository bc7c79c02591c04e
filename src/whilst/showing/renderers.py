"""The renderers that `Drawable.show` and its siblings ask for; each dispatches on what the value offers."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TypeAlias

from whilst.model import Decision, Drawable
from whilst.showing import page, perfetto, terminal
from whilst.showing.pictures import picture_of

__all__ = ["Shown", "renderers"]

Shown: TypeAlias = "Drawable | Decision | Sequence[Drawable]"
"""What can be drawn: one value, or several under each other."""


class _Renderers:
    """Implements `whilst.model.Renderers`, and takes sequences and decisions besides."""

    __slots__ = ()

    def show(self, value: Shown, /) -> None:
        """Print a picture to the terminal, as wide as it is, in what its encoding and colours allow."""
        terminal.show(value)

    def text(self, value: Shown, /, *, width: int | None = None) -> str:
        """The same picture as plain text without colours, `width` columns wide (the terminal's by default)."""
        return terminal.text(value, width=width)

    def write_html(self, value: Drawable | Sequence[Drawable], path: str | PathLike[str], /) -> None:
        """Write one self-contained page that opens from disk."""
        page.write_page(picture_of(value), path)

    def write_perfetto(self, value: Drawable | Sequence[Drawable], path: str | PathLike[str], /) -> None:
        """Write Chrome's trace-event JSON: one process a timeline."""
        perfetto.write_trace(picture_of(value), path)


renderers = _Renderers()
