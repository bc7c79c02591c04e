"""Protocols for exclusion and hand-over from the literature: drivers, bakeries, pots of stew, stacks without locks.

The stopping driver is Qadeer and Wu's (KISS, PLDI 2004), the string buffer JDK 1.4's; the savages and the rooms with a
light switch are Downey's ("The Little Book of Semaphores"), the stack is Treiber's, the queue Michael and Scott's.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import Any


class Driver:
    def __init__(self) -> None:
        self.pending, self.is_stopping, self.is_stopped, self.has_failed = 1, False, False, False
        self.lock, self.event = threading.Lock(), threading.Event()

    def enter(self) -> bool:
        if self.is_stopping:
            return False
        with self.lock:
            self.pending += 1
        return True

    def enter_at_once(self) -> bool:
        with self.lock:
            if self.is_stopping:
                return False
            self.pending += 1
            return True

    def leave(self) -> None:
        with self.lock:
            self.pending -= 1
            is_last = self.pending == 0
        if is_last:
            self.event.set()

    def stop(self) -> None:
        with self.lock:
            self.is_stopping = True
        self.leave()
        self.event.wait()
        self.is_stopped = True


def dispatch(driver: Driver) -> None:
    if driver.enter():
        driver.has_failed = driver.has_failed or driver.is_stopped
        driver.leave()


def dispatch_at_once(driver: Driver) -> None:
    if driver.enter_at_once():
        driver.has_failed = driver.has_failed or driver.is_stopped
        driver.leave()


class Gate:
    """Two tasks' wishes, whose turn it is, and what they count."""

    def __init__(self) -> None:
        self.wants, self.turn, self.count = [False, False], 0, 0


def looks_before_it_wants(gate: Gate, me: int) -> None:
    while gate.wants[1 - me]:
        pass
    gate.wants[me] = True
    count = gate.count
    gate.count = count + 1
    gate.wants[me] = False


def dekker(gate: Gate, me: int) -> None:
    other = 1 - me
    gate.wants[me] = True
    while gate.wants[other]:
        if gate.turn == other:
            gate.wants[me] = False
            while gate.turn == other:
                pass
            gate.wants[me] = True
    count = gate.count
    gate.count = count + 1
    gate.turn = other
    gate.wants[me] = False


class Bakery:
    def __init__(self) -> None:
        self.is_choosing, self.numbers, self.count = [False, False], [0, 0], 0


def bakery(shop: Bakery, me: int, says_so: bool) -> None:
    other = 1 - me
    if says_so:
        shop.is_choosing[me] = True
    shop.numbers[me] = 1 + max(shop.numbers)
    if says_so:
        shop.is_choosing[me] = False
        while shop.is_choosing[other]:
            pass
    while shop.numbers[other] and (shop.numbers[other], other) < (shop.numbers[me], me):
        pass
    count = shop.count
    shop.count = count + 1
    shop.numbers[me] = 0


class Text:
    def __init__(self, text: str) -> None:
        self.lock, self.characters = threading.RLock(), list(text)

    def __len__(self) -> int:
        with self.lock:
            return len(self.characters)

    def first(self, count: int) -> list[str]:
        with self.lock:
            if count > len(self.characters):
                raise IndexError(count)
            return self.characters[:count]

    def clear(self) -> None:
        with self.lock:
            self.characters.clear()

    def append(self, other: Text) -> None:
        with self.lock:
            self.characters += other.first(len(other))

    def append_at_once(self, other: Text) -> None:
        with self.lock, other.lock:
            self.append(other)


def two_texts() -> tuple[Text, Text]:
    return Text("x"), Text("yz")


class Pot:
    def __init__(self, servings: int) -> None:
        self.servings, self.eaten, self.lock = servings, 0, threading.Lock()
        self.is_empty, self.is_full = threading.Semaphore(0), threading.Semaphore(0)

    def eat(self) -> None:
        if self.servings == 0:
            self.is_empty.release()
            self.is_full.acquire()
        self.servings -= 1
        self.eaten += 1

    def eat_locked(self) -> None:
        with self.lock:
            self.eat()

    def cook(self) -> None:
        if self.is_empty.acquire(timeout=5):
            self.servings += 2
            self.is_full.release()


class Room:
    def __init__(self) -> None:
        self.readers, self.mutex, self.light, self.pair = 0, threading.Lock(), threading.Semaphore(1), [0, 0]

    def come_and_go_unguarded(self) -> bool:
        self.readers += 1
        if self.readers == 1:
            self.light.acquire()
        is_equal = self.pair[0] == self.pair[1]
        self.readers -= 1
        if self.readers == 0:
            self.light.release()
        return is_equal

    def come_and_go(self) -> bool:
        with self.mutex:
            self.readers += 1
            if self.readers == 1:
                self.light.acquire()
        is_equal = self.pair[0] == self.pair[1]
        with self.mutex:
            self.readers -= 1
            if self.readers == 0:
                self.light.release()
        return is_equal

    def write(self) -> None:
        with self.light:
            self.pair[0] += 1
            self.pair[1] += 1


class Node:
    __slots__ = ("below", "value")

    def __init__(self, value: object, below: Node | None) -> None:
        self.value, self.below = value, below


class Top:
    """A reference with compare-and-swap."""

    def __init__(self) -> None:
        self.node: Node | None = None
        self._lock = threading.Lock()

    def swap(self, old: Node | None, new: Node) -> bool:
        with self._lock:
            return self.swap_unguarded(old, new)

    def swap_unguarded(self, old: Node | None, new: Node) -> bool:
        if self.node is not old:
            return False
        self.node = new
        return True


