"""The plugin in a pytest run of its own: what passes, what fails, and that a failure shows the counterexample alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import whilst

TESTS = """
import threading
import unittest
import pytest

class Account:
    def __init__(self):
        self.balance = 100
        self.lock = threading.Lock()

def deposit(account):
    balance = account.balance
    account.balance = balance + 50

def locked_deposit(account):
    with account.lock:
        deposit(account)

@pytest.mark.isolated
def test_racy():
    return Account, [deposit, deposit]

@pytest.mark.isolated(budget="50 executions")
def test_safe(tmp_path):
    assert tmp_path.exists()
    return Account, [locked_deposit, locked_deposit]

def test_fixture(isolated):
    verdict = isolated(Account, [locked_deposit, deposit], outcome=lambda account: account.balance > 0)
    assert verdict.is_isolated

def test_fixture_racy(isolated):
    isolated(Account, [deposit, locked_deposit])

@pytest.mark.isolated(depth=3)
def test_unknown_option():
    return Account, [deposit]

@pytest.mark.isolated
def test_unfit_task():
    return Account, [lambda: None]

class TestOfUnittest(unittest.TestCase):
    @pytest.mark.isolated
    def test_method(self):
        return Account, [deposit, deposit]

@pytest.mark.isolated
def test_no_question():
    return 3

def test_plain():
    assert True
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    source = str(Path(whilst.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "whilst.checking.pytest_plugin", "-q", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("suite")
    (made / "test_bank.py").write_text(TESTS)
    (made / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")
    return made


def test_marked_tests_and_the_fixture_pass_and_fail_as_they_should(folder: Path) -> None:
    done = run(folder, "-rA")
    outcomes = {line.split("::")[1].split(" ")[0]: line.split()[0] for line in done.stdout.splitlines() if "::" in line}
    assert outcomes == {
        "test_racy": "FAILED",
        "test_safe": "PASSED",
        "test_fixture": "PASSED",
        "test_fixture_racy": "FAILED",
        "test_no_question": "FAILED",
        "test_unknown_option": "FAILED",
        "test_unfit_task": "FAILED",
        "test_plain": "PASSED",
        "TestOfUnittest": "ERROR",  # what the method returns, pytest never sees
    }, done.stdout + done.stderr
    assert "no option 'depth'" in done.stdout
    assert "too many positional arguments" in done.stdout
    assert "not for methods of a unittest.TestCase" in done.stdout
    assert "is not a question but int" in done.stdout


def test_a_failure_shows_the_counterexample_and_nothing_else(folder: Path) -> None:
    shown = run(folder, "-k", "test_racy").stdout
    assert "not isolated: lost update" in shown
    assert "balance = account.balance" in shown
    assert "pytest_plugin" not in shown
    assert "Traceback" not in shown


def test_a_token_runs_one_interleaving_in_the_test(folder: Path) -> None:
    shown = run(folder, "-k", "test_racy").stdout
    token = re.search(r"w1p?\.[\w.-]+", shown)
    assert token is not None
    again = run(folder, "-k", "test_racy", f"--whilst-replay={token[0]}")
    assert "this interleaving alone" in again.stdout


def test_a_failing_schedule_is_kept_below_the_root_and_tried_first(folder: Path) -> None:
    run(folder, "-k", "test_racy or test_safe")
    (kept,) = (folder / ".whilst").glob("*test_racy*.schedule")
    assert "tried first" in run(folder, "-k", "test_racy").stdout
    kept.unlink()
    assert "tried first" not in run(folder, "-k", "test_racy", "--whilst-keep=no").stdout
    assert not kept.exists()


BODIES = """
import threading
import pytest

class Counter:
    def __init__(self):
        self.count, self.lock, self.is_open = 0, threading.Lock(), True

    def add(self):
        with self.lock:
            self.count += 1

@pytest.fixture
def counter():
    counter = Counter()
    yield counter
    counter.is_open = False

@pytest.fixture
def cache(tmp_path):
    return {}

@pytest.mark.whilst
def test_racy(counter):
    counter.count += 1

@pytest.mark.whilst(threads=3)
def test_safe(counter, monkeypatch):
    assert counter.is_open
    counter.add()

def test_chosen(cache):
    if "key" not in cache:
        cache["key"] = object()
    assert cache["key"] is cache["key"]

def test_chosen_and_safe(counter):
    before = counter.count
    counter.add()
    assert counter.count > before

def test_of_one_alone(counter):
    counter.add()
    assert counter.count == 1

class TestGroup:
    def test_method(self, counter):
        counter.count += 1

async def test_coroutine(counter):
    counter.count += 1

def test_skipped():
    pytest.skip("not today")

@pytest.mark.whilst(threads=0)
def test_of_nobody():
    pass
"""


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bodies")
    (made / "test_bodies.py").write_text(BODIES)
    (made / "pytest.ini").write_text(
        "[pytest]\naddopts = --strict-markers -p no:cacheprovider\nfilterwarnings = error\n"
    )
    return made


def test_the_bodies_of_all_tests_are_run_by_several_tasks(bodies: Path) -> None:
    done = run(bodies, "-rA", "--whilst-threads=2")
    # The lines of the summary alone: where `CI` is set pytest puts whole messages below them.
    summary = re.findall(r"^(PASSED|FAILED) \S+?::(\S+)", done.stdout, re.MULTILINE)
    outcomes = {test: outcome for outcome, test in summary}
    assert outcomes == {
        "test_racy": "FAILED",
        "test_safe": "PASSED",
        "test_chosen": "FAILED",
        "test_chosen_and_safe": "PASSED",
        "test_of_one_alone": "FAILED",
        "TestGroup::test_method": "FAILED",
        "test_coroutine": "PASSED",
        "test_of_nobody": "FAILED",
    }, done.stdout + done.stderr
    assert "1 skipped" in done.stdout
    assert "check-then-act" in done.stdout
    assert "one after the other, the test fails already: test_of_one_alone 2 raised AssertionError" in done.stdout
    assert "threads is a number of tasks, 1 or more, got 0" in done.stdout


def test_without_the_option_the_marked_alone_are_and_the_line_printed_runs_again(bodies: Path) -> None:
    chosen = "test_racy or test_safe or test_chosen"
    done = run(bodies, "-k", chosen, "--whilst-keep=no")
    assert "1 failed, 3 passed" in done.stdout
    line = re.search(r"Run it again: pytest '([^']+)' (--whilst-replay=\S+)", done.stdout)
    assert line is not None
    again = run(bodies, line[1], line[2], "--whilst-keep=no")
    assert "this interleaving alone" in again.stdout


def test_the_plugin_is_cheap_to_load() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import whilst.checking.pytest_plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    source = str(Path(whilst.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = done.stdout.split()
    own = {name for name in loaded if name.startswith("whilst.")}
    light = {"whilst.checking", "whilst.checking.pytest_plugin", "whilst._light", "whilst.model", "whilst.errors"}
    assert own <= light | {name for name in own if name.startswith("whilst.model.")}
    assert not {"greenlet", "click", "rich", "asyncio", "numpy"} & set(loaded)
