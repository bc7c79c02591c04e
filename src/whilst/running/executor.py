"""Executor: a `concurrent.futures.Executor` over the same pool, for code that takes one.

A thread of its own runs the driver's loop; `submit` puts calls into an open input that the driver takes from,
and answers go to futures instead of a list.
"""

from __future__ import annotations

import concurrent.futures
import signal
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import Context
from functools import partial
from itertools import islice
from time import perf_counter_ns
from types import TracebackType
from typing import Any, Literal, ParamSpec, TypeVar, Unpack, cast

from whilst.errors import WhilstError
from whilst.model import Decision, Timeline
from whilst.running.backends import open_backend
from whilst.running.backends.base import Job
from whilst.running.choosing import choose_policy
from whilst.running.driver import Driver, Limits
from whilst.running.mapping import next_job_id
from whilst.running.options import Keywords, Options
from whilst.running.recorder import Recorder
from whilst.running.submitted import Call, FutureSink, OpenInput

__all__ = ["Executor", "ExecutorClosedError"]

P = ParamSpec("P")
R = TypeVar("R")

_SLICE_S = 0.5
"""No wait for a thread or a future is longer: after each the main thread looks whether a signal came."""


class ExecutorClosedError(WhilstError, RuntimeError):
    """A call was submitted to an Executor that was shut down."""


class Executor(concurrent.futures.Executor):
    """Runs calls in the mode that is asked for, or that it finds good (mode="auto").

    Takes the keywords of `map` (see `running.options.Options`), those about a whole list of items excepted.
    A coroutine function may be submitted too: its future has what the coroutine returns.
    """

    def __init__(self, **keywords: Unpack[Keywords]) -> None:
        options = Options.of("Executor", keywords)
        if options.mode == "sequential" and options.backend is None:
            options = options._replace(mode="concurrent", workers=1)
        self._engine = _Engine(options)
        # Whoever forgets to shut down must not keep the thread for ever, nor lose calls at the end of the program.
        self._finalizer = weakref.finalize(self, self._engine.finish)
        self._finalizer.atexit = False

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Have the call `fn(*args, **kwargs)` made; return its future.

        Raises:
            ExecutorClosedError: the executor was shut down.
        """
        future: Future[R] = Future()
        self._engine.submit(cast(Future[Any], future), (fn, args, kwargs))
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
            chunksize: so many calls go to a worker together.
            buffersize: so many calls at most are submitted and not yet read (3.14's keyword, in all versions).
        """
        if chunksize < 1:
            raise ValueError(f"chunksize must be at least 1, got {chunksize!r}.")
        if buffersize is not None and buffersize < 1:
            raise ValueError(f"buffersize must be None or at least 1, got {buffersize!r}.")
        deadline = None if timeout is None else time.monotonic() + timeout
        calls = zip(*iterables)  # noqa: B905 - as the built-in map: it ends with the shortest
        chunks = iter(lambda: list(islice(calls, chunksize)), [])
        submitted = (self.submit(_chunk, fn, chunk) for chunk in chunks)
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
        self._engine.finish(cancel_futures=cancel_futures)
        if wait:
            self._engine.join()

    @property
    def decision(self) -> Decision:
        """How calls are run, as of now."""
        return self._engine.driver.policy.decision()

    @property
    def timeline(self) -> Timeline:
        """Who made which call when, so far."""
        return self._engine.driver.recorder.timeline("Executor")


def _chunk(fn: Callable[..., R], chunk: list[tuple[Any, ...]]) -> list[R]:
    return [fn(*args) for args in chunk]


def _results(
    futures: deque[Future[list[R]]], submitted: Iterator[Future[list[R]]], deadline: float | None
) -> Iterator[R]:
    try:
        while futures:
            _await(futures[0], deadline)
            # Not kept in a variable: the result must not outlive its reader's turn.
            yield from futures.popleft().result(0)
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
        left = _SLICE_S if deadline is None else min(_SLICE_S, deadline - time.monotonic())
        if left <= 0:
            raise TimeoutError
        with suppress(TimeoutError, concurrent.futures.CancelledError):
            future.exception(left)


class _Engine:
    """The driver's loop in a thread; knows nothing of the Executor, so that one can be forgotten."""

    def __init__(self, options: Options) -> None:
        self._source = OpenInput()
        self._sink = FutureSink(self._source.futures)
        job = Job(
            next_job_id(),
            _not_called,
            "call",
            context=None,
            seed=options.seed,
            timeout_s=options.timeout_s,
        )
        self.driver = Driver(
            job,
            self._source,
            choose_policy(job, self._source, options, is_lazy=False),
            self._sink,
            Limits(options.retries, stops_at_error=False, stops_at_exit=False, timeout_s=options.timeout_s),
            Recorder("call", perf_counter_ns(), is_lazy=True),
            partial(open_backend, in_background=True, speaks_in_turn=False),
        )
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._broken: BaseException | None = None

    def submit(self, future: Future[Any], call: Call) -> None:
        source = self._source
        with self._lock:
            if self._broken is not None:
                raise ExecutorClosedError("This Executor has broken down; make another.") from self._broken
            if source.is_closed:
                raise ExecutorClosedError("cannot schedule new futures after shutdown")
            source.put(future, call)
            if self._thread is None:
                self._begin()
        if source.is_asleep:
            self._wake()

    def finish(self, *, cancel_futures: bool = False) -> None:
        with self._lock:
            self._source.is_closed = True
        if cancel_futures:
            self._source.cancel_all()
        self._wake()

    def join(self) -> None:
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            while thread.is_alive():
                thread.join(_SLICE_S)
            _engines.discard(self)

    def _begin(self) -> None:
        _engines.add(self)
        # A daemon: the interpreter must not wait for it before `_finish_all` has told it that nothing more comes.
        context = Context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="whilst-executor", daemon=True)
        with _undisturbed():
            self._thread.start()

    def _wake(self) -> None:
        self._source.is_asleep = False
        self._source.news.set()
        self.driver.wake()

    def _run(self) -> None:
        driver, source = self.driver, self._source
        try:
            while not driver.is_over:
                if source.left == 0:
                    source.is_asleep = True
                    # Looked at again after the flag: whoever puts something in after this sees the flag.
                    driver.advance(wait=source.left == 0 and not source.is_closed)
                    source.is_asleep = False
                else:
                    driver.advance()
            if driver.error is not None:
                raise driver.error
            driver.close(kill=False)
        except BaseException as error:
            self._break(error)
        finally:
            driver.policy.close()

    def _break(self, error: BaseException) -> None:
        with self._lock:
            self._broken = error
        self.driver.close(kill=True)
        self._source.take(len(self._source.futures) + self._source.left)
        self._sink.fail_all(error)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Have Ctrl-C wait: in the midst of a thread's start nobody knows afterwards whether there is one."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # What came before is raised by the first call, what comes meanwhile by the second. The thread keeps it blocked:
    # a signal that went to it would not wake the main thread, which alone handles it.
    usual = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, usual)


def _not_called(*_: object) -> None:
    raise AssertionError("an Executor's calls bring their own functions")


_engines: weakref.WeakSet[_Engine] = weakref.WeakSet()


def _finish_all() -> None:
    """At the end of the program: what was submitted is done, as with the executors of the standard library."""
    for engine in list(_engines):
        engine.finish()
    for engine in list(_engines):
        engine.join()


# Before the interpreter joins threads and refuses new ones. The standard library's executors use the same hook.
_register = getattr(threading, "_register_atexit", None)
if _register is not None:
    _register(_finish_all)
else:
    import atexit

    atexit.register(_finish_all)
