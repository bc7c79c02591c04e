"""Making calls: the one loop that inline, thread and process workers share.

It takes a batch and gives back columns. What a call raises becomes an entry in the answer; who is to see it, and
what happens to the rest, is decided elsewhere. The loop over short calls is the plain `for` loop that a user
would have written: whatever is added to it (a clock, a context per call) costs more than such a call does.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter_ns, thread_time_ns
from types import CoroutineType

from whilst.running.backends.base import CALLER, Finished

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    import contextvars
    from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Any

    from whilst.running.backends.base import Batch, Job
    from whilst.running.source import Source

__all__ = [
    "Awaiter",
    "Cell",
    "describe_call",
    "name_of",
    "note_item",
    "perform",
    "perform_inline",
    "perform_lazily",
    "without_own_frames",
]


class Cell:
    """What a worker's thread is doing right now; written by it alone, read by anyone."""

    __slots__ = ("id", "rest", "start_ns")

    def __init__(self) -> None:
        self.rest: deque[tuple[int, object]] = deque()
        """What of a timed batch has not begun. Whoever pops a call has it: deques make that atomic."""
        self.id = -1
        """The call in progress (of an untimed batch: the first); -1: none."""
        self.start_ns = 0


_FEWEST_IN_PLACE, _MOST_IN_PLACE = 512, 8192
"""So many calls are made before the clock is read, more and more."""
_LONGEST_IN_PLACE_NS = 5_000_000


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


class _Made:
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
    made = _Made()
    call = _one_argument(job, ids, awaiter)
    if worker != CALLER and job.context is not None:
        call = _in_copies(call, job.context)
    start_cpu_ns = thread_time_ns()
    start_ns = perf_counter_ns()
    if batch.is_timed:
        cell.rest = deque(zip(ids, batch.items, strict=True))
        arguments: tuple[Any, ...] = (_make_timed, call, job, made, cell)
    else:
        cell.start_ns, cell.id = start_ns, ids[0] if ids else -1
        arguments = (_make_plain, call, job, ids, batch.items, made)
    with _drawing(job):
        arguments[0](*arguments[1:])
    cell.id = -1
    end_ns = perf_counter_ns()
    cpu_ns = thread_time_ns() - start_cpu_ns
    _await_strays(job, ids, made, awaiter)
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


def _drawing(job: Job) -> AbstractContextManager[object]:
    """What surrounds calls whose draws are their own; nothing where nobody asked for a seed."""
    if job.seed is None:
        return _nothing_around
    from whilst.running.seeding import own_draws

    return own_draws(job.fn)


class _Nothing:
    """`contextlib.nullcontext`, for which nothing need be imported."""

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


_nothing_around: AbstractContextManager[object] = _Nothing()


def _in_copies(call: Callable[[Any], object], context: contextvars.Context) -> Callable[[Any], object]:
    copy = context.copy

    def in_a_copy(item: Any) -> object:
        return copy().run(call, item)

    return in_a_copy


def perform_inline(job: Job, source: Source, count: int, awaiter: Awaiter, *, is_timed: bool = False) -> Finished:
    """Pull up to `count` items and make their calls here, each before the next is pulled, as a `for` loop does.

    What is no `Exception` (Ctrl-C, sys.exit) passes through.
    """
    made = _Made()
    first = source.next_id
    numbers = range(first, first + count)
    is_timed = is_timed or job.timeout_s is not None
    call = _one_argument(job, numbers, awaiter)
    in_place = None if is_timed or job.seed is not None else source.results_in_place()
    cpu_ns = thread_time_ns()
    start_ns = perf_counter_ns()
    input_error = None
    if in_place is not None:
        _make_in_place(call, job, source, count, in_place, made)
        done = source.next_id - first
    else:
        try:
            with _drawing(job):
                if is_timed:
                    _make_timed_inline(call, job, numbers, source.pull(count), made)
                else:
                    _make_plain(call, job, numbers, source.pull(count), made, Exception)
        except Exception as error:
            input_error = error
        done = len(made.values)
        has_stopped = job.stops_at_error and bool(made.errors)
        source.pulled(done, is_over=done < count and not has_stopped, error=input_error)
    end_ns = perf_counter_ns()
    cpu_ns = thread_time_ns() - cpu_ns
    if made.values is not in_place:
        _await_strays(job, numbers, made, awaiter)
    ends = made.ends_ns if is_timed else None
    return Finished(
        CALLER,
        -1,
        range(first, first + done),
        made.values,
        start_ns,
        end_ns,
        {first + position: error for position, error in made.errors.items()} if made.errors else {},
        [start_ns, *ends[:-1]] if ends else None,
        ends,
        cpu_ns,
    )


