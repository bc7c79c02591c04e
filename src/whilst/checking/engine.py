"""One execution from a list of choices: the contract between the engine and everything built on it.

    with Explorer(Program(setup, tasks), Limits()) as explorer:
        execution = explorer.run((0, 0, 1))          # the first three events belong to tasks 0, 0, 1
        again = explorer.run(execution.choices)      # exactly the same execution
        alone = explorer.run_order((1, 0))           # the tasks one after the other, each to its end

A *choice* is the number of the task whose pending event happens next. Tasks are numbered from 0 in the order of
the program; a thread that a task starts gets the next free number, the same in every execution that is equal so
far. When the choices are used up, the running task goes on as long as it can, then the lowest number that can.
Nothing but the choices decides: an execution is replayed, shrunk or audited by running other choices.

A time-out needs no choice of its own: an acquire with a time-out is an event that may be scheduled at any
moment; it gets the lock when that is free and times out when it is not. That covers early and late.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from whilst.checking.events import Access, Assumption, Blocked, Status, TaskResult

__all__ = ["Execution", "Explorer", "Limits", "Program"]


@dataclass(frozen=True, slots=True)
class Program:
    """What is checked: `setup()` makes fresh state, each task is called with it (functions or coroutine functions)."""

    setup: Callable[[], object]
    tasks: tuple[Callable[..., object], ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one execution."""

    steps: int = 20_000  # events in one execution before it counts as TOO_LONG
    seconds: float = 10.0  # of real time in one execution: a loop without any event, a system call that blocks


@dataclass(slots=True)
class Execution:
    """One execution. `state` is the live object that setup made: read it before the next run.

    `choices` is complete (one number an event), so that `explorer.run(choices)` repeats it. `results` has one
    entry for each task of the program, then one for each thread that a task started.
    """

    choices: tuple[int, ...]
    status: Status
    state: object
    results: tuple[TaskResult, ...]
    blocked: tuple[Blocked, ...] = ()
    reason: str = ""  # for SPINNING, TOO_LONG, DIVERGED, OUTSIDE: one sentence
    is_symmetric_twin: bool = False
    raw: tuple[object, ...] = field(default=(), repr=False)

    def accesses(self) -> tuple[Access, ...]:
        """Every event in order; values are there when the run was recorded (`run(..., record=True)`)."""
        raise NotImplementedError

    @property
    def switches(self) -> int:
        """How often another task went on than the one before."""
        return sum(a != b for a, b in zip(self.choices, self.choices[1:], strict=False))


class Explorer:
    """Runs executions of one program; instruments on entry, leaves everything as it was on exit."""

    def __init__(self, program: Program, limits: Limits | None = None) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        raise NotImplementedError

    def run(self, choices: Sequence[int] = (), *, record: bool = False) -> Execution:
        """Run once; `choices` may be a prefix. A choice that can't be honoured ends it as DIVERGED."""
        raise NotImplementedError

    def run_order(self, order: Sequence[int], *, record: bool = False) -> Execution:
        """The tasks one after the other in this order; DEADLOCK when one blocks for ever on its own."""
        raise NotImplementedError

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """What was not seen into, over all executions so far."""
        raise NotImplementedError
