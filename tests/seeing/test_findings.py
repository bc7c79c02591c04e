"""What is said of a recording: each pattern that must be named, beside one like it that must not be."""

from __future__ import annotations

from pathlib import Path

import pytest

from whilst.seeing.traced import Trace, trace_of

from .made import MS, WORKER, Made, library

SOURCE = """
import time
def main():
    result = pool.submit(fetch, 1).result()
    for result in pool.map(score, texts): pass
def score(text):
    for letter in text: total += ord(letter)
def load(item):
    with lock:
        prices[item] = request(item)
def request(item):
    time.sleep(0.02)
async def handle(i):
    await asyncio.sleep(0)
    return query(i)
def query(i):
    time.sleep(0.025)
async def convert(i):
    return await loop.run_in_executor(pool, query, i)
def produce():
    queue.put(item)
def consume(item):
    item = queue.get()
    store(item)
def store(item):
    time.sleep(0.01)
"""


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path, SOURCE)


def waits_for_results(made: Made, marker: str = "pool.map") -> list:
    return [
        library("threading.py", "Condition.wait"),
        library("concurrent/futures/_base.py", "Future.result"),
        made.at(marker),
    ]


def said(trace: Trace) -> str:
    """The first three things."""
    return "\n".join(
        (trace.sentence, *trace.findings[1:2], *(f"{r.cause} {r.where} {r.held_by}" for r in trace.causes[:2]))
    )


def turns(made: Made, number: int, *, is_held: bool) -> None:
    """Four threads that work by turns of 5 ms under the GIL, or four whose waiting for it is no part of the picture."""
    at = [made.at("for letter", "score", "FOR_ITER")]
    for turn in range(number):
        rest = "off" if is_held else "on"
        stretches = [(5, "on" if step % number == turn else rest, at) for step in range(40)]
        made.thread(*stretches, name=f"ThreadPoolExecutor-0_{turn}")


def test_threads_that_take_turns_under_the_gil(made: Made) -> None:
    made.thread((200, "off", waits_for_results(made)))
    turns(made, 4, is_held=True)
    trace = trace_of(made.recording())
    assert trace.sentence.startswith(
        "4 tasks in progress, 1.0 at work, of 2 cores. 75 % of thread time held off by the GIL"
    )
    assert "in score (line 7)" in trace.sentence
    assert (trace.causes[0].cause, trace.causes[0].where) == ("gil", "score (program.py:7)")
    assert trace.unknown_share == 0


def test_threads_that_work_at_once_are_not_held_off(made: Made) -> None:
    made.thread((200, "off", waits_for_results(made)))
    turns(made, 2, is_held=False)
    trace = trace_of(made.recording())
    assert trace.sentence.startswith("2 tasks in progress, 2.0 at work, of 2 cores.")
    assert "GIL" not in said(trace)


def test_a_lock_held_over_a_wait_is_named_with_its_holder(made: Made) -> None:
    taking = [made.at("with lock", "load", "BEFORE_WITH")]
    holding = [made.at("time.sleep(0.02)", "request"), made.at("prices[item]", "load")]
    made.thread((50, "off", holding), (1, "on", holding), (49, "off", taking), name="one")
    made.thread((50, "off", taking), (1, "on", taking), (49, "off", holding), name="two")
    trace = trace_of(made.recording())
    assert "waiting for lock:lock in load (line 9), held by" in trace.sentence
    assert "in request (line 12), sleep" in trace.sentence
    row = next(row for row in trace.causes if row.cause == "lock:lock")
    assert row.where == "load (program.py:9)"
    assert "at load (program.py:10), in request (program.py:12) (sleep)" in row.held_by


def test_sleeping_inside_a_lock_that_nobody_else_wants_is_no_lock(made: Made) -> None:
    holding = [made.at("time.sleep(0.02)", "request"), made.at("prices[item]", "load")]
    made.thread((100, "off", holding), name="one")
    made.thread((100, "off", [made.at("time.sleep(0.025)", "query")]), name="two")
    assert "lock" not in said(trace_of(made.recording()))


def test_a_blocking_call_holds_the_loop(made: Made) -> None:
    inner = [made.at("time.sleep(0.025)", "query"), made.at("query(i)", "handle")]
    made.thread((100, "off", inner))
    for number in range(4):
        start = 25 * number
        made.task(f"Task-{number}", (start + 1, "h", inner[1:]), (24, "r", inner[1:]))
    trace = trace_of(made.recording())
    assert (
        "held off by the event loop, which query (line 17) blocks (sleep), for up to 24 ms at a time" in trace.sentence
    )
    assert trace.causes[0].cause == "loop"
    assert "in query (program.py:17) (sleep)" in trace.causes[0].held_by


