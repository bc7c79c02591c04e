"""What was recorded of a program, before anything is concluded from it: plain data, made by the recorder or a test.

Times are nanoseconds of the system's monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

IN: Final = 0
"""The thread came onto a core."""
BLOCKED: Final = 1
"""It left the core because it had to wait."""
PREEMPTED: Final = 2
"""It left the core, although it could have gone on."""


@dataclass(frozen=True, slots=True)
class Place:
    """An instruction: where a frame of a thread or of a coroutine stands."""

    file: str
    function: str
    line: int
    end_line: int | None = None
    column: int | None = None
    end_column: int | None = None
    operation: str = ""


class Stack(tuple[Place, ...]):
    """Places, innermost first. Told from others by being another object: it is looked up by the million."""

    __slots__ = ()

    def __hash__(self) -> int:
        return id(self) >> 4

    def __eq__(self, other: object) -> bool:
        return self is other


NOWHERE: Final = Stack()


@dataclass(slots=True)
class Switches:
    """When one thread of the system was on a core: `at_ns[i]` is when it did `what[i]`, one of the three above."""

    pid: int
    tid: int
    start_ns: int
    end_ns: int = 0
    """0 while it runs."""
    command: str = ""
    at_ns: array[int] = field(default_factory=lambda: array("q"))
    what: bytearray = field(default_factory=bytearray)
    calls: list[tuple[int, str]] = field(default_factory=list)
    """(when, name of the system call it was blocked in), of some of the longer waits."""


@dataclass(slots=True)
class SeenThread:
    """Where one thread of Python was seen: from `at_ns[i]` on, at stack number `stack[i]`; -1 once it had gone."""

    ident: int
    native_id: int
    name: str
    process: str = "MainProcess"
    at_ns: array[int] = field(default_factory=lambda: array("q"))
    stack: array[int] = field(default_factory=lambda: array("i"))


@dataclass(slots=True)
class SeenTask:
    """An asyncio task: from `at_ns[i]` on in `state[i]`: r(unning), h(eld off by the loop), w(aiting), d(one)."""

    name: str
    thread: int
    """The ident of the thread that runs its loop."""
    at_ns: array[int] = field(default_factory=lambda: array("q"))
    state: list[str] = field(default_factory=list)
    stack: array[int] = field(default_factory=lambda: array("i"))
    future: list[str] = field(default_factory=list)
    """The type of what it waits for."""


@dataclass(slots=True)
class AgentLog:
    """What the agent of one process noted."""

    pid: int
    parent: int
    start_ns: int
    end_ns: int = 0
    """Of the last note."""
    is_whole: bool = False
    """The process ended in order, and the agent before it."""
    version: tuple[int, ...] = ()
    has_gil: bool = True
    library: str = ""
    arguments: Sequence[str] = ()
    threads: list[SeenThread] = field(default_factory=list)
    tasks: list[SeenTask] = field(default_factory=list)
    stacks: list[Stack] = field(default_factory=list)
    collections: list[tuple[int, int, int, Stack]] = field(default_factory=list)
    """(start, end, ident of the thread, where it stood) of each full garbage collection."""
    agents: list[int] = field(default_factory=list)
    """The native ids of the agent's own threads, which are no part of the program."""
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Recording:
    """All of it. `clock` says how on and off a core was told: "perf", "schedstat" or "stacks"."""

    name: str
    start_ns: int
    end_ns: int
    clock: str
    cores: int
    threads: list[Switches] = field(default_factory=list)
    logs: list[AgentLog] = field(default_factory=list)
    lost: int = 0
    """Switches that the kernel dropped."""
    folder: str = ""
    """Files below it are shown relative to it."""
    notes: list[str] = field(default_factory=list)
