"""What tasks change outside their state belongs to the outcome: globals, class attributes, closures, bound objects."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

import whilst
from whilst.model.verdict import Answer

lock = threading.Lock()
count = 0
cache: dict[str, int] = {}
TABLE = {number: [number] for number in range(1_000)}


class Tally:
    total = 0
    items: list[int] = []  # noqa: RUF012 - a mutable class attribute is the subject of the test


class Counter:
    def __init__(self) -> None:
        self.n = 0

    def bump(self, _: None) -> None:
        self.n = self.n + 1

    def __call__(self, _: None) -> None:
        self.n = self.n + 1


shared = Counter()


def setup() -> None:
    global count
    count = 0
    cache.clear()
    Tally.total = 0
    Tally.items.clear()
    shared.n = 0


def bump_global(_: None) -> None:
    global count
    count = count + 1


def bump_cache(_: None) -> None:
    cache["k"] = cache.get("k", 0) + TABLE[1][0]


def bump_class(_: None) -> None:
    Tally.total += 1


def grow_class(_: None) -> None:
    Tally.items.append(len(Tally.items))


def call_another(_: None) -> None:
    bump_global(None)


def bump_argument(_: None, counter: Counter) -> None:
    counter.n = counter.n + 1


RACES = {
    "count": bump_global,
    "cache": bump_cache,
    "Tally.total": bump_class,
    "Tally.items": grow_class,
    "self.n": shared.bump,
    "argument counter.n": partial(bump_argument, counter=shared),
}


@pytest.mark.parametrize("name", RACES)
def test_a_race_outside_the_state_is_caught_and_its_locked_twin_is_proved(name: str) -> None:
    task: Any = RACES[name]

    def locked(state: None) -> None:
        with lock:
            task(state)

    verdict = whilst.check(setup, [task, task])
    assert verdict.answer is Answer.NOT_ISOLATED
    assert verdict.counterexample is not None
    assert name in verdict.counterexample.reached.facts
    assert whilst.check(setup, [locked, locked])


def test_a_race_behind_a_call_is_caught() -> None:
    assert whilst.check(setup, [call_another, call_another]).answer is Answer.NOT_ISOLATED


def test_a_closure_belongs_to_the_outcome() -> None:
    n = 0

    def reset() -> None:
        nonlocal n
        n = 0

    def bump(_: None) -> None:
        nonlocal n
        n = n + 1

    verdict = whilst.check(reset, [bump, bump])
    assert verdict.answer is Answer.NOT_ISOLATED
    assert verdict.counterexample is not None
    assert verdict.counterexample.reached.facts == {"n": "1"}


def test_what_setup_forgets_to_reset_is_said() -> None:
    verdict = whilst.check(lambda: None, [bump_global, bump_global])
    assert verdict.answer is Answer.INCONCLUSIVE
    assert "count was" in verdict.reason


def test_an_outcome_that_is_given_is_all_that_counts() -> None:
    assert whilst.check(setup, [bump_global, bump_global], outcome=lambda state: None)
