"""The verbs on a running event loop: amap, astarmap, aimap, aimap_unordered, agather.

The same runs as those of `api`, moved on by a thread of their own: the loop goes on meanwhile. Coroutines are in flight
on the caller's own loop, where what is bound to it can be used; plain functions are called in that thread, in others
or in processes. Who is cancelled ends the run, and waits until nothing of it is left.

Imports within functions are of what the first run loads in its thread: the loop is not to wait for that.
"""

from __future__ import annotations

import _thread
import asyncio
import threading
from _contextvars import copy_context
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, Unpack, overload

from whilst.running.calls.caller_loop import CallerLoop
from whilst.running.core.outputs import ListSink, OrderedSink, UnorderedSink, reader_here
from whilst.running.nesting import enter_worker, is_in_worker
from whilst.running.options import Keywords, Options, OptionsError, shows_keywords
from whilst.running.results import Results
from whilst.running.verbs import switch_interval
from whilst.running.verbs.arguments import as_call, require_call

if TYPE_CHECKING:
    from whilst.model import Decision, Timeline
    from whilst.running.core.driver import Driver
    from whilst.running.core.inputs import Source
    from whilst.running.jobs import How
    from whilst.running.options import OtherKeywords
    from whilst.running.verbs.async_input import AsyncInput
    from whilst.running.verbs.run import Run

T = TypeVar("T")
R = TypeVar("R")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
Later = Callable[[], Coroutine[Any, Any, R]] | Awaitable[R]


@overload
async def amap(
    fn: Callable[[T], Coroutine[Any, Any, R]],
    items: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["return"],
    **keywords: Unpack[OtherKeywords],
) -> Results[R | Exception]: ...
@overload
async def amap(
    fn: Callable[[T], Coroutine[Any, Any, R]], items: Iterable[T] | AsyncIterable[T], /, **keywords: Unpack[Keywords]
) -> Results[R]: ...
@overload
async def amap(
    fn: Callable[[T], R],
    items: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["return"],
    **keywords: Unpack[OtherKeywords],
) -> Results[R | Exception]: ...
@overload
async def amap(
    fn: Callable[[T], R], items: Iterable[T] | AsyncIterable[T], /, **keywords: Unpack[Keywords]
) -> Results[R]: ...
@shows_keywords()
async def amap(
    fn: Callable[[Any], Any], items: Iterable[Any] | AsyncIterable[Any], /, **keywords: Unpack[Keywords]
) -> Results[Any]:
    """Like `whilst.map`, on a running event loop, which goes on meanwhile: `pages = await whilst.amap(fetch, urls)`.

    Args:
        fn: a coroutine function, whose coroutines are in flight on this very loop; or a function, which is called in
            other threads or processes. A coroutine function leaves the loop only if a mode with processes is asked for.
        items: an iterable, which is read in another thread, or an async iterable, which is read on this loop.
        keywords: those of `whilst.map`.
    Returns:
        As `whilst.map`, once it is awaited.
    Raises:
        As `whilst.map`. Who is cancelled has what is in flight cancelled, waits for calls in threads to end, and kills
        processes.
    """
    __tracebackhide__ = True  # a notebook leaves such frames out
    return await _amap("amap", fn, items, "item", Options.of("amap", keywords))


@overload
async def astarmap(
    fn: Callable[..., Coroutine[Any, Any, R]],
    items: Iterable[Iterable[Any]] | AsyncIterable[Iterable[Any]],
    /,
    *,
    errors: Literal["return"],
    **keywords: Unpack[OtherKeywords],
) -> Results[R | Exception]: ...
@overload
async def astarmap(
    fn: Callable[..., Coroutine[Any, Any, R]],
    items: Iterable[Iterable[Any]] | AsyncIterable[Iterable[Any]],
    /,
    **keywords: Unpack[Keywords],
) -> Results[R]: ...
@overload
async def astarmap(
    fn: Callable[..., R],
    items: Iterable[Iterable[Any]] | AsyncIterable[Iterable[Any]],
    /,
    *,
    errors: Literal["return"],
    **keywords: Unpack[OtherKeywords],
) -> Results[R | Exception]: ...
@overload
async def astarmap(
    fn: Callable[..., R], items: Iterable[Iterable[Any]] | AsyncIterable[Iterable[Any]], /, **keywords: Unpack[Keywords]
) -> Results[R]: ...
@shows_keywords()
async def astarmap(
    fn: Callable[..., Any],
    items: Iterable[Iterable[Any]] | AsyncIterable[Iterable[Any]],
    /,
    **keywords: Unpack[Keywords],
) -> Results[Any]:
    """Make the call `fn(*item)` for every item; otherwise like `amap`."""
    __tracebackhide__ = True  # a notebook leaves such frames out
    return await _amap("astarmap", fn, items, "star", Options.of("astarmap", keywords))


