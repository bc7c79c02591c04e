"""What every back end speaks, and what one is made with.

A back end acts and decides nothing. It starts workers, hands them batches, says what happened, and leaves
nothing behind when it is closed. Who gets what, what is tried again and what a death means is decided in
`running.core.pool_state`, which is fed the events of `running.jobs` and never sees a thread or a process.
"""

from __future__ import annotations

from _queue import Empty

from whilst._light import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _queue import SimpleQueue
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    from whilst.running.jobs import Batch, Event, Job
else:
    Protocol = object


class BackendConfig(Record):
    """Which back end, and what it is made with. Two configs that differ mean two back ends, one after the other."""

    backend: str = "inline"
    """"inline", "threads", "eventloop", "processes", "processes*threads", "processes*eventloop", …"""
    slots: int = 1
    """Calls that one worker has in progress at once: threads in a process, coroutines in flight in a loop."""
    native_threads: int | None = None
    """Threads that BLAS or OpenMP may use inside each worker process; None: as they like."""
    memory_limit_bytes: int | None = None
    """A worker process that has grown by more than this since its start is recycled between two batches."""
    on: Any = None
    """The connection to the cluster whose workers are meant."""
    is_forked: bool = False
    """Workers are forks of this program, all of them; otherwise all are clean processes (`process_role`)."""


class Backend(Protocol):
    """Starts workers and carries batches. Used by one thread, `wake` excepted.

    Back ends are made by `running.backends.open_backend(config)`. Making one is cheap and starts nothing.

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
    takes_early: bool
    """A worker may be sent something before it is ready: it lies there until it is."""

    def inherit(self, job: Job, items: Sequence[object], changes_items: Callable[[object], bool]) -> None:
        """All items of this job, before the first worker is started: workers forked from here on need not be sent them.

        Asked of back ends whose config says `is_forked`. `changes_items`: see `Policy.changes_items`.
        """

    def start_worker(self, worker: int) -> None:
        """Begin to start a worker under this number, never used before; `WorkerReady` follows."""

    def send(self, worker: int, batch: Batch) -> None:
        """Hand over a batch. A worker may hold several; it begins them in the order they were sent."""

    def stop_worker(self, worker: int, *, kill: bool = False) -> None:
        """Let it finish what it holds (`WorkerStopped` follows), or kill it now (`WorkerDied` follows)."""

    def running(self, worker: int) -> Sequence[tuple[int, int]]:
        """(call id, start_ns) of what the worker is doing right now: a look at shared memory, no message."""

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


def take_events(outbox: SimpleQueue[Event | None], timeout_s: float | None) -> list[Event]:
    """`Backend.events` of a back end whose workers put theirs into a queue; `wake` puts None."""
    found: list[Event] = []
    try:
        event = outbox.get(block=timeout_s != 0, timeout=timeout_s)
    except Empty:
        return found
    while True:
        if event is not None:
            found.append(event)
        if outbox.empty():
            return found
        event = outbox.get()
