"""Coroutines in flight on one loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

from whilst.running.calls.coroutines import CoroutineRunner
from whilst.running.jobs import Batch, Finished, Job


async def later(x: int) -> int:
    await asyncio.sleep(60)
    return x


def in_a_thread(main: Callable[[], Awaitable[int]]) -> int:
    """What the coroutine function returns, on a loop in a thread of its own: `begin` marks its thread as a worker's."""
    got: list[int] = []

    async def noted() -> None:
        got.append(await main())

    thread = threading.Thread(target=lambda: asyncio.run(noted()))
    thread.start()
    thread.join()
    return got[0]


def test_what_is_cancelled_before_it_has_begun_is_no_longer_in_flight() -> None:
    """Whoever ends a loop waits until nothing is."""
    answers: list[Finished] = []

    async def main() -> int:
        coroutines = CoroutineRunner(asyncio.get_running_loop(), 0, answers.append)
        coroutines.begin(Batch(0, Job(1, later, "item", context=None), (0, 1), (0, 1)))
        await coroutines.cancel()
        return coroutines.in_flight

    assert in_a_thread(main) == 0
    assert not answers


def test_what_is_cancelled_in_its_midst_is_answered() -> None:
    answers: list[Finished] = []

    async def main() -> int:
        coroutines = CoroutineRunner(asyncio.get_running_loop(), 0, answers.append)
        coroutines.begin(Batch(0, Job(1, later, "item", context=None), (0, 1), (0, 1)))
        await asyncio.sleep(0)
        await coroutines.cancel()
        await asyncio.sleep(0)
        return coroutines.in_flight

    assert in_a_thread(main) == 0
    assert [sorted(each.errors) for each in answers] == [[0, 1]]
