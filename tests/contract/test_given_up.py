"""What a mode by name may do to results: said of items, too, whose methods reach what all calls share."""

from __future__ import annotations

import functools
import gc
import threading
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


def test_what_a_callable_held_by_an_item_changes_is_said() -> None:
    account = Account(1)
    jobs = [{"of": "a dict", "do": account.move} for _ in range(2)]
    pairs = [(account.move, 1) for _ in range(2)]
    moved = whilst.map(lambda job: job["do"](), jobs, mode="concurrent")
    assert "Account.moves" in "".join(moved.decision.given_up)

    def unpack(pair: tuple[Callable[[], int], int]) -> int:
        do, _ = pair
        return do()

    assert "Account.moves" in "".join(whilst.map(unpack, pairs, mode="concurrent").decision.given_up)
    held = [{"do": account.look}, {"do": account.look}]
    assert whilst.map(lambda job: job["do"](), held, mode="concurrent").decision.given_up == ()


class Transfer:
    def __init__(self, account: Account, number: int) -> None:
        self.account, self.number = account, number

    def make(self) -> int:
        self.account.own += self.number
        return self.account.own


def test_it_is_said_that_items_have_in_common_what_calls_change() -> None:
    account = Account(1)
    results = whilst.map(Transfer.make, [Transfer(account, k) for k in range(3)], mode="concurrent")
    assert "which items have in common" in "".join(results.decision.given_up)
    pairs = [(account, k) for k in range(3)]
    results = whilst.starmap(lambda shared, _: shared.note(), pairs, mode="concurrent")
    assert "which items have in common" in "".join(results.decision.given_up)
    numbers = [0]
    appended = whilst.map(lambda pair: pair[0].append(pair[1]), [(numbers, k) for k in range(3)], mode="concurrent")
    assert "which items have in common" in "".join(appended.decision.given_up)


def test_nothing_is_said_of_what_each_item_has_for_itself_or_is_only_read() -> None:
    transfers = [Transfer(Account(1), k) for k in range(3)]
    assert whilst.map(Transfer.make, transfers, mode="concurrent").decision.given_up == ()
    account = Account(1)
    pages = [Transfer(account, k) for k in range(3)]

    def read(page: Transfer) -> None:
        page.number += page.account.own

    assert whilst.map(read, pages, mode="concurrent").decision.given_up == ()
    settings = {"limit": 3}
    held = [{"number": k, "settings": settings} for k in range(3)]
    assert whilst.map(lambda page: page.update(n=1), held, mode="concurrent").decision.given_up == ()


def test_arrays_that_calls_fill_in_place_are_said() -> None:
    np: Any = pytest.importorskip("numpy")
    rows = list(np.zeros((3, 4)))
    for fill in (lambda row: np.multiply(row, 2, out=row), lambda row: np.add(row, 2, row), lambda row: row.fill(1)):
        said = "".join(whilst.map(fill, rows, mode="parallel", workers=2).decision.given_up)
        assert "its own argument" in said
        assert whilst.map(fill, rows, mode="concurrent").decision.given_up == ()
    base = np.zeros(20)
    overlapping = whilst.map(lambda row: row.fill(1), [base[k : k + 9] for k in range(3)], mode="concurrent")
    assert "which items have in common" in "".join(overlapping.decision.given_up)
    read = whilst.map(lambda row: float(np.multiply(row, 2).sum()), rows, mode="parallel", workers=2)
    assert read.decision.given_up == ()


OWNER = object()
OWNERS = {Account(0): 1}


class Row:
    def __init__(self, number: int) -> None:
        self.number = number
        self.owner = OWNER
        self.account = next(iter(OWNERS))


ASKS: dict[str, tuple[Callable[[Any], object], Any, str]] = {
    "is": (lambda row: row.owner is OWNER, Row(1), "its item is OWNER"),
    "==": (lambda row: row.owner == OWNER, Row(1), "its item is OWNER"),
    "key": (lambda row: OWNERS[row.account] if row.number > 1 else 0, Row(1), "in OWNERS"),
    "get": (lambda row: OWNERS.get(row.account), Row(1), "in OWNERS"),
    "in": (lambda row: row.account in OWNERS, Row(1), "in OWNERS"),
    "in a tuple": (lambda row: row.owner in (OWNER, None), Row(1), "in OWNER"),
    "returned": (lambda number: OWNER if number else number, 1, "It returns OWNER"),
    "class": (lambda row: type(row) is Row and row.owner is not None, Row(1), ""),
    "equal": (lambda number: number == OWNER or number in OWNERS, 1, ""),
}


@pytest.mark.parametrize("name", ASKS)
def test_it_is_said_that_a_copy_is_not_the_object_that_is_asked_for(name: str) -> None:
    ask, item, told = ASKS[name]
    said = "".join(whilst.map(ask, [item, item], mode="parallel", workers=2).decision.given_up)
    assert told in said
    assert bool(said) is bool(told)


