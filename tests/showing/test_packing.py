"""The packed columns hold what the timeline holds, and little else."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whilst.model import Kind, Numbered, Span, Timeline
from whilst.showing.packing import pack, tick_ns_of


def unpack(text: str) -> tuple[dict[str, object], list[tuple[str, str, Kind, int, int, str, str]]]:
    """What unpack.js does, in Python: the header, and spans in ticks, by executor and start."""
    plain = zlib.decompress(base64.b64decode(text))
    size = int.from_bytes(plain[:4], "little")
    header = json.loads(plain[4 : 4 + size])
    count, at = sum(header["counts"]), 4 + size
    columns: dict[str, list[int]] = {}
    for name, planes in header["planes"].items():
        raw = [plain[at + plane * count : at + (plane + 1) * count] for plane in range(planes)]
        columns[name] = [sum(part[row] << 8 * plane for plane, part in enumerate(raw)) for row in range(count)]
        at += planes * count
    assert at == len(plain)
    tasks = header["tasks"]
    spans, row = [], 0
    for executor, own in zip(header["executors"], header["counts"], strict=True):
        end = task = 0
        for _ in range(own):
            start = end + unzigzag(columns["start"][row])
            end = start + columns["length"][row]
            task += unzigzag(columns["task"][row])
            name = tasks[task] if isinstance(tasks, list) else f"{tasks['stem']} {task}"
            label, detail = header["labels"][columns["label"][row]], header["details"][columns["detail"][row]]
            spans.append((executor, name, Kind(columns["kind"][row]), start, end, label, detail))
            row += 1
    return header, spans


def unzigzag(value: int) -> int:
    return value >> 1 if value % 2 == 0 else -(value >> 1) - 1


spans = st.builds(
    lambda executor, task, kind, start, length, label: Span(executor, task, kind, start, start + length, label, label),
    st.sampled_from(["you", "assistant", "</script><b>"]),
    st.text(max_size=5),
    st.sampled_from(Kind),
    st.integers(0, 10**15),
    st.one_of(st.integers(0, 10), st.integers(0, 10**15)),
    st.sampled_from(["", "read", "é\u2028"]),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(spans, max_size=30))
def test_packing_keeps_every_span_to_the_nearest_tick(given_spans: list[Span]) -> None:
    timeline = Timeline.from_spans(given_spans)
    tick = tick_ns_of(timeline)
    header, found = unpack(pack(timeline))
    assert header["tick_s"] == tick / 1e9
    order = sorted(range(len(timeline)), key=lambda row: (timeline.executor[row], timeline.start_ns[row]))
    for row, (executor, task, kind, start, end, label, detail) in zip(order, found, strict=True):
        span = timeline[row]
        assert (executor, task, kind, label, detail) == (span.executor, span.task, span.kind, span.label, span.detail)
        assert abs(start * tick - span.start_ns) <= tick / 2
        assert abs(end * tick - span.end_ns) <= tick / 2


@pytest.mark.parametrize("makespan_ns", [0, 1, 2**30 - 1, 2**30, 10**18])
def test_ticks_fit_thirty_bits_however_long_the_run(makespan_ns: int) -> None:
    timeline = Timeline.from_spans([Span("you", "task", Kind.WORK, 0, makespan_ns)])
    assert (makespan_ns + tick_ns_of(timeline) // 2) // tick_ns_of(timeline) <= 2**30
    _, [(_, _, _, start, end, _, _)] = unpack(pack(timeline))
    assert start == 0
    assert abs(end * tick_ns_of(timeline) - makespan_ns) <= tick_ns_of(timeline) / 2


def test_numbered_tasks_travel_as_a_stem() -> None:
    numbered = replace(Timeline.from_spans([Span("you", "a", Kind.WORK, 0, 5)]), tasks=Numbered("call", 1_000_000))
    header, [(_, name, *_)] = unpack(pack(numbered))
    assert header["tasks"] == {"stem": "call", "length": 1_000_000}
    assert name == "call 0"


def test_spans_out_of_order_are_sorted_by_executor_and_start(tangled: Callable[..., Timeline]) -> None:
    _, found = unpack(pack(tangled(spans=500)))
    assert len(found) == 500
    for one, two in pairwise(found):
        assert one[0] != two[0] or one[3] <= two[3]


def test_the_totals_are_sums_of_the_counts(busy: Callable[..., Timeline]) -> None:
    header, found = unpack(pack(busy(1000)))
    assert list(accumulate(header["counts"]))[-1] == len(found) == 1000  # type: ignore[arg-type]


def stretches(timeline: Timeline) -> list[tuple[str, str, int, int]]:
    """What path.js makes of the critical path."""
    header, _ = unpack(pack(timeline))
    found, at = [], 0
    for executor, task, gap, length in zip(*header["path"], strict=True):
        found.append((header["executors"][executor], header["tasks"][task], at + gap, at + gap + length))
        at += gap + length
    return found


def line_with_path(*path: Span) -> Timeline:
    spans = [Span(each, f"task of {each}", Kind.WORK, 0, 100) for each in ("one", "two")]
    return replace(Timeline.from_spans(spans), path=Timeline.from_spans(path))


def test_steps_of_one_task_are_one_stretch_of_the_path() -> None:
    steps = [("one", 0, 30), ("one", 30, 40), ("two", 42, 90), ("one", 90, 100)]
    path = [Span(each, f"task of {each}", Kind.WORK, start, end, f"step {start}") for each, start, end in steps]
    assert stretches(line_with_path(*path)) == [
        ("one", "task of one", 0, 40), ("two", "task of two", 42, 90), ("one", "task of one", 90, 100),
    ]  # fmt: skip


def test_a_timeline_whose_path_is_not_known_has_none() -> None:
    header, _ = unpack(pack(replace(line_with_path(), path=None)))
    assert header["path"] is None
    assert stretches(line_with_path()) == []


def test_a_path_of_very_many_steps_keeps_to_the_executor_it_is_on_for_most_of_a_cell() -> None:
    turns = [("one", 9), ("two", 1)] * 50_000
    ends = list(accumulate(length for _, length in turns))
    path = [
        Span(each, f"task of {each}", Kind.WORK, end - length, end)
        for (each, length), end in zip(turns, ends, strict=True)
    ]
    spans = [Span(each, f"task of {each}", Kind.WORK, 0, ends[-1]) for each in ("one", "two")]
    found = stretches(replace(Timeline.from_spans(spans), path=Timeline.from_spans(path)))
    assert len(found) <= 20_001
    assert sum(end - start for who, _, start, end in found if who == "one") > 0.89 * ends[-1]
    assert all(before[3] <= after[2] for before, after in pairwise(found))
