"""Workers forked from a program with one thread: they have what it has set, and do nothing that is its to do."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import importlib
import os
import queue
import socket
import subprocess
import sys
import textwrap
import threading
import time
import types
from pathlib import Path

import pytest

import whilst
from whilst.inspecting import fork_safety
from whilst.inspecting.fork_safety import why_not_beside_threads, why_not_fork

SOURCE = str(Path(whilst.__file__).parent.parent)
beside_threads = pytest.mark.skipif(
    bool(why_not_beside_threads()), reason="without a GIL no program is forked beside other threads"
)

PROGRAM = """
import atexit, pathlib, sys
sys.path.insert(0, {folder!r})
import task
import whilst

task.CONFIG["factor"] = 3                      # set at run time: an import would not find it
log = pathlib.Path({log!r})
atexit.register(lambda: log.write_text((log.read_text() if log.exists() else "") + "the end\\n"))
print("before", end=" ")                       # waits in the buffer while workers are forked
results = whilst.map(task.work, range(60), mode="parallel")
assert list(results) == [3 * k for k in range(60)], results[:5]
assert not results.decision.given_up, str(results.decision)
draws = list(whilst.map(task.draw, range(60), mode="parallel"))
assert len(set(draws)) == 60, draws
print("after")
"""

TASK = """
import os, time
CONFIG = {}
def burn():
    end = time.thread_time() + 0.01
    while time.thread_time() < end:
        pass
def work(k):
    burn()
    return CONFIG["factor"] * k
def draw(k):
    import random
    burn()
    return random.random()
