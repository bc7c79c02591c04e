"""A timeline's figures against a brute-force count, instant by instant."""

from __future__ import annotations

import json
from array import array
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst.errors import TimelineError
from whilst.model import Kind, Numbered, Span, Timeline, TimelineBuilder, timeline_from_json, timeline_to_json

spans = st.builds(
    lambda executor, task, kind, start, length: Span(
        f"executor {executor}", f"task {task}", Kind(kind), start, start + length
    ),
    st.integers(0, 2),
    st.integers(0, 4),
    st.integers(0, 2),
    st.integers(0, 30),
    st.integers(1, 12),
)


def story() -> Timeline:
    """You drive, stand in line and drive back; the assistant drafts; you edit. One unit is a nanosecond."""
    builder = TimelineBuilder()
    builder.declare(executors=("you", "assistant"))
    builder.add("you", "passport", Kind.WORK, 0, 2, "drive")
    builder.add("assistant", "draft", Kind.WORK, 0, 3)
    builder.add("you", "passport", Kind.WAIT, 2, 6, "line")
    builder.add("you", "edits", Kind.WORK, 3, 5)
    builder.add("you", "passport", Kind.WORK, 6, 8, "drive back")
    return builder.build(name="combined", after={"edits": ("draft",)}, cores=2)


@given(st.lists(spans, max_size=20))
def test_figures_equal_a_count_of_every_instant(given_spans: list[Span]) -> None:
    timeline = Timeline.from_spans(given_spans)
    length = max((span.end_ns for span in given_spans), default=0)
    assert timeline.makespan_ns == length
    starts: dict[str, int] = {}
    ends: dict[str, int] = {}
    for span in given_spans:
        starts[span.task] = min(span.start_ns, starts.get(span.task, span.start_ns))
        ends[span.task] = max(span.end_ns, ends.get(span.task, 0))
    working = [
        sum(span.kind is Kind.WORK and span.start_ns <= now < span.end_ns for span in given_spans)
        for now in range(length)
    ]
    in_progress = [sum(starts[task] <= now < ends[task] for task in starts) for now in range(length)]
    assert [timeline.parallelism_steps.at(now) for now in range(length)] == working
    assert [timeline.concurrency_steps.at(now) for now in range(length)] == in_progress
    if length:
        assert timeline.parallelism == pytest.approx(sum(working) / length)
        assert timeline.concurrency == pytest.approx(sum(in_progress) / length)
        assert timeline.parallel_share == pytest.approx(sum(count >= 2 for count in working) / length)
        assert timeline.parallelism_steps.mean == pytest.approx(timeline.parallelism)
        assert timeline.concurrency_steps.mean == pytest.approx(timeline.concurrency)
        assert timeline.parallelism_steps.maximum == max(working)


@given(st.lists(spans, max_size=20))
def test_json_gives_an_equal_timeline_back(given_spans: list[Span]) -> None:
    timeline = Timeline.from_spans(given_spans, name="a day")
    assert timeline_from_json(timeline_to_json(timeline)) == timeline


@given(st.lists(spans, max_size=12))
def test_the_order_in_which_spans_are_given_does_not_matter(given_spans: list[Span]) -> None:
    def key(span: Span) -> tuple[int, int, str, str, int]:
        return span.start_ns, span.end_ns, span.executor, span.task, span.kind

    forward = sorted(Timeline.from_spans(given_spans), key=key)
    assert forward == sorted(Timeline.from_spans(reversed(given_spans)), key=key) == sorted(given_spans, key=key)


def test_the_story_s_figures() -> None:
    timeline = story()
    assert timeline.makespan_ns == 8
    assert timeline.parallelism == pytest.approx(9 / 8)
    assert timeline.concurrency == pytest.approx(13 / 8)
    assert timeline.parallel_share == pytest.approx(2 / 8)
    assert timeline.utilisation == {"you": 6 / 8, "assistant": 3 / 8}
    assert [span.label for span in timeline.critical_path] == ["drive", "line", "drive back"]


