"""From call records to a timeline, without a clock."""

from __future__ import annotations

from whilst.comparing.recording import GIL, CallRecord, Run, make_timeline
from whilst.model import Kind
from whilst.running.calls.sampling import Sample

MS = 1_000_000


def call(
    item: int,
    lane: str,
    start: int,
    end: int,
    cpu: int,
    *,
    queued_ns: int = 0,
    steps: list[tuple[int, int]] | None = None,
) -> CallRecord:
    times = start * MS, end * MS, cpu * MS, 0, queued_ns
    return CallRecord(item, lane, Sample(None, None, *times, steps, (0, 0), [], None))


def spans(run: Run, waits: dict[int, int] | None = None) -> list[tuple[str, Kind, int, int, str]]:
    line = make_timeline(run, "x", waits)
    return [(span.task, span.kind, span.start_ns // MS, span.end_ns // MS, span.detail) for span in line]


def test_work_is_as_long_as_the_cpu_clock_says() -> None:
    run = Run("", [call(0, "caller", 10, 30, 5)], 0, 30 * MS)
    assert spans(run) == [("item 0", Kind.WORK, 10, 15, ""), ("item 0", Kind.WAIT, 15, 30, "")]


def test_samples_say_where_inside_a_call_the_work_was() -> None:
    samples = {"caller": [(10 * MS, 0), (20 * MS, 0), (25 * MS, 5 * MS)]}
    run = Run("", [call(0, "caller", 10, 30, 5)], 0, 30 * MS, samples)
    assert spans(run) == [
        ("item 0", Kind.WAIT, 10, 20, ""),
        ("item 0", Kind.WORK, 20, 25, ""),
        ("item 0", Kind.WAIT, 25, 30, ""),
    ]


def test_the_queue_for_a_core_is_held_off() -> None:
    run = Run("", [call(0, "caller", 0, 20, 10, queued_ns=4 * MS)], 0, 20 * MS)
    assert spans(run) == [
        ("item 0", Kind.WORK, 0, 10, ""),
        ("item 0", Kind.WAIT, 10, 16, ""),
        ("item 0", Kind.HELD, 16, 20, "no core"),
    ]


def test_beyond_its_own_wait_a_call_beside_a_busy_one_is_held_off_by_the_gil() -> None:
    samples = {"thread 1": [(0, 0), (20 * MS, 20 * MS)], "thread 2": [(0, 0), (20 * MS, 0)]}
    shares = {"thread 1": "here", "thread 2": "here"}
    calls = [call(0, "thread 1", 0, 20, 20), call(1, "thread 2", 0, 20, 0)]
    run = Run("", calls, 0, 20 * MS, samples, shares)
    own = [span for span in spans(run, {0: 0, 1: 5 * MS}) if span[0] == "item 1"]
    assert own == [
        ("item 1", Kind.WAIT, 0, 5, ""),
        ("item 1", Kind.HELD, 5, 20, GIL),
    ]
    alone = Run("", calls, 0, 20 * MS, samples)
    assert ("item 1", Kind.WAIT, 0, 20, "") in spans(alone, {0: 0, 1: 5 * MS})


def test_a_coroutines_steps_are_drawn_as_they_were() -> None:
    record = call(0, "event loop", 0, 30, 4, steps=[(0, 2 * MS), (10 * MS, 12 * MS)])
    assert spans(Run("", [record], 0, 30 * MS)) == [
        ("item 0", Kind.WORK, 0, 2, ""),
        ("item 0", Kind.WAIT, 2, 10, ""),
        ("item 0", Kind.WORK, 10, 12, ""),
        ("item 0", Kind.WAIT, 12, 30, ""),
    ]


def test_lanes_are_in_the_order_of_their_numbers() -> None:
    calls = [call(number, f"thread {number}", 0, 1, 1) for number in (10, 9, 2)]
    assert make_timeline(Run("", calls, 0, MS), "x").executors == ("thread 2", "thread 9", "thread 10")


def test_threads_that_share_a_core_are_not_drawn_at_work_at_once() -> None:
    lanes = ["thread 1", "thread 2", "thread 3"]
    calls = [call(number, lane, 0, 12, 4) for number, lane in enumerate(lanes)]
    run = Run("", calls, 0, 12 * MS, {}, dict.fromkeys(lanes, "here"))
    line = make_timeline(run, "x")
    assert line.parallelism_steps.maximum == 1
    assert line.work_s == 0.012
    assert line.wait_s == 0.024
    twice = [call(number, lane, 0, 6, 4) for number, lane in enumerate(lanes)]
    both = make_timeline(Run("", twice, 0, 6 * MS, {}, dict.fromkeys(lanes, "here")), "x")
    assert both.work_s == 0.012
    assert both.wait_s == 0.006
