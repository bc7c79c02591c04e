"""What goes wrong in worker processes, and what happens then. None of it may hang, or cost another call."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import signal
import subprocess
import sys
import textwrap
import time
import traceback
from pathlib import Path
from typing import Any

import psutil
import pytest

from whilst.errors import NotPicklableError, WorkerDiedError
from whilst.running.options import Keywords
from whilst.running.verbs.api import imap, map  # noqa: A004 - the verb under test

from . import hostile

WAYS: dict[str, Keywords] = {
    "processes": {"mode": "parallel", "workers": 2},
    "processes-threads": {"backend": "processes*threads", "workers": 2},
}
SOURCE = Path(__file__).parents[2] / "src"
PATIENCE_S = 20.0


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def way(request: pytest.FixtureRequest) -> Keywords:
    return request.param


def others(results: Any, spared: int) -> list[object]:
    return [value for number, value in enumerate(results) if number != spared]


@pytest.mark.parametrize("how", hostile.DEATHS)
def test_a_worker_that_dies_costs_only_the_call_it_made(how: str) -> None:
    results = map(functools.partial(hostile.die_at_4, how=how), range(12), mode="parallel", workers=2, errors="return")
    assert others(results, 4) == [x * 10 for x in range(12) if x != 4]
    error = results[4]
    assert isinstance(error, WorkerDiedError)
    assert "last words" in str(error)


def test_a_call_that_was_running_is_made_again_if_asked(tmp_path: Path, way: Keywords) -> None:
    fn = functools.partial(hostile.die_once, marker=str(tmp_path / "died"))
    assert list(map(fn, range(12), retries=2, **way)) == [x * 10 for x in range(12)]


def test_a_call_that_kills_every_worker_is_not_told_to_be_made_again() -> None:
    fn = functools.partial(hostile.die_at_4, how=next(iter(hostile.DEATHS)))
    once, thrice = (map(fn, range(6), mode="parallel", workers=2, retries=n, errors="return")[4] for n in (0, 2))
    assert "Pass retries=1" in str(once)
    assert "Pass retries" not in str(thrice)
    assert "begun 3 times" in str(thrice)


def test_no_call_is_made_twice_because_another_died(tmp_path: Path) -> None:
    log = tmp_path / "made"
    fn = functools.partial(hostile.note_and_die_at_9, path=str(log))
    map(fn, range(30), mode="parallel", workers=2, errors="return")
    assert sorted(int(line) for line in log.read_text().split()) == list(range(30))


@pytest.mark.parametrize("kind", [hostile.ExitsLoaded, hostile.KilledLoaded])
def test_an_argument_that_kills_whoever_loads_it_costs_only_its_own_call(kind: type[Any]) -> None:
    items = [0, 1, kind(), 3, 4, 5, 6, 7]
    results = map(hostile_id, items, mode="parallel", workers=2, errors="return")
    assert others(results, 2) == [0, 1, 3, 4, 5, 6, 7]
    assert isinstance(results[2], WorkerDiedError)


def hostile_id(x: Any) -> Any:
    return x if isinstance(x, int) else None


@pytest.mark.parametrize("kind", [hostile.DiesPickled, hostile.DiesLoaded])
def test_an_argument_that_can_t_travel_costs_only_its_own_call(kind: type[Any], way: Keywords) -> None:
    results = map(hostile_id, [0, kind(), 2, 3], errors="return", **way)
    assert others(results, 1) == [0, 2, 3]
    assert isinstance(results[1], NotPicklableError)
    assert "call 1" in str(results[1])


@pytest.mark.parametrize("kind", [hostile.DiesPickled, hostile.DiesLoaded])
def test_a_result_that_can_t_travel_costs_only_its_own_call(kind: type[Any], way: Keywords) -> None:
    results = map(lambda x: kind() if x == 1 else x, range(4), errors="return", **way)
    assert others(results, 1) == [0, 2, 3]
    assert isinstance(results[1], NotPicklableError)
    assert "result" in str(results[1])


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        (hostile.UnbuildableError, (404, "not here")),
        (hostile.UnpicklableError, ("held",)),
        (hostile.ReduceDiesError, ("text",)),
        (hostile.SilentError, ("text",)),
        (KeyboardInterrupt, ()),
        (GeneratorExit, ()),
    ],
)
def test_exceptions_keep_type_text_and_place(kind: type[BaseException], args: Any, way: Keywords) -> None:
    fn = functools.partial(lambda x: hostile.raise_at_3(x, kind, *args))
    with pytest.raises(kind) as raised:
        map(fn, range(6), **way)
    assert type(raised.value) is kind
    assert traceback.extract_tb(raised.tb)[-1].line == "raise kind(*args)"


def test_attributes_of_an_exception_that_can_t_be_rebuilt_arrive() -> None:
    def fail(x: int) -> None:
        raise hostile.UnbuildableError(404, "not here")

    with pytest.raises(hostile.UnbuildableError, match="404: not here") as raised:
        map(fail, range(3), mode="parallel", workers=2)
    assert raised.value.code == 404


def test_sys_exit_in_a_call_is_the_caller_s(way: Keywords) -> None:
    with pytest.raises(SystemExit, match="done here"):
        map(hostile.exit_at_3, range(8), **way)


def test_recursion_errors_arrive_and_the_worker_lives(way: Keywords) -> None:
    results = map(lambda x: hostile.recurse(x) if x == 1 else os.getpid(), range(6), errors="return", **way)
    assert isinstance(results[1], RecursionError)
    assert all(isinstance(each, int) for each in others(results, 1))


def test_a_result_too_deep_to_be_pickled(way: Keywords) -> None:
    def nest(x: int) -> list[Any]:
        nested: list[Any] = []
        for _ in range(100_000 if x == 1 else 2):
            nested = [nested]
        return nested

    results = map(nest, range(4), errors="return", **way)
    assert isinstance(results[1], NotPicklableError)
    assert others(results, 1) == [[[[]]]] * 3


def test_a_fork_that_comes_back_does_not_answer_too() -> None:
    assert list(map(hostile.fork_and_return, range(8), mode="parallel", workers=2)) == list(range(8))


def test_forking_and_child_processes_work_in_a_call() -> None:
    assert list(map(hostile.fork_and_exit, range(6), mode="parallel", workers=2)) == list(range(6))
    assert list(map(hostile.run_a_child, range(2), mode="parallel", workers=2)) == ["0\n", "1\n"]


def test_a_death_is_noticed_though_a_child_of_the_worker_holds_its_descriptors() -> None:
    begun = time.monotonic()
    results = map(hostile.fork_and_leave_a_child, range(5), mode="parallel", workers=2, errors="return")
    assert others(results, 3) == [0, 1, 2, 4]
    assert isinstance(results[3], WorkerDiedError)
    assert time.monotonic() - begun < PATIENCE_S
    # What a call leaves running on purpose is left running; it ends by itself.
    while [each for each in psutil.process_iter(["ppid", "cmdline"]) if _is_left_over(each)]:
        time.sleep(0.05)


def _is_left_over(process: psutil.Process) -> bool:
    return process.info["ppid"] == 1 and "whilst.running.worker.child.fork_server" in " ".join(
        process.info["cmdline"] or ()
    )


def test_daemon_threads_of_a_call_do_not_hold_up_the_end(way: Keywords) -> None:
    begun = time.monotonic()
    assert list(map(hostile.leave_a_daemon_thread, range(4), **way)) == list(range(4))
    assert time.monotonic() - begun < PATIENCE_S


def test_signal_handlers_work_in_a_call() -> None:
    assert list(map(hostile.use_an_alarm, range(4), mode="parallel", workers=2)) == [f"{x} rang" for x in range(4)]


def test_a_call_that_interrupts_itself_is_interrupted() -> None:
    with pytest.raises(KeyboardInterrupt):
        map(hostile.interrupt_itself, range(6), mode="parallel", workers=2)


@pytest.mark.parametrize("fn", [hostile.close_stdout, hostile.close_descriptors])
def test_a_call_may_close_the_standard_streams(fn: Any, way: Keywords) -> None:
    assert list(map(fn, range(6), **way)) == list(range(6))


def test_printing_with_stdout_closed_fails_as_in_a_loop(way: Keywords) -> None:
    closed = io.StringIO()
    closed.close()
    with contextlib.redirect_stdout(closed), pytest.raises(ValueError, match="closed file"):
        map(print, range(3), **way)


def test_printing_without_stdout_is_silent_as_in_a_loop(way: Keywords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert list(map(print, range(3), **way)) == [None] * 3


def test_an_endless_call_is_ended_by_its_time_limit_alone() -> None:
    results = map(
        lambda x: time.sleep(60) if x == 2 else x, range(6), mode="parallel", workers=2, timeout_s=0.3, errors="return"
    )
    assert others(results, 2) == [0, 1, 3, 4, 5]
    assert isinstance(results[2], TimeoutError)


def test_a_consumer_that_leaves_leaves_nothing_behind() -> None:
    for number, _ in enumerate(imap(abs, range(100_000), mode="parallel", workers=2)):
        if number == 3:
            break


PROGRAM = """
    import os, sys, time, threading
    sys.path.insert(0, {source!r})
    from whilst.running.verbs.api import map
    {head}

    def long(x):
        with open({pids!r}, "a") as file:
            file.write(f"{{os.getpid()}}\\n")
        while True:
            {body}

    map(long, range(4), mode="parallel", workers=2)