STYLE, TOTAL, TRIES, MODEL, TABLE = "slow", 0, 0, None, {}  # type: ignore[var-annotated]
BEGIN, READY, NOTED = None, False, []  # type: ignore[var-annotated]
HERE = threading.local()


class Lazy:
    computed = 0

    @functools.cached_property
    def counted(self) -> int:
        Lazy.computed += 1
        return 1

    @functools.cached_property
    def plain(self) -> list[int]:
        return [1]


LAZY = Lazy()


def after_early_return(number: int) -> int:
    global TOTAL
    if STYLE == "fast":
        return number
    TOTAL += number
    return TOTAL


def after_another_return(number: int) -> int:
    global TOTAL
    if STYLE == "slow":
        return number
    TOTAL += number
    return TOTAL


def within_test(number: int) -> int:
    global TOTAL
    if STYLE == "slow" and number >= 0:
        TOTAL += number
    return TOTAL


def as_often_as_allowed(number: int) -> int:
    global TRIES
    if TRIES < 100:
        TRIES += 1
    return number


def loads_once(_: int) -> object:
    global MODEL
    if STYLE == "slow" and MODEL is None:
        MODEL = object
    if not TABLE:
        TABLE["loaded"] = 1
    return MODEL is None


def counts_from_the_first(number: int) -> int:
    global BEGIN
    if BEGIN is None:
        BEGIN = number
    return number - BEGIN


def counts_from_the_first_of_a_table(number: int) -> int:
    if "begin" not in TABLE:
        TABLE["begin"] = number
    return number - TABLE["begin"]


def notes_the_first(number: int) -> int:
    global READY
    if not READY:
        READY = True
        NOTED.append(number)
    return number


@functools.cache
def bucket(number: int) -> list[int]:
    return [number]


def fills_what_is_cached(number: int) -> int:
    bucket(number % 2).append(number)
    return number


def copies_what_is_cached(number: int) -> list[int]:
    return sorted([*bucket(number % 2), number])


def counts_for_thread(_: int) -> int:
    HERE.count = getattr(HERE, "count", 0) + 1
    return HERE.count


def keeps_best_of_thread(number: int) -> int:
    best = getattr(HERE, "best", 0)
    HERE.best = max(best, number)
    return HERE.best


def opens_once_for_thread(number: int) -> int:
    try:
        return HERE.session + number
    except AttributeError:
        HERE.session = 7
    HERE.current = number
    return HERE.session + HERE.current


@pytest.mark.parametrize(
    ("fn", "item", "told"),
    [
        (after_early_return, 1, "TOTAL"),
        (after_another_return, 1, ""),
        (within_test, 1, "TOTAL"),
        (as_often_as_allowed, 1, "TRIES"),
        (loads_once, 1, ""),
        (counts_from_the_first, 1, "BEGIN"),
        (counts_from_the_first_of_a_table, 1, "TABLE"),
        (notes_the_first, 1, "NOTED"),
        (fills_what_is_cached, 1, "what bucket keeps"),
        (copies_what_is_cached, 1, ""),
        (counts_for_thread, 1, "HERE.count"),
        (keeps_best_of_thread, 1, "HERE.best"),
        (opens_once_for_thread, 1, ""),
        (lambda _: LAZY.counted, 1, "Lazy.computed"),
        (lambda _: len(LAZY.plain), 1, ""),
        (lambda lazy: len(lazy.plain), LAZY, "argument.plain"),
    ],
)
def test_what_is_written_where_something_else_says_so_is_said(fn: Any, item: Any, told: str) -> None:
    said = "".join(whilst.map(fn, [item], mode="parallel", workers=2).decision.given_up)
    assert told in said
    assert bool(said) is bool(told)


def test_a_cached_property_of_one_item_may_be_computed_by_two_threads() -> None:
    lazy = Lazy()
    assert "plain" in "".join(whilst.map(lambda it: it.plain, [lazy] * 2, mode="concurrent").decision.given_up)
    assert whilst.map(lambda it: it.plain, [Lazy(), Lazy()], mode="concurrent").decision.given_up == ()


noted: list[int] = []


def note_down(number: int) -> None:
    noted.append(number)


@pytest.mark.parametrize("mode", ["auto", "concurrent", "parallel"])
def test_an_executor_says_what_its_calls_change(mode: Any) -> None:
    with whilst.Executor(mode=mode, workers=2) as executor:
        executor.submit(str, 1).result()
        assert "changes" not in "".join(executor.decision.given_up)
        executor.submit(note_down, 1).result()
        list(executor.map(note_down, range(3)))
        assert "It changes noted" in "".join(executor.decision.given_up)
