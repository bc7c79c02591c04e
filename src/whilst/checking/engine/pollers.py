"""Tasks that wait by looking again and again: who does so in vain, and what time goes by for those that sleep.

One part of the scheduler, which asks it at events and tells it of them. What makes a loop one that only looks is
decided in `spin_loops`; here it is counted when a task is to be suspected at all, which is cheap enough for each event.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import CodeType
from typing import Any, Final

from whilst.checking.engine.operations import Event, Operation
from whilst.checking.engine.sites import Site
from whilst.checking.engine.spin_loops import LOCKING, LOOKS, ROUNDS, TRIES, Polling, local_state

Places = Collection[tuple[Any, Any]]  # things, each with a key or None
_MOST_DOUBLED: Final = 20
_MOST_LATE: Final = 128  # how often a task that looks again after a sleep may do so with nobody else to go on


class Pollers:
    """Those of one execution after another."""

    __slots__ = (
        "_emptied",
        "_late",
        "_polling",
        "_root",
        "_waiting",
        "has_waited_asleep",
        "idle",
        "looked",
        "looks",
        "naps",
        "on_late",
    )

    def __init__(self, root: CodeType) -> None:
        """The frames of a task begin with one of `root`."""
        self._root = root
        self.idle: dict[int, int] = {}  # task that polls in vain -> the depth at which it was noticed
        self.looks: dict[int, set[Site]] = {}  # by task: from where it has looked at anything since it last wrote
        self.looked: dict[int, dict[tuple[Any, ...], int]] = {}  # once that is twice: how often at what, from where
        self.naps: dict[int, int] = {}  # by task: how often it has slept
        self.on_late: Callable[[int, int], None] = lambda _task, _s: None  # that much time goes by for a task
        self.has_waited_asleep = False  # whether a loop that looks again after a sleep was taken for one that waits
        self._late: dict[int, int] = {}  # by task: how often time went by for it, since nobody else could go on
        self._polling: Polling | None = None  # once a task has looked often enough
        # Those of event loops: what they see, and the event by which somebody has changed it, with what that touched.
        self._waiting: dict[int, tuple[Places, tuple[int, Places] | None]] = {}
        self._emptied: tuple[dict[int, Any], ...] = (
            self.idle,
            self.looks,
            self.naps,
            self.looked,
            self._late,
            self._waiting,
        )

    def begin(self) -> None:
        """A new execution."""
        for held in filter(None, self._emptied):
            held.clear()
        self._polling = None

    @property
    def must_follow(self) -> bool:
        """Whether every event is to be told from now on (`follow`)."""
        return self._polling is not None or bool(self._waiting)

    # ------------------------------------------------------------------ who polls

    def look_again(
        self,
        task: int,
        operation: Operation,
        trace: Sequence[Event],
        pending: Mapping[int, Operation],
        *,
        is_holding: bool,
    ) -> None:
        """A task has looked from some place twice since it last wrote: how often at this, from here? `is_holding`:
        with a lock in its hands, with which it never waits."""
        looked = self.looked.get(task)
        if looked is None:
            looked = self.looked[task] = {}
            for earlier in _looks_since_write(task, trace):
                view = _view_of(earlier)
                looked[view] = looked.get(view, 0) + 1
        view = _view_of(operation)
        looked[view] = count = looked.get(view, 0) + 1
        if count < ROUNDS:
            return
        if self._polling is None:
            self._polling = Polling()
            self._polling.catch_up(trace, pending, task)
        known = self._polling.look(task, operation)
        if known is not None and not is_holding:
            self._doubt(task, known, len(trace))

    def wait_for(self, task: int, seen: Places, depth: int) -> None:
        """A task of an event loop is about to go round as before: it may as well wait until some of this is written."""
        self.idle[task] = depth
        self._waiting[task] = (seen, None)

    def note_step(self, depth: int, event: Event, written: Places) -> None:
        """A step of another one, which began with that event, has written this."""
        for task, (seen, woken_by) in self._waiting.items():
            if woken_by is None and task != event[0] and _meet(seen, written):
                self._waiting[task] = (seen, (depth, ((event[2], event[3]),)))

    def _doubt(self, task: int, known: list[Any], depth: int) -> None:
        """A task has looked at the same thing from the same place a third time: does it poll?"""
        local = local_state(self._root)
        naps = self.naps.get(task, 0)
        if local is not None and known[1] == local:
            self.idle[task] = depth
        elif local is not None and naps > known[2] and known[0] >= TRIES:
            self.idle[task], self.has_waited_asleep = depth, True
        known[1:] = local, naps

    def follow(self, event: Event) -> tuple[int, Places] | None:
        """An event is about to happen. Of a task that polled in vain: from when on, and what it looked at."""
        task, polling, held_off = event[0], self._polling, None
        if task in self._waiting:
            del self.idle[task]
            held_off = self._waiting.pop(task)[1]
        elif task in self.idle and polling is not None:
            held_off = (self.idle.pop(task), polling.seen_by(task))
        if polling is not None:
            polling.note(event)
        return held_off

    def is_in_vain(self, task: int) -> bool:
        """Whether the task would see what it saw."""
        if task in self._waiting:
            return self._waiting[task][1] is None
        return task in self.idle and self._polling is not None and self._polling.is_unchanged(task)

    # ------------------------------------------------------------------ who sleeps

    def much_later(self, able: Iterable[int]) -> int:
        """Nobody can go on but who sleeps between its looks: for one of them (of those `able` to look) much time goes
        by, and it looks again; -1 if there is none."""
        late = self._late
        asleep = [task for task in able if late.get(task, 0) < _MOST_LATE and task in self.naps]
        if not asleep:
            return -1
        task = min(asleep, key=lambda each: (late.get(each, 0), each))
        self.let_time_go_by(task)
        return task

    def let_time_go_by(self, task: int) -> None:
        """For each time twice as much."""
        times = self._late.get(task, 0)
        self.on_late(task, 1 << min(times, _MOST_DOUBLED))  # seconds: a deadline is passed, however far away
        self._late[task] = times + 1


def _meet(some: Places, others: Places) -> bool:
    return any(a == c and (b is None or d is None or b == d) for a, b in some for c, d in others)


def _looks_since_write(task: int, trace: Sequence[Event]) -> Iterator[Operation]:
    """What the task has looked at since it last wrote anything but a lock."""
    for event in reversed(trace):
        operation = event[5]
        if event[0] != task:
            continue
        if event[1] and (operation[0] == 1 or operation[5].kind not in LOCKING):
            return
        if operation[0] == 0 or (operation[0] == 2 and operation[5].kind in LOOKS):
            yield operation


def _view_of(look: Operation) -> tuple[Any, ...]:
    """From where a task looked, and at what."""
    return (look[3], look[1], look[2])
