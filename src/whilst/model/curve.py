"""A whole-number function of time that changes at instants: concurrency or parallelism over a timeline."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepFunction:
    """`values[i]` holds on [times_ns[i], times_ns[i + 1]); the last one on [times_ns[-1], end_ns)."""

    times_ns: array[int]
    values: array[int]
    end_ns: int

    @classmethod
    def counting(cls, starts_ns: Iterable[int], ends_ns: Iterable[int], end_ns: int) -> StepFunction:
        """Count how many of the intervals [start, end) cover each instant of [0, end_ns)."""
        starts, ends = sorted(starts_ns), sorted(ends_ns)
        times, values = array("q", [0]), array("q", [0])
        begun = ended = 0
        while begun < len(starts) or ended < len(ends):
            now = ends[ended] if begun == len(starts) else min(starts[begun], ends[ended])
            while begun < len(starts) and starts[begun] == now:
                begun += 1
            while ended < len(ends) and ends[ended] == now:
                ended += 1
            if now <= times[-1]:
                values[-1] = begun - ended
            elif now < end_ns and begun - ended != values[-1]:
                times.append(now)
                values.append(begun - ended)
        return cls(times, values, end_ns)

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Yield (start_ns, end_ns, value) of each stretch."""
        for position, value in enumerate(self.values):
            last = position + 1 == len(self.times_ns)
            yield self.times_ns[position], self.end_ns if last else self.times_ns[position + 1], value

    def at(self, time_ns: int) -> int:
        """The value at an instant; 0 outside [0, end_ns)."""
        if not 0 <= time_ns < self.end_ns:
            return 0
        return self.values[bisect_right(self.times_ns, time_ns) - 1]

    @property
    def maximum(self) -> int:
        return max(self.values, default=0)

    @property
    def mean(self) -> float:
        """The mean over [0, end_ns); 0.0 for an empty stretch of time."""
        return sum((end - start) * value for start, end, value in self) / self.end_ns if self.end_ns else 0.0

    def share_at_least(self, value: int) -> float:
        """The share of [0, end_ns) in which the function is at least that value."""
        covered = sum(end - start for start, end, reached in self if reached >= value)
        return covered / self.end_ns if self.end_ns else 0.0
