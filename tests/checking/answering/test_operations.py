"""Calls on one object, right ones and wrong ones in pairs: the wrong one is found, the right one is let be."""

from __future__ import annotations

import collections
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies

import whilst
from whilst.cli import main
from whilst.errors import CheckError, MissingExtraError
from whilst.model.verdict import Answer, Verdict


class Locked:
    """Each method of the class beside it, under one lock."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.RLock()


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def increment(self) -> int:
        self.count += 1
        return self.count


class LockedCounter(Locked, Counter):
    def increment(self) -> int:
        with self.lock:
            return super().increment()


class Cache:
    def __init__(self) -> None:
        self.held: dict[str, int] = {}
        self.made = 0

    def get(self, key: str) -> int:
        if key not in self.held:
            self.made += 1
            self.held[key] = self.made
        return self.held[key]


class LockedCache(Locked, Cache):
    def get(self, key: str) -> int:
        with self.lock:
            return super().get(key)


class BoundedQueue:
    """Waits with `while`, and wakes everybody."""

    def __init__(self) -> None:
        self.items: list[int] = []
        self.changed = threading.Condition()

    def put(self, item: int) -> None:
        with self.changed:
            while self.items:
                self.changed.wait()
            self.items.append(item)
            self.changed.notify_all()

    def get(self) -> int:
        with self.changed:
            while not self.items:
                self.changed.wait()
            self.changed.notify_all()
            return self.items.pop()


class CarelessQueue(BoundedQueue):
    """Waits with `if`: another producer may have been first."""

    def put(self, item: int) -> None:
        with self.changed:
            if self.items:
                self.changed.wait()
            self.items.append(item)
            self.changed.notify_all()


class Stack:
    def __init__(self) -> None:
        self.top: Any = None

    def push(self, item: int) -> None:
        self.top = (item, self.top)

    def pop(self) -> int | None:
        if self.top is None:
            return None
        item, self.top = self.top
        return int(item)


class LockedStack(Locked, Stack):
    def push(self, item: int) -> None:
        with self.lock:
            super().push(item)

    def pop(self) -> int | None:
        with self.lock:
            return super().pop()


class Recent:
    """Keeps the latest one."""

    def __init__(self) -> None:
        self.held: collections.OrderedDict[int, int] = collections.OrderedDict()

    def get(self, key: int) -> int | None:
        if key in self.held:
            self.held.move_to_end(key)
            return self.held[key]
        return None

    def put(self, key: int) -> None:
        self.held[key] = key
        if len(self.held) > 1:
            self.held.popitem(last=False)


class LockedRecent(Locked, Recent):
    def get(self, key: int) -> int | None:
        with self.lock:
            return super().get(key)

    def put(self, key: int) -> None:
        with self.lock:
            super().put(key)


class Bank:
    def __init__(self) -> None:
        self.balances = [10, 10]
        self.locks = [threading.Lock(), threading.Lock()]

    def order(self, source: int, target: int) -> tuple[int, int]:
        return source, target

    def transfer(self, source: int, target: int) -> None:
        if source == target:
            return
        first, second = self.order(source, target)
        with self.locks[first], self.locks[second]:
            self.balances[source] -= 1
            self.balances[target] += 1


class OrderedBank(Bank):
    def order(self, source: int, target: int) -> tuple[int, int]:
        return min(source, target), max(source, target)


class Members:
    def __init__(self) -> None:
        self.names: set[str] = set()

    def join(self, name: str) -> bool:
        if name in self.names:
            return False
        self.names.add(name)
        return True


class LockedMembers(Locked, Members):
    def join(self, name: str) -> bool:
        with self.lock:
            return super().join(name)


class CarelessPool:
    def __init__(self) -> None:
        self.free = collections.deque([1])

    def take(self) -> int | None:
        return self.free.popleft() if self.free else None


class Pool(CarelessPool):
    def take(self) -> int | None:
        try:
            return self.free.popleft()
        except IndexError:
            return None


class Register:
    def __init__(self) -> None:
        self.value = 0

    def add(self, amount: int) -> None:
        value = self.value
        self.value = value + amount


class LockedRegister(Locked, Register):
    def add(self, amount: int) -> None:
        with self.lock:
            super().add(amount)


class Published:
    """Readers see what was written, once the writer has come back."""

    def __init__(self) -> None:
        self.written = self.published = 0
        self.lock = threading.Lock()

    def write(self, value: int) -> None:
        with self.lock:
            self.written = self.published = value

    def read(self) -> int:
        with self.lock:
            return self.published


class PublishedLate(Published):
    """A reader may see the value before the other one of the same writer does."""

    def write(self, value: int) -> None:
        with self.lock:
            self.written = value
        with self.lock:
            self.published = value

    def read_written(self) -> int:
        with self.lock:
            return self.written


def ask(make: Callable[[], Any], operations: list[Any], **options: Any) -> Verdict:
    options = {"cases": 14, "calls": 2, **options}
    return whilst.check_operations(make, operations, **options)


KEYS = ["a", "b"]
PAIRS = [
    (Counter, LockedCounter, ["increment"]),
    (Cache, LockedCache, [("get", KEYS)]),
    (CarelessQueue, BoundedQueue, [("put", range(2)), "get"]),
    (Stack, LockedStack, [("push", range(3)), "pop"]),
    (Recent, LockedRecent, [("get", range(2)), ("put", range(2))]),
    (Bank, OrderedBank, [("transfer", range(2), range(2))]),
    (Members, LockedMembers, [("join", KEYS)]),
    (CarelessPool, Pool, ["take"]),
    (Register, LockedRegister, [("add", [1, 2])]),
]


@pytest.mark.parametrize(("wrong", "right", "operations"), PAIRS, ids=lambda each: getattr(each, "__name__", ""))
def test_the_wrong_one_is_found_and_the_right_one_is_let_be(wrong: type, right: type, operations: list[Any]) -> None:
    found = ask(wrong, operations, cases=40)
    assert found.answer in (Answer.NOT_LINEARIZABLE, Answer.DEADLOCK)
    assert not found
    proved = ask(right, operations)
    assert proved.answer is Answer.LINEARIZABLE, proved.to_text()
    assert proved
    assert "every interleaving of" in proved.guarantee


@pytest.mark.parametrize(
    ("make", "operations", "outcome"),
    [
        (dict, [("setdefault", KEYS, range(3)), ("pop", KEYS, None)], None),
        (collections.deque, [("append", range(3)), "pop", "popleft"], None),
        (collections.OrderedDict, [("setdefault", KEYS, 1), ("move_to_end", KEYS), "popitem"], None),
        (lambda: queue.Queue(1), [("put", range(3)), "get"], None),
        (queue.SimpleQueue, [("put", range(3)), "get_nowait"], queue.SimpleQueue.qsize),
    ],
    ids=["dict", "deque", "OrderedDict", "Queue", "SimpleQueue"],
)
def test_the_standard_librarys_own_are_right(make: Any, operations: list[Any], outcome: Any) -> None:
    verdict = ask(make, operations, outcome=outcome)
    assert verdict.answer is Answer.LINEARIZABLE, verdict.to_text()


def test_the_case_has_the_fewest_calls_and_says_why_no_order_explains_it() -> None:
    verdict = ask(Cache, [("get", KEYS)], calls=3)
    found = verdict.counterexample
    assert found is not None
    assert found.tasks == ("thread 1", "thread 2")
    assert dict(found.reached.facts)["thread 2: get('a')"] != "gives 1"
    assert [moment.target for moment in found.moments if moment.action == "begin"] == ["get('a')", "get('a')"]
    assert "no order of the 2 calls explains" in verdict.reason
    assert "1: get('a') → 2: get('a')" in verdict.to_text().replace("\n", " ")


def test_a_read_that_comes_too_late_breaks_real_time_order_alone() -> None:
    """With each thread's order alone, the second read could have been the first."""
    verdict = ask(PublishedLate, [("write", [1]), "read", "read_written"], calls=2, cases=60, outcome=lambda _: None)
    assert verdict.answer is Answer.NOT_LINEARIZABLE
    assert ask(Published, [("write", [1]), "read"], outcome=lambda _: None)


