"""Threads that tasks start, thread-locals, pools and futures: racy and fixed, in pairs."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class State:
    def __init__(self) -> None:
        self.n = 0
        self.log: list[int] = []
        self.lock = threading.Lock()
        self.local = threading.local()
        self.by_thread: dict[Any, int] = {}
        self.future: Future[int] = Future()


def bump(state: State) -> None:
    state.n = state.n + 1


def locked_bump(state: State) -> None:
    with state.lock:
        state.n = state.n + 1


def two_threads(state: State, body: Any) -> int:
    threads = [threading.Thread(target=body, args=(state,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return state.n


def two_racing_threads(state: State) -> int:
    return two_threads(state, bump)


def two_locked_threads(state: State) -> int:
    return two_threads(state, locked_bump)


def quiet_threads(state: State) -> None:
    two_threads(state, locked_bump)


def forget_to_join(state: State) -> int:
    thread = threading.Thread(target=locked_bump, args=(state,))
    thread.start()
    return state.n


def join_first(state: State) -> int:
    thread = threading.Thread(target=locked_bump, args=(state,))
    thread.start()
    thread.join()
    return state.n


def pool_of_two(state: State, body: Any) -> int:
    with ThreadPoolExecutor(max_workers=2) as pool:
        futures = [pool.submit(body, state) for _ in range(2)]
        for future in futures:
            future.result()
    return state.n


def racing_pool(state: State) -> int:
    return pool_of_two(state, bump)


def locked_pool(state: State) -> int:
    return pool_of_two(state, locked_bump)


def mapping_pool(state: State) -> list[int]:
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(lambda item: item * 2, [1, 2]))


def use_shared(state: State) -> int:
    state.n = 5
    state.n = state.n + 1
    return state.n


def use_local(state: State) -> int:
    state.local.n = 5
    state.local.n = state.local.n + 1
    return state.local.n


def count_thread(state: State) -> int:
    me = threading.get_ident()
    state.by_thread[me] = state.by_thread.get(me, 0) + 1
    return state.by_thread[me]


def count_all(state: State) -> int:
    state.by_thread[0] = state.by_thread.get(0, 0) + 1
    return state.by_thread[0]


def sleep_between(state: State) -> None:
    n = state.n
    time.sleep(10)
    state.n = n + 1


def sleep_under_lock(state: State) -> None:
    with state.lock:
        n = state.n
        time.sleep(10)
        state.n = n + 1


def resolve_if_pending(state: State) -> None:
    if not state.future.done():
        state.future.set_result(1)


def resolve(state: State) -> None:
    state.future.set_result(1)


def await_result(state: State) -> int:
    return state.future.result()


def timer_and_bump(state: State) -> int:
    timer = threading.Timer(5.0, bump, args=(state,))
    timer.start()
    state.n = state.n + 1
    timer.join()
    return state.n


def timer_then_join(state: State) -> int:
    timer = threading.Timer(5.0, locked_bump, args=(state,))
    timer.start()
    locked_bump(state)
    timer.join()
    return state.n


PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "threads of two tasks": (
        {"setup": State, "tasks": [forget_to_join, locked_bump]},
        {"setup": State, "tasks": [quiet_threads, locked_bump]},
    ),
    "threads inside one task": (
        {"setup": State, "tasks": [two_racing_threads]},
        {"setup": State, "tasks": [two_locked_threads]},
    ),
    "thread not joined": (
        {"setup": State, "tasks": [forget_to_join]},
        {"setup": State, "tasks": [join_first]},
    ),
    "pool": (
        {"setup": State, "tasks": [racing_pool]},
        {"setup": State, "tasks": [locked_pool]},
    ),
    "pool against a task": (
        {"setup": State, "tasks": [locked_pool, bump]},
        {"setup": State, "tasks": [mapping_pool, bump]},
    ),
    "thread-local": (
        {"setup": State, "tasks": [use_shared, use_shared]},
        {"setup": State, "tasks": [use_local, use_local]},
    ),
    "by thread": (
        {"setup": State, "tasks": [count_all, count_all]},
        {"setup": State, "tasks": [count_thread, count_thread], "outcome": lambda state: len(state.by_thread)},
    ),
    "sleep between read and write": (
        {"setup": State, "tasks": [sleep_between, sleep_between]},
        {"setup": State, "tasks": [sleep_under_lock, sleep_under_lock]},
    ),
    "future resolved twice": (
        {"setup": State, "tasks": [resolve_if_pending, resolve_if_pending], "expect": "raises"},
        {"setup": State, "tasks": [resolve, await_result]},
    ),
    "timer": (
        {"setup": State, "tasks": [timer_and_bump]},
        {"setup": State, "tasks": [timer_then_join]},
    ),
}
