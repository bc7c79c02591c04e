"""The solver: exact, interruptible, honest about what it did not reach."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time

import pytest

from whilst.errors import MissingExtraError, WhilstError
from whilst.model import Day, Mode, Task, wait, work
from whilst.planning import plan, solving
from whilst.planning.dispatching import Policy
from whilst.planning.problem import granularity_ns, likely_lengths_ns, make_problem
from whilst.planning.solving import solve

# Jobs of an open line: the dispatcher's rules all miss the optimum of this one by a little.
HARD = Day(
    ("e0", "e1", "e2"),
    tuple(Task(f"t{number}", (work(length),)) for number, length in enumerate((7, 7, 6, 6, 5, 5, 4, 4, 4))),
)


def hard_day(size: int, seed: int) -> Day:
    """A job shop in disguise: long chains across executors, which no rule plans well."""
    source = random.Random(seed)
    team = tuple(f"e{number}" for number in range(size))
    made = []
    for chain in range(size):
        for stage, who in enumerate(source.sample(team, size)):
            after = (f"t{chain}.{stage - 1}",) if stage else ()
            made.append(Task(f"t{chain}.{stage}", (work(source.randint(1, 99)),), after, (who,)))
    return Day(team, tuple(made))


def test_whole_tasks_are_packed_to_the_optimum() -> None:
    planned = plan(HARD, "parallel", optimal_s=60)
    assert (planned.makespan_s, planned.is_optimal) == (16, True)


@pytest.mark.parametrize("mode", [Mode.CONCURRENT, Mode.PARALLEL, Mode.COMBINED])
def test_from_a_poor_schedule_and_no_bound_the_solver_gets_to_the_plan_that_its_bound_proves(mode: Mode) -> None:
    source = random.Random(3)
    proved = 0
    for _ in range(12):
        steps = (
            tuple(source.choice((work, work, wait))(source.randint(1, 4)) for _ in range(source.randint(1, 4)))
            for _ in range(5)
        )
        day = Day(("e0", "e1"), tuple(Task(f"t{number}", each) for number, each in enumerate(steps)))
        planned = plan(day, mode)
        problem = make_problem(
            day, mode, day.executors if mode.uses_several_executors else day.executors[:1], likely_lengths_ns(day)
        )
        poor = Policy(list(range(len(problem.length)))[::-1]).run(problem)
        if planned.is_optimal and poor.makespan > planned.makespan_ns:
            proved += 1
            solved = solve(problem, poor, 0, 60)
            assert solved.is_proved
            assert solved.schedule is not None
            assert solved.schedule.makespan == solved.bound == planned.makespan_ns
            assert solved.bound % granularity_ns(problem) == 0
    assert proved > 0


def test_a_solver_that_runs_out_of_time_says_so_and_reports_the_bound_it_reached() -> None:
    day = hard_day(10, seed=1)
    quick = plan(day, "parallel")
    planned = plan(day, "parallel", optimal_s=0.05)
    assert not planned.is_optimal
    assert planned.proof == "not proved: the solver's 0.05 s ran out"
    assert quick.bound_ns <= planned.bound_ns <= planned.makespan_ns <= quick.makespan_ns
    assert "not proved" in planned.table()[1]


def test_a_day_too_large_for_the_solver_is_said_to_be() -> None:
    source = random.Random(1)
    team = tuple(f"e{number}" for number in range(40))
    day = Day(team, tuple(Task(f"t{number}", (work(source.randint(500, 999)),)) for number in range(600)))
    planned = plan(day, "parallel", optimal_s=60)
    assert planned.is_optimal or "too large for the solver: 24,000 intervals" in planned.proof


def test_the_same_seed_gives_the_same_optimum() -> None:
    day = hard_day(4, seed=2)
    assert plan(day, "parallel", optimal_s=60) == plan(day, "parallel", optimal_s=60)


def test_without_a_gil_the_solver_has_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would turn the GIL on, for the rest of the program."""
    day = hard_day(4, seed=2)
    here = plan(day, "parallel", optimal_s=60)
    monkeypatch.setattr(solving, "is_gil_off", lambda: True)
    monkeypatch.setitem(sys.modules, "ortools.sat.python.cp_model", None)  # not loaded here
    assert plan(day, "parallel", optimal_s=60) == here
    monkeypatch.setattr(solving, "_CHILD", "raise SystemExit(3)")
    with pytest.raises(WhilstError, match="ended with exit code 3"):
        plan(day, "parallel", optimal_s=60)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    day = hard_day(6, seed=4)
    monkeypatch.setattr(solving, "is_gil_off", lambda: False)
    assert not plan(day, "parallel").is_optimal
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    monkeypatch.setitem(sys.modules, "ortools.sat.python.cp_model", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'whilst\[optimal\]'"):
        plan(day, "parallel", optimal_s=1)


@pytest.mark.skipif(solving.is_gil_off(), reason="without a GIL the solver is a process, which is killed")
def test_ctrl_c_ends_the_solver_at_once_and_leaves_no_thread() -> None:
    day = hard_day(14, seed=3)
    seen = threading.Event()

    def interrupt() -> None:
        while not any(thread.name == "whilst solver" for thread in threading.enumerate()):
            if seen.wait(0.01):
                return
        signal.raise_signal(signal.SIGINT)

    watcher = threading.Thread(target=interrupt)
    watcher.start()
    begin = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            plan(day, "parallel", optimal_s=100)
    finally:
        seen.set()
        watcher.join()
    # Not a claim about speed: the solver was given 100 s and did not take them.
    assert time.monotonic() - begin < 60
    assert not any(thread.name == "whilst solver" for thread in threading.enumerate())
