"""May this process be forked, and go on in the fork as if nothing had happened?

A fork is the best start for workers: they have every module that is loaded and every setting as it is by now, within
milliseconds. Whether a clean process has the same is hard to show, so a fork is refused only for a reason:

- A fork has one thread. A lock that another thread holds at that moment stays locked for ever. So the other threads
  must be at rest: no lock is held (those that wait for a signal hold none), nothing is being imported, and none is
  at work outside Python, where locks can't be looked at.
- Other threads, connections and files that are open for writing do not live on in a fork. Calls that use such things
  are not made there: what they can reach is looked through for them. Everything else may stay open. In the fork a
  file that is read has a position of its own, and a socket is dead (`running.worker.parent.fork`).
"""

from __future__ import annotations

import gc
import os
import sys
import time
from _thread import LockType, RLock, get_native_id

from whilst._light import has_gil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import Any

_OF_A_THREAD = {
    "threading.Thread": "a thread",
    "threading.Event": "an event, which another thread may set",
    "threading.Condition": "a condition, of which another thread may tell",
    "threading.Semaphore": "a semaphore, which another thread may release",
    "threading.Barrier": "a barrier",
    "queue.Queue": "a queue",
    "_queue.SimpleQueue": "a queue",
    "asyncio.events.AbstractEventLoop": "an event loop",
    "concurrent.futures._base.Executor": "an executor",
    "concurrent.futures._base.Future": "a future",
}
_SPEAKING = frozenset(
    """
    asyncio concurrent dbm ftplib http imaplib mailbox multiprocessing nntplib poplib select selectors shelve smtplib
    socket socketserver sqlite3 ssl subprocess tarfile telnetlib tempfile urllib xmlrpc zipfile
    _io _socket _sqlite3 _ssl
    """.split()  # noqa: SIM905 - reads better than a list of quoted words
)
"""Of the standard library, the packages whose objects may hold connections and files."""


_PAUSES_S = (0.0005, 0.001, 0.002, 0.004)
"""A lock that is held for longer than these together is not held by chance."""


def why_not_fork(private: Collection[int] = (), reached: Callable[[], Iterable[object]] | None = None) -> str:
    """Return what stands in the way of forking this process now, "" if nothing does. Takes about 60 µs.

    Args:
        private: descriptors that the fork closes at once, which thus are not shared.
        reached: gives what the calls can reach; None where nobody knows: then threads and connections stand in the way.
    """
    if not sys.platform.startswith("linux") or not hasattr(os, "fork"):
        return "this platform does not fork well"
    frames = len(sys._current_frames())  # noqa: SLF001 - threads that `threading` doesn't know count as well
    if frames > 1:
        if reached is None:
            return "the program has other threads"
        busy = _busy_threads()
        if busy:
            return busy
    elif why_not_beside_threads() and _has_running_loop():
        return "an event loop goes on here, which nothing holds up while the program is forked beside it"
    strangers = _threads() - frames
    if strangers > 0 and strangers > _surviving_threads():
        return "the program has native threads"
    from whilst.inspecting.descriptors import open_descriptors

    try:
        descriptors = open_descriptors(private)
    except OSError:
        return "its open files can't be listed"
    if reached is None:
        speaks = any(each.is_connection and not each.is_inherited for each in descriptors)
        return "it has open connections" if speaks else ""
    if frames > 1 or descriptors:
        for value in reached():
            kind = lives_only_here(value)
            if kind:
                return f"its calls use {kind}"
    return ""


def lives_only_here(value: Any) -> str:
    """Return what kind of thing it is, if it is of no use in a fork of this process, or of another use; else ""."""
    import io

    kinds = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(value).__mro__[:-1]]
    for name in kinds:
        if name in _OF_A_THREAD:
            return _OF_A_THREAD[name]
    if issubclass(type(value), io.IOBase):
        from whilst.inspecting.ownership import stateful_kind

        return "" if issubclass(type(value), (io.StringIO, io.BytesIO)) or value.closed else stateful_kind(value)
    if not kinds or issubclass(type(value), type) or callable(value):
        return ""
    package = type(value).__module__.partition(".")[0]
    if package in sys.stdlib_module_names and package not in _SPEAKING:
        return ""
    from whilst.inspecting.ownership import is_own_type

    if is_own_type(type(value)) or _can_be_pickled(value):
        return ""
    return f"a {type(value).__name__}, which can't be pickled and may hold a connection, a lock or an open file"


