"""CPU seconds, peak memory and printed lines of a stretch of this program's life."""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Usage", "measured", "peak_memory_bytes"]

_STATUS: Final = Path("/proc/self/status")
_CLEAR: Final = Path("/proc/self/clear_refs")


@dataclass(slots=True)
class Usage:
    """Filled when the stretch ends. `peak_bytes` is this process's alone, None where it can't be told."""

    cpu_s: float = 0.0
    peak_bytes: int | None = None
    printed_lines: int = 0


class _Counter(io.TextIOBase):
    """Stands in for stdout: counts lines and keeps nothing."""

    def __init__(self) -> None:
        self.lines = 0
        self._is_open_line = False

    def write(self, text: str, /) -> int:
        self.lines += text.count("\n")
        self._is_open_line = not text.endswith("\n") if text else self._is_open_line
        return len(text)

    def writable(self) -> bool:
        return True

    @property
    def total(self) -> int:
        return self.lines + self._is_open_line


@contextlib.contextmanager
def measured() -> Iterator[Usage]:
    """Measure what happens inside; what is printed inside goes nowhere, and is counted."""
    usage, printed = Usage(), _Counter()
    can_reset = _reset_peak()
    before = _cpu_s()
    try:
        with contextlib.redirect_stdout(printed):
            yield usage
    finally:
        usage.cpu_s = _cpu_s() - before
        usage.peak_bytes = peak_memory_bytes() if can_reset else None
        usage.printed_lines = printed.total


def peak_memory_bytes() -> int | None:
    """The most resident memory this process had since the last reset, else since it started; None if unknown."""
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _reset_peak() -> bool:
    """Linux forgets the peak when "5" is written here; elsewhere the peak of one stretch can't be told."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def _cpu_s() -> float:
    """CPU seconds of this process and of all children that have ended and been waited for."""
    try:
        import resource
    except ImportError:  # not POSIX
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
