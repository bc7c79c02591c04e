"""What runs in pairs allow to be said: proved, not worth it, or not to be told. Times are made up."""

from __future__ import annotations

import random

import pytest

from whilst.seeing.advising.proving import FEWEST_PAIRS, LEAST_GAIN, MOST_PAIRS, Gain, gain_of


def told(before_s: list[float], after_s: list[float]) -> tuple[Gain, int]:
    """Pair after pair, as long as one more may tell."""
    for pairs in range(2, len(before_s) + 1):
        gain = gain_of(before_s[:pairs], after_s[:pairs])
        if gain.is_proved is not None:
            return gain, pairs
    raise AssertionError("it never ends")


def test_a_gain_that_every_pair_shows_is_proved_by_the_fewest() -> None:
    gain, pairs = told([1.0, 1.02, 0.99, 1.0], [0.5, 0.51, 0.5, 0.5])
    assert (gain.is_proved, pairs) == (True, FEWEST_PAIRS)
    assert gain.ratio == pytest.approx(2.0, abs=0.05)
    assert LEAST_GAIN < gain.low < gain.ratio


def test_what_is_as_quick_as_before_is_dropped_by_the_fewest() -> None:
    gain, pairs = told([1.0, 1.02, 0.99], [0.98, 1.0, 0.97])
    assert (gain.is_proved, pairs) == (False, FEWEST_PAIRS)
    assert gain.words == "it was 1.02 times as fast when it was run"


def test_runs_that_differ_too_much_prove_nothing() -> None:
    """By the mean and by the quickest runs it is faster."""
    gain, pairs = told([1.0, 3.0, 1.0, 2.5, 1.0, 2.8, 1.0, 3.0], [0.8, 0.9, 1.4, 0.8, 0.9, 1.3, 1.2, 0.8])
    assert (gain.is_proved, pairs) == (False, MOST_PAIRS)
    assert gain.ratio > LEAST_GAIN
    assert "its runs differ too much" in gain.words


def test_a_machine_that_is_busy_while_one_side_runs_proves_nothing() -> None:
    """The quickest runs say otherwise than the pairs do."""
    gain = gain_of([1.0, *[2.0] * 7], [1.0] * 8)
    assert gain.low > LEAST_GAIN
    assert gain.is_proved is False


@pytest.mark.parametrize("true_ratio", [0.7, 0.9, 1.0])
def test_under_load_what_is_not_faster_is_not_accepted(true_ratio: float) -> None:
    """A thousand times, with runs that load makes up to three times as long: less often than once in a hundred."""
    chance = random.Random(7)
    accepted = 0
    for _ in range(1000):
        before = [1.0 + 2.0 * chance.random() ** 3 for _ in range(MOST_PAIRS)]
        after = [(1.0 + 2.0 * chance.random() ** 3) / true_ratio for _ in range(MOST_PAIRS)]
        accepted += told(before, after)[0].is_proved is True
    assert accepted < 10
