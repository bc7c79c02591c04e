"""What the programs do that calls start: the files that they change, and whether they print."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from whilst.measuring.files.commands import Commands
from whilst.measuring.files.footprints import Footprints

ADDS = "import sys; open(sys.argv[1], 'a').write(sys.argv[2])"
KNOWS_WHAT_IS_WRITTEN = Path("/proc/thread-self/io").exists()


def watched(fn: Callable[[object], object], items: Sequence[object]) -> str:
    """What `fn` is found to share after a few watched calls, in words; "" for nothing."""
    files = Footprints()
    for item in items:
        files.begin(item)
        fn(item)
        files.end()
    return "; ".join(write.what for write in files.writes([]))


def test_a_file_that_a_command_is_told_of_and_changes_is_shared(tmp_path: Path) -> None:
    archive = tmp_path / "all.tar"

    def fn(item: object) -> None:
        subprocess.run([sys.executable, "-c", ADDS, str(archive), str(item)], check=True)

    assert "all.tar, which other calls write" in watched(fn, "ab")


def test_what_a_command_changes_in_the_folder_it_is_told_of_is_shared(tmp_path: Path) -> None:
    (tmp_path / ".state").mkdir()
    (tmp_path / ".state" / "index").write_text("")
    change = "import os, sys; os.chdir(sys.argv[1]); open('.state/index', 'a').write(sys.argv[2])"

    def fn(item: object) -> None:
        subprocess.run([sys.executable, "-c", change, str(tmp_path), str(item)], check=True)

    assert "index, which other calls write" in watched(fn, "ab")


def test_commands_that_only_read_or_write_a_file_of_their_own_share_nothing(tmp_path: Path) -> None:
    (tmp_path / "table").write_text("x")

    def fn(item: object) -> None:
        subprocess.run(["cp", "table", f"copy-{item}"], cwd=tmp_path, check=True)

    assert not watched(fn, "abc")


def test_a_log_that_this_process_has_open_is_not_what_the_command_changed(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:

        def fn(item: object) -> None:
            log.write(f"{item}\n")
            log.flush()
            subprocess.run(["true"], cwd=tmp_path, check=True)

        assert not watched(fn, "ab")


@pytest.mark.skipif(not KNOWS_WHAT_IS_WRITTEN, reason="the kernel does not tell what a process writes")
@pytest.mark.parametrize(
    ("line", "is_captured", "prints"),
    [
        ("echo hello", False, True),
        ("echo hello", True, False),
        ("true", False, False),
        ("echo x > {0}/f", False, False),
    ],
)
def test_a_command_that_prints_where_this_process_prints_is_told_from_one_that_does_not(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], line: str, is_captured: bool, prints: bool
) -> None:
    def fn(_item: object) -> None:
        subprocess.run(line.format(tmp_path), shell=True, check=True, capture_output=is_captured)

    assert ("the output of this program" in watched(fn, "a")) == prints
    capfd.readouterr()


@pytest.mark.skipif(not KNOWS_WHAT_IS_WRITTEN, reason="the kernel does not tell what a process writes")
def test_a_shell_line_of_the_system_prints_where_this_process_does(capfd: pytest.CaptureFixture[str]) -> None:
    assert "the output of this program" in watched(lambda item: os.system(f"echo {item}"), "a")
    assert capfd.readouterr().out == "a\n"


def test_files_that_there_was_no_time_to_look_at_are_not_taken_for_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old"
    old.write_text("x")
    os.utime(old, (1, 1))
    commands = Commands()
    with monkeypatch.context() as patched:
        patched.setattr("whilst.measuring.files.commands._MOST_LOOKS", 0)
        commands.start(["true"], tmp_path, may_print=False)
    (tmp_path / "new").write_text("x")
    assert commands.changed() == {str(tmp_path / "new")}
