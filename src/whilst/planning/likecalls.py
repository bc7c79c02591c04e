"""What n like calls take in each mode, in closed form: the bounds that everything which chooses starts from.

n calls of w seconds of work and u of wait on k executors take n(w+u), max(nw, w+u), ceil(n/k)(w+u) and
max(nw/k, w+u). `Costs` refines the bounds with what a real run pays besides; without it they are exact. Apart from
the rest of planning, and quick to import: a run asks for it while its first calls wait.
"""

from __future__ import annotations

from dataclasses import dataclass

from whilst.errors import UnmeasuredError
from whilst.model import Machine, Mode, Profile


@dataclass(frozen=True, slots=True)
class Costs:
    """What a run pays besides work and wait, in seconds; all 0 gives the plain bounds.

    Args:
        per_call_s: work that sending one call and its result adds, in the modes of several executors.
        handover_s: work that one hand-over between tasks adds, in the modes that overlap waits; two a call.
        start_s: before the first call, in the modes of several executors.
        longest_call_s: of the longest single call, where calls differ; nothing ends sooner.
        gil_share: of the work that holds one interpreter's lock, so that it can't be shared among `shared_by`
            executors of one process; 0 for executors that are processes.
        shared_by: how many executors share one interpreter's lock.
    """

    per_call_s: float = 0.0
    handover_s: float = 0.0
    start_s: float = 0.0
    longest_call_s: float = 0.0
    gil_share: float = 0.0
    shared_by: int = 1


def forecast(
    profile: Profile, n: int, machine: Machine, *, executors: int | None = None, costs: Costs | None = None
) -> dict[Mode, float]:
    """Predict the makespan of n like calls in every mode.

    Args:
        profile: work_s and wait_s of one call (seconds, means over the pilot).
        machine: cores usable by this process: how many executors there are unless `executors` says otherwise.
        costs: what a run pays besides; None for the plain bounds.
    Returns:
        Seconds by mode. A mode that the profile rules out is absent: what can't cross to a process, in the modes
        of several executors, unless the interpreter has no GIL.
    Raises:
        UnmeasuredError: the profile has no pilot call, or n is below 1.
    """
    if profile.work_s is None or profile.wait_s is None:
        raise UnmeasuredError("The profile has no pilot call; measure at least one call before forecasting.")
    count = machine.cores if executors is None else executors
    if n < 1 or count < 1:
        raise UnmeasuredError(f"A forecast needs at least one call and one executor, got n={n}, executors={count}.")
    costs = costs or Costs()
    seconds = {
        Mode.SEQUENTIAL: n * (profile.work_s + profile.wait_s),
        Mode.CONCURRENT: _overlapped(n, 1, profile.work_s + 2 * costs.handover_s, profile.wait_s, costs),
    }
    if profile.is_picklable is not False or not machine.has_gil:
        work_s = profile.work_s + costs.per_call_s
        whole = -(-n // count) * (work_s + profile.wait_s)
        locked = n * work_s * costs.gil_share / _locks(count, costs)
        seconds[Mode.PARALLEL] = costs.start_s + max(whole, locked, costs.longest_call_s)
        overlapped = _overlapped(n, count, work_s + 2 * costs.handover_s, profile.wait_s, costs)
        seconds[Mode.COMBINED] = costs.start_s + overlapped
    return {mode: max(value, costs.longest_call_s) for mode, value in seconds.items()}


def _overlapped(n: int, count: int, work_s: float, wait_s: float, costs: Costs) -> float:
    locked = n * work_s * costs.gil_share / _locks(count, costs)
    return max(n * work_s / count, locked, work_s + wait_s)


def _locks(count: int, costs: Costs) -> int:
    """How many interpreters' locks so many executors have between them."""
    return max(1, count // max(1, costs.shared_by))
