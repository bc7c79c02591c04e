"""Remembers who did what when, cheaply, and makes a Timeline of it only when somebody asks.

While the run goes on, one row of references per batch is kept and nothing is computed. A run of unknown length
must not grow in memory, so beyond a number of calls the recorder forgets the oldest: soon in a lazy run, late in
one that keeps its results anyway.
"""

from __future__ import annotations

from collections import deque

from whilst._light import Record
from whilst.running.backends import traits_of
from whilst.running.jobs import CALLER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from whilst.model import Timeline, TimelineBuilder
    from whilst.running.jobs import Finished

_MOST_ENTRIES = 1_000_000
_MOST_ENTRIES_LAZY = 2_000
_ALL, _NOTHING = 0.9, 0.02
"""Above this share of CPU time a call is drawn as work alone, below that one as waiting alone."""

_WORK_FIRST = {"within a call": "its work is drawn first; when it waited is not recorded"}


class _Row(Record):
    executor: tuple[int, int]
    ids: Sequence[int]
    start_ns: int
    end_ns: int
    starts_ns: Sequence[int] | None
    ends_ns: Sequence[int] | None
    cpu_ns: int
    held_ns: int


class Recorder:
    """Takes answers as they come in."""

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
                (finished.worker if finished.made_by is None else finished.made_by, finished.lane),
                finished.ids,
                finished.start_ns,
                finished.end_ns,
                finished.starts_ns,
                finished.ends_ns,
                finished.cpu_ns,
                finished.held_ns,
            )
        )

    def timeline(self, name: str) -> Timeline:
        """One row per thread that made calls. Calls too short to be timed stand as one span per batch.

        The CPU time of a batch tells how much of it was work; a call that did both is drawn as work first and
        waiting after, since the order in which they alternated was not recorded. Calls that overlap on one executor
        work one after the other, as far as there is room for that.
        """
        from whilst.model import TimelineBuilder

        builder = TimelineBuilder()
        free_ns: dict[str, int] = {}
        did_both = False
        names = self._executors()
        builder.declare(executors=names.values())
        for row in self._rows:
            executor = names[row.executor]
            share, held = self._work_share(row), row.held_ns / max(_length_ns(row), 1)
            did_both |= 0.0 < share < 1.0
            if row.starts_ns is None or row.ends_ns is None:
                if row.ids:
                    label = f"{len(row.ids):,} calls" if len(row.ids) > 1 else ""
                    self._draw(builder, free_ns, executor, row.ids[0], row.start_ns, row.end_ns, share, held, label)
                continue
            for number, start, end in zip(row.ids, row.starts_ns, row.ends_ns, strict=True):
                self._draw(builder, free_ns, executor, number, start, end, share, held, "")
        return builder.build(name=name, origin_ns=self.start_ns, facts=_WORK_FIRST if did_both else {})

    def _executors(self) -> dict[tuple[int, int], str]:
        """The names of all that made calls, in their order; counted from 1, as people do."""
        keys = sorted({row.executor for row in self._rows})  # CALLER is the least
        has_lanes = any(lane for _, lane in keys)
        return {
            (worker, lane): "caller"
            if worker == CALLER
            else f"{self._noun} {worker + 1}" + (f", thread {lane + 1}" if has_lanes else "")
            for worker, lane in keys
        }

    def _work_share(self, row: _Row) -> float:
        """The share of CPU time in the time of these calls; nearly all is all, and next to nothing nothing."""
        whole_ns, length_ns = row.end_ns - row.start_ns, _length_ns(row)
        share = row.cpu_ns / max(length_ns, 1)
        if share >= _ALL:
            return 1.0
        # Where many overlap, next to nothing of each may fill their core.
        return 0.0 if share <= _NOTHING and length_ns <= 1.5 * whole_ns else share

    def _draw(
        self,
        builder: TimelineBuilder,
        free_ns: dict[str, int],
        executor: str,
        number: int,
        start: int,
        end: int,
        share: float,
        held: float,
        label: str,
    ) -> None:
        from whilst.model import Kind

        task, work_ns = f"{self._stem} {number}", int(share * (end - start))
        held_ns = max(0, min(int(held * (end - start)), end - start - work_ns))
        if held_ns:  # nobody knows when in the call it was
            builder.add(executor, task, Kind.HELD, end - held_ns, end, label)
            end -= held_ns
        begin = max(start, min(free_ns.get(executor, start), end - work_ns))
        free_ns[executor] = begin + work_ns
        if begin > start:
            builder.add(executor, task, Kind.WAIT, start, begin, label)
        if work_ns or end <= start:
            builder.add(executor, task, Kind.WORK, begin, begin + work_ns, label)
        if end > begin + work_ns:
            builder.add(executor, task, Kind.WAIT, begin + work_ns, end, label)


def _length_ns(row: _Row) -> int:
    """Of all these calls together."""
    if row.starts_ns is None or row.ends_ns is None:
        return row.end_ns - row.start_ns
    return sum(row.ends_ns) - sum(row.starts_ns)
