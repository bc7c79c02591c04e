"""Happens-before of one execution, and its races.

Every event gets the set of events that happen before or with it, as the bits of one int: joining two pasts is
`|`, asking is a shift, whatever the number of tasks. An execution of a thousand events costs a thousand ints of a
thousand bits, still microseconds each.

A race (i, j) is a pair of dependent events of different tasks with nothing in between them in happens-before, of
which j could have gone first. For an operation that blocks that asks what it would have met before i
(`Event.before`): releasing a lock enables the acquire that follows it, so these two can't be reversed, and the
acquire races with the earlier acquire whose critical section kept it out. So one walks back along the events of
that object until one is found before which j could have gone. At a deadlock the operations that wait race in the
same way, as if they came next.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from whilst.checking.engine.operations import Event, HeldOff, Operation, Sync, accesses_of


class _Last:
    """What happened last to one thing: its last write, the reads since."""

    __slots__ = ("reads", "write")

    def __init__(self) -> None:
        self.write = -1
        self.reads: list[int] = []


class HappensBefore:
    """`past[j]`: events before or at j, as bits. `races`: (i, j, past of j once i and what follows it is gone).

    j == len(trace) + k stands for what task k waits for. With a wait, what leads from i to j is the critical
    section of i, which goes with it: then j's past is that of its own task.
    """

    def __init__(
        self,
        trace: Sequence[Event],
        gates: Mapping[int, int],
        held_off: HeldOff,
        earlier: HappensBefore | None = None,
        common: int = 0,
    ) -> None:
        """`earlier`: of an execution whose first `common` events were the same."""
        self._trace, self._held_off = trace, held_off
        self.past: list[int] = []
        self.races: list[tuple[int, int, int]] = []
        self._races_before: list[int] = []  # event -> how many races the events before it have
        self.table: dict[Any, dict[Any, _Last]] = {}
        self._last: dict[int, int] = {}  # task -> past of its latest event
        self._history: dict[Any, list[int]] = {}  # object -> events on it that may keep others waiting
        self.waiting: dict[int, Operation] = {}
        if earlier is not None and common:
            self._take_over(earlier, common)
        self._run(gates, common)

    def _take_over(self, earlier: HappensBefore, common: int) -> None:
        """What the first events come to is known: pasts, races; the table is of this execution's objects."""
        past = self.past = earlier.past[:common]
        marks = earlier._races_before
        self.races = earlier.races[: marks[common]] if common < len(marks) else earlier.races_of_events()
        self._races_before = marks[:common]
        last, table = self._last, self.table
        for index in range(common):
            task, writes, thing, key, _before, operation = self._trace[index]
            last[task] = past[index]
            if operation[0] == 2:
                for each, part, is_write in accesses_of(self._trace[index]):
                    self._note(index, table.setdefault(each, {}), part, is_write)
                    self._history.setdefault(each, []).append(index)
                continue
            keys = table.get(thing)
            if keys is None:
                keys = table[thing] = {}
            record = keys.get(key)
            if record is None:
                record = keys[key] = _Last()
            if writes:
                record.write = index
                if record.reads:
                    record.reads = []
            else:
                record.reads.append(index)

    def races_of_events(self) -> list[tuple[int, int, int]]:
        """Those in which both have happened."""
        count = len(self.past)
        return [race for race in self.races if race[1] < count]

    def _run(self, gates: Mapping[int, int], begin: int) -> None:
        past, last, table, races, marks = self.past, self._last, self.table, self.races, self._races_before
        held_off = self._held_off
        for index in range(begin, len(self._trace)):
            event = self._trace[index]
            task, writes, thing, key, _before, operation = event
            marks.append(len(races))
            mine = last.get(task, -1)
            if mine < 0:
                mine = past[self._first_of(gates[task])] if task in gates else 0
            if held_off and index in held_off:
                mine |= self._awaited(index)
            if operation[0] == 2:
                joined = self._join_sync(index, event, mine)
            else:
                keys = table.get(thing)
                if keys is None:
                    keys = table[thing] = {}
                record = keys.get(key)
                if record is None:
                    record = keys[key] = _Last()
                if key is None or None in keys:
                    joined = self._join(index, keys, key, writes, mine)
                elif writes:
                    joined = mine
                    if record.reads:
                        earlier = [*record.reads, record.write] if record.write >= 0 else record.reads
                        joined = self._join_earlier(index, earlier, mine)
                        record.reads = []
                    elif record.write >= 0:
                        other = record.write
                        joined |= past[other]
                        if not (mine >> other) & 1:
                            races.append((other, index, joined))
                    record.write = index
                else:
                    joined, other = mine, record.write
                    if other >= 0:
                        joined |= past[other]
                        if not (mine >> other) & 1:
                            races.append((other, index, joined))
                    record.reads.append(index)
            last[task] = past_of = joined | (1 << index)
            past.append(past_of)

    def _awaited(self, index: int) -> int:
        """The past of a task that polled in vain until something it looked at was written: from then on it could
        have gone on, so whatever came later may come after it as well."""
        depth, things = self._held_off[index]
        for other in range(depth, index):
            for thing, key, is_write in accesses_of(self._trace[other]):
                if is_write and any(t == thing and (None in (k, key) or k == key) for t, k in things):
                    return self.past[other]
        return 0

    def _first_of(self, task: int) -> int:
        return next((index for index, event in enumerate(self._trace) if event[0] == task), -1)

    def _join(self, index: int, keys: dict[Any, _Last], key: Any, writes: bool, mine: int) -> int:
        """A plain access where the whole and its keys meet: find what it depends on, note races."""
        if key is None:
            earlier = self._whole(keys, writes)
        else:
            earlier = self._frontier(keys[key], writes) + self._frontier(keys[None], writes)
        joined = self._join_earlier(index, earlier, mine) if earlier else mine
        self._note(index, keys, key, writes)
        return joined

    def _join_earlier(self, index: int, earlier: Collection[int], mine: int) -> int:
        """The past after joining those of the events it depends on; the latest ones first, to find the races."""
        joined, past, found = mine, self.past, []
        for other in sorted(earlier, reverse=True) if len(earlier) > 1 else earlier:
            if not (joined >> other) & 1:
                found.append(other)
            joined |= past[other]
        for other in found:
            self.races.append((other, index, joined))
        return joined

    @staticmethod
    def _frontier(record: _Last | None, writes: bool) -> list[int]:
        """What an access depends on of those of one key."""
        if record is None:
            return []
        if writes and record.reads:
            return [*record.reads, record.write] if record.write >= 0 else list(record.reads)
        return [record.write] if record.write >= 0 else []

    def _whole(self, keys: dict[Any, _Last], writes: bool) -> list[int]:
        """The same for an access of all keys."""
        out: list[int] = []
        for record in keys.values():
            if record.write >= 0:
                out.append(record.write)
            if writes:
                out += record.reads
        return out

    @staticmethod
    def _note(index: int, keys: dict[Any, _Last], key: Any, writes: bool) -> None:
        record = keys.get(key)
        if record is None:
            record = keys[key] = _Last()
        if writes:
            record.write = index
            record.reads = []
        else:
            record.reads.append(index)

    def _join_sync(self, index: int, event: Event, mine: int) -> int:
        """An operation that may wait, or that touches several things at once."""
        task, writes, thing, key, _, operation = event
        sync = operation[5]
        if sync.more or sync.is_step:
            return self._join_several(index, event, mine)
        keys = self.table.get(thing)
        if keys is None:
            keys = self.table[thing] = {}
        if key is None:
            earlier = self._whole(keys, writes)
        else:
            earlier = self._frontier(keys.get(key), writes) + self._frontier(keys.get(None), writes)
        history = self._history.get(thing)
        if history is None:
            history = self._history[thing] = []
        if not sync.blocks:
            joined = self._join_earlier(index, earlier, mine) if earlier else mine
        else:
            if history:
                self._wait_races(index, operation, task, mine)
            joined = mine
            for other in earlier:
                joined |= self.past[other]
        self._note(index, keys, key, writes)
        history.append(index)
        return joined

    def _join_several(self, index: int, event: Event, mine: int) -> int:
        """The same for several things, and for a step of a coroutine."""
        sync, past, table = event[5][5], self.past, self.table
        touched = accesses_of(event)
        earlier: set[int] = set()
        for thing, key, writes in touched:
            keys = table.setdefault(thing, {})
            if key is None:
                earlier.update(self._whole(keys, writes))
            else:
                earlier.update(self._frontier(keys.get(key), writes), self._frontier(keys.get(None), writes))
        if sync.is_step:
            joined = self._join_earlier(index, earlier, mine | self._enabler(index, sync))
        elif not sync.blocks:
            joined = self._join_earlier(index, earlier, mine)
        else:
            self._wait_races(index, event[5], event[0], mine)
            joined = mine
            for other in earlier:
                joined |= past[other]
        for thing, key, writes in touched:
            self._note(index, table[thing], key, writes)
            self._history.setdefault(thing, []).append(index)
        return joined

    def _enabler(self, index: int, sync: Sync) -> int:
        """The past of the step that made this one ready; there is none if it was ready from the start."""
        for other in range(index - 1, -1, -1):
            before = self._trace[other][4]
            if before is not None and not sync.needs(before):  # type: ignore[misc]  # a step has needs
                return self.past[other]
        return 0

    def _called_off(self, index: int, sync: Sync, mine: int) -> None:
        """A step that is not ready any more could have gone before the one that saw to that (a timer cancelled)."""
        for other in range(len(self._trace) - 1, -1, -1):
            before = self._trace[other][4]
            if before is not None and sync.needs(before):  # type: ignore[misc]  # a step has needs
                if not (mine >> other) & 1:
                    self.races.append((other, index, mine))
                return

    def _wait_races(self, index: int, operation: Operation, task: int, mine: int) -> None:
        """Walk back to the events before which this wait was over already."""
        thing, key, sync = operation[1], operation[2], operation[5]
        trace, excluded = self._trace, mine
        for other in reversed(self._history.get(thing, ())):
            event = trace[other]
            if (excluded >> other) & 1:
                if event[0] == task and event[1]:
                    return  # all that came earlier is in its past
                continue
            if not (event[1] or sync.writes) or not (key is None or _overlap(key, event, thing)):
                continue
            if event[4] is None or sync.needs(event[4]):
                self.races.append((other, index, mine))
                excluded |= self.past[other]
                if event[1]:
                    return

    def add_waiting(self, waiting: Mapping[int, Operation]) -> None:
        """At the end: treat what is left waiting as if it came next, task k at index len(trace) + k."""
        count = len(self._trace)
        for task, operation in waiting.items():
            if operation[0] != 2 or not operation[5].blocks:
                continue
            mine = self._last.get(task, 0)
            index = count + task
            self.waiting[task] = operation
            if operation[5].is_step:
                self._called_off(index, operation[5], mine)
            else:
                self._wait_races(index, operation, task, mine)


def _overlap(key: Any, event: Event, thing: Any) -> bool:
    return any(t == thing and (key is None or k is None or k == key) for t, k, _ in accesses_of(event))
