"""Tests of what two items have in common, and calls change."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from whilst.measuring.shared_parts import share_parts


class Account:
    def __init__(self) -> None:
        self.total = 0


@dataclass(frozen=True)
class Settings:
    limit: int = 3


COMMON: dict[str, Any] = {
    "an object": Account(),
    "a list": [1, 2],
    "an iterator": itertools.count(),
    "an array": np.zeros(4),
}


@pytest.mark.parametrize("name", COMMON)
def test_what_two_items_hold_is_shared(name: str) -> None:
    assert share_parts([(COMMON[name], 1), {"held": COMMON[name]}])


def test_views_of_the_same_memory_are_shared() -> None:
    base = np.arange(100)
    assert share_parts([base[k : k + 20] for k in range(0, 100, 10)])
    assert not share_parts([base[k : k + 10] for k in range(0, 100, 10)])
    assert not share_parts(list(base.reshape(10, 10)[::-1]))


@pytest.mark.parametrize(
    "items",
    [
        [[k] for k in range(9)],
        [(Settings(), "text", 5, None, len, int)] * 9,
        [np.arange(9) for _ in range(9)],
        [],
    ],
)
def test_what_nobody_can_change_or_each_has_for_itself_is_not_shared(items: Sequence[object]) -> None:
    assert not share_parts(items)


def test_only_what_calls_change_counts() -> None:
    account = Account()
    items = [{"account": account, "paid": []} for _ in range(5)]
    assert share_parts(items, lambda part: type(part) is Account)
    assert not share_parts(items, lambda part: type(part) is list)
