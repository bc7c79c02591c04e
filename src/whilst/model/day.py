"""A day: who is there, and what is to be done. A day that can be made can be planned."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from whilst.errors import DayError
from whilst.model.task import Task


@dataclass(frozen=True, slots=True)
class Day:
    """Executors and tasks.

    Args:
        executors: who can work; the first one is "you", who does everything in the one-executor modes.
        tasks: what is to be done, in the order in which a person without a plan would begin.
        name: a title for reports.
        unit, unit_s: how reports write lengths, e.g. "h" and 3600.0; every length in here is in seconds.
        performed_unit_s: real seconds that one unit takes when the day is performed.
    Raises:
        DayError: no executor or task, a name twice, an unknown name, a cycle, a scale that is not positive.
            Its `key` says where, e.g. ("tasks", "edits", "after").
    """

    executors: tuple[str, ...]
    tasks: tuple[Task, ...]
    name: str = ""
    unit: str = "s"
    unit_s: float = 1.0
    performed_unit_s: float = 1.0

    def __post_init__(self) -> None:
        for field in ("executors", "tasks"):
            value = getattr(self, field)
            if isinstance(value, str):
                raise _error(f"{field} must be a sequence, not the string {value!r}.", field)
            if not isinstance(value, tuple):
                object.__setattr__(self, field, tuple(value))
        if not self.executors:
            raise _error("The day has no executor; declare at least one, e.g. executors = ['you'].", "executors")
        if not self.tasks:
            raise _error("The day has no tasks; there is nothing to plan.", "tasks")
        for field in ("unit_s", "performed_unit_s"):
            value = getattr(self, field)
            if not math.isfinite(value) or value <= 0:
                raise _error(f"{field} must be a positive number of seconds, got {value!r}.", field)
        _check_unique(self.executors, "executor", "executors")
        _check_unique([task.name for task in self.tasks], "task", "tasks")
        self._check_names()
        self._check_order()

    @property
    def is_uncertain(self) -> bool:
        return any(task.is_uncertain for task in self.tasks)

    def may_do(self, task: Task) -> tuple[str, ...]:
        """The executors that may do the task, in declared order."""
        return tuple(name for name in self.executors if name in task.by) if task.by else self.executors

    def with_executors(self, count: int) -> Day:
        """The same day with that many executors: the first ones declared, then new ones that may do anything.

        Raises:
            DayError: count is below 1, or a task's every executor would be gone.
        """
        if count < 1:
            raise _error(f"A day needs at least one executor, got {count}.", "executors")
        kept = self.executors[:count]
        taken = set(self.executors)
        fresh = (name for number in range(2, 2 + count + len(taken)) if (name := f"executor {number}") not in taken)
        added = tuple(next(fresh) for _ in range(count - len(kept)))
        tasks = tuple(
            Task(task.name, task.steps, task.after, self._widened(task, kept, added)) if task.by else task
            for task in self.tasks
        )
        return Day(kept + added, tasks, self.name, self.unit, self.unit_s, self.performed_unit_s)

    def _widened(self, task: Task, kept: tuple[str, ...], added: tuple[str, ...]) -> tuple[str, ...]:
        able = tuple(name for name in task.by if name in kept)
        # An added executor is a second assistant: it may do what more than one person could do already.
        able += added if len(task.by) > 1 else ()
        if not able:
            raise _error(
                f"With {len(kept)} executor(s) nobody is left who may do task {task.name!r} (by {list(task.by)}).",
                "tasks",
                task.name,
                "by",
            )
        return able

    def _check_names(self) -> None:
        tasks, executors = {task.name for task in self.tasks}, set(self.executors)
        for task in self.tasks:
            for name in task.after:
                if name not in tasks:
                    raise _error(
                        f"Task {task.name!r} comes after an unknown task {name!r}.{_nearest(name, tasks)}",
                        "tasks",
                        task.name,
                        "after",
                    )
            for name in task.by:
                if name not in executors:
                    raise _error(
                        f"Task {task.name!r} is to be done by an unknown executor {name!r}.{_nearest(name, executors)}",
                        "tasks",
                        task.name,
                        "by",
                    )

    def _check_order(self) -> None:
        """Depth-first search with its own stack, since a chain of 100,000 tasks is a valid day."""
        after = {task.name: task.after for task in self.tasks}
        finished: set[str] = set()
        for root in after:
            path: list[str] = []
            on_path: set[str] = set()
            stack: list[tuple[str, bool]] = [(root, False)]
            while stack:
                name, is_left = stack.pop()
                if is_left:
                    path.pop()
                    on_path.discard(name)
                    finished.add(name)
                    continue
                if name in finished:
                    continue
                if name in on_path:
                    cycle = [*path[path.index(name) :], name]
                    raise _error(
                        f"These tasks wait for each other: {_shown_cycle(cycle)}. Take one of the 'after' away.",
                        "tasks",
                        name,
                        "after",
                    )
                path.append(name)
                on_path.add(name)
                stack.append((name, True))
                stack.extend((earlier, False) for earlier in after[name])


def _check_unique(names: Sequence[str], what: str, key: str) -> None:
    seen: set[str] = set()
    for name in names:
        if not name:
            raise _error(f"A name of the day's {key} is empty; give each {what} a name.", key)
        if name in seen:
            raise _error(f"There are two {what}s called {name!r}; give each a name of its own.", key, name)
        seen.add(name)


def _shown_cycle(cycle: Sequence[str]) -> str:
    """The whole cycle, or both ends of one that nobody would read."""
    if len(cycle) <= 20:
        return " after ".join(map(repr, cycle))
    left_out = f"({len(cycle) - 15:,} more)"
    return " after ".join([*map(repr, cycle[:10]), left_out, *map(repr, cycle[-5:])])


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(map(repr, sorted(known)[:8]))}."


def _error(message: str, *key: str) -> DayError:
    error = DayError(message)
    error.key = key
    return error
