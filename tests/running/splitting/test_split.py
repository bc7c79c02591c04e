"""split: a function of a whole, called of its parts; what needs its neighbours is found out before the work."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import whilst
from whilst import SplitError, SplitReport

GENERATOR = np.random.default_rng(1)
ROWS = GENERATOR.integers(0, 100, (400, 6)).astype(float)
NUMBERS = GENERATOR.permutation(1000).tolist()


def reported(*given: Any, **keywords: Any) -> tuple[Any, SplitReport]:
    reports: list[SplitReport] = []
    value = whilst.split(*given, report=reports.append, **keywords)
    (report,) = reports
    return value, report


def blur_rows(rows: Any) -> Any:
    return (rows + np.roll(rows, 1, axis=1) + np.roll(rows, -1, axis=1)) / 3


def blur_columns(rows: Any) -> Any:
    return (rows + np.roll(rows, 1, axis=0) + np.roll(rows, -1, axis=0)) / 3


def centred(rows: Any) -> Any:
    return rows - rows.mean()


def centred_rows(rows: Any) -> Any:
    return rows - rows.mean(axis=1, keepdims=True)


def windows(rows: Any) -> Any:
    return np.lib.stride_tricks.sliding_window_view(rows, 3, axis=0).sum(axis=-1)


def running_totals(rows: Any) -> Any:
    return np.cumsum(rows, axis=0)


def numbered(items: list[int]) -> list[tuple[int, int]]:
    return list(enumerate(items))


def squares(items: list[int]) -> list[int]:
    return [item * item for item in items]


def without_repeats(items: list[int]) -> list[int]:
    return list(dict.fromkeys(item % 7 for item in items))


def largest(rows: Any) -> Any:
    return rows.max()


def doubled_in_place(rows: Any) -> Any:
    rows *= 2
    return rows


PAIRS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], Any]] = {
    "windows that overlap": (blur_columns, blur_rows, ROWS),
    "a mean over all": (centred, centred_rows, ROWS),
    "sliding windows": (windows, np.sqrt, ROWS),
    "running totals": (running_totals, np.negative, ROWS),
    "sorting": (sorted, squares, NUMBERS),
    "numbering": (numbered, squares, NUMBERS),
    "leaving out repeats": (without_repeats, squares, NUMBERS),
    "turning round": (lambda rows: rows[::-1], lambda rows: rows[:, ::-1], ROWS),
}


@pytest.mark.parametrize("name", PAIRS)
def test_what_needs_its_neighbours_is_an_error_that_shows_three_values(name: str) -> None:
    wrong, _, whole = PAIRS[name]
    with pytest.raises(SplitError, match="gives something else for parts") as caught:
        whilst.split(wrong, whole, mode="sequential")
    assert len(caught.value.values) == 3
    verdict = whilst.check_split(wrong, whole)
    assert (verdict.answer, bool(verdict)) == ("wrong", False)
    assert len(verdict.values) == 3


@pytest.mark.parametrize("name", PAIRS)
def test_what_does_not_gives_what_the_undivided_call_gives(name: str) -> None:
    _, right, whole = PAIRS[name]
    found, report = reported(right, whole, mode="sequential")
    assert np.array_equal(found, right(whole))
    assert type(found) is type(right(whole))
    assert report.verdict.answer == "not refuted"
    assert report.verdict.triples >= 1
    assert whilst.check_split(right, whole)


@pytest.mark.parametrize("mode", ["sequential", "concurrent", "parallel", "auto"])
def test_arrays_are_the_same_in_every_mode(mode: Any) -> None:
    whole = np.arange(3000.0).reshape(500, 6)[::2, ::-1]
    assert np.array_equal(whilst.split(blur_rows, whole, mode=mode), blur_rows(whole))


@settings(max_examples=30)
@given(st.lists(st.integers(), max_size=150), st.integers(1, 90), st.integers(1, 16))
def test_any_list_in_any_number_of_parts(whole: list[int], parts: int, workers: int) -> None:
    found = whilst.split(squares, whole, parts=parts, mode="concurrent", workers=workers)
    assert found == squares(whole)


def test_parts_of_an_array_are_views_of_it() -> None:
    def is_view(rows: Any) -> list[bool]:
        return [np.shares_memory(rows, ROWS)]

    assert whilst.split(is_view, ROWS, mode="sequential", check=False) == [True] * 64


def test_the_check_works_on_copies() -> None:
    whole = ROWS.copy()
    assert whilst.check_split(doubled_in_place, whole)
    assert np.array_equal(whole, ROWS)


def test_the_check_takes_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock on which each row takes ten milliseconds."""
    from whilst.running.splitting import api, sampling

    rows_seen = 0

    def slow(rows: Any) -> Any:
        nonlocal rows_seen
        rows_seen += len(rows)
        return rows

    for name in ("thread_time", "perf_counter"):
        monkeypatch.setattr(sampling, name, lambda: rows_seen * 0.01)
    monkeypatch.setattr(api, "require_no_memory", lambda *_: None)
    whilst.split(slow, ROWS, mode="sequential")
    assert 400 < rows_seen <= 400 * 1.03


