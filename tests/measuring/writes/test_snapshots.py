"""Comparisons before and after a call convict suspects or clear them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections import deque
from pathlib import Path

import pytest

from whilst.inspecting.settings import settings_now
from whilst.measuring.writes.scan import scan
from whilst.measuring.writes.snapshots import Watchlist, fingerprint, settings_left


class Holder:
    def __init__(self):
        self.count = 0
        self.names = []
        self.inner = {"deep": [1]}


class Slotted:
    __slots__ = ("value",)

    def __init__(self):
        self.value = 1


def _append(box):
    box.append(1)


@pytest.mark.parametrize(
    ("value", "change"),
    [
        ([1], _append),
        ({}, lambda box: box.update(a=1)),
        ({"a": 1}, lambda box: box.update(a=2)),
        ({"a": [1]}, lambda box: box["a"].append(2)),
        (set(), lambda box: box.add(1)),
        (deque([1]), _append),
        (bytearray(b"ab"), lambda box: box.__setitem__(0, 0)),
        (Holder(), lambda box: setattr(box, "count", 1)),
        (Holder(), lambda box: box.names.append(1)),
        (Slotted(), lambda box: setattr(box, "value", 2)),
        (random.Random(1), lambda box: box.random()),
        (list(range(1000)), lambda box: box.__setitem__(999, -1)),
    ],
)
def test_a_change_shows(value, change):
    before = fingerprint(value)
    assert fingerprint(value) == before
    change(value)
    assert fingerprint(value) != before


def test_numpy_arrays_are_compared_by_content():
    numpy = pytest.importorskip("numpy")
    for size in (10, 100_000):
        array = numpy.zeros(size)
        before = fingerprint(array)
        array[:] = 1
        assert fingerprint(array) != before


STATE = {"model": None, "seen": set(), "count": 0}
MODEL = None
LOCK = threading.Lock()


@pytest.fixture(autouse=True)
def _fresh_state():
    global MODEL
    MODEL = None
    STATE.update(model=None, seen=set(), count=0)


def loads_once(x):
    global MODEL
    if MODEL is None:
        MODEL = {"x": 1}
    return x


def counts_locked(x):
    with LOCK:
        STATE["count"] += 1


def sometimes(x):
    if x > 100:
        STATE["seen"].add(x)


def visits(x):
    if x in STATE["seen"]:
        return
    STATE["seen"].add(x)


def visits_locked(x):
    with LOCK:
        if x in STATE["seen"]:
            return
        STATE["seen"].add(x)


def watched(fn, *items):
    watchlist = Watchlist(scan(fn, items[0]))
    for item in items:
        fn(item)
        watchlist.look()
    return watchlist


def test_a_lazy_load_is_cleared_by_a_second_call():
    watchlist = watched(loads_once, 1)
    assert watchlist.is_unclear
    loads_once(2)
    watchlist.look()
    assert not watchlist.is_unclear
    assert watchlist.writes() == ()


def test_neighbours_that_repeat_do_not_clear_a_visited_set():
    assert [write.spoils_threads for write in watched(visits, 7, 7, 7).writes()] == [True]


def test_a_rare_write_is_never_cleared():
    (write,) = watched(sometimes, 1, 2, 3).writes()
    assert not write.is_confirmed
    assert write.spoils_processes


def test_a_counter_under_a_lock_spoils_processes_only():
    (write,) = watched(counts_locked, 1, 2).writes()
    assert write.is_confirmed
    assert write.spoils_processes
    assert not write.spoils_threads


def test_who_asks_a_set_first_decides_even_under_a_lock():
    assert all(write.spoils_threads for write in watched(visits_locked, 1, 2).writes())


def test_surroundings_notice_directory_environment_and_draws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = settings_now()
    assert settings_left(before, settings_now()) == ()
    (tmp_path / "sub").mkdir()
    os.chdir("sub")
    monkeypatch.setenv("WHILST_TEST", "1")
    random.random()
    assert [write.what for write in settings_left(before, settings_now())] == [
        "the working directory",
        "os.environ",
        "the shared random generator",
    ]


def test_an_object_that_refuses_to_be_looked_at_counts_as_changed():
    class Hostile:
        @property
        def __dict__(self):
            raise RuntimeError

    hostile = Hostile()

    def writes(x):
        hostile.value = x

    watchlist = Watchlist(scan(writes, 1))
    watchlist.look()
    assert watchlist.writes()


def test_what_a_librarys_value_keeps_in_itself_is_no_change():
    path = Path("a") / "b.txt"
    paths = [path]
    before = fingerprint(paths)
    assert str(path), hash(path)  # both are kept in the path from now on
    assert fingerprint(paths) == before


def test_a_setting_that_no_watched_call_changed_may_stay_changed():
    def sometimes(x):
        if x > 7:
            os.environ["TOKEN"] = str(x)

    def puts_it_back(x):
        if x > 7:
            with contextlib.chdir("/"):
                return x
        return None

    def spoils_processes(fn, seen):
        return [write.spoils_processes for write in Watchlist(scan(fn, 1)).writes(seen)]

    assert spoils_processes(sometimes, set()) == [True]
    assert spoils_processes(sometimes, {"os.environ, which the whole process shares"}) == [False]
    assert spoils_processes(sometimes, None) == [False]
    assert spoils_processes(puts_it_back, set()) == [False]


def test_surroundings_notice_a_signal_handler_that_stays():
    before = settings_now()
    old = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        assert [write.what for write in settings_left(before, settings_now())] == ["signal handlers"]
    finally:
        signal.signal(signal.SIGUSR1, old)
