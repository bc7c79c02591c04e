"""The verb from end to end, on scripts in a folder of their own. Whether a change is quick is told to it: a test must
not depend on how busy the machine is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import pytest

import whilst
from whilst.cli import main
from whilst.model import Mode
from whilst.seeing.advising import Advice, AdviseError, api, proving
from whilst.seeing.advising.judging import Choice
from whilst.seeing.advising.runs import Outcome, Workshop

WAITING = """
    import time

    def fetch(i):
        time.sleep(0.01)
        return i * i

    pages = []
    for i in range(20):
        page = fetch(i)
        pages.append(page)
        print("page", page)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(monkeypatch: pytest.MonkeyPatch, *, changed_s: float) -> None:
    """A script takes a second, and a changed one as long as is said here."""
    run = Workshop.run

    def timed(self: Workshop, text: str | None = None) -> Outcome:
        return replace(run(self, text), seconds=1.0 if text is None else changed_s)

    monkeypatch.setattr(Workshop, "run", timed)


def advise(folder: Path, code: str, *arguments: str, **keywords: object) -> Advice:
    script = folder / "script.py"
    script.write_text(textwrap.dedent(code).lstrip("\n"))
    return whilst.advise(script, arguments, **keywords)  # type: ignore[arg-type]


def test_a_loop_that_waits_is_changed_proved_and_written_on_request(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, changed_s=0.2)
    advice = advise(folder, WAITING, apply=True)
    (loop,) = advice.loops
    assert (loop.kind, loop.mode, loop.is_proved, loop.measured) == ("independent", "concurrent", True, 5.0)
    assert (loop.no_threads, loop.no_processes, loop.no_asyncio) == ("", "", "")
    assert loop.predicted is not None
    assert loop.predicted[1] <= loop.predicted[0] <= loop.predicted[2]
    assert "+for page in whilst.imap(fetch, range(20)" in advice.diff
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [f"page {i * i}" for i in range(20)]
    assert "whilst.imap" in (folder / "script.py").read_text()
    assert Path(advice.backup).read_text() == textwrap.dedent(WAITING).lstrip("\n")
    assert sorted(path.name for path in folder.iterdir()) == ["script.py", "script.py.before-whilst"]


def test_a_change_that_is_no_faster_is_dropped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, changed_s=0.95)
    advice = advise(folder, WAITING, apply=True)
    assert (advice.diff, advice.applied_to, advice.loops[0].mode) == ("", "", None)
    assert "1.05 times as fast" in advice.loops[0].verdict
    assert [path.name for path in folder.iterdir()] == ["script.py"]


def test_calls_that_see_each_other_are_not_advised(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their text does not tell: the list has two names."""
    told(monkeypatch, changed_s=0.2)
    advice = advise(
        folder,
        """
        import time
        rows = []
        seen = {"rows": rows}
        def fetch(i):
            time.sleep(0.01)
            return i + len(seen["rows"])
        for i in range(20):
            row = fetch(i)
            rows.append(row)
        print(rows)
        """,
    )
    assert advice.diff == ""
    assert advice.loops[0].mode is None
    assert advice.loops[0].kind == "unknown"


def test_what_the_rest_of_a_loop_changes_is_no_doing_of_its_calls(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list hangs on the object whose method is called; and each file's name is made of its item."""
    told(monkeypatch, changed_s=0.2)
    advice = advise(
        folder,
        """
        import time
        class Shop:
            def __init__(self):
                self.pages = []
            def fetch(self, i):
                time.sleep(0.01)
                with open(f"{i}.txt", "w") as file:
                    file.write(str(i))
                return i
            def run(self):
                for i in range(20):
                    page = self.fetch(i)
                    self.pages.append(page)
        shop = Shop()
        shop.run()
        print(shop.pages)
        """,
    )
    assert (advice.loops[0].kind, advice.loops[0].is_proved) == ("independent", True)
    assert "+        for page in whilst.imap(self.fetch, range(20)" in advice.diff


def test_a_shared_buffer_keeps_calls_from_overlapping(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, changed_s=0.2)
    advice = advise(
        folder,
        """
        import time
        buffer = [0] * 4
        def checksum(i):
            buffer[0] = i
            time.sleep(0.01)
            return buffer[0]
        sums = [checksum(i) for i in range(20)]
        print(sums)
        """,
    )
    assert advice.loops[0].mode is None
    assert "buffer" in str(advice.loops[0].no_threads)


def test_what_differs_from_run_to_run_is_not_proved(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, changed_s=0.2)
    advice = advise(folder, WAITING + "    print(time.perf_counter_ns())\n", apply=True)
    assert advice.diff == ""
    assert "does not do the same when it is run again" in advice.remarks[0]
    assert "can't be proved" in advice.loops[0].verdict


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = 1\nraise KeyError('price')", "It raises KeyError: 'price'"),
        ("name = input()", "It asks for input"),
        ("import os\nos._exit(3)", "It ended itself (3)"),
        ("import os\nos.kill(os.getpid(), 9)", "It was ended by signal 9"),
        ("import time\ntime.sleep(60)", "It did not end within 1 s"),
    ],
)
def test_a_script_that_does_not_run_is_not_advised_on(folder: Path, code: str, said: str) -> None:
    timeout_s = 1.0 if "60" in code else 60.0
    advice = advise(folder, code, timeout_s=timeout_s)
    assert (advice.is_runnable, advice.loops, advice.diff) == (False, (), "")
    assert said in advice.remarks[0]