def test_tasks_that_sleep_by_the_loop_are_not_held_off(made: Made) -> None:
    loop = library("asyncio/base_events.py", "BaseEventLoop._run_once")
    made.thread((100, "off", [library("selectors.py", "EpollSelector.select"), loop]))
    waiting = [library("asyncio/tasks.py", "sleep"), made.at("await asyncio.sleep", "handle")]
    for number in range(4):
        made.task(f"Task-{number}", (100, "w", waiting))
    trace = trace_of(made.recording())
    assert trace.sentence.startswith("4 tasks in progress, 0.0 at work")
    assert "event loop" not in said(trace)
    assert (trace.causes[0].cause, trace.causes[0].where) == ("sleep", "handle (program.py:14)")


def test_a_full_executor_holds_off_what_it_has_no_thread_for(made: Made) -> None:
    made.thread((100, "off", [library("asyncio/base_events.py", "BaseEventLoop._run_once")]))
    made.thread((100, "off", [made.at("time.sleep(0.025)", "query")]), name="asyncio_0")
    for number in range(4):
        made.task(f"Task-{number}", (25 * (number + 1), "w", [made.at("run_in_executor", "convert")]))
    trace = trace_of(made.recording())
    assert "queued, the executor being full, for convert (line 19)" in trace.sentence
    row = next(row for row in trace.causes if row.cause == "queue:executor full")
    assert row.seconds == pytest.approx(0.025 + 0.05 + 0.075)


def test_an_executor_with_threads_enough_is_not_full(made: Made) -> None:
    made.thread((100, "off", [library("asyncio/base_events.py", "BaseEventLoop._run_once")]))
    for number in range(4):
        made.thread((100, "off", [made.at("time.sleep(0.025)", "query")]), name=f"asyncio_{number}")
    for number in range(4):
        made.task(f"Task-{number}", (100, "w", [made.at("run_in_executor", "convert")]))
    assert "executor" not in said(trace_of(made.recording()))


def test_one_wait_after_the_other(made: Made) -> None:
    at = [made.at("time.sleep(0.02)", "request")]
    made.thread(*[stretch for _ in range(5) for stretch in ((20, "off", at), (1, "on", at))])
    trace = trace_of(made.recording())
    assert trace.sentence.startswith("1 task in progress, 0.0 at work, of 2 cores. One task at a time")
    assert "it waits (sleep) in request (line 12)" in trace.sentence


def test_waits_that_overlap_are_not_one_at_a_time(made: Made) -> None:
    for number in range(5):
        made.thread((100, "off", [made.at("time.sleep(0.02)", "request")]), name=f"thread {number}")
    assert "at a time" not in said(trace_of(made.recording()))


def test_one_thread_at_work_leaves_the_other_core_alone(made: Made) -> None:
    made.thread((100, "on", [made.at("for letter", "score", "FOR_ITER")]))
    sentence = trace_of(made.recording()).sentence
    assert sentence == (
        "1 task in progress, 1.0 at work, of 2 cores. "
        "One task at a time, on one core: 100 % of the time it works in score (line 7)."
    )


def test_each_result_is_waited_for_before_the_next_call(made: Made) -> None:
    waiting, at = waits_for_results(made, "submit(fetch"), [made.at("time.sleep(0.02)", "request")]
    made.thread(
        *[stretch for _ in range(5) for stretch in ((20, "off", waiting), (1, "on", [made.at("submit(fetch")]))]
    )
    idle = [WORKER]
    made.thread(*[stretch for _ in range(5) for stretch in ((19, "off", at), (2, "off", idle))], name="pool_0")
    trace = trace_of(made.recording())
    assert "One by one: main (line 4) waits for each result (lock:future) before it starts the next" in trace.sentence


def test_a_pool_that_is_kept_busy_is_not_one_by_one(made: Made) -> None:
    made.thread((100, "off", waits_for_results(made)))
    for number in range(3):
        made.thread((100, "off", [made.at("time.sleep(0.02)", "request")]), name=f"pool_{number}")
    assert "One by one" not in said(trace_of(made.recording()))


def test_threads_that_are_waited_for_one_by_one(made: Made) -> None:
    waiting = [library("threading.py", "Thread.join"), made.at("submit(fetch")]
    starting = [made.at("submit(fetch")]
    made.thread(*[stretch for _ in range(5) for stretch in ((20, "off", waiting), (1, "on", starting))])
    gone: list = []
    for number in range(5):
        at = [made.at("time.sleep(0.02)", "request")]
        made.thread((21 * number or 1, "off", [WORKER]), (20, "off", at), (1, "off", gone), name=f"Thread-{number}")
    assert "One by one: main (line 4) waits for each thread (lock:thread)" in said(trace_of(made.recording()))


