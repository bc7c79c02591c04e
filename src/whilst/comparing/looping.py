"""Concurrent, for coroutine functions: all calls on one event loop, so many of them at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence

from whilst.comparing.calling import make_coroutine_call
from whilst.comparing.recording import CallRecord, Run

__all__ = ["run_coroutine", "run_on_loop"]

_LANE = "event loop"


def run_on_loop(
    fn: Callable[[object], Awaitable[object]], items: Sequence[object], at_once: int, tick: Callable[[], None]
) -> Run:
    """Make all calls on one loop, at most `at_once` in progress."""
    start = time.perf_counter_ns()
    calls: list[CallRecord] = []

    async def drive() -> None:
        numbered = iter(enumerate(items))

        async def work_off() -> None:
            for number, item in numbered:
                calls.append(await make_coroutine_call(fn, item, number, _LANE))
                tick()

        async with asyncio.TaskGroup() as group:
            for _ in range(min(at_once, len(items))):
                group.create_task(work_off())

    run_coroutine(drive())
    who = f"1 event loop of {min(at_once, len(items))} calls at once"
    return Run(who, calls, start, time.perf_counter_ns())


def run_coroutine(coroutine: Coroutine[object, object, None]) -> None:
    """Run to the end, also where a loop is running in this thread already (a notebook): then in a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(coroutine)
        return
    errors: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(coroutine)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
