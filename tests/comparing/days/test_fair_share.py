"""Naive threads on paper: taking turns, round robin."""

from __future__ import annotations

from pathlib import Path

import pytest

from whilst.comparing.days.fair_share import fair_share
from whilst.model import Day, Kind, Task, wait, work
from whilst.planning import read_day

STORY = Path(__file__).parents[3] / "examples" / "story.toml"
HOUR_S = 3600


def test_the_story_on_naive_threads_takes_ten_hours() -> None:
    shared = fair_share(read_day(STORY), turn_s=0.001 * HOUR_S)
    assert shared.makespan_s / HOUR_S == pytest.approx(10, abs=0.01)
    assert shared.parallelism_steps.maximum == 1


def test_with_two_cores_and_no_gil_the_story_takes_as_long_as_its_longest_task() -> None:
    shared = fair_share(read_day(STORY), turn_s=0.05 * HOUR_S, cores=2)
    assert shared.makespan_s / HOUR_S == pytest.approx(8)
    assert shared.held_s == 0


def test_no_work_and_no_wait_is_lost() -> None:
    tasks = (
        Task("a", (work(3), work(0), wait(1), work(2))),
        Task("b", (wait(2), work(2))),
        Task("c", (work(0),), ("a",)),
        Task("d", (work(1),), ("b", "c")),
    )
    shared = fair_share(Day(("e",), tasks), turn_s=0.7)
    assert shared.work_s == pytest.approx(8)
    assert shared.wait_s == pytest.approx(3)
    starts = {span.task: span.start_ns for span in reversed(list(shared))}
    assert starts["d"] >= max(span.end_ns for span in shared if span.task in "ab")


def test_each_task_is_a_thread_and_what_it_lacks_is_the_gil() -> None:
    shared = fair_share(Day(("e",), (Task("a", (work(1),)), Task("b", (work(1),)))), turn_s=0.25)
    assert shared.executors == ("a's thread", "b's thread")
    assert {span.detail for span in shared if span.kind is Kind.HELD} == {"the GIL"}
    assert shared.makespan_s == pytest.approx(2)
