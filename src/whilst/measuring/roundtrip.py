"""Would a copy in another process be the same? Asked of objects whose class has its own idea of how to be pickled.

A class may drop what it holds (`__getstate__`) or come back as something else (`__reduce__`): a worker would then
work on, or give back, something other than a `for` loop has. Nothing is raised, so it is tried: a round trip here,
and a comparison. What can't be pickled by itself (a lock, a connection) is expected to be dropped. Bare objects that
are known by their identity alone (`MISSING = object()`) are never the same anywhere else.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from enum import Enum
from itertools import islice
from typing import Any, Final

from whilst.inspecting import ownership
from whilst.inspecting.objects import attributes_of, is_a, look_up

_MOST: Final = 400
_MOST_OF_ONE: Final = 64
_MOST_TRIED: Final = 8
_MOST_SENT: Final = 4096
PLAIN: Final = (int, float, complex, str, bytes, bool, type(None))
"""What is equal to its copy."""
_BY_NAME: Final = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, Enum)
"""What is pickled as a name, and is the same object where the name leads."""
SAME_ANYWHERE: Final = (*_BY_NAME, bool, type(None), type(Ellipsis), type(NotImplemented))
HOOKS: Final = ("__getstate__", "__setstate__", "__reduce__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__")


def why_unlike(value: object, noun: str, known: Iterable[int] = (), shared: Iterable[int] = ()) -> str:
    """Return why `value` would not come back from another process as it is; "" where it would.

    Args:
        value: a call's result.
        noun: how to call it, e.g. "its result".
        known: ids of objects that were there before the call, and are more than their contents to others.
        shared: ids of those that all calls see: who changes one through a result changes it for all.
    """
    if id(value) in frozenset(shared) and may_change(value):
        return f"{noun} is the one {type(value).__qualname__} that all calls share, of which a worker would give a copy"
    known = frozenset(known)
    tried: set[type] = set()
    for part in parts_of(value):
        kind = type(part)
        if kind is object or (id(part) in known and is_itself_alone(part)):
            return f"{noun} holds the one and only {_name_of(part)}, of which a worker would give back a copy"
        if kind not in tried and _pickles_itself(kind) and len(tried) < _MOST_TRIED:
            tried.add(kind)
            lost = _lost(part)
            if lost:
                return f"{noun} would come back changed: {kind.__qualname__} {lost} when it is pickled"
    return ""


def why_not_pickled(values: Iterable[object], known: Iterable[object]) -> str:
    """Return why nobody should even try to pickle these, or what the function can reach: their class would see it."""
    for part in (*known, *(part for value in values for part in parts_of(value))):
        kind = type(part)
        if is_a(look_up(kind, "__getattribute__"), types.FunctionType) and ownership.is_own_type(kind):
            return f"{kind.__qualname__} looks attributes up by code of its own, which pickling would run as well"
    return ""


def why_unlike_sent(values: Iterable[object], noun: str) -> str:
    """The same of what would be sent: the function with what it is bound to, or an argument."""
    tried: set[type] = set()
    for value in values:
        for part in parts_of(value):
            kind = type(part)
            if kind not in tried and _pickles_itself(kind) and len(tried) < _MOST_TRIED:
                tried.add(kind)
                lost = _lost(part)
                if lost:
                    return f"{noun} would arrive changed: {kind.__qualname__} {lost} when it is pickled"
    return ""


def why_not_the_one(items: Iterable[object], noun: str, known: Iterable[object], fn: object) -> str:
    """Return why a copy of an item is not found where the function looks for the item's own; "" where it is.

    Args:
        items: what would be sent.
        noun: how to call one of them.
        known: what the function can reach. What is equal to nothing but itself is found in there by its identity.
        fn: what it is bound to is there for its methods, and not looked for.
    """
    own = getattr(fn, "__self__", None) if type(fn) is types.MethodType else None
    alone: set[int] = set()
    kinds: set[type] = set()
    """Of those that are alone, in containers of which only the first entries were looked at."""
    for value in known:
        is_long = type(value) in (dict, set, frozenset, list, tuple) and len(value) > _MOST_OF_ONE  # type: ignore[arg-type]
        for part in parts_of(value):
            if part is not own and is_itself_alone(part):
                alone.add(id(part))
                if is_long:
                    kinds.add(type(part))
    if not alone:
        return ""
    for part in islice((part for item in items for part in parts_of(item)), _MOST_SENT):
        if id(part) in alone or type(part) in kinds:
            return f"{noun} holds the one and only {_name_of(part)} that the function knows, and a worker has a copy"
    return ""


def parts_of(value: object) -> Iterable[object]:
    """The value and what it holds, as far as that is cheap to see."""
    todo: list[Any] = [value]
    seen: set[int] = set()
    while todo and len(seen) < _MOST:
        part = todo.pop()
        if issubclass(type(part), (*PLAIN, *_BY_NAME)) or id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        if issubclass(type(part), dict):
            entries = list(part.items())[:_MOST_OF_ONE]
            todo += [each for entry in entries for each in entry]
        elif issubclass(type(part), (list, tuple, set, frozenset)):
            todo += list(part)[:_MOST_OF_ONE]
        if ownership.is_own_type(type(part)):
            todo += [held for _, held in islice(attributes_of(part), _MOST_OF_ONE)]


def may_change(value: object) -> bool:
    """Can it be changed: a container, or an object of the user's own that is not frozen?"""
    if issubclass(type(value), (list, dict, set, bytearray)):
        return True
    if issubclass(type(value), (*_BY_NAME, tuple)) or not ownership.is_own_type(type(value)):
        return False
    about = getattr(type(value), "__dataclass_params__", None)
    return about is None or not about.frozen


