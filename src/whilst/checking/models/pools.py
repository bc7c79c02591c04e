"""`multiprocessing.pool.ThreadPool`: its calls are tasks of the check, as those of a ThreadPoolExecutor are.

Making one starts threads at once, so that a stand-in is made which has none. Pools of processes run as they are: what
happens in another process is no business of the tasks.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing.pool as pool_
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from whilst.checking.engine.sites import Site
from whilst.checking.observe.registry import ModelRegistry

_WORKERS = 4  # where the number is left to the machine


class _Result:
    """As AsyncResult."""

    def __init__(self, wait: Callable[[Any, float | None], Any], futures: list[Any], *, is_single: bool) -> None:
        self._wait, self._futures, self._is_single = wait, futures, is_single

    def get(self, timeout: float | None = None) -> Any:
        values = [self._wait(future, timeout) for future in self._futures]
        return values[0] if self._is_single else values

    def wait(self, timeout: float | None = None) -> None:
        for future in self._futures:
            with contextlib.suppress(Exception):  # of the call: `get` raises it
                self._wait(future, timeout)

    def ready(self) -> bool:
        return all(future.done() for future in self._futures)

    def successful(self) -> bool:
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return all(future.exception(0) is None for future in self._futures)


class Pools:
    """What stands for each ThreadPool of the running execution."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry = registry
        self.executors: dict[int, ThreadPoolExecutor] = {}
        registry.empty_each_time(self.executors)

    def make(
        self,
        registry: ModelRegistry,
        site: Site,
        processes: int | None = None,
        initializer: Any = None,
        initargs: Any = (),
    ) -> Any:
        """ThreadPool()."""
        pool: Any = object.__new__(pool_.ThreadPool)
        pool._state = "CLOSE"  # its `__del__` asks nothing more
        pool._pool, pool._processes = [], processes or _WORKERS
        self._executor(pool)
        for _ in range(pool._processes if initializer is not None else 0):
            registry.call(site, initializer, *initargs[:2])(*initargs)
        return pool

    def _executor(self, pool: Any) -> ThreadPoolExecutor:
        known = self.executors.get(id(pool))
        if known is None:
            self.registry.scheduler.keep.append(pool)
            known = self.executors[id(pool)] = ThreadPoolExecutor(pool._processes)
        return known

    def start(
        self, site: Site, pool: Any, calls: Iterable[functools.partial[Any]], *, is_single: bool, then: Any = None
    ) -> _Result:
        """Start calls; `then` is called with what they came to, by whichever is the last."""
        registry, executor = self.registry, self._executor(pool)
        values: dict[int, Any] = {}
        every = list(calls)

        def run(at: int, call: functools.partial[Any]) -> Any:
            value = registry.call(site, call.func, *call.args[:2])(*call.args, **call.keywords)
            values[at] = value
            if then is not None and len(values) == len(every):
                registry.call(site, then)(value if is_single else [values[k] for k in range(len(every))])
            return value

        futures = [
            registry.futures.submit(registry, site, executor, functools.partial(run, at, call))
            for at, call in enumerate(every)
        ]
        return _Result(functools.partial(self._wait, site), futures, is_single=is_single)

    def _wait(self, site: Site, future: Any, timeout: float | None) -> Any:
        return self.registry.futures.result(self.registry, site, future, timeout)

    # ------------------------------------------------------------------ its methods

    def apply(self, _: ModelRegistry, site: Site, pool: Any, func: Any, args: Any = (), kwds: Any = None) -> Any:
        return self.apply_async(_, site, pool, func, args, kwds).get()

    def apply_async(
        self,
        _: ModelRegistry,
        site: Site,
        pool: Any,
        func: Any,
        args: Any = (),
        kwds: Any = None,
        callback: Any = None,
        **__: Any,
    ) -> _Result:
        return self.start(site, pool, [functools.partial(func, *args, **kwds or {})], is_single=True, then=callback)

    def map(self, _: ModelRegistry, site: Site, pool: Any, func: Any, iterable: Any, chunksize: Any = None) -> Any:
        return self.starmap(_, site, pool, func, zip(iterable), chunksize)

    def map_async(
        self, _: ModelRegistry, site: Site, pool: Any, func: Any, iterable: Any, *how: Any, **named: Any
    ) -> _Result:
        return self.starmap_async(_, site, pool, func, zip(iterable), *how, **named)

    def starmap(self, _: ModelRegistry, site: Site, pool: Any, func: Any, iterable: Any, chunksize: Any = None) -> Any:
        return self.starmap_async(_, site, pool, func, iterable, chunksize).get()

    def starmap_async(
        self,
        _: ModelRegistry,
        site: Site,
        pool: Any,
        func: Any,
        iterable: Any,
        _chunksize: Any = None,
        callback: Any = None,
        **__: Any,
    ) -> _Result:
        calls = [functools.partial(func, *each) for each in iterable]
        return self.start(site, pool, calls, is_single=False, then=callback)

    def imap(
        self, _: ModelRegistry, site: Site, pool: Any, func: Any, iterable: Any, chunksize: int = 1
    ) -> Iterator[Any]:
        del chunksize
        started = self.start(site, pool, [functools.partial(func, each) for each in iterable], is_single=False)
        return (self._wait(site, future, None) for future in started._futures)

    def imap_unordered(
        self, registry: ModelRegistry, site: Site, pool: Any, func: Any, iterable: Any, chunksize: int = 1
    ) -> Iterator[Any]:
        del chunksize
        started = self.start(site, pool, [functools.partial(func, each) for each in iterable], is_single=False)
        return (future.result(0) for future in registry.futures.as_completed(registry, site, started._futures))

    def close(self, _: ModelRegistry, _site: Site, pool: Any) -> None:
        self._executor(pool)._shutdown = True

    def join(self, _: ModelRegistry, site: Site, pool: Any) -> None:
        self.registry.futures.end_pool(site, self._executor(pool), wait=True, cancel_futures=False)

    def terminate(self, _: ModelRegistry, site: Site, pool: Any) -> None:
        self._executor(pool)._shutdown = True
        self.registry.futures.end_pool(site, self._executor(pool), wait=True, cancel_futures=True)

    def enter(self, _: ModelRegistry, _site: Site, pool: Any) -> Any:
        return pool

    def leave(self, _: ModelRegistry, site: Site, pool: Any, *_details: object) -> None:
        self.terminate(_, site, pool)


_METHODS = """
    apply apply_async map map_async starmap starmap_async imap imap_unordered close join terminate
"""


def install(registry: ModelRegistry) -> None:
    """Model `ThreadPool`."""
    pools = Pools(registry)
    registry.models[id(pool_.ThreadPool)] = pools.make

    def of_threads(function: Any, model: Any) -> None:
        def call(registry: ModelRegistry, site: Site, pool: Any, *arguments: Any, **keywords: Any) -> Any:
            if isinstance(pool, pool_.ThreadPool):
                return model(registry, site, pool, *arguments, **keywords)
            return function(pool, *arguments, **keywords)

        registry.models[id(function)] = call

    kind: Any = pool_.Pool
    for name in _METHODS.split():
        of_threads(getattr(kind, name), getattr(pools, name))
    of_threads(kind.__enter__, pools.enter)
    of_threads(kind.__exit__, pools.leave)
