"""What a task starts for itself: asyncio.run, ThreadPool, ProcessPoolExecutor, and the locks that go with them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import multiprocessing
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from multiprocessing.pool import ThreadPool
from typing import Any


class Box:
    def __init__(self) -> None:
        self.count, self.closed, self.total = 0, 0, 0
        self.lock = threading.Lock()
        self.process_lock = multiprocessing.RLock()
        self.seen: list[int] = []


async def count_across_an_await(box: Box) -> None:
    count = box.count
    await asyncio.sleep(0)
    box.count = count + 1


def by_run(box: Box) -> None:
    asyncio.run(count_across_an_await(box))


def by_runner(box: Box) -> None:
    with asyncio.Runner() as runner:
        runner.run(count_across_an_await(box))


def by_loop(box: Box) -> None:
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(count_across_an_await(box))
    finally:
        loop.close()


def locked(task: Callable[[Box], Any]) -> Callable[[Box], Any]:
    def run(box: Box) -> Any:
        with box.lock:
            return task(box)

    return run


async def leave_children(box: Box) -> None:
    async def child() -> None:
        try:
            await asyncio.sleep(0)
            box.count += 1
        finally:
            box.closed += 1

    kept = [asyncio.create_task(child()), asyncio.create_task(child())]
    await asyncio.sleep(0)
    del kept


async def await_children(box: Box) -> None:
    async def child() -> None:
        with box.lock:
            box.count += 1
        await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(child())
        group.create_task(child())


def run_with(main: Callable[[Box], Coroutine[Any, Any, None]], box: Box) -> int:
    asyncio.run(main(box))
    return box.closed


async def first_completed(box: Box) -> None:
    async def give(value: int) -> int:
        await asyncio.sleep(0)
        return value

    for coming in asyncio.as_completed([give(1), give(2)]):
        box.seen.append(await coming)


async def all_completed(box: Box) -> None:
    await first_completed(box)
    box.seen.sort()


async def count_locked(box: Box) -> None:
    with box.lock:
        box.count = box.count + 1


def add_up(box: Box, value: int) -> None:
    box.total = box.total + value


def add_up_locked(box: Box, value: int) -> None:
    with box.lock:
        add_up(box, value)


def in_thread_pool(box: Box, add: Callable[[Box, int], None]) -> int:
    with ThreadPool(2) as pool:
        pool.map(partial(add, box), [1, 2])
    return box.total


def square(value: int) -> int:
    return value * value


def in_processes(box: Box) -> None:
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        box.total = box.total + pool.submit(square, 2).result()


def with_process_lock(box: Box) -> None:
    with box.process_lock, box.process_lock:
        box.count = box.count + 1


def with_process_lock_too_late(box: Box) -> None:
    count = box.count
    with box.process_lock:
        box.count = count + 1


def in_callback(box: Box, add: Callable[[Box, int], None]) -> int:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for value in (1, 2):
            pool.submit(square, value).add_done_callback(lambda future: add(box, future.result()))
    return box.total


def pair_of(racy: list[Any], fixed: list[Any], **how: Any) -> Any:
    return {"setup": Box, "tasks": racy, **how}, {"setup": Box, "tasks": fixed, **how}


PAIRS = {
    "asyncio.run": pair_of([by_run] * 2, [locked(by_run)] * 2),
    "asyncio.Runner": pair_of([by_runner, by_loop], [locked(by_runner), locked(by_loop)]),
    "asyncio.run beside a coroutine": pair_of([by_run, count_across_an_await], [locked(by_run), count_locked]),
    "children left at the end": pair_of([partial(run_with, leave_children)], [partial(run_with, await_children)] * 2),
    "as_completed": pair_of([first_completed], [all_completed], outcome=lambda box: box.seen),
    "ThreadPool": pair_of([partial(in_thread_pool, add=add_up)], [partial(in_thread_pool, add=add_up_locked)]),
    "ProcessPoolExecutor": pair_of([in_processes] * 2, [locked(in_processes)] * 2),
    "lock of multiprocessing": pair_of([with_process_lock, with_process_lock_too_late], [with_process_lock] * 2),
    "callbacks of futures": pair_of([partial(in_callback, add=add_up)], [partial(in_callback, add=add_up_locked)]),
}
