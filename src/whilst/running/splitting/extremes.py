"""Extremer values than the first parts gave, to try a combine on: some are wrong on rare values alone.

All are made by the combine itself, of real partial results and of single elements folded by themselves, as finer parts
would give them: in another order, with themselves and the initial value, and doubled until they stand for as many
parts as there are. So a sum meets the bound that it is held to, and a list its greatest length. Nothing else is made
up: where no partial result is negative, none that is tried is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

_TRIPLES: Final = 240
_KEPT: Final = 48
"""So many values at most are held at once."""
_DOUBLED: Final = 4
"""Of so many of them multiples are made."""
_ELEMENTS: Final = 16
"""Of so many elements at a cut the folds by themselves are tried."""


def extreme_triples(
    values: Sequence[Any], join: Callable[[Any, Any], Any], parts: int
) -> Iterator[tuple[Any, Any, Any]]:
    """Triples of values and of what those combine to, in an order that depends on nothing else.

    Args:
        values: one at least.
        join: combines two of them, and leaves them as they are; one that it raises on is left out.
        parts: none stands for more of `values` than this.
    """
    pool = [(1, value) for value in values]
    for value in _outermost(values):
        count = 1
        with suppress(Exception):  # not all that can be joined is joined in this program
            while 2 * count <= parts and len(pool) < _KEPT:
                count, value = 2 * count, join(value, value)
                pool.append((count, value))
    draws = random.Random(len(pool))  # noqa: S311 - the same triples each time
    for _ in range(_TRIPLES):
        (some, one), (more, two), (_, three) = draws.choices(pool, k=3)
        yield one, two, three
        if some + more <= parts and len(pool) < _KEPT:
            with suppress(Exception):
                pool.append((some + more, join(one, two)))


def outer_elements(elements: Sequence[Any]) -> list[Any]:
    """A few of them in their order: the first ones, and of numbers the least and the greatest."""
    chosen = set(range(min(len(elements), _ELEMENTS - 2)))
    if elements and all(type(each) in (int, float) for each in elements):
        chosen |= {elements.index(min(elements)), elements.index(max(elements))}
    return [elements[number] for number in sorted(chosen)]


def _outermost(values: Sequence[Any]) -> list[Any]:
    found = [values[0], values[-1]]
    with suppress(Exception):  # not all can be put in an order
        found = [max(values), min(values), *found]
    return found[:_DOUBLED]
