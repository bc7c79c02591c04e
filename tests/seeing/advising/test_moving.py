"""Should the script move? The other interpreter is this one; how long its runs take is told."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from whilst.cli import main
from whilst.measuring.interpreters import Interpreter
from whilst.model import Machine
from whilst.seeing.advising import Advice, api, moving
from whilst.seeing.advising.moving import ScriptMove, ScriptRow
from whilst.seeing.advising.runs import Outcome, Workshop

SCRIPT = """
import time

def price(n):
    end = time.thread_time() + 0.01
    while time.thread_time() < end: pass
    return 2 * n

rows = []
for n in range(20):
    row = price(n)
    rows.append(row)
print(sum(rows))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(moving, "_ROUNDS", 1)
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path


def tell(monkeypatch: pytest.MonkeyPatch, told: Callable[[str | None, Interpreter | None], dict[str, Any]]) -> None:
    """Each form is run once; what is said of it is what its runs are like."""
    run, kept = Workshop.run, {}

    def timed(self: Workshop, text: str | None = None, interpreter: Interpreter | None = None) -> Outcome:
        if text not in kept:
            kept[text] = run(self, text, interpreter)
        return replace(kept[text], **told(text, interpreter))

    monkeypatch.setattr(Workshop, "run", timed)


def seconds_of(text: str | None, interpreter: Interpreter | None) -> dict[str, Any]:
    if text is None:
        return {"seconds": 1.0 if interpreter is None else 1.1}
    return {"seconds": 0.3 if 'mode="concurrent"' in text else 0.6}


def advise(folder: Path, *arguments: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = main(["advise", "--interpreter", sys.executable, "--json", *arguments, "script.py"])
    return code, json.loads(capfd.readouterr().out)


def test_the_script_is_run_under_both_in_every_form_that_is_safe(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As if the other had no GIL: there threads are worth a try."""
    find = moving.find_interpreter
    monkeypatch.setattr(api, "look_at_machine", lambda: Machine(2))
    monkeypatch.setattr(moving, "find_interpreter", lambda *given: replace(find(*given), is_free_threaded=True))
    tell(monkeypatch, seconds_of)
    code, plain = advise(folder, capfd=capfd)
    assert code == 0
    rows = [(row["how"], row["seconds"], row["agreement"]) for row in plain["rows"] if not row["is_here"]]
    threads = rows[1][0]  # how many depends on how busy the machine is
    assert rows == [("as it is", 1.1, "same"), (threads, 0.3, "same"), ("2 processes", 0.6, "same")]
    assert threads.endswith(" threads")
    assert plain["pays"] is True
    there = plain["there"]
    assert plain["answer"].startswith(f"On {there} script.py takes 0.30 s with {threads}, against 0.60 s here")
    assert plain["answer"].endswith("because without the GIL its calls are at work at once in threads.")
    assert f'mode="concurrent", workers={threads.split()[0]}' in plain["diff"]
    assert (folder / "script.py").read_text() == SCRIPT
    assert [path.name for path in folder.iterdir()] == ["script.py"]


def test_what_does_something_else_there_is_told_with_the_remedy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "script.py").write_text("for n in range(3):\n    print(n)\n")
    missing = {"exit_code": 1, "stderr": b"Traceback\nModuleNotFoundError: No module named 'numpy.fft'"}
    tell(monkeypatch, lambda text, interpreter: missing if interpreter else {"seconds": 1.0})
    code, plain = advise(folder, capfd=capfd)
    assert code == 1
    assert "does not do on" in plain["answer"]
    assert plain["answer"].endswith("-m pip install numpy.")


def test_who_turns_the_gil_on_is_no_output_of_the_script(folder: Path) -> None:
    said = "The global interpreter lock (GIL) has been enabled to load module 'lib._fast', which has not declared"
    (folder / "script.py").write_text(
        f'import sys\nprint("<frozen importlib>:1: RuntimeWarning: {said}", file=sys.stderr)\n'
        "print('own', file=sys.stderr)\n"
    )
    with Workshop("script.py", (), timeout_s=60, allows_effects=False) as workshop:
        outcome = workshop.run()
    assert outcome.culprits == ("lib._fast",)
    assert outcome.stderr == b"own\n"


def test_apply_and_an_old_interpreter_are_refused(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["advise", "--interpreter", sys.executable, "--apply", "script.py"]) == 2
    assert "--apply writes what was proved here" in capfd.readouterr().err
    old = folder / "old"
    old.write_text("#!/bin/sh\necho '[\"cpython\", [3, 10, 1], false]'\n")
    old.chmod(0o755)
    assert main(["advise", "--interpreter", str(old), "script.py"]) == 2
    assert "is cpython 3.10.1, and CPython 3.11 or newer is needed" in capfd.readouterr().err


def row(how: str, seconds: float, *, here: bool) -> ScriptRow:
    return ScriptRow("3.11.7" if here else "3.14.7t", here, how, seconds, seconds, seconds, None, "same")


@pytest.mark.parametrize(
    ("there_s", "more", "why"),
    [
        (1.0, {"culprits": ("lib._fast",)}, "lib._fast turns the GIL on there"),
        (1.0, {"unsafe": ("SEEN is changed (line 4)",)}, "its loops may not run in threads: SEEN is changed (line 4)"),
        (1.5, {}, "as it is it takes 1.50 times as long there"),
        (1.0, {}, "what can be gained there can be gained here as well"),
    ],
)
def test_where_it_does_not_pay_the_reason_is_told(there_s: float, more: dict[str, Any], why: str) -> None:
    rows = (row("as it is", 1.0, here=True), row("as it is", there_s, here=False))
    found = ScriptMove("script.py", "3.11.7", "3.14.7t", rows, Advice("script.py", ()), **more)
    assert found.pays is False
    assert found.title.endswith(f": the move does not pay, because {why}.")
    assert why.split(" ", 1)[0] in found.to_text(width=100)
