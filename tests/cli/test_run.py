"""`whilst run`: one JSON line an item, exit codes that mean something, and what was finished is never lost."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import psutil
import pytest

from whilst.cli.entry import main
from whilst.cli.loading import InputError, load_exception, load_object
from whilst.cli.run import _in_short, _with_options, _wrapped
from whilst.model import Decision, Mode, Rejection

MODULE = """
import os, signal, sys, threading, time

def double(line):
    return int(line) * 2

def picky(line):
    if line == "3":
        raise ValueError("three")
    return line

def odd(line):
    return {line}

class BusyError(Exception):
    retry_after = 0

class LaterError(Exception):
    retry_after = 600

def later(line):
    open("tried", "w").close()
    raise LaterError(line)

def overdue(line):
    with open("calls", "a") as log:
        log.write(line + "\\n")
    if line == "5":
        time.sleep(1.2)
        os.kill(os.getpid(), signal.SIGKILL)
    return line

def busy(line):
    if not os.path.exists("seen" + line):
        open("seen" + line, "w").close()
        raise BusyError(line)
    return line

def chatty(line):
    print("about", line)
    return line

def slow(line):
    time.sleep(0.2 if line != "0" else 0)
    return line

def once(line):
    with open("calls", "a") as log:
        log.write(line + "\\n")
    if line == "5" and not os.path.exists("mended"):
        os.kill(os.getpid(), signal.SIGKILL)
    return line

def deadly(line):
    if line == "5":
        os.kill(os.getpid(), signal.SIGKILL)
    return line

