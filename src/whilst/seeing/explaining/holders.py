"""Who holds what others wait for: read from where all threads and tasks stood at that moment.

A thread holds a lock if it stands in the body of a `with` that takes it, or further down in the function in which the
other one is taking it. For a queue, an event or a condition nobody holds anything; what the others do then is said.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from whilst.model import Kind
from whilst.seeing.events import Place, Stack
from whilst.seeing.explaining.causes import Cause, Owned, Role, is_own, own_place
from whilst.seeing.explaining.courses import Course
from whilst.seeing.explaining.pieces import Lane, Piece, Process
from whilst.seeing.explaining.sources import lock_taken_at, locks_around

UNHELD: Final = ("event", "condition", "barrier", "future", "thread", "database", "interpreter", "thread start", "")
_MOST_LOOKED_AT: Final = 200


@dataclass(frozen=True, slots=True)
class Holder:
    """Who, where it holds it, where its own code stands then, and what it does there: a cause's text, or "work"."""

    who: str
    place: Place | None
    inner: Place | None
    doing: str
    is_holding: bool = True


@dataclass(frozen=True, slots=True)
class Wait:
    """One wait of a course, to be explained."""

    course: Course
    piece: Piece


@dataclass(slots=True)
class Track:
    """Who may hold something: a thread, or an asyncio task."""

    who: str
    lane: Lane
    pieces: Sequence[Piece]
    is_coroutine: bool = False

    def at(self, now: int) -> Piece | None:
        position = bisect_right(self.pieces, now, key=_start_of) - 1
        piece = self.pieces[position] if position >= 0 else None
        return piece if piece is not None and now < piece.end_ns else None

    def stack_at(self, now: int, piece: Piece) -> Stack:
        return piece.stack if self.is_coroutine else self.lane.stack_at(now) or piece.stack


def _start_of(piece: Piece) -> int:
    return piece.start_ns


def tracks_of(processes: Sequence[Process], courses: Sequence[Course]) -> list[Track]:
    """All of them."""
    tracks = [Track(lane.name, lane, lane.pieces) for process in processes for lane in process.lanes]
    return tracks + [Track(course.task, course.lane, course.pieces, True) for course in courses if course.is_coroutine]


def holder_of(waits: Sequence[Wait], tracks: Sequence[Track]) -> tuple[Holder | None, dict[int, Holder]]:
    """The usual holder of what these waits of one cause are for, and that of each by its position, where known."""
    found: Counter[tuple[Place | None, Place | None, str, bool]] = Counter()
    names: dict[object, Counter[str]] = {}
    each: dict[int, Holder] = {}
    order = sorted(range(len(waits)), key=lambda position: -waits[position].piece.length_ns)[:_MOST_LOOKED_AT]
    for position in order:
        holder = _holder_at(waits[position], tracks)
        if holder is None:
            continue
        each[position] = holder
        key = (holder.place, holder.inner, holder.doing, holder.is_holding)
        found[key] += waits[position].piece.length_ns
        names.setdefault(key, Counter())[holder.who] += 1
    if not found:
        return None, each
    key = found.most_common(1)[0][0]
    who = names[key].most_common()
    others = f" and {len(who) - 1} other{'s' if len(who) > 2 else ''}" if len(who) > 1 else ""
    return Holder(who[0][0] + others, *key), each


def _holder_at(wait: Wait, tracks: Sequence[Track]) -> Holder | None:
    piece, cause, course = wait.piece, wait.piece.cause, wait.course
    assert cause is not None
    now = (piece.start_ns + piece.end_ns) // 2
    process = course.lane.process
    if cause.kind == "loop":
        at = Track("", course.lane, course.lane.pieces).at(now)
        inner = own_place(course.lane.stack_at(now), process.owned)
        return Holder(course.executor, None, inner, _doing(at), is_holding=False) if at and inner else None
    others = [
        (track, at) for track in tracks
        if track.pieces is not course.pieces and (course.is_coroutine or track.lane is not course.lane)
        and (at := track.at(now)) is not None and not _is_same(at.cause, cause)
    ]  # fmt: skip
    near = [pair for pair in others if pair[0].lane.process is process]
    if cause.kind == "lock" and cause.name not in UNHELD:
        for track, at in [*near, *others]:
            stack = track.stack_at(now, at)
            region = held_region(piece.stack, stack, process.owned)
            if region is not None:
                inner = own_place(stack, track.lane.process.owned)
                return Holder(track.who, region, inner, _doing(at))
        return None
    busy = [pair for pair in near or others if pair[1].kind is not None and pair[1].where is not None]
    if not busy:
        return None
    track, at = max(busy, key=lambda pair: (pair[1].kind is Kind.WORK, pair[1].length_ns))
    return Holder(track.who, None, at.where, _doing(at), is_holding=False)


def _doing(piece: Piece | None) -> str:
    return piece.cause.text if piece is not None and piece.cause is not None else "work"


def _is_same(one: Cause | None, other: Cause) -> bool:
    if one is not None and one.role is Role.IDLE:
        return True
    return one is not None and (one.kind, one.name) == (other.kind, other.name)


@lru_cache(50_000)
def held_region(waiting: Stack, other: Stack, owned: Owned) -> Place | None:
    """Where the other holds what is being taken; None if nothing says that it does."""
    taking: list[Place] = []
    for place in waiting:
        taking.append(place)
        if is_own(place.file, owned):
            break
    taken = {name.rpartition(".")[2] for place in taking if (name := lock_taken_at(place))}
    for place in other:
        for own in taking:
            is_further = place.line > own.line and (place.file, place.function) == (own.file, own.function)
            if is_further and (lock_taken_at(own) or "logging" in own.file):
                return place
        if is_own(place.file, owned) and any(name.rpartition(".")[2] in taken for name in locks_around(place)):
            return place
    return None
