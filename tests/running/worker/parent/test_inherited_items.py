"""Which items a forked worker takes from its memory, and which are sent as ever."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whilst.measuring import machine
from whilst.running.backends.processes import ProcessBackend
from whilst.running.jobs import Batch, Finished, Job
from whilst.running.worker.parent.inherited_items import InheritedItems
from whilst.running.worker.transport.serialization import types_of

JOB = Job(0, id)
LARGE = 5_000_000


def may(items: Sequence[Any], *, changes: Callable[[object], bool] = lambda item: False) -> bool:
    inherited = InheritedItems(JOB, items, changes)
    return inherited.are_worth_it(JOB, range(len(items)), items[:], types_of(items))


class Plain:
    def __init__(self) -> None:
        self.array = np.zeros(LARGE)
        self.nbytes = LARGE


class Copied(Plain):
    def __getstate__(self) -> object:
        return {}


@pytest.mark.parametrize(
    "items",
    [range(3), [bytes(LARGE)], ("x" * LARGE,), [np.zeros(LARGE)], [Plain()], [{1: 2}.keys(), "x" * LARGE]],
)
def test_what_is_only_memory_is_inherited(items: Sequence[Any]) -> None:
    assert may(items)


def test_what_is_cheap_to_send_is_sent() -> None:
    assert not may(list(range(10)))
    assert not may([{"short": 1}])


def test_an_open_file_or_a_class_that_is_copied_in_its_own_way_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with path.open() as file:
        assert not may([file])
        assert not may([[file], bytes(LARGE)])
    assert not may([queue.SimpleQueue()])
    assert not may([iter([1])])
    assert not may([Copied()])
    assert not may([np.array([object()] * 600_000)])


class Account:
    def __init__(self, lock: Any) -> None:
        self.lock = lock


def test_a_lock_may_be_copied_with_the_only_item_that_has_it() -> None:
    assert may([Account(threading.Lock()), Account(threading.RLock())])
    shared, held = threading.Lock(), threading.Lock()
    assert not may([Account(shared), Account(shared)])
    assert not may([threading.Lock()])
    with held:
        assert not may([Account(held)])


def test_items_that_calls_change_or_share_are_sent_but_for_what_nobody_can_change() -> None:
    array, text = np.zeros(LARGE), "x" * LARGE
    assert not may([array], changes=lambda item: True)
    assert not may([array, array])
    assert may([text, text], changes=lambda item: True)


def test_objects_are_not_copied_page_by_page_where_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers, array = [*range(2_000_000)], np.zeros(LARGE)
    assert may([numbers])
    monkeypatch.setattr(machine, "usable_memory_bytes", lambda: LARGE)
    assert not may([numbers])
    assert may([array])  # one object, however large


def test_a_place_that_holds_another_object_now_is_sent() -> None:
    items = ["a" * LARGE, "b" * LARGE]
    inherited = InheritedItems(JOB, items, lambda item: False)
    items[1] = "c" * LARGE
    items.append("d" * LARGE)
    assert inherited.may_be_used(JOB, range(1), items[:1])
    assert not inherited.may_be_used(JOB, range(2), items[:2])
    assert not inherited.may_be_used(JOB, [2], items[2:])
    assert not inherited.may_be_used(Job(1, id), range(1), items[:1])


@pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")
def test_a_worker_started_later_inherits_as_well_and_one_forked_before_does_not() -> None:
    backend = ProcessBackend(is_forked=True)
    items = [bytes([k]) * LARGE for k in range(3)]
    try:
        given: dict[int, object] = {}
        backend.start_worker(0)
        backend.inherit(JOB, items, lambda item: True)
        backend.start_worker(1)
        for worker in (0, 1):
            backend.send(worker, Batch(worker, JOB, [worker], [items[worker]]))
        while len(given) < 2:
            for event in backend.events(10.0):
                if isinstance(event, Finished):
                    given.update(zip(event.ids, event.values, strict=True))
        assert given[0] != id(items[0])  # of the copy that was sent; JOB asks for an id
        assert given[1] == id(items[1])
    finally:
        backend.close(kill=True)
