"""mode="auto": make the first calls here, find out what they are like, decide, and go on finding out.

A policy for the driver: it starts nothing and waits for nothing. Its stages:

first   one call with nothing but the clocks read around it. If it is over in microseconds, most often nothing
        else ever happens: calls go on inline, in stretches of a millisecond or two.
pilot   a few more calls under a canary (does it hold the GIL?), with the code scanned for what it writes and those
        suspects looked at before and after. Real calls, made once, whose results are kept.
run     as decided (`deciding.decide`), with the number of calls at once (`adapting.Window`) and the batches
        (`adapting.Batches`) following what comes back. While processes start, calls go on inline. When calls turn
        out longer or shorter than those the decision rests on, or threads don't bring what they promised, it is
        decided again for what is left.

Every call that raises something counts as made, save one: a call that was turned away because too many were in
flight (`refusals`) is made again with fewer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Final

from whilst.errors import NotPicklableError
from whilst.measuring import clocks
from whilst.model import Change, Decision, Machine, Mode, Profile, Rejection
from whilst.running.backends.base import CALLER, Batch, Finished, Job
from whilst.running.calls import Awaiter, Cell, perform, perform_inline
from whilst.running.options import Options
from whilst.running.policy import INLINE, Orders, Setup, View
from whilst.running.source import Source

# What a run of short calls never needs is imported where it is used: it would take longer than the run.
if TYPE_CHECKING:
    from whilst.measuring.footprints import Footprints
    from whilst.measuring.pilot import Pilot
    from whilst.measuring.reachable import Reachable
    from whilst.running.adapting import Batches, Window
    from whilst.running.deciding import Circumstances
    from whilst.running.watching import Watch

__all__ = ["AutoPolicy", "auto_policy"]

_TINY_S: Final = 100e-6
"""A first call below this is followed by more like it before anything is looked into."""
_SLOW_S: Final = 1e-3
"""Items for longer calls are taken from an iterator one by one until it is decided."""
_STRETCH_S: Final = 0.002
"""So long may inline calls go on before the driver looks around."""
_LONGEST_STRETCH: Final = 8192
_WORTH_MOVING_S: Final = 10e-6
"""Shorter calls cost more to hand over than to make."""
_NOT_WORTH_S: Final = 0.005
"""Less than this in all: no other mode can gain anything."""
_WATCHED_S: Final = 0.012
"""So long is watched in all before the share of the GIL is believed (the canary looks every few milliseconds)."""
_MOST_PILOT_CALLS: Final = 64
_FIRST_WINDOW: Final = 4
_FIRST_FLIGHTS: Final = 10
"""As TCP's initial window (RFC 6928)."""
_MOST_WAITING: Final = 64
"""At once against something that may have a limit nobody knows."""
_DRIFT: Final = 2.0
"""Calls that take so many times longer (or shorter) than the decision supposed are a reason to decide again."""


def auto_policy(job: Job, source: Source, options: Options, *, is_lazy: bool) -> AutoPolicy:
    """Return the policy of mode="auto" for one call of a verb."""
    return AutoPolicy(job, source, options, is_lazy=is_lazy)


class _Stage(Enum):
    FIRST = "first"
    SHORT = "short"
    PILOT = "pilot"
    RUN = "run"


