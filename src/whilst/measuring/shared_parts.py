"""What two items of a run have in common: calls that change it are no longer independent of each other.

Each item may be an object of its own, and still hold what another one holds: an account that two transfers go to, the
node before it, a view of the same array.
"""

from __future__ import annotations

import sys
import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from whilst.inspecting.objects import is_a, memory_of
from whilst.measuring.roundtrip import may_change, parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_MOST_PARTS: Final = 2048
"""About 10 ms."""


def share_parts(items: Iterable[object], is_changed: Callable[[object], bool] | None = None) -> bool:
    """Whether two of the items hold the same object that calls change, as far as it is cheap to see.

    Args:
        items: of different calls.
        is_changed: may calls change this part of an item? All that can be changed, where nobody knows better.
    """
    array: Any = getattr(sys.modules.get("numpy"), "ndarray", ())
    is_changed = is_changed or (lambda part: _may_change(part) or is_a(part, array))
    seen: dict[int, int] = {}
    arrays: list[Any] = []
    parts = 0
    for number, item in enumerate(items):
        for part in parts_of(item):
            parts += 1
            if not is_changed(part):
                continue
            if is_a(part, array):
                arrays.append(part)
            elif seen.setdefault(id(part), number) != number:
                return True
        if parts > _MOST_PARTS:
            break
    return _overlap(arrays)


def holds(item: object, part: object) -> bool:
    """Whether it is this part, or holds it at once, behind however many others."""
    kind, held = type(item), item
    entries: Any = held.values() if kind is dict else held if kind in (list, tuple) else ()  # type: ignore[attr-defined]
    return item is part or any(each is part for each in entries)


def hold_lock_of_this_thread(items: Sequence[object]) -> bool:
    """Whether this thread has taken a reentrant lock that an item holds: the call can take it here, and nowhere else.

    Args:
        items: of one kind; where the first holds no such lock, the others are not looked at.
    """
    kinds = (type(threading.RLock()), threading.Condition)
    parts = 0
    for item in items:
        locks = 0
        for part in parts_of(item):
            parts += 1
            if is_a(part, kinds):
                locks += 1
                if part._is_owned():  # noqa: SLF001 - what a Condition asks its lock
                    return True
        if not locks or parts > _MOST_PARTS:
            break
    return False


def _may_change(part: object) -> bool:
    return may_change(part) or hasattr(type(part), "__next__")


def _overlap(arrays: Sequence[Any]) -> bool:
    """Do two arrays have memory in common? By their first and last byte."""
    ends = sorted(memory_of(each) for each in arrays if each.size)
    return any(begin < end for (_, end), (begin, _) in pairwise(ends))
