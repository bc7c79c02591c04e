"""What the engine sees: for every way of touching shared state, a race that it must find, and a safe twin."""

from __future__ import annotations

import bisect
import collections
import dataclasses
import functools
import heapq
import itertools
import operator
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from whilst.checking.explorer.explorer import Execution, Explorer, Program
from whilst.checking.search.search import Guarantee, SearchConfig, SearchReport, search

COUNT = 0
TABLE: dict[str, int] = {}


class Thing:
    made: ClassVar[int] = 0

    def __init__(self) -> None:
        self.n = 0
        self.lock = threading.Lock()
        self.rlock = threading.RLock()
        self.list: list[Any] = []
        self.dict: dict[Any, Any] = {}
        self.set: set[Any] = set()
        self.deque: collections.deque[Any] = collections.deque()
        self.ordered: collections.OrderedDict[Any, Any] = collections.OrderedDict()
        self.default: collections.defaultdict[Any, int] = collections.defaultdict(int)
        self.counter: collections.Counter[str] = collections.Counter()
        self.bytes = bytearray(b"\0")
        self.iterator = itertools.count()
        self.cell = make_cell()
        self.slotted = Slotted()
        self.data = Data()
        self.prop = Prop()
        self.numbers = iter(range(10))
        self._value = 0
        global COUNT
        COUNT = 0
        TABLE.clear()
        Thing.made = 0
        Module.value = 0


class Module:
    value = 0


def make_cell() -> Callable[[], int]:
    count = 0

    def bump() -> int:
        nonlocal count
        count += 1
        return count

    return bump


class Slotted:
    __slots__ = ("v",)

    def __init__(self) -> None:
        self.v = 0


@dataclasses.dataclass
class Data:
    v: int = 0


class Prop:
    def __init__(self) -> None:
        self._v = 0

    @property
    def v(self) -> int:
        return self._v

    @v.setter
    def v(self, value: int) -> None:
        self._v = value


class Descriptor:
    def __get__(self, thing: Any, kind: Any) -> int:
        return int(thing.hidden)

    def __set__(self, thing: Any, value: int) -> None:
        thing.hidden = value


class Described:
    v = Descriptor()

    def __init__(self) -> None:
        self.hidden = 0


class Lazy:
    @functools.cached_property
    def made(self) -> object:
        return object()


def attribute(s: Thing) -> None:
    s.n += 1


def by_setattr(s: Thing) -> None:
    setattr(s, "n", getattr(s, "n") + 1)  # noqa: B009, B010  # what is tested


def by_dict(s: Thing) -> None:
    s.__dict__["n"] = s.__dict__["n"] + 1


def by_vars(s: Thing) -> None:
    vars(s)["n"] += 1


def slots(s: Thing) -> None:
    s.slotted.v += 1


def data(s: Thing) -> None:
    s.data.v += 1


def prop(s: Thing) -> None:
    s.prop.v += 1


def class_attribute(s: Thing) -> None:
    Thing.made += 1


def type_of(s: Thing) -> None:
    type(s).made += 1


def other_class(s: Thing) -> None:
    Module.value = Module.value + 1


def global_variable(s: Thing) -> None:
    global COUNT
    COUNT += 1


def global_table(s: Thing) -> None:
    TABLE["k"] = TABLE.get("k", 0) + 1


def closure(s: Thing) -> int:
    return s.cell()


def dict_item(s: Thing) -> None:
    s.dict["k"] = s.dict.get("k", 0) + 1


def dict_check_then_act(s: Thing) -> str:
    if "k" not in s.dict:
        s.dict["k"] = 1
        return "made"
    return "found"


def dict_by_length(s: Thing) -> None:
    s.dict[len(s.dict)] = 1


def dict_items(s: Thing) -> None:
    s.dict["sum"] = sum(s.dict.values()) + 1


def dict_update(s: Thing) -> None:
    s.dict.update(a=len(s.dict))


def default_item(s: Thing) -> None:
    s.default["k"] += 1


def ordered_move(s: Thing) -> None:
    s.ordered[len(s.ordered)] = 1


def counter_update(s: Thing) -> None:
    s.counter["k"] += 1


def set_check(s: Thing) -> str:
    if 1 in s.set:
        return "there"
    s.set.add(1)
    return "added"


def list_length(s: Thing) -> None:
    s.list.append(len(s.list))


def list_truth(s: Thing) -> str:
    if not s.list:
        s.list.append(1)
        return "first"
    return "later"


def list_loop(s: Thing) -> None:
    total = 0
    for item in s.list:
        total += item
    s.list.append(total + 1)


def list_comprehension(s: Thing) -> None:
    s.list.append(len([x or 0 for x in s.list]))


def list_unpack(s: Thing) -> None:
    s.list.append(len([*s.list]))


def list_copy(s: Thing) -> None:
    mine = list(s.list)
    s.list = [*mine, len(mine)]


def dict_copy(s: Thing) -> None:
    mine = dict(s.dict)
    s.dict[len(mine)] = 1


def list_sorted(s: Thing) -> None:
    s.list.append(len(sorted(s.list)))


def list_add(s: Thing) -> None:
    s.list += [len(s.list)]


def list_enumerate(s: Thing) -> None:
    last = -1
    for index, _ in enumerate(s.list):
        last = index
    s.list.append(last + 1)


def list_equal(s: Thing) -> None:
    s.list.append(s.list == [])


def list_format(s: Thing) -> None:
    s.list.append(len(f"{s.list}"))


