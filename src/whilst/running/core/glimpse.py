"""What the first items of a run were, for questions that are asked once they may be gone."""

from __future__ import annotations

import functools
import sys
import types
from weakref import ref

from whilst.inspecting.objects import attributes_of, memory_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

_ATOMS = frozenset([int, float, complex, str, bytes, bool, type(None)])
_SAME = frozenset([*_ATOMS, type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType])
"""Types of what nothing changes by being called, or set an attribute of."""
_MOST_PARTS = 8
_MOST_ITEMS = 64
_DEEPEST = 4


class Glimpse:
    """Of one item. Keeps neither it nor a part of it alive, numbers and names excepted."""

    __slots__ = ("_kind", "_made_of", "_parts", "_ref")

    def __init__(self, item: object, most_parts: int = _MOST_PARTS) -> None:
        self._kind = type(item)
        self._ref: ref[object] | None = None
        self._made_of: Any = None
        """Besides the parts: of a sequence its length, of a method its name, of an array its shape without lengths."""
        self._parts: dict[Any, Glimpse] = {}
        if self._kind in _ATOMS:
            return
        for name, part in _parts_of(item) if most_parts else ():
            if type(part) not in _ATOMS:
                self._parts[name] = Glimpse(part, most_parts // 2)
                if len(self._parts) == most_parts:
                    break
        thing: Any = item
        if self._kind in (tuple, list):
            self._made_of = min(len(thing), _MOST_ITEMS)
        elif self._kind is types.FunctionType:
            self._made_of = thing.__code__, thing.__globals__
        elif self._kind is types.BuiltinMethodType:
            self._made_of = thing.__name__
        elif self._kind is _array_type():
            self._made_of = (0,) * thing.ndim, thing.dtype
        if self._kind is not types.MethodType:  # of which one is made each time it is asked for
            try:
                self._ref = ref(item)
            except TypeError:  # numbers, texts, and classes whose slots leave no room for a reference
                return

    def sample(self) -> object:
        """Return the item, or an object of its class with such parts; None where neither can be had."""
        item = None if self._ref is None else self._ref()
        if item is not None or self._kind in _ATOMS:
            return item
        parts = {name: part.sample() for name, part in self._parts.items()}
        try:
            return self._again({name: part for name, part in parts.items() if part is not None})
        except (TypeError, AttributeError, ValueError):  # an abstract class of an item that was an instance once
            return None

    def _again(self, parts: dict[Any, Any]) -> object:
        kind: Any = self._kind
        if kind in (tuple, list):
            return kind(parts.get(place) for place in range(self._made_of))
        if kind is dict:
            return parts
        if kind is types.FunctionType:  # what it encloses is gone
            code, names = self._made_of
            return types.FunctionType(code, names, closure=tuple(types.CellType() for _ in code.co_freevars))
        if kind is types.MethodType:
            return types.MethodType(parts["__func__"], parts["__self__"])
        if kind is types.BuiltinMethodType:
            return getattr(parts["__self__"], self._made_of)
        if kind is functools.partial:
            return functools.partial(parts["func"], *parts.get("args", ()), **parts.get("keywords", {}))
        if kind in (set, bytearray):
            return kind()
        if kind is _array_type():
            return sys.modules["numpy"].empty(*self._made_of)
        if kind.__new__ is not object.__new__ or hasattr(kind, "__del__"):
            return None
        made = object.__new__(kind)
        if kind.__dictoffset__:
            object.__getattribute__(made, "__dict__").update(parts)
        return made


class CommonParts:
    """What two of the first items hold, or are: where calls change that, they depend on each other.

    Attributes:
        kinds: types of all of it.
        item_kinds: types of what is an item itself.
    """

    def __init__(self, items: Sequence[object]) -> None:
        self.kinds: set[type] = set()
        self.item_kinds: set[type] = set()
        items = items[:_MOST_ITEMS]
        if type(items[0]) in _SAME:
            return
        among = frozenset(map(id, items))
        first_seen: dict[int, int] = {}
        arrays: list[tuple[int, int, int]] = []
        for number, item in enumerate(items):
            for part in _with_parts(item):
                kind = type(part)
                if kind is _array_type():
                    arrays.append((*memory_of(part), number))
                elif first_seen.setdefault(id(part), number) != number:
                    self.kinds.add(kind)
                    if id(part) in among:
                        self.item_kinds.add(kind)
        arrays.sort()
        reach, owner = -1, -1
        for begin, end, number in arrays:
            if begin < reach and number != owner:
                self.kinds.add(_array_type())
                self.item_kinds.add(_array_type())
            if end > reach:
                reach, owner = end, number


def _with_parts(item: object) -> Iterator[object]:
    """The item, what it holds and what that holds, and so on."""
    held = [item]
    for depth in range(_DEEPEST):
        held = [each for each in held if type(each) not in _SAME][: 4 * _MOST_PARTS]
        yield from held
        if depth < _DEEPEST - 1:
            held = [part for each in held for _, part in _parts_of(each)]


def _parts_of(item: Any) -> Iterable[tuple[object, Any]]:
    kind = type(item)
    if kind in (tuple, list):
        return enumerate(item[:_MOST_ITEMS])
    if kind is dict:
        return [(name, part) for name, part in list(item.items())[:_MOST_ITEMS] if type(name) in _ATOMS]
    if kind is types.MethodType:
        return (("__self__", item.__self__), ("__func__", item.__func__))
    if kind is types.BuiltinMethodType:
        return () if isinstance(item.__self__, types.ModuleType) else (("__self__", item.__self__),)
    if kind is functools.partial:
        return (("func", item.func), ("args", item.args), ("keywords", item.keywords))
    return () if kind in _SAME else attributes_of(item)


def _array_type() -> type:
    numpy = sys.modules.get("numpy")
    return type(None) if numpy is None else getattr(numpy, "ndarray", type(None))
