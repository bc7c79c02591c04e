"""From what a call is like to how to run the rest: a pure function, its cost model and its reasons.

The model starts from the design's bounds for n like calls of w seconds of work and u of wait (sequential n(w+u);
concurrent max(nw, w+u); parallel ceil(n/k)(w+u); combined max(nw/k, w+u)) and refines them with what measuring
found: work done without the GIL runs side by side in threads; a native pool (BLAS) that fills the cores leaves
nothing to gain by adding workers; a process costs its start, and each call its hand-over and its payload; a
worker pays again what the first call loaded. Correctness comes first: a mode that the function's writes, or
something that can't be pickled, rule out is never weighed.

Nothing here looks at a clock or a machine: everything comes in as arguments, so that a decision can be made again
on paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from whilst._light import Record
from whilst.model import Decision, Machine, Mode, Profile, Rejection, Write
from whilst.model.lengths import seconds_text
from whilst.planning import likecalls as bounds
from whilst.running.backends import traits_of
from whilst.running.policies.evidence import DecisionInput, Forecast
from whilst.running.policies.explain import (
    evidence_of,
    given_up_by,
    reason_for,
    start_of_workers,
    why_slower,
    write_in_words,
)

_MOST_WAITING_PROCESSES: Final = 16
_BUSY: Final = 9.0
"""Time at work over time idle, of a core that calls share which wait as well."""
_LITTLE: Final = 0.1
"""A smaller share of a call is not what it is like."""
_WORTH_PROCESSES_S: Final = 0.1
"""Processes that overlap calls must save at least this."""
_VARIES: Final = 1.5
_WORTH_ANOTHER: Final = 4.0
"""One more call alone must be able to save this many times its own length."""


def hazards(writes: tuple[Write, ...], given: DecisionInput) -> tuple[str, str]:
    """Return why calls must not overlap in this process, and why they must not move to another; "" where they may."""
    threads = processes = ""
    for write in writes:
        if write.is_random and (given.has_own_seed or not given.is_seeded):
            continue
        said = write_in_words(write)
        if write.spoils_threads:
            threads = threads or said
        if write.spoils_processes:
            processes = processes or said
    return threads, processes


def decide(profile: Profile, machine: Machine, given: DecisionInput) -> Decision:
    """Choose mode, back end, workers and batch for the calls that are left.

    Args:
        profile: one call, measured (`profile.calls` >= 1).
        machine: cores and GIL.
        given: how many calls are left, and what else bears on it.
    Raises:
        UnmeasuredError: the profile has no pilot call.
    """
    possible, rejected = forecasts(profile, machine, given)
    best = _choose(possible)
    reasons = dict(rejected)
    if best.mode is Mode.COMBINED and is_provisional(profile, machine, given):
        reasons[Mode.COMBINED] = (
            f"about {seconds_text(best.seconds)} by the first calls; looked into once calls have warmed up"
        )
        best = possible[Mode.CONCURRENT]
    for mode, forecast in possible.items():
        if mode is not best.mode:
            reasons.setdefault(mode, why_slower(forecast, best))
    reason, seen_as = reason_for(best, possible, reasons, profile, given), _seen_as(best, profile, machine)
    if seen_as is not best.mode and (by_processes := reasons.pop(seen_as, "")):
        reason += f"; by processes: {by_processes}"
    order = [mode for mode in Mode if mode in reasons]
    return Decision(
        mode=seen_as,
        backend=best.backend,
        workers=best.workers,
        batch=best.batch,
        threads_per_worker=best.threads_per_worker,
        native_threads=best.native_threads,
        reason=reason,
        evidence=(*evidence_of(profile, machine, given), *start_of_workers(best.backend, is_forked=given.can_fork)),
        rejected=tuple(Rejection(mode, reasons[mode]) for mode in order),
        forecast_s={mode: round(forecast.seconds, 6) for mode, forecast in possible.items()},
        given_up=given_up_by(profile, given),
    )


def _seen_as(best: Forecast, profile: Profile, machine: Machine) -> Mode:
    """What is chosen as it is at run time: without a GIL, threads that work have a core each."""
    if machine.has_gil or machine.cores < 2 or not traits_of(best.backend).has_threads:
        return best.mode
    share = (profile.wait_s or 0.0) / max(profile.wall_s, 1e-12)
    return Mode.PARALLEL if share < _LITTLE else Mode.COMBINED if share < 1 - _LITTLE else Mode.CONCURRENT


def is_provisional(profile: Profile, machine: Machine, given: DecisionInput) -> bool:
    """Is it too early for processes that overlap calls?

    What speaks for them is the work of a call, and first calls do more of it than later ones: they import, open and
    cache. Threads overlap calls from the first moment on, and while they do they measure it at its usual length. So
    they come first, unless processes would win with the least work that later calls may have as well.
    """
    cold = given.cold
    if cold <= 1.0 or profile.work_s is None:
        return False
    held = None if profile.gil_s is None else profile.gil_s / cold
    lighter = replace(profile, work_s=profile.work_s / cold, gil_s=held)
    possible, _ = forecasts(lighter, machine, given)
    return Mode.CONCURRENT in possible and _choose(possible).mode is not Mode.COMBINED


def depends_on_later_calls(decision: Decision, profile: Profile, given: DecisionInput) -> bool:
    """Would it be worth while to look at this choice of threads again, once calls have warmed up?"""
    if given.cold <= 1.0 or Mode.COMBINED not in decision.forecast_s:
        return False
    if (profile.wait_s or 0.0) <= 0.2 * profile.wall_s:
        return False
    is_limited_by_work = not given.waits_only_in_sleep and decision.workers < min(given.most_threads, given.calls)
    faster = decision.forecast_s[Mode.COMBINED] < decision.forecast_s[Mode.CONCURRENT] - _WORTH_PROCESSES_S
    return is_limited_by_work or faster


def is_another_call_worth_it(profile: Profile, machine: Machine, given: DecisionInput) -> bool:
    """Shall one more call be made alone, to tell whether the first one worked more than the later ones will?

    It decides between threads and processes that overlap calls, and costs what threads would do meanwhile; changing
    from threads to processes later costs more, since these are then no forks of a program with one thread.
    """
    if not is_provisional(profile, machine, given):
        return False
    possible, _ = forecasts(profile, machine, given)
    if _choose(possible).mode is not Mode.COMBINED:
        return False
    gain_s = possible[Mode.CONCURRENT].seconds - possible[Mode.COMBINED].seconds
    return gain_s > _WORTH_ANOTHER * profile.wall_s


def forecasts(profile: Profile, machine: Machine, given: DecisionInput) -> tuple[dict[Mode, Forecast], dict[Mode, str]]:
    """Return what the rest takes in every mode that keeps the results right, and why the other modes don't."""
    no_threads, no_processes = hazards(profile.writes, given)
    if profile.is_picklable is False:
        no_processes = no_processes or profile.why_not or "it can't be pickled"
    if not given.can_fork:
        no_processes = no_processes or given.only_by_fork
    given = _at_the_rate(profile, given)
    call = _Call.of(profile, machine, given)
    possible = {Mode.SEQUENTIAL: Forecast(Mode.SEQUENTIAL, call.sequential_s, "inline", 0)}
    rejected: dict[Mode, str] = {}
    if no_threads:
        rejected[Mode.CONCURRENT] = no_threads
    else:
        possible[Mode.CONCURRENT] = _concurrent(call)
    if no_processes:
        rejected[Mode.PARALLEL] = rejected[Mode.COMBINED] = no_processes
    elif machine.cores < 2 or given.most_workers == 1:
        rejected[Mode.PARALLEL] = rejected[Mode.COMBINED] = "this process may use one core only"
    else:
        possible[Mode.PARALLEL] = _parallel(call, can_overlap=not no_threads)
        if no_threads:
            rejected[Mode.COMBINED] = no_threads
        else:
            possible[Mode.COMBINED] = _combined(call)
    if given.rate_per_s is not None:  # in no mode is the last call begun before its turn
        least_s = max(call.n - 1, 0) / given.rate_per_s + call.wall_s
        possible = {mode: each._replace(seconds=max(each.seconds, least_s)) for mode, each in possible.items()}
    return possible, rejected


