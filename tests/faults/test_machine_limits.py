"""What the machine does not give: threads, `poll`, files, memory. The run goes on without, or says what is missing."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

import whilst
from whilst.errors import InterpreterEndingError, MachineLimitError, WhilstError
from whilst.running.backends.processes import ProcessBackend
from whilst.running.jobs import WorkerFailed
from whilst.running.worker.parent import fork, fork_server_client
from whilst.running.worker.parent.machine_limits import machine_limit

SOURCE = Path(__file__).parents[2] / "src"

NO_THREADS = """
import _thread, threading
def start(*_, **__):
    raise RuntimeError("can't start new thread")
_thread.start_new_thread = threading._start_new_thread = threading._start_joinable_thread = start
"""
NO_POLL = """
import select
del select.poll, select.epoll
"""


def run(limit: str, call: str) -> subprocess.CompletedProcess[str]:
    """Make the call under this limit, in a program of its own."""
    program = """
    import time, whilst
    def work(x):
        deadline = time.thread_time() + 0.02
        while time.thread_time() < deadline:
            pass
        return x
    def wait(x):
        time.sleep(0.02)
        return x
    def lengthen(x):
        deadline = time.thread_time() + (0.01 if x < 12 else 0.2)
        while time.thread_time() < deadline:
            pass
        return x
    """
    shown = "print(results == list(range(20)), results.decision.mode.value, results.decision, results.decision.history)"
    code = f"{textwrap.dedent(program)}\n{limit}\nresults = {call}\n{shown}"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment)


@pytest.mark.parametrize("fn", ["work", "wait"])
def test_auto_completes_without_a_thread_to_be_had(fn: str) -> None:
    done = run(NO_THREADS, f"whilst.map({fn}, range(20))")
    assert done.stdout.startswith("True"), done.stderr


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="no worker processes here")
@pytest.mark.parametrize("mode", ["auto", "parallel", "combined"])
def test_processes_are_served_where_poll_was_patched_away(mode: str) -> None:
    done = run(NO_POLL, f"whilst.map(work, range(20), mode={mode!r})")
    assert done.stdout.startswith("True"), done.stderr


NO_FILE_MAY_GROW = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
"""
CALLS_WORK = """
from dataclasses import replace
from whilst.running.policies import decide
real = decide.decide
def decide_for_work(profile, machine, given):
    \"\"\"As if they worked for a second each with the GIL, however loaded this machine is.\"\"\"
    return real(replace(profile, work_s=1.0, wait_s=0.0, gil_s=1.0), replace(machine, cores=4, has_gil=True), given)
decide.decide = decide_for_work
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the shared page is a file of the system's own")
@pytest.mark.parametrize("fn", ["work", "lengthen"])
def test_auto_goes_on_here_and_says_which_limit_keeps_processes_away(fn: str) -> None:
    done = run(NO_FILE_MAY_GROW + CALLS_WORK, f"whilst.map({fn}, range(20))")
    assert done.stdout.startswith("True sequential"), done.stdout + done.stderr
    assert "Not parallel: A worker process can't be started: files may not be" in done.stdout
    # Calls are measured anew where they get longer, as they may on a busy machine; the limit is met once.
    assert done.stdout.count("text=\"A worker process can't be started") == 1, done.stdout
    assert "raise `ulimit -f`" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="the shared page is a file of the system's own")
@pytest.mark.parametrize("mode", ["parallel", "combined"])
def test_a_mode_by_name_names_limit_and_remedy(mode: str) -> None:
    done = run(NO_FILE_MAY_GROW, f"whilst.map(work, range(20), mode={mode!r})")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("whilst.errors.MachineLimitError: [Errno 27] A worker process can't be started")
    assert "ulimit -f" in last


FEW_FILES = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({}, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts the descriptors of workers")
@pytest.mark.parametrize("most", [16, 24, 30])
def test_workers_that_can_not_all_be_started_do_not_hang(most: int) -> None:
    done = run(FEW_FILES.format(most), "whilst.map(work, range(20), mode='parallel', workers=4)")
    last = (done.stdout + done.stderr).splitlines()[-1]
    assert last.startswith(("True parallel", "whilst.errors.MachineLimitError: [Errno 24] A worker process can't be"))
    assert "raise `ulimit -n`" in last or most > 24, last


@pytest.mark.parametrize("number", [errno.EFBIG, errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.EIO])
def test_a_limit_survives_pickling_and_keeps_its_number(number: int) -> None:
    error = pickle.loads(pickle.dumps(machine_limit(OSError(number, os.strerror(number)))))
    assert isinstance(error, MachineLimitError)
    assert isinstance(error, OSError)
    assert error.errno == number


class Unreachable:
    """A server to which there is no connection to be had."""

    number = errno.EMFILE

    def connect(self) -> None:
        raise OSError(self.number, os.strerror(self.number))

    def is_alive(self) -> bool:
        return True


@pytest.mark.parametrize(("number", "said"), [(errno.EMFILE, "Too many open files"), (errno.EPIPE, "ends as soon")])
def test_no_connection_to_the_server_is_laid_to_what_prevents_it(
    monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    monkeypatch.setattr(Unreachable, "number", number)
    monkeypatch.setattr(fork_server_client, "_server", Unreachable())
    with pytest.raises((OSError, WhilstError), match=said):
        fork_server_client.lease()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="no worker processes here")
def test_a_start_that_fails_leaves_no_file_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EFBIG, "File too large")

    files = psutil.Process().num_fds()
    backend = ProcessBackend()
    monkeypatch.setattr(os, "ftruncate", refused)
    backend.start_worker(0)
    (event,) = backend.events(1)
    backend.close(kill=True)
    assert isinstance(event, WorkerFailed)
    assert isinstance(event.error, MachineLimitError)
    assert psutil.Process().num_fds() == files


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="no forked workers here")
def test_no_process_can_be_had_as_the_interpreter_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a function of `atexit`, from 3.12 on."""

    def refuse() -> int:
        raise RuntimeError("can't fork at interpreter shutdown")

    monkeypatch.setattr(fork, "_fork", refuse)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(InterpreterEndingError, match="mode='sequential'"):
        whilst.map(abs, range(3), mode="parallel", workers=2)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert whilst.map(abs, [-1, 2], mode="sequential") == [1, 2]
