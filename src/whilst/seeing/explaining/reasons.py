"""What took the time, summed up: by cause, by the user's line, and by who held it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from whilst.model import Kind, StepFunction
from whilst.seeing.events import Place, Recording
from whilst.seeing.explaining.causes import BY_ANOTHER, Cause, Role, is_worker, shown_function, work_name
from whilst.seeing.explaining.courses import Course
from whilst.seeing.explaining.holders import Holder, Track, Wait, holder_of, tracks_of
from whilst.seeing.explaining.pieces import Lane, Piece, Process

_HANDING_OVER = ("handing over", "pickling", "sending")
_EXPLAINED = ("lock", "queue", "loop")


@dataclass(slots=True)
class Reason:
    """One cause at one line: how long, summed over all tasks. `kind` is None for waits that are part of no task."""

    kind: Kind | None
    cause: Cause | None
    where: Place | None
    length_ns: int = 0
    count: int = 0
    longest_ns: int = 0
    holder: Holder | None = None
    waits: list[Wait] = field(default_factory=list)
    holders: dict[int, Holder] = field(default_factory=dict)
    """Of some of the waits, by position."""
    program: str = ""
    """What the system calls a process that could not be looked into."""
    name: str = ""
    """Of work that is not the user's own: "pickling", "handing over", "gc"."""

    @property
    def text(self) -> str:
        if self.kind is Kind.WORK:
            return f"work: {self.name}" if self.name else "work"
        return self.cause.text if self.cause else ""


@dataclass
class Sums:
    """All that a sentence may be about."""

    recording: Recording
    processes: Sequence[Process]
    courses: Sequence[Course]
    reasons: list[Reason]
    """Of tasks, the largest first."""
    tracks: list[Track]
    around: list[Reason]
    """Of waits that are part of no task: workers without one, and those who wait for others' tasks."""

    @cached_property
    def task_ns(self) -> int:
        """Of all tasks together."""
        return sum(reason.length_ns for reason in self.reasons)

    @cached_property
    def span_ns(self) -> int:
        return max(self.recording.end_ns - self.recording.start_ns, 1)

    @cached_property
    def work_ns(self) -> int:
        return sum(reason.length_ns for reason in self.reasons if reason.kind is Kind.WORK)

    @cached_property
    def in_progress(self) -> StepFunction:
        """How many tasks were, over time."""
        bounds = [(pieces[0].start_ns, pieces[-1].end_ns) for course in self.courses if (pieces := course.in_progress)]
        origin = self.recording.start_ns
        return StepFunction.counting(
            [start - origin for start, _ in bounds], [end - origin for _, end in bounds], self.span_ns
        )

    @cached_property
    def workers(self) -> list[Lane]:
        """Threads of a pool, or that were at some time ready for the next task; and had one at another."""
        return [
            lane
            for process in self.processes
            for lane in process.lanes
            if any(
                is_worker(piece.stack)
                or (piece.cause is not None and piece.cause.role is Role.IDLE and piece.cause.kind == "queue")
                for piece in lane.pieces
            )
            and any(piece.kind is not None for piece in lane.pieces)
        ]

    @cached_property
    def asked(self) -> Place | None:
        """The user's line that waits longest for the tasks of others."""
        return next((each.where for each in self.around if each.cause and each.cause.role is Role.COORDINATING), None)

    def place_of(self, reason: Reason) -> str:
        """For a sentence: the user's line, or the program that could not be looked into."""
        return self.spot(reason.where, is_short=True) or (f"program {reason.program}" if reason.program else "Python")

    def spot(self, place: Place | None, *, is_short: bool = False) -> str:
        """ "score (shop.py:13)"; the function alone where the line is a program's own top."""
        if place is None:
            return ""
        file = shown_file(place.file, self.recording.folder)
        function = shown_function(place.function)
        line = f"line {place.line}" if is_short and file.endswith(self.recording.name) else f"{file}:{place.line}"
        return f"{function} ({line})" if function != "<module>" else line


@cache
def shown_file(file: str, folder: str) -> str:
    """Relative where it is the user's own; the last parts of a library's."""
    path = Path(file)
    if folder and path.is_relative_to(folder):
        return str(path.relative_to(folder))
    for part in ("site-packages", "dist-packages"):
        if part in path.parts:
            return str(Path(*path.parts[path.parts.index(part) + 1 :]))
    return path.name


def sums_of(recording: Recording, processes: Sequence[Process], courses: Sequence[Course]) -> Sums:
    """Add it up."""
    reasons: dict[object, Reason] = {}
    for course in courses:
        for piece in course.in_progress:
            reason = _add(reasons, piece, course)
            if piece.cause is not None and (piece.cause.kind in _EXPLAINED or piece.cause.name == BY_ANOTHER):
                reason.waits.append(Wait(course, piece))
    tracks = tracks_of(processes, courses)
    total = sum(reason.length_ns for reason in reasons.values())
    for reason in reasons.values():
        if reason.waits and reason.length_ns > 0.005 * total:
            reason.holder, reason.holders = holder_of(reason.waits, tracks)
    around: dict[object, Reason] = {}
    for process in processes:
        for lane in process.lanes:
            for piece in lane.pieces:
                if piece.kind is None and piece.cause is not None:
                    _add(around, piece, Course(lane.name, "", lane))

    def largest(found: dict[object, Reason]) -> list[Reason]:
        return sorted(found.values(), key=lambda reason: -reason.length_ns)

    return Sums(recording, processes, courses, largest(reasons), tracks, largest(around))


def _add(reasons: dict[object, Reason], piece: Piece, course: Course) -> Reason:
    where, cause = piece.where, piece.cause
    name = what_works(piece, course)
    program = course.lane.process.command if course.lane.process.log is None else ""
    spot = None if name in _HANDING_OVER or where is None else (where.file, where.function, _line(piece, where))
    key = (piece.kind, cause and (cause.kind, cause.name, cause.role), spot, name, program)
    reason = reasons.get(key)
    if reason is None:
        reason = reasons[key] = Reason(piece.kind, cause, where, name=name, program=program)
    reason.length_ns += piece.length_ns
    reason.count += 1
    if piece.length_ns > reason.longest_ns:
        reason.longest_ns = piece.length_ns
        reason.where = where  # of a function at work, the line that it was at for longest
    return reason


def what_works(piece: Piece, course: Course) -> str:
    """The name of work that is not the user's own, as a `Reason` has it."""
    if piece.kind is not Kind.WORK:
        return ""
    name = piece.cause.kind if piece.cause else work_name(piece.stack, course.lane.process.owned)
    return name or ("" if piece.where or course.lane.process.log is None else "start of Python")


def _line(piece: Piece, where: Place) -> int:
    """Where it waits is one line; where it works, or is kept from it, is a function."""
    return where.line if piece.kind is Kind.WAIT or piece.kind is None or name_of(piece) == "loop" else 0


def name_of(piece: Piece) -> str:
    return piece.cause.kind if piece.cause is not None else ""


def by_cause(reasons: Sequence[Reason]) -> dict[str, list[Reason]]:
    """By the kind of their cause, the largest first."""
    found: dict[str, list[Reason]] = defaultdict(list)
    for reason in reasons:
        if reason.cause is not None and reason.kind is not Kind.WORK:
            found[reason.cause.kind].append(reason)
    return found