def _at_the_rate(profile: Profile, given: DecisionInput) -> DecisionInput:
    """More calls at once than are ever in progress at the rate that was asked for are of no use; calls vary by half."""
    if given.rate_per_s is None:
        return given
    useful = math.ceil(_VARIES * given.rate_per_s * profile.wall_s) + 1
    most = useful if given.most_workers is None else min(given.most_workers, useful)
    return given._replace(most_workers=max(most, 2 if given.most_workers is None else 1))


class _Call(Record):
    """One call in the terms of the cost model (seconds)."""

    n: int
    wall_s: float
    work_s: float
    """On its own thread."""
    held_s: float
    """The part of `work_s` with the GIL held."""
    locked_s: float
    """The part in which it holds a lock that the others want."""
    load_s: float
    """All that it keeps cores busy with: own thread, native threads, children."""
    wait_s: float
    payload_s: float
    cores: int
    is_coroutine: bool
    has_native_pool: bool
    given: DecisionInput

    @classmethod
    def of(cls, profile: Profile, machine: Machine, given: DecisionInput) -> _Call:
        work, wait = profile.work_s or 0.0, profile.wait_s or 0.0
        native, children = profile.native_s or 0.0, profile.children_s or 0.0
        held = work if profile.gil_s is None or profile.is_coroutine else profile.gil_s
        if not machine.has_gil:
            held = 0.0
        has_pool = native > 0.2 * (work + wait)
        payload = (profile.pickle_s or 0.0) * 2
        bytes_moved = (profile.argument_bytes or 0) + (profile.result_bytes or 0)
        payload += bytes_moved * given.costs.byte_s
        cores = machine.cores if given.most_workers is None else max(1, min(machine.cores, given.most_workers))
        return cls(
            n=given.calls,
            wall_s=profile.wall_s,
            work_s=work,
            held_s=min(held, work),
            locked_s=profile.locked_s or 0.0,
            load_s=work + (native if has_pool else 0.0) + children,
            wait_s=wait,
            payload_s=payload,
            cores=cores,
            is_coroutine=profile.is_coroutine,
            has_native_pool=has_pool,
            given=given,
        )

    @property
    def sequential_s(self) -> float:
        return self.bound_s(Mode.SEQUENTIAL)

    def bound_s(
        self,
        mode: Mode,
        executors: int = 1,
        *,
        n: int | None = None,
        work_s: float | None = None,
        costs: bounds.Costs | None = None,
    ) -> float:
        """Seconds that planning gives n calls (default: all of them), each with `work_s` of work (default: its own)."""
        n = self.n if n is None else n
        if n < 1:
            return 0.0
        work = max(self.wall_s - self.wait_s, 0.0) if work_s is None else work_s
        profile = Profile(work_s=work, wait_s=self.wait_s)
        return bounds.forecast(profile, n, Machine(cores=self.cores), executors=max(1, executors), costs=costs)[mode]


