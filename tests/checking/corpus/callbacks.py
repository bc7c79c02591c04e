"""C code that calls, compares or formats shared things out of sight of any instruction: racy and fixed, in pairs."""

from __future__ import annotations

import functools
import heapq
import itertools
import operator
import queue
import threading
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from functools import partial
from typing import Any

from twins import State, make, twins, under_lock


class Job:
    def __init__(self, rank: int) -> None:
        self.rank = rank

    def __lt__(self, other: Job) -> bool:
        return self.rank < other.rank

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and self.rank == other.rank

    def __hash__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return f"Job({self.rank})"


def two_jobs() -> list[Job]:
    return [Job(1), Job(2)]


def swap_ranks(state: State) -> None:
    state.jobs[0].rank, state.jobs[1].rank = state.jobs[1].rank, state.jobs[0].rank


def sort_by_attrgetter(state: State) -> list[int]:
    ranked = sorted(state.jobs, key=operator.attrgetter("rank"))
    return [state.jobs.index(job) for job in ranked]


def ranks_by_attrgetter(state: State) -> list[int]:
    return list(map(operator.attrgetter("rank"), state.jobs))


def lift(state: State) -> None:
    """Ranks the first behind the second, and takes that back."""
    state.jobs[0].rank = 5
    state.jobs[0].rank = 1


def sort_by_lt(state: State) -> bool:
    return sorted(state.jobs)[0] is state.jobs[0]  # noqa: FURB192 - the subject of the case


def smallest_of_heap(state: State) -> bool:
    return heapq.nsmallest(1, state.jobs)[0] is state.jobs[0]


def repr_of_jobs(state: State) -> str:
    return f"{state.jobs}"


def format_of_jobs(state: State) -> str:
    return "{} and {}".format(*state.jobs)


def percent_of_jobs(state: State) -> str:
    return "%s, %s" % (state.jobs[0], state.jobs[1])  # noqa: UP031 - the subject of the case


def compare_jobs(state: State) -> bool:
    return state.jobs == [Job(2), Job(2)]


def move(state: State) -> None:
    state.counts["a"] -= 1
    state.counts["b"] += 1


def flicker(state: State) -> None:
    state.counts["a"] = 5
    state.counts["a"] = 1


def best_key(state: State) -> int:
    return sum(map(state.counts.get, ["a", "b"]))


def order_of_keys(state: State) -> list[str]:
    return sorted(["a", "b"], key=state.counts.__getitem__)


def most(state: State) -> str:
    return max(state.counts, key=state.counts.get)


def itemgetter_total(state: State) -> int:
    a, b = operator.itemgetter("a", "b")(state.counts)
    return a + b


def format_counts(state: State) -> str:
    return "{a} {b}".format_map(state.counts)


def format_keywords(state: State) -> str:
    return "{a} {b}".format(**state.counts)


def join_items(state: State) -> str:
    return ",".join(map(str, state.counts.values()))


def call_in_map(state: State) -> int:
    """Each `append` runs inside `map`."""
    deque(map(state.items.append, [1, 2]), maxlen=0)
    return len(state.items)


def append_one(state: State) -> None:
    state.items.append(9)


def unseen(state: State) -> list[int]:
    return [item for item in [1, 2] if not (item in state.seen or state.seen.add(item))]


def unseen_by_filter(state: State) -> list[int]:
    return list(itertools.filterfalse(state.seen.__contains__, [1, 2]))


def see_both(state: State) -> None:
    state.seen.add(1)
    state.seen.add(2)


def total_of_nested(state: State) -> int:
    return sum(map(len, state.rows))


def move_between_rows(state: State) -> None:
    state.rows[1].append(state.rows[0].pop())


def flat_rows(state: State) -> int:
    return len(list(itertools.chain.from_iterable(state.rows)))


def flat_sum(state: State) -> int:
    return len(sum(state.rows, []))  # noqa: RUF017 - the subject of the case


def text_of_rows(state: State) -> str:
    return f"{state.rows}"


