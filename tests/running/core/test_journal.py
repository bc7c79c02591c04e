"""With a journal, no finished call is made again, whatever happened to the run or to the order of the input."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from whilst.errors import JournalError
from whilst.running.verbs.api import gather, imap, imap_unordered, map, starmap  # noqa: A004 - the verb's name

MODES = ["sequential", "concurrent"]
calls: list[Any] = []


@pytest.fixture(autouse=True)
def no_calls() -> None:
    calls.clear()


def double(item: Any) -> Any:
    calls.append(item)
    return item * 2


def picky(item: int) -> int:
    calls.append(item)
    if item == 3:
        raise ValueError("three")
    return item


@pytest.mark.parametrize("mode", MODES)
def test_only_what_is_not_finished_is_called(tmp_path: Path, mode: Any) -> None:
    file = tmp_path / "run.db"
    assert map(double, [1, 2, 3, 3], journal=file, mode=mode) == [2, 4, 6, 6]
    assert sorted(calls) == [1, 2, 3, 3]
    calls.clear()
    # Another order, more items, one of the equal ones once more.
    assert map(double, [0, 3, 2, 1, 9, 3, 3, 4], journal=file, mode=mode) == [0, 6, 4, 2, 18, 6, 6, 8]
    assert sorted(calls) == [0, 3, 4, 9]
    calls.clear()
    assert map(double, [3, 2], journal=file, mode=mode) == [6, 4]
    assert calls == []


@pytest.mark.parametrize("mode", MODES)
def test_streams_give_remembered_results_in_their_places(tmp_path: Path, mode: Any) -> None:
    file = tmp_path / "run.db"
    assert list(imap(double, iter([5, 1, 7]), journal=file, mode=mode)) == [10, 2, 14]
    calls.clear()
    assert list(imap(double, iter(range(9)), journal=file, mode=mode)) == [item * 2 for item in range(9)]
    assert sorted(calls) == [0, 2, 3, 4, 6, 8]
    calls.clear()
    assert sorted(imap_unordered(double, iter(range(9)), journal=file, mode=mode)) == [item * 2 for item in range(9)]
    assert calls == []


def test_an_endless_input_is_read_no_further_than_needed(tmp_path: Path) -> None:
    read = []

    def endless() -> Iterator[int]:
        number = 0
        while True:
            read.append(number)
            yield number
            number += 1

    stream = imap(double, endless(), journal=tmp_path / "run.db", mode="sequential")
    assert [next(stream) for _ in range(3)] == [0, 2, 4]
    stream.close()
    assert len(read) <= 6


def test_an_error_ends_the_run_and_what_was_finished_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "run.db"
    with pytest.raises(ValueError, match="three"):
        map(picky, range(6), journal=file, mode="sequential")
    calls.clear()
    kept = map(picky, range(6), journal=file, mode="sequential", errors="return")
    assert [type(value) for value in kept] == [int, int, int, ValueError, int, int]
    assert calls == [3, 4, 5]
    calls.clear()
    # A call that raised is not finished.
    map(picky, range(6), journal=file, mode="sequential", errors="return")
    assert calls == [3]


def test_an_input_that_raises_gives_what_came_before_it(tmp_path: Path) -> None:
    def broken() -> Iterator[int]:
        yield from (1, 2)
        raise LookupError("no more")

    for _ in range(2):
        seen = []
        with pytest.raises(LookupError, match="no more"):
            seen.extend(imap(double, broken(), journal=tmp_path / "run.db", mode="sequential"))
        assert calls == [1, 2]


def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import os, signal, sys
        from whilst.running.verbs.api import map

        def work(item):
            with open("calls", "a") as log:
                log.write(f"{item}\\n")
            if item == 7 and not os.path.exists("mended"):
                os.kill(os.getpid(), signal.SIGKILL)
            return item * item

        print(list(map(work, range(10), journal="run.db", mode="sequential")))
        """
    )
    (tmp_path / "program.py").write_text(program)

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, env=os.environ
        )

    assert run().returncode == -signal.SIGKILL
    (tmp_path / "mended").touch()
    done = run()
    assert done.stdout.strip() == str([item * item for item in range(10)]), done.stderr
    log = (tmp_path / "calls").read_text().split()
    assert log == ["0", "1", "2", "3", "4", "5", "6", "7", "7", "8", "9"]


def test_seeded_draws_stay_those_of_their_place(tmp_path: Path) -> None:
    import random

    def draw(_item: str) -> float:
        return random.random()

    file = tmp_path / "run.db"
    whole = list(map(draw, "aaab", seed=5, mode="sequential"))
    assert list(map(draw, "aa", seed=5, mode="sequential", journal=file)) == whole[:2]
    assert list(map(draw, "aaab", seed=5, mode="sequential", journal=file)) == whole
    with pytest.raises(JournalError, match="seed 5, not 6"):
        map(draw, "aaab", seed=6, mode="sequential", journal=file)


def test_a_result_that_can_t_be_pickled_is_delivered_and_said(tmp_path: Path) -> None:
    def opener(item: int) -> Any:
        return (lambda: item) if item == 1 else item

    file = tmp_path / "run.db"
    with pytest.warns(RuntimeWarning, match="1 results.*item 1"):
        first = map(opener, range(3), journal=file, mode="sequential")
    assert first[1]() == 1


