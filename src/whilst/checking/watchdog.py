"""A look at the clock from outside, for tasks that run on without ever reaching an event.

A loop without any access to something shared never asks the scheduler. A daemon thread, which lives as long as the
explorer is entered, raises `Overdue` in the thread that runs the tasks once an execution is past its deadline. The
interpreter delivers that between two bytecode instructions, so a task that blocks in a system call is not woken:
it ends when the call returns.
"""

from __future__ import annotations

import ctypes
import threading
import time

from whilst.checking.scheduler import Overdue, Scheduler

__all__ = ["Watchdog"]

_LOOK_EVERY_S = 0.2
_GRACE_S = 0.5  # the scheduler itself ends an execution that is late but reaches events


class Watchdog:
    """Watches over one scheduler while it is started."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Watch over tasks that run in the calling thread."""
        ident = threading.get_ident()
        self._stop.clear()
        self._thread = threading.Thread(target=self._watch, args=(ident,), name="whilst-check-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Leave no thread behind."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _watch(self, ident: int) -> None:
        told: float | None = None
        while not self._stop.wait(_LOOK_EVERY_S):
            deadline = self._scheduler.deadline
            if deadline is None or deadline == told or time.monotonic() < deadline + _GRACE_S:
                continue
            if self._scheduler.cur >= 0:
                told = deadline
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(Overdue))
