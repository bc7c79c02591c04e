"""Coroutine tasks: only an await lets another one in. Racy and fixed, in pairs."""

from __future__ import annotations

import asyncio
from typing import Any


class State:
    def __init__(self) -> None:
        self.n = 0
        self.cache: dict[str, int] = {}
        self.loads = 0
        self.lock = asyncio.Lock()
        self.other = asyncio.Lock()
        self.event = asyncio.Event()
        self.queue: asyncio.Queue[int] = asyncio.Queue()
        self.semaphore = asyncio.Semaphore(1)


async def bump_across_await(state: State) -> None:
    n = state.n
    await asyncio.sleep(0)
    state.n = n + 1


async def bump_at_once(state: State) -> None:
    await asyncio.sleep(0)
    state.n = state.n + 1


async def bump_locked(state: State) -> None:
    async with state.lock:
        n = state.n
        await asyncio.sleep(0.5)
        state.n = n + 1


async def bump_semaphore(state: State) -> None:
    async with state.semaphore:
        n = state.n
        await asyncio.sleep(0)
        state.n = n + 1


async def load(state: State) -> int:
    state.loads += 1
    await asyncio.sleep(1)
    return 7


async def cached(state: State) -> int:
    if "k" not in state.cache:
        state.cache["k"] = await load(state)
    return state.cache["k"]


async def cached_locked(state: State) -> int:
    async with state.lock:
        return await cached(state)


async def lock_then_other(state: State) -> None:
    async with state.lock:
        await asyncio.sleep(0)
        async with state.other:
            state.n += 1


async def other_then_lock(state: State) -> None:
    async with state.other:
        await asyncio.sleep(0)
        async with state.lock:
            state.n += 1


async def set_then_write(state: State) -> None:
    state.event.set()
    await asyncio.sleep(0)
    state.n = 1


async def write_then_set(state: State) -> None:
    state.n = 1
    state.event.set()


async def wait_then_read(state: State) -> int:
    await state.event.wait()
    return state.n


async def produce(state: State) -> None:
    await state.queue.put(1)


async def consume(state: State) -> int:
    return await state.queue.get()


async def take_if_not_empty(state: State) -> int | None:
    if not state.queue.empty():
        await asyncio.sleep(0)
        return state.queue.get_nowait()
    return None


async def take_nowait(state: State) -> int | None:
    await asyncio.sleep(0)
    try:
        return state.queue.get_nowait()
    except asyncio.QueueEmpty:
        return None


def filled() -> State:
    state = State()
    state.queue.put_nowait(1)
    return state


async def gather_two(state: State) -> int:
    await asyncio.gather(bump_across_await(state), bump_across_await(state))
    return state.n


async def gather_two_locked(state: State) -> int:
    await asyncio.gather(bump_locked(state), bump_locked(state))
    return state.n


PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "await between read and write": (
        {"setup": State, "tasks": [bump_across_await, bump_across_await]},
        {"setup": State, "tasks": [bump_at_once, bump_at_once]},
    ),
    "asyncio.Lock": (
        {"setup": State, "tasks": [bump_locked, bump_across_await]},
        {"setup": State, "tasks": [bump_locked, bump_locked]},
    ),
    "asyncio.Semaphore": (
        {"setup": State, "tasks": [bump_semaphore, bump_across_await]},
        {"setup": State, "tasks": [bump_semaphore, bump_semaphore]},
    ),
    "cache across an await": (
        {"setup": State, "tasks": [cached, cached]},
        {"setup": State, "tasks": [cached_locked, cached_locked]},
    ),
    "asyncio locks crossed": (
        {"setup": State, "tasks": [lock_then_other, other_then_lock], "expect": "deadlock"},
        {"setup": State, "tasks": [lock_then_other, lock_then_other]},
    ),
    "asyncio.Event": (
        {"setup": State, "tasks": [set_then_write, wait_then_read]},
        {"setup": State, "tasks": [write_then_set, wait_then_read]},
    ),
    "asyncio.Queue": (
        {"setup": filled, "tasks": [take_if_not_empty, take_if_not_empty], "expect": "raises"},
        {"setup": filled, "tasks": [take_nowait, take_nowait]},
    ),
    "asyncio.Queue handed over": (
        {"setup": State, "tasks": [produce, consume, bump_across_await, bump_across_await]},
        {"setup": State, "tasks": [produce, consume]},
    ),
    "gather": (
        {"setup": State, "tasks": [gather_two, bump_at_once]},
        {"setup": State, "tasks": [gather_two_locked]},
    ),
}
