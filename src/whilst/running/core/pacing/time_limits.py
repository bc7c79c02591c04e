"""Calls that run too long: found while they run, or judged once they have ended.

A call in a process of its own can be ended. One in a thread or in the caller can't: it fails all the same,
and the error says what became of it. Asks the back end what is running, and ends nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter_ns

from whilst.errors import TimeoutExceededError
from whilst.running.backends.base import Backend
from whilst.running.core.messages import TimedOut
from whilst.running.core.pool_state import PoolState
from whilst.running.jobs import Finished


class Deadlines:
    """Watches over the calls that workers have in hand."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._next_check_ns = 0

    @property
    def patience_s(self) -> float:
        """Until then no call can be over its time."""
        return max((self._next_check_ns - perf_counter_ns()) / 1e9, 0.001)

    def overdue(self, state: PoolState, backend: Backend) -> Iterator[TimedOut]:
        """The calls that are over their time. Looked for when the first of them can be, not before."""
        now = perf_counter_ns()
        if now < self._next_check_ns:
            return
        limit = int(self._limit_s * 1e9)
        self._next_check_ns = now + limit
        for number, worker in list(state.workers.items()):
            if worker.is_abandoned:
                continue
            for call, start_ns in backend.running(number):
                if now - start_ns >= limit:
                    yield TimedOut(number, call, self._error(can_kill=backend.can_kill), backend.can_kill)
                else:
                    self._next_check_ns = min(self._next_check_ns, start_ns + limit)

    def _error(self, *, can_kill: bool) -> TimeoutExceededError:
        text = f"A call ran longer than timeout_s={self._limit_s:g}"
        if can_kill:
            return TimeoutExceededError(f"{text}; its process was killed.")
        return TimeoutExceededError(
            f"{text}. A thread can't be killed: it goes on in the background until it ends by itself. "
            f"Pass mode='parallel' to have such calls ended."
        )


def fail_late(finished: Finished, limit_s: float) -> Finished:
    """Have calls fail that the caller's own thread has made and that took too long, as they do elsewhere."""
    if finished.starts_ns is None or finished.ends_ns is None:
        return finished
    late = [
        number
        for number, start, end in zip(finished.ids, finished.starts_ns, finished.ends_ns, strict=True)
        if end - start > limit_s * 1e9 and number not in finished.errors
    ]
    error = f"A call ran longer than timeout_s={limit_s:g}. It was made in the caller's own thread, which "
    error += "can't end it. Pass mode='parallel' to have such calls ended."
    return finished._replace(errors={**finished.errors, **{number: TimeoutExceededError(error) for number in late}})
