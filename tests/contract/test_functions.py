"""The contract of plain functions: the same inputs, results, errors and order in every mode and back end."""

from __future__ import annotations

import contextvars
import functools
import itertools
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import calls

from whilst.errors import NotPicklableError, TimeoutExceededError
from whilst.running.options import Keywords
from whilst.running.results import Results
from whilst.running.verbs.api import gather, imap, imap_unordered, map, starmap  # noqa: A004

# Results.


@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_results_stand_in_the_order_of_the_items(way: Keywords, count: int) -> None:
    results = map(calls.square, range(count), **way)
    assert results == [x * x for x in range(count)]
    assert isinstance(results, Results)


def test_late_calls_do_not_overtake_early_ones(way: Keywords) -> None:
    assert map(calls.later_first, range(20), **way) == list(range(20))


@pytest.mark.parametrize(
    "kind", [tuple, list, iter, dict.fromkeys, lambda items: (x for x in items), lambda _: range(1, 3)]
)
def test_any_iterable_is_an_input(way: Keywords, kind: Callable[[list[int]], Iterable[int]]) -> None:
    assert map(calls.square, kind([1, 2]), **way) == [1, 4]


def test_starmap_spreads_each_item(way: Keywords) -> None:
    assert starmap(calls.add, [(1, 2), (3, 4), (5,)], **way) == [3, 7, 5]


def test_gather_does_different_tasks_and_keeps_their_order(way: Keywords) -> None:
    one, two, three = gather(
        functools.partial(calls.square, 5), functools.partial(calls.add, 1, b=2), calls.Adder(7).base.bit_length, **way
    )
    assert (one, two, three) == (25, 3, 3)


@pytest.mark.parametrize("fn", [calls.Adder(10).add, calls.Adder(10), functools.partial(calls.add, 10)])
def test_any_callable_is_a_function(way: Keywords, fn: object) -> None:
    assert map(fn, [1, 2, 3], **way) == [11, 12, 13]  # type: ignore[arg-type]


def test_lambdas_and_closures_are_functions(way: Keywords) -> None:
    base = 100
    assert map(lambda x: x + base, range(5), **way) == [100, 101, 102, 103, 104]


def test_a_coroutine_from_a_plain_function_is_awaited(way: Keywords) -> None:
    assert map(lambda x: calls.square_later(x), range(5), **way) == [0, 1, 4, 9, 16]


# Lazy results.


def test_imap_is_lazy_and_ordered(way: Keywords) -> None:
    assert list(imap(calls.later_first, iter(range(20)), **way)) == list(range(20))


def test_imap_unordered_gives_each_result_once(way: Keywords) -> None:
    assert sorted(imap_unordered(calls.later_first, iter(range(20)), **way)) == list(range(20))


def test_an_endless_input_is_read_no_further_than_needed(way: Keywords) -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        for taken in itertools.count(1):
            yield taken - 1

    stream = imap(calls.later_first, endless(), **way)
    assert list(itertools.islice(stream, 30)) == list(range(30))
    stream.close()
    assert taken < 30_000


def test_nothing_begins_before_the_first_result_is_asked_for(way: Keywords) -> None:
    def items() -> Iterator[int]:
        raise AssertionError("it was read")
        yield 0

    imap(calls.square, items(), **way)


def test_a_reader_that_stops_ends_the_run(way: Keywords) -> None:
    for value in imap(calls.later_first, itertools.count(), **way):
        if value == 3:
            break


def test_a_reader_that_raises_keeps_its_error(way: Keywords) -> None:
    def read() -> None:
        for _ in imap_unordered(calls.later_first, itertools.count(), **way):
            raise RuntimeError("the reader's own")

    with pytest.raises(RuntimeError, match="the reader's own"):
        read()


# Errors.


def test_the_first_failing_item_raises_with_type_attributes_note_and_traceback(way: Keywords) -> None:
    with pytest.raises(calls.OddError, match="7 is odd") as caught:
        map(calls.refuse_from, range(50), **way)
    assert caught.value.number == 7
    assert caught.value.text == "refused"
    assert any("call 7 of refuse_from, for 7" in note for note in caught.value.__notes__)
    shown = "".join(traceback.format_exception(caught.value))
    assert "raise OddError(x" in shown
    assert "in refuse_from" in shown


def test_a_loop_over_the_call_sees_no_result_of_a_run_that_failed(way: Keywords) -> None:
    seen = []

    def loop() -> None:
        for result in map(calls.refuse_from, range(50), **way):
            seen.append(result)

    with pytest.raises(calls.OddError, match="7 is odd"):
        loop()
    assert seen == []


def test_imap_gives_the_results_before_the_error(way: Keywords) -> None:
    seen: list[int] = []
    with pytest.raises(calls.OddError, match="7 is odd"):
        seen.extend(imap(calls.refuse_from, itertools.count(), **way))
    assert seen == list(range(7))


def test_errors_can_stand_among_the_results(way: Keywords) -> None:
    results = map(calls.refuse_one, range(12), errors="return", **way)
    assert [x for x in results if not isinstance(x, Exception)] == [x for x in range(12) if x != 5]
    assert isinstance(results[5], calls.OddError)
    assert results.report().failed == 1


