"""The nouns of a run: jobs and batches go in, events with answers come out.

One message is one batch, never one call: a worker answers with columns, because an object per call costs more than
the call where calls are short.
"""

from __future__ import annotations

from itertools import count

from whilst._light import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextvars import Context
    from typing import Literal, TypeAlias

    from whilst.errors import WorkerDiedError
    from whilst.running.calls.caller_loop import CallerLoop
    from whilst.running.calls.process_state import ProcessState

    How: TypeAlias = Literal["item", "star", "call"]

next_job_id: Callable[[], int] = count().__next__

CALLER = -1
"""The worker number of the caller itself, which makes calls inline."""


class Job:
    """What all calls of one map share. Sent to each worker once, known there by its `id` afterwards.

    `how` says what an item is: `fn(item)`, `fn(*item)`, or, for "call", the item is a whole call
    `(function, args, kwargs)` and `fn` is not used (Executor and gather: every item its own function).
    A call may return a coroutine whatever `is_coroutine` says: who runs the call awaits it too.
    """

    def __init__(
        self,
        id: int,  # noqa: A002 - the attribute's name
        fn: Callable[..., object],
        how: How = "item",
        is_coroutine: bool = False,
        context: Context | None = None,
        seed: int | None = None,
        stops_at_error: bool = False,
        timeout_s: float | None = None,
        process_state: ProcessState | None = None,
    ) -> None:
        self.id = id
        self.fn = fn
        self.how = how
        self.is_coroutine = is_coroutine
        """Every call gives a coroutine: known before the first one is made."""
        self.context = context
        """The caller's variables. Each batch runs in a copy; to another process goes what can be pickled."""
        self.seed = seed
        """The draws of item k depend on (seed, k) alone; see `running.calls.seeding`."""
        self.stops_at_error = stops_at_error
        """A batch ends at its first error: the rest of it does not begin, and is not answered."""
        self.timeout_s = timeout_s
        """Event loops end a call that is longer by themselves; for the others the driver watches the time."""
        self.process_state = process_state
        """In which its calls were asked for; None: that of the moment in which the first of them is sent."""
        self.failures: tuple[type[BaseException], ...] = (Exception,)
        """As `Limits.failures`, for calls made in the caller's own thread."""
        self.is_detached = False
        """Each call is made in a copy of `context`, whoever makes it: the thread that moves the run on is nobody's."""
        self.awaits: CallerLoop | None = None
        """Awaits what its calls give, in the place of whoever makes them in this process; None: they do it."""

    def asked_in(self, id: int, context: Context, state: ProcessState | None) -> Job:  # noqa: A002 - as above
        """The same job for calls that were asked for in this context and state, wherever they are made."""
        job = Job(id, self.fn)
        vars(job).update(vars(self))
        job.id, job.context, job.process_state, job.is_detached = id, context, state, True
        return job


class Batch(Record):
    """Calls that travel together. `number` is unique in a run; `ids[k]` is the call of `items[k]`."""

    number: int
    job: Job
    ids: Sequence[int]
    items: Sequence[object]
    is_timed: bool = True
    """Read the clock around every call. False where calls are too short for that: the batch as a whole."""


class Limits(Record):
    """What the user asked of a run, as far as the driver cares."""

    retries: int = 0
    """How often a call is begun again that was lost to a dead worker."""
    stops_at_error: bool = True
    """The first error ends the run: what has not begun is cancelled."""
    stops_at_exit: bool = True
    """What is none of `failures` in a call ends the run, whatever else does not."""
    failures: tuple[type[BaseException], ...] = (Exception,)
    """What is an outcome of a call, and no end of the program (as SystemExit and KeyboardInterrupt are)."""
    timeout_s: float | None = None
    is_lazy: bool = False
    """Somebody reads the results while the run goes on: it must not run far ahead of the reader."""
    is_one_by_one: bool = False
    """Every call is answered by itself, so that a kill costs no more than the calls in progress."""
    begins_when_sent: bool = False
    """No call waits in a worker: it gets one only when it can begin with it."""

    def is_fatal(self, error: BaseException) -> bool:
        """Whether a call that ends with this error ends the run."""
        return self.stops_at_error or (self.stops_at_exit and not isinstance(error, self.failures))


