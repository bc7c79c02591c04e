"""Calls in the caller's own thread: a stretch of the input at a time, each made before the next item is pulled.

As a `for` loop does it, and nearly as fast: values are put in their place at once where they have one, and the clock
is read around ever larger blocks of calls. What is no `Exception` (Ctrl-C, sys.exit) passes through.
"""

from __future__ import annotations

from time import perf_counter_ns, thread_time_ns
from types import CoroutineType

from whilst.running.call_names import add_note, as_raised, name_of, without_own_frames
from whilst.running.calls.one_argument import drawing, in_copies, one_argument
from whilst.running.calls.perform import Made, make_calls
from whilst.running.jobs import CALLER, Finished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from whilst.running.calls.caller_loop import CallerLoop
    from whilst.running.calls.one_argument import Awaiter
    from whilst.running.core.inputs import Source
    from whilst.running.jobs import Job

_FIRST_BLOCK, _BLOCK_SHARE, _LARGEST_BLOCK = 8, 4, 8192
"""How many calls are made before the clock is read: first, as a share of those made, at most."""
_LONGEST_IN_PLACE_NS = 4_000_000


def looks_up_by_itself(job: Job, source: Source) -> bool:
    """However many calls `perform_inline` is asked for now, it ends after some milliseconds, if they are short."""
    return job.timeout_s is None and job.seed is None and source.results_in_place() is not None


def perform_inline(
    job: Job, source: Source, count: int, awaiter: Awaiter | CallerLoop, *, is_timed: bool = False
) -> Finished:
    """Pull up to `count` items and make their calls here. May make fewer."""
    awaiter = job.awaits or awaiter
    made = Made()
    first = source.next_id
    numbers = range(first, first + count)
    is_timed = is_timed or job.timeout_s is not None
    call = one_argument(job.fn, job, numbers, awaiter)
    if job.is_detached and job.context is not None:
        call = in_copies(call, job.context, awaiter)
    in_place = None
    # What is put in place is looked at afterwards: too late for calls that give coroutines, as the first ones may.
    if not (is_timed or job.seed is not None or awaiter.is_used):
        if first < _FIRST_BLOCK:
            count = min(count, _FIRST_BLOCK)
        else:
            in_place = source.results_in_place()
    cpu_ns = thread_time_ns()
    start_ns = perf_counter_ns()
    input_error = None
    if in_place is not None:
        _make_in_place(call, job, source, count, in_place, made, awaiter)
        done = source.next_id - first
    else:
        try:
            with drawing(job.fn, job.seed):
                items = source.pull(count)
                make_calls(call, job, numbers, items, made, awaiter, caught=job.failures, is_timed=is_timed)
        except Exception as error:
            input_error = error
        done = len(made.values)
        has_stopped = job.stops_at_error and bool(made.errors)
        source.pulled(done, is_over=done < count and not has_stopped, error=input_error)
    end_ns = perf_counter_ns()
    cpu_ns = thread_time_ns() - cpu_ns
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


def _make_in_place(
    call: Callable[[Any], object],
    job: Job,
    source: Source,
    count: int,
    results: list[Any],
    made: Made,
    awaiter: Awaiter | CallerLoop,
) -> None:
    """Make calls whose values have their place at the end of the results: short ones would take longer to be moved.

    Gives `results` itself as the values, unless there is more to do with them than to leave them where they are. Ends
    early where calls turn out longer than they were taken for.
    """
    first, until_ns = source.next_id, perf_counter_ns() + _LONGEST_IN_PLACE_NS
    has_strays = False
    while count > 0:
        # A part of those made so far: should calls become long in its midst, few are made before that is seen.
        size = min(count, max(_FIRST_BLOCK, min(source.next_id // _BLOCK_SHARE, _LARGEST_BLOCK)))
        begun, is_going_on = len(results), _make_block(call, job, source, size, results, made)
        done = len(results) - begun
        count -= done
        has_strays = _holds_coroutines(results[begun:])
        if not is_going_on or done < size or has_strays or perf_counter_ns() > until_ns:
            break
    made.values = results
    if made.errors:
        # In place the number of a call is where its value stands; in an answer it is counted from the answer's first.
        made.errors = {number - first: error for number, error in made.errors.items()}
    if made.errors or has_strays:
        made.values = results[first:]
        del results[first:]
    if has_strays:
        _await_strays(job, first, made, awaiter)


def _holds_coroutines(values: list[Any]) -> bool:
    """Is a coroutine among these? Whatever the function is like: it may be given what it calls, or what it gives."""
    is_first_a_number = bool(values) and type(values[0]) in (int, float)
    return not (is_first_a_number and _are_numbers(values)) and CoroutineType in map(type, values)


def _are_numbers(values: list[Any]) -> bool:
    """Found out in a sixth of the time that it takes to look at each one's type, half of that of a short call."""
    try:
        sum(values)
    except Exception:  # whatever the type of one of them raises
        return False
    return True


def _await_strays(job: Job, first: int, made: Made, awaiter: Awaiter | CallerLoop) -> None:
    """Await the coroutines among the values of the first calls. From then on each value is looked at as it comes."""
    for position, value in enumerate(made.values):
        if type(value) is CoroutineType:
            try:
                made.values[position] = awaiter(value)
            except job.failures as error:
                made.values[position] = None
                add_note(error, f"whilst: raised by call {first + position} of {name_of(job.fn)}")
                made.errors[position] = without_own_frames(error)


def _make_block(
    call: Callable[[Any], object], job: Job, source: Source, size: int, results: list[Any], made: Made
) -> bool:
    """Add the values of `size` calls to the results, fewer where the input ends; False at the first error."""
    begun, input_error = len(results), None
    try:
        for item in source.pull(size):
            try:
                # Not through a variable: CPython has an instruction of its own for `list.append` written like this.
                results.append(call(item))
            except job.failures as error:
                made.errors[len(results)] = as_raised(error, job, len(results), item)
                results.append(None)
                source.pulled(len(results) - begun, is_over=False)
                return False
    except Exception as error:
        input_error = error
    done = len(results) - begun
    source.pulled(done, is_over=done < size, error=input_error)
    return input_error is None


def perform_lazily(
    job: Job, source: Source, count: int, awaiter: Awaiter, ends: list[int]
) -> Generator[object, None, Finished]:
    """Like `perform_inline`, but each call is made when its result is asked for, and nothing of it is kept.

    Yields the results (errors too, unless the first of them ends the run). The answer that it returns holds the
    times of the calls alone, not of what the reader did in between; its values are None.

    Args:
        ends: an empty list, to which is added when each call ended.
    """
    first = source.next_id
    call = one_argument(job.fn, job, range(first, first + count), awaiter)
    starts: list[int] = []
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
        except job.failures as error:
            number = first + len(ends)
            errors[number] = value = as_raised(error, job, number, item)
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
