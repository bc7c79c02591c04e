"""Races that users of the standard library and of well-known packages reported, cut down; racy and fixed, in pairs.

Caches and memoisation, pools, limiters, breakers, singletons, registries, loggers, emitters, executors: the shapes that
turn up in the issue trackers of CPython, urllib3, requests, redis-py, cachetools, SQLAlchemy, Django and others.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, ClassVar


class State:
    def __init__(self, **held: Any) -> None:
        self.lock = threading.Lock()
        for name, value in held.items():
            setattr(self, name, value() if callable(value) else value)

    def __repr__(self) -> str:
        return "a state"


def make(**held: Any) -> Any:
    return partial(State, **held)


# ------------------------------------------------------------------------------------------------------- singletons
class Singleton:
    """One instance, made in `__new__`."""

    instance: ClassVar[Singleton | None] = None
    made: ClassVar[int] = 0
    lock: ClassVar[Any] = threading.Lock()

    def __new__(cls) -> Singleton:  # noqa: PYI034 - always this very class
        if cls.instance is None:
            cls.made += 1
            cls.instance = super().__new__(cls)
        return cls.instance

    def __repr__(self) -> str:
        return "the singleton"


def forget_singleton() -> None:
    Singleton.instance = None
    Singleton.made = 0


def get_singleton(_: None) -> bool:
    return Singleton() is Singleton.instance


def get_singleton_locked(_: None) -> bool:
    with Singleton.lock:
        return Singleton() is Singleton.instance


settings: dict[str, int] | None = None
settings_lock = threading.Lock()
loads = 0


def unload() -> None:
    global settings, loads
    settings, loads = None, 0


def load_settings(_: None) -> int:
    """A module global, filled at the first use."""
    global settings, loads
    if settings is None:
        settings = {}
        loads += 1
        settings["debug"] = 1
    return settings["debug"]


def load_settings_locked(_: None) -> int:
    with settings_lock:
        return load_settings(None)


# ------------------------------------------------------------------------------------------------------ memoisation
def memoize(function: Callable[[State, int], int]) -> Callable[[State, int], int]:
    @functools.wraps(function)
    def wrapper(state: State, key: int) -> int:
        try:
            return state.cache[key]
        except KeyError:
            value = state.cache[key] = function(state, key)
            return value

    return wrapper


@memoize
def compute(state: State, key: int) -> int:
    state.calls += 1
    return key * 10


def compute_locked(state: State, key: int) -> int:
    with state.lock:
        return compute(state, key)


class Stampede:
    def __init__(self) -> None:
        self.loads = 0
        self.lock = threading.Lock()
        self.cached = functools.lru_cache(maxsize=None)(self.load)

    def load(self, key: str) -> str:
        self.loads = self.loads + 1
        return key.upper()


def ask(state: Stampede) -> str:
    return state.cached("a")


def ask_locked(state: Stampede) -> str:
    with state.lock:
        return state.cached("a")


class Lru:
    """An LRU cache that moves what was asked for to its end and drops its first."""

    def __init__(self) -> None:
        self.data: OrderedDict[str, int] = OrderedDict(a=1)
        self.lock = threading.RLock()

    def get(self, key: str) -> int | None:
        if key not in self.data:
            return None
        self.data.move_to_end(key)
        return self.data[key]

    def put(self, key: str, value: int) -> None:
        self.data[key] = value
        if len(self.data) > 1:
            self.data.popitem(last=False)

    def locked_get(self, key: str) -> int | None:
        with self.lock:
            return self.get(key)

    def locked_put(self, key: str, value: int) -> None:
        with self.lock:
            self.put(key, value)


class Expiring:
    """A value with a time to live; found, but gone when it is taken (cachetools' TTLCache)."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {"a": 1}

    def get(self) -> int | None:
        if "a" in self.values:
            return self.values["a"]
        return None

    def get_at_once(self) -> int | None:
        return self.values.get("a")

    def expire(self) -> None:
        self.values.pop("a", None)


# ------------------------------------------------------------------------------------------------- pools and limits
class Pool:
    """Connections: reused if one is free, else opened, at most `limit`."""

    def __init__(self, limit: int = 1) -> None:
        self.free: deque[int] = deque()
        self.opened, self.limit = 0, limit
        self.lock = threading.Lock()
        self.slots = threading.BoundedSemaphore(limit)

    def get(self) -> int | None:
        if self.free:
            return self.free.pop()
        if self.opened < self.limit:
            self.opened += 1
            return self.opened
        return None

    def put(self, connection: int) -> None:
        self.free.append(connection)


def use_pool(pool: Pool) -> None:
    connection = pool.get()
    if connection is not None:
        pool.put(connection)


def use_pool_locked(pool: Pool) -> None:
    with pool.lock:
        use_pool(pool)


@contextlib.contextmanager
def borrowed(pool: Pool) -> Iterator[int | None]:
    connection = pool.get()
    try:
        yield connection
    finally:
        if connection is not None:
            pool.put(connection)


def use_borrowed(pool: Pool) -> bool:
    with borrowed(pool) as connection:
        return connection is not None


def use_borrowed_in_slot(pool: Pool) -> bool:
    with pool.slots, borrowed(pool) as connection:
        return connection is not None


class Bucket:
    """A token bucket."""

    def __init__(self) -> None:
        self.tokens = 1
        self.refilled = 0
        self.lock = threading.Lock()

    def take(self) -> bool:
        if self.tokens >= 1:
            self.tokens -= 1
            return True
        return False

    def refill(self) -> None:
        self.tokens = min(2, self.tokens + 1)

    def locked_take(self) -> bool:
        with self.lock:
            return self.take()

    def locked_refill(self) -> None:
        with self.lock:
            self.refill()


class Breaker:
    """A circuit breaker that opens at the second failure."""

    def __init__(self) -> None:
        self.failures, self.state, self.opened = 0, "closed", 0
        self.lock = threading.Lock()

    def fail(self) -> None:
        self.failures += 1
        if self.failures == 2:
            self.state = "open"
            self.opened += 1

    def succeed(self) -> None:
        if self.state == "closed":
            self.failures = 0

    def locked_fail(self) -> None:
        with self.lock:
            self.fail()

    def locked_succeed(self) -> None:
        with self.lock:
            self.succeed()


class Window:
    """A sliding window over the moments of the last calls (a rate limiter's deque)."""

    def __init__(self) -> None:
        self.moments = deque([1, 2])
        self.lock = threading.Lock()

    def drop_old(self) -> None:
        while self.moments and self.moments[0] <= 1:
            self.moments.popleft()

    def locked_drop_old(self) -> None:
        with self.lock:
            self.drop_old()


# --------------------------------------------------------------------------------------------- emitters and loggers
class Emitter:
    """Handlers that may be taken out while they are called."""

    def __init__(self) -> None:
        self.called = 0
        self.handlers: list[Callable[[], None]] = [self.first, self.second]

    def first(self) -> None:
        self.called += 1

    def second(self) -> None:
        self.called += 10

    def emit(self) -> None:
        for handler in self.handlers:
            handler()

    def emit_copy(self) -> None:
        for handler in list(self.handlers):
            handler()

    def off(self) -> None:
        self.handlers.remove(self.first)


class Topic:
    def __init__(self) -> None:
        self.subscribers: dict[str, list[str]] = {"a": [], "b": []}
        self.lock = threading.Lock()

    def publish(self, message: str) -> None:
        for inbox in self.subscribers.values():
            inbox.append(message)

    def unsubscribe(self, name: str) -> None:
        del self.subscribers[name]

    def locked_publish(self, message: str) -> None:
        with self.lock:
            self.publish(message)

    def locked_unsubscribe(self, name: str) -> None:
        with self.lock:
            self.unsubscribe(name)


class Log:
    """A handler that rolls its file over when it is full (logging.handlers)."""

    def __init__(self) -> None:
        self.files: list[list[str]] = [["x"]]
        self.lock = threading.RLock()

    def emit(self, line: str) -> None:
        if len(self.files[-1]) >= 1:
            self.files.append([])
        self.files[-1].append(line)

    def locked_emit(self, line: str) -> None:
        with self.lock:
            self.emit(line)


loggers: dict[str, State] = {}
loggers_lock = threading.Lock()


def get_logger(_: None, name: str = "a") -> int:
    """A registry of named objects, as logging.getLogger without its lock."""
    if name not in loggers:
        loggers[name] = State(level=0)
    logger = loggers[name]
    logger.level += 1
    return logger.level


def get_logger_locked(_: None, name: str = "a") -> int:
    with loggers_lock:
        return get_logger(None, name)


# --------------------------------------------------------------------------------------------- counts and references
class Counted:
    """Freed by whoever lowers its count to nothing."""

    def __init__(self) -> None:
        self._count = 1
        self.freed = False
        self.lock = threading.Lock()

    @property
    def count(self) -> int:
        return self._count

    @count.setter
    def count(self, value: int) -> None:
        self._count = value
        if value == 0:
            self.freed = True

    def retain(self) -> bool:
        if self.freed:
            return False
        self.count += 1
        return True

    def release(self) -> None:
        self.count -= 1

    def locked_retain(self) -> bool:
        with self.lock:
            return self.retain()

    def locked_release(self) -> None:
        with self.lock:
            self.release()


class Thing:
    """Something that can be referred to weakly."""

    def __repr__(self) -> str:
        return "a thing"


class Interned:
    def __init__(self) -> None:
        self.known: weakref.WeakValueDictionary[str, Thing] = weakref.WeakValueDictionary()
        self.kept: list[Thing] = []
        self.lock = threading.Lock()

    def intern(self, name: str) -> bool:
        thing = self.known.get(name)
        if thing is None:
            thing = Thing()
            self.known[name] = thing
        self.kept.append(thing)
        return thing is self.kept[0]

    def locked_intern(self, name: str) -> bool:
        with self.lock:
            return self.intern(name)


class Progress:
    """A bar that is drawn by whoever finishes the last part."""

    def __init__(self) -> None:
        self.done, self.total, self.finished = 0, 2, 0
        self.lock = threading.Lock()

    def advance(self) -> None:
        self.done += 1
        if self.done == self.total:
            self.finished += 1

    def locked_advance(self) -> None:
        with self.lock:
            self.advance()


class Ids:
    def __init__(self) -> None:
        self.next = 1
        self.by_id: dict[int, str] = {}
        self.lock = threading.Lock()

    def register(self, name: str) -> None:
        mine = self.next
        self.by_id[mine] = name
        self.next = mine + 1

    def locked_register(self, name: str) -> None:
        with self.lock:
            self.register(name)


# --------------------------------------------------------------------------------------------- queues and executors
class Jobs:
    def __init__(self, *items: int) -> None:
        self.queue: queue.Queue[int] = queue.Queue()
        for item in items:
            self.queue.put(item)
        self.total = 0
        self.error = ""


def done_before_work(jobs: Jobs) -> None:
    """task_done ahead of the work: join() returns too early."""
    item = jobs.queue.get()
    jobs.queue.task_done()
    jobs.total += item


def done_after_work(jobs: Jobs) -> None:
    item = jobs.queue.get()
    jobs.total += item
    jobs.queue.task_done()


def join_and_read(jobs: Jobs) -> int:
    jobs.queue.join()
    return jobs.total


def drain(jobs: Jobs) -> int:
    """`while not empty: get` by two workers: one of them waits for ever."""
    total = 0
    while not jobs.queue.empty():
        total += jobs.queue.get()
    return total


def drain_nowait(jobs: Jobs) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            jobs.queue.get_nowait()


class Service:
    """An executor that is shut down while work comes in."""

    def __init__(self) -> None:
        self.is_open = True
        self.accepted: list[str] = []
        self.lock = threading.Lock()

    def submit(self, job: str) -> bool:
        if not self.is_open:
            return False
        self.accepted.append(job)
        return True

    def shutdown(self) -> list[str]:
        self.is_open = False
        left, self.accepted = self.accepted, []
        return left

    def locked_submit(self, job: str) -> bool:
        with self.lock:
            return self.submit(job)

    def locked_shutdown(self) -> list[str]:
        with self.lock:
            return self.shutdown()


def first_of_two(state: State) -> int:
    """Which future is done first is left to chance."""
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(int, "1"), pool.submit(int, "2")]
        done, _ = wait(futures, return_when=FIRST_COMPLETED)
        return len(done)