def test_a_script_is_kept_from_files_outside_its_folder(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
    precious = tmp_path_factory.mktemp("home") / "precious.txt"
    precious.write_text("mine")
    advice = advise(folder, f"x = 1\nopen({str(precious)!r}, 'w').close()")
    assert "precious.txt (line 2 of script.py)" in advice.remarks[0]
    assert precious.read_text() == "mine"
    own = folder / "data.txt"
    own.write_text("mine, too")
    assert "--allow-effects" in advise(folder, f"import os\nos.remove({str(own)!r})").remarks[0]
    assert own.read_text() == "mine, too"


def test_files_in_its_folder_are_changed_in_the_copy_alone(folder: Path) -> None:
    (folder / "data.txt").write_text("1\n2\n")
    advice = advise(
        folder,
        """
        import sys
        lines = open("data.txt").read().split()
        open("data.txt", "a").write(sys.argv[1])
        open("made.txt", "w").write("x")
        """,
        "--year=3",
    )
    assert (advice.is_runnable, advice.loops) == (True, ())
    assert (folder / "data.txt").read_text() == "1\n2\n"
    assert [path.name for path in sorted(folder.iterdir())] == ["data.txt", "script.py"]


def test_input_is_given_to_every_run(folder: Path) -> None:
    assert advise(folder, "print(input())", stdin=b"7\n").is_runnable


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.py", None, "There is no script"),
        ("broken.py", b"def f(:\n", "line 1"),
        ("letters.py", "x = 'é'".encode("latin-1"), "UTF-8"),
        ("book.ipynb", b"{}", "notebook"),
        ("null.py", b"x = 1\0", "no Python"),
    ],
)
def test_what_is_no_script_is_refused(folder: Path, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(AdviseError, match=said):
        whilst.advise(name)


def test_the_command_writes_json_and_refuses_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "brief.py").write_text("print(1)\n")
    assert main(["advise", "brief.py", "--json", "--own-option"]) == 0
    assert json.loads(capsys.readouterr().out)["is_runnable"] is True
    assert main(["advise", "none.py"]) == 2
    assert capsys.readouterr().err == "whilst: There is no script 'none.py'.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_and_takes_the_copies_away(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """It comes while the first run goes on."""
    scratch = folder.parent / f"{folder.name}-scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    before = signal.getsignal(signal.SIGTERM)
    started: list[subprocess.Popen[bytes]] = []

    class Popen(subprocess.Popen):  # type: ignore[type-arg]
        def wait(self, timeout: float | None = None) -> int:
            if not started:
                started.append(self)
                signal.raise_signal(number)
            return super().wait(timeout)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit):
        advise(folder, "import time\ntime.sleep(100)")
    assert started[0].returncode is not None
    assert list(scratch.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_nothing_is_left_behind(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    scratch = tmp_path_factory.mktemp("scratch")
    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(scratch))
        advise(folder, "print(1)")
    assert list(scratch.iterdir()) == []
    assert dict(os.environ) == before


def test_items_that_are_left_out_and_a_buffer_that_each_call_fills(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, changed_s=0.2)
    advice = advise(
        folder,
        """
        import time

        buffer = [0] * 4

        def checksum(number):
            for k in range(4):
                buffer[k] = number * k
            time.sleep(0.01)
            return sum(buffer)

        total = 0
        for number in range(40):
            if number % 2:
                continue
            found = checksum(number)
            total += found
        print(total)
        """,
    )
    (loop,) = advice.loops
    assert (loop.kind, loop.mode, loop.is_proved, loop.no_processes) == ("reduction", "parallel", True, "")
    assert loop.no_threads == "buffer is shared by all calls, and changed in line 7"
    assert "+for found in whilst.imap(checksum, [number for number in range(40) if not (number % 2)]," in advice.diff


def test_a_loop_over_the_files_of_folders_is_changed_as_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, changed_s=0.2)
    # What it would bring depends on the machine: here nothing for each folder alone, and much for all of them.
    threads = [Choice(Mode.CONCURRENT, 2, 0.01, 0.01, 0.01)]
    monkeypatch.setattr(api, "choose", lambda _, probe, *__: (threads if probe["courses"] == 1 else [], "short"))
    monkeypatch.setattr(api.Advisor, "_calls_s", lambda *_: 1.0)
    for name in ("b/two", "a/one", "a/three"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    advice = advise(
        folder,
        """
        import os, time

        def read(path):
            time.sleep(0.03)
            return open(path).read()

        rows = []
        for where, folders, files in os.walk("."):
            folders.sort()
            for name in sorted(files):
                if name.startswith("script.py"):
                    continue
                rows.append((name, read(os.path.join(where, name))))
        print(rows)
        """,
        apply=True,
    )
    (loop,) = [each for each in advice.loops if each.line == 8]
    assert (loop.kind, loop.mode, loop.is_proved) == ("independent", "concurrent", True), loop
    assert "+def found_items():" in advice.diff
    assert "+            yield where, name" in advice.diff
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, timeout=60)
    assert done.stdout == str([("one", "a/one"), ("three", "a/three"), ("two", "b/two")]) + "\n"


SEARCH = """
    import pathlib

    def digits(n):
        {first}
        return sum(range(100_000)) % 2 + sum(map(int, str(3 ** (2000 + n))))

    for n in range(50):
        found = digits(n)
        if found > 4501:
            print("found", n, found)
            break
