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
_MOST_PAGES: Final = 512  # 2 MB a core: some 65,000 switches between two looks
_HEAD, _TAIL = 1024, 1032
_ENABLE: Final = 0x2400

_SWITCH_SAMPLE: Final = struct.Struct("<IIQ")  # pid, tid, time
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
        try:
            for cpu in _cpus():
                self._rings.append(_Ring(_opened(pid, cpu, is_running)))
        except BaseException:
            self.close()
            raise

    def poll(self) -> None:
        """Take what has come since the last time."""
        records = [record for ring in self._rings for record in ring.drain()]
        records.sort(key=_time_of)
        for kind, misc, body in records:
            if kind == _SWITCH:
                pid, tid, now = _SWITCH_SAMPLE.unpack_from(body)
                thread = self.threads.get(tid)
                if thread is None:
                    thread = self.threads[tid] = Switches(pid, tid, now)
                thread.at_ns.append(now)
                thread.what.append(IN if not misc & _OUT else PREEMPTED if misc & _OUT_PREEMPTED else BLOCKED)
            elif kind == _FORK:
                pid, _, tid, _, now = _TASK.unpack_from(body)
                self._end(tid, now)  # its number was another's
                self.threads[tid] = Switches(pid, tid, now)
            elif kind == _EXIT:
                self._end(_TASK.unpack_from(body)[2], _TASK.unpack_from(body)[4])
            elif kind == _COMM:
                pid, tid = struct.unpack_from("<II", body)
                if tid in self.threads:
                    self.threads[tid].command = body[8:].split(b"\0", 1)[0].decode("utf-8", "replace")
            elif kind == _LOST:
                self.lost += struct.unpack_from("<QQ", body)[1]

    def close(self) -> None:
        for ring in self._rings:
            ring.close()
        self._rings.clear()

    def _end(self, tid: int, now: int) -> None:
        thread = self.threads.pop(tid, None)
        if thread is not None:
            thread.end_ns = now
            self.gone.append(thread)


def _time_of(record: tuple[int, int, bytes]) -> int:
    kind, _, body = record
    if kind == _SWITCH:
        return int(_SWITCH_SAMPLE.unpack_from(body)[2])
    # Every record ends with the sample: pid, tid, time, cpu, reserved.
    return int(_SWITCH_SAMPLE.unpack_from(body, len(body) - 24)[2])


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

    def drain(self) -> list[tuple[int, int, bytes]]:
        memory, size = self._memory, self._size
        head, tail = struct.unpack_from("<QQ", memory, _HEAD)
        if head == tail:
            return []
        first, end = tail % size, head % size
        base = self._page
        data = memory[base + first : base + end] if first < end else memory[base + first :] + memory[base : base + end]
        struct.pack_into("<Q", memory, _TAIL, head)
        found, at = [], 0
        unpack = struct.Struct("<IHH").unpack_from
        while at < len(data):
            kind, misc, length = unpack(data, at)
            found.append((kind, misc, data[at + 8 : at + length]))
            at += length
        return found

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
