"""The contract of coroutine functions: as that of plain functions, wherever they run."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import itertools
import sys
import traceback
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import calls

from whilst.errors import TimeoutExceededError
from whilst.running.options import Keywords
from whilst.running.verbs.api import gather, imap, imap_unordered, map, starmap  # noqa: A004


@pytest.mark.parametrize("count", [0, 1, 60])
def test_results_stand_in_the_order_of_the_items(coroutine_way: Keywords, count: int) -> None:
    assert map(calls.square_later, range(count), **coroutine_way) == [x * x for x in range(count)]


def test_starmap_and_callable_objects(coroutine_way: Keywords) -> None:
    assert starmap(calls.add_later, [(1, 2), (3, 4)], **coroutine_way) == [3, 7]
    assert map(calls.AsyncAdder(5), [1, 2], **coroutine_way) == [6, 7]


def test_what_items_give_is_awaited_too_however_late_they_do(way: Keywords) -> None:
    items = [*[calls.square] * 90, *[calls.square_later] * 30]
    assert map(calls.call_with_three, items, **way) == [9] * 120


def test_gather_takes_coroutine_functions(coroutine_way: Keywords) -> None:
    tasks = [functools.partial(calls.square_later, 3), functools.partial(calls.add_later, 1, 2)]
    assert gather(*tasks, **coroutine_way) == [9, 3]


def test_lazy_results(coroutine_way: Keywords) -> None:
    stream = imap(calls.square_later, itertools.count(), **coroutine_way)
    assert list(itertools.islice(stream, 20)) == [x * x for x in range(20)]
    stream.close()
    assert sorted(imap_unordered(calls.square_later, range(20), **coroutine_way)) == [x * x for x in range(20)]


def test_the_first_failing_item_raises(coroutine_way: Keywords) -> None:
    with pytest.raises(calls.OddError, match="7 is odd") as caught:
        map(calls.refuse_later, range(30), **coroutine_way)
    assert any("call 7 of refuse_later, for 7" in note for note in caught.value.__notes__)
    results = map(calls.refuse_later, range(9), errors="return", **coroutine_way)
    assert results[:7] == list(range(7))
    assert all(isinstance(error, calls.OddError) for error in results[7:])


def test_seeded_draws_are_the_same_in_every_mode(coroutine_way: Keywords) -> None:
    expected = map(calls.draw_later, range(12), seed=7, mode="sequential")
    assert map(calls.draw_later, range(12), seed=7, **coroutine_way) == expected


def test_context_variables_are_those_of_the_caller(coroutine_way: Keywords) -> None:
    token = calls.variable.set("mine")
    try:
        assert map(calls.read_variable_later, range(5), **coroutine_way) == [f"{x} mine" for x in range(5)]
    finally:
        calls.variable.reset(token)


@pytest.mark.parametrize("count", [4, 200])
def test_coroutines_of_plain_functions_see_the_context_of_their_call(way: Keywords, count: int) -> None:
    def run() -> None:
        calls.variable.set("mine")
        seen = map(calls.later_at_times, range(count), **way)
        assert seen == [item if item % 2 == 0 else "mine" for item in range(count)]
        seen = map(calls.set_and_later, range(count), **way)
        assert seen == [item if item % 2 == 0 else f"call {item}" for item in range(count)]

    contextvars.copy_context().run(run)


def test_a_traceback_starts_in_the_coroutine(coroutine_way: Keywords) -> None:
    with pytest.raises(calls.OddError) as caught:
        map(calls.refuse_later, range(30), **coroutine_way)
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-2:] == ["refuse_later", "refuse"]
    assert not {"run_until_complete", "awaited"} & set(names)


def test_inside_a_running_loop(coroutine_way: Keywords) -> None:
    async def main() -> list[int]:
        with pytest.warns(RuntimeWarning, match=r"await whilst\.amap"):
            return map(calls.square_later, range(20), **coroutine_way)

    assert asyncio.run(main()) == [x * x for x in range(20)]


def test_a_call_over_its_time_is_cancelled() -> None:
    with pytest.raises(TimeoutExceededError, match="cancelled"):
        map(calls.sleep_long, range(3), mode="concurrent", timeout_s=0.05)


def test_one_coroutine_at_a_time_is_enough() -> None:
    assert list(imap(calls.square_later, range(40), workers=1)) == [x * x for x in range(40)]


def test_coroutines_that_one_at_a_time_is_best_for_go_on_so() -> None:
    """A run that learns this knows no more of the calls than what came back."""
    lock = asyncio.Lock()

    async def exclusive(x: int) -> int:
        async with lock:
            await asyncio.sleep(0.001)
            return x

    assert map(exclusive, range(300)) == list(range(300))