class Late:
    """Writes are kept by one's own thread until it makes its next call: each thread's order is kept, no other."""

    def __init__(self) -> None:
        self.value = 0
        self.own: dict[int, int] = {}
        self.lock = threading.Lock()

    def write(self, value: int) -> None:
        with self.lock:
            self.own[threading.get_ident()] = value

    def read(self) -> int:
        with self.lock:
            return self.own.get(threading.get_ident(), self.value)


def test_the_sentence_names_the_call_that_had_returned() -> None:
    verdict = ask(Late, [("write", [1]), "read"], outcome=lambda _: None, spec=Register2)
    assert verdict.answer is Answer.NOT_LINEARIZABLE
    assert "had returned before" in verdict.reason
    assert "would explain what the calls give" in verdict.reason


class Register2:
    def __init__(self) -> None:
        self.value = 0

    def write(self, value: int) -> None:
        self.value = value

    def read(self) -> int:
        return self.value


def test_a_specification_says_what_is_right() -> None:
    class Reversed(LockedStack):
        def pop(self) -> int | None:
            with self.lock:
                items = []
                while self.top is not None:
                    items.append(super().pop())
                for item in reversed(items[:-1]):
                    super().push(item or 0)
                return items[-1] if items else None

    operations = [("push", range(3)), "pop"]
    assert ask(LockedStack, operations, spec=Stack)
    assert not ask(Reversed, operations, spec=Stack, cases=40, calls=3)
    assert "was not compared" in str(ask(LockedStack, operations, spec=Stack, cases=2).assumed)


