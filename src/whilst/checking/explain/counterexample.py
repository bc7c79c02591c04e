"""A failing execution, recorded, made into the data that a person is shown.

Everything becomes text here: source lines, statements, values. Drawing is `showing/`'s business.
"""

from __future__ import annotations

import linecache
import tokenize
from collections.abc import Collection, Sequence
from typing import Final

from whilst.checking.engine.events import Access, Op, SourceLocation, Status
from whilst.checking.explain.conflicts import conflicts_of
from whilst.checking.explain.patterns import name_of
from whilst.checking.explorer.describe import CALLBACK, TIME_OUT
from whilst.checking.explorer.execution import Execution
from whilst.checking.judge.outcome import Measure
from whilst.inspecting.descriptions import short
from whilst.inspecting.ownership import OWN_FOLDER
from whilst.model.verdict import Answer, BlockedTask, Counterexample, Ending, Moment

_ACTIONS: Final = {
    Op.READ: "read",
    Op.WRITE: "write",
    Op.ACQUIRE: "acquire",
    Op.TRY: "try",
    Op.RELEASE: "release",
    Op.CALL: "call",
    Op.START: "start",
    Op.JOIN: "join",
    Op.RESUME: "resume",
    Op.BEGIN: "begin",
    Op.RETURN: "return",
}

_LOCKING: Final = (Op.ACQUIRE, Op.RELEASE, Op.TRY)  # a Condition is taken and released by its name


def counterexample_of(
    answer: Answer,
    execution: Execution,
    measure: Measure,
    sequential: Sequence[Ending],
    *,
    known_errors: Collection[tuple[int, str]] = (),
    is_shortest: bool = False,
) -> Counterexample:
    """The data of a recorded execution; its state must still be the live one. `known_errors`: what tasks raise in
    sequential orders (see `Judged.raised`)."""
    names = all_names(execution, measure)
    facts = measure.facts(execution.state, execution.results) if execution.status is Status.DONE else {}
    reached, possible = _telling(Ending(facts), sequential)
    differing = [name for name in reached.facts if all(end.facts.get(name) != reached.facts[name] for end in possible)]
    raising = [t for t, r in enumerate(execution.results) if measure.error_key(t, r) not in known_errors]
    named = name_of(answer, execution, names, differing, raising)
    moments = _moments(execution, set(named.accesses))
    return Counterexample(
        tasks=names,
        moments=moments,
        pattern=named.pattern,
        sentence=named.sentence,
        reached=reached,
        sequential=possible,
        switches=execution.switches,
        needs_free_threading=any(moment.needs_free_threading for moment in moments),
        is_shortest=is_shortest,
        blocked=_blocked(execution),
        error=_error(execution),
    )


def all_names(execution: Execution, measure: Measure) -> tuple[str, ...]:
    """The tasks' names, and one for each thread or coroutine that they started."""
    extra = range(len(measure.names), max(len(execution.results), 1 + max(execution.choices, default=0)))
    kinds = {each.task: _kind_of(each.op, each.target) for each in execution.blocked}
    kinds.update((each.task, _kind_of(each.op, each.target)) for each in reversed(execution.accesses()))
    kinds.update((number, "callback") for number, each in enumerate(execution.results) if each.is_callback)
    return (*measure.names, *(f"{kinds.get(number, 'thread')} {number}" for number in extra))


def _kind_of(op: Op, target: str) -> str:
    """What a task is that begins so."""
    if op is not Op.RESUME:
        return "thread"
    return "timer" if target == TIME_OUT else "callback" if target == CALLBACK else "coroutine"


def _telling(reached: Ending, sequential: Sequence[Ending]) -> tuple[Ending, tuple[Ending, ...]]:
    """Only the facts that set this ending apart; all of them if none does."""
    if not sequential or not reached.facts:
        return reached, tuple(sequential)
    every = dict.fromkeys([*reached.facts, *(name for end in sequential for name in end.facts)])
    telling = [n for n in every if any(end.facts.get(n) != reached.facts.get(n) for end in sequential)] or list(every)

    def cut(end: Ending) -> Ending:
        return Ending({name: end.facts[name] for name in telling if name in end.facts}, end.order)

    return cut(reached), tuple(cut(end) for end in sequential)


