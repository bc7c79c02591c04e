"""Calls made in the caller's thread, whose values are put where they belong at once: as in a `for` loop."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import whilst
from whilst.running.calls.one_argument import Awaiter
from whilst.running.core.inline import perform_inline
from whilst.running.core.inputs import Source
from whilst.running.jobs import Job

MANY = 30_000
WAYS: list[Any] = ["auto", "sequential"]


@pytest.mark.parametrize("mode", WAYS)
@pytest.mark.parametrize("wrong", [0, 40, 12_345, MANY - 1])
def test_an_error_amid_short_calls_is_returned_in_its_place(mode: Any, wrong: int) -> None:
    def call(k: int) -> int:
        if k == wrong:
            raise ValueError(k)
        return k

    results = whilst.map(call, range(MANY), mode=mode, errors="return")
    assert isinstance(results[wrong], ValueError)
    assert [value for value in results if value is not results[wrong]] == [k for k in range(MANY) if k != wrong]


@pytest.mark.parametrize("mode", WAYS)
def test_a_loop_sees_what_came_before_the_error(mode: Any) -> None:
    seen = []

    def call(k: int) -> int:
        return 1 // (20_000 - k)

    def read() -> None:
        for value in whilst.imap(call, list(range(MANY)), mode=mode):
            seen.append(value)

    with pytest.raises(ZeroDivisionError) as caught:
        read()
    assert len(seen) == 20_000
    assert "call 20000" in caught.value.__notes__[0]


@pytest.mark.parametrize("mode", WAYS)
def test_a_list_that_grows_under_the_calls_goes_on(mode: Any) -> None:
    items = list(range(10))

    def call(k: int) -> int:
        if len(items) < MANY:
            items.append(len(items))
        return k

    assert whilst.map(call, items, mode=mode) == list(range(MANY))


def test_coroutines_of_functions_that_do_not_look_it_are_awaited() -> None:
    async def double(k: int) -> int:
        return 2 * k

    results = whilst.map(lambda k: double(k), range(300), mode="sequential")
    assert results == [2 * k for k in range(300)]


def test_calls_that_become_long_in_the_midst_are_seen_after_a_few() -> None:
    """No more are made at once than a part of those that went before."""
    waiting = threading.Event()

    def call(k: int) -> int:
        if k > 60:
            waiting.wait(0.01)
        return k

    source, results = Source(range(4000)), list[Any]()
    source.results = results
    awaiter = Awaiter()
    perform_inline(Job(0, call), source, 4000, awaiter)
    assert len(results) < 100
