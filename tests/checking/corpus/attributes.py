"""Attributes, slots, properties, descriptors, class attributes, globals, closures: racy and fixed, in pairs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any


class Account:
    def __init__(self) -> None:
        self.balance = 100
        self.lock = threading.Lock()


def deposit(account: Account) -> None:
    balance = account.balance
    balance += 50
    account.balance = balance


def deposit_in_place(account: Account) -> None:
    account.balance += 50


def withdraw(account: Account) -> bool:
    if account.balance >= 80:
        account.balance -= 80
        return True
    return False


def locked_deposit(account: Account) -> None:
    with account.lock:
        deposit(account)


def locked_deposit_in_place(account: Account) -> None:
    with account.lock:
        account.balance += 50


def locked_withdraw(account: Account) -> bool:
    with account.lock:
        return withdraw(account)


class Slotted:
    __slots__ = ("lock", "n")

    def __init__(self) -> None:
        self.n = 0
        self.lock = threading.Lock()


def bump_slot(state: Slotted) -> None:
    state.n = state.n + 1


def locked_bump_slot(state: Slotted) -> None:
    with state.lock:
        state.n = state.n + 1


@dataclass
class Stats:
    hits: int = 0
    misses: int = 0
    lock: Any = field(default_factory=threading.Lock)

    @property
    def total(self) -> int:
        return self.hits + self.misses

    def hit(self) -> None:
        self.hits += 1

    def miss(self) -> None:
        self.misses += 1


def count_hit(stats: Stats) -> None:
    stats.hit()


def count_miss(stats: Stats) -> None:
    stats.miss()


def move_hit(stats: Stats) -> None:
    stats.hits -= 1
    stats.misses += 1


def read_total(stats: Stats) -> int:
    return stats.total


def locked_move_hit(stats: Stats) -> None:
    with stats.lock:
        move_hit(stats)


def locked_read_total(stats: Stats) -> int:
    with stats.lock:
        return stats.total


class Positive:
    """A data descriptor that keeps its value in the instance under another name."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"_{name}"

    def __get__(self, instance: Any, owner: type) -> Any:
        return instance.__dict__.get(self.name, 0)

    def __set__(self, instance: Any, value: int) -> None:
        if value < 0:
            raise ValueError(value)
        instance.__dict__[self.name] = value


class Stock:
    level = Positive()

    def __init__(self) -> None:
        self.level = 1
        self.lock = threading.Lock()


def take_one(stock: Stock) -> None:
    if stock.level > 0:
        stock.level -= 1


def locked_take_one(stock: Stock) -> None:
    with stock.lock:
        take_one(stock)


class Registry:
    count = 0
    lock = threading.Lock()

    def __init__(self) -> None:
        type(self).count = 0


def register(registry: Registry) -> int:
    Registry.count += 1
    return Registry.count


def locked_register(registry: Registry) -> int:
    with Registry.lock:
        Registry.count += 1
        return Registry.count


def bump_by_name(state: Any) -> None:
    setattr(state, "n", getattr(state, "n") + 1)  # noqa: B009, B010 - the subject of the case


def locked_bump_by_name(state: Any) -> None:
    with state.lock:
        bump_by_name(state)


def bump_in_dict(state: Any) -> None:
    held = state.__dict__
    held["n"] = held["n"] + 1


def locked_bump_in_dict(state: Any) -> None:
    with state.lock:
        bump_in_dict(state)


class Bare:
    def __init__(self) -> None:
        self.n = 0
        self.lock = threading.Lock()


counter = 0
counter_lock = threading.Lock()


def reset_counter() -> None:
    global counter
    counter = 0


def bump_global(_: None) -> int:
    global counter
    counter = counter + 1
    return counter


def locked_bump_global(_: None) -> int:
    with counter_lock:
        return bump_global(None)


def make_cell() -> Any:
    n = 0
    lock = threading.Lock()

    def bump() -> int:
        nonlocal n
        n += 1
        return n

    def locked() -> int:
        with lock:
            return bump()

    return bump, locked


def bump_cell(pair: Any) -> int:
    return pair[0]()


def bump_locked_cell(pair: Any) -> int:
    return pair[1]()


