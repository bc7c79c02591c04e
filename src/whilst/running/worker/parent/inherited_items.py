"""The items of a run that workers need not be sent: forked once the list is there, they have it in their memory.

A worker's copy is that of its fork. So an item is taken from it only where that can't be told from being sent it:

- the list still has the same objects at the same places;
- a call does not change its item (`Policy.changes_items`), and no two calls have the same one. Calls that are sent
  their items have a copy each; taken from memory, what one call changes a later one in that worker would see;
- an item is memory and nothing else (`measuring.inheriting`): a copy of an open file or a connection is another thing.

Text, bytes and numbers can't change, so that the first is all they need. Where in doubt, items are sent as ever.
"""

from __future__ import annotations

from _operator import is_
from _pickle import dumps

from whilst.running.worker.transport.serialization import is_plain, types_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from whilst.running.jobs import Job

    T = TypeVar("T")

_LIGHT = {int, float, bool, type(None)}
"""What costs no more to send than to look at."""
_MUCH_BYTES = 1 << 22
"""So much can be sent in the time that it takes to find out whether it need be."""

_IN_MEMORY, _SHARE = 5, 8
"""Small objects are about so many times as large as their pickles. Where all of them are more than this part of the
memory, the workers' copies of them could be too much."""


class InheritedItems:
    """Of one run. `items` is what workers have after a fork.

    Args:
        job: whose items these are.
        items: all of them; item k is that of call k.
        changes_items: may a call change an item like this one?
    """

    def __init__(self, job: Job, items: Sequence[object], changes_items: Callable[[object], bool]) -> None:
        self._job = job
        self._is_fixed = type(items) is not list
        self.items = items if self._is_fixed else tuple(items)
        self._changes_items = changes_items
        self._may_change: dict[type, bool] = {}
        self._sizes: dict[type, tuple[float, float]] = {}
        self._are_distinct: bool | None = None
        self._is_sharing_locks: bool | None = None
        self._are_memory = True
        """As far as was looked: once they are not, others are no longer looked at."""

    def are_worth_it(self, job: Job, ids: Sequence[int], items: Sequence[object], types: set[type]) -> bool:
        """May these calls take their items from memory, and is it worth finding that out?"""
        if type(self.items) is range:
            return job is self._job
        if types <= _LIGHT:
            return False
        if is_plain(items, types):
            return job is self._job and self._has(ids, items)
        sizes = [self._known(self._sizes, kind, items, _sizes_of) for kind in types]
        if not any(len(self.items) * sum(each) > _MUCH_BYTES for each in sizes) or not self._has_room(sizes):
            return False
        return self.may_be_used(job, ids, items)

    def _has_room(self, sizes: Sequence[tuple[float, float]]) -> bool:
        """Looking at an object counts a reference to it, and so copies the page it is on, object by object."""
        from whilst.measuring.machine import usable_memory_bytes

        usable = usable_memory_bytes()
        objects = max(in_stream for in_stream, _ in sizes) * len(self.items) * _IN_MEMORY
        return usable is None or objects < usable / _SHARE or objects == float("inf")

    def may_be_used(self, job: Job, ids: Sequence[int], items: Sequence[object]) -> bool:
        """May these calls take their items from memory?"""
        if job is not self._job or not self._has(ids, items):
            return False
        types = types_of(items)
        if is_plain(items, types):
            return True
        if any(self._known(self._may_change, kind, items, self._changes_items) for kind in types):
            return False
        self._are_memory = self._are_memory and self._is_each_alone() and self._are_known(items)
        return self._are_memory

    def _are_known(self, items: Sequence[object]) -> bool:
        from whilst.measuring.inheriting import is_only_memory

        locks = set[int]()
        return is_only_memory(items, locks) and not (locks and self._share_locks())

    def _share_locks(self) -> bool:
        """Do two items hold the same lock?"""
        from whilst.measuring.inheriting import is_only_memory

        if self._is_sharing_locks is None:
            seen = set[int]()
            count = 0
            for item in self.items:
                own = set[int]()
                is_only_memory([item], own)
                count += len(own)
                seen |= own
            self._is_sharing_locks = len(seen) < count
        return self._is_sharing_locks

    @staticmethod
    def _known(known: dict[type, T], kind: type, items: Sequence[object], ask: Callable[[object], T]) -> T:
        """What the first item of a kind tells of all others."""
        if kind not in known:
            known[kind] = ask(next(each for each in items if type(each) is kind))
        return known[kind]

    def _has(self, ids: Sequence[int], items: Sequence[object]) -> bool:
        """The list may have changed since."""
        if self._is_fixed:
            return True
        if max(ids) >= len(self.items):
            return False
        own = self.items[ids.start : ids.stop] if isinstance(ids, range) else [self.items[number] for number in ids]
        return all(map(is_, own, items))

    def _is_each_alone(self) -> bool:
        if self._are_distinct is None:
            strides = getattr(self.items, "strides", ())  # of an array: its rows are made as they are asked for
            self._are_distinct = bool(strides[0]) if strides else len(set(map(id, self.items))) == len(self.items)
        return self._are_distinct


def are_light(items: Sequence[object]) -> bool:
    """Are these numbers, by the first and the last? Then a list is not worth the copy that tells what workers have."""
    return not len(items) or (type(items) is list and {type(items[0]), type(items[-1])} <= _LIGHT)


def _sizes_of(item: object) -> tuple[float, float]:
    """How many bytes it is once it is pickled, and its buffers; no end of them where that can't be done."""
    buffers = 0

    def count(buffer: Any) -> bool:
        nonlocal buffers
        buffers += buffer.raw().nbytes
        return False

    try:
        return len(dumps(item, 5, buffer_callback=count)), buffers
    except KeyboardInterrupt:
        raise
    except BaseException:  # whatever its own code raises
        return float("inf"), 0
