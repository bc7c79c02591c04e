"""Which thread was on a core when, where the kernel's own record can't be had: /proc/…/schedstat, 200 times a second.

The file of a thread has the nanoseconds that it has run, and that it has been ready without a core. Between two looks
it is taken to have run first, then to have been ready, then to have waited: right in sum, to a period in order.
"""

from __future__ import annotations

import os
from time import monotonic_ns
from typing import Final

from whilst.seeing.events import BLOCKED, IN, PREEMPTED, Switches

PERIOD_S: Final = 0.005
_FAMILY_NS: Final = 20_000_000
_TINY_NS: Final = 1_000


class SchedstatClock:
    """Looks at a process and all that descends from it; as `PerfClock`, with a look at each `poll`."""

    name = "schedstat"

    def __init__(self, pid: int) -> None:
        """Attach to a process.

        Raises:
            OSError: there is no such file here.
        """
        self.threads: dict[int, Switches] = {}
        self.gone: list[Switches] = []
        self.lost = 0
        self._processes = {pid}
        self._last: dict[int, tuple[int, int, int]] = {}
        self._family_at = 0
        _read(pid, pid)

    def poll(self) -> None:
        now = monotonic_ns()
        if now >= self._family_at:
            self._family_at = now + _FAMILY_NS
            self._look_for_more(now)
        for tid, thread in list(self.threads.items()):
            try:
                ran, delayed = _read(thread.pid, tid)
            except (OSError, ValueError, IndexError):
                self._end(tid, now)
                continue
            now = monotonic_ns()
            before, ran_before, delayed_before = self._last[tid]
            self._last[tid] = now, ran, delayed
            self._note(thread, before, now, ran - ran_before, delayed - delayed_before)

    def close(self) -> None:
        """Nothing is open."""

    @staticmethod
    def _note(thread: Switches, before: int, now: int, ran_ns: int, delayed_ns: int) -> None:
        """The switches of one period."""
        at, what = thread.at_ns, thread.what
        last = what[-1] if what else BLOCKED
        span = now - before
        ran_ns, delayed_ns = min(ran_ns, span), min(delayed_ns, span)
        if ran_ns + delayed_ns > span:
            delayed_ns = span - ran_ns
        changes = []
        if ran_ns > _TINY_NS:
            changes.append((before, IN))
        end = before + max(ran_ns, 0)
        if delayed_ns > _TINY_NS:
            changes.append((end, PREEMPTED))
            end += delayed_ns
        if span - ran_ns - delayed_ns > span // 50:
            changes.append((end, BLOCKED))
        for when, kind in changes:
            if kind != last:
                at.append(when)
                what.append(kind)
                last = kind

    def _look_for_more(self, now: int) -> None:
        for pid in list(self._processes):
            try:
                tids = [int(name) for name in os.listdir(f"/proc/{pid}/task")]  # noqa: PTH208 - many times a second
            except OSError:
                self._processes.discard(pid)
                continue
            for tid in tids:
                if tid not in self.threads:
                    try:
                        ran, delayed = _read(pid, tid)
                    except (OSError, ValueError, IndexError):
                        continue
                    start = max(now - ran - delayed, 0)
                    thread = self.threads[tid] = Switches(pid, tid, start, command=_command(pid, tid))
                    thread.at_ns.extend((start, now))
                    thread.what.extend((IN, BLOCKED))
                    self._last[tid] = now, ran, delayed
                self._processes.update(_children(pid, tid))

    def _end(self, tid: int, now: int) -> None:
        thread = self.threads.pop(tid)
        thread.end_ns = now
        self.gone.append(thread)


def _read(pid: int, tid: int) -> tuple[int, int]:
    file = os.open(f"/proc/{pid}/task/{tid}/schedstat", os.O_RDONLY)
    try:
        ran, delayed, *_ = os.read(file, 96).split()
    finally:
        os.close(file)
    return int(ran), int(delayed)


def _children(pid: int, tid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{tid}/children", encoding="ascii") as file:  # noqa: PTH123 - as above
            return [int(each) for each in file.read().split()]
    except OSError:
        return []


def _command(pid: int, tid: int) -> str:
    try:
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - as above
            return file.read().strip()
    except OSError:
        return ""
