"""From where a thread stands to what holds it up: a closed vocabulary, and a table of the places that wait.

`io:socket`, `io:file`, `sleep`, `lock:NAME`, `child`, `queue`, `import`, `gil`, `core`, `loop`, `gc`, `unknown`. A
stack is read from the inside out, as far as the first frame of the user's own code: the outermost rule of the table
that fits says what the user's line waits for, since `Queue.get` says more than the lock inside it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from whilst.seeing.events import Place, Stack
from whilst.seeing.explaining.sources import callee_at, lock_taken_at

_HOME: Final = Path(__file__).parents[2]
_OURS: Final = str(_HOME)
_AGENTS: Final = f"{os.sep}whilst-trace-"
"""The agent runs from the folder of the record."""
_RUNNING: Final = str(_HOME / "running")
_WORKER: Final = str(_HOME / "running" / "worker" / "child")


class Role(Enum):
    """Whether a wait is part of a task."""

    TASK = 0
    IDLE = 1
    """A worker without a task."""
    COORDINATING = 2
    """It waits for tasks that are seen themselves."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What a thread or task waits for, and the user's line that does."""

    kind: str
    name: str = ""
    where: Place | None = None
    role: Role = Role.TASK

    @property
    def text(self) -> str:
        if self.kind.startswith("io:"):
            return f"{self.kind} ({self.name})" if self.name else self.kind
        return f"{self.kind}:{self.name}" if self.name else self.kind


_Rule = tuple[str, str, str, str, str, Role]
_T, _I, _C = Role.TASK, Role.IDLE, Role.COORDINATING
# (end of the file's name, functions, what is called there ("" for anything), kind, name, role)
_TABLE: Final[tuple[_Rule, ...]] = (
    ("concurrent/futures/thread.py", "_worker", "get", "queue", "", _I),
    ("concurrent/futures/thread.py", "shutdown", "", "lock", "shutdown", _C),
    ("concurrent/futures/process.py", "_process_worker", "call_queue.get", "queue", "", _I),
    ("concurrent/futures/process.py", "wait_result_broken_or_wakeup", "", "queue", "", _I),
    ("concurrent/futures/process.py", "join_executor_internals", "", "child", "", _I),
    ("concurrent/futures/process.py", "shutdown", "", "child", "shutdown", _C),
    ("concurrent/futures/_base.py", "result exception _result_or_cancel", "", "lock", "future", _C),
    ("concurrent/futures/_base.py", "wait as_completed result_iterator", "", "lock", "results", _C),
    ("process_executor.py", "_process_worker", "get", "queue", "", _I),
    ("process_executor.py", "wait_result_broken_or_wakeup join_executor_internals", "", "queue", "", _I),
    ("process_executor.py", "shutdown", "", "child", "shutdown", _C),
    ("loky/backend/queues.py", "_feed", "", "queue", "", _I),
    ("joblib/parallel.py", "_retrieve _get_outputs get_result", "", "lock", "future", _C),
    ("multiprocessing/pool.py", "worker", "get", "queue", "", _I),
    ("multiprocessing/pool.py", "_handle_workers _wait_for_updates _handle_tasks _handle_results", "", "queue", "", _I),
    ("multiprocessing/pool.py", "get wait next join", "", "lock", "result", _C),
    ("multiprocessing/pool.py", "map starmap", "", "lock", "results", _C),
    ("multiprocessing/queues.py", "_feed", "nwait", "queue", "", _I),
    ("multiprocessing/queues.py", "get", "", "queue", "empty", _T),
    ("multiprocessing/queues.py", "put", "", "queue", "full", _T),
    ("multiprocessing/process.py", "join", "", "child", "join", _C),
    ("multiprocessing/popen_fork.py", "poll wait", "", "child", "", _C),
    ("multiprocessing/util.py", "_exit_function", "", "child", "", _C),
    ("resource_tracker.py", "main", "", "queue", "", _I),
    ("multiprocessing/forkserver.py", "main", "", "queue", "", _I),
    ("multiprocessing/synchronize.py", "__enter__ acquire", "", "lock", "", _T),
    ("multiprocessing/synchronize.py", "wait", "", "lock", "condition", _T),
    ("multiprocessing/managers.py", "_callmethod", "", "child", "manager", _T),
    ("multiprocessing/managers.py", "serve_forever accepter", "", "queue", "", _I),
    ("multiprocessing/connection.py", "recv recv_bytes send send_bytes poll wait", "", "io:file", "pipe", _T),
    ("subprocess.py", "communicate wait _wait _communicate run call check_call check_output", "", "child", "", _C),
    ("threading.py", "Thread.start", "", "lock", "thread start", _T),
    ("threading.py", "join _shutdown _wait_for_tstate_lock", "", "lock", "thread", _C),
    ("queue.py", "get", "", "queue", "empty", _T),
    ("queue.py", "put", "", "queue", "full", _T),
    ("queue.py", "join", "", "queue", "join", _C),
    ("threading.py", "Semaphore.acquire BoundedSemaphore.acquire Semaphore.__enter__", "", "lock", "", _T),
    ("threading.py", "Barrier.wait Barrier._wait Barrier._enter", "", "lock", "barrier", _T),
    ("threading.py", "Event.wait", "", "lock", "event", _T),
    ("threading.py", "Condition.wait Condition.wait_for", "", "lock", "condition", _T),
    ("threading.py", "Condition.__enter__", "", "lock", "", _T),
    ("threading.py", "Timer.run", "", "sleep", "", _T),
    ("logging/__init__.py", "Handler.acquire Handler.handle", "", "lock", "logging handler", _T),
    ("socketserver.py", "serve_forever", "", "io:socket", "", _I),
    ("asyncio/base_events.py", "_run_once", "select", "io:socket", "", _I),
    ("asyncio/tasks.py", "sleep", "", "sleep", "", _T),
    ("asyncio/tasks.py", "_wait wait _wait_for_one gather", "", "lock", "task", _C),
    ("asyncio/tasks.py", "wait_for", "", "lock", "task", _C),
    ("asyncio/taskgroups.py", "TaskGroup.__aexit__ TaskGroup._aexit", "", "lock", "task", _C),
    ("asyncio/threads.py", "to_thread", "", "executor", "", _C),
    ("asyncio/locks.py", "Event.wait", "", "lock", "event", _T),
    ("asyncio/locks.py", "Condition.wait Condition.wait_for", "", "lock", "condition", _T),
    ("asyncio/locks.py", "acquire __aenter__", "", "lock", "", _T),
    ("asyncio/queues.py", "get", "", "queue", "empty", _T),
    ("asyncio/queues.py", "put", "", "queue", "full", _T),
    ("asyncio/queues.py", "join", "", "queue", "join", _C),
    ("asyncio/subprocess.py", "wait communicate", "", "child", "", _C),
    ("asyncio/runners.py", "close", "", "lock", "shutdown", _C),
    ("asyncio/base_events.py", "shutdown_default_executor", "", "lock", "shutdown", _C),
    ("asyncio/base_events.py", "sock_recv sock_sendall sock_connect", "", "io:socket", "", _T),
    ("asyncio/base_events.py", "create_connection getaddrinfo", "", "io:socket", "", _T),
    ("asyncio/selector_events.py", "", "", "io:socket", "", _T),
    ("asyncio/streams.py", "", "", "io:socket", "", _T),
    ("ssl.py", "read write do_handshake recv send sendall recv_into", "", "io:socket", "", _T),
    ("socket.py", "accept", "", "io:socket", "", _I),
    ("socket.py", "", "", "io:socket", "", _T),
    ("selectors.py", "select", "", "io:socket", "", _T),
)  # fmt: skip

