"""Which calls of an Executor without a mode go to processes.

All of them begin in threads, a few at first (as many as `concurrent.futures` has): threads overlap waiting and keep
every promise. Their number rises while what they do leaves the core idle. Where they keep one core busy and have no
second, because calls hold the GIL, the function whose calls work is looked into as `map` looks into its own. If its
code changes nothing that outlives a call and reads nothing that the program may have set, those of its
calls that have not begun go there, and those still to come.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import FunctionType
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from whilst.measuring import payload
from whilst.measuring.machine import usable_cores, worker_memory_bytes
from whilst.measuring.pilot import Pilot
from whilst.measuring.reads import why_not_clean
from whilst.measuring.roundtrip import why_unlike_sent
from whilst.measuring.writes.seeds import is_seeded
from whilst.model import Change, Decision, Mode, Rejection
from whilst.model.lengths import seconds_text
from whilst.running.backends.base import BackendConfig
from whilst.running.call_names import name_of
from whilst.running.core.policy import Directives, RunStatus
from whilst.running.executor.submissions import Call, OpenInput, asked_for, make_calls
from whilst.running.jobs import Finished, Job
from whilst.running.options import Options
from whilst.running.policies.caveats import Caveats
from whilst.running.policies.choosing import gives_coroutines
from whilst.running.policies.decide import hazards
from whilst.running.policies.evidence import DecisionInput
from whilst.running.policies.fixed import FixedPolicy
from whilst.running.policies.pilot.in_worker import PilotInWorkerPolicy

_MOST_THREADS: Final = 32
_WINDOW_NS: Final = 5_000_000
"""So long is looked at before the load of the core is believed."""
_LEAST_LOAD: Final = 0.1
_SIMPLE: Final = frozenset([int, float, complex, str, bytes, bool, type(None)])


class Thresholds(NamedTuple):
    """From where on threads become more, and calls are looked into and moved."""

    more_than_cores: int = 4
    """Threads at first, beyond the number of cores."""
    idle: float = 0.7
    """Below this load (of one core) more threads overlap more waiting."""
    second_core: float = 1.3
    """Above this load the calls let go of the GIL: threads have more than one core."""
    works_ns: int = 1_000_000
    """Calls that work less are not looked into."""
    worth_ns: int = 200_000_000
    """Work that must be left in the calls that have not begun: processes take a tenth of a second to start."""


class Verdict:
    """On one function: what its calls were like, and whether they may go to processes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = self.cpu_ns = 0
        self.why_not: str | None = None
        """"" if they may; None as long as nobody has looked."""
        self.types: frozenset[type] = frozenset()
        """Of the arguments it was judged with."""


