"""A run that was decided, on its way: the back end it needs, the directives for it, and what its answers teach.

Holds what follows answers while calls are made elsewhere: the number at once (`AdaptiveLimit`), the batches
(`Batches`), and whether calls are still what they were taken for (`DriftDetector`).
"""

from __future__ import annotations

import math
import time
from functools import partial

from whilst import model
from whilst.running.backends import traits_of
from whilst.running.backends.base import BackendConfig
from whilst.running.core.policy import INLINE, Directives

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from typing import Final

    from whilst.model import Decision, Profile
    from whilst.running.core.policy import RunStatus
    from whilst.running.jobs import Finished
    from whilst.running.policies.concurrency_limit import AdaptiveLimit, Batches
    from whilst.running.policies.drift import DriftDetector, ProfileChange

STRETCH_S: Final = 0.002
"""So long may inline calls go on before the driver looks around."""
FIRST_AT_ONCE: Final = 32
"""As many as the standard library's pool of threads has at most: what serves one program serves this one, too."""


def too_short() -> Decision:
    """What there is to say of a run in which nothing was looked into."""
    return model.Decision(model.Mode.SEQUENTIAL, "inline", 0, reason="too short to be worth looking into")


class Controller:
    """Turns a Decision into Directives, and follows the answers."""

    def __init__(self) -> None:
        self._decision: Decision | None = None
        self._decide_for: Callable[[int], Decision] | None = None
        self.config = INLINE
        self.limit: AdaptiveLimit | None = None
        self.batches: Batches | None = None
        self._profile: Profile | None = None
        self._cores = 1
        self._is_ending = False
        """Threads have been told to end after what they hold."""
        self.trial: float | None = None
        """How many times as fast as one thread several were."""
        self.start_s = 0.0
        """What the start of processes takes."""
        self._drift: DriftDetector | None = None
        self._warm: set[tuple[int, int]] = set()
        self._native_limit: ExitStack | None = None

    @property
    def is_decided(self) -> bool:
        """There is more to say than that nothing was looked into."""
        return self._decision is not None or self._decide_for is not None

    @property
    def decision(self) -> Decision:
        if self._decision is None:
            later = self.shown_later()
            self._decision = too_short() if later is None else later()
        return self._decision

    @decision.setter
    def decision(self, decision: Decision) -> None:
        self._decision = decision

    def decide_when_asked(self, decide: Callable[[int], Decision]) -> None:
        """The run goes on without the words for it: most are never read, and the value's class takes long to load.

        Args:
            decide: gives the decision for a number of calls at once, and holds on to nothing of the run.
        """
        self._decide_for = decide

    def shown_later(self) -> Callable[[], Decision] | None:
        """As `shown`, of a decision that nobody has asked for yet; None where there is none, or somebody has."""
        if self._decision is not None or self._decide_for is None:
            return None
        return partial(self._decide_for, 1 if self.limit is None else self.limit.target)

    @property
    def profile(self) -> Profile:
        if self._profile is None:
            self._profile = model.Profile()
        return self._profile

    @profile.setter
    def profile(self, profile: Profile) -> None:
        self._profile = profile

    def close(self) -> None:
        if self._native_limit is not None:
            self._native_limit.close()

    # ---------------------------------------------------------------- setting up

    def take(
        self, decision: Decision, profile: Profile, *, cores: int, waits_only_in_sleep: bool, is_forked: bool
    ) -> None:
        """Go on as decided."""
        from whilst.running.policies.concurrency_limit import AdaptiveLimit, Batches
        from whilst.running.policies.evidence import Costs

        costs = Costs()
        self.decision, self.profile, self._cores = decision, profile, cores
        self.limit, self.batches = None, None
        self._warm.clear()
        self.close()
        if decision.mode is model.Mode.SEQUENTIAL:
            self.config = INLINE
            return
        wall = max(profile.wall_s, 1e-9)
        if traits_of(decision.backend).overlaps_here:
            waits = (profile.wait_s or 0.0) > 0.2 * wall
            most = max(decision.workers, decision.threads_per_worker)
            is_free = waits_only_in_sleep or not waits
            # Commands wait for what they do on this machine, and how much of its cores they take is in the forecast.
            start = most if is_free or profile.children_s else min(FIRST_AT_ONCE, most)
            self.limit = AdaptiveLimit(wall, start, most, is_fixed=is_free, share_s=self._shared_s(decision))
            if not waits:
                self.batches = Batches(wall, costs.thread_call_s)
            if decision.native_threads is not None:
                from contextlib import ExitStack

                from whilst.running.policies.pilot.calls import limited_native_threads

                self._native_limit = ExitStack()
                self._native_limit.enter_context(limited_native_threads(decision.native_threads))
            self.config = BackendConfig(decision.backend, slots=decision.threads_per_worker)
            return
        if decision.mode is model.Mode.COMBINED:
            most = decision.workers * decision.threads_per_worker
            start = most if waits_only_in_sleep else max(FIRST_AT_ONCE, decision.workers)
            self.limit = AdaptiveLimit(
                wall, min(start, most), most, is_fixed=waits_only_in_sleep, share_s=self._shared_s(decision)
            )
        else:
            self.batches = Batches(wall, costs.batch_s)
        from whilst.measuring.machine import worker_memory_bytes

        native = None
        if profile.native_s and profile.native_s > 0.2 * wall:
            native = max(1, cores // decision.workers)
        self.config = BackendConfig(
            decision.backend,
            slots=decision.threads_per_worker,
            native_threads=native,
            memory_limit_bytes=worker_memory_bytes(decision.workers),
            is_forked=is_forked,
        )

    def watch_for_drift(self, profile: Profile, core_share: float, *, is_provisional: bool = False) -> None:
        """From here on the answers are held against this profile."""
        from whilst.running.policies.drift import DriftDetector

        decision = self.decision
        self._drift = DriftDetector(
            profile, decision.backend, decision.workers, core_share, is_provisional=is_provisional, trial=self.trial
        )
        if self.batches is not None:
            self.batches.call_s = max(profile.wall_s, 1e-9)

    def go_on(self, decision: Decision) -> None:
        """The same mode by better figures: how many threads may be of use is one of them."""
        self.decision = decision
        if self.limit is not None and traits_of(decision.backend).has_threads:
            self.limit.cap(decision.workers, self._shared_s(decision))

    def _shared_s(self, decision: Decision) -> float:
        """What of a call's work keeps others in progress from theirs, on average."""
        work_s = self.profile.work_s or 0.0
        if decision.mode is model.Mode.COMBINED:
            return work_s / decision.workers
        return max(work_s if self.profile.gil_s is None else self.profile.gil_s, work_s / self._cores)

    def go_inline(self) -> None:
        """One at a time is best: whatever the calls wait for lets only one of them in."""
        from dataclasses import replace

        alone = model.Mode.SEQUENTIAL
        why = "what the calls wait for lets one of them in at a time"
        self.decision = replace(
            self.decision,
            mode=alone,
            backend="inline",
            workers=0,
            threads_per_worker=1,
            reason="calls that overlapped got in each other's way",
            rejected=tuple(model.Rejection(mode, why) for mode in model.Mode if mode is not alone),
        )
        self.config, self.limit, self.batches = INLINE, None, None
        self.close()

    # ---------------------------------------------------------------- directives

    def directives(self, status: RunStatus, stretch: int, call_s: float) -> Directives:
        """What to do now, elsewhere than inline."""
        limit = self.limit
        at_hand = None if status.left is None else max(1, status.left + status.in_hand)
        traits = traits_of(self.config.backend)
        if traits.has_loop:
            slots = max(1, limit.target if limit is not None else self.config.slots)
            # One message may begin many coroutines; small enough to leave room for others as they end.
            return Directives(self.config, workers=1, slots=slots, ahead=0, batch=max(1, min(256, slots // 8)))
        decision, batch = self.decision, 1 if self.batches is None else self.batches.size
        if traits.has_threads:
            return self._directives_for_threads(status, at_hand, batch)
        workers = decision.workers if at_hand is None else min(decision.workers, at_hand)
        call_s = self.batches.call_s if self.batches is not None else call_s
        inline = self._inline_while_starting(status, stretch, call_s)
        if limit is not None:
            # A call that is refused here, in the caller's thread, can't wait for its turn: none is made here while
            # others are in flight, unless nothing limits such calls.
            inline = inline if limit.is_fixed else 0
            workers = min(workers, limit.target) if limit.refusals else workers
            slots = max(1, min(self.config.slots, math.ceil(limit.target / workers)))
            return Directives(self.config, workers=workers, ahead=0, slots=slots, inline=inline)
        return Directives(self.config, workers=workers, batch=batch, ahead=1, inline=inline, is_timed=call_s > 20e-6)

    def _directives_for_threads(self, status: RunStatus, at_hand: int | None, batch: int) -> Directives:
        limit = self.limit
        workers = limit.target if limit is not None else self.decision.workers
        if limit is not None and limit.refusals:
            # Calls of threads that were told to end after them are in flight as well: who refuses counts them. While
            # they are as many as may be, no other thread is to take the call that was refused: it would be again.
            workers = max(0, workers - status.ending)
        if status.left != 0:
            self._is_ending = False
        elif not status.idle and status.in_hand <= status.ready:
            # Each has its last call in hand, and is to end after it without being woken up once more.
            self._is_ending = True
        workers = 0 if self._is_ending else workers if at_hand is None else min(workers, at_hand)
        return Directives(self.config, workers=workers, batch=batch, ahead=0, is_timed=batch > 1)

    def _inline_while_starting(self, status: RunStatus, stretch: int, call_s: float) -> int:
        """The caller goes on while workers start, unless one more call would take longer than they do."""
        if status.ready or not status.starting or status.blocked:
            return 0
        if call_s > 0.5 * self.start_s:
            return 0
        return max(1, min(stretch, int(STRETCH_S / max(call_s, 1e-7))))

    def shown(self) -> Decision:
        """The decision with the numbers as they stand."""
        from dataclasses import replace

        decision, limit = self.decision, self.limit
        if limit is None or not traits_of(decision.backend).overlaps_here:
            return decision
        if traits_of(decision.backend).has_threads:
            return replace(decision, workers=limit.target)
        return replace(decision, threads_per_worker=limit.target)

    # ---------------------------------------------------------------- answers

    def learn(self, finished: Finished) -> tuple[str, ProfileChange | None]:
        """Take in an answer; return what changed about the number at once, and how the calls have changed."""
        count = len(finished.ids)
        length_s = (finished.end_ns - finished.start_ns) / 1e9
        if finished.starts_ns is not None and finished.ends_ns is not None and self.config.backend.endswith("loop"):
            length_s = sum(e - s for s, e in zip(finished.starts_ns, finished.ends_ns, strict=True)) / 1e9
        lane = (finished.worker, finished.lane)
        is_warm, text = lane in self._warm, ""
        # The first call in a process or thread may import or open what the later ones only use.
        self._warm.add(lane)
        if self.limit is not None and (is_warm or not traits_of(self.config.backend).is_remote):
            text = self.limit.answered(count, length_s / count, time.perf_counter_ns() / 1e9)
        if self.batches is not None:
            self.batches.answered(count, length_s)
        if self._drift is None:
            return text, None
        change = self._drift.answered(count, length_s, finished.cpu_ns / 1e9, is_warm=is_warm)
        self.trial = self._drift.trial if self._drift.trial is not None else self.trial
        return text, change

    def refused(self, in_flight: int, begun_ns: int) -> str:
        """A call was turned away with `in_flight` calls in flight; return what follows, in words."""
        from whilst.running.policies.concurrency_limit import AdaptiveLimit

        if self.limit is None:
            self.limit = AdaptiveLimit(0.0, in_flight, in_flight)
        return self.limit.refused(in_flight, begun_ns / 1e9, time.perf_counter_ns() / 1e9)
