"""Budgets, bounds, samples, random switches; replay; and that nothing is left behind whatever happens."""

from __future__ import annotations

import ctypes
import gc
import mmap
import random
import threading
from typing import Any

import pytest

from whilst.checking.explorer.explorer import Execution, Explorer, Program
from whilst.checking.search.search import Guarantee, Progress, SearchConfig, _Spent, search


class Counter:
    def __init__(self) -> None:
        self.value = 0
        self.lock = threading.Lock()


def add(s: Counter) -> None:
    s.value += 1


def add_often(s: Counter) -> None:
    for _ in range(8):
        s.value += 1


def add_locked(s: Counter) -> None:
    with s.lock:
        s.value += 1


def values(*tasks: Any, **how: Any) -> tuple[Any, set[int]]:
    found = set()

    def note(execution: Execution) -> bool:
        found.add(execution.state.value)
        return False

    with Explorer(Program(Counter, tasks)) as explorer:
        return search(explorer, SearchConfig(**how), note), found


@pytest.mark.parametrize(("tasks", "runs"), [(2, 4), (3, 36), (4, 576)])
def test_lost_updates_take_as_many_executions_as_there_are_traces(tasks: int, runs: int) -> None:
    report, found = values(*[add] * tasks, is_symmetric=False)
    assert (report.executions, report.redundant) == (runs, 0)
    assert found == set(range(1, tasks + 1))


@pytest.mark.parametrize(("task", "tasks", "runs"), [(add, 4, 105), (add, 5, 945), (add_locked, 5, 1)])
def test_identical_tasks_are_run_in_one_order_alone(task: Any, tasks: int, runs: int) -> None:
    report, found = values(*[task] * tasks)
    assert (report.executions, report.redundant) == (runs, 0)
    assert found == (set(range(1, tasks + 1)) if task is add else {tasks})


class Late(Counter):
    def __init__(self) -> None:
        super().__init__()
        self.is_open, self.more = False, 0


def look_then_add(s: Late) -> None:
    is_open = s.is_open
    for _ in range(3):
        s.value += 1
    if is_open:
        s.more += 1


def open_then_add(s: Late) -> None:
    s.is_open = True
    for _ in range(3):
        s.value += 1
    s.more += 1


def test_what_an_early_switch_alone_shows_to_be_shared_is_learnt_early() -> None:
    found = set()

    def note(execution: Execution) -> bool:
        found.add((execution.state.value, execution.state.more))
        return False

    with Explorer(Program(Late, (look_then_add, open_then_add))) as explorer:
        report = search(explorer, SearchConfig(random_executions=0), note)
    assert report.guarantee is Guarantee.EVERY_INTERLEAVING
    assert found == {(value, more) for value in range(2, 7) for more in (1, 2)}
    assert 64 < report.warm_up < 100


def test_preemptions_are_bounded_one_after_the_other() -> None:
    report, found = values(add, add, add, preemptions=0)
    assert report.guarantee is Guarantee.PREEMPTIONS
    assert found == {3}
    assert values(add, add, add, preemptions=1)[1] == {1, 2, 3}


def test_an_execution_that_the_budget_cuts_short_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def add_locked_often(s: Counter) -> None:
        for _ in range(100):
            add_locked(s)

    monkeypatch.setattr(_Spent, "ends_at", 0.0)  # as if all time were gone; who is done before he looks is not cut
    assert values(*[add_locked] * 2)[0].guarantee is Guarantee.EVERY_INTERLEAVING
    report, found = values(*[add_locked_often] * 2)
    assert (report.guarantee, report.executions, found) == (Guarantee.NONE, 0, set())
    assert report.reason == "the budget was used up"


def test_out_of_budget_it_falls_back_and_says_how_far_it_got() -> None:
    report, found = values(add_often, add_often, add_often, add_often, budget_executions=400, budget_s=None)
    assert report.guarantee in (Guarantee.PREEMPTIONS, Guarantee.SAMPLED)
    assert report.reason == "the budget was used up"
    assert report.estimate is not None
    assert report.estimate > 400
    assert len(found) > 1


def test_stops_at_once_when_told_to() -> None:
    with Explorer(Program(Counter, (add, add, add, add))) as explorer:
        report = search(explorer, SearchConfig(), lambda execution: execution.state.value < 4)
    assert report.guarantee is Guarantee.STOPPED
    assert report.executions < 10


def test_choices_and_points_repeat_an_execution_elsewhere() -> None:
    lost: list[Execution] = []

    def note(execution: Execution) -> bool:
        if execution.state.value == 1:
            lost.append(execution)
        return bool(lost)

    with Explorer(Program(Counter, (add, add))) as explorer:
        search(explorer, SearchConfig(), note)
    with Explorer(Program(Counter, (add, add)), site_keys=lost[0].site_keys) as explorer:
        again = explorer.run(lost[0].choices, record=True)
    assert again.choices == lost[0].choices
    assert again.state.value == 1
    assert [access.value for access in again.accesses()] == ["0", "0", "1", "1"]
    assert [access.target for access in again.accesses()] == ["state.value"] * 4
    assert [access.can_switch_with_gil for access in again.accesses() if access.is_write] == [False, False]


