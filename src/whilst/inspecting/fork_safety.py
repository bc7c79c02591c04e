"""May this process be forked, and go on in the fork as if nothing had happened?

A fork has one thread, whatever the program had: a lock that another thread held stays locked for ever. And it
shares every open socket and file position with the program: two processes that speak on one connection garble
both. Where neither stands in the way a fork is the best start for workers: they have every module that is loaded
and every global as it is set by now, within milliseconds.
"""

from __future__ import annotations

import os
import sys
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["why_not_fork"]


def why_not_fork(private: Collection[int] = ()) -> str:
    """Return what stands in the way of forking this process now, "" if nothing does. Takes about 60 µs.

    Args:
        private: descriptors that the fork closes at once, which thus are not shared.
    """
    if not sys.platform.startswith("linux") or not hasattr(os, "fork"):
        return "this platform does not fork well"
    threading = sys.modules.get("threading")
    if threading is not None and threading.main_thread().ident != get_ident():
        return "this is not the main thread"
    if len(sys._current_frames()) > 1:  # noqa: SLF001 - threads that `threading` doesn't know count as well
        return "the program has other threads"
    events = sys.modules.get("asyncio.events")
    if events is not None and events._get_running_loop() is not None:  # noqa: SLF001 - the public one raises
        return "an event loop is running"
    strangers = _threads() - 1
    if strangers > 0 and strangers > _surviving_threads():
        return "the program has native threads"
    return _shared_files(private)


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 2


def _surviving_threads() -> int:
    """Native threads that come through a fork: OpenBLAS starts its own again, OpenMP does not."""
    from whilst.inspecting.native_pools import native_pools

    pools = native_pools()
    if any(pool.api == "openmp" for pool in pools):
        return 0
    return sum(pool.threads for pool in pools if "openblas" in pool.path)


def _shared_files(private: Collection[int]) -> str:
    """Sockets and files that are open, beyond the standard streams."""
    try:
        numbers = os.listdir("/proc/self/fd")
    except OSError:
        return "its open files can't be listed"
    for number in numbers:
        if int(number) <= 2 or int(number) in private:
            continue
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if target.startswith("socket:"):
            return "it has open connections"
        if target.startswith("/") and not target.startswith(("/dev/", "/proc/", "/memfd:")) and os.path.isfile(target):
            return f"it has {target} open"
    return ""
