"""mode="auto": make the first calls here, find out what they are like, decide, and go on finding out.

A policy for the driver: it starts nothing and waits for nothing. Its stages:

first   one call with nothing but the clocks read around it. If it is over in microseconds, most often nothing
        else ever happens: calls go on inline, in stretches of a millisecond or two.
pilot   a few more calls, watched (`pilot.calls`). Real calls, made once, whose results are kept.
run     as decided (`decide`), with the number of calls at once and the batches following what comes back
        (`controller`). While processes start, calls go on inline. When calls turn out longer or shorter than those
        the decision rests on, or threads don't bring what they promised, it is decided again for what is left.

Every call that raises something counts as made, save one: a call that was turned away because too many were in
flight (`throttling`) is made again with fewer.
"""

from __future__ import annotations

import time
from functools import partial

from whilst import model
from whilst.errors import InterpreterEndingError, MachineLimitError, NotPicklableError
from whilst.measuring import clocks
from whilst.running.backends import traits_of
from whilst.running.backends.base import BackendConfig
from whilst.running.calls.one_argument import Awaiter
from whilst.running.core.inline import looks_up_by_itself, perform_inline
from whilst.running.core.policy import INLINE, Directives, Policy
from whilst.running.jobs import CALLER
from whilst.running.policies.controller import FIRST_AT_ONCE, STRETCH_S, Controller, too_short
from whilst.running.policies.pilot.calls import PilotCalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from whilst.model import Change, Decision, Profile
    from whilst.running.core.inputs import Source
    from whilst.running.core.policy import RunStatus
    from whilst.running.jobs import Finished, Job
    from whilst.running.options import Options
    from whilst.running.policies.evidence import EvidenceCollector
    from whilst.running.policies.pilot.coroutines import PilotCoroutines

_TINY_S: Final = 100e-6
"""A first call below this is followed by more like it before anything is looked into."""
_LONGEST_STRETCH: Final = 65_536
_WORTH_MOVING_S: Final = 10e-6
"""Shorter calls cost more to hand over than to make."""
_NOT_WORTH_S: Final = 0.005
"""Less than this in all: no other mode can gain anything."""
_DRIFT: Final = 2.0
"""It is decided again when calls take this many times as long as supposed, or less than that part of it."""
_WORKS: Final = 0.3
"""From this share of CPU time on calls work; that they take longer by the clock is for want of a core."""
_MOST_RETRIES_OF_REFUSED: Final = 16
_LOOKED_AT: Final = 4096
"""Items to come."""
_MOST_TASKS_LOOKED_AT: Final = 64
_OVERLAPPING: Final = (
    "overlapping, they could end otherwise than one after the other. mode='concurrent' overlaps them all the same"
)


class _Stage:
    FIRST = "first"
    SHORT = "short"
    PILOT = "pilot"
    RUN = "run"


def _in_flight(count: int) -> Decision:
    return model.Decision(
        model.Mode.CONCURRENT, "eventloop", 1, threads_per_worker=count, reason="it is a coroutine function"
    )


