"""Locks and all that is built from them: racy or deadlocking, and fixed, in pairs."""

from __future__ import annotations

import queue
import threading
import time
from functools import partial
from typing import Any


class State:
    def __init__(self) -> None:
        self.n = 0
        self.flag = False
        self.a = threading.Lock()
        self.b = threading.Lock()
        self.c = threading.Lock()
        self.again = threading.RLock()
        self.condition = threading.Condition()
        self.one = threading.Semaphore(1)
        self.two = threading.Semaphore(2)
        self.bounded = threading.BoundedSemaphore(1)
        self.event = threading.Event()
        self.done = threading.Event()
        self.items: list[int] = []


def bump(state: State) -> None:
    state.n = state.n + 1


def under(name: str) -> Any:
    """A task that bumps under the lock of this name."""

    def run(state: State) -> None:
        with getattr(state, name):
            state.n = state.n + 1

    run.__name__ = run.__qualname__ = f"bump_under_{name}"
    return run


def in_order(*names: str) -> Any:
    """A task that takes these locks one inside the other and bumps."""

    def take(state: State, left: tuple[str, ...]) -> None:
        if not left:
            state.n = state.n + 1
            return
        with getattr(state, left[0]):
            take(state, left[1:])

    def run(state: State) -> None:
        take(state, names)

    run.__name__ = run.__qualname__ = f"bump_under_{'_'.join(names)}"
    return run


under_a, under_b = under("a"), under("b")
under_again, under_one, under_two, under_bounded = under("again"), under("one"), under("two"), under("bounded")
a_then_b, b_then_a = in_order("a", "b"), in_order("b", "a")
philosophers = [in_order("a", "b"), in_order("b", "c"), in_order("c", "a")]
polite = [in_order("a", "b"), in_order("b", "c"), in_order("a", "c")]


def acquire_release(state: State) -> None:
    state.a.acquire()
    state.n += 1
    state.a.release()


def acquire_try_finally(state: State) -> None:
    state.a.acquire()
    try:
        state.n += 1
    finally:
        state.a.release()


def nested_rlock(state: State) -> None:
    with state.again, state.again:
        state.n = state.n + 1


def two_sections(state: State) -> None:
    with state.a:
        n = state.n
    with state.a:
        state.n = n + 1


def one_section(state: State) -> None:
    with state.a:
        n = state.n
        state.n = n + 1


def try_then_skip(state: State) -> bool:
    if state.a.acquire(blocking=False):
        try:
            state.n += 1
        finally:
            state.a.release()
        return True
    return False


def timeout_then_skip(state: State) -> bool:
    if state.a.acquire(timeout=5):
        try:
            state.n += 1
        finally:
            state.a.release()
        return True
    return False


def wait_if(state: State) -> int:
    """A condition waited for with `if`: right only as long as one notify is for one waiter."""
    with state.condition:
        if not state.items:
            state.condition.wait()
        return state.items.pop()


def wait_while(state: State) -> int:
    with state.condition:
        while not state.items:
            state.condition.wait()
        return state.items.pop()


def wait_for(state: State) -> int:
    with state.condition:
        state.condition.wait_for(lambda: state.items)
        return state.items.pop()


def take_item(state: State) -> int | None:
    with state.condition:
        return state.items.pop() if state.items else None


def put_one(state: State) -> None:
    with state.condition:
        state.items.append(1)
        state.condition.notify()


def put_two_notify_one(state: State) -> None:
    with state.condition:
        state.items.append(1)
        state.items.append(1)
        state.condition.notify()


def put_two_notify_all(state: State) -> None:
    with state.condition:
        state.items.append(1)
        state.items.append(1)
        state.condition.notify_all()


def check_outside_then_wait(state: State) -> None:
    """The lost wake-up: the flag is looked at before the lock is taken."""
    if not state.flag:
        with state.condition:
            state.condition.wait()


def check_inside_then_wait(state: State) -> None:
    with state.condition:
        while not state.flag:
            state.condition.wait()


def set_flag_and_notify(state: State) -> None:
    with state.condition:
        state.flag = True
        state.condition.notify_all()


def set_event_then_write(state: State) -> None:
    state.event.set()
    state.n = 1


def write_then_set_event(state: State) -> None:
    state.n = 1
    state.event.set()


def wait_event_then_read(state: State) -> int:
    state.event.wait()
    return state.n


def clear_and_wait(state: State) -> None:
    """Clears what may already have been set: the wake-up is lost."""
    state.event.clear()
    state.event.wait()


def just_wait(state: State) -> None:
    state.event.wait()


def just_set(state: State) -> None:
    state.event.set()


