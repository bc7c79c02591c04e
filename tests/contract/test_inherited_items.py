"""Items that forked workers have in their memory need not be sent: the same results as ever, in every mode."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import whilst
from whilst.errors import NotPicklableError
from whilst.running.options import Keywords

LARGE = 600_000
"""So that a few items are more than is sent before it is looked whether it need be."""

forked = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")


class Page:
    """Can't be pickled, and is nothing but memory."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.found = re.match(r"\d+", str(number))
        self.lock = threading.Lock()
        self.words = {"page": [str(number)] * 3}


def number_on(page: Page) -> int:
    assert page.found is not None
    with page.lock:
        return int(page.found[0]) + len(page.words["page"])


def weigh(item: Any) -> int:
    return int(sum(item[:9])) + len(item)


def double(item: int) -> int:
    return 2 * item


INPUTS: dict[str, tuple[Callable[[], Sequence[Any]], Callable[[Any], object]]] = {
    "a range": (lambda: range(7, 500, 3), double),
    "large bytes": (lambda: [bytes([k]) * LARGE for k in range(8)], weigh),
    "a tuple of arrays": (lambda: tuple(np.full(LARGE, k, np.uint8) for k in range(8)), weigh),
    "rows of an array": (lambda: np.arange(8 * LARGE).reshape(8, LARGE), weigh),
    "what can't be pickled": (lambda: [Page(k) for k in range(30)], number_on),
    "one object many times": (lambda: [np.full(LARGE, 3, np.uint8)] * 8, weigh),
    "of several kinds": (lambda: [[1] * 9, bytes(LARGE), (2,) * 9, np.arange(LARGE)] * 3, weigh),
}


@pytest.mark.parametrize("name", INPUTS)
def test_results_are_those_of_a_loop_whatever_the_items_are(name: str, way: Keywords) -> None:
    make, call = INPUTS[name]
    items = make()
    if name == "what can't be pickled" and (
        (sys.platform != "linux" and way["mode"] in ("parallel", "combined")) or "on" in way
    ):
        with pytest.raises(NotPicklableError):
            whilst.map(call, items, **way)
        return
    assert list(whilst.map(call, items, **way)) == [call(item) for item in items]


def take_one(purse: dict[str, Any]) -> int:
    purse["left"] -= 1
    return int(purse["left"])


def test_a_call_that_changes_its_item_has_a_copy_of_its_own_or_the_callers(way: Keywords) -> None:
    shared = {"left": 9, "pad": "x" * LARGE}
    purses = [{"left": k, "pad": "x" * LARGE} for k in range(6)] + [shared, shared, shared]
    results = list(whilst.map(take_one, purses, **way))
    if way["mode"] in ("parallel", "combined"):
        assert results == [-1, 0, 1, 2, 3, 4, 8, 8, 8]
        assert [purse["left"] for purse in purses] == [0, 1, 2, 3, 4, 5, 9, 9, 9]
    else:
        assert sorted(results) == [-1, 0, 1, 2, 3, 4, 6, 7, 8]
        assert [purse["left"] for purse in purses] == [-1, 0, 1, 2, 3, 4, 6, 6, 6]


rows: list[str] = []


def change_the_list(value: object) -> object:
    rows[-1] = "changed"
    return value


class ChangesTheList:
    """A result; where it is rebuilt, the input is another."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        return change_the_list, (self.value,)


def first_letters(text: str) -> object:
    return ChangesTheList(text[:7]) if text.startswith("0") else text[:7]


def test_an_item_that_was_replaced_meanwhile_is_the_new_one() -> None:
    rows[:] = [str(k) * LARGE for k in range(10)]
    results = whilst.map(first_letters, rows, mode="parallel", workers=1)
    assert list(results) == [str(k) * 7 for k in range(9)] + ["changed"]
    rows.clear()


def test_what_is_more_than_memory_is_not_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("text")
    with path.open() as file, pytest.raises(NotPicklableError):
        whilst.map(lambda held: held[0].read(), [[file]], mode="parallel", workers=1)


class Dies:
    """An item that can't be pickled, whose call ends its worker the first time."""

    def __init__(self, mark: Path | None) -> None:
        self.mark = mark
        self.found = re.match("a", "a")


def die_once(item: Dies) -> int:
    if item.mark is not None and not item.mark.exists():
        item.mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 1


@forked
def test_calls_of_a_dead_worker_are_made_in_one_that_inherits_as_well(tmp_path: Path) -> None:
    items = [Dies(tmp_path / "mark" if k == 3 else None) for k in range(12)]
    assert list(whilst.map(die_once, items, mode="parallel", workers=2, retries=1)) == [1] * 12


@forked
def test_errors_name_items_that_were_not_sent() -> None:
    def refuse(page: Page) -> None:
        if page.number == 5:
            raise ValueError("no such page")

    with pytest.raises(ValueError, match="no such page") as caught:
        whilst.map(refuse, [Page(k) for k in range(9)], mode="parallel", workers=2)
    assert "call 5 of" in caught.value.__notes__[0]


def test_a_journal_knows_large_items_by_what_they_are(tmp_path: Path) -> None:
    items = [bytes([k]) * LARGE for k in range(6)]
    for count in (4, 6):
        results = whilst.map(weigh, items[:count], mode="parallel", workers=2, journal=tmp_path / "journal")
        assert list(results) == [weigh(item) for item in items[:count]]
    assert "4 results come from the journal" in str(results.decision)


def test_draws_depend_on_the_seed_and_the_item_alone() -> None:
    import random

    def draw(item: bytes) -> float:
        return random.random() + len(item)

    items = [bytes([k]) * LARGE for k in range(6)]
    right = list(whilst.map(draw, items, mode="sequential", seed=3))
    assert list(whilst.map(draw, items, mode="parallel", workers=2, seed=3)) == right
