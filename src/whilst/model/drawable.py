"""What lets a value of the model be shown, without the model knowing how.

Only `showing/` draws, and `model/` may not import it. The public face installs a loader once; a value's `show`
asks it for the renderers at the moment something is drawn, so that `import whilst` does not pay for them.
"""

from __future__ import annotations

from whilst.errors import WhilstError

# Everybody imports this, so it imports next to nothing.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from whilst.model.report import Renderers

_load: Callable[[], Renderers] | None = None
_NOTEBOOK_COLUMNS = 100


def install_renderers(load: Callable[[], Renderers]) -> None:
    """Say where the renderers come from; called once, by the public face."""
    global _load
    _load = load


class Drawable:
    """A value that can be looked at."""

    __slots__ = ()

    def __repr__(self) -> str:
        """One line, however much this holds: `show` draws it, `to_dict` has all of it."""
        return f"<{type(self).__name__}: {getattr(self, 'title', ''):.100}>"

    def show(self) -> None:
        """Print a picture of this to the terminal."""
        _renderers().show(self)

    def to_text(self, *, width: int | None = None) -> str:
        """The terminal picture as plain text, `width` columns wide (the terminal's width by default)."""
        return _renderers().text(self, width=width)

    def _repr_html_(self) -> str:
        """In a notebook's cell: the terminal picture, without its colours."""
        from html import escape

        return f'<pre style="line-height: 1.2">{escape(self.to_text(width=_NOTEBOOK_COLUMNS))}</pre>'

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write one self-contained page to `path`; it opens from disk and needs no network."""
        self.to_file(path, "html")

    def to_perfetto(self, path: str | PathLike[str]) -> None:
        """Write Chrome's trace-event JSON to `path`; open it at ui.perfetto.dev or in chrome://tracing."""
        self.to_file(path, "perfetto")

    def to_file(self, path: str | PathLike[str], form: str) -> None:
        """Write this to `path` in any of the formats that `whilst.showing.renderers.FORMATS` lists."""
        _renderers().write(self, form, path)


def _renderers() -> Renderers:
    if _load is None:
        raise WhilstError("No renderers are installed; import whilst before drawing a value of its model.")
    return _load()
