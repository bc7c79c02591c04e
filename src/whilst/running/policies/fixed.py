"""A policy for a mode that was asked for: the same back end throughout, batches that follow the calls' length."""

from __future__ import annotations

from functools import partial
from time import process_time_ns

from whilst.running.backends import mode_of, traits_of
from whilst.running.backends.base import BackendConfig
from whilst.running.calls.one_argument import Awaiter
from whilst.running.core.inline import looks_up_by_itself, perform_inline
from whilst.running.core.policy import INLINE, Directives, Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from whilst.model import Decision
    from whilst.running.core.inputs import Source
    from whilst.running.core.policy import RunStatus
    from whilst.running.jobs import Finished, Job
    from whilst.running.policies.caveats import Caveats
    from whilst.running.policies.concurrency_limit import ThreadsBesideLoop

_TIMED_FROM_NS: Final = 10_000
"""Shorter calls are not timed one by one: two looks at the clock would be a sizeable part of them."""
_BATCH_NS: Final = 16_000_000
"""Aim of a batch's length across processes: the hand-over (some 100 µs) is then below 2 % of it."""
_LEAST_NS: Final = 600_000
"""Toward the end no batch is shorter than this: what that evens out, more hand-overs would cost."""
_LOOP_BATCH: Final = 256
_NEAR_BATCH_NS: Final = 1_000_000
"""The same for threads, which are handed over to in some 20 µs."""
_AHEAD_BELOW_NS: Final = 10_000_000
"""A worker process whose calls are longer need not hold one more: asking for it costs nothing beside the call."""
_NEAR_AHEAD_BELOW_NS: Final = 1_000_000
_INLINE_NS: Final = 10_000_000
"""Aim of a stretch of inline calls: afterwards the driver looks around."""
_LONGEST_STRETCH: Final = 65_536
_LAZY_STRETCH: Final = 1024
_LAZY_CALLS: Final = 8192
"""In the batches of all workers of a lazy run: however short calls are, they must not fill the memory."""
_INLINE_GROWTH: Final = 4096
_MANY_MORE: Final = 8
_TELLING_NS: Final = 4_000_000
_CLOCK_NS: Final = 900
"""What the clock and the context add to a timed call."""
_WORKS: Final = 0.3
"""From this share of CPU time on calls work; that they take longer by the clock is for want of a core."""
_GROWTH: Final = 512
"""A batch grows at most by this factor at a time: the first calls may not be like the others."""
_FIRST: Final = 8192
_FIRST_SHARE: Final = 2
"""First batch: at most this many calls, or 1/_FIRST_SHARE of a worker's share. What is too much is taken back."""


