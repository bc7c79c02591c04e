"""Tasks that are no code of the user's: threads of calls on one object, and the history that they write.

The beginning and the return of a call are events. A return writes what the beginnings in other threads read, so that
the search tries every order of the two; two returns commute, and so do two beginnings.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final

from whilst.checking.engine.events import Op
from whilst.checking.engine.operations import Sync
from whilst.checking.engine.sites import Site, SiteTemplate
from whilst.checking.observe.c_calls import Outside
from whilst.checking.observe.registry import ModelRegistry
from whilst.inspecting.descriptions import short

BLOCKS: Final = "never returns"
_CODE: Final = compile("", "", "exec").replace(co_firstlineno=0)  # calls stand in no file
_ALL_CALLS: Final = Outside("calls")  # what beginnings and returns touch
_ATOMS: Final = frozenset({int, str, bytes, bool, float, type(None)})


@dataclass(frozen=True, slots=True)
class Call:
    """One call: a method by its name, or a function that takes the object first; and further arguments."""

    operation: str | Callable[..., object]
    arguments: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        """Of what is called."""
        return self.operation if isinstance(self.operation, str) else getattr(self.operation, "__name__", "call")

    def on(self, state: object, arguments: tuple[Any, ...]) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """What to call, with what."""
        if isinstance(self.operation, str):
            return getattr(state, self.operation), arguments
        return self.operation, (state, *arguments)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(short(each, 30) for each in self.arguments)})"


def _copied(arguments: tuple[Any, ...], known: dict[int, Any]) -> tuple[Any, ...]:
    """A call's own arguments. What is told apart by identity, as a key may be, stays the same in all calls."""
    by_identity: Any = object.__eq__
    return tuple(copy.deepcopy(each, known if type(each).__eq__ is by_identity else {}) for each in arguments)


class Thread:
    """A task that makes its calls one after the other, and notes in the history when each began and what it gave."""

    def __init__(self, *calls: tuple[str | Callable[..., object], tuple[Any, ...]]) -> None:
        self.calls = tuple(Call(*each) for each in calls)
        self.__name__ = "thread"
        self.history: History
        self.number = 0

    def __call__(self, state: object) -> None:
        """Make the calls in a real thread."""
        for nth, (call, arguments) in enumerate(zip(self.calls, self.history.arguments[self.number], strict=True)):
            noted = self.history.begin(self.number, nth)
            try:
                callee, given = call.on(state, arguments)
                value = callee(*given)
                self.history.end(noted, ("gives", self.history.form_of(value)), f"gives {short(value)}", None)
            except Exception as error:  # what the call raises is what it gives
                self.history.end(noted, ("raises", self.history.form_of(error)), f"raises {short(error)}", error)

    def perform(self, registry: ModelRegistry, state: object) -> None:
        """Make the calls as instrumented code would."""
        scheduler, history, others = registry.scheduler, self.history, self.history.returns_of_others(self.number)
        site = Site(_CODE, SiteTemplate(0, (None, None, None, None), "call", 0), {})
        site.is_scheduling_point = True
        begin = Sync(Op.BEGIN, writes=0, more=others[1:])
        for nth, (call, arguments) in enumerate(zip(self.calls, history.arguments[self.number], strict=True)):
            key = others[0][1] if others else -1
            scheduler.step((2, id(_ALL_CALLS), key, site, Outside(str(call)), begin))
            noted = history.begin(self.number, nth)
            try:
                callee, given = call.on(state, arguments)
                value = registry.call(site, callee, *given[:2])(*given)
                error, text, form = None, f"gives {short(value)}", ("gives", history.form_of(value))
            except Exception as raised:  # what the call raises is what it gives
                error, text, form = raised, f"raises {short(raised)}", ("raises", history.form_of(raised))
            said = Outside(f"{call} {text}")
            scheduler.step((2, id(_ALL_CALLS), self.number, site, said, Sync(Op.RETURN, writes=1)))
            history.end(noted, form, text, error)


@dataclass(slots=True)
class Noted:
    """A call of one execution: when it began and returned, in the order of all beginnings and returns."""

    thread: int
    nth: int
    began: int
    returned: int | None = None
    form: Hashable = None
    text: str = BLOCKS
    error: Exception | None = None


class History:
    """The calls of the execution that runs, or ran last; and what its object is made by."""

    def __init__(
        self, threads: tuple[Thread, ...], make: Callable[[], Any], form_of: Callable[[object], Hashable]
    ) -> None:
        self._given = tuple(tuple(call.arguments for call in thread.calls) for thread in threads)
        self._is_plain = all(type(each) in _ATOMS for calls in self._given for call in calls for each in call)
        self.make, self.form_of = make, form_of
        self.calls: list[Noted] = []
        self.returned = 0
        self.arguments = self._given
        self._clock = itertools.count(1)  # real threads ask it, too
        for number, thread in enumerate(threads):
            thread.history, thread.number = self, number
            thread.__name__ = f"thread {number + 1}"

    def begin_execution(self) -> Any:
        """The setup of the program. Calls may change or keep their arguments: each execution has its own."""
        self.calls, self.returned, self._clock = [], 0, itertools.count(1)
        if not self._is_plain:
            known: dict[int, Any] = {}
            self.arguments = tuple(tuple(_copied(call, known) for call in calls) for calls in self._given)
        return self.make()

    def returns_of_others(self, number: int) -> tuple[tuple[int, int, bool], ...]:
        """What a beginning in this thread reads."""
        return tuple((id(_ALL_CALLS), other, False) for other in range(len(self._given)) if other != number)

    def begin(self, thread: int, nth: int) -> Noted:
        """A call begins."""
        noted = Noted(thread, nth, next(self._clock))
        self.calls.append(noted)
        return noted

    def end(self, noted: Noted, form: Hashable, text: str, error: Exception | None) -> None:
        """It returns."""
        self.returned += 1
        noted.form, noted.text, noted.error, noted.returned = form, text, error, next(self._clock)