def _concurrent(call: _Call) -> Forecast:
    """Threads (or one event loop): waits overlap, and work without the GIL runs on all cores."""
    given, costs = call.given, call.given.costs
    if call.is_coroutine:
        in_flight = max(1, min(call.n, given.most_workers or 10_000))
        busy = call.bound_s(Mode.CONCURRENT, costs=bounds.Costs(handover_s=0.5 * costs.loop_call_s))
        seconds = max(busy, math.ceil(call.n / in_flight) * call.wall_s)
        return Forecast(Mode.CONCURRENT, seconds, "eventloop", 1, threads_per_worker=in_flight)
    if call.has_native_pool and given.limited_native_s is not None:
        threads = min(call.n, call.cores)
        seconds = math.ceil(call.n / max(1, threads)) * given.limited_native_s * 1.05
        note = "BLAS and OpenMP held to one thread each"
        return Forecast(Mode.CONCURRENT, seconds, "threads", max(1, threads), note=note, native_threads=1)
    threads = _threads_for(call)
    load = call.load_s + costs.thread_call_s
    # Threads are executors, one for each core, that share one lock for the part of the work that holds it.
    share = call.held_s / call.work_s if call.work_s else 0.0
    shared = bounds.Costs(handover_s=0.5 * costs.thread_call_s, gil_share=share, shared_by=call.cores)
    bound = call.bound_s(Mode.COMBINED, call.cores, work_s=call.work_s, costs=shared)
    # A waiting thread that comes back asks for the GIL, which a working one gives up only after 5 ms.
    convoy = 1.1 if call.held_s > 0.05 * call.wall_s else 1.0
    by_cores = call.n * load / call.cores
    speedup = given.tried_threads
    if speedup is not None and call.wait_s < 0.2 * call.wall_s:
        by_cores = max(by_cores, call.sequential_s / max(0.5, speedup))
    by_waits = math.ceil(call.n / threads) * call.wall_s
    seconds = max(bound * convoy, by_cores, by_waits, call.n * call.locked_s) + threads * costs.thread_start_s
    return Forecast(Mode.CONCURRENT, seconds, "threads", threads)


