"""One question put to one explorer, from the first execution to the verdict.

The search is one stage of it: before it come the sequential orders and the first interleaving run twice, after it the
counterexample, shrunk, recorded and given a token.
"""

from __future__ import annotations

import math
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, TypeAlias

from whilst.checking.engine.events import Status
from whilst.checking.explain.counterexample import counterexample_of
from whilst.checking.explain.shrink import shrink
from whilst.checking.explain.tokens import Token, digest_of, reference_to
from whilst.checking.explorer.execution import Execution, Limits
from whilst.checking.explorer.explorer import Explorer
from whilst.checking.judge.canonical import StateTooLargeError, opaque_types
from whilst.checking.judge.judge import Finding, Judge
from whilst.checking.judge.operations import HistoryJudge, Scenario
from whilst.checking.judge.outcome import differing
from whilst.checking.judge.outside_state import Surroundings
from whilst.checking.judge.sequential import ENDLESS
from whilst.checking.question import Question
from whilst.checking.search.parallel import Answered, Assignment, ParallelSearch, is_possible
from whilst.checking.search.search import SearchReport, search
from whilst.checking.search.strategy import DivergedError, Guarantee, SearchConfig
from whilst.errors import ReplayError
from whilst.inspecting.descriptions import short
from whilst.inspecting.ownership import is_foreign
from whilst.model.verdict import Answer, Counterexample, Verdict

_MOST_REMEMBERED: Final = 256
_SETTLING: Final = 20
_LOOKS: Final = 2  # executions of each kind that show what tasks change outside the state
# By token, with what the clocks showed: a check of local functions can be replayed where it ran.
REMEMBERED: Final[dict[str, tuple[Question, tuple[int, ...]]]] = {}


Serve: TypeAlias = "Callable[[Connection, Checker], object]"  # what a fork does with its end of a pipe


class _LearntError(Exception):
    """An execution outside the search showed that more places count as events than were known."""


