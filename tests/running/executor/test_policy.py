"""An Executor without a mode: which of its calls stay in threads, which go to processes, and that all are made once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import nullcontext
from functools import partial

import pytest

from whilst.model import Mode
from whilst.running.executor.executor import Executor
from whilst.running.executor.policy import Thresholds
from whilst.running.executor.thread import SortingThread

counted: dict[int, int] = {}


@pytest.fixture(autouse=True)
def every_call_is_worth_moving(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever the machine is doing: the core counts as kept busy, and as worth a process."""
    always = Thresholds(more_than_cores=0, idle=0.0, second_core=float("inf"), works_ns=0, worth_ns=0)
    monkeypatch.setattr(SortingThread, "thresholds", always)
    yield
    counted.clear()


def where(_number: int) -> tuple[int, int]:
    return sum(range(20_000)), os.getpid()


def at_length(_number: int) -> int:
    return sum(range(1_000_000))


def whose(number: int) -> int:
    counted[number] = counted.get(number, 0) + 1
    return os.getpid()


def processes(futures: list[Future[tuple[int, int]]]) -> set[int]:
    return {future.result(60)[1] for future in futures}


def test_calls_that_work_go_to_processes_and_later_ones_at_once() -> None:
    with Executor() as executor:
        futures = [executor.submit(where, k) for k in range(300)]
        assert {future.result(60)[0] for future in futures} == {sum(range(20_000))}
        decision = executor.decision
        lanes = executor.timeline.executors
        later = processes([executor.submit(where, k) for k in range(4)])
    assert len(processes(futures)) > 1
    assert os.getpid() not in later
    assert decision.mode in (Mode.PARALLEL, Mode.COMBINED)
    assert "go to processes" in decision.history[0].text
    assert any(lane.startswith("thread") for lane in lanes)
    assert any(not lane.startswith("thread") for lane in lanes)


def test_map_in_chunks_goes_there_too() -> None:
    with Executor() as executor:
        assert len({pid for _, pid in executor.map(where, range(600), chunksize=3)}) > 1


def test_a_function_that_writes_what_a_worker_would_lose_stays_here() -> None:
    with Executor() as executor:
        futures = [executor.submit(whose, k) for k in range(200)]
        assert {future.result(60) for future in futures} == {os.getpid()}
        decision = executor.decision
    assert counted == dict.fromkeys(range(200), 1)
    assert decision.mode is Mode.CONCURRENT
    assert "counted" in str(decision)


def test_a_call_whose_argument_cannot_be_sent_stays_here() -> None:
    def kind(value: object) -> str:
        return f"{type(value).__name__}{sum(range(20_000))}"

    with Executor() as executor:
        for _ in range(2):  # the second time the function's calls go to processes at once
            items = [threading.Lock() if k % 5 == 4 else k for k in range(200)]
            names = [executor.submit(kind, item) for item in items]
            assert {future.result(60)[:3] for future in names} == {"int", "loc"}
        assert executor.decision.history


def through(fn: Callable[[int], int]) -> Callable[[int], int]:
    """As a decorator: one code for whatever it wraps."""

    def wrapper(number: int) -> int:
        return fn(number)

    return wrapper


def here(number: int) -> int:
    return sum(range(20_000)) and os.getpid() + 0 * number


def apply(fn: Callable[[int], int], number: int) -> int:
    return fn(number)


@pytest.mark.parametrize("is_wrapped", [True, False], ids=["a wrapper", "an argument"])
def test_what_is_known_of_one_function_says_nothing_of_another_behind_the_same_code(is_wrapped: bool) -> None:
    with Executor() as executor:
        for fn in (here, whose):
            submit = partial(executor.submit, through(fn)) if is_wrapped else partial(executor.submit, apply, fn)
            for future in [submit(k) for k in range(200)]:
                future.result(60)
    assert counted == dict.fromkeys(range(200), 1)


def test_calls_of_other_functions_stay_in_threads() -> None:
    here = threading.local()
    here.name = "main"
    with Executor() as executor:
        futures = [executor.submit(where, k) for k in range(300)]
        others = [executor.submit(lambda: (os.getpid(), hasattr(here, "name"))) for _ in range(20)]
        assert len(processes(futures)) > 1
        assert {future.result(60) for future in others} == {(os.getpid(), False)}


def test_what_was_moved_is_cancelled_with_the_rest() -> None:
    gate = threading.Event()

    def held() -> bool:
        return gate.wait(60)

    executor = Executor()
    futures = [executor.submit(at_length, k) for k in range(300)]
    futures[5].result(60)  # the others take long enough for this thread to be kept from going on, and still be first
    waiting = [executor.submit(held) for _ in range(200)]
    gate.set()
    executor.shutdown(cancel_futures=True)
    for future in (*futures, *waiting):
        assert future.done()
        with pytest.raises(CancelledError) if future.cancelled() else nullcontext():
            future.result(0)
    assert any(future.cancelled() for future in futures)


def test_a_shut_down_waits_for_what_was_moved() -> None:
    executor = Executor()
    futures = [executor.submit(where, k) for k in range(300)]
    executor.shutdown(wait=True)
    assert all(future.done() for future in futures)
    assert len(processes(futures)) > 1


def test_draws_by_a_seed_stay_with_their_numbers() -> None:
    with Executor(seed=7) as executor:
        futures = [executor.submit(where, k) for k in range(100)]
        assert processes(futures) == {os.getpid()}