@overload
async def agather(
    *tasks: Later[A], errors: Literal["return"], **keywords: Unpack[OtherKeywords]
) -> Results[A | Exception]: ...
@overload
async def agather(
    *tasks: Callable[[], A], errors: Literal["return"], **keywords: Unpack[OtherKeywords]
) -> Results[A | Exception]: ...
@overload
async def agather(
    *tasks: Callable[[], Any] | Awaitable[Any], errors: Literal["return"], **keywords: Unpack[OtherKeywords]
) -> Results[Any]: ...
@overload
async def agather(first: Later[A], second: Later[B], /, **keywords: Unpack[Keywords]) -> Results[A | B]: ...
@overload
async def agather(first: Later[A], second: Callable[[], B], /, **keywords: Unpack[Keywords]) -> Results[A | B]: ...
@overload
async def agather(first: Callable[[], A], second: Later[B], /, **keywords: Unpack[Keywords]) -> Results[A | B]: ...
@overload
async def agather(
    first: Callable[[], A], second: Callable[[], B], /, **keywords: Unpack[Keywords]
) -> Results[A | B]: ...
@overload
async def agather(
    first: Later[A], second: Later[B], third: Later[C], /, **keywords: Unpack[Keywords]
) -> Results[A | B | C]: ...
@overload
async def agather(
    first: Later[A], second: Later[B], third: Callable[[], C], /, **keywords: Unpack[Keywords]
) -> Results[A | B | C]: ...
@overload
async def agather(
    first: Later[A], second: Callable[[], B], third: Later[C], /, **keywords: Unpack[Keywords]
) -> Results[A | B | C]: ...
@overload
async def agather(
    first: Later[A], second: Callable[[], B], third: Callable[[], C], /, **keywords: Unpack[Keywords]
) -> Results[A | B | C]: ...
@overload
async def agather(
    first: Callable[[], A], second: Later[B], third: Later[C], /, **keywords: Unpack[Keywords]
) -> Results[A | B | C]: ...
@overload
async def agather(
    first: Callable[[], A], second: Later[B], third: Callable[[], C], /, **keywords: Unpack[Keywords]
) -> Results[A | B | C]: ...
@overload
async def agather(
    first: Callable[[], A], second: Callable[[], B], third: Later[C], /, **keywords: Unpack[Keywords]
) -> Results[A | B | C]: ...
@overload
async def agather(
    first: Callable[[], A], second: Callable[[], B], third: Callable[[], C], /, **keywords: Unpack[Keywords]
) -> Results[A | B | C]: ...
@overload
async def agather(*tasks: Later[A], **keywords: Unpack[Keywords]) -> Results[A]: ...
@overload
async def agather(*tasks: Callable[[], A], **keywords: Unpack[Keywords]) -> Results[A]: ...
@overload
async def agather(*tasks: Callable[[], Any] | Awaitable[Any], **keywords: Unpack[Keywords]) -> Results[Any]: ...
@shows_keywords("journal")
async def agather(*tasks: Callable[[], Any] | Awaitable[Any], **keywords: Unpack[Keywords]) -> Results[Any]:
    """Like `whilst.gather`, on a running event loop: `a, b = await whilst.agather(ask(client), resize)`.

    Coroutines, coroutine functions and other awaitables are awaited on this loop, functions are called elsewhere.
    """
    __tracebackhide__ = True
    options = Options.of("agather", keywords)
    calls = [as_call(task) for task in tasks]
    from whilst.running.policies.choosing import gives_coroutines

    if options.workers is None and any(gives_coroutines(call[0]) for call in calls):
        options = options._replace(workers=max(len(calls), 1))  # each is begun: one may wait for another
    return await _amap("agather", as_call, calls, "call", options)


