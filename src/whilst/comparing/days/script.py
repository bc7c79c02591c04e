"""From a plan to what each executor is told: its tasks, and the order in which it gives them its attention.

Pure. The plan's timeline says who does what and in which order; the lengths come from the day, scaled to real
seconds. An executor is not told *when* to do anything: it follows the order by its own clock, so that a wait
that ends late delays only what depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from whilst.errors import DayError
from whilst.model import Day, Kind, Mode, Task, Timeline


@dataclass(frozen=True, slots=True)
class Part:
    """A task as it is performed: steps of (kind, nanoseconds, label), and the numbers of the tasks around it."""

    name: str
    steps: tuple[tuple[Kind, int, str], ...]
    after: tuple[int, ...] = ()
    tells: tuple[int, ...] = ()
    """The executors, by number, that wait to hear that this task is finished."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Attention that the plan gives to a task at one go. Its position in the script's order is its priority."""

    task: int
    work_ns: int


@dataclass(frozen=True, slots=True)
class Script:
    """What one executor performs.

    `overlaps` says that a wait frees the executor and that work may be interrupted; otherwise the tasks are done
    whole, in the order of `tasks`.
    """

    executor: str
    overlaps: bool
    tasks: Mapping[int, Part] = field(default_factory=dict)
    order: tuple[Stretch, ...] = ()


def scripts(day: Day, mode: Mode, timeline: Timeline) -> tuple[Script, ...]:
    """Tell each executor of the timeline that has something to do what that is.

    Args:
        day: the lengths of steps (the likely ones, where uncertain) and the scale, `performed_unit_s`.
        mode: says whether waits overlap.
        timeline: the plan's: which executor has which task, and in which order it turns to them.
    Raises:
        DayError: the timeline isn't one of this day: a task is missing, or is on two executors.
    """
    homes = _homes(day, timeline)
    numbers = {task.name: number for number, task in enumerate(day.tasks)}
    busy = [name for name in timeline.executors if name in set(homes.values())]
    listeners = _listeners(day, homes, busy)
    scale = day.performed_unit_s / day.unit_s
    orders = _orders(timeline, numbers, scale)
    firsts = _first_starts(timeline)
    found = []
    for executor in busy:
        own = sorted(
            (task for task in day.tasks if homes[task.name] == executor), key=lambda each: firsts.get(each.name, 0)
        )
        parts = {numbers[task.name]: _part(task, numbers, listeners, scale) for task in own}
        found.append(Script(executor, mode.overlaps_waits, parts, tuple(orders.get(executor, ()))))
    return tuple(found)


def apart(day: Day, name_of: Callable[[str], str]) -> list[Script]:
    """A script for each task, as if it had an executor of its own, of the task's number; `name_of` names that."""
    numbers = {task.name: number for number, task in enumerate(day.tasks)}
    names = [task.name for task in day.tasks]
    listeners = _listeners(day, {name: name for name in names}, names)
    scale = day.performed_unit_s / day.unit_s
    return [
        Script(name_of(task.name), True, {number: _part(task, numbers, listeners, scale)})
        for number, task in enumerate(day.tasks)
    ]


def _part(task: Task, numbers: Mapping[str, int], listeners: Mapping[str, tuple[int, ...]], scale: float) -> Part:
    steps = tuple((step.kind, round(step.length_s * scale * 1e9), step.label) for step in task.steps)
    return Part(task.name, steps, tuple(numbers[name] for name in task.after), listeners.get(task.name, ()))


def _homes(day: Day, timeline: Timeline) -> dict[str, str]:
    homes: dict[str, str] = {}
    for task, executor, kind in zip(timeline.task, timeline.executor, timeline.kind, strict=True):
        if kind == Kind.HELD:
            continue
        name, where = timeline.tasks[task], timeline.executors[executor]
        if homes.setdefault(name, where) != where:
            raise DayError(f"Task {name!r} is planned on both {homes[name]!r} and {where!r}; it can't be performed.")
    for each in day.tasks:
        if each.name not in homes:
            # A task without length leaves no span; whoever may do it does.
            if each.length_s > 0:
                raise DayError(f"Task {each.name!r} is not in the plan {timeline.name!r}; is it a plan of this day?")
            able = [name for name in timeline.executors if name in day.may_do(each)]
            homes[each.name] = able[0] if able else timeline.executors[0]
    return homes


def _listeners(day: Day, homes: Mapping[str, str], busy: Iterable[str]) -> dict[str, tuple[int, ...]]:
    places = {name: number for number, name in enumerate(busy)}
    heard: dict[str, set[int]] = {task.name: set() for task in day.tasks}
    for task in day.tasks:
        for earlier in task.after:
            if homes[earlier] != homes[task.name]:
                heard[earlier].add(places[homes[task.name]])
    return {name: tuple(sorted(found)) for name, found in heard.items()}


def _orders(timeline: Timeline, numbers: Mapping[str, int], scale: float) -> dict[str, list[Stretch]]:
    orders: dict[str, list[Stretch]] = {}
    for row in sorted(range(len(timeline)), key=lambda each: (timeline.start_ns[each], timeline.end_ns[each])):
        if timeline.kind[row] != Kind.WORK:
            continue
        length = round((timeline.end_ns[row] - timeline.start_ns[row]) * scale)
        if length <= 0:
            continue  # a step without length needs no attention
        task = numbers[timeline.tasks[timeline.task[row]]]
        order = orders.setdefault(timeline.executors[timeline.executor[row]], [])
        if order and order[-1].task == task:
            length += order.pop().work_ns
        order.append(Stretch(task, length))
    return orders


def _first_starts(timeline: Timeline) -> dict[str, int]:
    firsts: dict[str, int] = {}
    for row in reversed(range(len(timeline))):  # rows are ordered by start
        firsts[timeline.tasks[timeline.task[row]]] = timeline.start_ns[row]
    return firsts
