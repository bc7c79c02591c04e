"""All interleavings of small programs, one by one: the yardstick for the search.

Written apart from the engine's own idea of happens-before: two events depend on each other when they belong to one
task, when one starts or ends the other's task, or when they touch the same thing and one writes; a trace is the
set of ordered pairs of dependent events.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

from whilst.checking.engine.events import Access, Op
from whilst.checking.explorer.explorer import Execution, Explorer, Program
from whilst.checking.search.search import SearchConfig, SearchReport, search


class State:
    """What the small programs share."""

    def __init__(self) -> None:
        self.x = self.y = self.z = 0
        self.d: dict[str, int] = {"a": 0}
        self.items: list[int] = [0, 0]
        self.seen: set[int] = set()
        self.lock, self.other = threading.Lock(), threading.Lock()
        self.rlock = threading.RLock()
        self.semaphore = threading.Semaphore(1)
        self.two = threading.Semaphore(2)
        self.event = threading.Event()
        self.log: list[Any] = []


STATEMENTS = {
    "read x": ["s.log_{t} = s.x"],
    "write x": ["s.x = {n}"],
    "add to x": ["s.x += 1"],
    "write y": ["s.y = {n}"],
    "copy x to y": ["s.y = s.x"],
    "copy y to x": ["s.x = s.y"],
    "add to z": ["s.z += 1"],
    "dict a": ["s.d['a'] += 1"],
    "dict own": ["s.d[{t}] = 1"],
    "dict len": ["s.z = len(s.d)"],
    "dict in": ["s.y = 'b' in s.d"],
    "dict set b": ["s.d['b'] = {n}"],
    "item 0": ["s.items[0] = {n}"],
    "item 1": ["s.items[1] += 1"],
    "append": ["s.items.append({t})"],
    "last": ["s.y = s.items[-1]"],
    "set add": ["s.seen.add({n})"],
    "set has": ["s.x = 1 in s.seen"],
    "locked x": ["with s.lock:", "    s.x += 1"],
    "locked y": ["with s.lock:", "    s.y = s.x"],
    "other x": ["with s.other:", "    s.x += 1"],
    "both": ["with s.lock:", "    with s.other:", "        s.x = {n}"],
    "both crossed": ["with s.other:", "    with s.lock:", "        s.x = {n}"],
    "rlock": ["with s.rlock:", "    with s.rlock:", "        s.z = {n}"],
    "try": ["if s.lock.acquire(blocking=False):", "    s.y = {n}", "    s.lock.release()"],
    "timed": ["if s.lock.acquire(timeout=1):", "    s.lock.release()", "else:", "    s.z = {n}"],
    "semaphore": ["with s.semaphore:", "    s.x = {n}"],
    "two": ["with s.two:", "    s.y = {n}"],
    "set event": ["s.event.set()"],
    "await event": ["s.event.wait()"],
    "poll event": ["s.y = s.event.is_set()"],
    "timed event": ["s.z = s.event.wait(1)"],
    "branch": ["if s.x:", "    s.y = {n}", "else:", "    s.z = {n}"],
}


def program(tasks: list[list[str]]) -> Program:
    """Functions made of the statements named."""
    lines = []
    for number, names in enumerate(tasks):
        lines.append(f"def task_{number}(s):")
        for position, name in enumerate(names):
            lines += ["    " + text.format(t=number, n=10 * number + position + 1) for text in STATEMENTS[name]]
    space: dict[str, Any] = {"__name__": "small_program"}
    exec(compile("\n".join(lines), f"<{tasks!r}>", "exec"), space)
    return Program(State, tuple(space[f"task_{number}"] for number in range(len(tasks))))


def random_programs(count: int, seed: int) -> Iterator[list[list[str]]]:
    """Small enough to be run in all interleavings."""
    draws = random.Random(seed)
    names = sorted(STATEMENTS)
    for _ in range(count):
        tasks = draws.choice((2, 2, 2, 3))
        most = 3 if tasks == 2 else 1
        yield [draws.choices(names, k=draws.randint(1, most)) for _ in range(tasks)]


def outcome(execution: Execution) -> str:
    """Final values, what the tasks came to, and how it ended."""
    state = execution.state
    assert isinstance(state, State)
    if execution.status.value != "done":
        return f"{execution.status.value} {[blocked.task for blocked in execution.blocked]}"
    values = {key: value for key, value in sorted(vars(state).items()) if isinstance(value, (int, list, dict, set))}
    return f"{values} {[repr(result.error or result.value) for result in execution.results]}"


def depend(one: Access, other: Access) -> bool:
    if one.task == other.task:
        return True
    return any(
        a == c and (x or y) and (b is None or d is None or b == d)
        for a, b, x in touched(one)
        for c, d, y in touched(other)
    )


def touched(access: Access) -> list[tuple[int, object, bool]]:
    writes = access.is_write
    return [(access.object_id, access.key, writes), *access.also]


def trace_of(execution: Execution) -> frozenset[Any]:
    """The Mazurkiewicz trace: every ordered pair of dependent events."""
    accesses = execution.accesses()
    pairs = set()
    for later, access in enumerate(accesses):
        pairs.add((access.task, access.nth, access.op is Op.TRY and access.did_succeed))
        for earlier in accesses[:later]:
            if earlier.task != access.task and depend(earlier, access):
                pairs.add(((earlier.task, earlier.nth), (access.task, access.nth)))
    return frozenset(pairs)


def every_interleaving(explorer: Explorer, most: int) -> Iterator[Execution]:
    """Depth first over all choices, with nothing left out."""
    stack: list[list[int]] = []
    explorer.scheduler.keeps_enabled = True
    for _ in range(most):
        prefix = [options[0] for options in stack]
        execution = explorer.run(prefix)
        choices_at = explorer.enabled_along()
        for depth in range(len(stack), len(execution.choices)):
            chosen = execution.choices[depth]
            stack.append([chosen, *(task for task in choices_at[depth] if task != chosen)])
        yield execution
        while stack and len(stack[-1]) == 1:
            stack.pop()
        if not stack:
            return
        stack[-1].pop(0)
    raise TimeoutError(f"more than {most} interleavings")


def searched(explorer: Explorer, note: Callable[[Execution], None], *, is_symmetric: bool = False) -> SearchReport:
    """Search everything; `note` sees each execution."""

    def on_execution(execution: Execution) -> bool:
        note(execution)
        return False

    config = SearchConfig(budget_s=None, is_symmetric=is_symmetric, random_executions=0)
    return search(explorer, config, on_execution)
