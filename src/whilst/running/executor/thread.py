"""What an Executor runs on: the driver's loop in a thread, which takes from an open input.

Knows nothing of the Executor, so that one can be forgotten.
"""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from contextvars import Context
from dataclasses import replace
from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from whilst.errors import InterpreterEndingError, WhilstError
from whilst.model import Decision, Timeline
from whilst.running.backends import open_backend
from whilst.running.core.driver import Driver
from whilst.running.core.policy import Policy
from whilst.running.core.recorder import Recorder
from whilst.running.executor.callbacks import SubmittedFuture
from whilst.running.executor.submissions import Call, Entry, FutureSink, OpenInput
from whilst.running.jobs import Job, Limits, next_job_id
from whilst.running.options import Options
from whilst.running.policies.choosing import choose_policy, has_no_mode, is_made_here

if TYPE_CHECKING:
    from whilst.running.core.pacing.pace import Pace
    from whilst.running.executor.policy import Thresholds

LOOKS_UP_EVERY_S = 0.5
"""No wait for a thread or a future is longer: after each the main thread looks whether a signal came."""


class ExecutorClosedError(WhilstError, RuntimeError):
    """A call was submitted to an Executor that was shut down."""


class ExecutorBrokenError(ExecutorClosedError, BrokenExecutor):
    """A call was submitted to an Executor that has broken down."""


def open_thread(options: Options) -> ExecutorThread:
    """Return what runs an Executor with these options.

    Raises:
        OptionsError, UnknownBackendError: what was asked for can't be had.
    """
    # Draws go by the number of a call, which has another one elsewhere; and a time limit is for the call as submitted.
    # Who waits for permits, and is made again, waits in one place.
    if has_no_mode(options) and options.seed is None and options.timeout_s is None and not options.is_paced:
        return SortingThread(options)
    return ExecutorThread(options)


