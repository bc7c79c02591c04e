"""Wakeup trees: prefixes of traces to explore, and what an execution says that decides what goes into them.

`optimal_dpor` has the algorithm. A race (i, j) asks for v = notdep(i, E) . proc(j) from the state before i. It is put
into the tree of that node unless a sleeping task could begin an equivalent of it, below the branches that it is
equivalent to a continuation of. Pure: no execution is run here.
"""

from __future__ import annotations

import operator
import zlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whilst.checking.engine.operations import Accesses, Event, Operation, accesses_of, accesses_wanted, overlap

_TASK_OF = operator.itemgetter(0)  # of an event


class Branch:
    """A wakeup tree's node: a task, and what follows it."""

    __slots__ = ("below", "task")

    def __init__(self, task: int) -> None:
        self.task = task
        self.below: list[Branch] = []


@dataclass(frozen=True, slots=True)
class Subtree:
    """A subtree to explore: everything below the last choice of `plan[: root]` (all there is, for the default).

    `sleep` holds at depth `root - 1`, ahead of that choice; `plan` goes on as the wakeup tree wants it, whose other
    branches are in `path`, depth by depth from `root` on. `above` has the sleep sets of the nodes above, as far as
    they are known: what they cover needs no reversal any more.
    """

    plan: tuple[int, ...] = ()
    sleep: int = 0
    root: int = 0
    path: tuple[list[Branch], ...] = ()
    above: tuple[int, ...] = ()


@dataclass(slots=True)
class Remainder:
    """What is unexplored of a subtree: the nodes on its path (their tasks explored or in the plan are asleep), the
    work to go on with, and a digest of the events for each depth."""

    nodes: list[tuple[int, list[Branch]]]
    work: Subtree
    prefixes: list[int]


@dataclass(frozen=True, slots=True)
class Reversal:
    """A race of an execution whose first event lies above the subtree: v for the node at depth `first`."""

    first: int
    task: int
    past: int
    last: Accesses


class Node:
    """A state on the path to the current execution, from which something else is to be tried, or was."""

    __slots__ = ("done", "foreign", "met", "sleep", "tree")

    def __init__(self, sleep: int, foreign: int = 0) -> None:
        self.met: set[tuple[int, ...]] = set()  # each v, as tasks, that has been looked at: covered now, or in the tree
        self.sleep = sleep  # mask of tasks
        self.foreign = foreign  # those of them whose subtrees other processes explore, perhaps at this moment
        self.tree: list[Branch] = []
        self.done = 0  # branches explored to their end


def uncovered(node: Node, view: View, reversal: Reversal) -> _Remaining | None:
    """v = notdep(first) . task, unless a task in the node's sleep set could begin an equivalent of it."""
    first, task = reversal.first, reversal.task
    if node.sleep:
        tasks = view.tasks_after(first)
        if (node.sleep >> (tasks[0] if tasks else task)) & 1:
            return None  # v's first event depends on nothing in v, and its task is asleep: the common case
    sequence = view.independent_after(first)
    mask = 0
    for index in sequence:
        mask |= 1 << index
    rest = _Remaining(view, sequence, mask, task, reversal.past, reversal.last)
    sleeping, other = node.sleep, 0
    while sleeping:
        counts = sleeping & 1 and (not (node.foreign >> other) & 1 or other in rest.tasks())
        if counts and rest.may_begin_with(other, view.done_before(other, first)):
            return None
        sleeping >>= 1
        other += 1
    return rest


def insert(node: Node, view: View, reversal: Reversal) -> None:
    """Put v into the tree of the node, unless it is covered."""
    rest = uncovered(node, view, reversal)
    if rest is None:
        return
    branches = node.tree
    taken: dict[int, int] = {}
    while True:
        for branch in branches:
            nth = view.done_before(branch.task, reversal.first) + taken.get(branch.task, 0)
            if rest.may_begin_with(branch.task, nth):
                break
        else:
            for each in rest.tasks():
                new = Branch(each)
                branches.append(new)
                branches = new.below
            return
        rest.remove_first_of(branch.task)
        taken[branch.task] = taken.get(branch.task, 0) + 1
        if not branch.below or rest.is_empty():
            return
        branches = branch.below


