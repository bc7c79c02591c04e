"""Turns a schedule back into a predicted timeline: the day's own steps, names and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whilst.model import Day, Kind, Mode, Timeline, TimelineBuilder
from whilst.planning.problem import Problem, Schedule


def make_timeline(
    day: Day,
    mode: Mode,
    problem: Problem,
    schedule: Schedule,
    lengths_ns: Sequence[int],
    *,
    facts: Mapping[str, str] | None = None,
) -> Timeline:
    """Return the predicted timeline: work and waits as declared, and held spans where a started task had to stand by.

    Args:
        lengths_ns: of every step, task by task: what the schedule was made for.
    """
    writer = _Writer(day, mode, problem, schedule)
    position = 0
    releases = [0] * len(day.tasks)
    for number in problem.order:
        # A task without work begins when the tasks it comes after are complete, whoever is busy.
        releases[number] = max([writer.complete[each] for each in problem.before[number]], default=0)
        writer.complete[number] = writer.find_end(number, releases[number])
    for number, task in enumerate(day.tasks):
        until = position + len(task.steps)
        writer.write(number, releases[number], lengths_ns[position:until])
        position = until
    return writer.builder.build(
        name=f"{day.name}: {mode}" if day.name else str(mode),
        origin_ns=0,
        after={task.name: task.after for task in day.tasks if task.after},
        unit=(day.unit, day.unit_s),
        is_predicted=True,
        facts=facts,
    )


class _Writer:
    def __init__(self, day: Day, mode: Mode, problem: Problem, schedule: Schedule) -> None:
        self.day = day
        self.is_whole = not mode.overlaps_waits
        self.problem = problem
        self.executors = [problem.executors[each] for each in schedule.executor]
        self.pieces: list[list[tuple[int, int]]] = [[] for _ in problem.length]
        for operation, start, end in sorted(schedule.pieces(), key=lambda piece: piece[1]):
            self.pieces[operation].append((start, end))
        self.complete = [0] * len(day.tasks)
        self.builder = TimelineBuilder()
        present = set(problem.executors)
        self.builder.declare(
            executors=[name for name in day.executors if name in present], tasks=[task.name for task in day.tasks]
        )

    def find_end(self, number: int, release: int) -> int:
        operations = self.problem.operations(number)
        if not operations:
            return release + self.problem.lead[number]
        return self.pieces[operations[-1]][-1][1] + self.problem.lag[operations[-1]]

    def write(self, number: int, release: int, lengths_ns: Sequence[int]) -> None:
        """Walk through the task's steps; `now` is where the task has got to."""
        task = self.day.tasks[number]
        operations = self.problem.operations(number)
        executor = self.executors[number]
        is_whole = self.is_whole
        add = self.builder.add
        now = self.pieces[operations[0]][0][0] if is_whole and operations else release
        stretches = iter([piece for each in operations for piece in self.pieces[each]])
        reached, until = next(stretches, (now, now))
        steps = list(zip(task.steps, lengths_ns, strict=True))
        # Steps of no length ask for nobody; the ones ahead of everything else are shown where the task begins.
        idle = 0
        while idle < len(steps) and not steps[idle][1]:
            idle += 1
        if idle < len(steps) and steps[idle][0].is_work and not is_whole:
            now = reached
        for step, length in steps:
            if not step.is_work or is_whole or not length:
                add(executor, task.name, step.kind, now, now + length, step.label)
                now += length
                continue
            while length:
                if reached >= until:
                    reached, until = next(stretches)
                if reached > now:
                    add(executor, task.name, Kind.HELD, now, reached, step.label, "executor busy")
                    now = reached
                end = min(until, now + length)
                add(executor, task.name, Kind.WORK, now, end, step.label)
                length -= end - now
                now = reached = end