_BY_CALLEE: Final = {
    "sleep": "sleep", "acquire": "lock", "__enter__": "lock", "recv": "io:socket", "recv_into": "io:socket",
    "recvfrom": "io:socket", "recvmsg": "io:socket", "accept": "io:socket", "connect": "io:socket",
    "connect_ex": "io:socket", "send": "io:socket", "sendall": "io:socket", "sendto": "io:socket",
    "sendfile": "io:socket", "getaddrinfo": "io:socket", "gethostbyname": "io:socket", "select": "io:socket",
    "poll": "io:socket", "epoll": "io:socket", "urlopen": "io:socket", "getresponse": "io:socket",
    "create_connection": "io:socket", "do_handshake": "io:socket",
    "read": "io:file", "readinto": "io:file", "readline": "io:file", "readlines": "io:file", "write": "io:file",
    "writelines": "io:file", "flush": "io:file", "fsync": "io:file", "fdatasync": "io:file", "sync": "io:file",
    "open": "io:file", "close": "io:file", "read_text": "io:file", "read_bytes": "io:file", "write_text": "io:file",
    "write_bytes": "io:file", "pread": "io:file", "pwrite": "io:file", "stat": "io:file", "listdir": "io:file",
    "scandir": "io:file", "unlink": "io:file", "remove": "io:file", "rename": "io:file", "replace": "io:file",
    "mkdir": "io:file", "rmtree": "io:file", "execute": "io:file", "executemany": "io:file",
    "executescript": "io:file", "commit": "io:file", "print": "io:file", "input": "io:file",
    "waitpid": "child", "wait4": "child", "waitid": "child", "wait": "child", "system": "child",
    "get": "queue", "put": "queue", "join": "lock", "flock": "lock", "lockf": "lock",
}  # fmt: skip

