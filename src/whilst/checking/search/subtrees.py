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

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from whilst.checking.engine.events import Status
from whilst.checking.explorer.execution import Execution
from whilst.checking.explorer.explorer import Explorer
from whilst.checking.search.optimal_dpor import OptimalDpor
from whilst.checking.search.strategy import DivergedError, Ended, run_strategy
from whilst.checking.search.wakeup_tree import Branch, Node, Remainder, Sent, Subtree, insert, prefixes_of


@dataclass(frozen=True, slots=True)
class SubtreeTask:
    """A subtree to explore, and what the events of its prefix look like, for processes that see different ones."""

    number: int
    work: Subtree
    prefix: int = 0


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

    def __init__(self, above: Sequence[_Common], path: tuple[int, ...], left: tuple[int, list[Branch]], prefix: int):
        super().__init__(left[0], -1)
        self.tree = left[1]
        self.chain: tuple[_Common, ...] = (*above, self)
        self.path, self.prefix = path, prefix


class SubtreeQueue:
    """Gives work and takes pieces; over when nothing is out and no branch is left."""

    def __init__(self) -> None:
        self._numbers = count()
        self._open: dict[int, _Common] = {}  # by id: nodes that have a branch to give
        self._out: dict[int, tuple[SubtreeTask, Sequence[_Common]]] = {}
        self._ready: deque[tuple[SubtreeTask, Sequence[_Common]]] = deque()
        self._ready.append((SubtreeTask(next(self._numbers), Subtree()), ()))

    @classmethod
    def going_on(cls, left: Remainder) -> SubtreeQueue:
        """What one process has explored until now stays explored."""
        queue = cls()
        task = queue.take()
        assert task is not None
        queue.take_in(task.number, SubtreeResult(left=left))
        return queue

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
    strategy = OptimalDpor(explorer, gates=gates, subtree=task.work)
    piece, root = SubtreeResult(), task.work.root
    is_first = True

    def count_and_take(execution: Execution) -> bool:
        nonlocal is_first
        if is_first and root and prefixes_of(explorer.scheduler.trace[: root - 1])[-1] != task.prefix:
            raise DivergedError("the same choices lead to other events in another process")
        is_first = False
        if execution.status is Status.CUT:
            piece.redundant += 1
            return False
        piece.executions += 1
        piece.events += len(execution.choices)
        if execution.status in (Status.TOO_LONG, Status.OUT_OF_BUDGET, Status.OUTSIDE):
            piece.cut_short = execution.reason
        if take(execution):
            piece.stopped_at = execution.choices
        return piece.stopped_at is not None

    try:
        ended = run_strategy(
            explorer, strategy, count_and_take, lambda: Ended.ENOUGH if is_enough(piece.executions) else None
        )
    except DivergedError as error:
        piece.differs = str(error)
        return piece
    piece.has_learnt = ended is Ended.LEARNT
    if ended in (Ended.EXHAUSTED, Ended.ENOUGH):
        piece.sent = [view.sent(reversals) for view, reversals in strategy.reversals]
        piece.left = strategy.remainder()
    return piece
