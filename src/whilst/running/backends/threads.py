"""Threads of this process: cheap to start, sharing everything, one at a time in Python code where there is a GIL.

Threads are started by `_thread.start_new_thread`, which takes a third of the time of `threading.Thread.start`:
that one waits until the new thread has run. What `Thread` would do besides is done here: the back end counts its
threads in and out by events, waits for them when it closes, and removes the entry that `threading` makes for a
foreign thread when a call asks for `current_thread()`.
"""

from __future__ import annotations

import _thread
import ctypes
import os
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from time import monotonic

from whilst.running.backends.base import take_events
from whilst.running.calls.one_argument import Awaiter, close_thread
from whilst.running.calls.ordered_output import OrderedOutput
from whilst.running.calls.perform import Cell, perform
from whilst.running.calls.raw_threads import forget_this_thread
from whilst.running.jobs import Batch, Event, Finished, WorkerDied, WorkerReady, WorkerStopped
from whilst.running.nesting import enter_worker, is_in_worker, leave_worker

_PATIENCE_S = 0.1
"""How long a killing `close` lets calls end by themselves, before it raises in them, and again after."""


class ThreadBackend:
    """One worker is one thread, with a queue of its own."""

    name = "threads"
    slots = 1
    can_kill = False
    overlaps = False
    takes_early = False

    def __init__(self, *, keeps_order_of_output: bool = False) -> None:
        self._threads: dict[int, _Thread] = {}
        self._outbox: SimpleQueue[Event | None] = SimpleQueue()
        self._output = OrderedOutput() if keeps_order_of_output else None

    def start_worker(self, worker: int) -> None:
        # It is started with its first batch: a thread that has to be told when it is ready, and then waits for
        # work, is switched to twice more.
        self._threads[worker] = _Thread(worker, self._outbox, self._output)
        self._outbox.put(WorkerReady(worker, os.getpid()))

    def send(self, worker: int, batch: Batch) -> None:
        thread = self._threads[worker]
        if self._output is not None:
            self._output.install()
            self._output.open(batch.number, batch.ids)
        thread.inbox.put(batch)
        if thread.has_started:
            return
        try:
            _thread.start_new_thread(thread.run, ())
            thread.has_started = True
        except RuntimeError:
            # "can't start new thread": a limit of the system, or the interpreter is about to end. The run goes on
            # with the threads there are and with the one that drives it.
            thread.serve_here()

    def stop_worker(self, worker: int, *, kill: bool = False) -> None:  # noqa: ARG002 - a thread can't be killed
        thread = self._threads.get(worker)
        if thread is not None:
            thread.stop()

    def running(self, worker: int) -> Sequence[tuple[int, int]]:
        thread = self._threads.get(worker)
        if thread is None or thread.cell.id < 0:
            return ()
        return ((thread.cell.id, thread.cell.start_ns),)

    def recall(self, worker: int) -> Sequence[int]:
        thread = self._threads.get(worker)
        return () if thread is None else thread.recall()

    def events(self, timeout_s: float | None) -> Sequence[Event]:
        found = take_events(self._outbox, timeout_s)
        for event in found:
            if type(event) is WorkerStopped or type(event) is WorkerDied:
                self._threads.pop(event.worker, None)
        return found

    def wake(self) -> None:
        self._outbox.put(None)

    def close(self, *, kill: bool) -> None:
        for thread in self._threads.values():
            if kill:
                thread.recall()
            thread.stop()
        try:
            if not kill:
                self._wait(None)
                return
            self._wait(_PATIENCE_S)
            for thread in self._threads.values():
                thread.interrupt()
            self._wait(_PATIENCE_S)
            # A call that sits in C code can't be ended. It runs to its end and its thread with it.
            self._threads.clear()
        finally:
            if self._output is not None:
                self._output.end()

    def _wait(self, patience_s: float | None) -> None:
        """Until all threads have ended, or the patience is over."""
        deadline = None if patience_s is None else monotonic() + patience_s
        while self._threads:
            left = None if deadline is None else deadline - monotonic()
            if left is not None and left <= 0:
                return
            self.events(left)


