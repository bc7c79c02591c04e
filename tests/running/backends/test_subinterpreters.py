"""Sub-interpreters, where this Python has them."""

from __future__ import annotations

import contextvars
import importlib.util
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from whilst.errors import NotPicklableError, WhilstError
from whilst.running.backends.subinterpreters import SubinterpreterBackend
from whilst.running.calls.process_state import ProcessState
from whilst.running.jobs import Job, WorkerStopped

from .test_processes import Runner

are_there = importlib.util.find_spec("_interpreters") is not None
needs_them = pytest.mark.skipif(not are_there, reason="this Python has no sub-interpreters")
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.fixture
def runner() -> Iterator[Runner]:
    runner = Runner(SubinterpreterBackend)
    yield runner
    runner.backend.close(kill=True)


@pytest.mark.skipif(are_there, reason="this Python has sub-interpreters")
def test_without_them_the_error_says_what_to_do() -> None:
    with pytest.raises(WhilstError, match="backend='processes'"):
        SubinterpreterBackend()


@needs_them
def test_calls_are_made_in_interpreters_of_their_own(runner: Runner) -> None:
    runner.start(0, 1)
    job = Job(0, lambda x: (x * x, os.getpid(), id(sys.modules)))
    seen = [runner.finished(runner.send(worker, job, [7], [3]))[0][7] for worker in (0, 1)]
    assert {each[:2] for each in seen} == {(9, os.getpid())}
    assert len({each[2] for each in seen} | {id(sys.modules)}) == 3


@needs_them
def test_errors_prints_and_variables_cross(runner: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    def work(x: int) -> str:
        print("item", x)
        return variable.get() + str(1 // x)

    runner.start(0)
    context = contextvars.copy_context()
    context.run(variable.set, "mine")
    values, errors = runner.finished(runner.send(0, Job(0, work, context=context), range(2), [0, 1]))
    assert values[1] == "mine1"
    assert isinstance(errors[0], ZeroDivisionError)
    assert capsys.readouterr().out == "item 0\nitem 1\n"


@needs_them
def test_what_can_t_cross_fails_alone(runner: Runner) -> None:
    runner.start(0)
    values, errors = runner.finished(runner.send(0, Job(0, str), range(2), [1, threading.Lock()]))
    assert values[0] == "1"
    assert isinstance(errors[1], NotPicklableError)


@needs_them
def test_directory_and_environment_stay_the_program_s(runner: Runner) -> None:
    before = os.getcwd(), dict(os.environ)  # noqa: PTH109 - the string as it is
    runner.start(0)
    state = ProcessState("/", {b"ONLY": b"this"})
    assert runner.call(lambda x: dict(os.environ), [1], process_state=state) == {0: {"ONLY": "this"}}
    assert (os.getcwd(), dict(os.environ)) == before  # noqa: PTH109 - as above
    assert os.getenv("PATH") == before[1]["PATH"]


@needs_them
def test_stopping_lets_it_finish(runner: Runner) -> None:
    runner.start(0)
    number = runner.send(0, Job(0, lambda x: x), range(100), list(range(100)))
    runner.backend.stop_worker(0)
    assert len(runner.finished(number)[0]) == 100
    runner.look(lambda: bool(runner.of(WorkerStopped)))


@needs_them
def test_closing_waits_for_the_call_that_runs_and_makes_no_other(runner: Runner, tmp_path: Path) -> None:
    gate, log = tmp_path / "gate", tmp_path / "log"
    log.touch()

    def work(x: int) -> None:
        while not gate.exists():
            time.sleep(0.001)
        with log.open("a") as file:
            file.write(f"{x}\n")

    runner.start(0)
    for first in (0, 10):
        runner.send(0, Job(0, work), range(first, first + 10), list(range(first, first + 10)))
    runner.look(lambda: bool(runner.backend.running(0)))
    opener = threading.Timer(0.05, gate.touch)
    opener.start()
    runner.backend.close(kill=True)
    opener.join()
    assert log.read_text() == "0\n"
