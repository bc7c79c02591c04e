"""What a value weighs when it is sent, and what can't be."""

from __future__ import annotations

import threading
from collections import namedtuple

import pytest

from whilst.measuring import payload
from whilst.measuring.payload import measure

Row = namedtuple("Pandas", ["a", "b"])  # type: ignore[name-match]  # called otherwise than it can be found, as pandas does  # noqa: PYI024


def test_a_row_whose_class_was_made_for_its_table_can_be_sent() -> None:
    weight = measure(Row(1, "x"), "its argument")
    assert not weight.why_not
    assert weight.total_bytes > 0


def test_a_row_that_holds_what_no_pickle_can_hold_can_not() -> None:
    assert "can't be pickled" in measure(Row(1, threading.Lock()), "its argument").why_not


def test_what_a_pickle_of_nothing_takes_is_not_laid_to_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls of a batch share one."""
    monkeypatch.setattr(payload.time, "perf_counter", iter([0.0, 9.0, 9.0, 12.0, 17.0]).__next__)
    assert measure(1, "its argument").pickle_s == 2.0