def moody(line):
    if line == "5" and not os.path.exists("tried"):
        open("tried", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return line

def leaving(line):
    if line == "5":
        os._exit(0)
    return line

def exiting(line):
    if line == "5":
        sys.exit(4)
    return line

def together(line):
    if line == "5" and threading.active_count() > 1:
        time.sleep(0.05)
    if line == "5":
        os._exit(3)
    return line

def pid(line):
    with open("pid", "w") as file:
        file.write(str(os.getpid()))
    if line == "1":
        time.sleep(60)
    return line
"""


UNWRITABLE = """
class Nameless:
    def __repr__(self):
        raise LookupError("no name")

class Mute(Exception):
    def __str__(self):
        raise LookupError("no text")

def unwritable(line):
    if line == "5":
        raise Mute
    strange = {"1": "\\ud83d", "2": 10**4400, "3": Nameless(), "4": {("é", 1): Nameless}, "6": float("nan"), "7": "é"}
    return strange.get(line, line)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(MODULE)
    (tmp_path / "strange.py").write_text(UNWRITABLE)
    (tmp_path / "items.txt").write_text("".join(f"{number}\n" for number in range(8)))
    return tmp_path


def whilst(folder: Path, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "whilst", "run", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        input=stdin,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("mode", ["auto", "sequential", "concurrent"])
def test_a_line_an_item_in_order(folder: Path, mode: str) -> None:
    done = whilst(folder, "shop:double", "--items", "items.txt", "--mode", mode)
    assert done.returncode == 0, done.stderr
    assert lines(done.stdout) == [{"item": str(number), "result": number * 2} for number in range(8)]
    assert "8 of 8 calls" in done.stderr


def test_calls_are_made_again_at_a_rate(folder: Path) -> None:
    done = whilst(
        folder, "shop:busy", "--items", "-", "--retry-on", "shop:BusyError", "--rate", "500", "--deadline", "50",
        stdin="a\nb\n",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [line["result"] for line in lines(done.stdout)] == ["a", "b"]
    refused = whilst(folder, "shop:busy", "--items", "-", "--retry-on", "busy", stdin="a\n")
    assert refused.returncode == 2
    assert "'busy' names no exception; write ConnectionError" in refused.stderr


def test_an_exception_is_named_with_a_dot_or_a_colon_and_found_by_its_last_name() -> None:
    assert load_exception("ConnectionError") is ConnectionError
    assert load_exception("urllib.error.HTTPError") is load_exception("urllib.error:HTTPError") is HTTPError
    with pytest.raises(InputError, match=r"'HTTPError' is none of Python's own exceptions; write .*urllib.error.HTTP"):
        load_exception("HTTPError")
    with pytest.raises(InputError, match=r"e.g. shop:Busy. Did you mean 'ConnectionError'\?"):
        load_exception("ConectionError")
    with pytest.raises(InputError, match="names no exception"):
        load_exception("json.loads")


def test_a_deadline_is_said_without_advice_that_was_followed_already(folder: Path) -> None:
    arguments = ("shop:double", "--items", "items.txt", "--deadline", "1e-9", "--quiet")
    for more in ((), ("--errors", "return")):
        done = whilst(folder, *arguments, *more)
        assert done.returncode == 1
        told = lines(done.stdout)[0]["error"]["message"]  # type: ignore[index]
        assert told == "--deadline 1e-09 was over when 0 of 8 calls were done. Give it more time."
        assert done.stderr == ("" if more else f"whilst: stopped, since {told}\n")
    assert len(lines(done.stdout)) == 8
    done = whilst(folder, *arguments, "--journal", "run.db")
    assert done.stderr.endswith("Give it more time.\nwhilst: the same command goes on from there.\n")


def test_output_goes_to_a_file_and_items_may_come_from_stdin(folder: Path) -> None:
    done = whilst(folder, "shop:double", "--items", "-", "--output", "out.jsonl", "--quiet", stdin="4\n5\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert lines((folder / "out.jsonl").read_text()) == [{"item": "4", "result": 8}, {"item": "5", "result": 10}]


def test_json_lines_are_values(folder: Path) -> None:
    (folder / "items.jsonl").write_text("[1, 2]\n")
    assert lines(whilst(folder, "shop:odd", "--items", "items.txt", "--quiet").stdout)[0] == {
        "item": "0",
        "result_repr": "{'0'}",
    }
    failed = whilst(folder, "shop:odd", "--items", "items.jsonl", "--errors", "return", "--quiet")
    assert failed.returncode == 1
    (line,) = lines(failed.stdout)
    assert line["item"] == [1, 2]
    assert line["error"]["type"] == "TypeError"  # type: ignore[index]


def test_the_first_failure_ends_the_run_after_it_is_written(folder: Path) -> None:
    done = whilst(folder, "shop:picky", "--items", "items.txt", "--mode", "sequential")
    assert done.returncode == 1
    written = lines(done.stdout)
    assert [line["item"] for line in written] == ["0", "1", "2", "3"]
    assert "line" not in written[3]
    assert 'raise ValueError("three")' in written[3]["error"]["traceback"]  # type: ignore[index]
    assert "1 failed" in done.stderr


def test_a_failure_is_said_even_where_results_go_to_a_file_and_nothing_else_is_said(folder: Path) -> None:
    done = whilst(folder, "shop:picky", "--items", "items.txt", "--output", "out.jsonl", "--quiet")
    assert (done.returncode, done.stdout) == (1, "")
    assert "the call for '3' failed: ValueError: three" in done.stderr
    assert "--errors return" in done.stderr


@pytest.mark.parametrize("mode", ["auto", "concurrent", "parallel"])
def test_what_the_function_prints_does_not_stand_between_the_results(folder: Path, mode: str) -> None:
    done = whilst(folder, "shop:chatty", "--items", "items.txt", "--quiet", "--mode", mode)
    assert [line["result"] for line in lines(done.stdout)] == [str(number) for number in range(8)]
    assert done.stderr == "".join(f"about {number}\n" for number in range(8))


def test_a_name_that_is_not_there_is_answered_with_what_is(folder: Path) -> None:
    near, far = (whilst(folder, f"shop:{name}", "--items", "items.txt") for name in ("duble", "zzz"))
    assert (near.returncode, near.stderr) == (2, "whilst: shop has no 'duble'. Did you mean 'double'?\n")
    assert re.fullmatch(r"whilst: shop has no 'zzz'\. It has (\w+, ){5}\w+ and \d+ more\.\n", far.stderr)


@pytest.mark.parametrize("name", ["json:loads", "json::loads"])
def test_one_colon_or_two_name_the_same(name: str) -> None:
    assert load_object(name) is json.loads


def test_wrong_usage_names_the_help_that_tells_the_right_one(folder: Path) -> None:
    done = whilst(folder, "shop:double")
    assert (done.returncode, done.stderr) == (2, "whilst: Missing option '--items'. See whilst run --help.\n")


def test_no_items_are_no_calls(folder: Path) -> None:
    done = whilst(folder, "shop:double", "--items", "-", "--quiet", stdin="")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_reader_that_has_had_enough_ends_the_run_without_a_word(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "whilst", "run", "shop:double", "--items", "items.txt", "--quiet"],
            cwd=folder,
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=300,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_told_in_one_line(folder: Path) -> None:
    done = whilst(folder, "shop:double", "--items", "items.txt", "--output", "/dev/full", "--quiet")
    assert (done.returncode, done.stderr) == (2, "whilst: Can't write /dev/full: No space left on device.\n")


def test_failures_may_be_written_down_instead(folder: Path) -> None:
    done = whilst(folder, "shop:picky", "--items", "items.txt", "--errors", "return")
    assert done.returncode == 1
    assert [("error" in line) for line in lines(done.stdout)] == [number == 3 for number in range(8)]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_result_that_cant_be_written_is_its_own_lines_fault(
    folder: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    done = whilst(folder, "strange:unwritable", "--items", "items.txt", "--errors", "return", "--quiet")
    assert (done.returncode, done.stderr) == (1, "")
    written = lines(done.stdout)
    assert [line["item"] for line in written] == [str(number) for number in range(8)]
    failures = {line["item"]: line["error"] for line in written if "error" in line}
    assert {item: failure["type"] for item, failure in failures.items()} == {
        "1": "UnicodeEncodeError", "2": "ValueError", "3": "LookupError", "5": "Mute",
    }  # fmt: skip
    assert "its result can't be written (no name)" in failures["3"]["message"]
    assert "raise LookupError" in failures["3"]["traceback"]
    assert not any("json.dumps" in failure["traceback"] for failure in failures.values())
    assert [written[0]["result"], written[6]["result_repr"], written[7]["result"]] == ["0", "nan", "é"]
    assert written[4]["result_repr"].startswith("{('é', 1)")


def test_a_result_that_cant_be_written_ends_a_run_that_errors_end(folder: Path) -> None:
    done = whilst(folder, "strange:unwritable", "--items", "items.txt", "--quiet")
    assert (done.returncode, len(lines(done.stdout))) == (1, 2)
    assert "the call for '1' failed: UnicodeEncodeError" in done.stderr


def test_half_a_surrogate_pair_in_an_item_is_written_as_it_came(folder: Path) -> None:
    (folder / "half.jsonl").write_text('"\\ud83d"\n')
    done = whilst(folder, "shop:slow", "--items", "half.jsonl", "--quiet", "--errors", "return")
    assert (done.returncode, done.stderr) == (1, "")
    assert '"item": "\\ud83d"' in done.stdout
    done = whilst(folder, "builtins:len", "--items", "half.jsonl", "--quiet")
    assert (done.returncode, done.stdout) == (0, '{"item": "\\ud83d", "result": 1}\n')


def test_a_killed_run_goes_on(folder: Path) -> None:
    arguments = ("shop:once", "--items", "items.txt", "--journal", "run.db", "--mode", "sequential", "--quiet")
    killed = whilst(folder, *arguments)
    assert (killed.returncode, len(lines(killed.stdout))) == (1, 6)
    assert "killed by SIGKILL in this call" in killed.stderr
    assert "the same command goes on" in killed.stderr
    (folder / "mended").touch()
    done = whilst(folder, *arguments)
    assert [line["result"] for line in lines(done.stdout)] == [str(number) for number in range(8)]
    assert (folder / "calls").read_text().split() == ["0", "1", "2", "3", "4", "5", "5", "6", "7"]


def test_ctrl_c_ends_at_once_with_whole_lines(folder: Path) -> None:
    (folder / "items.txt").write_text("".join(f"{number}\n" for number in range(200)))
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "whilst",
            "run",
            "shop:slow",
            "--items",
            "items.txt",
            "--output",
            "out",
            "--workers",
            "2",
        ],
        cwd=folder,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    while not ((folder / "out").exists() and (folder / "out").read_text()) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=120)
    assert process.returncode == 130
    assert b"interrupted" in complaint
    assert lines((folder / "out").read_text())


def test_ctrl_c_ends_a_run_in_which_a_call_waits_to_be_made_again(folder: Path) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "whilst", "run", "shop:later", "--items", "items.txt"),
            *("--mode", "sequential", "--retry-on", "shop:LaterError", "--retries", "50", "--quiet"),
        ],
        cwd=folder,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with process:
        while not (folder / "tried").exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(120) == 130
    assert b"0 of 8 calls were made" in said
    assert b"interrupted" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("shop:duoble", "--items", "items.txt"), "Did you mean 'double'"),
        (("shpo:double", "--items", "items.txt"), "Did you mean 'shop'"),
        (("shop:double", "--items", "nothing.txt"), "Can't read the items"),
        (("shop:double", "--items", "item.txt"), "No such file or directory. Did you mean 'items.txt'?"),
        (("shop:double",), "--items"),
        (("shop:double", "--items", "items.txt", "--mode", "fast"), "fast"),
        (("shop:double", "--items", "items.txt", "--mode", "threads"), "is a back end; write --mode concurrent"),
        (("shop:double", "--items", "items.txt", "--workers", "x"), "'x' is not a whole number"),
        (("shpo.py::double", "--items", "items.txt"), "There is no file 'shpo.py'. Did you mean 'shop.py'?"),
        (("shop.py", "--items", "items.txt"), "e.g. shop.py:fetch or shop.py::fetch"),
        (("shop:double", "--items", "items.txt", "--output", "no/folder"), "Can't write no/folder"),
        (("shop:double", "--items", "items.txt", "--timeout", "0"), "0"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    done = whilst(folder, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.skipif(sys.platform == "win32", reason="no terminals to open")
def test_no_progress_bar_stands_between_results_on_a_terminal(folder: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "whilst", "run", "shop:slow", "--items", "items.txt", "--mode", "concurrent"],
            cwd=folder,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "80"},
        )
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # how a terminal says that nobody is left at its other end
            while piece := os.read(ours, 4096):
                said += piece
        assert process.wait(300) == 0
    finally:
        os.close(ours)
    shown = said.decode().splitlines()
    assert [json.loads(line)["item"] for line in shown[:8]] == [str(number) for number in range(8)]


