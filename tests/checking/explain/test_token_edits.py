"""A token is about the code of its tasks: it survives edits elsewhere in the file, and refuses other code."""

from __future__ import annotations

import importlib
import linecache
import sys
from pathlib import Path

import pytest

from whilst.checking import api as verbs
from whilst.checking import check, replay
from whilst.checking.answering import checker
from whilst.checking.question import Question
from whilst.errors import ReplayError

SOURCE = """
class Account:
    def __init__(self):
        self.balance = 0

def deposit(account):
    balance = account.balance
    account.balance = balance + 1
"""


@pytest.fixture(autouse=True)
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path))
    remembered: dict[str, Question] = {}
    for module in (checker, verbs):
        monkeypatch.setattr(module, "REMEMBERED", remembered)
    return tmp_path / "edited_bank.py"


def token_of(file: Path) -> str:
    verdict = load(file, SOURCE)
    assert verdict is not None
    return verdict


def load(file: Path, text: str) -> str | None:
    """The module as it is now; the token of its check."""
    file.write_text(text)
    sys.modules.pop("edited_bank", None)
    linecache.clearcache()
    importlib.invalidate_caches()
    module = importlib.import_module("edited_bank")
    token = check(module.Account, [module.deposit] * 2).token
    checker.REMEMBERED.clear()  # as in another process
    return token


def test_a_token_survives_an_edit_above_its_tasks(edited: Path) -> None:
    token = token_of(edited)
    load(edited, "# a comment\n\nLIMIT = 3\n\ndef other():\n    return LIMIT\n\n" + SOURCE)
    verdict = replay(token)
    assert verdict.answer.value == "not isolated"
    assert verdict.counterexample is not None


def test_a_token_refuses_other_code_of_its_tasks(edited: Path) -> None:
    token = token_of(edited)
    load(edited, SOURCE.replace("balance + 1", "balance + 2"))
    with pytest.raises(ReplayError, match="code has changed"):
        replay(token)
    del sys.modules["edited_bank"]
