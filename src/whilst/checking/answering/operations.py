"""Random scenarios of calls, one after the other, to the first that no sequential order explains; then fewer calls."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from whilst.checking.answering.again import kept_schedules, once_more, threads_in, with_kept
from whilst.checking.answering.checker import Checker
from whilst.checking.explain.kept import KeptSchedules
from whilst.checking.explain.tokens import Token, is_partial
from whilst.checking.explorer.execution import Limits
from whilst.checking.explorer.explorer import Explorer
from whilst.checking.judge.drawing import Calls, Drawing, number_of_orders, parts_of, threads_of
from whilst.checking.judge.operations import HistoryJudge, Scenario
from whilst.checking.search.strategy import SearchConfig
from whilst.errors import CheckError
from whilst.inspecting.descriptions import short
from whilst.model.verdict import Answer, Verdict

_MOST_ORDERS: Final = 5_040
_EXECUTIONS_A_CASE: Final = 4_000
_SECONDS_FOR_FEWER_CALLS: Final = 20.0
_AUDIT_EVERY: Final = 10  # cases between two that random switches at any instruction are tried on, which takes longest
_WITHOUT_AUDIT: Final = ("optimal_dpor", "preemption_bound", "pct")
_EVERY: Final = "every interleaving"


class OperationsCheck:
    """One object's operations, asked about scenario by scenario."""

    def __init__(
        self,
        make: Callable[[], Any],
        operations: Sequence[Any],
        spec: Callable[[], Any] | None,
        outcome: Callable[..., object] | None,
        raises: tuple[type[BaseException], ...],
        limits: Limits,
        seed: int,
        keep: str | os.PathLike[str] | KeptSchedules | None,
    ) -> None:
        for name, function in (("make", make), ("spec", spec)):
            if not callable(function) and not (name == "spec" and function is None):
                raise CheckError(f"{name} must be a callable that makes a fresh object, got {short(function)}")
        self._make, self._spec, self._outcome, self._raises = make, spec, outcome, raises
        self._limits, self._seed = limits, seed
        self._kept = kept_schedules(keep, (make, spec, outcome))
        self._drawing = Drawing(operations, make(), seed)
        if spec is not None:
            Drawing(operations, spec(), seed)  # it has them, too
        self._started = time.monotonic()
        self._executions = self._audited = self._whole = self._cases = 0
        self._assumed: dict[str, None] = {}
        self._never_completed: dict[str, str] = {}  # operation -> what it raised; "" once it has not

    def run(
        self, threads: int, calls: int, cases: int, budget_s: float | None, budget_executions: int | None
    ) -> Verdict:
        """Try the cases in turn."""
        for name, value, least in (("threads", threads, 2), ("calls", calls, 1), ("cases", cases, 1)):
            if not isinstance(value, int) or value < least:
                raise CheckError(f"{name} must be {least} or more, got {short(value)}")
        if number_of_orders(threads, calls) > _MOST_ORDERS:
            raise CheckError(
                f"{threads} threads of {calls} calls can be made in {number_of_orders(threads, calls):,} orders, more "
                f"than {_MOST_ORDERS:,} can't be held against: ask for fewer calls or threads"
            )
        if self._kept is not None:
            verdict = once_more(self._kept, self._question_of, self._limits)
            if verdict is not None:
                return verdict
        unsure: Verdict | None = None
        for drawn in self._drawing.scenarios(threads, calls, cases):
            left_s = None if budget_s is None else budget_s - (time.monotonic() - self._started)
            left = None if budget_executions is None else budget_executions - self._executions
            if (left_s is not None and left_s <= 0) or (left is not None and left <= 0):
                break
            verdict = self._ask(drawn, left_s, min(left or _EXECUTIONS_A_CASE, _EXECUTIONS_A_CASE))
            self._cases += 1
            if verdict.answer.is_fault:
                return self._with_fewest_calls(drawn, verdict)
            if verdict.answer is not Answer.ISOLATED and not self._is_out_of_budget(verdict):
                unsure = unsure or verdict
        return self._conclude(unsure, threads, calls)

    def _question_of(self, token: Token) -> Scenario | None:
        """The case that a token names; None if it is none of calls."""
        threads = threads_in(token)
        return Scenario.of(self._make, threads, self._outcome, self._spec) if threads else None

    @staticmethod
    def _is_out_of_budget(verdict: Verdict) -> bool:
        return verdict.answer is Answer.INCONCLUSIVE and "budget" in verdict.reason

    def _ask(self, calls: Calls, seconds: float | None, executions: int, *, explains: bool = False) -> Verdict:
        scenario = Scenario.of(self._make, threads_of(calls), self._outcome, self._spec)
        strategies = None if self._cases % _AUDIT_EVERY == 0 else _WITHOUT_AUDIT
        config = SearchConfig(budget_s=seconds, budget_executions=executions, strategies=strategies, seed=self._seed)
        with Explorer(scenario.program, self._limits) as explorer:
            checker = Checker(scenario, explorer, time.monotonic())
            checker.explains = explains
            verdict = checker.run(config)
            self._note(checker, verdict)
        return verdict

    def _note(self, checker: Checker, verdict: Verdict) -> None:
        self._executions += verdict.executions
        self._audited += verdict.audited
        self._whole += verdict.guarantee == _EVERY
        self._assumed.update(dict.fromkeys(verdict.assumed))
        assert isinstance(checker.judge, HistoryJudge)
        for operation, error, said in checker.judge.calls.called:
            has_raised = error is not None and not isinstance(error, self._raises)
            if not has_raised:
                self._never_completed[operation] = ""
            else:
                self._never_completed.setdefault(operation, said)

    def _with_fewest_calls(self, drawn: Calls, found: Verdict) -> Verdict:
        """The same fault, or another one, with the fewest of these calls."""
        until = time.monotonic() + _SECONDS_FOR_FEWER_CALLS
        cases = self._cases
        for part in parts_of(drawn):
            if time.monotonic() > until:
                break
            if self._ask(part, until - time.monotonic(), _EXECUTIONS_A_CASE).answer.is_fault:
                drawn = part
                break
        found = self._ask(drawn, None, _EXECUTIONS_A_CASE, explains=True)
        is_named = found.token is not None and not is_partial(found.token)
        return replace(
            with_kept(self._kept if is_named else None, found),
            executions=self._executions,
            elapsed_s=time.monotonic() - self._started,
            guarantee=f"as far as the first random case that fails, number {cases}; the same call with "
            f"seed={self._seed} makes the same cases",
        )

    def _conclude(self, unsure: Verdict | None, threads: int, calls: int) -> Verdict:
        stuck = [f"{name} ({said})" for name, said in self._never_completed.items() if said]
        reason = unsure.reason if unsure is not None else ""
        if stuck:
            reason = (
                f"not proved: {', '.join(stuck)} in each of its calls: draw arguments that it accepts, add operations "
                "that let it succeed, or say that it is meant to, with raises="
            )
        kind = f"{self._cases} random case{'s' if self._cases != 1 else ''}"
        if not self._cases:
            reason = "the budget is used up before the first case"
        sizes = f"up to {threads} threads of up to {calls} call{'s' if calls != 1 else ''} each"
        part = "" if self._whole == self._cases else f" {self._whole} of"
        rest = ", as far as its share of the budget went in the others" if part else ""
        return Verdict(
            answer=Answer.INCONCLUSIVE if reason else Answer.LINEARIZABLE,
            tasks=self._drawing.names,
            executions=self._executions,
            guarantee=f"every interleaving of{part} {kind}, {sizes}{rest}",
            elapsed_s=time.monotonic() - self._started,
            reason=reason,
            assumed=self._assumptions(),
            audited=self._audited,
        )

    def _assumptions(self) -> tuple[str, ...]:
        state = (
            ()
            if self._spec is None or self._outcome is not None
            else ("what is left in the end was not compared: outcome= says what of it counts",)
        )
        return (*self._assumed, *state)
