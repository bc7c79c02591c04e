"""Measures CPU seconds, peak memory and printed lines while a block of code runs."""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whilst.running.calls.sampling import peak_memory_bytes

if TYPE_CHECKING:
    from typing_extensions import Buffer

_CLEAR: Final = Path("/proc/self/clear_refs")


@dataclass(slots=True)
class Usage:
    """Filled when the stretch ends. `peak_bytes` is this process's alone, None where it can't be told."""

    cpu_s: float = 0.0
    peak_bytes: int | None = None
    printed_lines: int = 0


class _Counter(io.RawIOBase):
    """Where print's bytes end: counts lines and keeps nothing."""

    def __init__(self) -> None:
        self._lines = 0
        self._is_open_line = False

    def write(self, data: Buffer, /) -> int:
        text = bytes(data)
        self._lines += text.count(b"\n")
        if text:
            self._is_open_line = not text.endswith(b"\n")
        return len(text)

    def writable(self) -> bool:
        return True

    @property
    def lines(self) -> int:
        return self._lines + self._is_open_line


@contextlib.contextmanager
def measured() -> Iterator[Usage]:
    """Measure what happens inside; what is printed inside goes nowhere, and is counted."""
    usage, counter = Usage(), _Counter()
    # With a buffer and an encoding, since a function may ask stdout for them.
    printed = io.TextIOWrapper(io.BufferedWriter(counter), encoding="utf-8", errors="replace", write_through=True)
    can_reset = _reset_peak()
    before = _cpu_s()
    try:
        with contextlib.redirect_stdout(printed):
            yield usage
    finally:
        usage.cpu_s = _cpu_s() - before
        usage.peak_bytes = peak_memory_bytes() if can_reset else None
        printed.flush()
        usage.printed_lines = counter.lines


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
