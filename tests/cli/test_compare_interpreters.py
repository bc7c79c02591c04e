"""`whilst compare --interpreter`, as it is called from a shell. The other interpreter is this one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from whilst.cli import main
from whilst.comparing.moving import measuring

SHOP = """
import sys
print("imported")
def double(item):
    print("noise")
    return 2 * item
def pid(item):
    import os
    return os.getpid()
async def later(item): return item
def dies(item):
    import os
    if os.environ.get("WHILST_TEST_DIES") and "pytest" not in sys.modules: os._exit(3)
def fails(item):
    if item != 1: raise ValueError("no") if item == "a" else SystemExit(0)
COUNT = 0
def count(item):
    global COUNT
    COUNT += 1
"""


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(measuring, "_ROUNDS", range(1, 2))
    (tmp_path / "whilst_test_move.py").write_text(SHOP)
    (tmp_path / "lines.jsonl").write_text('1\n"a"\n[3]\n', encoding="utf-8")
    yield
    sys.modules.pop("whilst_test_move", None)


def run(target: str, *arguments: str, interpreter: str = sys.executable) -> int:
    return main(["compare", target, "--items", "lines.jsonl", "--interpreter", interpreter, *arguments])


def test_the_same_job_is_done_under_both_and_the_answer_comes_first(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("whilst_test_move:double", "--workers", "2", "--json") == 0
    plain = json.loads(capfd.readouterr().out)
    assert plain["agrees"] is True
    assert plain["answer"].startswith(f"On {plain['there']} ")
    rows = [(row["is_here"], row["way"]) for row in plain["rows"] if "GIL" not in row["way"]]
    assert rows == [(side, way) for side in (True, False) for way in ("loop", "thread pool", "process pool")]
    assert all(row["seconds"] > 0 and row["agreement"] == "same" and not row["error"] for row in plain["rows"])
    assert all((row["predicted_s"] is None) is (row["way"] == "loop") for row in plain["rows"])
    assert plain["writes"] == []
    assert not list(Path.cwd().glob("__pycache__/*cpython*.opt*"))


def test_other_results_are_told_and_end_with_1(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("whilst_test_move:pid", "--workers", "1") == 1
    out = " ".join(capfd.readouterr().out.split())
    assert "loop: differs for 3 of 3 items: item 0 gave " in out


def test_what_its_calls_change_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("whilst_test_move:count", "--workers", "1", "--json") == 0
    plain = json.loads(capfd.readouterr().out)
    assert [(each["what"], each["races"]) for each in plain["writes"]] == [("the global COUNT", True)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["whilst_test_move:later"], "is a coroutine function"),
        (["whilst_test_move:double", "--modes", "parallel"], "--interpreter goes with MODULE:FUNCTION"),
        (["day.toml"], "--interpreter goes with MODULE:FUNCTION"),
        (["whilst_test_move:dubble"], "Did you mean 'double'?"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    assert said in capfd.readouterr().err


def test_an_interpreter_that_is_not_there_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("whilst_test_move:double", interpreter="/nowhere/python") == 2
    assert "/nowhere/python is not there" in capfd.readouterr().err


def test_a_module_that_the_other_lacks_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here_only").mkdir()
    (tmp_path / "here_only" / "whilst_test_lib.py").write_text("")
    sys.path.append(str(tmp_path / "here_only"))
    (tmp_path / "whilst_test_move.py").write_text("import whilst_test_lib\ndef double(item): return 2 * item\n")
    assert run("whilst_test_move:double") == 2
    sys.modules.pop("whilst_test_lib", None)
    err = capfd.readouterr().err
    assert "can't load whilst_test_move:double: ModuleNotFoundError" in err
    assert "-m pip install whilst_test_lib) and try again." in err


def test_a_child_that_dies_is_told_with_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(os.environ, "WHILST_TEST_DIES", "1")
    assert run("whilst_test_move:dies") == 2
    assert "its process ended with exit code 3." in capfd.readouterr().err


def test_calls_that_raise_are_told_and_end_with_1(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("whilst_test_move:fails", "--json") == 1
    report = json.loads(capfd.readouterr().out)
    assert (report["raised"], report["agrees"]) == (2, True)
    assert report["notes"][0] == "2 of 3 calls raised; item 1 gave the exception ValueError: no."