@overload
def aimap(
    fn: Callable[[T], Coroutine[Any, Any, R]],
    items: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["return"],
    **keywords: Unpack[OtherKeywords],
) -> AsyncStream[R | Exception]: ...
@overload
def aimap(
    fn: Callable[[T], Coroutine[Any, Any, R]], items: Iterable[T] | AsyncIterable[T], /, **keywords: Unpack[Keywords]
) -> AsyncStream[R]: ...
@overload
def aimap(
    fn: Callable[[T], R],
    items: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["return"],
    **keywords: Unpack[OtherKeywords],
) -> AsyncStream[R | Exception]: ...
@overload
def aimap(
    fn: Callable[[T], R], items: Iterable[T] | AsyncIterable[T], /, **keywords: Unpack[Keywords]
) -> AsyncStream[R]: ...
@shows_keywords()
def aimap(
    fn: Callable[[Any], Any], items: Iterable[Any] | AsyncIterable[Any], /, **keywords: Unpack[Keywords]
) -> AsyncStream[Any]:
    """Like `whilst.imap`, on a running event loop: `async for page in whilst.aimap(fetch, urls)`.

    The input may be endless: it is read no further ahead than the calls need. Nothing begins before the first result
    is asked for; whoever stops reading ends the run. For the rest see `amap`.
    """
    require_call("aimap", fn, items)
    return AsyncStream("aimap", fn, items, OrderedSink(), Options.of("aimap", keywords))


@overload
def aimap_unordered(
    fn: Callable[[T], Coroutine[Any, Any, R]],
    items: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["return"],
    **keywords: Unpack[OtherKeywords],
) -> AsyncStream[R | Exception]: ...
@overload
def aimap_unordered(
    fn: Callable[[T], Coroutine[Any, Any, R]], items: Iterable[T] | AsyncIterable[T], /, **keywords: Unpack[Keywords]
) -> AsyncStream[R]: ...
@overload
def aimap_unordered(
    fn: Callable[[T], R],
    items: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["return"],
    **keywords: Unpack[OtherKeywords],
) -> AsyncStream[R | Exception]: ...
@overload
def aimap_unordered(
    fn: Callable[[T], R], items: Iterable[T] | AsyncIterable[T], /, **keywords: Unpack[Keywords]
) -> AsyncStream[R]: ...
@shows_keywords()
def aimap_unordered(
    fn: Callable[[Any], Any], items: Iterable[Any] | AsyncIterable[Any], /, **keywords: Unpack[Keywords]
) -> AsyncStream[Any]:
    """Like `aimap`, but results come as they are completed."""
    require_call("aimap_unordered", fn, items)
    return AsyncStream("aimap_unordered", fn, items, UnorderedSink(), Options.of("aimap_unordered", keywords))


class AsyncStream(AsyncIterator[R]):
    """The results of a lazy run on a running loop; also knows its `decision` and its `timeline` so far."""

    def __init__(
        self,
        verb: str,
        fn: Callable[..., Any],
        items: Iterable[Any] | AsyncIterable[Any],
        sink: OrderedSink | UnorderedSink,
        options: Options,
    ) -> None:
        sink.can_skip = False  # what the reader's thread makes would hold up its loop
        self._begun: list[_Flight] = []
        begin = partial(_Flight, verb, fn, items, "item", options, sink, is_lazy=True)
        self._values: AsyncIterator[R] = _read(begin, self._begun)

    def __aiter__(self) -> AsyncIterator[R]:  # noqa: PYI034 - see below
        # The generator itself: it ends the run when the loop over it lets go of it.
        return self._values

    def __repr__(self) -> str:
        return f"<AsyncStream: {self._begun[0].how_far() if self._begun else 'nothing begun'}>"

    async def __anext__(self) -> R:
        __tracebackhide__ = True
        return await anext(self._values)

    async def aclose(self) -> None:
        """End the run now: what has not begun never does, and coroutines in flight are cancelled."""
        await self._values.aclose()  # type: ignore[attr-defined]

    @property
    def decision(self) -> Decision:
        """How the calls are run, as of now.

        Raises:
            RuntimeError: nothing was read yet, so nothing has begun.
        """
        return self._flight().run.decision_later()()

    @property
    def timeline(self) -> Timeline:
        """Who made which call when, so far.

        Raises:
            RuntimeError: nothing was read yet, so nothing has begun.
        """
        return self._flight().run.timeline()

    def _flight(self) -> _Flight:
        if not self._begun:
            raise RuntimeError("Nothing has begun yet: the first result was not asked for.")
        return self._begun[0]


