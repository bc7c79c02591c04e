"""What a combine does wrong on rare values alone is found on what real partial results combine to; its twin passes."""

from __future__ import annotations

import operator
import random
from collections import Counter
from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import pytest

import whilst
from whilst import SplitError, SplitReport
from whilst.running.splitting import evidence
from whilst.running.splitting.extremes import extreme_triples, outer_elements
from whilst.running.splitting.verdict import SplitAnswer

CAP = 500
DRAWS = random.Random(5)
SIGNED = [DRAWS.randint(-9, 12) for _ in range(400)]
UNSIGNED = [DRAWS.randint(0, 12) for _ in range(400)]
MOVES = [(DRAWS.choice("abcd"), DRAWS.choice((5, 5, 5, 5, -1))) for _ in range(400)]
SALES = [(name, abs(amount)) for name, amount in MOVES]
SCORES = [(DRAWS.randint(0, 40), number) for number in range(400)]


def capped(value: int, x: int) -> int:
    return min(value + x, CAP)


def not_below_zero(value: int, x: int) -> int:
    return max(value + x, 0)


def not_above_zero(value: int, x: int) -> int:
    return min(value + x, 0)


def plus(value: float, x: float) -> float:
    return value + x


def within(value: int, x: int) -> int:
    return max(-CAP, min(CAP, value + x))


def wraps(value: int, x: int) -> int:
    return (value + x) % CAP


def starts_again(value: int, x: int) -> int:
    return value + x if value + x < CAP else 0


def move(value: Counter[str], change: tuple[str, int]) -> Counter[str]:
    value[change[0]] += change[1]
    return value


def added(one: Counter[str], other: Counter[str]) -> Counter[str]:
    one.update(other)
    return one


def append(value: list[Any], x: Any) -> list[Any]:
    return [*value, x]


def keep_last(value: list[Any], x: Any, most: int = 50) -> list[Any]:
    return [*value, x][-most:]


def joined_last(one: list[Any], other: list[Any], most: int = 50) -> list[Any]:
    return (one + other)[-most:]


def joined_first(one: list[Any], other: list[Any], most: int = 50) -> list[Any]:
    return (one + other)[:most]


def drops_what_does_not_fit(one: list[Any], other: list[Any], most: int = 300) -> list[Any]:
    return one + other if len(one) + len(other) <= most else one


def first_best(value: tuple[int, int], x: tuple[int, int]) -> tuple[int, int]:
    return x if x[0] > value[0] else value