def test_the_critical_path_follows_dependencies_between_executors() -> None:
    builder = TimelineBuilder()
    builder.add("you", "short", Kind.WORK, 0, 1)
    builder.add("assistant", "draft", Kind.WORK, 0, 3)
    builder.add("you", "edits", Kind.WORK, 3, 5)
    timeline = builder.build(after={"edits": ("draft",)})
    assert [span.task for span in timeline.critical_path] == ["draft", "edits"]


def test_standing_by_is_not_on_the_critical_path_but_what_held_the_task_off_is() -> None:
    builder = TimelineBuilder()
    builder.add("you", "passport", Kind.WORK, 0, 2)
    builder.add("you", "passport", Kind.WAIT, 2, 3)
    builder.add("you", "edits", Kind.WORK, 2, 7)
    builder.add("you", "passport", Kind.HELD, 3, 7)
    builder.add("you", "passport", Kind.WORK, 7, 9)
    path = builder.build().critical_path
    assert [(span.task, span.start_ns) for span in path] == [("passport", 0), ("edits", 2), ("passport", 7)]


def test_the_critical_path_survives_empty_spans() -> None:
    timeline = Timeline.from_spans(Span("you", "a", Kind.WORK, at, at) for at in (0, 0, 0, 5, 5))
    assert len(timeline.critical_path) <= len(timeline)


def test_an_empty_timeline_has_figures_too() -> None:
    empty = TimelineBuilder().build()
    assert (empty.makespan_s, empty.concurrency, empty.parallelism, empty.parallel_share) == (0, 0, 0, 0)
    assert empty.critical_path == ()
    assert empty.concurrency_steps.maximum == 0
    assert timeline_from_json(timeline_to_json(empty)) == empty


def test_times_are_counted_from_the_origin_that_is_given() -> None:
    builder = TimelineBuilder()
    builder.add("you", "a", Kind.WORK, 1_000, 1_500)
    assert builder.build().makespan_ns == 500
    assert builder.build(origin_ns=900).makespan_ns == 600


def test_numbered_names_are_names_without_strings() -> None:
    names = Numbered("fetch", 3)
    assert list(names) == ["fetch 0", "fetch 1", "fetch 2"]
    assert names[-1] == "fetch 2"
    assert names[1:] == ("fetch 1", "fetch 2")
    with pytest.raises(IndexError):
        names[3]
    timeline = replace(story(), tasks=Numbered("task", 3))
    assert timeline_from_json(timeline_to_json(timeline)) == timeline


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"end_ns": array("q", [1])}, "5"),
        ({"start_ns": array("q", [-1, 0, 0, 0, 0])}, "before the timeline's origin"),
        ({"start_ns": array("q", [9, 0, 0, 0, 0])}, "before it starts"),
        ({"kind": array("B", [7, 0, 0, 0, 0])}, "7"),
        ({"task": array("I", [9, 0, 0, 0, 0])}, "'task'"),
        ({"task": array("q", [0, 0, 0, 0, 0])}, "type 'I'"),
    ],
)
def test_columns_that_contradict_themselves_are_refused(change: dict[str, array[int]], message: str) -> None:
    with pytest.raises(TimelineError, match=message):
        replace(story(), **change)


def test_a_span_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(TimelineError, match="different clocks"):
        Span("you", "a", Kind.WORK, 5, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "'list'"),
        ('{"format": "else"}', "'else'"),
        ('{"format": "whilst timeline 1"}', "no entry"),
    ],
)
def test_a_file_that_is_no_timeline_is_named_as_such(text: str, message: str) -> None:
    with pytest.raises(TimelineError, match=message):
        timeline_from_json(text)


def test_a_damaged_timeline_is_named_as_such() -> None:
    plain = json.loads(timeline_to_json(story()))
    plain["columns"]["task"][0] = "draft"
    with pytest.raises(TimelineError, match="damaged"):
        timeline_from_json(json.dumps(plain))