BY_SYSTEM_CALL: Final = {
    "futex": "lock", "nanosleep": "sleep", "clock_nanosleep": "sleep", "wait4": "child", "waitid": "child",
    "connect": "io:socket", "accept": "io:socket", "accept4": "io:socket", "sendto": "io:socket",
    "recvfrom": "io:socket", "sendmsg": "io:socket", "recvmsg": "io:socket", "fsync": "io:file",
    "fdatasync": "io:file", "openat": "io:file", "read file": "io:file", "write file": "io:file",
    "read socket": "io:socket", "write socket": "io:socket", "read pipe": "io:file", "write pipe": "io:file",
    "read terminal": "io:file", "write terminal": "io:file", "flock": "lock", "fcntl": "lock",
    "poll": "io:socket", "ppoll": "io:socket",
    "select": "io:socket", "pselect6": "io:socket", "epoll_wait": "io:socket", "epoll_pwait": "io:socket",
}  # fmt: skip
"""By the name that the recorder gives, with what is read or written."""


class Owned(NamedTuple):
    """What tells the user's own code from a library's: folders of the standard library, and the program's packages."""

    libraries: frozenset[str] = frozenset()
    packages: frozenset[str] = frozenset()
    """Names of packages that are the program itself, though they are installed: `whilst trace -m NAME`."""


@lru_cache(10_000)
def is_own(file: str, owned: Owned) -> bool:
    """Written by the user, not by a library."""
    if file.startswith(("<frozen", _OURS)) or _AGENTS in file:
        return False
    for folder in ("site-packages", "dist-packages"):
        _, found, inner = file.partition(f"{folder}{os.sep}")
        if found:
            return inner.partition(os.sep)[0].removesuffix(".py") in owned.packages
    return not any(file.startswith(library) for library in owned.libraries if library)


def packages_of(arguments: Sequence[str]) -> frozenset[str]:
    """Which packages a program is made of that runs as `python -m NAME`, or by a script that an installer wrote."""
    rest = list(arguments[1:])
    while rest and rest[0].startswith("-") and rest[0] != "-m":
        del rest[: 2 if rest[0] in ("-X", "-W") else 1]
    if len(rest) > 1 and rest[0] == "-m":
        return frozenset({rest[1].partition(".")[0], f"_{rest[1].partition('.')[0]}"})
    if rest and Path(rest[0]).parent.name in ("bin", "Scripts"):
        try:
            text = Path(rest[0]).read_text("utf-8", "replace")[:4000]
        except OSError:
            return frozenset()
        return frozenset(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE)) - {"sys", "re", "os"}
    return frozenset()


_WORKER_LOOPS: Final = (
    ("concurrent/futures/thread.py", "_worker"), ("concurrent/futures/process.py", "_process_worker"),
    ("process_executor.py", "_process_worker"), ("multiprocessing/pool.py", "worker"),
)  # fmt: skip


@lru_cache(100_000)
def is_worker(stack: Stack) -> bool:
    """Does it stand in the loop of a pool's worker?"""
    return any(place.function == name and place.file.endswith(file) for place in stack for file, name in _WORKER_LOOPS)


_BOOTSTRAPS: Final = (
    ("multiprocessing/process.py", "BaseProcess._bootstrap"),
    ("multiprocessing/spawn.py", "spawn_main"),
)


@lru_cache(100_000)
def since_fork(stack: Stack) -> Stack:
    """Without what the process that forked was doing then."""
    for position, place in enumerate(stack):
        is_start = any(place.function == function and place.file.endswith(file) for file, function in _BOOTSTRAPS)
        if is_start or place.file.startswith(_WORKER):
            return Stack(stack[: position + 1])
    return stack


@lru_cache(100_000)
def own_place(stack: Stack, owned: Owned) -> Place | None:
    """The innermost frame of the user's own code; else the innermost of all."""
    imported = _import_around(stack, owned) if work_name(stack, owned) == "import" else None
    if imported is not None:
        return imported.where
    own = next((place for place in stack if is_own(place.file, owned)), None)
    if own is not None or any(_AGENTS in place.file for place in stack):  # no place of the program's
        return own
    return next((place for place in stack if not place.file.startswith(("<frozen", _OURS))), None)


@lru_cache(100_000)
def task_name(stack: Stack, owned: Owned) -> str:
    """The outermost function of the user's own code: what a pool was given, or what the main program runs."""
    own = [place for place in stack if is_own(place.file, owned)]
    names = [place.function for place in own if place.function != "<module>"]
    return names[-1] if names else "main program" if own else ""


