"""What a rare later call writes, and others read: a flag, a circuit breaker. No lazy load: that settles at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

import whilst

ITEMS = range(40)
is_done = False
STATE: dict[str, Any] = {}


class Breaker:
    def __init__(self) -> None:
        self.fails = 0
        self.is_open = False

    def run(self, fn: Callable[[int], object], item: int) -> object:
        if self.is_open:
            return "open"
        try:
            return fn(item)
        except ValueError:
            self.fails += 1
            if self.fails == 2:
                self.is_open = True
            return "failed"


breaker = Breaker()


def reset() -> None:
    global is_done
    is_done = False
    STATE.clear()
    breaker.__init__()  # type: ignore[misc]


def ends_early(item: int) -> int | None:
    global is_done
    if is_done:
        return None
    time.sleep(0.002)
    if item == 20:
        is_done = True
    return item


def alarm(item: int) -> None:
    STATE["alarm"] = item


def alarms(item: int) -> int | str:
    time.sleep(0.002)
    if STATE.get("alarm") is not None:
        return "skipped"
    if item == 20:
        alarm(item)
    return item


def fails_at_times(item: int) -> int:
    time.sleep(0.002)
    if item in (12, 20):
        raise ValueError(item)
    return item


def breaks(item: int) -> object:
    return breaker.run(fails_at_times, item)


FUNCTIONS = {ends_early: "is_done", alarms: "STATE", breaks: "breaker"}


@pytest.mark.parametrize("fn", FUNCTIONS)
def test_calls_take_turns_where_a_later_one_may_write_what_all_ask(fn: Callable[[int], object]) -> None:
    reset()
    expected = [fn(item) for item in ITEMS]
    reset()
    assert whilst.map(fn, ITEMS) == expected


@pytest.mark.parametrize("mode", ["concurrent", "parallel"])
@pytest.mark.parametrize("fn", FUNCTIONS)
def test_a_mode_by_name_says_so(fn: Callable[[int], object], mode: Any) -> None:
    reset()
    said = "".join(whilst.map(fn, range(2), mode=mode, workers=2).decision.given_up)
    assert FUNCTIONS[fn] in said
