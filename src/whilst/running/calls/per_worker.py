"""`per_worker`: what each worker opens once, for all of its calls, and closes when it ends.

A worker is what makes calls one after another: a thread, a process with one thread, the caller itself; or an event
loop, all of whose coroutines share one. Whoever ends a worker calls `close_thread` or `close_loop`, if this module was
loaded at all.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from whilst.running.nesting import is_in_worker

if TYPE_CHECKING:
    import asyncio
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

T = TypeVar("T")


class _Opened:
    """What one worker has open, by the token of its `PerWorker`."""

    def __init__(self) -> None:
        self.process = os.getpid()
        """A fork does not close, nor use, what the program had open."""
        self.values: dict[bytes, tuple[Any, Any]] = {}
        """What calls are given, and the context manager that closes it (None: it is forgotten, and no more)."""
        self.entering: dict[bytes, asyncio.Future[Any]] = {}
        """What is about to be open, on a loop."""
        self.runs: list[None] = []
        """One for each run that has begun in this thread: what it opens is open until the last of them is over."""
        self.is_of_pool = False
        """It is open until the thread ends."""


class _Here(threading.local):
    def __init__(self) -> None:
        self.opened = _Opened()


_here = _Here()
_of_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Opened] = weakref.WeakKeyDictionary()


class PerWorker(Generic[T]):
    """Call it, within a call, for what this worker has open. See `per_worker`."""

    __slots__ = ("_factory", "_token")

    def __init__(self, factory: Callable[[], T], token: bytes) -> None:
        self._factory = factory
        self._token = token
        """Names it in every process."""

    def __call__(self) -> T:
        opened = _opened_here()
        found = opened.values.get(self._token)
        if found is None:
            found = opened.values[self._token] = _open(self._factory())
        value: T = found[0]
        return value

    def __await__(self) -> Generator[Any, Any, T]:
        """In a coroutine: the same, where entering an async context manager waits for something."""
        return self._entered().__await__()

    async def _entered(self) -> T:
        opened = _opened_here()
        if self._token in opened.values:
            value: T = opened.values[self._token][0]
            return value
        entering = opened.entering.get(self._token)
        if entering is None:  # in a task of its own: others wait for it, too, and may outlive who asked first
            import asyncio

            entering = opened.entering[self._token] = asyncio.ensure_future(self._enter(opened))
        from asyncio import shield

        found: T = await shield(entering)
        return found

    async def _enter(self, opened: _Opened) -> T:
        try:
            made: Any = self._factory()
            kind = type(made)
            found = (await kind.__aenter__(made), made) if hasattr(kind, "__aexit__") else _open(made)
            opened.values[self._token] = found
            return found[0]  # type: ignore[no-any-return]
        finally:
            del opened.entering[self._token]

    def __reduce__(self) -> tuple[Any, ...]:
        return PerWorker, (self._factory, self._token)

    def __repr__(self) -> str:
        return f"per_worker({getattr(self._factory, '__qualname__', self._factory)})"


@overload
def per_worker(factory: Callable[[], AbstractContextManager[T]]) -> PerWorker[T]: ...


@overload
def per_worker(factory: Callable[[], AbstractAsyncContextManager[T]]) -> PerWorker[T]: ...


@overload
def per_worker(factory: Callable[[], T]) -> PerWorker[T]: ...


def per_worker(factory: Callable[[], Any]) -> PerWorker[Any]:
    """Have each worker open one of these, when a call first needs it, and close it when the worker ends.

    `session = whilst.per_worker(requests.Session)`, and in the calls `session().get(url)`. It is typed as what entering
    gives, or else the factory. A worker is a thread, a process, or an event loop, whose coroutines share one; without
    workers the caller has one until its run is over.

    Args:
        factory: called without arguments in each worker. What it gives is entered and left if it is a context manager
            (calls are given what entering gives). An async one is made, entered and left on the worker's loop; where
            entering it waits for something, coroutines write `await session` in place of `session()`.
    """
    if not callable(factory):
        raise TypeError(f"per_worker() takes a function that opens something, got {factory!r}: pass lambda: … of it.")
    return PerWorker(factory, os.urandom(16))


def begin_run() -> _Opened:
    """A run begins in this thread. Give what comes back to `end_run`: an iterator may be closed by any thread."""
    opened = _here.opened
    opened.is_of_pool = is_in_worker()
    opened.runs.append(None)
    return opened


def leave_thread() -> None:
    """The calls of this thread's run go to workers from here on: it is none of them, unless it makes an outer run's."""
    opened = _here.opened
    if len(opened.runs) == 1 and not opened.is_of_pool:
        _close(opened)


def end_run(opened: _Opened) -> None:
    """It is over: with the last one, what was opened in the thread where it began is closed, unless a pool has that."""
    opened.runs.pop()
    if not opened.runs and not opened.is_of_pool:
        _close(opened)


def close_thread() -> None:
    """This thread makes no more calls. What closing raises is told as an unraisable error: the results are there."""
    _close(_here.opened)


def _close(opened: _Opened) -> None:
    values, opened.values = opened.values, {}
    if opened.process != os.getpid():
        return
    for _, manager in reversed(values.values()):
        try:
            if manager is not None and hasattr(type(manager), "__exit__"):
                manager.__exit__(None, None, None)
        except Exception as error:
            _tell(error, manager)


async def close_loop(loop: asyncio.AbstractEventLoop) -> None:
    """This loop, on which this is awaited, makes no more calls."""
    opened = _of_loops.pop(loop, None)
    if opened is None or opened.process != os.getpid():
        return
    for _, manager in reversed(opened.values.values()):
        try:
            if hasattr(type(manager), "__aexit__"):
                await manager.__aexit__(None, None, None)
            elif manager is not None:
                manager.__exit__(None, None, None)
        except Exception as error:
            _tell(error, manager)


def _opened_here() -> _Opened:
    loop = sys.modules["asyncio"]._get_running_loop() if "asyncio" in sys.modules else None  # noqa: SLF001
    opened = _here.opened if loop is None else _of_loops.get(loop)
    if opened is None or opened.process != os.getpid():
        opened = _Opened()
        if loop is None:
            _here.opened = opened
        else:
            _of_loops[loop] = opened
    return opened


def _open(value: Any) -> tuple[Any, Any]:
    kind = type(value)
    if hasattr(kind, "__aexit__"):
        return _entered_at_once(value), value
    if hasattr(kind, "__enter__") and hasattr(kind, "__exit__"):
        return kind.__enter__(value), value
    return value, None


def _entered_at_once(value: Any) -> Any:
    """What entering an async context manager gives, if it waits for nothing.

    Raises:
        RuntimeError: it waits.
    """
    if "asyncio" not in sys.modules or sys.modules["asyncio"]._get_running_loop() is None:  # noqa: SLF001
        return value  # a plain function's: given as it is
    entering = type(value).__aenter__(value)
    try:
        entering.send(None)
    except StopIteration as done:
        return done.value
    entering.close()
    raise RuntimeError(
        f"Entering {value!r} waits for something, which a plain call of what per_worker() gave can't: "
        f"write `await session` in the coroutine, in place of `session()`."
    )


def _tell(error: Exception, manager: object) -> None:
    import warnings

    warnings.warn(f"{manager!r} of a worker raised {type(error).__name__} when it was closed: {error}", stacklevel=2)
