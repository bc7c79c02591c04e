"""Equal forms if and only if the values hold the same, whatever the objects, their order or their history."""

from __future__ import annotations

import asyncio
import collections
import copy
import datetime
import decimal
import enum
import itertools
import logging
import pickle
import queue
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whilst.checking.judge import canonical as room
from whilst.checking.judge.canonical import StateTooLargeError, canonical, opaque_types


@dataclass
class Point:
    x: object
    y: object = 0


@dataclass(slots=True)
class Slotted:
    x: object
    lock: Any = field(default_factory=threading.Lock)


class Plain:
    def __init__(self, **held: object) -> None:
        self.__dict__.update(held)

    def __eq__(self, other: object) -> bool:
        raise AssertionError("the checker must not call a user's __eq__")

    __hash__ = object.__hash__

    @property
    def trap(self) -> int:
        raise AssertionError("the checker must not call a user's property")


class HalfSlotted:
    __slots__ = ("__dict__", "a", "never_written")


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Flags(enum.Flag):
    A = 1
    B = 2


class Money(int):
    currency: str


class Stack(list[object]):
    pass


class ParseError(ValueError):
    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def half_slotted(a: int, **more: int) -> HalfSlotted:
    made = HalfSlotted()
    made.a = a
    made.__dict__.update(more)
    return made


def simple_queue(*items: object, taken: int = 0) -> queue.SimpleQueue[object]:
    made: queue.SimpleQueue[object] = queue.SimpleQueue()
    for item in range(taken):
        made.put(item)
        made.get()
    for item in items:
        made.put(item)
    return made


def filled(kind: type[queue.Queue[object]], *items: object) -> queue.Queue[object]:
    made = kind()
    for item in items:
        made.put(item)
    return made


def advanced(values: list[object], steps: int) -> object:
    made = iter(values)
    for _ in range(steps):
        next(made)
    return made


def counting() -> Any:
    yield from range(3)


def generator_after(steps: int) -> object:
    made = counting()
    for _ in range(steps):
        next(made)
    return made


HELD = threading.Lock()


@pytest.fixture(autouse=True)
def hold() -> Iterator[None]:
    """Only while a test of this file runs: a program with a lock that is held for ever is never forked."""
    with HELD:
        yield


def ring(*labels: object) -> Plain:
    nodes = [Plain(label=label) for label in labels]
    for node, following in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
        node.__dict__["next"] = following
        following.__dict__["previous"] = node
    return nodes[0]


def chain(length: int) -> object:
    made: object = None
    for number in range(length):
        made = Plain(number=number, next=made)
    return made


def money(amount: int, currency: str) -> Money:
    made = Money(amount)
    made.currency = currency
    return made


