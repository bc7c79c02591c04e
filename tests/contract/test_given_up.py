"""What a mode by name may do to results: said of items, too, whose methods reach what all calls share."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import whilst


class Account:
    """An item whose class keeps count of what is done to all."""

    moves = 0

    def __init__(self, number: int) -> None:
        self.number = number
        self.own = 0

    def move(self) -> int:
        Account.moves += 1
        return self.number

    @property
    def moved(self) -> int:
        return self.move()

    def __neg__(self) -> int:
        return self.move()

    def note(self) -> int:
        self.own = self.number
        return self.own

    def look(self) -> int:
        return self.number


BY_ITEM: dict[str, Callable[[Any], int]] = {
    "method": lambda account: account.move(),
    "property": lambda account: account.moved,
    "operator": lambda account: -account,
}


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("mode", ["concurrent", "parallel"])
@pytest.mark.parametrize("way", BY_ITEM)
def test_what_the_methods_of_items_change_is_said_of_a_mode_by_name(way: str, mode: Any, *, is_kept: bool) -> None:
    kept = [Account(number) for number in range(4)]
    accounts = kept if is_kept else (Account(number) for number in range(4))
    results = whilst.map(BY_ITEM[way], accounts, mode=mode, workers=2)
    assert "Account.moves" in "".join(results.decision.given_up)


def test_what_the_methods_of_parts_of_items_change_is_said() -> None:
    results = whilst.starmap(lambda account, _: account.move(), [(Account(1), 2)] * 2, mode="concurrent")
    assert "Account.moves" in "".join(results.decision.given_up)


def test_nothing_is_said_of_methods_that_spoil_nothing() -> None:
    accounts = [Account(number) for number in range(4)]
    assert whilst.map(Account.look, accounts, mode="parallel", workers=2).decision.given_up == ()
    assert whilst.map(lambda account: account.note(), accounts, mode="concurrent").decision.given_up == ()


def test_what_is_to_be_said_keeps_no_item_alive() -> None:
    account = Account(1)
    is_alive = weakref.ref(account)
    results = whilst.map(BY_ITEM["method"], [account], mode="concurrent")
    del account
    gc.collect()
    assert is_alive() is None
    assert "Account.moves" in "".join(results.decision.given_up)
