"""`whilst trace`: the program's output and exit code are its own, and what there is to say goes to stderr."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "program.py"
    path.write_text(text)
    return str(path)


def whilst_trace(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "whilst", "trace", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **more)  # type: ignore[call-overload]


def test_output_arguments_input_and_exit_code_are_the_programs_own(tmp_path: Path) -> None:
    path = script(tmp_path, "import sys\nprint(__name__, sys.argv[1:], sys.stdin.read())\nsys.exit(3)\n")
    done = whilst_trace(path, "--html", "x", input="said")
    assert (done.returncode, done.stdout) == (3, "__main__ ['--html', 'x'] said\n")
    assert "in progress" in done.stderr


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("raise ValueError('mine')", 1, "ValueError: mine"),
        ("import os; os._exit(4)", 4, ""),
        ("import os; os.kill(os.getpid(), 9)", 137, ""),
    ],
)
def test_however_it_ends_its_exit_code_is_handed_on(tmp_path: Path, text: str, code: int, said: str) -> None:
    done = whilst_trace(script(tmp_path, text))
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "in progress" in done.stderr
    assert "whilst/seeing" not in done.stderr


def test_an_interrupt_ends_the_program_and_shows_its_trace(tmp_path: Path) -> None:
    path = script(tmp_path, "import time\nprint('go', flush=True)\nwhile True: time.sleep(0.01)\n")
    command = [sys.executable, "-m", "whilst", "trace", path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == "go\n"
        running.send_signal(signal.SIGINT)
        said = running.stderr.read()
    assert running.returncode == 130
    assert "KeyboardInterrupt" in said
    assert "in progress" in said


def test_a_script_that_is_not_there(tmp_path: Path) -> None:
    done = whilst_trace("nowhere.py", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "whilst: There is no script 'nowhere.py'. For a module, write -m nowhere.py.\n"


def test_a_file_that_can_not_be_written_is_said_before_the_program_runs(tmp_path: Path) -> None:
    done = whilst_trace("--html", "nowhere/page.html", script(tmp_path, "print('ran')"), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no folder nowhere" in done.stderr


def test_a_module_and_all_files(tmp_path: Path) -> None:
    files = {form: tmp_path / f"trace.{form}" for form in ("html", "perfetto", "json")}
    options = [text for form, path in files.items() for text in (f"--{form}", str(path))]
    done = whilst_trace(*options, "-m", "timeit", "-n", "1", "-r", "1", "pass", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 loop" in done.stdout
    whole = json.loads(files["json"].read_text())
    assert (whole["name"], whole["exit_code"]) == ("timeit", 0)
    assert whole["timeline"]["format"] == "whilst timeline 1"
    page = unescape(files["html"].read_text()).replace("\N{NO-BREAK SPACE}", " ")
    counted, _, finding = whole["sentence"].partition(". ")
    assert f"with {counted}" in page
    assert finding in page
    assert json.loads(files["perfetto"].read_text())["traceEvents"]