def is_itself_alone(part: object) -> bool:
    """Is it equal to nothing but itself, and known to others as that?"""
    kind = type(part)
    return kind is object or (kind.__eq__ is object.__eq__ and ownership.is_own_type(kind))


def _pickles_itself(kind: type) -> bool:
    """Has it a way of its own, or does it add attributes to a class that has one and knows nothing of them?"""
    if not any(map(ownership.is_own_type, kind.__mro__)):
        return False
    has_hook = any(hook in base.__dict__ for base in kind.__mro__[:-1] for hook in HOOKS)
    return has_hook or (issubclass(kind, (dict, list, set, tuple)) and hasattr(kind, "__dict__"))


def _lost(part: object) -> str:
    """What a round trip changes, in words."""
    import pickle  # calls that are not sent anywhere are on their way before that is loaded

    try:
        again = pickle.loads(pickle.dumps(part, 5))
    except Exception:  # can't be sent at all: others say so, with the place
        return ""
    if type(again) is not type(part):
        return f"becomes {type(again).__qualname__}"
    if ownership.is_own_type(next(base for base in type(part).__mro__ if "__eq__" in base.__dict__)):
        try:
            if part == again:
                return ""
        except Exception:  # noqa: S110 - then by what it holds
            pass
    before, after = dict(attributes_of(part)), dict(attributes_of(again))
    for name, value in before.items():
        if name not in after or not _is_like(value, after[name]):
            if _can_do_without(value):
                continue
            return f"loses or changes its {name!r}"
    return ""


def _is_like(value: object, other: object) -> bool:
    if issubclass(type(value), PLAIN):
        return type(value) is type(other) and (value == other or value != value)  # NaN
    return type(value) is type(other) and _length(value) == _length(other)


def _length(value: Any) -> int:
    return len(value) if issubclass(type(value), (list, tuple, dict, set, bytearray)) else 0


def _can_do_without(value: object) -> bool:
    """Empty, or of a kind that no pickle can hold: its class had to drop it."""
    if value is None or (issubclass(type(value), (list, dict, set)) and not value):
        return True
    import pickle

    try:
        pickle.dumps(value, 5)
    except Exception:
        return True
    return False


def _name_of(part: object) -> str:
    return f"{type(part).__qualname__} object" if type(part) is not object else "object()"
