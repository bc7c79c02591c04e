"""What a call writes that outlives it is named, with the place; what it makes for itself is not."""

from __future__ import annotations

from functools import partial

import pytest

from whilst.checking import effects_of

visited: set[str] = set()
total = 0


class Tally:
    count = 0

    def __init__(self) -> None:
        self.n = 0

    def bump(self) -> None:
        self.n += 1


def pure(text: str) -> str:
    words: dict[str, int] = {}
    for word in text.split():
        words[word] = words.get(word, 0) + 1
    tally = Tally()
    tally.bump()
    return str(words)


def visit(name: str) -> None:
    visited.add(name)


def add(number: int) -> None:
    global total
    total += number


def count() -> None:
    Tally.count += 1


def fill(items: list[int]) -> None:
    items.append(1)


def fail() -> None:
    visited.add("x")
    raise LookupError


@pytest.mark.parametrize(
    ("call", "written"),
    [
        (partial(pure, "a b a"), []),
        (partial(visit, "a"), ["visited"]),
        (partial(add, 3), ["total"]),
        (count, ["Tally.count"]),
        (partial(fill, [1]), ["argument 1"]),
        (Tally().bump, ["self"]),
        (fail, ["visited"]),
    ],
    ids=["pure", "a global set", "a global number", "a class attribute", "an argument", "its own object", "raises"],
)
def test_writes_that_outlive_a_call_are_named(call: object, written: list[str]) -> None:
    effects = effects_of(call)  # type: ignore[arg-type]
    assert [effect.what for effect in effects] == written
    assert all("test_outliving.py:" in effect.where for effect in effects)
    assert all(effect.is_confirmed for effect in effects)
