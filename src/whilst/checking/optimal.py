"""Optimal dynamic partial order reduction: one execution for each Mazurkiewicz trace.

Follows Abdulla, Aronsson, Jonsson, Sagonas, "Source Sets: A Foundation for Optimal Dynamic Partial Order
Reduction", J. ACM 64(4), 2017, Algorithm 2: wakeup trees on top of source sets, races taken from maximal
executions. Every execution runs to its end; for each of its reversible races (i, j) the sequence

    v = notdep(i, E) . proc(j)

(what came after i without depending on it, then j's task) leads, from the state before i, to a trace in which j
goes first. Unless a task in the sleep set there could begin an equivalent of v, v is put into the wakeup tree of
that node, below the branches that it is equivalent to a continuation of. A branch is followed to its leaf before
the scheduler is free again, which is why no execution is ever cut short as redundant.

*Invariant.* A node's sleep set holds the tasks whose next event, taken here, leads only to traces that have been
explored; its tree holds prefixes of traces that have not. Sleep sets hold tasks, trees hold task numbers only: an
event is (task, nth), and what it touches is looked up in the execution at hand, in which every such event has
either happened or is pending. So nothing needs names for objects that are stable across executions.

*Waiting.* An operation that blocks races with the event that it could have gone before (see `happens`), and the
operations left waiting at a deadlock race as if they came next.

Rejected: source-DPOR without wakeup trees (the study had no redundant run in 104 of 105 cases, but it can have
exponentially many), and reads-from equivalence (fewer classes, but undecided for locks and containers).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whilst.checking.events import Status
from whilst.checking.happens import HappensBefore
from whilst.checking.operations import Accesses, Event, HeldOff, Operation, accesses_of, accesses_wanted, overlap

__all__ = ["Branch", "Node", "Optimal", "Reversal", "Sent", "View", "Work", "insert"]


class Branch:
    """A wakeup tree's node: a task, and what follows it."""

    __slots__ = ("below", "task")

    def __init__(self, task: int) -> None:
        self.task = task
        self.below: list[Branch] = []


@dataclass(frozen=True, slots=True)
class Work:
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


@dataclass(frozen=True, slots=True)
class Reversal:
    """A race of an execution whose first event lies above the subtree: v for the node at depth `first`."""

    first: int
    task: int
    past: int
    last: Accesses


class Node:
    """A state on the path to the current execution."""

    __slots__ = ("done", "foreign", "met", "sleep", "tree")

    def __init__(self, sleep: int, foreign: int = 0) -> None:
        self.met: set[tuple[int, ...]] = set()  # each v, as tasks, that has been looked at: covered now, or in the tree
        self.sleep = sleep  # mask of tasks
        self.foreign = foreign  # those of them whose subtrees other processes explore, perhaps at this moment
        self.tree: list[Branch] = []
        self.done = 0  # branches explored to their end


class Optimal:
    """The search as a state machine: feed it each execution, it says which to run next.

    `plan`, `sleep` and `sleep_from` describe the execution to run; `advance` takes what came of it and prepares
    the next, False when every trace has been seen.
    """

    def __init__(self, gates: Mapping[int, int], work: Work | None = None) -> None:
        work = work or Work()
        self.gates = gates
        self.root = work.root  # nodes above are somebody else's: their races go to `reversals`
        self.nodes: list[Node] = [Node(sleep, sleep) for sleep in work.above]
        self.foreign = work.sleep
        self.plan: list[int] = list(work.plan)
        self.sleep = work.sleep
        self.sleep_from = max(work.root - 1, 0)
        self.redundant = 0
        self.path: list[list[Branch]] = list(work.path)
        self.reversals: list[tuple[View, list[Reversal]]] = []
        self._sent: set[tuple[int, ...]] = set()

    def advance(
        self,
        trace: Sequence[Event],
        sleeps: Sequence[int],
        status: Status,
        waiting: Mapping[int, Operation],
        held_off: HeldOff,
    ) -> bool:
        """Take in an execution (`sleeps[k]` belongs to event `sleep_from + k`); False when there is none left.

        `held_off`: events that waited for a write after polling in vain; they can't go ahead of it.
        """
        nodes = self.nodes
        for depth in range(len(nodes), len(trace)):
            asleep = sleeps[depth - self.sleep_from]
            node = Node(asleep, asleep & (nodes[-1].foreign if depth > self.root else self.foreign))
            ahead = depth - self.sleep_from - 1
            if 0 <= ahead < len(self.path):
                node.tree = self.path[ahead]
            nodes.append(node)
        if status is Status.CUT:
            self.redundant += 1
        elif status is not Status.DIVERGED:
            self._reverse_races(trace, status, waiting, held_off)
        return self._next(trace)

    # ------------------------------------------------------------------ races

    def _reverse_races(
        self,
        trace: Sequence[Event],
        status: Status,
        waiting: Mapping[int, Operation],
        held_off: HeldOff,
    ) -> None:
        order = HappensBefore(trace, self.gates, held_off)
        if waiting and status is not Status.TOO_LONG:
            order.add_waiting(waiting)  # at a deadlock, and what was called off before it could happen
        if not order.races:
            return
        view = View(trace, order.past, waiting)
        count = len(trace)
        above: list[Reversal] = []
        for first, second, past in order.races:
            node = self.nodes[first]
            task = trace[second][0] if second < count else second - count
            if first >= self.root:
                # The same tasks from the same state do the same; and what is covered once stays so.
                if node.sleep and (node.sleep >> view.first_independent(first, task)) & 1:
                    continue
                tasks = view.tasks_of_reversal(first, task)
                if tasks in node.met:
                    continue
                node.met.add(tasks)
            last = accesses_of(trace[second]) if second < count else accesses_wanted(order.waiting[task])
            if first >= self.root:
                insert(node, view, Reversal(first, task, past, last))
            elif rest := _uncovered(node, view, Reversal(first, task, past, last)):
                key = (first, *rest.tasks())
                if key not in self._sent:  # the same tasks from the same state do the same
                    self._sent.add(key)
                    above.append(Reversal(first, task, past, last))
        if above:
            self.reversals.append((view, above))

    # ------------------------------------------------------------------ backtracking

    def explored_share(self) -> float:
        """How much of the tree is behind, if every branch not yet entered were as large as those that were.

        Kilby, Slaney, Thiebaux, Walsh, "Estimating Search Tree Size", AAAI 2006: the weighted backtrack estimator.
        """
        share, weight = 0.0, 1.0
        for node in self.nodes:
            weight /= node.done + 1 + len(node.tree)
            share += weight * node.done
        return share

    def _next(self, trace: Sequence[Event]) -> bool:
        nodes = self.nodes
        while len(nodes) > self.root:
            depth = len(nodes) - 1
            node = nodes[-1]
            if depth < len(trace):
                node.sleep |= 1 << trace[depth][0]
                node.done += 1
            if node.tree:
                branch = node.tree.pop(0)
                self.plan = [event[0] for event in trace[:depth]]
                self.path = []
                self.plan.append(branch.task)
                self.sleep, self.sleep_from = node.sleep, depth
                below = branch.below
                while below:
                    self.path.append(below)
                    following = below.pop(0)
                    self.plan.append(following.task)
                    below = following.below
                return True
            nodes.pop()
        return False