def test_a_cause_is_kept(way: Keywords) -> None:
    with pytest.raises(LookupError) as caught:
        map(calls.raise_from, range(6), **way)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_sys_exit_in_a_call_leaves_as_from_a_loop(way: Keywords) -> None:
    with pytest.raises(SystemExit) as caught:
        map(calls.exit_at_three, range(10), **way)
    assert caught.value.code == "leave"


def test_a_recursion_error_is_an_error_like_another(way: Keywords) -> None:
    with pytest.raises(RecursionError):
        map(calls.recurse, [0, 0], **way)


def test_stop_iteration_in_a_call_does_not_cut_the_results_short(way: Keywords) -> None:
    with pytest.raises(StopIteration):
        map(calls.stop_iteration, range(10), **way)
    with pytest.raises(RuntimeError):
        list(imap(calls.stop_iteration, range(10), **way))


def test_an_input_that_raises_ends_the_run_with_its_error(way: Keywords) -> None:
    def items() -> Iterator[int]:
        yield from range(10)
        raise KeyError("no more")

    with pytest.raises(KeyError, match="no more"):
        map(calls.square, items(), **way)
    seen: list[int] = []
    with pytest.raises(KeyError, match="no more"):
        seen.extend(imap(calls.square, items(), **way))
    assert seen == [x * x for x in range(10)]


def test_a_call_over_its_time_fails_and_the_others_do_not(way: Keywords) -> None:
    is_waited_for = way.get("mode") in ("sequential", "auto")  # nothing can end a call in the caller's own thread
    fn = calls.sleep_a_little_at_two if is_waited_for else calls.sleep_at_two
    results = map(fn, range(6), timeout_s=0.5, errors="return", **way)
    assert isinstance(results[2], TimeoutExceededError)
    assert [x for x in results if isinstance(x, int)] == [0, 1, 3, 4, 5]


def test_an_item_that_can_not_be_pickled_is_named(way: Keywords) -> None:
    lock = threading.Lock()
    if way.get("mode") in ("parallel", "combined"):
        with pytest.raises(NotPicklableError):
            map(lambda x: x is not None, [lock] * 3, **way)
    else:
        assert map(lambda x: x is not None, [lock] * 3, **way) == [True] * 3


# Surroundings.


def test_context_variables_are_those_of_the_caller(way: Keywords) -> None:
    token = calls.variable.set("mine")
    try:
        assert map(calls.read_variable, range(5), **way) == [f"{x} mine" for x in range(5)]
    finally:
        calls.variable.reset(token)


def test_the_working_directory_is_the_one_at_the_call(
    way: Keywords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert set(map(calls.where, range(4), **way)) == {str(Path.cwd())}


def test_the_environment_is_the_one_at_the_call(way: Keywords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHILST_CONTRACT", "yes")
    assert map(calls.environment, ["WHILST_CONTRACT"] * 3, **way) == ["yes"] * 3


def test_seeded_draws_are_the_same_in_every_mode(way: Keywords) -> None:
    expected = map(calls.draw, range(12), seed=42, mode="sequential")
    assert map(calls.draw, range(12), seed=42, **way) == expected
    assert map(calls.draw, range(12), seed=43, **way) != expected


def test_warnings_arrive(way: Keywords) -> None:
    with pytest.warns(UserWarning, match="careful with 1"):
        map(calls.warn, [1, 1, 1], **way)


def test_nested_maps_end_and_stay_within_the_machine(way: Keywords) -> None:
    assert map(calls.nested, range(6), **way) == [[y * y for y in range(x)] for x in range(6)]


# What is said about the run.


def test_every_run_says_how_it_went(way: Keywords) -> None:
    results = map(calls.later_first, range(10), **way)
    assert results.decision.backend
    assert str(results.decision)
    line = results.timeline
    assert {span.task for span in line} <= {f"later_first {number}" for number in range(10)}
    assert line.makespan_s > 0
    assert "10 calls" in str(results.report())


def test_what_a_call_sets_in_its_context_is_seen_as_in_a_loop_or_not_at_all(way: Keywords) -> None:
    def run() -> tuple[list[int], int]:
        results = map(calls.count_in_context, range(30), **way)
        return list(results), calls.counter.get()

    results, after = contextvars.copy_context().run(run)
    if way["mode"] in ("sequential", "auto"):
        # In the caller's own context, as a loop would: auto notices that calls see each other, and stays here.
        assert (results, after) == (list(range(1, 31)), 30)
    else:
        # Wherever and after whichever call one is made, it begins in the context of the map.
        assert (results, after) == ([1] * 30, 0)


@pytest.mark.parametrize("errors", ["raise", "return"])
def test_a_function_that_cant_be_sent_says_so_once(errors: Any) -> None:
    guard = threading.Lock()

    def guarded(item: int) -> int:
        with guard:
            return item

    if errors == "raise":
        with pytest.raises(NotPicklableError) as caught:
            map(guarded, range(5_000), mode="parallel", backend="processes")
        error: Any = caught.value
    else:
        given = map(guarded, range(500), mode="parallel", backend="processes", errors="return")
        assert {type(each) for each in given} == {NotPicklableError}
        error = given[-1]
    assert [note for note in error.__notes__ if "raised by" in note] == [
        f"whilst: raised by every call of {guarded.__qualname__}: none of them began"
    ]
