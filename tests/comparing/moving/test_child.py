"""What the bare child says of results: the same text for the same value in every Python, or that nobody can be sure."""

from __future__ import annotations

import datetime
import decimal
import enum
import subprocess
import sys
import types
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from whilst.comparing.moving import child


class Pair(NamedTuple):
    left: int
    right: int


class Colour(enum.Enum):
    RED = 1


@dataclass
class Cart:
    total: float
    rows: list[object]


def digest(value: object) -> str:
    return child._digest((True, value))


def looped() -> list[object]:
    values: list[object] = [1]
    values.append(values)
    return values


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True), (1, 1.0), (0.0, -0.0), ("a", b"a"), ([1, 2], (1, 2)), ([1, [2]], [1, 2]), ({"a": 1}, {"a": 2}),
        ({1, 2}, {1, 3}), (Pair(1, 2), Pair(2, 1)), (Cart(1.5, [1]), Cart(1.5, [2])), (["ab", "c"], ["a", "bc"]),
        (decimal.Decimal("1.0"), decimal.Decimal("1.00")), (ValueError("a"), ValueError("b")),
        (np.arange(3), np.arange(3.0)), (np.zeros((2, 3)), np.zeros((3, 2))), (looped(), [1, [1]]), (None, "None"),
    ],
)  # fmt: skip
def test_different_values_have_different_digests(one: object, other: object) -> None:
    assert digest(one) != digest(other)
    assert not (digest(one) + digest(other)).count("?")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({"x", "y", "z"}, {"z", "y", "x"}), (float("nan"), float("nan")),
        (Cart(1.5, [Pair(1, 2)]), Cart(1.5, [Pair(1, 2)])), (Colour.RED, Colour.RED), (looped(), looped()),
        (datetime.date(2026, 1, 2), datetime.date(2026, 1, 2)), (np.sin(np.arange(9.0)), np.sin(np.arange(9.0))),
        (OrderedDict(a=1), OrderedDict(a=1)), ([[1], [1]], [[1]] * 2), ("\ud800", "\ud800"),
    ],
)  # fmt: skip
def test_equal_values_have_one_digest(one: object, other: object) -> None:
    assert digest(one) == digest(other)
    assert "?" not in digest(one)


def test_what_cannot_be_read_or_is_of_a_library_is_not_said_to_differ_for_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert digest(iter(lambda: 1, 2)).startswith("?")
    module = types.ModuleType("lib")
    module.__file__ = "/usr/lib/python3/site-packages/lib.py"
    monkeypatch.setitem(sys.modules, "lib", module)
    made = type("Frame", (), {"__module__": "lib"})()
    module.Frame = type(made)  # type: ignore[attr-defined]
    assert digest(made).startswith("?")
    assert digest([{"deep": made}]).startswith("?")


def test_it_needs_the_standard_library_only(tmp_path: Path) -> None:
    """And what stands beside it hides no module of the user's."""
    (tmp_path / "move.py").write_text("def double(item): return 2 * item\n")
    (tmp_path / "asked.json").write_text(
        '{"target": "move:double", "items": [1, "a"], "ways": ["loop", "thread pool"], "threads": 2, "processes": 2}'
    )
    command = [sys.executable, "-I", "-S", child.__file__, "asked.json", "said.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    report = child.json.loads((tmp_path / "said.json").read_text())
    assert report["ways"]["loop"]["shown"] == report["ways"]["thread pool"]["shown"] == ["2", "'aa'"]
    assert report["ways"]["loop"]["digests"] == [digest(2), digest("aa")]
    assert report["culprits"] == []


def test_integers_too_long_for_decimals_have_digests() -> None:
    assert digest(10**5000) == digest(10**5000) != digest(10**5000 + 1)
    assert "?" not in digest(10**5000)
