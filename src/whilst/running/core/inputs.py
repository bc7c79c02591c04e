"""The input of a run: items by number, taken as they are needed and never before.

A sequence (list, tuple, range, array, anything with a length and slices that behaves) is cut by slices; any
other iterable is pulled. What an iterator raises is kept in `error` instead of being raised in the midst of
handing out work: the calls taken before it come first, as they would in a `for` loop.
"""

from __future__ import annotations

import sys
from itertools import chain, islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import CodeType
    from typing import Any

    from whilst.measuring.between.item_lifetime import ItemLifetime
    from whilst.running.core.glimpse import CommonParts, Glimpse
    from whilst.running.jobs import Job


_PLAIN = (int, float, str, bytes, bool, type(None))


class Source:
    """Numbered items, handed out once each, in order."""

    def __init__(self, items: Iterable[object], *, is_lazy: bool = False) -> None:
        self.next_id = 0
        """The number of the next item to hand out: how many were taken."""
        self.error: BaseException | None = None
        """What the iterator raised instead of giving its next item."""
        self.results: list[Any] | None = None
        """Where values go, in the order of the items, if nobody wants to see them before."""
        # Exact types: a subclass may slice as it likes, and a dict or a set is no sequence.
        self._items: Sequence[object] | None = items if isinstance(items, list | tuple | range) else None
        if type(items) not in (list, tuple, range):
            self._items = None
        self._array = _array_of(items)
        """An array, whose items (rows, where it has several dimensions) are made as they are drawn."""
        self._iterator: Iterator[object] = iter(items)
        self._length = _length_of(items)
        self._is_over = False
        self._is_lazy = is_lazy
        """Somebody reads results while the run goes on, and may change items to come."""
        self.reader: tuple[CodeType, int, int] | None = None
        """Who asks for results: code, place in it, and the identity of its namespace."""
        self._lifetime: ItemLifetime | None = None
        self.is_glimpsed = False
        """Somebody may ask what the first items were, once they are gone."""
        self.glimpse: Glimpse | None = None
        """What the first item was, where that says more than a number or a text does."""
        self.common: CommonParts | None = None
        """What the first items have in common, likewise."""
        self.fn: Any = None
        """What is called with the items; None where each brings its own."""
        self.kept: dict[int, object] | None = None
        """Items that were taken, by number, where calls may be made again. Whoever has taken them clears it."""

    def start(self) -> None:
        """The run begins: from now on the input may be read."""

    @property
    def length(self) -> int | None:
        """How many items there are in all; None where only pulling them tells."""
        return self._length if self._items is None else len(self._items)

    @property
    def left(self) -> int | None:
        """How many items were not taken yet; None where only pulling them tells.

        Never 0 before the end has been met: a length may be wrong (a pandas frame has as many as it has rows, and
        gives its columns).
        """
        if self._items is not None:
            return max(len(self._items) - self.next_id, 0)
        if self._is_over:
            return 0
        return None if self._length is None else max(self._length - self.next_id, 1)

    @property
    def is_exhausted(self) -> bool:
        """Nothing more comes. A list that grows under the calls goes on, as in a `for` loop."""
        return self._is_over if self._items is None else self.next_id >= len(self._items)

    @property
    def inheritable(self) -> Sequence[object] | None:
        """All items, if they lie in memory and are left alone meanwhile: a worker forked now has them by number."""
        return None if self._is_lazy else self._items if self._array is None else self._array

    def is_ready(self) -> bool:
        """Can the next item be had, or the end be met, without waiting for others? If not, it is asked for now."""
        return True

    def peek(self, count: int) -> Sequence[object] | None:
        """Look at up to `count` items without taking them; None where looking means taking."""
        return None if self._items is None else self._items[self.next_id : self.next_id + count]

    def job_of_next(self, job: Job) -> Job:
        """The job of the next item, where they are not all of one."""
        return job

    @staticmethod
    def asked_for(item: Any) -> Any:
        """The call that the user means, where items are calls."""
        return item

    def take(self, count: int) -> Sequence[object]:
        """Take up to `count` items; fewer only at the end. Their numbers start at the former `next_id`."""
        first = self.next_id
        taken: list[object] | Sequence[object]
        if self._items is not None:
            taken = self._items[first : first + count]
        else:
            taken = []
            try:
                if self._draw(count, taken):
                    count = len(taken)
            except BaseException as error:
                self._fail(error)
        if not first and self.is_glimpsed and taken and type(taken[0]) not in _PLAIN:
            from whilst.running.core.glimpse import CommonParts, Glimpse

            self.glimpse = Glimpse(taken[0])
            self.common = CommonParts(taken if self._items is None else self._items)
        self.next_id = first + len(taken)
        if len(taken) < count:
            self._is_over = True
        if self.kept is not None:
            self.kept.update(enumerate(taken, first))
        return taken

    def put_back(self, first: int, items: Sequence[object]) -> None:
        """The items of the last `take`, the number of the first being `first`, come next: no call of them was begun."""
        self.next_id = first
        self._is_over = False
        if self._items is None:
            self._iterator = chain(items, self._iterator if self.error is None else _Raising(self.error))
            self.error = None

    def _draw(self, count: int, taken: list[object]) -> bool:
        """Draw up to so many items; True where it ends before, since the next must wait for the calls of these."""
        lifetime = self._lifetime
        if lifetime is None:
            from whilst.measuring.between.item_lifetime import ItemLifetime

            lifetime = self._lifetime = ItemLifetime(self._iterator, self.fn)
        lifetime.begin()
        for item in islice(self._iterator, count):
            taken.append(item)
            # The first of each take is looked at, and whatever is of a new kind.
            if (len(taken) == 1 or not lifetime.is_settled(item)) and not lifetime.end(item):
                return True
        return False

    @property
    def waits_for_calls(self) -> bool:
        """The next item may be drawn only once the calls of those before it were made."""
        return self._lifetime is not None and (self._lifetime.is_unsure or bool(self._lifetime.reason))

    @property
    def why_one_by_one(self) -> str:
        """Why no item may be drawn before the call of the last one was made; "" where they may be."""
        return "" if self._lifetime is None else self._lifetime.reason

    def pull(self, count: int) -> Iterable[object]:
        """Like `take`, but an iterator is advanced only as the items are asked for. `pulled` must follow.

        What the iterator raises comes out here, and is to be given to `pulled`.
        """
        if self._items is not None:
            items: Iterable[object] = self._items[self.next_id : self.next_id + count]
        else:
            items = islice(self._iterator, count)
        return items if self.kept is None else self._keeping(items, self.kept, self.next_id)

    @staticmethod
    def _keeping(items: Iterable[object], kept: dict[int, object], first: int) -> Iterator[object]:
        for number, item in enumerate(items, first):
            kept[number] = item
            yield item

    def pulled(self, used: int, *, is_over: bool, error: Exception | None = None) -> None:
        """`used` of the items of `pull` were used; `is_over`: no more came, perhaps because of `error`."""
        self.next_id += used
        self._is_over = is_over
        if error is not None:
            self._fail(error)

    def results_in_place(self) -> list[Any] | None:
        """The list to which the value of the next item may be added, then that of the one after it; None for none."""
        results = self.results
        return results if results is not None and len(results) == self.next_id else None

    def wait(self, patience_s: float | None = None) -> None:
        """Block until `is_ready`, where the input may be empty for a while without being over; or for so long."""

    def _fail(self, error: BaseException) -> None:
        self.error, self._is_over = error, True
        if not isinstance(error, Exception):
            raise error


class _Raising:
    """An iterator that raises this, as that of the input did."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __iter__(self) -> Iterator[object]:
        return self

    def __next__(self) -> object:
        raise self._error


def _array_of(items: object) -> Any:
    """A numpy array of plain numbers, which by its number gives the same item as in a loop; else None."""
    numpy: Any = sys.modules.get("numpy")
    is_array = numpy is not None and type(items) is getattr(numpy, "ndarray", None)
    return items if is_array and items.ndim and not items.dtype.hasobject else None  # type: ignore[attr-defined]


def _length_of(items: object) -> int | None:
    """A hint only; a `for` loop does without, whatever asking for it would raise."""
    try:
        return len(items)  # type: ignore[arg-type]  # TypeError where it has none
    except Exception:
        return None
