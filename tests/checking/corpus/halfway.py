"""Coroutines that others overtake at an await, or that are cut short there: racy and fixed, in pairs, and named."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from functools import partial
from typing import Any


class Pair:
    """Two numbers that belong together."""

    def __init__(self, a: int = 0, b: int = 0) -> None:
        self.a, self.b = a, b
        self.is_ready = False
        self.made = 0
        self.names = {"x": 1, "y": 2}
        self.lock = asyncio.Lock()


def alone(task: Any) -> Any:
    """The same, with the lock held from start to end."""

    @functools.wraps(task)
    async def run(pair: Pair, **given: Any) -> Any:
        async with pair.lock:
            return await task(pair, **given)

    return run


async def write_both(pair: Pair, value: int) -> None:
    pair.a = value
    await asyncio.sleep(0)
    pair.b = value


async def read_both(pair: Pair) -> tuple[int, int]:
    a = pair.a
    await asyncio.sleep(0)
    return a, pair.b


async def read_at_once(pair: Pair) -> tuple[int, int]:
    return pair.a, pair.b


async def read_twice(pair: Pair) -> bool:
    before = pair.a
    await asyncio.sleep(0)
    return before == pair.a


async def set_a(pair: Pair) -> None:
    pair.a = 5


async def add(pair: Pair) -> None:
    a = pair.a
    await asyncio.sleep(0)
    pair.a = a + 1


async def make_once(pair: Pair) -> None:
    if not pair.is_ready:
        await asyncio.sleep(0)
        pair.made += 1
        pair.is_ready = True


async def go_off_call(pair: Pair, me: str, other: str) -> None:
    """At least one of the two stays on."""
    if getattr(pair, other):
        await asyncio.sleep(0)
        setattr(pair, me, 0)


async def tell_all(pair: Pair) -> None:
    for _ in pair.names:
        await asyncio.sleep(0)


async def add_name(pair: Pair) -> None:
    pair.names["z"] = 3


async def move(pair: Pair) -> None:
    pair.a -= 1
    await asyncio.sleep(0)
    pair.b += 1


async def move_at_once(pair: Pair) -> None:
    await asyncio.sleep(0)
    pair.a -= 1
    pair.b += 1


async def at_most_a_second(pair: Pair, task: Any) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(task(pair), 1)


async def within_a_second(pair: Pair, task: Any) -> None:
    try:
        async with asyncio.timeout(1):
            await task(pair)
    except TimeoutError:
        pass


def is_whole(pair: Pair) -> bool:
    return pair.a + pair.b == 1


def total(pair: Pair) -> int:
    return pair.a + pair.b


def twins(name: str, pattern: str, *tasks: Any, setup: Any = Pair, **more: Any) -> Any:
    """A racy case with its pattern, and its twin in which each holds the lock."""
    racy = {"setup": setup, "tasks": list(tasks), "pattern": pattern, **more}
    return name, (racy, {"setup": setup, "tasks": [alone(task) for task in tasks]})


def cut_short(how: Any) -> Any:
    """What a time-out leaves behind; with an invariant, since a task may as well be cut short on its own."""
    common = {"setup": partial(Pair, 1), "invariant": is_whole, "outcome": total}
    return (
        {
            **common,
            "tasks": [partial(how, task=move)],
            "expect": "breaks the invariant",
            "pattern": "cancelled half-way",
        },
        {**common, "tasks": [partial(how, task=move_at_once)]},
    )


PAIRS: dict[str, Any] = {
    "cut short by wait_for": cut_short(at_most_a_second),
    "cut short by timeout": cut_short(within_a_second),
    **dict(
        [
            twins("read on both sides of an await", "read skew", partial(write_both, value=1), read_both),
            twins("written on both sides of an await", "read skew", partial(write_both, value=1), read_at_once),
            twins("both write both", "dirty write", partial(write_both, value=1), partial(write_both, value=2)),
            twins("read twice", "unrepeatable read", read_twice, set_a),
            twins("added by three", "lost update", add, add, add),
            twins("made once", "check-then-act", make_once, make_once),
            twins(
                "off call",
                "write skew",
                partial(go_off_call, me="a", other="b"),
                partial(go_off_call, me="b", other="a"),
                setup=partial(Pair, 1, 1),
            ),
            twins("named while telling", "changed while iterated", tell_all, add_name, expect="raises"),
        ]
    ),
}