class ThreadsFirst(FixedPolicy):
    """See the module's text.

    Args:
        job: that of all calls.
        source: where calls wait.
        move: called when the calls of one more function are to go to processes.
        thresholds: others than the usual ones.
    """

    def __init__(
        self,
        job: Job,
        source: OpenInput,
        options: Options,
        move: Callable[[], None],
        thresholds: Thresholds | None = None,
    ) -> None:
        self._thresholds = thresholds or Thresholds()
        self._most_threads: int = options.workers or _MOST_THREADS
        workers = min(usable_cores() + self._thresholds.more_than_cores, self._most_threads)
        caveats = Caveats(job, "threads", source)
        super().__init__(BackendConfig("threads"), workers, "", is_batched=True, caveats=caveats)
        self._source = source
        self._move = move
        self._start_ns = self._since_ns = time.perf_counter_ns()
        self._cpu_ns = _others_cpu_ns()
        self._load = 0.0
        self._verdicts: WeakKeyDictionary[FunctionType, Verdict] = WeakKeyDictionary()
        self._changes: list[Change] = []

    def directives(self, status: RunStatus) -> Directives:
        """See `Policy.directives`."""
        elapsed_ns = status.now_ns - self._since_ns
        if elapsed_ns >= _WINDOW_NS:
            cpu_ns = _others_cpu_ns()
            self._load = (cpu_ns - self._cpu_ns) / elapsed_ns
            self._since_ns, self._cpu_ns = status.now_ns, cpu_ns
            if (
                self._load < self._thresholds.idle and status.left
            ):  # it is asked when one has come back: all had something in hand
                self._workers = min(int(self._workers / max(self._load, _LEAST_LOAD)), self._most_threads)
        return super().directives(status)

    def observe(self, finished: Finished) -> None:
        """See `Policy.observe`."""
        super().observe(finished)
        count = len(finished.ids)
        if count and finished.cpu_ns >= self._thresholds.works_ns * count and self._source.left:
            for number, value in zip(finished.ids, finished.values, strict=True):
                if number not in finished.errors:
                    self._learn(self._source.taken[number][1], value, finished.cpu_ns // count)

    def goes_to_processes(self, call: Call) -> bool:
        """Is that so, by what is known of its function and can be seen of its arguments?"""
        if not self._changes:
            return False
        key = _key_of(asked_for(call)[0])
        verdict = None if key is None else self._verdicts.get(key)
        return verdict is not None and verdict.why_not == "" and _is_like_judged(call, verdict.types)

    def decision(self) -> Decision:
        """See `Policy.decision`."""
        rejected = tuple(
            Rejection(Mode.PARALLEL, f"calls of {each.name} work, but {each.why_not}")
            for each in list(self._verdicts.values())
            if each.why_not
        )
        return replace(
            super().decision(),
            reason="calls come one by one, each with a function of its own, so all begin in threads, which overlap "
            "their waiting",
            rejected=rejected,
            history=tuple(self._changes),
        )

    def _learn(self, call: Call, value: object, cpu_ns: int) -> None:
        fn, args, kwargs = asked_for(call)
        key = _key_of(fn)
        if key is None:
            return
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = self._verdicts[key] = Verdict(name_of(fn))
        verdict.calls += 1
        if verdict.calls == 1:
            return  # the first one may have imported and opened what the others use
        verdict.cpu_ns += cpu_ns
        if verdict.why_not is not None or not self._thresholds.idle <= self._load <= self._thresholds.second_core:
            return
        mean_ns = verdict.cpu_ns // (verdict.calls - 1)
        if mean_ns * self._source.left < self._thresholds.worth_ns:
            return
        verdict.types = frozenset(map(type, (*args, *kwargs.values())))
        verdict.why_not = _why_not(fn, args, kwargs, value)
        if not verdict.why_not:
            at_s = (time.perf_counter_ns() - self._start_ns) / 1e9
            text = (
                f"a call of {verdict.name} works {seconds_text(mean_ns / 1e9)} with the GIL held; they go to processes"
            )
            self._changes.append(Change(round(at_s, 4), text))
            self._move()


def processes_policy(options: Options) -> PilotInWorkerPolicy:
    """Return the policy for calls that were found to work, perhaps with waiting in between."""
    workers = options.workers or usable_cores()
    return PilotInWorkerPolicy(BackendConfig("processes", memory_limit_bytes=worker_memory_bytes(workers)), workers, "")


def _key_of(fn: Callable[..., Any]) -> FunctionType | None:
    """A function that is the same in all its calls; None for one that carries something of its own along.

    The wrappers of a decorator have one code, and call this or that: what is known of one says nothing of another.
    """
    is_plain = type(fn) is FunctionType and fn.__closure__ is None and not gives_coroutines(fn)
    return fn if is_plain else None  # type: ignore[return-value]  # mypy does not narrow by a name


def _why_not(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], value: object) -> str:
    if any(map(callable, (*args, *kwargs.values()))):
        return "it is given what it calls"
    pilot = Pilot(partial(fn, **kwargs) if kwargs else fn, "star", False)
    try:
        pilot.look_into(args)
        seeded = pilot.draws and is_seeded()
        _, why_not = hazards(pilot.writes, DecisionInput(is_seeded=seeded))
        if not why_not:
            pilot.weigh(args, value)
            why_not = pilot.why_not_sent
        if not why_not:
            # Workers outlive what the program sets between two calls, so a fork would not do either.
            reads = why_not_clean(fn, [*args, *kwargs.values()])
            why_not = reads and f"{reads} may be another in a process"
    except Exception as error:  # a user's object may refuse to be looked at: then its calls stay where they are
        return f"it can't be looked into ({error!r})"
    return why_not


def _is_like_judged(call: Call, types: frozenset[type]) -> bool:
    """Are its arguments of those types, or plain values, and can they be sent?"""
    fn, args, kwargs = call
    is_chunk = getattr(fn, "func", fn) is make_calls
    given = [each for one in args[1] for each in one] if is_chunk else [*args, *kwargs.values()]
    others = [each for each in given if type(each) not in _SIMPLE]
    if not others:
        return True
    if any(type(each) not in types or callable(each) for each in others):
        return False
    return not (payload.measure(others, "its argument").why_not or why_unlike_sent(others, ""))


def _others_cpu_ns() -> int:
    """CPU time of all threads but the main one, which may have work of its own."""
    total = time.process_time_ns()
    ident = threading.main_thread().ident
    if ident is None or not hasattr(time, "pthread_getcpuclockid"):
        return total
    return total - time.clock_gettime_ns(time.pthread_getcpuclockid(ident))
