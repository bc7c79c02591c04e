"""Condition, Semaphore, BoundedSemaphore, Event and Barrier, each operation one event.

A wait for a notification is two events, as in reality: letting the lock go and becoming a waiter, then, once
notified, taking the lock again. A time-out is a wait that may be scheduled before it was notified.
"""

from __future__ import annotations

import functools
import operator
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from whilst.checking.engine.events import Op
from whilst.checking.engine.operations import Sync
from whilst.checking.engine.sites import Site
from whilst.checking.observe.registry import ModelRegistry


class _Waiter:
    """One wait on a Condition."""

    __slots__ = ("is_notified",)

    def __init__(self) -> None:
        self.is_notified = False

    def measure(self) -> bool:
        return self.is_notified


class Conditions:
    """The waiters of every Condition in the running execution (the real `_waiters` hold none)."""

    def __init__(self, registry: ModelRegistry, locks: Any = None, refusal: type[Exception] = RuntimeError) -> None:
        """`locks`: the model of the locks under them; `refusal`: what they raise if that is not held."""
        self.registry = registry
        self.locks = locks if locks is not None else registry.locks
        self.refusal = refusal
        self.waiters: dict[int, deque[_Waiter]] = {}
        registry.empty_each_time(self.waiters)

    def wait(self, registry: ModelRegistry, site: Site, condition: Any, timeout: float | None = None) -> bool:
        """Condition.wait."""
        locks = self.locks
        lock = condition._lock  # the model works on the real object's state
        if not locks.is_mine(lock):
            raise self.refusal("cannot wait on un-acquired lock")
        waiter = _Waiter()
        self.waiters.setdefault(id(condition), deque()).append(waiter)
        registry.scheduler.keep.append(condition)
        count = locks.release_all(site, lock)
        is_patient = timeout is None
        sync = Sync(Op.ACQUIRE if is_patient else Op.TRY, waiter.measure, bool, blocks=is_patient, writes=1)
        try:
            registry.scheduler.step((2, id(waiter), None, site, condition, sync))
        finally:
            was_notified = waiter.is_notified
            if not was_notified and waiter in self.waiters[id(condition)]:
                self.waiters[id(condition)].remove(waiter)
            locks.acquire_again(site, lock, count)
        return was_notified

    def wait_for(
        self,
        registry: ModelRegistry,
        site: Site,
        condition: Any,
        predicate: Callable[[], Any],
        timeout: float | None = None,
    ) -> Any:
        """Condition.wait_for; one time-out ends it."""
        registry.admit_value(predicate)
        result = predicate()
        while not result:
            if not self.wait(registry, site, condition, timeout):
                return predicate()
            result = predicate()
        return result

    def notify(self, registry: ModelRegistry, site: Site, condition: Any, n: int = 1) -> None:
        """Condition.notify. The lock is held, so nothing comes in between."""
        if not self.locks.is_mine(condition._lock):
            raise self.refusal("cannot notify on un-acquired lock")
        waiters = self.waiters.get(id(condition))
        while waiters and n > 0:
            waiter = waiters.popleft()
            n -= 1
            sync = Sync(Op.RELEASE, waiter.measure)
            registry.scheduler.step((2, id(waiter), None, site, condition, sync))
            waiter.is_notified = True

    def notify_all(self, registry: ModelRegistry, site: Site, condition: Any) -> None:
        """Condition.notify_all."""
        self.notify(registry, site, condition, len(self.waiters.get(id(condition), ())))


# ---------------------------------------------------------------------- semaphores


def _acquire_semaphore(
    registry: ModelRegistry, site: Site, semaphore: Any, blocking: bool = True, timeout: float | None = None
) -> bool:
    if not blocking and timeout is not None:
        raise ValueError("can't specify timeout for non-blocking acquire")
    measure = functools.partial(getattr, semaphore, "_value")
    registry.take(site, semaphore, measure, _POSITIVE, is_patient=blocking and timeout is None)
    if semaphore._value <= 0:
        return False
    semaphore._value -= 1
    return True


def _release_semaphore(registry: ModelRegistry, site: Site, semaphore: Any, n: int = 1) -> None:
    if n < 1:
        raise ValueError("n must be one or more")
    measure = functools.partial(getattr, semaphore, "_value")
    registry.sync(site, semaphore, Op.RELEASE, measure)
    bound = getattr(semaphore, "_initial_value", None)
    if bound is not None and semaphore._value + n > bound:
        raise ValueError("Semaphore released too many times")
    semaphore._value += n


_POSITIVE = functools.partial(operator.lt, 0)

# ---------------------------------------------------------------------- events


def _flag(event: Any) -> Callable[[], Any]:
    return functools.partial(getattr, event, "_flag")


