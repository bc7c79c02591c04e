"""A store of what stands there already is a look: fewer executions, and the same outcomes as in all interleavings."""

from __future__ import annotations

import itertools
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from whilst.checking import check
from whilst.checking.explorer.explorer import Execution, Explorer, Program
from whilst.model.verdict import Answer

sys.path.insert(0, str(Path(__file__).parents[1]))

from brute_force import every_interleaving, searched

MOST = 4_000
STATEMENTS = ("A = None", "A = 1", "B = A", "A = B", "B = None", "log.append(A)", "if A is None:\n        B = 1")


def space_of(tasks: list[list[str]]) -> dict[str, Any]:
    """Functions of a module with two variables."""
    space: dict[str, Any] = {"__name__": "stores", "A": None, "B": None}
    for number, statements in enumerate(tasks):
        body = "\n    ".join(("global A, B", *statements))
        exec(f"def task_{number}(log):\n    {body}\n", space)
    exec("def setup():\n    global A, B\n    A = B = None\n    return []\n", space)
    return space


def programs() -> list[list[list[str]]]:
    draws = random.Random(5)
    sizes = itertools.cycle(((2, 3), (3, 2), (1, 1, 1), (2, 2, 1)))
    return [[draws.choices(STATEMENTS, k=size) for size in sizes_] for sizes_ in itertools.islice(sizes, 24)]


@pytest.mark.parametrize("tasks", programs(), ids=str)
def test_every_outcome_is_reached(tasks: list[list[str]]) -> None:
    space = space_of(tasks)
    found: set[str] = set()

    def outcome(execution: Execution) -> str:
        return f"{space['A']} {space['B']} {execution.state}"

    program = Program(space["setup"], tuple(space[f"task_{number}"] for number in range(len(tasks))))
    with Explorer(program) as explorer:
        searched(explorer, lambda _: None)  # finds the points
        report = searched(explorer, lambda execution: found.add(outcome(execution)))
        everything = [outcome(execution) for execution in every_interleaving(explorer, MOST)]
    assert found == set(everything)
    assert report.executions <= len(everything)


collector: Any = None


def forget() -> list[int]:
    global collector
    collector = None
    return []


def make_none() -> None:
    return None


def record_for_nobody(log: list[int]) -> int:
    """Asks each time for what is not to be had."""
    global collector
    if collector is None:
        collector = make_none()
        if collector is None:
            return 0
    log.append(1)
    return 1


def record_late(log: list[int]) -> int:
    global collector
    if collector is None:
        collector = [len(log)]
        log.append(1)
    return len(collector)


def test_two_that_store_what_stands_there_are_independent() -> None:
    verdict = check(forget, [record_for_nobody] * 3)
    assert verdict.answer is Answer.ISOLATED
    assert verdict.executions == 1


def test_one_that_stores_something_else_is_not() -> None:
    assert check(forget, [record_late] * 2).answer is Answer.NOT_ISOLATED
    assert check(forget, [record_for_nobody, record_late]).answer is Answer.NOT_ISOLATED