def last_best(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return other if other[0] >= one[0] else one


def total_and_count(value: tuple[int, int], x: int) -> tuple[int, int]:
    return value[0] + x, value[1] + 1


def totals(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]


def mean(value: float, x: float) -> float:
    return value + (x - value) / 10


def middle(one: float, other: float) -> float:
    return (one + other) / 2


def long_ones(value: str, x: int) -> str:
    return f"{value},{x}" if value and x > 10 else value or (str(x) if x > 10 else "")


def with_comma(one: str, other: str) -> str:
    return f"{one},{other}"


def with_comma_between(one: str, other: str) -> str:
    return f"{one},{other}" if one and other else one or other


def count_new(value: tuple[frozenset[int], int], x: int) -> tuple[frozenset[int], int]:
    seen, found = value
    return seen | {x}, found + (x not in seen)


def adds_counts(one: tuple[frozenset[int], int], other: tuple[frozenset[int], int]) -> tuple[frozenset[int], int]:
    return one[0] | other[0], one[1] + other[1]


def counts_union(one: tuple[frozenset[int], int], other: tuple[frozenset[int], int]) -> tuple[frozenset[int], int]:
    return one[0] | other[0], len(one[0] | other[0])


def first_seen(value: dict[int, int], x: tuple[int, int]) -> dict[int, int]:
    return {x[0]: x[1], **value} if x[0] not in value else value


def rise_and_fall(value: tuple[int, int], x: int) -> tuple[int, int]:
    """(lowest so far, greatest rise above it): the rise needs the highest of what comes later."""
    low, rise = value
    return min(low, x), max(rise, x - min(low, x))


def rises_by_part(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return min(one[0], other[0]), max(one[1], other[1])


def highs_and_lows(value: tuple[int, int, int], x: int) -> tuple[int, int, int]:
    low, high, rise = value
    return min(low, x), max(high, x), max(rise, x - min(low, x))


def rises_across(one: tuple[int, int, int], other: tuple[int, int, int]) -> tuple[int, int, int]:
    return min(one[0], other[0]), max(one[1], other[1]), max(one[2], other[2], other[1] - one[0])


def hashed(value: int, x: int) -> int:
    return (value * 31 + x) % 1_000_003


def hashed_with_length(value: tuple[int, int], x: int) -> tuple[int, int]:
    return (value[0] * 31 + x) % 1_000_003, value[1] * 31 % 1_000_003


def hashes_joined(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return (one[0] * other[1] + other[0]) % 1_000_003, one[1] * other[1] % 1_000_003


def rounded(one: float, other: float) -> float:
    return round(one + other, 1)


LOW, HIGH = 10**9, -(10**9)
Given = tuple[Any, ...]
# (step, items, initial or nothing, combine or None): the wrong one, and beside it the right one.
PAIRS: dict[str, tuple[Given, Given]] = {
    "a sum with a cap": ((capped, SIGNED, 0, capped), (capped, UNSIGNED, 0, capped)),
    "a cap without an initial value": ((capped, SIGNED), (capped, UNSIGNED)),
    "a cap as combine alone": ((operator.add, SIGNED, 0, capped), (operator.add, SIGNED, 0, operator.add)),
    "a sum with a floor": ((not_below_zero, SIGNED, 0, not_below_zero), (not_below_zero, UNSIGNED, 0, operator.add)),
    "a sum within bounds": ((within, SIGNED, 0, within), (within, UNSIGNED, 0, within)),
    "a sum that starts again": ((starts_again, UNSIGNED, 0, starts_again), (wraps, UNSIGNED, 0, wraps)),
    "counters that lose what is below zero": ((move, MOVES, Counter, operator.add), (move, MOVES, Counter, added)),
    "counters of sales": ((move, MOVES, Counter, operator.or_), (move, SALES, Counter, operator.add)),
    "the last ones, joined as the first ones": (
        (keep_last, UNSIGNED, list, joined_first),
        (keep_last, UNSIGNED, list, joined_last),
    ),
    "the last ones, not cut again": (
        (keep_last, UNSIGNED, list, operator.add),
        (append, UNSIGNED, list, operator.add),
    ),
    "a list that drops what does not fit": (
        (append, UNSIGNED, list, drops_what_does_not_fit),
        (append, UNSIGNED[:200], list, partial(drops_what_does_not_fit, most=10**9)),
    ),
    "the best by a key, with ties": (
        (first_best, SCORES, None, last_best),
        (first_best, SCORES, None, first_best),
    ),
    "max by a key": (
        (first_best, SCORES, None, lambda one, other: max(other, one, key=operator.itemgetter(0))),
        (first_best, SCORES, None, partial(max, key=operator.itemgetter(0))),
    ),
    "a running mean": ((mean, list(map(float, UNSIGNED)), 0.0, middle), (total_and_count, UNSIGNED, (0, 0), totals)),
    "a separator beside nothing": (
        (long_ones, UNSIGNED, "", with_comma),
        (long_ones, UNSIGNED, "", with_comma_between),
    ),
    "distinct ones counted twice": (
        (count_new, UNSIGNED, (frozenset(), 0), adds_counts),
        (count_new, UNSIGNED, (frozenset(), 0), counts_union),
    ),
    "the first that was seen": (
        (first_seen, SCORES, dict, operator.or_),
        (first_seen, SCORES, dict, lambda one, other: {**{k: v for k, v in other.items() if k not in one}, **one}),
    ),
    "the greatest rise": (
        (rise_and_fall, SIGNED, (LOW, HIGH), rises_by_part),
        (highs_and_lows, SIGNED, (LOW, HIGH, HIGH), rises_across),
    ),
    "a hash": ((hashed, UNSIGNED, 0, hashed), (hashed_with_length, UNSIGNED, (0, 1), hashes_joined)),
    "a sum that is rounded": (
        (rounded, [x / 16 for x in UNSIGNED], 0.0, rounded),
        (operator.add, [x / 16 for x in UNSIGNED], 0.0, operator.add),
    ),
    "a greatest one that is no number": (
        (max, [*map(float, SIGNED[:9]), float("nan"), *map(float, SIGNED)]),
        (max, list(map(float, SIGNED))),
    ),
    "sets of which one is taken away": (
        (operator.sub, [{x, x + 1} for x in UNSIGNED]),
        (operator.xor, [{x, x + 1} for x in UNSIGNED], set()),
    ),
}


@pytest.fixture(autouse=True)
def as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that stands still, so that no busy machine cuts the checks short."""
    for name in ("thread_time", "perf_counter"):
        monkeypatch.setattr(evidence, name, lambda: 0.0)


def reduced(step: Any, items: Any, initial: Any = None, combine: Any = None) -> tuple[Any, SplitReport]:
    reports: list[SplitReport] = []
    begun = () if initial is None else (initial,)
    found = whilst.reduce(step, items, *begun, combine=combine, mode="sequential", report=reports.append)
    return found, reports[0]


@pytest.mark.parametrize("name", PAIRS)
def test_what_is_wrong_on_rare_values_is_an_error_that_shows_three(name: str) -> None:
    with pytest.raises(SplitError) as caught:
        reduced(*PAIRS[name][0])
    assert len(caught.value.values) == 3


@pytest.mark.parametrize("name", PAIRS)
def test_its_right_twin_gives_what_the_loop_gives(name: str) -> None:
    step, items, *others = PAIRS[name][1]
    initial = others[0] if others else None
    found, report = reduced(step, items, *others)
    begun = () if initial is None else (initial() if callable(initial) else initial,)
    expected = reduce(step, items, *begun)
    assert found == pytest.approx(expected) if isinstance(expected, float) else found == expected
    assert report.verdict


def test_floats_that_cancel_out_are_no_error() -> None:
    """Each part is far from zero, and all of them together are next to it."""
    swing = [x * 1.1 for x in (3e5, -3e5, 7e5, -7e5)] * 100
    found, report = reduced(operator.add, [*swing, 1e-6], 0.0)
    assert found == pytest.approx(1e-6, abs=1e-9)
    assert report.verdict.answer == "not refuted"


def test_a_combine_that_takes_only_some_values_is_left_to_them() -> None:
    """It would raise on most of what could be made of them, and on none of what there is."""

    def run_on(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
        if one[1] != other[0]:
            raise ValueError("no neighbours")
        return one[0], other[1]

    found, report = reduced(run_on, [(x, x + 1) for x in range(300)])
    assert found == (0, 300)
    assert report.verdict.triples >= 60


def test_the_check_leaves_elements_that_step_changes_as_they_are() -> None:
    def take(value: list[int], queue: list[int]) -> list[int]:
        return [*value, queue.pop()]

    queues = [[x, x + 1] for x in range(200)]
    found, _ = reduced(take, queues, list, operator.add)
    assert found == list(range(1, 201))


def test_what_was_tried_is_counted() -> None:
    _, report = reduced(move, SALES, Counter, operator.add)
    # 62 neighbours, 4 at the cuts, and twice 240 of what they combine to.
    assert (report.verdict.triples, report.verdict.reason) == (
        546,
        "on 546 triples of 64 partial results, 484 of them of what those combine to",
    )


def test_multiples_stand_for_no_more_parts_than_there_are() -> None:
    joined: list[int] = []

    def join(one: int, other: int) -> int:
        joined.append(one + other)
        return one + other

    triples = list(extreme_triples([1], join, 64))
    assert max(joined) == 64
    assert max(max(triple) for triple in triples) == 64
    assert triples == list(extreme_triples([1], join, 64))


def test_of_elements_the_first_are_tried_and_the_least_and_greatest_number() -> None:
    assert outer_elements([*range(100), 10**6, -5]) == [*range(14), 10**6, -5]
    assert outer_elements([(x,) for x in range(30)]) == [(x,) for x in range(14)]
    assert outer_elements([]) == []


RARE = [1] * 60_000 + [-90_000] + [1] * 60_000


@pytest.mark.parametrize(("items", "step"), [(RARE, not_below_zero), ([-each for each in RARE], not_above_zero)])
def test_what_one_element_alone_shows_is_found_in_the_part_that_it_made_extreme(
    items: list[int], step: Callable[[int, int], int]
) -> None:
    with pytest.raises(SplitError, match="Whole and parts differ"):
        whilst.reduce(step, items, 0, mode="sequential")


def test_its_twin_of_the_same_values_passes() -> None:
    reports: list[SplitReport] = []
    for items in (RARE, [float(each) for each in RARE]):
        assert whilst.reduce(plus, items, 0, mode="sequential", report=reports.append) == sum(items)
    assert {each.verdict.answer for each in reports} == {SplitAnswer.NOT_REFUTED}


def test_a_combine_that_refuses_what_never_comes_is_not_refuted_by_it() -> None:
    def no_more_than_there_are(value: int, x: int) -> int:
        assert value + x <= len(RARE)
        return value + x

    assert whilst.reduce(no_more_than_there_are, [1] * len(RARE), 0, mode="sequential") == len(RARE)
