"""The search against brute force: as many executions as there are traces, the same outcomes, nothing redundant."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from brute_force import State, every_interleaving, outcome, program, random_programs, searched, trace_of

from whilst.checking.explorer.explorer import Execution, Explorer, Program
from whilst.checking.search.search import Guarantee

MOST = 4_000
PROGRAMS = list(random_programs(90, seed=11))


@pytest.mark.parametrize("tasks", PROGRAMS, ids=[f"{n}" for n in range(len(PROGRAMS))])
def test_runs_each_trace_exactly_once_and_reaches_every_outcome(tasks: list[list[str]]) -> None:
    seen: list[tuple[frozenset[object], str]] = []

    def note(execution: Execution) -> None:
        seen.append((trace_of(execution), outcome(execution)))

    with Explorer(program(tasks)) as explorer:
        report = searched(explorer, lambda execution: None)  # finds the points
        report = searched(explorer, note)
        all_traces, all_outcomes = set(), set()
        try:
            for execution in every_interleaving(explorer, MOST):
                all_traces.add(trace_of(execution))
                all_outcomes.add(outcome(execution))
        except TimeoutError:
            pytest.skip("too many interleavings to run them all")
    assert report.guarantee is Guarantee.EVERY_INTERLEAVING
    assert report.redundant == 0
    assert {each for _, each in seen} == all_outcomes
    assert len({trace for trace, _ in seen}) == len(seen), "a trace was run twice"
    assert {trace for trace, _ in seen} == all_traces
    assert report.executions == len(all_traces)


def try_first(state: State) -> None:
    state.x = int(state.lock.acquire(blocking=False))


def try_second(state: State) -> None:
    state.y = int(state.lock.acquire(blocking=False))


def look(state: State) -> None:
    state.z = int(state.lock.locked())


@pytest.mark.parametrize(
    "tasks",
    list(itertools.permutations((try_first, try_second, look))),
    ids=lambda tasks: "-".join(task.__name__ for task in tasks),
)
def test_a_try_that_failed_may_succeed_when_it_goes_first(tasks: tuple[Callable[[State], None], ...]) -> None:
    """What a look and a failed try come to hangs on who was there before: neither stands for the other."""
    seen: list[str] = []
    with Explorer(Program(State, tasks)) as explorer:
        searched(explorer, lambda _: None)
        report = searched(explorer, lambda execution: seen.append(outcome(execution)))
        everything = {outcome(execution) for execution in every_interleaving(explorer, MOST)}
    assert set(seen) == everything
    assert report.executions == 4
    assert report.redundant == 0
