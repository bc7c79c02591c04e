"""Coroutine tasks that look again after a sleep: they wait for what they look at, and no check goes round for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from whilst.checking import check, replay
from whilst.checking.engine.events import Status
from whilst.checking.explorer.explorer import Explorer, Limits, Program
from whilst.model.verdict import Answer


class State:
    """What the small programs share."""

    def __init__(self) -> None:
        self.flag = self.stop = False
        self.count = self.ticks = self.seen = 0


async def set_flag(s: Any) -> None:
    await asyncio.sleep(0)
    s.flag = True


async def wait_for_flag(s: Any) -> None:
    while not s.flag:
        await asyncio.sleep(0.01)
    s.count += 1


async def back_off(s: Any) -> None:
    tries = 0
    while not s.flag:
        tries += 1
        await asyncio.sleep(0.01 * tries)
    s.count += 1


async def wait_until_deadline(s: Any) -> None:
    ends_at = asyncio.get_running_loop().time() + 5
    while not s.flag:
        if asyncio.get_running_loop().time() > ends_at:
            raise TimeoutError
        await asyncio.sleep(0.01)
    s.count += 1


async def locked_by_flag(s: Any) -> None:
    while s.flag:
        await asyncio.sleep(0.01)
    s.flag = True
    value = s.count
    await asyncio.sleep(0)
    s.count = value + 1
    s.flag = False


async def locked_too_late(s: Any) -> None:
    while s.flag:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0)
    s.flag = True
    value = s.count
    await asyncio.sleep(0)
    s.count = value + 1
    s.flag = False


def count(s: Any) -> int:
    return int(s.count)


@pytest.mark.parametrize("waiter", [wait_for_flag, back_off, wait_until_deadline])
def test_a_task_that_looks_again_after_a_sleep_waits_for_what_it_looks_at(waiter: Callable[..., Any]) -> None:
    verdict = check(State, [waiter, set_flag], outcome=count)
    assert verdict.answer is Answer.ISOLATED
    assert verdict.executions <= 12


@pytest.mark.parametrize("tasks", [2, 3])
def test_tasks_that_poll_for_each_other_are_proved(tasks: int) -> None:
    assert check(State, [locked_by_flag] * tasks, outcome=count).answer is Answer.ISOLATED


def test_what_lies_between_the_look_and_the_act_is_found() -> None:
    verdict = check(State, [locked_too_late] * 2, outcome=count)
    assert verdict.answer is Answer.NOT_ISOLATED
    assert replay(verdict.token, State, [locked_too_late] * 2, outcome=count).answer is Answer.NOT_ISOLATED


async def tick(s: Any) -> None:
    while not s.stop:
        s.ticks += 1
        await asyncio.sleep(0.1)


async def look_and_stop(s: Any) -> None:
    await asyncio.sleep(0)
    s.seen = s.ticks
    s.stop = True


def test_a_round_that_changes_what_others_look_at_is_no_waiting() -> None:
    with Explorer(Program(State, (tick, look_and_stop)), Limits(steps=300)) as explorer:
        explorer.run(())
        explorer.learn()
        assert explorer.run(()).status is Status.TOO_LONG


async def wait_for_stop(s: Any) -> None:
    while not s.stop:
        await asyncio.sleep(0.01)
    s.flag = True


async def stop_after_flag(s: Any) -> None:
    while not s.flag:
        await asyncio.sleep(0.01)
    s.stop = True


def test_two_that_wait_for_each_other_come_to_an_end() -> None:
    with Explorer(Program(State, (wait_for_stop, stop_after_flag))) as explorer:
        assert explorer.run(()).status is Status.SPINNING