class Checker:
    """One question put to one explorer, from the first execution to the verdict."""

    def __init__(self, question: Question, explorer: Explorer, started: float) -> None:
        self.question = question
        self.explorer = explorer
        self.judge = HistoryJudge(question, explorer) if isinstance(question, Scenario) else Judge(question, explorer)
        self.explains = True  # a counterexample is shrunk, recorded and given a token
        self._started = started
        self._opaque: frozenset[str] = frozenset()
        self._unseen: list[str] = []

    # --------------------------------------------------------------------------------------------- the whole check
    def run(self, config: SearchConfig, parallel: ParallelSearch | None = None) -> Verdict:
        if self.judge.measure.takes_results:
            config = replace(config, is_symmetric=False)
        ends_at = math.inf if config.budget_s is None else time.monotonic() + config.budget_s
        try:
            endless = self.explorer.ending_at(ends_at, self.prepare)
            if endless is not None:
                return self.verdict(self._endless(endless), None)
        except StateTooLargeError as error:
            return self.verdict(Finding(Answer.INCONCLUSIVE, self.explorer.run(()), str(error)), None)
        first = self.explorer.ending_at(ends_at, self.first_twice)
        if first is not None:
            return self.verdict(first, None)
        while True:
            try:
                report = search(
                    self.explorer,
                    config,
                    self.judge,
                    objection=self.judge.judge,
                    parallel=parallel,
                    begin=self.judge.begin,
                )
            except DivergedError as error:
                now = self.explorer.run(())
                reason = f"not deterministic: {error}{_hint(now)}"
                return self.verdict(Finding(Answer.INCONCLUSIVE, now, reason), None)
            finding = self.judge.finding
            try:
                return self.verdict(finding if finding is not None else self.conclusion(report), report)
            except _LearntError:
                # Shrinking came across a place that counts and was not known to: the choices mean something else now.
                self.judge.finding = None

    def prepare(self) -> Execution | None:
        """Run the sequential orders; one that did not come to its end, if there is one."""
        endless = self._look_around() or self.judge.sequential.run_all()
        if endless is None and self.explorer.has_identity:
            self.judge.tell_tasks_apart()
        return endless

    def parallel(self, jobs: int, limits: Limits, serve: Serve) -> ParallelSearch | None:
        """Helpers for the search, if other processes can import what it is about; else the verdict says why not."""
        where = self._references()
        if self.question.always is not None:  # what its reads have taught one process, the others don't know
            self._unseen.append(f"jobs={jobs} was not used, one process was: always= is asked in one")
            return None
        if where and is_possible():
            assignment = Assignment(where, self.question.orders, limits, tuple(sys.path), self.explorer.started)
            return ParallelSearch(assignment, jobs - 1, self._note, lambda connection: serve(connection, self))
        why = "setup or tasks have no name that another process could import them by" if not where else "not on Windows"
        self._unseen.append(f"jobs={jobs} was not used, one process was: {why}")
        return None

    def _note(self, answered: Answered) -> None:
        self.judge.endings |= answered.endings
        self.judge.raised |= answered.raised

    def _references(self) -> tuple[str, ...]:
        where = tuple(reference_to(each) for each in self.question.parts)
        return where if all(where) else ()

    @staticmethod
    def _endless(execution: Execution) -> Finding:
        if execution.status in (Status.OUTSIDE, Status.OUT_OF_BUDGET):
            return Finding(Answer.INCONCLUSIVE, execution, execution.reason)
        why = f"the tasks do not even come to an end one after the other: {execution.reason}"
        return Finding(Answer.STEP_BOUND, execution, why)

    def _look_around(self) -> Execution | None:
        """See what the tasks change outside the state, which then belongs to the outcome.

        An order that did not come to an end within the limits is returned: there is nothing to be checked then.
        """
        if not self.question.looks_around:  # one look all the same: what the engine meets there counts from then on
            execution = self.explorer.run_order(self.judge.sequential.orders[0])
            return execution if execution.status in ENDLESS else None
        surroundings = Surroundings(self.question.tasks)
        for order in self.judge.sequential.orders[:_LOOKS]:
            execution = self.explorer.run_order(order)
            if execution.status in ENDLESS:
                return execution
            surroundings.note(self.explorer)
        for _ in range(_LOOKS):
            self.explorer.run(())
            surroundings.note(self.explorer)
        surroundings.settle()
        self._unseen += [f"{name} is large: that tasks leave alone what it holds" for name in surroundings.too_large]
        self.judge.measure.surroundings = surroundings.values
        return None

    def first_twice(self) -> Finding | None:
        """Run the first interleaving twice, once the engine knows which places count as events in it: what differs
        then will differ anywhere."""
        first = self.explorer.run(())
        differs: Finding | None = None
        for _ in range(_SETTLING):
            if self.explorer.learn():
                first = self.explorer.run(())
                continue
            early = self.judge.judge(first)
            if early is not None and early.answer is Answer.INCONCLUSIVE:
                return early
            facts, form = self._ending(first)
            again = self.explorer.run(first.choices)
            found = self._difference(first, again, facts, form)
            if found is None or differs is not None:
                return found
            differs = found  # what is made once and kept, like a cache, is there from the second time on
            first = self.explorer.run(())
        return differs

    def _difference(self, first: Execution, again: Execution, facts: dict[str, str], form: object) -> Finding | None:
        """What is not alike in two executions of the same choices."""
        if again.status is Status.OUT_OF_BUDGET:
            return Finding(Answer.INCONCLUSIVE, again, again.reason)
        if again.status is Status.DIVERGED or again.choices != first.choices or again.status is not first.status:
            why = "the first interleaving, run twice, took two different ways"
            return Finding(Answer.INCONCLUSIVE, again, f"not deterministic: {why}{_hint(again)}")
        more, same = self._ending(again)
        if form != same:
            name = next(iter(differing(facts, more)), "")
            values = f": {name} was {facts.get(name)}, then {more.get(name)}" if name in facts else ""
            why = f"the first interleaving, run twice, ended in two different ways{values}"
            return Finding(Answer.INCONCLUSIVE, again, f"not deterministic: {why}{_hint(again)}")
        return None

    def _ending(self, execution: Execution) -> tuple[dict[str, str], object]:
        if execution.status is not Status.DONE:
            return {}, None
        if self.question.outcome is None:
            self._opaque = opaque_types(execution.state)
        measure = self.judge.measure
        form = measure.judge(execution.state, execution.results)
        return measure.facts(execution.state, execution.results), form

    def conclusion(self, report: SearchReport) -> Finding | None:
        """Why nothing that was found is not yet "isolated"; None if it is."""
        if not self.judge.sequential.completed:
            why = self._without_comparison(report)
        elif report.hidden:
            why = f"not proved: {'; '.join(report.hidden)}"
        elif self.explorer.unseen_code.left:
            why = f"not proved: Python code ran that can't be seen into: {', '.join(self.explorer.unseen_code.left)}"
        elif self._slips():
            why = f"not proved: {'; '.join(self._slips())}"
        elif report.guarantee is not Guarantee.EVERY_INTERLEAVING:
            why = f"{report.reason or 'the budget is used up'}; no counterexample among what was run"
        else:
            return None
        return Finding(Answer.INCONCLUSIVE, self.explorer.run(()), why)

    def _slips(self) -> list[str]:
        """Exceptions that end a task in every order, and that nobody said it is meant to raise: what would come after
        is not checked at all, so that a slip in a task would pass for a proof."""
        said = []
        for key in sorted(self.judge.sequential.always_raised or ()):
            error = self.judge.sequential.errors[key]
            if not isinstance(error, self.question.raises):
                task = self.judge.measure.classes.index(key[0]) if key[0] >= 0 else -1
                name = self.judge.measure.names[task] if task >= 0 else "a thread"
                kind = type(error).__name__
                said.append(
                    f"{name} raises {short(error)} in every sequential order{_line_of(error)}: mend it, or say that it "
                    f"is meant to, with raises={kind}"
                )
        return said

    def _without_comparison(self, report: SearchReport) -> str:
        """No order of the tasks completes: what was found all the same."""
        ways, raised = len(self.judge.endings), sorted({name for _, name in self.judge.raised})
        is_all = report.guarantee is Guarantee.EVERY_INTERLEAVING
        errors = f"{', '.join(raised)} was raised" if raised else "nothing was raised"
        if report.executions == 1 and is_all:
            found = f"the only interleaving came to an end, and {errors}"
        else:
            run = f"all {report.executions:,} interleavings" if is_all else f"{report.executions:,} interleavings"
            ended = "all ended alike" if ways == 1 else f"they ended in {ways} different ways"
            found = f"{run} came to an end: none deadlocked, {errors}, and {ended}"
        return (
            f"no sequential order completes, so there is nothing to compare with: in each of them a task waits for "
            f"another for ever. What was found: {found}"
        )

    # -------------------------------------------------------------------------------------------------- the verdict
    def verdict(self, finding: Finding | None, report: SearchReport | None) -> Verdict:
        example, token = None, None
        if finding is not None and finding.answer.is_fault and self.explains:
            found = self.counterexample(finding)
            if isinstance(found, Finding):
                finding = found
            else:
                example, token = found
        answer = finding.answer if finding else Answer.ISOLATED
        told = self._told(answer, finding.reason if finding else "", _guarantee(report, answer), example, token)
        if report is None:
            return told
        spent, audited = report.executions, report.random_executions
        return replace(told, executions=spent, estimate=report.estimate, audited=audited)

    def _told(
        self, answer: Answer, reason: str, guarantee: str, example: Counterexample | None, token: str | None
    ) -> Verdict:
        """What one execution tells."""
        return Verdict(
            answer=answer,
            tasks=self.judge.measure.names,
            executions=1,
            guarantee=guarantee,
            elapsed_s=time.monotonic() - self._started,
            reason=reason,
            assumed=self.assumed(),
            sequential=tuple(self.judge.sequential.endings.values()),
            counterexample=example,
            token=token,
        )

    def counterexample(self, finding: Finding) -> tuple[Counterexample, str] | Finding:
        """The shortest execution found that fails alike, and its token. What does not fail once more when it is
        recorded is none: nobody could follow it, or replay it."""
        fails = self.judge.fails_alike(finding.answer)
        gates = {} if self.judge.measure.takes_results else self.explorer.gates()
        with self.explorer.noting_enabled(gates) as along:
            shrunk = shrink(self._run_and_learn, fails, finding.execution, len(self.question.tasks), along)
        execution = self.explorer.run(shrunk.choices, record=True)
        if not fails(execution):
            if self.explorer.learn():
                raise _LearntError
            why = f'an execution ended as "{finding.answer.value}", and the same choices, run again, did not'
            return Finding(Answer.INCONCLUSIVE, execution, f"not deterministic: {why}{_hint(execution)}")
        return self._explained(finding.answer, execution, is_shortest=shrunk.is_shortest)

    def _run_and_learn(self, choices: Sequence[int]) -> Execution:
        execution = self.explorer.run(choices)
        if self.explorer.learn():
            raise _LearntError
        return execution

    def _recorded(self, answer: Answer, choices: Sequence[int]) -> tuple[Counterexample, str]:
        return self._explained(answer, self.explorer.run(choices, record=True), is_shortest=False)

    def _explained(self, answer: Answer, execution: Execution, *, is_shortest: bool) -> tuple[Counterexample, str]:
        known = self.judge.sequential
        endings, errors = tuple(known.endings.values()), known.raised
        example = counterexample_of(
            answer, execution, self.judge.measure, endings, known_errors=errors, is_shortest=is_shortest
        )
        return example, self.token(execution)

    def token(self, execution: Execution) -> str:
        where = self._references()
        text = str(Token(self.digest(execution), execution.choices, execution.site_keys, where))
        if len(REMEMBERED) >= _MOST_REMEMBERED:
            REMEMBERED.pop(next(iter(REMEMBERED)))
        REMEMBERED[text] = (self.question, self.explorer.started)
        return text

    def digest(self, execution: Execution) -> str:
        places = {(access.location.file, access.location.function) for access in execution.accesses()}
        return digest_of((self.question.setup, *self.question.tasks), places)

    def assumed(self) -> tuple[str, ...]:
        said = [f"{each.what}: {each.treated_as}" for each in self.explorer.assumptions]
        said += [f"what {name} objects hold was not compared" for name in sorted(self._opaque)]
        return tuple(dict.fromkeys(said + self._unseen))

    # ---------------------------------------------------------------------------------------------------- a replay
    def once_more(self, token: Token) -> Verdict | None:
        """The verdict if an earlier check's schedule fails. The code may have changed since: an execution that fails is
        one that fails, wherever its choices are from."""
        try:
            if self.prepare() is not None:
                return None
        except StateTooLargeError:
            return None
        for _ in range(_LOOKS):
            execution = self.explorer.run(token.choices)
            finding = self.judge.judge(execution)
            if finding is not None and finding.answer.is_fault:
                example, text = self._recorded(finding.answer, execution.choices)
                said = "the schedule that failed last time, tried first"
                return self._told(finding.answer, finding.reason, said, example, text)
            self.explorer.learn()
        return None

    def _is_of(self, token: Token, execution: Execution) -> bool:
        if execution.status is Status.DIVERGED:
            return False
        return self.digest(execution) == token.digest and execution.choices == token.choices

    def replay(self, token: Token) -> Verdict:
        execution = self.explorer.run(token.choices, record=True)
        is_same = self._is_of(token, execution)
        self._look_around()
        self.judge.sequential.run_all()
        if not is_same:  # what the check had met by then, a new explorer may meet in other executions alone
            self.explorer.catch_up()
            execution = self.explorer.run(token.choices, record=True)
            if not self._is_of(token, execution):
                why = f" ({execution.reason})" if execution.status is Status.DIVERGED else ""
                raise ReplayError(f"the code has changed since the replay token was made; run the check again{why}")
        finding = self.judge.judge(self.explorer.run(token.choices))
        answer = finding.answer if finding else Answer.INCONCLUSIVE
        example = text = None
        if answer.is_fault:
            example, text = self._recorded(answer, token.choices)
        reason = finding.reason if finding else "this interleaving ends as a sequential order does"
        return self._told(answer, reason, "this interleaving alone", example, text)


def _line_of(error: BaseException) -> str:
    """The innermost line of the user's that it comes from."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if not is_foreign(each.filename)]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def _hint(execution: Execution) -> str:
    reason = f" ({execution.reason})" if execution.reason else ""
    return (
        f"{reason}. Does setup make everything afresh? Is there a random number, a time, an id, a set of strings? "
        "If it is no part of the outcome, pass outcome= to say what counts"
    )


def _guarantee(report: SearchReport | None, answer: Answer) -> str:
    if report is None:
        return "no search was made"
    match report.guarantee:
        case Guarantee.EVERY_INTERLEAVING:
            return "every interleaving"
        case Guarantee.PREEMPTIONS:
            number = report.preemptions or 0
            return f"every interleaving with at most {number} preemption{'s' if number != 1 else ''}"
        case Guarantee.SAMPLED:
            odds = f", odds of a miss at most {100 * (1 - report.odds):.0f} %" if report.odds else ""
            return f"a sample of the interleavings{odds}"
        case Guarantee.STOPPED:
            return "as far as the first counterexample" if answer.is_fault else "stopped early"
        case Guarantee.NONE:
            return "no guarantee"
