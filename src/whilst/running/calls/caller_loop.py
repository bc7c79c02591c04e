"""Coroutines of calls that other threads make, on the loop of whoever awaits the run.

What is bound to that loop (a client, a lock) can be used in them. Loaded by the awaitable verbs alone.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import TYPE_CHECKING

from whilst.running.calls.one_argument import awaited

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType


class CallerLoop:
    """Awaits on a running loop, from other threads than that loop's. An `Awaiter` for runs that are awaited."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.reader: tuple[CodeType, int, int] | None = None
        """Who asks for results one by one: code, place in it, identity of its namespace."""
        self.is_used = False
        """Some call gave a coroutine."""
        self._in_flight: set[concurrent.futures.Future[object]] = set()
        self._is_cancelled = False

    def __call__(self, coroutine: object) -> object:
        self.is_used = True
        # Takes the context of the call along, in which this is called.
        future = asyncio.run_coroutine_threadsafe(awaited(coroutine), self.loop)
        self._in_flight.add(future)
        if self._is_cancelled:
            future.cancel()
        try:
            return future.result()
        except concurrent.futures.CancelledError as error:
            raise asyncio.CancelledError from error
        finally:
            self._in_flight.discard(future)

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Call a function on the loop, and wait until it has returned. Raises what it raises."""
        done: concurrent.futures.Future[None] = concurrent.futures.Future()

        def run() -> None:
            try:
                function(*args)
            except BaseException as error:
                done.set_exception(error)
            else:
                done.set_result(None)

        self.loop.call_soon_threadsafe(run)
        done.result()

    def cancel(self) -> None:
        """Cancel what is in flight here, and all that still comes."""
        self._is_cancelled = True
        for future in list(self._in_flight):
            future.cancel()
