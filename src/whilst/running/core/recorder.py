"""Remembers who did what when, cheaply, and makes a Timeline of it only when somebody asks.

While the run goes on, one row of references per batch is kept and nothing is computed. A run of unknown length
must not grow in memory, so beyond a number of calls the recorder forgets the oldest: soon in a lazy run, late in
one that keeps its results anyway.
"""

from __future__ import annotations

from collections import deque

from whilst._record import Record
from whilst.running.backends import traits_of
from whilst.running.jobs import CALLER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from whilst.model import Timeline, TimelineBuilder
    from whilst.running.jobs import Finished

_MOST_ENTRIES = 1_000_000
_MOST_ENTRIES_LAZY = 2_000
_WORK_SHARE = 0.9
"""Above this share of CPU time a call is drawn as work alone, below the rest of it as waiting alone."""


class _Row(Record):
    executor: tuple[int, int]
    ids: Sequence[int]
    start_ns: int
    end_ns: int
    starts_ns: Sequence[int] | None
    ends_ns: Sequence[int] | None
    cpu_ns: int | None


class Recorder:
    """Takes answers as they come in."""

    __slots__ = ("_entries", "_most", "_noun", "_rows", "_stem", "end_ns", "start_ns")

    def __init__(self, stem: str, start_ns: int, *, is_lazy: bool = False) -> None:
        self.start_ns = start_ns
        self.end_ns = start_ns
        self._stem = stem
        self._noun = "worker"
        self._rows: deque[_Row] = deque()
        self._entries = 0
        self._most = _MOST_ENTRIES_LAZY if is_lazy else _MOST_ENTRIES

    def name_workers(self, backend: str) -> None:
        """From now on they are those of this back end."""
        self._noun = traits_of(backend).noun

    def add(self, finished: Finished) -> None:
        """Keep an answer's columns, without its values."""
        self._entries += 1 if finished.ends_ns is None else len(finished.ends_ns)
        while self._entries > self._most and self._rows:
            oldest = self._rows.popleft()
            self._entries -= 1 if oldest.ends_ns is None else len(oldest.ends_ns)
        self._rows.append(
            _Row(
                (finished.worker, finished.lane),
                finished.ids,
                finished.start_ns,
                finished.end_ns,
                finished.starts_ns,
                finished.ends_ns,
                finished.cpu_ns,
            )
        )

    def timeline(self, name: str) -> Timeline:
        """One row per thread that made calls. Calls too short to be timed stand as one span per batch.

        The CPU time of a batch tells how much of it was work; a call that did both is drawn as work first and
        waiting after, since the order in which they alternated was not recorded.
        """
        from whilst.model import TimelineBuilder

        builder = TimelineBuilder()
        for row in self._rows:
            executor = self._executor(row.executor)
            share = self._work_share(row)
            if row.starts_ns is None or row.ends_ns is None:
                if row.ids:
                    label = f"{len(row.ids)} calls" if len(row.ids) > 1 else ""
                    self._draw(builder, executor, row.ids[0], row.start_ns, row.end_ns, share, label)
                continue
            for number, start, end in zip(row.ids, row.starts_ns, row.ends_ns, strict=True):
                self._draw(builder, executor, number, start, end, share, "")
        return builder.build(name=name, origin_ns=self.start_ns)

    def _executor(self, key: tuple[int, int]) -> str:
        worker, lane = key
        if worker == CALLER:
            return "caller"
        return f"{self._noun} {worker}" + (f".{lane}" if lane else "")

    def _work_share(self, row: _Row) -> float:
        """The share of CPU time in the time of these calls."""
        if row.cpu_ns is None:
            return 0.0
        return min(row.cpu_ns / max(row.end_ns - row.start_ns, 1), 1.0)

    def _draw(
        self, builder: TimelineBuilder, executor: str, number: int, start: int, end: int, share: float, label: str
    ) -> None:
        from whilst.model import Kind

        task = f"{self._stem} {number}"
        if share >= _WORK_SHARE or end <= start:
            builder.add(executor, task, Kind.WORK, start, end, label)
        elif share <= 1 - _WORK_SHARE:
            builder.add(executor, task, Kind.WAIT, start, end, label)
        else:
            middle = start + int((end - start) * share)
            builder.add(executor, task, Kind.WORK, start, middle, label)
            builder.add(executor, task, Kind.WAIT, middle, end, label)