def both_of_two(state: State) -> int:
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(int, "1"), pool.submit(int, "2")]
        done, _ = wait(futures)
        return sum(future.result() for future in done)


def set_if_pending(state: State, value: int) -> None:
    if not state.future.done():
        state.future.set_result(value)


def set_if_pending_locked(state: State, value: int) -> None:
    with state.lock:
        if not state.future.done():
            state.future.set_result(value)


def cancel_timer(state: State) -> bool:
    """A timer that may have gone off before it is cancelled."""
    timer = threading.Timer(1.0, fire, args=(state,))
    timer.start()
    timer.cancel()
    timer.join()
    return state.fired


def fire(state: State) -> None:
    state.fired = True


def await_timer(state: State) -> bool:
    timer = threading.Timer(1.0, fire, args=(state,))
    timer.start()
    timer.join()
    return state.fired


local = threading.local()


def request_shared(state: State, user: str) -> str:
    """A request's user in an attribute of the application (Flask before its context locals)."""
    state.user = user
    state.handled += 0
    return state.user


def request_local(state: State, user: str) -> str:
    local.user = user
    return local.user


def swap_in_dict(state: State) -> None:
    state.routes.clear()
    state.routes.update({"/": 2})


def swap_whole(state: State) -> None:
    state.routes = {"/": 2}