class Meeting:
    def __init__(self, parties: int = 2) -> None:
        self.barrier = threading.Barrier(parties)
        self.n = 0
        self.seen: list[int] = []
        self.lock = threading.Lock()


def bump_and_meet(state: Meeting) -> None:
    with state.lock:
        state.n += 1
    state.barrier.wait()


class Buffer:
    """A bounded buffer of one place with one Condition: notify() may wake the wrong side."""

    def __init__(self, wake_all: bool) -> None:
        self.items: list[int] = []
        self.changed = threading.Condition()
        self.wake_all = wake_all

    def put(self, item: int) -> None:
        with self.changed:
            while len(self.items) >= 1:
                self.changed.wait()
            self.items.append(item)
            self.wake()

    def get(self) -> int:
        with self.changed:
            while not self.items:
                self.changed.wait()
            item = self.items.pop()
            self.wake()
            return item

    def wake(self) -> None:
        if self.wake_all:
            self.changed.notify_all()
        else:
            self.changed.notify()


def put_once(buffer: Buffer) -> None:
    buffer.put(1)


def get_one(buffer: Buffer) -> int:
    return buffer.get()


class Readers:
    """A readers-writer lock; the broken one counts its readers without the mutex."""

    def __init__(self) -> None:
        self.readers = 0
        self.mutex = threading.Lock()
        self.writing = threading.Lock()
        self.value = [0, 0]

    def enter_unguarded(self) -> None:
        self.readers += 1
        if self.readers == 1:
            self.writing.acquire()

    def leave_unguarded(self) -> None:
        self.readers -= 1
        if self.readers == 0:
            self.writing.release()


def read_unguarded(state: Readers) -> int:
    state.enter_unguarded()
    total = state.value[0] + state.value[1]
    state.leave_unguarded()
    return total


def read_guarded(state: Readers) -> int:
    with state.mutex:
        state.enter_unguarded()
    total = state.value[0] + state.value[1]
    with state.mutex:
        state.leave_unguarded()
    return total


def write_values(state: Readers) -> None:
    with state.writing:
        state.value[0] += 1
        state.value[1] += 1


class Work:
    def __init__(self, kind: Any = queue.Queue, items: tuple[Any, ...] = (), size: int = 0) -> None:
        self.q = kind(size) if size else kind()
        for item in items:
            self.q.put(item)
        self.taken: list[Any] = []
        self.n = 0


def take_if_not_empty(work: Work) -> Any:
    if not work.q.empty():
        return work.q.get()
    return None


def take_nowait(work: Work) -> Any:
    try:
        return work.q.get_nowait()
    except queue.Empty:
        return None


def put_item(work: Work, item: int) -> None:
    work.q.put(item)


def take_blocking(work: Work) -> Any:
    return work.q.get()


def size_twice(work: Work) -> bool:
    return work.q.qsize() == work.q.qsize()


def size_once(work: Work) -> int:
    return work.q.qsize()


def work_off(work: Work) -> None:
    item = work.q.get()
    work.n = work.n + item
    work.q.task_done()


def put_and_look(work: Work) -> int:
    work.q.put(5)
    return work.n


def spin_for_flag(state: State) -> None:
    while not state.flag:
        time.sleep(0.01)


def raise_flag(state: State) -> None:
    state.flag = True


def lower_then_raise(state: State) -> None:
    state.flag = False
    state.flag = True


def release_before_write(state: State) -> None:
    state.a.acquire()
    n = state.n
    state.a.release()
    state.n = n + 1


def hold_and_wait(state: State) -> None:
    """Waits for the other while it holds what the other needs."""
    with state.a:
        state.done.wait()


def need_and_set(state: State) -> None:
    with state.a:
        state.n += 1
    state.done.set()


def wait_without_holding(state: State) -> None:
    state.done.wait()
    with state.a:
        state.n += 1


PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "wrong lock": (
        {"setup": State, "tasks": [under_a, under_b]},
        {"setup": State, "tasks": [under_a, acquire_release]},
    ),
    "two locks crossed": (
        {"setup": State, "tasks": [a_then_b, b_then_a], "expect": "deadlock"},
        {"setup": State, "tasks": [a_then_b, a_then_b]},
    ),
    "three philosophers": (
        {"setup": State, "tasks": philosophers, "expect": "deadlock"},
        {"setup": State, "tasks": polite},
    ),
    "released between read and write": (
        {"setup": State, "tasks": [two_sections, two_sections]},
        {"setup": State, "tasks": [one_section, one_section]},
    ),
    "written after the release": (
        {"setup": State, "tasks": [release_before_write, release_before_write]},
        {"setup": State, "tasks": [acquire_try_finally, acquire_try_finally]},
    ),
    "RLock entered twice": (
        {"setup": State, "tasks": [nested_rlock, bump]},
        {"setup": State, "tasks": [nested_rlock, nested_rlock]},
    ),
    "try-lock": (
        {"setup": State, "tasks": [try_then_skip, try_then_skip]},
        {"setup": State, "tasks": [under_a, under_a, under_a]},
    ),
    "time-out on a lock": (
        {"setup": State, "tasks": [timeout_then_skip, under_a]},
        {"setup": State, "tasks": [acquire_release, under_a]},
    ),
    "semaphore of two": (
        {"setup": State, "tasks": [under_two, under_two]},
        {"setup": State, "tasks": [under_one, under_one]},
    ),
    "bounded semaphore": (
        {"setup": State, "tasks": [under_bounded, bump]},
        {"setup": State, "tasks": [under_bounded, under_bounded]},
    ),
    "notify for two": (
        {"setup": State, "tasks": [wait_while, wait_while, put_two_notify_one], "expect": "deadlock"},
        {"setup": State, "tasks": [wait_while, wait_while, put_two_notify_all]},
    ),
    "waited for with if": (
        {"setup": State, "tasks": [wait_if, take_item, put_one], "expect": "raises"},
        {"setup": State, "tasks": [wait_for, put_one]},
    ),
    "lost wake-up": (
        {"setup": State, "tasks": [check_outside_then_wait, set_flag_and_notify], "expect": "deadlock"},
        {"setup": State, "tasks": [check_inside_then_wait, set_flag_and_notify]},
    ),
    "event set before the write": (
        {"setup": State, "tasks": [set_event_then_write, wait_event_then_read]},
        {"setup": State, "tasks": [write_then_set_event, wait_event_then_read]},
    ),
    "event cleared by the waiter": (
        {"setup": State, "tasks": [clear_and_wait, just_set], "expect": "deadlock"},
        {"setup": State, "tasks": [just_wait, just_set]},
    ),
    "bounded buffer, notify": (
        {
            "setup": partial(Buffer, wake_all=False),
            "tasks": [put_once, put_once, get_one, get_one],
            "expect": "deadlock",
        },
        {"setup": partial(Buffer, wake_all=True), "tasks": [put_once, put_once, get_one, get_one]},
    ),
    "readers counted without a lock": (
        {"setup": Readers, "tasks": [read_unguarded, read_unguarded], "expect": "deadlock"},
        {"setup": Readers, "tasks": [read_guarded, read_guarded, write_values]},
    ),
    "queue, empty then get": (
        {"setup": partial(Work, items=(1,)), "tasks": [take_if_not_empty, take_if_not_empty], "expect": "deadlock"},
        {"setup": partial(Work, items=(1,)), "tasks": [take_nowait, take_nowait]},
    ),
    "queue, size twice": (
        {"setup": Work, "tasks": [size_twice, partial(put_item, item=1)]},
        {"setup": Work, "tasks": [size_once, partial(put_item, item=1)]},
    ),
    "queue handed over": (
        {"setup": Work, "tasks": [put_and_look, work_off]},
        {"setup": Work, "tasks": [partial(put_item, item=5), work_off]},
    ),
    "LIFO queue": (
        {"setup": partial(Work, queue.LifoQueue, (1,)), "tasks": [take_if_not_empty] * 2, "expect": "deadlock"},
        {"setup": partial(Work, queue.LifoQueue, (1,)), "tasks": [take_nowait] * 2},
    ),
    "priority queue": (
        {"setup": partial(Work, queue.PriorityQueue, (1,)), "tasks": [take_if_not_empty] * 2, "expect": "deadlock"},
        {"setup": partial(Work, queue.PriorityQueue, (1, 2)), "tasks": [take_blocking] * 2},
    ),
    "simple queue": (
        {"setup": partial(Work, queue.SimpleQueue, (1,)), "tasks": [take_if_not_empty] * 2, "expect": "deadlock"},
        {"setup": partial(Work, queue.SimpleQueue, (1,)), "tasks": [take_nowait] * 2},
    ),
    "polling": (
        {"setup": State, "tasks": [spin_for_flag, set_event_then_write], "expect": "livelock"},
        {"setup": State, "tasks": [spin_for_flag, raise_flag]},
    ),
    "waiting with a lock held": (
        {"setup": State, "tasks": [hold_and_wait, need_and_set], "expect": "deadlock"},
        {"setup": State, "tasks": [wait_without_holding, need_and_set]},
    ),
    "a barrier": (
        {"setup": Meeting, "tasks": [bump_and_meet, bump_and_meet], "expect": "inconclusive"},
        {"setup": partial(Meeting, 1), "tasks": [bump_and_meet, bump_and_meet]},
    ),
}
