"""Making calls: the one loop that inline, thread and process workers share.

It takes a batch and gives back columns. What a call raises becomes an entry in the answer; who is to see it, and
what happens to the rest, is decided elsewhere. The loop over short calls is the plain `for` loop that a user
would have written: whatever is added to it (a clock, a context per call) costs more than such a call does.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter_ns, thread_time_ns
from types import CoroutineType

from whilst.running.call_names import as_raised
from whilst.running.calls.one_argument import drawing, in_copies, one_argument
from whilst.running.jobs import CALLER, Finished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from whilst.running.calls.caller_loop import CallerLoop
    from whilst.running.calls.one_argument import Awaiter
    from whilst.running.jobs import Batch, Job


class Cell:
    """What a worker's thread is doing right now; written by it alone, read by anyone."""

    def __init__(self) -> None:
        self.rest: deque[tuple[int, object]] = deque()
        """What of a timed batch has not begun. Whoever pops a call has it: deques make that atomic."""
        self.id = -1
        """The call in progress (of an untimed batch: the first); -1: none."""
        self.start_ns = 0


class Made:
    """The columns of the calls made so far."""

    def __init__(self) -> None:
        self.values: list[object] = []
        self.errors: dict[int, BaseException] = {}
        """By position, not by id."""
        self.ends_ns: list[int] = []


def perform(batch: Batch, worker: int, cell: Cell, awaiter: Awaiter | CallerLoop, *, lane: int = 0) -> Finished:
    """Make the calls of a batch in this thread, in the job's context. Raises nothing of theirs.

    A worker makes each call in a copy of its own, lest one sees what another has set that happened to come before
    it. The caller's own thread makes them in the context it is in, as a `for` loop does.
    """
    job, ids = batch.job, batch.ids
    awaiter = job.awaits or awaiter
    made = Made()
    call = one_argument(job.fn, job, ids, awaiter)
    if job.context is not None and (worker != CALLER or job.is_detached):
        call = in_copies(call, job.context, awaiter)
    start_cpu_ns = thread_time_ns()
    start_ns = perf_counter_ns()
    with drawing(job.fn, job.seed):
        if batch.is_timed:
            cell.rest = deque(zip(ids, batch.items, strict=True))
            _make_timed(call, job, made, cell, awaiter)
        else:
            cell.start_ns, cell.id = start_ns, ids[0] if ids else -1
            make_calls(call, job, ids, batch.items, made, awaiter)
    cell.id = -1
    end_ns = perf_counter_ns()
    cpu_ns = thread_time_ns() - start_cpu_ns
    done = len(made.values)
    ends = made.ends_ns if batch.is_timed else None
    return Finished(
        worker,
        batch.number,
        ids if done == len(ids) else ids[:done],
        made.values,
        start_ns,
        end_ns,
        {ids[position]: error for position, error in made.errors.items()} if made.errors else {},
        [start_ns, *ends[:-1]] if ends else None,
        ends,
        cpu_ns,
        lane,
    )


def make_calls(
    call: Callable[[Any], object],
    job: Job,
    numbers: Sequence[int],
    items: Iterable[object],
    made: Made,
    awaits: Awaiter | CallerLoop,
    *,
    caught: type[BaseException] | tuple[type[BaseException], ...] = BaseException,
    is_timed: bool = False,
) -> None:
    """Make the calls of these items one after the other, up to an error that ends the run."""
    values, mark = made.values, made.ends_ns.append
    for item in items:
        try:
            value = call(item)
            # Given by a function that does not look like one that gives coroutines: a lambda around one, say.
            values.append(awaits(value) if type(value) is CoroutineType else value)
        except caught as error:
            made.errors[len(values)] = as_raised(error, job, numbers[len(values)], item)
            values.append(None)
        if is_timed:
            mark(perf_counter_ns())
        if made.errors and job.stops_at_error:
            return


def _make_timed(call: Callable[[Any], object], job: Job, made: Made, cell: Cell, awaits: Awaiter | CallerLoop) -> None:
    """Make the calls that the cell holds, unless they are taken back, and note when each begins."""
    append, mark, take = made.values.append, made.ends_ns.append, cell.rest.popleft
    cell.start_ns = perf_counter_ns()
    while True:
        try:
            cell.id, item = take()
        except IndexError:
            return
        try:
            value = call(item)
            append(awaits(value) if type(value) is CoroutineType else value)
        except BaseException as error:
            made.errors[len(made.values)] = as_raised(error, job, cell.id, item)
            append(None)
        cell.start_ns = now = perf_counter_ns()
        mark(now)
        if made.errors and job.stops_at_error:
            return
