"""A look at the clock from outside, for tasks that run on without ever reaching an event.

A loop without any access to something shared never asks the scheduler. A daemon thread, which lives no longer than
the explorer is entered, raises `Overdue` in the thread that runs the tasks once an execution is past its deadline. The
interpreter delivers that between two bytecode instructions. A task that blocks in a system call is woken by a
signal, one that nobody else uses (SIGURG, ignored by default), if the check runs in the main thread; else it ends
when the call returns.

Most checks are over before a thread would have been started and stopped. So in the main thread a timer starts it,
where nobody else has one (SIGALRM): what is over by then costs two system calls.
"""

from __future__ import annotations

import _thread
import ctypes
import importlib
import signal
import sys
import threading
import time
import types
from typing import Any

from whilst.checking.engine.scheduler import Overdue, Scheduler
from whilst.checking.engine.spin_loops import OWN_FOLDER

_RAW: Any = importlib.import_module("_signal")  # without the enums of `signal`, which cost as much as all the rest
_WAKING: Any = getattr(signal, "SIGURG", None)
_TIMER: Any = getattr(signal, "ITIMER_REAL", None)
_LOOK_EVERY_S = 0.2
_GRACE_S = 0.5  # the scheduler itself ends an execution that is late but reaches events
_FREE = (signal.SIG_DFL, signal.SIG_IGN)


class Watchdog:
    """Watches over one scheduler while it is started."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._ident = 0
        # Bare locks and a bare thread: the timer may go off anywhere, also where a lock of `threading` is held.
        self._stop: _thread.LockType | None = None  # free once the thread shall end
        self._over: _thread.LockType | None = None  # free once it has
        self._has_timer = self._may_signal = False
        self._before: Any = None
        self._before_timer: Any = None

    @classmethod
    def in_fork(cls, scheduler: Scheduler) -> Watchdog:
        """In a copy of a process whose watchdog is not in it, but its handlers of signals are."""
        for number in (_WAKING, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        return cls(scheduler)

    def start(self) -> None:
        """Watch over tasks that run in the calling thread."""
        self._ident = threading.get_ident()
        is_main = self._ident == threading.main_thread().ident
        self._may_signal = is_main and _WAKING is not None and _RAW.getsignal(_WAKING) in _FREE
        self._has_timer = is_main and _TIMER is not None and self._set_timer()
        if not self._has_timer:
            self._begin()

    def _set_timer(self) -> bool:
        if _RAW.getsignal(signal.SIGALRM) != signal.SIG_DFL or _RAW.getitimer(_TIMER)[0]:
            return False  # somebody else has one
        self._before_timer = _RAW.signal(signal.SIGALRM, self._on_timer)
        _RAW.setitimer(_TIMER, _LOOK_EVERY_S)
        return True

    def _on_timer(self, _number: int, _frame: types.FrameType | None) -> None:
        if self._has_timer and self._stop is None:
            self._begin()

    def _begin(self) -> None:
        """From now on with a thread."""
        if self._may_signal:
            self._before = signal.signal(_WAKING, self._on_signal)
        self._stop, self._over = _thread.allocate_lock(), _thread.allocate_lock()
        self._stop.acquire()
        self._over.acquire()
        _thread.start_new_thread(self._watch, (self._ident, self._stop, self._over))

    def stop(self) -> None:
        """Leave no thread behind."""
        if self._has_timer:
            self._has_timer = False
            if _RAW.getsignal(signal.SIGALRM) == self._on_timer:  # else a task has taken it over
                _RAW.setitimer(_TIMER, 0)
                _RAW.signal(signal.SIGALRM, self._before_timer)
        if self._stop is not None and self._over is not None:
            self._stop.release()
            self._over.acquire()
            self._stop = self._over = None
            if self._may_signal:
                signal.signal(_WAKING, self._before)
        self._may_signal = False

    def _on_signal(self, _number: int, _frame: types.FrameType | None) -> None:
        """Whatever the task waits in has been interrupted by now, so what was raised in its thread arrives here."""

    def _location_of(self, ident: int) -> str:
        """Where the task waits: the innermost line that is not of this package."""
        frame = sys._current_frames().get(ident)  # noqa: SLF001 - the only way to another thread's frame
        while frame is not None and frame.f_code.co_filename.startswith(OWN_FOLDER):
            frame = frame.f_back
        return "?" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"

    def _watch(self, ident: int, stop: _thread.LockType, over: _thread.LockType) -> None:
        try:
            self._look_until(stop, ident)
        finally:
            over.release()

    def _look_until(self, stop: _thread.LockType, ident: int) -> None:
        told: float | None = None
        asked = False
        while not stop.acquire(timeout=_LOOK_EVERY_S):
            deadline = self._scheduler.deadline
            if deadline is None or time.monotonic() < deadline + _GRACE_S or self._scheduler.cur < 0:
                continue
            if deadline == told:
                if not asked and self._may_signal:
                    asked = True
                    # What is raised there already must not be taken back, to be raised by the handler: that leaves
                    # a mark which CPython 3.11 goes round and round for ever where a trace function is set.
                    self._scheduler.blocked_outside = self._location_of(ident)
                    signal.pthread_kill(ident, _WAKING)
            else:
                told, asked = deadline, False
                self._scheduler.is_overdue = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(Overdue))
