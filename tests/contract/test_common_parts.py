"""Items that have parts in common with each other, or with the function: `auto` gives what a `for` loop gives."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

import whilst

COUNT = 12


def work() -> None:
    end = time.thread_time() + 0.006
    while time.thread_time() < end:
        pass


def pause(number: int) -> None:
    time.sleep(0.004 if number % 2 else 0.002)


class Account:
    def __init__(self) -> None:
        self.total = 0


class Transfer:
    def __init__(self, account: Account, number: int) -> None:
        self.account, self.number = account, number

    def make(self) -> int:
        total = self.account.total
        pause(self.number)
        self.account.total = total + self.number
        return self.account.total


def transfers() -> list[Transfer]:
    accounts = [Account(), Account()]
    return [Transfer(accounts[k % 2], k) for k in range(COUNT)]


class Node:
    def __init__(self, number: int, before: Node | None) -> None:
        self.number, self.before, self.is_done = number, before, False


def nodes() -> list[Node]:
    return list(itertools.accumulate(range(COUNT), lambda before, k: Node(k, before), initial=Node(0, None)))


def is_done_before(node: Node) -> bool:
    pause(node.number)
    node.is_done = True
    return node.before is None or node.before.is_done


def add(pair: tuple[list[int], int]) -> int:
    pause(pair[1])
    pair[0].append(pair[1])
    return len(pair[0])


def smear(view: Any) -> float:
    pause(int(view[0]))
    view[5:] += view[0]
    return float(view.sum())


def overlapping() -> list[Any]:
    base = np.arange(200.0)
    return [base[k * 5 : k * 5 + 40] for k in range(COUNT)]


def draw(held: dict[Any, Any]) -> int:
    work()
    return int(next(held["numbers"]))


def holding_one_iterator() -> list[dict[Any, Any]]:
    numbers = itertools.count()
    return [{**dict.fromkeys(range(300), k), "numbers": numbers} for k in range(COUNT)]


def number_from(pair: tuple[random.Random, int]) -> float:
    pause(pair[1])
    return pair[0].random()


class Owner:
    pass


MISSING, FIRST, SECOND = Owner(), Owner(), Owner()
PRICES = {FIRST: 1, SECOND: 2}


class Row:
    def __init__(self, number: int) -> None:
        self.number = number
        self.owner = FIRST if number % 2 else SECOND
        self.value = MISSING if number % 3 else number


def rows() -> list[Row]:
    return [Row(k) for k in range(3 * COUNT)]


def price(row: Row) -> int:
    work()
    return PRICES.get(row.owner, 0)


def is_missing(row: Row) -> bool:
    work()
    return row.value == MISSING


CASES: dict[str, tuple[Callable[[], Sequence[Any]], Callable[[Any], object]]] = {
    "an object that is changed by a method": (transfers, Transfer.make),
    "each other": (nodes, is_done_before),
    "a list": (lambda: list(zip([[0]] * COUNT, range(COUNT), strict=True)), add),
    "memory": (overlapping, smear),
    "an iterator": (holding_one_iterator, draw),
    "a generator": (lambda: list(zip([random.Random(3)] * COUNT, range(COUNT), strict=True)), number_from),
    "keys of the function's": (rows, price),
    "a sentinel of the function's": (rows, is_missing),
}


@pytest.mark.parametrize("name", CASES)
def test_results_are_those_of_a_loop(name: str) -> None:
    make, call = CASES[name]
    assert list(whilst.map(call, make())) == [call(item) for item in make()]


def test_coroutines_that_change_a_common_part_take_turns() -> None:
    async def change(transfer: Transfer) -> int:
        total = transfer.account.total
        await asyncio.sleep(0)
        transfer.account.total = total + transfer.number
        return transfer.account.total

    results = whilst.map(change, transfers())
    assert list(results) == [transfer.make() for transfer in transfers()]
    assert "its own argument" in str(results.decision)


class Page:
    def __init__(self, number: int, session: Account) -> None:
        self.number, self.session, self.text = number, session, ""

    def fetch(self) -> str:
        pause(0)
        self.text = str(self.number + self.session.total)
        return self.text


def keep(page: dict[str, Any]) -> int:
    pause(0)
    page["answer"] = page["number"] + page["settings"]["limit"]
    return int(page["answer"])


def test_what_is_only_read_may_be_common() -> None:
    session, settings = Account(), {"limit": 3}
    pages = [Page(k, session) for k in range(30)]
    results = whilst.map(Page.fetch, pages)
    assert list(results) == [page.text for page in pages] == [str(k) for k in range(30)]
    assert results.decision.mode == "concurrent"
    held = whilst.map(keep, [{"number": k, "settings": settings} for k in range(30)])
    assert list(held) == list(range(3, 33))
    assert held.decision.mode == "concurrent"


def test_whoever_reads_results_may_change_the_items_to_come() -> None:
    """As a running total does: the loop then has to take turns with its calls."""

    def total(cell: list[int]) -> int:
        pause(1)
        return cell[0]

    cells = [[k] for k in range(1, 21)]  # from the first result on they change
    for number, result in enumerate(whilst.imap(total, cells)):
        if number + 1 < len(cells):
            cells[number + 1][0] += result
    assert [cell[0] for cell in cells] == list(itertools.accumulate(range(1, 21)))


class Guarded:
    def __init__(self) -> None:
        self.lock = threading.RLock()


def wait_guarded(item: Guarded) -> bool:
    with item.lock:
        time.sleep(0.002)
        return True


@pytest.mark.parametrize("is_held", [True, False])
def test_a_lock_of_an_item_that_this_thread_holds_keeps_calls_here(*, is_held: bool) -> None:
    """Another thread would wait for it for ever, since the lock is given back only after the run."""
    items = [Guarded() for _ in range(40)]
    with items[-1].lock if is_held else contextlib.nullcontext():
        results = whilst.map(wait_guarded, items)
    assert list(results) == [True] * 40
    assert (results.decision.mode.value == "sequential") is is_held


def add_to(account: Account, number: int) -> int:
    total = account.total
    pause(number)
    account.total = total + number
    return account.total


def pairs_with_method() -> list[Any]:
    account = Account()
    return [(functools.partial(add_to, account), k) for k in range(COUNT)]


def make_pair(pair: tuple[Callable[[int], int], int]) -> int:
    do, number = pair
    return do(number)


def rows_of_one_array() -> list[Any]:
    return list(np.arange(48.0).reshape(COUNT, 4))


def double(row: Any) -> float:
    np.multiply(row, 2, out=row)
    pause(1)
    return float(row.sum())


@pytest.mark.parametrize(
    ("make", "call", "left"),
    [
        (pairs_with_method, make_pair, lambda items: items[0][0].args[0].total),
        (rows_of_one_array, double, lambda items: float(items[0].base.sum())),
    ],
)
def test_what_calls_do_to_what_items_hold_is_done_here(make: Any, call: Any, left: Any) -> None:
    items, others = make(), make()
    assert list(whilst.map(call, items)) == [call(item) for item in others]
    assert left(items) == left(others)


class Entry(NamedTuple):
    account: Account
    number: int


def enter(entry: Entry) -> int:
    return add_to(entry.account, entry.number)


HERE = threading.local()


def remember(number: int) -> int:
    HERE.held = getattr(HERE, "held", None) or {}
    HERE.held[number] = True
    pause(number)
    return len(HERE.held)


def test_what_named_tuples_hold_and_what_a_thread_gathers_is_seen_to_change() -> None:
    account, other = Account(), Account()
    entries, others = ([Entry(each, k) for k in range(COUNT)] for each in (account, other))
    assert list(whilst.map(enter, entries)) == [enter(each) for each in others]
    assert account.total == other.total
    assert list(whilst.map(remember, range(COUNT))) == list(range(1, COUNT + 1))
