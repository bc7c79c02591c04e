"""What there is to draw: any drawable value as one `Picture` of timelines, table and sentences.

A renderer sees only pictures, so that a plan, a comparison, a recorded run and a bare timeline look alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from whilst.errors import WhilstError
from whilst.model import Report, Timeline

__all__ = ["NotDrawableError", "Picture", "picture_of", "shared_unit"]


class NotDrawableError(WhilstError, TypeError):
    """A value that has neither a timeline nor a table."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Timelines under each other on one axis, with one table (heading first) and sentences to each report."""

    title: str
    timelines: tuple[Timeline, ...]
    tables: tuple[tuple[tuple[str, ...], ...], ...] = ()
    notes: tuple[str, ...] = ()


def picture_of(value: object) -> Picture:
    """Return what there is to draw of a timeline, a report, anything with a `.timeline`, or a sequence of these.

    Raises:
        NotDrawableError: none of these.
    """
    if isinstance(value, Timeline):
        return Picture(value.name, (value,))
    if isinstance(value, Report):
        table = tuple(tuple(map(str, row)) for row in value.table())
        return Picture(value.title, tuple(value.timelines()), (table,) if table else (), tuple(value.notes()))
    inner = getattr(value, "timeline", None)
    if isinstance(inner, Timeline):
        return Picture(inner.name, (inner,))
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return _joined([picture_of(each) for each in value])
    raise NotDrawableError(
        f"{type(value).__name__} can't be drawn; pass a Timeline, a Report (see whilst.model.Report), "
        f"something with a `timeline`, or a sequence of these."
    )


def shared_unit(timelines: Sequence[Timeline]) -> str | None:
    """The unit that all timelines are counted in, or None where they differ and only seconds can be shared."""
    units = {timeline.unit for timeline in timelines}
    return units.pop() if len(units) == 1 else None


def _joined(pictures: Sequence[Picture]) -> Picture:
    titles = [picture.title for picture in pictures if picture.title]
    return Picture(
        title=titles[0] if len(titles) == 1 else "",
        timelines=tuple(timeline for picture in pictures for timeline in picture.timelines),
        tables=tuple(table for picture in pictures for table in picture.tables),
        notes=tuple(note for picture in pictures for note in picture.notes),
    )
