"""Ctrl-C in the worst moments of a command whose calls are made in a fork: it ends, and nothing is begun anew."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from whilst.cli import supervising

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="calls are made in a fork on Linux alone")

PROGRAM = """
import os, signal, sys
from whilst.cli import entry, supervising

usual, where = os.fork, sys.argv.pop(1)

def interrupt():
    signal.raise_signal(signal.SIGINT)

def fork():
    with open("forks", "a") as file:
        file.write("one\\n")
    if where == "before the fork":
        interrupt()
    child = usual()
    if child == 0 and where == "in the fork before its work":
        interrupt()
    return child

class Board(supervising.Board):
    def write(self, **what):
        if where == "again while it ends" and what.get("is_over"):
            interrupt()
        super().write(**what)

os.fork, supervising.Board = fork, Board
sys.argv[0] = "whilst"
sys.exit(entry.main())
"""
CALLS = """
import os, signal, time

class LaterError(Exception):
    retry_after = 600

def later(line):
    os.kill(os.getppid(), signal.SIGINT)
    raise LaterError(line)

def stubborn(line):
    try:
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(60)
    except KeyboardInterrupt:
        open("caught", "w").close()
        time.sleep(60)
"""


def begin(folder: Path, where: str, *arguments: str) -> subprocess.Popen[str]:
    (folder / "calls.py").write_text(CALLS)
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, where, "run", *arguments, "--items", "-", "--mode", "sequential", "--quiet"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.mark.parametrize(
    ("where", "more"),
    [
        ("before the fork", ("--retries", "50")),
        ("in the fork before its work", ("--retries", "50")),
        ("again while it ends", ("--retries", "50")),
        ("again while it ends", ("--errors", "return")),
    ],
)
def test_ctrl_c_at_any_moment_ends_the_command_and_begins_no_other_process(
    tmp_path: Path, where: str, more: Sequence[str]
) -> None:
    with begin(tmp_path, where, "calls:later", "--retry-on", "calls:LaterError", *more) as program:
        _, said = program.communicate("a\nb\n", timeout=60)
    assert program.returncode == 130, said
    assert (tmp_path / "forks").read_text() == "one\n"
    assert said.count("whilst: interrupted") == 1


def test_ctrl_c_again_ends_a_call_that_does_not_end_for_it(tmp_path: Path) -> None:
    with begin(tmp_path, "", "calls:stubborn", "--errors", "return") as program:
        assert program.stdin is not None
        program.stdin.write("a\nb\n")
        program.stdin.close()
        program.stdin = None
        while not (tmp_path / "caught").exists() and program.poll() is None:
            time.sleep(0.01)
        time.sleep(1.1 * supervising._INSISTS_S)  # sooner it may be the same one, heard of twice
        program.send_signal(signal.SIGINT)
        _, said = program.communicate(timeout=60)
    assert program.returncode == 130, said
    assert (tmp_path / "forks").read_text() == "one\n"
    assert said.count("whilst: interrupted") == 1


def waited(monkeypatch: pytest.MonkeyPatch, found: Sequence[tuple[int, int]], early: Sequence[int]) -> list[int]:
    """What is passed on, of these signals with their codes, to a child that then ends."""
    coming = iter([*found, (signal.SIGCHLD, 1)])
    passed_on: list[int] = []

    def next_one(_: object) -> SimpleNamespace:
        number, code = next(coming)
        return SimpleNamespace(si_signo=number, si_code=code)

    monkeypatch.setattr(signal, "sigwaitinfo", next_one)
    monkeypatch.setattr(os, "kill", lambda _, number: passed_on.append(number))
    monkeypatch.setattr(os, "waitpid", lambda child, _: (child, 0))
    _, received = supervising._waited(1, (), early)
    assert received == {number for number, _ in found}
    return passed_on


def test_what_the_terminal_sends_is_passed_on_only_where_the_child_may_have_missed_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal, process = 128, 0
    assert waited(monkeypatch, [(signal.SIGINT, terminal)], ()) == []
    assert waited(monkeypatch, [(signal.SIGINT, terminal)], (signal.SIGINT,)) == [signal.SIGINT]
    assert waited(monkeypatch, [(signal.SIGINT, terminal)] * 2, (signal.SIGINT,)) == [signal.SIGINT]
    assert waited(monkeypatch, [(signal.SIGTERM, process)], ()) == [signal.SIGTERM]