class Config:
    """Double-checked initialisation: the flag is set before what it guards."""

    def __init__(self) -> None:
        self.is_ready = False
        self.value: int | None = None
        self.loads = 0
        self.lock = threading.Lock()

    def get_early_flag(self) -> int | None:
        if not self.is_ready:
            with self.lock:
                if not self.is_ready:
                    self.is_ready = True
                    self.loads += 1
                    self.value = 42
        return self.value

    def get(self) -> int | None:
        if not self.is_ready:
            with self.lock:
                if not self.is_ready:
                    self.loads += 1
                    self.value = 42
                    self.is_ready = True
        return self.value


class Lazy:
    """Check-then-act on None."""

    def __init__(self) -> None:
        self.conn: list[int] | None = None
        self.opened = 0
        self.lock = threading.Lock()

    def connect(self) -> int:
        if self.conn is None:
            self.opened += 1
            self.conn = [self.opened]
        return self.conn[0]

    def locked_connect(self) -> int:
        with self.lock:
            return self.connect()


class Cached:
    """functools.cached_property has no lock since 3.12 and a class-wide one before."""

    def __init__(self) -> None:
        self.built = 0
        self.lock = threading.Lock()

    @cached_property
    def value(self) -> int:
        self.built = self.built + 1
        return 7


def use_cached(state: Cached) -> int:
    return state.value


def use_cached_locked(state: Cached) -> int:
    with state.lock:
        return state.value


class Pair:
    """An invariant over two attributes: x == y."""

    def __init__(self) -> None:
        self.x = self.y = 0
        self.lock = threading.Lock()


def set_both(pair: Pair, value: int) -> None:
    pair.x = value
    pair.y = value


def locked_set_both(pair: Pair, value: int) -> None:
    with pair.lock:
        set_both(pair, value)


class OnCall:
    """Write skew: each may leave if the other stays."""

    def __init__(self) -> None:
        self.alice = self.bob = True
        self.lock = threading.Lock()


def alice_leaves(state: OnCall) -> None:
    if state.bob:
        state.alice = False


def bob_leaves(state: OnCall) -> None:
    if state.alice:
        state.bob = False


def locked_alice_leaves(state: OnCall) -> None:
    with state.lock:
        alice_leaves(state)


def locked_bob_leaves(state: OnCall) -> None:
    with state.lock:
        bob_leaves(state)


class Draft:
    """Dirty read: a value that is taken back is seen by the other."""

    def __init__(self) -> None:
        self.price = 10
        self.lock = threading.Lock()


def try_a_price(draft: Draft) -> None:
    before = draft.price
    draft.price = 99
    draft.price = before


def read_price(draft: Draft) -> int:
    return draft.price


def locked_try_a_price(draft: Draft) -> None:
    with draft.lock:
        try_a_price(draft)


def locked_read_price(draft: Draft) -> int:
    with draft.lock:
        return draft.price


class Bank:
    def __init__(self) -> None:
        self.a = 100
        self.b = 100
        self.lock = threading.Lock()


def transfer(bank: Bank) -> None:
    bank.a -= 30
    bank.b += 30


def audit(bank: Bank) -> int:
    return bank.a + bank.b


def locked_transfer(bank: Bank) -> None:
    with bank.lock:
        transfer(bank)


def locked_audit(bank: Bank) -> int:
    with bank.lock:
        return audit(bank)


def write_left(pair: Pair) -> None:
    pair.x = 1


def write_right(pair: Pair) -> None:
    pair.y = 2


def write_left_seen(pair: Pair) -> int:
    pair.x = 1
    return pair.y


def write_right_seen(pair: Pair) -> int:
    pair.y = 2
    return pair.x