SPLIT = """
def words(part):
    return sum(len(line.split()) for line in part)

def records(part):
    return [record.decode() for record in part]

def picky(part):
    for number, line in enumerate(part):
        if "three" in line:
            raise ValueError("three")
    return 0

def minus(left, right):
    return left - right

def letters(text):
    return len(text)

def numbered(part):
    return [f"{number} {line}" for number, line in enumerate(part)]

def from_one(part):
    return 1 + words(part)
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "parts.py").write_text(SPLIT)
    (tmp_path / "log.txt").write_text("one two\nthree\n\nfour five six\nno end", newline="\r\n")
    return tmp_path


def split(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "whilst", "run", *arguments, "--quiet"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def test_parts_of_a_file_are_items(log: Path) -> None:
    done = split(log, "parts:words", "--split", "log.txt", "--at", "line", "--parts", "3")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(line["result"] for line in lines) == 8
    assert [line["item"]["start"] for line in lines[1:]] == [line["item"]["stop"] for line in lines[:-1]]
    assert (lines[0]["item"]["path"], done.returncode) == (str(log / "log.txt"), 0)


def test_results_of_parts_are_reduced_to_one(log: Path) -> None:
    done = split(log, "parts:words", "--split", "log.txt", "--reduce", "operator:add")
    (line,) = map(json.loads, done.stdout.splitlines())
    assert line == {"item": {"path": str(log / "log.txt"), "start": 0, "stop": 39}, "result": 8}
    done = split(
        log, "parts:records", "--split", "log.txt", "--at", r"\r\n", "--parts", "2", "--reduce", "operator:add"
    )
    (line,) = map(json.loads, done.stdout.splitlines())
    assert line["result"] == ["one two\r\n", "three\r\n", "\r\n", "four five six\r\n", "no end"]


def test_a_reduction_that_is_none_is_an_error(log: Path) -> None:
    done = split(log, "parts:words", "--split", "log.txt", "--reduce", "parts:minus")
    assert (done.returncode, done.stdout) == (2, "")
    assert "words gives something else for parts than for the whole" in done.stderr
    (log / "texts").write_text("one two\nthree\nfour\n")
    done = split(log, "parts:letters", "--items", "texts", "--reduce", "parts:minus")
    assert (done.returncode, done.stdout) == (2, "")
    assert "minus is not associative" in done.stderr
    done = split(log, "parts:picky", "--split", "log.txt", "--reduce", "operator:add")
    (line,) = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, line["error"]["type"]) == (1, "ValueError")


@pytest.mark.parametrize("function", ["numbered", "from_one"])
def test_what_parts_give_is_held_against_the_undivided_file(log: Path, function: str) -> None:
    done = split(log, f"parts:{function}", "--split", "log.txt", "--reduce", "operator:add")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{function} gives something else for parts than for the whole" in done.stderr
    assert " bytes around a cut" in done.stderr
    done = split(log, f"parts:{function}", "--split", "log.txt", "--reduce", "operator:add", "--no-check")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)


def test_what_is_split_is_one_file_that_is_there(log: Path) -> None:
    done = split(log, "parts:words", "--split", "nowhere.txt")
    assert (done.returncode, done.stderr) == (2, "whilst: Can't read nowhere.txt: No such file or directory.\n")
    done = split(log, "parts:words", "--split", "log.txt", "--items", "log.txt")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--items or --split, not both" in done.stderr


def test_a_page_that_cant_be_written_is_found_out_before_the_first_call(folder: Path) -> None:
    done = whilst(folder, "shop:once", "--items", "-", "--html", "missing/page.html", stdin="1\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Can't write missing/page.html: No such file or directory." in done.stderr
    assert not (folder / "calls").exists()
    (folder / "page.html").write_text("kept if nothing comes")
    done = whilst(folder, "shop:missing", "--items", "-", "--html", "page.html", stdin="1\n")
    assert done.returncode == 2
    assert (folder / "page.html").read_text() == "kept if nothing comes"


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "day.toml", "--html"),
        ("compare", "shop:once", "--items", "items.txt", "--perfetto"),
        ("check", "shop.py::once", "--html"),
        ("show", "none.json", "--html"),
        ("advise", "shop.py", "--html"),
    ],
)
def test_every_command_finds_out_first_that_a_file_cant_be_written(
    folder: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert main([*arguments, "missing/page"]) == 2
    assert capsys.readouterr().err == "whilst: Can't write missing/page: No such file or directory.\n"
    assert not (folder / "calls").exists()


def test_back_end_and_pilot_are_chosen_by_name(folder: Path) -> None:
    done = whilst(folder, "shop:double", "--items", "-", "--backend", "threads", stdin="1\n2\n")
    assert [each["result"] for each in lines(done.stdout)] == [2, 4]
    assert "threads: as asked" in done.stderr
    done = whilst(folder, "shop:deadly", "--items", "-", "--pilot", "worker", "--errors", "return", stdin="5\n6\n")
    assert done.returncode == 1
    assert [list(each) for each in lines(done.stdout)] == [["item", "error"], ["item", "result"]]


@pytest.mark.parametrize(("wrong", "said"), [("runn", "Did you mean 'run'? See"), ("xyz", "There are run, compare")])
def test_a_command_that_is_not_there_is_answered_with_what_is(
    wrong: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([wrong]) == 2
    assert said in capsys.readouterr().err


needs_a_supervisor = pytest.mark.skipif(sys.platform != "linux", reason="calls are made in a fork on Linux alone")


@needs_a_supervisor
@pytest.mark.parametrize(("function", "said"), [("deadly", "killed by SIGKILL"), ("leaving", "ended itself with exit")])
def test_a_call_that_ends_its_process_is_a_line_and_the_others_are_made(folder: Path, function: str, said: str) -> None:
    done = whilst(folder, f"shop:{function}", "--items", "items.txt", "--errors", "return")
    assert done.returncode == 1
    written = lines(done.stdout)
    assert [line["item"] for line in written] == [str(number) for number in range(8)]
    assert ["error" in line for line in written] == [number == 5 for number in range(8)]
    assert said in str(written[5])
    assert "8 of 8 calls" in done.stderr
    assert "1 failed" in done.stderr


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_the_bar_counts_the_last_call_too(
    folder: Path, mode: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    counts: list[int] = []

    @contextlib.contextmanager
    def bar(title: str, total: int | None, *, done: int = 0) -> Iterator[Any]:
        counts.append(done)
        yield counts.append

    monkeypatch.setattr("whilst.running.verbs.progress.progress_bar", bar)
    monkeypatch.chdir(folder)
    assert main(["run", "builtins:int", "--items", "items.txt", "--mode", mode]) == 0
    assert sum(counts) == 8
    assert "8 of 8 calls" in capsys.readouterr().err


@needs_a_supervisor
def test_a_call_lost_with_its_process_is_made_again_where_that_is_asked_for(folder: Path) -> None:
    done = whilst(folder, "shop:moody", "--items", "items.txt", "--retries", "1", "--quiet")
    assert [line["result"] for line in lines(done.stdout)] == [str(number) for number in range(8)]
    assert (done.returncode, done.stderr) == (0, "")


@needs_a_supervisor
def test_a_deadline_is_one_for_all_processes_that_make_the_calls(folder: Path) -> None:
    done = whilst(folder, "shop:overdue", "--items", "items.txt", "--deadline", "1", "--retries", "9", "--quiet")
    assert (folder / "calls").read_text().count("5") <= 1, "made again after the deadline"
    assert done.returncode == 1
    assert re.search(r"--deadline 1 was over when \d of 8 calls were done", done.stderr)


@needs_a_supervisor
def test_which_of_overlapping_calls_ended_the_process_is_found_out(folder: Path) -> None:
    arguments = ("shop:together", "--items", "items.txt", "--mode", "concurrent", "--errors", "return")
    done = whilst(folder, *arguments, "--output", "out.jsonl")
    written = lines((folder / "out.jsonl").read_text())
    assert [line["item"] for line in written] == [str(number) for number in range(8)]
    assert ["error" in line for line in written] == [number == 5 for number in range(8)]
    assert done.returncode == 1


@needs_a_supervisor
def test_a_run_that_its_call_ends_says_so_last(folder: Path) -> None:
    done = whilst(folder, "shop:deadly", "--items", "items.txt")
    assert (done.returncode, len(lines(done.stdout))) == (1, 6)
    *_, stopped, remedy = done.stderr.splitlines()
    assert stopped.startswith("whilst: stopped, since the call for '5' failed: WorkerDiedError: the process")
    assert remedy == "whilst: --errors return makes the others as well."


@needs_a_supervisor
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_goes_on_once_the_command_is_killed(folder: Path, number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "whilst", "run", "shop:pid", "--items", "items.txt", "--mode", "sequential", "--quiet"],
        cwd=folder,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b'{"item": "0", "result": "0"}\n'
        child = psutil.Process(process.pid).children()[0]
        process.send_signal(number)
        assert process.wait(120) == -number
        child.wait(120)


def test_one_document_has_results_decision_and_timeline(folder: Path) -> None:
    done = whilst(folder, "shop:chatty", "--items", "items.txt", "--json", "--quiet")
    plain = json.loads(done.stdout)
    assert [line["result"] for line in plain["results"]] == [str(number) for number in range(8)]
    assert (plain["calls"], plain["of"], plain["failed"]) == (8, 8, 0)
    assert plain["decision"]["mode"] == "sequential"
    assert plain["timeline"]["format"] == "whilst timeline 1"
    done = whilst(folder, "shop:chatty", "--items", "items.txt", "--json", "--output", "out.jsonl")
    assert "results" not in json.loads(done.stdout)
    assert len(lines((folder / "out.jsonl").read_text())) == 8


@needs_a_supervisor
def test_the_document_is_whole_where_a_call_ends_its_process(folder: Path) -> None:
    done = whilst(folder, "shop:deadly", "--items", "items.txt", "--json")
    plain = json.loads(done.stdout)
    assert [len(plain["results"]), plain["calls"], plain["of"], plain["failed"]] == [6, 6, 8, 1]


def test_a_dry_run_says_the_decision_and_nothing_more(folder: Path) -> None:
    (folder / "mended").touch()
    arguments = ("shop:once", "--items", "items.txt", "--dry-run", "--output", "out", "--journal", "run.db")
    done = whilst(folder, *arguments)
    made = (folder / "calls").read_text()
    calls = made.count("\n")  # more than one where the machine is busy, and calls take long by chance
    said = f"Decided after {calls} call{'s' if calls > 1 else ''} of 8; nothing was written.\n"
    assert (done.returncode, done.stderr) == (0, said)
    assert "sequential: in the calling thread" in done.stdout
    assert calls
    assert not (folder / "out").exists()
    assert not (folder / "run.db").exists()
    done = whilst(folder, "shop:once", "--items", "items.txt", "--dry-run", "--json", "--mode", "parallel")
    assert json.loads(done.stdout)["mode"] == "parallel"
    assert (folder / "calls").read_text() == made


def test_a_summary_is_one_line_and_the_picture_is_asked_for(folder: Path) -> None:
    done = whilst(folder, "shop:double", "--items", "items.txt")
    (line,) = done.stderr.splitlines()
    assert line.startswith("8 of 8 calls in ")
    assert line.endswith(" s: sequential, in the calling thread: too short to be worth looking into.")
    done = whilst(folder, "shop:double", "--items", "items.txt", "--show")
    assert "makespan" in done.stderr


def test_a_journal_in_a_folder_that_is_missing_is_said_before_any_call(folder: Path) -> None:
    done = whilst(folder, "shop:once", "--items", "items.txt", "--journal", "no/run.db")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"can't be made: there is no folder {str(folder / 'no')!r}" in done.stderr
    assert not (folder / "calls").exists()


@pytest.mark.parametrize("mode", ["auto", "parallel"])
def test_a_call_that_raises_system_exit_has_failed_and_the_others_are_made(folder: Path, mode: str) -> None:
    done = whilst(folder, "shop:exiting", "--items", "items.txt", "--errors", "return", "--mode", mode, "--json")
    results = json.loads(done.stdout)["results"]
    assert done.returncode == 1
    assert [each["item"] for each in results] == (folder / "items.txt").read_text().split()
    assert [(each["item"], each["error"]["type"]) for each in results if "error" in each] == [("5", "SystemExit")]


def test_a_call_that_raises_system_exit_ends_a_run_that_errors_end(folder: Path) -> None:
    done = whilst(folder, "shop:exiting", "--items", "items.txt")
    assert done.returncode == 1
    assert "stopped, since the call for '5' failed: SystemExit: 4" in done.stderr
    assert lines(done.stdout)[-1]["item"] == "5"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_page_for_which_there_is_no_room_is_told_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    assert main(["run", "shop:double", "--items", "items.txt", "--quiet", "--html", "/dev/full"]) == 2
    assert capfd.readouterr().err == "whilst: Can't write /dev/full: No space left on device.\n"


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["--output", "items.txt"], ("--items items.txt", "--output items.txt")),
        (["--output", "link.txt"], ("--items items.txt", "--output link.txt")),
        (["--journal", "new", "--output", "./new"], ("--journal new", "--output new")),
        (["--output", "new", "--html", "new"], ("--output new", "--html new")),
    ],
)
def test_a_file_that_is_read_or_written_otherwise_is_not_written_over(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    options: tuple[str, str],
) -> None:
    monkeypatch.chdir(folder)
    (folder / "link.txt").hardlink_to(folder / "items.txt")
    before = (folder / "items.txt").read_text()
    assert main(["run", "shop:double", "--items", "items.txt", *arguments]) == 2
    said = capfd.readouterr().err
    assert f"{options[0]} and {options[1]} are the same file" in said
    assert (folder / "items.txt").read_text() == before
    assert not (folder / "new").exists()


def test_a_run_that_is_refused_leaves_the_output_as_it_was(folder: Path) -> None:
    (folder / "out").write_text("before\n")
    (folder / "run.db").write_bytes(b"no journal" * 100)
    arguments = ("shop:once", "--items", "items.txt", "--output", "out", "--journal", "run.db", "--quiet")
    assert whilst(folder, *arguments).returncode == 2
    assert (folder / "out").read_text() == "before\n"
    (folder / "none.txt").write_text("")
    assert whilst(folder, "shop:once", "--items", "none.txt", "--output", "out", "--quiet").returncode == 0
    assert (folder / "out").read_text() == ""


def test_a_summary_says_what_forbids_every_other_mode_and_how_to_insist() -> None:
    whys = "it changes memo[…] (seen to change, shop.py line 8)"
    reason = "any other mode could change the results; if you know that it can't, pass mode='concurrent'"
    decision = Decision(
        Mode.SEQUENTIAL,
        "inline",
        1,
        reason=reason,
        rejected=tuple(Rejection(mode, whys) for mode in Mode if mode.value != "sequential"),
    )
    assert _in_short(decision) == (
        f"sequential, in the calling thread: {whys}, so that any other mode could change the results"
    )
    assert _with_options(decision).reason.endswith("pass --mode concurrent")


def test_a_line_breaks_between_no_number_and_its_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert _wrapped("200 calls take about 99.6 s so") == "200 calls take about\n99.6 s so"
    assert _wrapped("all of the calls 99.6 s so") == "all of the calls\n99.6 s so"
