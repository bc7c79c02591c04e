"""What real packages do and small programs do not: each as a pair, one to be caught and one not to be cried about."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import os
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest

import whilst
from whilst.model.verdict import Answer


# ------------------------------------------------------------------------- times that are kept in the state (caches)
class Stamped:
    """As expiringdict, cachetools' TTLCache and prometheus_client: the time is a part of what is compared."""

    def __init__(self) -> None:
        self.lock, self.items, self.hits = threading.Lock(), dict[str, Any](), 0


def put(key: str, cache: Stamped) -> None:
    with cache.lock:
        cache.items[key] = (len(cache.items), time.time())


def put_and_count(key: str, cache: Stamped) -> None:
    hits = cache.hits
    put(key, cache)
    cache.hits = hits + 1


def test_times_in_the_state_are_those_of_the_sequential_orders() -> None:
    assert whilst.check(Stamped, [functools.partial(put, "a"), functools.partial(put, "b")])
    tasks = [functools.partial(put_and_count, "a"), functools.partial(put_and_count, "b")]
    verdict = whilst.check(Stamped, tasks)
    assert verdict.answer is Answer.NOT_ISOLATED
    assert verdict.token
    assert whilst.replay(verdict.token).answer is Answer.NOT_ISOLATED


# ------------------------------------------------------------------------- time-outs of a loop between two tasks
class Cached:
    """As async-lru with ttl=: what was kept is dropped later."""

    def __init__(self) -> None:
        self.kept = dict[str, asyncio.Future[int]]()
        self.calls = 0


async def ask(cache: Cached) -> bool:
    is_first = "key" not in cache.kept
    if is_first:
        cache.kept["key"] = asyncio.get_running_loop().create_future()
        cache.calls += 1
        await asyncio.sleep(1)
        cache.kept["key"].set_result(7)
        asyncio.get_running_loop().call_later(60, cache.kept.pop, "key", None)
    else:
        await cache.kept["key"]
    return is_first


async def ask_carelessly(cache: Cached) -> bool:
    is_first = "key" not in cache.kept
    if is_first:
        calls = cache.calls
        await asyncio.sleep(1)
        cache.calls = calls + 1
        cache.kept["key"] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(60, cache.kept.pop, "key", None)
    return is_first


def calls_and_results(cache: Cached, results: tuple[object, ...]) -> object:
    return cache.calls, results


@pytest.mark.parametrize(("task", "answer"), [(ask, Answer.ISOLATED), (ask_carelessly, Answer.NOT_ISOLATED)])
def test_a_time_out_may_run_out_between_two_tasks_or_later(task: Any, answer: Answer) -> None:
    assert whilst.check(Cached, [task, task], outcome=calls_and_results).answer is answer


# ------------------------------------------------------------------------- polling through pathlib
class Folder:
    """As filelock: a file is the lock."""

    def __init__(self, path: Path) -> None:
        self.path, self.n = path, 0
        self.path.unlink(missing_ok=True)


def add_under_file(folder: Folder) -> None:
    while True:
        flags = os.O_WRONLY
        flags |= os.O_CREAT | os.O_EXCL  # a new number in every round, and a new path
        try:
            os.close(os.open(Path(folder.path), flags))
        except OSError:
            time.sleep(0.01)
        else:
            break
    folder.n = folder.n + 1
    folder.path.unlink()


def add_if_file_is_gone(folder: Folder) -> None:
    while Path(folder.path).exists():
        time.sleep(0.01)
    folder.path.touch()
    folder.n = folder.n + 1
    folder.path.unlink(missing_ok=True)


def count_of(folder: Folder) -> int:
    return folder.n


@pytest.mark.parametrize(
    ("task", "answer"), [(add_under_file, Answer.ISOLATED), (add_if_file_is_gone, Answer.NOT_ISOLATED)]
)
def test_a_lock_file_is_waited_for_through_pathlib(task: Any, answer: Answer, tmp_path: Path) -> None:
    verdict = whilst.check(lambda: Folder(tmp_path / "lock"), [task, task], outcome=count_of)
    assert verdict.answer is answer


# ------------------------------------------------------------------------- library code that the check itself may use
class Weakly:
    """As anyio: what is known of tasks is kept in a WeakKeyDictionary."""

    def __init__(self) -> None:
        self.known = weakref.WeakKeyDictionary[Any, int]()
        self.n = 0


async def add_up(state: Weakly) -> None:
    n = state.n
    task = asyncio.current_task()
    for _ in range(300):
        state.known.get(task)
    await asyncio.sleep(0)
    state.known[task] = n
    state.n = n + 1


async def add_at_once(state: Weakly) -> None:
    state.known.get(asyncio.current_task())
    await asyncio.sleep(0)
    state.n += 1


def test_recording_uses_library_code_that_tasks_use_and_changes_nothing() -> None:
    verdict = whilst.check(Weakly, [add_up, add_up], outcome=lambda state: state.n)
    assert verdict.counterexample is not None
    assert "state.n" in verdict.counterexample.sentence
    assert verdict.token
    assert whilst.replay(verdict.token).answer is Answer.NOT_ISOLATED
    assert not any("whilst." in said for said in verdict.assumed)
    assert whilst.check(Weakly, [add_at_once, add_at_once], outcome=lambda state: state.n)


# ------------------------------------------------------------------------- locks that are taken behind C code
ELSEWHERE = """
def add(state):
    with state.lock:
        n = state.n
        state.n = n + 1

def add_unguarded(state):
    n = state.n
    with state.lock:
        state.n = n + 1
"""


class Guarded:
    """As wrapt.synchronized: a C type calls the function that takes the lock."""

    def __init__(self) -> None:
        self.lock, self.n = threading.Lock(), 0


@pytest.mark.parametrize(("name", "answer"), [("add", Answer.ISOLATED), ("add_unguarded", Answer.NOT_ISOLATED)])
def test_a_lock_that_is_taken_behind_c_code_excludes(name: str, answer: Answer) -> None:
    namespace: dict[str, Any] = {}
    exec(compile(ELSEWHERE, "elsewhere.py", "exec"), namespace)
    call = ctypes.PYFUNCTYPE(None, ctypes.py_object)(namespace[name])

    def through_c(state: Guarded) -> None:
        call(state)

    verdict = whilst.check(Guarded, [through_c, through_c])
    assert verdict.answer is answer
