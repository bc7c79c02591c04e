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

*Waiting.* An operation that blocks races with the event that it could have gone before (see `happens_before`), and the
operations left waiting at a deadlock race as if they came next.

Rejected: source-DPOR without wakeup trees (the study had no redundant run in 104 of 105 cases, but it can have
exponentially many), and reads-from equivalence (fewer classes, but undecided for locks and containers).
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence

from whilst.checking.engine.events import Status
from whilst.checking.engine.operations import Event, HeldOff, Operation, accesses_wanted
from whilst.checking.explorer.execution import Execution, Plan
from whilst.checking.explorer.explorer import Explorer
from whilst.checking.search.happens_before import HappensBefore
from whilst.checking.search.strategy import Guarantee, SearchConfig, Strategy, Vouched
from whilst.checking.search.wakeup_tree import (
    Branch,
    Node,
    Remainder,
    Reversal,
    Subtree,
    View,
    insert,
    prefixes_of,
    uncovered,
)

_TASK_OF = operator.itemgetter(0)  # of an event
_ALL = Subtree()
_NOT_YET, _EVERYTHING = Vouched(), Vouched(Guarantee.EVERY_INTERLEAVING)


class OptimalDpor(Strategy):
    """One execution for each trace of a subtree, by default of the whole tree."""

    label = "every interleaving"
    share_of_budget = 0.6  # the rest is kept for what comes after it

    def __init__(
        self,
        explorer: Explorer,
        config: SearchConfig | None = None,
        *,
        gates: Mapping[int, int] | None = None,
        subtree: Subtree | None = None,
    ) -> None:
        """`gates` and `subtree` are given to workers, which see with them what the process that asked sees."""
        work = subtree or _ALL
        self._explorer = explorer
        if gates is None:
            gates = explorer.gates() if config is None or config.is_symmetric else {}
        self.gates = gates
        self._plan = Plan(gates=gates)  # the same one again and again
        # Numbers of tasks are agreed on between processes: a new one has to be made known.
        self._agreed_numbers = None if subtree is None else len(explorer.scheduler.task_numbers)
        self._is_over = False
        self.root = work.root  # nodes above are somebody else's: their races go to `reversals`
        self.asleep: list[int] = list(work.above)  # at each depth of the path, as it was come to
        self.nodes: dict[int, Node] = {depth: Node(sleep, sleep) for depth, sleep in enumerate(work.above)}
        self.foreign = work.sleep
        self.plan: list[int] = list(work.plan)
        self.sleep = work.sleep
        self.sleep_from = max(work.root - 1, 0)
        self.path: list[list[Branch]] = list(work.path)
        self.reversals: list[tuple[View, list[Reversal]]] = []
        self._sent: set[tuple[int, ...]] = set()
        self._order: HappensBefore | None = None
        self._common = 0  # how many events the next execution shares with the one that `_order` is of

    def next_plan(self) -> Plan | None:
        if self._is_over:
            return None
        plan = self._plan
        plan.choices, plan.sleep, plan.sleep_from = self.plan, self.sleep, self.sleep_from
        return plan

    def must_restart(self, has_learnt: bool) -> bool:
        explorer, agreed = self._explorer, self._agreed_numbers
        if has_learnt or (self.gates and explorer.has_identity):
            return True
        return agreed is not None and len(explorer.scheduler.task_numbers) > agreed

    def guarantee(self) -> Vouched:
        return _EVERYTHING if self._is_over else _NOT_YET

    def note(self, execution: Execution) -> None:
        """Reverse the races of the execution, and go on to the next.

        `sleeps[k]` belongs to event `sleep_from + k`; they end with the first event at which nobody sleeps any more.
        `held_off`: events that waited for a write after polling in vain; they can't go ahead of it.
        """
        scheduler = self._explorer.scheduler
        trace, sleeps = scheduler.trace, scheduler.sleeps
        self.asleep += sleeps[len(self.asleep) - self.sleep_from :]
        self.asleep += [0] * (len(trace) - len(self.asleep))
        for ahead, tree in enumerate(self.path, self.sleep_from + 1):
            if tree and ahead < len(trace):
                self.node_at(ahead).tree = tree
        if execution.status is not Status.CUT:
            self._reverse_races(trace, execution.status, scheduler.stuck, scheduler.held_off)
        self._is_over = not self._next(trace)

    def remainder(self) -> Remainder | None:
        if self._is_over:
            return None
        plan = tuple(self.plan)
        nodes = []
        for depth in range(self.root, len(self.asleep)):
            node = self.nodes.get(depth)
            nodes.append((self.asleep[depth] | 1 << plan[depth], node.tree if node is not None else []))
        subtree = Subtree(plan, self.sleep, self.sleep_from + 1, tuple(self.path))
        return Remainder(nodes, subtree, prefixes_of(self._explorer.scheduler.trace[: self.sleep_from]))

    def node_at(self, depth: int) -> Node:
        """Most states of a path are never branched from, and have no node."""
        node = self.nodes.get(depth)
        if node is None:
            foreign, begin = self.foreign, self.root
            if foreign:  # what was asleep at the root, and at every state from there on as it was come to
                above = max((at for at in self.nodes if self.root <= at < depth), default=-1)
                if above >= 0:
                    foreign, begin = self.nodes[above].foreign, above + 1
                for asleep in self.asleep[begin : depth + 1]:
                    foreign &= asleep
            node = self.nodes[depth] = Node(self.asleep[depth], foreign)
        return node

    # ------------------------------------------------------------------ races

    def _reverse_races(
        self,
        trace: Sequence[Event],
        status: Status,
        waiting: Mapping[int, Operation],
        held_off: HeldOff,
    ) -> None:
        order = HappensBefore(trace, self.gates, held_off, self._order, self._common)
        self._order, self._common = order, len(trace)
        if waiting and status not in (Status.TOO_LONG, Status.OUT_OF_BUDGET):
            order.add_waiting(waiting)  # at a deadlock, and what was called off before it could happen
        if not order.races:
            return
        view = View(trace, order.past, waiting)
        count = len(trace)
        above: list[Reversal] = []
        for first, second, past in order.races:
            task = trace[second][0] if second < count else second - count
            node = self._unless_met(view, first, task) if first >= self.root else self.nodes[first]
            if node is None:
                continue
            # A try may come to something else once it goes first: it counts as a write.
            last = accesses_wanted(trace[second][5] if second < count else order.waiting[task])
            reversal = Reversal(first, task, past, last)
            if first >= self.root:
                insert(node, view, reversal)
            elif rest := uncovered(node, view, reversal):
                key = (first, *rest.tasks())
                if key not in self._sent:  # the same tasks from the same state do the same
                    self._sent.add(key)
                    above.append(reversal)
        if above:
            self.reversals.append((view, above))

    def _unless_met(self, view: View, first: int, task: int) -> Node | None:
        """The node that v is for, unless v has been there: the same tasks from the same state do the same, and what
        is covered once stays so."""
        tasks = view.tasks_after(first)
        node = self.nodes.get(first)
        sleep = self.asleep[first] if node is None else node.sleep
        if sleep and (sleep >> (tasks[0] if tasks else task)) & 1:
            return None
        node = node or self.node_at(first)
        known = (*tasks, task)
        if known in node.met:
            return None
        node.met.add(known)
        return node

    # ------------------------------------------------------------------ backtracking

    def explored_share(self) -> float:
        """How much of the tree is behind, if every branch not yet entered were as large as those that were.

        Kilby, Slaney, Thiebaux, Walsh, "Estimating Search Tree Size", AAAI 2006: the weighted backtrack estimator.
        """
        share, weight = 0.0, 1.0
        for depth in sorted(self.nodes):
            node = self.nodes[depth]
            weight /= node.done + 1 + len(node.tree)
            share += weight * node.done
        return share

    def _next(self, trace: Sequence[Event]) -> bool:
        """On to the deepest state from which something is left to try; those below it are done."""
        for depth in sorted(self.nodes, reverse=True):
            if depth < self.root:
                break
            node = self.nodes[depth]
            if not node.tree:
                del self.nodes[depth]
                continue
            if depth < len(trace):
                node.sleep |= 1 << trace[depth][0]
                node.done += 1
            del self.asleep[depth + 1 :]
            self.asleep[depth] = self.sleep = node.sleep
            self.sleep_from = depth
            self._common = min(self._common, depth)
            self._follow(node.tree.pop(0), list(map(_TASK_OF, trace[:depth])))
            return True
        return False

    def _follow(self, branch: Branch, plan: list[int]) -> None:
        """Plan the way to a leaf of the wakeup tree."""
        plan.append(branch.task)
        self.path = []
        below = branch.below
        while below:
            self.path.append(below)
            following = below.pop(0)
            plan.append(following.task)
            below = following.below
        self.plan = plan
