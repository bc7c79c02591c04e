"""Days performed for real, on threads and processes of this machine. What took how long is a benchmark's matter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from whilst.comparing.days import MOST_THREADS, clocks, perform, perform_naively
from whilst.comparing.days.clocks import Recorder, burn
from whilst.errors import DayError, WorkerDiedError
from whilst.model import Day, Kind, Mode, Task, Timeline, wait, work
from whilst.planning import plan, read_day

STORY = Path(__file__).parents[3] / "examples" / "story.toml"


def short_story() -> Day:
    day = read_day(STORY)
    return Day(day.executors, day.tasks, day.name, day.unit, day.unit_s, performed_unit_s=0.01)


@pytest.mark.parametrize("mode", Mode)
def test_every_step_is_done_in_order_and_after_what_it_depends_on(mode: Mode) -> None:
    day = short_story()
    performed = perform(day, plan(day, mode))
    _check_story(performed, day)
    assert performed.makespan_s >= plan(day, mode).bound_s * day.performed_unit_s / day.unit_s
    assert not performed.is_predicted
    assert performed.executors == (("you", "assistant") if mode.uses_several_executors else ("you",))


def test_naive_threads_do_every_step_too() -> None:
    day = short_story()
    performed = perform_naively(day)
    _check_story(performed, day)
    assert len(performed.executors) == 3


def _check_story(performed: Timeline, day: Day) -> None:
    assert performed.unit == "h"
    for task in day.tasks:
        spans = sorted((span for span in performed if span.task == task.name), key=lambda span: span.start_ns)
        labels = list(dict.fromkeys(span.label for span in spans))
        assert labels == [step.label for step in task.steps]
        for one, other in pairwise(spans):
            assert one.end_ns <= other.start_ns
        worked_s = sum(span.length_s for span in spans if span.kind is Kind.WORK)
        # Work is CPU time, and the clock of a thread never runs faster than the wall's.
        assert worked_s >= task.work_s / day.unit_s * day.performed_unit_s * 0.99
    ends = {span.task: span.end_ns for span in sorted(performed, key=lambda span: span.end_ns)}
    assert min(span.start_ns for span in performed if span.task == "edits") >= ends["draft"]


def test_two_executors_perform_at_the_same_time_in_processes_of_their_own() -> None:
    day = Day(("a", "b"), (Task("one", (wait(0.2),), by=("a",)), Task("two", (wait(0.2),), by=("b",))))
    performed = perform(day, plan(day, Mode.PARALLEL))
    assert performed.concurrency_steps.maximum == 2


def test_a_message_reaches_an_executor_that_works_and_one_that_sleeps() -> None:
    tasks = (
        Task("first", (work(0.02),), by=("a",)),
        Task("own", (work(0.05),), by=("b",)),
        Task("then", (work(0.01), wait(0.01), work(0.01)), after=("first",), by=("b",)),
        Task("last", (work(0.01),), after=("then",), by=("a",)),
    )
    day = Day(("a", "b"), tasks)
    for mode in (Mode.PARALLEL, Mode.COMBINED):
        performed = perform(day, plan(day, mode))
        starts = {span.task: span.start_ns for span in reversed(list(performed))}
        ends = {span.task: span.end_ns for span in performed}
        assert starts["then"] >= ends["first"]
        assert starts["last"] >= ends["then"]


def test_too_many_tasks_for_naive_threads_are_refused() -> None:
    day = Day(("e",), tuple(Task(f"t{number}", (work(0),)) for number in range(MOST_THREADS + 1)))
    with pytest.raises(DayError, match="naive threads"):
        perform_naively(day)


def test_burning_uses_the_cpu_time_asked_for_and_an_interruption_ends_it() -> None:
    recorder = Recorder()
    before = time.thread_time_ns()
    _, used, _ = burn(5_000_000, recorder, (0, "x"))
    assert 5_000_000 <= used <= time.thread_time_ns() - before
    _, used, _ = burn(10_000_000_000, recorder, (0, "x"), lambda now: True)
    assert used < 1_000_000_000
    assert {row[4] for row in recorder.rows} == {"x"}


def test_where_the_clocks_part_a_held_off_span_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    instants = iter(range(0, 1 << 40, 1_000_000))
    monkeypatch.setattr(clocks.time, "perf_counter_ns", lambda: next(instants))
    cpu = iter([0, 1_000_000, 1_000_000, 1_000_000, 2_000_000])
    monkeypatch.setattr(clocks.time, "thread_time_ns", lambda: next(cpu))
    recorder = Recorder()
    burn(2_000_000, recorder, (7, ""))
    assert [row[:4] for row in recorder.rows] == [
        (7, Kind.WORK, 0, 1_000_000),
        (7, Kind.HELD, 1_000_000, 2_000_000),
        (7, Kind.HELD, 2_000_000, 3_000_000),
        (7, Kind.WORK, 3_000_000, 4_000_000),
    ]


def executors() -> list[psutil.Process]:
    """The workers: children of the server that forks them, which is a child of this process."""
    servers = [each for each in psutil.Process().children() if "fork_server" in " ".join(each.cmdline())]
    return [worker for server in servers for worker in server.children()]


def test_a_killed_executor_is_named_with_its_signal_and_the_others_are_ended() -> None:
    day = Day(("a", "b"), (Task("one", (wait(60),), by=("a",)), Task("two", (wait(60),), by=("b",))))

    is_over = threading.Event()

    def kill_one() -> None:
        while not is_over.wait(0.2):  # one that is killed before its task begins is replaced
            if len(found := executors()) == 2:
                found[0].kill()

    killer = threading.Thread(target=kill_one)
    killer.start()
    try:
        with pytest.raises(WorkerDiedError, match="SIGKILL"):
            perform(day, plan(day, Mode.PARALLEL))
    finally:
        is_over.set()
        killer.join()
    assert not executors()


PERFORM_LONG = """
import sys
from whilst.model import Day, Task, wait, work
from whilst.planning import plan
from whilst.comparing.days import perform, perform_naively
day = Day(("a", "b"), (Task("one", (work(60),), by=("a",)), Task("two", (wait(60),), by=("a", "b"))))
try:
    print("begun", flush=True)
    perform_naively(day) if sys.argv[1] == "naive" else perform(day, plan(day, sys.argv[1]))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("how", [*Mode, "naive"])
def test_ctrl_c_ends_a_performance_and_leaves_no_process(how: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PERFORM_LONG, str(how)], stdout=subprocess.PIPE, start_new_session=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"begun\n"
        children = _wait_for_children(program.pid, 3 if how in (Mode.PARALLEL, Mode.COMBINED) else 0)
        os.killpg(program.pid, signal.SIGINT)
        assert program.wait(timeout=30) == 130
    assert not _still_running(children)


def test_executors_end_when_the_process_that_performs_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PERFORM_LONG, "parallel"], stdout=subprocess.PIPE) as program:
        children = _wait_for_children(program.pid, 3)
        program.kill()
        program.wait()
    psutil.wait_procs(children, timeout=30)
    assert not _still_running(children)


def _wait_for_children(pid: int, count: int) -> list[psutil.Process]:
    while len(children := psutil.Process(pid).children(recursive=True)) < count:
        time.sleep(0.01)
    return children


def _still_running(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
