"""What blocks, starts threads, tells the time or awaits: every outcome that it can have, and no other."""

from __future__ import annotations

import asyncio
import concurrent.futures as futures
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from whilst.checking.engine.events import Status
from whilst.checking.explorer.explorer import Execution, Explorer, Limits, Program
from whilst.checking.search.search import Guarantee, SearchConfig, search

MODULE_LOCK = threading.Lock()


class Shared:
    def __init__(self) -> None:
        self.n = 0
        self.out: list[Any] = []
        self.lock = threading.Lock()
        self.rlock = threading.RLock()
        self.condition = threading.Condition()
        self.semaphore = threading.BoundedSemaphore(1)
        self.event = threading.Event()
        self.barrier = threading.Barrier(2)
        self.queue: queue.Queue[int] = queue.Queue(1)
        self.simple: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.local = threading.local()
        self.items: list[int] = []
        self.flag = False
        self.future: futures.Future[int] = futures.Future()


class Awaited:
    def __init__(self) -> None:
        self.n = 0
        self.out: list[Any] = []
        self.lock = asyncio.Lock()
        self.event = asyncio.Event()
        self.queue: asyncio.Queue[int] = asyncio.Queue(1)


def outcomes(setup: Callable[[], Any], *tasks: Callable[..., Any], limits: Limits | None = None) -> Counter[str]:
    """How often each (ending, final n, results) came about, over every interleaving."""
    found: Counter[str] = Counter()

    def note(execution: Execution) -> bool:
        results = [type(each.error).__name__ if each.error else each.value for each in execution.results[: len(tasks)]]
        found[f"{execution.status.value} {execution.state.n} {results}"] += 1
        return False

    with Explorer(Program(setup, tasks), limits) as explorer:
        report = search(explorer, SearchConfig(is_symmetric=False, budget_s=None), note)
    assert report.redundant == 0
    assert report.guarantee is Guarantee.EVERY_INTERLEAVING
    return found


def add(s: Any) -> int:
    s.n += 1
    return int(s.n)


def add_locked(s: Any) -> None:
    with s.lock:
        s.n += 1


def test_lock_made_before_the_check_is_modelled_and_free_afterwards() -> None:
    def task(s: Shared) -> None:
        with MODULE_LOCK:
            s.n += 1

    assert set(outcomes(Shared, task, task)) == {"done 2 [None, None]"}
    assert not MODULE_LOCK.locked()


def test_rlock_is_owned_by_a_task() -> None:
    def task(s: Shared) -> None:
        with s.rlock, s.rlock:
            s.n += 1

    assert set(outcomes(Shared, task, task)) == {"done 2 [None, None]"}


def test_crossed_locks_deadlock_and_are_given_back() -> None:
    kept: list[Shared] = []

    def setup() -> Shared:
        kept.append(Shared())
        return kept[-1]

    def one(s: Shared) -> None:
        with s.lock, s.rlock:
            s.n += 1

    def two(s: Shared) -> None:
        with s.rlock, s.lock:
            s.n += 1

    found = outcomes(setup, one, two)
    assert set(found) == {"done 2 [None, None]", "deadlock 0 [None, None]"}
    assert not any(s.lock.locked() for s in kept)


def test_lock_time_out_comes_early_and_late() -> None:
    def impatient(s: Shared) -> str:
        if not s.lock.acquire(timeout=1):
            return "late"
        s.lock.release()
        return "had it"

    assert set(outcomes(Shared, impatient, add_locked)) == {"done 1 ['late', None]", "done 1 ['had it', None]"}


def test_condition_hands_over_and_a_missing_while_is_found() -> None:
    def put(s: Shared) -> None:
        with s.condition:
            s.items.append(1)
            s.condition.notify()

    def get(s: Shared) -> int:
        with s.condition:
            while not s.items:
                s.condition.wait()
            return s.items.pop()

    def get_once(s: Shared) -> int:
        with s.condition:
            if not s.items:
                s.condition.wait()
            return s.items.pop()

    assert set(outcomes(Shared, put, get)) == {"done 0 [None, 1]"}
    assert set(outcomes(Shared, put, get, get, put)) == {"done 0 [None, 1, 1, None]"}
    assert any("IndexError" in each for each in outcomes(Shared, put, get_once, get_once, put))


def test_lost_wake_up_is_a_deadlock() -> None:
    def wait(s: Shared) -> None:
        with s.condition:
            s.condition.wait()

    def notify(s: Shared) -> None:
        with s.condition:
            s.condition.notify_all()

    assert set(outcomes(Shared, wait, notify)) == {"done 0 [None, None]", "deadlock 0 [None, None]"}


