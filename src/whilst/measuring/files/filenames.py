"""Which part of its item a file's name is made of, and whether other items have the same.

A name that a call writes is held against the items to come: is it that item's alone? Names that count up from call
to call while nothing in the items does are those of the next free place: which one a call finds depends on the others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

_MOST_ITEMS: Final = 4096
_ENOUGH_STEPS: Final = 2
_MOST_NUMBERS: Final = 64
_LONGEST: Final = 512
_NUMBER: Final = re.compile(r"[0-9]+")


def features_in(path: str, item: object) -> tuple[tuple[object, ...], ...]:
    """Which parts of the item its file's name is made of: keys as `_features` gives them."""
    end = "/".join(path.rsplit(os.sep, 2)[-2:])  # what stands further up is the same for all
    name = os.path.basename(path)  # noqa: PTH119
    words = {*re.split(r"[^0-9A-Za-z]+", end), *re.findall(r"[0-9]+|[A-Za-z]+", name)}
    found = []
    for key, text in _features(item):
        if text and (text in words or (len(text) > 3 and text in end) or text == path):
            found.append(key)
    return tuple(found)


def _features(item: object, depth: int = 2) -> Iterator[tuple[tuple[object, ...], str]]:
    """What of an item may stand in a file's name, each under a key."""
    if isinstance(item, (str, int, float, os.PathLike)):
        text = os.fsdecode(item) if isinstance(item, os.PathLike) else str(item)
        yield (), text
        if not isinstance(item, (int, float)):
            name = os.path.basename(text)  # noqa: PTH119 - pathlib would be imported for it
            yield ("name",), name
            yield ("stem",), os.path.splitext(name)[0]  # noqa: PTH122
    elif depth > 0:
        for key, part in _parts(item):
            for inner, text in _features(part, depth - 1):
                yield (key, *inner), text


def _parts(item: object) -> list[tuple[object, object]]:
    if isinstance(item, Mapping):
        return list(item.items())[:32]
    if isinstance(item, (tuple, list)):
        return list(enumerate(item[:32]))
    own = getattr(item, "__dict__", None)
    return list(own.items())[:32] if isinstance(own, dict) else []


def is_alone(keys: tuple[tuple[object, ...], ...], item: object, rest: Sequence[object]) -> bool:
    """Does no other item have the same in these parts?"""
    seen = {_parts_at(keys, item)}
    for other in rest[:_MOST_ITEMS]:
        theirs = _parts_at(keys, other)
        if theirs in seen:
            return False
        seen.add(theirs)
    return True


def _parts_at(keys: tuple[tuple[object, ...], ...], item: object) -> tuple[str | None, ...]:
    features = dict(_features(item))
    return tuple(features.get(key) for key in keys)


def counts_up(calls: Sequence[tuple[object, Sequence[str]]]) -> str:
    """Return a file whose name is the next number after that of the call before; "" where there is none.

    Args:
        calls: item and files that were written, in order.
    """
    steps: dict[str, int] = {}
    for (item, paths), (later, later_paths) in pairwise(calls):
        items_step = {theirs - ours for ours, theirs in zip(_numbers_of(item), _numbers_of(later), strict=False)}
        by_shape = {_NUMBER.sub("#", path): path for path in paths}
        for path in later_paths:
            shape = _NUMBER.sub("#", path)
            before = by_shape.get(shape)
            if before is None:
                continue
            ours, theirs = _NUMBER.findall(before), _NUMBER.findall(path)
            step = [int(b) - int(a) for a, b in zip(ours, theirs, strict=True) if a != b]
            if step == [1] and 1 not in items_step:
                steps[shape] = steps.get(shape, 0) + 1
                if steps[shape] >= _ENOUGH_STEPS:
                    return path
    return ""


def _numbers_of(item: object) -> list[int]:
    """All numbers in an item, in the order in which they stand there."""
    texts = (text for key, text in _features(item) if key[-1:] not in (("name",), ("stem",)))
    return [int(number) for text in texts for number in _NUMBER.findall(text[:_LONGEST])][:_MOST_NUMBERS]
