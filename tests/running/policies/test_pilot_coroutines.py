"""Coroutines that work leave one loop for several only where calls have nothing in common."""

from __future__ import annotations

import asyncio
import functools
import time

import pytest

from whilst import map as whilst_map
from whilst.measuring.pilot import Pilot
from whilst.running.policies.pilot.coroutines import _is_self_contained as is_self_contained

LIMIT: dict[str, object] = {}
NAMES = ["a", "b"]
FACTOR, WORDS = 3, ("x", "y")


def spin(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def alone(k):
    await asyncio.sleep(0.001)
    spin(0.0001 * FACTOR)
    return k, WORDS


async def with_a_semaphore(k):
    async with LIMIT["semaphore"]:  # type: ignore[attr-defined]
        return k


async def with_a_list(k):
    return NAMES[k]


def bound_to(value):
    async def fn(k):
        return k, value

    return fn


@functools.cache
def cached(k):
    return k


async def with_a_cache(k):
    return cached(k)


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (alone, True),
        (bound_to(7), True),
        (bound_to([7]), False),
        (with_a_semaphore, False),
        (with_a_list, False),
        (with_a_cache, False),
    ],
)
def test_what_calls_have_in_common_keeps_them_on_one_loop(fn, expected):
    pilot = Pilot(fn, "item", is_coroutine=True)
    pilot.look_into(None)
    assert is_self_contained(pilot) is expected


def test_coroutines_that_work_give_the_same_wherever_they_are_made():
    async def fn(k):
        await asyncio.sleep(0.002)
        spin(0.004)
        await asyncio.sleep(0.002)
        return k * FACTOR

    assert whilst_map(fn, range(150)) == [k * 3 for k in range(150)]


def test_coroutines_that_write_a_file_stay_on_one_loop(tmp_path):
    """Between two awaits nobody comes in between."""
    path = tmp_path / "total"
    path.write_text("0")

    async def add(k):
        await asyncio.sleep(0.002)
        total = int(path.read_text())
        spin(0.004)
        path.write_text(str(total + k))
        return k

    assert whilst_map(add, range(120)) == list(range(120))
    assert path.read_text() == str(sum(range(120)))


def test_items_that_coroutines_change_are_changed_here():
    async def fill(item):
        await asyncio.sleep(0.002)
        spin(0.004)
        item["seen"] = item["k"]
        return item["k"]

    items = [{"k": k} for k in range(120)]
    assert whilst_map(fill, items) == list(range(120))
    assert items == [{"k": k, "seen": k} for k in range(120)]