class AutoPolicy(Policy):
    """See the module's text."""

    def __init__(self, job: Job, source: Source, options: Options, *, is_lazy: bool) -> None:
        self.job = job
        self._options = options
        self._is_lazy = is_lazy
        self._source = source
        self._left = source.length
        self._start_ns = time.perf_counter_ns()
        self._stage = _Stage.FIRST
        self._awaiter = Awaiter()
        # With a rate calls begin one by one, too.
        self._calls = PilotCalls(job, source, self._awaiter, is_lazy=is_lazy or options.rate_per_s is not None)
        self._controller = Controller()
        self._known_evidence: EvidenceCollector | None = None
        self._history: list[Change] = []
        self._said: Callable[[], Decision] = too_short
        """What there is to say where nothing is looked into."""
        self._stretch = 1
        self._call_s = 0.0
        """Of the calls made inline."""
        self._decided_s = 0.0
        """Of a call, as the decision supposes."""
        self._decided_for = 0
        """Calls that the decision is for."""
        self._is_spoilt = False
        """No other mode would keep the results right."""
        self._drift = _DRIFT
        """Twice as much after each time: what calls take may depend on where they are made."""
        self._why_here = ""
        """What this run has met that keeps its calls in this process."""
        self._refused: dict[int, int] = {}
        self._status: RunStatus | None = None
        self._inline_calls = 0
        self._blocks = -1
        """How often this thread has waited, when a stretch was last looked at."""
        self.inspects_values = False
        self._pilot_coroutines: PilotCoroutines | None = None
        self._usual: object = None
        """What a call gave that was alone, where answers are looked at."""

    # ---------------------------------------------------------------- the driver asks

    def directives(self, status: RunStatus) -> Directives:
        self._left = status.left
        self._status = status
        if self._stage is _Stage.FIRST:
            if self.job.is_coroutine:
                self._begin_with_coroutines()
            elif self.job.how == "call":
                self._begin_with_tasks()
        if self._controller.config is not INLINE:
            return self._controller.directives(status, self._stretch, self._call_s)
        is_plain = self._stage in (_Stage.SHORT, _Stage.RUN)
        count = 1 if self._is_lazy and not is_plain else self._stretch
        return Directives(INLINE, inline=0 if status.blocked else count, is_plain=is_plain)

    @property
    def is_decided(self) -> bool:
        """See `Policy.is_decided`."""
        return self._stage is not _Stage.FIRST and self._stage is not _Stage.PILOT

    def perform(self, job: Job, source: Source, count: int) -> Finished:
        if self._stage is _Stage.SHORT or self._stage is _Stage.RUN:
            if self._call_s < _TINY_S and looks_up_by_itself(job, source):
                count = _LONGEST_STRETCH
            finished = perform_inline(job, source, count, self._awaiter)
            self._learn_from_stretch(finished)
            return finished
        is_first = self._stage is _Stage.FIRST
        finished = self._calls.first() if is_first else self._calls.another()
        if finished.ids:
            self._learn_from_first_calls(finished, is_first=is_first)
        return finished

    def observe(self, finished: Finished) -> None:
        if finished.worker == CALLER:
            self._learn_from_stretch(finished)
        elif finished.ids:
            self._learn_from_workers(finished)

    def retry_refused(self, finished: Finished) -> Sequence[int]:
        """Return the calls of an answer that were turned away and are to be made again, with fewer at once."""
        unsent = [number for number, error in finished.errors.items() if self._may_be_made_here(error)]
        if unsent:
            self._stay_here(finished.errors[unsent[0]])
            return unsent
        limit = self._controller.limit
        in_flight = 0 if self._status is None else self._status.in_hand
        if in_flight <= 1 and (limit is None or limit.target <= 1) and not self._refused:
            return ()  # alone it was turned away for itself, unless it was counted with others that just left
        from whilst.running.policies.throttling import refusal, turned_away

        again = {number: refusal(error) for number, error in finished.errors.items()}
        if self.inspects_values:
            for number, value in zip(finished.ids, finished.values, strict=True):
                if number not in again and turned_away(value, self._usual):
                    again[number] = "its result is such an answer"
        again = {
            number: why
            for number, why in again.items()
            if why and self._refused.get(number, 0) < _MOST_RETRIES_OF_REFUSED
        }
        begun_ns = dict(zip(finished.ids, finished.starts_ns or (), strict=False))
        for number, why in again.items():
            self._refused[number] = self._refused.get(number, 0) + 1
            text = self._controller.refused(max(in_flight, 2), begun_ns.get(number, finished.start_ns))
            if text:
                self._note(f"{text} ({why})")
        return list(again)

    def worker_failed(self, status: RunStatus, error: BaseException) -> bool:
        """See `Policy.worker_failed`. A limit of the machine, or of forks: the rest is made in this process."""
        if self._controller.profile.is_picklable is False:
            return True  # given up already, by another worker's failure
        if status.ready:
            return False
        why = error.strerror if isinstance(error, MachineLimitError) else ""
        if isinstance(error, InterpreterEndingError):
            why = str(error)
        if not why and self._controller.config.is_forked:
            from whilst.running.process_role import why_not_forked

            hindrance = why_not_forked(tuple)
            why = f"no more worker can be forked ({hindrance})" if hindrance else ""
        if why:
            self._why_here = why
            self._adopt(self._controller.profile, why)
        return bool(why)

    def admits(self, first: int, items: Sequence[object]) -> bool:
        """See `Policy.admits`. What calls with items like the first ones do is known; these may bring other code."""
        pilot, controller = self._calls.pilot, self._controller
        seen = 0 if self._known_evidence is None or self._is_lazy else self._known_evidence.looked_at
        if self.job.how == "call" or first + len(items) <= seen:
            return True
        if not pilot.look_into_others(items):
            return True
        before = controller.config
        why = "an item brings code that may write something"
        if self.job.is_coroutine:
            if self._keep_coroutines_apart(items):
                if self._pilot_coroutines is not None:
                    self._pilot_coroutines.close()
                self._note(f"{why}; {controller.decision.mode.value} from here on")
        else:
            self._adopt(self._evidence.profile(self._left, before), why)
        return controller.config == before

    def changes_items(self, item: object) -> bool:  # noqa: ARG002 - calls were watched
        """See `Policy.changes_items`."""
        return any(write.is_of_item for write in self._calls.pilot.writes)

    def decision(self) -> Decision:
        from dataclasses import replace

        decision = self._controller.shown()
        given_up = list(decision.given_up)
        if self._options.timeout_s is not None and self._inline_calls:
            given_up.append(
                f"timeout_s: {self._inline_calls:,} calls were made in the caller's own thread, which can't end a call "
                f"that takes too long; it would have failed once it was over"
            )
        if self._refused:
            given_up.append(
                f"{len(self._refused):,} call{'s were' if len(self._refused) > 1 else ' was'} turned away while others "
                f"were in flight, and made again with fewer"
            )
        return replace(decision, history=tuple(self._history), given_up=tuple(given_up))

    def decision_later(self) -> Callable[[], Decision]:
        """See `Policy.decision_later`."""
        if self._stage is _Stage.PILOT and self._calls.pilot.writes:
            self._decide()  # the input ended while it was looked into: what was found is to be said all the same
        if not (self._history or self._refused or self._inline_calls):
            later = self._controller.shown_later()
            if later is not None:
                return later
        if not (self._controller.is_decided or self._history or self._refused):
            return self._said
        decision = self.decision()
        return lambda: decision

    # ---------------------------------------------------------------- who weighs another place asks

    def forecast_s(self, left: int) -> tuple[float, float] | None:
        """What so many calls take as decided, and one of them; None where nothing was measured, or not enough yet."""
        controller = self._controller
        if self._stage is not _Stage.RUN or not (self._decided_for and controller.decision.forecast_s):
            return None
        seconds = controller.decision.forecast_s
        whole_s = seconds.get(controller.decision.mode, min(seconds.values()))
        return whole_s * left / self._decided_for, max(self._decided_s, 1e-9)

    @property
    def leaves_traces(self) -> bool:
        """Calls write files, or have connections: made twice, or elsewhere, that could be told."""
        return self._calls.pilot.files.leaves_traces

    def why_not_elsewhere(self) -> str:
        """Why calls must not be made on another machine, as far as the first ones showed; "" if they may."""
        from whilst.measuring.reads import why_not_clean
        from whilst.running.policies.decide import hazards

        profile = self._controller.profile
        if profile.is_picklable is False:
            return profile.why_not or "it can't be pickled"
        _, hazard = hazards(profile.writes, self._evidence.decision_input(self._left, INLINE))
        if hazard:
            return hazard
        if self.leaves_traces:
            return "its calls leave something on this machine (files, databases, connections)"
        items = self._source.peek(1)
        reads = why_not_clean(self.job.fn, items[0] if items else None)
        return f"there, {reads} may be another" if reads else ""

    def close(self) -> None:
        if self._pilot_coroutines is not None:
            self._pilot_coroutines.close()
        elif self._stage is not _Stage.FIRST and self._controller.config is INLINE and not self._history:
            self._calls.remember(self._call_s, self._inline_calls, self.decision_later)
        self._controller.close()
        self._awaiter.close()

    # ---------------------------------------------------------------- first calls

    def _learn_from_first_calls(self, finished: Finished, *, is_first: bool) -> None:
        self._inline_calls += len(finished.ids)
        self._call_s = self._calls.call_s
        self._left = self._source.left
        self._blocks = clocks.blocks()
        if not is_first:
            if self._calls.is_clear(self._left):
                self._decide()
            return
        left = 64 if self._left is None else self._left
        if finished.starts_ns and finished.ends_ns:
            # By the clocks closest to it: those of the pilot have all that surrounds a first call between them.
            self._call_s = min(self._call_s, (finished.ends_ns[0] - finished.starts_ns[0]) / 1e9)
        if self._call_s < _TINY_S:
            self._stage = _Stage.SHORT
            self._stretch = max(1, min(64, int(STRETCH_S / max(self._call_s, 1e-6))))
        elif left * self._call_s < _NOT_WORTH_S:
            self._stage = _Stage.SHORT
        elif self._calls.is_known(left, self._calls.call_s):
            self._stage = _Stage.SHORT
            said = self._calls.said_of_last()
            self._said = too_short if said is None else partial(_as_last_time, said)
        else:
            self._stage = _Stage.PILOT
            if self._calls.is_enough():
                self._decide(is_first=True)

    def _begin_with_coroutines(self) -> None:
        """Coroutine functions wait by their nature: nothing is gained by waiting for a first one alone."""

        from whilst.running.policies.concurrency_limit import AdaptiveLimit

        pilot, controller = self._calls.pilot, self._controller
        self._stage = _Stage.RUN
        items = self._source.peek(_LOOKED_AT)
        pilot.look_into(items[0] if items else None)
        if items:
            pilot.look_into_others(items)
        if self._source.reader is not None:
            pilot.note_reader(self._source.reader)
        if self._keep_coroutines_apart(items):
            return
        if (what := self._changed_in_common()) is not None:
            self._take_turns(f"{what}: {_OVERLAPPING}")
            return
        most = self._options.workers or 10_000
        count = most if self._left is None else min(self._left, most)
        # Where a rate holds them back, how many are in flight follows from it.
        is_free = pilot.scan.waits_only_in_sleep or self._options.rate_per_s is not None
        start = count if is_free else min(FIRST_AT_ONCE, count)
        most = most if is_free else min(most, 1024)
        if not (is_free or self._is_lazy or self.job.awaits is not None):
            from whilst.running.policies.pilot.coroutines import PilotCoroutines

            self._pilot_coroutines = PilotCoroutines(pilot, self._evidence, self._source)
            start = min(start, self._pilot_coroutines.most_at_first)
        controller.limit = AdaptiveLimit(0.0, max(1, start), max(1, most), is_fixed=is_free)
        controller.config = BackendConfig("eventloop", slots=max(1, count))
        controller.decide_when_asked(_in_flight)

    def _keep_coroutines_apart(self, items: Sequence[object] | None) -> bool:
        """Make one after the other where they write what they would race for; return whether they do."""
        pilot = self._calls.pilot
        writes = list(pilot.writes)
        if items and any(write.is_of_item for write in writes) and pilot.share_what_is_written(items):
            from dataclasses import replace

            writes = [replace(write, spoils_threads=write.spoils_threads or write.is_of_item) for write in writes]
        writes.sort(key=lambda write: not write.spoils_threads)
        if writes and any(write.spoils_threads and not write.is_random for write in writes):
            reason = f"it changes {writes[0].what}, which coroutines in flight would race for"
            self._take_turns(reason)
            return True
        return False

    def _take_turns(self, reason: str) -> None:
        """One after the other; coroutines of an awaited run still on the caller's loop."""
        from whilst.running.policies.concurrency_limit import AdaptiveLimit

        controller = self._controller
        if self.job.awaits is None or not self.job.is_coroutine:
            controller.decision = model.Decision(model.Mode.SEQUENTIAL, "inline", 0, reason=reason)
            controller.config, controller.limit = INLINE, None
            return
        controller.decision = model.Decision(model.Mode.SEQUENTIAL, "eventloop", 1, reason=reason)
        controller.limit = AdaptiveLimit(0.0, 1, 1, is_fixed=True)
        controller.config = BackendConfig("eventloop", slots=1)

    def _changed_in_common(self) -> str | None:
        """Of tasks of different kinds: which of what they have in common is changed, in words; None for nothing."""
        count = self._left or 1
        if self.job.how != "call" or not 2 <= count <= _MOST_TASKS_LOOKED_AT:
            return None
        from whilst.measuring.writes.common_state import changed_in_common

        return changed_in_common(self._source.peek(count) or ()) or None  # type: ignore[arg-type]  # each is a call

    def _begin_with_tasks(self) -> None:
        """gather: tasks of different kinds, few of them, each made once. Waiting is overlapped, work shares a core."""
        self._stage = _Stage.RUN
        count = self._left or 1
        if count < 2:
            return
        if (what := self._changed_in_common()) is not None:
            self._take_turns(f"{what}: {_OVERLAPPING}")
            return
        workers = min(count, self._options.workers or 32)
        config = BackendConfig("eventloop", slots=workers) if self.job.is_coroutine else BackendConfig("threads")
        self._controller.config = config
        self._controller.decision = model.Decision(
            model.Mode.CONCURRENT,
            config.backend,
            workers,
            reason="different tasks, each made once: nothing to measure first",
        )

    # ---------------------------------------------------------------- inline

    def _learn_from_stretch(self, finished: Finished) -> None:
        count = len(finished.ids)
        if not count:
            return
        self._inline_calls += count
        length_s = (finished.end_ns - finished.start_ns) / 1e9
        now = length_s / count
        before, self._call_s = self._call_s, now
        self._stretch = max(1, min(int(STRETCH_S / max(now, 1e-9)), 256 * count, _LONGEST_STRETCH))
        if self._controller.config is not INLINE or self._stage is _Stage.FIRST:
            return
        left = self._left if self._left is not None else 4 * self._inline_calls
        if self._stage is _Stage.SHORT:
            work_s = finished.cpu_ns / 1e9 / count
            blocks, self._blocks = self._blocks, clocks.blocks()
            has_waited = self._blocks < 0 or self._blocks > blocks
            # Work by the thread's own clock, which stands still while others have the core; waits if they last.
            works = work_s > _WORTH_MOVING_S and self._inline_calls >= 32
            waits = has_waited and min(before, now) > _TINY_S
            # That others have the core makes no run longer.
            length_s = now if has_waited and work_s <= _WORKS * now else work_s
            is_long = left * length_s > 10 * _NOT_WORTH_S and not self._calls.is_known(left, length_s)
            if (works or waits) and is_long:
                self._calls.call_s = now
                self._stage, self._stretch = _Stage.PILOT, 1
        elif self._decided_s > 0 and self._controller.decision.mode is model.Mode.SEQUENTIAL and not self._is_spoilt:
            if (self._controller.profile.wait_s or 0.0) < 0.5 * self._decided_s:
                now = finished.cpu_ns / 1e9 / count
            if now > max(self._drift * self._decided_s, 2 * _WORTH_MOVING_S) and left * now > 10 * _NOT_WORTH_S:
                self._drift *= 2
                from whilst.model.lengths import seconds_text

                self._note(f"calls take {seconds_text(now)} instead of {seconds_text(self._decided_s)}")
                self._calls.forget()  # calls are not what they were: measure some anew
                self._stage, self._stretch = _Stage.PILOT, 1

    # ---------------------------------------------------------------- deciding

    @property
    def _evidence(self) -> EvidenceCollector:
        if self._known_evidence is None:
            from whilst.running.policies.evidence import EvidenceCollector

            self._known_evidence = EvidenceCollector(self._calls, self._source, self._options)
        return self._known_evidence

    def _decide(self, *, is_first: bool = False) -> None:
        """Decide for what is left, and set the run up; or make one more call before, where much depends on it."""
        from whilst.running.policies.decide import is_another_call_worth_it

        evidence, calls, config = self._evidence, self._calls, self._controller.config
        profile = evidence.profile(self._left, config)
        if is_first and is_another_call_worth_it(
            profile, evidence.machine, evidence.decision_input(self._left, config)
        ):
            return
        self.inspects_values = calls.pilot.files.has_connected
        if self.inspects_values and calls.last is not None:
            self._usual = calls.last[1]
        calls.last = None
        self._adopt(profile, "")

    def _adopt(self, profile: Profile, why: str) -> None:
        from whilst.running.policies.decide import decide, depends_on_later_calls

        controller, pilot, evidence = self._controller, self._calls.pilot, self._evidence
        before = controller.decision
        if self._why_here:
            from dataclasses import replace

            profile = replace(profile, is_picklable=False, why_not=self._why_here)
        controller.profile = profile
        given = evidence.decision_input(self._left, controller.config, trial=controller.trial)
        decision = decide(profile, evidence.machine, given)
        if self._stage is _Stage.RUN and why:
            if (decision.mode, decision.backend) == (before.mode, before.backend):
                if self._left is None or decision.workers < self._left:  # not just for want of calls
                    controller.go_on(decision)
                controller.watch_for_drift(profile, pilot.core_share)
                return
            self._note(f"{why}; {decision.mode.value} from here on: {decision.reason}")
        self._stage = _Stage.RUN
        controller.start_s = given.process_start_s
        self._decided_s, self._decided_for = profile.wall_s, given.calls
        rejected = {each.mode for each in decision.rejected}
        self._is_spoilt = rejected >= {model.Mode.CONCURRENT, model.Mode.PARALLEL} and len(decision.forecast_s) == 1
        controller.take(
            decision,
            profile,
            cores=evidence.machine.cores,
            waits_only_in_sleep=pilot.waits_only_in_sleep or given.rate_per_s is not None,
            is_forked=traits_of(decision.backend).is_remote and given.can_fork,
        )
        is_open = traits_of(decision.backend).has_threads and depends_on_later_calls(decision, profile, given)
        controller.watch_for_drift(profile, pilot.core_share, is_provisional=is_open)
        if decision.mode is model.Mode.SEQUENTIAL:
            self._stretch = max(1, min(int(STRETCH_S / max(profile.wall_s, 1e-9)), _LONGEST_STRETCH))

    # ---------------------------------------------------------------- answers of workers

    def _learn_from_workers(self, finished: Finished) -> None:
        controller = self._controller
        text, change = controller.learn(finished)
        if self._pilot_coroutines is not None:
            if traits_of(controller.config.backend).has_loop:
                change = self._pilot_coroutines.answered(finished)
                if self._pilot_coroutines.has_room and controller.limit is not None:
                    controller.limit.rise_to(2 * FIRST_AT_ONCE)
            else:
                self._pilot_coroutines.close()
        if text:
            self._note(text)
        limit = controller.limit
        if limit is not None and limit.is_down_to_one and not limit.refusals and not self.job.is_coroutine:
            self._give_up_overlap()  # coroutines stay on their loop: what they share may be bound to it
        elif change is not None and (self._left is None or self._left >= 4):
            self._adopt(self._evidence.warmed_up(change[0]), change[1])

    def _give_up_overlap(self) -> None:
        self._note(
            "overlapping brought nothing; sequential from here on: what they wait for lets one call in at a time"
        )
        self._controller.go_inline()
        self._is_spoilt = True
        self._stretch = 1

    def _may_be_made_here(self, error: BaseException) -> bool:
        """Something could not cross to or from a process: then the call is made here, if that does no harm.

        An argument that can't be sent: the call was not begun. A result that can't come back: the call was made, and
        may be made again only if nothing outside the worker could tell, as far as the first calls showed.
        """
        if not isinstance(error, NotPicklableError):
            return False
        return not error.has_begun or not self._calls.pilot.files.leaves_traces

    def _stay_here(self, error: BaseException) -> None:
        profile = self._controller.profile
        if profile.is_picklable is not False:
            why = "an argument can't be sent"
            if isinstance(error, NotPicklableError) and error.has_begun:
                why = "a result can't come back, and such calls are made again here"
            self._why_here = str(error)
            self._adopt(profile, why)

    def _note(self, text: str) -> None:
        self._history.append(model.Change(round((time.perf_counter_ns() - self._start_ns) / 1e9, 4), text))


def _as_last_time(said: Callable[[], Decision]) -> Decision:
    from dataclasses import replace

    decision = said()
    return replace(decision, reason=f"as in its last run: {decision.reason}")
