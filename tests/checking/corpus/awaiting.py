"""Coroutines of real programs: stampedes, cancellation, conditions, pools, generators; racy and fixed, in pairs."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator
from typing import Any

user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")


class State:
    def __init__(self) -> None:
        self.n = 0
        self.loads = 0
        self.user = ""
        self.cache: dict[str, int] = {}
        self.pending: dict[str, asyncio.Task[int]] = {}
        self.lock = asyncio.Lock()
        self.condition = asyncio.Condition()
        self.semaphore = asyncio.Semaphore(1)
        self.event = asyncio.Event()
        self.queue: asyncio.Queue[int] = asyncio.Queue()
        self.free = ["connection"]
        self.is_ready = False


async def load(state: State) -> int:
    state.loads += 1
    await asyncio.sleep(0)
    state.cache["k"] = state.loads
    return state.loads


async def stampede(state: State) -> int:
    if "k" in state.cache:
        return state.cache["k"]
    return await load(state)


async def single_flight(state: State) -> int:
    """The second caller awaits the first one's task."""
    if "k" not in state.pending:
        state.pending["k"] = asyncio.create_task(load(state))
    return await state.pending["k"]


async def gather_stampede(state: State) -> list[int]:
    return list(await asyncio.gather(stampede(state), stampede(state)))


async def gather_flight(state: State) -> list[int]:
    return list(await asyncio.gather(single_flight(state), single_flight(state)))


async def set_user(state: State, name: str) -> str:
    state.user = name
    await asyncio.sleep(0)
    return state.user


async def set_user_in_context(state: State, name: str) -> str:
    user.set(name)
    await asyncio.sleep(0)
    return user.get()


async def ann(state: State) -> str:
    return await set_user(state, "ann")


async def bob(state: State) -> str:
    return await set_user(state, "bob")


async def ann_in_context(state: State) -> str:
    return await set_user_in_context(state, "ann")


async def bob_in_context(state: State) -> str:
    return await set_user_in_context(state, "bob")


async def take_connection(state: State) -> str | None:
    if not state.free:
        return None
    await asyncio.sleep(0)
    connection = state.free.pop()
    await asyncio.sleep(0)
    state.free.append(connection)
    return connection


async def take_connection_in_turn(state: State) -> str | None:
    async with state.semaphore:
        return await take_connection(state)


async def wait_if(state: State) -> None:
    async with state.condition:
        if state.n == 0:
            await state.condition.wait()
        state.n -= 1
        if state.n < 0:
            raise AssertionError(state.n)


async def wait_for(state: State) -> None:
    async with state.condition:
        await state.condition.wait_for(lambda: state.n > 0)
        state.n -= 1


async def put_one_notify_all(state: State) -> None:
    async with state.condition:
        state.n += 1
        state.condition.notify_all()


async def put_two_notify_all(state: State) -> None:
    async with state.condition:
        state.n += 2
        state.condition.notify_all()


async def cancelled_with_lock(state: State) -> None:
    """Takes the lock without `async with`, and is cancelled while it holds it."""

    async def hold() -> None:
        await state.lock.acquire()
        await asyncio.sleep(0)
        state.n += 1
        state.lock.release()

    holder = asyncio.create_task(hold())
    await asyncio.sleep(0)
    holder.cancel()


async def cancelled_within_lock(state: State) -> None:
    async def hold() -> None:
        async with state.lock:
            await asyncio.sleep(0)

    holder = asyncio.create_task(hold())
    await asyncio.sleep(0)
    holder.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await holder


async def lock_briefly(state: State) -> None:
    async with state.lock:
        state.n += 1


async def done_too_early(state: State) -> None:
    item = await state.queue.get()
    state.queue.task_done()
    await asyncio.sleep(0)
    state.n += item


async def done_in_time(state: State) -> None:
    item = await state.queue.get()
    await asyncio.sleep(0)
    state.n += item
    state.queue.task_done()


async def join_then_read(state: State) -> int:
    await state.queue.join()
    return state.n


