"""A thread or a loop of a worker that breaks down outside of any call is a dead worker: nobody waits for it."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from whilst.errors import WorkerDiedError
from whilst.running.verbs.api import map  # noqa: A004


def break_the_worker(number: int) -> bytes:
    """Have what is around the third call raise after it, as a half-imported module once did.

    The result is too long to be kept where it outlives the worker.
    """
    if number == 2:
        main = sys.modules["whilst.running.worker.child.main"]

        def answer(*_: Any) -> None:
            raise AttributeError("half imported")

        main.Worker.answer = answer  # type: ignore[attr-defined]
    return bytes(1 << 15)


async def break_the_loop(number: int) -> bytes:
    await asyncio.sleep(0)
    return break_the_worker(number)


@pytest.mark.parametrize("fn", [break_the_worker, break_the_loop], ids=["threads", "loop"])
def test_calls_of_a_broken_worker_are_answered_by_its_death(fn: Any) -> None:
    results = map(fn, range(4), mode="combined", workers=1, errors="return")
    assert isinstance(results[2], WorkerDiedError)
    assert "half imported" in str(results[2])


def nested(number: int) -> int:
    import whilst

    return sum(whilst.map(abs, range(number)))


@pytest.mark.parametrize("seed", [None, 7])
def test_maps_inside_calls_find_all_of_whilst_while_other_threads_import_it(seed: int | None) -> None:
    for _ in range(3):
        results = map(nested, range(24), mode="combined", workers=2, seed=seed)
        assert results == [sum(range(number)) for number in range(24)]