class _Thread:
    """One thread, from both sides: `run` and what it calls belong to the thread, the rest to the back end."""

    def __init__(self, worker: int, outbox: SimpleQueue[Event | None], output: OrderedOutput | None) -> None:
        self.worker = worker
        self.inbox: SimpleQueue[Batch | None] = SimpleQueue()
        self.cell = Cell()
        self.has_started = self.is_interrupted = False
        self.in_hand: Sequence[int] = ()
        """The calls of the batch that it is at."""
        self.ident: int | None = None
        self._outbox = outbox
        self._output = output

    def stop(self) -> None:
        """End after what it has been given."""
        if self.has_started:
            self.inbox.put(None)
        else:
            self._outbox.put(WorkerStopped(self.worker))

    def run(self) -> None:
        awaiter = Awaiter()
        end: Event = WorkerStopped(self.worker)
        try:
            self.ident = _thread.get_ident()
            self._serve(awaiter)
        except BaseException as error:
            if not self.is_interrupted:  # else it came between two calls, and wants just this end
                end = self._death(error)
        finally:
            self.ident = None
            awaiter.close()
            close_thread()
            forget_this_thread()
            self._outbox.put(end)

    def _death(self, error: BaseException) -> WorkerDied:
        """What is raised outside of the calls is nobody's answer: whoever waits for them has to learn of it."""
        import traceback

        waiting: list[int] = []
        while not self.inbox.empty():
            batch = self.inbox.get()
            waiting += batch.ids if batch is not None else ()
        tail = "".join(traceback.format_exception(error))
        return WorkerDied(self.worker, self.in_hand, waiting, stderr_tail=tail, reason="its thread broke down")

    def serve_here(self) -> None:
        """Make the calls in the driver's thread, because this one can't be started."""
        was_in_worker, awaiter = is_in_worker(), Awaiter()
        self.inbox.put(None)
        try:
            self._serve(awaiter)
        finally:
            awaiter.close()
            if not was_in_worker:
                leave_worker()

    def _serve(self, awaiter: Awaiter) -> None:
        put, get, cell, worker = self._outbox.put, self.inbox.get, self.cell, self.worker
        output = self._output
        while (batch := get()) is not None:
            self.in_hand = batch.ids
            enter_worker()
            if output is None:
                put(perform(batch, worker, cell, awaiter))
            else:
                output.enter(batch.number)
                finished = perform(batch, worker, cell, awaiter)
                output.leave()
                output.close(batch.number, finished.errors if batch.job.stops_at_error else ())
                put(finished)
                del finished
            # Neither arguments nor results are kept alive while the thread waits for more.
            del batch
            self.in_hand = ()

    def recall(self) -> Sequence[int]:
        back: list[int] = []
        batches: list[Batch] = []
        is_stopping = False
        try:
            while True:
                batch = self.inbox.get_nowait()
                if batch is None:
                    is_stopping = True
                else:
                    batches.append(batch)
        except Empty:
            pass
        if is_stopping:
            self.inbox.put(None)
        # From the right, while the thread takes from the left. After the inbox: what was begun since then is
        # seen here, or was begun for good.
        rest = self.cell.rest
        try:
            while True:
                back.append(rest.pop()[0])
        except IndexError:
            pass
        back.reverse()
        if self._output is not None:
            self._output.owe([*back, *(each for batch in batches for each in batch.ids)])
        for batch in batches:
            back += batch.ids
            if self._output is not None:
                self._output.close(batch.number)
            self._outbox.put(Finished(self.worker, batch.number, (), (), 0, 0))
        return back

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the call, as Ctrl-C does in a `for` loop."""
        self.is_interrupted = True
        if self.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), ctypes.py_object(KeyboardInterrupt))
