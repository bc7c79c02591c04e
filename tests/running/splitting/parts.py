"""Functions that the tests of splitting divide: in a module of their own, as a user's would be."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import count
from typing import Any


def subtract(value: Any, x: Any) -> Any:
    return value - x


def running_mean(value: float, x: float) -> float:
    return (value + x) / 2


def mean_and_count(value: tuple[Fraction, int], x: int) -> tuple[Fraction, int]:
    mean, n = value
    return (mean * n + x) / (n + 1), n + 1


def joined_means(one: tuple[Fraction, int], other: tuple[Fraction, int]) -> tuple[Fraction, int]:
    n = one[1] + other[1]
    return ((one[0] * one[1] + other[0] * other[1]) / n if n else Fraction(0)), n


def append(value: list[Any], x: Any) -> list[Any]:
    value.append(x)
    return value


def extended(one: list[Any], other: list[Any]) -> list[Any]:
    one.extend(other)
    return one


def reversed_join(one: list[Any], other: list[Any]) -> list[Any]:
    return other + one


def remember_last(value: dict[Any, Any], x: int) -> dict[Any, Any]:
    value[x % 5] = x
    return value


def later_wins(one: dict[Any, Any], other: dict[Any, Any]) -> dict[Any, Any]:
    return {**one, **other}


def earlier_wins(one: dict[Any, Any], other: dict[Any, Any]) -> dict[Any, Any]:
    return {**other, **one}


def in_another_order(one: dict[Any, Any], other: dict[Any, Any]) -> dict[Any, Any]:
    both = {**one, **other}
    return {key: both[key] for key in {**other, **one}}


def count_word(value: Counter[Any], x: Any) -> Counter[Any]:
    value[x] += 1
    return value


def count_line(value: Counter[str], line: str) -> Counter[str]:
    value.update(line.split())
    return value


def longest_run(value: tuple[int, Any, int], x: Any) -> tuple[int, Any, int]:
    """(longest so far, last element, its run): a join must know the first run as well."""
    best, last, run = value
    run = run + 1 if x == last else 1
    return max(best, run), x, run


def worse_longest_run(one: tuple[int, Any, int], other: tuple[int, Any, int]) -> tuple[int, Any, int]:
    return max(one[0], other[0]), other[1], other[2]


def differences(value: list[int], x: int) -> list[int]:
    """Each element minus the one before: (what was found ..., last element)."""
    return [*value[:-1], x - value[-1], x] if value else [x]


def concatenated(one: list[Any], other: list[Any]) -> list[Any]:
    return one + other


def top_three(value: list[int], x: int) -> list[int]:
    return sorted([*value, x])[-3:]


def joined_top_three(one: list[int], other: list[int]) -> list[int]:
    return sorted(one + other)[-3:]


def middle_of_three(value: list[int], x: int) -> list[int]:
    three = sorted([*value, x])
    return three[1:] if len(three) > 3 else three


_numbers = count()


def numbered(value: list[Any], x: Any) -> list[Any]:
    return [*value, (next(_numbers), x)]


class Remembering:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, value: int, x: int) -> int:
        self.calls += 1
        return value + x * self.calls


def square(x: int) -> int:
    return x * x


def tenth(x: int) -> float:
    return x / 10
