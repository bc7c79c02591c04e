"""Threads for the done-callbacks of futures: what a callback waits for, or how long it takes, is its own business.

The driver's thread, which has every answer, must not run them: a callback that waits for another call of the same
Executor would wait for the one that makes it wait. A thread is started only where none is idle, as
`ThreadPoolExecutor` does it, where callbacks run in the threads that made the calls.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

R = TypeVar("R")

_MOST_THREADS: Final = 32
_PATIENCE_S: Final = 1.0
"""How long an idle thread waits for more."""
_LOOKS_UP_EVERY_S: Final = 0.5
_log: Final = logging.getLogger("concurrent.futures")
"""Where the standard library's executors tell of callbacks that fail."""


class CallbackThreads:
    """Runs what it is given, soon, in threads of its own."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._idle = 0

    def run(self, work: Callable[[], None]) -> None:
        """Have this done; where no thread can be had, at once."""
        with self._lock:
            if self._idle:
                self._idle -= 1
            elif len(self._threads) < _MOST_THREADS:
                thread = threading.Thread(target=self._serve, name="whilst-callbacks", daemon=True)
                self._threads.add(thread)
                try:
                    thread.start()
                except RuntimeError:  # no more threads, or the interpreter is about to end
                    self._threads.discard(thread)
                    if not self._threads:
                        _do(work)
                        return
        self._queue.put(work)

    def join(self) -> None:
        """Wait until all is done that was given. In one of these threads, for nothing."""
        with self._lock:
            threads = list(self._threads)
            if threading.current_thread() in threads:
                return
            for _ in threads:
                self._queue.put(None)
        for thread in threads:
            while thread.is_alive():
                thread.join(_LOOKS_UP_EVERY_S)

    def _serve(self) -> None:
        while True:
            try:
                work = self._queue.get(timeout=_PATIENCE_S)
            except Empty:
                with self._lock:
                    if self._idle and self._queue.empty():  # else somebody counts on this one
                        self._idle -= 1
                        self._threads.discard(threading.current_thread())
                        return
                continue
            if work is None:
                with self._lock:
                    self._threads.discard(threading.current_thread())
                return
            _do(work)
            del work
            with self._lock:
                self._idle += 1


def _do(work: Callable[[], None]) -> None:
    try:
        work()
    except BaseException:  # a future logs what an `Exception` is; SystemExit passes through it
        _log.critical("A done-callback ended its thread's work", exc_info=True)


class SubmittedFuture(Future[R]):
    """A future whose callbacks are run by `run_later`, once that is set, instead of by whoever sets the result."""

    run_later: Callable[[Callable[[], None]], None] | None = None

    def take_result(self, values: list[Any], place: int) -> None:
        """`set_result` with one of these values, which is among them no more.

        Whoever waits hears of it once this is left. By then the future alone has the result, however many frames of
        this thread have the answer: a reader who drops a large one wants it gone.
        """
        with self._condition:  # the same since Python 3.2
            self.set_result(values[place])
            values[place] = None

    def _invoke_callbacks(self) -> None:
        if self._done_callbacks:  # type: ignore[attr-defined]
            invoke = super()._invoke_callbacks  # type: ignore[misc]  # known to no stub, and the same since Python 3.2
            if self.run_later is None:
                invoke()
            else:
                self.run_later(invoke)
