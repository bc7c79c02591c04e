"""The kernel's own record of which thread was on which core when: `perf_event_open` through ctypes, unprivileged.

One event a core counts nothing and carries the context switches, births and ends of a process and of all that it
starts (`inherit`), in a ring that the recorder drains. Source: perf_event_open(2), linux/perf_event.h.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import struct
import sys
from collections import deque
from time import monotonic_ns
from typing import Final

from whilst.seeing.events import BLOCKED, IN, PREEMPTED, Switches

_SYSTEM_CALL: Final = {"x86_64": 298, "aarch64": 241, "riscv64": 241, "ppc64le": 319, "s390x": 331}
_SOFTWARE, _DUMMY = 1, 9
_TID, _TIME, _CPU = 1 << 1, 1 << 2, 1 << 7
_FLAGS: Final = {
    "disabled": 0, "inherit": 1, "exclude_kernel": 5, "exclude_hv": 6, "comm": 9, "enable_on_exec": 12,
    "task": 13, "sample_id_all": 18, "use_clockid": 25, "context_switch": 26,
}  # fmt: skip
_LOST, _COMM, _EXIT, _FORK, _SWITCH = 2, 3, 4, 7, 14
_OUT, _OUT_PREEMPTED = 1 << 13, 1 << 14
_CLOSE_ON_EXEC: Final = 8
_READING_NS: Final = 10_000_000
_BUSY_BYTES: Final = 1 << 16
"""Some two thousand switches between two looks."""
_MOST_TAKEN_BYTES: Final = 1 << 28
"""Some eight million switches, unread."""
_MOST_PAGES: Final = 512  # 2 MB a core: some 65,000 switches between two looks
_HEAD, _TAIL = 1024, 1032
_ENABLE: Final = 0x2400

_RECORD: Final = struct.Struct("<IHHIIQ")  # kind, misc, length; of a switch: pid, tid, time
_TIME_OF: Final = struct.Struct("<Q")
_TASK: Final = struct.Struct("<IIIIQ")  # pid, parent, tid, parent's tid, time


class _Attributes(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("config", ctypes.c_uint64),
        ("sample_period", ctypes.c_uint64),
        ("sample_type", ctypes.c_uint64),
        ("read_format", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
        ("wakeup", ctypes.c_uint32),
        ("bp_type", ctypes.c_uint32),
        ("config1", ctypes.c_uint64),
        ("config2", ctypes.c_uint64),
        ("branch", ctypes.c_uint64),
        ("regs_user", ctypes.c_uint64),
        ("stack_user", ctypes.c_uint32),
        ("clockid", ctypes.c_int32),
        ("regs_intr", ctypes.c_uint64),
        ("aux_watermark", ctypes.c_uint32),
        ("sample_max_stack", ctypes.c_uint16),
        ("reserved", ctypes.c_uint16),
    )


class PerfClock:
    """Drains the rings into `threads`; `lost` counts the records that the kernel had no room for."""

    name = "perf"

    def __init__(self, pid: int, *, is_running: bool = False) -> None:
        """Attach to a process that is about to exec; or, if it `is_running`, to one thread and what it starts.

        Raises:
            OSError: the kernel, a container or the platform does not allow it.
        """
        self.threads: dict[int, Switches] = {}
        self.gone: list[Switches] = []
        self.lost = 0
        self._rings: list[_Ring] = []
        self._taken: deque[list[bytes]] = deque()
        self._taken_bytes = 0
        try:
            for cpu in _cpus():
                self._rings.append(_Ring(_opened(pid, cpu, is_running)))
        except BaseException:
            self.close()
            raise

    def poll(self) -> None:
        """Take what has come since the last time, and read it if that is little.

        To take is a copy, to read takes a hundred times as long: for as long as a program switches very often, what was
        taken waits here, since the kernel would have no room for what comes meanwhile.
        """
        batch = [data for ring in self._rings if (data := ring.take())]
        size = sum(map(len, batch))
        if batch:
            self._taken.append(batch)
            self._taken_bytes += size
        until_ns = monotonic_ns() + _READING_NS
        is_calm = size < _BUSY_BYTES
        while self._taken and (self._taken_bytes > _MOST_TAKEN_BYTES or (is_calm and monotonic_ns() < until_ns)):
            self._read(self._taken.popleft())

    def close(self) -> None:
        """Read the rest, and give the rings back."""
        for ring in self._rings:
            ring.close()
        self._rings.clear()
        while self._taken:
            self._read(self._taken.popleft())

    def _read(self, batch: list[bytes]) -> None:
        self._taken_bytes -= sum(map(len, batch))
        others: list[bytes] = []
        records = [record for data in batch for record in _records(data, others)]
        records.sort()
        threads = self.threads
        for now, tid, misc, pid in records:
            if tid < 0:
                self._note(-tid, others[misc])
                continue
            thread = threads.get(tid)
            if thread is None:
                thread = threads[tid] = Switches(pid, tid, now)
            thread.at_ns.append(now)
            thread.what.append(IN if not misc & _OUT else PREEMPTED if misc & _OUT_PREEMPTED else BLOCKED)

    def _note(self, kind: int, body: bytes) -> None:
        if kind in (_FORK, _EXIT):
            pid, _, tid, _, now = _TASK.unpack_from(body)
            self._end(tid, now)  # or its number was another's
            if kind == _FORK:
                self.threads[tid] = Switches(pid, tid, now)
        elif kind == _COMM:
            tid = struct.unpack_from("<II", body)[1]
            if tid in self.threads:
                self.threads[tid].command = body[8:].split(b"\0", 1)[0].decode("utf-8", "replace")
        elif kind == _LOST:
            self.lost += struct.unpack_from("<QQ", body)[1]

    def _end(self, tid: int, now: int) -> None:
        thread = self.threads.pop(tid, None)
        if thread is not None:
            thread.end_ns = now
            self.gone.append(thread)


def _records(data: bytes, others: list[bytes]) -> list[tuple[int, int, int, int]]:
    """(time, tid, misc, pid) of each switch; of others (time, their kind less than 0, the place in `others`, 0)."""
    found: list[tuple[int, int, int, int]] = []
    unpack, add, at, end = _RECORD.unpack_from, found.append, 0, len(data)
    while at < end:
        kind, misc, length, pid, tid, now = unpack(data, at)
        if kind == _SWITCH:
            add((now, tid, misc, pid))
        else:
            # Every record ends with the sample: pid, tid, time, cpu, reserved.
            add((_TIME_OF.unpack_from(data, at + length - 16)[0], -kind, len(others), 0))
            others.append(data[at + 8 : at + length])
        at += length
    return found


class _Ring:
    """One core's records: written by the kernel, read here; two positions that only grow say how far each has come."""

    def __init__(self, file: int) -> None:
        self._file = file
        page, pages = mmap.PAGESIZE, _MOST_PAGES
        while True:  # a limit on locked memory may allow less
            try:
                self._memory = mmap.mmap(file, (1 + pages) * page)
                break
            except (OSError, ValueError):
                if pages == 1:
                    os.close(file)
                    raise
                pages //= 2
        self._page, self._size = page, pages * page

    def take(self) -> bytes:
        """A copy of the records that have come."""
        memory, size, base = self._memory, self._size, self._page
        head, tail = struct.unpack_from("<QQ", memory, _HEAD)
        if head == tail:
            return b""
        first, end = tail % size, head % size
        data = memory[base + first : base + end] if first < end else memory[base + first :] + memory[base : base + end]
        struct.pack_into("<Q", memory, _TAIL, head)
        return data

    def close(self) -> None:
        self._memory.close()
        os.close(self._file)


def _opened(pid: int, cpu: int, is_running: bool) -> int:
    number = _SYSTEM_CALL.get(platform.machine())
    if sys.platform != "linux" or number is None:
        raise OSError(f"perf_event_open is not known on {sys.platform}, {platform.machine()}")
    wanted = set(_FLAGS) - ({"disabled", "enable_on_exec"} if is_running else set())
    attributes = _Attributes(type=_SOFTWARE, size=ctypes.sizeof(_Attributes), config=_DUMMY, clockid=1)
    attributes.sample_type = _TID | _TIME | _CPU
    attributes.flags = sum(1 << _FLAGS[name] for name in wanted)
    library = ctypes.CDLL(None, use_errno=True)
    file = library.syscall(number, ctypes.byref(attributes), pid, cpu, -1, _CLOSE_ON_EXEC)
    if file < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"perf_event_open: {os.strerror(error)}")
    return int(file)


def _cpus() -> list[int]:
    """Those that are online: "0-3,6" in the kernel's words."""
    try:
        with open("/sys/devices/system/cpu/online", encoding="ascii") as file:  # noqa: PTH123 - as in measuring/machine
            text = file.read().strip()
    except OSError:
        return list(range(os.cpu_count() or 1))
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
