"""A proxy of `multiprocessing.Manager` is an argument like any other, in every mode."""

from __future__ import annotations

import multiprocessing
from functools import partial
from typing import Any

import pytest

from whilst import Executor
from whilst.running.options import Keywords
from whilst.running.verbs.api import map  # noqa: A004


def put(queue: Any, number: int) -> int:
    queue.put(number)
    return number


@pytest.mark.leaves_behind
def test_a_proxy_reaches_its_manager_from_every_worker(way: Keywords) -> None:
    with multiprocessing.get_context("spawn").Manager() as manager:
        queue, event = manager.Queue(), manager.Event()
        assert map(partial(put, queue), range(4), **way) == [0, 1, 2, 3]
        with Executor(**way) as executor:
            assert [executor.submit(put, queue, number).result(30) for number in range(4, 7)] == [4, 5, 6]
            executor.submit(event.set).result(30)
        assert sorted(queue.get() for _ in range(7)) == list(range(7))
        assert event.is_set()