def _threads_for(call: _Call) -> int:
    """How many threads make n calls that mostly wait shortest.

    k threads take k*start + n*wall/k, least at k = sqrt(n*wall/start); beyond wall/work of them the core is full
    (and a half more keeps it full while calls vary). Of those that need as many rounds the fewest are enough.
    """
    given = call.given
    if call.wait_s < 0.05 * call.wall_s:
        return max(1, min(call.n, call.cores))
    by_start = math.sqrt(call.n * call.wall_s / given.costs.thread_start_s)
    # First calls often work some times as much as the later ones: a limit that rests on them would hold those back.
    useful = 1.5 * given.cold * call.wall_s / max(call.held_s, call.locked_s, call.load_s / call.cores, 1e-9)
    most = given.most_workers or given.most_threads
    least = min(call.cores, call.n)
    room = max(1, min(call.n, most, max(least, int(useful))))
    rounds = max(math.ceil(call.n / room), round(call.n / max(by_start, 1.0)), 1)
    return max(1, min(least, room), math.ceil(call.n / rounds))


def _parallel(call: _Call, *, can_overlap: bool) -> Forecast:
    """Processes: the caller goes on inline while they start, then they make the rest."""
    workers = max(1, min(call.n, call.cores))
    if not can_overlap and call.wait_s > 0.5 * call.wall_s and call.given.most_workers is None:
        # Where threads would mix calls up, more processes than cores overlap the waits: k of them take
        # k*start + n*wall/k, as threads do, but cost more to start.
        by_start = math.sqrt(call.n * call.wall_s / call.given.costs.worker_s)
        useful = 1.5 * call.cores * call.wall_s / max(call.load_s, 1e-4)
        workers = max(workers, min(call.n, _MOST_WAITING_PROCESSES, int(min(by_start, useful))))
    one = call.wall_s
    note = ""
    if call.has_native_pool:
        # Each worker's BLAS gets its share of the cores; a pool of threads spends some of what it uses on waiting.
        one = call.given.limited_native_s or max(call.wall_s, 0.85 * call.load_s)
        note = "BLAS and OpenMP held to their share of the cores"
    elif call.load_s > call.wall_s * 1.5:
        one = call.load_s
    batch = _batch_for(one, call)
    each = one + call.given.costs.process_call_s + call.given.costs.batch_s / batch + call.payload_s
    seconds = _after_start(call, each, workers)
    return Forecast(Mode.PARALLEL, seconds, "processes", workers, batch, note=note)


