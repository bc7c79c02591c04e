"""A thread that watches another one make its calls: does it hold the GIL, and if it waits, what for?

At intervals the probe asks for the GIL. A thread that runs Python (or C that keeps the GIL) gives it up only
after the switch interval, or when it happens to wait or to enter C code that releases it: an answer that comes late
says "held". An answer at once may mean that the other thread works without the GIL, that it waits, or that it has
no core. So the probe keeps the GIL for a tenth of a millisecond more and looks at the other thread's CPU clock: if
that goes on, the work is done without the GIL. This tells zlib, hashlib and numpy from pure Python, which the ratio
of CPU to wall time does not. Where the clock stands still it looks (Linux) at which system call the thread sits in:
a sleep meets no limit however many sleep, a socket or a lock may. And whether a lock that calls share is held
meanwhile: then however many threads there are, one of them gets on.

Costs: one raw thread (about 30 µs), and a forced switch each few milliseconds. It lives during the pilot only.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final

from whilst.inspecting.ownership import is_held
from whilst.measuring.clocks import queued_ns

_FIRST_S: Final = 0.0005
_LONGEST_S: Final = 0.0015
_AT_ONCE_S: Final = 0.0004
"""A thread that is woken and finds the GIL free is running after so long."""

_ENOUGH_LOOKS: Final = 4
_HOLD_S: Final = 0.0001

_SYSCALLS: Final[dict[str, dict[int, str]]] = {
    "x86_64": {
        230: "sleep", 35: "sleep", 7: "socket", 271: "socket", 232: "socket", 281: "socket", 441: "socket",
        23: "select", 270: "select", 45: "socket", 47: "socket", 44: "socket", 46: "socket", 42: "socket",
        43: "socket", 288: "socket", 0: "read", 17: "file", 18: "file", 1: "file", 74: "file", 75: "file", 73: "lock",
        61: "child", 247: "child", 202: "lock",
    },
    "aarch64": {
        115: "sleep", 101: "sleep", 73: "socket", 22: "socket", 72: "select", 207: "socket", 212: "socket",
        206: "socket", 211: "socket", 203: "socket", 202: "socket", 63: "read", 67: "file", 68: "file", 64: "file",
        82: "file", 83: "file", 32: "lock", 260: "child", 95: "child", 98: "lock",
    },
}  # fmt: skip


_HAS_CLOCKS: Final = hasattr(time, "pthread_getcpuclockid")


class Sightings:
    """What the probe saw: counts of its looks.

    Args:
        held: it had to wait for the GIL.
        free: it had the GIL while the other thread went on working.
        waits: it got the GIL at once, and the other thread was in such a wait.
    """

    def __init__(self, held: int = 0, free: int = 0, waits: dict[str, int] | None = None) -> None:
        self.held = held
        self.free = free
        self.waits = {} if waits is None else waits
        self.locked = 0
        """Of the looks that found the GIL free, those at which one of the locks was held."""
        self.cpu_s = 0.0
        """What the looking itself cost."""

    @property
    def gil_share(self) -> float | None:
        """Of the time on a core, the share with the GIL held; None where nothing was seen."""
        looks = self.held + self.free
        return self.held / looks if looks else None

    @property
    def locked_share(self) -> float | None:
        """Of the time without the GIL, the share with one of the locks held; None where nothing was seen."""
        looks = self.free + sum(self.waits.values())
        return self.locked / looks if looks else None

    def most_wait_s(self, wall_s: float) -> float | None:
        """Of so many seconds, those in which the other thread can have waited; None after too few looks."""
        waits = sum(self.waits.values())
        looks = self.held + self.free + waits
        if looks < _ENOUGH_LOOKS:
            return None
        return wall_s * (waits / looks if waits else 0.0)

    @property
    def waits_only_in_sleep(self) -> bool:
        return bool(self.waits) and set(self.waits) == {"sleep"}


class GilProbe:
    """Watch the thread that makes this object, until `stop`; `locks` are those that its calls share."""

    def __init__(self, locks: Sequence[object] = ()) -> None:
        self._locks = locks
        self.seen = Sightings()
        self._clock = time.pthread_getcpuclockid(_thread.get_ident()) if _HAS_CLOCKS else None
        self._done = _thread.allocate_lock()
        self._is_over = _thread.allocate_lock()
        self._numbers = _SYSCALLS.get(os.uname().machine, {}) if sys.platform == "linux" else {}
        self._path = f"/proc/self/task/{threading.get_native_id()}/syscall"
        self._done.acquire()
        self._is_over.acquire()
        # A raw thread costs a third of a threading.Thread, and needs no entry in the list of threads.
        try:
            _thread.start_new_thread(self._watch, ())
        except RuntimeError:  # no thread to be had: nothing is seen, which is no news of the GIL either way
            self._is_over.release()

    def stop(self) -> Sightings:
        """End the probe and return what it saw. Its thread has left its last line when this returns."""
        self._done.release()
        self._is_over.acquire()
        return self.seen

    def _watch(self) -> None:
        try:
            interval = _FIRST_S
            delayed = queued_ns() or 0
            while True:
                due = time.perf_counter() + interval
                is_over = self._done.acquire(timeout=interval)
                late = time.perf_counter() - due
                before, delayed = delayed, queued_ns() or 0
                off_core = (delayed - before) / 1e9
                if is_over:
                    # All the rest of the call passed before it got the GIL.
                    self.seen.held += late - off_core > _AT_ONCE_S
                    return
                # Lateness for want of a core says nothing about the GIL.
                if late <= _AT_ONCE_S or late - off_core > max(_AT_ONCE_S, off_core):
                    self._note(late)
                interval = min(1.5 * interval, _LONGEST_S)
        finally:
            self.seen.cpu_s = time.thread_time()
            self._is_over.release()

    def _note(self, late_s: float) -> None:
        if late_s > _AT_ONCE_S:
            self.seen.held += 1
            return
        is_locked = any(map(is_held, self._locks))
        if self._goes_on_working():
            self.seen.free += 1
        elif what := self._wait_of_caller():
            self.seen.waits[what] = self.seen.waits.get(what, 0) + 1
        else:
            return
        self.seen.locked += is_locked

    def _goes_on_working(self) -> bool:
        """While this thread holds the GIL, does the other one's CPU clock advance?"""
        if self._clock is None:
            return not self._wait_of_caller()
        before = time.clock_gettime(self._clock)
        end = time.perf_counter() + _HOLD_S
        while time.perf_counter() < end:
            pass
        return time.clock_gettime(self._clock) - before > 0.4 * _HOLD_S

    def _wait_of_caller(self) -> str:
        """The kind of system call that the other thread sits in, "" if it is on a core."""
        try:
            file = os.open(self._path, os.O_RDONLY)
        except OSError:
            return ""
        try:
            words = os.read(file, 64).split()
        except OSError:
            return ""
        finally:
            os.close(file)
        if not words or words[0] == b"running":
            return ""
        try:
            return self._numbers.get(int(words[0]), "other")
        except ValueError:
            return ""
