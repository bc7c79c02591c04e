"""What two tasks of `gather` change keeps them from overlapping; what each has of its own does not."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
import time
from functools import partial
from typing import Any

import pytest

import whilst
from whilst.measuring.writes.common_state import changed_in_common

total = 0
log: list[str] = []
lock = threading.Lock()
sides = threading.Barrier(2)


class Account:
    def __init__(self) -> None:
        self.balance = 0
        self.names: list[str] = []

    def pay(self, amount: int) -> None:
        self.balance += amount

    def name(self, name: str) -> None:
        self.names.append(name)


def count(by: int) -> None:
    global total
    total = total + by


def count_locked(by: int) -> None:
    global total
    with lock:
        total += by


def note(text: str) -> None:
    log.append(text)


def change(account: Account) -> None:
    account.balance += 1


def put_down(path: str) -> None:
    with open(path, "w") as file:  # noqa: PTH123 - as its users write it
        file.write("x")


async def count_later() -> None:
    global total
    was = total
    await asyncio.sleep(0)
    total = was + 1


ONE, OTHER = Account(), Account()


@pytest.mark.parametrize(
    ("tasks", "what"),
    [
        ([partial(count, 1), partial(count, 2)], "the global total"),
        ([count_later, count_later], "the global total"),
        ([partial(note, "a"), partial(note, "b")], "log"),
        ([partial(ONE.pay, 1), partial(ONE.pay, 2)], "balance"),
        ([partial(change, ONE), partial(ONE.pay, 2)], "balance"),
        ([partial(put_down, "a.txt"), partial(put_down, "a.txt")], "a.txt"),
    ],
)
def test_what_two_tasks_change_is_seen(tasks: list[Any], what: str) -> None:
    assert what in changed_in_common([(task, (), {}) for task in tasks])


@pytest.mark.parametrize(
    "tasks",
    [
        [partial(ONE.pay, 1), partial(OTHER.pay, 2)],
        [partial(change, ONE), partial(change, OTHER)],
        [partial(ONE.pay, 1), partial(ONE.name, "a")],
        [partial(count_locked, 1), partial(count_locked, 2)],
        [partial(count, 1), partial(note, "a")],
        [partial(put_down, "a.txt"), partial(put_down, "b.txt")],
        [print, len],
    ],
)
def test_what_each_task_has_of_its_own_is_not(tasks: list[Any]) -> None:
    assert changed_in_common([(task, (), {}) for task in tasks]) == ""


state = {"value": 0}
settings: Any = logging.Formatter()
"""An object of a library's class."""
ready = False
orders: queue.Queue[int] = queue.Queue()


def sets_value() -> None:
    state["value"] = 1


def looks_at_value() -> int:
    return state["value"]


def looks_elsewhere() -> int:
    return len(log)


def sets_ready() -> None:
    global ready
    ready = True


def waits_for_ready() -> None:
    while not ready:
        time.sleep(0.001)


def looks_at_ready() -> bool:
    return ready


def sets_environment() -> None:
    os.environ["WHILST_TEST"] = "1"


def looks_at_environment() -> str | None:
    return os.getenv("WHILST_TEST")


def reads_file() -> str:
    with open("a.txt") as file:  # noqa: PTH123 - as its users write it
        return file.read()


def orders_one() -> None:
    orders.put(1)


def takes_one() -> int:
    return orders.get()


async def sets_value_later() -> None:
    await asyncio.sleep(0)
    state["value"] = 1


def numbers(_: object = None) -> int:
    state["value"] += 1
    return state["value"]


def calls_back() -> int:
    return int(settings.each())


@pytest.mark.parametrize(
    ("tasks", "what"),
    [
        ([sets_value, looks_at_value], "state"),
        ([looks_at_value, sets_value], "state"),
        ([sets_value_later, looks_at_value], "state"),
        ([sets_ready, looks_at_ready], "ready"),
        ([partial(ONE.pay, 1), lambda: ONE.balance], "balance"),
        ([sets_environment, looks_at_environment], "os.environ"),
        ([partial(put_down, "a.txt"), reads_file], "a.txt"),
        ([partial(os.chdir, "/"), reads_file], "the working directory"),
    ],
)
def test_what_one_changes_and_another_looks_at_is_seen(tasks: list[Any], what: str) -> None:
    found = changed_in_common([(task, (), {}) for task in tasks])
    assert found.startswith("one of the tasks changes")
    assert what in found


@pytest.mark.parametrize(
    "tasks",
    [
        [sets_value, looks_elsewhere],
        [sets_ready, waits_for_ready],
        [sets_environment, looks_elsewhere],
        [partial(put_down, "b.txt"), reads_file],
        [orders_one, takes_one],
        [partial(ONE.pay, 1), lambda: OTHER.balance],
        [looks_at_value, looks_at_value],
    ],
)
def test_what_another_does_not_look_at_or_waits_for_is_not(tasks: list[Any]) -> None:
    assert changed_in_common([(task, (), {}) for task in tasks]) == ""


def test_what_two_tasks_change_by_way_of_a_library_is_seen() -> None:
    settings.each = numbers
    assert "state" in changed_in_common([(calls_back, (), {})] * 2)
    settings.each = looks_at_value
    assert changed_in_common([(calls_back, (), {})] * 2) == ""


def test_tasks_that_change_the_same_take_turns_and_say_why() -> None:
    account = Account()
    results = whilst.gather(partial(account.pay, 1), partial(account.pay, 2))
    assert results.decision.mode == "sequential"
    assert "two of the tasks change" in results.decision.reason
    assert account.balance == 3


def test_tasks_that_have_nothing_in_common_overlap() -> None:
    def meet() -> int:
        return sides.wait(30)

    assert set(whilst.gather(meet, meet)) == {0, 1}
