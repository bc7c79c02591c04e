"""What another Python is, by asking it, and the environment that it is run in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from whilst.measuring.interpreters import (
    Interpreter,
    InterpreterError,
    environment_for,
    find_interpreter,
    this_interpreter,
)


def test_this_interpreter_answers_what_it_is() -> None:
    found = find_interpreter(sys.executable)
    assert (found.version, found.is_free_threaded) == (sys.version_info[:3], this_interpreter().is_free_threaded)
    assert found.name == this_interpreter().name
    assert Path(found.path).is_absolute()


def test_the_name_says_whether_it_can_do_without_the_gil() -> None:
    assert Interpreter("python", (3, 14, 7), is_free_threaded=True).name == "3.14.7t"
    assert Interpreter("python", (3, 13, 0), is_free_threaded=False).name == "3.13.0"


def script(folder: Path, text: str) -> Path:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("echo hello", "does not answer as a CPython 3.9 or newer would"),
        ("exit 2", "does not answer"),
        ("echo '[\"pypy\", [3, 11, 9], false]'", "is pypy 3.11.9, and CPython 3.9 or newer is needed"),
        ("echo '[\"cpython\", [3, 6, 15], false]'", "is cpython 3.6.15, and CPython 3.9"),
    ],
)
def test_what_is_no_interpreter_of_use_is_refused_with_its_answer(tmp_path: Path, answer: str, said: str) -> None:
    with pytest.raises(InterpreterError, match=said):
        find_interpreter(script(tmp_path, answer))


def test_a_folder_is_answered_with_the_interpreter_in_it(tmp_path: Path) -> None:
    with pytest.raises(InterpreterError, match=r"is not there, or nothing that can be run; name a Python"):
        find_interpreter(tmp_path / "nowhere")
    (tmp_path / "bin").mkdir()
    script(tmp_path / "bin", "")
    with pytest.raises(InterpreterError, match=r"is a folder; name a Python interpreter, e.g. .*bin/python\."):
        find_interpreter(tmp_path)


def test_nothing_but_whilst_is_lent_to_another_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/of/the/user")
    monkeypatch.setenv("PYTHON_GIL", "0")
    env = environment_for(Interpreter(sys.executable, (3, 12, 1), is_free_threaded=False), tmp_path)
    assert env["PYTHONPATH"] == f"/of/the/user{os.pathsep}{tmp_path}"
    assert "PYTHON_GIL" not in env  # such a build would not start
    assert [path.name for path in tmp_path.iterdir()] == ["whilst"]
    code = "import whilst; print(list(whilst.imap(abs, [-1, 2], mode='concurrent')))"
    done = subprocess.run([sys.executable, "-S", "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[1, 2]\n", done.stderr
