"""What the machine offers to this process: cores by affinity and cgroup quota, memory, the GIL, native pools.

`os.cpu_count()` counts the host's cores; a container or `taskset` allows fewer, and workers beyond those only
take turns. Reads files below /proc and /sys/fs/cgroup and asks the interpreter; starts nothing, imports nothing
that the program has not imported itself.
"""

from __future__ import annotations

import functools
import os
import sys

from whilst._light import has_gil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from whilst.model import Machine

    StrPath = str | os.PathLike[str]

_WORKERS_SHARE = 0.9
"""Of the memory usable here: all workers together, before one is recycled."""
_UNLIMITED_BYTES = 1 << 60  # cgroup v1 writes "no limit" as a number near 2**63


def look_at_machine() -> Machine:
    """Return the machine as this process may use it now. Takes about 50 µs, the first time 1 ms."""
    from whilst.inspecting.native_pools import native_pools
    from whilst.model import Machine

    return Machine(
        cores=usable_cores(),
        memory_bytes=usable_memory_bytes(),
        has_gil=has_gil(),
        native_pools=native_pools(),
        python=sys.version.split()[0],
    )


def usable_cores() -> int:
    """Return how many cores this process may use: at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    # A quota of 1.5 cores keeps two workers busy for three quarters of the time: better than one.
    return max(1, min(allowed, -int(-quota // 1))) if quota is not None else max(1, allowed)


@functools.cache
def _quota() -> float | None:
    return cgroup_cores("/sys/fs/cgroup", "/proc/self/cgroup")


@functools.cache
def usable_memory_bytes() -> int | None:
    """Return how much memory this process may use; None where nobody knows."""
    limits = [cgroup_memory_bytes("/sys/fs/cgroup", "/proc/self/cgroup")]
    try:
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        pass
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def worker_memory_bytes(workers: int) -> int | None:
    """How far one of so many worker processes may grow; None where nobody knows the memory. A guard, not a ration."""
    usable = usable_memory_bytes()
    return None if usable is None else int(usable * _WORKERS_SHARE) // max(workers, 1)


def gil_in_words() -> str:
    """Whether a program on a free-threaded build has a GIL all the same, and why; "" on a build that always has one."""
    if "t" not in getattr(sys, "abiflags", ""):
        return ""
    if not has_gil():
        return "no GIL"
    if os.environ.get("PYTHON_GIL") == "1" or sys._xoptions.get("gil") == "1":  # noqa: SLF001
        return "the GIL is on, as PYTHON_GIL or -X gil asks"
    import re

    # The interpreter warns of it, once, and keeps what it has warned of in the module where that was.
    kept = [getattr(module, "__dict__", {}).get("__warningregistry__") for module in list(sys.modules.values())]
    warned = [str(key[0]) for each in kept if each for key in list(each) if isinstance(key, tuple) and key]
    found = [re.search(r"GIL\) has been enabled to load module '([^']+)'", text) for text in warned]
    by = " and ".join(dict.fromkeys(each[1] for each in found if each))
    return f"the GIL is on again because of {by or 'a module that is not made to do without'}"


def cgroup_cores(root: StrPath, membership: StrPath) -> float | None:
    """Return how many cores the cgroup's quota allows (a fraction, the strictest of all levels), None if no limit.

    Args:
        root: where cgroups are mounted, usually /sys/fs/cgroup.
        membership: the file that says which groups the process is in, usually /proc/self/cgroup.
    """
    limits: list[float] = []
    for folder in _folders(root, membership, ("", "cpu", "cpu,cpuacct", "cpuacct,cpu")):
        quota, _, period = _read(f"{folder}/cpu.max").partition(" ")  # version 2: "150000 100000" or "max 100000"
        if not period:
            quota, period = _read(f"{folder}/cpu.cfs_quota_us"), _read(f"{folder}/cpu.cfs_period_us")  # version 1
        try:
            allowed = int(quota) / int(period)
        except (ValueError, ZeroDivisionError):
            continue
        if allowed > 0:  # version 1 writes -1 for no limit
            limits.append(allowed)
    return min(limits) if limits else None


def cgroup_memory_bytes(root: StrPath, membership: StrPath) -> int | None:
    """Return the cgroup's memory limit in bytes (the strictest of all levels), None if there is none."""
    limits: list[int] = []
    for folder in _folders(root, membership, ("", "memory")):
        for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
            try:
                limit = int(_read(f"{folder}/{name}"))
            except ValueError:
                continue
            if 0 < limit < _UNLIMITED_BYTES:
                limits.append(limit)
    return min(limits) if limits else None


def _folders(root: StrPath, membership: StrPath, controllers: tuple[str, ...]) -> Iterator[str]:
    """The process's own group and its ancestors, in each hierarchy: a limit at any level holds."""
    top = os.fspath(root)
    mounts = [f"{top}/{controller}" if controller else top for controller in controllers]
    for line in _read(membership).splitlines():
        _, _, rest = line.partition(":")
        listed, _, path = rest.partition(":")
        for mount in mounts:
            if mount != top and mount.rpartition("/")[2].split(",")[0] not in listed.split(","):
                continue
            folder = f"{mount}/{path.strip('/')}".rstrip("/")
            while folder.startswith(f"{mount}/"):
                yield folder
                folder = folder.rpartition("/")[0]
    # Inside a container the path often names a group of the host; the mount's own root is then the limit.
    yield from mounts


def _read(path: StrPath) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib brings half of urllib along
            return file.read().strip()
    except (OSError, UnicodeDecodeError):
        return ""
