"""Coroutine tasks: steps that have nothing to do with each other are not reordered, and nothing is missed for it."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from brute_force import every_interleaving, searched, trace_of

from whilst.checking import check
from whilst.checking.explorer.explorer import Execution, Explorer, Program
from whilst.checking.search.search import Guarantee, SearchConfig, search
from whilst.model.verdict import Answer

MOST = 400


class State:
    """What the small programs share."""

    def __init__(self) -> None:
        self.x = self.y = self.z = 0
        self.items: list[int] = []
        self.made: Any = None
        self.lock = asyncio.Lock()
        self.event = asyncio.Event()
        self.queue: asyncio.Queue[int] = asyncio.Queue()
        self.semaphore = asyncio.Semaphore(1)


async def child(s: Any) -> int:
    s.x += 1
    await asyncio.sleep(0)
    s.x += 1
    return int(s.x)


async def idle(s: Any) -> None:
    await asyncio.sleep(1)
    s.z += 1


STATEMENTS = {
    "add to x": ["s.x += 1"],
    "add to y": ["s.y += 1"],
    "write z": ["s.z = {n}"],
    "copy": ["s.z = s.x"],
    "append": ["s.items.append({n})"],
    "torn x": ["v = s.x", "await asyncio.sleep(0)", "s.x = v + 1"],
    "torn own": ["s.own_{t} = 1", "await asyncio.sleep(1)", "s.own_{t} += 1"],
    "yield": ["await asyncio.sleep(0)"],
    "sleep": ["await asyncio.sleep(1)"],
    "locked": ["async with s.lock:", "    s.x += 1", "    await asyncio.sleep(0)", "    s.x += 1"],
    "acquire": ["await s.lock.acquire()", "s.y = {n}", "s.lock.release()"],
    "semaphore": ["async with s.semaphore:", "    s.z += 1"],
    "set": ["s.event.set()"],
    "is set": ["s.y = s.event.is_set()"],
    "wait": ["await s.event.wait()"],
    "put": ["await s.queue.put({n})"],
    "get": ["s.y = await s.queue.get()"],
    "make": ["s.made = asyncio.create_task(child(s))"],
    "await child": ["s.z = await asyncio.create_task(child(s))"],
    "gather": ["await asyncio.gather(child(s), idle(s))"],
    "cancel": ["s.made and s.made.cancel()"],
    "join": ["if s.made:", "    await asyncio.wait([s.made])", "    s.y = s.made.cancelled()"],
    "call": ["await idle(s)"],
    "hasty": ["try:", "    await asyncio.wait_for(s.event.wait(), 1)", "except TimeoutError:", "    s.z = {n}"],
    "who": ["s.made = asyncio.current_task()"],
}


def program(tasks: list[list[str]]) -> Program:
    lines = []
    for number, names in enumerate(tasks):
        lines.append(f"async def task_{number}(s):")
        for position, name in enumerate(names):
            lines += ["    " + text.format(t=number, n=10 * number + position + 1) for text in STATEMENTS[name]]
    space: dict[str, Any] = {"__name__": "small_program", "asyncio": asyncio, "child": child, "idle": idle}
    exec(compile("\n".join(lines), f"<{tasks!r}>", "exec"), space)
    return Program(State, tuple(space[f"task_{number}"] for number in range(len(tasks))))


def random_programs(count: int, seed: int) -> Iterator[list[list[str]]]:
    draws = random.Random(seed)
    for _ in range(count):
        tasks = draws.choice((2, 2, 2, 3))
        most = 3 if tasks == 2 else 2
        yield [draws.choices(sorted(STATEMENTS), k=draws.randint(1, most)) for _ in range(tasks)]


def outcome(execution: Execution) -> str:
    state: Any = execution.state
    if execution.status.value != "done":
        return f"{execution.status.value} {[blocked.task for blocked in execution.blocked]}"
    values = {key: value for key, value in sorted(vars(state).items()) if isinstance(value, (int, list))}
    return f"{values} {[type(result.error).__name__ for result in execution.results[:3]]}"


PROGRAMS = list(random_programs(70, seed=5))


@pytest.mark.parametrize("tasks", PROGRAMS, ids=[f"{n}" for n in range(len(PROGRAMS))])
def test_each_trace_of_steps_is_run_once_and_every_outcome_reached(tasks: list[list[str]]) -> None:
    seen: list[tuple[frozenset[object], str]] = []
    with Explorer(program(tasks)) as explorer:
        config = SearchConfig(budget_s=None, budget_executions=200, is_symmetric=False, random_executions=0)
        report = search(explorer, config, lambda _: False)  # finds out which steps depend on each other
        if report.guarantee is not Guarantee.EVERY_INTERLEAVING:
            pytest.skip("too many traces to run all interleavings")
        report = searched(explorer, lambda execution: seen.append((trace_of(execution), outcome(execution))))
        traces, outcomes = set(), set()
        try:
            for execution in every_interleaving(explorer, MOST):
                traces.add(trace_of(execution))
                outcomes.add(outcome(execution))
        except TimeoutError:
            pytest.skip("too many interleavings to run them all")
        assert not explorer.learn(), "an interleaving that the search left out shows a conflict"
    assert report.guarantee is Guarantee.EVERY_INTERLEAVING
    assert {each for _, each in seen} == outcomes
    assert len({trace for trace, _ in seen}) == len(seen), "a trace was run twice"
    assert {trace for trace, _ in seen} == traces
    assert report.redundant == 0


async def count_x(s: Any) -> None:
    for _ in range(3):
        s.x += 1
        await asyncio.sleep(0)


async def count_y(s: Any) -> None:
    for _ in range(3):
        s.y += 1
        await asyncio.sleep(1)


async def torn(s: Any) -> None:
    value = s.x
    await asyncio.sleep(0)
    s.x = value + 1


def test_steps_that_share_nothing_are_run_in_one_order() -> None:
    with Explorer(Program(State, (count_x, count_y))) as explorer:
        assert searched(explorer, lambda execution: None).executions == 1


def test_a_step_is_shown_where_it_goes_on_with_what_others_have_to_do_with() -> None:
    verdict = check(State, [torn, torn])
    assert verdict.answer is Answer.NOT_ISOLATED
    assert verdict.counterexample is not None
    first = torn.__code__.co_firstlineno
    moments = verdict.counterexample.moments
    lines = [moment.line for moment in moments if moment.action == "resume"]
    assert sorted(lines) == [first, first, first + 2, first + 2]
    touched = [(moment.action, moment.value) for moment in moments if moment.target == "state.x"]
    assert touched == [("read", "0"), ("read", "0"), ("write", "1"), ("write", "1")]