def _combined(call: _Call) -> Forecast:
    """Processes that each overlap waits."""
    workers = max(1, min(call.n, call.cores))
    work = max(call.work_s, call.load_s) + call.given.costs.process_call_s + call.payload_s
    most = (call.given.most_workers or call.given.most_threads) // workers
    # Threads that come back from their waits together share the core, are done together and wait together: of each
    # round of u + k*w the core works k*w. It takes k = 9u/w to have it work nine tenths of the time.
    useful = math.ceil(_BUSY * call.wait_s / max(call.work_s, 1e-4)) + 2
    inside = max(1, min(most, math.ceil(call.n / workers), useful))
    backend, threads_s = "processes*eventloop", 0.0
    if not call.is_coroutine:  # as for threads here: each costs its start, and what it loads for itself
        each_s = call.given.costs.thread_start_s
        inside = max(1, min(inside, int(math.sqrt(call.n / workers * call.wall_s / each_s))))
        backend, threads_s = "processes*threads", inside * each_s
    start = call.given.process_start_s  # meanwhile the caller makes calls one after the other
    done = min(call.n, int(start / max(call.wall_s, 1e-9)))
    rest = call.n - done
    by_work = max(call.bound_s(Mode.COMBINED, workers, n=rest, work_s=work), rest * call.locked_s / workers)
    by_slots = rest * (call.wall_s + call.payload_s) / (workers * inside)
    seconds = min(start, call.n * call.wall_s) + max(by_work, by_slots) + (threads_s + call.wall_s if rest else 0.0)
    return Forecast(Mode.COMBINED, seconds, backend, workers, 1, inside)


def _after_start(call: _Call, each_s: float, workers: int) -> float:
    """The makespan when the caller works alone until the workers are there, each of whose calls takes `each_s`."""
    start = call.given.process_start_s
    done = int(start / max(call.wall_s, 1e-9))
    if done >= call.n:
        return call.sequential_s + 0.1 * start  # all is over before they come; starting them was not free
    rest = call.n - done
    rounds = call.bound_s(Mode.PARALLEL, workers, n=rest, work_s=max(each_s - call.wait_s, 0.0))
    by_cores = rest * call.load_s / call.cores
    return start + max(0, workers - call.cores) * call.given.costs.worker_s + max(rounds, by_cores)


def _batch_for(one_s: float, call: _Call) -> int:
    """As many calls as hide the hand-over (below 2 % of the work), no more than some tens of milliseconds."""
    costs = call.given.costs
    wanted = math.ceil(costs.batch_s / max(0.02 * one_s, 1e-9))
    longest = max(1, int(0.03 / max(one_s, 1e-9)))
    fair = max(1, call.n // (4 * call.cores))
    return max(1, min(wanted, longest, fair))


def _choose(possible: Mapping[Mode, Forecast]) -> Forecast:
    """The fastest, unless a plainer mode is nearly as fast: every step up must bring a tenth and 3 ms.

    Processes that overlap calls must bring a quarter and 0.1 s: their forecast takes all cores to be free, and
    whoever answers the calls often sits on the same machine; threads overlap calls from the first moment on, while
    processes are still importing.
    """
    best = possible[Mode.SEQUENTIAL]
    steps = ((Mode.CONCURRENT, 0.9, 0.003), (Mode.PARALLEL, 0.9, 0.003), (Mode.COMBINED, 0.75, _WORTH_PROCESSES_S))
    for mode, share, gain_s in steps:
        forecast = possible.get(mode)
        if forecast is not None and forecast.seconds < share * best.seconds - gain_s:
            best = forecast
    return best
