"""What two tasks of `gather` change keeps them from overlapping; what each has of its own does not."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import Any

import pytest

import whilst
from whilst.measuring.writes.common_writes import changed_by_two

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
    assert what in changed_by_two([(task, (), {}) for task in tasks])


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
    assert changed_by_two([(task, (), {}) for task in tasks]) == ""


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
