"""Worker processes, driven by hand: what the protocol promises, one promise after the other."""

from __future__ import annotations

import contextvars
import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from whilst.errors import NotPicklableError
from whilst.running.backends.processes import ProcessBackend
from whilst.running.calls.process_state import ProcessState
from whilst.running.jobs import Batch, Event, Finished, Job, WorkerDied, WorkerReady, WorkerStopped

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
PATIENCE_S = 30.0

STYLES = [
    pytest.param({}, id="serial"),
    pytest.param({"slots": 3}, id="threads"),
    pytest.param({"slots": 3, "overlaps": True}, id="loop"),
]


class Runner:
    """One backend, and what it has said so far."""

    def __init__(self, kind: type[ProcessBackend] = ProcessBackend, **keywords: Any) -> None:
        self.backend = kind(**keywords)
        self.events: list[Event] = []
        self._numbers = iter(range(1_000_000))

    def look(self, until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not until():
            assert time.monotonic() < deadline, self.events
            self.events += self.backend.events(1.0)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]

    def start(self, *workers: int) -> None:
        for worker in workers:
            self.backend.start_worker(worker)
        self.look(lambda: {event.worker for event in self.of(WorkerReady)} >= set(workers))

    def send(self, worker: int, job: Job, ids: Sequence[int], items: Sequence[object], **keywords: Any) -> int:
        number = next(self._numbers)
        self.backend.send(worker, Batch(number, job, ids, items, **keywords))
        return number

    def finished(self, number: int) -> tuple[dict[int, Any], dict[int, BaseException]]:
        self.look(lambda: any(event.number == number and event.is_last for event in self.of(Finished)))
        values: dict[int, Any] = {}
        errors: dict[int, BaseException] = {}
        for event in self.of(Finished):
            if event.number == number:
                assert len(event.ids) == len(event.values)
                values.update(zip(event.ids, event.values, strict=True))
                errors.update(event.errors)
        return values, errors

    def call(self, fn: Callable[..., object], items: Sequence[object], **keywords: Any) -> dict[int, Any]:
        """Results by id, of worker 0."""
        number = self.send(0, Job(0, fn, **keywords), range(len(items)), items)
        values, errors = self.finished(number)
        for error in errors.values():
            raise error
        return values


@pytest.fixture
def runner() -> Iterator[Runner]:
    runner = Runner()
    yield runner
    runner.backend.close(kill=True)


@pytest.fixture(params=STYLES)
def any_runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    runner = Runner(**request.param)
    yield runner
    runner.backend.close(kill=True)


def test_results_come_back_by_id(any_runner: Runner) -> None:
    any_runner.start(0)
    number = any_runner.send(0, Job(0, lambda x: x * x), [7, 3, 9], [1, 2, 3])
    assert any_runner.finished(number) == ({7: 1, 3: 4, 9: 9}, {})


@pytest.mark.parametrize("is_timed", [True, False])
@pytest.mark.parametrize("count", [1, 10, 5000])
def test_batches_of_every_size_are_answered_in_full(runner: Runner, count: int, is_timed: bool) -> None:
    runner.start(0)
    numbers = [
        runner.send(0, Job(0, lambda x: x + 1), range(count), list(range(count)), is_timed=is_timed) for _ in "ab"
    ]
    for number in numbers:
        values, errors = runner.finished(number)
        assert not errors
        assert [values[each] for each in range(count)] == list(range(1, count + 1))


def test_times_are_this_clock_s(any_runner: Runner) -> None:
    any_runner.start(0)
    before = time.perf_counter_ns()
    number = any_runner.send(0, Job(0, lambda x: x), range(5), list(range(5)))
    any_runner.finished(number)
    after = time.perf_counter_ns()
    for event in any_runner.of(Finished):
        assert before <= event.start_ns <= event.end_ns <= after
        assert len(event.starts_ns) == len(event.ends_ns) == len(event.ids)


def test_star_and_whole_calls(runner: Runner) -> None:
    runner.start(0)
    assert runner.call(lambda a, b: a - b, [(5, 3)], how="star") == {0: 2}
    whole = [(lambda a, b=0: a - b, (5,), {"b": 1}), (os.path.basename, ("/a/b",), {})]
    assert runner.call(lambda: None, whole, how="call") == {0: 4, 1: "b"}


def test_coroutines_are_awaited(any_runner: Runner) -> None:
    async def later(x: int) -> int:
        import asyncio

        await asyncio.sleep(0)
        return x

    any_runner.start(0)
    assert any_runner.call(later, [1, 2], is_coroutine=True) == {0: 1, 1: 2}
    assert any_runner.call(lambda x: later(x), [1, 2]) == {0: 1, 1: 2}