def wait_event(registry: ModelRegistry, site: Site, event: Any, timeout: float | None = None) -> bool:
    """Event.wait."""
    is_patient = timeout is None
    registry.sync(site, event, Op.JOIN if is_patient else Op.TRY, _flag(event), bool, blocks=is_patient, writes=0)
    return bool(event._flag)


def _is_set(registry: ModelRegistry, site: Site, event: Any) -> bool:
    registry.sync(site, event, Op.READ, _flag(event), writes=0)
    return bool(event._flag)


def _change_event(value: bool) -> Any:
    def change(registry: ModelRegistry, site: Site, event: Any) -> None:
        registry.sync(site, event, Op.RELEASE, _flag(event))
        event._flag = value

    return change


# ---------------------------------------------------------------------- barriers


def _wait_barrier(registry: ModelRegistry, site: Site, barrier: Any, timeout: float | None = None) -> int:
    """Barrier.wait: an arrival, and for all but the last a wait for the generation to be let through.

    `_state` is the real one's: 0 filling, 1 draining, -1 resetting, -2 broken. The model lets a full barrier
    through at the last arrival, so that the real object is never seen draining.
    """
    scheduler = registry.scheduler
    generations = registry.generations
    registry.sync(site, barrier, Op.RELEASE)
    scheduler.keep.append(barrier)
    if barrier._state < 0:
        raise threading.BrokenBarrierError
    index = barrier._count
    generation = generations.setdefault(id(barrier), [_Generation()])[-1]
    if index + 1 >= barrier._parties:
        return _let_through(registry, site, barrier, index)
    barrier._count += 1
    is_patient = timeout is None and barrier._timeout is None
    sync = Sync(Op.JOIN if is_patient else Op.TRY, generation.measure, bool, blocks=is_patient, writes=0)
    scheduler.step((2, id(generation), None, site, barrier, sync))
    if generation.state == "open":
        return int(index)
    if not generation.state:  # the time is out
        _break(registry, site, barrier)
    raise threading.BrokenBarrierError


class _Generation:
    """One filling of a barrier: still closed (""), "open" or "broken"."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state = ""

    def measure(self) -> str:
        return self.state


def _let_through(registry: ModelRegistry, site: Site, barrier: Any, index: int) -> int:
    if barrier._action is not None:
        try:
            registry.call(site, barrier._action)()
        except BaseException:
            _break(registry, site, barrier)
            raise
    _finish_generation(registry, site, barrier, "open")
    barrier._count = 0
    return index


def _finish_generation(registry: ModelRegistry, site: Site, barrier: Any, state: str) -> None:
    generations = registry.generations[id(barrier)]
    generation = generations[-1]
    generations.append(_Generation())
    sync = Sync(Op.RELEASE, generation.measure)
    registry.scheduler.step((2, id(generation), None, site, barrier, sync))
    generation.state = state


def _break(registry: ModelRegistry, site: Site, barrier: Any) -> None:
    barrier._state = -2
    registry.generations.setdefault(id(barrier), [_Generation()])
    _finish_generation(registry, site, barrier, "broken")


def _abort_barrier(registry: ModelRegistry, site: Site, barrier: Any) -> None:
    registry.sync(site, barrier, Op.RELEASE)
    _break(registry, site, barrier)


def _reset_barrier(registry: ModelRegistry, site: Site, barrier: Any) -> None:
    registry.sync(site, barrier, Op.RELEASE)
    registry.generations.setdefault(id(barrier), [_Generation()])
    if barrier._count:
        _finish_generation(registry, site, barrier, "broken")
    barrier._count, barrier._state = 0, 0


def install(registry: ModelRegistry) -> None:
    """Model the classes of `threading` that wait."""
    conditions = Conditions(registry)
    registry.conditions = conditions
    table: list[tuple[object, Any]] = [
        (threading.Condition.wait, conditions.wait),
        (threading.Condition.wait_for, conditions.wait_for),
        (threading.Condition.notify, conditions.notify),
        (threading.Condition.notify_all, conditions.notify_all),
        (threading.Condition.__enter__, lambda _, site, condition: registry.locks.acquire(site, condition._lock)),
        (threading.Condition.__exit__, lambda _, site, condition, *_how: registry.locks.release(site, condition._lock)),
        (threading.Semaphore.acquire, _acquire_semaphore),
        (threading.Semaphore.release, _release_semaphore),
        (threading.BoundedSemaphore.release, _release_semaphore),
        (threading.Semaphore.__exit__, lambda _, site, it, *_how: _release_semaphore(registry, site, it)),
        (threading.Event.wait, wait_event),
        (threading.Event.is_set, _is_set),
        (threading.Event.set, _change_event(True)),
        (threading.Event.clear, _change_event(False)),
        (threading.Barrier.wait, _wait_barrier),
        (threading.Barrier.abort, _abort_barrier),
        (threading.Barrier.reset, _reset_barrier),
    ]
    registry.add_models(table)
