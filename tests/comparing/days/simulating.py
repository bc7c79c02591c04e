"""Performs scripts on a virtual clock: what the agenda decides, without a thread, a process or a nap."""

from __future__ import annotations

from dataclasses import dataclass

from whilst.comparing.days.agenda import Agenda, Work
from whilst.comparing.days.script import Script
from whilst.model import Day, Kind, Timeline, TimelineBuilder

FAR = 1 << 61


@dataclass
class _Executor:
    script: Script
    agenda: Agenda
    work: Work | None = None
    since_ns: int = 0
    is_done: bool = False

    def next_event_ns(self, late_ns: int) -> int:
        ends = self.since_ns + self.work.work_ns if self.work is not None else FAR
        return min(ends, self.agenda.next_wait_ends_ns + late_ns)

    def stop(self, now_ns: int, builder: TimelineBuilder, day: Day) -> None:
        assert self.work is not None
        name = day.tasks[self.work.task].name
        if now_ns > self.since_ns:
            builder.add(self.script.executor, name, Kind.WORK, self.since_ns, now_ns, self.work.label)
        self.agenda.worked(self.since_ns, now_ns - self.since_ns, now_ns)
        self.work = None

    def go_on(self, now_ns: int) -> None:
        if self.work is None:
            turn = self.agenda.next()
            self.is_done = turn is None
            if isinstance(turn, Work):
                self.work, self.since_ns = turn, now_ns


def simulate(day: Day, scripts: tuple[Script, ...], *, late_ns: int = 0) -> Timeline:
    """Every executor works at full speed; each wait is noticed `late_ns` after it is over."""
    builder = TimelineBuilder()
    builder.declare(executors=[script.executor for script in scripts], tasks=[task.name for task in day.tasks])
    executors = [_Executor(script, Agenda(script)) for script in scripts]
    for each in executors:
        each.agenda.begin(0)
    now = 0
    while True:
        _settle(executors, now, late_ns, builder, day)
        if all(each.is_done for each in executors):
            break
        upcoming = min(each.next_event_ns(late_ns) for each in executors)
        assert now < upcoming < FAR, "nothing more will happen, and not everything is done"
        now = upcoming
    for each in executors:
        for stay in each.agenda.take_stays():
            name = day.tasks[stay.task].name
            builder.add(each.script.executor, name, stay.kind, stay.start_ns, stay.end_ns, stay.label)
    return builder.build(origin_ns=0)


def _settle(executors: list[_Executor], now: int, late_ns: int, builder: TimelineBuilder, day: Day) -> None:
    """Everything that happens at this instant, until nothing more does."""
    is_quiet, rounds = False, 0
    while not is_quiet:
        rounds += 1
        assert rounds < 10_000, "the same instant goes on for ever"
        is_quiet = True
        for each in executors:
            each.agenda.pass_time(now if each.agenda.next_wait_ends_ns + late_ns <= now else now - late_ns)
            if each.work is not None and (each.since_ns + each.work.work_ns <= now or each.agenda.calls_away()):
                each.stop(now, builder, day)
                is_quiet = False
            for task in each.agenda.take_finished():
                is_quiet = False
                for listener in each.script.tasks[task].tells:
                    executors[listener].agenda.heard(task, now)
            each.go_on(now)
