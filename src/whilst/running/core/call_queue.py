"""The calls of a pool that nobody holds. Apart from `pool_state` only because one file of both would be too long."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from whilst.running.core.messages import Submitted
from whilst.running.jobs import Job


class CallQueue:
    """Calls that nobody holds, in the order in which they are to be handed out, in the batches in which they came;
    `len` counts calls.
    """

    def __init__(self) -> None:
        self._parts: deque[Submitted] = deque()
        self._calls = 0

    def __len__(self) -> int:
        return self._calls

    def __iter__(self) -> Iterator[Submitted]:
        return iter(self._parts)

    @property
    def first(self) -> Submitted:
        """Those that are next. There must be some."""
        return self._parts[0]

    def append(self, calls: Submitted) -> None:
        self._parts.append(calls)
        self._calls += len(calls.ids)

    def put_back(self, calls: Sequence[tuple[Job, int, object]], end: int | None) -> None:
        """Let calls wait again, before all others; those of one job stay together."""
        by_job: dict[Job, list[tuple[Job, int, object]]] = {}
        for each in sorted(calls, key=lambda call: call[1]):
            by_job.setdefault(each[0], []).append(each)
        for job, own in by_job.items():
            self.prepend(Submitted(job, [each[1] for each in own], [each[2] for each in own]), end)

    def prepend(self, calls: Submitted, end: int | None) -> None:
        """Let calls wait before all others; not those at or beyond `end`, which nobody wants any more."""
        if end is not None:
            calls = _below(calls, end)
        if calls.ids:
            self._parts.appendleft(calls)
            self._calls += len(calls.ids)

    def take(self, size: int) -> Submitted:
        """Take up to `size` calls of the first batch."""
        first = self._parts[0]
        if size >= len(first.ids):
            self._parts.popleft()
        else:
            self._parts[0] = Submitted(first.job, first.ids[size:], first.items[size:])
            first = Submitted(first.job, first.ids[:size], first.items[:size])
        self._calls -= len(first.ids)
        return first

    def cut(self, end: int) -> None:
        """Forget what is at or beyond this number."""
        self._parts = deque(kept for each in self._parts if (kept := _below(each, end)).ids)
        self._calls = sum(len(each.ids) for each in self._parts)

    def take_all(self) -> list[Submitted]:
        parts = list(self._parts)
        self._parts.clear()
        self._calls = 0
        return parts


def _below(calls: Submitted, end: int) -> Submitted:
    if all(number < end for number in calls.ids):
        return calls
    kept = [(number, item) for number, item in zip(calls.ids, calls.items, strict=True) if number < end]
    return Submitted(calls.job, [number for number, _ in kept], [item for _, item in kept])
