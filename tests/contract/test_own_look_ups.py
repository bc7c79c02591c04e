"""A class that counts how its attributes are looked up: we look at objects of it, and it must not see that."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable
from typing import Any

import pytest

import whilst

COUNT = 12


class Counting:
    """Counts every look-up, of its own class by `isinstance` among them."""

    looks = 0

    def __init__(self, number: int) -> None:
        self.number = number

    def __getattribute__(self, name: str) -> Any:
        Counting.looks += 1
        return object.__getattribute__(self, name)

    def __call__(self, number: int) -> int:
        time.sleep(0.001)
        return number


class Guessing:
    """Counts the look-ups of what it does not have."""

    looks = 0

    def __init__(self, number: int) -> None:
        self.number = number

    def __getattr__(self, name: str) -> int:
        Guessing.looks += 1
        raise AttributeError(name)

    def __call__(self, number: int) -> int:
        time.sleep(0.001)
        return number


def waits(thing: Any) -> None:
    time.sleep(0.001)


def works(thing: Any) -> None:
    end = time.thread_time() + 0.004
    while time.thread_time() < end:
        pass


def gives(thing: Any) -> Any:
    time.sleep(0.001)
    return thing


def holds(held: dict[str, Any]) -> None:
    time.sleep(0.001)


def uses_global(_: int) -> int:
    time.sleep(0.001)
    return len(HELD)


HELD = [Counting(1), Guessing(1)]

CASES: dict[str, Callable[[type], tuple[Callable[[Any], object], list[Any]]]] = {
    "items that wait": lambda kind: (waits, [kind(k) for k in range(COUNT)]),
    "items that work": lambda kind: (works, [kind(k) for k in range(COUNT)]),
    "results": lambda kind: (gives, [kind(k) for k in range(COUNT)]),
    "parts": lambda kind: (holds, [{"part": kind(k)} for k in range(COUNT)]),
    "a global": lambda _: (uses_global, list(range(COUNT))),
    "the function": lambda kind: (kind(1), list(range(COUNT))),
}


@pytest.mark.parametrize("kind", [Counting, Guessing])
@pytest.mark.parametrize("name", CASES)
def test_our_own_looks_are_not_seen(name: str, kind: Any) -> None:
    fn, items = CASES[name](kind)
    before = kind.looks
    for item in items:
        fn(item)
    of_loop = kind.looks - before
    results = whilst.map(fn, items)
    assert kind.looks - before == 2 * of_loop
    assert str(results.decision)
    assert kind.looks - before == 2 * of_loop


def test_a_dotted_look_up_that_counts_is_followed() -> None:
    """Though the first calls don't come to it."""

    class Branch:
        asked = 0

        @property
        def total(self) -> int:
            self.asked += 1
            return self.asked

    class Bank:
        branch = Branch()

    bank, look = Bank(), operator.attrgetter("branch.total")

    def ask(number: int) -> int:
        time.sleep(0.002)
        return look(bank) if number > COUNT else number

    assert list(whilst.map(ask, range(3 * COUNT))) == [*range(COUNT + 1), *range(1, 2 * COUNT)]
    told = whilst.map(ask, range(2), mode="concurrent").decision.given_up
    assert "asked" in "".join(told)