def with_one_item() -> State:
    state = State()
    state.queue.put_nowait(5)
    return state


async def pages(state: State) -> AsyncIterator[int]:
    for _ in range(2):
        n = state.n
        await asyncio.sleep(0)
        state.n = n + 1
        yield state.n


async def read_pages(state: State) -> list[int]:
    return [page async for page in pages(state)]


async def read_pages_locked(state: State) -> list[int]:
    async with state.lock:
        return await read_pages(state)


@contextlib.asynccontextmanager
async def transaction(state: State) -> AsyncIterator[None]:
    before = state.n
    await asyncio.sleep(0)
    yield
    state.n = before + 1


async def in_transaction(state: State) -> None:
    async with transaction(state):
        await asyncio.sleep(0)


async def in_locked_transaction(state: State) -> None:
    async with state.lock, transaction(state):
        await asyncio.sleep(0)


async def taskgroup(state: State) -> int:
    async with asyncio.TaskGroup() as group:
        group.create_task(bump(state))
        group.create_task(bump(state))
    return state.n


async def taskgroup_locked(state: State) -> int:
    async with asyncio.TaskGroup() as group:
        group.create_task(bump_locked(state))
        group.create_task(bump_locked(state))
    return state.n


async def bump(state: State) -> None:
    n = state.n
    await asyncio.sleep(0)
    state.n = n + 1


async def bump_locked(state: State) -> None:
    async with state.lock:
        await bump(state)


async def ready_then_write(state: State) -> None:
    state.is_ready = True
    await asyncio.sleep(0)
    state.n = 7


async def write_then_ready(state: State) -> None:
    state.n = 7
    await asyncio.sleep(0)
    state.is_ready = True


async def read_if_ready(state: State) -> int | None:
    await asyncio.sleep(0)
    return state.n if state.is_ready else None


PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "stampede": (
        {"setup": State, "tasks": [stampede, stampede], "outcome": lambda state: state.loads},
        {"setup": State, "tasks": [single_flight, single_flight], "outcome": lambda state: state.loads},
    ),
    "stampede of a gather": (
        {"setup": State, "tasks": [gather_stampede, stampede], "outcome": lambda state: state.loads},
        {"setup": State, "tasks": [gather_flight], "outcome": lambda state: state.loads},
    ),
    "user of a request, context variable": (
        {"setup": State, "tasks": [ann, bob]},
        {"setup": State, "tasks": [ann_in_context, bob_in_context]},
    ),
    "pool": (
        {"setup": State, "tasks": [take_connection, take_connection]},
        {"setup": State, "tasks": [take_connection_in_turn, take_connection_in_turn]},
    ),
    "Condition, waited for with if": (
        {"setup": State, "tasks": [wait_if, wait_if, put_one_notify_all, put_one_notify_all], "expect": "raises"},
        {"setup": State, "tasks": [wait_for, wait_for, put_two_notify_all]},
    ),
    "cancelled with the lock held": (
        {"setup": State, "tasks": [cancelled_with_lock, lock_briefly]},
        {"setup": State, "tasks": [cancelled_within_lock, lock_briefly]},
    ),
    "task_done before the work": (
        {"setup": with_one_item, "tasks": [done_too_early, join_then_read]},
        {"setup": with_one_item, "tasks": [done_in_time, join_then_read]},
    ),
    "async generators": (
        {"setup": State, "tasks": [read_pages, read_pages]},
        {"setup": State, "tasks": [read_pages_locked, read_pages_locked]},
    ),
    "async context manager": (
        {"setup": State, "tasks": [in_transaction, in_transaction]},
        {"setup": State, "tasks": [in_locked_transaction, in_locked_transaction]},
    ),
    "task group": (
        {"setup": State, "tasks": [taskgroup, bump]},
        {"setup": State, "tasks": [taskgroup_locked, bump_locked], "outcome": lambda state: state.n},
    ),
    "ready before it is written": (
        {"setup": State, "tasks": [ready_then_write, read_if_ready]},
        {"setup": State, "tasks": [write_then_ready, read_if_ready]},
    ),
}
