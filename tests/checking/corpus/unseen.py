"""Python code that C code calls, and functions that were not there when their file was looked through."""

from __future__ import annotations

import ctypes
import threading
import types
from collections.abc import Callable
from typing import Any


class Account:
    def __init__(self) -> None:
        self.balance = 0
        self.lock = threading.Lock()


def deposit(account: Account) -> None:
    balance = account.balance
    account.balance = balance + 50


def deposit_locked(account: Account) -> None:
    with account.lock:
        balance = account.balance
        account.balance = balance + 50


_CALLBACK = ctypes.PYFUNCTYPE(None, ctypes.py_object)
_CALLED_BY_C = {function: _CALLBACK(function) for function in (deposit, deposit_locked)}


def through_ctypes(function: Callable[[Account], None]) -> Callable[[Account], None]:
    called = _CALLED_BY_C[function]

    def pay(account: Account) -> None:
        called(account)

    return pay


def elsewhere(body: str) -> Callable[[Account], None]:
    """A function of a file of its own, reached through C code alone."""
    space: dict[str, Any] = {"__name__": f"ledger_{len(body)}"}
    exec(compile(f"def deposit(account):\n{body}", f"/nowhere/ledger_{len(body)}.py", "exec"), space)
    called = _CALLBACK(space["deposit"])

    def pay(account: Account) -> None:
        called(account)

    return pay


def given_to_c(is_locked: bool) -> Callable[[Account], None]:
    """Passed to a C function as one of its arguments, hidden in an object of the standard library."""
    function = deposit_locked if is_locked else deposit
    held = types.SimpleNamespace(call=_CALLBACK(function))

    def pay(account: Account) -> None:
        held.call(account)

    return pay


_RACY = "    balance = account.balance\n    account.balance = balance + 50\n"
_FIXED = "    with account.lock:\n        balance = account.balance\n        account.balance = balance + 50\n"


def twice(task: Callable[[Account], None]) -> dict[str, Any]:
    return {"setup": Account, "tasks": [task, task], "outcome": lambda account: account.balance}


def when_together(body: str) -> dict[str, Any]:
    """C code calls it, behind an attribute, where two tasks are at work at a time: no order of the tasks shows it."""
    space: dict[str, Any] = {"__name__": f"together_{len(body)}"}
    exec(compile(f"def deposit(account):\n{body}", f"/nowhere/together_{len(body)}.py", "exec"), space)

    class Shared(Account):
        inside = visits = 0
        paid = property(_CALLBACK(space["deposit"]))

    def pay(account: Shared) -> None:
        with account.lock:
            account.inside += 1
            is_alone = account.inside == 1
        if is_alone:
            deposit_locked(account)
        else:
            account.paid  # noqa: B018  # which deposits
        with account.lock:
            account.inside -= 1
        with account.lock:
            account.visits += 1

    return {"setup": Shared, "tasks": [pay, pay], "outcome": lambda account: account.balance}


PAIRS = {
    "a ctypes callback": (twice(through_ctypes(deposit)), twice(through_ctypes(deposit_locked))),
    "a file known to C code alone": (twice(elsewhere(_RACY)), twice(elsewhere(_FIXED))),
    "an attribute, by C code, of tasks that overlap": (when_together(_RACY), when_together(_FIXED)),
    "a callback in an attribute": (twice(given_to_c(False)), twice(given_to_c(True))),
}
