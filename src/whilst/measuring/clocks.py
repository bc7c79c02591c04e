"""The clocks read around a call: wall, this thread, this process, its children, and time kept off the cores.

A thread that is ready but gets no core (because others use them all) does not wait for anything of its own: where
the kernel says how long that was, it counts neither as work nor as waiting. Otherwise a busy machine would turn
every calculation into something that seems to wait half of its time.
"""

from __future__ import annotations

import os
import time

from whilst._light import Record

try:
    from resource import RUSAGE_CHILDREN, getrusage
except ImportError:  # Windows

    def _children_ns() -> int:
        return 0

    def blocks() -> int:
        return -1
else:
    try:
        from resource import RUSAGE_THREAD
    except ImportError:  # not Linux

        def blocks() -> int:
            return -1
    else:

        def blocks() -> int:
            """Return how often this thread has given its core away to wait for something; -1 where nobody counts."""
            return getrusage(RUSAGE_THREAD).ru_nvcsw

    def _children_ns() -> int:
        usage = getrusage(RUSAGE_CHILDREN)
        return int((usage.ru_utime + usage.ru_stime) * 1e9)


class Reading(Record):
    """Nanoseconds on each clock at one moment."""

    wall_ns: int
    thread_ns: int
    process_ns: int
    children_ns: int
    delayed_ns: int
    blocks: int

    def until(self, later: Reading) -> Lap:
        thread_ns = later.thread_ns - self.thread_ns
        return Lap(
            (later.wall_ns - self.wall_ns) / 1e9,
            thread_ns / 1e9,
            max(0, later.process_ns - self.process_ns - thread_ns) / 1e9,
            (later.children_ns - self.children_ns) / 1e9,
            (later.delayed_ns - self.delayed_ns) / 1e9,
            later.blocks - self.blocks if self.blocks >= 0 else None,
            None,
        )


class Lap(Record):
    """What passed between two readings, in seconds."""

    wall_s: float
    thread_s: float
    others_s: float
    """CPU time of the process's other threads."""
    children_s: float
    delayed_s: float = 0.0
    """Ready to run, but without a core."""
    blocks: int | None = None
    """How often the thread gave its core away to wait for something; None where that isn't counted. A thread that never
    did has not waited, whatever the clocks say: a virtual machine that loses its core sees only that time is gone."""
    most_wait_s: float | None = None
    """As somebody else saw it, who looked now and then whether the thread waited."""

    @property
    def wait_s(self) -> float:
        if self.blocks is not None and self.blocks <= 0:
            return 0.0
        wait_s = max(0.0, self.wall_s - self.thread_s - self.delayed_s)
        return wait_s if self.most_wait_s is None else min(wait_s, self.most_wait_s)

    @property
    def alone_s(self) -> float:
        """How long it would have taken with a core at its service."""
        return self.thread_s + self.wait_s

    def shared_by(self, calls: int) -> Lap:
        """Return the share of one of so many calls."""
        if calls <= 1:
            return self
        return Lap(
            self.wall_s / calls,
            self.thread_s / calls,
            self.others_s / calls,
            self.children_s / calls,
            self.delayed_s / calls,
            self.blocks,
            None if self.most_wait_s is None else self.most_wait_s / calls,
        )


def read(*, is_short: bool = False) -> Reading:
    """Read all clocks: about 20 µs, nearly all of it for the delay, which is left out if `is_short`."""
    delayed_ns = 0 if is_short else queued_ns() or 0
    now, thread, process = time.perf_counter_ns(), time.thread_time_ns(), time.process_time_ns()
    return Reading(now, thread, process, _children_ns(), delayed_ns, blocks())


def queued_ns() -> int | None:
    """How long this thread has been ready without a core, ever; None where the kernel doesn't say."""
    try:
        file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    except OSError:
        return None
    try:
        return int(os.read(file, 96).split()[1])
    except (OSError, ValueError, IndexError):
        return None
    finally:
        os.close(file)
