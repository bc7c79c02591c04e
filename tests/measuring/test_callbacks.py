"""The user's own code that libraries hold and call is found where what calls use leads to, and watched if it writes."""

from __future__ import annotations

import copy
import copyreg
import functools
import logging
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from whilst.measuring.callbacks import Callbacks
from whilst.measuring.pilot import Pilot
from whilst.measuring.writes.reachable import Reachable

COUNTS = {"n": 0}
LOG = logging.getLogger("whilst.tests.callbacks")
OTHERS = [logging.getLogger(f"whilst.tests.callbacks.other{number}") for number in range(40)]
"""As a program with many libraries has."""


def count(*_args: object, **_named: object) -> int:
    COUNTS["n"] += 1
    return COUNTS["n"]


def tell(*_args: object, **_named: object) -> int:
    return COUNTS["n"]


class Numbering(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def filter(self, record: logging.LogRecord) -> bool:
        self.n += 1
        record.n = self.n
        return True


class Tagging(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.n = 0
        return True


class Point:
    def __init__(self, x: int) -> None:
        self.x = x


HOLDER: Any = logging.Formatter()
"""An object of a library's class."""
HOLDER.each, HOLDER.table = tell, {"number": functools.partial(tell, 1)}


def _warn(k: int) -> None:
    warnings.warn(f"w{k}", stacklevel=1)


def _adapt(k: int) -> Any:
    connection = sqlite3.connect(":memory:")
    try:
        return connection.execute("select ?", (Point(k),)).fetchone()[0]
    finally:
        connection.close()


WAYS: dict[str, Callable[[int], object]] = {
    "an attribute": lambda k: HOLDER.each(k),
    "a table": lambda k: HOLDER.table["number"](k),
    "a filter of a logger": lambda k: LOG.info("%s", k),
    "a filter by its logger's name": lambda k: logging.getLogger("whilst.tests.callbacks").info("%s", k),
    "a hook of a module": _warn,
    "a table of a module": lambda k: copy.copy(Point(k)).x,
    "an adapter": _adapt,
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Callable[..., None]]]:
    """A way to a call-back, and what puts one there."""

    def put(callback: Callable[..., int], filtering: type[logging.Filter]) -> None:
        monkeypatch.setattr(HOLDER, "each", callback)
        monkeypatch.setitem(HOLDER.table, "number", functools.partial(callback, 1))
        monkeypatch.setattr(LOG, "filters", [filtering()])
        monkeypatch.setattr(warnings, "showwarning", callback)
        for number in range(100):  # as other libraries do
            monkeypatch.setitem(copyreg.dispatch_table, type(f"Other{number}", (), {}), repr)
        monkeypatch.setitem(copyreg.dispatch_table, Point, lambda point: (Point, (callback(point),)))
        monkeypatch.setitem(sqlite3.adapters, (Point, sqlite3.PrepareProtocol), callback)
        sqlite3.register_adapter(Point, callback)

    before = LOG.level
    LOG.setLevel(logging.INFO)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        yield request.param, put
    LOG.setLevel(before)


def _watched(fn: Callable[[int], object]) -> Pilot:
    pilot = Pilot(fn)
    for item in range(3):
        pilot.look_into(item)
        pilot.begin(item)
        fn(item)
        pilot.end(item)
    return pilot


def test_what_a_library_calls_back_and_writes_is_seen(way: tuple[str, Callable[..., None]]) -> None:
    name, put = way
    put(count, Numbering)
    assert any(write.spoils_threads for write in _watched(WAYS[name]).writes)


def test_what_it_calls_back_and_only_reads_is_no_matter(way: tuple[str, Callable[..., None]]) -> None:
    name, put = way
    put(tell, Tagging)
    assert not _watched(WAYS[name]).writes


def test_what_writes_and_is_not_called_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HOLDER, "other", count, raising=False)
    pilot = _watched(WAYS["an attribute"])
    assert pilot.callbacks is not None
    assert pilot.callbacks.found == [count]
    assert not pilot.writes


def test_what_leads_nowhere_costs_no_watch() -> None:
    assert not Callbacks(Reachable(lambda k: copy.copy(k))).found


@pytest.mark.parametrize(("callback", "is_written"), [(count, True), (tell, False)])
def test_what_an_item_holds_is_looked_into(callback: Callable[..., int], *, is_written: bool) -> None:
    def fn(item: tuple[int, Any]) -> int:
        return int(item[1].each(item[0]))

    holder: Any = logging.Formatter()
    holder.each = callback
    pilot = Pilot(fn)
    for number in range(2):
        item = (number, holder)
        pilot.look_into(item)
        pilot.begin(item)
        fn(item)
        pilot.end(item)
    assert any("calls back" in write.what for write in pilot.writes) == is_written
