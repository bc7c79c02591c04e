"""What coroutine tasks do between two awaits, as far as it matters to the others: which steps depend on each other.

A step runs from one await to the next, and what it touches is known only afterwards; but where it goes on is known
before. So a step is known by its label (task, and where in the code it goes on), and labels are taken for independent
until an execution shows that two of them touched the same thing, one writing. Then that pair is learnt, for good, and
the search starts over: as with sites that are promoted, a search that learns nothing has seen every conflict there was.

What asyncio keeps to itself (locks, queues, futures) is one thing for all that use it, except for sleeps, which are
nobody else's business. A task that is made, or cancelled, depends on whoever did that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from whilst.checking.engine.operations import MIXED, STEPS_LOOP, Accesses
from whilst.checking.engine.sites import SiteTable
from whilst.checking.observe.access_log import AccessLog
from whilst.inspecting.objects import module_of

_SIGN: Final = "await:"  # what the names of labels and pairs begin with, among those of points
_HANDED_OUT: Final = f"{_SIGN}handed out"  # somebody asked which tasks there are, and may wait for any
_GETS_ON: Final = f"{_SIGN}gets on"  # and a label: a round that comes by there changes what others touch
_HERE: Final = str(Path(asyncio.__file__).parent)
CLOCK: Final = "clock"
_LOOKING: Final = frozenset({"time", "get_running_loop", "get_event_loop"})  # who only looks may go round as before
_ASKING: Final = frozenset({"current_task", "all_tasks"})

Place = tuple[Any, Any]  # a thing, and a key or None
Touched = list[tuple[Any, Any, int]]


class Steps:
    """Labels, and which of them are known to depend on each other."""

    def __init__(self, access_log: AccessLog, site_table: SiteTable) -> None:
        self._access_log, self._site_table = access_log, site_table
        self._records: list[tuple[str, int, Touched]] = []
        self._waiting: list[tuple[str, int, set[Any]]] = []  # see `note_waiting`
        self._known = -1
        self._more: dict[str, list[tuple[object, object, bool]]] = {}

    @property
    def are_mixed(self) -> bool:
        """Whether steps are not all there is: then every one depends on every other."""
        return MIXED in self._site_table.named

    def begin(self) -> None:
        """A new execution."""
        self._records.clear()
        self._waiting.clear()
        self._access_log.step = None

    def label(self, task: int, frame: FrameType | None) -> str:
        """The name of the step with which a task goes on there."""
        code: CodeType | None = frame.f_code if frame is not None else None
        location = f"{code.co_qualname}:{frame.f_lasti}" if code is not None and frame is not None else "start"
        return f"{_SIGN}{task}:{location}"

    def more(self, label: str) -> Accesses:
        """What an operation of that label touches, for others to overlap with."""
        named = self._site_table.named
        if len(named) != self._known:
            self._known = len(named)
            self._more = {}
            for name in named:
                if name.startswith(_SIGN):
                    for each in name.split("|"):
                        thing = STEPS_LOOP if name.endswith(f"|{STEPS_LOOP}") else name
                        self._more.setdefault(each, []).append(((_SIGN, thing), None, True))
        return tuple(sorted(self._more.get(label, ()), key=repr))

    # ------------------------------------------------------------------ while a step runs

    def announce(self, label: str, task: int) -> Touched:
        """That step is what the task does next, unless somebody calls it off: then it is no less in conflict with
        whoever did that, though it never runs in that execution. What it touches goes into what is returned."""
        touched: Touched = [((STEPS_LOOP, task), None, 0)]
        self._records.append((label, task, touched))
        return touched

    @property
    def count(self) -> int:
        """How many steps have been announced in this execution."""
        return len(self._records)

    def round_since(self, task: int, since: int) -> tuple[set[Place], set[Any]] | None:
        """What the task has touched in its steps, of those announced since there were so many, and which things it has
        written; None if it has got on: it has used more of asyncio than its clock, or is known to get on there."""
        seen: set[Place] = set()
        written: set[Any] = set()
        for label, each, touched in self._records[since:]:
            if each == task:
                if f"{_GETS_ON}|{label}" in self._site_table.named:
                    return None
                for thing, key, code in touched:
                    if thing != STEPS_LOOP:
                        seen.add((thing, key))
                        if code:
                            written.add(thing)
                    elif key != CLOCK:
                        return None
        return seen, written

    def note_waiting(self, label: str, task: int, written: set[Any]) -> None:
        """The task is taken for one that waits, with the step of that label; in a round it has written these things,
        which shall be nobody else's."""
        if written:
            self._waiting.append((label, task, written))

    def start(self, touched: Touched, *, uses_loop: bool) -> None:
        """From now on what is touched belongs to the step that was announced so."""
        self._access_log.step = touched
        self._access_log.epoch += 1  # so that every access is told again
        if uses_loop:
            self.touch_loop()

    def stop(self) -> None:
        """The step is over."""
        self._access_log.step = None

    def touch_loop(self, what: str | None = None) -> None:
        """The step does something with asyncio: with all of it, or its clock alone."""
        if self._access_log.step is not None:
            self._access_log.step.append((STEPS_LOOP, what, 1))

    def touch_task(self, task: int) -> None:
        """The step makes or cancels that task."""
        if self._access_log.step is not None:
            self._access_log.step.append(((STEPS_LOOP, task), None, 1))

    def note_mixed(self) -> None:
        """Something else happened within a step."""
        self._records.append((MIXED, -1, []))

    def note_call(self, callee: Any) -> None:
        """The step calls something."""
        if callee is not asyncio.sleep and is_of_asyncio(callee):
            name = getattr(callee, "__name__", "")
            self.touch_loop(CLOCK if name in _LOOKING else None)
            if name in _ASKING:
                self._records.append((_HANDED_OUT, -1, []))

    def note_await(self, thing: Any) -> None:
        """The step awaits something: user code that is no more than a part of it, a sleep, or anything of asyncio."""
        code = getattr(thing, "cr_code", None)
        if code is None or (code.co_filename.startswith(_HERE) and not _is_sleeping(code)):
            self.touch_loop()

    @property
    def are_handed_out(self) -> bool:
        """Whether the end of a task may be waited for though nobody made it."""
        return _HANDED_OUT in self._site_table.named

    # ------------------------------------------------------------------ learning

    def learn(self) -> bool:
        """After an execution: which labels turned out to depend on each other; True when any did."""
        found = {label for label, _, _ in self._records if label in (MIXED, _HANDED_OUT)}
        touching: dict[Any, dict[Any, tuple[set[str], set[str]]]] = {}
        users: dict[str, int] = {}
        for label, task, touched in self._records:
            for thing, key, code in touched:
                if thing == STEPS_LOOP:
                    users[label] = task
                else:
                    touching.setdefault(thing, {}).setdefault(key, (set(), set()))[code].add(label)
        if len(set(users.values())) > 1:
            found.update(f"{label}|{STEPS_LOOP}" for label in users)
        for label, task, written in self._waiting:
            others = (touched for _, each, touched in self._records if each != task)
            if any(thing in written for touched in others for thing, _, _ in touched):
                found.add(f"{_GETS_ON}|{label}")
        for keys in touching.values():
            for one, other in _conflicts(keys):
                if one.split(":")[1] != other.split(":")[1]:
                    found.add("|".join(sorted((one, other))))
        new = found - self._site_table.named
        self._site_table.named |= new
        return bool(new)


