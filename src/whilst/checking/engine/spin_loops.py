"""Does a task that looks at the same thing again go round as before, or does it get on?

What a loop that only looks does is decided by what it sees, so until somebody writes one of the things it looked at
it goes round as before: it may as well wait for that. Comparing the locals of all its frames is what makes this
exact: a loop that counts its rounds is no such loop.

Unless it sleeps between its looks. Who counts its tries, or the time, and sleeps for longer and longer, waits for
others all the same: after some rounds in which it changed nothing, it waits until what it looked at is written, or,
when nobody else can go on, until much time has gone by. That it gives up earlier while others could go on is not
explored, and the verdict says so.

A `while` loop whose locals are as they were will do what it did as long as what it sees does not change. A `for` loop
gets on by itself: how far it has come stands in an iterator on the value stack, which nobody can read, so that two of
its rounds look alike in all that can be read (`sum(x for x in [5, 5])`).
"""

from __future__ import annotations

import dis
import functools
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from whilst.checking.engine.events import Op
from whilst.checking.engine.operations import Event, Operation, accesses_of

OWN_FOLDER: Final = str(Path(__file__).parents[1])  # frames of code below it are the engine's
ROUNDS: Final = 3  # looks at one thing from one place after which a task is suspected to poll
TRIES: Final = 8  # the same, if its locals change, but it sleeps in between
LOCKING: Final = frozenset({Op.ACQUIRE, Op.RELEASE})  # writes of a task that look again all the same
LOOKS: Final = frozenset({Op.TRY, Op.READ, Op.ACQUIRE})
_ANY: Final = object()
_VALUES: Final = frozenset({int, str, bytes, bool, float, type(None)})


class Polling:
    """Who looks at what again and again, in an execution in which somebody does.

    Counting costs more than most events, so it begins when a task is suspected, with what has happened by then.
    """

    __slots__ = ("_looks", "_seen", "_versions")

    def __init__(self) -> None:
        self._looks: dict[
            int, dict[tuple[Any, ...], list[Any]]
        ] = {}  # by task: how often, in what local state, after how many sleeps
        self._seen: dict[int, dict[Any, int]] = {}  # by task: what it saw, and how often that was written by then
        self._versions: dict[Any, int] = {}  # how often a thing has been written

    def catch_up(self, trace: Sequence[Event], pending: Mapping[int, Operation], looking: int) -> None:
        """Take in what has happened; a task arrives at an event right after its one before. The last look of the
        task that is `looking` is left to the caller."""
        ahead: dict[int, list[Operation]] = {}
        for event in trace:
            ahead.setdefault(event[0], []).append(event[5])
        for task, operation in pending.items():
            if task != looking:
                ahead.setdefault(task, []).append(operation)
        for operations in ahead.values():
            operations.reverse()
        for task in ahead:
            self._arrive(task, ahead[task])
        for event in trace:
            self.note(event)
            self._arrive(event[0], ahead[event[0]])

    def _arrive(self, task: int, ahead: list[Operation]) -> None:
        if ahead:
            operation = ahead.pop()
            if operation[0] == 0 or (operation[0] == 2 and operation[5].kind in LOOKS):
                self.look(task, operation)

    def look(self, task: int, operation: Operation) -> list[Any] | None:
        """Count a look; [how often, in what local state, after how many sleeps] once it is suspicious."""
        seen = self._seen.setdefault(task, {})
        if seen and not self.is_unchanged(task):
            seen.clear()
            self._looks.pop(task, None)
        where = (operation[1], operation[2])
        if where not in seen and (operation[0] == 0 or operation[5].writes != 1):
            seen[where] = self._version(where)
        known = self._looks.setdefault(task, {}).setdefault((operation[3], *where), [0, None, 0])
        known[0] += 1
        return known if known[0] >= ROUNDS and seen else None

    def note(self, event: Event) -> None:
        """Something has happened: what it wrote has changed, and who wrote got on."""
        if not event[1]:
            return
        versions = self._versions
        for thing, key, is_write in accesses_of(event):
            if is_write:
                versions[thing, key] = versions.get((thing, key), 0) + 1
                versions[thing, _ANY] = versions.get((thing, _ANY), 0) + 1
        operation = event[5]
        if operation[0] == 1 or operation[5].kind not in LOCKING:
            self._looks.pop(event[0], None)
            self._seen.pop(event[0], None)

    def is_unchanged(self, task: int) -> bool:
        """Whether nothing that the task saw has been written since."""
        return all(self._version(where) == version for where, version in self._seen.get(task, {}).items())

    def seen_by(self, task: int) -> tuple[Any, ...]:
        """What the task looked at."""
        return tuple(self._seen.get(task, ()))

    def _version(self, where: tuple[Any, Any]) -> int:
        """How often what overlaps with (thing, key) has been written."""
        thing, key = where
        versions = self._versions
        if key is None:
            return versions.get((thing, _ANY), 0)
        return versions.get((thing, key), 0) + versions.get((thing, None), 0)


def local_state(root: types.CodeType) -> object:
    """The locals of all frames of the running task; None if it gets on by itself.

    The innermost frame that is in a loop decides, by its innermost loop. Without any loop it is C code or recursion
    that comes back here, and those get on, too. Frames of the engine and below `root` are left out.

    Numbers and text are compared by value, other things by identity, except in what the loop calls: that makes new
    ones in each round (`Path(name).exists()`).
    """
    return state_of(_frames_within(root, sys._getframe(2)))  # noqa: SLF001  # the only way to locals of what runs


def _frames_within(root: types.CodeType, innermost: types.FrameType) -> Iterator[types.FrameType]:
    frame: types.FrameType | None = innermost
    while frame is not None and frame.f_code is not root:
        yield frame
        frame = frame.f_back


def state_of(frames: Iterable[types.FrameType]) -> object:
    """The same of these frames, the innermost first."""
    out = []
    is_while: bool | None = None
    for frame in frames:
        code = frame.f_code
        if not code.co_filename.startswith(OWN_FOLDER):
            if is_while is None:
                is_while = _is_in_while(code, frame.f_lasti)
                if is_while is False:
                    return None
            known = type if is_while is None else id
            held = [value if type(value) in _VALUES else known(value) for value in frame.f_locals.values()]
            out.append((code, frame.f_lasti, tuple(held)))
    return tuple(out) if is_while else None


@functools.lru_cache(maxsize=4096)
def _is_in_while(code: types.CodeType, offset: int) -> bool | None:
    """Whether the innermost loop around the instruction is a `while`; None outside all loops."""
    around = [loop for loop in _loops(code) if loop[0] <= offset <= loop[1]]
    return not min(around, key=lambda loop: loop[1] - loop[0])[2] if around else None


@functools.lru_cache(maxsize=512)
def _loops(code: types.CodeType) -> tuple[tuple[int, int, bool], ...]:
    """Loops as (first offset, last offset, is it a `for`)."""
    jumps, exits = [], []
    for each in dis.get_instructions(code):
        if "JUMP_BACKWARD" in each.opname:
            jumps.append((each.argval, each.offset))
        elif each.opname == "FOR_ITER":
            exits.append((each.offset, each.argval))
    # A `for` is left for what lies beyond its jump back; one within a `while` is left for a place in the `while`.
    return tuple((first, last, any(first <= at <= last < beyond for at, beyond in exits)) for first, last in jumps)