def test_random_switches_bring_out_state_that_is_not_seen() -> None:
    class Hidden:
        def __init__(self) -> None:
            self.memory = ctypes.c_int(0)
            self.address = ctypes.addressof(self.memory)

    def add_in_memory(s: Hidden) -> None:
        number = ctypes.c_int.from_address(s.address).value
        ctypes.c_int.from_address(s.address).value = number + 1

    def is_wrong(execution: Execution) -> bool:
        return bool(execution.state.memory.value != 2)

    config = SearchConfig(random_executions=500)
    with Explorer(Program(Hidden, (add_in_memory, add_in_memory))) as explorer:
        report = search(explorer, config, is_wrong, objection=is_wrong)
    assert report.guarantee is Guarantee.EVERY_INTERLEAVING
    assert report.executions == 1
    assert report.hidden[0].startswith("hidden state: ")
    assert "test_search.py" in report.hidden[0]


def test_what_a_bounded_search_did_not_come_to_is_no_hidden_state() -> None:
    with Explorer(Program(Counter, (add, add))) as explorer:
        report = search(
            explorer,
            SearchConfig(preemptions=0, random_executions=100),
            lambda _: False,
            objection=lambda execution: execution.state.value < 2,
        )
    assert report.guarantee is Guarantee.PREEMPTIONS
    assert report.hidden[0].startswith("beyond what was searched, a random schedule of single instructions ended")


def test_what_lies_outside_the_process_is_one_shared_thing_and_said() -> None:
    class Mapped:
        def __init__(self) -> None:
            self.memory = mmap.mmap(-1, 8)

    def add_in_memory(s: Mapped) -> None:
        s.memory.seek(0)
        number = s.memory.read_byte()
        s.memory.seek(0)
        s.memory.write_byte(number + 1)

    found = []
    with Explorer(Program(Mapped, (add_in_memory, add_in_memory))) as explorer:
        search(explorer, SearchConfig(), lambda execution: found.append(execution.state.memory[0]) or False)
        assumed = [each.what for each in explorer.assumptions]
    assert 1 in found
    assert any("files" in each for each in assumed)


def test_random_switches_find_nothing_in_what_is_isolated() -> None:
    with Explorer(Program(Counter, (add_locked, add_locked))) as explorer:
        report = search(
            explorer, SearchConfig(), lambda _: False, objection=lambda execution: execution.state.value != 2
        )
    assert report.random_executions == 20
    assert not report.hidden


def add_in_between(s: Late) -> None:
    value = s.value
    s.value = value + 1
    if s.value != value + 1:
        s.more += 1


def test_what_is_met_in_a_bounded_search_alone_leaves_the_search_as_it_is() -> None:
    """An execution that meets something new is made once more to be looked at, which a picker would not survive."""
    with Explorer(Program(Late, (add_in_between,) * 2)) as explorer:
        report = search(explorer, SearchConfig(preemptions=1, random_executions=0), lambda _: False)
    assert (report.guarantee, report.preemptions) == (Guarantee.PREEMPTIONS, 1)


def draw_and_add(s: Counter) -> None:
    random.Random(1).choice([1, 2])
    for _ in range(3):
        s.value += 1


def test_random_schedules_ahead_of_a_long_search_draw_unwatched() -> None:
    """The tasks draw as well: from then on the code of `random` is watched."""
    with Explorer(Program(Counter, (draw_and_add, draw_and_add))) as explorer:
        report = search(explorer, SearchConfig(is_symmetric=False, random_executions=0), lambda _: False)
    assert report.executions > 64
    assert report.guarantee is Guarantee.EVERY_INTERLEAVING


def test_progress_is_told() -> None:
    told: list[Progress] = []
    values(*[add] * 5, is_symmetric=False, budget_s=1.5, on_progress=told.append, random_executions=0)
    assert told
    assert told[-1].executions > 0


def interrupt(s: Counter) -> None:
    s.value += 1
    raise KeyboardInterrupt


def test_ctrl_c_leaves_everything_as_it_was() -> None:
    before = interrupt.__code__, add.__code__
    with pytest.raises(KeyboardInterrupt), Explorer(Program(Counter, (add, interrupt))) as explorer:
        search(explorer, SearchConfig(), lambda _: False)
    assert (interrupt.__code__, add.__code__) == before
    assert gc.isenabled()


def test_error_in_setup_leaves_everything_as_it_was() -> None:
    def setup() -> Counter:
        raise LookupError("no state")

    before = add.__code__
    with pytest.raises(LookupError), Explorer(Program(setup, (add,))) as explorer:
        search(explorer, SearchConfig(), lambda _: False)
    assert add.__code__ is before
    assert gc.isenabled()


def test_with_and_finally_are_unwound_at_a_deadlock() -> None:
    class Two:
        def __init__(self) -> None:
            self.a, self.b = threading.Lock(), threading.Lock()
            self.left: list[str] = []

    def one(s: Two) -> None:
        try:
            with s.a, s.b:
                pass
        finally:
            s.left.append("one")

    def two(s: Two) -> None:
        try:
            with s.b, s.a:
                pass
        finally:
            s.left.append("two")

    deadlocks: list[Execution] = []

    def note(execution: Execution) -> bool:
        if execution.status.value == "deadlock":
            deadlocks.append(execution)
        return False

    with Explorer(Program(Two, (one, two))) as explorer:
        search(explorer, SearchConfig(), note)
    assert len(deadlocks) == 1
    state = deadlocks[0].state
    assert isinstance(state, Two)
    assert sorted(state.left) == ["one", "two"]
    assert not state.a.locked()
    assert not state.b.locked()
    blocked = deadlocks[0].blocked
    assert [(each.task, each.holder, each.target) for each in blocked] == [(0, 1, "state.b"), (1, 0, "state.a")]
    assert all(each.holder_location is not None for each in blocked)
