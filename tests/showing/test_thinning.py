"""A page draws the shortest spans together: less is drawn, and no time is lost or moved to another executor."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from whilst.model import Kind, Timeline, TimelineBuilder
from whilst.showing.thinning import thinned


def many(spans: int, *, tasks: int = 1, overlap: bool = False) -> Timeline:
    """Two executors with short spans; one span of each is long."""
    draw, builder = random.Random(3), TimelineBuilder()
    for executor in ("one", "two"):
        now = [0] * tasks
        for number in range(spans // 2):
            length = 1_000_000 if number == spans // 4 else draw.randrange(1, 1000)
            which = number % tasks
            start = now[which] if overlap else max(now)
            now[which] = start + length
            kind = Kind(draw.randrange(3))
            builder.add(executor, f"task {which}", kind, start, start + length, f"label {kind}", "line 3")
    return builder.build(name="busy", origin_ns=0, cores=2, facts={"clock": "perf"})


def sums(timeline: Timeline) -> Counter[tuple[str, Kind, str]]:
    found: Counter[tuple[str, Kind, str]] = Counter()
    for span in timeline:
        found[span.executor, span.kind, span.label] += span.end_ns - span.start_ns
    return found


@pytest.mark.parametrize(("tasks", "overlap"), [(1, False), (5, False), (5, True)])
def test_fewer_spans_have_the_same_sums(tasks: int, overlap: bool) -> None:
    whole = many(8000, tasks=tasks, overlap=overlap)
    drawn = thinned(whole, 600)
    assert 0 < len(drawn) <= 600
    assert sums(drawn) == sums(whole)
    assert (drawn.makespan_ns, drawn.name, drawn.cores, drawn.facts) == (
        whole.makespan_ns, whole.name, whole.cores, whole.facts,
    )  # fmt: skip


def test_what_is_long_enough_to_be_seen_stays_as_it_is() -> None:
    whole = many(8000)
    longest = [span for span in whole if span.end_ns - span.start_ns == 1_000_000]
    assert len(longest) == 2
    drawn = set(thinned(whole, 600))
    assert drawn.issuperset(longest)


def test_spans_that_follow_each_other_still_do() -> None:
    ends: dict[str, int] = {}
    for span in thinned(many(8000, tasks=5), 600):
        assert span.start_ns >= ends.get(span.executor, 0)
        ends[span.executor] = span.end_ns


def test_few_spans_are_drawn_as_they_are() -> None:
    whole = many(100)
    assert thinned(whole, 100) is whole
