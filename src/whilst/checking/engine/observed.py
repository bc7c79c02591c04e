"""Executions that somebody looks at after every step: is a condition on the state always true?

The search runs one of all executions in which whatever depends on each other comes in the same order. Writes of two
tasks to two attributes are independent; whoever reads both sees in which order they came. So the observer is a reader
like any other, one that reads after each step: what it reads is noted, and from the next execution on every place that
writes such a thing writes one more thing, the same for all of them. Then any two of these writes depend on each other,
each order of them is run, and no state that the observer could see is left out (visible actions are never independent:
Clarke, Grumberg and Peled, "Model Checking", condition C2).

Places are known by their names and for the whole search. Were a write only marked once the condition has read what it
writes, whether two writes depend on each other would hang on the order of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from whilst.checking.engine.events import Op, Status
from whilst.checking.engine.operations import Accesses, Operation, Store, Sync, accesses_of, accesses_wanted
from whilst.checking.engine.scheduler import Scheduler
from whilst.checking.engine.sites import Site

OBSERVER: Final = 1_000_000  # as a task
_SEEN: Final = object()  # what all writes write that the observer can tell apart


class Waits(BaseException):
    """The condition asks for what a task holds: nobody could look at it just now."""


class ObservedWrite(Sync):
    """A plain write that the observer can see."""

    __slots__ = ("plain",)

    def __init__(self, plain: Operation) -> None:
        super().__init__(Op.WRITE, writes=1, more=_marked(()))
        self.plain = plain


def plain(operation: Operation) -> Operation:
    """The operation as the task wanted it."""
    sync = operation[5] if operation[0] == 2 else None
    return sync.plain if isinstance(sync, (ObservedWrite, Store)) else operation


class ObservedScheduler(Scheduler):
    """Asks `ask()` before each choice, that is: once the step of the task that ran is over. It says what is wrong."""

    __slots__ = ("_is_visible", "_names", "_seen", "ask", "is_observing")

    def __init__(self) -> None:
        self.ask: Callable[[], str] = str
        self.is_observing = False
        self._seen: set[tuple[int, Any]] = set()  # what the condition has read in this execution
        self._names: set[str] = set()  # of the places that write what it reads
        self._is_visible: dict[Site, bool] = {}
        super().__init__()

    def forget(self) -> None:
        """The check is over."""
        super().forget()
        self.ask = str
        self._names, self._is_visible = set(), {}

    def run(self, *arguments: Any, **keywords: Any) -> None:
        """As `Scheduler.run`."""
        self._seen.clear()
        super().run(*arguments, **keywords)

    def choose(self, task: int) -> int:
        """Look at the state, then as `Scheduler.choose`."""
        wrong = self._look()
        if wrong:
            self.status, self.reason = Status.BROKEN, wrong
            return -1
        return super().choose(task)

    def _look(self) -> str:
        task, self.cur = self.cur, OBSERVER
        self.is_observing, self.groups[OBSERVER] = True, 0  # its reads make nothing an event
        try:
            return self.ask()
        except Waits:
            return ""
        finally:
            self.cur, self.is_observing = task, False
            del self.groups[OBSERVER]

    def step(self, operation: Operation) -> None:
        """The observer's own accesses are noted; a task's are marked where the observer can see them."""
        if self.is_observing:
            self.note(*((thing, key) for thing, key, _ in accesses_wanted(operation)))
            sync = operation[5] if operation[0] == 2 else None
            if sync is not None and sync.blocks and not sync.needs(sync.measure()):
                raise Waits
            return
        if self._names and operation[0] and self._sees(operation[3]):
            operation = _seen(operation)
        super().step(operation)

    def note(self, *seen: tuple[int, Any]) -> None:
        """The condition has read that."""
        self._seen.update(seen)

    def _sees(self, site: Site) -> bool:
        found = self._is_visible.get(site)
        if found is None:
            found = self._is_visible[site] = site.key in self._names
        return found

    def learn(self, logged: Iterable[tuple[int, Any, set[Site]]]) -> set[Site]:
        """After an execution: the places that write what was seen and are new; `logged` are writes that are no events
        yet."""
        seen: dict[int, set[Any]] = {}
        for thing, key in self._seen:
            seen.setdefault(thing, set()).add(key)
        found = {site for thing, key, sites in logged if _meets(seen, thing, key) for site in sites}
        for event in self.trace:
            if any(is_write and _meets(seen, thing, key) for thing, key, is_write in accesses_of(event)):
                found.add(event[5][3])
        new = {site for site in found if site.key not in self._names}
        if new:
            self._names.update(site.key for site in new)
            self._is_visible.clear()
        return new


def _meets(seen: dict[int, set[Any]], thing: int, key: Any) -> bool:
    keys = seen.get(thing)
    return keys is not None and (key is None or None in keys or key in keys)


def _marked(more: Accesses) -> Accesses:
    return (*more, (id(_SEEN), None, True))


def _seen(operation: Operation) -> Operation:
    """The same, in conflict with all that the observer can see."""
    if operation[0] == 2 and isinstance(operation[5], Store):
        operation = operation[5].plain
    code, thing_id, key, site, thing, *rest = operation
    if code == 1:
        return (2, thing_id, key, site, thing, ObservedWrite(operation))
    sync: Sync = rest[0]
    if sync.is_step or not sync.writes:  # a step of a coroutine: all of them depend on each other as it is
        return operation
    marked = Sync(sync.kind, sync.measure, sync.needs, blocks=sync.blocks, writes=sync.writes, more=_marked(sync.more))
    return (code, thing_id, key, site, thing, marked)
