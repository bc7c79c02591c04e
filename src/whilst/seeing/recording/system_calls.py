"""In which system call a thread is blocked: all that can be seen of a wait where there is no Python to look at."""

from __future__ import annotations

import os
import platform
from typing import Final

_X86: Final = {
    0: "read", 1: "write", 7: "poll", 23: "select", 35: "nanosleep", 42: "connect", 43: "accept", 44: "sendto",
    45: "recvfrom", 46: "sendmsg", 47: "recvmsg", 61: "wait4", 74: "fsync", 75: "fdatasync", 202: "futex",
    230: "clock_nanosleep", 232: "epoll_wait", 247: "waitid", 257: "openat", 270: "pselect6", 271: "ppoll",
    281: "epoll_pwait", 288: "accept4", 73: "flock", 72: "fcntl", 449: "futex", 441: "epoll_pwait",
}  # fmt: skip
_ARM: Final = {
    63: "read", 64: "write", 73: "ppoll", 72: "pselect6", 101: "nanosleep", 115: "clock_nanosleep", 203: "connect",
    202: "accept", 242: "accept4", 206: "sendto", 207: "recvfrom", 211: "sendmsg", 212: "recvmsg", 260: "wait4",
    95: "waitid", 82: "fsync", 83: "fdatasync", 98: "futex", 22: "epoll_pwait", 56: "openat", 32: "flock", 25: "fcntl",
}  # fmt: skip
_NAMES: Final = {"x86_64": _X86, "aarch64": _ARM}.get(platform.machine(), {})


def call_of(pid: int, tid: int) -> str:
    """Its name, with what is read or written: "read pipe"; "" where the kernel doesn't say."""
    try:
        file = os.open(f"/proc/{pid}/task/{tid}/syscall", os.O_RDONLY)
    except OSError:
        return ""
    try:
        number, *arguments = os.read(file, 200).split()
        name = _NAMES.get(int(number), "")
    except (OSError, ValueError):
        return ""
    finally:
        os.close(file)
    first = int(arguments[0], 16) if arguments else 0
    if name in ("select", "pselect6") and first == 0:
        return "nanosleep"  # on no files at all
    return f"{name} {_kind(pid, first)}" if name in ("read", "write") else name


def _kind(pid: int, number: int) -> str:
    try:
        target = os.readlink(f"/proc/{pid}/fd/{number}")  # noqa: PTH115 - a name that is no path
    except OSError:
        return "file"
    for start, kind in (("pipe:", "pipe"), ("socket:", "socket"), ("/dev/pts", "terminal"), ("/dev/tty", "terminal")):
        if target.startswith(start):
            return kind
    return "file"
