"""Is an item memory and nothing else, so that a forked worker's copy of it is as good as one that was sent?

A fork copies memory. It shares, or loses, whatever lies beyond: the position in an open file, what a file object still
has to write, the other end of a connection, who waits for a lock. And a class that has its own idea of how it is
copied (`__reduce__`, `__getstate__`) may leave out what must not be shared. So only what is known is let through.
"""

from __future__ import annotations

import gc
import sys
import threading
import types
from collections import Counter, OrderedDict, defaultdict, deque
from enum import Enum
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from whilst.inspecting import ownership
from whilst.inspecting.objects import module_of
from whilst.measuring.roundtrip import HOOKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ATOMS: Final = {int, float, complex, bool, str, bytes, bytearray, range, slice, type(None), type(...), type}
_HOLDERS: Final = {
    list,
    dict,
    set,
    tuple,
    frozenset,
    deque,
    OrderedDict,
    defaultdict,
    Counter,
    types.SimpleNamespace,
    types.MappingProxyType,
    types.CellType,
    *map(type, ({}.keys(), {}.values(), {}.items())),
}
"""Their parts are to be looked at."""
_LEAVES: Final = {("posix", "DirEntry"), ("re", "Match"), ("sqlite3", "Row"), ("array", "array")}
"""Hold nothing but memory, whatever they hold."""
_LOCKS: Final = (type(threading.Lock()), type(threading.RLock()))
_MOST_PARTS: Final = 1 << 21


def is_only_memory(items: Sequence[object], locks: set[int] | None = None) -> bool:
    """Whether all that these items hold is known to be memory.

    Args:
        items: what calls would be given.
        locks: gets the ids of locks in objects of the user's own. A copy of a lock keeps nobody out but those who have
            the same copy, which is as good only where no other item, and nothing else, has that lock.
    """
    todo: list[object] = [each for each in items if type(each) not in _ATOMS]
    seen: set[int] = set()
    while todo:
        fresh = [each for each in todo if not (id(each) in seen or seen.add(id(each)))]  # type: ignore[func-returns-value]
        if len(seen) > _MOST_PARTS:
            return False
        todo = []
        for kind in set(map(type, fresh)):
            own = [each for each in fresh if type(each) is kind]
            if kind in _HOLDERS or _is_plain_class(kind):
                todo += _parts(kind, own)
            elif (
                kind in _LOCKS and locks is not None and _may_hold_locks(items) and not any(map(ownership.is_held, own))
            ):
                locks.update(map(id, own))
            elif not _are_leaves(kind, own):
                return False
    return True


def _may_hold_locks(items: Sequence[object]) -> bool:
    """A lock that is an item by itself is there for others."""
    return all(map(_is_plain_class, set(map(type, items))))


def _parts(kind: type, holders: Sequence[Any]) -> Iterable[object]:
    """What holders of one kind hold, save atoms. To see that there are none takes a third of pickling them."""
    if kind is list or kind is tuple:
        if _ATOMS.issuperset(map(type, chain.from_iterable(holders))):
            return ()
        parts: Iterable[object] = chain.from_iterable(holders)
    elif kind is dict:
        parts = chain(chain.from_iterable(holders), chain.from_iterable(each.values() for each in holders))
    else:
        parts = gc.get_referents(*holders)
    return (part for part in parts if type(part) not in _ATOMS)


def _is_plain_class(kind: type) -> bool:
    """A class written in Python, the user's own and so are its bases, that is copied as any other is."""
    if issubclass(kind, Enum):
        return False
    for base in kind.__mro__[:-1]:
        if base in _HOLDERS or module_of(base) in ("typing", "abc"):
            continue
        hooks = [hook for hook in HOOKS if hook in base.__dict__ and not _is_generated(base, hook)]
        if hooks or "__del__" in base.__dict__ or not _is_own(base):
            return False
    return _is_own(kind)


def _is_own(kind: type) -> bool:
    """The user's, and written in Python: what C holds nobody sees."""
    module = module_of(kind)
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return ownership.is_own_type(kind) and not _is_of_python(kind) and not file.endswith((".so", ".pyd"))


def _is_generated(kind: type, hook: str) -> bool:
    """A named tuple says what it is made of, and a slotted data class what any has."""
    if hook == "__getnewargs__" and hasattr(kind, "_fields"):
        return True
    return hasattr(kind, "__dataclass_fields__") and module_of(kind.__dict__[hook]) == "dataclasses"


def _are_leaves(kind: type, values: Iterable[Any]) -> bool:
    """What has no parts that could be anything else."""
    if issubclass(kind, type) or kind is types.ModuleType or issubclass(kind, Enum):
        return True
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and kind is numpy.ndarray:
        return not any(each.dtype.hasobject for each in values)
    if numpy is not None and issubclass(kind, numpy.generic):
        return kind is not numpy.void and kind is not numpy.object_
    if kind is memoryview:
        return all(type(each.obj) in _ATOMS for each in values)
    return (module_of(kind), kind.__name__) in _LEAVES or (ownership.is_value(kind) and _is_of_python(kind))


def _is_of_python(kind: type) -> bool:
    """From the standard library: a date, a fraction, a path."""
    return module_of(kind).partition(".")[0] in sys.stdlib_module_names
