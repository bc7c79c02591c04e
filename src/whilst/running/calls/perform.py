"""Making calls: the one loop that inline, thread and process workers share.

It takes a batch and gives back columns. What a call raises becomes an entry in the answer; who is to see it, and
what happens to the rest, is decided elsewhere. The loop over short calls is the plain `for` loop that a user
would have written: whatever is added to it (a clock, a context per call) costs more than such a call does.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter_ns, thread_time_ns
from types import CoroutineType

from whilst.running.call_names import add_note, as_raised, name_of, without_own_frames
from whilst.running.jobs import CALLER, Finished

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    import contextvars
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from contextlib import AbstractContextManager
    from typing import Any

    from whilst.running.jobs import Batch, Job

__all__ = ["Awaiter", "Cell", "await_strays", "drawing", "in_copies", "make_plain", "one_argument", "perform"]


class Cell:
    """What a worker's thread is doing right now; written by it alone, read by anyone."""

    __slots__ = ("id", "rest", "start_ns")

    def __init__(self) -> None:
        self.rest: deque[tuple[int, object]] = deque()
        """What of a timed batch has not begun. Whoever pops a call has it: deques make that atomic."""
        self.id = -1
        """The call in progress (of an untimed batch: the first); -1: none."""
        self.start_ns = 0


class Awaiter:
    """Awaits, one after the other, the coroutines that calls gave in a thread without a running loop.

    asyncio takes longer to import than the rest of whilst together, so it is imported when it is needed.
    """

    __slots__ = ("_runner",)

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    def __call__(self, coroutine: Awaitable[object]) -> object:
        import asyncio

        if self._runner is None:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                self._runner = asyncio.Runner()
            else:
                return self._in_another_thread(coroutine)
        return self._runner.run(_awaited(coroutine))

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def _in_another_thread(self, coroutine: Awaitable[object]) -> object:
        """A loop runs in this thread already, and the call it is making can't be suspended."""
        outcome: list[object] = []
        import asyncio
        import contextvars
        import threading

        context = contextvars.copy_context()

        def run() -> None:
            try:
                outcome.append(context.run(asyncio.run, _awaited(coroutine)))
            except BaseException as error:
                outcome.append(_Raised(error))

        thread = threading.Thread(target=run, name="whilst-loop")
        thread.start()
        thread.join()
        if isinstance(outcome[0], _Raised):
            raise outcome[0].error
        return outcome[0]


class _Raised:
    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


async def _awaited(awaitable: Awaitable[object]) -> object:
    return await awaitable


class Made:
    """The columns of the calls made so far."""

    __slots__ = ("ends_ns", "errors", "values")

    def __init__(self) -> None:
        self.values: list[object] = []
        self.errors: dict[int, BaseException] = {}
        """By position, not by id."""
        self.ends_ns: list[int] = []


def perform(batch: Batch, worker: int, cell: Cell, awaiter: Awaiter, *, lane: int = 0) -> Finished:
    """Make the calls of a batch in this thread, in the job's context. Raises nothing of theirs.

    A worker makes each call in a copy of its own, lest one sees what another has set that happened to come before
    it. The caller's own thread makes them in the context it is in, as a `for` loop does.
    """
    job, ids = batch.job, batch.ids
    made = Made()
    call = one_argument(job, ids, awaiter)
    if job.context is not None and (worker != CALLER or job.is_detached):
        call = in_copies(call, job.context)
    start_cpu_ns = thread_time_ns()
    start_ns = perf_counter_ns()
    if batch.is_timed:
        cell.rest = deque(zip(ids, batch.items, strict=True))
        arguments: tuple[Any, ...] = (_make_timed, call, job, made, cell)
    else:
        cell.start_ns, cell.id = start_ns, ids[0] if ids else -1
        arguments = (make_plain, call, job, ids, batch.items, made)
    with drawing(job):
        arguments[0](*arguments[1:])
    cell.id = -1
    end_ns = perf_counter_ns()
    cpu_ns = thread_time_ns() - start_cpu_ns
    await_strays(job, ids, made, awaiter)
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


def drawing(job: Job) -> AbstractContextManager[object]:
    """What surrounds calls whose draws are their own; nothing where nobody asked for a seed."""
    if job.seed is None:
        return _nothing_around
    from whilst.running.calls.seeding import own_draws

    return own_draws(job.fn)


class _Nothing:
    """`contextlib.nullcontext`, for which nothing need be imported."""

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


_nothing_around: AbstractContextManager[object] = _Nothing()


def in_copies(call: Callable[[Any], object], context: contextvars.Context) -> Callable[[Any], object]:
    copy = context.copy

    def in_a_copy(item: Any) -> object:
        return copy().run(call, item)

    return in_a_copy


def make_plain(
    call: Callable[[Any], object],
    job: Job,
    numbers: Sequence[int],
    items: Iterable[object],
    made: Made,
    caught: type[BaseException] = BaseException,
) -> None:
    values = made.values
    for item in items:
        try:
            # Not through a variable: CPython has an instruction of its own for `list.append` written like this.
            values.append(call(item))
        except caught as error:
            made.errors[len(values)] = as_raised(error, job, numbers[len(values)], item)
            values.append(None)
            if job.stops_at_error:
                return


def _make_timed(call: Callable[[Any], object], job: Job, made: Made, cell: Cell) -> None:
    append, mark, take = made.values.append, made.ends_ns.append, cell.rest.popleft
    cell.start_ns = perf_counter_ns()
    while True:
        try:
            cell.id, item = take()
        except IndexError:
            return
        try:
            append(call(item))
        except BaseException as error:
            made.errors[len(made.values)] = as_raised(error, job, cell.id, item)
            append(None)
            if job.stops_at_error:
                mark(perf_counter_ns())
                return
        cell.start_ns = now = perf_counter_ns()
        mark(now)


def one_argument(job: Job, ids: Sequence[int], awaiter: Awaiter) -> Callable[[Any], object]:
    """The job's calls as a function of the item alone; the user's own function where nothing is to be added."""
    fn = call = job.fn
    if job.how == "star":

        def call(item: Any) -> object:
            return fn(*item)

    elif job.how == "call":

        def call(item: Any) -> object:
            function, args, kwargs = item
            value = function(*args, **kwargs)
            return awaiter(value) if type(value) is CoroutineType else value

    if job.is_coroutine and job.how != "call":
        give = call

        def call(item: Any) -> object:
            given: Any = give(item)
            return awaiter(given)

    if job.seed is not None:
        from whilst.running.calls.seeding import reseed

        numbers, seed, drawn = iter(ids), job.seed, call

        def call(item: Any) -> object:
            reseed(seed, next(numbers))
            return drawn(item)

    return call


def await_strays(job: Job, numbers: Sequence[int], made: Made, awaiter: Awaiter) -> None:
    """Await coroutines given by a function that did not look like one that gives them (a lambda around it)."""
    if not made.values or job.is_coroutine or job.how == "call" or type(made.values[0]) is not CoroutineType:
        return
    for position, value in enumerate(made.values):
        if type(value) is CoroutineType:
            try:
                made.values[position] = awaiter(value)
            except BaseException as error:
                made.values[position] = None
                add_note(error, f"whilst: raised by call {numbers[position]} of {name_of(job.fn)}")
                made.errors[position] = without_own_frames(error)
