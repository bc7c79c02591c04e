"""The name of what went wrong, from the order of accesses in one (shrunk) interleaving.

A deadlock is named by what its tasks wait for, an exception by what led to it, anything else by the anomaly that
the accesses show (see `anomalies`): those of data first, then those of locks, starts and joins.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from whilst.checking.engine.events import Access, Op, Status
from whilst.checking.explain.anomalies import FINDERS, checked, told, too_early, written_between
from whilst.checking.explain.conflicts import (
    STRUCTURAL,
    Named,
    Touch,
    is_foreign_write,
    is_in_condition,
    overlap,
    touches,
)
from whilst.checking.explain.deadlocks import name_of_deadlock
from whilst.checking.explorer.execution import Execution
from whilst.inspecting.descriptions import short
from whilst.model.verdict import Answer

_MOST_OF_AN_ERROR: Final = 160  # characters of what an exception says


def name_of(
    answer: Answer,
    execution: Execution,
    names: Sequence[str],
    differing: Sequence[str] = (),
    raising: Sequence[int] | None = None,
) -> Named:
    """Name what happened in this execution, which was recorded; `names` are the tasks', `differing` the paths of what
    ends otherwise than in any order ("state.n"), `raising` the tasks that raise what they raise in none (None: all)."""
    if answer is Answer.DEADLOCK:
        return name_of_deadlock(execution, names)
    if answer is Answer.LIVELOCK:
        said = re.sub(r"\btask (\d+)\b", lambda match: names[int(match[1])], execution.reason).rstrip(".")
        said = re.sub(r"\S*/(\w+\.py)\b", r"\1", said)
        return Named(
            "livelock", f"The tasks that are left poll for ever, and nobody will change what they wait for: {said}."
        )
    accesses = execution.accesses()
    if execution.status is Status.BROKEN:
        return _broken_by(execution, accesses, names)
    if answer is Answer.BREAKS_INVARIANT and _is_sequential(accesses):
        order = " then ".join(names[task] for task in dict.fromkeys(access.task for access in accesses))
        return Named("broken invariant", f"The invariant does not even hold after {order}, one after the other.")
    if answer is Answer.RAISES:
        for task, result in enumerate(execution.results):
            if result.error is not None and (raising is None or task in raising):
                found = (
                    _entered_twice(touches(accesses), task, names, result.error)
                    or _changed_while_iterated(touches(accesses), task, names, result.error)
                    or _checked_in_vain(touches(accesses), task, names)
                    or _anomaly(accesses, names, differing)
                )
                what = short(result.error, _MOST_OF_AN_ERROR) if result.error.args else type(result.error).__name__
                said = f"{names[task]} raises {what}, as in no sequential order: "
                return Named(found.pattern, said + _uncapitalised(found.sentence, names), found.accesses)
    return _anomaly(accesses, names, differing)


def _broken_by(execution: Execution, accesses: Sequence[Access], names: Sequence[str]) -> Named:
    """The step after which a condition did not hold: the last one, since it was asked after each."""
    if not accesses:
        return Named("broken invariant", f"What setup makes breaks it: {execution.reason}.")
    last = accesses[-1]
    does = "writes" if last.is_write else "reaches"
    said = f"{names[last.task]} breaks it in line {last.location.line}, where it {does} {last.target}"
    value = f" = {last.value}" if last.is_write and last.value is not None else ""
    return Named("broken invariant", f"{said}{value}: {execution.reason}.", (last.index,))


def _uncapitalised(sentence: str, names: Sequence[str]) -> str:
    return sentence if sentence.startswith(tuple(names)) else sentence[:1].lower() + sentence[1:]


def _is_sequential(accesses: Sequence[Access]) -> bool:
    """Whether every task did all it did at a stretch."""
    tasks = [access.task for access in accesses]
    return sum(a != b for a, b in itertools.pairwise(tasks)) < len(set(tasks))


def _anomaly(accesses: Sequence[Access], names: Sequence[str], differing: Sequence[str]) -> Named:
    missed = _missed(accesses, names)
    if missed is not None:
        return missed
    everything = touches(accesses, (Op.RESUME,))
    plain = touches(accesses)
    guarded = _guarded(accesses, plain)
    for finders, touched in (
        # What differs in the end is to blame before what does not, and what no lock guards before what one does.
        (FINDERS, [t for t in plain if _is_among(t.access.target, differing)]),
        (FINDERS, [t for t in plain if t.thing[0] not in guarded]),
        (FINDERS, touches(accesses)),
        (FINDERS, touches(accesses, STRUCTURAL)),
        (FINDERS, touches(accesses, (Op.START, Op.RESUME))),
        ((too_early,), touches(accesses)),
        ((too_early,), touches(accesses, STRUCTURAL)),
        (FINDERS, everything),
        (FINDERS, sorted([*everything, *_reads_of_calls(everything)], key=lambda t: t.index)),
    ):
        for find in finders:
            named = find(touched, names)
            if named is not None:
                return named
    awaited = _across_an_await(accesses, names)
    if awaited is not None:
        return awaited
    return Named(
        "interference",
        "The tasks' accesses to the same objects interleave in a way that no sequential order gives.",
    )


def _is_among(target: str, paths: Sequence[str]) -> bool:
    """Whether something at one of these paths is the target, or lies in it."""
    return any(path == target or path.startswith((f"{target}.", f"{target}[")) for path in paths)


def _guarded(accesses: Sequence[Access], touched: Sequence[Touch]) -> set[int]:
    """Objects that were only ever touched by tasks that held one and the same lock (Savage et al., "Eraser", 1997)."""
    held: dict[int, set[int]] = {}
    held_at: list[frozenset[int]] = []
    for access in accesses:
        mine = held.setdefault(access.task, set())
        held_at.append(frozenset(mine))
        if access.op is Op.ACQUIRE or (access.op is Op.TRY and access.did_succeed):
            mine.add(access.object_id)
        elif access.op is Op.RELEASE:
            mine.discard(access.object_id)
    common: dict[int, frozenset[int]] = {}
    for each in touched:
        locks = held_at[each.index]
        common[each.thing[0]] = common.get(each.thing[0], locks) & locks
    return {thing for thing, locks in common.items() if locks}


def _reads_of_calls(touched: Sequence[Touch]) -> Iterator[Touch]:
    """What C code does that nothing is known of counts as a write, and is as likely a read."""
    return (replace(t, is_write=False) for t in touched if t.is_write and t.access.op is Op.CALL)


def _across_an_await(accesses: Sequence[Access], names: Sequence[str]) -> Named | None:
    """Nothing of the user's was touched in turns, something of asyncio was: one went on while another awaited."""
    resumed = [access for access in accesses if access.op is Op.RESUME]
    cancelled = next((access for access in resumed if access.value), None)
    if cancelled is not None:
        return Named(
            "cancelled half-way",
            f"{names[cancelled.task]} is cancelled while it awaits in line {cancelled.location.line}: what it has "
            f"begun before that stays as it is.",
            (cancelled.index,),
        )
    for early, middle, late in itertools.combinations(resumed, 3):
        if early.task == late.task != middle.task:
            me, it = names[early.task], names[middle.task]
            return Named(
                "interleaved at an await",
                f"{it} goes on while {me} awaits, in a way that no sequential order gives.",
                (early.index, middle.index, late.index),
            )
    return None


