"""The optimum of a small day, found and proved by OR-tools' CP-SAT (extra `whilst[optimal]`).

One optional interval for each operation and executor that may do it, no two overlapping on an executor; the solver
is asked for something strictly shorter than the plan in hand, so that "there is nothing" proves that plan.

Time is counted in the greatest common divisor of all lengths, and an interruptible operation is cut into pieces.
Neither loses the optimum. Given who does what, some optimal schedule is dispatched by fixed ranks (the Jackson
derivation, see `dispatching`), so all its times are sums of the given lengths; and there an operation is
interrupted only when another one becomes ready on its executor, at most once by each, so that it needs no more
pieces than one and those others. An operation has no more pieces than units, either: the smaller number is taken.

A search of one worker with a fixed seed does the same on every run; only where its time runs out depends on the
machine.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from whilst._light import has_gil
from whilst.errors import MissingExtraError, WhilstError
from whilst.planning.dispatching import Policy
from whilst.planning.paths import Paths, find_paths
from whilst.planning.problem import Problem, Schedule, granularity_ns

_CHILD: Final = f"from {__name__} import serve; serve()"
_MOST_INTERVALS: Final = 20_000
# Of the time that a search with interruptions may spend on one without, first.
_SHARE_OF_WHOLE: Final = 0.4


@dataclass(frozen=True, slots=True)
class Solved:
    """What the solver found out: a shorter schedule and its policy or None, a bound in nanoseconds, how it ended."""

    schedule: Schedule | None
    policy: Policy | None
    bound: int
    is_proved: bool
    account: str


def solve(problem: Problem, best: Schedule, bound_ns: int, limit_s: float, *, seed: int = 0) -> Solved:
    """Look for a schedule shorter than `best`, for at most `limit_s` seconds.

    Raises:
        MissingExtraError: OR-tools is not installed.
        KeyboardInterrupt: at once, with the solver stopped.
    """
    if is_gil_off():
        return _solve_in_child(problem, best, bound_ns, limit_s, seed)
    return _solve_here(problem, best, bound_ns, limit_s, seed)


def is_gil_off() -> bool:
    """Does this program run without the GIL? OR-tools would turn it on, for the rest of the program."""
    return not has_gil()


def _solve_in_child(problem: Problem, best: Schedule, bound_ns: int, limit_s: float, seed: int) -> Solved:
    import os
    import pickle
    import subprocess

    asked = pickle.dumps((problem, best, bound_ns, limit_s, seed))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=env,
        start_new_session=True,  # Ctrl-C is for the caller, who then ends it
    ) as child:
        try:
            answered, _ = child.communicate(asked)
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        raise WhilstError(f"The solver's process ended with exit code {child.returncode}; plan without optimal_s.")
    answer: Solved | Exception = pickle.loads(answered)
    if isinstance(answer, Exception):
        raise answer
    return answer


def serve() -> None:
    """Answer one question that comes by standard input: the whole of that process."""
    import pickle

    answer: Solved | Exception
    try:
        answer = _solve_here(*pickle.load(sys.stdin.buffer))
    except Exception as error:
        answer = error
    pickle.dump(answer, sys.stdout.buffer)


def _solve_here(problem: Problem, best: Schedule, bound_ns: int, limit_s: float, seed: int) -> Solved:
    cp_model = _import_solver()
    counts = _piece_counts(problem)
    intervals = sum(count * len(_able(problem, operation)) for operation, count in enumerate(counts))
    if intervals > _MOST_INTERVALS:
        account = f"the day is too large for the solver: {intervals:,} intervals, more than {_MOST_INTERVALS:,}"
        return Solved(None, None, bound_ns, False, account)
    search = _Search(cp_model, problem, bound_ns, seed)
    policy: Policy | None = None
    left_s = limit_s
    if max(counts, default=1) > 1:
        # Uninterrupted work is a far smaller search: what it finds is a schedule, though it proves nothing.
        found, spent_s = search.run([1] * len(counts), best, limit_s * _SHARE_OF_WHOLE)
        left_s = max(limit_s - spent_s, limit_s * (1 - _SHARE_OF_WHOLE))
        if found.schedule is not None:
            best, policy = found.schedule, found.policy
            if best.makespan <= bound_ns:
                return replace(found, bound=bound_ns, is_proved=True)
    solved, _ = search.run(counts, best, left_s)
    account = solved.account if solved.is_proved else f"the solver's {limit_s:g} s ran out"
    if solved.schedule is None and policy is not None:
        return replace(solved, schedule=best, policy=policy, account=account)
    return replace(solved, account=account)


@dataclass(frozen=True, slots=True)
class _Search:
    """What every question to the solver about one problem has in common."""

    cp_model: Any
    problem: Problem
    bound_ns: int
    seed: int

    def run(self, counts: Sequence[int], best: Schedule, limit_s: float) -> tuple[Solved, float]:
        """Ask for something shorter than `best`, in so many pieces; return the answer and the seconds it took."""
        cp_model = self.cp_model
        model = _Model(cp_model, self.problem, counts, best.makespan, self.bound_ns)
        solver = cp_model.CpSolver()
        solver.parameters.max_time_in_seconds = limit_s
        solver.parameters.random_seed = self.seed & 0x7FFFFFFF
        solver.parameters.num_workers = 1
        # CP-SAT's own handler would swallow Ctrl-C and return as if the time had run out.
        solver.parameters.catch_sigint_signal = False
        status = _run(solver, model.model)
        if status == cp_model.MODEL_INVALID:
            raise AssertionError(f"The solver refused its model: {model.model.validate()}")
        if status == cp_model.INFEASIBLE:
            return Solved(None, None, best.makespan, True, "proved by the solver"), solver.wall_time
        reached = self.bound_ns
        if math.isfinite(solver.best_objective_bound):
            reached = max(reached, math.ceil(solver.best_objective_bound - 1e-6) * model.unit)
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            policy = model.read(solver)
            schedule = policy.run(self.problem)
            is_proved = status == cp_model.OPTIMAL or schedule.makespan <= reached
            bound = schedule.makespan if is_proved else reached
            return Solved(schedule, policy, bound, is_proved, "proved by the solver"), solver.wall_time
        return Solved(None, None, min(reached, best.makespan), False, ""), solver.wall_time


def _import_solver() -> Any:
    try:
        from ortools.sat.python import cp_model
    except ImportError as error:
        raise MissingExtraError(
            "Proving an optimum needs OR-tools, which is not installed. Run: pip install 'whilst[optimal]', "
            "or plan without optimal_s (--optimal)."
        ) from error
    return cp_model


def _able(problem: Problem, operation: int) -> tuple[int, ...]:
    return problem.groups[problem.group[problem.task[operation]]]


def _run(solver: Any, model: Any) -> Any:
    """Solve in a thread, so that Ctrl-C reaches the caller, who then stops the search and waits for its end."""
    ended, given_up = threading.Event(), threading.Event()
    outcome: list[Any] = []

    def search() -> None:
        try:
            if not given_up.is_set():
                outcome.append(solver.solve(model))
        except BaseException as error:
            outcome.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=search, name="whilst solver")
    try:
        thread.start()
        # Not one long wait: a signal that another thread receives does not wake this one to handle it.
        while not ended.wait(0.05):
            pass
    finally:
        given_up.set()
        # Without an ident, Ctrl-C came within start() and the thread, should it begin yet, ends by itself at once.
        while thread.ident is not None and thread.is_alive():
            # Again and again, since a search that has not begun does not hear it; a second Ctrl-C changes nothing.
            with contextlib.suppress(KeyboardInterrupt):
                solver.stop_search()
                thread.join(0.01)
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def _piece_counts(problem: Problem) -> list[int]:
    """How many pieces suffice for each operation; see the module's text."""
    if not problem.is_preemptive:
        return [1] * len(problem.length)
    unit = granularity_ns(problem)
    ancestors = _ancestors(problem)
    counts = []
    arriving = [each for each in range(len(problem.length)) if not _is_there_at_start(problem, each)]
    for operation, length in enumerate(problem.length):
        task, able = problem.task[operation], set(_able(problem, operation))
        others = 0
        for each in arriving:
            other = problem.task[each]
            is_free = other != task and not (ancestors[task] >> other | ancestors[other] >> task) & 1
            others += is_free and not able.isdisjoint(_able(problem, each))
        counts.append(min(length // unit, 1 + others))
    return counts


def _is_there_at_start(problem: Problem, operation: int) -> bool:
    task = problem.task[operation]
    return operation == problem.first[task] and not problem.lead[task] and not problem.before[task]


def _ancestors(problem: Problem) -> list[int]:
    """For each task, the set of tasks it comes after, directly or not, as bits."""
    sets = [0] * len(problem.lead)
    for task in problem.order:
        for each in problem.before[task]:
            sets[task] |= sets[each] | 1 << each
    return sets


class _Model:
    """The problem in CP-SAT's terms, with times in units."""

    def __init__(self, cp_model: Any, problem: Problem, counts: Sequence[int], best_ns: int, bound_ns: int) -> None:
        self.problem = problem
        self.counts = counts
        self.unit = granularity_ns(problem)
        self.horizon = best_ns // self.unit - 1
        self.paths: Paths = find_paths(problem, sharpen=True)
        self.model = cp_model.CpModel()
        self.makespan = self.model.new_int_var(-(-bound_ns // self.unit), max(self.horizon, 0), "makespan")
        self.gives = self._assignments()
        self.starts: list[list[Any]] = []
        self.sizes: list[list[Any]] = []
        self.ends: list[list[Any]] = []
        on_executor: list[list[Any]] = [[] for _ in problem.executors]
        for operation in range(len(problem.length)):
            self._add_operation(operation, on_executor)
        for intervals in on_executor:
            self.model.add_no_overlap(intervals)
        self._add_order()
        self._add_loads()
        self.model.minimize(self.makespan)

    def _assignments(self) -> list[dict[int, Any]]:
        """For each task with work, one literal for each executor that may do it, exactly one true."""
        gives: list[dict[int, Any]] = []
        for task in range(len(self.problem.lead)):
            able = self.problem.groups[self.problem.group[task]]
            literals = {each: self.model.new_bool_var(f"task {task} by {each}") for each in able}
            self.model.add_exactly_one(literals.values())
            gives.append(literals)
        self._break_symmetry(gives)
        return gives

    def _break_symmetry(self, gives: list[dict[int, Any]]) -> None:
        """Executors that may do the same tasks are exchangeable: each is used first after the one before it."""
        alike: dict[tuple[int, ...], list[int]] = {}
        for executor in range(len(self.problem.executors)):
            groups = tuple(position for position, able in enumerate(self.problem.groups) if executor in able)
            alike.setdefault(groups, []).append(executor)
        for executors in alike.values():
            tasks = [each for each, literals in enumerate(gives) if executors[0] in literals]
            for one, other in itertools.pairwise(executors):
                for position, task in enumerate(tasks):
                    self.model.add(gives[task][other] <= sum(gives[each][one] for each in tasks[:position]))

    def _add_operation(self, operation: int, on_executor: list[list[Any]]) -> None:
        problem, model, unit = self.problem, self.model, self.unit
        length, count = problem.length[operation] // unit, self.counts[operation]
        earliest = self.paths.head[operation] // unit
        latest = self.horizon - self.paths.tail[operation] // unit
        starts: list[Any] = []
        sizes: list[Any] = []
        ends: list[Any] = []
        for piece in range(count):
            name = f"{operation}.{piece}"
            # An empty domain would be refused rather than found infeasible.
            start = model.new_int_var(earliest, max(earliest, latest), f"start {name}")
            end = model.new_int_var(earliest, max(earliest, latest), f"end {name}")
            size = length // count if count in (1, length) else model.new_int_var(0, length, f"size {name}")
            for executor, given in self.gives[problem.task[operation]].items():
                on_executor[executor].append(
                    model.new_optional_interval_var(start, size, end, given, f"interval {name} by {executor}")
                )
            model.add(start + size == end)
            if ends:
                model.add(start >= ends[-1])
            starts.append(start)
            sizes.append(size)
            ends.append(end)
        if count > 1:
            model.add(sum(sizes) == length)
        self.starts.append(starts)
        self.sizes.append(sizes)
        self.ends.append(ends)

    def _add_order(self) -> None:
        problem, unit = self.problem, self.unit
        complete: list[Any] = [None] * len(problem.lead)
        for task in problem.order:
            operations = problem.operations(task)
            lead = problem.lead[task] // unit
            if operations:
                for each in problem.before[task]:
                    self.model.add(self.starts[operations[0]][0] >= complete[each] + lead)
                for one, other in itertools.pairwise(operations):
                    self.model.add(self.starts[other][0] >= self.ends[one][-1] + problem.lag[one] // unit)
                complete[task] = self.ends[operations[-1]][-1] + problem.lag[operations[-1]] // unit
            else:
                done = self.model.new_int_var(lead, max(lead, self.horizon), f"done {task}")
                for each in problem.before[task]:
                    self.model.add(done >= complete[each] + lead)
                complete[task] = done
            self.model.add(self.makespan >= complete[task])

    def _add_loads(self) -> None:
        """No executor works longer than the makespan; implied, but the solver's linear relaxation uses it."""
        problem = self.problem
        for executor in range(len(problem.executors)):
            loads = [
                given * (problem.length[operation] // self.unit)
                for operation in range(len(problem.length))
                if (given := self.gives[problem.task[operation]].get(executor)) is not None
            ]
            if loads:
                self.model.add(sum(loads) <= self.makespan)

    def read(self, solver: Any) -> Policy:
        """The solution as a policy: run, it moves everything as early as the solution's order allows."""
        executor = [
            next((each for each, given in literals.items() if solver.boolean_value(given)), 0)
            for literals in self.gives
        ]
        if self.problem.is_preemptive:
            ends = [solver.value(pieces[-1]) for pieces in self.ends]
            return Policy(sorted(range(len(ends)), key=ends.__getitem__), True, executor)
        starts = [solver.value(pieces[0]) for pieces in self.starts]
        return Policy(sorted(range(len(starts)), key=starts.__getitem__), False, executor)
