"""What the first item of a run was, for questions that are asked once the item may be gone."""

from __future__ import annotations

from weakref import ref

_MOST_PARTS = 8


class Glimpse:
    """Of one item. Keeps neither it nor a part of it alive."""

    __slots__ = ("_kind", "_parts", "_ref")

    def __init__(self, item: object, depth: int = 2) -> None:
        self._kind = type(item)
        self._parts: tuple[Glimpse, ...] = ()
        self._ref: ref[object] | None = None
        if self._kind in (tuple, list):
            parts: tuple[object, ...] | list[object] = item  # type: ignore[assignment]
            self._parts = tuple(Glimpse(part, depth - 1) for part in parts[:_MOST_PARTS] if depth)
            return
        try:
            self._ref = ref(item)
        except TypeError:  # numbers, texts, and classes whose slots leave no room for a reference
            return

    def sample(self) -> object:
        """Return the item, or what is like it: an object of its class without attributes; None where there is none."""
        if self._kind in (tuple, list):
            return self._kind(part.sample() for part in self._parts)
        item = None if self._ref is None else self._ref()
        if item is None and self._kind.__new__ is object.__new__ and not hasattr(self._kind, "__del__"):
            try:
                return object.__new__(self._kind)
            except TypeError:  # an abstract class of an item that was an instance once
                return None
        return item
