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

    from whilst.running.jobs import Job

_LIGHT = {int, float, bool, type(None)}
"""What costs no more to send than to look at."""
_MUCH_BYTES = 1 << 20
"""So much is sent before anybody looks whether it need be: to find that out takes longer."""
_BUILT_IN = {list, dict, set, tuple, frozenset, bytes, bytearray, str, int, float, complex, bool, type(None)}


class InheritedItems:
    """Of one run. `items` is what workers have after a fork.

    Args:
        job: whose items these are.
        items: all of them; item k is that of call k.
        changes_items: may a call change an item like this one?
    """

    __slots__ = (
        "_are_distinct",
        "_changes_items",
        "_is_fixed",
        "_job",
        "_may_change",
        "_unsendable",
        "items",
        "sent_bytes",
    )

    def __init__(self, job: Job, items: Sequence[object], changes_items: Callable[[object], bool]) -> None:
        self._job = job
        self._is_fixed = type(items) is not list
        self.items = items if self._is_fixed else tuple(items)
        self.sent_bytes = 0
        """What was sent of them nevertheless."""
        self._changes_items = changes_items
        self._may_change: dict[type, bool] = {}
        self._unsendable: dict[type, bool] = {}
        self._are_distinct: bool | None = None

    def are_worth_it(self, job: Job, ids: Sequence[int], items: Sequence[object], types: set[type]) -> bool:
        """May these calls take their items from memory, and is it worth finding that out?"""
        if type(self.items) is range:
            return job is self._job
        if types <= _LIGHT:
            return False
        is_much = self.sent_bytes + len(items) * _size_of(items[0]) > _MUCH_BYTES
        if not (is_much or any(self._known(self._unsendable, kind, items, _cant_be_sent) for kind in types)):
            return False
        return self.may_be_used(job, ids, items, types)

    def may_be_used(
        self, job: Job, ids: Sequence[int], items: Sequence[object], types: set[type] | None = None
    ) -> bool:
        """May these calls take their items from memory?"""
        if job is not self._job or not self._has(ids, items):
            return False
        types = types_of(items) if types is None else types
        if is_plain(items, types):
            return True
        if any(self._known(self._may_change, kind, items, self._changes_items) for kind in types):
            return False
        from whilst.measuring.inheriting import is_only_memory

        return self._is_each_alone() and is_only_memory(items)

    @staticmethod
    def _known(known: dict[type, bool], kind: type, items: Sequence[object], ask: Callable[[object], bool]) -> bool:
        """What the first item of a kind tells of all others."""
        found = known.get(kind)
        if found is None:
            found = known[kind] = ask(next(each for each in items if type(each) is kind))
        return found

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
            self._are_distinct = len(set(map(id, self.items))) == len(self.items)
        return self._are_distinct


def _cant_be_sent(item: object) -> bool:
    """Not as it is; perhaps by value, which takes longer."""
    if type(item) in _BUILT_IN:
        return False
    try:
        dumps(item, 5, buffer_callback=_drop)
    except Exception:
        return True
    return False


def _drop(_: object) -> bool:
    return False


def _size_of(item: object) -> int:
    """At least so many bytes, as far as that is seen at once."""
    if type(item) in {str, bytes, bytearray}:
        return len(item)  # type: ignore[arg-type]
    size = getattr(item, "nbytes", 0)
    return size if type(size) is int else 0
