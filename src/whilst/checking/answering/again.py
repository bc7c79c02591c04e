"""What a token names, found again; and the schedule that failed last time, tried before the search."""

from __future__ import annotations

import ast
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from whilst.checking.answering.checker import Checker
from whilst.checking.explain.kept import KeptSchedules
from whilst.checking.explain.tokens import Token, reference_to, resolve
from whilst.checking.explorer.execution import Limits
from whilst.checking.explorer.explorer import Explorer
from whilst.checking.explorer.scripted import Thread
from whilst.checking.judge.operations import Scenario, threads_named
from whilst.checking.question import Question
from whilst.errors import ReplayError
from whilst.inspecting.objects import module_of
from whilst.model.verdict import Verdict


def kept_schedules(
    keep: str | os.PathLike[str] | KeptSchedules | None, parts: Iterable[object]
) -> KeptSchedules | None:
    """Where the schedules of a question with these parts are kept; None for nowhere."""
    if keep is None or isinstance(keep, KeptSchedules):
        return keep
    names = [reference_to(each) or f"{module_of(each)}:{getattr(each, '__qualname__', type(each))}" for each in parts]
    return KeptSchedules(keep, " ".join(name for name in names if name != reference_to(None)))


def question_of(where: Sequence[str]) -> Question:
    """The question whose parts these references name, in the order of `Question.parts`.

    Raises:
        ReplayError: one of them is not there any more, or there are none.
    """
    known: dict[str, Any] = {each: resolve(each) for each in dict.fromkeys(where or ("",))}
    setup, outcome, invariant, always, *tasks = (known[each] for each in where)
    threads = threads_named(tasks)
    if threads:
        return Scenario.of(setup, threads, outcome, invariant)
    return Question(setup, tuple(tasks), outcome, invariant, always=always)


def threads_in(token: Token) -> tuple[Thread, ...]:
    """The threads whose calls a token holds, made without importing anything that it names."""
    own = f"{reference_to(Thread)}\t"
    given = [each.removeprefix(own) for each in token.where if each.startswith(own)]
    try:
        return tuple(Thread(*ast.literal_eval(each)[0]) for each in given)
    except (ValueError, SyntaxError, TypeError):  # somebody has written to the file
        return ()


def once_more(kept: KeptSchedules, question_of: Callable[[Token], Question | None], limits: Limits) -> Verdict | None:
    """The verdict if the schedule that failed last time fails again; else it is dropped.

    So is one that this version of Python can't follow, or whose token names no question of this kind.
    """
    text = kept.token()
    try:
        token = Token.parse(text) if text else None
    except ReplayError:
        token = None
    question = None if token is None else question_of(token)
    if token is not None and question is not None:
        with Explorer(question.program, limits, site_keys=token.site_keys) as explorer:
            verdict = Checker(question, explorer, time.monotonic()).once_more(token)
        if verdict is not None:
            return verdict
    kept.drop()
    return None


def with_kept(kept: KeptSchedules | None, verdict: Verdict) -> Verdict:
    """The verdict; its schedule is kept if it fails."""
    trouble = kept.keep(verdict.token) if kept is not None and verdict.token is not None else ""
    return replace(verdict, assumed=(*verdict.assumed, trouble)) if trouble else verdict