def perform_lazily(job: Job, source: Source, count: int, awaiter: Awaiter) -> Generator[object, None, Finished]:
    """Like `perform_inline`, but each call is made when its result is asked for, and nothing of it is kept.

    Yields the results (errors too, unless the first of them ends the run). The answer that it returns holds the
    times of the calls alone, not of what the reader did in between; its values are None.
    """
    first = source.next_id
    call = _one_argument(job, range(first, first + count), awaiter)
    starts: list[int] = []
    ends: list[int] = []
    errors: dict[int, BaseException] = {}
    input_error: Exception | None = None
    cpu_ns = thread_time_ns()
    items = iter(source.pull(count))
    while True:
        try:
            item = next(items)
        except StopIteration:
            break
        except Exception as error:
            input_error = error
            break
        starts.append(perf_counter_ns())
        try:
            value = call(item)
            if type(value) is CoroutineType:
                value = awaiter(value)
        except Exception as error:
            number = first + len(ends)
            errors[number] = value = _noted(error, job, number, item)
        ends.append(perf_counter_ns())
        if len(ends) == 1:
            cpu_ns = thread_time_ns() - cpu_ns
        if errors and job.stops_at_error:
            break
        yield value
    done, busy_ns = len(ends), sum(ends) - sum(starts)
    source.pulled(done, is_over=done < count and not (errors and job.stops_at_error), error=input_error)
    end_ns = ends[-1] if ends else perf_counter_ns()
    numbers = range(first, first + done)
    share = cpu_ns / max(ends[0] - starts[0], 1) if ends else 0.0
    nothing = [None] * done
    return Finished(
        CALLER, -1, numbers, nothing, end_ns - busy_ns, end_ns, errors, starts, ends, int(busy_ns * min(share, 1.0))
    )


def _make_plain(
    call: Callable[[Any], object],
    job: Job,
    numbers: Sequence[int],
    items: Iterable[object],
    made: _Made,
    caught: type[BaseException] = BaseException,
) -> None:
    values = made.values
    for item in items:
        try:
            # Not through a variable: CPython has an instruction of its own for `list.append` written like this.
            values.append(call(item))
        except caught as error:
            made.errors[len(values)] = _noted(error, job, numbers[len(values)], item)
            values.append(None)
            if job.stops_at_error:
                return


def _make_in_place(
    call: Callable[[Any], object], job: Job, source: Source, count: int, results: list[Any], made: _Made
) -> None:
    """Make calls whose values have their place at the end of the results: short ones would take longer to be moved.

    Gives `results` itself as the values, unless there is more to do with them than to leave them where they are. Ends
    early where calls turn out longer than they were taken for.
    """
    first, until_ns = source.next_id, perf_counter_ns() + _LONGEST_IN_PLACE_NS
    is_over, most = False, _FEWEST_IN_PLACE
    while count > 0 and not is_over:
        size, most = min(count, most), min(2 * most, _MOST_IN_PLACE)
        items = source.pull(size)
        begun, item = len(results), None
        try:
            for item in items:
                results.append(call(item))
        except Exception as error:
            made.values = results[first:]
            del results[first:]
            position = len(made.values)
            made.errors[position] = _noted(error, job, first + position, item)
            made.values.append(None)
            source.pulled(first + position + 1 - begun, is_over=False)
            return
        done = len(results) - begun
        is_over = done < size
        source.pulled(done, is_over=is_over)
        count -= done
        if perf_counter_ns() > until_ns:
            break
    made.values = results
    if len(results) > first and type(results[first]) is CoroutineType:
        made.values = results[first:]
        del results[first:]