# Each row: two values that hold the same, and one that does not.
SAME_AND_OTHER: dict[str, tuple[Any, Any, Any]] = {
    "int": (3, 3, 4),
    "int and bool": (1, 1, True),
    "int and float": (1, 1, 1.0),
    "signed zero": (0.0, 0.0, -0.0),
    "nan": (float("nan"), float("nan"), float("inf")),
    "str and bytes": ("a", "a", b"a"),
    "long str": ("a" * 1000, "a" * 1000, "a" * 999 + "b"),
    "lone surrogate": ("\ud800" * 300, "\ud800" * 300, "\ud801" * 300),
    "address in text": ("<A at 0x7f01>", "<A at 0x7f99>", "<B at 0x7f01>"),
    "list": ([1, [2]], [1, [2]], [[2], 1]),
    "list and tuple": ([1], [1], (1,)),
    "dict order": ({1: 2, 3: 4}, {3: 4, 1: 2}, {1: 4, 3: 2}),
    "ordered dict order": (
        *(collections.OrderedDict([(1, 2), (3, 4)]) for _ in "ab"),
        collections.OrderedDict([(3, 4), (1, 2)]),
    ),
    "set order": ({"x", "y", "z"}, {"z", "y", "x"}, {"x", "y"}),
    "frozenset and set": (frozenset({1}), frozenset({1}), {1}),
    "set of equal-looking objects": ({Plain(a=1), Plain(a=1)}, {Plain(a=1), Plain(a=1)}, {Plain(a=1)}),
    "dict of object keys": (
        {Plain(a=1): 1, Plain(a=2): 2},
        {Plain(a=2): 2, Plain(a=1): 1},
        {Plain(a=1): 2, Plain(a=2): 1},
    ),
    "defaultdict factory": (collections.defaultdict(list), collections.defaultdict(list), collections.defaultdict(int)),
    "counter zero": (collections.Counter(a=1), collections.Counter(a=1, b=0), collections.Counter(a=2)),
    "deque": (collections.deque([1, 2]), collections.deque([1, 2]), collections.deque([2, 1])),
    "deque bound": (collections.deque([1], 5), collections.deque([1], 5), collections.deque([1], 6)),
    "bytearray": (bytearray(b"ab"), bytearray(b"ab"), bytearray(b"ba")),
    "dataclass": (Point(1, 2), Point(1, 2), Point(2, 1)),
    "slots": (Slotted(1), Slotted(1), Slotted(2)),
    "slots and dict": (half_slotted(1, b=2), half_slotted(1, b=2), half_slotted(1, b=3)),
    "attributes set in another order": (Plain(a=1, b=2), Plain(b=2, a=1), Plain(a=2, b=1)),
    "missing attribute": (Plain(a=None), Plain(a=None), Plain()),
    "enum": (Colour.RED, Colour.RED, Colour.BLUE),
    "flag": (Flags.A | Flags.B, Flags.B | Flags.A, Flags.A),
    "int subclass": (money(1, "EUR"), money(1, "EUR"), money(1, "USD")),
    "list subclass": (Stack([1]), Stack([1]), [1]),
    "exception": (KeyError("a"), KeyError("a"), KeyError("b")),
    "exception type": (KeyError("a"), KeyError("a"), IndexError("a")),
    "exception attribute": (ParseError("m", 1), ParseError("m", 1), ParseError("m", 2)),
    "exception group": (*(ExceptionGroup("g", [KeyError(1)]) for _ in "ab"), ExceptionGroup("g", [KeyError(2)])),
    "lock": (threading.Lock(), threading.Lock(), HELD),
    "lock and rlock": (threading.Lock(), threading.Lock(), threading.RLock()),
    "condition": (threading.Condition(), threading.Condition(), threading.Condition(threading.Lock())),
    "semaphore": (threading.Semaphore(1), threading.Semaphore(1), threading.Semaphore(2)),
    "queue": (filled(queue.Queue, 1, 2), filled(queue.Queue, 1, 2), filled(queue.Queue, 2, 1)),
    "priority queue": (
        filled(queue.PriorityQueue, 3, 1, 2),
        filled(queue.PriorityQueue, 1, 2, 3),
        filled(queue.PriorityQueue, 1),
    ),
    "simple queue": (simple_queue("a", "b"), simple_queue("a", "b", taken=7), simple_queue("b", "a")),
    "simple queue emptied": (simple_queue(), simple_queue(taken=3), simple_queue(None)),
    "datetime": (
        *(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) for _ in "ab"),
        datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC),
    ),
    "decimal": (decimal.Decimal("1.0"), decimal.Decimal("1.0"), decimal.Decimal("1.00")),
    "fraction": (Fraction(1, 2), Fraction(2, 4), Fraction(1, 3)),
    "path": (Path("/a"), Path("/a"), Path("/b")),
    "itertools.count": (itertools.count(4), itertools.count(4), itertools.count(5)),
    "list iterator": (advanced([1, 2], 1), advanced([1, 2], 1), advanced([1, 2], 0)),
    "generator": (generator_after(1), generator_after(1), generator_after(2)),
    "partial": (partial(sorted, [1]), partial(sorted, [1]), partial(sorted, [2])),
    "bound method": (Point(1).__repr__, Point(1).__repr__, Point(2).__repr__),
    "builtin method": ([1].append, [1].append, [2].append),
    "class": (Point, Point, Plain),
    "function": (half_slotted, half_slotted, ring),
    "closure": ((lambda x: lambda: x)(1), (lambda x: lambda: x)(1), (lambda x: lambda: x)(2)),
    "weakref": (weakref.ref(Point), weakref.ref(Point), weakref.ref(Plain)),
    "thread": (threading.Thread(), threading.Thread(), threading.Thread(daemon=True)),
    "logger": (logging.getLogger("a.b"), logging.getLogger("a.b"), logging.getLogger("a.c")),
    "aliasing does not count": ([(shared := [1]), shared], [[1], [1]], [[1], [2]]),
    "ring": (ring("a", "b"), ring("a", "b"), ring("b", "a")),
    "ring walked twice": (ring("a", "b"), ring("a", "b", "a", "b"), ring("a", "b", "b", "a")),
    "long chain": (chain(1_500), chain(1_500), chain(1_499)),
    "wide": (list(map(Point, range(2_050))), list(map(Point, range(2_050))), list(map(Point, range(1, 2_051)))),
    "wide plain": (list(range(100_000)), list(range(100_000)), list(range(1, 100_001))),
    "wide dict": (dict.fromkeys(range(9_000)), dict.fromkeys(reversed(range(9_000))), dict.fromkeys(range(9_001))),
}


