"""State that lies where nobody looks for it: behind caches, `__dict__`, weak sets, shared memory; in pairs."""

from __future__ import annotations

import concurrent.futures as futures
import functools
import multiprocessing
import sys
import threading
import weakref
from functools import partial
from typing import Any, ClassVar

from twins import State, twins


class Cached:
    """A cache around a function that is made anew with every instance."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.calls = 0

        @functools.cache
        def load(key: int) -> int:
            self.calls += 1
            return key

        self.load = load


class Borg:
    """All instances have one `__dict__`."""

    shared: ClassVar[dict[str, int]] = {}

    def __init__(self) -> None:
        self.__dict__ = self.shared

    def add(self) -> None:
        self.n += 1


def borgs() -> State:
    Borg.shared = {"n": 0}
    return State(one=Borg(), two=Borg())


def replace_dict(state: State) -> None:
    state.__dict__ = {"a": 2, "b": 2, "lock": state.lock}


def read_both(state: State) -> tuple[int, int]:
    return state.a, state.b


class Node:
    pass


def weak_set() -> State:
    nodes = [Node(), Node()]
    return State(nodes=nodes, weak=weakref.WeakSet(nodes), seen=0)


def visit(state: State) -> None:
    for _ in state.weak:
        state.seen += 1


def measure(state: State) -> tuple[int, int]:
    return len(state.weak), len(state.weak)


def grow(state: State) -> None:
    state.nodes.append(Node())
    state.weak.add(state.nodes[-1])


def in_order_of_completion(state: State) -> list[int]:
    del state
    with futures.ThreadPoolExecutor(2) as pool:
        started = [pool.submit(pow, n, 2) for n in range(2)]
        return [future.result() for future in futures.as_completed(started)]


def in_order_of_submission(state: State) -> list[int]:
    del state
    with futures.ThreadPoolExecutor(2) as pool:
        started = [pool.submit(pow, n, 2) for n in range(2)]
        return [future.result() for future in started]


HEAP = multiprocessing.Value("i", 0)  # the memory that multiprocessing takes for the first one it keeps


class Shared:
    """What processes share, between threads."""

    def __init__(self) -> None:
        self.lock = multiprocessing.Lock()
        self.value = multiprocessing.Value("i", 0)
        self.array = multiprocessing.Array("i", 2)
        self.condition = multiprocessing.Condition()
        self.event = multiprocessing.Event()
        self.queue: Any = multiprocessing.JoinableQueue()
        self.items: list[int] = []


def add_to_value(shared: Shared) -> None:
    shared.value.value += 1


def add_to_element(shared: Shared) -> None:
    shared.array[0] += 1


def put(shared: Shared) -> None:
    with shared.condition:
        shared.items.append(1)
        shared.condition.notify()


def put_silently(shared: Shared) -> None:
    with shared.condition:
        shared.items.append(1)


def take(shared: Shared) -> int:
    with shared.condition:
        shared.condition.wait_for(lambda: shared.items)
        return shared.items.pop()


def set_last(shared: Shared) -> None:
    shared.items.append(1)
    shared.event.set()


def set_first(shared: Shared) -> None:
    shared.event.set()
    shared.items.append(1)


def wait_and_look(shared: Shared) -> int:
    shared.event.wait()
    return len(shared.items)


def hand_over(shared: Shared) -> list[int]:
    shared.queue.put([1, 2])
    shared.queue.join()
    return list(shared.items)


def work(shared: Shared, *, is_early: bool) -> None:
    items = shared.queue.get()
    if is_early:
        shared.queue.task_done()
    shared.items += items
    if not is_early:
        shared.queue.task_done()


def both_ways(shared: Shared, *, is_early: bool) -> list[int]:
    worker = threading.Thread(target=work, args=(shared,), kwargs={"is_early": is_early})
    worker.start()
    seen = hand_over(shared)
    worker.join()
    return seen


# From 3.14 on a weak set is copied by whoever iterates over it.
ITERATED = (
    [twins("weak set iterated", weak_set, visit, grow, expect="raises", pattern="changed while iterated")]
    if sys.version_info < (3, 14)
    else []
)
PAIRS: dict[str, Any] = {
    "order of completion": (
        {"setup": State, "tasks": [in_order_of_completion]},
        {"setup": State, "tasks": [in_order_of_submission]},
    ),
    "multiprocessing.Condition": (
        {"setup": Shared, "tasks": [put_silently, take], "expect": "deadlock"},
        {"setup": Shared, "tasks": [put, take]},
    ),
    "multiprocessing.Event": (
        {"setup": Shared, "tasks": [set_first, wait_and_look], "pattern": "early publication"},
        {"setup": Shared, "tasks": [set_last, wait_and_look]},
    ),
    "multiprocessing.JoinableQueue": (
        {"setup": Shared, "tasks": [partial(both_ways, is_early=True)]},
        {"setup": Shared, "tasks": [partial(both_ways, is_early=False)]},
    ),
    **dict(
        [
            twins("lru_cache made in setup", Cached, lambda s: s.load(1), lambda s: s.load(1)),
            twins(
                "one __dict__ for all",
                borgs,
                lambda s: s.one.add(),
                lambda s: s.two.add(),
                outcome=lambda s: s.one.n,
                pattern="lost update",
            ),
            twins("__dict__ replaced", partial(State, a=1, b=1), replace_dict, read_both),
            twins("weak set", weak_set, measure, grow),
            *ITERATED,
            twins("multiprocessing.Value", Shared, add_to_value, add_to_value, pattern="lost update"),
            twins("multiprocessing.Array", Shared, add_to_element, add_to_element, pattern="lost update"),
        ]
    ),
}
