"""The verb: check the arguments, bound, search, prove, draw uncertain lengths, and return a plan."""

from __future__ import annotations

import difflib
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Final

from whilst.errors import DayError
from whilst.model import Day, Estimate, Mode, Task
from whilst.planning.bounds import Bound, LowerBound
from whilst.planning.dispatching import Policy
from whilst.planning.picturing import make_timeline
from whilst.planning.planned import Percentiles, Plan, Plans
from whilst.planning.problem import Problem, Schedule, likely_lengths_ns, make_problem, to_ns
from whilst.planning.reading import read_day
from whilst.planning.searching import Found, find_declared, find_schedule
from whilst.planning.solving import solve

_MOST_DRAWS: Final = 1000
_FEWEST_DRAWS: Final = 20
# Operations dispatched over all draws: about three seconds.
_EFFORT: Final = 300_000


def plan(
    day: Day | str | PathLike[str],
    mode: Mode | str = Mode.COMBINED,
    *,
    executor: str | None = None,
    executors: int | None = None,
    optimal_s: float | None = None,
    seed: int = 0,
    draws: int | None = None,
) -> Plan:
    """Plan a day in one mode.

    Args:
        day: a Day, or the path of a TOML file that holds one.
        mode: sequential, concurrent (one executor), parallel or combined (all of them).
        executor: the one who is there in a mode of one executor; by default the first one declared.
        executors: plan as if there were so many, see `Day.with_executors`.
        optimal_s: seconds that the solver may take where the fast plan does not meet its bound; needs the
            extra `whilst[optimal]`.
        seed: of the draws and of the search's variations.
        draws: how often uncertain lengths are drawn; by default 1,000, fewer on a day of many steps.
    Returns:
        A plan with its bound, its gap and its proof. The same arguments give the same plan, unless the solver
        runs out of time, which a slower machine does sooner.
    Raises:
        DayError: the day can't be read or planned; nobody present may do a task.
        MissingExtraError: optimal_s is given, but OR-tools is not installed.
    """
    mode = Mode.parse(mode)
    if not isinstance(day, Day):
        day = read_day(day)
    if executors is not None:
        day = day.with_executors(executors)
    if optimal_s is not None and not optimal_s > 0:
        raise DayError(f"optimal_s must be a positive number of seconds, got {optimal_s!r}.")
    if draws is not None and draws < 1:
        raise DayError(f"draws must be at least 1, got {draws!r}.")
    present = _present(day, mode, executor)
    lengths_ns = likely_lengths_ns(day)
    problem = make_problem(day, mode, present, lengths_ns)
    bound = LowerBound(problem)
    found = find_declared(problem) if mode is Mode.SEQUENTIAL else find_schedule(problem, bound, seed=seed)
    proved = _prove(problem, found, bound.best, optimal_s, seed)
    percentiles = None
    if day.is_uncertain:
        percentiles = _draw_percentiles(
            day, mode, present, proved.policy, seed=seed, draws=draws or _choose_draws(len(lengths_ns))
        )
    return Plan(
        mode=mode,
        timeline=make_timeline(day, mode, problem, proved.schedule, lengths_ns, facts=_facts(proved)),
        bound_ns=proved.bound.length,
        bound_reason=proved.bound.reason,
        proof=proved.proof,
        is_optimal=proved.is_optimal,
        rule=proved.rule,
        percentiles=percentiles,
    )


def plan_modes(
    day: Day | str | PathLike[str],
    modes: Iterable[Mode | str] = tuple(Mode),
    *,
    executor: str | None = None,
    executors: int | None = None,
    optimal_s: float | None = None,
    seed: int = 0,
    draws: int | None = None,
) -> Plans:
    """Plan a day in several modes, side by side; `executor` speaks to the modes of one executor. See `plan`.

    A mode in which somebody who is needed isn't there is no error here: the result says why.

    Raises:
        DayError: the day can't be read, or can't be planned in any of the modes.
        MissingExtraError: optimal_s is given, but OR-tools is not installed.
    """
    if not isinstance(day, Day):
        day = read_day(day)
    if executors is not None:
        day = day.with_executors(executors)
    if executor is not None:
        _check_known(day, executor)
    plans: list[Plan] = []
    refusals: dict[Mode, str] = {}
    refused: DayError | None = None
    for mode in map(Mode.parse, modes):
        alone = None if mode.uses_several_executors else executor
        try:
            plans.append(plan(day, mode, executor=alone, optimal_s=optimal_s, seed=seed, draws=draws))
        except DayError as error:
            refused = error
            refusals[mode] = str(error)
    if refused is not None and not plans:
        raise refused
    return Plans(day.name, tuple(plans), refusals)


