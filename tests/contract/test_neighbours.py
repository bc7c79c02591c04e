"""What goes on beside the calls: an asynchronous input or a loop over results changes what they see, as in a loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import whilst

COUNT = 12
section = -1
best = 0
limit = 100


async def sections() -> AsyncIterator[int]:
    global section
    for k in range(COUNT):
        section = k // 5
        yield k


class Sections:
    def __init__(self) -> None:
        self.drawn = -1

    def __aiter__(self) -> Sections:
        return self

    async def __anext__(self) -> int:
        global section
        self.drawn += 1
        section = self.drawn // 5
        if self.drawn == COUNT:
            raise StopAsyncIteration
        return self.drawn


def in_section(k: int) -> tuple[int, int]:
    return section, k


async def in_section_later(k: int) -> tuple[int, int]:
    await asyncio.sleep(0)
    return section, k


@pytest.mark.parametrize("mode", ["auto", "concurrent"])
@pytest.mark.parametrize("fn", [in_section, in_section_later])
@pytest.mark.parametrize("items", [sections, Sections])
def test_an_asynchronous_input_that_changes_what_calls_look_at_is_not_read_ahead(
    items: Any, fn: Any, mode: Any
) -> None:
    async def main() -> list[object]:
        return await whilst.amap(fn, items(), mode=mode)  # type: ignore[no-any-return]

    assert asyncio.run(main()) == [(k // 5, k) for k in range(COUNT)]


def above_best(k: int) -> int:
    return k if k % 10 >= best else -1


def below_limit(k: int) -> int:
    return k if k < limit else -1


async def above_best_later(k: int) -> int:
    await asyncio.sleep(0)
    return above_best(k)


async def below_limit_later(k: int) -> int:
    await asyncio.sleep(0)
    return below_limit(k)


EXPECTED_BEST = [*range(10), *[-1] * 9, 19]
EXPECTED_LIMIT = [*range(8), *[-1] * 12]


@pytest.mark.parametrize("fn", [above_best, above_best_later])
def test_a_loop_that_changes_with_each_result_what_calls_look_at_is_followed(fn: Any) -> None:
    global best
    best, found = 0, []
    for result in whilst.imap(fn, range(20)):
        best = max(best, result % 10)
        found.append(result)
    assert found == EXPECTED_BEST


@pytest.mark.parametrize("fn", [below_limit, below_limit_later])
def test_a_loop_that_changes_it_late_is_followed(fn: Any) -> None:
    global limit
    limit, found = 100, []
    for result in whilst.imap(fn, range(20)):
        if result == 7:
            limit = 3
        found.append(result)
    assert found == EXPECTED_LIMIT


def test_an_awaited_loop_is_followed_too() -> None:
    async def main() -> list[int]:
        global limit
        limit, found = 100, []
        async for result in whilst.aimap(below_limit_later, range(20)):
            if result == 7:
                limit = 3
            found.append(result)
        return found

    assert asyncio.run(main()) == EXPECTED_LIMIT


@pytest.mark.parametrize("mode", ["concurrent", "parallel"])
def test_a_mode_by_name_says_that_the_loop_is_not_followed(mode: Any) -> None:
    global limit
    limit = 100
    stream = whilst.imap(below_limit, range(20), mode=mode, workers=2)
    for result in stream:
        if result == 7:
            limit = 3
    assert "It looks at what whoever reads its results changes, limit" in "".join(stream.decision.given_up)


def test_of_a_loop_that_changes_nothing_they_see_nothing_is_said() -> None:
    total = 0
    stream = whilst.imap(below_limit, range(20), mode="concurrent")
    for result in stream:
        total += result
    assert not stream.decision.given_up


def test_tasks_that_look_at_what_others_change_take_turns_on_a_loop_too() -> None:
    async def changes() -> int:
        global best
        await asyncio.sleep(0.001)
        best = 7
        return 1

    async def looks() -> int:
        await asyncio.sleep(0)
        return best

    async def main() -> list[int]:
        global best
        best = 0
        return list(await whilst.agather(changes, looks))

    assert asyncio.run(main()) == [1, 7]