"""


def test_a_search_that_only_computes_may_be_done_ahead(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, changed_s=0.2)
    monkeypatch.setattr(api, "_LITTLE", 0.9)  # a busy machine looks as if the calls waited
    advice = advise(folder, SEARCH.format(first="pass"))
    (loop,) = [each for each in advice.loops if each.line == 7]
    assert loop.kind == "independent", loop  # whether it is worth its while depends on the machine
    assert "it may stop early (line 11)" in loop.notes[0]


def test_a_search_that_is_done_ahead_is_proved_and_still_stops(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, changed_s=0.2)
    monkeypatch.setattr(api, "_LITTLE", 0.9)
    # What it would bring depends on the machine; here two processes do it in no time.
    monkeypatch.setattr(api, "choose", lambda *_: ([Choice(Mode.PARALLEL, 2, 0.01, 0.01, 0.01)], ""))
    monkeypatch.setattr(api.Advisor, "_calls_s", lambda *_: 1.0)
    advice = advise(folder, SEARCH.format(first="pass"), apply=True)
    (loop,) = [each for each in advice.loops if each.line == 7]
    assert (loop.mode, loop.measured, loop.is_proved) == ("parallel", 5.0, True), loop
    assert "+for n, found in zip(range(50), whilst.imap(digits, range(50)" in advice.diff
    before, after = Path(advice.backup), folder / "script.py"
    assert before.read_text().count("break") == after.read_text().count("break") == 1
    ends = [
        subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=60) for path in (before, after)
    ]
    assert ends[0].stdout == ends[1].stdout != ""
    assert (ends[1].returncode, ends[1].stderr) == (0, "")


def test_a_search_that_does_more_is_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, changed_s=0.2)
    monkeypatch.setattr(api, "_LITTLE", 0.9)
    advice = advise(folder, SEARCH.format(first='pathlib.Path("asked").write_text(str(n))'))
    (loop,) = [each for each in advice.loops if each.line == 7]
    assert (loop.kind, loop.is_proved) == ("unknown", False)
    assert loop.why.endswith("and they do more than compute")


def test_a_busy_machine_is_said_and_nothing_is_predicted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, lengths = Workshop.run, cycle([1.0, 1.8])
    monkeypatch.setattr(proving, "MOST_PAIRS", 3)

    def timed(self: Workshop, text: str | None = None) -> Outcome:
        return replace(run(self, text), seconds=next(lengths))

    monkeypatch.setattr(Workshop, "run", timed)
    advice = advise(folder, WAITING)
    assert [loop.predicted for loop in advice.loops] == [None]
    assert any("the machine was busy with something else" in remark for remark in advice.remarks)


def test_the_diff_of_an_answer_keeps_its_last_empty_lines() -> None:
    diff = "--- a/s.py\n+++ b/s.py\n@@ -1,3 +1,3 @@\n-a\n+b\n \n \n"
    answers = dict(Advice("s.py", (), diff=diff).answers())
    assert answers["What should I change?"] + "\n" == diff