def test_the_same_seed_gives_the_same_and_the_token_runs_it_again() -> None:
    first, second = (ask(Stack, [("push", range(9)), "pop"], seed=3) for _ in range(2))
    assert first.token == second.token
    assert first.executions == second.executions
    assert first.token is not None
    again = whilst.replay(first.token)
    assert again.answer is first.answer
    assert again.reason == first.reason


def test_the_line_printed_runs_anywhere(tmp_path: Path) -> None:
    file = tmp_path / "stacks.py"
    file.write_text(
        "class Stack:\n    def __init__(self):\n        self.items = ()\n"
        "    def push(self, item):\n        self.items = (*self.items, item)\n"
        "calls = Stack, [('push', range(3))]\n"
    )
    command = [sys.executable, "-m", "whilst", "check"]
    first = subprocess.run([*command, f"{file}::calls", "--operations"], capture_output=True, text=True, timeout=60)
    assert first.returncode == 1, first.stderr
    token = first.stdout.partition("--replay ")[2].split()[0]
    again = subprocess.run([*command, "--replay", token], capture_output=True, text=True, timeout=60)
    assert again.returncode == 1, again.stderr
    assert "not linearizable" in again.stdout


def test_arguments_are_drawn_from_strategies_too() -> None:
    drawn = strategies.lists(strategies.integers(0, 3), max_size=2)
    assert not ask(Stack, [("push", drawn)])
    assert ask(LockedStack, [("push", drawn)], cases=4)


def test_a_strategy_without_hypothesis_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = strategies.integers()
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(MissingExtraError, match=r"whilst\[hypothesis\]"):
        ask(Stack, [("push", strategy)])


def test_an_operation_that_never_gets_further_proves_nothing() -> None:
    verdict = ask(LockedStack, ["push", "pop"], cases=6)
    assert verdict.answer is Answer.INCONCLUSIVE
    assert "push (raises TypeError" in verdict.reason
    assert ask(LockedStack, ["push", "pop"], cases=6, raises=TypeError)


def test_arguments_are_each_executions_own() -> None:
    def extend(thing: list[int], more: list[int]) -> int:
        more.append(1)
        thing.append(len(more))
        return len(more)

    assert ask(list, [(extend, [[]])], cases=4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"operations": ["psh"]}, "no method 'psh' to call; it has pop, push"),
        ({"operations": "pop"}, "operations is a list"),
        ({"operations": [3]}, "an operation is a method's name.*got 3"),
        ({"operations": [("push", [])]}, "no value to draw"),
        ({"threads": 1}, "threads must be 2 or more, got 1"),
        ({"calls": 9}, "48,620 orders"),
        ({"make": 3}, "make must be a callable"),
        ({"spec": list}, "list has no method 'push'"),
    ],
)
def test_what_makes_no_sense_is_said(options: dict[str, Any], said: str) -> None:
    options = {"make": Stack, "operations": ["push"], **options}
    with pytest.raises(CheckError, match=said):
        whilst.check_operations(**options)


def test_the_command_asks_for_make_and_operations(tmp_path: Path) -> None:
    file = tmp_path / "nothing.py"
    file.write_text("calls = 3\n")
    assert main(["check", f"{file}::calls", "--operations"]) == 2


class Order:
    """Two rotations leave the order as it was, one does not, and the entries are always the same."""

    def __init__(self) -> None:
        self.entries = collections.OrderedDict({1: 1, 2: 2})

    def rotate(self) -> None:
        first = list(self.entries)[0]  # noqa: RUF015  # in one step
        self.entries.pop(first, None)
        self.entries[first] = first


def test_what_differs_in_its_order_alone_is_said_to() -> None:
    verdict = whilst.check_operations(Order, ["rotate"])
    assert verdict.answer == Answer.NOT_LINEARIZABLE
    assert "entries" in verdict.reason or "in another order" in verdict.reason
