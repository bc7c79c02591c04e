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

from whilst.checking.events import Status
from whilst.checking.happens import HappensBefore
from whilst.checking.scheduler import Accesses, Event, HeldOff, Operation, accesses_of, accesses_wanted, overlap

__all__ = ["Branch", "Node", "Optimal"]


class Branch:
    """A wakeup tree's node: a task, and what follows it."""

    __slots__ = ("below", "task")

    def __init__(self, task: int) -> None:
        self.task = task
        self.below: list[Branch] = []


class Node:
    """A state on the path to the current execution."""

    __slots__ = ("done", "sleep", "tree")

    def __init__(self, sleep: int) -> None:
        self.sleep = sleep  # mask of tasks
        self.tree: list[Branch] = []
        self.done = 0  # branches explored to their end


class Optimal:
    """The search as a state machine: feed it each execution, it says which to run next.

    `plan`, `sleep` and `sleep_from` describe the execution to run; `advance` takes what came of it and prepares
    the next, False when every trace has been seen.
    """

    def __init__(self, gates: Mapping[int, int]) -> None:
        self.gates = gates
        self.nodes: list[Node] = []
        self.plan: list[int] = []
        self.sleep = 0
        self.sleep_from = 0
        self.redundant = 0
        self._pending_path: list[list[Branch]] = []

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
            node = Node(sleeps[depth - self.sleep_from])
            ahead = depth - self.sleep_from - 1
            if 0 <= ahead < len(self._pending_path):
                node.tree = self._pending_path[ahead]
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
        view = _View(trace, order.past, waiting)
        count = len(trace)
        for first, second, past in order.races:
            node = self.nodes[first]
            if second < count:
                task, last = trace[second][0], accesses_of(trace[second])
            else:
                task = second - count
                last = accesses_wanted(order.waiting[task])
            self._insert(node, view, first, task, past, last)

    def _insert(self, node: Node, view: _View, first: int, task: int, past: int, last: Accesses) -> None:
        """Put v = notdep(first) . task into the tree of the node, unless it is covered."""
        if node.sleep and (node.sleep >> view.first_independent(first, task)) & 1:
            return  # v's first event depends on nothing in v, and its task is asleep: the common case
        sequence = view.independent_after(first)
        mask = 0
        for index in sequence:
            mask |= 1 << index
        rest = _Rest(view, sequence, mask, task, past, last)
        sleeping, other = node.sleep, 0
        while sleeping:
            if sleeping & 1 and rest.may_begin_with(other, view.done_before(other, first)):
                return
            sleeping >>= 1
            other += 1
        branches = node.tree
        taken: dict[int, int] = {}
        while True:
            for branch in branches:
                nth = view.done_before(branch.task, first) + taken.get(branch.task, 0)
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
        while nodes:
            depth = len(nodes) - 1
            node = nodes[-1]
            if depth < len(trace):
                node.sleep |= 1 << trace[depth][0]
                node.done += 1
            if node.tree:
                branch = node.tree.pop(0)
                self.plan = [event[0] for event in trace[:depth]]
                self._pending_path = []
                self.plan.append(branch.task)
                self.sleep, self.sleep_from = node.sleep, depth
                below = branch.below
                while below:
                    self._pending_path.append(below)
                    following = below.pop(0)
                    self.plan.append(following.task)
                    below = following.below
                return True
            nodes.pop()
        return False


class _View:
    """The events of one execution by task, so that (task, nth) can be looked up."""

    __slots__ = ("_by_task", "_past", "_positions", "_trace", "_waiting")

    def __init__(self, trace: Sequence[Event], past: Sequence[int], waiting: Mapping[int, Operation]) -> None:
        self._trace, self._past, self._waiting = trace, past, waiting
        by_task: dict[int, list[int]] = {}
        for index, event in enumerate(trace):
            by_task.setdefault(event[0], []).append(index)
        self._by_task = by_task

    def event(self, index: int) -> Event:
        return self._trace[index]

    def past(self, index: int) -> int:
        return self._past[index]

    def independent_after(self, first: int) -> list[int]:
        """Indices of the events after `first` that don't depend on it."""
        past = self._past
        return [k for k in range(first + 1, len(self._trace)) if not (past[k] >> first) & 1]

    def first_independent(self, first: int, task: int) -> int:
        """The task that v begins with: of the first event after `first` that doesn't depend on it."""
        past, trace = self._past, self._trace
        for index in range(first + 1, len(trace)):
            if not (past[index] >> first) & 1:
                return trace[index][0]
        return task

    def done_before(self, task: int, index: int) -> int:
        """How many events of the task came before that index."""
        return bisect_left(self._by_task.get(task, ()), index)

    def lookup(self, task: int, nth: int) -> Accesses | None:
        """What the task's nth event touches, or would touch if it is pending; None when it is neither."""
        positions = self._by_task.get(task, ())
        if nth < len(positions):
            return accesses_of(self._trace[positions[nth]])
        if nth == len(positions) and task in self._waiting:
            return accesses_wanted(self._waiting[task])
        return None

    def task_of(self, index: int) -> int:
        return self._trace[index][0]


class _Rest:
    """What is left of v while it is led down the wakeup tree."""

    __slots__ = ("_last", "_mask", "_past", "_sequence", "_task", "_view")

    def __init__(self, view: _View, sequence: list[int], mask: int, task: int, past: int, last: Accesses) -> None:
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
        if any(overlap(found, accesses_of(view.event(index))) for index in self._sequence):
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
