"""When two modes gave the same, when not, and when that can't be told."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

import numpy as np
import pytest

from whilst.comparing.outcomes import Failure, Outcome, describe_difference, is_same


@dataclass
class Point:
    x: float
    tags: list[str]


class Plain:
    def __init__(self, value: object) -> None:
        self.value = value


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


class Moody:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not today")

    __hash__ = None  # type: ignore[assignment]


NAN = math.nan
SAME = [
    (1, 1),
    (1, 1.0),
    (NAN, float("nan")),
    ([1, NAN, ("a",)], [1, float("nan"), ("a",)]),
    ({"a": [NAN]}, {"a": [float("nan")]}),
    ({1, 2}, {2, 1}),
    (Point(NAN, ["a"]), Point(float("nan"), ["a"])),
    (Plain([1]), Plain([1])),
    (Slotted(NAN), Slotted(float("nan"))),
    (np.array([1.0, NAN]), np.array([1.0, float("nan")])),
    (np.array(["a", None], dtype=object), np.array(["a", None], dtype=object)),
    (np.float32(2), np.float32(2)),
    (np.zeros((2, 0)), np.zeros((2, 0))),
    (ValueError("x"), ValueError("x")),
    (None, None),
]
DIFFERENT = [
    (1, 2),
    ("a", b"a"),
    ([1], [1, 2]),
    ([1, 2], (1, 2)),
    ({"a": 1}, {"b": 1}),
    ({1}, {2}),
    (Point(1, []), Point(2, [])),
    (Plain(1), Plain(2)),
    (Slotted(1), Slotted(2)),
    (np.array([1, 2]), np.array([1, 3])),
    (np.array([1, 2]), np.array([1, 2], dtype=float)),
    (np.zeros(3), np.zeros((3, 1))),
    (ValueError("x"), ValueError("y")),
    (ValueError("x"), TypeError("x")),
    (None, 0),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_equal_values_are_the_same(one: object, other: object) -> None:
    assert is_same(one, other) is True


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_values_are_not(one: object, other: object) -> None:
    assert is_same(one, other) is False


def test_what_has_no_equality_is_unknown() -> None:
    assert is_same(threading.Lock(), threading.Lock()) is None
    assert is_same([1, threading.Lock()], [1, threading.Lock()]) is None
    assert is_same([1, threading.Lock()], [2, threading.Lock()]) is False
    assert is_same(Moody(), Moody()) is None


def test_a_value_that_holds_itself_does_not_hang() -> None:
    one: list[object] = []
    other: list[object] = []
    one.append(one)
    other.append(other)
    assert is_same(one, other) is None


def test_the_first_difference_is_named() -> None:
    first = [Outcome(1), Outcome(2), Outcome(3)]
    assert describe_difference(first, list(first)) == "same"
    text = describe_difference(first, [Outcome(1), Outcome(7), Outcome(8)])
    assert text == "differs for 2 of 3 items: item 1 gave 7, not 2"
    failed = Outcome(failure=Failure.of(KeyError("k")))
    assert describe_difference(first, [*first[:2], failed]) == "differs: item 2 gave the exception KeyError: 'k', not 3"
    assert describe_difference([failed], [Outcome(failure=Failure.of(KeyError("k")))]) == "same"


def test_a_broken_message_or_repr_breaks_no_report() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

        __repr__ = __str__

    assert "can't be read" in str(Failure.of(Broken()))
    assert "Broken" in describe_difference([Outcome(1)], [Outcome(Broken())])