def test_errors_stand_beside_results(any_runner: Runner) -> None:
    any_runner.start(0)
    number = any_runner.send(0, Job(0, lambda x: 1 // x), range(3), [1, 0, 2])
    values, errors = any_runner.finished(number)
    assert values == {0: 1, 1: None, 2: 0}
    assert type(errors[1]) is ZeroDivisionError


def test_a_batch_ends_at_its_first_error_if_asked(runner: Runner) -> None:
    runner.start(0)
    for is_timed in (True, False):
        job = Job(0, lambda x: 1 // x, stops_at_error=True)
        number = runner.send(0, job, range(200), [1, 0, *range(1, 199)], is_timed=is_timed)
        values, errors = runner.finished(number)
        assert set(values) == {0, 1}
        assert set(errors) == {1}


def test_what_is_printed_arrives_in_order(any_runner: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    def speak(x: int) -> None:
        print("out", x)
        print("err", x, file=sys.stderr)
        sys.stdout.buffer.write(b"raw %d\n" % x)

    any_runner.start(0)
    any_runner.call(speak, [1])
    any_runner.call(speak, [2])
    said = capsys.readouterr()
    assert said.out == "out 1\nraw 1\nout 2\nraw 2\n"
    assert said.err == "err 1\nerr 2\n"


def test_what_children_of_a_worker_print_arrives(runner: Runner, capfd: pytest.CaptureFixture[str]) -> None:
    runner.start(0)
    runner.call(lambda x: os.system("echo to stdout; echo to stderr >&2"), [0])
    said = capfd.readouterr()
    assert said.out == "to stdout\n"
    assert said.err == "to stderr\n"


def test_log_records_arrive_at_the_handlers_here(any_runner: Runner, caplog: pytest.LogCaptureFixture) -> None:
    def log(x: int) -> None:
        logger = logging.getLogger("some.library")
        logger.debug("not asked for %d", x)
        logger.info("item %d", x)
        try:
            1 // 0  # noqa: B018
        except ZeroDivisionError:
            logger.exception("failed %s", {"x": x})

    any_runner.start(0)
    with caplog.at_level(logging.INFO, "some.library"):
        any_runner.call(log, [1])
    assert [record.getMessage() for record in caplog.records] == ["item 1", "failed {'x': 1}"]
    assert "ZeroDivisionError" in caplog.text


def test_warnings_go_through_the_filters_here(runner: Runner) -> None:
    def warn(x: int) -> int:
        warnings.warn(f"item {x}", UserWarning, stacklevel=1)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        return x

    runner.start(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", DeprecationWarning)
        runner.call(warn, [1, 2])
    assert [str(each.message) for each in caught] == ["item 1", "item 2"]
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="item 3"):
            runner.call(warn, [3])


def test_context_variables_are_those_of_the_caller(any_runner: Runner) -> None:
    any_runner.start(0)
    token = variable.set("from the caller")
    context = contextvars.copy_context()
    variable.reset(token)
    assert any_runner.call(lambda x: variable.get(), [0], context=context) == {0: "from the caller"}
    assert any_runner.call(lambda x: variable.get(), [0]) == {0: "unset"}


def test_directory_and_environment_are_those_of_the_call(runner: Runner, tmp_path: Path) -> None:
    runner.start(0)
    env = {b"PATH": os.environb[b"PATH"], b"ONLY": b"this"}

    def look(x: int) -> tuple[str, str | None, int]:
        return str(Path.cwd()), os.environ.get("ONLY"), len(os.environ)

    assert runner.call(look, [0], process_state=ProcessState(str(tmp_path), env))[0] == (str(tmp_path), "this", 2)


def test_threads_of_native_libraries_are_limited_and_nobody_sees_it() -> None:
    runner = Runner(native_threads=1)
    try:
        runner.start(0)

        def look(x: int) -> tuple[str | None, int]:
            import ctypes

            getenv = ctypes.CDLL(None).getenv
            getenv.restype = ctypes.c_char_p
            return os.environ.get("OMP_NUM_THREADS"), int(getenv(b"OMP_NUM_THREADS") or 0)

        assert runner.call(look, [0]) == {0: (os.environ.get("OMP_NUM_THREADS"), 1)}
    finally:
        runner.backend.close(kill=True)


def test_draws_depend_on_seed_and_id(runner: Runner) -> None:
    import random

    runner.start(0)
    job = Job(0, lambda x: random.random(), seed=3)
    first = runner.finished(runner.send(0, job, [0, 1, 2, 3], "abcd"))[0]
    again = runner.finished(runner.send(0, job, [3, 1], "db"))[0]
    assert again == {each: first[each] for each in (3, 1)}
    assert len(set(first.values())) == 4


@pytest.mark.parametrize("count", [1, 3])
def test_large_arrays_there_and_back(any_runner: Runner, count: int) -> None:
    any_runner.start(0)
    arrays = [np.full(1 << 18, float(number)) for number in range(count)]
    for _ in range(3):
        values = any_runner.call(lambda a: a + 1, arrays)
        assert all((values[number] == number + 1).all() for number in range(count))


def test_large_batches_are_sent_as_the_worker_takes_them(any_runner: Runner) -> None:
    any_runner.start(0)
    arrays = [np.full(1 << 19, float(number)) for number in range(8)]
    job = Job(0, lambda a: float(a[0]))
    numbers = [any_runner.send(0, job, range(k * 8, k * 8 + 8), arrays) for k in range(2)]
    any_runner.backend.stop_worker(0)
    for k, number in enumerate(numbers):
        assert any_runner.finished(number) == ({k * 8 + each: float(each) for each in range(8)}, {})
    any_runner.look(lambda: bool(any_runner.of(WorkerStopped)))


def test_large_batches_are_taken_back_and_given_up_in_full(runner: Runner) -> None:
    runner.start(0, 1)
    arrays = [np.full(1 << 19, float(number)) for number in range(8)]
    job = Job(0, lambda a: time.sleep(60) if a[0] == 0 else a[0])
    for worker in (0, 1):
        runner.send(worker, job, range(worker * 8, worker * 8 + 8), arrays)
        runner.look(lambda: bool(runner.backend.running(worker)))  # noqa: B023 - called before the loop goes on
    assert sorted(runner.backend.recall(0)) == list(range(1, 8))
    for worker in (0, 1):
        runner.backend.stop_worker(worker, kill=True)
    runner.look(lambda: len(runner.of(WorkerDied)) == 2)
    died = {event.worker: event for event in runner.of(WorkerDied)}
    assert (list(died[0].running), list(died[0].not_begun)) == ([0], [])
    assert (list(died[1].running), list(died[1].not_begun)) == ([8], list(range(9, 16)))


def test_a_worker_may_keep_and_change_an_argument(runner: Runner) -> None:
    kept: list[Any] = []

    def keep(a: Any) -> float:
        kept.append(a)
        a[0] = len(kept)
        return float(sum(each[1] for each in kept))

    runner.start(0)
    job = Job(0, keep)
    sums = []
    for number in range(4):
        array = np.full(1 << 17, float(10**number))
        sums.append(runner.finished(runner.send(0, job, [number], [array]))[0][number])
        assert array[0] == 10**number
    assert sums == [1, 11, 111, 1111]


def test_a_large_function_reaches_every_worker(runner: Runner) -> None:
    table = np.arange(200_000.0)
    runner.start(0, 1)
    job = Job(0, lambda x: table[x])
    for worker in (0, 1):
        assert runner.finished(runner.send(worker, job, [0], [7]))[0] == {0: 7.0}


def test_what_can_t_be_pickled_fails_alone_and_says_why(any_runner: Runner) -> None:
    any_runner.start(0)
    items = [1, {"deep": [threading.Lock()]}, 3]
    values, errors = any_runner.finished(any_runner.send(0, Job(0, str), range(3), items))
    assert values == {0: "1", 1: None, 2: "3"}
    assert type(errors[1]) is NotPicklableError
    assert "['deep'][0]" in str(errors[1])
    values, errors = any_runner.finished(
        any_runner.send(0, Job(0, lambda x: threading.Lock() if x else x), range(2), [0, 1])
    )
    assert values[0] == 0
    assert "result is a _thread.lock" in str(errors[1])


def test_a_function_that_can_t_be_pickled_fails_every_call(runner: Runner) -> None:
    lock = threading.Lock()
    runner.start(0)
    _, errors = runner.finished(runner.send(0, Job(0, lambda x: lock), range(3), "abc"))
    assert set(errors) == {0, 1, 2}
    assert "closure variable 'lock'" in str(errors[0])


def test_instances_of_classes_only_this_process_can_import_travel(runner: Runner) -> None:
    """Test modules are such: pytest imports them under names that are not on the path."""

    class Local:
        def __init__(self, x: int) -> None:
            self.x = x

    runner.start(0)
    values = runner.call(lambda each: Box(each.x + 1), [Local(1), Box(2)])
    assert [type(values[each]) for each in (0, 1)] == [Box, Box]
    assert [values[each].x for each in (0, 1)] == [2, 3]


class Box:
    def __init__(self, x: int) -> None:
        self.x = x


def test_what_is_running_can_be_seen(any_runner: Runner) -> None:
    any_runner.start(0)
    any_runner.send(0, Job(0, time.sleep), [42], [60])
    any_runner.look(lambda: bool(any_runner.backend.running(0)))
    [(number, start_ns)] = any_runner.backend.running(0)
    assert number == 42
    assert start_ns <= time.perf_counter_ns()
    any_runner.backend.stop_worker(0, kill=True)
    any_runner.look(lambda: bool(any_runner.of(WorkerDied)))
    [died] = any_runner.of(WorkerDied)
    assert list(died.running) == [42]
    assert died.exit_code == -signal.SIGKILL


def test_a_worker_that_is_stopped_finishes_first(any_runner: Runner) -> None:
    any_runner.start(0)
    numbers = [any_runner.send(0, Job(0, lambda x: x), range(50), list(range(50))) for _ in range(3)]
    any_runner.backend.stop_worker(0)
    for number in numbers:
        assert len(any_runner.finished(number)[0]) == 50
    any_runner.look(lambda: bool(any_runner.of(WorkerStopped)))
    assert not any_runner.of(WorkerDied)


@pytest.mark.parametrize("is_timed", [True, False])
def test_calls_taken_back_are_not_made_and_all_others_are(runner: Runner, tmp_path: Path, is_timed: bool) -> None:
    """Many times over, since it is a race: what is made is noted by the calls themselves."""
    runner.start(0)
    log = tmp_path / "made"

    def note(x: int) -> int:
        with log.open("a") as file:
            file.write(f"{x}\n")
        return x

    job = Job(0, note)
    for trial in range(15):
        log.write_text("")
        numbers = [
            runner.send(0, job, range(k * 100, k * 100 + 100), list(range(k * 100, k * 100 + 100)), is_timed=is_timed)
            for k in range(3)
        ]
        if trial % 3:
            runner.look(lambda: log.stat().st_size > 60 * trial)  # noqa: B023 - called before the loop goes on
        recalled = list(runner.backend.recall(0))
        values: dict[int, Any] = {}
        for number in numbers:
            values |= runner.finished(number)[0]
        made = [int(line) for line in log.read_text().split()]
        assert len(made) == len(set(made))
        assert set(made) == set(values)
        assert set(made) | set(recalled) == set(range(300))
        assert not set(made) & set(recalled)


def test_a_worker_over_its_memory_limit_is_let_go_between_batches() -> None:
    # Above what a worker has at its start, so how big this process has grown is all the same.
    runner = Runner(memory_limit_bytes=200 << 20)
    hoard: list[bytes] = []

    def leak(x: int) -> int:
        hoard.append(b"x" * (400 << 20))
        time.sleep(0.06)
        return x

    try:
        runner.start(0)
        job = Job(0, leak)
        first = runner.send(0, job, [0], [0])
        runner.send(0, job, [1], [1])
        assert runner.finished(first)[0] == {0: 0}
        runner.look(lambda: bool(runner.of(WorkerDied)))
        [died] = runner.of(WorkerDied)
        assert (list(died.running), list(died.lost), list(died.not_begun)) == ([], [], [1])
        assert died.reason == "over its memory limit"
    finally:
        runner.backend.close(kill=True)


def test_results_that_had_ended_survive_their_worker(any_runner: Runner) -> None:
    def die_at_5(x: int) -> Any:
        if x == 5:
            os._exit(9)
        return x, [x]

    any_runner.start(0)
    any_runner.send(0, Job(0, die_at_5), range(10), list(range(10)))
    any_runner.look(lambda: bool(any_runner.of(WorkerDied)))
    [died] = any_runner.of(WorkerDied)
    values = {number: value for e in any_runner.of(Finished) for number, value in zip(e.ids, e.values, strict=True)}
    assert 5 in died.running
    assert died.exit_code == 9
    assert set(values) | set(died.running) | set(died.not_begun) | set(died.lost) == set(range(10))
    assert all(values[number] == (number, [number]) for number in values)
    if any_runner.backend.slots == 1:
        assert set(values) == set(range(5))
        assert list(died.not_begun) == [6, 7, 8, 9]


def test_batches_sent_to_a_worker_that_has_just_died_have_not_begun(runner: Runner) -> None:
    """Whoever sends may not have seen the event yet; every call is named in it, and there is one."""
    runner.start(0)
    job = Job(0, lambda x: os._exit(1) if x == 0 else x)
    runner.send(0, job, [0, 1], [0, 1])
    pid = runner.of(WorkerReady)[0].pid
    while psutil.pid_exists(pid):
        time.sleep(0.001)
    runner.send(0, job, [2], [2])
    runner.backend._look(0)
    runner.send(0, job, [3, 4], [3, 4])
    runner.send(0, job, [5], [5])
    runner.look(lambda: bool(runner.of(WorkerDied)))
    runner.events += runner.backend.events(0)
    [died] = runner.of(WorkerDied)
    assert list(died.running) == [0]
    assert list(died.not_begun) == [1, 2, 3, 4, 5]


class DiesLoaded:
    def __init__(self, main: int) -> None:
        self.main = main

    def __setstate__(self, state: dict[str, int]) -> None:
        if os.getpid() != state["main"]:
            os._exit(7)


def test_an_argument_that_ends_the_worker_while_it_is_loaded_is_found(runner: Runner) -> None:
    """Nobody knows which of a batch it was; sent again, each travels alone."""
    runner.start(0, 1, 2)
    job = Job(0, lambda x: 1)
    items = [1, DiesLoaded(os.getpid()), 3]
    runner.send(0, job, range(3), items)
    runner.look(lambda: len(runner.of(WorkerDied)) == 1)
    [died] = runner.of(WorkerDied)
    assert list(died.not_begun) == [0, 1, 2]
    runner.send(1, job, range(3), items)
    runner.look(lambda: len(runner.of(WorkerDied)) == 2)
    died = runner.of(WorkerDied)[1]
    assert list(died.running) == [1]
    assert list(died.not_begun) == [2]


def test_the_last_lines_of_stderr_are_at_hand(runner: Runner) -> None:
    def crash(x: int) -> None:
        print("through Python", file=sys.stderr)
        os.write(2, b"past Python\n")
        os.kill(os.getpid(), signal.SIGKILL)

    runner.start(0)
    runner.send(0, Job(0, crash), [0], [0])
    runner.look(lambda: bool(runner.of(WorkerDied)))
    [died] = runner.of(WorkerDied)
    assert died.stderr_tail == "through Python\npast Python"


def test_wake_wakes(runner: Runner) -> None:
    threading.Timer(0.01, runner.backend.wake).start()
    assert runner.backend.events(PATIENCE_S) == []


def test_closing_twice_and_closing_what_was_never_started() -> None:
    backend = ProcessBackend()
    backend.close(kill=False)
    backend.close(kill=True)


@pytest.mark.parametrize("kill", [True, False])
def test_nothing_outlives_close(any_runner: Runner, kill: bool) -> None:
    any_runner.start(0, 1)
    pids = [event.pid for event in any_runner.of(WorkerReady)]
    if kill:
        any_runner.send(0, Job(0, time.sleep), [0], [60])
    any_runner.backend.close(kill=kill)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_the_server_killed_takes_its_workers_with_it_and_the_next_worker_gets_a_new_one(runner: Runner) -> None:
    runner.start(0)
    runner.send(0, Job(0, time.sleep), [0], [60])
    pid = runner.of(WorkerReady)[0].pid
    parent = psutil.Process(pid).parent()
    assert parent is not None
    parent.kill()
    runner.look(lambda: bool(runner.of(WorkerDied)))
    runner.look(lambda: not psutil.pid_exists(pid))
    runner.start(1)
    assert runner.finished(runner.send(1, Job(0, abs), [0], [-1]))[0] == {0: 1}


def test_several_back_ends_share_one_server() -> None:
    runners = [Runner() for _ in range(3)]
    try:
        for runner in runners:
            runner.start(0)
        pids = [runner.of(WorkerReady)[0].pid for runner in runners]
        assert len({psutil.Process(pid).ppid() for pid in pids}) == 1
        runners[0].backend.close(kill=False)
        assert runners[1].call(abs, [-2]) == {0: 2}
    finally:
        for runner in runners:
            runner.backend.close(kill=True)


def test_what_calls_print_is_said_in_the_order_of_the_calls(
    runner: Runner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = tmp_path / "gate"

    def speak(x: int) -> None:
        while x == 0 and not gate.exists():
            time.sleep(0.001)
        print("call", x)

    runner.start(0, 1)
    job = Job(0, speak)
    first = runner.send(0, job, [0], [0])
    second = runner.send(1, job, [1, 2], [1, 2])
    runner.finished(second)
    assert capsys.readouterr().out == ""
    gate.touch()
    runner.finished(first)
    assert capsys.readouterr().out == "call 0\ncall 1\ncall 2\n"
