"""`whilst check`: perform tasks in each and any interleaving; the exit code is the answer."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Final

import click

from whilst.checking.question import Question
from whilst.checking.search.strategy import Progress
from whilst.cli.loading import FunctionName, modules_here, near_file, nearest, put_here_first
from whilst.cli.options import Output, StatusLine, output_options
from whilst.errors import CheckError, WhilstError
from whilst.model.verdict import Verdict

ISOLATED: Final = 0
NOT_ISOLATED: Final = 1
BAD_INPUT: Final = 2
INCONCLUSIVE: Final = 3


@click.command()
@click.argument("what", required=False, metavar="[WHAT]", type=FunctionName())
@click.option("--budget", default="60", show_default=True, help='Seconds, "2 min" or "5000 executions".')
@click.option(
    "--jobs",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes that share the search.",
)
@click.option("--operations", is_flag=True, help="NAME is (make, operations), as for whilst.check_operations.")
@click.option("--confirm", is_flag=True, help="Run a counterexample's tasks in real threads: does it happen? (10 s)")
@click.option("--keep", metavar="FOLDER", help="Keep a schedule that fails there, and try it first next time.")
@click.option("--replay", metavar="TOKEN", help="Run the interleaving of this token again and no other.")
@output_options
def check(
    what: str | None,
    budget: str,
    jobs: int,
    operations: bool,
    confirm: bool,
    keep: str | None,
    replay: str | None,
    output: Output,
) -> int:
    """Is the outcome the same in every interleaving as in some sequential order?

    WHAT is FILE.py::NAME or MODULE:NAME; it names (setup, tasks), or a function that returns them. With --operations it
    names (make, operations): random calls on one object from several threads, held against sequential ones.
    With --replay it may be left out if the token says where the tasks are.

    Exit code: 0 isolated, 1 not isolated, 2 bad input, 3 inconclusive.

    \b
    Examples:
      whilst check bank.py::deposits
      whilst check shop.stock:reserve --budget "10 min" --jobs 4
      whilst check cache.py::calls --operations
      whilst check --replay w1.Wq3kX0.311.cAAB.eAF…
    """
    if what is None and replay is None:
        raise click.UsageError("Say what to check: FILE.py::NAME or MODULE:NAME.")
    try:
        if operations and what is not None and replay is None:
            verdict = _called(what, budget, keep)
        else:
            question = _question(what) if what is not None else None
            verdict = _replayed(replay, question) if replay is not None else _checked(question, budget, jobs, keep)
    except (WhilstError, click.ClickException, click.exceptions.Exit):
        raise
    except Exception:  # of setup, outcome, invariant or what was to return them: 1 would be an answer
        traceback.print_exc()
        click.echo("whilst: there is no verdict: what was to be checked raised the exception above.", err=True)
        return BAD_INPUT
    from whilst.showing.verdict_text import ASKED_FOR

    asked = ASKED_FOR.set(what or "")
    try:
        output.write(verdict)
    finally:
        ASKED_FOR.reset(asked)
    if confirm and verdict.counterexample is not None:
        click.echo(str(verdict.confirm()), err=True)
    return exit_code(verdict)


def exit_code(verdict: Verdict) -> int:
    """0 isolated, 1 not, 3 inconclusive."""
    if verdict.is_isolated:
        return ISOLATED
    return NOT_ISOLATED if verdict.answer.is_fault else INCONCLUSIVE


def _question(what: str) -> Question:
    from whilst.checking.question import as_question

    return as_question(_found(what), what)


def _found(what: str) -> object:
    from whilst.checking.question import find

    put_here_first()
    try:
        return find(what)
    except CheckError as error:
        place, _, name = what.partition("::") if "::" in what else what.rpartition(":")
        module = sys.modules.get(place) or sys.modules.get(Path(place).stem)
        if module is not None:
            near = nearest(name, vars(module))
        else:
            near = near_file(Path(place), "*.py") if place.endswith(".py") else nearest(place, modules_here())
        if not near:
            raise
        raise CheckError(f"{str(error).rstrip('.')}.{near}") from error


def _checked(question: Question | None, budget: str, jobs: int, keep: str | None) -> Verdict:
    from whilst.checking.api import check as ask

    assert question is not None
    with StatusLine() as line:
        return ask(
            question.setup,
            question.tasks,
            outcome=question.outcome,
            invariant=question.invariant,
            always=question.always,
            orders=question.orders,
            raises=question.raises,
            budget=budget,
            jobs=jobs,
            progress=(lambda progress: line(_meter_text(progress))) if line.is_shown else None,
            keep=keep,
        )


def _called(what: str, budget: str, keep: str | None) -> Verdict:
    from whilst.checking.api import check_operations

    given = _found(what)
    if callable(given):
        given = given()
    if not isinstance(given, tuple) or len(given) not in (2, 3):
        raise click.UsageError(f"{what} is not (make, operations), nor (make, operations, options): {given!r}")
    make, calls, options = given if len(given) == 3 else (*given, {})
    return check_operations(make, calls, **{"budget": budget, "keep": keep, **options})


def _replayed(token: str, question: Question | None) -> Verdict:
    from whilst.checking.api import replay

    if question is None:
        return replay(token)
    return replay(
        token,
        question.setup,
        question.tasks,
        outcome=question.outcome,
        invariant=question.invariant,
        always=question.always,
    )


def _meter_text(progress: Progress) -> str:
    """Executions, rate, share of the tree."""
    rate = progress.executions / progress.elapsed_s if progress.elapsed_s else 0.0
    share = f", about {100 * progress.explored_share:.0f} % of the tree" if progress.explored_share is not None else ""
    return f"{progress.executions:,} executions, {rate:,.0f} a second{share} ({progress.strategy})"