@pytest.mark.parametrize(
    ("item", "message"), [(lambda: 0, "can't be pickled"), (open, None)], ids=["lambda", "builtin"]
)
def test_an_item_that_can_t_be_known_again_is_refused(tmp_path: Path, item: Any, message: str | None) -> None:
    def call(given: Any) -> int:
        return 1

    if message is None:
        assert map(call, [item], journal=tmp_path / "run.db", mode="sequential") == [1]
        return
    with pytest.raises(JournalError, match=message):
        map(call, [item], journal=tmp_path / "run.db", mode="sequential")


def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.db"
    map(double, [1], journal=file, mode="sequential")
    with pytest.raises(JournalError, match=r"of function .*double, not .*picky"):
        map(picky, [1], journal=file, mode="sequential")
    other = tmp_path / "text"
    other.write_text("This is no database, and nobody should write over it." * 50)
    with pytest.raises(JournalError, match="can't be used"):
        map(double, [1], journal=other, mode="sequential")
    with pytest.raises(JournalError, match=r"there is no folder '.*no folder'"):
        map(double, [1], journal=tmp_path / "no folder" / "run.db", mode="sequential")


def test_two_runs_don_t_share_a_journal(tmp_path: Path) -> None:
    file = tmp_path / "run.db"

    def nested(item: int) -> Any:
        return map(double, [1], journal=file, mode="sequential")

    with pytest.raises(JournalError, match="in use by another run"):
        map(nested, [1], journal=file, mode="sequential")


def test_starmap_takes_a_journal_and_gather_says_why_not(tmp_path: Path) -> None:
    def add(left: int, right: int) -> int:
        calls.append((left, right))
        return left + right

    for _ in range(2):
        assert starmap(add, [(1, 2), (3, 4)], journal=tmp_path / "run.db", mode="sequential") == [3, 7]
    assert calls == [(1, 2), (3, 4)]
    with pytest.raises(ValueError, match="no items"):
        gather(lambda: 1, journal=tmp_path / "other.db")


def test_the_file_is_an_ordinary_database(tmp_path: Path) -> None:
    file = tmp_path / "run.db"
    map(double, [1, 2], journal=file, mode="sequential")
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT count(*) FROM finished").fetchone() == (2,)
    connection.close()


def test_the_decision_says_what_came_from_the_journal(tmp_path: Path) -> None:
    file = tmp_path / "run.db"
    first = map(double, [1, 2, 3], journal=file)
    assert "journal" not in str(first.decision)
    assert "3 results come from the journal" in str(map(double, [1, 2, 3, 4], journal=file).decision)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_a_journal_is_its_owners_alone(tmp_path: Path, umask: int) -> None:
    file, modes = tmp_path / "run.db", []

    def look(item: int) -> int:
        modes.extend(stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir())
        return item

    before = os.umask(umask)
    try:
        assert map(look, [1, 2], journal=file, mode="sequential") == [1, 2]
    finally:
        os.umask(before)
    assert {0o600} == {*modes, stat.S_IMODE(file.stat().st_mode)}


@pytest.mark.parametrize(("mode", "is_refused"), [(0o620, True), (0o602, True), (0o644, False), (0o400 | 0o200, False)])
@pytest.mark.parametrize("ending", ["", "-wal"])
def test_a_journal_that_others_may_write_is_refused(tmp_path: Path, mode: int, is_refused: bool, ending: str) -> None:
    file = tmp_path / "run.db"
    assert map(double, [1], journal=file, mode="sequential") == [2]
    written = tmp_path / f"run.db{ending}"
    written.touch()
    written.chmod(mode)
    if is_refused:
        with pytest.raises(JournalError, match=rf"{written}.*{mode:04o}.*chmod go-w"):
            map(double, [1], journal=file, mode="sequential")
    else:
        assert map(double, [1], journal=file, mode="sequential") == [2]
    assert calls == [1]


@pytest.mark.parametrize(("owner", "is_refused"), [(1234, True), (0, False)])
def test_a_journal_of_somebody_else_is_refused(
    tmp_path: Path, owner: int, is_refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "run.db"
    assert map(double, [1], journal=file, mode="sequential") == [2]
    if os.geteuid() == 0:
        os.chown(file, owner, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        is_refused = True
    if is_refused:
        with pytest.raises(JournalError, match=r"belongs to user \d+ .*chown"):
            map(double, [1], journal=file, mode="sequential")
    else:
        assert map(double, [1], journal=file, mode="sequential") == [2]
    assert calls == [1]


def test_the_bar_of_a_resumed_run_begins_with_what_was_done_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    @contextmanager
    def bar(title: str, total: int | None, *, done: int = 0) -> Iterator[Any]:
        seen.append(done)
        yield seen.append

    monkeypatch.setattr("whilst.running.verbs.progress.progress_bar", bar)
    map(double, [1, 2, 4], journal=tmp_path / "run.db")
    map(double, [1, 2, 3, 4], journal=tmp_path / "run.db", progress=True)
    assert (seen[0], sum(seen)) == (2, 4)
    seen.clear()
    map(double, [1, 2, 3, 4], journal=tmp_path / "run.db", progress=True)
    assert sum(seen) == 4
