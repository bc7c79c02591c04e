"""A span: one stretch of one task on one executor, of one kind."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from whilst.errors import TimelineError


class Kind(IntEnum):
    """What a task did during a span. The numbers are the ones stored in a timeline's column."""

    WORK = 0
    """On a core."""
    WAIT = 1
    """For I/O, a sleep, a lock, a child: the span's `detail` says which, where it is known."""
    HELD = 2
    """Ready to work, but kept from it: by the GIL, or for want of a core or an executor."""


@dataclass(frozen=True, slots=True)
class Span:
    """One row of a `Timeline`: [start_ns, end_ns) counted in nanoseconds from the timeline's origin."""

    executor: str
    task: str
    kind: Kind
    start_ns: int
    end_ns: int
    label: str = ""
    detail: str = ""

    def __post_init__(self) -> None:
        if self.end_ns < self.start_ns:
            raise TimelineError(
                f"A span of task {self.task!r} ends at {self.end_ns} ns, before it starts at {self.start_ns} ns; "
                f"are start and end from different clocks?"
            )

    @property
    def length_s(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9
