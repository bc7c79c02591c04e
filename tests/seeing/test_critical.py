"""What the critical path follows, in pairs: a wait that another task ended, and one like it that nobody did."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from whilst.model import Kind, timeline_from_json, timeline_to_json
from whilst.seeing.explaining import critical
from whilst.seeing.traced import Trace, trace_of

from .made import MS, WORKER, Made, library

SOURCE = """
import time
def main():
    results = list(pool.map(score, texts))
    subprocess.run(["sort", "big.txt"])
def score(text):
    for letter in text: total += ord(letter)
def load(item):
    with CACHE:
        prices[item] = request(item)
def request(item):
    time.sleep(0.02)
async def handle(i):
    await asyncio.sleep(0)
    return query(i)
def query(i):
    time.sleep(0.025)
async def gathered():
    return await asyncio.gather(*tasks)
def produce():
    queue.put(make())
def make():
    return sum(range(10_000_000))
def consume(item):
    item = queue.get()
"""


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path, SOURCE)


def path(trace: Trace) -> list[tuple[str, str, int, int]]:
    """(executor, label, start, end in ms) of each stretch of the path."""
    found: list[tuple[str, str, int, int]] = []
    for span in trace.timeline.critical_path:
        step = (span.executor, span.label, span.start_ns // MS, span.end_ns // MS)
        if found and found[-1][:2] == step[:2] and found[-1][3] == step[2]:
            step = (*step[:2], found.pop()[2], step[3])
        found.append(step)
    return found


def said(trace: Trace) -> str:
    return next(note for note in trace.notes() if note.startswith("Critical path"))


def results(made: Made) -> list:
    return [
        library("threading.py", "Condition.wait"),
        library("concurrent/futures/_base.py", "Future.result"),
        made.at("pool.map"),
    ]


def test_who_waits_for_a_lock_waits_for_what_its_holder_does(made: Made) -> None:
    taking = [made.at("with CACHE", "load", "BEFORE_WITH")]
    holding = [made.at("time.sleep(0.02)", "request"), made.at("prices[item]", "load")]
    made.thread((40, "off", holding), (1, "on", holding), (200, "off", [WORKER]), name="one")
    made.thread((41, "off", taking), (1, "on", taking), (30, "off", holding), (2, "on", holding), name="two")
    trace = trace_of(made.recording())
    assert path(trace) == [
        ("one", "sleep", 0, 40), ("one", "request", 40, 41),
        ("two", "load", 41, 42), ("two", "sleep", 42, 72), ("two", "request", 72, 74),
    ]  # fmt: skip
    assert trace.critical_path[0].cause == "sleep"
    assert trace.critical_path[0].held_by == "lock:CACHE held by one"
    assert "70 ms lock:CACHE held by one in request (program.py:12) (sleep)" in said(trace)


def test_who_only_sleeps_beside_a_lock_that_another_holds_waits_for_nobody(made: Made) -> None:
    holding = [made.at("time.sleep(0.02)", "request"), made.at("prices[item]", "load")]
    made.thread((40, "off", holding), (1, "on", holding), (200, "off", [WORKER]), name="one")
    made.thread((72, "off", [made.at("time.sleep(0.025)", "query")]), (2, "on", []), name="two")
    trace = trace_of(made.recording())
    assert [step[0] for step in path(trace)] == ["two", "two"]
    assert "held by" not in said(trace)


def test_the_main_thread_waits_for_the_worker_whose_result_came_last(made: Made) -> None:
    work = [made.at("for letter", "score")]
    made.thread((5, "on", [made.at("pool.map")]), (96, "off", results(made)), (4, "on", [made.at("pool.map")]))
    made.thread((5, "off", [WORKER]), (45, "on", work), (55, "off", [WORKER]), name="pool_0")
    made.thread((5, "off", [WORKER]), (95, "on", work), (5, "off", [WORKER]), name="pool_1")
    trace = trace_of(made.recording())
    assert path(trace) == [("MainThread", "main", 0, 5), ("pool_1", "score", 5, 100), ("MainThread", "main", 101, 105)]
    assert said(trace).startswith("Critical path 104 ms: 95 ms work in score (program.py:7)")


def test_a_main_thread_that_works_till_the_end_waits_for_no_worker(made: Made) -> None:
    made.thread((105, "on", [made.at("pool.map")]))
    made.thread((5, "off", [WORKER]), (95, "on", [made.at("for letter", "score")]), (5, "off", [WORKER]), name="pool_0")
    assert path(trace_of(made.recording())) == [("MainThread", "main", 0, 105)]


def test_a_thread_held_off_by_the_gil_waits_for_the_one_that_has_it(made: Made) -> None:
    work = [made.at("for letter", "score", "FOR_ITER")]
    made.thread(*((5, "off" if step % 2 else "on", work) for step in range(20)), name="even")
    made.thread(*((5, "on" if step % 2 else "off", work) for step in range(20)), name="odd")
    trace = trace_of(made.recording())
    assert [(who, label) for who, label, _, _ in path(trace)] == [("even", "score"), ("odd", "score")] * 10
    assert said(trace) == "Critical path 100 ms: 100 ms work in score (program.py:7), the GIL kept from others."


def test_threads_that_work_at_once_follow_nobody(tmp_path: Path) -> None:
    made = Made(tmp_path, SOURCE, has_gil=False)
    for name in ("one", "two"):
        made.thread((100, "on", [made.at("for letter", "score")]), name=name)
    trace = trace_of(made.recording())
    assert len(path(trace)) == 1
    assert "GIL" not in said(trace)


def test_a_task_held_off_by_its_loop_waits_for_what_ran_meanwhile(made: Made) -> None:
    inner = [made.at("time.sleep(0.025)", "query"), made.at("query(i)", "handle")]
    made.thread(*((24, "off", inner), (1, "on", inner)) * 4)
    for number in range(4):
        start = 25 * number
        made.task(f"Task-{number}", (start, "h", inner[1:]), (25, "r", inner[1:]))
    trace = trace_of(made.recording())
    steps = trace.timeline.critical_path
    assert [span.task for span in steps if span.label == "sleep"] == [f"Task-{number} handle" for number in range(4)]
    assert not any(span.kind is Kind.HELD for span in steps)
    assert "96 ms sleep in query (program.py:17), the loop kept from its other tasks" in said(trace)


def test_a_gathering_task_waits_for_the_one_that_ended_last(made: Made) -> None:
    joined = [library("asyncio/tasks.py", "gather"), made.at("asyncio.gather", "gathered")]
    asleep = [library("asyncio/tasks.py", "sleep"), made.at("asyncio.sleep", "handle")]
    work = [made.at("query(i)", "handle")]
    made.thread((10, "on", joined), (58, "off", [library("selectors.py", "select")]), (32, "on", work))
    made.task("Task-1", (10, "r", joined[1:]), (80, "w", joined), (10, "r", joined[1:]), future="_GatheringFuture")
    made.task("Task-2", (20, "w", asleep), (5, "r", work), start=10)
    made.task("Task-3", (58, "w", asleep), (22, "r", work), start=10)
    tasks = [span.task for span in trace_of(made.recording()).timeline.critical_path]
    assert dict.fromkeys(tasks) == dict.fromkeys(["Task-1 gathered", "Task-3 handle", "Task-1 gathered"])
    assert "Task-2 handle" not in tasks


def test_who_waits_for_a_child_process_waits_for_its_work(made: Made) -> None:
    child = [library("subprocess.py", "run"), made.at("subprocess.run")]
    made.thread((10, "on", child), (92, "off", child), (3, "on", child))
    made.process(200, "sort")
    made._log.parent = 100
    made.thread((12, "off", []), (88, "on", [made.at("return sum", "make")]))
    assert [step[1:] for step in path(trace_of(made.recording()))] == [
        ("unknown", 0, 12),
        ("make", 12, 100),
        ("main", 102, 105),
    ]


def test_children_that_are_no_python_are_followed_one_by_one(made: Made) -> None:
    child = [library("subprocess.py", "run"), made.at("subprocess.run")]
    made.thread((10, "on", child), (50, "off", child), (10, "on", child), (50, "off", child), (3, "on", child))
    for pid, start in ((200, 10), (300, 70)):
        made.process(pid)
        made.thread((50, "on", []))
        made.logs.remove(made._log)
        thread = made.threads[-1]
        thread.command, thread.start_ns, thread.end_ns, thread.at_ns[0] = (
            "sort",
            start * MS,
            (start + 50) * MS,
            start * MS,
        )
    steps = path(trace_of(made.recording()))
    assert [step[2:] for step in steps] == [(0, 10), (10, 60), (60, 70), (70, 120), (120, 123)]


def test_who_waits_on_an_empty_queue_waits_for_who_puts(made: Made) -> None:
    get = [library("threading.py", "Condition.wait"), library("queue.py", "Queue.get"), made.at("queue.get", "consume")]
    made.thread((50, "on", [made.at("return sum", "make")]), (60, "off", [WORKER]), name="producer")
    made.thread((50, "off", get), (60, "on", [made.at("queue.get", "consume")]), name="consumer")
    assert path(trace_of(made.recording())) == [("producer", "make", 0, 50), ("consumer", "consume", 50, 110)]


def test_a_wait_that_nobody_worked_to_end_is_on_the_path_itself(made: Made) -> None:
    get = [library("threading.py", "Condition.wait"), library("queue.py", "Queue.get"), made.at("queue.get", "consume")]
    made.thread((50, "off", get), (60, "on", [made.at("queue.get", "consume")]), name="consumer")
    assert path(trace_of(made.recording())) == [("consumer", "queue:empty", 0, 50), ("consumer", "consume", 50, 110)]


def test_two_that_wait_for_each_other_do_not_send_the_walk_round(made: Made) -> None:
    get = [library("threading.py", "Condition.wait"), library("queue.py", "Queue.get"), made.at("queue.get", "consume")]
    for name in ("one", "two"):
        made.thread((10, "on", get[2:]), (90, "off", get), name=name)
    steps = path(trace_of(made.recording()))
    assert [step[2] for step in steps] == [0, 10]


def test_steps_follow_each_other_without_gap_or_overlap(made: Made) -> None:
    work = [made.at("for letter", "score", "FOR_ITER")]
    for turn in range(4):
        made.thread(*((5, "on" if step % 4 == turn else "off", work) for step in range(40)), name=f"t{turn}")
    line = trace_of(made.recording()).timeline
    assert all(before.end_ns == after.start_ns for before, after in pairwise(line.critical_path))
    assert sum(span.length_s for span in line.critical_path) == pytest.approx(line.makespan_s)


def test_the_path_survives_being_written_down(made: Made) -> None:
    made.thread((10, "on", [made.at("return sum", "make")]))
    trace = trace_of(made.recording())
    again = timeline_from_json(timeline_to_json(trace.timeline))
    assert again == trace.timeline
    assert again.critical_path == trace.timeline.critical_path
    assert trace.to_dict()["critical_path"] == [
        {"cause": "work", "share": 1.0, "seconds": 0.01, "where": "make (program.py:23)", "held_by": ""}
    ]


def looks(tmp_path: Path, turns: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often the walk asks for a piece, or weighs who may have ended a wait."""
    made = Made(tmp_path, SOURCE)
    work = [made.at("for letter", "score", "FOR_ITER")]
    for turn in range(4):
        made.thread(*((5, "on" if step % 4 == turn else "off", work) for step in range(turns)), name=f"t{turn}")
    counted: Counter[str] = Counter()
    for owner, name in ((critical._Track, "before"), (critical._Track, "at_time"), (critical._Walk, "_rank")):
        function = getattr(owner, name)

        def counting(*args: object, function=function, name=name) -> object:
            counted[name] += 1
            return function(*args)

        monkeypatch.setattr(owner, name, counting)
    assert len(trace_of(made.recording()).timeline.critical_path) == turns
    monkeypatch.undo()
    return counted.total()


def test_twice_as_long_a_program_costs_twice_as_many_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    once = looks(tmp_path, 1_000, monkeypatch)
    assert looks(tmp_path, 2_000, monkeypatch) <= 2.1 * once
    assert once < 40 * 1_000


def test_a_program_without_a_task_has_no_path(made: Made) -> None:
    trace = trace_of(made.recording())
    assert trace.timeline.critical_path == ()
    assert not any(note.startswith("Critical path") for note in trace.notes())
