"""The field's name for what went wrong, from nothing but the order of accesses."""

from __future__ import annotations

from pathlib import Path

import pytest

from whilst.checking.engine.events import Access, Blocked, Op, SourceLocation, Status, TaskResult
from whilst.checking.explain.conflicts import Named, conflicts_of, is_in_condition
from whilst.checking.explain.patterns import name_of
from whilst.checking.explorer.explorer import Execution
from whilst.model.verdict import Answer

NAMES = ("ann", "bob", "cyd")
SOURCE = """\
def act(d):
    if d.x:
        d.y = 1
    z = d.x
    d.x = z + 1
    while d.y and d.x:
        d.y = [a for a in d.z if d.x]
    d.x = 1 if d.y else 2
"""


class Recorded(Execution):
    """An execution whose accesses are given, and who waits for whom at its end."""

    given: tuple[Access, ...] = ()
    waiting: tuple[Blocked, ...] = ()

    def accesses(self) -> tuple[Access, ...]:
        return self.given

    @property
    def blocked(self) -> tuple[Blocked, ...]:
        return self.waiting


def accesses_of(text: str, file: str = "bank.py") -> tuple[Access, ...]:
    """ "R0x W1x" -> task 0 reads x, task 1 writes x; a digit behind is the line."""
    made = []
    for index, word in enumerate(text.split()):
        op = Op.READ if word[0] == "R" else Op.WRITE
        line = int(word[3:] or 4)
        location = SourceLocation(file, line, "act", 0, line, 7, 10)
        made.append(
            Access(index, int(word[1]), 0, op, f"state.{word[2]}", word[2], 1, location, is_write=op is Op.WRITE)
        )
    return tuple(made)


def named(
    text: str,
    file: str = "bank.py",
    answer: Answer = Answer.NOT_ISOLATED,
    *,
    blocked: tuple[Blocked, ...] = (),
    results: tuple[TaskResult, ...] = (),
) -> Named:
    execution = Recorded((), Status.DONE, None, results)
    execution.given, execution.waiting = accesses_of(text, file), blocked
    return name_of(answer, execution, NAMES)


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("R0x R1x W1x W0x", "lost update"),
        ("R0x W1x W0x", "lost update"),
        ("R0x R1y W0y W1x", "write skew"),
        ("W0x W1x W1y W0y", "dirty write"),
        ("W0x R1x W0x", "dirty read"),
        ("R0x W1x R0x", "unrepeatable read"),
        ("R0x W1x W1y R0y", "read skew"),
        ("W1x R0x R0y W1y", "read skew"),
        ("W0x W1x", "interference"),
    ],
)
def test_each_order_of_accesses_has_its_name(text: str, pattern: str) -> None:
    assert named(text).pattern == pattern


def test_the_sentence_names_tasks_things_and_lines() -> None:
    found = named("R1x4 W2x5 W1x5")
    assert "bob reads state.x, cyd writes it" in found.sentence
    assert found.accesses == (0, 1, 2)


def test_a_read_in_a_condition_is_check_then_act(tmp_path: Path) -> None:
    file = tmp_path / "act.py"
    file.write_text(SOURCE)
    assert named("R0x2 R1x2 W1x3 W0x3", str(file)).pattern == "check-then-act"
    assert named("R0x2 W1x3 W0y3", str(file)).pattern == "check-then-act"
    assert named("R0x4 R1x4 W1x5 W0x5", str(file)).pattern == "lost update"
    assert named("W1x3 R0x2 R0y3 W1y3", str(file)).pattern == "early publication"
    assert named("R0x2 W1x3 R0x5", str(file)).pattern == "check-then-act"


@pytest.mark.parametrize(
    ("line", "column", "expected"),
    [(2, 7, True), (3, 8, False), (4, 8, False), (6, 10, True), (7, 33, True), (7, 22, False), (8, 15, True)],
)
def test_conditions_are_found_where_they_stand(tmp_path: Path, line: int, column: int, expected: bool) -> None:
    file = tmp_path / "act.py"
    file.write_text(SOURCE)
    assert is_in_condition(SourceLocation(str(file), line, "act", 0, line, column, column + 1)) is expected


def test_the_whole_of_a_thing_conflicts_with_each_of_its_keys() -> None:
    first, second = accesses_of("W0x R1y")
    whole = Access(1, 1, 0, Op.READ, "state", None, 1, second.location)
    assert conflicts_of([first, second]) == [set(), set()]
    assert conflicts_of([first, whole]) == [{1}, {0}]


def test_only_the_nearest_conflicts_are_marked() -> None:
    assert conflicts_of(accesses_of("W0x W0x R1x R1x")) == [set(), {2, 3}, {1}, {1}]


def blocked(task: int, target: str, holder: int | None, line: int = 7) -> Blocked:
    location = SourceLocation("bank.py", line, "act", 0)
    return Blocked(task, Op.ACQUIRE, target, 1, location, holder, location if holder is not None else None)


def test_a_cycle_of_locks_is_spelled_out() -> None:
    stuck = (blocked(0, "state.b", 1, 20), blocked(1, "state.a", 0, 10), blocked(2, "state.a", 0, 10))
    found = named("", answer=Answer.DEADLOCK, blocked=stuck)
    assert found.pattern == "deadlock"
    assert "ann holds state.a (taken in line 10) and waits for state.b" in found.sentence
    assert "bob holds state.b (taken in line 20) and waits for state.a" in found.sentence


def test_a_lock_taken_twice_by_one_task_is_named() -> None:
    found = named("", answer=Answer.DEADLOCK, blocked=(blocked(1, "state.a", 1, 10),))
    assert found.pattern == "deadlock"
    assert "bob waits for state.a (line 10), which it has taken itself in line 10" in found.sentence


def test_a_lock_that_its_holder_took_along_is_named() -> None:
    found = named("", answer=Answer.DEADLOCK, blocked=(blocked(1, "state.a", 0, 10),))
    assert found.pattern == "lock never released"


def test_a_wake_up_before_the_wait_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "act.py"
    file.write_text("def act(d):\n    d.condition.notify()\n")
    found = named("W0x2", str(file), Answer.DEADLOCK, blocked=(blocked(1, "state.condition", None),))
    assert found.pattern == "lost wake-up"
    assert named("W0x1", str(file), Answer.DEADLOCK, blocked=(blocked(1, "q", None),)).pattern == "waits for ever"


def test_an_exception_is_named_with_its_task() -> None:
    results = (TaskResult(True), TaskResult(True, None, KeyError("k")))
    found = named("R0x R1x W1x W0x", answer=Answer.RAISES, results=results)
    assert found.sentence.startswith("bob raises KeyError('k'), as in no sequential order: ann reads state.x")


def test_changes_of_two_tasks_in_turns_have_a_name() -> None:
    found = named("W0x W1x W0x")
    assert found.pattern == "atomicity violation"
    assert found.accesses == (0, 1, 2)