def pool(made: Made, size: int, *, at: str) -> None:
    made.thread((200, "off", waits_for_results(made)))
    for number in range(size):
        stretches = [(20, "off", [made.at(at, "request"), WORKER]), (1, "on", [made.at(at, "request"), WORKER])]
        made.thread(*stretches * 9, name=f"ThreadPoolExecutor-0_{number}")


def test_a_pool_of_too_few_threads(made: Made) -> None:
    pool(made, 3, at="time.sleep(0.02)")
    sentence = trace_of(made.recording()).sentence
    assert (
        "All 3 threads of the pool are taken 100 % of the time, and they wait (sleep) in request (line 12)" in sentence
    )


def test_a_pool_of_many_threads_may_be_as_large_as_it_can_be(made: Made) -> None:
    pool(made, 9, at="time.sleep(0.02)")
    assert "threads of the pool" not in said(trace_of(made.recording()))


def test_a_pool_that_waits_for_a_lock_is_not_too_small(made: Made) -> None:
    made.thread((200, "off", waits_for_results(made)))
    for number in range(3):
        made.thread((200, "off", [made.at("with lock", "load", "BEFORE_WITH"), WORKER]), name=f"pool_{number}")
    assert "threads of the pool" not in said(trace_of(made.recording()))


def workers(made: Made, ends_ms: list[int], whole_ms: int = 200) -> None:
    made.thread((whole_ms, "off", waits_for_results(made)))
    at = [made.at("for letter", "score", "FOR_ITER")]
    for number, end in enumerate(ends_ms):
        made.process(200 + number, f"ForkProcess-{number + 1}")
        made.thread((end, "on", at), (whole_ms - end, "off", [WORKER]), name="MainThread")


def test_one_long_task_that_comes_last(made: Made) -> None:
    workers(made, [100, 190])
    trace = trace_of(made.recording())
    assert "For the last 45 % of the time one worker of 2 is busy alone, in score (line 7) (ForkProcess-2)" in said(
        trace
    )


def test_a_worker_that_is_never_seen_without_a_task_is_one_all_the_same(made: Made) -> None:
    workers(made, [100])
    made.process(300, "ForkProcess-2")
    loop = library("concurrent/futures/process.py", "_process_worker", 246)
    made.thread((200, "on", [made.at("for letter", "score", "FOR_ITER"), loop]))
    assert "For the last 50 % of the time one worker of 2 is busy alone" in said(trace_of(made.recording()))


def test_workers_that_end_together(made: Made) -> None:
    workers(made, [185, 190])
    assert "alone" not in said(trace_of(made.recording()))


def test_handing_over_that_costs_more_than_the_calls(made: Made) -> None:
    sending = [
        library("multiprocessing/synchronize.py", "SemLock.acquire"),
        library("multiprocessing/queues.py", "Queue._feed"),
    ]
    made.thread((100, "off", waits_for_results(made)))
    made.thread((80, "on", sending), (20, "off", sending), name="QueueFeederThread")
    made.process(200, "ForkProcess-1")
    receiving = [
        library("multiprocessing/connection.py", "Connection._recv"),
        library("multiprocessing/queues.py", "Queue.get"),
    ]
    made.thread((30, "on", receiving), (10, "on", [made.at("for letter", "score")]), (60, "off", [WORKER]))
    trace = trace_of(made.recording())
    assert "92 % of all work is handing calls and results over to processes, for main (line 5)" in trace.sentence
    assert "the calls are short" in trace.sentence
    assert "is their start" not in said(trace)


def test_work_of_ones_own_is_no_handing_over(made: Made) -> None:
    workers(made, [190, 190])
    assert "handing" not in said(trace_of(made.recording()))


def test_more_work_than_cores(made: Made) -> None:
    made.thread((120, "off", waits_for_results(made)))
    at = [made.at("for letter", "score", "FOR_ITER")]
    for number in range(6):
        made.process(200 + number, f"ForkProcess-{number + 1}")
        kinds = ["on" if step % 3 == number % 3 else "ready" for step in range(12)]
        made.thread(*[(10, kind, at) for kind in kinds])
    trace = trace_of(made.recording())
    assert "67 % of task time ready, but without a core: 6 tasks want 2, in score (line 7)" in trace.sentence
    assert trace.causes[0].cause == "core"


def test_as_many_as_there_are_cores_want_no_more(made: Made) -> None:
    workers(made, [190, 190])
    assert "without a core" not in said(trace_of(made.recording()))


