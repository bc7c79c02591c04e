"""One number that stands for all orders of a prefix that come to the same."""

from __future__ import annotations

from typing import Any

from whilst.checking.engine.operations import Event, accesses_of


class Fingerprint:
    """A number for the Mazurkiewicz trace of a growing prefix: equal traces, equal numbers, whatever the order.

    Each event's number is made from its task, its place in the task and the numbers of what it depends on; the
    prefix's is their sum. Two different traces collide with a probability of about 2**-61 a pair.
    """

    __slots__ = ("_counts", "_last", "_things", "value")

    def __init__(self) -> None:
        self.value = 0
        self._last: dict[int, int] = {}
        self._counts: dict[int, int] = {}
        self._things: dict[Any, dict[Any, list[int]]] = {}  # thing -> key -> [last write, sum of reads since]

    def add(self, event: Event) -> None:
        """The next event of the prefix."""
        task, writes, thing, key, _, operation = event
        nth = self._counts[task] = self._counts.get(task, 0) + 1
        if key is not None and operation[0] != 2:  # what follows, for the one plain access that most events are
            keys = self._things.setdefault(thing, {None: [0, 0]})
            whole = keys[None]
            record = keys.get(key)
            if record is None:
                record = keys[key] = list(whole)
            last = self._last.get(task, 0)
            if writes:
                number = hash((task, nth, writes, (last, record[0], record[1], whole[0], whole[1])))
                record[0], record[1] = number, 0
            else:
                number = hash((task, nth, writes, (last, record[0], whole[0])))
                record[1] += number
            self._last[task] = number
            self.value += number
            return
        depends = [self._last.get(task, 0)]
        records = []
        for thing, key, writes in accesses_of(event):
            keys = self._things.setdefault(thing, {None: [0, 0]})
            if key is not None and key not in keys:
                keys[key] = list(keys[None])
            for record in keys.values() if key is None else (keys[key], keys[None]):
                depends.append(record[0])
                if writes:
                    depends.append(record[1])
            records.append((keys, key, writes))
        number = hash((task, nth, event[1], tuple(depends)))
        for keys, key, writes in records:
            for record in keys.values() if key is None else (keys[key],):
                if writes:
                    record[0], record[1] = number, 0
                else:
                    record[1] += number
        self._last[task] = number
        self.value += number
