"""Lock and RLock. The scheduler lets an acquire happen only while the real lock is free, and then takes it."""

from __future__ import annotations

import _thread
import functools
import operator
from collections.abc import Callable
from typing import Any

from whilst.checking.engine.events import Op
from whilst.checking.engine.operations import Sync
from whilst.checking.engine.sites import Site
from whilst.checking.observe.registry import ModelRegistry

LOCK = _thread.LockType
RLOCK = type(_thread.RLock())
Owner = list[int]  # [task, how often]


class Locks:
    """Who holds what, in the running execution."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.scheduler = registry.scheduler
        self.access_log = registry.access_log
        self.owners: dict[int, Owner] = {}  # of RLocks, by id
        self.held: dict[int, tuple[Any, int, Site]] = {}  # id -> lock, task, where it was taken
        self._syncs: dict[int, tuple[Sync, Sync]] = {}
        self._held_when_stuck: dict[int, tuple[Any, int, Site]] = {}
        registry.empty_each_time(self.owners, self.held, self._syncs)
        self.scheduler.on_stuck = self.remember

    def remember(self) -> None:
        """At a deadlock, before the tasks are unwound: who holds what."""
        self._held_when_stuck = dict(self.held)

    def end(self) -> dict[int, tuple[Any, int, Site]]:
        """Give back what a cut-off task still held, so that nothing outlives the execution; what was held at a
        deadlock."""
        if self.held:
            for lock, _task, _site in list(self.held.values()):
                try:
                    count = self.owners.get(id(lock), [0, 1])[1]
                    for _ in range(count):
                        lock.release()
                except RuntimeError:  # it was released by code that is not seen
                    continue
            self.held.clear()
        held, self._held_when_stuck = self._held_when_stuck, {}
        return held

    def syncs(self, lock: Any) -> tuple[Sync, Sync]:
        """How acquire and release of this lock look to the scheduler."""
        found = self._syncs.get(id(lock))
        if found is None:
            measure, needs = self._state_of(lock)
            found = self._syncs[id(lock)] = (Sync(Op.ACQUIRE, measure, needs, blocks=True), Sync(Op.RELEASE, measure))
        return found

    def _state_of(self, lock: Any) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
        """What decides whether it can be had, and whether that lets the running task have it."""
        if type(lock) is RLOCK:
            return functools.partial(self._owner, id(lock)), self._is_mine_or_free
        return lock.locked, operator.not_

    def _owner(self, lock_id: int) -> int:
        owner = self.owners.get(lock_id)
        return owner[0] if owner is not None else -1

    def _is_mine_or_free(self, owner: int) -> bool:
        return owner < 0

    def acquire(self, site: Site, lock: Any, blocking: bool = True, timeout: float = -1) -> bool:
        """As lock.acquire."""
        if blocking and timeout == -1:
            return self.wait_for(site, lock)
        if type(lock) is RLOCK and self._take_again(lock):
            return True
        if not blocking and timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        if timeout < 0 and timeout != -1:
            raise ValueError("timeout value must be a non-negative number")
        measure, needs = self._state_of(lock)
        self.access_log.sync(site, (2, id(lock), None, site, lock, Sync(Op.TRY, measure, needs, writes=2)))
        return bool(needs(measure())) and self.take(site, lock)

    def wait_for(self, site: Site, lock: Any) -> bool:
        """Until it can be had."""
        if type(lock) is RLOCK and self._take_again(lock):
            return True
        operation = (2, id(lock), None, site, lock, self.syncs(lock)[0])
        if site.is_scheduling_point:
            self.scheduler.step(operation)
        else:
            self.access_log.sync(site, operation)
        return self.take(site, lock)

    def _take_again(self, lock: Any) -> bool:
        """Whether the running task has it already; then it has it once more."""
        owner = self.owners.get(id(lock))
        if owner is None or owner[0] != self.scheduler.cur:
            return False
        owner[1] += 1
        lock.acquire()
        return True

    def take(self, site: Site, lock: Any) -> bool:
        """The real lock, which is free."""
        task = self.scheduler.cur
        lock.acquire(False)
        if type(lock) is RLOCK:
            self.owners[id(lock)] = [task, 1]
        self.held[id(lock)] = (lock, task, site)
        holding = self.scheduler.holding
        holding[task] = holding.get(task, 0) + 1
        return True

    def release(self, site: Site, lock: Any) -> None:
        """As lock.release."""
        if type(lock) is RLOCK:
            owner = self.owners.get(id(lock))
            if owner is None or owner[0] != self.scheduler.cur:
                raise RuntimeError("cannot release un-acquired lock")
            if owner[1] > 1:
                owner[1] -= 1
                lock.release()
                return
        operation = (2, id(lock), None, site, lock, self.syncs(lock)[1])
        if site.is_scheduling_point:
            self.scheduler.step(operation)
        else:
            self.access_log.sync(site, operation)
        self._let_go(lock)
        lock.release()

    def _let_go(self, lock: Any) -> None:
        if self.owners:
            self.owners.pop(id(lock), None)
        found = self.held.pop(id(lock), None)
        if found is not None:
            self.scheduler.holding[found[1]] -= 1

    def is_held(self, site: Site, lock: Any) -> bool:
        """As lock.locked."""
        measure, _ = self._state_of(lock)
        self.access_log.sync(site, (2, id(lock), None, site, lock, Sync(Op.READ, measure, writes=0)))
        if type(lock) is RLOCK:
            return id(lock) in self.owners
        return bool(lock.locked())

    def is_mine(self, lock: Any) -> bool:
        """Whether the running task may release it (anyone may release a plain lock)."""
        if type(lock) is RLOCK:
            owner = self.owners.get(id(lock))
            return owner is not None and owner[0] == self.scheduler.cur
        return bool(lock.locked())

    def release_all(self, site: Site, lock: Any) -> int:
        """Let go of it however often it was taken; how often that was."""
        owner = self.owners.get(id(lock))
        count = owner[1] if owner is not None else 1
        self.access_log.sync(site, (2, id(lock), None, site, lock, self.syncs(lock)[1]))
        self._let_go(lock)
        for _ in range(count):
            lock.release()
        return count

    def acquire_again(self, site: Site, lock: Any, count: int) -> None:
        """Take it as often as it was held before a wait."""
        self.access_log.sync(site, (2, id(lock), None, site, lock, self.syncs(lock)[0]))
        self.take(site, lock)
        if type(lock) is RLOCK:
            for _ in range(count - 1):
                lock.acquire()
            self.owners[id(lock)][1] = count


def install(registry: ModelRegistry) -> None:
    """Model the methods of both lock types, and `with` over them."""
    locks = Locks(registry)
    registry.locks = locks

    def method(_registry: ModelRegistry, site: Site, bound: Any) -> Any:
        name, lock = bound.__name__, bound.__self__
        if name in ("acquire", "__enter__", "acquire_lock"):
            return functools.partial(locks.acquire, site, lock)
        if name in ("release", "release_lock"):
            return functools.partial(locks.release, site, lock)
        if name == "__exit__":
            return lambda *_details: locks.release(site, lock)
        if name in ("locked", "locked_lock"):
            return functools.partial(locks.is_held, site, lock)
        if name == "_is_owned":
            return functools.partial(locks.is_mine, lock)
        return bound

    def stand_in(_registry: ModelRegistry, site: Site, lock: Any) -> Any:
        return _HeldLock(locks, site, lock)

    for kind in (LOCK, RLOCK):
        registry.type_models[kind] = method
        registry.managers[kind] = stand_in


class _HeldLock:
    """`with lock:`"""

    __slots__ = ("lock", "locks", "site")

    def __init__(self, locks: Locks, site: Site, lock: Any) -> None:
        self.locks, self.site, self.lock = locks, site, lock

    def __enter__(self) -> bool:
        return self.locks.wait_for(self.site, self.lock)

    def __exit__(self, *_details: object) -> None:
        self.locks.release(self.site, self.lock)
