"""Would a copy in another process be the same?"""

from __future__ import annotations

import datetime
import threading
from dataclasses import dataclass, field
from enum import Enum

import pytest

from whilst.measuring.roundtrip import why_not_pickled, why_not_the_one, why_unlike, why_unlike_sent
from whilst.measuring.writes.scan import scan


class Drops:
    def __init__(self, value: object) -> None:
        self.value = value
        self.cache = [value]

    def __getstate__(self) -> dict[str, object]:
        return {"value": self.value, "cache": None}


class DropsItsLock:
    def __init__(self) -> None:
        self.name = "x"
        self.lock = threading.Lock()

    def __getstate__(self) -> dict[str, object]:
        return {"name": self.name}


class ComesBackOther:
    def __init__(self, value: int) -> None:
        self.value = value

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return (ComesBackOther, (0,))


class Words(dict[str, int]):
    extra = 0

    def __reduce__(self) -> tuple[object, ...]:
        return (Words, (dict(self),))


@dataclass
class Plain:
    x: int
    tags: list[str] = field(default_factory=list)


class Colour(Enum):
    RED = 1


class Known:
    """Equal to nothing but itself."""


def words_with_more() -> Words:
    words = Words(a=1)
    words.extra = 3
    return words


@pytest.mark.parametrize("value", [Drops(3), [Drops(3)], {"a": (Drops(3),)}, ComesBackOther(3), words_with_more()])
def test_what_a_class_drops_or_changes_is_told(value: object) -> None:
    assert "would come back changed" in why_unlike(value, "its result")
    assert "would arrive changed" in why_unlike_sent([value], "its argument")


@pytest.mark.parametrize(
    "value", [1, "x", [1, (2, {3})], Plain(3, ["a"]), Colour.RED, DropsItsLock(), Words(a=1), None]
)
def test_what_comes_back_as_it_was_is_fine(value: object) -> None:
    assert not why_unlike(value, "its result")
    assert not why_unlike_sent([value], "its argument")


def test_a_bare_object_has_no_copy() -> None:
    assert "the one and only object()" in why_unlike([1, object()], "its result")


def test_an_object_that_was_there_before_and_has_no_equal_is_not_given_back_by_a_worker() -> None:
    known = Known()
    assert "the one and only Known object" in why_unlike((1, known), "its result", [id(known)])
    assert not why_unlike((1, Known()), "its result")


MISSING = object()


def test_the_code_tells_a_sentinel_that_is_given_back_later() -> None:
    def fn(item: int) -> object:
        return MISSING if item > 30 else item

    def only_asks(item: dict[int, int]) -> bool:
        return item.get(3, MISSING) is MISSING

    assert scan(fn, 1).sentinel == "MISSING"
    assert not scan(only_asks, {}).sentinel


def test_the_code_tells_whether_it_asks_which_object_its_item_is() -> None:
    numbers = {id(MISSING): 3}
    assert "id()" in scan(lambda item: numbers.get(id(item)), "x").identity
    assert "MISSING" in scan(lambda item: item is MISSING, "x").identity
    assert not scan(lambda item: item is None or item is Colour.RED or item is True, "x").identity


class Holiday(datetime.date):
    """Its base pickles itself, and knows nothing of more attributes."""


def test_attributes_added_to_a_librarys_class_that_pickles_itself_are_missed():
    day = Holiday(2024, 12, 25)
    assert not why_unlike(day, "its result")
    day.name = "Christmas"
    assert "'name'" in why_unlike(day, "its result")


@dataclass(frozen=True)
class Point:
    x: int


def test_a_result_that_all_calls_share_would_come_back_as_a_copy_if_it_may_change():
    table, point, pair = {"a": 1}, Point(1), (1, 2)
    shared = list(map(id, (table, point, pair)))
    assert "the one dict that all calls share" in why_unlike(table, "its result", shared=shared)
    assert not why_unlike(dict(table), "its result", shared=shared)
    assert not why_unlike(point, "its result", shared=shared)
    assert not why_unlike(pair, "its result", shared=shared)


def test_keys_that_are_themselves_alone_are_known_beyond_the_first_entries() -> None:
    prices = {Known(): number for number in range(500)}
    item = [0, list(prices)[-1]]
    assert "Known" in why_not_the_one([item], "its argument", [prices], None)
    assert not why_not_the_one([[0, 1]], "its argument", [prices], None)


def test_what_counts_its_look_ups_is_not_pickled() -> None:
    class Counts:
        def __getattribute__(self, name: str) -> object:
            return object.__getattribute__(self, name)

    assert "Counts" in why_not_pickled([[Counts()]], [])
    assert "Counts" in why_not_pickled([], [Counts()])
    assert not why_not_pickled([[Known(), 1]], [Known])
