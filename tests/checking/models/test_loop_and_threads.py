"""A coroutine and the threads that it starts: what it awaits may have ended by then, or not, and both are seen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from whilst.checking import check
from whilst.model.verdict import Answer


class State:
    """A number, what was seen of it, and its lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.number = 0
        self.seen: list[int] = []

    def add(self) -> None:
        with self.lock:
            self.number += 1

    def outcome(self) -> tuple[int, list[int]]:
        return self.number, self.seen


async def goes_on_meanwhile(state: Any) -> None:
    ended = asyncio.get_running_loop().run_in_executor(None, state.add)
    state.add()
    await asyncio.sleep(0)
    state.add()
    await ended
    state.seen.append(state.number)


async def starts_two(state: Any) -> None:
    loop = asyncio.get_running_loop()
    first, second = loop.run_in_executor(None, state.add), loop.run_in_executor(None, state.add)
    state.add()
    await first
    state.add()
    await second
    state.seen.append(state.number)


async def looks_too_early(state: Any) -> None:
    ended = asyncio.get_running_loop().run_in_executor(None, state.add)
    state.add()
    await asyncio.sleep(0)
    state.seen.append(state.number)
    await ended


@pytest.mark.parametrize("task", [goes_on_meanwhile, starts_two])
def test_awaiting_what_a_thread_may_have_ended_is_proved(task: Callable[..., Any]) -> None:
    verdict = check(State, [task], outcome=State.outcome)
    assert verdict.answer is Answer.ISOLATED, verdict.reason


def test_looking_before_the_await_is_found() -> None:
    assert check(State, [looks_too_early], outcome=State.outcome).answer is Answer.NOT_ISOLATED
