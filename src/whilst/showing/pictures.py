"""What there is to draw: any drawable value as one `Picture` of timelines, table and sentences.

A renderer sees only pictures, so that a plan, a comparison, a recorded run and a bare timeline look alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from whilst.errors import WhilstError
from whilst.model import Decision, Mode, Report, Timeline
from whilst.model.report import Answering
from whilst.model.verdict import Verdict
from whilst.showing.figures import length_text
from whilst.showing.verdict_text import picture_parts


class NotDrawableError(WhilstError, TypeError):
    """A value that has neither a timeline nor a table."""


Table = tuple[tuple[str, ...], ...]
"""Rows of text, the heading first."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Timelines under each other on one axis, with one table (heading first) and sentences to each report."""

    title: str
    timelines: tuple[Timeline, ...]
    names: tuple[str, ...]
    """One for each timeline; never empty."""
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    answers: tuple[tuple[str, str], ...] = ()
    """What a reader asks first, and the answers."""
    bars: tuple[tuple[str, float, str], ...] = ()
    """(the beginning of a timeline's name, how many times as fast, the same in words), best first."""
    is_answered: bool = False
    """The answers say all that the notes do."""
    parts: tuple[Picture, ...] = ()
    """Reports that were put together, each with an axis of its own; empty: this is one."""


def picture_of(value: object) -> Picture:
    """Return what there is to draw of a timeline, a report, anything with a `.timeline`, or a sequence of these.

    Raises:
        NotDrawableError: none of these.
    """
    if isinstance(value, Timeline):
        return _picture(value.name, [value])
    if isinstance(value, Report):
        table = tuple(tuple(map(str, row)) for row in value.table())
        picture = _picture(value.title, value.timelines(), (table,) if table else (), tuple(value.notes()))
        if isinstance(value, Verdict):
            return replace(picture, **picture_parts(value))
        if isinstance(value, Answering):
            is_answered = bool(getattr(value, "answers_say_all", False))
            return replace(picture, answers=tuple(value.answers()), bars=tuple(value.bars()), is_answered=is_answered)
        return picture
    if isinstance(value, Decision):
        return _decided(value)
    report = getattr(value, "report", None)
    if callable(report) and isinstance(reported := report(), Report):
        return picture_of(reported)
    inner = getattr(value, "timeline", None)
    if isinstance(inner, Timeline):
        return _picture(inner.name, [inner])
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return _joined([picture_of(each) for each in value], str(getattr(value, "title", "")))
    raise NotDrawableError(
        f"{type(value).__name__} can't be drawn; pass a Timeline, a Report (see whilst.model.Report), "
        f"something with a `timeline`, or a sequence of these."
    )


def _decided(decision: Decision) -> Picture:
    """A decision by itself: why, what was measured, and what every other mode would have been."""
    reasons = {each.mode: each.reason for each in decision.rejected}
    rows = [("mode", "forecast", "")]
    for mode in Mode:
        if mode in {decision.mode, *reasons, *decision.forecast_s}:
            seconds = decision.forecast_s.get(mode)
            why = "chosen" if mode is decision.mode else reasons.get(mode, "")
            rows.append((mode.value, "" if seconds is None else length_text(seconds), why))
    facts = "; ".join(item.text for item in decision.evidence if item.text)
    notes = [decision.reason or "As asked", *([f"Measured: {facts}"] if facts else []), *decision.given_up]
    notes += [f"After {length_text(change.at_s)}: {change.text}" for change in decision.history]
    sentences = tuple(f"{note[:1].upper()}{note[1:].rstrip('.')}." for note in notes)
    return Picture(f"{decision.mode.value}: {decision.who}", (), (), (tuple(rows),), sentences)


def shared_unit(timelines: Sequence[Timeline]) -> str | None:
    """The unit that all timelines are counted in, or None where they differ and only seconds can be shared."""
    units = {timeline.unit for timeline in timelines}
    return units.pop() if len(units) == 1 else None


def _picture(
    title: str, timelines: Sequence[Timeline], tables: tuple[Table, ...] = (), notes: tuple[str, ...] = ()
) -> Picture:
    """Names that all begin alike ("my day: concurrent", "my day: parallel") give that beginning to the title."""
    names = [line.name or f"timeline {number}" for number, line in enumerate(timelines, start=1)]
    shared = names[0][: names[0].rfind(": ") + 2] if len(names) > 1 and ": " in names[0] else ""
    if shared and all(name.startswith(shared) and name != shared for name in names):
        names = [name.removeprefix(shared) for name in names]
        title = title or shared.removesuffix(": ")
    return Picture(title, tuple(timelines), tuple(names), tables, notes)


def _joined(pictures: Sequence[Picture], title: str = "") -> Picture:
    timelines = [timeline for picture in pictures for timeline in picture.timelines]
    titles = {picture.title: None for picture in pictures if picture.title}
    picture = _picture(
        title or (next(iter(titles)) if len(titles) == 1 else ""), timelines, tuple(_joined_tables(pictures))
    )
    ours = iter(picture.names)
    notes = []
    for each in pictures:
        own = [next(ours) for _ in each.timelines]
        who = own[0] if len(own) == 1 else each.title
        notes += [f"{who}: {note}" if who and len(pictures) > 1 else note for note in each.notes]
    has_reports = len(pictures) > 1 and any(each.tables or each.answers for each in pictures)
    return replace(picture, notes=tuple(notes), parts=tuple(pictures) if has_reports else ())


def _joined_tables(pictures: Sequence[Picture]) -> Iterator[Table]:
    """Tables with the same heading become one."""
    by_heading: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for picture in pictures:
        for heading, *body in picture.tables:
            by_heading.setdefault(heading, []).extend(body)
    for heading, rows in by_heading.items():
        yield (heading, *rows)