"""


def run(tmp_path, extra=""):
    (tmp_path / "task.py").write_text(TASK)
    log = tmp_path / "log.txt"
    program = tmp_path / "program.py"
    program.write_text(extra + PROGRAM.format(folder=str(tmp_path), log=str(log)))
    environment = {**os.environ, "PYTHONPATH": SOURCE, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    return done, log


@pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="nothing is parallel on one core")
def test_workers_see_what_was_set_and_end_without_the_programs_last_acts(tmp_path):
    done, log = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "before after\n"
    assert done.stderr == ""
    assert log.read_text() == "the end\n"


@pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="nothing is parallel on one core")
def test_numpy_neither_warns_nor_repeats_its_draws(tmp_path):
    pytest.importorskip("numpy")
    (tmp_path / "task.py").write_text(TASK)
    program = tmp_path / "program.py"
    program.write_text(
        "import numpy, whilst, time\n"
        "def draw(k):\n"
        "    end = time.thread_time() + 0.01\n"
        "    while time.thread_time() < end: pass\n"
        "    return float(numpy.random.random())\n"
        "draws = whilst.map(draw, range(60))\n"
        "assert len(set(draws)) == 60, draws\n"
    )
    environment = {**os.environ, "PYTHONPATH": SOURCE, "PYTHONWARNINGS": "error::DeprecationWarning:__main__"}
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@contextlib.contextmanager
def a_thread_at(task):
    """Another thread is in the midst of `task(begun, gate)`, which has called `begun` and waits for the gate."""
    begun, gate = threading.Event(), threading.Event()
    thread = threading.Thread(target=task, args=(begun.set, gate))
    thread.start()
    try:
        assert begun.wait(30)
        yield
    finally:
        gate.set()
        thread.join()


def soon(*args):
    """What stands in the way, once other threads are through with what they are at the end of."""
    for _ in range(1000):
        if not (why_not := why_not_fork(*args)):
            break
        time.sleep(0.01)
    return why_not


def at_rest(begun, gate):
    begun()
    gate.wait(60)


def test_without_a_gil_nothing_holds_up_other_threads():
    code = """if True:
        import sys, threading
        from whilst.inspecting.fork_safety import why_not_fork
        sys._is_gil_enabled = lambda: False
        print(why_not_fork((), tuple))
        gate = threading.Event()
        threading.Thread(target=gate.wait).start()
        print(why_not_fork((), tuple))
        gate.set()
    """
    environment = {**os.environ, "PYTHONPATH": SOURCE}  # in this program other tests may have left threads
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment, check=True
    )
    alone, beside = done.stdout.splitlines()
    assert alone == ""
    assert "nothing holds up" in beside


@beside_threads
def test_to_look_for_locks_keeps_nothing_else_alive():
    mine = ["what another thread would be done with"]
    references = {sys.getrefcount(mine)}
    with a_thread_at(at_rest):
        assert soon((), tuple) == ""
        sys.setprofile(lambda *_: references.add(sys.getrefcount(mine)))
        try:
            assert why_not_fork((), tuple) == ""
        finally:
            sys.setprofile(None)
    assert len(references) == 1


@beside_threads
@pytest.mark.parametrize("base", [threading.Condition, threading.Thread])
def test_locks_by_which_a_thread_waits_are_not_held(base):
    class Mine(base):
        pass

    def wait(begun, gate):
        if base is threading.Thread:
            thread = Mine(target=at_rest, args=(begun, gate))
            thread.start()
            thread.join()
        else:
            with (condition := Mine()):
                conditions.append(condition)
                begun()
                condition.wait(60)

    conditions = []
    with a_thread_at(wait):
        for each in conditions:
            each.acquire()  # which waits until it waits
            each.release()
        assert soon((), tuple) == ""
        for each in conditions:
            with each:
                each.notify()


@beside_threads
def test_a_thread_at_rest_stands_in_nobodys_way():
    with a_thread_at(at_rest):
        assert "thread" in why_not_fork()  # nobody knows what the calls use of it
        assert soon((), tuple) == ""


@beside_threads
@pytest.mark.parametrize("lock", [threading.Lock(), threading.RLock()], ids=["Lock", "RLock"])
def test_a_thread_that_holds_a_lock_does(lock):
    def hold(begun, gate):
        with lock:
            at_rest(begun, gate)

    with a_thread_at(hold):
        assert "is held" in why_not_fork((), tuple)
    with a_thread_at(at_rest):
        assert soon((), tuple) == ""


@beside_threads
def test_so_does_a_thread_that_imports(tmp_path, monkeypatch):
    (tmp_path / "module_that_takes_long.py").write_text("import threads_of_the_test as t\nt.at_rest(*t.given)\n")
    here = types.ModuleType("threads_of_the_test")
    here.at_rest = at_rest
    monkeypatch.setitem(sys.modules, here.__name__, here)
    monkeypatch.syspath_prepend(tmp_path)

    def load(begun, gate):
        here.given = begun, gate
        importlib.import_module("module_that_takes_long")

    with a_thread_at(load):
        assert "imported" in why_not_fork((), tuple)


@beside_threads
@pytest.mark.parametrize(
    "make",
    [threading.Event, queue.SimpleQueue, queue.Queue, lambda: concurrent.futures.ThreadPoolExecutor(1)],
    ids=["event", "simple queue", "queue", "executor"],
)
def test_calls_that_use_what_another_thread_answers_are_not_forked(make):
    used = make()
    with a_thread_at(at_rest):
        assert "its calls use" in why_not_fork((), lambda: [used])


def test_open_files_stand_in_nobodys_way_but_of_calls_that_use_them(tmp_path):
    with (tmp_path / "log").open("w") as file:
        assert why_not_fork((), list) == ""
        assert "an open file" in why_not_fork((), lambda: [file])


def test_connections_stand_in_the_way_of_calls_that_use_them_or_that_nobody_knows():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as connection,
    ):
        assert why_not_fork()
        assert why_not_fork((), list) == ""
        assert "its calls use" in why_not_fork((), lambda: [connection])


def test_a_fork_has_positions_of_its_own_and_no_connection(tmp_path):
    program = """
        import os, socket, sys, whilst
        path = sys.argv[1]
        with open(path, "w") as file:
            file.write("0123456789")
        fd = os.open(path, os.O_RDONLY)
        os.lseek(fd, 5, os.SEEK_SET)
        server = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(server.getsockname())
        other, _ = server.accept()
        other.send(b"x")
        number = client.fileno()
        def look(k):
            first = os.lseek(fd, 0, os.SEEK_CUR)
            os.lseek(fd, k, os.SEEK_SET)
            with socket.socket(fileno=os.dup(number)) as mine:
                return os.read(fd, 1), mine.recv(1)
        print(list(whilst.map(look, range(4), mode="parallel", workers=2)))
        print(os.lseek(fd, 0, os.SEEK_CUR), client.recv(1))
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "digits")],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": SOURCE},
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "[(b'0', b''), (b'1', b''), (b'2', b''), (b'3', b'')]\n5 b'x'\n"


@pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")
def test_without_a_gil_nothing_is_forked_beside_an_event_loop(monkeypatch):
    """The verbs for event loops fork from a thread of their own, while the loop goes on."""
    monkeypatch.setattr(sys, "_current_frames", lambda: {1: None})
    monkeypatch.setattr(fork_safety, "has_gil", lambda: False)

    async def ask():
        return why_not_fork(reached=tuple)

    assert "an event loop goes on here" in asyncio.run(ask())
    assert "event loop" not in why_not_fork(reached=tuple)
    monkeypatch.setattr(fork_safety, "has_gil", lambda: True)
    assert "event loop" not in asyncio.run(ask())


@beside_threads
@pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")
@pytest.mark.parametrize("is_frozen", [False, True])
def test_locks_that_cant_be_found_forbid_a_fork_beside_other_threads(is_frozen):
    code = """if True:
        import gc, sys, threading
        from whilst.inspecting.fork_safety import why_not_beside_threads, why_not_fork
        gate = threading.Event()
        threading.Thread(target=gate.wait).start()
        if sys.argv[1] == "True":
            gc.freeze()
        print(why_not_fork(reached=tuple))
        gate.set()
    """
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    done = subprocess.run(
        [sys.executable, "-c", code, str(is_frozen)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=True,
    )
    assert ("garbage collector" in done.stdout) is is_frozen
