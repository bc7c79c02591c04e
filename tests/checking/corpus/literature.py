"""Programs that the literature on concurrency bugs keeps coming back to, racy and fixed, in pairs.

From "Learning from Mistakes" (Lu, Park, Seo, Zhou, ASPLOS 2008), SCTBench (Thomson, Donaldson, Betts, 2016; after
CHESS, CS and Inspect), the examples of Java PathFinder, and the textbooks on mutual exclusion.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import Any


class Box:
    """Shared state with the attributes that a case gives it, a lock and a second one."""

    def __init__(self, **held: Any) -> None:
        self.lock = threading.Lock()
        self.other = threading.Lock()
        self.condition = threading.Condition()
        for name, value in held.items():
            setattr(self, name, value() if callable(value) else value)


def box(**held: Any) -> Any:
    return partial(Box, **held)


# ------------------------------------------------------------------------------------------------- SCTBench
def two_stage_write(state: Box) -> None:
    with state.lock:
        state.first = 1
    with state.other:
        state.second = state.first + 1


def two_stage_read(state: Box) -> int | None:
    with state.lock:
        if not state.first:
            return None
        first = state.first
    with state.other:
        return state.second - first


def one_stage_write(state: Box) -> None:
    with state.lock:
        state.first = 1
        state.second = state.first + 1


def one_stage_read(state: Box) -> int | None:
    with state.lock:
        return state.second - state.first if state.first else None


def reorder_set(state: Box) -> None:
    state.a = 1
    state.b = -1


def reorder_check(state: Box) -> bool:
    return (state.a == 0 and state.b == 0) or (state.a == 1 and state.b == -1)


def reorder_set_locked(state: Box) -> None:
    with state.lock:
        reorder_set(state)


def reorder_check_locked(state: Box) -> bool:
    with state.lock:
        return reorder_check(state)


def lazy_add(state: Box, amount: int) -> None:
    with state.lock:
        state.data += amount


def lazy_assert(state: Box) -> None:
    with state.lock:
        if state.data >= 3:
            raise AssertionError(state.data)


def lazy_init(state: Box) -> int:
    if state.instance is None:
        state.instance = [0]
    state.instance[0] += 1
    return state.instance[0]


def lazy_init_locked(state: Box) -> int:
    with state.lock:
        return lazy_init(state)


def fib_left(state: Box) -> None:
    for _ in range(2):
        state.i += state.j


def fib_right(state: Box) -> None:
    for _ in range(2):
        state.j += state.i


def fib_left_locked(state: Box) -> None:
    with state.lock:
        fib_left(state)


def fib_right_locked(state: Box) -> None:
    with state.lock:
        fib_right(state)


def carter_one(state: Box) -> None:
    with state.lock:
        state.a += 1
        if state.a == 1:
            state.other.acquire()
    with state.lock:
        state.a -= 1
        if state.a == 0:
            state.other.release()


def carter_two(state: Box) -> None:
    with state.other, state.lock:
        state.b += 1


def carter_two_in_order(state: Box) -> None:
    with state.lock, state.other:
        state.b += 1


def carter_one_short(state: Box) -> None:
    with state.lock, state.other:
        state.a += 1


def sell_ticket(state: Box) -> bool:
    if state.sold < 1:
        state.sold += 1
        return True
    return False


def sell_ticket_locked(state: Box) -> bool:
    with state.lock:
        return sell_ticket(state)


def deposit(state: Box) -> None:
    with state.lock:
        state.balance += 10


def withdraw_in_two(state: Box) -> bool:
    with state.lock:
        can = state.balance >= 5
    if can:
        with state.lock:
            state.balance -= 5
    return can


def withdraw_in_one(state: Box) -> bool:
    with state.lock:
        can = state.balance >= 5
        if can:
            state.balance -= 5
        return can


class Stack:
    """A stack whose top is an index (SCTBench's `stack`)."""

    def __init__(self) -> None:
        self.items = [0, 0, 0]
        self.top = 1
        self.lock = threading.Lock()

    def push(self, item: int) -> None:
        top = self.top
        self.items[top] = item
        self.top = top + 1

    def pop(self) -> int | None:
        if self.top == 0:
            return None
        self.top -= 1
        return self.items[self.top]

    def locked_push(self, item: int) -> None:
        with self.lock:
            self.push(item)

    def locked_pop(self) -> int | None:
        with self.lock:
            return self.pop()


# --------------------------------------------------------------------------------------- mutual exclusion by hand
def dekker_try(state: Box, me: int, is_flag_first: bool) -> bool:
    """One attempt to enter; whoever sees the other's flag gives up."""
    if is_flag_first:
        state.flags[me] = True
        can_enter = not state.flags[1 - me]
    else:
        can_enter = not state.flags[1 - me]
        state.flags[me] = True
    if can_enter:
        state.inside += 1
        if state.inside > 1:
            state.met += 1
        state.inside -= 1
    state.flags[me] = False
    return can_enter


def peterson(state: Box, me: int, is_right: bool) -> None:
    if is_right:
        state.flags[me] = True
    state.turn = 1 - me
    state.flags[me] = True
    while state.flags[1 - me] and state.turn == 1 - me:
        pass
    state.n = state.n + 1
    state.flags[me] = False


class TicketLock:
    """Tickets are drawn from `next`; whoever holds the one in `serving` is in."""

    def __init__(self) -> None:
        self.next = self.serving = self.n = 0
        self.drawing = threading.Lock()

    def draw(self) -> int:
        mine = self.next
        self.next = mine + 1
        return mine

    def draw_at_once(self) -> int:
        with self.drawing:
            return self.draw()

    def enter(self, draw: Any) -> None:
        mine = draw(self)
        while self.serving != mine:
            pass
        self.n = self.n + 1
        self.serving = mine + 1


def enter_racing(lock: TicketLock) -> None:
    lock.enter(TicketLock.draw)


def enter_drawing(lock: TicketLock) -> None:
    lock.enter(TicketLock.draw_at_once)


class Seqlock:
    """The writer makes the count odd while it writes; a reader that saw it change, or odd, has no value."""

    def __init__(self) -> None:
        self.count = self.x = self.y = 0

    def write(self) -> None:
        self.count += 1
        self.x += 1
        self.y += 1
        self.count += 1

    def read_once(self) -> bool:
        return self.x == self.y

    def read(self) -> bool | None:
        before = self.count
        if before % 2:
            return True
        x, y = self.x, self.y
        return x == y if self.count == before else True


class Node:
    def __init__(self, value: str, below: Node | None) -> None:
        self.value, self.below = value, below

    def __repr__(self) -> str:
        return f"node {self.value}"


class Nodes:
    """A stack of linked nodes changed by compare-and-swap, with and without a count of the changes."""

    def __init__(self) -> None:
        self.c = Node("c", None)
        self.b = Node("b", self.c)
        self.a = Node("a", self.b)
        self.top: Node | None = self.a
        self.changes = 0
        self.lock = threading.Lock()

    def swap(self, old: Node, new: Node | None) -> bool:
        with self.lock:
            if self.top is not old:
                return False
            self.top = new
            return True

    def swap_counted(self, old: Node, new: Node | None, changes: int) -> bool:
        with self.lock:
            if self.top is not old or self.changes != changes:
                return False
            self.top = new
            self.changes += 1
            return True

    def look(self) -> tuple[Node | None, int]:
        with self.lock:
            return self.top, self.changes


def pop_aba(nodes: Nodes) -> None:
    top = nodes.top
    assert top is not None
    nodes.swap(top, top.below)


def swap_the_two(nodes: Nodes) -> None:
    """Pops a and b and pushes a again: the top is the same node, but what is below it is another one."""
    with nodes.lock:
        nodes.a.below = nodes.c
        nodes.top = nodes.a
        nodes.changes += 1


def pop_counted(nodes: Nodes) -> None:
    while True:
        top, changes = nodes.look()
        assert top is not None
        if nodes.swap_counted(top, top.below, changes):
            return


def pop_careless(nodes: Nodes) -> None:
    top, _ = nodes.look()
    assert top is not None
    below = top.below
    nodes.swap(top, below)


# -------------------------------------------------------------------------------------------------- work stealing
class Deque:
    """The owner takes from the tail, thieves from the head (Cilk's THE protocol, simplified)."""

    def __init__(self) -> None:
        self.items = ["job"]
        self.head, self.tail = 0, 1
        self.lock = threading.Lock()

    def take(self) -> str | None:
        if self.tail > self.head:
            self.tail -= 1
            return self.items[self.tail]
        return None

    def steal(self) -> str | None:
        if self.tail > self.head:
            self.head += 1
            return self.items[self.head - 1]
        return None

    def take_locked(self) -> str | None:
        with self.lock:
            return self.take()

    def steal_locked(self) -> str | None:
        with self.lock:
            return self.steal()


# ---------------------------------------------------------------------------------------------- classic problems
class Shop:
    """The sleeping barber with one chair."""

    def __init__(self) -> None:
        self.waiting = 0
        self.turned_away = 0
        self.served = 0
        self.customers = threading.Semaphore(0)
        self.mutex = threading.Lock()


def visit(shop: Shop) -> None:
    if shop.waiting < 1:
        shop.waiting += 1
        shop.customers.release()
    else:
        shop.turned_away += 1


def visit_locked(shop: Shop) -> None:
    with shop.mutex:
        visit(shop)


def dine(state: Box, first: str, second: str) -> None:
    getattr(state, first).acquire()
    getattr(state, second).acquire()
    getattr(state, second).release()
    getattr(state, first).release()


def dine_trying(state: Box, first: str, second: str) -> None:
    """Holds one fork, tries the other one, and puts the first back if it is taken: no deadlock, but no meal."""
    with getattr(state, first):
        if getattr(state, second).acquire(blocking=False):
            state.meals += 1
            getattr(state, second).release()


def dine_with_waiter(state: Box, first: str, second: str) -> None:
    with state.waiter:
        dine(state, first, second)


class Table:
    """Cigarette smokers: the agent puts two ingredients on the table, each announced by a semaphore."""

    def __init__(self) -> None:
        self.paper, self.match, self.tobacco = (threading.Semaphore(0) for _ in range(3))
        self.smoked = 0
        self.has_both = threading.Semaphore(0)


def agent(table: Table) -> None:
    table.paper.release()
    table.match.release()


def smoker_of(table: Table, first: str, second: str) -> None:
    getattr(table, first).acquire()
    getattr(table, second).acquire()
    table.smoked += 1


def agent_for_one(table: Table) -> None:
    table.has_both.release()


def smoker_called(table: Table) -> None:
    table.has_both.acquire()
    table.smoked += 1


class ReadersFirst:
    """Readers and writers where the number of readers is the lock."""

    def __init__(self) -> None:
        self.readers = 0
        self.x = self.y = 0
        self.mutex = threading.Lock()
        self.room = threading.Lock()


def read_room(state: ReadersFirst) -> bool:
    with state.mutex:
        state.readers += 1
    same = state.x == state.y
    with state.mutex:
        state.readers -= 1
    return same


def write_if_nobody_reads(state: ReadersFirst) -> None:
    with state.mutex:
        is_free = state.readers == 0
    if is_free:
        state.x += 1
        state.y += 1


def read_in_room(state: ReadersFirst) -> bool:
    with state.mutex:
        state.readers += 1
        if state.readers == 1:
            state.room.acquire()
    same = state.x == state.y
    with state.mutex:
        state.readers -= 1
        if state.readers == 0:
            state.room.release()
    return same


def write_in_room(state: ReadersFirst) -> None:
    with state.room:
        state.x += 1
        state.y += 1


# -------------------------------------------------------------------------------------------- monitors and signals
def outer_then_wait(state: Box) -> None:
    """Nested monitors: the outer lock is kept while the inner condition is waited for."""
    with state.lock, state.condition:
        while not state.is_ready:
            state.condition.wait()


def outer_then_notify(state: Box) -> None:
    with state.lock, state.condition:
        state.is_ready = True
        state.condition.notify()


def inner_wait(state: Box) -> None:
    with state.condition:
        while not state.is_ready:
            state.condition.wait()
    with state.lock:
        state.n += 1


def wait_only(state: Box) -> None:
    with state.condition:
        state.condition.wait()


def set_and_signal(state: Box) -> None:
    with state.condition:
        state.is_ready = True
        state.condition.notify_all()


def wait_until_ready(state: Box) -> None:
    with state.condition:
        state.condition.wait_for(lambda: state.is_ready)


def wait_once_at_most(state: Box) -> tuple[bool, bool]:
    with state.condition:
        return state.condition.wait(timeout=1.0), state.is_ready


def wait_at_most(state: Box) -> bool:
    with state.condition:
        return state.condition.wait_for(lambda: state.is_ready, timeout=1.0)


class Slot:
    """A buffer of one place; producers and consumers wait on the same condition."""

    def __init__(self, item: str | None = None) -> None:
        self.item = item
        self.changed = threading.Condition()


def put_if_full_wait(slot: Slot, item: str) -> None:
    with slot.changed:
        if slot.item is not None:
            slot.changed.wait()
        if slot.item is not None:
            raise AssertionError("overwritten")
        slot.item = item
        slot.changed.notify_all()


def put_while_full_wait(slot: Slot, item: str) -> None:
    with slot.changed:
        while slot.item is not None:
            slot.changed.wait()
        slot.item = item
        slot.changed.notify_all()


def take_slot(slot: Slot) -> str | None:
    with slot.changed:
        while slot.item is None:
            slot.changed.wait()
        item, slot.item = slot.item, None
        slot.changed.notify_all()
        return item


# --------------------------------------------------------------------------- order violations of real programs (Lu)
class Mozilla:
    """The thread starts to use `handle` before whoever made it has stored it (Mozilla, nsThread.cpp)."""

    def __init__(self) -> None:
        self.handle: Any = None
        self.state = 0
        self.is_stored = threading.Event()

    def main(self) -> int:
        return int(self.handle["state"])

    def init(self) -> None:
        self.handle = {"state": 1}
        self.is_stored.set()

    def init_with_start(self) -> int:
        seen: list[int] = []
        self.handle = {"state": 1}
        thread = threading.Thread(target=lambda: seen.append(self.main()))
        thread.start()
        thread.join()
        return seen[0]

    def start_then_init(self) -> None:
        thread = threading.Thread(target=self.use)
        thread.start()
        self.handle = {"state": 1}
        thread.join()

    def init_then_start(self) -> None:
        self.handle = {"state": 1}
        thread = threading.Thread(target=self.use)
        thread.start()
        thread.join()

    def use(self) -> None:
        if self.handle is None:
            self.state = -1
        else:
            self.state = self.handle["state"]


class Buffer:
    """Apache's log buffer: the text and its length are changed by two statements (bug 25520)."""

    def __init__(self) -> None:
        self.text = [""] * 4
        self.length = 0
        self.lock = threading.Lock()

    def log(self, letter: str) -> None:
        self.text[self.length] = letter
        self.length += 1

    def log_locked(self, letter: str) -> None:
        with self.lock:
            self.log(letter)


class MySql:
    """The proc_info pointer is checked, and cleared by another before it is used (MySQL, ha_innodb)."""

    def __init__(self) -> None:
        self.proc_info: str | None = "reading"
        self.lock = threading.Lock()

    def show(self) -> int:
        if self.proc_info is not None:
            return len(self.proc_info)
        return 0

    def show_copy(self) -> int:
        info = self.proc_info
        return len(info) if info is not None else 0

    def end(self) -> None:
        self.proc_info = None


def pin(state: Box) -> None:
    """Reference counting whose last release frees (Lu et al., fig. 4): the count is read again after it was lowered."""
    state.count -= 1
    if state.count == 0:
        state.frees += 1


def pin_locked(state: Box) -> None:
    with state.lock:
        pin(state)


LOCKS = {"f": threading.Lock, "g": threading.Lock, "waiter": threading.Lock}
READY = {"is_ready": False, "n": 0}

PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "twoStage": (
        {"setup": box(first=0, second=0), "tasks": [two_stage_write, two_stage_read]},
        {"setup": box(first=0, second=0), "tasks": [one_stage_write, one_stage_read]},
    ),
    "reorder": (
        {"setup": box(a=0, b=0), "tasks": [reorder_set, reorder_check]},
        {"setup": box(a=0, b=0), "tasks": [reorder_set_locked, reorder_check_locked]},
    ),
    "lazy initialisation": (
        {"setup": box(instance=None), "tasks": [lazy_init, lazy_init]},
        {"setup": box(instance=None), "tasks": [lazy_init_locked, lazy_init_locked]},
    ),
    "lazy01, an assertion that some order breaks": (
        {
            "setup": box(data=0),
            "tasks": [partial(lazy_add, amount=1), partial(lazy_add, amount=2), lazy_assert],
            "invariant": lambda state: state.data != 3,
            "expect": "breaks the invariant",
        },
        {"setup": box(data=0), "tasks": [partial(lazy_add, amount=1), partial(lazy_add, amount=2), lazy_assert]},
    ),
    "fib_bench": (
        {"setup": box(i=1, j=1), "tasks": [fib_left, fib_right]},
        {"setup": box(i=1, j=1), "tasks": [fib_left_locked, fib_right_locked]},
    ),
    "carter01": (
        {"setup": box(a=0, b=0), "tasks": [carter_one, carter_two], "expect": "deadlock"},
        {"setup": box(a=0, b=0), "tasks": [carter_one_short, carter_two_in_order]},
    ),
    "airline tickets": (
        {"setup": box(sold=0), "tasks": [sell_ticket, sell_ticket, sell_ticket]},
        {"setup": box(sold=0), "tasks": [sell_ticket_locked, sell_ticket_locked, sell_ticket_locked]},
    ),
    "account, balance checked in a section of its own": (
        {"setup": box(balance=5), "tasks": [withdraw_in_two, withdraw_in_two]},
        {"setup": box(balance=5), "tasks": [withdraw_in_one, withdraw_in_one, deposit]},
    ),
    "stack by index": (
        {"setup": Stack, "tasks": [partial(Stack.push, item=7), Stack.pop]},
        {"setup": Stack, "tasks": [partial(Stack.locked_push, item=7), Stack.locked_pop]},
    ),
    "entry protocol, flag after the look": (
        {
            "setup": box(flags=lambda: [False, False], inside=0, met=0),
            "tasks": [partial(dekker_try, me=me, is_flag_first=False) for me in (0, 1)],
            "outcome": lambda state: state.met,
        },
        {
            "setup": box(flags=lambda: [False, False], inside=0, met=0),
            "tasks": [partial(dekker_try, me=me, is_flag_first=True) for me in (0, 1)],
            "outcome": lambda state: state.met,
        },
    ),
    "Peterson, turn given away before the flag": (
        {
            "setup": box(flags=lambda: [False, False], turn=0, n=0),
            "tasks": [partial(peterson, me=0, is_right=False), partial(peterson, me=1, is_right=False)],
            "outcome": lambda state: state.n,
        },
        {
            "setup": box(flags=lambda: [False, False], turn=0, n=0),
            "tasks": [partial(peterson, me=0, is_right=True), partial(peterson, me=1, is_right=True)],
            "outcome": lambda state: state.n,
        },
    ),
    "ticket lock": (
        {"setup": TicketLock, "tasks": [enter_racing, enter_racing], "expect": "livelock"},
        {"setup": TicketLock, "tasks": [enter_drawing, enter_drawing]},
    ),
    "seqlock": (
        {"setup": Seqlock, "tasks": [Seqlock.write, Seqlock.read_once]},
        {"setup": Seqlock, "tasks": [Seqlock.write, Seqlock.read]},
    ),
    "ABA on a stack": (
        {"setup": Nodes, "tasks": [pop_careless, swap_the_two]},
        {"setup": Nodes, "tasks": [pop_counted, swap_the_two]},
    ),
    "ABA, without a lock": (
        {"setup": Nodes, "tasks": [pop_aba, swap_the_two]},
        {"setup": Nodes, "tasks": [swap_the_two, swap_the_two]},
    ),
    "work stealing": (
        {"setup": Deque, "tasks": [Deque.take, Deque.steal]},
        {"setup": Deque, "tasks": [Deque.take_locked, Deque.steal_locked, Deque.steal_locked]},
    ),
    "sleeping barber's chair": (
        {"setup": Shop, "tasks": [visit, visit]},
        {"setup": Shop, "tasks": [visit_locked, visit_locked]},
    ),
    "philosophers with a waiter": (
        {
            "setup": box(**LOCKS),
            "tasks": [partial(dine, first="f", second="g"), partial(dine, first="g", second="f")],
            "expect": "deadlock",
        },
        {
            "setup": box(**LOCKS),
            "tasks": [
                partial(dine_with_waiter, first="f", second="g"),
                partial(dine_with_waiter, first="g", second="f"),
            ],
        },
    ),
    "philosophers who try": (
        {
            "setup": box(**LOCKS, meals=0),
            "tasks": [partial(dine_trying, first="f", second="g"), partial(dine_trying, first="g", second="f")],
        },
        {
            "setup": box(**LOCKS, meals=0),
            "tasks": [partial(dine_with_waiter, first="f", second="g")] * 2,
        },
    ),
    "cigarette smokers": (
        {
            "setup": Table,
            "tasks": [
                agent,
                partial(smoker_of, first="paper", second="match"),
                partial(smoker_of, first="match", second="tobacco"),
            ],
            "expect": "deadlock",
        },
        {"setup": Table, "tasks": [agent_for_one, smoker_called]},
    ),
    "smokers, each takes one of two": (
        {
            "setup": Table,
            "tasks": [
                agent,
                partial(smoker_of, first="paper", second="match"),
                agent,
                partial(smoker_of, first="match", second="paper"),
            ],
        },
        {
            "setup": Table,
            "tasks": [
                agent,
                partial(smoker_of, first="paper", second="match"),
            ],
        },
    ),
    "readers' count is no lock": (
        {"setup": ReadersFirst, "tasks": [read_room, write_if_nobody_reads]},
        {"setup": ReadersFirst, "tasks": [read_in_room, write_in_room]},
    ),
    "nested monitors": (
        {"setup": box(**READY), "tasks": [outer_then_wait, outer_then_notify], "expect": "deadlock"},
        {"setup": box(**READY), "tasks": [inner_wait, outer_then_notify]},
    ),
    "signal without a state": (
        {"setup": box(**READY), "tasks": [wait_only, set_and_signal], "expect": "deadlock"},
        {"setup": box(**READY), "tasks": [wait_until_ready, set_and_signal]},
    ),
    "wait_for with a time-out": (
        {"setup": box(**READY), "tasks": [wait_once_at_most, set_and_signal]},
        {"setup": box(**READY), "tasks": [wait_at_most, set_and_signal]},
    ),
    "a full slot, waited for with if": (
        {
            "setup": partial(Slot, "x"),
            "tasks": [partial(put_if_full_wait, item="a"), partial(put_if_full_wait, item="b"), take_slot, take_slot],
            "expect": "raises",
        },
        {
            "setup": partial(Slot, "x"),
            "tasks": [partial(put_while_full_wait, item="a"), take_slot],
            "outcome": lambda slot: slot.item,
        },
    ),
    "used before it is stored (Mozilla)": (
        {"setup": Mozilla, "tasks": [Mozilla.start_then_init]},
        {"setup": Mozilla, "tasks": [Mozilla.init_then_start]},
    ),
    "log buffer (Apache)": (
        {"setup": Buffer, "tasks": [partial(Buffer.log, letter="a"), partial(Buffer.log, letter="b")]},
        {"setup": Buffer, "tasks": [partial(Buffer.log_locked, letter="a"), partial(Buffer.log_locked, letter="b")]},
    ),
    "checked pointer (MySQL)": (
        {"setup": MySql, "tasks": [MySql.show, MySql.end], "expect": "raises"},
        {"setup": MySql, "tasks": [MySql.show_copy, MySql.end]},
    ),
    "count of references": (
        {"setup": box(count=2, frees=0), "tasks": [pin, pin]},
        {"setup": box(count=2, frees=0), "tasks": [pin_locked, pin_locked]},
    ),
}
