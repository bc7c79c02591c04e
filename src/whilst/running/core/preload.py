"""While a first call waits, what comes after it is made ready: the modules that look into it, decide and overlap.

To import them takes as long as many a call. A thread begins with that once the call has been waiting for a while,
goes on as long as it does, and is gone when the call is over. It imports nothing of the user's.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading  # noqa: F401 - whose first import must not come from a thread: it would take that for the main one
import time
from typing import Final

from whilst.measuring.files.auditing import overlook
from whilst.running.calls.raw_threads import forget_this_thread

_MODULES: Final = (
    "whilst.measuring.pilot",
    "whilst.running.policies.evidence",
    "whilst.running.policies.concurrency_limit",
    "whilst.running.policies.drift",
    "whilst.inspecting.fork_safety",
    "whilst.running.core.worker_pool",
    "whilst.running.backends.threads",
    "whilst.running.policies.decide",
    "whilst.model.profile",
    "whilst.model.machine",
    "whilst.inspecting.descriptors",
    "whilst.running.calls.deferred_signals",
)
_LOOKS_EVERY_S: Final = 0.002
_IS_IDLE_S: Final = 0.0005
_AT_MOST_S: Final = 5.0
"""An import may wait for a module that somebody else is importing, and will only when this thread goes on."""
_HAS_CLOCKS: Final = hasattr(time, "pthread_getcpuclockid")


def preload() -> Preload | None:
    """Begin, if there is anything to make ready, and a way to see whether the thread that makes the call waits."""
    if not _HAS_CLOCKS or all(name in sys.modules for name in _MODULES):
        return None
    try:
        return Preload()
    except RuntimeError:  # no thread to be had: the modules are loaded when they are needed
        return None


class Preload:
    """Watches the thread that makes this object, until `stop`."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        """What it took, once it has stopped."""
        self._clock = time.pthread_getcpuclockid(_thread.get_ident())
        self._done = _thread.allocate_lock()
        self._is_over = _thread.allocate_lock()
        self._done.acquire()
        self._is_over.acquire()
        _thread.start_new_thread(self._run, ())
        _busy.add(self)

    def stop(self) -> None:
        """The call is over (or forks): no module is begun with any more."""
        if self not in _busy:
            return
        _busy.discard(self)
        self._done.release()
        self._is_over.acquire(timeout=_AT_MOST_S)

    def _run(self) -> None:
        try:
            overlook(_thread.get_ident())
            missing = [name for name in _MODULES if name not in sys.modules]
            while missing and not self._is_done(_LOOKS_EVERY_S):
                before = time.clock_gettime(self._clock)
                if self._is_done(_LOOKS_EVERY_S):
                    return
                while missing and time.clock_gettime(self._clock) - before < _IS_IDLE_S and not self._is_done(0):
                    __import__(missing.pop(0))
        except Exception:  # noqa: S110 - whoever needs the module meets the same error, where it can be told
            pass
        finally:
            overlook(_thread.get_ident(), is_over=True)
            forget_this_thread()
            self.cpu_s = time.thread_time()
            self._is_over.release()

    def _is_done(self, patience_s: float) -> bool:
        if self._done.acquire(timeout=patience_s):
            self._done.release()
            return True
        return False


_busy: Final[set[Preload]] = set()


def _stop_all() -> None:
    """A fork has but one thread: a module that another one was importing would stay locked in it for ever."""
    for each in list(_busy):
        each.stop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_stop_all)