def _moments(execution: Execution, pattern: set[int]) -> tuple[Moment, ...]:
    accesses = execution.accesses()
    conflicts = conflicts_of(accesses)
    raised = {_after(accesses, task): _raised(task, error) for task, error in _errors(execution)}
    # Where each access will stand, once the exceptions are put in between.
    standing = [at + sum(1 for other in raised if other < at) for at in range(len(accesses))]
    begun: set[int] = set()
    moments: list[Moment] = []
    last = -1
    for access in accesses:
        is_switch = last not in (-1, access.task)
        # Coming back to a task that was interrupted: was that point one where the GIL lets go?
        free_only = is_switch and access.task in begun and not access.can_switch_with_gil
        telling = conflicts[access.index]
        if access.index in pattern:
            telling = telling | (pattern - {access.index})
        placed = tuple(sorted(standing[at] for at in telling))
        moments.append(_moment(access, placed, is_switch=is_switch, free_only=free_only))
        if access.index in raised:
            moments.append(raised[access.index])
        begun.add(access.task)
        last = access.task
    return tuple(moments)


def _errors(execution: Execution) -> list[tuple[int, BaseException]]:
    return [(task, result.error) for task, result in enumerate(execution.results) if result.error is not None]


def _after(accesses: Sequence[Access], task: int) -> int:
    """The task's last access; a callback of an event loop that raised is no task, and comes last."""
    return max((access.index for access in accesses if access.task == task), default=len(accesses) - 1)


def _raised(task: int, error: BaseException) -> Moment:
    """The end of a task that raised, at the innermost line of its traceback that is not of this package."""
    file, line, function = "", 0, ""
    at = error.__traceback__
    while at is not None:
        name = at.tb_frame.f_code.co_filename
        if not name.startswith(OWN_FOLDER):
            file, line, function = name, at.tb_lineno, at.tb_frame.f_code.co_qualname
        at = at.tb_next
    source = _without_comment(linecache.getline(file, line)).strip()
    return Moment(task, "raise", short(error), None, file, line, function, source, source)


def _moment(access: Access, conflicts: tuple[int, ...], *, is_switch: bool, free_only: bool) -> Moment:
    location = access.location
    return Moment(
        task=access.task,
        action=_ACTIONS[access.op],
        target=access.target.removesuffix("._lock") if access.op in _LOCKING else access.target,
        value=access.value,
        file=location.file,
        line=location.line,
        function=location.function,
        source=source_line(location),
        statement=statement(location),
        conflicts=conflicts,
        is_switch=is_switch,
        needs_free_threading=free_only,
        did_succeed=access.did_succeed,
    )


def source_line(location: SourceLocation) -> str:
    """The line of the source, without indentation and comment; empty where there is none."""
    return _without_comment(linecache.getline(location.file, location.line)).strip()


def _without_comment(line: str) -> str:
    if "#" in line:
        try:
            for token in tokenize.generate_tokens(iter([line.strip()]).__next__):
                if token.type == tokenize.COMMENT:
                    return line.strip()[: token.start[1]]
        except (tokenize.TokenError, SyntaxError):  # the line is part of something longer
            pass
    return line


def statement(location: SourceLocation) -> str:
    """The part of the line that the instruction came from ("account.balance"); the line if that is not known."""
    line = linecache.getline(location.file, location.line)
    if location.line and location.end_line == location.line and location.end_column > location.column:
        part = line.encode()[location.column : location.end_column].decode(errors="replace").strip()
        if part:
            return part
    return line.strip()


def _blocked(execution: Execution) -> tuple[BlockedTask, ...]:
    return tuple(
        BlockedTask(
            task=each.task,
            action=_ACTIONS[each.op],
            target=each.target,
            file=each.location.file,
            line=each.location.line,
            source=source_line(each.location),
            holder=each.holder,
            holder_file=each.holder_location.file if each.holder_location else "",
            holder_line=each.holder_location.line if each.holder_location else 0,
            holder_source=source_line(each.holder_location) if each.holder_location else "",
        )
        for each in execution.blocked
    )


def _error(execution: Execution) -> str:
    return "; ".join(short(error) for _, error in _errors(execution))
