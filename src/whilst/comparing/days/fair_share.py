"""Naive threads on paper: one free thread a task, all sharing one GIL that knows no plan.

The story's reader will ask: why not simply start two threads? Because the GIL goes round among all that want to
work, a few milliseconds each. Work that leads to a wait gets no precedence, so the wait begins late, and later
there is nothing left to do while it lasts. Pure; `naive` does it for real.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from whilst.model import Day, Kind, Task, Timeline, TimelineBuilder

_NOTHING_S: Final = 1e-9


def thread_name(task: str) -> str:
    return f"{task}'s thread"


def fair_share(day: Day, turn_s: float, cores: int = 1) -> Timeline:
    """Predict naive threads by taking turns, round robin.

    Args:
        day: its `by` and executors don't matter: a thread asks nobody.
        turn_s: how long one thread keeps a core while others want it, in the day's seconds (not performed ones).
        cores: how many threads can work at once: 1 under a GIL.
    Returns:
        A predicted timeline with an executor, a thread, for each task.
    """
    return _Sharing(day, turn_s, cores).run()


@dataclass(slots=True)
class _Course:
    """A task on its way: the step it is at, what is left of it, and the span that is open."""

    task: Task
    step: int = -1
    left_s: float = 0.0
    kind: Kind | None = None
    label: str = ""
    since_s: float = 0.0


class _Sharing:
    def __init__(self, day: Day, turn_s: float, cores: int) -> None:
        self._day, self._turn_s, self._cores = day, turn_s, cores
        self._now_s = 0.0
        self._missing = {task.name: set(task.after) for task in day.tasks}
        self._dependents: dict[str, list[Task]] = {}
        for task in day.tasks:
            for earlier in task.after:
                self._dependents.setdefault(earlier, []).append(task)
        self._queue: deque[_Course] = deque()
        """Those that want to work, the next one first."""
        self._waiting: list[_Course] = []
        self._builder = TimelineBuilder()
        names = [task.name for task in day.tasks]
        self._builder.declare(executors=map(thread_name, names), tasks=names)

    def run(self) -> Timeline:
        self._go_on([_Course(task) for task in self._day.tasks if not task.after])
        while self._queue or self._waiting:
            running = [self._queue.popleft() for _ in range(min(self._cores, len(self._queue)))]
            for course in running:
                self._show(course, Kind.WORK)
            for course in self._queue:
                self._show(course, Kind.HELD)
            ends = [course.left_s for course in (*running, *self._waiting)]
            passed = min([*ends, self._turn_s] if self._queue else ends)
            self._now_s += passed
            for course in (*running, *self._waiting):
                course.left_s -= passed
            self._queue.extend(course for course in running if course.left_s > _NOTHING_S)
            done = [course for course in (*running, *self._waiting) if course.left_s <= _NOTHING_S]
            self._waiting = [course for course in self._waiting if course.left_s > _NOTHING_S]
            self._go_on(done)
        return self._builder.build(
            name="naive threads",
            origin_ns=0,
            after={task.name: task.after for task in self._day.tasks if task.after},
            cores=self._cores,
            unit=(self._day.unit, self._day.unit_s),
            is_predicted=True,
        )

    def _go_on(self, courses: list[_Course]) -> None:
        """Let each enter its next step with a length, and those that come after it begin when it has none."""
        while courses:
            course = courses.pop(0)
            steps = course.task.steps
            course.step += 1
            while course.step < len(steps) and steps[course.step].length_s <= 0:
                course.step += 1
            if course.step == len(steps):
                self._show(course, None)
                courses += self._freed_by(course.task.name)
                continue
            course.left_s = steps[course.step].length_s
            if steps[course.step].is_work:
                self._queue.append(course)
            else:
                self._show(course, Kind.WAIT)
                self._waiting.append(course)

    def _freed_by(self, name: str) -> list[_Course]:
        freed = []
        for task in self._dependents.get(name, ()):
            self._missing[task.name].discard(name)
            if not self._missing[task.name]:
                freed.append(_Course(task))
        return freed

    def _show(self, course: _Course, kind: Kind | None) -> None:
        """Close the open span where another kind begins (or another step)."""
        label = course.task.steps[course.step].label if course.step < len(course.task.steps) else ""
        if (kind, label) == (course.kind, course.label):
            return
        if course.kind is not None and course.since_s < self._now_s:
            name = course.task.name
            span = round(course.since_s * 1e9), round(self._now_s * 1e9)
            detail = "the GIL" if course.kind is Kind.HELD else ""
            self._builder.add(thread_name(name), name, course.kind, *span, course.label, detail)
        course.kind, course.label, course.since_s = kind, label, self._now_s
