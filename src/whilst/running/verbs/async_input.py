"""The input of a run from an async iterable: drawn on the caller's loop, taken by the thread that moves the run on."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from whilst.running.core.inputs import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_AHEAD = 64
"""Items that lie here, however many are taken at once."""


class AsyncInput(Source):
    """Numbered items of an async iterable. It is read no further ahead than calls take it.

    Args:
        items: read on this loop.
        loop: the running one; what draws is a task of it.
    """

    def __init__(self, items: AsyncIterable[object], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(())
        self._items = None
        self._length = None
        self.wake: Callable[[], object] = lambda: None
        """Called on the loop when there is something for a taker that found nothing."""
        self._async_items = items
        self._loop = loop
        self._queue: deque[object] = deque()
        self._ahead = 1
        """Items that may lie here untaken."""
        self._has_met_end = False
        self._failure: BaseException | None = None
        self._is_asked = False
        """A taker has found nothing, and waits."""
        self._news = threading.Event()
        self._demand = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # On the loop.

    def begin(self) -> None:
        """Begin to draw. Called on the loop."""
        self._task = self._loop.create_task(self._draw_all())

    async def end(self) -> None:
        """Draw no more. Called on the loop, once nobody takes any more."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _draw_all(self) -> None:
        try:
            iterator = aiter(self._async_items)
            lifetime = self._watch(iterator)
            while True:
                await self._demand.wait()
                self._demand.clear()
                while self._is_asked or (len(self._queue) < self._ahead and not self.waits_for_calls):
                    lifetime.begin()
                    item = await anext(iterator)
                    lifetime.end(item)
                    self._queue.append(item)
                    self._tell()
        except StopAsyncIteration:
            pass
        except BaseException as error:
            self._failure = error
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            self._has_met_end = True
            self._tell()

    def _watch(self, iterator: Any) -> Any:
        from whilst.measuring.between.item_lifetime import ItemLifetime

        self._lifetime = ItemLifetime(cast("Iterator[object]", iterator), self.fn)
        return self._lifetime

    def _tell(self) -> None:
        self._is_asked = False
        self._news.set()
        self.wake()

    # In the thread that takes.

    @property
    def left(self) -> int | None:
        if self._is_over:
            return 0
        # As in any source not 0 before a taker has met the end: nobody would be left to meet it.
        return max(len(self._queue), 1) if self._has_met_end else None

    @property
    def is_exhausted(self) -> bool:
        return self._is_over

    def is_ready(self) -> bool:
        if self._queue or self._has_met_end:
            return True
        if not self._is_asked:
            self._news.clear()
            self._is_asked = True
            self._want()
        return bool(self._queue) or self._has_met_end  # what came before it was asked for has told nobody

    def wait(self, patience_s: float | None = None) -> None:
        if not self.is_ready():
            self._news.wait(patience_s)

    def stop_waiting(self) -> None:
        """Let a taker that waits go on, from any thread: the run is over."""
        self._has_met_end = True
        self._news.set()

    def take(self, count: int) -> Sequence[object]:
        taken: list[object] = []
        while len(taken) < count and self._queue:
            taken.append(self._queue.popleft())
        if self.kept is not None:
            self.kept.update(enumerate(taken, self.next_id))
        self.next_id += len(taken)
        if len(taken) < count and self._has_met_end and not self._queue:
            if self._failure is not None:
                self._fail(self._failure)
            self._is_over = True
        elif not self._has_met_end and not self.waits_for_calls:
            self._ahead = min(max(self._ahead, count), _MOST_AHEAD)
            self._want()
        return taken

    def put_back(self, first: int, items: Sequence[object]) -> None:
        self.next_id = first
        self._queue.extendleft(reversed(items))
        self._is_over, self.error = False, None  # who takes them again meets the end, or the failure, again

    def pull(self, count: int) -> Iterable[object]:
        taken = self.take(count)
        self.next_id -= len(taken)
        return taken

    def pulled(self, used: int, *, is_over: bool, error: Exception | None = None) -> None:  # noqa: ARG002 - see `take`
        self.next_id += used

    def _want(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._demand.set)
        except RuntimeError:  # the loop is closed
            self.stop_waiting()