async def _read(begin: Callable[[], _Flight], begun: list[_Flight]) -> AsyncIterator[Any]:
    """Begin the run, and yield its results. Knows nothing of the stream, so that this ends once nobody has that."""
    __tracebackhide__ = True
    flight = begin()
    begun.append(flight)
    flight.start()
    try:
        while (chunk := await flight.next_chunk()) is not None:
            for value in chunk:
                yield value
    except asyncio.CancelledError as cancelled:
        flight.say_how_far(cancelled)
        raise
    finally:
        await flight.end()
    flight.raise_error()


async def _amap(
    verb: str,
    fn: Callable[..., Any],
    items: Iterable[Any] | AsyncIterable[Any],
    how: How,
    options: Options,
) -> Results[Any]:
    __tracebackhide__ = True
    results: Results[Any] = Results()
    flight = _Flight(verb, fn, items, how, options, ListSink(results), is_lazy=False)
    flight.start()
    try:
        await flight.end(cancels=False)
        flight.raise_error()
        recorder = flight.run.driver.recorder
        return results.complete(
            flight.run.decision_later(), flight.run.timeline, (recorder.end_ns - recorder.start_ns) / 1e9
        )
    finally:
        del flight, results  # an error's traceback holds this frame, which must not hold the error


_WAKES_EVERY_S: Final = 0.1
"""A notebook's kernel notes Ctrl-C at once, and acts on it once its loop has something else to do."""


def _do_nothing() -> None: ...


def _make_run(*given: Any, **named: Any) -> Run:
    """A run, made in its thread."""
    from whilst.running.verbs.run import Run

    return Run(*given, **named)


