"""What every back end speaks: jobs and batches in, events out.

A back end acts and decides nothing. It starts workers, hands them batches, says what happened, and leaves
nothing behind when it is closed. Who gets what, what is tried again and what a death means is decided in
`running.pool`, which is fed the events below and never sees a thread or a process.

One message is one batch, never one call: a worker answers with columns, because an object per call costs
more than the call where calls are short.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextvars import Context

__all__ = [
    "CALLER",
    "Backend",
    "Batch",
    "Event",
    "Finished",
    "Job",
    "WorkerDied",
    "WorkerFailed",
    "WorkerReady",
    "WorkerStopped",
]

CALLER = -1
"""The worker number of the caller itself, which makes calls inline."""

How: TypeAlias = Literal["item", "star", "call"]


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What all calls of one map share. Sent to each worker once, known there by its `id` afterwards.

    `how` says what an item is: `fn(item)`, `fn(*item)`, or, for "call", the item is a whole call
    `(function, args, kwargs)` and `fn` is not used (Executor and gather: every item its own function).
    A call may return a coroutine whatever `is_coroutine` says: who runs the call awaits it too.
    """

    id: int
    fn: Callable[..., object]
    how: How = "item"
    is_coroutine: bool = False
    """Every call gives a coroutine: known before the first one is made."""
    context: Context | None = None
    """The caller's variables. Each batch runs in a copy; to another process goes what can be pickled."""
    seed: int | None = None
    """The draws of item k depend on (seed, k) alone; see `running.seeding`."""
    cwd: str | None = None
    """The working directory at the call; None: no need to change it."""
    env: Mapping[str, str] | None = None
    """`os.environ` at the call; None: no need to change it."""
    native_threads: int | None = None
    """How many threads BLAS or OpenMP may use inside one worker process; None: as they like."""
    stops_at_error: bool = False
    """A batch ends at its first error: the rest of it does not begin, and is not answered."""
    timeout_s: float | None = None
    """Event loops end a call that is longer by themselves; for the others the driver watches the time."""
    nested_workers: int = 1
    """How many workers a map made inside one of these calls may use (1: it runs inline)."""


# Not frozen: a frozen dataclass takes three times as long to make, and these two are made for every batch.
@dataclass(slots=True, eq=False)
class Batch:
    """Calls that travel together. `number` is unique in a run; `ids[k]` is the call of `items[k]`."""

    number: int
    job: Job
    ids: Sequence[int]
    items: Sequence[object]
    is_timed: bool = True
    """Read the clock around every call. False where calls are too short for that: the batch as a whole."""


@dataclass(frozen=True, slots=True, eq=False)
class WorkerReady:
    """A worker can take calls. `pid` is its process (the caller's own for threads)."""

    worker: int
    pid: int | None = None


@dataclass(slots=True, eq=False)
class Finished:
    """Answers of one batch, whole or in part, in columns that are as long as `ids`.

    A batch may be answered in parts (long calls, coroutines that overtake each other): `is_last` says that
    nothing more follows. `ids` are in the order of completion; `values[k]` is None where `errors` has
    `ids[k]`.
    """

    worker: int
    number: int
    ids: Sequence[int]
    values: Sequence[object]
    start_ns: int
    """`time.perf_counter_ns`, which Linux lets all processes compare, when the first of these calls began."""
    end_ns: int
    errors: Mapping[int, BaseException] = field(default_factory=dict)
    """By call id. Always an exception that can be raised here, with the note that names the item
    (`running.calls.perform` adds it; what else makes an error adds it by `note_item`)."""
    starts_ns: Sequence[int] | None = None
    """When each call began and ended, where the batch was timed; else None."""
    ends_ns: Sequence[int] | None = None
    cpu_ns: int | None = None
    """CPU time of the thread over all of these calls together; None where calls share a thread."""
    lane: int = 0
    """Which thread of the worker did it (0 where there is one)."""
    is_last: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class WorkerDied:
    """A worker is gone, with calls in its hands. Every unanswered call is in one of the three sequences."""

    worker: int
    running: Sequence[int] = ()
    """Begun and not ended, as far as can be known: these may have killed it."""
    not_begun: Sequence[int] = ()
    """Certain not to have begun: safe to give to another worker."""
    lost: Sequence[int] = ()
    """Ended (or may have), but the answer died with the worker."""
    exit_code: int | None = None
    """As `multiprocessing.Process.exitcode`: negative is the signal; None is unknown."""
    stderr_tail: str = ""
    reason: str = ""
    """Where there is more to say than the exit code, e.g. "over its memory limit"."""


@dataclass(frozen=True, slots=True, eq=False)
class WorkerStopped:
    """A worker has ended as asked, with nothing in its hands (or has been recycled between two batches)."""

    worker: int


@dataclass(frozen=True, slots=True, eq=False)
class WorkerFailed:
    """A worker could not be started. The pool goes on with the others, or fails when there are none."""

    worker: int
    error: BaseException


Event: TypeAlias = WorkerReady | Finished | WorkerDied | WorkerStopped | WorkerFailed


class Backend(Protocol):
    """Starts workers and carries batches. Used by one thread, `wake` excepted.

    Back ends are made by `running.backends.open_backend(name, slots=…, …)`: keyword arguments only, each with
    a default, so that `Backend()` alone works. Making one is cheap and starts nothing.

    Nothing here waits, `events` and `close` excepted, and nothing raises because of a user's object: what
    can't be pickled comes back as a `Finished` that holds the error.
    """

    name: str
    """As given by `backend=`: "threads", "processes", …"""
    slots: int
    """How many calls one worker has in progress at once: 1, threads of a process, coroutines of a loop."""
    can_kill: bool
    """A call that is running can be ended (with its worker): true of processes."""
    overlaps: bool
    """The calls of one batch are in progress together (event loops), rather than one after the other."""

    def start_worker(self, worker: int) -> None:
        """Begin to start a worker under this number, never used before; `WorkerReady` follows."""

    def send(self, worker: int, batch: Batch) -> None:
        """Hand over a batch. A worker may hold several; it begins them in the order they were sent."""

    def stop_worker(self, worker: int, *, kill: bool = False) -> None:
        """Let it finish what it holds (`WorkerStopped` follows), or kill it now (`WorkerDied` follows)."""

    def running(self, worker: int) -> Sequence[tuple[int, int]]:
        """(call id, start_ns) of what the worker is doing right now: a look at a cell, no message."""

    def recall(self, worker: int) -> Sequence[int]:
        """Take back calls that have not begun. Those returned never begin there; best effort, may be empty.

        A batch that has calls taken back is still answered (`is_last`) for the rest, even if that is nothing.
        """

    def events(self, timeout_s: float | None) -> Sequence[Event]:
        """Block until there is an event, `wake` is called or the time is over; then all there are.

        With `timeout_s=0` only look. A signal handler's exception (Ctrl-C) comes out of here.
        """

    def wake(self) -> None:
        """Make `events` return, from any thread."""

    def close(self, *, kill: bool) -> None:
        """End all workers, at once if `kill`, and leave nothing behind. Closing again does nothing."""