def _make_timed(call: Callable[[Any], object], job: Job, made: _Made, cell: Cell) -> None:
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
            made.errors[len(made.values)] = _noted(error, job, cell.id, item)
            append(None)
            if job.stops_at_error:
                mark(perf_counter_ns())
                return
        cell.start_ns = now = perf_counter_ns()
        mark(now)


def _make_timed_inline(
    call: Callable[[Any], object], job: Job, numbers: Sequence[int], items: Iterable[object], made: _Made
) -> None:
    append, mark = made.values.append, made.ends_ns.append
    for item in items:
        try:
            append(call(item))
        except Exception as error:
            made.errors[len(made.values)] = _noted(error, job, numbers[len(made.values)], item)
            append(None)
        mark(perf_counter_ns())
        if made.errors and job.stops_at_error:
            return


def _one_argument(job: Job, ids: Sequence[int], awaiter: Awaiter) -> Callable[[Any], object]:
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
        from whilst.running.seeding import reseed

        numbers, seed, drawn = iter(ids), job.seed, call

        def call(item: Any) -> object:
            reseed(seed, next(numbers))
            return drawn(item)

    return call


def _await_strays(job: Job, numbers: Sequence[int], made: _Made, awaiter: Awaiter) -> None:
    """Await coroutines given by a function that did not look like one that gives them (a lambda around it)."""
    if not made.values or job.is_coroutine or job.how == "call" or type(made.values[0]) is not CoroutineType:
        return
    for position, value in enumerate(made.values):
        if type(value) is CoroutineType:
            try:
                made.values[position] = awaiter(value)
            except BaseException as error:
                made.values[position] = None
                error.add_note(f"whilst: raised by call {numbers[position]} of {name_of(job.fn)}")
                made.errors[position] = without_own_frames(error)


def without_own_frames(error: BaseException) -> BaseException:
    """Cut whilst's own frames off the top of a traceback, so that it starts in the user's function."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_next is not None and trace.tb_frame.f_globals.get("__name__") in _OWN:
        trace = trace.tb_next
    error.__traceback__ = trace
    return error


_OWN = {__name__, "asyncio.runners", "asyncio.base_events"}


def _short(value: object) -> str:
    """Survives objects whose repr raises, and cuts long ones."""
    import reprlib

    shortened = reprlib.Repr()
    shortened.maxstring = shortened.maxother = 120
    return shortened.repr(value)


def describe_call(job: Job, number: int, item: object) -> str:
    """Name a call for a person: "call 17 of fetch, for 'http://…'"."""
    if job.how == "call":
        call: Any = item
        function, args, kwargs = call
        shown = [_short(each) for each in args] + [f"{key}={_short(each)}" for key, each in kwargs.items()]
        return f"call {number}, {name_of(function)}({', '.join(shown)})"
    return f"call {number} of {name_of(job.fn)}, for {_short(item)}"


def name_of(fn: Callable[..., object]) -> str:
    """A function's name as its author wrote it; that of the function within a partial."""
    fn = getattr(fn, "func", fn)
    return str(getattr(fn, "__qualname__", None) or type(fn).__name__)


def _noted(error: BaseException, job: Job, number: int, item: object) -> BaseException:
    """An error as the caller is to see it: its traceback starts in the user's code, and a note names the item."""
    note_item(error, job, number, item)
    return without_own_frames(error)


def note_item(error: BaseException, job: Job, number: int, item: object) -> None:
    """Add the note that names the item, once."""
    note = f"whilst: raised by {describe_call(job, number, item)}"
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)
