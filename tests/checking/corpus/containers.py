"""Dicts, lists, sets, deques, heaps, iterators and generators: racy and fixed, in pairs."""

from __future__ import annotations

import bisect
import collections
import heapq
import itertools
import threading
from functools import partial
from typing import Any


class State:
    def __init__(self, **held: Any) -> None:
        self.lock = threading.Lock()
        self.__dict__.update(held)


def locked(task: Any) -> Any:
    """The twin of a task: the same under the state's lock."""

    def run(state: State) -> Any:
        with state.lock:
            return task(state)

    run.__name__ = run.__qualname__ = f"locked_{getattr(task, '__name__', 'task')}"
    return run


def make(**held: Any) -> Any:
    """A setup that makes a fresh copy of everything it is given."""

    def setup() -> State:
        return State(**{name: value() if callable(value) else value for name, value in held.items()})

    return setup


def cache_get(state: State) -> int:
    if "k" not in state.d:
        state.builds += 1
        state.d["k"] = state.builds
    return state.d["k"]


def cache_setdefault(state: State) -> int:
    return state.d.setdefault("k", 5)


def dict_increment(state: State) -> None:
    state.d["n"] = state.d["n"] + 1


def dict_get_increment(state: State) -> None:
    state.d["n"] = state.d.get("n", 0) + 1


def default_increment(state: State) -> None:
    state.d["n"] += 1


def default_append(state: State, item: int) -> None:
    state.d["n"].append(item)


def counter_increment(state: State) -> None:
    state.d["n"] += 1


def dict_pop_if_there(state: State) -> int | None:
    if "k" in state.d:
        return state.d.pop("k")
    return None


def dict_pop_default(state: State) -> int | None:
    return state.d.pop("k", None)


def dict_move(state: State) -> None:
    state.d["a"] -= 1
    state.d["b"] += 1


def dict_iterate(state: State) -> int:
    total = 0
    for key in state.d:
        total += state.d[key]
    return total


def dict_iterate_copy(state: State) -> int:
    return len(list(state.d))


def dict_grow(state: State) -> None:
    state.d["new"] = 1


def set_key(state: State, key: str) -> None:
    state.d[key] = state.d[key] + 1


def list_append_len(state: State) -> int:
    state.items.append("x")
    return len(state.items)


def list_append(state: State) -> None:
    state.items.append("x")


def list_pop_last(state: State) -> Any:
    if state.items:
        return state.items.pop()
    return None


def list_replace_first(state: State) -> None:
    state.items[0] = state.items[0] + 1


def list_swap(state: State) -> None:
    state.items[0], state.items[1] = state.items[1], state.items[0]


def list_snapshot(state: State) -> list[Any]:
    return [state.items[0], state.items[1]]


def list_slice(state: State) -> list[Any]:
    return state.items[:]


def list_remove_all(state: State) -> None:
    for item in list(state.items):
        state.items.remove(item)


def list_copy_on_write(state: State) -> None:
    state.items = [*state.items, "x"]


def set_add_if_missing(state: State) -> bool:
    if 1 not in state.seen:
        state.seen.add(1)
        return True
    return False


def set_add(state: State) -> None:
    state.seen.add(1)


def set_add_other(state: State, item: int) -> bool:
    if item not in state.seen:
        state.seen.add(item)
        return True
    return False


def deque_take(state: State) -> Any:
    if len(state.queue) > 0:
        return state.queue.popleft()
    return None


def deque_take_guarded(state: State) -> Any:
    try:
        return state.queue.popleft()
    except IndexError:
        return None


def deque_rotate(state: State) -> Any:
    item = state.queue.popleft()
    state.queue.append(item)
    return item


def lru_get(state: State, key: str) -> Any:
    if key in state.lru:
        state.lru.move_to_end(key)
        return state.lru[key]
    state.lru[key] = key.upper()
    if len(state.lru) > 2:
        state.lru.popitem(last=False)
    return key.upper()


