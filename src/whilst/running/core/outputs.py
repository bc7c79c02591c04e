"""Where answers go: a list by number, or a stream that a reader takes from, in order or as they come."""

from __future__ import annotations

import sys
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import CodeType, FrameType
    from typing import Any


def reader_here() -> tuple[CodeType, int, int] | None:
    """Who asks for results: the first frame around that is not ours, as code, place in it, identity of its namespace.

    No frame is kept: it would keep all that its function has.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - no public way is as cheap
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("whilst."):
        frame = frame.f_back
    return None if frame is None else (frame.f_code, frame.f_lasti, id(frame.f_globals))


class Sink:
    """Takes values by the numbers of their calls, a batch at a time, in any order."""

    undelivered = 0
    """Values that wait here for a reader (or, ordered, for those before them)."""
    can_skip = False
    """Values may reach their reader in another way than through here."""

    def deliver(self, ids: Sequence[int], values: Sequence[object], errors: Mapping[int, BaseException]) -> None:
        """Take values; `values[k]` is that of call `ids[k]`. Each number comes once.

        Errors stand among the values already; `errors` tells them from exceptions that a call returned.
        """
        raise NotImplementedError

    def skip(self, count: int) -> None:
        """The next values in order do not come through here. Only where it `can_skip`."""
        raise NotImplementedError


_GAP = object()
"""Stands for a value that has not come yet."""


class ListSink(Sink):
    """All values in one list, which is given and empty, in the order of the items."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def deliver(self, ids: Sequence[int], values: Sequence[object], errors: Mapping[int, BaseException]) -> None:  # noqa: ARG002
        stored = self.values
        if values is stored:  # made in place
            return
        if type(ids) is range and ids.step == 1 and ids.start == len(stored):
            stored.extend(values)
            return
        missing = max(ids) + 1 - len(stored)
        if missing > 0:
            stored.extend([_GAP] * missing)
        if type(ids) is range and ids.step == 1:
            stored[ids.start : ids.stop] = values
            return
        for number, value in zip(ids, values, strict=True):
            stored[number] = value


class UnorderedSink(Sink):
    """A stream in the order of completion."""

    can_skip = True

    def __init__(self) -> None:
        self.ready: deque[Sequence[object]] = deque()

    def deliver(self, ids: Sequence[int], values: Sequence[object], errors: Mapping[int, BaseException]) -> None:  # noqa: ARG002
        self.undelivered += len(ids)
        self.ready.append(values)

    def skip(self, count: int) -> None:
        """Nothing waits for them."""


class OrderedSink(UnorderedSink):
    """A stream in the order of the items: values wait for those before them."""

    def __init__(self) -> None:
        super().__init__()
        self._early: dict[int, tuple[int, Sequence[object]]] = {}
        """By first number: how many, and their values."""
        self._next = 0

    def deliver(self, ids: Sequence[int], values: Sequence[object], errors: Mapping[int, BaseException]) -> None:  # noqa: ARG002
        self.undelivered += len(ids)
        if type(ids) is range and ids.step == 1:
            if ids.start == self._next and not self._early:
                self.ready.append(values)
                self._next = ids.stop
                return
            self._early[ids.start] = (len(ids), values)
        else:
            for number, value in zip(ids, values, strict=True):
                self._early[number] = (1, (value,))
        while (found := self._early.pop(self._next, None)) is not None:
            self._next += found[0]
            self.ready.append(found[1])

    def skip(self, count: int) -> None:
        self._next += count