def test_condition_time_out_comes_early_and_late() -> None:
    def wait(s: Shared) -> bool:
        with s.condition:
            return bool(s.condition.wait_for(lambda: s.flag, timeout=1))

    def notify(s: Shared) -> None:
        with s.condition:
            s.flag = True
            s.condition.notify()

    assert set(outcomes(Shared, wait, notify)) == {"done 0 [True, None]", "done 0 [False, None]"}


def test_semaphore_event_and_barrier() -> None:
    def guarded(s: Shared) -> None:
        with s.semaphore:
            s.n += 1

    def set_event(s: Shared) -> None:
        s.n = 5
        s.event.set()

    def await_event(s: Shared) -> int:
        s.event.wait()
        return s.n

    def meet(s: Shared) -> int:
        with s.lock:
            s.n += 1
        s.barrier.wait()
        return s.n

    assert set(outcomes(Shared, guarded, guarded)) == {"done 2 [None, None]"}
    assert set(outcomes(Shared, set_event, await_event)) == {"done 5 [None, 5]"}
    assert set(outcomes(Shared, meet, meet)) == {"done 2 [2, 2]"}


def test_queues_hand_over_in_order() -> None:
    def put(s: Shared) -> None:
        for number in range(3):
            s.queue.put(number)

    def get(s: Shared) -> str:
        return str([s.queue.get() for _ in range(3)])

    def impatient(s: Shared) -> object:
        try:
            return s.queue.get(timeout=1)
        except queue.Empty:
            return "empty"

    def put_one(s: Shared) -> None:
        s.queue.put(7)

    def put_simple(s: Shared) -> None:
        s.simple.put(1)

    def get_simple(s: Shared) -> int:
        return s.simple.get()

    assert outcomes(Shared, put, get) == {"done 0 [None, '[0, 1, 2]']": 1}
    assert set(outcomes(Shared, put_one, impatient)) == {"done 0 [None, 7]", "done 0 [None, 'empty']"}
    assert set(outcomes(Shared, put_simple, get_simple)) == {"done 0 [None, 1]"}


