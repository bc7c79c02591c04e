"""Locks and semaphores of `multiprocessing`, as far as the tasks of one process share them."""

from __future__ import annotations

import functools
import multiprocessing.synchronize as synchronize
from collections.abc import Callable
from typing import Any

from whilst.checking.calling import Caller
from whilst.checking.events import Op
from whilst.checking.operations import Sync
from whilst.checking.sites import Site

__all__ = ["install"]

_RECURSIVE = 0  # the kind of an RLock


class Semaphores:
    """Who holds which in the running execution."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.scheduler = caller.scheduler
        self.owners: dict[int, list[int]] = {}  # id of a recursive one -> [task, how often]
        self.taken: dict[int, list[Any]] = {}  # id -> [it, how often]

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
        if owner is not None and owner[0] == task:
            owner[1] += 1
            return True
        is_patient = block and timeout is None
        kind, writes = (Op.ACQUIRE, 1) if is_patient else (Op.TRY, 2)
        sync = Sync(kind, lambda: not semaphore._is_zero(), bool, blocks=is_patient, writes=writes)
        self.caller.watcher.sync(site, (2, id(semaphore), None, site, semaphore, sync))
        if not semaphore.acquire(False):
            return False
        if semaphore.kind == _RECURSIVE:
            self.owners[id(semaphore)] = [task, 1]
        self.taken.setdefault(id(semaphore), [semaphore, 0])[1] += 1
        self.scheduler.holding[task] = self.scheduler.holding.get(task, 0) + 1
        return True

    def release(self, site: Site, semaphore: Any) -> None:
        """As SemLock.release."""
        task = self.scheduler.cur
        owner = self.owners.get(id(semaphore))
        if semaphore.kind == _RECURSIVE:
            if owner is None or owner[0] != task:
                raise AssertionError("attempt to release recursive lock not owned by thread")
            owner[1] -= 1
            if owner[1]:
                return
            del self.owners[id(semaphore)]
        sync = Sync(Op.RELEASE, lambda: not semaphore._is_zero())
        self.caller.watcher.sync(site, (2, id(semaphore), None, site, semaphore, sync))
        semaphore.release()
        known = self.taken.get(id(semaphore))
        if known is not None:
            known[1] -= 1
            self.scheduler.holding[task] = max(self.scheduler.holding.get(task, 0) - 1, 0)
            if not known[1]:
                del self.taken[id(semaphore)]


def install(caller: Caller) -> None:
    """Model what `multiprocessing.Lock`, `RLock` and `Semaphore` make."""
    semaphores = Semaphores(caller)
    caller.later.append(semaphores)

    def method(_caller: Caller, site: Site, bound: Any) -> Any:
        name, semaphore = bound.__name__, bound.__self__
        if name in ("acquire", "__enter__"):
            return functools.partial(semaphores.acquire, site, semaphore)
        if name in ("release", "__exit__"):
            return lambda *_: semaphores.release(site, semaphore)
        return bound

    def enter(_caller: Caller, site: Site, lock: Any) -> bool:
        return semaphores.acquire(site, lock._semlock)

    def leave(_caller: Caller, site: Site, lock: Any, *_details: object) -> None:
        semaphores.release(site, lock._semlock)

    kind: Any = synchronize.SemLock
    table: list[tuple[Any, Callable[..., Any]]] = [(kind.__enter__, enter), (kind.__exit__, leave)]
    for function, model in table:
        caller.models[id(function)] = model
    raw: Any = getattr(synchronize, "_multiprocessing")  # noqa: B009  # not in typeshed
    caller.type_models[raw.SemLock] = method
