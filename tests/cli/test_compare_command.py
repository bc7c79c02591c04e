"""`whilst compare`, as it is called from a shell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from whilst.cli import main

HAS_A_FORK = sys.platform == "linux"
"""Calls are made in a fork of the command."""
DAY = """
name = "short"
unit = "h"
performed_unit_s = 0.01
executors = ["you"]
[tasks.a]
steps = [{ work = 1 }, { wait = 2 }]
[tasks.b]
steps = [{ work = 2 }]
"""
SHOP = """
import subprocess
import sys
import threading
PRICES = [1]
print("imported")
def length(item):
    print("noise")
    sys.stdout.buffer.write(b"bytes")
    subprocess.run(["echo", "a child's noise"])
    return len(item)
async def later(item): return item
def double(item): return item * 2
def where(item): return threading.current_thread() is threading.main_thread()
class Cart:
    @staticmethod
    def total(item): return item
def picky(item):
    if item == "12":
        raise ValueError(item)
def deadly(item):
    import os
    os.kill(os.getpid(), 9)
def sleep(item):
    import time
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "whilst_test_shop.py").write_text(SHOP)
    (tmp_path / "day.toml").write_text(DAY)
    (tmp_path / "lines.txt").write_text("12\nab c\n\n", encoding="utf-8")
    (tmp_path / "lines.jsonl").write_text('12\n\n{"a": [1]}\n', encoding="utf-8")
    yield
    sys.modules.pop("whilst_test_shop", None)


def run(*arguments: str) -> int:
    return main(["compare", *arguments])


def test_a_day_is_compared_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("day.toml", "--modes", "sequential, concurrent") == 0
    out, err = capsys.readouterr()
    assert "5.00 h" in out
    assert "3.00 h" in out
    assert err == ""


def test_json_is_one_document_whatever_the_function_prints(capfd: pytest.CaptureFixture[str]) -> None:
    options = ("--items", "lines.txt", "--modes", "sequential,concurrent", "--json")
    assert run("whilst_test_shop:length", *options) == 0
    plain = json.loads(capfd.readouterr().out)
    assert [row["name"] for row in plain["rows"]] == ["sequential", "concurrent"]
    assert plain["agrees"] is True


def test_a_page_and_a_trace_are_written_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ("--html", "page.html", "--perfetto", "trace.json")
    assert run("whilst_test_shop.py:Cart.total", "--items", "lines.txt", "--modes", "concurrent", *files) == 0
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!")
    assert json.loads((tmp_path / "trace.json").read_text(encoding="utf-8"))
    assert "wrote page.html" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--items", "lines.txt"), ["1212", "ab cab c"]),
        (("--items", "lines.txt", "--jsonl"), None),
        (("--items", "lines.jsonl"), None),
    ],
)
def test_a_line_is_text_unless_json_is_asked_for(
    arguments: tuple[str, ...], expected: list[object] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whilst.cli import loading

    path, as_json = Path(arguments[1]), "--jsonl" in arguments
    if expected is None and path.suffix == ".txt":
        with pytest.raises(loading.InputError, match="line 2: this is not JSON"):
            loading.read_items(path, as_json=as_json)
    elif expected is None:
        assert loading.read_items(path) == [12, {"a": [1]}]
    else:
        assert [item * 2 for item in loading.read_items(path)] == expected  # type: ignore[operator]


def test_results_that_differ_are_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--items", "lines.txt", "--modes", "sequential,concurrent")
    assert run("whilst_test_shop.py:where", *options) == 1
    assert "differs for 2 of 2 items" in " ".join(capsys.readouterr().out.split())


def test_a_call_that_raised_is_exit_code_1_and_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("whilst_test_shop:picky", "--items", "lines.txt", "--modes", "sequential,concurrent", "--json") == 1
    plain = json.loads(capsys.readouterr().out)
    assert [row["raised"] for row in plain["rows"]] == [1, 1]
    assert plain["agrees"] is True


@pytest.mark.skipif(sys.platform != "linux", reason="calls are made in a fork on Linux alone")
def test_a_function_that_kills_its_process_is_told_of(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "whilst", "compare", "whilst_test_shop:deadly", "--items", "lines.txt"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "whilst: the process that makes the calls was killed by SIGKILL." in done.stderr


BAD = [
    (("nothing.toml",), "nothing.toml"),
    (("nothing",), "neither a file that holds a day nor MODULE:FUNCTION"),
    (("no_such_shop:f", "--items", "lines.txt"), "no module 'no_such_shop'"),
    (("whilst_test_shp:f", "--items", "lines.txt"), "Did you mean 'whilst_test_shop'?"),
    (("whilst_test_shop:lenth", "--items", "lines.txt"), "Did you mean 'length'?"),
    (("whilst_test_shop:PRICES", "--items", "lines.txt"), "can't be called"),
    (("whilst_test_shop:length",), "--items FILE"),
    (("whilst_test_shop:length", "--items", "none.txt"), "No such file"),
    (("whilst_test_shop:length", "--items", "."), "directory"),
    (("whilst_test_shop:length", "--items", "empty.txt"), "holds no items"),
    (("whilst_test_shop:length", "--items", "latin.txt"), "line 2: this is not UTF-8"),
    (("whilst_test_shop:length", "--items", "lines.txt", "--modes", "paralel"), "'paralel' is no mode"),
    (("whilst_test_shop:length", "--items", "lines.txt", "--modes", ","), "No modes"),
    (("whilst_test_shop:length", "--items", "lines.txt", "--workers", "0"), "--workers"),
    (("broken.py:f", "--items", "lines.txt"), "broken.py can't be imported: ZeroDivisionError"),
    (("missing.py:f", "--items", "lines.txt"), "no file 'missing.py'"),
    (("day.toml", "--items", "lines.txt"), "brings its own tasks"),
    (("bad.toml",), "bad.toml"),
    (("day.toml", "--html", "no/such/folder.html", "--modes", "sequential"), "Can't write"),
    ((), "Missing argument"),
    (("day.toml", "--nonsense"), "--nonsense"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD)
def test_bad_input_is_one_clear_line_and_exit_code_2(
    arguments: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "latin.txt").write_bytes("a\ncaf\xe9\n".encode("latin-1"))
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "bad.toml").write_text("executors = 3\n")
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    err = err.removeprefix("imported\n")  # by the module itself
    assert err.startswith("whilst: ")
    assert err.count("\n") == 1
    assert said in err


def test_the_group_names_its_commands_and_refuses_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "compare" in capsys.readouterr().out
    assert main(["nonsense"]) == 2
    assert "No such command 'nonsense'" in capsys.readouterr().err
    assert main([]) == 2


def test_ctrl_c_is_exit_code_130_and_leaves_no_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "whilst", "compare", "whilst_test_shop:sleep", "--items", "lines.txt"]
    with subprocess.Popen(
        [*command, "--modes", "combined", "--workers", "2"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=tmp_path,
    ) as program:
        while len(children := psutil.Process(program.pid).children(recursive=True)) < 2 + HAS_A_FORK:
            assert program.poll() is None, program.communicate()
            time.sleep(0.01)
        os.killpg(program.pid, signal.SIGINT)
        _, err = program.communicate(timeout=120)
    assert program.returncode == 130
    assert err.splitlines()[-1] == "whilst: interrupted; nothing is left running."
    assert not [each for each in children if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
