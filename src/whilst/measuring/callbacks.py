"""Call-backs: the user's own code that calls come to through a library which holds it, and what it writes.

A template engine has filters, a logger handlers, a parser constructors, a module a hook. No code of the user's calls
them, so that a scan does not see them. They are looked for where what calls use leads to: what a library's object
holds, what its function names. What writes nothing that outlives it, by its code, is of no interest. Whether calls do
come by the rest is told by watching what it writes to. What C code alone keeps, as an error handler of codecs, is not
seen.
"""

from __future__ import annotations

import functools
import gc
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from whilst.inspecting import ownership
from whilst.inspecting.objects import is_a
from whilst.measuring.writes.reachable import AROUND, Reachable
from whilst.measuring.writes.scan import scan
from whilst.measuring.writes.suspects import Reach, Suspect

_MOST: Final = 1000
"""So many objects of libraries are looked at (some 2 ms)."""
_MOST_OF_ONE, _MOST_OF_TABLE = 64, 256
_MOST_FOUND: Final = 32
_FUNCTIONS_DEEP: Final = 3
"""A library's function calls another, and that one another; what they name beyond that is hardly the user's."""
_HOLDS_NONE: Final = frozenset(
    [
        int, float, complex, str, bytes, bool, type(None), types.ModuleType, types.CodeType, types.FrameType,
        types.GetSetDescriptorType, types.MemberDescriptorType, types.MethodDescriptorType, types.WrapperDescriptorType,
        types.ClassMethodDescriptorType, type(Ellipsis), type(NotImplemented),
    ]
)  # fmt: skip
_OF_CLASS: Final = _HOLDS_NONE | {
    types.FunctionType,
    types.BuiltinFunctionType,
    property,
    staticmethod,
    classmethod,
    type,
}
"""What a class of a library has that is its own code, not something that it keeps for others."""


class Callbacks:
    """Those that calls of a function may come by. `look` says what they have changed since it was made, or since.

    Args:
        reachable: what the function reaches by itself.
        item: of one of its calls.
    """

    def __init__(self, reachable: Reachable, item: object = None) -> None:
        known = {id(value) for value in reachable.values()}
        found = islice(held_by([*reachable.borrowed(), *_of_library(item)], known), _MOST_FOUND)
        self.suspects: list[Suspect] = []
        """What their code says that they write."""
        self.found: list[object] = []
        """Those that write something."""
        for callback in found:
            suspects = list(suspects_of(callback))
            if suspects:
                self.found.append(callback)
                self.suspects += suspects
        self._reachable = Reachable(tuple(self.found)) if self.found else None
        self._known = known

    def look(self) -> list[str]:
        """What was changed, by name."""
        if self._reachable is None:
            return []
        names = []
        for change in self._reachable.look():
            if change.value is not AROUND and id(change.value) not in self._known:
                names.append(f"{change.name}.{change.slot}" if change.slot not in change.name else change.name)
        return names


def suspects_of(callback: object) -> Iterator[Suspect]:
    """Yield what its code may write that outlives its call."""
    for function in _functions_of(callback):
        for suspect in scan(function, (), how="star").suspects:
            if suspect.reach is not Reach.ARGUMENT:
                yield suspect


def _functions_of(callback: Any) -> Iterator[Callable[..., Any]]:
    if not is_a(callback, type) and not ownership.is_own_type(type(callback)):
        yield callback
        return
    kind = callback if is_a(callback, type) else type(callback)
    for base in kind.__mro__:
        for name, method in list(vars(base).items()) if ownership.is_own_type(base) else ():
            method = method.__func__ if is_a(method, (staticmethod, classmethod)) else method
            if ownership.is_own_function(method) and name not in ("__init__", "__new__", "__init_subclass__"):
                yield method if callback is kind else method.__get__(callback)


def held_by(borrowed: Iterable[object], known: set[int]) -> Iterator[object]:
    """Yield functions and objects of the user's own that these, of libraries, lead to."""
    kinds: dict[type, bool] = {}
    todo: deque[tuple[Any, int]] = deque((each, 0) for each in borrowed)
    seen = {id(each) for each, _ in todo}
    for value, _ in list(todo):
        if _is_own(value, kinds) and id(value) not in known:
            yield value
    while todo and len(seen) < _MOST:
        value, depth = todo.popleft()
        held, is_further = _held(value)
        for each in held:
            if type(each) in _HOLDS_NONE or id(each) in seen:
                continue
            seen.add(id(each))
            if _is_own(each, kinds):
                if id(each) not in known:
                    yield each
            elif depth + is_further <= _FUNCTIONS_DEEP:
                todo.append((each, depth + is_further))


def _held(value: Any) -> tuple[Iterable[object], bool]:
    """What it holds or names, and whether that is a step further into the library's code."""
    kind = type(value)
    if kind is types.FunctionType:
        cells = [each for cell in value.__closure__ or () for each in gc.get_referents(cell)]
        return [*_named(value.__globals__, value.__code__.co_names), *cells, *(value.__defaults__ or ())], True
    if kind is types.MethodType:
        return (value.__self__, value.__func__), True
    if is_a(value, type):
        return [
            each for base in value.__mro__[:-1] for each in vars(base).values() if type(each) not in _OF_CLASS
        ], False
    if kind is dict:
        return islice(reversed(value.values()), _MOST_OF_TABLE), False  # a program adds its own to a library's table
    if kind is types.BuiltinFunctionType:
        return (value.__self__,), False
    return [each for each in islice(gc.get_referents(value), _MOST_OF_ONE) if not is_a(each, type)], False


def _of_library(item: Any) -> list[object]:
    """The item, or what it holds at once, that is an object of a library's class."""
    held = item if type(item) in (tuple, list) else item.values() if type(item) is dict else (item,)
    return [
        each
        for each in islice(held, _MOST_OF_ONE)
        if type(each).__module__ != "builtins" and not ownership.is_own_type(type(each))
    ]


def _named(names: dict[str, Any], used: tuple[str, ...]) -> Iterator[object]:
    """What code names, in modules that it names as well."""
    for name in used:
        held = names.get(name)
        if is_a(held, types.ModuleType):
            yield from (vars(held)[each] for each in used if each in vars(held))
        else:
            yield held


def _is_own(value: Any, kinds: dict[type, bool]) -> bool:
    """Is it code of the user's own, or an object whose class brings some?"""
    kind = type(value)
    if kind is types.FunctionType:
        return ownership.is_own_code(value.__code__.co_filename)
    if kind is functools.partial:
        return _is_own(value.func, kinds)
    if kind is types.MethodType:
        return _is_own(value.__self__, kinds) or _is_own(value.__func__, kinds)
    kind = value if issubclass(kind, type) else kind
    if kind not in kinds:
        kinds[kind] = ownership.is_own_type(kind) and any(map(ownership.is_own_function, list(vars(kind).values())))
    return kinds[kind]
