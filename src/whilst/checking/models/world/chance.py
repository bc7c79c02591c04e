"""Chance: the same draws in every execution.

The module-level functions of `random` draw from one hidden generator. As a rule nobody cares which of two tasks gets
which number, so each task draws from a generator of its own. Once somebody seeds the hidden one, saves or restores its
state, or draws in a way that leaves something behind in it (`gauss`), it is shared state like any other: then every
draw is an access to it.
"""

from __future__ import annotations

import os
import random
import types
from typing import Any, Final

from whilst.checking.engine.events import Assumption
from whilst.checking.engine.operations import SHARED_RANDOM
from whilst.checking.engine.sites import Site
from whilst.checking.observe.registry import ModelRegistry

_RANDOM: Final = Assumption("random", "the same draws in every interleaving, from a generator for each task")
_MAIN: Final = -1
_SHARED: Final = "shared"
_HIDDEN: Final[Any] = random.random.__self__  # type: ignore[attr-defined]  # behind the module's functions
_DEPENDING: Final = frozenset({"seed", "getstate", "setstate", "gauss"})


class Chance:
    """The generators of the running execution."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry = registry
        self.scheduler = registry.scheduler
        self.draws: dict[object, random.Random] = {}  # by task, or what else they are for
        registry.empty_each_time(self.draws)

    def redirect(self, site: Site, method: types.MethodType) -> types.MethodType:
        """A method of the hidden generator, of the one that stands for it."""
        return types.MethodType(method.__func__, self._generator(site, method.__name__))

    def _generator(self, site: Site, name: str) -> random.Random:
        access_log = self.registry.access_log
        if name in _DEPENDING and self.scheduler.cur >= 0 and SHARED_RANDOM not in access_log.site_table.named:
            access_log.site_table.named |= {SHARED_RANDOM}
            access_log.learned.add(site)
        if SHARED_RANDOM in access_log.site_table.named:
            return self._of(_SHARED, 0)
        if self.scheduler.cur < 0:
            return self._of(_MAIN, _MAIN)
        self.registry.has_identity = True
        self.registry.virtual.setdefault("random", _RANDOM)
        task = self.scheduler.outer[self.scheduler.cur]
        return self._of(task, task)

    def _of(self, whose: object, seed: int | str) -> random.Random:
        """One of the generators of this execution. Making it is no affair of the task."""
        found = self.draws.get(whose)
        if found is None:
            cur, self.scheduler.cur = self.scheduler.cur, -1
            found = self.draws[whose] = random.Random(seed)  # noqa: S311  # repeatable on purpose
            self.scheduler.cur = cur
        return found

    def method(self, name: str) -> Any:
        """A model of one of the module's functions that is made in C."""

        def draw(registry: ModelRegistry, site: Site, *arguments: Any) -> Any:
            method = getattr(self._generator(site, name), name)
            return (registry.call(site, method) if registry.scheduler.cur >= 0 else method)(*arguments)

        return draw

    def random_bytes(self, _registry: ModelRegistry, _site: Site, size: int) -> bytes:
        """os.urandom, and so `uuid4` and `secrets`."""
        task = _MAIN
        if self.scheduler.cur >= 0:
            self.registry.has_identity = True
            task = self.scheduler.outer[self.scheduler.cur]
        return self._of(("bytes", task), f"bytes {task}").getrandbits(8 * size).to_bytes(size, "little")

    def of_instance(self, _registry: ModelRegistry, site: Site, method: Any) -> Any:
        """A C method of a generator that is no hidden one."""
        name = method.__name__
        if name in ("random", "getrandbits", "seed", "setstate", "getstate") and self.scheduler.cur >= 0:
            self.registry.access_log.touch(site, int(name != "getstate"), method.__self__, None)
        if name == "seed":
            return lambda given=None: method(_seed(self) if given is None else given)
        return method


def _seed(chance: Chance) -> int:
    return int.from_bytes(chance.random_bytes(chance.registry, None, 8), "big")  # type: ignore[arg-type]


def install(registry: ModelRegistry) -> None:
    """Model the hidden generator, generators, and what the system calls random."""
    chance = Chance(registry)
    registry.redirected[id(_HIDDEN)] = _HIDDEN
    registry.redirect = chance.redirect
    for name in ("random", "getrandbits"):
        registry.models[id(getattr(random, name))] = chance.method(name)
        registry.outside_tasks[id(getattr(random, name))] = chance.method(name)
    registry.models[id(os.urandom)] = registry.outside_tasks[id(os.urandom)] = chance.random_bytes
    registry.type_models[random.Random] = chance.of_instance
