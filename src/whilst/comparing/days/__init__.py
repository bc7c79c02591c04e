"""Performs a day for real, at a scaled clock: work burns CPU time, a wait sleeps.

What is measured comes from clocks read where it happened: the wall clock and the thread's own CPU clock of whoever
works. The plan says who does what in which order, never when.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from whilst.comparing.days.clocks import Row
from whilst.comparing.days.fair_share import fair_share, thread_name
from whilst.comparing.days.loop import Wires, perform_script
from whilst.comparing.days.naive import MOST_THREADS, check_size, perform_on_threads
from whilst.comparing.days.processes import perform_on_processes
from whilst.comparing.days.script import Script, apart, scripts
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
    return _drawn(day, plan.mode.value, plan.timeline.executors, start_ns, zip(found, rows, strict=True))


def perform_naively(day: Day) -> Timeline:
    """Perform the day on free threads, one a task, which share the GIL blindly.

    Raises:
        DayError: the day has more tasks than one would start threads for.
    """
    check_size(day)
    found = apart(day, thread_name)
    start_ns, rows = perform_on_threads(found)
    executors = [script.executor for script in found]
    return _drawn(day, "naive threads", executors, start_ns, zip(found, rows, strict=True))


def forecast_naively(day: Day) -> Timeline:
    """Predict what `perform_naively` will measure, on this interpreter; raises the same errors."""
    check_size(day)
    machine = look_at_machine()
    turn_s = sys.getswitchinterval() * day.unit_s / day.performed_unit_s
    return fair_share(day, turn_s, cores=1 if machine.has_gil else machine.cores)


def _drawn(
    day: Day, name: str, executors: Iterable[str], start_ns: int, performed: Iterable[tuple[Script, list[Row]]]
) -> Timeline:
    builder = TimelineBuilder()
    builder.declare(executors=executors, tasks=[task.name for task in day.tasks])
    for script, rows in performed:
        for task, kind, begin_ns, end_ns, label, detail in rows:
            builder.add(script.executor, day.tasks[task].name, Kind(kind), begin_ns, end_ns, label, detail)
    return builder.build(
        name=name,
        origin_ns=start_ns,
        after={task.name: task.after for task in day.tasks if task.after},
        cores=look_at_machine().cores,
        unit=(day.unit, day.performed_unit_s),
    )