@pytest.mark.parametrize("name", SAME_AND_OTHER)
def test_equal_values_have_equal_forms_and_different_ones_do_not(name: str) -> None:
    one, same, other = SAME_AND_OTHER[name]
    assert canonical(one) == canonical(same)
    assert hash(canonical(one)) == hash(canonical(same))
    assert canonical(one) != canonical(other)
    assert canonical({"deep": [one]}) == canonical({"deep": [same]})
    assert canonical({"deep": [one]}) != canonical({"deep": [other]})


@pytest.mark.parametrize("name", SAME_AND_OTHER)
def test_the_graph_tier_draws_the_same_lines_as_the_tree_tier(name: str) -> None:
    one, same, other = SAME_AND_OTHER[name]
    assert room._graph(one) == room._graph(same)
    assert room._graph(one) != room._graph(other)


def test_a_self_containing_list_equals_its_unfolding() -> None:
    short: list[object] = []
    short.append(short)
    inner: list[object] = []
    long: list[object] = [[inner]]
    inner.append(long)
    other: list[object] = []
    other.extend((other, other))
    assert canonical(short) == canonical(long)
    assert canonical(short) != canonical(other)


def test_sets_of_objects_in_cycles_are_compared_whatever_their_order() -> None:
    def graph(order: list[int]) -> Plain:
        centre = Plain(name="centre")
        spokes = {n: Plain(name=n, centre=centre) for n in range(4)}
        centre.__dict__["spokes"] = {spokes[n] for n in order}
        return centre

    forms = {canonical(graph(list(order))) for order in itertools.permutations(range(4))}
    assert len(forms) == 1
    assert canonical(graph([0, 1, 2])) not in forms


def test_forms_are_picklable_and_the_same_in_another_process() -> None:
    program = (
        "import sys; from whilst.checking.judge.canonical import canonical\n"
        "big = {str(n): {n, str(n)} for n in range(900)}; loop = [{'a', 'b'}]; loop.append(loop)\n"
        "print(repr((canonical(big), canonical(loop))))"
    )
    paths = [str(Path(room.__file__).parents[2])]
    forms = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": paths[0], "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(forms) == 1
    form = canonical({"a": [Point({1, 2})]})
    assert pickle.loads(pickle.dumps(form)) == form


def test_a_shared_part_that_unfolds_exponentially_takes_no_time() -> None:
    node: object = 1
    for _ in range(64):
        node = [node, node]
    assert canonical(node) == canonical(copy.deepcopy(node))


def test_a_state_with_an_event_loop_or_a_socketful_of_handlers_is_not_walked_into() -> None:
    async def make() -> object:
        return Plain(lock=asyncio.Lock(), loop=asyncio.get_running_loop(), future=asyncio.Future())

    one, two = asyncio.run(make()), asyncio.run(make())
    assert canonical(one) == canonical(two)


def test_what_can_not_be_looked_into_is_named() -> None:
    opaque = compile("", "", "exec")
    assert opaque_types([opaque]) == frozenset()
    assert opaque_types([1, Plain(lock=threading.Lock(), held=memoryview(b"a"))]) == frozenset()
    assert opaque_types([Plain(inside=zip([1]))]) <= {"zip"}
    database = pytest.importorskip("sqlite3").connect(":memory:")
    try:
        assert opaque_types(Plain(inside=database)) == {"sqlite3.Connection"}
    finally:
        database.close()


def test_arrays_of_numpy_are_compared_by_content() -> None:
    numpy = pytest.importorskip("numpy")
    one, same = numpy.arange(6).reshape(2, 3), numpy.arange(6).reshape(2, 3).copy()
    assert canonical([one]) == canonical([same])
    for other in (numpy.arange(6), one.T, one.astype("float64")):
        assert canonical([one]) != canonical([other])


def test_a_state_without_end_is_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "GRAPH_NODES", 5_000)
    with pytest.raises(StateTooLargeError, match="pass outcome="):
        canonical([[Point(n)] for n in range(6_000)])
    monkeypatch.setattr(room, "RECOLOURINGS", 1_000)
    room._known.clear()
    with pytest.raises(StateTooLargeError, match="pass outcome="):
        canonical(ring(1, *[0] * 500))


_atoms = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b"]) | st.floats(width=16)
_values = st.recursive(
    _atoms,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
        | st.builds(Point, inner, inner)
        | st.builds(lambda held: Plain(held=held), inner)
        | st.frozensets(_atoms, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(_values, _values)
def test_forms_agree_with_equality_by_content_in_both_tiers(one: object, other: object) -> None:
    copied = pickle.loads(pickle.dumps(one))
    assert canonical(one) == canonical(copied)
    assert room._graph(one) == room._graph(copied)
    assert (canonical(one) == canonical(other)) == (room._graph(one) == room._graph(other))