class RunEnd:
    """Why a run ends before its time. The only book of that: the driver and its pools write into the same one."""

    def __init__(self) -> None:
        self.failed_id: int | None = None
        """The lowest call that ended the run, once one has."""
        self.broken: BaseException | None = None
        """No worker can be started: why."""

    def note_failure(self, number: int) -> None:
        """This call ended the run, unless one before it did."""
        if self.failed_id is None or number < self.failed_id:
            self.failed_id = number


class WorkerReady(Record):
    """A worker can take calls. `pid` is its process (the caller's own for threads)."""

    worker: int
    pid: int | None = None


class Finished(Record):
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
    errors: Mapping[int, BaseException] = {}
    """By call id. Always an exception that can be raised here, with the note that names the item
    (`running.calls.perform.perform` adds it; what else makes an error adds it by `call_names.note_item`)."""
    starts_ns: Sequence[int] | None = None
    """When each call began and ended, where the batch was timed; else None."""
    ends_ns: Sequence[int] | None = None
    cpu_ns: int = 0
    """CPU time of the thread over all of these calls together. Of a loop, what it worked since its last answer: its
    coroutines take turns, and nobody reads the clock at each."""
    lane: int = 0
    """Which thread of the worker did it (0 where there is one)."""
    is_last: bool = True
    made_by: int | None = None
    """Whose row in a timeline it belongs to, where that is not the worker's that held the calls."""
    held_ns: int = 0
    """How long the thread was ready over all of these calls, and had no core; 0 where nobody looks (threads, loops)."""

    def without(self, numbers: Collection[int]) -> Finished:
        """The same answer without these calls, which will be made again."""
        gone = set(numbers)
        kept = [position for position, number in enumerate(self.ids) if number not in gone]
        starts, ends = self.starts_ns, self.ends_ns
        return self._replace(
            ids=[self.ids[position] for position in kept],
            values=[self.values[position] for position in kept],
            errors={number: error for number, error in self.errors.items() if number not in gone},
            starts_ns=None if starts is None else [starts[position] for position in kept],
            ends_ns=None if ends is None else [ends[position] for position in kept],
        )


class WorkerDied(Record):
    """A worker is gone while it held calls. Every unanswered call is in one of the three sequences."""

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

    def error(self, *, is_running: bool, retried: int = 0) -> WorkerDiedError:
        """The error of a call whose worker died, after it had been made again `retried` times."""
        from whilst.errors import WorkerDiedError

        code = self.exit_code
        how, why = " for an unknown cause", ""
        if self.reason:
            how, why = "", f" ({self.reason})"
        elif code is not None and code < 0:
            how = f" by signal {-code}{_signal_name(-code)}"
        elif code is not None:
            how = f" with exit code {code}"
        what = "while it made this call" if is_running else "with this call in its hands"
        tail = f" The last it wrote to stderr: {self.stderr_tail.strip()}" if self.stderr_tail.strip() else ""
        remedy = "Pass retries=1 to make such calls again, if they may be made twice; errors='return'"
        if retried:
            remedy = f"It was begun {retried + 1} times, and each time the worker died. Pass errors='return'"
        return WorkerDiedError(
            f"Worker {self.worker + 1} died{how} {what}{why}.{tail} {remedy} to get the other results."
        )


class WorkerStopped(Record):
    """A worker has ended as asked and held nothing (or was recycled between two batches)."""

    worker: int


class WorkerFailed(Record):
    """A worker could not be started. The pool goes on with the others, or fails when there are none."""

    worker: int
    error: BaseException
    is_given_up: bool = False
    """No more are wanted: the rest is made in another way."""


def _signal_name(number: int) -> str:
    import signal

    try:
        return f" ({signal.Signals(number).name})"
    except ValueError:
        return ""


Event: TypeAlias = WorkerReady | Finished | WorkerDied | WorkerStopped | WorkerFailed


def add_to_death(events: list[Event], worker: int, ids: Sequence[int]) -> None:
    """Calls were sent to a worker that has died, before its end was heard of: these have not begun either."""
    for index, event in enumerate(events):
        if isinstance(event, WorkerDied) and event.worker == worker:
            events[index] = event._replace(not_begun=(*event.not_begun, *ids))
            return
        if isinstance(event, WorkerStopped) and event.worker == worker:
            events[index] = WorkerDied(worker, not_begun=tuple(ids), exit_code=0)
            return
    events.append(WorkerDied(worker, not_begun=tuple(ids)))
