"""A look at the clock from outside, for tasks that run on without ever reaching an event.

A loop without any access to something shared never asks the scheduler. A daemon thread, which lives as long as the
explorer is entered, raises `Overdue` in the thread that runs the tasks once an execution is past its deadline. The
interpreter delivers that between two bytecode instructions. A task that blocks in a system call is woken by a
signal, one that nobody else uses (SIGURG, ignored by default), if the check runs in the main thread; else it ends
when the call returns.
"""

from __future__ import annotations

import ctypes
import signal
import threading
import time
import types
from pathlib import Path
from typing import Any

from whilst.checking.scheduler import Overdue, Scheduler

__all__ = ["Watchdog"]

_SIGNAL: Any = getattr(signal, "SIGURG", None)
_HERE = str(Path(__file__).parent)
_LOOK_EVERY_S = 0.2
_GRACE_S = 0.5  # the scheduler itself ends an execution that is late but reaches events


class Watchdog:
    """Watches over one scheduler while it is started."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._may_signal = False
        self._before: Any = None

    def start(self) -> None:
        """Watch over tasks that run in the calling thread."""
        ident = threading.get_ident()
        self._may_signal = False
        if threading.current_thread() is threading.main_thread() and _SIGNAL is not None:
            self._may_signal = signal.getsignal(_SIGNAL) in (signal.SIG_DFL, signal.SIG_IGN)
            if self._may_signal:
                self._before = signal.signal(_SIGNAL, self._on_signal)
        self._stop.clear()
        self._thread = threading.Thread(target=self._watch, args=(ident,), name="whilst-check-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Leave no thread behind."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._may_signal and _SIGNAL is not None:
            signal.signal(_SIGNAL, self._before)
            self._may_signal = False

    def _on_signal(self, _number: int, frame: types.FrameType | None) -> None:
        """The task is still at it: whatever it waits in has been interrupted by now."""
        if self._scheduler.cur < 0 or self._scheduler.deadline is None:
            return
        while frame is not None and _HERE in frame.f_code.co_filename:
            frame = frame.f_back
        where = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "?"
        self._scheduler.blocked_outside = where
        raise Overdue

    def _watch(self, ident: int) -> None:
        told: float | None = None
        asked = False
        while not self._stop.wait(_LOOK_EVERY_S):
            deadline = self._scheduler.deadline
            if deadline is None or time.monotonic() < deadline + _GRACE_S or self._scheduler.cur < 0:
                continue
            if deadline == told:
                if not asked and self._may_signal and _SIGNAL is not None:
                    asked = True
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), None)
                    signal.pthread_kill(ident, _SIGNAL)
            else:
                told, asked = deadline, False
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(Overdue))
