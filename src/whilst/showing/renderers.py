"""The renderers that `Drawable.show` and its siblings ask for; each is loaded when it is first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from os import PathLike
from typing import Final, TypeAlias

from whilst.errors import WhilstError
from whilst.model import Decision, Drawable

Shown: TypeAlias = "Drawable | Decision | Sequence[Drawable]"
"""What can be drawn: one value, or several under each other."""

FORMATS: Final = {
    "html": ("whilst.showing.page.write_page", "one self-contained page; it opens from disk"),
    "perfetto": ("whilst.showing.perfetto.write_trace", "a trace to open at ui.perfetto.dev"),
}
"""Name: (a function of a `Picture` and a path, what it writes there). Each is an option of the commands."""


class _Renderers:
    """Implements `whilst.model.Renderers`, and takes sequences and decisions besides."""

    __slots__ = ()

    def show(self, value: Shown, /) -> None:
        """Print a picture to the terminal, as wide as it is, in what its encoding and colours allow."""
        from whilst.showing import terminal

        terminal.show(value)

    def text(self, value: Shown, /, *, width: int | None = None) -> str:
        """The same picture as plain text without colours, `width` columns wide (the terminal's by default)."""
        from whilst.showing import terminal

        return terminal.text(value, width=width)

    def write(self, value: Drawable | Sequence[Drawable], form: str, path: str | PathLike[str], /) -> None:
        """Write a file in one of `FORMATS`; a trace has one process a timeline.

        Raises:
            WhilstError: there is no such format.
            OSError: the file can't be written.
        """
        if form not in FORMATS:
            raise WhilstError(f"{form!r} is no format to write; pass one of {', '.join(map(repr, FORMATS))}.")
        from whilst.showing.pictures import picture_of

        module, _, function = FORMATS[form][0].rpartition(".")
        getattr(importlib.import_module(module), function)(picture_of(value), path)


renderers = _Renderers()