def byte_increment(state: State) -> None:
    state.buffer[0] = state.buffer[0] + 1


def heap_replace_smallest(state: State) -> int:
    smallest = state.heap[0]
    heapq.heappop(state.heap)
    heapq.heappush(state.heap, smallest + 10)
    return smallest


def heap_push_pop(state: State) -> int:
    return heapq.heappushpop(state.heap, 10)


def insert_sorted(state: State, item: int) -> None:
    at = bisect.bisect(state.items, item)
    state.items.insert(at, item)


def insort(state: State, item: int) -> None:
    bisect.insort(state.items, item)


def next_id(state: State) -> int:
    state.last += 1
    return state.last


def next_count(state: State) -> int:
    return next(state.ids)


def next_of_generator(state: State) -> int:
    return next(state.source)


def generator_over(items: Any) -> Any:
    last = 0
    while True:
        last = items["last"] = last + 1
        yield last


def shared_generator() -> State:
    return State(source=generator_over({}))


def insert_two(state: State) -> None:
    state.d["a"] = 1
    state.d["c"] = 1


def all_keys(state: State) -> list[str]:
    return list(state.d)


def sum_elements(state: State) -> int:
    return state.pair[0] + state.pair[1]


def insert_first(state: State, key: str) -> None:
    state.d[key] = 1


def nested_increment(state: State) -> None:
    state.d["a"]["b"][0] += 1


def unpack(state: State) -> int:
    a, b = state.pair
    return a + b


def replace_pair(state: State) -> None:
    state.pair = (5, 5)


def write_elements(state: State) -> None:
    state.pair[0] = 5
    state.pair[1] = 5


def pair_of(name: str, setup: Any, *tasks: Any, **more: Any) -> tuple[str, tuple[dict[str, Any], dict[str, Any]]]:
    """A racy case and its twin under a lock."""
    twins: dict[Any, Any] = {task: locked(task) for task in tasks}
    return name, ({"setup": setup, "tasks": [*tasks], **more}, {"setup": setup, "tasks": [twins[t] for t in tasks]})


