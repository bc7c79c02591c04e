"""From where a thread stands to what it waits for."""

from __future__ import annotations

from pathlib import Path

import pytest

from whilst.seeing.events import Place, Stack
from whilst.seeing.explaining.causes import (
    Owned,
    Role,
    is_own,
    own_place,
    packages_of,
    shown_function,
    since_fork,
    task_name,
    wait_of,
    work_name,
)

from .made import LIBRARY, library

OWN = Owned(frozenset({LIBRARY}))
SOURCE = """
with lock: work()
    lock.acquire()
    time.sleep(1)
    data = connection.recv(10)
    file.write(data)
    os.waitpid(pid, 0)
    queue.get()
    rows = cursor.execute(text).fetchall()
    total += len(data)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(SOURCE)
    return path


def place(program: Path, line: int, operation: str = "CALL") -> Place:
    return Place(str(program), "run", line, operation=operation)


@pytest.mark.parametrize(
    ("line", "kind"),
    [(4, "sleep"), (5, "io:socket"), (6, "io:file"), (7, "child"), (8, "queue")],
)
def test_a_call_says_what_it_waits_for(program: Path, line: int, kind: str) -> None:
    cause = wait_of(Stack([place(program, line)]), OWN)
    assert cause is not None
    assert (cause.kind, cause.where) == (kind, place(program, line))


@pytest.mark.parametrize("line", [10])
def test_a_call_that_can_not_wait_says_nothing(program: Path, line: int) -> None:
    assert wait_of(Stack([place(program, line)]), OWN) is None
    assert wait_of(Stack(), OWN) is None


def test_a_lock_has_the_name_that_the_code_gives_it(tmp_path: Path) -> None:
    path = tmp_path / "locks.py"
    path.write_text("def f(self):\n    with self._lock:\n        self.lock.acquire()\n")
    entered = wait_of(Stack([Place(str(path), "f", 2, operation="BEFORE_WITH")]), OWN)
    acquired = wait_of(Stack([Place(str(path), "f", 3, operation="CALL")]), OWN)
    assert entered is not None
    assert acquired is not None
    assert (entered.text, acquired.text) == ("lock:_lock", "lock:lock")


@pytest.mark.parametrize(
    ("frames", "text", "role"),
    [
        ([("threading.py", "Condition.wait"), ("queue.py", "Queue.get")], "queue:empty", Role.TASK),
        ([("threading.py", "Condition.wait"), ("queue.py", "Queue.put")], "queue:full", Role.TASK),
        ([("threading.py", "Condition.wait"), ("threading.py", "Event.wait")], "lock:event", Role.TASK),
        ([("threading.py", "Thread.join")], "lock:thread", Role.COORDINATING),
        ([("concurrent/futures/thread.py", "_worker")], "queue", Role.IDLE),
        ([("concurrent/futures/_base.py", "Future.result")], "lock:future", Role.COORDINATING),
        ([("selectors.py", "select"), ("subprocess.py", "Popen.communicate")], "child", Role.COORDINATING),
        ([("logging/__init__.py", "Handler.acquire")], "lock:logging handler", Role.TASK),
        ([("socket.py", "SocketIO.readinto"), ("http/client.py", "HTTPResponse.begin")], "io:socket", Role.TASK),
        ([("multiprocessing/connection.py", "Connection.recv")], "io:file (pipe)", Role.TASK),
        ([("asyncio/tasks.py", "sleep")], "sleep", Role.TASK),
        ([("asyncio/threads.py", "to_thread")], "executor", Role.COORDINATING),
    ],
)
def test_the_outermost_rule_names_the_wait(program: Path, frames: list[tuple[str, str]], text: str, role: Role) -> None:
    own = place(program, 10)
    cause = wait_of(Stack([*(library(file, function) for file, function in frames), own]), OWN)
    assert cause is not None
    assert (cause.text, cause.role, cause.where) == (text, role, own)


def test_an_import_is_one_for_all_that_it_runs(program: Path) -> None:
    inner = Place("/home/me/slow.py", "<module>", 3, operation="CALL")
    loading = [Place("<frozen importlib._bootstrap>", name, 1) for name in ("exec_module", "_find_and_load")]
    importing = Place(str(program), "<module>", 1, operation="IMPORT_NAME")
    stack = Stack([inner, *loading, importing])
    cause = wait_of(stack, OWN)
    assert cause is not None
    assert (cause.kind, cause.where) == ("import", importing)
    assert (work_name(stack, OWN), own_place(stack, OWN)) == ("import", importing)


def test_a_thread_that_waits_for_another_ones_import_says_so(program: Path) -> None:
    names = ("_ModuleLock.acquire", "_lock_unlock_module")
    waiting = [Place("<frozen importlib._bootstrap>", name, 1) for name in names]
    importing = Place(str(program), "run", 1, operation="IMPORT_NAME")
    cause = wait_of(Stack([*waiting, importing]), OWN)
    assert cause is not None
    assert (cause.text, cause.where) == ("import:by another thread", importing)


def test_a_function_called_by_an_imported_module_is_the_users_work(program: Path) -> None:
    loading = [Place("<frozen importlib._bootstrap>", "_find_and_load", 1), Place(str(program), "<module>", 1)]
    stack = Stack([place(program, 10), *loading])
    assert work_name(stack, OWN) == ""
    assert own_place(stack, OWN) == place(program, 10)


def test_what_a_process_did_before_it_forked_is_not_its_own(program: Path) -> None:
    stack = Stack(
        [place(program, 4), library("multiprocessing/process.py", "BaseProcess._bootstrap"), place(program, 10)]
    )
    assert tuple(since_fork(stack)) == tuple(stack)[:2]


def test_a_course_is_called_by_its_outermost_function(program: Path) -> None:
    outer = Place(str(program), "outer.<locals>.<lambda>", 1)
    stack = Stack([place(program, 4), outer, library("concurrent/futures/thread.py", "_worker")])
    assert shown_function(task_name(stack, OWN)) == "outer"
    assert shown_function("<listcomp>") == "<module>"


@pytest.mark.parametrize(
    ("arguments", "packages"),
    [
        (["python", "-m", "httpload.cli", "url"], {"httpload", "_httpload"}),
        (["python", "-X", "dev", "-m", "pytest"], {"pytest", "_pytest"}),
        (["python", "shop.py", "-m", "x"], set()),
        (["python"], set()),
    ],
)
def test_an_installed_program_is_its_own_code(arguments: list[str], packages: set[str]) -> None:
    owned = Owned(packages=packages_of(arguments))
    assert owned.packages == packages
    for package in packages:
        assert is_own(f"/lib/python/site-packages/{package}/run.py", owned)
    assert not is_own("/lib/python/site-packages/other/run.py", owned)


def test_a_script_that_an_installer_wrote_names_its_package(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    path = tmp_path / "bin" / "load"
    path.write_text("#!/usr/bin/python\nimport sys\nfrom httpload.cli import main\nsys.exit(main())\n")
    assert packages_of(["python", str(path), "url"]) == {"httpload"}


def test_the_agent_s_own_start_is_no_place_of_the_program(program: Path) -> None:
    agent = Place("/tmp/whilst-trace-x1/site/sitecustomize.py", "_go_on", 29)
    frozen = Place("<frozen importlib._bootstrap_external>", "FileLoader.get_data", 1131)
    assert own_place(Stack([frozen, agent]), OWN) is None
    assert own_place(Stack([frozen, library("site.py", "main")]), OWN) == library("site.py", "main")
    assert own_place(Stack([frozen, agent, place(program, 4)]), OWN) == place(program, 4)


@pytest.mark.parametrize(("function", "text"), [("Queue.get", "queue:empty"), ("Queue.put", "queue:full")])
def test_a_queue_between_processes_is_empty_or_full(program: Path, function: str, text: str) -> None:
    inner = library("multiprocessing/connection.py", "Connection._recv")
    own = wait_of(Stack([inner, library("multiprocessing/queues.py", function), place(program, 8)]), OWN)
    assert own is not None
    assert (own.text, own.role) == (text, Role.TASK)
    worker = library("concurrent/futures/process.py", "_process_worker", 1, "")
    idle = wait_of(Stack([inner, library("multiprocessing/queues.py", "Queue.get"), worker]), OWN)
    assert idle is not None
    assert idle.role is Role.IDLE