class _Flight:
    """A run and the thread that moves it on. All but `_run` and what it calls belongs to the loop's thread."""

    def __init__(
        self,
        verb: str,
        fn: Callable[..., Any],
        items: Iterable[Any] | AsyncIterable[Any],
        how: How,
        options: Options,
        sink: ListSink | OrderedSink | UnorderedSink,
        *,
        is_lazy: bool,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._awaits = CallerLoop(self._loop)
        self._awaits.reader = reader_here() if is_lazy else None
        self._input: AsyncInput | None = None
        source: Iterable[Any] | Source
        if hasattr(items, "__iter__") or not isinstance(items, AsyncIterable):
            source = items  # type: ignore[assignment]  # or no iterable at all, which the run says
        else:
            if options.journal is not None:
                raise OptionsError(f"{verb}() takes no journal with an async iterable: pass a list of the items.")
            from whilst.running.verbs.async_input import AsyncInput

            source = self._input = AsyncInput(items, self._loop)
            source.fn = fn
        self._make_run = partial(_make_run, verb, fn, source, how, options, sink, is_lazy=is_lazy, awaits=self._awaits)
        self._run: Run | None = None
        """Made in the thread."""
        self._stream = None if isinstance(sink, ListSink) else sink
        self._chunks: deque[Sequence[Any]] = deque()
        self._news = asyncio.Event()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._failure: BaseException | None = None
        self._is_cancelled = False
        self._read = 0
        """Values that the reader has taken; `_noted`: of these, those that the sink knows of."""
        self._noted = 0
        self._has_read = threading.Event()
        self._context = copy_context()
        self._is_in_worker = is_in_worker()

    def start(self) -> None:
        """Begin."""
        # Not `Thread.start`, which has the loop wait until the thread has its first turn.
        _thread.start_new_thread(self._context.run, (self._move_on,))
        if self._input is not None:
            self._input.begin()
        switch_interval.shorten()

    @property
    def run(self) -> Run:
        """The run, once something of it was heard.

        Raises:
            RuntimeError: nothing was.
        """
        if self._run is None:
            raise RuntimeError("Nothing has begun yet.")
        return self._run

    def how_far(self) -> str:
        """What is run, and how many calls are done."""
        if self._run is None:
            return "nothing begun"
        from whilst.running.verbs.interrupts import how_far

        return f"{self._run.name:.60}: {how_far(self._run.driver, self._run.recalled)}"

    def say_how_far(self, cancelled: asyncio.CancelledError) -> None:
        """Note how many calls were done."""
        if self._run is not None:
            from whilst.running.verbs.interrupts import say_how_far

            say_how_far(cancelled, self._run.driver, self._run.recalled)

    async def next_chunk(self) -> Sequence[Any] | None:
        """Wait for the next values; None where there are no more."""
        while not self._chunks and not self._ended.done():
            self._news.clear()
            await self._news.wait()
        if not self._chunks:
            return None
        chunk = self._chunks.popleft()
        self._read += len(chunk)
        self._has_read.set()
        self._wake()
        return chunk

    async def end(self, *, cancels: bool = True) -> None:
        """Wait until nothing of the run is left; end it first, if it `cancels`, or once this is cancelled."""
        __tracebackhide__ = True
        cancelled: asyncio.CancelledError | None = None
        if cancels:
            self._cancel()
        while not self._ended.done():
            try:
                await asyncio.wait([self._ended])
            except asyncio.CancelledError as error:
                cancelled = error
                self._cancel()
        switch_interval.restore()
        if self._input is not None:
            await self._input.end()
        if cancelled is not None:
            self.say_how_far(cancelled)
            raise cancelled

    def raise_error(self) -> None:
        """Raise what the run failed with, if it did."""
        error = self._failure
        if error is None:
            from whilst.running.verbs.run import noted_error

            error = noted_error(self.run.driver)
        if error is not None:
            try:
                raise error
            finally:
                del error, self

    def _cancel(self) -> None:
        if self._ended.done():
            return
        self._is_cancelled = True
        self._awaits.cancel()
        if self._input is not None:
            self._input.stop_waiting()
        self._has_read.set()
        self._wake()

    def _wake(self) -> None:
        if self._run is not None:  # else the thread looks whether it is cancelled before it waits for anything
            self._run.driver.wake()

    # In the thread.

    def _move_on(self) -> None:
        driver: Driver | None = None
        try:
            if self._is_in_worker:
                enter_worker()
            self._run = self._make_run()
            del self._make_run  # which keeps the input
            driver = self._run.driver
            if self._input is not None:
                self._input.wake = driver.wake
            with self._run:
                next_s = 0.0
                while not (driver.is_over or self._is_cancelled):
                    self._has_read.clear()
                    self._note_read()
                    driver.advance()
                    self._hand_over()
                    if (now_s := monotonic()) > next_s:
                        next_s = now_s + _WAKES_EVERY_S
                        self._tell(_do_nothing)
                    if self._stream is not None and driver.waits_for_reader and not self._is_cancelled:
                        self._has_read.wait()
                if not self._is_cancelled:
                    driver.end()
        except BaseException as error:
            self._failure = error
        finally:
            if driver is not None:
                with suppress(Exception):
                    driver.close(kill=True)
            from whilst.running.calls.raw_threads import forget_this_thread

            forget_this_thread()
            self._tell(self._end)

    def _note_read(self) -> None:
        if self._stream is not None:
            read = self._read
            self._stream.undelivered -= read - self._noted
            self._noted = read

    def _hand_over(self) -> None:
        stream = self._stream
        if stream is not None and stream.ready:
            chunks = list(stream.ready)
            stream.ready.clear()
            self._tell(self._receive, chunks)

    def _tell(self, callback: Callable[..., object], *args: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(callback, *args)

    # Called by the thread, on the loop.

    def _receive(self, chunks: list[Sequence[Any]]) -> None:
        self._chunks.extend(chunks)
        self._news.set()

    def _end(self) -> None:
        self._ended.set_result(None)
        self._news.set()