D: Any = dict
PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "cache, check then act": (
        {"setup": make(d=D, builds=0), "tasks": [cache_get, cache_get]},
        {"setup": make(d=D), "tasks": [cache_setdefault, cache_setdefault]},
    ),
    "remove if there": (
        {"setup": make(d=lambda: {"k": 1}), "tasks": [dict_pop_if_there, dict_pop_if_there], "expect": "raises"},
        {"setup": make(d=lambda: {"k": 1}), "tasks": [dict_pop_default, dict_pop_default]},
    ),
    "different keys of a dict": (
        {"setup": make(d=lambda: {"a": 0, "b": 0}), "tasks": [partial(set_key, key="a"), partial(set_key, key="a")]},
        {"setup": make(d=lambda: {"a": 0, "b": 0}), "tasks": [partial(set_key, key="a"), partial(set_key, key="b")]},
    ),
    "defaultdict of lists": (
        {"setup": make(d=lambda: collections.defaultdict(int)), "tasks": [default_increment, default_increment]},
        {
            "setup": make(d=lambda: collections.defaultdict(list, n=[])),
            "tasks": [partial(default_append, item=1), partial(default_append, item=1)],
        },
    ),
    "iterate while another grows it": (
        {"setup": make(d=lambda: {"a": 1, "b": 2}), "tasks": [dict_iterate, dict_grow], "expect": "raises"},
        {"setup": make(d=lambda: {"a": 1, "b": 2}), "tasks": [dict_iterate_copy, dict_grow]},
    ),
    "append alone": (
        {"setup": make(items=list), "tasks": [list_append_len, list_append_len]},
        {"setup": make(items=list), "tasks": [list_append, list_append]},
    ),
    "append by copy": (
        {"setup": make(items=list), "tasks": [list_copy_on_write, list_copy_on_write]},
        {"setup": make(items=list), "tasks": [list_append, list_append, list_append]},
    ),
    "snapshot of a list": (
        {"setup": make(items=lambda: [1, 2]), "tasks": [list_swap, list_snapshot]},
        {"setup": make(items=lambda: [1, 2]), "tasks": [list_slice, list_append]},
    ),
    "seen before": (
        {"setup": make(seen=set), "tasks": [set_add_if_missing, set_add_if_missing]},
        {"setup": make(seen=set), "tasks": [set_add, set_add]},
    ),
    "seen before, different items": (
        {"setup": make(seen=set), "tasks": [partial(set_add_other, item=1), partial(set_add_other, item=1)]},
        {"setup": make(seen=set), "tasks": [partial(set_add_other, item=1), partial(set_add_other, item=2)]},
    ),
    "take if not empty": (
        {"setup": make(queue=lambda: collections.deque([1])), "tasks": [deque_take, deque_take], "expect": "raises"},
        {"setup": make(queue=lambda: collections.deque([1])), "tasks": [deque_take_guarded, deque_take_guarded]},
    ),
    "smallest of a heap": (
        {"setup": make(heap=lambda: [1, 2, 3]), "tasks": [heap_replace_smallest, heap_replace_smallest]},
        {"setup": make(heap=lambda: [1, 2, 3]), "tasks": [heap_push_pop, heap_push_pop]},
    ),
    "sorted insertion": (
        {
            "setup": make(items=lambda: [1, 9]),
            "tasks": [partial(insert_sorted, item=5), partial(insert_sorted, item=6)],
        },
        {"setup": make(items=lambda: [1, 9]), "tasks": [partial(insort, item=5), partial(insort, item=6)]},
    ),
    "ids": (
        {"setup": make(last=0), "tasks": [next_id, next_id]},
        {"setup": make(ids=itertools.count), "tasks": [next_count, next_count]},
    ),
    "two elements read as one": (
        {"setup": make(pair=lambda: [1, 1]), "tasks": [sum_elements, write_elements]},
        {"setup": make(pair=(1, 1)), "tasks": [unpack, replace_pair]},
    ),
    "order of the keys seen": (
        {"setup": make(d=D), "tasks": [insert_two, partial(insert_first, key="b"), all_keys]},
        {"setup": make(d=D), "tasks": [insert_two, partial(insert_first, key="b")]},
    ),
    **dict(
        [
            pair_of("increment in a dict", make(d=lambda: {"n": 0}), dict_increment, dict_increment),
            pair_of("get with default, then set", make(d=D), dict_get_increment, dict_get_increment),
            pair_of("Counter, += 1", make(d=collections.Counter), counter_increment, counter_increment),
            pair_of("sum over values", make(d=lambda: {"a": 1, "b": 1}), dict_move, dict_iterate),
            pair_of("pop if not empty", make(items=lambda: [1]), list_pop_last, list_pop_last, expect="raises"),
            pair_of("increment in a list", make(items=lambda: [0]), list_replace_first, list_replace_first),
            pair_of("remove all", make(items=lambda: [1, 2]), list_remove_all, list_remove_all, expect="raises"),
            pair_of("rotate", make(queue=lambda: collections.deque([1, 2])), deque_rotate, deque_rotate),
            pair_of("byte of a buffer", make(buffer=lambda: bytearray(2)), byte_increment, byte_increment),
            pair_of("generator", shared_generator, next_of_generator, next_of_generator, expect="raises"),
            pair_of("nested", make(d=lambda: {"a": {"b": [0]}}), nested_increment, nested_increment),
        ]
    ),
    "LRU cache": (
        {
            "setup": make(lru=lambda: collections.OrderedDict(a="A", b="B")),
            "tasks": [partial(lru_get, key="a"), partial(lru_get, key="c")],
            "expect": "raises",
        },
        {
            "setup": make(lru=lambda: collections.OrderedDict(a="A", b="B")),
            "tasks": [locked(partial(lru_get, key="a")), locked(partial(lru_get, key="c"))],
        },
    ),
}
