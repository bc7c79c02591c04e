"""The agenda follows a plan's order and loses no time by it: on a virtual clock."""

from __future__ import annotations

import importlib.util
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whilst.comparing.days.script import Script, scripts
from whilst.errors import DayError
from whilst.model import Day, Kind, Mode, Span, Task, Timeline, wait, work
from whilst.planning import plan, read_day


def _load(name: str) -> ModuleType:
    """A neighbour of this file; with --import-mode=importlib tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


simulate = _load("simulating").simulate

STORY = Path(__file__).parents[3] / "examples" / "story.toml"
MODES = list(Mode)


@st.composite
def days(draw: st.DrawFn) -> Day:
    executors = tuple(f"e{number}" for number in range(draw(st.integers(1, 3))))
    tasks = []
    for number in range(draw(st.integers(1, 6))):
        length = st.integers(0, 5)
        steps = draw(st.lists(st.one_of(length.map(work), length.map(wait)), min_size=1, max_size=4))
        after = tuple(name for name in (task.name for task in tasks) if draw(st.integers(0, 3)) == 0)
        tasks.append(Task(f"t{number}", tuple(steps), after))
    return Day(executors, tuple(tasks))


def test_the_story_takes_as_long_as_planned_in_every_mode() -> None:
    day = read_day(STORY)
    for mode, hours in zip(MODES, (13, 9, 10, 8), strict=True):
        planned = plan(day, mode)
        performed = simulate(day, scripts(day, mode, planned.timeline))
        assert performed.makespan_s == pytest.approx(hours * day.performed_unit_s)


@settings(max_examples=60, deadline=None)
@given(days(), st.sampled_from(MODES))
def test_performed_at_full_speed_no_day_takes_longer_than_planned(day: Day, mode: Mode) -> None:
    planned = plan(day, mode)
    performed = simulate(day, scripts(day, mode, planned.timeline))
    assert performed.makespan_ns <= planned.makespan_ns
    _check_rules(day, performed, mode)


@settings(max_examples=40, deadline=None)
@given(days(), st.sampled_from(MODES))
def test_waits_that_are_noticed_late_break_no_rule_and_nothing_is_left_undone(day: Day, mode: Mode) -> None:
    performed = simulate(day, scripts(day, mode, plan(day, mode).timeline), late_ns=300_000_000)
    _check_rules(day, performed, mode)


def _check_rules(day: Day, performed: Timeline, mode: Mode) -> None:
    """Every step done whole, one work at a time on an executor, dependencies kept."""
    bounds: dict[str, tuple[int, int]] = {}
    by_task: dict[str, list[Span]] = {}
    by_executor: dict[str, list[Span]] = {}
    for span in performed:
        by_task.setdefault(span.task, []).append(span)
        low, high = bounds.get(span.task, (span.start_ns, span.end_ns))
        bounds[span.task] = min(low, span.start_ns), max(high, span.end_ns)
        if span.kind is Kind.WORK or not mode.overlaps_waits:
            by_executor.setdefault(span.executor, []).append(span)
    for task in day.tasks:
        spans = by_task.get(task.name, [])
        worked = sum(span.end_ns - span.start_ns for span in spans if span.kind is Kind.WORK)
        waited = sum(span.end_ns - span.start_ns for span in spans if span.kind is Kind.WAIT)
        assert worked == round(task.work_s * 1e9)
        assert waited >= round(task.wait_s * 1e9)
        assert len({span.executor for span in spans}) <= 1
        for earlier in task.after:
            if task.name in bounds and earlier in bounds:
                assert bounds[earlier][1] <= bounds[task.name][0]
    works = {task.name for task in day.tasks if task.work_s}
    for spans in by_executor.values():
        ordered = sorted((span for span in spans if span.task in works), key=lambda span: span.start_ns)
        for one, other in pairwise(ordered):
            assert one.end_ns <= other.start_ns


def test_a_task_that_is_late_lets_the_next_go_first_and_takes_over_at_an_interruption_point() -> None:
    day = Day(("e",), (Task("a", (work(1), wait(2), work(2))), Task("b", (work(4),))))
    order = [("a", 0, 1), ("b", 1, 3), ("a", 3, 5), ("b", 5, 7)]
    spans = [Span("e", task, Kind.WORK, start * 10**9, end * 10**9) for task, start, end in order]
    found = scripts(day, Mode.CONCURRENT, Timeline.from_spans(spans))
    on_time, late = simulate(day, found), simulate(day, found, late_ns=500_000_000)
    assert on_time.makespan_s == late.makespan_s == 7
    second = [span for span in late if span.task == "a" and span.kind is Kind.WORK][1]
    assert second.start_ns == 3_500_000_000


def test_a_started_task_that_must_stand_by_is_held_off() -> None:
    day = read_day(STORY)
    performed = simulate(day, scripts(day, Mode.CONCURRENT, plan(day, Mode.CONCURRENT).timeline))
    assert performed.held_s > 0


def test_a_long_chain_of_tasks_without_length_is_no_deep_recursion() -> None:
    tasks = [Task("t0", (work(0),))]
    tasks += [Task(f"t{number}", (work(0),), (f"t{number - 1}",)) for number in range(1, 3000)]
    day = Day(("e",), (*tasks, Task("last", (work(1),), ("t2999",))))
    for mode in (Mode.SEQUENTIAL, Mode.CONCURRENT):
        timeline = Timeline.from_spans([Span("e", "last", Kind.WORK, 0, 1_000_000_000)])
        assert simulate(day, scripts(day, mode, timeline)).makespan_s == 1


def test_a_plan_of_another_day_is_refused() -> None:
    day = Day(("e",), (Task("a", (work(1),)),))
    with pytest.raises(DayError, match="not in the plan"):
        scripts(day, Mode.SEQUENTIAL, Timeline.from_spans([]))
    twice = Timeline.from_spans([Span("e", "a", Kind.WORK, 0, 1), Span("f", "a", Kind.WORK, 1, 2)])
    with pytest.raises(DayError, match="both"):
        scripts(day, Mode.SEQUENTIAL, twice)


def test_only_executors_that_wait_for_a_task_are_told_of_it() -> None:
    day = Day(("e", "f"), (Task("a", (work(1),)), Task("b", (work(1),), ("a",)), Task("c", (work(1),), ("a",))))
    spans = [Span("e", "a", Kind.WORK, 0, 10**9), Span("f", "b", Kind.WORK, 10**9, 2 * 10**9)]
    found: tuple[Script, ...] = scripts(
        day, Mode.PARALLEL, Timeline.from_spans([*spans, Span("e", "c", Kind.WORK, 10**9, 2 * 10**9)])
    )
    assert found[0].tasks[0].tells == (1,)
    assert found[1].tasks[1].tells == ()