def route(state: State) -> int | None:
    return state.routes.get("/")


def expire_at(state: State) -> None:
    """A deadline checked against a clock and then used."""
    if state.deadline > 0:
        time.sleep(0.1)
        state.deadline = state.deadline - 1


def expire_at_locked(state: State) -> None:
    with state.lock:
        expire_at(state)


class Heartbeat:
    """A thread that is told to stop by an event that is cleared too early."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.beats = 0

    def restart(self) -> None:
        self.stop.set()
        self.stop.clear()

    def just_stop(self) -> None:
        self.stop.set()

    def run(self) -> None:
        self.stop.wait()
        self.beats += 1


def clear_loggers() -> None:
    loggers.clear()


PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "singleton in __new__": (
        {"setup": forget_singleton, "tasks": [get_singleton, get_singleton]},
        {"setup": forget_singleton, "tasks": [get_singleton_locked, get_singleton_locked]},
    ),
    "module global filled late": (
        {"setup": unload, "tasks": [load_settings, load_settings], "expect": "raises"},
        {"setup": unload, "tasks": [load_settings_locked, load_settings_locked]},
    ),
    "memoize decorator": (
        {"setup": make(cache=dict, calls=0), "tasks": [partial(compute, key=1)] * 2},
        {"setup": make(cache=dict, calls=0), "tasks": [partial(compute_locked, key=1)] * 2},
    ),
    "memoize, other keys": (
        {"setup": make(cache=dict, calls=0), "tasks": [partial(compute, key=1), partial(compute, key=2)]},
        {
            "setup": make(cache=lambda: {1: 0, 2: 0}, calls=0),
            "tasks": [partial(compute, key=1), partial(compute, key=2)],
        },
    ),
    "lru_cache stampede": (
        {"setup": Stampede, "tasks": [ask, ask], "outcome": lambda state: state.loads},
        {"setup": Stampede, "tasks": [ask_locked, ask_locked], "outcome": lambda state: state.loads},
    ),
    "LRU, moved after it was dropped": (
        {"setup": Lru, "tasks": [partial(Lru.get, key="a"), partial(Lru.put, key="b", value=2)], "expect": "raises"},
        {"setup": Lru, "tasks": [partial(Lru.locked_get, key="a"), partial(Lru.locked_put, key="b", value=2)]},
    ),
    "expired between look and take": (
        {"setup": Expiring, "tasks": [Expiring.get, Expiring.expire], "expect": "raises"},
        {"setup": Expiring, "tasks": [Expiring.get_at_once, Expiring.expire]},
    ),
    "connection pool": (
        {"setup": Pool, "tasks": [use_pool, use_pool]},
        {"setup": Pool, "tasks": [use_pool_locked, use_pool_locked]},
    ),
    "connection pool, borrowed": (
        {"setup": Pool, "tasks": [use_borrowed, use_borrowed]},
        {"setup": Pool, "tasks": [use_borrowed_in_slot, use_borrowed_in_slot]},
    ),
    "token bucket": (
        {"setup": Bucket, "tasks": [Bucket.take, Bucket.refill]},
        {"setup": Bucket, "tasks": [Bucket.locked_take, Bucket.locked_take, Bucket.locked_refill]},
    ),
    "circuit breaker": (
        {"setup": Breaker, "tasks": [Breaker.fail, Breaker.fail]},
        {"setup": Breaker, "tasks": [Breaker.locked_fail, Breaker.locked_succeed]},
    ),
    "sliding window": (
        {"setup": Window, "tasks": [Window.drop_old, Window.drop_old]},
        {"setup": Window, "tasks": [Window.locked_drop_old, Window.locked_drop_old]},
    ),
    "handler removed while emitting": (
        {"setup": Emitter, "tasks": [Emitter.emit, Emitter.off]},
        {"setup": Emitter, "tasks": [Emitter.emit_copy, Emitter.off]},
    ),
    "unsubscribed while publishing": (
        {
            "setup": Topic,
            "tasks": [partial(Topic.publish, message="m"), partial(Topic.unsubscribe, name="b")],
            "expect": "raises",
        },
        {
            "setup": Topic,
            "tasks": [partial(Topic.locked_publish, message="m"), partial(Topic.locked_unsubscribe, name="b")],
        },
    ),
    "log rolled over twice": (
        {"setup": Log, "tasks": [partial(Log.emit, line="a"), partial(Log.emit, line="b")]},
        {"setup": Log, "tasks": [partial(Log.locked_emit, line="a"), partial(Log.locked_emit, line="b")]},
    ),
    "registry of loggers": (
        {"setup": clear_loggers, "tasks": [get_logger, get_logger]},
        {"setup": clear_loggers, "tasks": [get_logger_locked, get_logger_locked]},
    ),
    "retained after it was freed": (
        {"setup": Counted, "tasks": [Counted.retain, Counted.release]},
        {"setup": Counted, "tasks": [Counted.locked_retain, Counted.locked_release]},
    ),
    "WeakValueDictionary": (
        {"setup": Interned, "tasks": [partial(Interned.intern, name="a")] * 2, "outcome": lambda _, results: results},
        {
            "setup": Interned,
            "tasks": [partial(Interned.locked_intern, name="a")] * 2,
            "outcome": lambda _, results: results,
        },
    ),
    "progress": (
        {"setup": Progress, "tasks": [Progress.advance, Progress.advance]},
        {"setup": Progress, "tasks": [Progress.locked_advance, Progress.locked_advance]},
    ),
    "id drawn twice": (
        {"setup": Ids, "tasks": [partial(Ids.register, name="a"), partial(Ids.register, name="b")]},
        {"setup": Ids, "tasks": [partial(Ids.locked_register, name="a"), partial(Ids.locked_register, name="b")]},
    ),
    "task_done before the work": (
        {"setup": partial(Jobs, 1), "tasks": [done_before_work, join_and_read]},
        {"setup": partial(Jobs, 1), "tasks": [done_after_work, join_and_read]},
    ),
    "drained by two": (
        {"setup": partial(Jobs, 1), "tasks": [drain, drain], "expect": "deadlock"},
        {"setup": partial(Jobs, 1, 2), "tasks": [drain_nowait, drain_nowait]},
    ),
    "submitted after the shutdown": (
        {"setup": Service, "tasks": [partial(Service.submit, job="j"), Service.shutdown]},
        {"setup": Service, "tasks": [partial(Service.locked_submit, job="j"), Service.locked_shutdown]},
    ),
    "wait for the first": (
        {"setup": make(), "tasks": [first_of_two]},
        {"setup": make(), "tasks": [both_of_two]},
    ),
    "set_result if not done": (
        {
            "setup": make(future=Future),
            "tasks": [partial(set_if_pending, value=1), partial(set_if_pending, value=2)],
            "expect": "raises",
        },
        {
            "setup": make(future=Future),
            "tasks": [partial(set_if_pending_locked, value=1), partial(set_if_pending_locked, value=2)],
        },
    ),
    "timer cancelled too late": (
        {"setup": make(fired=False), "tasks": [cancel_timer]},
        {"setup": make(fired=False), "tasks": [await_timer]},
    ),
    "user of a request": (
        {
            "setup": make(user="", handled=0),
            "tasks": [partial(request_shared, user="ann"), partial(request_shared, user="bob")],
        },
        {
            "setup": make(user="", handled=0),
            "tasks": [partial(request_local, user="ann"), partial(request_local, user="bob")],
        },
    ),
    "table cleared and filled": (
        {"setup": make(routes=lambda: {"/": 1}), "tasks": [swap_in_dict, route]},
        {"setup": make(routes=lambda: {"/": 1}), "tasks": [swap_whole, route]},
    ),
    "deadline across a sleep": (
        {"setup": make(deadline=2), "tasks": [expire_at, expire_at]},
        {"setup": make(deadline=2), "tasks": [expire_at_locked, expire_at_locked]},
    ),
    "event set and cleared at once": (
        {"setup": Heartbeat, "tasks": [Heartbeat.run, Heartbeat.restart], "expect": "deadlock"},
        {"setup": Heartbeat, "tasks": [Heartbeat.run, Heartbeat.just_stop]},
    ),
}
