"""Whether and when a call that raised is made again, decided without a clock."""

from __future__ import annotations

import email.message
import email.utils
import urllib.error
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from whilst.running.core.pacing.retrying import BASE_S, LONGEST_S, Retrying, retry_after_s

NOW_S = 1_700_000_000.0


class Busy(Exception):
    retry_after: Any = None


def saying(retry_after: object) -> Busy:
    error = Busy("busy")
    error.retry_after = retry_after
    return error


def test_a_call_is_made_again_as_often_as_asked_and_after_nothing_else() -> None:
    retrying = Retrying((Busy, KeyError), 2)
    assert retrying.wait_s(0, ValueError()) is None
    assert retrying.wait_s(0, Busy()) is not None
    assert retrying.wait_s(0, KeyError()) is not None
    assert retrying.wait_s(0, Busy()) is None
    assert retrying.wait_s(1, Busy()) is not None, "each call has its own count"
    assert retrying.said().startswith("3 attempts more (2 after Busy, 1 after KeyError), with waits of ")


def test_a_call_that_was_lost_with_its_worker_has_used_up_an_attempt() -> None:
    retrying = Retrying((Busy,), 1)
    retrying.tried[7] = 1
    assert retrying.wait_s(7, Busy()) is None


def test_waits_are_drawn_from_ranges_that_double() -> None:
    waits: list[list[float]] = [[] for _ in range(14)]
    for seed in range(200):
        retrying = Retrying((Busy,), 14, seed=seed)
        for drawn in waits:
            wait_s = retrying.wait_s(3, Busy())
            assert wait_s is not None
            drawn.append(wait_s)
    for attempt, drawn in enumerate(waits):
        most_s = min(LONGEST_S, BASE_S * 2**attempt)
        assert 0 <= min(drawn) < 0.05 * most_s, "full jitter: from nothing"
        assert 0.95 * most_s < max(drawn) <= most_s, "to the whole range"


def test_a_seed_repeats_the_waits_whatever_the_order_of_the_calls() -> None:
    def waits(order: list[int]) -> dict[int, float | None]:
        retrying = Retrying((Busy,), 1, seed=5)
        return {number: retrying.wait_s(number, Busy()) for number in order}

    assert waits([0, 1, 2]) == waits([2, 0, 1])
    assert len(set(waits([0, 1, 2]).values())) == 3


def test_what_was_tried_stands_in_notes_of_the_last_error() -> None:
    retrying = Retrying((Busy,), 2, seed=1)
    for text in ("one", "two"):
        retrying.wait_s(4, Busy(text))
    last = Busy("three")
    assert retrying.wait_s(4, last) is None
    retrying.settle(4, last)
    first, second, end = last.__notes__
    assert first.startswith("whilst: attempt 1 raised Busy: 'one'; made again 32.7 ms later")
    assert second.startswith("whilst: attempt 2 raised Busy: 'two'; made again 179 ms later")
    assert end == "whilst: attempt 3 was the last (retries=2)"


def test_an_error_after_no_other_attempt_gets_no_note_and_a_result_needs_none() -> None:
    retrying = Retrying((Busy,), 2)
    error = ValueError()
    retrying.settle(0, error)
    retrying.wait_s(1, Busy())
    retrying.settle(1, None)
    retrying.settle(1, error)
    assert not hasattr(error, "__notes__")
    assert not retrying.tried


def test_retry_after_is_waited_for_and_the_drawn_time_besides() -> None:
    retrying = Retrying((Busy,), 1, seed=1, now_s=lambda: NOW_S)
    plain = Retrying((Busy,), 1, seed=1)
    drawn_s = plain.wait_s(0, Busy())
    assert drawn_s is not None
    assert retrying.wait_s(0, saying(20)) == pytest.approx(20 + drawn_s)


HEADERS = email.message.Message()
HEADERS["Retry-After"] = "3"


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (saying(2.5), 2.5),
        (saying(timedelta(seconds=4)), 4.0),
        (saying("7"), 7.0),
        (saying(email.utils.formatdate(NOW_S + 90, usegmt=True)), 90.0),
        (saying(email.utils.formatdate(NOW_S - 90, usegmt=True)), 0.0),
        (saying(-1), 0.0),
        (urllib.error.HTTPError("http://x", 429, "too many", HEADERS, None), 3.0),
        (SimpleNamespace(headers={"retry-after": "8"}), 8.0),
        (SimpleNamespace(response=SimpleNamespace(headers={"Retry-After": "9"})), 9.0),
        (SimpleNamespace(headers=None, response=None), None),
        (saying("soon"), None),
        (saying(float("nan")), None),
        (saying(float("inf")), None),
        (saying(True), None),
        (SimpleNamespace(headers=3), None),
        (ValueError(), None),
    ],
)
def test_retry_after_is_read_where_libraries_put_it(error: Any, seconds: float | None) -> None:
    assert retry_after_s(error, NOW_S) == (seconds if seconds is None else pytest.approx(seconds))