def percent_of_rows(state: State) -> str:
    return "%s" % (state.rows,)  # noqa: UP031 - the subject of the case


def format_of_rows(state: State) -> str:
    return "{}".format(state.rows)  # noqa: UP032 - the subject of the case


def compare_rows(state: State) -> bool:
    return state.rows == [[], []]


def compare_row_tuples(state: State) -> bool:
    return (state.rows[0], state.rows[1]) == ([], [])


def drain_by_iter(state: State) -> list[int]:
    """`iter(callable, sentinel)`: next() calls a blocking method from C."""
    return list(iter(state.queue.get, None))


def put_two(state: State) -> None:
    state.queue.put(1)
    state.queue.put(None)


def pop_by_iter(state: State) -> int:
    return sum(iter(partial(state.items.pop, 0), 0))


def reduce_total(state: State) -> int:
    return functools.reduce(lambda total, key: total + state.counts[key], ["a", "b"], 0)


def bump_in_key(state: State) -> None:
    def key(item: int) -> int:
        state.calls = state.calls + 1
        return -item

    sorted([1, 2], key=key)


def from_bytes(state: State) -> int:
    return int.from_bytes(state.buffer, "little")


def write_bytes(state: State) -> None:
    state.buffer[0] = 1
    state.buffer[1] = 1


def of_bytes(state: State) -> bytes:
    return bytes(state.buffer)


def write_slice(state: State) -> None:
    state.buffer[:] = b"\x01\x01"


class Counting(defaultdict[str, int]):
    """A default that is counted."""

    def __init__(self) -> None:
        super().__init__(int)
        self.made = 0

    def __missing__(self, key: str) -> int:
        self.made = self.made + 1
        self[key] = self.made
        return self.made


def ask_counting(state: State) -> int:
    return state.counting[state.key]


class Ids:
    def __init__(self) -> None:
        self.last = 0
        self.by_name: defaultdict[str, int] = defaultdict(self.next_id)
        self.lock = threading.Lock()

    def next_id(self) -> int:
        last = self.last
        self.last = last + 1
        return last


def id_of(ids: Ids, name: str) -> int:
    return ids.by_name[name]


def id_of_locked(ids: Ids, name: str) -> int:
    with ids.lock:
        return ids.by_name[name]


class Tally(OrderedDict[str, int]):
    """A limited mapping: the oldest goes when there are too many."""

    def __setitem__(self, key: str, value: int) -> None:
        super().__setitem__(key, value)
        if len(self) > 1:
            self.popitem(last=False)


def tally(state: State) -> int:
    state.tally[state.key] = 1
    return state.tally[state.key]


def tally_b(state: State) -> None:
    state.tally["b"] = 1


def numbers(state: State) -> Iterator[int]:
    for _ in range(2):
        state.n = state.n + 1
        yield state.n


def own_generator(state: State) -> int:
    return sum(numbers(state))


def zipped(state: State) -> list[tuple[int, int]]:
    return list(zip(state.items, state.others, strict=False))


def grow_both(state: State) -> None:
    state.items.append(1)
    state.others.append(1)
    state.items.clear()


def zip_three(state: State) -> int:
    return len(list(zip([1, 2], [3, 4], state.others, strict=False))) - len(state.others)


def star_call(state: State) -> int:
    return max(*state.items, *state.others)


def exchange(state: State) -> None:
    state.items[0], state.others[0] = state.others[0], state.items[0]


def star_of_attributes(state: State) -> int:
    return max(state.items[0], state.others[0])


def methodcaller(state: State) -> int:
    caller = operator.methodcaller("next_id")
    return caller(state.ids)


COUNTS = {"counts": lambda: {"a": 1, "b": 1}}
ROWS = {"rows": lambda: [[1], []]}

PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "iter(queue.get, None)": (
        {"setup": make(queue=queue.Queue), "tasks": [drain_by_iter, put_two, put_two]},
        {"setup": make(queue=queue.Queue), "tasks": [drain_by_iter, put_two]},
    ),
    "iter(pop, 0)": (
        {"setup": make(items=lambda: [1, 0, 1, 0]), "tasks": [pop_by_iter, pop_by_iter]},
        {"setup": make(items=lambda: [1, 0, 1, 0]), "tasks": [under_lock(pop_by_iter), under_lock(pop_by_iter)]},
    ),
    "a defaultdict's own factory": (
        {"setup": Ids, "tasks": [partial(id_of, name="a"), partial(id_of, name="b")]},
        {"setup": Ids, "tasks": [partial(id_of_locked, name="a"), partial(id_of_locked, name="b")]},
    ),
    **dict(
        [
            twins("sorted by attrgetter", make(jobs=two_jobs), swap_ranks, sort_by_attrgetter),
            twins("map of attrgetter", make(jobs=two_jobs), swap_ranks, ranks_by_attrgetter),
            twins("sorted by __lt__", make(jobs=two_jobs), lift, sort_by_lt),
            twins("nsmallest", make(jobs=two_jobs), lift, smallest_of_heap),
            twins("formatted by __repr__", make(jobs=two_jobs), swap_ranks, repr_of_jobs),
            twins("str.format calls __repr__", make(jobs=two_jobs), swap_ranks, format_of_jobs),
            twins("%-formatting calls __repr__", make(jobs=two_jobs), swap_ranks, percent_of_jobs),
            twins("compared by __eq__", make(jobs=two_jobs), swap_ranks, compare_jobs),
            twins("map of dict.get", make(**COUNTS), move, best_key),
            twins("sorted by dict.__getitem__", make(**COUNTS), flicker, order_of_keys),
            twins("max by dict.get", make(counts=lambda: {"b": 2, "a": 1}), flicker, most),
            twins("itemgetter", make(**COUNTS), move, itemgetter_total),
            twins("format_map", make(**COUNTS), move, format_counts),
            twins("format with keywords", make(**COUNTS), move, format_keywords),
            twins("join of a map over values", make(**COUNTS), move, join_items),
            twins("reduce with a closure", make(**COUNTS), move, reduce_total),
            twins("append inside a map", make(items=list), call_in_map, append_one),
            twins("filter by membership", make(seen=set), see_both, unseen_by_filter),
            twins("seen.add in a comprehension", make(seen=set), unseen, unseen),
            twins("map of len over inner lists", make(**ROWS), move_between_rows, total_of_nested),
            twins("chained inner lists", make(**ROWS), move_between_rows, flat_rows),
            twins("sum of lists", make(**ROWS), move_between_rows, flat_sum),
            twins("f-string of inner lists", make(**ROWS), move_between_rows, text_of_rows),
            twins("% of inner lists", make(**ROWS), move_between_rows, percent_of_rows),
            twins("str.format of inner lists", make(**ROWS), move_between_rows, format_of_rows),
            twins("comparison of inner lists", make(**ROWS), move_between_rows, compare_rows),
            twins("comparison of tuples of lists", make(**ROWS), move_between_rows, compare_row_tuples),
            twins("state changed by a sort key", make(calls=0), bump_in_key, bump_in_key),
            twins("int.from_bytes", make(buffer=lambda: bytearray(2)), write_bytes, from_bytes),
            twins("__missing__", make(counting=Counting, key="k"), ask_counting, ask_counting),
            twins("a limited OrderedDict", make(tally=Tally, key="a"), tally, tally_b, expect="raises"),
            twins("sum over a generator that writes", make(n=0), own_generator, own_generator),
            twins("zip of two lists", make(items=list, others=list), grow_both, zipped),
            twins("third list of a zip", make(others=list), zip_three, lambda state: state.others.append(1)),
            twins("unpacked into a call", make(items=lambda: [1], others=lambda: [2]), exchange, star_call),
            twins("methodcaller", make(ids=Ids), methodcaller, methodcaller),
        ]
    ),
    "slice written at once": (
        {"setup": make(buffer=lambda: bytearray(2)), "tasks": [write_bytes, of_bytes]},
        {"setup": make(buffer=lambda: bytearray(2)), "tasks": [write_slice, of_bytes]},
    ),
}
