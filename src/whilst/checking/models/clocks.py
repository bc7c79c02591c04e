"""Time, sleep and chance: virtual, so that an execution depends on its choices alone.

A sleep is no event: it takes no time, and whether others go on meanwhile is the scheduler's business anyway. Each
task has a clock of its own that only its own sleeps and looks move; a clock for all would be one more shared
thing, and every look at it an access. The module-level functions of `random` draw from a generator a task.
"""

from __future__ import annotations

import random
import time
import types
from typing import Any

from whilst.checking.engine.events import Assumption
from whilst.checking.engine.sites import Site
from whilst.checking.observe.registry import ModelRegistry

__all__ = ["Clocks", "install"]

_EPOCH_NS = 1_700_000_000_000_000_000
_TICK_NS = 1_000  # how much later it is at every look

_TIME = Assumption("time", "a clock of its own for each task, moved by its own sleeps and looks alone")
_RANDOM = Assumption("random", "the same draws in every interleaving, from a generator for each task")


class Clocks:
    """One clock and one random generator a task, in the running execution."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry = registry
        self.scheduler = registry.scheduler
        self.now_ns: dict[int, int] = {}
        self.draws: dict[int, random.Random] = {}

    def begin(self) -> None:
        """A new execution."""
        self.now_ns.clear()
        self.draws.clear()

    def sleep(self, _registry: ModelRegistry, _site: Site, seconds: float) -> None:
        """time.sleep."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        task = self.scheduler.cur
        self.now_ns[task] = self.now_ns.get(task, 0) + int(seconds * 1e9)

    def look(self) -> int:
        """Nanoseconds since the start of the execution, on the running task's clock."""
        self.registry.virtual.setdefault("time", _TIME)
        task = self.scheduler.cur
        self.now_ns[task] = now = self.now_ns.get(task, 0) + _TICK_NS
        return now

    def generator(self) -> random.Random:
        """The running task's stand-in for the hidden generator behind `random.random` and its kin."""
        self.registry.has_identity = True
        self.registry.virtual.setdefault("random", _RANDOM)
        task = self.scheduler.outer[self.scheduler.cur]
        found = self.draws.get(task)
        if found is None:
            found = self.draws[task] = random.Random(task)  # noqa: S311  # repeatable on purpose
        return found


def install(registry: ModelRegistry) -> None:
    """Model `time` and the module-level functions of `random`."""
    clocks = Clocks(registry)
    registry.clocks = clocks
    models = registry.models
    models[id(time.sleep)] = clocks.sleep
    for function in (time.monotonic, time.perf_counter, time.process_time, time.thread_time):
        models[id(function)] = lambda _registry, _site: clocks.look() / 1e9
    for function in (time.monotonic_ns, time.perf_counter_ns, time.process_time_ns, time.thread_time_ns):
        models[id(function)] = lambda _registry, _site: clocks.look()
    models[id(time.time)] = lambda _registry, _site: (_EPOCH_NS + clocks.look()) / 1e9
    models[id(time.time_ns)] = lambda _registry, _site: _EPOCH_NS + clocks.look()
    hidden = random.random.__self__  # type: ignore[attr-defined]  # the instance behind the module's functions
    registry.redirected[id(hidden)] = clocks.generator
    for name in ("random", "getrandbits"):

        def draw(_registry: ModelRegistry, _site: Site, *arguments: Any, _name: str = name) -> Any:
            return getattr(clocks.generator(), _name)(*arguments)

        models[id(getattr(random, name))] = draw
    registry.redirect = lambda method: types.MethodType(method.__func__, clocks.generator())