def _can_be_pickled(value: object) -> bool:
    """What can be written down is no part of this process."""
    import pickle

    class Nowhere:
        def write(self, data: bytes) -> int:
            return len(data)

    try:
        pickle.Pickler(Nowhere(), 5, buffer_callback=lambda _: False).dump(value)
    except Exception:  # whatever the object's own code raises
        return False
    return True


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1 << 16


def _surviving_threads() -> int:
    """Native threads that come through a fork: OpenBLAS starts its own again, OpenMP does not."""
    from whilst.inspecting.native_pools import native_pools

    pools = native_pools()
    if any(pool.api == "openmp" for pool in pools):
        return 0
    return sum(pool.threads for pool in pools if "openblas" in pool.path)


def why_not_beside_threads() -> str:
    """Why a program that has other threads can never be forked here; "" where it may, once they are at rest."""
    if not has_gil():
        return "the program has other threads, which nothing holds up while it is forked"
    return ""


def _has_running_loop() -> bool:
    """An event loop runs in this thread: the verbs for those have a thread of their own fork."""
    ask = getattr(sys.modules.get("_asyncio"), "_get_running_loop", None)
    return ask is not None and ask() is not None


def _busy_threads() -> str:
    """What the other threads are at that a fork would break off; "" where all are at rest."""
    never = why_not_beside_threads()
    if never:
        return never
    # Python 3.12 itself begins with frozen tuples; `gc.freeze` takes all there is, and the modules are always there.
    if gc.get_freeze_count() and all(each is not sys.modules for each in gc.get_referrers(sys)):
        return "the program has other threads, and objects that the garbage collector doesn't know"
    if any(lock.owner is not None for lock in _import_locks()):
        return "a module is being imported"
    held = _held_lock()
    for pause_s in _PAUSES_S:
        if not held:
            break
        time.sleep(pause_s)  # a thread that has just begun, or just said something, is through with it by then
        held = _held_lock()
    if held:
        return f"the program has other threads, and {held} is held"
    return "another thread is at work" if _works_outside_python() else ""


def _import_locks() -> list[Any]:
    import _frozen_importlib  # type: ignore[import-not-found,unused-ignore]

    held: Any = _frozen_importlib
    references = list(held._module_locks.values())  # noqa: SLF001 - no public way to ask
    return [lock for lock in (reference() for reference in references) if lock is not None]


def _held_lock() -> str:
    """A lock that somebody holds. Those that a waiting thread has locked as its own signal are none."""
    import threading

    kinds = {LockType, RLock, *_with_subclasses(threading.Condition), *_with_subclasses(threading.Thread)}
    locks: list[Any] = []
    signals: set[int] = set()
    # An instance refers to its class. Not `gc.get_objects`: for as long as such a list is read, none of the objects
    # that another thread is done with would be gone; and it takes some times as long.
    for each in gc.get_referrers(*kinds):
        kind = type(each)
        if kind is LockType or kind is RLock:
            locks.append(each)
        elif kind not in kinds:
            continue
        elif issubclass(kind, threading.Condition):
            signals.update(map(id, list(each._waiters)))  # noqa: SLF001
        else:
            # Locked as long as the thread lives; from 3.13 on no lock.
            signals.add(id(getattr(each, "_tstate_lock", None)))
    for lock in locks:
        if id(lock) in signals:
            continue
        if not lock.acquire(blocking=False):
            return f"a {type(lock).__name__}"
        lock.release()
    return ""


def _with_subclasses(kind: type[Any]) -> Iterable[type[Any]]:
    yield kind
    for each in type.__subclasses__(kind):
        yield from _with_subclasses(each)


def _works_outside_python() -> bool:
    """Another thread is on a core, though this one has the GIL."""
    own = str(get_native_id())
    for name in os.listdir("/proc/self/task"):
        if name != own:
            try:
                with open(f"/proc/self/task/{name}/stat", encoding="ascii") as file:
                    state = file.read().rpartition(") ")[2][:1]
            except OSError:  # it has ended
                continue
            if state in "RD":
                return True
    return False
