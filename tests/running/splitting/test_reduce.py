"""reduce: what a loop gives, in parts, with the same bits whoever works; and what is no reduction is an error."""

from __future__ import annotations

import operator
import pickle
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import whilst
from whilst import SplitError, SplitReport
from whilst.running.splitting import api, evidence

from . import parts

NUMBERS = [(7 * x) % 101 for x in range(300)]
TURNS = [0, 1, 2, 3] * 75
WORDS = ["it", "was", "the", "best", "of", "times", "it", "was", "the", "worst", "of", "times"] * 20
FLOATS = [x / 7 for x in NUMBERS]
CANCELLING = [1e16, 1.0, -1e16, 3.0, 1.0] * 40
Given = tuple[Any, ...]

# (step, items, initial or nothing), keywords; the wrong one, and beside it the right one.
PAIRS: dict[str, tuple[tuple[Given, dict[str, Any]], tuple[Given, dict[str, Any]]]] = {
    "subtraction": (((operator.sub, NUMBERS), {}), ((operator.sub, NUMBERS, 0), {"combine": operator.add})),
    "subtraction from a value": (
        ((parts.subtract, NUMBERS, 1000), {}),
        ((parts.subtract, NUMBERS, 0), {"combine": operator.add}),
    ),
    "division": (((operator.truediv, FLOATS[1:60]), {}), ((operator.mul, [Fraction(x + 1) for x in range(60)]), {})),
    "floor division": (
        ((operator.floordiv, [10**30, *[3, 2, 7] * 20]), {}),
        ((operator.mul, [3, 2, 7] * 20, 1), {}),
    ),
    "running mean": (
        ((parts.running_mean, FLOATS), {}),
        ((parts.mean_and_count, NUMBERS, (Fraction(0), 0)), {"combine": parts.joined_means}),
    ),
    "initial of a sum": (((operator.add, NUMBERS, 1), {}), ((operator.add, NUMBERS, 0), {})),
    "initial of a product": (((operator.mul, [1, 2, 3] * 30, 2), {}), ((operator.mul, [1, 2, 3] * 30, 1), {})),
    "initial list with something in it": (
        ((parts.append, NUMBERS, ["head"]), {"combine": operator.add}),
        ((parts.append, NUMBERS, []), {"combine": operator.add}),
    ),
    "append without combine": (
        ((parts.append, NUMBERS, list), {}),
        ((parts.append, NUMBERS, list), {"combine": parts.extended}),
    ),
    "combine in the wrong order": (
        ((parts.append, NUMBERS, list), {"combine": parts.reversed_join}),
        ((parts.append, NUMBERS, list), {"combine": parts.concatenated}),
    ),
    "dict in which the first wins": (
        ((parts.remember_last, NUMBERS, dict), {"combine": parts.earlier_wins}),
        ((parts.remember_last, NUMBERS, dict), {"combine": parts.later_wins}),
    ),
    "dict in another order": (
        ((parts.remember_last, TURNS, dict), {"combine": parts.in_another_order}),
        ((parts.remember_last, TURNS, dict), {"combine": operator.or_}),
    ),
    "counts that are not added": (
        ((parts.count_word, WORDS, Counter), {"combine": operator.or_}),
        ((parts.count_word, WORDS, Counter), {"combine": operator.add}),
    ),
    "floats that must not be regrouped": (
        ((operator.add, CANCELLING, 0.0), {}),
        ((operator.add, list(map(Fraction, CANCELLING)), Fraction(0)), {}),
    ),
    "a run across the cut": (
        ((parts.longest_run, [x // 9 for x in range(300)], (0, None, 0)), {"combine": parts.worse_longest_run}),
        ((max, [x // 9 for x in range(300)]), {}),
    ),
    "overlapping windows": (
        ((parts.differences, NUMBERS, list), {"combine": operator.add}),
        ((operator.add, [[x] for x in NUMBERS], []), {}),
    ),
    "the middle in place of the top": (
        ((parts.middle_of_three, NUMBERS, list), {"combine": parts.middle_of_three}),
        ((parts.top_three, NUMBERS, list), {"combine": parts.joined_top_three}),
    ),
    "a step that counts its calls": (
        ((parts.Remembering(), NUMBERS, 0), {"combine": operator.add}),
        ((operator.add, NUMBERS, 0), {"of": parts.square}),
    ),
    "a step that numbers elements": (
        ((parts.numbered, NUMBERS, list), {"combine": operator.add}),
        ((parts.append, list(enumerate(NUMBERS)), list), {"combine": operator.add}),
    ),
    "exclusive or from 5": (((operator.xor, NUMBERS, 5), {}), ((operator.xor, NUMBERS, 0), {})),
    "texts with a separator twice": (
        ((lambda value, x: f"{value},{x}", list("abc") * 30, ""), {}),
        ((operator.add, [f",{x}" for x in "abc" * 30], ""), {}),
    ),
}


def loop(step: Callable[..., Any], items: Any, *initial: Any, of: Any = None, **_: Any) -> Any:
    begun = [each() if callable(each) else pickle.loads(pickle.dumps(each)) for each in initial]
    return reduce(step, items if of is None else map(of, items), *begun)


@pytest.fixture
def no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried is bounded by time: a busy machine would try less."""
    for name in ("thread_time", "perf_counter"):
        monkeypatch.setattr(evidence, name, lambda: 0.0)


@pytest.mark.usefixtures("no_time_passes")
@pytest.mark.parametrize("name", PAIRS)
def test_a_wrong_split_is_an_error_that_shows_three_values(name: str) -> None:
    given, keywords = PAIRS[name][0]
    with pytest.raises(SplitError) as caught:
        whilst.reduce(*given, **keywords, mode="sequential")
    assert len(caught.value.values) == 3 or "outlives" in str(caught.value)
    assert len(pickle.loads(pickle.dumps(caught.value)).values) == len(caught.value.values)


@pytest.mark.parametrize("name", PAIRS)
def test_its_right_twin_gives_what_the_loop_gives(name: str) -> None:
    given, keywords = PAIRS[name][1]
    found = whilst.reduce(*given, **keywords, mode="sequential")
    expected = loop(*given, **keywords)
    assert found == expected
    assert type(found) is type(expected)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the calls of `of(calls)`, on a clock on which each takes half a millisecond, and all else no time."""
    calls = Counter[str]()
    for name in ("thread_time", "perf_counter"):
        monkeypatch.setattr(evidence, name, lambda: calls["made"] * 0.0005)
    monkeypatch.setattr(api, "require_no_memory", lambda *_: None)
    return calls


def counted(calls: Counter[str], x: int) -> int:
    calls["made"] += 1
    return x


def test_a_wrong_split_is_found_before_most_of_the_work_is_done(calls: Counter[str]) -> None:
    with pytest.raises(SplitError):
        whilst.reduce(operator.sub, range(6400), of=partial(counted, calls), mode="sequential")
    assert calls["made"] < 6400 / 50


def test_the_check_makes_at_most_three_in_a_hundred_calls_more(calls: Counter[str]) -> None:
    assert whilst.reduce(operator.add, range(640), 0, of=partial(counted, calls), mode="sequential") == 204_480
    assert 640 < calls["made"] <= 640 * 1.03


def reported(*given: Any, **keywords: Any) -> tuple[Any, SplitReport]:
    reports: list[SplitReport] = []
    value = whilst.reduce(*given, report=reports.append, **keywords)
    (report,) = reports
    return value, report


@settings(max_examples=25)
@given(st.lists(st.floats(-1e6, 1e6), max_size=200), st.integers(2, 16))
def test_floats_have_the_same_bits_with_any_number_of_workers(items: list[float], workers: int) -> None:
    expected = whilst.reduce(operator.add, items, 0.0, mode="sequential", check=False)
    found = whilst.reduce(operator.add, items, 0.0, mode="concurrent", workers=workers, check=False)
    assert repr(found) == repr(expected)


@pytest.mark.parametrize("mode", ["sequential", "concurrent", "parallel", "combined", "auto"])
def test_floats_have_the_same_bits_in_every_mode(mode: Any) -> None:
    found = [whilst.reduce(operator.add, FLOATS, 0.0, of=float, mode=mode, **more) for more in ({}, {"workers": 3})]
    assert set(map(repr, found)) == {repr(whilst.reduce(operator.add, FLOATS, 0.0, check=False, mode="sequential"))}


def test_the_tree_depends_on_the_number_of_parts_alone() -> None:
    shape = whilst.reduce(lambda one, other: (one, other), range(7), check=False, mode="sequential")
    assert shape == (((0, 1), (2, 3)), ((4, 5), 6))


@pytest.mark.parametrize(
    ("given", "keywords"),
    [
        ((operator.add, range(1000), 0), {}),
        ((operator.add, range(1000)), {"of": parts.square}),
        ((operator.mul, [1, -1] * 50, 1), {}),
        ((operator.add, ["a", "b"] * 50, ""), {}),
        ((max, NUMBERS), {}),
        ((operator.or_, [{1}, {2}] * 50, set()), {}),
        ((operator.add, [Fraction(1, 3)] * 100, 0), {}),
        ((operator.add, [5], 0), {}),
    ],
)
def test_known_operators_on_known_types_are_proved(given: Given, keywords: dict[str, Any]) -> None:
    value, report = reported(*given, **keywords)
    assert report.verdict.answer == "proved"
    assert value == loop(*given, **keywords)


class Odd(int):
    """Is added as no number is."""

    def __radd__(self, other: Any) -> int:
        return int(other) + int(self)


@pytest.mark.parametrize(
    ("given", "keywords"),
    [
        ((operator.add, FLOATS, 0.0), {}),
        ((operator.add, [Odd(1)] * 100, 0), {}),
        ((operator.add, [1, 2.5] * 50, 0), {}),
        ((parts.count_word, WORDS, Counter), {"combine": operator.add}),
        ((operator.add, [Counter("ab")] * 100, Counter), {}),
        ((max, FLOATS), {}),
    ],
)
def test_nothing_else_is_called_proved(given: Given, keywords: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("thread_time", "perf_counter"):  # a clock that stands still: the checks end by a budget of time
        monkeypatch.setattr(evidence, name, lambda: 0.0)
    _, report = reported(*given, **keywords, mode="sequential")
    assert report.verdict.answer == "not refuted"
    assert report.verdict.triples == 62 + 4 + 2 * 240  # of neighbours, at the cuts, and of what they combine to
    assert report.verdict
    assert f"on {report.verdict.triples} triple" in str(report)


def test_what_floats_lose_stands_in_the_decision() -> None:
    _, report = reported(operator.add, FLOATS, 0.0)
    assert any(text.startswith("Floats are regrouped") for text in report.decision.given_up)
    _, report = reported(operator.add, NUMBERS, 0)
    assert not report.decision.given_up
    _, report = reported(max, FLOATS)
    assert not report.decision.given_up


def test_that_nothing_was_checked_is_no_verdict() -> None:
    value, report = reported(operator.sub, NUMBERS, check=False)
    assert report.verdict.answer == "not checked"
    assert not report.verdict
    assert isinstance(value, int)


def test_a_combine_that_changes_its_argument_is_told() -> None:
    initial: list[int] = []
    value, report = reported(parts.append, NUMBERS, initial, combine=parts.extended)
    assert value == NUMBERS
    assert initial == []
    assert any("changes its arguments" in text for text in report.verdict.remarks)


def test_lines_of_a_file_are_counted_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("".join(f"wörd {x % 7}{'' if x % 5 else ' '}\r\n" for x in range(900)) + "no end", newline="")
    expected = Counter(path.read_text().split())
    for mode in ("sequential", "parallel"):
        chunks = whilst.chunks(path, at="line")
        assert whilst.reduce(parts.count_line, chunks, Counter, combine=operator.add, mode=mode) == expected


def test_an_iterable_is_folded_as_it_comes_and_not_held() -> None:
    """What is alive at once is counted: elements in a worker's hands, never all of them."""
    alive = most = 0

    class Element:
        def __init__(self) -> None:
            nonlocal alive, most
            alive += 1
            most = max(most, alive)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    total = whilst.reduce(operator.add, (Element() for _ in range(30_000)), 0, of=lambda _: 1, mode="sequential")
    assert total == 30_000
    assert most < 3 * 4096


@pytest.mark.parametrize("mode", ["sequential", "parallel"])
def test_what_raises_names_its_element(mode: Any) -> None:
    with pytest.raises(TypeError) as caught:
        whilst.reduce(operator.add, [1] * 500 + ["x"] + [1] * 500, 0, mode=mode)
    assert any("element 4 of its part, 'x'" in note for note in caught.value.__notes__)
    with pytest.raises(ZeroDivisionError) as divided:
        whilst.reduce(operator.add, range(1000), 0, of=lambda x: 1 // (x - 700), mode=mode)
    assert any("700" in note for note in divided.value.__notes__)


def test_a_stop_iteration_does_not_cut_the_fold_short() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        whilst.reduce(operator.add, range(300), 0, of=lambda x: x if x < 200 else next(iter(())))


def test_arrays_are_folded_element_by_element() -> None:
    rows = np.arange(600.0).reshape(100, 6)
    found = whilst.reduce(np.add, rows, lambda: np.zeros(6))
    assert np.allclose(found, rows.sum(axis=0))


def test_nothing_gives_the_initial_value_or_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for nothing in ([], range(0), iter(()), tmp_path / "empty"):
        assert whilst.reduce(operator.add, nothing, 0) == 0
    assert whilst.reduce(operator.add, [], list) == []
    with pytest.raises(TypeError, match="no initial value"):
        whilst.reduce(operator.add, [])


def test_more_parts_than_elements_are_as_many_as_there_are() -> None:
    value, report = reported(operator.add, [1, 2, 3], parts=50)
    assert (value, report.parts) == (6, 3)


def test_bad_input_is_said_at_once() -> None:
    async def later(value: int, x: int) -> int:
        return value + x

    with pytest.raises(TypeError, match="takes a function for step"):
        whilst.reduce(3, [1])
    with pytest.raises(TypeError, match="gives a coroutine"):
        whilst.reduce(later, [1])
    with pytest.raises(ValueError, match="needs all of its parts"):
        whilst.reduce(operator.add, [1], errors="return")
    with pytest.raises(SplitError, match="were cut already"):
        whilst.reduce(operator.add, whilst.chunks([1, 2]), parts=2)
    with pytest.raises(SplitError, match="can't be made for each part"):
        whilst.reduce(operator.add, [1], (x for x in ()))
    with pytest.raises(TypeError, match="did you mean 'workers'"):
        whilst.reduce(operator.add, [1], worker=3)
    pandas = pytest.importorskip("pandas")
    with pytest.raises(TypeError, match="itertuples"):
        whilst.reduce(operator.add, pandas.DataFrame({"a": [1]}))


def test_a_journal_keeps_what_parts_gave(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()

    def of(x: int) -> int:
        (calls / str(x)).touch()
        return x

    for _ in range(2):
        found = whilst.reduce(
            operator.add, range(10), 0, of=of, check=False, mode="sequential", journal=tmp_path / "journal"
        )
        assert found == 45
        made = len(list(calls.iterdir()))
        for each in calls.iterdir():
            each.unlink()
    assert made == 0


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ({}, {"of": parts.tenth}),
        ({"of": parts.square}, {"of": parts.tenth}),
        ({"of": lambda x: x + 1}, {"of": lambda x: x + 2}),
        ({"of": lambda x: abs(x)}, {"of": lambda x: int(x)}),
        ({"of": partial(pow, 2)}, {"of": partial(pow, 3)}),
        ({"step": parts.subtract}, {}),
        ({"initial": 1}, {}),
    ],
)
def test_a_journal_is_of_one_reduction(tmp_path: Path, first: dict[str, Any], other: dict[str, Any]) -> None:
    def total(step: Any = operator.add, initial: Any = 0, of: Any = None) -> Any:
        journal = tmp_path / "journal"
        return whilst.reduce(step, range(9), initial, of=of, check=False, mode="sequential", journal=journal)

    assert total(**first) == total(**first)
    with pytest.raises(whilst.JournalError, match="is of function"):
        total(**other)


def test_that_a_step_changes_what_it_folds_into_is_nothing_that_processes_lose() -> None:
    reports: list[SplitReport] = []
    whilst.reduce(parts.count_word, WORDS, Counter, combine=operator.add, mode="parallel", report=reports.append)
    assert [report.decision.given_up for report in reports] == [()]