def test_a_result_that_can_not_be_joined_is_said_before_the_work() -> None:
    with pytest.raises(SplitError, match="Pass join="):
        whilst.split(largest, ROWS)
    assert whilst.split(largest, ROWS, join=max) == ROWS.max()
    found, report = reported(np.sum, ROWS / 7, join=sum)
    assert math.isclose(found, np.sum(ROWS / 7))
    assert any(text.startswith("Floats are regrouped") for text in report.decision.given_up)


def test_a_cut_of_ones_own() -> None:
    def halves(whole: list[int]) -> list[list[int]]:
        return [whole[: len(whole) // 2], whole[len(whole) // 2 :]]

    found, report = reported(squares, NUMBERS, cut=halves)
    assert found == squares(NUMBERS)
    assert (report.parts, report.verdict.answer) == (2, "not refuted")
    with pytest.raises(SplitError):
        whilst.split(sorted, NUMBERS, cut=halves)


def test_one_part_and_none_are_the_call_itself() -> None:
    for whole in ([], [3]):
        found, report = reported(sorted, whole)
        assert found == whole
        assert (report.parts, report.verdict.answer) == (1, "proved")
    assert whilst.split(blur_rows, ROWS[:0]).shape == (0, 6)
    assert whilst.split(str.upper, "abc" * 9) == "ABC" * 9


def test_a_function_that_remembers_is_an_error() -> None:
    seen: list[int] = []

    def remembering(items: list[int]) -> list[int]:
        seen.extend(items)
        return [len(seen)] * len(items)

    with pytest.raises(SplitError, match="changes seen"):
        whilst.split(remembering, NUMBERS)
    assert seen == []


def test_what_fn_raises_names_the_part() -> None:
    def failing(items: list[int]) -> list[int]:
        return [1 // (item - 700) for item in items]

    with pytest.raises(ZeroDivisionError) as caught:
        whilst.split(failing, list(range(1000)), check=False)
    assert any("call 44 of" in note for note in caught.value.__notes__)


def test_a_function_that_needs_more_rows_than_two_is_tried_on_more() -> None:
    def picky(items: list[int]) -> list[int]:
        if len(items) < 6:
            raise ValueError("too few")
        return squares(items)

    found, report = reported(picky, NUMBERS)
    assert found == squares(NUMBERS)
    assert report.verdict.answer == "not refuted"
    with pytest.raises(ValueError, match="too few") as caught:
        whilst.split(picky, NUMBERS[:128])
    assert any("was tried on" in note for note in caught.value.__notes__)


def test_bad_input_is_said_at_once() -> None:
    with pytest.raises(SplitError, match="needs a sequence"):
        whilst.split(sorted, iter([1]))
    with pytest.raises(SplitError, match="cuts the whole itself"):
        whilst.split(sorted, whilst.chunks([1, 2]))
    with pytest.raises(TypeError, match="cut must be"):
        whilst.split(squares, [1, 2], cut=3)
    with pytest.raises(TypeError, match="takes a function for fn"):
        whilst.split([1, 2], squares)
    with pytest.raises(SplitError, match="it has no columns"):
        whilst.split(squares, [1, 2], cut=whilst.by("key"))
