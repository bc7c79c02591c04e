"""jobs=: several processes run exactly what one runs, and leave nothing behind."""

from __future__ import annotations

import functools
import importlib
import itertools
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from whilst.checking import api as verbs
from whilst.checking import check
from whilst.checking.search import parallel as parallel
from whilst.checking.search.parallel import KnownSites, ParallelSearch
from whilst.checking.search.search import SearchConfig
from whilst.checking.search.subtrees import SubtreeQueue
from whilst.model.verdict import Answer

SOURCE = """
import threading

class State:
    def __init__(self):
        self.x, self.y, self.d, self.lock = 0, 0, {}, threading.Lock()

def nothing(state):
    return 0

def locked_1(s):
    with s.lock: s.x += 1
    with s.lock: s.y += 1

def locked_2(s):
    with s.lock: s.x += 2
    with s.lock: s.y += 2
    with s.lock: s.x += 2

def locked_3(s):
    with s.lock: s.x += 3
    with s.lock: s.y += 3
    with s.lock: s.x += 3

def plain_1(s):
    s.x = 1; s.y = s.x; s.d["a"] = s.y

def plain_2(s):
    s.x = 2; s.y = s.x; s.d["b"] = s.y

def plain_3(s):
    s.y += 1; s.x += 1

def spawns(s):
    thread = threading.Thread(target=plain_1, args=(s,))
    thread.start()
    s.x += 1
    thread.join()

"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "spread_programs.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("spread_programs")
    del sys.modules["spread_programs"]


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[ParallelSearch]:
    """Start workers at once, and wait for them before going on alone."""
    monkeypatch.setattr(
        verbs, "SearchConfig", functools.partial(SearchConfig, parallel_after_s=0.0, random_executions=0)
    )
    made: list[ParallelSearch] = []
    init = ParallelSearch.__init__

    def noted(self: ParallelSearch, *args: Any) -> None:
        init(self, *args)
        made.append(self)

    monkeypatch.setattr(ParallelSearch, "__init__", noted)
    return made


@pytest.fixture
def patient(searches: list[ParallelSearch], monkeypatch: pytest.MonkeyPatch) -> list[ParallelSearch]:
    """Go on only when the workers are ready, so that they get their share."""
    start = ParallelSearch.start

    def and_wait(self: ParallelSearch) -> None:
        start(self)
        while not all(worker.is_ready or worker.is_dead for worker in self.workers):
            self.answers(SubtreeQueue(), KnownSites(0, frozenset(), {}, {}), 10)

    monkeypatch.setattr(ParallelSearch, "start", and_wait)
    return searches


def checked(module: ModuleType, tasks: tuple[str, ...], jobs: int) -> Any:
    functions = [getattr(module, name) for name in tasks]
    return check(module.State, functions, outcome=module.nothing, jobs=jobs, budget="100000 executions")


NAMES = ("locked_1", "locked_2", "locked_3", "plain_1", "plain_2", "plain_3", "spawns")
PAIRS = list(itertools.combinations(NAMES, 2))


def test_twenty_programs_have_as_many_executions_in_two_processes(module: Any, searches: list[ParallelSearch]) -> None:
    for tasks in PAIRS:
        alone, shared = checked(module, tasks, 1), checked(module, tasks, 2)
        assert (shared.answer, shared.executions) == (alone.answer, alone.executions), tasks
        assert not shared.reason
    assert searches


@pytest.mark.parametrize("forks", [True, False])
def test_workers_do_their_share_of_a_large_tree(
    module: Any, patient: list[ParallelSearch], monkeypatch: pytest.MonkeyPatch, forks: bool
) -> None:
    if not forks:  # where there are other threads, a worker is a fresh interpreter
        monkeypatch.setattr(parallel, "can_fork", lambda: False)
    tasks = ("locked_1", "locked_2", "locked_3")
    alone, shared = checked(module, tasks, 1), checked(module, tasks, 2)
    assert shared.executions == alone.executions == 560
    assert shared.answer is alone.answer is Answer.ISOLATED
    assert patient[0].executions > 0


def test_a_worker_that_is_killed_loses_nothing(
    module: Any, patient: list[ParallelSearch], monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_out = ParallelSearch.hand_out

    def and_kill(self: ParallelSearch, *args: Any) -> None:
        hand_out(self, *args)
        for worker in self.workers:
            if worker.given and not worker.is_dead:
                worker.process.kill()

    monkeypatch.setattr(ParallelSearch, "hand_out", and_kill)
    verdict = checked(module, ("locked_1", "locked_2", "locked_3"), 3)
    assert verdict.executions == 560
    assert patient[0].trouble


def test_ctrl_c_leaves_no_helper(module: Any, patient: list[ParallelSearch], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: ParallelSearch, *_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ParallelSearch, "answers", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checked(module, ("locked_1", "locked_2", "locked_3"), 3)
    assert patient
    assert not patient[0].workers


def test_local_functions_are_checked_in_one_process_and_the_verdict_says_so() -> None:
    verdict = check(dict, [lambda d: d.get("a"), lambda d: d.get("b")], jobs=4)
    assert verdict.is_isolated
    assert any("jobs=4 was not used" in each for each in verdict.assumed)


def test_a_search_goes_on_from_where_it_was_when_workers_come(
    module: Any, patient: list[ParallelSearch], monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_over: list[int] = []
    going_on = SubtreeQueue.going_on

    def noted(left: Any) -> SubtreeQueue:
        handed_over.append(len(left.nodes))
        return going_on(left)

    monkeypatch.setattr(SubtreeQueue, "going_on", noted)
    assert checked(module, ("locked_1", "locked_2", "locked_3"), 2).executions == 560
    assert handed_over


def test_a_worker_that_is_gone_before_it_is_given_anything_loses_nothing(
    module: Any, patient: list[ParallelSearch], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = ParallelSearch.start

    def and_kill(self: ParallelSearch) -> None:
        start(self)
        for worker in self.workers:
            worker.process.kill()
            worker.process.wait()

    monkeypatch.setattr(ParallelSearch, "start", and_kill)
    verdict = checked(module, ("locked_1", "locked_2", "locked_3"), 3)
    assert verdict.executions == 560
    assert patient[0].trouble
