"""Ways Python has of touching shared things that look like something else: racy and fixed, in pairs."""

from __future__ import annotations

import array
import bisect
import collections
import contextlib
import copy
import dataclasses
import functools
import itertools
import operator
import threading
import types
from collections.abc import Iterator
from typing import Any, ClassVar

from twins import State, make, twins


@dataclasses.dataclass
class Point:
    x: int = 1
    y: int = 1
    lock: Any = dataclasses.field(default_factory=threading.Lock, compare=False)


def move_point(point: Point) -> None:
    point.x, point.y = 2, 2


def match_point(point: Point) -> str:
    match point:
        case Point(x=1, y=1):
            return "old"
        case Point(x=2, y=2):
            return "new"
        case _:
            return "torn"


def as_dict(point: Point) -> tuple[int, int]:
    found = dataclasses.astuple(dataclasses.replace(point, lock=None))
    return found[0], found[1]


def compare_points(point: Point) -> bool:
    return point == Point(1, 2)


def put_both(state: State) -> None:
    state.d["a"] = 2
    state.d["b"] = 2


def match_mapping(state: State) -> tuple[int, int]:
    match state.d:
        case {"a": a, "b": b}:
            return a, b
    return 0, 0


def spread_keywords(state: State) -> tuple[int, int]:
    return (lambda a, b: (a, b))(**state.d)


def merge_dicts(state: State) -> dict[str, int]:
    return {**state.d}


def merge_operator(state: State) -> dict[str, int]:
    return state.d | {}


def swap_ends(state: State) -> None:
    state.items[0] = 2
    state.items[1] = 2


def match_sequence(state: State) -> tuple[int, int]:
    match state.items:
        case [a, b]:
            return a, b
    return 0, 0


def spread_items(state: State) -> tuple[int, ...]:
    return (*state.items,)


def slice_of(state: State) -> list[int]:
    return state.items[:]


def from_shared_list(state: State) -> Iterator[int]:
    yield from state.items


def yield_from(state: State) -> list[int]:
    return list(from_shared_list(state))


def copied(state: State) -> list[int]:
    return copy.copy(state.items)


def deep_copied(state: State) -> Any:
    return copy.deepcopy(state.d)


def walrus(state: State) -> int:
    if (n := state.n) < 2:
        state.n = n + 1
    return n


def augmented_item(state: State) -> None:
    state.d["a"] += 1


def augmented_slice(state: State) -> None:
    state.items[:] += [7]


def put_three(state: State) -> None:
    state.items = [*state.items, 3]


def closure_of(count: int = 0) -> Any:
    lock = threading.Lock()

    def bump(_: Any = None) -> int:
        nonlocal count
        count += 1
        return count

    return types.SimpleNamespace(bumps=[bump for _ in range(2)], lock=lock)


def call_first(held: Any) -> int:
    return held.bumps[0]()


def call_second(held: Any) -> int:
    return held.bumps[1]()


def namespace_bump(state: State) -> None:
    state.space.n = state.space.n + 1


def vars_update(state: State) -> None:
    vars(state).update(n=vars(state)["n"] + 1)


def in_place_operator(state: State) -> None:
    state.items = operator.iadd(state.items, [len(state.items)])


def counter_subtract(state: State) -> int:
    state.votes.subtract("a")
    return state.votes["a"]


def counter_plus(state: State) -> None:
    state.votes = state.votes + collections.Counter("a")


def bisect_insert(state: State) -> int:
    at = bisect.bisect(state.items, 1)
    state.items.insert(at, 1)
    return len(state.items)


def array_bump(state: State) -> None:
    state.numbers[0] += 1


def memory_bump(state: State) -> None:
    memoryview(state.buffer)[0] = memoryview(state.buffer)[0] + 1


def delete_if_there(state: State) -> None:
    if hasattr(state, "token"):
        del state.token


def set_token(state: State) -> None:
    state.token = 1


class Base:
    registry: ClassVar[list[str]] = []
    count: ClassVar[int] = 0

    def __init__(self) -> None:
        Base.registry = []
        Base.count = 0
        self.lock = threading.Lock()


def class_count(thing: Base) -> None:
    type(thing).count += 1


def class_list(thing: Base) -> int:
    thing.registry.append("x")
    return len(thing.registry)