def _checked_in_vain(touched: Sequence[Touch], task: int, names: Sequence[str]) -> Named | None:
    """A condition of the task that raised, which another task made untrue before the task's last access."""
    own = [t for t in touched if t.task == task]
    for read in own:
        if not read.is_write and is_in_condition(read.access.location):
            foreign = written_between(touched, read, own[-1])
            if foreign is not None:
                return checked(read, foreign, own[-1], names)
    return None


def _changed_while_iterated(
    touched: Sequence[Touch], task: int, names: Sequence[str], error: BaseException
) -> Named | None:
    """R1(x) W2(x) R1(x), where C code has seen by itself that what it goes through has changed."""
    if not isinstance(error, RuntimeError) or "during iteration" not in str(error):
        return None
    own = [t for t in touched if t.task == task and not t.is_write]
    for one, two in itertools.pairwise(own):
        foreign = written_between(touched, one, two)
        if foreign is not None and overlap(one, two):
            sentence = (
                "{me} goes through {x} in line {first}, and {it} changes it in line {middle} before it is through."
            )
            return told("changed while iterated", sentence, (one, foreign, two), names)
    return None


def _entered_twice(touched: Sequence[Touch], task: int, names: Sequence[str], error: BaseException) -> Named | None:
    """A generator runs for one at a time, and says so."""
    if not isinstance(error, ValueError) or "already executing" not in str(error):
        return None
    own = next((t for t in reversed(touched) if t.task == task and t.is_write), None)
    inside = (
        next((t for t in reversed(touched[: own.index]) if is_foreign_write(t, own) and overlap(t, own)), None)
        if own
        else None
    )
    if own is None or inside is None:
        return None
    return Named(
        "generator entered twice",
        f"{names[inside.task]} is inside {own.access.target} since line {inside.access.location.line} when "
        f"{names[task]} asks it for more in line {own.access.location.line}.",
        (inside.index, own.index),
    )


def _missed(accesses: Sequence[Access], names: Sequence[str]) -> Named | None:
    """A lock that could not be had in time, and a task that went on without it."""
    for at, access in enumerate(accesses):
        if access.op is Op.TRY and not access.did_succeed:
            taken = [a for a in accesses[:at] if a.object_id == access.object_id and a.task != access.task]
            if taken and taken[-1].op in (Op.ACQUIRE, Op.TRY):
                me, it = names[access.task], names[taken[-1].task]
                return Named(
                    "lock not had",
                    f"{me} does not get {access.target} in line {access.location.line}, since {it} has it "
                    f"(line {taken[-1].location.line}), and goes on without.",
                    (taken[-1].index, access.index),
                )
    return None
