"""Takes partial results as they come, in any order, and joins them in order, in a tree of a fixed shape.

The shape depends on their number alone: neighbours of one size are joined, as in counting with binary numbers; what is
left at the end is joined from the right. So the same bits come whoever worked, and no more than log2 of them are held
besides those that wait for one before them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from whilst.running.call_names import add_note, name_of, without_own_frames
from whilst.running.core.outputs import Sink


class JoiningSink(Sink):
    """Joins what calls give.

    Args:
        combine: joins two neighbours; may change them.
        see: is shown each value before it is joined, in order, and gives what is to be joined.
    """

    def __init__(self, combine: Callable[[Any, Any], Any], see: Callable[[Any], Any]) -> None:
        self._combine, self._see = combine, see
        self._early: dict[int, Any] = {}
        self._trees: list[tuple[int, Any]] = []
        """(level, value): what 2**level neighbours gave."""
        self.count = 0

    def deliver(self, ids: Sequence[int], values: Sequence[object], errors: Mapping[int, BaseException]) -> None:  # noqa: ARG002
        self._early.update(zip(ids, values, strict=True))
        while self.count in self._early:
            self._add(self._see(self._early.pop(self.count)))
            self.count += 1

    def _add(self, value: Any) -> None:
        level, trees = 0, self._trees
        while trees and trees[-1][0] == level:
            value = self._join(trees.pop()[1], value)
            level += 1
        trees.append((level, value))

    @property
    def values(self) -> list[Any]:
        """What the values so far were joined to, in order: each of fewer of them than the one before."""
        return [value for _, value in self._trees]

    def result(self) -> Any:
        """What all of them give together; there is at least one."""
        _, value = self._trees.pop()
        while self._trees:
            value = self._join(self._trees.pop()[1], value)
        return value

    def _join(self, left: Any, right: Any) -> Any:
        try:
            return self._combine(left, right)
        except Exception as error:
            add_note(error, f"whilst: raised by {name_of(self._combine)}, as it joined the results of two parts")
            raise without_own_frames(error) from None