class ExecutorThread:
    """Makes the calls that are submitted, in the mode that the options ask for or by the policy given."""

    def __init__(self, options: Options, stem: str = "call", start_ns: int | None = None) -> None:
        self._source = OpenInput()
        self._sink = FutureSink(self._source.taken)
        job = Job(
            next_job_id(),
            _not_called,
            "call",
            context=None,
            seed=options.seed,
            timeout_s=options.timeout_s,
        )
        self._stem = stem
        pace: Pace | None = None
        if options.is_paced:
            from whilst.running.core.pacing.pace import pace_of

            pace = pace_of(options)
        self.driver = Driver(
            job,
            self._source,
            self._policy(job, options),
            self._sink,
            Limits(
                retries=options.most_retries,
                stops_at_error=False,
                stops_at_exit=False,
                timeout_s=options.timeout_s,
                begins_when_sent=options.rate_per_s is not None,
            ),
            Recorder(stem, perf_counter_ns() if start_ns is None else start_ns, is_lazy=True),
            partial(open_backend, in_background=True, keeps_order_of_output=False),
            pace,
        )
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._broken: BaseException | None = None
        self._killed: BaseException | None = None

    def _policy(self, job: Job, options: Options) -> Policy:
        self._source.notes_state = not is_made_here(options)
        return choose_policy(job, self._source, options, is_lazy=False)

    def decision(self) -> Decision:
        """How calls are run, as of now."""
        return self.driver.decision()

    def timeline(self) -> Timeline:
        """Who made which call when, so far."""
        return self.driver.recorder.timeline("Executor")

    def submit(self, future: SubmittedFuture[Any], call: Call) -> None:
        """Have a call made.

        Raises:
            ExecutorClosedError: nothing more is taken.
        """
        source = self._source
        with self._lock:
            if self._broken is not None:
                raise ExecutorBrokenError("This Executor has broken down; make another.") from self._broken
            if _is_ending:
                raise ExecutorClosedError("cannot schedule new futures after interpreter shutdown")
            if source.is_closed:
                raise ExecutorClosedError("cannot schedule new futures after shutdown")
            self._put(future, call)
            if self._thread is None:
                try:
                    self._begin()
                except RuntimeError as error:  # no thread to be had: most often since the interpreter is ending
                    self._thread = None
                    _threads.discard(self)
                    self.cancel_all()
                    raise InterpreterEndingError.of("An Executor", error) from error
        if source.is_asleep:
            self._wake()

    def _put(self, future: SubmittedFuture[Any], call: Call) -> None:
        self._source.put(future, call)

    def finish(self, *, cancel_futures: bool = False) -> None:
        """Take no more, and end once all is done."""
        with self._lock:
            self._source.is_closed = True
        if cancel_futures:
            self.cancel_all()
        self._wake()

    def kill(self, why: str) -> None:
        """End the workers at once: the calls in their hands fail, and what waits is cancelled."""
        from whilst.errors import WorkerDiedError  # its base imports much that few need

        self._killed = WorkerDiedError(f"Its worker was ended by {why}, and this call with it.")
        self.finish(cancel_futures=True)

    def cancel_all(self) -> None:
        """What waits is not made."""
        self._source.cancel_all()

    def join(self) -> None:
        """Wait for that end."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            while thread.is_alive():
                thread.join(LOOKS_UP_EVERY_S)
            self._sink.callbacks.join()
            _threads.discard(self)

    def _begin(self) -> None:
        _threads.add(self)
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
                source.is_asleep = True  # before the input is looked at: whoever puts something in later sees it
                driver.advance()
                if self._killed is not None:
                    raise self._killed
            if driver.error is not None:
                raise driver.error
            driver.close(kill=False)
        except BaseException as error:
            self._break(error)
        finally:
            driver.policy.close()
            self._end()

    def _end(self) -> None:
        """All is done."""

    def _break(self, error: BaseException) -> None:
        with self._lock:
            self._broken = error
        self.driver.close(kill=True)
        self._source.take(len(self._source.taken) + self._source.left)
        self._sink.fail_all(error)


class SortingThread(ExecutorThread):
    """Makes calls in threads, and has those made in processes that are better made there (`executor.policy`)."""

    thresholds: Thresholds | None = None
    """Others than the usual ones."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._moving = threading.Lock()
        """Held while calls are between the two: then nobody cancels those that wait."""
        self._is_cancelled = False
        self._processes: _FedThread | None = None
        super().__init__(options)

    def _policy(self, job: Job, options: Options) -> Policy:
        from whilst.running.executor.policy import ThreadsFirst  # much more than an Executor with a mode needs

        self._routes = ThreadsFirst(job, self._source, options, self._move, self.thresholds)
        return self._routes

    def decision(self) -> Decision:
        """See `ExecutorThread.decision`."""
        processes = self._processes
        if processes is None:
            return super().decision()
        threads = super().decision()
        reason = f"{threads.reason}; calls that work with the GIL held went to these processes"
        return replace(processes.decision(), reason=reason, rejected=threads.rejected, history=threads.history)

    def timeline(self) -> Timeline:
        """See `ExecutorThread.timeline`."""
        own, processes = super().timeline(), self._processes
        if processes is None:
            return own
        return Timeline.from_spans([*own, *processes.timeline()], name=own.name)

    def _put(self, future: SubmittedFuture[Any], call: Call) -> None:
        processes = self._processes
        if processes is None or not self._routes.goes_to_processes(call) or not processes.submit_quietly(future, call):
            super()._put(future, call)

    def _move(self) -> None:
        """A function's calls are to go to processes: those that have not begun do so now."""
        with self._moving:
            if self._is_cancelled:
                return
            if self._processes is None:
                self._processes = _FedThread(self._options, "moved call", self.driver.recorder.start_ns)
            moved = self._source.withdraw(self._routes.goes_to_processes)
            if not self._processes.feed(moved):
                self._source.put_again(moved)

    def cancel_all(self) -> None:
        """See `ExecutorThread.cancel_all`."""
        with self._moving:
            self._is_cancelled = True
            super().cancel_all()
            if self._processes is not None:
                self._processes.cancel_all()

    def kill(self, why: str) -> None:
        """See `ExecutorThread.kill`."""
        super().kill(why)
        if self._processes is not None:
            self._processes.kill(why)

    def join(self) -> None:
        """See `ExecutorThread.join`."""
        super().join()
        if self._processes is not None:
            self._processes.join()

    def _end(self) -> None:
        """Nothing is moved any more."""
        if self._processes is not None:
            self._processes.finish()


class _FedThread(ExecutorThread):
    """Makes calls in processes that another thread gives it, which ends it, too."""

    def _policy(self, job: Job, options: Options) -> Policy:  # noqa: ARG002 - every call has its own function
        from whilst.running.executor.policy import processes_policy

        return processes_policy(options)

    def submit_quietly(self, future: SubmittedFuture[Any], call: Call) -> bool:
        """Submit, if anything is taken here any more."""
        try:
            self.submit(future, call)
        except (ExecutorClosedError, InterpreterEndingError):
            return False
        return True

    def feed(self, entries: Sequence[Entry]) -> bool:
        """Take over what was submitted elsewhere, if anything is taken here any more."""
        with self._lock:
            if self._broken is not None or self._source.is_closed:
                return False
            self._source.put_again(entries)
            if self._thread is None:
                self._begin()
        if self._source.is_asleep:
            self._wake()
        return True

    def _begin(self) -> None:
        super()._begin()
        _threads.discard(self)  # whoever feeds it ends it


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


_threads: weakref.WeakSet[ExecutorThread] = weakref.WeakSet()


_is_ending = False


def _finish_all() -> None:
    """At the end of the program: what was submitted is done, as with the executors of the standard library."""
    global _is_ending
    _is_ending = True
    for thread in list(_threads):
        thread.finish()
    for thread in list(_threads):
        thread.join()


def _forget_all() -> None:
    """In any fork: the threads are the parent's, and the lock of one that was submitting there stays held here."""
    _threads.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)

# Before the interpreter joins threads and refuses new ones. The standard library's executors use the same hook.
_register = getattr(threading, "_register_atexit", None)
if _register is not None:
    _register(_finish_all)
else:
    import atexit

    atexit.register(_finish_all)
