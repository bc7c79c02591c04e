"""Performs a day for real, at a scaled clock: work burns CPU time, a wait sleeps.

What is measured comes from clocks read where it happened: the wall clock and the thread's own CPU clock of whoever
works. The plan says who does what in which order, never when.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from whilst.comparing.days.clocks import Row
from whilst.comparing.days.fair_share import fair_share, thread_name
from whilst.comparing.days.loop import Wires, perform_script
from whilst.comparing.days.naive import MOST_THREADS, check_size, perform_on_threads
from whilst.comparing.days.processes import perform_on_processes
from whilst.comparing.days.script import scripts
from whilst.measuring.machine import look_at_machine
from whilst.model import Day, Kind, Timeline, TimelineBuilder

if TYPE_CHECKING:  # a process that performs needs no planning, and starts quicker without it
    from whilst.planning import Plan

__all__ = ["MOST_THREADS", "forecast_naively", "perform", "perform_naively"]


def perform(day: Day, plan: Plan) -> Timeline:
    """Perform a planned day for real, and return what happened.

    One executor performs in the calling thread; several in a process each, which start at the same instant (their
    start-up isn't counted). Executors that the plan gives nothing to do aren't started.

    Args:
        day: the one that was planned; its `performed_unit_s` is the scale.
        plan: made of it by `whilst.plan`, in any mode.
    Returns:
        A measured timeline in the day's unit. Where an executor was kept from its work for longer than 0.5 ms, or
        a task begun had to wait for its executor, there is a held-off span that says by what.
    Raises:
        DayError: the plan isn't one of this day.
        WorkerDiedError: a process that performed was killed.
    """
    found = scripts(day, plan.mode, plan.timeline)
    if len(found) == 1 and not plan.mode.uses_several_executors:
        start_ns = time.perf_counter_ns()
        rows = [perform_script(found[0], Wires(), start_ns)]
    else:
        start_ns, rows = perform_on_processes(found)
    builder = TimelineBuilder()
    builder.declare(executors=plan.timeline.executors, tasks=[task.name for task in day.tasks])
    for script, own in zip(found, rows, strict=True):
        for row in own:
            _add(builder, script.executor, day, row)
    return _built(builder, day, plan.mode.value, start_ns)


def perform_naively(day: Day) -> Timeline:
    """Perform the day on free threads, one a task, which share the GIL blindly.

    Raises:
        DayError: the day has more tasks than one would start threads for.
    """
    start_ns, rows = perform_on_threads(day)
    builder = TimelineBuilder()
    names = [task.name for task in day.tasks]
    builder.declare(executors=map(thread_name, names), tasks=names)
    for row in rows:
        _add(builder, thread_name(names[row[0]]), day, row)
    return _built(builder, day, "naive threads", start_ns)


def forecast_naively(day: Day) -> Timeline:
    """Predict what `perform_naively` will measure, on this interpreter; raises the same errors."""
    check_size(day)
    machine = look_at_machine()
    turn_s = sys.getswitchinterval() * day.unit_s / day.performed_unit_s
    return fair_share(day, turn_s, cores=1 if machine.has_gil else machine.cores)


def _add(builder: TimelineBuilder, executor: str, day: Day, row: Row) -> None:
    task, kind, start_ns, end_ns, label, detail = row
    builder.add(executor, day.tasks[task].name, Kind(kind), start_ns, end_ns, label, detail)


def _built(builder: TimelineBuilder, day: Day, name: str, start_ns: int) -> Timeline:
    return builder.build(
        name=name,
        origin_ns=start_ns,
        after={task.name: task.after for task in day.tasks if task.after},
        cores=look_at_machine().cores,
        unit=(day.unit, day.performed_unit_s),
    )
