"""Functions that the contract maps: in a module of their own, as a user's would be."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import random
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

counter: contextvars.ContextVar[int] = contextvars.ContextVar("counter", default=0)
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def square(x: int) -> int:
    return x * x


def add(a: int, b: int = 0) -> int:
    return a + b


def later_first(x: int) -> int:
    """Early items end late."""
    time.sleep(max(0.02 - x * 0.001, 0))
    return x


class OddError(Exception):
    def __init__(self, number: int, *, text: str) -> None:
        super().__init__(f"{number} is odd")
        self.number = number
        self.text = text

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(OddError, text=self.text), (self.number,)


def refuse(x: int) -> None:
    raise OddError(x, text="refused")


def refuse_from(x: int) -> int:
    if x >= 7:
        refuse(x)
    return x


def refuse_one(x: int) -> int:
    if x == 5:
        raise OddError(x, text="only this")
    return x


def raise_from(x: int) -> int:
    try:
        return 1 // (x - 3)
    except ZeroDivisionError as error:
        raise LookupError("no quotient") from error


def exit_at_three(x: int) -> int:
    if x == 3:
        sys.exit("leave")
    return x


def read_variable(x: int) -> str:
    return f"{x} {variable.get()}"


def where(_: int) -> str:
    return str(Path.cwd())


def environment(name: str) -> str | None:
    return os.environ.get(name)


def set_environment(name: str, value: str) -> None:
    os.environ[name] = value


def warned(x: int) -> str:
    """Which of "ignore" and "error" the filters say."""
    try:
        warnings.warn(f"call {x}", UserWarning, stacklevel=1)
    except UserWarning:
        return "error"
    return "ignore"


def draw(_: int) -> tuple[float, int]:
    first = random.random()
    time.sleep(0.001)
    return first, random.randrange(10**9)


def recurse(depth: int) -> int:
    return recurse(depth + 1)


def warn(x: int) -> int:
    warnings.warn(f"careful with {x}", UserWarning, stacklevel=2)
    return x


def nested(x: int) -> list[int]:
    from whilst.running.verbs.api import map as map_calls

    return list(map_calls(square, range(x), mode="concurrent", workers=4))


def stop_iteration(x: int) -> int:
    if x == 4:
        raise StopIteration(x)
    return x


class Adder:
    def __init__(self, base: int) -> None:
        self.base = base

    def add(self, x: int) -> int:
        return self.base + x

    def __call__(self, x: int) -> int:
        return self.base + x


class AsyncAdder(Adder):
    async def __call__(self, x: int) -> int:  # type: ignore[override]
        await asyncio.sleep(0)
        return self.base + x


def call_with_three(fn: Callable[[int], object]) -> object:
    return fn(3)  # names nothing: what it gives is its item's business


async def square_later(x: int) -> int:
    await asyncio.sleep(0.001 * (x % 3))
    return x * x


async def add_later(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


async def refuse_later(x: int) -> int:
    await asyncio.sleep(0.001)
    if x >= 7:
        refuse(x)
    return x


async def draw_later(_: int) -> tuple[float, int]:
    first = random.random()
    await asyncio.sleep(first / 200)
    return first, random.randrange(10**9)


async def read_variable_later(x: int) -> str:
    await asyncio.sleep(0)
    return f"{x} {variable.get()}"


async def sleep_long(x: int) -> int:
    await asyncio.sleep(30)
    return x


def sleep_at_two(x: int) -> int:
    if x == 2:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:  # in short naps, so that a thread can be ended too
            time.sleep(0.01)
    return x


def sleep_a_little_at_two(x: int) -> int:
    if x == 2:
        time.sleep(0.7)
    return x


def count_in_context(item: object) -> int:
    """How many calls were made before in this context, plus one."""
    counter.set(counter.get() + 1)
    return counter.get()


async def variable_later() -> str:
    """What its call has set is what it sees, and nothing that another one sets."""
    await asyncio.sleep(0)
    seen = variable.get()
    variable.set("set by another coroutine")
    return seen


def later_at_times(item: int) -> object:
    """No coroutine function, and yet every other call gives a coroutine."""
    return variable_later() if item % 2 else item


def set_and_later(item: int) -> object:
    """The coroutine is to see what this very call has set."""
    if item % 2 == 0:
        return item
    variable.set(f"call {item}")
    return variable_later()
