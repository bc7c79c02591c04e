"""The clocks read around a call: wall, this thread, this process, its children, and time kept off the cores.

A thread that is ready but gets no core (because others use them all) does not wait for anything of its own: where
the kernel says how long that was, it counts neither as work nor as waiting. Otherwise a busy machine would turn
every calculation into something that seems to wait half of its time.
"""

from __future__ import annotations

import os
import time

try:
    from resource import RUSAGE_CHILDREN, getrusage
except ImportError:  # Windows

    def _children_ns() -> int:
        return 0

    def _blocks() -> int:
        return -1
else:
    try:
        from resource import RUSAGE_THREAD
    except ImportError:  # not Linux

        def _blocks() -> int:
            return -1
    else:

        def _blocks() -> int:
            return getrusage(RUSAGE_THREAD).ru_nvcsw

    def _children_ns() -> int:
        usage = getrusage(RUSAGE_CHILDREN)
        return int((usage.ru_utime + usage.ru_stime) * 1e9)


class Reading:
    """Nanoseconds on each clock at one moment."""

    __slots__ = ("blocks", "children_ns", "delayed_ns", "process_ns", "thread_ns", "wall_ns")

    def __init__(
        self, wall_ns: int, thread_ns: int, process_ns: int, children_ns: int, delayed_ns: int = 0, blocks: int = -1
    ) -> None:
        self.wall_ns = wall_ns
        self.thread_ns = thread_ns
        self.process_ns = process_ns
        self.children_ns = children_ns
        self.delayed_ns = delayed_ns
        self.blocks = blocks

    def until(self, later: Reading) -> Lap:
        return Lap(
            wall_s=(later.wall_ns - self.wall_ns) / 1e9,
            thread_s=(later.thread_ns - self.thread_ns) / 1e9,
            others_s=max(0, later.process_ns - self.process_ns - (later.thread_ns - self.thread_ns)) / 1e9,
            children_s=(later.children_ns - self.children_ns) / 1e9,
            delayed_s=(later.delayed_ns - self.delayed_ns) / 1e9,
            blocks=later.blocks - self.blocks if self.blocks >= 0 else None,
        )


class Lap:
    """What passed between two readings, in seconds.

    `others_s`: CPU time of the process's other threads; `delayed_s`: ready to run, but without a core; `blocks`: how
    often the thread gave its core away to wait for something (None where that isn't counted). A thread that never
    did has not waited, whatever the clocks say: a virtual machine that loses its core sees only that time is gone.
    """

    # Not a NamedTuple: a program that has not loaded `typing` would wait for that longer than for most calls.
    __slots__ = ("blocks", "children_s", "delayed_s", "most_wait_s", "others_s", "thread_s", "wall_s")

    def __init__(
        self,
        wall_s: float,
        thread_s: float,
        others_s: float,
        children_s: float,
        delayed_s: float = 0.0,
        blocks: int | None = None,
        most_wait_s: float | None = None,
    ) -> None:
        self.wall_s = wall_s
        self.thread_s = thread_s
        self.others_s = others_s
        self.children_s = children_s
        self.delayed_s = delayed_s
        self.blocks = blocks
        self.most_wait_s = most_wait_s
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
    delayed_ns = 0 if is_short else delay_ns()
    now, thread, process = time.perf_counter_ns(), time.thread_time_ns(), time.process_time_ns()
    return Reading(now, thread, process, _children_ns(), delayed_ns, _blocks())


def delay_ns() -> int:
    """Return how long this thread has been ready without a core so far; 0 where the kernel doesn't say."""
    try:
        file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    except OSError:
        return 0
    try:
        return int(os.read(file, 96).split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    finally:
        os.close(file)
