"""Tests of what is memory and nothing else."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from whilst.measuring.inheriting import is_only_memory

AROUND: dict[str, Any] = {
    "a list": lambda within: [*range(500), within, *range(500)],
    "a tuple of tuples": lambda within: (*zip(range(500), range(500), strict=True), (1, [within]), *[(2,)] * 500),
    "a dict": lambda within: {**{k: k for k in range(500)}, "here": within, **{str(k): k for k in range(500)}},
    "keys": lambda within: {**{k: k for k in range(500)}, within: 1, **{str(k): k for k in range(500)}},
}


@pytest.mark.parametrize("name", AROUND)
def test_what_stands_in_the_middle_of_a_long_container_is_seen(name: str) -> None:
    with open(__file__, encoding="utf-8") as file:  # noqa: PTH123 - a plain open file is meant
        assert not is_only_memory([AROUND[name](1), AROUND[name](file)])
    assert not is_only_memory([AROUND[name](itertools.count())])
    assert is_only_memory([AROUND[name](1)] * 2)