# name: (racy, its fixed twin); `expect` is what the racy one must be called, "not isolated" unless given.
PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lost update, read then write": (
        {"setup": Account, "tasks": [deposit, deposit]},
        {"setup": Account, "tasks": [locked_deposit, locked_deposit]},
    ),
    "lost update, one statement": (
        {"setup": Account, "tasks": [deposit_in_place, deposit_in_place]},
        {"setup": Account, "tasks": [locked_deposit_in_place, locked_deposit_in_place]},
    ),
    "lost update, three tasks": (
        {"setup": Account, "tasks": [deposit, deposit, deposit]},
        {"setup": Account, "tasks": [locked_deposit, locked_deposit, locked_deposit]},
    ),
    "withdraw twice": (
        {"setup": Account, "tasks": [withdraw, withdraw]},
        {"setup": Account, "tasks": [locked_withdraw, locked_withdraw]},
    ),
    "lock on one side only": (
        {"setup": Account, "tasks": [locked_deposit, deposit]},
        {"setup": Account, "tasks": [locked_deposit, locked_withdraw]},
    ),
    "slots": (
        {"setup": Slotted, "tasks": [bump_slot, bump_slot]},
        {"setup": Slotted, "tasks": [locked_bump_slot, locked_bump_slot]},
    ),
    "dataclass through methods": (
        {"setup": Stats, "tasks": [count_hit, count_hit]},
        {"setup": Stats, "tasks": [count_hit, count_miss]},
    ),
    "property over two attributes": (
        {"setup": Stats, "tasks": [move_hit, read_total]},
        {"setup": Stats, "tasks": [locked_move_hit, locked_read_total]},
    ),
    "descriptor": (
        {"setup": Stock, "tasks": [take_one, take_one], "expect": "raises"},
        {"setup": Stock, "tasks": [locked_take_one, locked_take_one]},
    ),
    "class attribute": (
        {"setup": Registry, "tasks": [register, register]},
        {"setup": Registry, "tasks": [locked_register, locked_register]},
    ),
    "getattr and setattr": (
        {"setup": Bare, "tasks": [bump_by_name, bump_by_name]},
        {"setup": Bare, "tasks": [locked_bump_by_name, locked_bump_by_name]},
    ),
    "__dict__": (
        {"setup": Bare, "tasks": [bump_in_dict, bump_in_dict]},
        {"setup": Bare, "tasks": [locked_bump_in_dict, locked_bump_in_dict]},
    ),
    "__dict__ against the attribute": (
        {"setup": Bare, "tasks": [bump_in_dict, bump_by_name]},
        {"setup": Bare, "tasks": [locked_bump_in_dict, locked_bump_by_name]},
    ),
    "global": (
        {"setup": reset_counter, "tasks": [bump_global, bump_global]},
        {"setup": reset_counter, "tasks": [locked_bump_global, locked_bump_global]},
    ),
    "nonlocal": (
        {"setup": make_cell, "tasks": [bump_cell, bump_cell]},
        {"setup": make_cell, "tasks": [bump_locked_cell, bump_locked_cell]},
    ),
    "double-checked initialisation": (
        {"setup": Config, "tasks": [Config.get_early_flag, Config.get_early_flag]},
        {"setup": Config, "tasks": [Config.get, Config.get]},
    ),
    "open once": (
        {"setup": Lazy, "tasks": [Lazy.connect, Lazy.connect]},
        {"setup": Lazy, "tasks": [Lazy.locked_connect, Lazy.locked_connect]},
    ),
    "cached_property": (
        {"setup": Cached, "tasks": [use_cached, use_cached], "since": (3, 12)},
        {"setup": Cached, "tasks": [use_cached_locked, use_cached_locked]},
    ),
    "two attributes written together": (
        {"setup": Pair, "tasks": [partial(set_both, value=1), partial(set_both, value=2)]},
        {"setup": Pair, "tasks": [partial(locked_set_both, value=1), partial(locked_set_both, value=2)]},
    ),
    "write skew": (
        {"setup": OnCall, "tasks": [alice_leaves, bob_leaves]},
        {"setup": OnCall, "tasks": [locked_alice_leaves, locked_bob_leaves]},
    ),
    "dirty read": (
        {"setup": Draft, "tasks": [try_a_price, read_price]},
        {"setup": Draft, "tasks": [locked_try_a_price, locked_read_price]},
    ),
    "read skew": (
        {"setup": Bank, "tasks": [transfer, audit]},
        {"setup": Bank, "tasks": [locked_transfer, locked_audit]},
    ),
    "store buffering": (
        {"setup": Pair, "tasks": [write_left_seen, write_right_seen]},
        {"setup": Pair, "tasks": [write_left, write_right]},
    ),
}