def push(top: Top, me: int, name: str) -> None:
    while True:
        below = top.node
        if getattr(top, name)(below, Node(me, below)):
            return


def values_of(top: Top) -> list[object]:
    found, node = [], top.node
    while node is not None:
        found.append(node.value)
        node = node.below
    return found


class Versioned:
    def __init__(self) -> None:
        self.version, self.one, self.two = 0, 0, 0

    def write(self) -> None:
        self.version += 1
        self.one += 1
        self.two += 1
        self.version += 1

    def read_once(self) -> tuple[int, int] | None:
        before = self.version
        pair = self.one, self.two
        return pair if self.version == before else None

    def read(self) -> tuple[int, int]:
        while True:
            before = self.version
            if before % 2:
                continue
            pair = self.one, self.two
            if self.version == before:
                return pair


class Vault:
    def __init__(self, number: int) -> None:
        self.number, self.held, self.lock = number, 10, threading.Lock()


def three_vaults() -> list[Vault]:
    return [Vault(number) for number in range(3)]


def move(vaults: list[Vault], first: int, second: int) -> None:
    with vaults[first].lock, vaults[second].lock:
        vaults[first].held -= 1
        vaults[second].held += 1


def move_in_order(vaults: list[Vault], first: int, second: int) -> None:
    one, two = sorted((vaults[first], vaults[second]), key=lambda vault: vault.number)
    with one.lock, two.lock:
        vaults[first].held -= 1
        vaults[second].held += 1


def total(vaults: list[Vault]) -> int:
    return sum(vault.held for vault in vaults)


def total_locked(vaults: list[Vault]) -> int:
    for vault in vaults:
        vault.lock.acquire()
    try:
        return total(vaults)
    finally:
        for vault in vaults:
            vault.lock.release()


def held_in(vaults: list[Vault]) -> list[int]:
    return [vault.held for vault in vaults]


class Line:
    """A bounded buffer with two conditions on one lock."""

    def __init__(self) -> None:
        self.items: list[int] = []
        lock = threading.Lock()
        self.has_items, self.has_room = threading.Condition(lock), threading.Condition(lock)

    def put(self, item: int) -> None:
        with self.has_room:
            while self.items:
                self.has_room.wait()
            self.items.append(item)
            self.has_items.notify()

    def take_silently(self) -> int:
        with self.has_items:
            while not self.items:
                self.has_items.wait()
            return self.items.pop()

    def take(self) -> int:
        item = self.take_silently()
        with self.has_room:
            self.has_room.notify()
        return item


def pair_of(setup: Any, racy: list[Any], fixed: list[Any], expect: str = "not isolated", **how: Any) -> Any:
    return {"setup": setup, "tasks": racy, "expect": expect, **how}, {"setup": setup, "tasks": fixed, **how}


def both(task: Any, **how: Any) -> list[Any]:
    return [partial(task, me=0, **how), partial(task, me=1, **how)]


PAIRS = {
    "driver stopped": pair_of(
        Driver, [dispatch, Driver.stop], [dispatch_at_once, Driver.stop], outcome=lambda driver: driver.has_failed
    ),
    "Dekker": pair_of(Gate, both(looks_before_it_wants), both(dekker), outcome=lambda gate: gate.count),
    "bakery": pair_of(Bakery, both(bakery, says_so=False), both(bakery, says_so=True), outcome=lambda shop: shop.count),
    "string buffer": pair_of(
        two_texts,
        [lambda texts: texts[0].append(texts[1]), lambda texts: texts[1].clear()],
        [lambda texts: texts[0].append_at_once(texts[1]), lambda texts: texts[1].clear()],
        "raises",
    ),
    "savages": (
        {"setup": partial(Pot, 0), "tasks": [Pot.eat, Pot.eat, Pot.cook], "expect": "deadlock"},
        {"setup": partial(Pot, 2), "tasks": [Pot.eat_locked, Pot.eat_locked, Pot.cook]},
    ),
    "light switch": pair_of(
        Room, [Room.come_and_go_unguarded] * 2, [Room.come_and_go, Room.come_and_go, Room.write], "deadlock"
    ),
    "Treiber's stack": pair_of(
        Top,
        both(push, name="swap_unguarded"),
        both(push, name="swap"),
        outcome=values_of,
    ),
    "seqlock, tried again": pair_of(
        Versioned, [Versioned.write, Versioned.read_once], [Versioned.write, Versioned.read]
    ),
    "three in a circle": pair_of(
        three_vaults,
        [partial(move, first=0, second=1), partial(move, first=1, second=2), partial(move, first=2, second=0)],
        [
            partial(move_in_order, first=0, second=1),
            partial(move_in_order, first=1, second=2),
            partial(move_in_order, first=2, second=0),
        ],
        "deadlock",
        outcome=held_in,
    ),
    "audit of all": pair_of(
        three_vaults,
        [partial(move_in_order, first=0, second=1), total],
        [partial(move_in_order, first=0, second=1), total_locked],
    ),
    "two conditions on one lock": pair_of(
        Line,
        [partial(Line.put, item=1), partial(Line.put, item=2), Line.take_silently, Line.take_silently],
        [partial(Line.put, item=1), partial(Line.put, item=2), Line.take, Line.take],
        "deadlock",
        outcome=lambda line: line.items,
    ),
}
