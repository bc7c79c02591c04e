"""What a function changed is seen in the state itself, however its code went about it."""

from __future__ import annotations

import contextlib
import functools
import itertools
import operator
import random
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from whilst.measuring.pilot import Pilot
from whilst.measuring.writes.reachable import AROUND, Reachable

np = pytest.importorskip("numpy")


class Tally:
    """Counts in every method that an operator stands for."""

    shared = 0

    def __init__(self) -> None:
        self.hits = 0

    def __add__(self, other: int) -> int:
        self.hits += 1
        return other

    def __getitem__(self, key: int) -> int:
        self.hits += 1
        return key

    def __contains__(self, key: int) -> bool:
        self.hits += 1
        return True

    def count(self, _: int) -> int:
        self.hits += 1
        return self.hits


class Louder(Tally):
    def count(self, _: int) -> int:
        type(self).shared += 1
        return super().count(_)


def writers() -> dict[str, Callable[[int], object]]:
    """Functions that change what outlives them, each in its own way."""
    tally, pair, words, row = Tally(), (Tally(), 1), Counter[str](), [3]
    array, rng, numbers = np.zeros(4), np.random.default_rng(3), random.Random(1)
    order, times, letters = OrderedDict.fromkeys(range(9)), itertools.count(), iter("abcdefgh")
    add, tail = row.append, deque[int]()
    tree = ElementTree.fromstring("<all><inner/></all>")

    def unpack(x: int) -> None:
        one, _ = pair
        one.hits += x + 1

    def view(x: int) -> None:
        part = array[1:3]
        part += x + 1

    def on_exit(x: int) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(tail.append, x)

    return {
        "an operator": lambda x: tally + x,
        "a subscript": lambda x: tally[x],
        "a membership": lambda x: x in tally,
        "an unpacked object": unpack,
        "super()": Louder().count,
        "a library's method": lambda x: words.update(["a", str(x)]),
        "a bound method": add,
        "a partial": functools.partial(operator.setitem, {}, 1),
        "a callback": on_exit,
        "an argument to write to": lambda x: np.add(array, x + 1, out=array),
        "numpy.copyto": lambda x: np.copyto(array, x + 1),
        "a view": view,
        "a numpy generator": lambda _: rng.normal(),
        "a generator": lambda _: numbers.random(),
        "an order": lambda x: order.move_to_end(x),
        "a tree of XML": lambda x: tree[0].insert(0, ElementTree.Element(f"e{x}")),
        "a counter": lambda _: next(times),
        "an iterator": lambda _: next(letters),
        "exec": lambda _: exec("Tally.shared += 1"),
    }


@pytest.mark.parametrize("name", writers())
def test_what_a_call_changed_is_found(name: str) -> None:
    fn = writers()[name]
    reachable = Reachable(fn)
    with contextlib.suppress(TypeError):  # the partial's third argument is the item
        fn(0)
    assert any(found.value is not AROUND for found in reachable.look())
    assert reachable.look() == []


@pytest.mark.parametrize("name", writers())
def test_such_a_function_is_known_to_write(name: str) -> None:
    fn = writers()[name]
    pilot = Pilot(fn)
    pilot.look_into(0)
    for item in (0, 1):
        pilot.begin(item)
        fn(item)
        pilot.end(item)
    assert any(write.spoils_processes for write in pilot.writes)


def test_reading_changes_nothing() -> None:
    table, tally = {k: [k] for k in range(1000)}, Tally()
    array = np.ones(100_000)

    def read(x: int) -> float:
        return len(table[x]) + tally.hits + float(array.sum()) + sum(sorted(table))

    reachable = Reachable(read)
    read(3)
    assert reachable.look() == []


def test_objects_that_refuse_to_be_looked_at_are_left_alone() -> None:
    class Hostile:
        def __getattribute__(self, name: str) -> object:
            raise RuntimeError(name)

        def __eq__(self, other: object) -> bool:
            raise RuntimeError

        __hash__ = None  # type: ignore[assignment]

    hostile = Hostile()
    around: list[object] = []
    around.append(around)
    reachable = Reachable(lambda _: (hostile, around))
    assert reachable.look() == []


def known_writes(fn: Callable[[str], object]) -> bool:
    pilot = Pilot(fn)
    pilot.look_into("item")
    return any(write.spoils_threads for write in pilot.writes)


def test_a_file_that_all_calls_write_is_shared_and_one_of_the_items_own_is_not(tmp_path: Path) -> None:
    shared, folder = tmp_path / "last.txt", tmp_path

    def into_one(item: str) -> None:
        shared.write_text(item)

    def into_one_by_open(item: str) -> None:
        with open("/tmp/last.txt", "w") as file:  # noqa: PTH123
            file.write(item)

    def into_its_own(item: str) -> None:
        (folder / f"{item}.txt").write_text(item)
        with open(folder / item, "w") as file:  # noqa: PTH123
            file.write(item)

    assert known_writes(into_one)
    assert known_writes(into_one_by_open)
    assert not known_writes(into_its_own)
    assert known_writes(lambda _: input())


def test_a_lock_keeps_a_count_right_but_not_the_order_of_a_list() -> None:
    lock, lines, count = threading.Lock(), list[str](), Counter[str]()

    def note(item: str) -> None:
        with lock:
            lines.append(item)

    def tally(item: str) -> None:
        with lock:
            count["all"] += 1

    assert known_writes(note)
    assert not known_writes(tally)


class Missing(dict[str, int]):
    asked = 0

    def __missing__(self, key: str) -> int:
        Missing.asked += 1
        return Missing.asked


def test_the_class_of_a_container_of_the_users_own_is_looked_at() -> None:
    table = Missing(b=1)
    reachable = Reachable(lambda name: table[name])
    assert table["b"] == 1
    assert not reachable.look()
    assert table["a"]
    assert [found.slot for found in reachable.look()] == ["asked"]