class Fluent:
    """Attributes by `__getattr__` and `__setattr__`, kept in a dict."""

    def __init__(self) -> None:
        object.__setattr__(self, "held", {"n": 0})
        object.__setattr__(self, "lock", threading.Lock())

    def __getattr__(self, name: str) -> Any:
        try:
            return self.held[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self.held[name] = value


def bump_n(state: Any) -> None:
    state.n += 1


class Slots:
    __slots__ = ("lock", "n")

    def __init__(self) -> None:
        self.n = 0
        self.lock = threading.Lock()


def setattr_slot(state: Slots) -> None:
    object.__setattr__(state, "n", object.__getattribute__(state, "n") + 1)


def descriptor_slot(state: Slots) -> None:
    Slots.n.__set__(state, Slots.n.__get__(state) + 1)  # type: ignore[attr-defined]


@contextlib.contextmanager
def restored(state: State) -> Iterator[None]:
    """Changes an attribute for the length of a block."""
    before = state.n
    state.n = 9
    try:
        yield
    finally:
        state.n = before


def within(state: State) -> int:
    with restored(state):
        return state.n


def in_finally(state: State) -> None:
    n = state.n
    try:
        if n < 0:
            raise ValueError(n)
    finally:
        state.n = n + 1


def ticker(state: State) -> Iterator[int]:
    while True:
        state.n = state.n + 1
        yield state.n


def next_tick(state: State) -> int:
    return next(state.ticker)


class Ticks(State):
    def __init__(self) -> None:
        super().__init__(n=0)
        self.ticker = ticker(self)


def next_two(state: State) -> tuple[int, int]:
    return next(state.cycle), next(state.cycle)


def tee_two(state: State) -> list[int]:
    return [next(state.tee[0]), next(state.tee[0])]


def tee_other(state: State) -> int:
    return next(state.tee[0])


def comprehension(state: State) -> list[int]:
    return [item * 2 for item in state.items if item]


def any_generator(state: State) -> bool:
    return any(item == 2 for item in state.items) and not all(item == 2 for item in state.items)


def min_and_max(state: State) -> int:
    return max(state.items) - min(state.items)


@functools.total_ordering
class Version:
    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.number == other.number

    def __lt__(self, other: Version) -> bool:
        return self.number < other.number

    def __hash__(self) -> int:
        return 1


def raise_version(state: State) -> None:
    if state.version >= Version(1):
        state.version.number += 1


def chain_map(state: State) -> tuple[int, int]:
    both = collections.ChainMap({}, state.d)
    return both["a"], both["b"]


def set_intersection(state: State) -> int:
    return len(state.left & state.right)


def move_between_sets(state: State) -> None:
    state.left.discard(1)
    state.left.add(1)


def string_join(state: State) -> str:
    return "-".join(f"{key}{value}" for key, value in state.d.items())


def conditional(state: State) -> int:
    state.n = 0 if state.n else 1
    return state.n


D = {"d": lambda: {"a": 1, "b": 1}}
ONES = {"items": lambda: [1, 1]}

PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = dict(
    [
        twins("class pattern", Point, move_point, match_point),
        twins("dataclasses.replace and astuple", Point, move_point, as_dict),
        twins("comparison of dataclasses", Point, move_point, lambda point: compare_points(point) or point.x),
        twins("mapping pattern", make(**D), put_both, match_mapping),
        twins("** into a call", make(**D), put_both, spread_keywords),
        twins("** into a display", make(**D), put_both, merge_dicts),
        twins("| of dicts", make(**D), put_both, merge_operator),
        twins("sequence pattern", make(**ONES), swap_ends, match_sequence),
        twins("* into a tuple", make(**ONES), swap_ends, spread_items),
        twins("slice", make(**ONES), swap_ends, slice_of),
        twins("yield from", make(**ONES), swap_ends, yield_from),
        twins("copy.copy", make(**ONES), swap_ends, copied),
        twins("copy.deepcopy", make(**D), put_both, deep_copied),
        twins("comprehension", make(**ONES), swap_ends, comprehension),
        twins("any and all", make(**ONES), swap_ends, any_generator),
        twins("max less min", make(**ONES), swap_ends, min_and_max),
        twins("walrus", make(n=1), walrus, walrus),
        twins("+= on an item", make(**D), augmented_item, augmented_item),
        twins("+= on a slice", make(**ONES), augmented_slice, augmented_slice),
        twins("list rebuilt", make(**ONES), put_three, put_three),
        twins("two closures over one variable", closure_of, call_first, call_second),
        twins("SimpleNamespace", make(space=lambda: types.SimpleNamespace(n=0)), namespace_bump, namespace_bump),
        twins("vars().update", make(n=0), vars_update, vars_update),
        twins("operator.iadd", make(items=list), in_place_operator, in_place_operator),
        twins("Counter.subtract", make(votes=collections.Counter), counter_subtract, counter_subtract),
        twins("sum of Counters", make(votes=collections.Counter), counter_plus, counter_plus),
        twins("bisect, then insert", make(items=lambda: [0, 2]), bisect_insert, bisect_insert),
        twins(
            "array",
            make(numbers=lambda: array.array("i", [0])),
            array_bump,
            array_bump,
            outcome=lambda state: state.numbers.tolist(),
        ),
        twins("memoryview", make(buffer=lambda: bytearray(1)), memory_bump, memory_bump),
        twins("hasattr, then del", make(token=1), delete_if_there, delete_if_there, expect="raises"),
        twins("counter in a class", Base, class_count, class_count),
        twins("list in a class", Base, class_list, class_list),
        twins("__getattr__ and __setattr__", Fluent, bump_n, bump_n),
        twins("object.__setattr__ on a slot", Slots, setattr_slot, setattr_slot),
        twins("a slot's descriptor", Slots, descriptor_slot, descriptor_slot),
        twins("restored at the end of a block", make(n=0), within, within),
        twins("written in finally", make(n=0), in_finally, in_finally),
        twins("cycle", make(cycle=lambda: itertools.cycle("ab")), next_two, next_two),
        twins("tee", make(tee=lambda: itertools.tee([1, 2, 3])), tee_two, tee_other),
        twins("total_ordering", make(version=lambda: Version(1)), raise_version, raise_version),
        twins("ChainMap", make(**D), put_both, chain_map),
        twins("intersection of sets", make(left=lambda: {1}, right=lambda: {1}), move_between_sets, set_intersection),
        twins("join over items", make(**D), put_both, string_join),
        twins("conditional expression", make(n=0), conditional, conditional),
    ]
)
