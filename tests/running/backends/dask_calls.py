"""Functions that tests have made on a cluster: in a module that only this program can import."""

from __future__ import annotations

import contextvars
import logging
import os
import random
import sys
import time
import warnings
from pathlib import Path

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def square(x: int) -> int:
    return x * x


def squares(numbers: list[int]) -> list[int]:
    return [x * x for x in numbers]


def add(a: int, b: int) -> int:
    return a + b


def slow_here(x: int) -> int:
    """Works, but for the workers of the cluster."""
    end = time.thread_time() + (0.0 if os.environ.get("WHILST_TEST_WORKERS") else 0.02)
    while time.thread_time() < end:
        pass
    return x


async def square_later(x: int) -> int:
    return x * x


def surroundings(_: int) -> tuple[str, str | None, str | None, str, bool]:
    own = os.environ.get("WHILST_TEST_OWN"), os.environ.get("WHILST_TEST_WORKERS")
    return str(Path.cwd()), *own, variable.get(), "distributed" in sys.modules


def say(x: int) -> int:
    print("printed", x)
    logging.getLogger("whilst-test").warning("logged %d", x)
    warnings.warn(f"warned {x}", UserWarning, stacklevel=1)
    return x


def draw(_: int) -> float:
    return random.random()


def refuse_7(x: int) -> int:
    if x == 7:
        raise LookupError("no seven", x)
    return x


def leave_at_7(x: int) -> int:
    if x == 7:
        os._exit(3)
    return x


def hang_at_3(x: int) -> int:
    if x == 3:
        time.sleep(60)
    return x


def note(log: Path, x: int) -> int:
    """Write down that the call was made; take some time."""
    with log.open("a") as file:
        file.write(f"{x}\n")
    time.sleep(0.03)
    return x


def open_file(_: int) -> object:
    return sys.stdout.buffer
