"""Trace events: valid, complete, and never two at once on one thread."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from whilst.model import Kind, Span, Timeline
from whilst.showing import renderers
from whilst.showing.perfetto import lanes_of


def events_of(value: Any, tmp_path: Path) -> list[dict[str, Any]]:
    path = tmp_path / "trace.json"
    renderers.write(value, "perfetto", path)
    return list(json.loads(path.read_text(encoding="utf-8"))["traceEvents"])


def test_every_span_is_an_event_of_its_length_and_kind(tangled: Callable[..., Timeline], tmp_path: Path) -> None:
    timeline = tangled()
    spans = [event for event in events_of(timeline, tmp_path) if event["ph"] == "X"]
    assert len(spans) == len(timeline)
    worked = sum(event["dur"] for event in spans if event["cat"] == "work")
    assert abs(worked / 1e6 - timeline.work_s) < 1e-6


def test_no_two_events_of_a_thread_overlap(tangled: Callable[..., Timeline], tmp_path: Path) -> None:
    by_thread = defaultdict(list)
    for event in events_of(tangled(spans=2000), tmp_path):
        if event["ph"] == "X":
            by_thread[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    for spans in by_thread.values():
        spans.sort()
        for one, two in itertools.pairwise(spans):
            assert one[1] <= two[0] + 1e-6


def test_timelines_are_processes_and_executors_threads(
    sequential: Timeline, parallel: Timeline, tmp_path: Path
) -> None:
    events = events_of([sequential, parallel], tmp_path)
    named = {(e["name"], e["pid"], e["args"]["name"]) for e in events if e["ph"] == "M" and "name" in e["args"]}
    assert named == {
        ("process_name", 1, "sequential"),
        ("thread_name", 1, "you"),
        ("process_name", 2, "parallel"),
        ("thread_name", 2, "you"),
        ("thread_name", 2, "assistant"),
    }


def test_a_task_that_overlaps_gets_a_thread_of_its_own(concurrent: Timeline) -> None:
    lanes = lanes_of(concurrent)
    by_task = defaultdict(set)
    for row, lane in enumerate(lanes):
        by_task[concurrent.tasks[concurrent.task[row]]].add(lane)
    assert by_task["passport"] == {0}
    assert by_task["draft"] == {1}


def test_counters_follow_concurrency_and_parallelism(parallel: Timeline, tmp_path: Path) -> None:
    counters = [event for event in events_of(parallel, tmp_path) if event["ph"] == "C"]
    hour_us = 3.6e9
    of_concurrency = [(e["ts"] / hour_us, e["args"]["tasks"]) for e in counters if e["name"] == "concurrency"]
    assert of_concurrency == [(0, 2), (3, 1), (10, 0)]


def test_an_empty_timeline_is_a_valid_trace(tmp_path: Path) -> None:
    assert [event["ph"] for event in events_of(Timeline.from_spans([]), tmp_path) if event["ph"] == "X"] == []


def test_names_are_quoted(tmp_path: Path) -> None:
    name = 'a"b\\c\n</script>\u2028'
    [event] = [
        each
        for each in events_of(Timeline.from_spans([Span(name, name, Kind.WORK, 0, 1500, name, name)]), tmp_path)
        if each["ph"] == "X"
    ]
    assert (event["name"], event["args"], event["dur"]) == (name, {"step": name, "detail": name}, 1.5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(0, 15)), max_size=40))
def test_lanes_hold_any_overlap(rows: list[tuple[int, int, int]]) -> None:
    timeline = Timeline.from_spans(
        [Span("you", f"task {task}", Kind.WORK, start, start + length) for task, start, length in rows]
    )
    lanes = lanes_of(timeline)
    for one in range(len(timeline)):
        for two in range(one):
            if lanes[one] == lanes[two]:
                ends, starts = timeline.end_ns, timeline.start_ns
                assert ends[one] <= starts[two] or ends[two] <= starts[one]
