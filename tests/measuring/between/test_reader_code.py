"""What the loop that reads results changes is told from its code, where calls look that up by name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from whilst.measuring.between.reader_code import Reader, changed_by_reader
from whilst.measuring.writes.reachable import Reachable

LIMIT = 3
SEEN: set[int] = set()
TABLE = {"limit": 3}
CONFIG = SimpleNamespace(limit=3)
OTHER: list[int] = []


def by_variable(k: int) -> bool:
    return k < LIMIT


def by_set(k: int) -> bool:
    return k in SEEN


def by_table(k: int) -> bool:
    return k < TABLE["limit"]


def by_attribute(k: int) -> bool:
    return bool(k < CONFIG.limit)


ALL = [by_variable, by_set, by_table, by_attribute]


class Asking:
    """An iterator that notes who asks."""

    reader: Reader

    def __init__(self) -> None:
        self._left = 2

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        frame = sys._getframe(1)
        self.reader = Reader(frame.f_code, frame.f_lasti, id(frame.f_globals))
        self._left -= 1
        if self._left < 0:
            raise StopIteration
        return self._left


def sets_variable(asking: Asking) -> None:
    global LIMIT
    for each in asking:
        if each > 5:
            LIMIT = each


def adds(asking: Asking) -> None:
    for each in asking:
        if each > 5:
            SEEN.add(each)


def sets_entry(asking: Asking) -> None:
    for each in asking:
        if each > 5:
            TABLE["limit"] = each


def sets_attribute(asking: Asking) -> None:
    for each in asking:
        if each > 5:
            CONFIG.limit = each


def only_reads(asking: Asking) -> None:
    for each in asking:
        if each > LIMIT and each not in SEEN and each > TABLE["limit"] and each > CONFIG.limit:
            OTHER.append(each)


def sets_before(asking: Asking) -> None:
    global LIMIT
    LIMIT = 3
    SEEN.clear()
    for each in asking:
        OTHER.append(each)


@pytest.mark.parametrize(
    ("loop", "fn"),
    [(sets_variable, by_variable), (adds, by_set), (sets_entry, by_table), (sets_attribute, by_attribute)],
)
def test_what_the_loop_changes_and_calls_look_up_is_named(
    loop: Callable[[Asking], None], fn: Callable[[int], bool]
) -> None:
    asking = Asking()
    loop(asking)
    found = changed_by_reader(asking.reader, Reachable(fn))
    assert found.startswith(next(name for name in ("LIMIT", "SEEN", "TABLE", "CONFIG") if name in fn.__code__.co_names))
    for other in ALL:
        assert other is fn or not changed_by_reader(asking.reader, Reachable(other))


@pytest.mark.parametrize("loop", [only_reads, sets_before])
@pytest.mark.parametrize("fn", ALL)
def test_a_loop_that_only_reads_changes_nothing(loop: Callable[[Asking], None], fn: Callable[[int], bool]) -> None:
    asking = Asking()
    loop(asking)
    assert not changed_by_reader(asking.reader, Reachable(fn))


def test_a_variable_of_the_function_around_both_is_seen() -> None:
    limit = 3

    def fn(k: int) -> bool:
        return k < limit

    asking = Asking()
    for each in asking:
        limit = max(limit, each)
    assert changed_by_reader(asking.reader, Reachable(fn)).startswith("limit")
    assert not changed_by_reader(asking.reader, Reachable(by_variable))
