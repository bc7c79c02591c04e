"""ProcessPoolExecutor: a call in another process is made once for each different argument, in a fork, and remembered.

Such a call sees copies, and what it changes stays behind, so its result depends on what it was given alone (which the
verdict lists as assumed). When it starts and ends is up to the schedule, as with threads.
"""

from __future__ import annotations

import concurrent.futures.process as process_
import os
import pickle
import warnings
from typing import Any

from whilst.checking.engine.events import Assumption
from whilst.checking.engine.sites import Site
from whilst.checking.observe.registry import ModelRegistry

_ASSUMED = Assumption("calls in a ProcessPoolExecutor", "the same result for the same arguments")


class Processes:
    """What calls in other processes came to."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry = registry
        self._known: dict[bytes, bytes] = {}  # over all executions

    def submit(self, registry: ModelRegistry, site: Site, pool: Any, fn: Any, /, *args: Any, **keywords: Any) -> Any:
        """ProcessPoolExecutor.submit."""
        return registry.futures.submit_to(site, pool, pool._shutdown_thread, self.remote(pool, fn, *args, **keywords))

    def remote(self, pool: Any, fn: Any, /, *args: Any, **keywords: Any) -> _Remote:
        """A call to be made in a process of that pool."""
        self.registry.virtual.setdefault("processes", _ASSUMED)
        start = (pool._initializer, pool._initargs) if getattr(pool, "_initializer", None) else None
        return _Remote(self, start, fn, args, keywords)

    def shutdown(
        self, registry: ModelRegistry, site: Site, pool: Any, wait: bool = True, *, cancel_futures: bool = False
    ) -> Any:
        """ProcessPoolExecutor.shutdown."""
        pool._shutdown_thread = True
        registry.futures.end_pool(site, pool, wait=wait, cancel_futures=cancel_futures)

    def map(self, registry: ModelRegistry, site: Site, pool: Any, fn: Any, *iterables: Any, **_: Any) -> Any:
        """ProcessPoolExecutor.map."""
        started = [self.submit(registry, site, pool, fn, *args) for args in zip(*iterables, strict=False)]
        return (registry.futures.result(registry, site, future) for future in started)

    def call(self, asked: bytes) -> Any:
        """The result of a call, or its exception raised."""
        if asked not in self._known:
            self._known[asked] = self._forked(asked)
        value, error = pickle.loads(self._known[asked])
        if error is not None:
            raise error
        return value

    def _forked(self, asked: bytes) -> bytes:
        ours, theirs = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the other thread, a watchdog, holds nothing
            child = os.fork()
        if not child:
            try:
                self.registry.scheduler.cur = -1  # what runs here is not checked
                os.close(ours)
                with os.fdopen(theirs, "wb") as out:
                    out.write(_answer(asked))
            finally:
                os._exit(0)
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            answer = pipe.read()
        os.waitpid(child, 0)
        if not answer:
            broken = process_.BrokenProcessPool("A process in the process pool was terminated abruptly")
            return pickle.dumps((None, broken))
        return answer


class _Remote:
    """A call to be made in another process: the result that its future shall have."""

    def __init__(self, processes: Processes, start: Any, fn: Any, args: Any, keywords: Any) -> None:
        self._processes, self._call = processes, (start, fn, args, keywords)

    def __call__(self) -> Any:
        return self._processes.call(pickle.dumps(self._call))


def _answer(asked: bytes) -> bytes:
    try:
        start, fn, args, keywords = pickle.loads(asked)
        if start is not None:
            start[0](*start[1])
        return pickle.dumps((fn(*args, **keywords), None))
    except BaseException as error:
        return pickle.dumps((None, error))


def install(registry: ModelRegistry) -> None:
    """Model `ProcessPoolExecutor`."""
    if not hasattr(os, "fork"):
        return
    model = Processes(registry)
    registry.remote = model.remote
    pool = process_.ProcessPoolExecutor
    registry.models[id(pool.submit)] = model.submit
    registry.models[id(pool.shutdown)] = model.shutdown
    registry.models[id(pool.map)] = model.map
