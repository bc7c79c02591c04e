"""The tree of the optimal search in pieces, for several processes: who explores which subtree.

A *piece* is what one process explores at a time: a subtree (`Subtree`), up to a bound. What is left of it then (the
nodes on its current path, with their sleep sets and wakeup trees) becomes common property, like the nodes above it:
any branch of a common node is work for anyone. Races whose first event lies above a piece come back as `Reversal`s
and are put into the tree of the common node there.

*Why the union is exactly the traces.* A branch joins the sleep set of its node from the moment it is given away, so
no trace is run twice. In one process a reversal may be dropped when a sleeping task is merely independent of it, as
whatever the sleeper's subtree still had to tell has been told by then. With subtrees explored side by side it has not
(two of them can each wait for the other's word), so a sleeper from outside (`Node.foreign`) covers a reversal only if
the reversal itself can begin with it, as in source-DPOR. The price: some executions are cut short, all they could
lead to being asleep. They are counted as redundant. Tested trace by trace against one process.

Pure: no process, no clock, so that the split is tested without either.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from whilst.checking.engine.events import Status
from whilst.checking.engine.operations import Event
from whilst.checking.explorer.explorer import Execution, Explorer
from whilst.checking.search.optimal_dpor import Optimal
from whilst.checking.search.wakeup_tree import Branch, Node, Sent, Subtree, insert

__all__ = ["Frontier", "Remainder", "SubtreeResult", "SubtreeTask", "explore"]


@dataclass(frozen=True, slots=True)
class SubtreeTask:
    """A subtree to explore, and what the events of its prefix look like, for processes that see different ones."""

    number: int
    work: Subtree
    prefix: int = 0


@dataclass(slots=True)
class Remainder:
    """What is unexplored of a piece: the nodes on its path (their tasks explored or in the plan are asleep), the
    work to go on with, and a digest of the events for each depth."""

    nodes: list[tuple[int, list[Branch]]]
    work: Subtree
    prefixes: list[int]


@dataclass(slots=True)
class SubtreeResult:
    """What came of exploring a subtree for a while."""

    executions: int = 0
    events: int = 0
    redundant: int = 0
    sent: list[Sent] = field(default_factory=list)
    left: Remainder | None = None
    stopped_at: tuple[int, ...] | None = None  # the choices of an execution that answers the question
    cut_short: str = ""
    has_learnt: bool = False  # more places are events than were known: everything starts over
    differs: str = ""  # the events are not those of the process that gave the work


class _Common(Node):
    """A node that belongs to all: `chain` are those above it and itself, `path` leads to it."""

    __slots__ = ("chain", "path", "prefix")

    def __init__(self, above: Sequence[_Common], path: tuple[int, ...], left: tuple[int, list[Branch]], prefix: int):
        super().__init__(left[0], -1)
        self.tree = left[1]
        self.chain: tuple[_Common, ...] = (*above, self)
        self.path, self.prefix = path, prefix


class Frontier:
    """Gives work and takes pieces; over when nothing is out and no branch is left."""

    def __init__(self) -> None:
        self._numbers = count()
        self._open: dict[int, _Common] = {}  # by id: nodes that have a branch to give
        self._out: dict[int, tuple[SubtreeTask, Sequence[_Common]]] = {}
        self._ready: deque[tuple[SubtreeTask, Sequence[_Common]]] = deque()
        self._ready.append((SubtreeTask(next(self._numbers), Subtree()), ()))

    @classmethod
    def going_on(cls, strategy: Optimal, trace: Sequence[Event]) -> Frontier:
        """What one process has explored until now stays explored."""
        frontier = cls()
        task = frontier.take()
        assert task is not None
        frontier.take_in(task.number, SubtreeResult(left=_remainder_of(strategy, trace)))
        return frontier

    @property
    def is_over(self) -> bool:
        """Whether every trace has been run."""
        return not self._out and not self._ready and not self._open

    def take(self) -> SubtreeTask | None:
        """A subtree nobody is at; None while there is none."""
        if not self._ready and self._open:
            self._give_branch()
        if not self._ready:
            return None
        task, above = self._ready.popleft()
        sleeps = tuple([node.sleep & ~(1 << task.work.plan[depth]) for depth, node in enumerate(above)])
        task = replace(task, work=replace(task.work, above=sleeps))
        self._out[task.number] = (task, above)
        return task

    def _give_branch(self) -> None:
        """The next branch of the highest node that has one: high subtrees are large."""
        node = min(self._open.values(), key=lambda each: len(each.path))
        branch = node.tree.pop(0)
        if not node.tree:
            del self._open[id(node)]
        plan, trees = [*node.path, branch.task], []
        below = branch.below
        while below:
            trees.append(below)
            following = below.pop(0)
            plan.append(following.task)
            below = following.below
        work = Subtree(tuple(plan), node.sleep, len(node.path) + 1, tuple(trees))
        node.sleep |= 1 << branch.task
        self._ready.append((SubtreeTask(next(self._numbers), work, node.prefix), node.chain))

    def give_back(self, number: int) -> None:
        """Whoever had it is gone: anyone may explore it."""
        self._ready.append(self._out.pop(number))

    def take_in(self, number: int, piece: SubtreeResult) -> None:
        """A piece is done, as far as it goes."""
        _, above = self._out.pop(number)
        for sent in piece.sent:
            view = sent.view()
            for reversal in sent.reversals:
                insert(above[reversal.first], view, reversal)
        if piece.sent:
            self._note_open(above)
        left = piece.left
        if left is None:
            return
        chain = above
        for found in left.nodes:
            depth = len(chain)
            chain = _Common(chain, left.work.plan[:depth], found, left.prefixes[depth]).chain
        self._note_open(chain)
        self._ready.append((SubtreeTask(next(self._numbers), left.work, left.prefixes[left.work.root - 1]), chain))

    def _note_open(self, nodes: Sequence[_Common]) -> None:
        self._open.update({id(node): node for node in nodes if node.tree})


def explore(
    explorer: Explorer,
    gates: Mapping[int, int],
    task: SubtreeTask,
    take: Callable[[Execution], bool],
    is_enough: Callable[[int], bool],
) -> SubtreeResult:
    """Explore a subtree until `take(execution)` or `is_enough(executions)` says to stop, or to its end."""
    scheduler = explorer.scheduler
    strategy = Optimal(gates, task.work)
    piece = SubtreeResult()
    known = len(scheduler.task_numbers)
    is_first = True
    while True:
        scheduler.gates = dict(gates)
        try:
            execution = explorer.execute(strategy.plan, strategy.sleep, strategy.sleep_from)
        finally:
            scheduler.gates = {}
        if explorer.learn() or (gates and explorer.has_identity) or len(scheduler.task_numbers) > known:
            piece.has_learnt = True
            return piece
        if execution.status is Status.DIVERGED:
            piece.differs = execution.reason
            return piece
        if is_first and task.work.root and prefixes_of(scheduler.trace[: task.work.root - 1])[-1] != task.prefix:
            piece.differs = "the same choices lead to other events in another process"
            return piece
        is_first = False
        if execution.status is not Status.CUT:
            piece.executions += 1
            piece.events += len(execution.choices)
            if execution.status in (Status.TOO_LONG, Status.OUTSIDE):
                piece.cut_short = execution.reason
            if take(execution):
                piece.stopped_at = execution.choices
                return piece
        trace = scheduler.trace
        has_more = strategy.advance(trace, scheduler.sleeps, execution.status, scheduler.stuck, scheduler.held_off)
        piece.redundant = strategy.redundant
        if not has_more or is_enough(piece.executions):
            piece.sent = [view.sent(reversals) for view, reversals in strategy.reversals]
            if has_more:
                piece.left = _remainder_of(strategy, trace)
            return piece


def _remainder_of(strategy: Optimal, trace: Sequence[Event]) -> Remainder:
    plan = tuple(strategy.plan)
    nodes = []
    for depth in range(strategy.root, len(strategy.asleep)):
        node = strategy.nodes.get(depth)
        nodes.append((strategy.asleep[depth] | 1 << plan[depth], node.tree if node is not None else []))
    work = Subtree(plan, strategy.sleep, strategy.sleep_from + 1, tuple(strategy.path))
    return Remainder(nodes, work, prefixes_of(trace[: strategy.sleep_from]))


def prefixes_of(trace: Sequence[Event]) -> list[int]:
    """For each depth, a number for the events before it: task, place, and whether it writes."""
    out = [0]
    for event in trace:
        out.append(zlib.crc32(f"{event[0]} {event[1]} {event[5][3].key}".encode(), out[-1]))
    return out