@dataclass(frozen=True, slots=True)
class _Proved:
    """A schedule with all that is known about it."""

    schedule: Schedule
    policy: Policy
    rule: str
    bound: Bound
    proof: str
    is_optimal: bool


def _present(day: Day, mode: Mode, executor: str | None) -> tuple[str, ...]:
    """Who is there in this mode; every task must have somebody."""
    if mode.uses_several_executors:
        if executor is not None:
            raise DayError(
                f"executor={executor!r} names the one who does everything; in {mode} mode all executors work. "
                f"Leave it out, or plan in sequential or concurrent mode."
            )
        return day.executors
    if executor is None:
        executor = day.executors[0]
    else:
        _check_known(day, executor)
    for task in day.tasks:
        if task.by and executor not in task.by:
            raise _nobody_may_do(task, executor, mode, day)
    return (executor,)


def _check_known(day: Day, executor: str) -> None:
    if executor not in day.executors:
        near = difflib.get_close_matches(executor, day.executors, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(map(repr, day.executors[:8]))}."
        raise DayError(f"There is no executor {executor!r} in this day.{hint}")


def _nobody_may_do(task: Task, executor: str, mode: Mode, day: Day) -> DayError:
    versatile = [name for name in day.executors if all(not each.by or name in each.by for each in day.tasks)]
    instead = (
        f"pass executor={versatile[0]!r}, who may do every task" if versatile else "plan in parallel or combined mode"
    )
    error = DayError(
        f"In {mode} mode {executor!r} does everything, but task {task.name!r} may only be done by "
        f"{', '.join(map(repr, task.by))}. Add {executor!r} to its 'by', or {instead}."
    )
    error.key = ("tasks", task.name, "by")
    return error


def _prove(problem: Problem, found: Found, bound: Bound, optimal_s: float | None, seed: int) -> _Proved:
    """Hold the schedule against its bound, and where they differ ask the solver, if it may be asked."""
    if found.schedule.makespan <= bound.length:
        return _Proved(found.schedule, found.policy, found.rule, bound, f"meets its lower bound: {bound.reason}", True)
    if optimal_s is None:
        proof = "not proved: the bound is lower; give the solver time with optimal_s (--optimal SECONDS)"
        return _Proved(found.schedule, found.policy, found.rule, bound, proof, False)
    solved = solve(problem, found.schedule, bound.length, optimal_s, seed=seed)
    schedule, policy, rule = found.schedule, found.policy, found.rule
    if solved.schedule is not None and solved.policy is not None and solved.schedule.makespan < schedule.makespan:
        schedule, policy, rule = solved.schedule, solved.policy, "the solver"
    if schedule.makespan <= bound.length:
        return _Proved(schedule, policy, rule, bound, f"meets its lower bound: {bound.reason}", True)
    if solved.bound > bound.length:
        bound = Bound(solved.bound, "proved by the solver")
    if solved.is_proved:
        return _Proved(schedule, policy, rule, bound, solved.account, True)
    return _Proved(schedule, policy, rule, bound, f"not proved: {solved.account}", False)


def _facts(proved: _Proved) -> Mapping[str, str]:
    return {"proof": proved.proof, "bound": proved.bound.reason, "rule": proved.rule}


def _choose_draws(steps: int) -> int:
    """A thousand draws, fewer on a day of many steps."""
    return max(_FEWEST_DRAWS, min(_MOST_DRAWS, _EFFORT // max(1, steps)))


def _draw_percentiles(
    day: Day, mode: Mode, executors: Sequence[str], policy: Policy, *, seed: int, draws: int
) -> Percentiles:
    """Run the plan's policy on drawn lengths; return the 10th, 50th and 90th percentile of the makespan (nearest rank).

    A plan is made knowing the likely lengths alone, so a draw must not be planned again with its lengths known: that
    would measure a clairvoyant. The same seed gives the same lengths in every mode: they are compared on the same days.
    """
    makespans = sorted(
        policy.run(make_problem(day, mode, executors, lengths_ns)).makespan for lengths_ns in _drawn(day, seed, draws)
    )

    def at(share: float) -> float:
        return makespans[max(0, math.ceil(share * draws) - 1)] / 1e9

    return Percentiles(at(0.1), at(0.5), at(0.9), draws, seed)


def _drawn(day: Day, seed: int, draws: int) -> Iterator[list[int]]:
    # Seeded, so that the same day gives the same percentiles; nothing here is a secret.
    source = random.Random(seed)  # noqa: S311
    lengths = [step.length for task in day.tasks for step in task.steps]
    fixed = [None if isinstance(length, Estimate) else to_ns(length) for length in lengths]
    for _ in range(draws):
        yield [
            max(1, to_ns(source.triangular(length.low_s, length.high_s, length.likely_s)))
            if isinstance(length, Estimate)
            else sure or 0
            for length, sure in zip(lengths, fixed, strict=True)
        ]
