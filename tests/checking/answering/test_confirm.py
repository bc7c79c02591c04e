"""Counterexamples in real threads: what can happen does, in a child that may crash or hang.

The tasks stay between a read and a write for as long as thousands of switch intervals take, so that no round has to be
lucky.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from typing import Any

import pytest

import whilst
from whilst.checking.answering import confirm as confirming
from whilst.checking.answering.checker import REMEMBERED
from whilst.errors import CheckError
from whilst.model.verdict import Answer, Confirmation, Verdict

HERE = os.getpid()
HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()


class Account:
    def __init__(self) -> None:
        self.balance = 100
        self.lock, self.other = threading.Lock(), threading.Lock()


def linger() -> int:
    """Long for real threads, nothing for the check."""
    for _ in range(200_000 if os.getpid() != HERE else 0):
        pass
    return 50


def deposit(account: Account) -> None:
    balance = account.balance
    account.balance = balance + linger()


def deposit_at_once(account: Account) -> None:
    account.balance += 50


def one_way(account: Account) -> None:
    with account.lock:
        linger()
        with account.other:
            pass


def other_way(account: Account) -> None:
    with account.other:
        linger()
        with account.lock:
            pass


def crash(account: Account) -> None:
    balance = account.balance
    if os.getpid() != HERE:
        os.kill(os.getpid(), signal.SIGKILL)
    account.balance = balance + 50


def hang(account: Account) -> None:
    balance = account.balance
    if os.getpid() != HERE:
        threading.Event().wait()
    account.balance = balance + 50


def go_round(account: Account) -> None:
    balance = account.balance
    while os.getpid() != HERE:
        pass
    account.balance = balance + 50


async def deposit_later(account: Account) -> None:
    balance = account.balance
    await asyncio.sleep(0)
    account.balance = balance + 50


def borrow(account: Account) -> None:
    account.balance -= 1000
    linger()
    account.balance += 1000


def never_below_zero(account: Account) -> bool:
    return account.balance >= 0


@pytest.mark.parametrize("tasks", [[deposit, deposit], [deposit_later, deposit_later]], ids=["threads", "coroutines"])
def test_a_lost_update_happens_for_real(tasks: list[Any]) -> None:
    verdict = whilst.check(Account, tasks)
    assert verdict.answer is Answer.NOT_ISOLATED
    confirmed = verdict.confirm()
    assert confirmed, confirmed
    assert "state.balance = 150" in confirmed.ending
    assert str(confirmed).startswith("It happened for real, in round ")


def test_a_deadlock_is_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirming, "_STUCK_S", 0.3)
    verdict = whilst.check(Account, [one_way, other_way])
    assert verdict.answer is Answer.DEADLOCK
    confirmed = verdict.confirm()
    assert confirmed, confirmed
    assert confirmed.ended.startswith("hang: test_confirm.py:")


def test_a_state_on_the_way_is_seen_by_a_thread_that_looks() -> None:
    verdict = whilst.check(Account, [borrow], always=never_below_zero)
    assert verdict.answer is Answer.BREAKS_INVARIANT
    assert verdict.confirm()


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def increment(self) -> int:
        count = self.count
        self.count = count + (linger() and 1)
        return count


def test_calls_that_no_order_explains_happen_for_real() -> None:
    verdict = whilst.check_operations(Counter, ["increment"], cases=4)
    assert verdict.answer is Answer.NOT_LINEARIZABLE
    confirmed = verdict.confirm()
    assert confirmed, confirmed
    assert "increment() = gives 0" in confirmed.ending


@pytest.mark.skipif(not HAS_GIL, reason="it happens on a build without the GIL")
def test_what_a_gil_keeps_from_happening_does_not() -> None:
    verdict = whilst.check(Account, [deposit_at_once, deposit_at_once])
    assert verdict.counterexample is not None
    assert verdict.counterexample.needs_free_threading
    confirmed = verdict.confirm(0.3)
    assert not confirmed
    assert confirmed.rounds > 1
    assert "it takes a build without the GIL" in str(confirmed)


def test_a_crash_is_named() -> None:
    confirmed = whilst.check(Account, [crash, crash]).confirm()
    assert confirmed.ended == "crash: SIGKILL"
    assert not confirmed
    assert "real threads came to a crash: SIGKILL" in str(confirmed)


@pytest.mark.parametrize("task", [hang, go_round])
def test_a_hang_is_named(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirming, "_STUCK_S", 0.2)
    confirmed = whilst.check(Account, [task, task]).confirm(1)
    assert not confirmed
    assert confirmed.ended.startswith("hang: test_confirm.py:")


def test_state_that_is_no_state_of_the_tasks_is_not_compared() -> None:
    def stamp(account: Account) -> None:
        account.balance = 0 if os.getpid() == HERE else time.time_ns()

    verdict = whilst.check(Account, [deposit, stamp])
    assert not verdict
    assert "outcome= says what counts" in str(verdict.confirm(1))


def test_in_another_process_the_token_leads_to_the_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    def local(account: Account) -> None:
        deposit(account)

    named, nameless = (whilst.check(Account, [task, task]) for task in (deposit, local))
    monkeypatch.setattr(confirming, "REMEMBERED", {})
    assert REMEMBERED
    assert named.confirm()
    with pytest.raises(CheckError, match=r"can't be found again.*in the process that made it"):
        nameless.confirm()


def test_what_can_not_be_confirmed_is_refused() -> None:
    with pytest.raises(CheckError, match="nothing to confirm: the verdict is isolated"):
        whilst.check(Account, [deposit]).confirm()
    with pytest.raises(CheckError, match="more than 0, got -1"):
        whilst.check(Account, [deposit, deposit]).confirm(-1)
    of_a_database = whilst.check_sql(["CREATE TABLE a (b)"], [["INSERT INTO a VALUES (1)"]])
    with pytest.raises(CheckError):
        of_a_database.confirm()


def test_a_confirmation_says_what_it_is() -> None:
    assert str(Confirmation(False, 1, "noise")) == "It did not happen in 1 round of real threads: which proves nothing."
    assert isinstance(whilst.check(Account, [deposit]), Verdict)
