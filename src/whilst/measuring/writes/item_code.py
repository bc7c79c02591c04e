"""Which code of the user's an item brings: its class, a function that it holds, and where.

A scan follows one item. Calls with an item of another class, or with another function in it, do other things.
"""

from __future__ import annotations

import functools
import itertools
import types
from collections.abc import Iterable, Iterator
from typing import Any, Final

from whilst.inspecting import ownership
from whilst.inspecting.objects import attributes_of, is_a

_PLAIN: Final = frozenset([int, float, complex, str, bytes, bool, type(None), range])
_PLACE: Final = 3
"""So many of the last steps tell one place from another: a chain is of one kind, however long it is."""
_MOST_PARTS: Final = 64
_CONTAINERS: Final = frozenset([tuple, list, dict, set, frozenset])
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
        if _PLAIN.issuperset(map(type, itertools.islice(held, _MOST_HELD + 1))):  # no more are looked into below
            return False
        fresh = [each for each in _brought(item) if each not in self._known]
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


def _brought(item: object) -> Iterator[tuple[object, ...]]:
    """Code, with the place in the item where it is held; entries of a list are all at one place."""
    todo: list[tuple[tuple[object, ...], Any]] = [((), item)]
    seen = {id(item)}
    for place, part in todo:  # grows meanwhile
        code = _code_of(part)
        if code is not None:
            yield (*place, code)
        for name, held in itertools.islice(_held_by(part), _MOST_HELD):
            if type(held) not in _PLAIN and id(held) not in seen and len(todo) < _MOST_PARTS:
                seen.add(id(held))
                todo.append(((*place, name)[-_PLACE:], held))


def _code_of(part: Any) -> object:
    """What tells its code from others; None where it is none of the user's, or has none."""
    if type(part) in _CONTAINERS:
        return None
    if is_a(part, types.FunctionType):
        return part.__code__
    if is_a(part, types.MethodType):
        return getattr(part.__func__, "__code__", part.__func__)
    if is_a(part, (types.BuiltinFunctionType, types.MethodWrapperType)):
        return type(part.__self__), part.__name__
    if is_a(part, type):
        return part
    return type(part) if ownership.is_own_type(type(part)) else None


def _held_by(part: Any) -> Iterable[tuple[object, Any]]:
    kind = type(part)
    if kind is tuple:
        return enumerate(part)
    if kind is dict:
        return zip(map(_place_of, part), part.values(), strict=False)
    if kind in _CONTAINERS:
        return zip(itertools.repeat("[…]"), part, strict=False)
    return _held_by_object(part)


def _place_of(key: object) -> str:
    """A key of the user's own is not hashed, and numbers are as many as there are items."""
    return key if type(key) is str else "[…]"


def _held_by_object(part: Any) -> Iterator[tuple[object, Any]]:
    if is_a(part, types.MethodType):
        yield "self", part.__self__
    elif is_a(part, functools.partial):
        yield from (("func", part.func), ("args", part.args), ("keywords", part.keywords))
    elif is_a(part, tuple):
        yield from enumerate(tuple.__iter__(part))
    elif is_a(part, dict):
        yield from zip(map(_place_of, dict.keys(part)), dict.values(part), strict=False)
    if ownership.is_own_type(type(part)):
        yield from attributes_of(part)
