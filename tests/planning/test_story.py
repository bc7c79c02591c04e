"""The story of `examples/story.toml`, on paper."""

from __future__ import annotations

from pathlib import Path

import pytest

from whilst.model import Day, Kind, Mode, Task, wait, work
from whilst.planning import plan, plan_modes, read_day

STORY = Path(__file__).parents[2] / "examples" / "story.toml"
HOUR_S = 3600.0


def test_the_file_says_what_the_story_says() -> None:
    assert read_day(STORY) == Day(
        executors=("you", "assistant"),
        tasks=(
            Task(
                "passport",
                (
                    work(2 * HOUR_S, "drive there"),
                    wait(4 * HOUR_S, "stand in line"),
                    work(2 * HOUR_S, "drive back"),
                ),
                by=("you",),
            ),
            Task("draft", (work(3 * HOUR_S, "draft"),), by=("you", "assistant")),
            Task("edits", (work(2 * HOUR_S, "edit"),), after=("draft",), by=("you",)),
        ),
        name="A passport and a presentation",
        unit="h",
        unit_s=HOUR_S,
        performed_unit_s=0.1,
    )


@pytest.mark.parametrize(
    ("mode", "hours", "reason"),
    [
        (Mode.SEQUENTIAL, 13, "the work and waits of 'you'"),
        (Mode.CONCURRENT, 9, "the work of 'you'"),
        (Mode.PARALLEL, 10, "the work and waits that only 'you' may do"),
        (Mode.COMBINED, 8, "the critical path"),
    ],
)
def test_each_mode_takes_its_hours_and_is_proved_optimal(mode: Mode, hours: int, reason: str) -> None:
    planned = plan(STORY, mode)
    assert planned.makespan_ns == planned.bound_ns == hours * 3600 * 10**9
    assert planned.makespan_s == hours * HOUR_S
    assert planned.is_optimal
    assert planned.proof == f"meets its lower bound: {reason}"
    assert planned.gap == 0
    assert planned.percentiles is None


def test_sequential_you_do_one_task_after_the_other() -> None:
    assert told(Mode.SEQUENTIAL) == [
        ("you", "passport", Kind.WORK, 0, 2),
        ("you", "passport", Kind.WAIT, 2, 6),
        ("you", "passport", Kind.WORK, 6, 8),
        ("you", "draft", Kind.WORK, 8, 11),
        ("you", "edits", Kind.WORK, 11, 13),
    ]


def test_concurrent_you_draft_while_you_stand_in_line() -> None:
    assert told(Mode.CONCURRENT) == [
        ("you", "passport", Kind.WORK, 0, 2),
        ("you", "draft", Kind.WORK, 2, 5),
        ("you", "passport", Kind.WAIT, 2, 6),
        ("you", "edits", Kind.WORK, 5, 7),
        ("you", "passport", Kind.HELD, 6, 7),
        ("you", "passport", Kind.WORK, 7, 9),
    ]


def test_parallel_the_assistant_drafts_and_you_edit_at_home() -> None:
    assert told(Mode.PARALLEL) == [
        ("you", "passport", Kind.WORK, 0, 2),
        ("assistant", "draft", Kind.WORK, 0, 3),
        ("you", "passport", Kind.WAIT, 2, 6),
        ("you", "passport", Kind.WORK, 6, 8),
        ("you", "edits", Kind.WORK, 8, 10),
    ]


def test_combined_the_draft_arrives_while_you_stand_in_line() -> None:
    assert told(Mode.COMBINED) == [
        ("you", "passport", Kind.WORK, 0, 2),
        ("assistant", "draft", Kind.WORK, 0, 3),
        ("you", "passport", Kind.WAIT, 2, 6),
        ("you", "edits", Kind.WORK, 3, 5),
        ("you", "passport", Kind.WORK, 6, 8),
    ]


def test_the_timeline_is_a_predicted_one_in_the_days_unit() -> None:
    timeline = plan(STORY, "combined").timeline
    assert timeline.is_predicted
    assert (timeline.unit, timeline.unit_s) == ("h", HOUR_S)
    assert timeline.after == {"edits": ("draft",)}
    assert timeline.executors == ("you", "assistant")
    assert timeline.concurrency == 1.625
    assert timeline.parallelism == 1.125


def test_four_modes_side_by_side() -> None:
    plans = plan_modes(STORY)
    assert [each.makespan_s / HOUR_S for each in plans.plans] == [13, 9, 10, 8]
    assert [row[0] for row in plans.table()] == ["mode", "sequential", "concurrent", "parallel", "combined"]
    assert plans["combined"] == plan(STORY, Mode.COMBINED)
    assert len({len(row) for row in plans.table()}) == 1


def test_a_mode_that_cannot_be_planned_says_why_beside_the_others() -> None:
    plans = plan_modes(STORY, executor="assistant")
    assert [each.mode for each in plans.plans] == [Mode.PARALLEL, Mode.COMBINED]
    assert "'passport' may only be done by 'you'" in plans.refusals[Mode.SEQUENTIAL]
    assert "executor='you', who may do every task" in plans.refusals[Mode.CONCURRENT]
    assert len({len(row) for row in plans.table()}) == 1


def told(mode: Mode) -> list[tuple[str, str, Kind, float, float]]:
    hour_ns = 3600 * 10**9
    return [
        (span.executor, span.task, span.kind, span.start_ns / hour_ns, span.end_ns / hour_ns)
        for span in plan(STORY, mode).timeline
    ]