class _Length:
    """How long a call takes, from the last answers."""

    def __init__(self) -> None:
        self.call_ns: float | None = None
        self._count = 0
        """How many calls the last answer was for."""

    def learn(self, finished: Finished) -> None:
        count = len(finished.ids)
        if not count:
            return
        length_ns = finished.end_ns - finished.start_ns
        if finished.starts_ns is not None and finished.ends_ns is not None:
            # Without what is done between timed calls: short ones would look long for being timed.
            length_ns = sum(finished.ends_ns) - sum(finished.starts_ns)
            length_ns = max(length_ns - count * _CLOCK_NS, length_ns // 8)
        if finished.cpu_ns > _WORKS * length_ns:
            # A batch that shared its core with others is no reason for smaller ones.
            length_ns = min(length_ns, finished.cpu_ns)
        now = length_ns / count
        # The very first calls are slow (nothing is warm): they count for nothing beside many.
        if self.call_ns is None or count >= _MANY_MORE * self._count:
            self.call_ns = now
        else:  # what took no time tells nothing: the rest of a batch, a handful of short calls
            self.call_ns += (now - self.call_ns) * min(0.5, length_ns / _TELLING_NS)
        self._count = count


class InlinePolicy(Policy):
    """All calls in the caller's thread, one after the other: a `for` loop that looks up now and then."""

    def __init__(self, reason: str, *, is_lazy: bool, is_timed: bool = False) -> None:
        self._count = 1
        self._is_lazy = is_lazy
        self._is_always_timed = is_timed
        self._is_timed = True
        self._reason = reason
        self._awaiter = Awaiter()

    def directives(self, status: RunStatus) -> Directives:
        if self._is_lazy:
            return Directives(INLINE, inline=0 if status.blocked else min(self._count, _LAZY_STRETCH), is_plain=True)
        return Directives(INLINE, inline=self._count)

    def perform(self, job: Job, source: Source, count: int) -> Finished:
        is_timed = self._is_always_timed or self._is_timed
        if not is_timed and looks_up_by_itself(job, source):
            count = _LONGEST_STRETCH
        finished = perform_inline(job, source, count, self._awaiter, is_timed=is_timed)
        self.observe(finished)
        return finished

    def observe(self, finished: Finished) -> None:
        length_ns = finished.end_ns - finished.start_ns
        count = max(len(finished.ids), 1)
        self._is_timed = length_ns / count > _TIMED_FROM_NS
        wanted = int(_INLINE_NS * count / max(length_ns, 1))
        self._count = max(min(wanted, self._count * _INLINE_GROWTH), 1)

    def decision(self) -> Decision:
        return self.decision_later()()

    def decision_later(self) -> Callable[[], Decision]:
        """See `Policy.decision_later`."""
        return partial(_as_asked, INLINE, 1, 1, self._reason)

    def close(self) -> None:
        self._awaiter.close()


class FixedPolicy(Policy):
    """A fixed number of workers of one back end. Batches follow the measured length of a call."""

    def __init__(
        self,
        config: BackendConfig,
        workers: int,
        reason: str,
        *,
        is_batched: bool,
        is_timed: bool = False,
        is_lazy: bool = True,
        caveats: Caveats | None = None,
        beside_loop: ThreadsBesideLoop | None = None,
    ) -> None:
        self._config = config
        self._beside_loop = beside_loop
        self._caveats = caveats
        self._workers = workers
        self._reason = reason
        self._is_batched = is_batched
        self._is_always_timed = is_timed
        self._length = _Length()
        # Coroutines of one batch are in flight together, so nothing is lost by a big one.
        self._traits = traits_of(config.backend)
        self._is_overlapping = self._traits.awaits
        self._batch = _LOOP_BATCH if self._is_overlapping else 1
        self._awaiter = Awaiter()
        is_near = self._traits.overlaps_here
        self._least = 1
        self._least_ns = 0 if is_near else _LEAST_NS
        self._batch_ns = _NEAR_BATCH_NS if is_near else _BATCH_NS
        self._ahead_below_ns = _NEAR_AHEAD_BELOW_NS if is_near else _AHEAD_BELOW_NS
        self._enough = self._most_ready = 0
        self._why_fewer = ""
        """Why a worker could not be started, where one could not."""
        self._has_begun = not is_batched or is_near or is_lazy
        self._most = max(_LAZY_CALLS // workers, 64) if is_lazy else None

    def directives(self, status: RunStatus) -> Directives:
        wanted = self._workers_for(status)
        beside = self._beside_loop
        if beside is not None:
            wanted = min(wanted, beside.look(status.now_ns, process_time_ns()))
        self._most_ready = max(self._most_ready, status.ready)
        if not self._has_begun and status.left is not None:
            self._has_begun = True
            self._batch = max(1, min(_FIRST, status.left // (_FIRST_SHARE * self._workers)))
        # Idle threads may end while others still work; a process that has ended would be missed if one more died.
        self._enough = wanted if self._traits.has_threads else max(self._enough, wanted)
        return Directives(
            self._config,
            workers=self._enough,
            batch=self._batch,
            least=self._least,
            ahead=1 if self._length.call_ns is not None and self._length.call_ns < self._ahead_below_ns else 0,
            is_timed=self._is_always_timed or self._is_timed,
            look_again_s=None if beside is None else beside.look_again_s,
        )

    @property
    def _is_timed(self) -> bool:
        # Many at once that nobody knows yet are timed if they turn out to be long: who makes them sees to that.
        return self._batch == 1 if self._length.call_ns is None else self._length.call_ns > _TIMED_FROM_NS

    def _workers_for(self, status: RunStatus) -> int:
        """No more workers than there are calls for them."""
        if status.left is None:
            return self._workers
        return min(self._workers, max(-(-(status.left + status.in_hand) // self._config.slots), 1))

    def perform(self, job: Job, source: Source, count: int) -> Finished:
        finished = perform_inline(job, source, count, self._awaiter)
        self.observe(finished)
        return finished

    def worker_failed(self, status: RunStatus, error: BaseException) -> bool:
        """See `Policy.worker_failed`: what was asked for is tried again, and then done with fewer."""
        self._most_ready = max(self._most_ready, status.ready)
        self._why_fewer = str(error)
        return False

    def observe(self, finished: Finished) -> None:
        self._length.learn(finished)
        call_ns = self._length.call_ns
        if not self._is_batched or self._is_overlapping or call_ns is None:
            return
        wanted = int(self._batch_ns / max(call_ns, 1.0))
        wanted = wanted if self._most is None else min(wanted, self._most)
        self._batch = max(min(wanted, self._batch * _GROWTH), 1)
        self._least = max(min(int(self._least_ns / max(call_ns, 1.0)), self._batch), 1)

    def admits(self, first: int, items: Sequence[object]) -> bool:  # noqa: ARG002 - whichever they are
        """See `Policy.admits`: all may go, and what they bring is looked into once somebody asks."""
        if self._caveats is not None:
            self._caveats.meet(items)
        return True

    def changes_items(self, item: object) -> bool:
        """See `Policy.changes_items`."""
        return self._caveats is None or self._caveats.changes_items(item)

    def decision(self) -> Decision:
        return FixedPolicy.decision_later(self)()

    def decision_later(self) -> Callable[[], Decision]:
        """See `Policy.decision_later`."""
        caveats = self._caveats.without_function() if self._caveats is not None else tuple
        if self._why_fewer and self._most_ready < self._enough:
            caveats = partial(_with_fewer, caveats, f"Not all of the {self._workers} workers: {self._why_fewer}")
        return partial(_as_asked, self._config, self._workers, self._batch, self._reason, caveats)

    def close(self) -> None:
        self._awaiter.close()


def _with_fewer(caveats: Callable[[], tuple[str, ...]], fewer: str) -> tuple[str, ...]:
    return (fewer, *caveats())


def _as_asked(
    config: BackendConfig, workers: int, batch: int, reason: str, caveats: Callable[[], tuple[str, ...]] = tuple
) -> Decision:
    # Loaded once somebody looks at a decision.
    from whilst.model import Decision
    from whilst.running.policies.explain import start_of_workers

    return Decision(
        mode_of(config.backend),
        config.backend,
        workers,
        batch=batch,
        threads_per_worker=config.slots,
        reason=reason,
        evidence=start_of_workers(config.backend, is_forked=config.is_forked),
        given_up=caveats(),
    )
