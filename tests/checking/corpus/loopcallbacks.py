"""Callbacks of event loops: those that raise, those that threads ask for, and those that ask for themselves again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any


class App:
    def __init__(self) -> None:
        self.running: dict[str, Any] = {}
        self.n = 0
        self.done = False
        self.lock = threading.Lock()


async def pause() -> None:
    await asyncio.sleep(0)


async def start(app: App) -> None:
    task = asyncio.create_task(pause())
    app.running["job"] = task
    task.add_done_callback(lambda _: app.running.pop("job"))
    await task
    await asyncio.sleep(0)


async def start_with_care(app: App) -> None:
    task = asyncio.create_task(pause())
    app.running["job"] = task
    task.add_done_callback(lambda _: app.running.pop("job", None))
    await task
    await asyncio.sleep(0)


def bump(app: App) -> None:
    n = app.n
    app.n = n + 1


def bump_locked(app: App) -> None:
    with app.lock:
        bump(app)


def woken_by_a_thread(work: Callable[[App], None]) -> Callable[[App], None]:
    """A thread works and then says so to the loop, which works as well."""

    async def main(app: App) -> None:
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def run() -> None:
            loop.call_soon_threadsafe(event.set)
            work(app)

        thread = threading.Thread(target=run)
        thread.start()
        await event.wait()
        work(app)
        thread.join()

    return lambda app: asyncio.run(main(app))


def in_order(app: App) -> None:
    """What one thread asks for runs in that order."""

    async def main() -> list[int]:
        loop, seen, event = asyncio.get_running_loop(), [], asyncio.Event()

        def run() -> None:
            loop.call_soon_threadsafe(seen.append, 1)
            loop.call_soon_threadsafe(seen.append, 2)
            loop.call_soon_threadsafe(event.set)

        thread = threading.Thread(target=run)
        thread.start()
        await event.wait()
        thread.join()
        return seen

    app.running["seen"] = asyncio.run(main())


def out_of_order(app: App) -> None:
    """What two threads ask for runs in either order."""

    async def main() -> list[int]:
        loop, seen, events = asyncio.get_running_loop(), [], [asyncio.Event(), asyncio.Event()]

        def run(number: int) -> None:
            loop.call_soon_threadsafe(seen.append, number)
            loop.call_soon_threadsafe(events[number].set)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for event in events:
            await event.wait()
        for thread in threads:
            thread.join()
        return seen

    app.running["seen"] = asyncio.run(main())


def settled_by_a_callback(work: Callable[[App], None]) -> Callable[[App], Any]:
    """A call in a thread ends; a callback, which runs on the loop, passes on what came of it (as filelock does)."""

    async def main(app: App) -> None:
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[None] = loop.create_future()

        def settle(call: asyncio.Future[None]) -> None:
            app.running["calls"] = app.running.get("calls", 0) + 1
            outcome.set_result(call.result())

        loop.run_in_executor(None, work, app).add_done_callback(settle)
        await asyncio.wait((outcome,))

    return main


class Settler:
    """Its callback is a bound method."""

    def __init__(self, event: asyncio.Event) -> None:
        self.event = event

    def settle(self, _: asyncio.Future[None]) -> None:
        self.event.set()


def settled_by_a_method(work: Callable[[App], None]) -> Callable[[App], Any]:
    async def main(app: App) -> None:
        event = asyncio.Event()
        asyncio.get_running_loop().run_in_executor(None, work, app).add_done_callback(Settler(event).settle)
        await event.wait()

    return main


def look_until_done(app: App) -> None:
    def look() -> None:
        if not app.done:
            asyncio.get_running_loop().call_soon(look)

    look()


async def watched(app: App) -> None:
    look_until_done(app)
    n = app.n
    await asyncio.sleep(0)
    app.n = n + 1
    app.done = True


async def watched_at_once(app: App) -> None:
    look_until_done(app)
    await asyncio.sleep(0)
    app.n += 1
    app.done = True


def look(_: App) -> None:
    return None


def ask(*tasks: Any, outcome: Any = lambda app: app.n) -> dict[str, Any]:
    return {"setup": App, "tasks": list(tasks), "outcome": outcome}


def seen(app: App) -> Any:
    return app.running["seen"]


PAIRS = {
    "a callback that raises": (
        {**ask(start, start, outcome=lambda app: len(app.running)), "expect": "raises"},
        ask(start_with_care, start_with_care, outcome=lambda app: len(app.running)),
    ),
    "a thread wakes a loop": (
        ask(woken_by_a_thread(bump), look),
        ask(woken_by_a_thread(bump_locked), look),
    ),
    "a callback passes on what a call in a thread gave": (
        ask(*[settled_by_a_callback(bump)] * 2),
        ask(*[settled_by_a_callback(bump_locked)] * 2),
    ),
    "a method passes on that a call in a thread is over": (
        ask(*[settled_by_a_method(bump)] * 2),
        ask(*[settled_by_a_method(bump_locked)] * 2),
    ),
    "callbacks of threads keep their order": (
        ask(out_of_order, look, outcome=seen),
        ask(in_order, look, outcome=seen),
    ),
    "a callback that asks for itself again": (ask(watched, watched), ask(watched_at_once, watched_at_once)),
}
