"""Every mode side by side, on real calls and on days: figures, agreement, and rows that say why they failed."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import random
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import whilst
from whilst import Day, DayError, Mode, Task, wait, work
from whilst.comparing import NAIVE, Comparison, ComparisonError, calls, compare
from whilst.comparing.calls import _disturbed
from whilst.comparing.comparison import Row
from whilst.comparing.recording import NO_CORE, CallRecord, Run
from whilst.model import Kind, Machine, Profile, Span, Timeline
from whilst.model.mode import UnknownModeError
from whilst.model.report import CAREFUL

PARENT = os.getpid()
MODES = [mode.value for mode in Mode]


def square(number: int) -> int:
    return number * number


async def slow_square(number: int) -> int:
    await asyncio.sleep(0.001)
    return number * number


def values(result: Comparison, mode: str) -> list[object]:
    outcomes = result[mode].outcomes
    assert outcomes is not None
    return [outcome.failure or outcome.value for outcome in outcomes]


def test_all_modes_give_the_same_in_the_order_of_the_items() -> None:
    result = compare(square, range(7), workers=2, overlap=3)
    assert [row.name for row in result.rows] == MODES
    for mode in MODES:
        assert values(result, mode) == [0, 1, 4, 9, 16, 25, 36]
    assert result.agrees is True
    assert [row.agreement for row in result.rows] == ["", "same", "same", "same"]


def test_every_figure_is_there() -> None:
    result = compare(lambda number: time.sleep(0.002) or number, range(4), workers=2)
    for row in result.rows:
        assert row.seconds is not None
        assert row.seconds > 0
        assert row.predicted_s is not None
        assert row.speed_up is not None
        assert row.cpu_s is not None
        assert row.timeline is not None
        assert row.timeline.makespan_s <= row.seconds
        assert row.timeline.wait_s > 0
        assert row.concurrency is not None
        assert row.ratio is not None
    assert result.profile is not None
    assert result.profile.calls == 4
    assert json.loads(json.dumps(result.to_dict()))["agrees"] is True


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory of a stretch is Linux's")
def test_peak_memory_is_that_of_the_mode() -> None:
    result = compare(lambda megabytes: len(b"x" * (megabytes << 20)), [60], modes=["sequential", "parallel"])
    for row in result.rows:
        assert row.peak_memory_bytes is not None
        assert row.peak_memory_bytes > 60 << 20


def test_coroutine_functions_and_what_is_like_one() -> None:
    class Caller:
        async def __call__(self, number: int) -> int:
            return await slow_square(number)

    for fn in (slow_square, functools.partial(slow_square), Caller(), lambda number: slow_square(number)):
        modes = MODES if fn is slow_square else ["sequential", "concurrent"]
        result = compare(fn, range(5), workers=2, modes=modes)
        assert result.agrees is True
        assert values(result, modes[-1]) == [0, 1, 4, 9, 16]


def test_a_coroutine_that_catches_what_is_thrown_into_it() -> None:
    async def patient(number: int) -> str:
        try:
            await asyncio.wait_for(asyncio.sleep(60), 0.001)
        except TimeoutError:
            return f"gave up on {number}"
        return "never"

    result = compare(patient, range(3), modes=["sequential", "concurrent"])
    assert values(result, "concurrent") == [f"gave up on {number}" for number in range(3)]


def test_compare_works_where_an_event_loop_runs_already() -> None:
    async def notebook() -> Comparison:
        return compare(slow_square, [1, 2], modes=["sequential", "concurrent"])

    assert asyncio.run(notebook()).agrees is True


def test_calls_that_raise_are_outcomes_and_the_modes_must_agree_on_them() -> None:
    def picky(number: int) -> int:
        if number == 2:
            raise KeyError("two")
        if number == 3:
            sys.exit("three")
        return number

    result = compare(picky, range(5), workers=2)
    assert result.agrees is True
    for mode in MODES:
        assert [str(value) for value in values(result, mode)] == ["0", "1", "KeyError: 'two'", "SystemExit: three", "4"]
    assert any("2 of 5 calls raised; the first is item 2: KeyError" in note for note in result.notes())


def test_results_that_depend_on_the_mode_are_found_out() -> None:
    result = compare(lambda number: os.getpid() == PARENT, [1, 2], modes=["concurrent", "parallel"], workers=1)
    assert result["parallel"].agreement.startswith("differs for 2 of 2 items: item 0 gave False, not True")
    assert result.agrees is False


def test_unseeded_randomness_is_found_out() -> None:
    assert compare(lambda number: random.random(), range(3), modes=["sequential", "concurrent"]).agrees is False


def test_arrays_and_nan_travel_and_compare() -> None:
    result = compare(lambda size: np.full(size, np.nan), [3, 1000], modes=["sequential", "parallel"])
    assert result.agrees is True


def test_what_cannot_be_pickled_is_a_row_that_says_so() -> None:
    lock = threading.Lock()
    for fn, items, said in (
        (lambda item: lock.locked(), [1], "<lambda> can't cross to another process: it holds a _thread.lock"),
        (lambda item: 1, [lock], "can't cross to another process: its argument is a _thread.lock"),
        (lambda item: threading.Lock(), [1], "can't cross to another process: its result is a _thread.lock, which"),
    ):
        result = compare(fn, items, modes=["concurrent", "parallel"])  # type: ignore[arg-type]  # of three types
        assert result["concurrent"].error == ""
        assert said in result["parallel"].error
        assert ".func" not in result["parallel"].error  # that is the sampler's around it
        assert result["parallel"].seconds is None
        assert any(said in note for note in result.notes())


def test_a_result_that_cannot_be_loaded_is_a_row_that_says_so() -> None:
    here = os.getpid()

    def only_abroad() -> int:
        if os.getpid() == here:
            raise RuntimeError("not at home")
        return 1

    class Sticky:
        def __reduce__(self) -> tuple[object, ...]:
            return only_abroad, ()

    result = compare(lambda item: Sticky(), [1], modes=["parallel"])
    assert "its result was pickled but can't be rebuilt here (RuntimeError: not at home)" in result["parallel"].error


def test_a_process_that_dies_is_a_row_that_says_how() -> None:
    def deadly(number: int) -> int:
        if os.getpid() != PARENT and number == 1:
            os.write(2, b"I die\n")
            os._exit(7)
        return number

    modes = ["concurrent", "parallel", "combined"]
    result = compare(deadly, range(4), workers=1, overlap=2, modes=modes)
    for mode in modes[1:]:
        assert "exit code 7" in result[mode].error
        assert "I die" in result[mode].error
    assert values(result, "concurrent") == [0, 1, 2, 3]


def test_what_a_function_prints_stays_out_of_the_report(capfd: pytest.CaptureFixture[str]) -> None:
    def talkative(number: int) -> int:
        print("hello", number)
        sys.stdout.flush()
        return number

    result = compare(talkative, range(3), workers=1)
    assert capfd.readouterr().out == ""
    assert any("sequential 3, concurrent 3, parallel 3, combined 3" in note for note in result.notes())


def test_a_function_that_reads_stdin_does_not_read_what_is_meant_for_its_worker() -> None:
    def curious(number: int) -> str:
        try:
            return input()
        except (EOFError, OSError):  # OSError: the test run's own stdin
            return "nothing"

    assert values(compare(curious, range(4), modes=["parallel"], workers=1), "parallel") == ["nothing"] * 4


def test_large_items_and_results_do_not_block_each_other() -> None:
    result = compare(lambda block: block * 2, [bytes(700_000)] * 6, modes=["parallel", "combined"], workers=2)
    assert result.agrees is True


def test_only_the_modes_asked_for_in_their_own_order() -> None:
    result = compare(square, [1], modes=[Mode.CONCURRENT, "sequential", "concurrent"])
    assert [row.name for row in result.rows] == ["sequential", "concurrent"]
    alone = compare(square, [1], modes="concurrent")
    assert alone.agrees is None
    assert alone["concurrent"].speed_up is None
    with pytest.raises(KeyError, match="was not compared"):
        alone["parallel"]


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ComparisonError, match="no items"):
        compare(square, [])
    with pytest.raises(ComparisonError, match="called on"):
        compare(square)  # type: ignore[call-overload]
    with pytest.raises(ComparisonError, match="No modes"):
        compare(square, [1], modes=[])
    with pytest.raises(ComparisonError, match="workers"):
        compare(square, [1], workers=0)
    with pytest.raises(UnknownModeError, match="parralel"):
        compare(square, [1], modes=["parralel"])
    with pytest.raises(UnknownModeError, match="naive"):
        compare(square, [1], modes=[NAIVE])
    with pytest.raises(ComparisonError, match="its own tasks"):
        compare(a_day(), [1])  # type: ignore[call-overload]
    with pytest.raises(DayError):
        compare("no such day.toml")


def test_progress_is_told_in_words() -> None:
    heard: list[str] = []
    compare(square, range(3), modes=["sequential"], on_progress=heard.append)
    assert heard == ["sequential: starting", *(f"sequential: {done} of 3 calls done" for done in (1, 2, 3))]


def test_no_guard_is_needed_and_main_may_define_everything(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import whilst\n"
        "class Box:\n"
        "    def __init__(self, n): self.n = n\n"
        "    def __eq__(self, other): return self.n == other.n\n"
        "print('once')\n"
        "result = whilst.compare(lambda box: Box(box.n + 1), [Box(1), Box(2)], modes=['sequential', 'parallel'])\n"
        "print(result.agrees, [row.error for row in result.rows])\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "once\nTrue ['', '']\n"


def a_day() -> Day:
    tasks = (
        Task("a", (work(1), wait(2), work(1)), by=("you",)),
        Task("b", (work(1.5),)),
        Task("c", (work(1),), ("b",), ("you",)),
    )
    return Day(("you", "assistant"), tasks, "short", "h", 1.0, 0.01)


def test_a_day_is_planned_and_performed_in_every_mode_and_on_naive_threads() -> None:
    result = compare(a_day())
    assert [row.name for row in result.rows] == [*MODES, NAIVE]
    for row in result.rows:
        assert not row.error
        assert row.planned is not None
        assert row.timeline is not None
        assert row.planned.is_predicted
        assert not row.timeline.is_predicted
        assert row.predicted_s == row.planned.makespan_s
        assert row.planned.unit_s == row.timeline.unit_s == 0.01
    assert len(result.timelines()) == 10
    assert result["sequential"].predicted_s == pytest.approx(0.065)
    assert any(note.startswith(NAIVE) for note in result.notes())
    assert {len(line) for line in result.table()} == {len(result.table()[0])}
    json.dumps(result.to_dict())


def test_a_mode_that_cannot_do_the_day_is_a_row_that_says_why() -> None:
    day = Day(("you", "assistant"), (Task("a", (wait(0.01),), by=("assistant",)),))
    result = compare(day, modes=["sequential", "parallel"])
    assert "assistant" in result["sequential"].error
    assert result["parallel"].error == ""
    assert result.table()[1][2] == "failed"


def test_a_day_of_many_tasks_is_not_done_on_naive_threads() -> None:
    day = Day(("you",), tuple(Task(f"t{number}", (work(0),)) for number in range(300)))
    result = compare(day, modes=["concurrent", NAIVE])
    assert result["concurrent"].error == ""
    assert "300 tasks" in result[NAIVE].error


def test_a_comparison_can_be_drawn() -> None:
    result = whilst.compare(square, range(3), modes=["sequential", "concurrent"])
    text = result.to_text(width=80)
    assert "square over 3 items" in text
    assert "speed-up" in text


def test_nothing_warns() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare(slow_square, [1], workers=1)


def test_a_comparison_says_first_that_the_machine_was_busy_and_whether_the_forecast_held() -> None:
    spans = [Span("caller", "item 0", kind, at, at + 1, "", NO_CORE) for at, kind in enumerate(Kind)]
    rows = [
        Row("sequential", seconds=3.0, timeline=Timeline.from_spans(spans)),
        Row("parallel", seconds=4.0, predicted_s=1.0, speed_up=0.75),
    ]
    answers = Comparison("function", "f", tuple(rows), disturbed=_disturbed(rows)).answers()
    assert answers[0][0] == CAREFUL
    assert "for 33 % of the sequential run there was no core" in answers[0][1]
    assert dict(answers)["Was it as foretold?"] == "No: parallel took 4 times what was foretold. The table has each."
    assert _disturbed(rows[1:]) == ""


@pytest.mark.parametrize(
    ("kind", "speed_up", "agreement", "change"),
    [
        ("function", 3.0, "same", "whilst.map(fetch, items) chooses by itself, mode='concurrent' insists"),
        ("function", 1.02, "same", "Nothing: no mode brings a tenth here."),
        ("function", 3.0, "differs: item 0", "First what makes the results differ"),
        ("day", 1.5, "", "work on another task while one waits"),
    ],
)
def test_a_comparison_says_why_and_what_to_change(kind: Any, speed_up: float, agreement: str, change: str) -> None:
    spans = [Span("caller", f"item {at}", Kind.WAIT, 0, 9) for at in range(3)]
    rows = (
        Row("sequential", seconds=3.0, speed_up=1.0),
        Row("concurrent", 3 / speed_up, speed_up=speed_up, agreement=agreement, timeline=Timeline.from_spans(spans)),
    )
    profile = Profile(work_s=0.001, wait_s=1.5)
    answers = dict(Comparison(kind, "fetch over 3 items", rows, profile=profile).answers())
    said = "A call works for 1 ms and waits for 1.5 s. Concurrent: 3.0"
    assert answers["Why?"].lower().startswith(said.lower())
    assert change in answers["What should I change?"]
    assert list(answers)[-1] == "What should I change?"


@pytest.mark.parametrize(("has_gil", "seconds"), [(True, 1.0), (False, 0.5)])
def test_threads_are_forecast_as_executors_where_there_is_no_gil(
    has_gil: bool, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "look_at_machine", lambda: Machine(2, has_gil=has_gil))
    sample = SimpleNamespace(start_ns=0, end_ns=100_000_000)
    run = Run("", [CallRecord(item, "", sample) for item in range(10)], 0, 10**9)  # type: ignore[arg-type]
    profile = Profile(work_s=0.1, wait_s=0.0, calls=10)
    assert calls._forecast_s(Mode.CONCURRENT, run, run, profile, calls.Shape(2, 10)) == pytest.approx(seconds)
