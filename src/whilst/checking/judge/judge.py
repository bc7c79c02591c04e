"""How one execution is judged: is this an ending that some sequential order gives?

Pure, given the endings of the sequential orders. The first execution that answers the question with "no" is
kept as the finding; everything that makes an answer impossible is kept as the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from whilst.checking.engine.events import Status
from whilst.checking.explorer.execution import Execution
from whilst.checking.explorer.explorer import Explorer
from whilst.checking.judge.canonical import StateTooLargeError
from whilst.checking.judge.outcome import Measure
from whilst.checking.judge.sequential import SequentialEndings, orders_of
from whilst.checking.question import Question
from whilst.model.verdict import Answer


@dataclass(frozen=True, slots=True)
class Finding:
    """An execution that answers "no" (or one that forbids an answer), by its choices."""

    answer: Answer
    execution: Execution
    reason: str = ""


@dataclass(slots=True)
class Judge:
    """Judges executions one by one, as the search hands them over."""

    question: Question
    explorer: Explorer
    measure: Measure = field(init=False)
    sequential: SequentialEndings = field(init=False)
    finding: Finding | None = None
    endings: set[Hashable] = field(default_factory=set)
    raised: set[tuple[int, str]] = field(default_factory=set)  # in interleavings
    _places: int = 0  # that were scheduling points when the sequential orders ran

    def __post_init__(self) -> None:
        self.measure = Measure(self.question.tasks, self.question.outcome)
        orders = orders_of(self.measure.classes, self.question.orders)
        self.sequential = SequentialEndings(self.explorer, self.measure, orders)

    def __call__(self, execution: Execution) -> bool:
        """Judge one more; True when the question is answered and the search may stop."""
        self.finding = self.judge(execution)
        return self.finding is not None

    def begin(self) -> None:
        """A search begins, or starts over, since more places are known to be shared: what a task is told of the time
        depends on that, so where it asked, the sequential orders end otherwise than they did."""
        places = len(self.explorer.rewriter.site_table.scheduling_points)
        if places != self._places and self.explorer.has_asked_the_time:
            self.sequential.run_again()
        self._places = places

    def tell_tasks_apart(self) -> None:
        """Identical tasks turned out to differ by what they ask of themselves (thread ident, random draws): compare
        with the orders of all of them."""
        done = set(self.sequential.orders)
        every = orders_of(range(len(self.question.tasks)), self.question.orders)
        self.sequential.orders = [order for order in every if order not in done]
        self.sequential.run_all()

    def judge(self, execution: Execution) -> Finding | None:
        """What this execution says about the question; None if it ends as it may."""
        match execution.status:
            case Status.DONE:
                return self._judge_ending(execution)
            case Status.DEADLOCK:
                return Finding(Answer.DEADLOCK, execution)
            case Status.BROKEN:
                return Finding(Answer.BREAKS_INVARIANT, execution, execution.reason)
            case Status.SPINNING:
                return Finding(Answer.LIVELOCK, execution, execution.reason)
            case Status.TOO_LONG:
                return Finding(Answer.STEP_BOUND, execution, execution.reason)
            case Status.DIVERGED:
                return Finding(Answer.INCONCLUSIVE, execution, f"not deterministic: {execution.reason}")
            case Status.OUTSIDE:
                return Finding(Answer.INCONCLUSIVE, execution, execution.reason)
            case Status.CUT | Status.OUT_OF_BUDGET:
                return None

    def _judge_ending(self, execution: Execution) -> Finding | None:
        broken = self.broken_invariant(execution)
        if broken:
            return Finding(Answer.BREAKS_INVARIANT, execution, broken)
        try:
            judged = self.measure.judge(execution.state, execution.results)
        except StateTooLargeError as error:
            return Finding(Answer.INCONCLUSIVE, execution, str(error))
        self.endings.add(judged.form)
        self.raised |= judged.raised
        unknown_error = judged.raised - self.sequential.raised
        if not self.sequential.completed or (judged.form in self.sequential.endings and not unknown_error):
            return None
        return Finding(Answer.RAISES if unknown_error else Answer.NOT_ISOLATED, execution)

    def broken_invariant(self, execution: Execution) -> str:
        """What the invariant says against the final state, "" if it holds."""
        if self.question.invariant is None:
            return ""
        try:
            holds = self.question.invariant(execution.state)
        except AssertionError as error:
            return f"the invariant fails: {error}" if str(error) else "the invariant fails"
        return "" if holds or holds is None else "the invariant does not hold"

    def fails_alike(self, answer: Answer) -> Callable[[Execution], bool]:
        """A test for shrinking: does another execution answer the question in the same way?"""

        def test(execution: Execution) -> bool:
            found = self.judge(execution)
            return found is not None and found.answer is answer

        return test
