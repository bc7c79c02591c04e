"""Which code of the user's an item brings: its class, a function that it holds, and where.

A scan follows one item. Calls with an item of another class, or with another function in it, do other things.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from whilst.inspecting import ownership
from whilst.inspecting.objects import attributes_of, is_a

_PLAIN: Final = frozenset([int, float, complex, str, bytes, bool, type(None), range])
_DEEPEST: Final = 3
_MOST_HELD: Final = 16
_MOST_KINDS: Final = 64
"""Who has met so many asks no more: there is no end of them."""


class ItemCode:
    """The code that the items met so far bring."""

    def __init__(self) -> None:
        self._known: set[object] = set()
        self._kinds = 0

    @property
    def is_endless(self) -> bool:
        """There were too many kinds of items to follow them all."""
        return self._kinds > _MOST_KINDS

    def meet(self, item: object) -> bool:
        """Whether the item brings code that none before it did, in that place."""
        kind = type(item)
        held: Any = item if kind in (tuple, list) else item.values() if kind is dict else (item,)  # type: ignore[attr-defined]
        if _PLAIN.issuperset(map(type, islice(held, _MOST_HELD + 1))):  # no more are looked into below
            return False
        fresh = [each for each in _brought(item, (), _DEEPEST) if each not in self._known]
        if not fresh:
            return False
        self._known.update(fresh)
        self._kinds += 1
        return True

    def new_among(self, items: Iterable[object]) -> Iterator[object]:
        """The items that bring code which none before them did, until there are too many kinds."""
        if _PLAIN.issuperset(map(type, items)):
            return
        for item in items:
            if self.meet(item):
                yield item
                if self.is_endless:
                    return


def _brought(item: Any, place: tuple[object, ...], depth: int) -> Iterator[tuple[object, ...]]:
    """Code, with the place in the item where it is held; entries of a list are all at one place."""
    kind = type(item)
    if kind in _PLAIN:
        return
    if is_a(item, types.FunctionType):
        yield (*place, item.__code__)
    elif is_a(item, type):
        yield (*place, item)
    elif is_a(item, types.MethodType):
        yield (*place, getattr(item.__func__, "__code__", item.__func__))
        yield from _brought(item.__self__, (*place, "self"), depth - 1)
    elif is_a(item, (types.BuiltinFunctionType, types.MethodWrapperType)):
        yield (*place, type(item.__self__), item.__name__)
    elif is_a(item, functools.partial):
        for name, held in (("func", item.func), ("args", item.args), ("keywords", item.keywords)):
            yield from _brought(held, (*place, name), depth)
    elif is_a(item, tuple):
        for number, held in enumerate(tuple.__iter__(item)) if depth else ():
            yield from _brought(held, (*place, number), depth - 1)
            if number == _MOST_HELD:
                break
    elif kind in (list, set, frozenset):
        for held in islice(item, _MOST_HELD) if depth else ():
            yield from _brought(held, (*place, "[…]"), depth - 1)
    elif is_a(item, Mapping):
        entries = islice(dict.items(item), _MOST_HELD) if depth and is_a(item, dict) else ()
        for name, held in entries:
            yield from _brought(held, (*place, name if type(name) is str else "[…]"), depth - 1)
    if ownership.is_own_type(kind):
        yield (*place, kind)
        for name, held in islice(attributes_of(item), _MOST_HELD) if depth else ():
            yield from _brought(held, (*place, name), depth - 1)
