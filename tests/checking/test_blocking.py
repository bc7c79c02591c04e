"""A check ends, whatever its tasks wait for: functions of the standard library as tasks, and real system calls."""

from __future__ import annotations

import asyncio
import functools
import os
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from whilst.checking import check
from whilst.checking.explorer.explorer import Limits
from whilst.model.verdict import Answer

LOCK = type(threading.Lock())


@pytest.mark.parametrize(
    ("setup", "tasks", "answer"),
    [
        (lambda: threading.Barrier(2), [threading.Barrier.wait] * 2, Answer.INCONCLUSIVE),
        (queue.Queue, [queue.Queue.get, functools.partial(queue.Queue.put, item=1)], Answer.ISOLATED),
        (queue.Queue, [queue.Queue.get] * 2, Answer.DEADLOCK),
        (threading.Lock, [LOCK.acquire] * 2, Answer.DEADLOCK),
        (queue.SimpleQueue, [queue.SimpleQueue.get] * 2, Answer.DEADLOCK),
        (threading.Event, [threading.Event.wait, threading.Event.set], Answer.ISOLATED),
    ],
)
def test_functions_of_the_standard_library_are_tasks_like_others(
    setup: Callable[[], Any], tasks: list[Callable[..., Any]], answer: Answer
) -> None:
    assert check(setup, tasks, budget=20).answer is answer


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_a_read_that_never_ends_is_the_reason_of_the_verdict(pipe: tuple[int, int]) -> None:
    def read(ends: tuple[int, int]) -> bytes:
        return os.read(ends[0], 1)

    verdict = check(lambda: pipe, [read, lambda _: None], limits=Limits(seconds=0.2))
    assert verdict.answer is Answer.INCONCLUSIVE
    assert "test_blocking.py" in verdict.reason
    assert "does not model" in verdict.reason


def test_a_receive_that_never_ends_is_the_reason_of_the_verdict() -> None:
    here, there = socket.socketpair()
    with here, there:
        verdict = check(lambda: here, [lambda s: s.recv(1), lambda _: None], limits=Limits(seconds=0.2))
    assert verdict.answer is Answer.INCONCLUSIVE
    assert "does not model" in verdict.reason


def test_what_an_event_loop_here_has_not_is_the_reason_of_the_verdict() -> None:
    async def start(_: object) -> None:
        await asyncio.create_subprocess_exec("true")

    verdict = check(lambda: None, [start, start])
    assert verdict.answer is Answer.INCONCLUSIVE
    assert "subprocess_exec of an asyncio event loop is not modelled" in verdict.reason


def test_code_made_anew_in_every_execution_comes_to_a_verdict() -> None:
    def make_and_call(table: dict[str, int]) -> None:
        names: dict[str, Any] = {}
        exec("def count(table):\n    table['n'] = table.get('n', 0) + 1", names)
        names["count"](table)

    assert check(dict, [make_and_call] * 2, budget="2000 executions").answer is Answer.NOT_ISOLATED


def test_unwinding_says_nothing_of_finalisers(capfd: pytest.CaptureFixture[str]) -> None:
    class Held:
        def __init__(self, state: Any) -> None:
            self.state = state

        def __del__(self) -> None:
            self.state.count += 1

    class State:
        def __init__(self) -> None:
            self.count, self.one, self.other = 0, threading.Lock(), threading.Lock()

    def forwards(state: State) -> None:
        held = Held(state)
        with state.one, state.other:
            del held

    def backwards(state: State) -> None:
        held = Held(state)
        with state.other, state.one:
            del held

    assert check(State, [forwards, backwards]).answer is Answer.DEADLOCK
    assert not capfd.readouterr().err
