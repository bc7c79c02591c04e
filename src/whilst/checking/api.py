"""The verbs of this room.

`check` asks about all interleavings of some tasks, `check_operations` about those of random calls on one object;
`replay` runs one interleaving again.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from whilst.checking.answering.again import kept_schedules, once_more, question_of, with_kept
from whilst.checking.answering.checker import REMEMBERED, Checker
from whilst.checking.answering.confirm import confirm
from whilst.checking.answering.operations import OperationsCheck
from whilst.checking.answering.parallel_worker import go_on
from whilst.checking.explain.kept import KeptSchedules
from whilst.checking.explain.tokens import Token
from whilst.checking.explorer.execution import Limits
from whilst.checking.explorer.explorer import Explorer
from whilst.checking.question import Question
from whilst.checking.search.strategy import Progress, SearchConfig
from whilst.errors import CheckError
from whilst.model.verdict import Verdict, install_confirm

install_confirm(confirm)


def check(
    setup: Callable[[], Any],
    tasks: Sequence[Callable[[Any], object]],
    *,
    outcome: Callable[..., object] | None = None,
    invariant: Callable[[Any], object] | None = None,
    always: Callable[[Any], object] | None = None,
    orders: str | Sequence[Sequence[int]] = "any",
    raises: type[BaseException] | Sequence[type[BaseException]] = (),
    budget: float | str = 60.0,
    jobs: int = 1,
    progress: Callable[[Progress], None] | None = None,
    limits: Limits | None = None,
    seed: int = 0,
    keep: str | os.PathLike[str] | KeptSchedules | None = None,
) -> Verdict:
    """Perform the tasks in each and any interleaving: is every ending that of some sequential order?

    Args:
        setup: makes fresh shared state; called before every execution.
        tasks: functions or coroutine functions, each called with the state.
        outcome: what counts of an ending, as a function of the state, or of the state and the tuple of results (the
            exception for a task that raised); by default everything reachable from the state, and all results.
        invariant: called with the final state of every execution; false or an AssertionError is a fault.
        always: the same, called with the state after every step of a task, also while that holds a lock: the step that
            broke it is named. Where it waits for a lock that a task holds, it is not asked. It may not change anything.
        orders: "any" sequential order will do, the one "given", or one of those listed (task numbers).
        raises: exceptions that tasks are meant to raise. What a task raises in every sequential order and is not named
            here is taken for a slip: then there is no proof.
        budget: seconds ("2 min"), or a number of executions ("5000 executions").
        jobs: processes that share the search.
        progress: is told now and then how far the search is.
        limits: bounds on a single execution.
        seed: of the random schedules, both in sampling and in the last test of a proof.
        keep: a folder for schedules that fail. The one that failed last time is tried first; it goes once it does not
            fail any more.
    Returns:
        A `Verdict`, true exactly if the tasks are isolated.
    Raises:
        CheckError: the question makes no sense; and whatever `setup` raises.
    """
    asked = orders if isinstance(orders, str) else tuple(tuple(order) for order in orders)
    meant = (raises,) if isinstance(raises, type) else tuple(raises)
    question = Question(setup, tuple(tasks), outcome, invariant, asked, meant, always)
    seconds, executions = parse_budget(budget)
    config = SearchConfig(budget_s=seconds, budget_executions=executions, seed=seed, on_progress=progress)
    started = time.monotonic()
    limits = limits or Limits()
    kept = kept_schedules(keep, question.parts)
    if kept is not None:
        verdict = once_more(kept, lambda _token: question, limits)
        if verdict is not None:
            return verdict
    with Explorer(question.program, limits) as explorer:
        checker = Checker(question, explorer, started)
        parallel = checker.parallel(jobs, limits, go_on) if jobs > 1 else None
        try:
            return with_kept(kept, checker.run(config, parallel))
        finally:
            if parallel is not None:
                parallel.close()


def check_operations(
    make: Callable[[], Any],
    operations: Sequence[str | Callable[..., object] | Sequence[Any]],
    *,
    spec: Callable[[], Any] | None = None,
    outcome: Callable[..., object] | None = None,
    raises: type[BaseException] | Sequence[type[BaseException]] = (),
    threads: int = 2,
    calls: int = 3,
    cases: int = 100,
    budget: float | str = 60.0,
    limits: Limits | None = None,
    seed: int = 0,
    keep: str | os.PathLike[str] | KeptSchedules | None = None,
) -> Verdict:
    """Call an object from several threads, at random: does some sequential order of the calls explain what they give?

    Every interleaving of every case is explored. An order explains it if it keeps each thread's own order and puts a
    call that had returned before another began ahead of it, and if the same calls in that order, on a fresh object,
    give the same results and exceptions and leave the same state (linearizability). A case that fails is cut down to
    the fewest calls. The same seed makes the same cases.

    Args:
        make: makes a fresh object (its class, mostly).
        operations: what may be called: a method by its name ("pop"), a function of the object, or a tuple of one and
            what its arguments are drawn from: ("put", range(3)). A list, range, tuple or set is drawn from; so is a
            hypothesis strategy; anything else is the argument itself.
        spec: makes what the calls are held against instead of another `make()`: a plain, sequential object with methods
            of the same names.
        outcome: what is compared of the object in the end (`list`, for a queue); by default all that it holds, and with
            `spec` nothing.
        raises: exceptions that an operation is meant to raise in each of its calls. Else one that never gets any
            further proves nothing.
        threads: at most so many threads in a case, 2 or more.
        calls: at most so many calls in a thread.
        cases: how many cases are tried, small ones first.
        budget: seconds ("2 min"), or a number of executions ("5000 executions"), for all of them.
        limits: bounds on a single execution.
        seed: of the cases.
        keep: a folder for cases that fail, as for `check`. Only a case that can be written down is kept: operations by
            their names, plain arguments, and a `make` that can be imported.
    Returns:
        A `Verdict`, true exactly if all cases that were tried are linearizable.
    Raises:
        CheckError: the question makes no sense; and whatever `make` raises.
        MissingExtraError: an argument is a hypothesis strategy, and hypothesis is not installed.
    """
    meant = (raises,) if isinstance(raises, type) else tuple(raises)
    return OperationsCheck(make, operations, spec, outcome, meant, limits or Limits(), seed, keep).run(
        threads, calls, cases, *parse_budget(budget)
    )


def replay(
    token: str,
    setup: Callable[[], Any] | None = None,
    tasks: Sequence[Callable[[Any], object]] | None = None,
    *,
    outcome: Callable[..., object] | None = None,
    invariant: Callable[[Any], object] | None = None,
    always: Callable[[Any], object] | None = None,
    limits: Limits | None = None,
) -> Verdict:
    """Run exactly the interleaving of a token again and say how it ends; breakpoints in the tasks are hit.

    Setup and tasks are found by the token if they have names that can be imported, else they have to be passed.

    Raises:
        ReplayError: the token is damaged, or the code has changed since it was made.
    """
    parsed = Token.parse(token)
    question = _question_of(token, parsed, setup, tasks, outcome, invariant, always)
    started = time.monotonic()
    clocks = REMEMBERED[token][1] if token in REMEMBERED else None
    with Explorer(question.program, limits or Limits(), site_keys=parsed.site_keys, started=clocks) as explorer:
        checker = Checker(question, explorer, started)
        return checker.replay(parsed)


def _question_of(
    token: str,
    parsed: Token,
    setup: Callable[[], Any] | None,
    tasks: Sequence[Callable[[Any], object]] | None,
    outcome: Callable[..., object] | None,
    invariant: Callable[[Any], object] | None,
    always: Callable[[Any], object] | None,
) -> Question:
    if setup is not None and tasks is not None:
        return Question(setup, tuple(tasks), outcome, invariant, always=always)
    if setup is not None or tasks is not None:
        raise CheckError("pass both setup and tasks, or neither")
    if token in REMEMBERED:
        return REMEMBERED[token][0]
    return question_of(parsed.where)


def parse_budget(budget: float | str) -> tuple[float | None, int | None]:
    """Seconds and executions: 30, "30", "30 s", "2 min", "5000 executions".

    Raises:
        CheckError: it is none of these, or not positive.
    """
    match = re.fullmatch(r"\s*([\d._,]+)\s*([a-z]*)\s*", str(budget))
    number = float(match[1].replace("_", "").replace(",", "")) if match else 0.0
    unit = match[2] if match else ""
    if number > 0 and unit in ("", "s", "sec", "seconds"):
        return number, None
    if number > 0 and unit in ("m", "min", "minutes"):
        return number * 60, None
    if number > 0 and unit in ("h", "hours"):
        return number * 3600, None
    if number >= 1 and unit in ("x", "runs", "executions"):
        return None, int(number)
    raise CheckError(f'budget is a number of seconds, "2 min" or "5000 executions", got {budget!r}')