def test_threads_started_by_a_task_interleave_and_join() -> None:
    def parent(s: Shared) -> int:
        threads = [threading.Thread(target=add, args=(s,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return s.n

    assert set(outcomes(Shared, parent)) == {"done 1 [1]", "done 2 [2]"}


def test_timer_goes_off_or_is_cancelled() -> None:
    def task(s: Shared) -> int:
        timer = threading.Timer(1, add, (s,))
        timer.start()
        timer.cancel()
        timer.join()
        return s.n

    assert set(outcomes(Shared, task)) == {"done 0 [0]", "done 1 [1]"}


def test_local_data_belongs_to_a_task() -> None:
    def task(s: Shared) -> int:
        s.local.x = getattr(s.local, "x", 0) + 1
        return int(s.local.x)

    assert outcomes(Shared, task, task) == {"done 0 [1, 1]": 1}


def test_sleep_takes_no_time_and_clocks_go_on() -> None:
    def task(s: Shared) -> bool:
        start = time.monotonic()
        time.sleep(1000)
        return time.monotonic() - start >= 1000

    started = time.perf_counter()
    assert set(outcomes(Shared, task, task)) == {"done 0 [True, True]"}
    assert time.perf_counter() - started < 100


def test_random_draws_are_the_same_in_every_interleaving() -> None:
    def task(s: Shared) -> float:
        with s.lock:
            return random.random() + random.randint(0, 9)

    assert len(outcomes(Shared, task, task)) == 1


def test_pool_calls_are_tasks() -> None:
    def task(s: Shared) -> str:
        with futures.ThreadPoolExecutor(2) as pool:
            calls = [pool.submit(add, s) for _ in range(2)]
            return str(sorted(call.result() for call in calls))

    def mapped(s: Shared) -> str:
        with futures.ThreadPoolExecutor(1) as pool:
            return str(list(pool.map(lambda x: x * 2, [1, 2, 3])))

    def first(s: Shared) -> str:
        with futures.ThreadPoolExecutor(2) as pool:
            calls = [pool.submit(lambda k=k: k) for k in (1, 2)]
            return str(sorted(call.result() for call in futures.as_completed(calls)))

    assert set(outcomes(Shared, task)) == {"done 1 ['[1, 1]']", "done 2 ['[1, 2]']", "done 2 ['[2, 2]']"}
    assert set(outcomes(Shared, mapped)) == {"done 0 ['[2, 4, 6]']"}
    assert set(outcomes(Shared, first)) == {"done 0 ['[1, 2]']"}


def test_future_is_awaited() -> None:
    def set_it(s: Shared) -> None:
        s.future.set_result(3)

    assert outcomes(Shared, set_it, lambda s: s.future.result()) == {"done 0 [None, 3]": 1}


def test_polling_ends_when_what_it_polls_changes() -> None:
    def poll(s: Shared) -> None:
        while not s.flag:
            time.sleep(0.1)
        s.n += 1

    def set_flag(s: Shared) -> None:
        s.flag = True

    def spin(s: Shared) -> None:
        while not s.lock.acquire(blocking=False):
            pass
        s.n += 1
        s.lock.release()

    assert set(outcomes(Shared, poll, set_flag)) == {"done 1 [None, None]"}
    assert set(outcomes(Shared, poll, poll)) == {"spinning 0 [None, None]"}
    assert set(outcomes(Shared, spin, spin)) == {"done 2 [None, None]"}


def test_loop_that_counts_what_it_reads_is_no_polling() -> None:
    def count(s: Shared) -> int:
        total = 0
        for _ in range(5):
            total += s.n
        return total

    def change(s: Shared) -> None:
        s.n = 1

    assert len(outcomes(Shared, count, change)) == 6


def test_loop_without_end_is_cut() -> None:
    def endless(s: Shared) -> None:
        while True:
            pass

    with Explorer(Program(Shared, (endless, add)), Limits(seconds=0.1)) as explorer:
        execution = explorer.run()
    assert execution.status is Status.TOO_LONG
    assert "0.1 s" in execution.reason


# ---------------------------------------------------------------------- coroutines


async def bump(s: Awaited) -> None:
    value = s.n
    await asyncio.sleep(0)
    s.n = value + 1


async def bump_locked(s: Awaited) -> None:
    async with s.lock:
        await bump(s)


async def bump_at_once(s: Awaited) -> None:
    s.n += 1
    await asyncio.sleep(1)


def test_coroutines_interleave_at_awaits_alone() -> None:
    assert set(outcomes(Awaited, bump, bump)) == {"done 1 [None, None]", "done 2 [None, None]"}
    assert set(outcomes(Awaited, bump_locked, bump_locked)) == {"done 2 [None, None]"}
    assert set(outcomes(Awaited, bump_at_once, bump_at_once)) == {"done 2 [None, None]"}


def test_coroutines_that_a_coroutine_starts_interleave() -> None:
    async def gathered(s: Awaited) -> int:
        await asyncio.gather(bump(s), bump(s))
        return s.n

    async def grouped(s: Awaited) -> int:
        async with asyncio.TaskGroup() as group:
            group.create_task(bump_locked(s))
            group.create_task(bump_locked(s))
        return s.n

    assert set(outcomes(Awaited, gathered)) == {"done 1 [1]", "done 2 [2]"}
    assert set(outcomes(Awaited, grouped)) == {"done 2 [2]"}


def test_asyncio_queues_events_and_time_outs() -> None:
    async def put(s: Awaited) -> None:
        for number in range(2):
            await s.queue.put(number)

    async def get(s: Awaited) -> str:
        return str([await s.queue.get() for _ in range(2)])

    async def impatient(s: Awaited) -> str:
        try:
            async with asyncio.timeout(1):
                await s.event.wait()
        except TimeoutError:
            return "late"
        return "in time"

    async def set_event(s: Awaited) -> None:
        s.event.set()

    async def wait_for_ever(s: Awaited) -> None:
        await s.event.wait()

    assert set(outcomes(Awaited, put, get)) == {"done 0 [None, '[0, 1]']"}
    assert set(outcomes(Awaited, impatient, set_event)) == {"done 0 ['late', None]", "done 0 ['in time', None]"}
    assert set(outcomes(Awaited, wait_for_ever, bump_at_once)) == {"deadlock 1 [None, None]"}


def test_coroutine_against_a_thread() -> None:
    def thread(s: Awaited) -> None:
        s.n += 10

    found = {each.split()[1] for each in outcomes(Awaited, bump, thread)}
    assert found == {"11", "1", "10"}


@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_exceptions_are_outcomes(kind: type[BaseException]) -> None:
    def fail(s: Shared) -> None:
        s.n += 1
        raise kind

    assert all(kind.__name__ in each for each in outcomes(Shared, fail, add))