def woken(made: Made, apart_ms: float) -> Trace:
    """A thread works all the time; another is woken now and then in its queue's `get`, and looked at once."""
    made.thread((200, "on", [made.at("for letter", "score")]), name="producer")
    get = [library("threading.py", "Condition.wait"), library("queue.py", "Queue.get"), made.at("queue.get", "consume")]
    turns = [(apart_ms, "off", None), (0.1, "on", None)] * round(200 / (apart_ms + 0.1))
    made.thread((0.1, "on", get), *turns, name="consumer")
    return trace_of(made.recording())


def test_who_is_woken_and_sleeps_for_a_turn_waits_for_the_gil(made: Made) -> None:
    assert "held off by the GIL, in consume (line 23)" in said(woken(made, 5))


def test_who_is_woken_and_sleeps_for_longer_waits_for_the_next_item(made: Made) -> None:
    trace = woken(made, 16)
    assert "because the queue is empty, while producer is in score (line 7), at work" in said(trace)
    assert "GIL" not in said(trace)


def test_several_holders_are_many(made: Made) -> None:
    taking = [made.at("with lock", "load", "BEFORE_WITH")]
    asleep = [made.at("time.sleep(0.02)", "request")]
    event = [library("threading.py", "Event.wait"), made.at("queue.get", "consume")]
    made.thread(*((50, "off", event), (1, "on", taking)) * 2, name="waiter")
    made.thread((51, "off", asleep), (51, "off", [WORKER]), name="one")
    made.thread((51, "off", [WORKER]), (51, "off", asleep), name="two")
    assert "while one and 1 other are in request" in said(trace_of(made.recording()))


def test_a_full_queue_names_who_is_slow(made: Made) -> None:
    made.thread(
        (
            90,
            "off",
            [
                library("threading.py", "Condition.wait"),
                library("queue.py", "Queue.put"),
                made.at("queue.put", "produce"),
            ],
        )
    )
    made.thread((90, "off", [made.at("time.sleep(0.01)", "store"), made.at("store(item)", "consume")]), name="consumer")
    sentence = trace_of(made.recording()).sentence
    assert "in produce (line 21) because the queue is full, while consumer is in store (line 26), sleep" in sentence


def test_garbage_collection_is_work_with_a_name(made: Made) -> None:
    made.thread((100, "on", [made.at("for letter", "score", "FOR_ITER")]))
    made.collected(10, 60)
    trace = trace_of(made.recording())
    assert "50 % of all work is garbage collection (gc), most of it in score (line 7)" in said(trace)
    assert trace.timeline.work_s == pytest.approx(0.1)


def test_what_was_never_seen_is_unknown_and_counted(made: Made) -> None:
    made.thread((50, "on", [made.at("for letter", "score")]), (50, "off", [made.at("def main")]))
    made.threads[0].calls.append((75 * MS, "mystery"))
    trace = trace_of(made.recording())
    assert trace.unknown_share == 1
    assert "100 % of the time off a core has no known cause" in " ".join(trace.notes())


def test_the_spans_of_a_trace_cover_what_the_clock_said(made: Made) -> None:
    made.thread((200, "off", waits_for_results(made)))
    turns(made, 4, is_held=True)
    line = trace_of(made.recording()).timeline
    assert (line.work_s, line.held_s, line.wait_s) == (pytest.approx(0.2), pytest.approx(0.6), 0)
    assert line.concurrency == pytest.approx(4)
    assert {span.label for span in line} == {"score", "gil"}


def test_without_a_clock_threads_are_told_by_where_they_stand(made: Made) -> None:
    at = [made.at("time.sleep(0.02)", "request")]
    made.thread((80, "off", at), (20, "on", [made.at("for letter", "score", "FOR_ITER")]))
    line = trace_of(made.recording("stacks")).timeline
    assert (line.wait_s, line.work_s) == (pytest.approx(0.08, abs=1e-6), pytest.approx(0.02, abs=1e-6))


def test_what_was_seen_in_part_is_what_stood_there_whole(tmp_path: Path) -> None:
    made = Made(tmp_path, SOURCE, has_gil=False)
    inner = library("queue.py", "Queue.get")
    made.thread((90, "off", [inner]), (1, "on", []), (10, "off", [inner, made.at("item = queue.get")]))
    row = trace_of(made.recording()).causes[0]
    assert (row.cause, row.where) == ("queue:empty", "main (program.py:23)")
    assert row.share > 0.95


def test_what_stood_there_on_behalf_of_two_lines_stays_as_it_was_seen(tmp_path: Path) -> None:
    made = Made(tmp_path, SOURCE, has_gil=False)
    inner = library("queue.py", "Queue.get")
    whole = [(10, "off", [inner, made.at(marker)]) for marker in ("item = queue.get", "queue.put(item)")]
    made.thread((90, "off", [inner]), (1, "on", []), whole[0], (1, "on", []), whole[1])
    assert "program.py" not in trace_of(made.recording()).causes[0].where
