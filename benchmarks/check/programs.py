"""The programs that checkers are measured on: setup, tasks, and what has to hold at the end."""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """One program; `is_safe` says what the truth is."""

    setup: Callable[[], Any]
    tasks: list[Callable[[Any], Any]]
    holds: Callable[[Any], bool]
    is_safe: bool


class Counter:
    def __init__(self) -> None:
        self.value = 0
        self.other = 0
        self.lock = threading.Lock()


def add(state: Any) -> None:
    value = state.value
    state.value = value + 1


def add_locked(state: Any) -> None:
    with state.lock:
        state.value += 1


def write_value(state: Any) -> None:
    for _ in range(3):
        state.value += 1


def write_other(state: Any) -> None:
    for _ in range(3):
        state.other += 1


class Bank:
    def __init__(self) -> None:
        self.a = self.b = 100


def transfer_there(bank: Any) -> None:
    bank.a -= 10
    bank.b += 10


def transfer_back(bank: Any) -> None:
    bank.b -= 5
    bank.a += 5


class Cache:
    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self.computed = 0


def look_up(cache: Any) -> None:
    if "key" not in cache.known:
        cache.computed += 1
        cache.known["key"] = 42


class Once:
    def __init__(self) -> None:
        self.thing: object = None
        self.made = 0
        self.lock = threading.Lock()


def double_checked(once: Any) -> None:
    if once.thing is None:
        with once.lock:
            if once.thing is None:
                once.made += 1
                once.thing = 42


class TwoLocks:
    def __init__(self) -> None:
        self.first, self.second = threading.Lock(), threading.Lock()
        self.value = 0


def forwards(state: Any) -> None:
    with state.first, state.second:
        state.value += 1


def backwards(state: Any) -> None:
    with state.second, state.first:
        state.value += 1


class Table:
    def __init__(self) -> None:
        self.forks = [threading.Lock() for _ in range(3)]
        self.meals = 0


def philosopher(seat: int) -> Callable[[Any], None]:
    def eat(table: Any) -> None:
        left, right = table.forks[seat], table.forks[(seat + 1) % 3]
        with left, right:
            table.meals += 1

    return eat


class Bounded:
    def __init__(self) -> None:
        self.items: list[int] = []
        self.changed = threading.Condition()
        self.taken: list[int] = []


def produce(buffer: Any) -> None:
    for number in range(2):
        with buffer.changed:
            while len(buffer.items) >= 1:
                buffer.changed.wait()
            buffer.items.append(number)
            buffer.changed.notify_all()


def consume(buffer: Any) -> None:
    for _ in range(2):
        with buffer.changed:
            while not buffer.items:
                buffer.changed.wait()
            buffer.taken.append(buffer.items.pop(0))
            buffer.changed.notify_all()


class HandOver:
    def __init__(self) -> None:
        self.queue: queue.Queue[int] = queue.Queue()
        self.taken: list[int] = []


def put(state: Any) -> None:
    for number in range(2):
        state.queue.put(number)


def get(state: Any) -> None:
    for _ in range(2):
        state.taken.append(state.queue.get())


class Log:
    def __init__(self) -> None:
        self.lines: list[int] = []


def append_length(log: Any) -> None:
    log.lines.append(len(log.lines))


class Lru:
    def __init__(self) -> None:
        self.kept: OrderedDict[int, int] = OrderedDict()
        self.lock = threading.Lock()


def fetch(key: int) -> Callable[[Any], int]:
    def get_or_make(cache: Any) -> int:
        with cache.lock:
            if key in cache.kept:
                cache.kept.move_to_end(key)
            else:
                cache.kept[key] = key * key
                if len(cache.kept) > 2:
                    cache.kept.popitem(last=False)
            return int(cache.kept[key])

    return get_or_make


def counts_to(number: int) -> Callable[[Any], bool]:
    return lambda state: bool(state.value == number)


CASES: dict[str, Case] = {
    "lost update, 2 tasks": Case(Counter, [add] * 2, counts_to(2), False),
    "lost update, 3 tasks": Case(Counter, [add] * 3, counts_to(3), False),
    "lost update, 4 tasks": Case(Counter, [add] * 4, counts_to(4), False),
    "two-account transfer": Case(Bank, [transfer_there, transfer_back], lambda b: b.a + b.b == 200, False),
    "check-then-act cache": Case(Cache, [look_up] * 2, lambda c: c.computed == 1, False),
    "double-checked init": Case(Once, [double_checked] * 2, lambda o: o.made == 1, True),
    "two locks crossed": Case(TwoLocks, [forwards, backwards], counts_to(2), False),
    "three philosophers": Case(Table, [philosopher(k) for k in range(3)], lambda t: t.meals == 3, False),
    "bounded buffer": Case(Bounded, [produce, consume], lambda b: b.taken == [0, 1], True),
    "queue hand-over": Case(HandOver, [put, get], lambda s: s.taken == [0, 1], True),
    "list append and len": Case(Log, [append_length] * 2, lambda s: s.lines == [0, 1], False),
    "locked counter, 3 tasks": Case(Counter, [add_locked] * 3, counts_to(3), True),
    "disjoint attributes": Case(Counter, [write_value, write_other], lambda s: s.value == s.other == 3, True),
    "locked LRU cache": Case(Lru, [fetch(1), fetch(2), fetch(3)], lambda s: len(s.kept) == 2, True),
}
