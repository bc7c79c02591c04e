"""Items that come later bring other code than the first: `auto` follows it, and a mode by name says what it does."""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import operator
import pkgutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

import whilst

COUNT = 24
FROM = 16
"""The first item that brings what writes."""
log: list[int] = []
here = sys.modules[__name__]


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    log.clear()
    yield
    log.clear()


def quiet(number: int) -> int:
    time.sleep(0.002 + 0.001 * (number % 3))
    return number


def loud(number: int) -> int:
    quiet(number)
    log.append(number)
    return -len(log)


RIGHT = [number if number < FROM else FROM - number - 1 for number in range(COUNT)]


class Task:
    def __init__(self, number: int) -> None:
        self.number = number

    def run(self) -> int:
        return quiet(self.number)


class LoudTask(Task):
    def run(self) -> int:
        return loud(self.number)


class Price:
    """What C code calls: an index, a path, a property by name, a part of a sum."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __index__(self) -> int:
        return abs(self)

    def __abs__(self) -> int:
        return quiet(self.number)

    def __radd__(self, _: object) -> int:
        return abs(self)

    def __await__(self) -> Generator[Any, Any, int]:
        yield from asyncio.sleep(0.002).__await__()
        return self.number

    @property
    def price(self) -> int:
        return abs(self)


class LoudPrice(Price):
    def __abs__(self) -> int:
        return loud(self.number)

    def __await__(self) -> Generator[Any, Any, int]:
        count = len(log)
        yield from asyncio.sleep(0.002).__await__()
        log.append(self.number)
        return -count - 1


def price(number: int) -> Price:
    return (Price if number < FROM else LoudPrice)(number)


class Step:
    def __init__(self, function: Any, depth: int) -> None:
        self.function = function if depth == 0 else Step(function, depth - 1)


class Doer:
    def quiet(self, number: int) -> int:
        return quiet(number)

    def loud(self, number: int) -> int:
        return loud(number)

    @staticmethod
    def static_quiet(number: int) -> int:
        return quiet(number)

    @staticmethod
    def static_loud(number: int) -> int:
        return loud(number)


doer = Doer()
TABLE = {"quiet": quiet, "loud": loud}
HOOKS = {"quiet": [quiet], "loud": [loud]}
CLASSES = {"quiet": Task, "loud": LoudTask}


def task(number: int) -> Task:
    return (Task if number < FROM else LoudTask)(number)


def function(number: int) -> Callable[[int], int]:
    return quiet if number < FROM else loud


def far(number: int) -> Any:
    step = Step(function(number), 3)
    step.number = number  # type: ignore[attr-defined]
    return step


def named(number: int) -> tuple[str, int]:
    return function(number).__name__, number


def choose(item: tuple[str, int]) -> int:
    chosen = quiet if item[1] < FROM else loud
    return chosen(item[1])


def by_text(text: str) -> object:
    return eval(text)


KINDS: dict[str, tuple[Callable[[Any], object], Callable[[int], object]]] = {
    "a class": (lambda item: item.run(), task),
    "a class in a tuple": (lambda item: item[0].run(), lambda number: (task(number),)),
    "a class in a dict": (lambda item: item["task"].run(), lambda number: {"task": task(number)}),
    "a class in a list": (lambda item: sum(each.run() for each in item), lambda number: [task(number)]),
    "a function": (lambda item: item[0](item[1]), lambda number: (function(number), number)),
    "a partial": (lambda item: item(), lambda number: functools.partial(function(number), number)),
    "a method": (lambda item: item(), lambda number: task(number).run),
    "a handler or none": (
        lambda item: (item.get("handler") or quiet)(item["number"]),
        lambda number: {"number": number, "handler": None if number < FROM else loud},
    ),
    "what a library calls back": (
        lambda item: int(json.dumps(item, default=lambda each: each.run())),
        task,
    ),
    "its class": (lambda item: type(item).run(item), task),
    "a class alone in C": (abs, price),
    "a class given to C": (lambda item: int(hex(item), 16), price),
    "a part of a sum": (lambda item: sum([item]), price),
    "a property by name": (lambda item: int("{0.price}".format(item)), price),  # noqa: UP030, UP032
    "a function far within": (
        lambda item: item.function.function.function.function(item.number),
        far,
    ),
    "a function of what a list holds": (
        lambda item: [step.function(number) for step, number in item][0],  # noqa: RUF015
        lambda number: [(Step(function(number), 0), number)],
    ),
    "text": (by_text, lambda number: f"{function(number).__name__}({number})"),
}
NAMES: dict[str, Callable[[tuple[str, int]], object]] = {
    "globals": lambda item: globals()[item[0]](item[1]),
    "vars": lambda item: vars(here)[item[0]](item[1]),
    "a module": lambda item: getattr(here, item[0])(item[1]),
    "an imported module": lambda item: getattr(importlib.import_module(__name__), item[0])(item[1]),
    "a class": lambda item: getattr(Doer, f"static_{item[0]}")(item[1]),
    "an object": lambda item: getattr(doer, item[0])(item[1]),
    "methodcaller": lambda item: operator.methodcaller(item[0], item[1])(doer),
    "a method of what is made": lambda item: getattr(Doer(), item[0])(item[1]),
    "a method of what is made, by a caller": lambda item: operator.methodcaller(item[0], item[1])(Doer()),
    "an attribute by a getter": lambda item: operator.attrgetter(item[0])(here)(item[1]),
    "a name resolved": lambda item: pkgutil.resolve_name(f"{__name__}:{item[0]}")(item[1]),
    "what a library calls": lambda item: list(map(TABLE[item[0]], [item[1]]))[0],  # noqa: RUF015
    "a table": lambda item: TABLE[item[0]](item[1]),
    "a table made here": lambda item: {"quiet": quiet, "loud": loud}[item[0]](item[1]),
    "a search": lambda item: next(each for name, each in TABLE.items() if name == item[0])(item[1]),
    "hooks": lambda item: [hook(item[1]) for hook in HOOKS[item[0]]][0],  # noqa: RUF015
    "classes": lambda item: CLASSES[item[0]](item[1]).run(),
    "a condition": choose,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_drawn", [False, True])
def test_auto_follows_what_later_items_bring(kind: str, is_drawn: bool) -> None:
    call, make = KINDS[kind]
    items = map(make, range(COUNT))
    results = whilst.map(call, items if is_drawn else list(items))
    assert list(results) == RIGHT, results.decision
    assert len(log) == COUNT - FROM


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["concurrent", "parallel"])
def test_a_mode_by_name_says_what_later_items_bring(kind: str, mode: Any) -> None:
    call, make = KINDS[kind]
    results = whilst.map(call, map(make, range(COUNT)), mode=mode, workers=2)
    assert list(results) == RIGHT or "It changes" in "".join(results.decision.given_up)
    told = "".join(whilst.map(call, list(map(make, range(COUNT))), mode=mode, workers=2).decision.given_up)
    assert ("text as code" if kind == "text" else "It changes log") in told


@pytest.mark.parametrize("name", NAMES)
def test_auto_follows_all_that_an_item_may_name(name: str) -> None:
    assert list(whilst.map(NAMES[name], list(map(named, range(COUNT))))) == RIGHT


def test_items_of_many_kinds_that_write_nothing_go_on_overlapping() -> None:
    items = [(functools.partial(quiet, k) if k % 2 else Task(k).run) for k in range(COUNT)]
    results = whilst.map(lambda item: item(), items)
    assert list(results) == list(range(COUNT))
    assert results.decision.mode == "concurrent", results.decision
    assert whilst.map(lambda item: item(), items, mode="concurrent").decision.given_up == ()


def test_where_there_is_no_end_of_kinds_nothing_overlaps() -> None:
    texts = [f"lambda: quiet({number})" for number in range(80)]
    items = [eval(text) for text in texts]
    results = whilst.map(lambda item: item(), items)
    assert list(results) == list(range(80))
    assert results.decision.mode == "sequential"
    assert "too many kinds" in str(results.decision)


class Waiter(Task):
    async def wait(self) -> int:
        await asyncio.sleep(0.001 * (self.number % 3))
        return self.number


class LoudWaiter(Waiter):
    async def wait(self) -> int:
        count = len(log)
        await asyncio.sleep(0.002)
        log.append(self.number)
        return -count - 1


async def wait_for(item: Waiter) -> int:
    return await item.wait()


async def await_it(item: Price) -> int:
    return await item


def waiters() -> list[Waiter]:
    return [(Waiter if number < FROM else LoudWaiter)(number) for number in range(COUNT)]


@pytest.mark.parametrize("is_drawn", [False, True])
def test_coroutines_take_turns_from_there_on(is_drawn: bool) -> None:
    assert list(whilst.map(wait_for, iter(waiters()) if is_drawn else waiters())) == RIGHT


def test_what_is_awaited_itself_takes_turns_from_there_on() -> None:
    assert list(whilst.map(await_it, [price(number) for number in range(COUNT)])) == RIGHT


def test_coroutines_on_the_callers_loop_take_turns_from_there_on() -> None:
    async def draw() -> AsyncIterator[Waiter]:
        for each in waiters():
            yield each

    async def main() -> None:
        for items in (waiters(), iter(waiters()), draw()):
            log.clear()
            assert list(await whilst.amap(wait_for, items)) == RIGHT

    asyncio.run(main())


def test_a_reader_of_a_stream_gets_what_a_loop_gives() -> None:
    call, make = KINDS["a class"]
    assert list(whilst.imap(call, map(make, range(COUNT)))) == RIGHT


def test_a_journal_keeps_its_places_where_items_were_put_back(tmp_path: Path) -> None:
    call, _ = KINDS["a function"]
    items = [(function(number), number) for number in range(COUNT)]
    results = whilst.map(call, iter(items), journal=tmp_path / "journal")
    assert list(results) == RIGHT


def test_what_the_input_raises_after_items_that_were_put_back_comes_in_its_place() -> None:
    call, make = KINDS["a class"]

    def items() -> Iterator[object]:
        yield from map(make, range(COUNT))
        raise OSError("the input ends here")

    got: list[object] = []
    with pytest.raises(OSError, match="ends here"):
        got.extend(whilst.imap(call, items()))
    assert got == RIGHT