def _conflicts(keys: dict[Any, tuple[set[str], set[str]]]) -> Iterator[tuple[str, str]]:
    """Pairs of labels that overlap, one of the two writing."""
    whole = keys.get(None, (set(), set()))
    for key, (readers, writers) in keys.items():
        others_read, others_write = (readers, writers) if key is None else (readers | whole[0], writers | whole[1])
        for one in writers:
            yield from ((one, other) for other in others_read | others_write if other != one)
        for one in readers:
            yield from ((one, other) for other in others_write if other != one)


_EVENT_LOOP: Final = "whilst.checking.models.coroutines.eventloop"  # what stands in for the loop of asyncio


def is_of_asyncio(function: Any) -> bool:
    """Whether a function, or what it is a method of, is asyncio's own."""
    return _is_asyncio(module_of(function)) or _is_asyncio(module_of(type(getattr(function, "__self__", None))))


def _is_asyncio(module: str) -> bool:
    return module.partition(".")[0] in ("asyncio", "_asyncio") or module == _EVENT_LOOP


def where(made: Any) -> tuple[FrameType | None, bool, Any]:
    """The innermost frame of the user's that a task is suspended in, whether it just sleeps there, and which object
    of asyncio it waits for.

    A task that has not begun waits for nobody, either, unless it is made of asyncio alone (`create_task(q.get())`).
    """
    inner = made.get_coro()
    frame = getattr(inner, "cr_frame", None)
    if frame is None or not inner.cr_suspended:
        return frame, frame is not None and not frame.f_code.co_filename.startswith(_HERE), None
    does_sleep, does_wait, awaited = False, False, None
    while inner is not None:
        at = getattr(inner, "cr_frame", None) or getattr(inner, "gi_frame", None)
        if at is None:
            break
        if not at.f_code.co_filename.startswith(_HERE):
            frame = at
        elif _is_sleeping(at.f_code):
            does_sleep = True
        else:
            does_wait, awaited = True, at.f_locals.get("self")
        inner = getattr(inner, "cr_await", None) or getattr(inner, "gi_yieldfrom", None)
    return frame, does_sleep and not does_wait, awaited


def frames_of(made: Any) -> list[FrameType]:
    """Those that a suspended task is in, as far as they are not asyncio's own, the innermost first."""
    found, inner = [], made.get_coro()
    while inner is not None:
        frame = getattr(inner, "cr_frame", None) or getattr(inner, "gi_frame", None)
        if frame is None:
            break
        if not frame.f_code.co_filename.startswith(_HERE):
            found.append(frame)
        inner = getattr(inner, "cr_await", None) or getattr(inner, "gi_yieldfrom", None)
    return found[::-1]


def _is_sleeping(code: CodeType) -> bool:
    return code.co_filename.startswith(_HERE) and code.co_name in ("sleep", "__sleep0")