class View:
    """The events of one execution by task, so that (task, nth) can be looked up."""

    __slots__ = ("_by_task", "_independent", "_past", "_tasks", "_trace", "_waiting")

    def __init__(self, trace: Sequence[Event], past: Sequence[int], waiting: Mapping[int, Operation]) -> None:
        self._trace, self._past, self._waiting = trace, past, waiting
        self._tasks: list[int] = list(map(_TASK_OF, trace))
        self._by_task: dict[int, list[int]] | None = None
        self._independent: dict[int, list[int]] = {}  # event -> the tasks of those that don't depend on it

    def _indices_of(self, task: int) -> Sequence[int]:
        """Of the events of that task."""
        if self._by_task is None:
            self._by_task = {}
            for index, each in enumerate(self._tasks):
                self._by_task.setdefault(each, []).append(index)
        return self._by_task.get(task, ())

    def sent(self, reversals: Sequence[Reversal]) -> Sent:
        """The same for another process: things and keys become numbers, in which alone they are compared."""
        numbers: dict[object, int] = {}

        def numbered(accesses: Accesses) -> Accesses:
            return tuple(
                [
                    (number("thing", thing), key if key is None else number("key", key), writes)
                    for thing, key, writes in accesses
                ]
            )

        def number(what: str, value: object) -> int:
            return numbers.setdefault((what, value), len(numbers))

        count = len(self._trace)
        return Sent(
            trace=[
                (self.task_of(index), numbered(self.touched(index)), numbered(self.may_touch(index)))
                for index in range(count)
            ],
            past=list(self._past),
            waiting={task: numbered(self.wanted(task)) for task in self._waiting},
            reversals=[Reversal(each.first, each.task, each.past, numbered(each.last)) for each in reversals],
        )

    def touched(self, index: int) -> Accesses:
        """What the event touched."""
        return accesses_of(self._trace[index])

    def may_touch(self, index: int) -> Accesses:
        """The same in another state: what hangs on that (a try) counts as a write."""
        return accesses_wanted(self._trace[index][5])

    def wanted(self, task: int) -> Accesses:
        """What the operation would touch that the task waits in."""
        return accesses_wanted(self._waiting[task])

    def past(self, index: int) -> int:
        return self._past[index]

    def independent_after(self, first: int) -> list[int]:
        """Indices of the events after `first` that don't depend on it."""
        past, bit = self._past, 1 << first
        return [k for k in range(first + 1, len(self._tasks)) if not past[k] & bit]

    def tasks_after(self, first: int) -> list[int]:
        """Whose events they are. Races share the list: don't change it."""
        found = self._independent.get(first)
        if found is None:
            bit, after = 1 << first, first + 1
            pairs = zip(self._tasks[after:], self._past[after:], strict=True)
            found = self._independent[first] = [task for task, past in pairs if not past & bit]
        return found

    def done_before(self, task: int, index: int) -> int:
        """How many events of the task came before that index."""
        return bisect_left(self._indices_of(task), index)

    def lookup(self, task: int, nth: int) -> Accesses | None:
        """What the task's nth event touches, in whatever state, or would touch if it is pending; None when it is
        neither."""
        positions = self._indices_of(task)
        if nth < len(positions):
            return self.may_touch(positions[nth])
        if nth == len(positions) and task in self._waiting:
            return self.wanted(task)
        return None

    def task_of(self, index: int) -> int:
        return self._tasks[index]


@dataclass(slots=True)
class Sent:
    """A `View` that came from another process, and the reversals that were found in it."""

    trace: list[tuple[int, Accesses, Accesses]]
    past: list[int]
    waiting: dict[int, Accesses]
    reversals: list[Reversal]

    def view(self) -> View:
        """To put the reversals into trees with."""
        return _SentView(self.trace, self.past, self.waiting)  # type: ignore[arg-type]  # see its methods


class _SentView(View):
    """Holds accesses where a `View` has events and operations."""

    __slots__ = ()

    def touched(self, index: int) -> Accesses:
        accesses: Accesses = self._trace[index][1]  # type: ignore[assignment]
        return accesses

    def may_touch(self, index: int) -> Accesses:
        accesses: Accesses = self._trace[index][2]
        return accesses

    def wanted(self, task: int) -> Accesses:
        return self._waiting[task]


class _Remaining:
    """What is left of v while it is led down the wakeup tree."""

    __slots__ = ("_last", "_mask", "_past", "_sequence", "_task", "_view")

    def __init__(self, view: View, sequence: list[int], mask: int, task: int, past: int, last: Accesses) -> None:
        self._view, self._sequence, self._mask = view, sequence, mask
        self._task: int | None = task
        self._past, self._last = past, last

    def tasks(self) -> list[int]:
        out = [self._view.task_of(index) for index in self._sequence]
        if self._task is not None:
            out.append(self._task)
        return out

    def is_empty(self) -> bool:
        return not self._sequence and self._task is None

    def may_begin_with(self, task: int, nth: int) -> bool:
        """Whether the task is a weak initial: its first event here depends on nothing before it, or it has no
        event here and its next one is independent of all."""
        view = self._view
        for index in self._sequence:
            if view.task_of(index) == task:
                return view.past(index) & self._mask == 1 << index
        if self._task == task:
            return not self._past & self._mask
        found = view.lookup(task, nth)
        if found is None:
            return False
        return not self._depends(found)

    def _depends(self, found: Accesses) -> bool:
        view = self._view
        if any(overlap(found, view.touched(index)) for index in self._sequence):
            return True
        return self._task is not None and overlap(found, self._last)

    def remove_first_of(self, task: int) -> None:
        view = self._view
        for at, index in enumerate(self._sequence):
            if view.task_of(index) == task:
                self._mask &= ~(1 << index)
                self._sequence = self._sequence[:at] + self._sequence[at + 1 :]
                return
        if self._task == task:
            self._task = None


def prefixes_of(trace: Sequence[Event]) -> list[int]:
    """For each depth, a number for the events before it: task, place, and whether it writes."""
    out = [0]
    for event in trace:
        out.append(zlib.crc32(f"{event[0]} {event[1]} {event[5][3].key}".encode(), out[-1]))
    return out