def _uncovered(node: Node, view: View, reversal: Reversal) -> _Rest | None:
    """v = notdep(first) . task, unless a task in the node's sleep set could begin an equivalent of it."""
    first, task = reversal.first, reversal.task
    if node.sleep and (node.sleep >> view.first_independent(first, task)) & 1:
        return None  # v's first event depends on nothing in v, and its task is asleep: the common case
    sequence = view.independent_after(first)
    mask = 0
    for index in sequence:
        mask |= 1 << index
    rest = _Rest(view, sequence, mask, task, reversal.past, reversal.last)
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
    rest = _uncovered(node, view, reversal)
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

    __slots__ = ("_by_task", "_past", "_trace", "_waiting")

    def __init__(self, trace: Sequence[Event], past: Sequence[int], waiting: Mapping[int, Operation]) -> None:
        self._trace, self._past, self._waiting = trace, past, waiting
        self._by_task: dict[int, list[int]] | None = None

    def _indices_of(self, task: int) -> Sequence[int]:
        """Of the events of that task."""
        if self._by_task is None:
            self._by_task = {}
            for index, event in enumerate(self._trace):
                self._by_task.setdefault(event[0], []).append(index)
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
            trace=[(self.task_of(index), numbered(self.touched(index))) for index in range(count)],
            past=list(self._past),
            waiting={task: numbered(self.wanted(task)) for task in self._waiting},
            reversals=[Reversal(each.first, each.task, each.past, numbered(each.last)) for each in reversals],
        )

    def touched(self, index: int) -> Accesses:
        """What the event touched."""
        return accesses_of(self._trace[index])

    def wanted(self, task: int) -> Accesses:
        """What the operation would touch that the task waits in."""
        return accesses_wanted(self._waiting[task])

    def past(self, index: int) -> int:
        return self._past[index]

    def independent_after(self, first: int) -> list[int]:
        """Indices of the events after `first` that don't depend on it."""
        past = self._past
        return [k for k in range(first + 1, len(self._trace)) if not (past[k] >> first) & 1]

    def tasks_of_reversal(self, first: int, task: int) -> tuple[int, ...]:
        """v as tasks."""
        past, trace = self._past, self._trace
        return (*[trace[k][0] for k in range(first + 1, len(trace)) if not (past[k] >> first) & 1], task)

    def first_independent(self, first: int, task: int) -> int:
        """The task that v begins with: of the first event after `first` that doesn't depend on it."""
        past, trace = self._past, self._trace
        for index in range(first + 1, len(trace)):
            if not (past[index] >> first) & 1:
                return trace[index][0]
        return task

    def done_before(self, task: int, index: int) -> int:
        """How many events of the task came before that index."""
        return bisect_left(self._indices_of(task), index)

    def lookup(self, task: int, nth: int) -> Accesses | None:
        """What the task's nth event touches, or would touch if it is pending; None when it is neither."""
        positions = self._indices_of(task)
        if nth < len(positions):
            return self.touched(positions[nth])
        if nth == len(positions) and task in self._waiting:
            return self.wanted(task)
        return None

    def task_of(self, index: int) -> int:
        return self._trace[index][0]


@dataclass(slots=True)
class Sent:
    """A `View` that came from another process, and the reversals that were found in it."""

    trace: list[tuple[int, Accesses]]
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

    def wanted(self, task: int) -> Accesses:
        return self._waiting[task]


class _Rest:
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
