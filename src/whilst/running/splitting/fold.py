"""The call that is made of each part: its elements folded, one after the other, by the user's functions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from operator import length_hint
from typing import Any

from whilst._light import Record
from whilst.running.call_names import add_note, name_of, short
from whilst.running.splitting.files import FilePart


class _Nothing:
    """No value was given: a signature shows this."""

    def __repr__(self) -> str:
        return "<the first item>"


NOTHING = _Nothing()
"""Stands for an initial value where there is none."""
_AT_ONCE = 4096
_KIND_OF_ALL: dict[type, type] = {range: int, str: str, bytes: int, bytearray: int}
"""All elements of these are of one type, so that nobody need look."""


class Partial(Record):
    """What a part gave: its value, and the types of the elements that were folded where those were looked at."""

    value: Any
    kinds: frozenset[type] = frozenset()


def fold_part(
    step: Callable[[Any, Any], Any],
    of: Callable[[Any], Any] | None,
    start: Callable[[], Any] | None,
    part: Iterable[Any],
    *,
    sees_types: bool = False,
) -> Partial:
    """Fold a part, from `start()` on; from its first element on where there is no start.

    What `of` or `step` raises gets a note that names the element. `sees_types`: the types that are folded are gathered.
    """
    begun = NOTHING if start is None else start()
    return Partial(*continue_fold(step, of, begun, part, sees_types=sees_types))


def continue_fold(
    step: Callable[[Any, Any], Any],
    of: Callable[[Any], Any] | None,
    value: Any,
    part: Iterable[Any],
    *,
    sees_types: bool = False,
) -> tuple[Any, frozenset[type]]:
    """Go on from `value` (NOTHING: from the first element) with a part; return where that ends, and the types."""
    kinds: set[type] = set()
    if sees_types and of is None and type(part) in _KIND_OF_ALL:
        kinds.add(_KIND_OF_ALL[type(part)])
        sees_types = False
    before = 0
    # The loops are C's: between two elements there is nothing but the user's functions.
    for block in _blocks(part, sees_types):
        items: Iterator[Any] = iter(block)
        values = items if of is None else map(of, items)
        try:
            if sees_types:
                known = block if of is None else list(values)
                if of is not None:
                    _require_all_used(items)
                    values = items = iter(known)
                kinds.update(map(type, known))
            if value is NOTHING:
                value = next(values)
            value = reduce(step, values, value)
            _require_all_used(items)
        except Exception as error:
            drawn = len(block) - length_hint(items)
            what = f"element {before + drawn - 1} of its part, {short(block[drawn - 1])}"
            add_note(error, f"whilst: raised at {what}, in a fold by {name_of(step)}")
            raise
        before += len(block)
    return value, frozenset(kinds)


def _require_all_used(items: Iterator[Any]) -> None:
    """A StopIteration out of `of` would otherwise pass for the end of the part."""
    if length_hint(items):
        raise RuntimeError("a function raised StopIteration, which would end the fold before the end of the part")


def _blocks(part: Iterable[Any], in_pieces: bool) -> Iterator[Sequence[Any]]:
    """The part as sequences whose iterators know how much is left: that is how an error finds its element."""
    if isinstance(part, FilePart):
        yield from part.blocks()
        return
    if not (type(part) in (list, tuple, range, str, bytes, bytearray) or _is_array(part)):
        part = list(part)
    sequence: Sequence[Any] = part  # type: ignore[assignment]
    if not in_pieces or len(sequence) <= _AT_ONCE:
        yield sequence
        return
    for start in range(0, len(sequence), _AT_ONCE):
        yield sequence[start : start + _AT_ONCE]


def _is_array(part: object) -> bool:
    numpy: Any = sys.modules.get("numpy")
    return numpy is not None and type(part) is numpy.ndarray
