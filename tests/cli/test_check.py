"""`whilst check`: what it takes, what it prints, and the exit code as the answer."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from whilst.cli import main
from whilst.cli.check import _meter_text
from whilst.cli.options import StatusLine

MEETING = """
import threading

def meet(barrier):
    barrier.wait()

meeting = (lambda: threading.Barrier(2), [meet, meet])
"""
BANK = str(Path(__file__).parents[2] / "examples" / "bank.py")


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("deposits", 1, "not isolated: lost update"),
        ("locked_deposits", 0, "isolated"),
        ("transfers", 1, "deadlock"),
        ("ordered_transfers", 0, "isolated"),
    ],
)
def test_the_exit_code_is_the_answer(name: str, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", f"{BANK}::{name}"]) == code
    assert capsys.readouterr().out.startswith(said)


def test_inconclusive_is_three(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "meeting_for_cli.py"
    file.write_text(MEETING)
    assert main(["check", f"{file}::meeting"]) == 3
    assert "No sequential order completes" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check"], "Say what to check"),
        (["check", "nowhere.py::x"], "can't import nowhere.py"),
        (["check", "bnak:deposits"], "can't import bnak: No module named 'bnak'. Did you mean 'bank'?"),
        (["check", f"{BANK}::depsits"], "Did you mean 'deposits'?"),
        (["check", "no_such_module:x"], "can't import no_such_module"),
        (["check", "plain"], "write file.py::name"),
        (["check", f"{BANK}::nothing"], "it has deposits, locked_deposits"),
        (["check", f"{BANK}::main"], "is not a question"),
        (["check", f"{BANK}::deposits", "--budget", "soon"], "budget is a number"),
        (["check", "--replay", "w1.nonsense"], "no replay token"),
    ],
)
def test_bad_input_is_one_line_and_two(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(BANK).parent)
    monkeypatch.setattr(sys, "path", list(sys.path))
    if arguments[1:] == [f"{BANK}::main"]:
        said = "is not a question"
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert len(captured.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(:", "SyntaxError: invalid syntax"),
        ("import sys; sys.exit(3)", "it ends the process, with sys.exit(3)"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("asked = (dict, print)", "a list of callables"),
        ("asked = (dict, [lambda: None])", "too many positional arguments"),
        ("asked = (lambda state: state, [print])", "missing a required argument"),
    ],
)
def test_a_file_that_can_not_be_asked_is_bad_input(
    text: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "odd_for_cli.py"
    file.write_text(text)
    assert main(["check", f"{file}::asked"]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert len(captured.err.strip().splitlines()) == 1


def test_an_exception_in_setup_is_shown_and_is_no_verdict(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "broken_for_cli.py"
    file.write_text("def make():\n    raise LookupError('no such bank')\n\nasked = (make, [print])\n")
    assert main(["check", f"{file}::asked"]) == 2
    told = capsys.readouterr().err
    assert "LookupError: no such bank" in told
    assert told.strip().splitlines()[-1].startswith("whilst: there is no verdict")


def test_a_task_that_always_raises_proves_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "raising_for_cli.py"
    task = "def fail(state):\n    raise KeyError(state)\n\n"
    file.write_text(f"{task}asked = (dict, [fail, len])\nmeant = (dict, [fail, len], {{'raises': KeyError}})\n")
    assert main(["check", f"{file}::asked"]) == 3
    assert "fail raises KeyError({}) in every sequential order" in " ".join(capsys.readouterr().out.split())
    assert main(["check", f"{file}::meant"]) == 0


def test_json_and_html(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "verdict.html"
    assert main(["check", f"{BANK}::deposits", "--json", "--html", str(page)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["counterexample"]["pattern"] == "lost update"
    assert "lost update" in page.read_text()


def test_where_tasks_have_no_names_the_command_says_where_it_found_them(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "nameless_for_cli.py"
    file.write_text("def race():\n    return list, [lambda s: s.append(len(s)), lambda s: s.append(len(s))]\n")
    assert main(["check", f"{file}::race"]) == 1
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Run it again: "))
    assert main(shlex.split(line.removeprefix("Run it again: whilst "))) == 1
    assert "lost update" in capsys.readouterr().out


def test_a_token_is_enough_to_run_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", f"{BANK}::deposits", "--json"])
    token = json.loads(capsys.readouterr().out)["token"]
    assert main(["check", "--replay", token]) == 1
    assert "lost update" in capsys.readouterr().out
    assert main(["check", f"{BANK}::deposits", "--replay", token]) == 1
    assert main(["check", f"{BANK}::locked_deposits", "--replay", token]) == 2
    assert "the code has changed" in capsys.readouterr().err


def test_the_printed_command_runs_in_another_folder(tmp_path: Path) -> None:
    asked = "class A:\n    n = 0\ndef add(a):\n    n = a.n\n    a.n = n + 1\n"
    (tmp_path / "test_adding.py").write_text(
        f"import pytest\n{asked}@pytest.mark.isolated\ndef test_it():\n    return A, [add, add]\n"
    )
    (tmp_path / "script.py").write_text(f"import whilst\n{asked}whilst.check(A, [add, add]).show()\n")
    for command in (["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_adding.py"], ["script.py"]):
        ran = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True)
        told = "".join(ran.stdout.split())
        found = re.search(r"whilstcheck--replay(w1\.[\w-]+\.\d+\.[\w-]+\.[\w-]+?)(?:=====|$)", told)
        assert found is not None, ran.stdout
        again = [sys.executable, "-m", "whilst", "check", "--replay", found[1]]
        ran = subprocess.run(again, cwd="/", capture_output=True, text=True)
        assert "not isolated: lost update" in ran.stdout, ran.stdout + ran.stderr


def test_progress_is_written_over_and_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    from whilst.checking.search.search import Progress

    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    with StatusLine() as line:
        line(_meter_text(Progress(1200, 0.5, 0.25, "every interleaving")))
    _, shown, cleared = terminal.getvalue().split("\r")
    assert "1,200 executions, 2,400 a second, about 25 % of the tree" in shown
    assert cleared == "\x1b[K"
