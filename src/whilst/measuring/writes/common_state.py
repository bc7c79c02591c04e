"""What several calls of different functions have in common, as far as their code says, and one of them changes.

A variable, an attribute, a file: changed by two, or changed by one and looked at by another. Not what is changed with
a lock held, what is loaded once for all, nor what another waits for in a loop: tasks that need each other have to
overlap.
"""

from __future__ import annotations

import dis
import os
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from types import CodeType
from typing import Any

from whilst.inspecting import ownership
from whilst.measuring.callbacks import Callbacks
from whilst.measuring.writes.abstract_interpreter import Frame
from whilst.measuring.writes.abstract_value import ABSENT, AbstractValue
from whilst.measuring.writes.reachable import Reachable
from whilst.measuring.writes.scan import scan
from whilst.measuring.writes.seeds import is_seeded
from whilst.measuring.writes.suspects import Reach, Suspect
from whilst.measuring.writes.suspicions import is_path

_ENVIRONMENT = (os.environ, os.getenv, os.path.expandvars)

_MOST_LOOKED_INTO = 8


def changed_in_common(calls: Iterable[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]]) -> str:
    """Return which of what the calls have in common is changed, in words; "" for nothing."""
    callbacks: dict[object, list[Suspect]] = {}
    tasks = [_Task(fn, args, kwargs, callbacks) for fn, args, kwargs in calls]
    by: dict[object, int] = {}
    for number, task in enumerate(tasks):
        for key, suspect in task.written.items():
            if by.setdefault(key, number) != number:
                return f"two of the tasks change {suspect.what}"
    for task in tasks:
        for suspect in task.set_for_all:
            is_environment = suspect.what.startswith("os.environ")
            if len(tasks) > 1 and (
                not is_environment or any(each.asks_environment for each in tasks if each is not task)
            ):
                return f"one of the tasks changes {suspect.what}, which the whole process shares"
        for key, suspect in task.written.items():
            if not _is_for_several(suspect.root) and any(key in other.read for other in tasks if other is not task):
                return f"one of the tasks changes {suspect.what}, which another looks at"
    if sum(task.draws for task in tasks) > 1 and is_seeded():
        return "two of the tasks draw from the random generator that all share, and that somebody seeds: both change it"
    return ""


class _Task:
    """What one of the calls changes and looks at, by what tells that from all else."""

    def __init__(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        callbacks: dict[object, list[Suspect]],
    ) -> None:
        self.read: set[object] = set()
        self.asks_environment = False
        self._kept: list[object] = []
        """An id is an object's for as long as that is there."""
        found = scan(partial(fn, **kwargs) if kwargs else fn, args, how="star", on_load=self._load)
        self.written: dict[object, Suspect] = {}
        for suspect in (*found.suspects, *_called_back(fn, callbacks)):
            self._kept.append(suspect.root)
            key = _key_of(suspect)
            if key is not None:
                self.written.setdefault(key, suspect)
        self.set_for_all = [each for each in found.suspects if each.reach is Reach.PROCESS and not each.reverts]
        self.draws = any(suspect.reach is Reach.DRAWS for suspect in found.suspects) and not found.seeds_itself

    def _load(self, value: AbstractValue, frame: Frame, line: int | None) -> None:
        if is_path(value.value):
            self.read.add((f"the file {value.value}", ""))
        if value.is_constant or line in _waiting_lines(frame.code):
            return
        if any(value.value is each for each in _ENVIRONMENT):
            self.asks_environment = True
        self._kept += [value.value, value.root]
        self.read |= {(id(value.value), ""), (id(value.root), "")}
        owner, name = (frame.globals, value.name) if value.owner is None else (value.owner.value, value.attribute)
        self.read.add((id(owner), name))


def _called_back(fn: Any, known: dict[object, list[Suspect]]) -> list[Suspect]:
    """What is written by code that libraries hold; looked for once in each of a few functions."""
    code = getattr(fn, "__code__", fn)
    try:
        if code not in known:
            known[code] = Callbacks(Reachable(fn)).suspects if len(known) < _MOST_LOOKED_INTO else []
        return known[code]
    except TypeError:  # it can't be hashed
        return []


def _is_for_several(root: object) -> bool:
    """Is it a library's object that tasks hand something over by, such as a queue?"""
    return not ownership.is_own_type(type(root)) and (
        ownership.holds_lock(root) or type(root).__module__ in ("queue", "_queue", "asyncio.queues")
    )


_NO_LOOP = ("FOR_ITER", "END_SEND")
"""Jumps back to these go to the next item, and out of an `await` (3.12)."""


@lru_cache(maxsize=256)
def _waiting_lines(code: CodeType) -> frozenset[int]:
    """Lines of `while` loops: what is looked at there again and again is waited for."""
    instructions = list(dis.get_instructions(code))
    at = {each.offset: each.opname for each in instructions}
    loops = [
        (each.argval, each.offset)
        for each in instructions
        if "JUMP_BACKWARD" in each.opname and "NO_INTERRUPT" not in each.opname and at.get(each.argval) not in _NO_LOOP
    ]
    lines = ((begin, line) for begin, _, line in code.co_lines() if line is not None)
    return frozenset(line for begin, line in lines if any(first <= begin <= last for first, last in loops))


def _key_of(suspect: Suspect) -> object:
    if suspect.is_hint or suspect.is_locked or suspect.settles:
        return None
    if suspect.reach is Reach.STATEFUL and suspect.root is ABSENT:
        return suspect.what, ""
    is_shared = suspect.reach in (Reach.SHARED, Reach.ARGUMENT, Reach.STATEFUL)
    return (id(suspect.root), suspect.slot) if is_shared and suspect.root is not ABSENT else None
