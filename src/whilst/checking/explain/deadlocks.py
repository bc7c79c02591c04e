"""The name of a deadlock, by what its tasks wait for: a cycle of locks, a lost wake-up, a lock never released."""

from __future__ import annotations

import linecache
import re
from collections.abc import Sequence
from typing import Final

from whilst.checking.engine.events import Blocked
from whilst.checking.explain.conflicts import STRUCTURAL, Named, touches, written_after
from whilst.checking.explorer.execution import Execution


def name_of_deadlock(execution: Execution, names: Sequence[str]) -> Named:
    """Why nobody can go on in this execution, which was recorded."""
    blocked = {each.task: each for each in execution.blocked}
    cycle = _cycle(blocked)
    if len(cycle) > 1:
        said = [
            f"{names[task]} holds {_held(blocked, cycle, at)} and waits for {blocked[task].target}"
            for at, task in enumerate(cycle)
        ]
        return Named("deadlock", f"{'; '.join(said)}: each waits for the next.")
    for each in execution.blocked:
        if each.holder == each.task:
            where = f" in line {each.holder_location.line}" if each.holder_location else ""
            return Named(
                "deadlock",
                f"{names[each.task]} waits for {each.target} (line {each.location.line}), which it has taken itself"
                f"{where}: this lock can't be taken twice.",
            )
    for each in execution.blocked:
        if each.holder is not None and each.holder not in blocked:
            where = f" in line {each.holder_location.line}" if each.holder_location else ""
            return Named(
                "lock never released",
                f"{names[each.holder]} took {each.target}{where} and ended with it: {names[each.task]} waits for ever.",
            )
    for each in execution.blocked:
        found = _lost_wake_up(execution, each, names)
        if found is not None:
            return found
    if len(execution.blocked) == 1:
        each = execution.blocked[0]
        return Named(
            "waits for ever",
            f"{names[each.task]} waits for {each.target} (line {each.location.line}), and nobody is left to end that.",
        )
    said = [f"{names[each.task]} for {each.target} (line {each.location.line})" for each in execution.blocked]
    return Named("deadlock", f"Everybody waits: {', '.join(said)}.")


def _cycle(blocked: dict[int, Blocked]) -> list[int]:
    """The tasks of a cycle of waits, each waiting for what the next one holds; empty if there is none."""
    for start in blocked:
        path: list[int] = []
        at: int | None = start
        while at is not None and at in blocked and at not in path:
            path.append(at)
            at = blocked[at].holder
        if at is not None and at in path:
            return path[path.index(at) :]
    return []


def _held(blocked: dict[int, Blocked], cycle: Sequence[int], at: int) -> str:
    """What the task at this place of the cycle holds: it is what the one before it waits for."""
    wait = blocked[cycle[at - 1]]
    return f"{wait.target} (taken in line {wait.holder_location.line})" if wait.holder_location else wait.target


_WAKERS: Final = re.compile(r"\.(notify|notify_all|set)\(")


def _lost_wake_up(execution: Execution, blocked: Blocked, names: Sequence[str]) -> Named | None:
    """Why nobody wakes a task that waits: it looked too early, was woken too early, or another one was woken."""
    if blocked.holder is not None:
        return None
    me, accesses = names[blocked.task], execution.accesses()
    since = max((access.index for access in accesses if access.task == blocked.task), default=-1)
    touched = touches(accesses, STRUCTURAL)
    for read in touched:
        if read.task != blocked.task or read.is_write:
            continue
        foreign = written_after(touched, read)
        if foreign is None:
            continue
        it, line = names[foreign.task], foreign.access.location.line
        if foreign.access.object_id == blocked.object_id:
            return Named(
                "check-then-act",
                f"{me} looks at {read.access.target} in line {read.access.location.line}, {it} changes it in line "
                f"{line}, and {me} then waits in line {blocked.location.line} for what is gone.",
                (read.index, foreign.index),
            )
        if foreign.index > since:  # it was waiting already
            continue
        return Named(
            "lost wake-up",
            f"{me} looks at {read.access.target} in line {read.access.location.line}; {it} changes it in line "
            f"{line} and wakes whoever waits; only then does {me} begin to wait (line {blocked.location.line}), for "
            f"ever.",
            (read.index, foreign.index),
        )
    for access in reversed(accesses):
        if access.task != blocked.task and _WAKERS.search(
            linecache.getline(access.location.file, access.location.line)
        ):
            it, line = names[access.task], access.location.line
            if access.index < since:
                text = f"{it} wakes nobody in line {line}: {me} begins to wait only after that, for ever."
            else:
                text = f"{it} wakes one of those who wait (line {line}), and nobody wakes {me}."
            return Named("lost wake-up", text, (access.index,))
    return None