@lru_cache(100_000)
def wait_of(stack: Stack, owned: Owned) -> Cause | None:
    """What a thread that stands there waits for, if it waits; None where nothing says that this place waits."""
    if not stack:
        return None
    where = own_place(stack, owned)
    imported = _import_around(stack, owned)
    if imported is not None:
        return imported
    found: Cause | None = None
    is_ours = False
    for place in stack:
        is_ours |= place.file.startswith(_RUNNING)
        if is_own(place.file, owned):
            break
        rule = _rule_for(place)
        if rule is not None:
            _, _, _, kind, name, role = rule
            found = Cause(kind, name, where, role)
    if is_ours:  # a worker of ours without a call, or who waits for them
        is_worker = not any(is_own(place.file, owned) for place in stack)
        return Cause("queue", "", where, Role.IDLE) if is_worker else Cause("lock", "result", where, Role.COORDINATING)
    if found is not None and found.kind == "lock" and not found.name and where is not None:
        return Cause("lock", _lock_name(stack, owned), where, found.role)
    return found or _by_callee(stack[0], stack, owned)


def _by_callee(place: Place, stack: Stack, owned: Owned) -> Cause | None:
    where = own_place(stack, owned)
    taken = lock_taken_at(place)
    if taken and "()" not in taken:
        return Cause("lock", taken.removeprefix("self."), where)
    name = callee_at(place).rpartition(".")[2]
    if name == "run_in_executor":
        return Cause("executor", "", where, Role.COORDINATING)
    kind = _BY_CALLEE.get(name)
    if kind is None:
        return None
    if name == "accept":
        return Cause(kind, "", where, Role.IDLE)
    if name == "join":
        return Cause("lock", "thread", where, Role.COORDINATING)
    return Cause(kind, "", where, Role.COORDINATING if kind == "child" else Role.TASK)


def _lock_name(stack: Stack, owned: Owned) -> str:
    """How the user's code calls what it takes."""
    for place in stack:
        name = lock_taken_at(place)
        if name and is_own(place.file, owned):
            return name.removeprefix("self.")
    inner = stack[0].function.partition(".")[0]
    return inner.lower() if inner[:1].isupper() else ""


def _rule_for(place: Place) -> _Rule | None:
    for rule in _TABLE:
        file, functions, callee, *_ = rule
        if not place.file.endswith(file):
            continue
        names = functions.split()
        if names and place.function not in names and place.function.rpartition(".")[2] not in names:
            continue
        if callee and (called := callee_at(place)) and not called.endswith(callee):
            continue
        return rule
    return None


_IMPORTS: Final = ("_find_and_load", "_lock_unlock_module")
BY_ANOTHER: Final = "by another thread"


def _import_around(stack: Stack, owned: Owned) -> Cause | None:
    """The outermost import under way: its line in the user's code."""
    for position in range(len(stack) - 1, 0, -1):
        if stack[position - 1].function in _IMPORTS and "importlib" in stack[position - 1].file:
            place = stack[position]
            if is_own(place.file, owned) and not _is_run(Stack(stack[:position]), owned):
                is_waiting = any(each.function.startswith(("_ModuleLock", "_lock_")) for each in stack[:position])
                return Cause("import", BY_ANOTHER if is_waiting else "", place)
    return None


@lru_cache(100_000)
def work_name(stack: Stack, owned: Owned) -> str:
    """What work is for that is not the program's own: "import", or, for bringing calls to other processes and results
    back, "pickling", "sending" or "handing over"; else ""."""
    library = []
    if any("importlib" in place.file for place in stack) and not _is_run(stack, owned):
        return "import"
    for place in stack:
        if is_own(place.file, owned):
            break
        library.append(place)
    if not any(_rule_for_file(place.file) for place in library):
        return ""
    if library[0].function in ("Connection._send", "Connection._recv"):
        return "sending"
    called = {place.function.rpartition(".")[2] for place in library} | {callee_at(stack[0]).rpartition(".")[2]}
    return "pickling" if called & {"dumps", "loads", "dump", "load"} else "handing over"


def _is_run(stack: Stack, owned: Owned) -> bool:
    """Is it a function of the user's own that works, rather than what is imported?"""
    for place in stack:
        if "importlib" in place.file:
            return False
        if is_own(place.file, owned) and place.function != "<module>":
            return True
    return True


def _rule_for_file(file: str) -> bool:
    return any(part in file for part in ("multiprocessing/", "concurrent/futures/process", "process_executor"))


@lru_cache(10_000)
def shown_function(name: str) -> str:
    """Without what only says how it was defined: "main.<locals>.<listcomp>" is main."""
    parts = [part for part in name.split(".") if part != "<locals>"]
    while parts and parts[-1] in ("<listcomp>", "<genexpr>", "<lambda>", "<dictcomp>", "<setcomp>"):
        parts.pop()
    return ".".join(parts) or "<module>"


__all__ = ["Cause", "Role", "is_own", "own_place", "shown_function", "since_fork", "task_name", "wait_of", "work_name"]