def list_slice(s: Thing) -> None:
    s.list.append(len(s.list[:]))


def deque_length(s: Thing) -> None:
    s.deque.append(len(s.deque))


def heap(s: Thing) -> None:
    heapq.heappush(s.list, len(s.list))


def insort(s: Thing) -> None:
    bisect.insort(s.list, len(s.list))


def byte(s: Thing) -> None:
    s.bytes[0] = s.bytes[0] + 1


def item_function(s: Thing) -> None:
    operator.setitem(s.dict, "k", len(s.dict))


def unbound(s: Thing) -> None:
    list.append(s.list, len(s.list))


def by_partial(s: Thing) -> None:
    functools.partial(s.list.append, len(s.list))()


def spread(s: Thing) -> None:
    s.list.append(*[len(s.list)])


def augmented_global_list(s: Thing) -> None:
    TABLE.setdefault("n", 0)
    TABLE["n"] += 1


def called_back(s: Thing) -> None:
    def key(_: int) -> int:
        s.n += 1
        return 0

    sorted([1], key=key)


def in_generator(s: Thing) -> None:
    def numbers() -> Any:
        s.n += 1
        yield 1

    list(numbers())


def in_operator(s: Thing) -> None:
    class Adder:
        def __add__(self, other: int) -> int:
            s.n += 1
            return 0

    Adder() + 1  # what is tested


def in_thread(s: Thing) -> int:
    thread = threading.Thread(target=attribute, args=(s,))
    thread.start()
    s.n += 1
    thread.join()
    return s.n


RACES = [
    attribute, by_setattr, by_dict, by_vars, slots, data, prop, class_attribute, type_of, other_class,
    global_variable, global_table, closure, dict_item, dict_check_then_act, dict_by_length, dict_items,
    dict_update, default_item, ordered_move, counter_update, set_check, list_length, list_truth, list_loop,
    list_copy, dict_copy,
    list_comprehension, list_unpack, list_sorted, list_add, list_enumerate, list_equal, list_format, list_slice,
    deque_length, heap, insort, byte, item_function, unbound, by_partial, spread, augmented_global_list,
    called_back, in_generator, in_operator, in_thread,
]  # fmt: skip


def explore(
    setup: Callable[[], Any], tasks: list[Callable[..., Any]], look: Callable[[Any], Any] = lambda state: None
) -> tuple[set[str], SearchReport]:
    """Every outcome: values of state and results."""
    outcomes: set[str] = set()

    def note(execution: Execution) -> bool:
        results = [repr(each.error) if each.error else repr(each.value) for each in execution.results]
        outcomes.add(f"{execution.status.value} {look(execution.state)} {results}")
        return False

    with Explorer(Program(setup, tuple(tasks))) as explorer:
        report = search(explorer, SearchConfig(budget_s=None), note)
    return outcomes, report


def look(s: Thing) -> str:
    plain = {k: v for k, v in vars(s).items() if isinstance(v, (int, list, dict, set, collections.deque, bytearray))}
    return f"{plain} {s.slotted.v} {s.data.v} {s.prop.v} {Thing.made} {Module.value} {COUNT} {TABLE}"


@pytest.mark.parametrize("task", RACES, ids=lambda task: task.__name__)
def test_sees_the_race(task: Callable[[Thing], Any]) -> None:
    alone, _ = explore(Thing, [task], look)
    both, report = explore(Thing, [task, task], look)
    assert report.guarantee is Guarantee.EVERY_INTERLEAVING
    if task is in_thread:
        assert len(alone) > 1
    else:
        assert len(alone) == 1
    assert len(both) > 1, "a lost update that was not found"


@pytest.mark.parametrize("task", [task for task in RACES if task is not in_thread], ids=lambda task: task.__name__)
def test_proves_the_locked_twin_safe(task: Callable[[Thing], Any]) -> None:
    def locked(s: Thing) -> Any:
        with s.lock:
            return task(s)

    def also_locked(s: Thing) -> Any:
        with s.lock:
            return task(s)

    both, report = explore(Thing, [locked, also_locked], look)
    assert report.guarantee is Guarantee.EVERY_INTERLEAVING
    assert report.executions == 2
    assert len({outcome.rpartition("[")[0] for outcome in both}) == 1


def different_keys_a(s: Thing) -> None:
    s.dict["a"] = 1


def different_keys_b(s: Thing) -> None:
    s.dict["b"] = 2


def read_only(s: Thing) -> int:
    return s.n + len(s.list) + (s.dict.get("a") or 0)


def own_object(s: Thing) -> int:
    mine = Data()
    mine.v += 1
    local = [1, 2]
    local.append(mine.v)
    return sum(local)


@pytest.mark.parametrize(
    "tasks",
    [[different_keys_a, different_keys_b], [read_only] * 3, [own_object] * 3, [slots, prop, data]],
    ids=["keys", "reads", "own", "attributes"],
)
def test_does_not_reorder_what_is_independent(tasks: list[Callable[..., Any]]) -> None:
    _, report = explore(Thing, tasks, look)
    assert report.executions == 1


def test_code_is_as_it_was_afterwards() -> None:
    before = attribute.__code__, Prop.v.fget.__code__, list_loop.__code__  # type: ignore[attr-defined]
    explore(Thing, [attribute, prop, list_loop])
    assert (attribute.__code__, Prop.v.fget.__code__, list_loop.__code__) == before  # type: ignore[attr-defined]
    assert attribute.__code__ is before[0]
