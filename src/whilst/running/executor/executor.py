"""Executor: a `concurrent.futures.Executor` over the same pool, for code that takes one.

A thread of its own runs the driver's loop (`executor.thread`). `submit` puts calls into an open input, from which the
driver takes them; answers go to futures instead of a list.
"""

from __future__ import annotations

import concurrent.futures
import os
import time
import weakref
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from itertools import islice
from types import TracebackType
from typing import Any, Literal, ParamSpec, TypeVar, Unpack, overload

from whilst.model import Decision, Timeline
from whilst.running.executor.callbacks import SubmittedFuture
from whilst.running.executor.initializing import Initialized, Preparation
from whilst.running.executor.submissions import make_calls
from whilst.running.executor.thread import LOOKS_UP_EVERY_S, open_thread
from whilst.running.options import Keywords, Options, shows_keywords
from whilst.running.policies.choosing import workers_of

P = ParamSpec("P")
R = TypeVar("R")
_ABOUT_A_LIST = ("errors", "journal", "progress", "deadline_s", "on_result")


class Executor(concurrent.futures.ThreadPoolExecutor):
    """Runs calls in the mode that is asked for, or that it finds good (mode="auto").

    A coroutine function may be submitted too: its future has what the coroutine returns. It is a `ThreadPoolExecutor`
    by name, since `asyncio` takes no other for a loop's default; nothing of that class is used.
    """

    @shows_keywords(*_ABOUT_A_LIST)
    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        **keywords: Unpack[Keywords],
    ) -> None:
        """Make one. The first five are as in `concurrent.futures`.

        Args:
            max_workers: another name for `workers`.
            thread_name_prefix: how worker threads are named, with a number; processes have no such name.
            initializer: called in each worker (thread or process) before its first call.
            initargs: what it is called with.
            max_tasks_per_child: a worker process is replaced after this many calls.
            keywords: those of `map` (see `running.options.Options`), those about a whole list of items excepted.
        """
        if max_workers is not None:
            if "workers" in keywords:
                raise TypeError("Executor() takes workers or max_workers, which are the same, not both.")
            if isinstance(max_workers, int) and max_workers <= 0:
                raise ValueError(f"max_workers must be greater than 0, got {max_workers!r}.")
            keywords["workers"] = max_workers
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer must be a callable, got {initializer!r}.")
        if max_tasks_per_child is not None:
            if not isinstance(max_tasks_per_child, int):
                raise TypeError(f"max_tasks_per_child must be an integer, got {max_tasks_per_child!r}.")
            if max_tasks_per_child <= 0:
                raise ValueError(f"max_tasks_per_child must be >= 1, got {max_tasks_per_child!r}.")
        for name in _ABOUT_A_LIST:
            if name in keywords:
                raise TypeError(
                    f"Executor() takes no {name}=, which is about a whole list of items; map() and imap() do."
                )
        options = Options.of("Executor", keywords)
        if options.mode == "sequential" and options.backend is None:
            options = options._replace(mode="concurrent", workers=1)
        self._preparation: Preparation | None = None
        if initializer is not None or thread_name_prefix or max_tasks_per_child is not None:
            token = os.urandom(8)
            self._preparation = Preparation(token, initializer, initargs, thread_name_prefix, max_tasks_per_child)
        self._max_workers = workers_of(options)
        self._thread = open_thread(options)
        # Whoever forgets to shut down must not keep the thread for ever, nor lose calls at the end of the program.
        self._finalizer = weakref.finalize(self, self._thread.finish)
        self._finalizer.atexit = False

    @overload
    def submit(self, fn: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]: ...
    @overload
    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]: ...
    def submit(self, fn: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Future[Any]:
        """Have the call `fn(*args, **kwargs)` made; return its future.

        Raises:
            ExecutorClosedError: the executor was shut down.
        """
        future: SubmittedFuture[Any] = SubmittedFuture()
        call = fn if self._preparation is None else Initialized(self._preparation, fn)
        self._thread.submit(future, (call, args, kwargs))
        return future

    def map(
        self,
        fn: Callable[..., R],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[R]:
        """Like the built-in `map`; see `concurrent.futures.Executor.map`.

        Args:
            fn: takes as many arguments as there are iterables.
            iterables: read at once, or as far as `buffersize` allows.
            timeout: seconds from this call until the last result, after which TimeoutError is raised.
            chunksize: how many calls go to a worker together.
            buffersize: how many calls at most are submitted and not yet read (3.14's keyword, in all versions).
        """
        if chunksize < 1:
            raise ValueError(f"chunksize must be >= 1, got {chunksize!r}.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError(f"buffersize must be an integer or None, got {buffersize!r}.")
        if buffersize is not None and buffersize < 1:
            raise ValueError(f"buffersize must be None or > 0, got {buffersize!r}.")
        deadline = None if timeout is None else time.monotonic() + timeout
        calls = zip(*iterables)  # noqa: B905 - as the built-in map: it ends with the shortest
        chunks = iter(lambda: list(islice(calls, chunksize)), [])
        submitted = (self.submit(make_calls, fn, chunk) for chunk in chunks)
        ahead = None if buffersize is None else max(buffersize // chunksize, 1)
        futures: deque[Future[list[R]]] = deque()
        try:
            futures.extend(islice(submitted, ahead))
        except BaseException:  # the input's own, or Ctrl-C: nobody will ever read what was submitted before
            for future in futures:
                future.cancel()
            raise
        return _results(futures, submitted, deadline)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        """Shut down when all is done. Ctrl-C and sys.exit do not wait for what has not begun."""
        is_leaving = kind is not None and issubclass(kind, (KeyboardInterrupt, SystemExit))
        self.shutdown(wait=True, cancel_futures=is_leaving)
        return False

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; end the workers once all is done (or what has begun is, with `cancel_futures`)."""
        self._finalizer.detach()
        self._thread.finish(cancel_futures=cancel_futures)
        if wait:
            self._thread.join()

    def terminate_workers(self) -> None:
        """End the workers at once, as 3.14's `ProcessPoolExecutor` does, in all versions; take no more calls.

        What a worker process has in hand ends with it: its future gets a WorkerDiedError. So does that of a call in a
        thread, which no one can end: it goes on unseen. What waits is cancelled. Does not wait.
        """
        self._end_workers("terminate_workers()")

    def kill_workers(self) -> None:
        """The same: workers are killed in either case (SIGKILL), for none has anything to tidy up."""
        self._end_workers("kill_workers()")

    def _end_workers(self, why: str) -> None:
        self._finalizer.detach()
        self._thread.kill(why)

    @property
    def decision(self) -> Decision:
        """How calls are run, as of now."""
        return self._thread.decision()

    @property
    def timeline(self) -> Timeline:
        """Who made which call when, so far."""
        return self._thread.timeline()


def _results(
    futures: deque[Future[list[R]]], submitted: Iterator[Future[list[R]]], deadline: float | None
) -> Iterator[R]:
    try:
        while futures:
            _await(futures[0], deadline)
            values = futures.popleft().result(0)
            values.reverse()
            while values:
                yield values.pop()  # kept nowhere: a result must not outlive its reader's turn
            futures.extend(islice(submitted, 1))
    finally:
        for future in futures:
            future.cancel()


def _await(future: Future[Any], deadline: float | None) -> None:
    """Wait for a future to be done, and look up now and then.

    A signal that comes just before the main thread goes to sleep on a lock does not wake it: its handler runs at the
    next waking, which without this might be never.
    """
    while not future.done():
        left = LOOKS_UP_EVERY_S if deadline is None else min(LOOKS_UP_EVERY_S, deadline - time.monotonic())
        if left <= 0:
            raise TimeoutError
        with suppress(TimeoutError, concurrent.futures.CancelledError):
            future.exception(left)
