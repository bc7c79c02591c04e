"""divide: a recursion, whose branches are calls, and whose joins give what solving gives."""

from __future__ import annotations

import heapq
import operator
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import whilst
from whilst import SplitError, SplitReport

NUMBERS = random.Random(3).sample(range(10_000), 3000)


def halve(items: list[Any]) -> tuple[list[Any], list[Any]]:
    return items[: len(items) // 2], items[len(items) // 2 :]


def thirds(items: list[Any]) -> list[list[Any]]:
    third = len(items) // 3
    return [items[:third], items[third : 2 * third], items[2 * third :]]


def merge(*parts: list[Any]) -> list[Any]:
    return list(heapq.merge(*parts))


def merge_list(parts: list[list[Any]]) -> list[Any]:
    return list(heapq.merge(*parts))


def is_short(items: list[Any]) -> bool:
    return len(items) < 20


def fibonacci(n: int) -> int:
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def two_before(n: int) -> tuple[int, int]:
    return n - 1, n - 2


def is_low(n: int) -> bool:
    return n < 8


def reported(*given: Any, **keywords: Any) -> tuple[Any, SplitReport]:
    reports: list[SplitReport] = []
    value = whilst.divide(*given, report=reports.append, **keywords)
    (report,) = reports
    return value, report


@pytest.mark.parametrize("mode", ["sequential", "concurrent", "parallel", "auto"])
def test_a_sort_is_divided_in_every_mode(mode: Any) -> None:
    found, report = reported(sorted, NUMBERS, split=halve, join=merge, is_small=is_short, mode=mode)
    assert found == sorted(NUMBERS)
    assert report.parts == 16  # of one length
    assert (report.verdict.answer, report.verdict.triples) == ("not refuted", 4)


@pytest.mark.parametrize(("split", "join"), [(halve, operator.add), (thirds, merge), (thirds, merge_list)])
def test_a_join_takes_results_one_by_one_or_as_a_list(split: Any, join: Any) -> None:
    solve = list if join is operator.add else sorted
    assert whilst.divide(solve, NUMBERS, split=split, join=join, is_small=is_short) == solve(NUMBERS)


def test_branches_of_other_lengths_are_more() -> None:
    def unevenly(items: list[int]) -> tuple[list[int], list[int]]:
        return items[: len(items) // 3], items[len(items) // 3 :]

    found, report = reported(sorted, NUMBERS, split=unevenly, join=merge, is_small=lambda items: len(items) < 3)
    assert found == sorted(NUMBERS)
    assert report.parts >= 64


def test_a_recursion_over_numbers() -> None:
    found, report = reported(fibonacci, 18, split=two_before, join=operator.add, is_small=is_low)
    assert found == fibonacci(18)
    assert report.parts >= 64
    assert report.verdict.answer == "not refuted"


@settings(max_examples=30)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=300), st.integers(2, 16))
def test_floats_have_the_same_bits_with_any_number_of_workers(items: list[float], workers: int) -> None:
    found = [
        whilst.divide(sum, items, split=halve, join=operator.add, is_small=lambda part: len(part) < 3, **way)
        for way in ({"mode": "sequential"}, {"mode": "concurrent", "workers": workers})
    ]
    assert repr(found[0]) == repr(found[1])


@pytest.mark.parametrize(
    ("solve", "join"),
    [(sorted, operator.add), (sum, max), (max, operator.add), (list, lambda left, right: right + left), (len, max)],
)
def test_a_wrong_join_is_an_error_that_shows_three_values(solve: Any, join: Any) -> None:
    with pytest.raises(SplitError, match="Divided and joined") as caught:
        whilst.divide(solve, NUMBERS, split=halve, join=join, is_small=is_short, mode="sequential")
    assert len(caught.value.values) == 3


@pytest.mark.parametrize(("solve", "join"), [(sorted, merge), (sum, operator.add), (max, max), (len, operator.add)])
def test_its_right_twin_gives_what_solving_gives(solve: Any, join: Any) -> None:
    found = whilst.divide(solve, NUMBERS, split=halve, join=join, is_small=is_short, mode="sequential")
    assert found == solve(NUMBERS)


def test_a_wrong_join_of_numbers_is_found_on_a_small_branch() -> None:
    with pytest.raises(SplitError, match="Divided and joined"):
        whilst.divide(fibonacci, 18, split=two_before, join=max, is_small=is_low)


def test_where_nothing_is_small_enough_to_be_solved_again_the_verdict_says_so() -> None:
    found, report = reported(fibonacci, 10, split=two_before, join=operator.add, is_small=is_low)
    assert (found, report.verdict.answer) == (55, "not checked")


def test_a_small_problem_is_the_call_itself() -> None:
    found, report = reported(sorted, [2, 1], split=halve, join=merge, is_small=is_short)
    assert (found, report.parts, report.verdict.answer) == ([1, 2], 1, "proved")


def test_the_problem_is_left_as_it_is() -> None:
    def sort_in_place(items: list[int]) -> list[int]:
        items.sort()
        return items

    whole = list(NUMBERS)
    assert whilst.divide(sort_in_place, whole, split=halve, join=merge, is_small=is_short) == sorted(NUMBERS)
    assert whole == NUMBERS


def test_what_is_never_small_is_an_error() -> None:
    with pytest.raises(SplitError, match="makes 1 of"):
        whilst.divide(sum, NUMBERS, split=lambda items: [items], join=operator.add, is_small=is_short)
    with pytest.raises(SplitError, match="is still not small"):
        whilst.divide(
            sum, [1], split=lambda items: (items, []), join=operator.add, is_small=lambda items: not items, check=False
        )


def test_bad_input_is_said_at_once() -> None:
    with pytest.raises(TypeError, match="takes a function for is_small"):
        whilst.divide(sorted, NUMBERS, split=halve, join=merge, is_small=20)
    with pytest.raises(ValueError, match="needs all of its parts"):
        whilst.divide(sorted, NUMBERS, split=halve, join=merge, is_small=is_short, errors="return")