"""


HAS_THREADS = (
    "threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); busy = threading.Lock(); busy.acquire()"
)
"""Such a program is not forked, since a thread may hold the lock: its workers come from a clean server."""


def start_program(tmp_path: Path, body: str, head: str = "") -> tuple[subprocess.Popen[bytes], list[int]]:
    """A script without a main guard, whose two workers are deep in calls that never end."""
    pids = tmp_path / "pids"
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(PROGRAM).format(source=str(SOURCE), pids=str(pids), body=body, head=head))
    program = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE)
    deadline = time.monotonic() + PATIENCE_S
    while not pids.exists() or len(pids.read_text().split()) < 2:
        assert time.monotonic() < deadline
        assert program.poll() is None
        time.sleep(0.01)
    return program, [int(line) for line in pids.read_text().split()]


def wait_for_the_end_of(pids: list[int]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("body", ["time.sleep(60)", "pass"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("head", [HAS_THREADS, ""], ids=["served", "forked"])
def test_workers_end_with_their_program_however_it_ends(
    tmp_path: Path, head: str, number: signal.Signals, body: str
) -> None:
    program, workers = start_program(tmp_path, body, head)
    server = psutil.Process(workers[0]).ppid()
    assert (server == program.pid) == (not head and sys.platform == "linux")
    program.send_signal(number)
    program.wait(PATIENCE_S)
    assert program.stderr is not None
    said = program.stderr.read().decode()
    program.stderr.close()
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in said
        assert said.count("Traceback") == 1
    wait_for_the_end_of([*workers, server])


def test_workers_end_with_the_server(tmp_path: Path) -> None:
    program, workers = start_program(tmp_path, "pass", HAS_THREADS)
    psutil.Process(workers[0]).parent().kill()  # type: ignore[union-attr]
    program.wait(PATIENCE_S)
    assert program.stderr is not None
    assert b"WorkerDiedError" in program.stderr.read()
    program.stderr.close()
    wait_for_the_end_of(workers)
