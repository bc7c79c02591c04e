"""What happens in one execution, as data: operations, places in the source, accesses, results of tasks.

Frozen and slotted, standard library only. The engine's hot path keeps raw tuples (`Event`); everything here
is made from them when somebody asks (`Execution.accesses`), which only a recorded execution can answer in full.

*Identity.* Inside one execution an object is known by `id`, which is safe because the execution keeps every
object that it saw alive. Across executions an access is known by `(task, nth)`: the nth access of that task.
Two executions that are equal up to a point agree on it, whatever the addresses. For people there is `target`, a
path from what the task was given ("state.lock"), or the type's name and a number where no path was found.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Op(IntEnum):
    """What an event does to the object it touches. READ conflicts with nothing but what changes it."""

    READ = 0
    WRITE = 1
    ACQUIRE = 2  # blocks until it can be had: lock, semaphore, queue slot, a set event, a finished task
    TRY = 3  # took it at once or not at all; a time-out is a TRY that may be scheduled at any moment
    RELEASE = 4
    CALL = 5  # a C function whose effect is not known: counted as a write of everything it was given
    START = 6  # spawn of a thread, a pool's call, an asyncio task
    JOIN = 7
    RESUME = 8  # a coroutine task goes on after an await
    BEGIN = 9  # of a call whose results are held against a sequential order; RETURN: it has come to its end
    RETURN = 10


class Status(StrEnum):
    """How an execution ended."""

    DONE = "done"
    DEADLOCK = "deadlock"  # nobody can go on: see `Execution.blocked`
    BROKEN = "broken"  # a condition on the state that is always to hold did not, after the last event
    SPINNING = "spinning"  # only tasks that poll without any change are left
    TOO_LONG = "too long"  # the step bound was reached
    OUT_OF_BUDGET = "out of budget"  # the check had no time left, in the middle of it
    CUT = "cut"  # the search asked to drop it: redundant, or out of budget
    DIVERGED = "diverged"  # a choice could not be honoured: the program is not deterministic, or has changed
    OUTSIDE = "outside"  # a task blocked, or may block, in something that the engine does not model


@dataclass(frozen=True, slots=True)
class SourceLocation:
    """One bytecode instruction in the source."""

    file: str
    line: int
    function: str
    offset: int  # of the instruction in the original code object
    end_line: int = 0
    column: int = 0
    end_column: int = 0


@dataclass(frozen=True, slots=True)
class Access:
    """One event of an execution: a task touches something that others may touch.

    `index` counts the events of the execution, `nth` those of the task; both from 0. `object_id` and `key`
    together say what is touched: equal pairs touch the same thing, and `key` None means the whole object
    (which overlaps with every key of it). `did_succeed` is False for a TRY (or time-out) that got nothing.
    `can_switch_with_gil`: with the GIL, can another thread run between this task's previous access and this
    one? The eval loop switches at calls, loops and function entries, never inside `x.y += 1`.
    `value` is the repr of what was read or is to be written, None when not recorded.
    """

    index: int
    task: int
    nth: int
    op: Op
    target: str
    key: object
    object_id: int
    location: SourceLocation
    value: str | None = None
    did_succeed: bool = True
    can_switch_with_gil: bool = True
    also: tuple[tuple[int, object, bool], ...] = ()  # further (object_id, key, is_write) touched at the same time
    is_write: bool = False  # whether it changes what it touches: a failed TRY does not, a wait for an Event neither


@dataclass(frozen=True, slots=True)
class Blocked:
    """A task that can't go on at the end of an execution."""

    task: int
    op: Op
    target: str
    object_id: int
    location: SourceLocation
    holder: int | None  # the task that holds it, where it has one holder
    holder_location: SourceLocation | None  # where the holder took it


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a task came to: `error` is set when it raised, `has_finished` False when it was cut short."""

    has_finished: bool
    value: object = None
    error: BaseException | None = None
    is_callback: bool = False  # no task, but a callback of an event loop that raised


@dataclass(frozen=True, slots=True)
class Assumption:
    """Something that the engine could not see into, and what it took it for instead."""

    what: str  # "zlib.compress"
    treated_as: str  # "a write of its arguments" | "without effect on shared state" | ...
    location: SourceLocation | None = None
