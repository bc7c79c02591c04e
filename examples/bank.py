"""An account, a transfer, and what becomes of them in each and any interleaving.

    whilst check examples/bank.py::deposits          # not isolated: a lost update
    whilst check examples/bank.py::locked_deposits   # isolated
    whilst check examples/bank.py::transfers         # deadlock
    whilst check examples/bank.py::ordered_transfers # isolated

or all of them: python examples/bank.py
"""

from __future__ import annotations

import threading
from functools import partial

import whilst


class Account:
    def __init__(self, balance: int = 100) -> None:
        self.balance = balance
        self.lock = threading.Lock()


class Bank:
    def __init__(self) -> None:
        self.ann = Account()
        self.bob = Account()


def deposit(account: Account, amount: int) -> None:
    balance = account.balance  # read
    balance = balance + amount  # add
    account.balance = balance  # write


def locked_deposit(account: Account, amount: int) -> None:
    with account.lock:
        deposit(account, amount)


def transfer(bank: Bank, source: str, target: str, amount: int) -> None:
    giver, taker = getattr(bank, source), getattr(bank, target)
    with giver.lock, taker.lock:  # whoever transfers the other way takes them in the other order
        giver.balance -= amount
        taker.balance += amount


def ordered_transfer(bank: Bank, source: str, target: str, amount: int) -> None:
    giver, taker = getattr(bank, source), getattr(bank, target)
    first, second = sorted([source, target])  # everybody takes the locks in the same order
    with getattr(bank, first).lock, getattr(bank, second).lock:
        giver.balance -= amount
        taker.balance += amount


deposits = (Account, [partial(deposit, amount=50), partial(deposit, amount=30)])
locked_deposits = (Account, [partial(locked_deposit, amount=50), partial(locked_deposit, amount=30)])
transfers = (
    Bank,
    [
        partial(transfer, source="ann", target="bob", amount=10),
        partial(transfer, source="bob", target="ann", amount=20),
    ],
)
ordered_transfers = (
    Bank,
    [
        partial(ordered_transfer, source="ann", target="bob", amount=10),
        partial(ordered_transfer, source="bob", target="ann", amount=20),
    ],
)


def main() -> None:
    for name in ("deposits", "locked_deposits", "transfers", "ordered_transfers"):
        print(f"── {name} " + "─" * 60)
        setup, tasks = globals()[name]
        whilst.check(setup, tasks).show()


if __name__ == "__main__":
    main()