class AutoPolicy:
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
        self._measured: Pilot | None = None
        self._first_lap: clocks.Lap | None = None
        self._reachable: Reachable | None = None
        self._files: Footprints | None = None
        self._machine: Machine | None = None
        self._decision = Decision(Mode.SEQUENTIAL, "inline", 0, reason="too short to be worth looking into")
        self._history: list[Change] = []
        self._stretch = 1
        self._call_s = 0.0
        """Of the calls made inline, untimed: EWMA."""
        self._last: tuple[object, object] | None = None
        self._window: Window | None = None
        self._batches: Batches | None = None
        self._setup = INLINE
        self._profile = Profile()
        self._watch: Watch | None = None
        self._trial: float | None = None
        self._seeded: bool | None = None
        self._refused: dict[int, int] = {}
        self._in_hand = 0
        self._inline_calls = 0
        self._fork_hindrance: str | None = None
        self._learned: Finished | None = None
        """The last inline answer, whose lesson is learned."""
        self._warm: set[tuple[int, int]] = set()
        self.is_wary = False

    @property
    def _pilot(self) -> Pilot:
        if self._measured is None:
            from whilst.measuring.footprints import Footprints
            from whilst.measuring.pilot import Pilot

            files = self._files or Footprints()
            self._measured = Pilot(
                self.job.fn, self.job.how, self.job.is_coroutine, reachable=self._reachable, files=files
            )
            if self._first_lap is not None:
                self._measured.add(self._first_lap)
        return self._measured

    # ---------------------------------------------------------------- the driver asks

    def orders(self, view: View) -> Orders:
        self._left = view.left
        self._in_hand = view.in_hand
        if self._setup is INLINE:
            if self._stage is _Stage.FIRST and self.job.is_coroutine:
                self._begin_with_coroutines()
            elif self.job.how == "call" and self._stage is _Stage.FIRST:
                self._begin_with_tasks()
            if self._setup is INLINE:
                is_plain = self._stage in (_Stage.SHORT, _Stage.RUN)
                count = 1 if self._is_lazy and not is_plain else self._stretch
                return Orders(INLINE, inline=0 if view.blocked else count, is_plain=is_plain)
        return self._orders_of_run(view)

    def _orders_of_run(self, view: View) -> Orders:
        decision = self._decision
        at_hand = None if view.left is None else max(1, view.left + view.in_hand)
        if self._setup.backend == "eventloop":
            slots = max(1, self._window.target if self._window is not None else self._setup.slots)
            # One message may begin many coroutines; small enough to leave room for others as they end.
            return Orders(self._setup, workers=1, slots=slots, ahead=0, batch=max(1, min(256, slots // 8)))
        if self._setup.backend == "threads":
            workers = self._window.target if self._window is not None else decision.workers
            workers = workers if at_hand is None else min(workers, at_hand)
            return Orders(self._setup, workers=max(1, workers), batch=self._batch_size(), ahead=0)
        workers = decision.workers if at_hand is None else min(decision.workers, at_hand)
        if self._window is not None:
            slots = max(1, min(self._setup.slots, math.ceil(self._window.target / workers)))
            inline = self._inline_while_starting(view)
            return Orders(self._setup, workers=workers, ahead=0, slots=slots, inline=inline)
        return Orders(
            self._setup,
            workers=workers,
            batch=self._batch_size(),
            ahead=1,
            inline=self._inline_while_starting(view),
            is_timed=self._wall_s > 20e-6,
        )

    @property
    def _wall_s(self) -> float:
        return self._batches.call_s if self._batches is not None else self._call_s

    def _batch_size(self) -> int:
        return 1 if self._batches is None else self._batches.size

    def _inline_while_starting(self, view: View) -> int:
        """The caller goes on while workers start, unless one more call would take longer than they do."""
        if view.ready or not view.starting or view.blocked:
            return 0
        if self._wall_s > 0.5 * self._start_s:
            return 0
        return max(1, min(self._stretch, int(_STRETCH_S / max(self._wall_s, 1e-7))))

    def perform(self, job: Job, source: Source, count: int) -> Finished:
        if self._stage is _Stage.SHORT or self._stage is _Stage.RUN:
            self._learned = finished = perform_inline(job, source, count, self._awaiter)
            self._learn_from_stretch(finished)
            return finished
        make = self._perform_first if self._stage is _Stage.FIRST else self._perform_pilot
        self._learned = make(job, source)
        return self._learned

    def observe(self, finished: Finished) -> None:
        if finished.worker == CALLER:
            if finished is not self._learned:  # made by the reader of a lazy run, not by `perform`
                self._learn_from_stretch(finished)
            return
        if not finished.ids:
            return
        self._learn_from_workers(finished)

    def again(self, finished: Finished) -> Sequence[int]:
        """Return the calls of an answer that were turned away and are to be made again, with fewer at once."""
        unsent = [number for number, error in finished.errors.items() if self._may_be_made_here(error)]
        if unsent:
            self._stay_here(finished.errors[unsent[0]])
            return unsent
        if self._in_hand <= 1 and (self._window is None or self._window.target <= 1):
            return ()
        from whilst.running.refusals import refusal, turned_away

        again = {number: refusal(error) for number, error in finished.errors.items()}
        if self.is_wary:
            for number, value in zip(finished.ids, finished.values, strict=True):
                if number not in again and turned_away(value):
                    again[number] = "its result is such an answer"
        again = {number: why for number, why in again.items() if why and self._refused.get(number, 0) < 16}
        for number, why in again.items():
            self._refused[number] = self._refused.get(number, 0) + 1
            self._retreat(why)
        return list(again)

    def worker_lost(self, view: View) -> None:
        """The pool replaces it; nothing to change."""

    def decision(self) -> Decision:
        decision = self._decision
        if self._window is not None and decision.backend in ("threads", "eventloop"):
            key = "workers" if decision.backend == "threads" else "threads_per_worker"
            decision = replace(decision, **{key: self._window.target})  # type: ignore[arg-type]  # both are numbers
        given_up = list(decision.given_up)
        if self._refused:
            given_up.append(
                f"{len(self._refused)} calls were turned away while others were in flight, and made again with fewer"
            )
        return replace(decision, history=tuple(self._history), given_up=tuple(given_up))

    def close(self) -> None:
        self._awaiter.close()

    # ---------------------------------------------------------------- first calls

    def _perform_first(self, job: Job, source: Source) -> Finished:
        """Make one call with nothing but the clocks read around it."""
        first = source.next_id
        items = source.take(1)
        if not items:
            return _nothing(first)
        if not _names_nothing(job.fn):
            from whilst.measuring.footprints import Footprints
            from whilst.measuring.reachable import Reachable

            self._reachable = Reachable(job.fn)
            self._files = Footprints()
            self._files.begin(items[0])
        start = clocks.read(is_short=True)
        finished = perform(Batch(-1, job, range(first, first + 1), items), CALLER, Cell(), self._awaiter)
        self._first_lap = start.until(clocks.read(is_short=True))
        if self._files is not None:
            self._files.end()
        self._keep(items, finished, self._first_lap)
        self._left = source.left
        left = 64 if self._left is None else self._left
        if self._call_s < _TINY_S:
            self._stage = _Stage.SHORT
            self._stretch = max(1, min(64, int(_STRETCH_S / max(self._call_s, 1e-6))))
        elif left * self._call_s < _NOT_WORTH_S:
            self._stage = _Stage.SHORT
        else:
            self._stage = _Stage.PILOT
            self._look_into_first()
        return finished

    def _perform_pilot(self, job: Job, source: Source) -> Finished:
        """Make one call (or some short ones together) under the canary, and see whether that is enough."""
        pilot = self._pilot
        first = source.next_id
        is_pulled = source.peek(1) is None
        # An iterator may go by what the calls have done so far: then they must take turns.
        items = source.take(1 if is_pulled and self._call_s > _SLOW_S else self._pilot_size())
        if not items:
            return _nothing(first)
        if is_pulled and self._last is not None:
            pilot.compare_items(self._last[0], items[0])
        pilot.look_into(items[0])
        pilot.begin(items[0])
        finished = perform(Batch(-1, job, range(first, first + len(items)), items), CALLER, Cell(), self._awaiter)
        lap = pilot.end(items[0], calls=max(1, len(finished.ids)))
        self._keep(items, finished, lap)
        self._left = source.left
        if self._is_clear():
            self._decide("")
        return finished

    def _keep(self, items: Sequence[object], finished: Finished, lap: clocks.Lap) -> None:
        self._inline_calls += max(1, len(finished.ids))
        self._call_s = lap.alone_s
        if not finished.errors:
            self._last = (items[0], finished.values[0])

    def _pilot_size(self) -> int:
        """How many calls to watch together: short ones must add up to something the canary can see."""
        if self._is_lazy or self._pilot.files.writes_files:
            return 1
        return max(1, min(_MOST_PILOT_CALLS, math.ceil(0.5 * _WATCHED_S / max(self._call_s, 1e-6))))

    def _look_into_first(self) -> None:
        """A first call that mostly waited, of a function that writes nothing: no reason to wait another time."""
        if self._last is None:
            return
        from whilst.measuring.pilot import may_change

        self._pilot.look_into(self._last[0])
        lap = self._pilot.laps[0]
        if not self._pilot.is_settled or (self._source.peek(1) is None and may_change(self._last[0])):
            return
        if self._pilot.files.writes_files:
            return  # whose files they are, another call tells
        if lap.wait_s > 0.5 * lap.alone_s and lap.children_s < 0.2 * lap.alone_s and not self._pilot.writes:
            self._decide("")

    def _is_clear(self) -> bool:
        """Nothing more to learn from a watched call."""
        pilot = self._pilot
        if pilot.unclear and pilot.calls < 6:
            return False
        if pilot.files.writes_files and pilot.calls < 4 and not pilot.files.writes():
            return False  # whose files they are, another call tells
        if pilot.scan.caches and pilot.calls < min(32, (self._left or 256) // 30):
            return False  # a cache may be filling: a few per cent of the calls are made here to see
        laps = pilot.laps[1:]
        watched = sum(lap.alone_s for lap in laps)
        looks = pilot.seen.held + pilot.seen.free + sum(pilot.seen.waits.values())
        return bool(laps) and (looks >= 4 or watched >= 4 * _WATCHED_S or pilot.calls >= 2 * _MOST_PILOT_CALLS)

    def _begin_with_coroutines(self) -> None:
        """Coroutine functions wait by their nature: nothing is gained by waiting for a first one alone."""
        from whilst.running.adapting import Window

        self._stage = _Stage.RUN
        self._pilot.look_into(None)
        writes = self._pilot.writes
        if writes and any(write.spoils_threads and not write.is_random for write in writes):
            self._decision = Decision(
                Mode.SEQUENTIAL, "inline", 0,
                reason=f"it writes {writes[0].what}, which coroutines in flight would race for",
            )  # fmt: skip
            return
        most = self._options.workers or 10_000
        count = most if self._left is None else min(self._left, most)
        is_free = self._pilot.scan.waits_only_in_sleep
        start = count if is_free else min(_FIRST_FLIGHTS, count)
        self._window = Window(0.0, max(1, start), max(1, min(most, 1024)) if not is_free else most, is_fixed=is_free)
        self._setup = Setup("eventloop", slots=max(1, count))
        self._decision = Decision(
            Mode.CONCURRENT, "eventloop", 1, threads_per_worker=max(1, start), reason="it is a coroutine function"
        )

    def _begin_with_tasks(self) -> None:
        """gather: tasks of different kinds, few of them, each made once. Waiting is overlapped, work shares a core."""
        self._stage = _Stage.RUN
        count = self._left or 1
        if count < 2:
            return
        workers = min(count, self._options.workers or 32)
        self._setup = Setup("eventloop", slots=workers) if self.job.is_coroutine else Setup("threads")
        self._decision = Decision(
            Mode.CONCURRENT,
            self._setup.backend,
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
        self._stretch = max(1, min(int(_STRETCH_S / max(now, 1e-9)), 32 * count, _LONGEST_STRETCH))
        if self._setup is not INLINE or self._stage is _Stage.FIRST:
            return
        left = self._left if self._left is not None else 4 * self._inline_calls
        if self._stage is _Stage.SHORT:
            work_s = (finished.cpu_ns or 0) / 1e9 / count
            # Work by the thread's own clock, which stands still while others have the core; waits if they last.
            works = work_s > _WORTH_MOVING_S and self._inline_calls >= 32
            waits = min(before, now) > _TINY_S
            if (works or waits) and left * now > 10 * _NOT_WORTH_S:
                self._stage, self._stretch = _Stage.PILOT, 1
        elif self._decision.mode is Mode.SEQUENTIAL and self._decided_s > 0 and not self._is_spoilt:
            if (self._profile.wait_s or 0.0) < 0.5 * self._decided_s:
                now = (finished.cpu_ns or 0) / 1e9 / count
            if now > max(_DRIFT * self._decided_s, 2 * _WORTH_MOVING_S) and left * now > 10 * _NOT_WORTH_S:
                self._note(f"calls take {now * 1e3:.3g} ms instead of {self._decided_s * 1e3:.3g} ms")
                self._forget_pilot()

    _decided_s = 0.0
    _start_s = 0.0
    _is_spoilt = False

    def _forget_pilot(self) -> None:
        """Calls are not what they were: measure some anew."""
        self._pilot.forget()
        self._stage, self._stretch = _Stage.PILOT, 1

    # ---------------------------------------------------------------- deciding

    def _circumstances(self, *, workers_are_up: bool = False) -> Circumstances:
        from whilst.running.deciding import Circumstances

        options = self._options
        return Circumstances(
            left=self._left,
            workers_are_up=workers_are_up,
            can_fork=self._can_fork(),
            server_start_s=_import_s(),
            first_call_extra_s=self._pilot.first_extra_s,
            waits_only_in_sleep=self._pilot.waits_only_in_sleep,
            tried_threads=self._trial,
            most_workers=options.workers,
            is_seeded=bool(self._seeded),
            has_own_seed=options.seed is not None,
            most_threads=256 if self._pilot.waits_only_in_sleep else _MOST_WAITING,
        )

    def _can_fork(self) -> bool:
        from whilst.measuring.forkable import why_not_fork

        if self._fork_hindrance is None or self._fork_hindrance == "":  # what hinders it goes on hindering it
            self._fork_hindrance = why_not_fork()
        return not self._fork_hindrance

    def _decide(self, why: str) -> None:
        """Decide for what is left, and set the run up for it."""
        from whilst.measuring.machine import look_at_machine

        if self._machine is None:
            self._machine = look_at_machine()
        if self._seeded is None and self._pilot.draws:
            from whilst.measuring.seeds import is_seeded

            self._seeded = self._options.seed is None and is_seeded()
        self._pilot.rest = self._source.peek(4096)
        self.is_wary = self._pilot.files.has_connected
        profile = self._checked_for_shared_items(self._pilot.profile())
        if self._last is not None and self._may_need_processes(profile):
            self._pilot.weigh(*self._last)
            profile = self._checked_for_shared_items(self._pilot.profile())
        self._last = None
        self._adopt(profile, why)

    def _checked_for_shared_items(self, profile: Profile) -> Profile:
        """A call that changes its item is nobody else's affair only while no other call has the same item."""
        changes = [write for write in profile.writes if write.spoils_processes and not write.spoils_threads]
        if not any(write.what.startswith("its own argument") for write in changes):
            return profile
        items = self._source.peek(4096)
        if items is not None and len({id(item) for item in items}) == len(items):
            return profile
        writes = [
            replace(write, what=f"{write.what}, which may be another call's too", spoils_threads=True)
            if write.what.startswith("its own argument")
            else write
            for write in profile.writes
        ]
        return replace(profile, writes=tuple(writes))

    def _may_need_processes(self, profile: Profile) -> bool:
        left = self._left if self._left is not None else 64
        return (profile.work_s or 0.0) * left > 0.02

    def _adopt(self, profile: Profile, why: str) -> None:
        from whilst.running.deciding import decide

        assert self._machine is not None
        workers_are_up = self._setup.backend.startswith("processes")
        before = self._decision
        self._profile = profile
        circumstances = self._circumstances(workers_are_up=workers_are_up)
        decision = decide(profile, self._machine, circumstances)
        is_new = (decision.mode, decision.backend) != (before.mode, before.backend)
        if self._stage is _Stage.RUN and why:
            if not is_new:
                self._note(f"{why}; still {decision.mode.value}")
                self._watch_anew(profile)
                return
            self._note(f"{why}; {decision.mode.value} from here on: {decision.reason}")
        self._stage = _Stage.RUN
        self._decision = decision
        self._start_s = circumstances.process_start_s
        self._decided_s = profile.wall_s
        self._is_spoilt = {rejected.mode for rejected in decision.rejected} >= {Mode.CONCURRENT, Mode.PARALLEL} and len(
            decision.forecast_s
        ) == 1
        self._set_up(decision, profile)

    def _set_up(self, decision: Decision, profile: Profile) -> None:
        from whilst.running.adapting import Batches, Window
        from whilst.running.deciding import Costs

        costs = Costs()
        self._window, self._batches = None, None
        self._warm.clear()
        self._watch_anew(profile)
        if decision.mode is Mode.SEQUENTIAL:
            self._setup = INLINE
            self._stretch = max(1, min(int(_STRETCH_S / max(profile.wall_s, 1e-9)), _LONGEST_STRETCH))
            return
        wall = max(profile.wall_s, 1e-9)
        if decision.backend in ("threads", "eventloop"):
            waits = (profile.wait_s or 0.0) > 0.2 * wall
            most = max(decision.workers, decision.threads_per_worker)
            is_free = self._pilot.waits_only_in_sleep or not waits
            self._window = Window(wall, most if is_free else min(_FIRST_WINDOW, most), most, is_fixed=is_free)
            if not waits:
                self._batches = Batches(wall, costs.thread_call_s)
            self._setup = Setup(decision.backend, slots=decision.threads_per_worker)
            return
        if decision.mode is Mode.COMBINED:
            most = decision.workers * decision.threads_per_worker
            is_free = self._pilot.waits_only_in_sleep
            start = most if is_free else max(_FIRST_WINDOW, decision.workers)
            self._window = Window(wall, start, most, is_fixed=is_free)
        else:
            self._batches = Batches(wall, costs.batch_s)
        from whilst.running.choosing import worker_memory_bytes

        native = None
        if profile.native_s and profile.native_s > 0.2 * wall:
            assert self._machine is not None
            native = max(1, self._machine.cores // decision.workers)
        self._setup = Setup(
            decision.backend,
            slots=decision.threads_per_worker,
            native_threads=native,
            memory_limit_bytes=worker_memory_bytes(decision.workers),
            is_forked=self._can_fork(),
        )

    def _watch_anew(self, profile: Profile) -> None:
        from whilst.running.watching import Watch

        decision = self._decision
        self._watch = Watch(profile, decision.backend, decision.workers, self._pilot.core_share)
        if self._batches is not None:
            self._batches.call_s = max(profile.wall_s, 1e-9)

    # ---------------------------------------------------------------- answers of workers

    def _learn_from_workers(self, finished: Finished) -> None:
        count = len(finished.ids)
        length_s = (finished.end_ns - finished.start_ns) / 1e9
        if finished.starts_ns is not None and finished.ends_ns is not None and self._setup.backend.endswith("loop"):
            length_s = sum(e - s for s, e in zip(finished.starts_ns, finished.ends_ns, strict=True)) / 1e9
        lane = (finished.worker, finished.lane)
        if self._window is not None and (lane in self._warm or not self._setup.backend.startswith("processes")):
            text = self._window.answered(count, length_s / count, time.perf_counter_ns() / 1e9)
            if text:
                self._note(text)
            if self._window.is_down_to_one and not self._window.refusals:
                self._give_up_overlap()
        elif self._window is not None:
            # The first call in a process may import or open what the later ones only use.
            self._warm.add(lane)
        if self._batches is not None:
            self._batches.answered(count, length_s)
        if self._watch is not None:
            news = self._watch.answered(count, length_s, (finished.cpu_ns or 0) / 1e9)
            self._trial = self._watch.trial if self._watch.trial is not None else self._trial
            if news is not None and (self._left is None or self._left >= 4):
                self._adopt(*news)

    def _give_up_overlap(self) -> None:
        """One at a time is best: whatever the calls wait for lets only one of them in."""
        self._note(
            "overlapping brought nothing; sequential from here on: what they wait for lets one call in at a time"
        )
        wall_s = self._profile.wall_s
        self._decision = replace(
            self._decision,
            mode=Mode.SEQUENTIAL,
            backend="inline",
            workers=0,
            threads_per_worker=1,
            reason="calls that overlapped got in each other's way",
            rejected=tuple(
                Rejection(mode, "what the calls wait for lets one of them in at a time")
                for mode in Mode
                if mode is not Mode.SEQUENTIAL
            ),
        )
        self._is_spoilt = True
        self._window = None
        self._setup = INLINE
        self._stretch = max(1, min(int(_STRETCH_S / max(wall_s, 1e-9)), _LONGEST_STRETCH))

    def _may_be_made_here(self, error: BaseException) -> bool:
        """Something could not cross to or from a process: then the call is made here, if that does no harm.

        An argument that can't be sent: the call was not begun. A result that can't come back: the call was made, and
        may be made again only if nothing outside the worker could tell, as far as the first calls showed.
        """
        if not isinstance(error, NotPicklableError):
            return False
        return not error.has_begun or not self._pilot.files.leaves_traces

    def _stay_here(self, error: BaseException) -> None:
        if self._profile.is_picklable is not False:
            has_begun = isinstance(error, NotPicklableError) and error.has_begun
            why = (
                "a result can't come back, and such calls are made again here"
                if has_begun
                else "an argument can't be sent"
            )
            self._adopt(replace(self._profile, is_picklable=False, why_not=str(error)), why)

    def _retreat(self, why: str) -> None:
        from whilst.running.adapting import Window

        in_flight = max(self._in_hand, 2)
        if self._window is None:
            self._window = Window(0.0, in_flight, in_flight)
        if in_flight > self._window.target and self._window.refusals:
            return  # one of those that were in flight before the last retreat
        self._note(f"{self._window.refused(in_flight)} ({why})")

    def _note(self, text: str) -> None:
        self._history.append(Change(round((time.perf_counter_ns() - self._start_ns) / 1e9, 4), text))


def _nothing(first: int) -> Finished:
    now = time.perf_counter_ns()
    return Finished(CALLER, -1, range(first, first), [], now, now)


def _names_nothing(fn: object) -> bool:
    """Is it a plain function that gets at nothing but its arguments and builtins? Most very short ones are."""
    if not isinstance(fn, FunctionType) or fn.__closure__ or fn.__defaults__ or fn.__kwdefaults__:
        return False
    code = fn.__code__
    return not any(isinstance(each, CodeType) for each in code.co_consts) and fn.__globals__.keys().isdisjoint(
        code.co_names
    )


def _import_s() -> float:
    """What importing the program's modules again may take: some 0.3 ms each, beyond those every worker has."""
    import sys

    return max(0.0, (len(sys.modules) - 250) * 0.0003)
