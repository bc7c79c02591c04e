"""A schedule that failed is kept, tried first next time, and dropped once it does not fail any more."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

import whilst
from whilst.model.verdict import Answer


class Account:
    def __init__(self) -> None:
        self.balance = 100
        self.lock = threading.Lock()

    def deposit(self) -> None:
        self.balance += 50


is_mended = False


def deposit(account: Account) -> None:
    if is_mended:
        with account.lock:
            account.balance += 50
    else:
        balance = account.balance
        account.balance = balance + 50


def schedules(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.schedule"))


FIRST = "the schedule that failed last time, tried first"


def test_it_is_tried_first_and_goes_once_it_does_not_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kept"
    first = whilst.check(Account, [deposit, deposit], keep=folder)
    (file,) = schedules(folder)
    assert file.read_text().strip() == first.token
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"

    second = whilst.check(Account, [deposit, deposit], keep=folder)
    assert second.answer is first.answer
    assert (second.guarantee, second.executions) == (FIRST, 1)
    assert second.counterexample is not None
    assert first.counterexample is not None
    assert second.counterexample.sentence == first.counterexample.sentence
    assert second.token == first.token

    monkeypatch.setitem(globals(), "is_mended", True)
    assert whilst.check(Account, [deposit, deposit], keep=folder)
    assert schedules(folder) == []


def test_another_question_has_another_file(tmp_path: Path) -> None:
    whilst.check(Account, [deposit, deposit], keep=tmp_path)
    assert not whilst.check(Account, [deposit, deposit, deposit], keep=tmp_path)
    assert len(schedules(tmp_path)) == 2


def test_what_has_no_name_is_kept_too(tmp_path: Path) -> None:
    def local(account: Account) -> None:
        deposit(account)

    assert whilst.check(Account, [local, local], keep=tmp_path).guarantee != FIRST
    assert whilst.check(Account, [local, local], keep=tmp_path).guarantee == FIRST


@pytest.mark.parametrize("text", ["", "w1.nonsense", "w1.abc.000.cAADAQ.cAA", "\xff\xfe"])
def test_a_file_that_says_nothing_is_dropped(tmp_path: Path, text: str) -> None:
    whilst.check(Account, [deposit, deposit], keep=tmp_path)
    (file,) = schedules(tmp_path)
    file.write_text(text, encoding="latin-1")
    assert whilst.check(Account, [deposit, deposit], keep=tmp_path).answer is Answer.NOT_ISOLATED
    assert len(schedules(tmp_path)) == 1


def test_a_folder_that_cant_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    verdict = whilst.check(Account, [deposit, deposit], keep=tmp_path / "file" / "kept")
    assert "the failing schedule was not kept in" in str(verdict.assumed)


def test_nothing_is_kept_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not whilst.check(Account, [deposit, deposit])
    assert list(tmp_path.iterdir()) == []


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def increment(self, by: int) -> int:
        self.count += by
        return self.count


def test_calls_are_kept_with_their_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = whilst.check_operations(Counter, [("increment", [1, 2])], keep=tmp_path)
    second = whilst.check_operations(Counter, [("increment", [1, 2])], keep=tmp_path)
    assert second.guarantee == FIRST
    assert second.answer is first.answer is Answer.NOT_LINEARIZABLE
    assert second.token == first.token
    lock = threading.Lock()

    def increment(counter: Counter, by: int) -> int:
        with lock:
            counter.count += by
            return counter.count

    monkeypatch.setattr(Counter, "increment", increment)
    assert whilst.check_operations(Counter, [("increment", [1, 2])], keep=tmp_path, cases=4)
    assert schedules(tmp_path) == []
