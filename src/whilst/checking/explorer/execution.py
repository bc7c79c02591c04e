"""What is run, within which bounds, and what came of it: data alone."""

from __future__ import annotations

import operator
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from whilst.checking.engine.events import Access, Blocked, Status, TaskResult
from whilst.checking.engine.operations import MIXED, SHARED_RANDOM, Event, Operation, names_of
from whilst.checking.engine.sites import Site
from whilst.checking.explorer.describe import Describer, DescriptionSource, needs_free_threading


@dataclass(frozen=True, slots=True)
class Program:
    """What is checked: `setup()` makes fresh state, each task is called with it (functions or coroutine functions)."""

    setup: Callable[[], object]
    tasks: tuple[Callable[..., object], ...]
    always: Callable[[Any], object] | None = None  # asked of the state after every step: false, or an error, ends it


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one execution."""

    steps: int = 20_000  # events in one execution before it counts as TOO_LONG
    seconds: float = 10.0  # of real time in one execution


@dataclass(slots=True)
class Plan:
    """An execution that a search asks for, in its own numbers of tasks (see `Scheduler`)."""

    choices: Sequence[int] = ()
    sleep: int = 0  # mask of the tasks that are asleep from event `sleep_from` on, until something wakes them
    sleep_from: int = 0
    gates: Mapping[int, int] = field(default_factory=dict)  # task -> the identical task that must have begun before it
    picker: Callable[[int, list[int]], int] | None = None  # (running task, enabled tasks) -> who goes on, once the
    # choices are used up; -1 cuts the execution short
    keeps_enabled: bool = False  # note for each event which tasks could have had it (`Scheduler.enabled_along`)


@dataclass(slots=True)
class Execution:
    """One execution. `state` is the live object that setup made: read it before the next run.

    `choices` is complete (one number an event), so that `explorer.run(choices)` repeats it. `results` has one
    entry for each task of the program, then one for each thread that a task started. At any other end than DONE
    the tasks that were still going have been unwound (their `finally` blocks ran), which `state` may show.
    """

    choices: tuple[int, ...]
    status: Status
    state: object
    results: tuple[TaskResult, ...]
    reason: str = ""  # for BROKEN, SPINNING, TOO_LONG, DIVERGED, OUTSIDE: one sentence
    _trace: list[Event] = field(default_factory=list, repr=False)
    _ending: Ending | None = field(default=None, repr=False)
    _accesses: tuple[Access, ...] | None = field(default=None, repr=False)

    def let_go(self) -> None:
        """The next execution begins, and the program has weak references: through those the next would find what this
        one made, in a state that no setup made. So all of it goes, and with it what a description is made from."""
        self.state = self._ending = None
        for result in self.results:
            if result.error is not None:
                _clear_frames(result.error)
        self._trace[:] = map(_without_things, self._trace)

    def accesses(self) -> tuple[Access, ...]:
        """Every event in order; values are there when the run was recorded (`run(..., record=True)`)."""
        ending = self._ending
        if ending is None:
            return ()
        if self._accesses is None:
            describer = ending.describer or Describer(ending.source, self.state)
            self._accesses = describer.accesses(self._trace, ending.outer)
        return self._accesses

    @property
    def site_keys(self) -> tuple[str, ...]:
        """The places whose accesses are events of this execution, by names that other processes understand."""
        ending = self._ending
        return (
            () if ending is None else _site_keys_of(self._trace, ending.stuck, ending.scheduling_points, ending.named)
        )

    @property
    def blocked(self) -> tuple[Blocked, ...]:
        """At a deadlock: who waits for whom."""
        ending = self._ending
        if ending is None or self.status is not Status.DEADLOCK:
            return ()
        return Describer(ending.source, self.state).blocked(ending.stuck, ending.held, ending.outer)

    @property
    def needs_free_threading(self) -> bool:
        """Whether a task was interrupted where the GIL's eval loop never lets another one in."""
        return needs_free_threading(self._trace)

    @property
    def switches(self) -> int:
        """How often another task went on than the one before."""
        return sum(map(operator.ne, self.choices, self.choices[1:]))


def _clear_frames(error: BaseException) -> None:
    """A traceback holds the variables of all functions that the exception came through."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            traceback.clear_frames(each.__traceback__)
            waiting += (each.__cause__, each.__context__)
            if isinstance(each, BaseExceptionGroup):
                waiting += each.exceptions


def _without_things(event: Event) -> Event:
    """What of an event the search needs: a thing is known by its id."""
    operation = event[5]
    sync = operation[5:] if operation[0] == 2 else (None,)
    return (*event[:5], (*operation[:4], None, *sync))


class Ending(NamedTuple):
    """How things stood at the end of an execution: what a description of it is made from, if somebody asks."""

    source: DescriptionSource
    describer: Describer | None
    outer: dict[int, int]
    stuck: dict[int, Operation]
    held: dict[int, Any]
    scheduling_points: list[Site]
    named: frozenset[str]


def _site_keys_of(
    trace: list[Event], stuck: dict[int, Operation], scheduling_points: list[Site], named: frozenset[str]
) -> tuple[str, ...]:
    """Those of the events, and of what was waited for at the end: else it would not have been waited for there.

    `scheduling_points` outlives the check, what sites know of themselves does not.
    """
    known = set(scheduling_points)
    operations = [*(event[5] for event in trace), *stuck.values()]
    sites = {operation[3] for operation in operations}
    site_keys = {site.key for site in sites if site in known or site.is_scheduling_point}
    for operation in operations:
        if operation[0] == 2 and operation[5].is_step:
            site_keys.update(names_of(operation))
    return tuple(sorted(site_keys | ({MIXED, SHARED_RANDOM} & named)))
