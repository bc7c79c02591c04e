"""Locks, semaphores, Condition and Event of `multiprocessing`, as far as the tasks of one process share them.

All of them are made of `SemLock`, of which the model takes and gives back the real one. A Condition is one semaphore
that is slept on and two that count; as a queue of waiters it behaves the same. (Barrier is threading's own.)
"""

from __future__ import annotations

import functools
import multiprocessing.synchronize as synchronize
from collections.abc import Callable
from typing import Any

from whilst.checking.engine.events import Op
from whilst.checking.engine.sites import Site
from whilst.checking.models.signals import Conditions
from whilst.checking.observe.registry import ModelRegistry

_RECURSIVE = 0  # the kind of an RLock


class Semaphores:
    """Who holds which in the running execution."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry = registry
        self.scheduler = registry.scheduler
        self.owners: dict[int, list[int]] = {}  # id of one that is held -> [who took it last, how often at a time]
        self.taken: dict[int, list[Any]] = {}  # id -> [it, how often]
        registry.beginning.append(self)

    def begin(self) -> None:
        """A new execution; what was held when the last one was cut off is given back."""
        for semaphore, times in self.taken.values():
            for _ in range(times):
                semaphore.release()
        self.taken.clear()
        self.owners.clear()

    def acquire(self, site: Site, semaphore: Any, block: bool = True, timeout: float | None = None) -> bool:
        """As SemLock.acquire."""
        task = self.scheduler.cur
        owner = self.owners.get(id(semaphore))
        if semaphore.kind == _RECURSIVE and owner is not None and owner[0] == task:
            owner[1] += 1
            return True
        is_patient = block and timeout is None
        self.registry.take(site, semaphore, lambda: not semaphore._is_zero(), bool, is_patient=is_patient)
        return self._take(semaphore)

    def _take(self, semaphore: Any) -> bool:
        task = self.scheduler.cur
        if not semaphore.acquire(False):
            return False
        self.owners[id(semaphore)] = [task, 1]
        self.taken.setdefault(id(semaphore), [semaphore, 0])[1] += 1
        self.scheduler.holding[task] = self.scheduler.holding.get(task, 0) + 1
        return True

    def release(self, site: Site, semaphore: Any) -> None:
        """As SemLock.release."""
        if semaphore.kind == _RECURSIVE:
            if not self._is_owned(semaphore):
                raise AssertionError("attempt to release recursive lock not owned by thread")
            owner = self.owners[id(semaphore)]
            if owner[1] > 1:
                owner[1] -= 1
                return
        self._give_back(site, semaphore)

    def _give_back(self, site: Site, semaphore: Any) -> None:
        self.registry.sync(site, semaphore, Op.RELEASE, lambda: not semaphore._is_zero())
        semaphore.release()
        self.owners.pop(id(semaphore), None)
        known = self.taken.get(id(semaphore))
        if known is not None:
            task = self.scheduler.cur
            known[1] -= 1
            self.scheduler.holding[task] = max(self.scheduler.holding.get(task, 0) - 1, 0)
            if not known[1]:
                del self.taken[id(semaphore)]

    # ------------------------------------------------------------------ what a Condition asks of its lock

    def is_mine(self, lock: Any) -> bool:
        """Whether the running task took it last, and has it still."""
        return self._is_owned(lock._semlock)

    def _is_owned(self, semaphore: Any) -> bool:
        owner = self.owners.get(id(semaphore))
        return owner is not None and owner[0] == self.scheduler.cur

    def release_all(self, site: Site, lock: Any) -> int:
        """Let go of it however often it was taken; how often that was."""
        count = self.owners[id(lock._semlock)][1]
        self._give_back(site, lock._semlock)
        return count

    def acquire_again(self, site: Site, lock: Any, count: int) -> None:
        """Take it as often as it was held before a wait."""
        if self.acquire(site, lock._semlock):
            self.owners[id(lock._semlock)][1] = count


class Events:
    """Event: a semaphore of one says whether it is set."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry = registry

    def _sync(self, site: Site, event: Any, kind: Op, *, blocks: bool = False, writes: int = 0) -> bool:
        flag = event._flag._semlock
        needs = bool if kind in (Op.JOIN, Op.TRY) else None
        self.registry.sync(site, event, kind, lambda: not flag._is_zero(), needs, blocks=blocks, writes=writes)
        return not flag._is_zero()

    def wait(self, _registry: ModelRegistry, site: Site, event: Any, timeout: float | None = None) -> bool:
        """Event.wait."""
        is_patient = timeout is None
        return self._sync(site, event, Op.JOIN if is_patient else Op.TRY, blocks=is_patient)

    def is_set(self, _registry: ModelRegistry, site: Site, event: Any) -> bool:
        """Event.is_set."""
        return self._sync(site, event, Op.READ)

    def set(self, _registry: ModelRegistry, site: Site, event: Any) -> None:
        """Event.set."""
        if not self._sync(site, event, Op.RELEASE, writes=1):
            event._flag._semlock.release()

    def clear(self, _registry: ModelRegistry, site: Site, event: Any) -> None:
        """Event.clear."""
        if self._sync(site, event, Op.RELEASE, writes=1):
            event._flag._semlock.acquire(False)


def install(registry: ModelRegistry) -> None:
    """Model what the functions of `multiprocessing` of these names make."""
    semaphores = Semaphores(registry)
    conditions = Conditions(registry, semaphores, AssertionError)
    events = Events(registry)

    def method(_registry: ModelRegistry, site: Site, bound: Any) -> Any:
        name, semaphore = bound.__name__, bound.__self__
        if name in ("acquire", "__enter__"):
            return functools.partial(semaphores.acquire, site, semaphore)
        if name in ("release", "__exit__"):
            return lambda *_: semaphores.release(site, semaphore)
        return bound

    def enter(_registry: ModelRegistry, site: Site, lock: Any) -> bool:
        return semaphores.acquire(site, lock._semlock)

    def leave(_registry: ModelRegistry, site: Site, lock: Any, *_details: object) -> None:
        semaphores.release(site, lock._semlock)

    kind: Any = synchronize.SemLock
    condition: Any = synchronize.Condition
    event: Any = synchronize.Event
    table: list[tuple[Any, Callable[..., Any]]] = [
        (kind.__enter__, enter),
        (kind.__exit__, leave),
        (condition.__enter__, lambda _, site, it: enter(registry, site, it._lock)),
        (condition.__exit__, lambda _, site, it, *_how: leave(registry, site, it._lock)),
        (condition.wait, conditions.wait),
        (condition.wait_for, conditions.wait_for),
        (condition.notify, conditions.notify),
        (condition.notify_all, conditions.notify_all),
        (event.wait, events.wait),
        (event.is_set, events.is_set),
        (event.set, events.set),
        (event.clear, events.clear),
    ]
    registry.add_models(table)
    raw: Any = getattr(synchronize, "_multiprocessing")  # noqa: B009  # not in typeshed
    registry.type_models[raw.SemLock] = method
