"""concurrent.futures: a pool's calls as tasks, futures as objects with one event an operation.

Stepped through, a pool of two threads and two calls is more than a thousand interleavings of its own queue and
locks; here it is a start and an end a call. How many calls run at once matters only once more are submitted than
there are workers: until an execution shows that, calls don't contend for workers.
"""

from __future__ import annotations

import concurrent.futures as futures_
import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import thread as thread_
from typing import Any

from whilst.checking.engine.events import Op
from whilst.checking.engine.operations import Sync
from whilst.checking.engine.sites import Site
from whilst.checking.observe.registry import ModelRegistry

_Future = futures_.Future[Any]
_ANY_OF = "futures:any of several"  # among the names of points: somebody waits for the first of several futures
_OVER = ("FINISHED", "CANCELLED", "CANCELLED_AND_NOTIFIED")


def _is_true(state: object) -> bool:
    """What other events on the same thing measure is no answer to whether a call may start."""
    return state is True


class _Pool:
    """What the model keeps of one executor."""

    __slots__ = ("active", "is_limited", "open", "queue", "workers")

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.active = 0
        self.open = 0
        self.queue: deque[int] = deque()
        self.is_limited = False


class Futures:
    """The futures and pools of the running execution."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry = registry
        self.scheduler = registry.scheduler
        self.over: dict[int, _Future] = {}
        self.pools: dict[int, _Pool] = {}
        self.submitted: dict[int, list[_Future]] = {}
        self.calling: dict[int, bool] = {}  # by future with callbacks: has the worker called all of them?
        registry.empty_each_time(self.over, self.pools, self.submitted, self.calling)

    def measure(self) -> frozenset[int]:
        """Which futures are over."""
        return frozenset(self.over)

    def touch(self, site: Site, future: Any, kind: Op, *, writes: bool, more: tuple[Any, ...] = ()) -> None:
        """One operation on a future that does not wait."""
        self._note(future)
        sync = Sync(kind, self.measure, writes=int(writes), more=more)
        self.scheduler.step((2, id(future), None, site, future, sync))

    def _note(self, future: Any) -> None:
        """A future that was over before the check, or in setup."""
        if future._state in _OVER:  # the model works on the real object's state
            self.over[id(future)] = future

    def await_one(self, site: Site, future: Any, timeout: float | None) -> bool:
        """Until it is over; False when the time was out first."""
        self._note(future)
        is_patient = timeout is None
        kind = Op.JOIN if is_patient else Op.TRY
        sync = Sync(kind, self.measure, lambda over: id(future) in over, blocks=is_patient, writes=0)
        self.scheduler.step((2, id(future), None, site, future, sync))
        return id(future) in self.over

    def await_any(self, site: Site, waited: list[Any], timeout: float | None) -> bool:
        """Until one of them is over."""
        for future in waited:
            self._note(future)
        site_table = self.registry.access_log.site_table
        if len(waited) > 1 and _ANY_OF not in site_table.named:
            site_table.named |= {_ANY_OF}
            self.registry.access_log.learned.add(site)
        ids = frozenset(id(future) for future in waited)
        is_patient = timeout is None
        more = tuple((id(future), None, False) for future in waited[1:])
        sync = Sync(
            Op.JOIN if is_patient else Op.TRY,
            self.measure,
            lambda over: not ids.isdisjoint(over),
            blocks=is_patient,
            writes=0,
            more=more,
        )
        self.scheduler.step((2, id(waited[0]), None, site, waited[0], sync))
        return not ids.isdisjoint(self.over)

    def finish(self, site: Site, future: Any, change: Callable[[], Any], more: tuple[Any, ...] = ()) -> Any:
        """The event that ends a future, then what it does: setting the result, calling the callbacks."""
        sync = Sync(Op.RELEASE, self.measure, more=more + self._before_others())
        self.scheduler.step((2, id(future), None, site, future, sync))
        self.over[id(future)] = future
        return change()

    def _before_others(self) -> tuple[Any, ...]:
        """Which of them is over first matters only to who waits for any of several; whether somebody does is learnt."""
        return ((_ANY_OF, None, True),) if _ANY_OF in self.registry.access_log.site_table.named else ()

    # ------------------------------------------------------------------ pools

    def submit(self, _registry: ModelRegistry, site: Site, pool: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Executor.submit: a task that may start at once."""
        return self.submit_to(site, pool, pool._shutdown, functools.partial(fn, *args, **kwargs))

    def submit_to(self, site: Site, pool: Any, is_over: bool, call: Any) -> Any:
        """A call without arguments in a pool of any kind."""
        if is_over:
            raise RuntimeError("cannot schedule new futures after shutdown")
        known = self.pools.setdefault(id(pool), _Pool(pool._max_workers))
        self.scheduler.keep.append(pool)
        future: _Future = futures_.Future()
        self.submitted.setdefault(id(pool), []).append(future)
        known.is_limited = known.is_limited or site.how.get(_Pool) == "limited"
        known.open += 1
        if known.open > known.workers and not known.is_limited:
            self.registry.access_log.site_table.inform(site, _Pool, "limited")
            self.registry.access_log.learned.add(site)
        start = (id(future), "start")  # apart from the future: a call may start while another thread cancels it
        self.touch(site, future, Op.START, writes=True, more=((start, None, True),))
        run = functools.partial(self._run, site, (pool, known), future, call)
        more: tuple[Any, ...] = ((id(pool), None, True),) if known.is_limited else ()
        known.queue.append(id(future))
        begin = Sync(Op.START, lambda: self._may_start(known, future), _is_true, blocks=True, more=more)
        self.scheduler.spawn(run, (2, start, None, site, future, begin))
        return future

    @staticmethod
    def _may_start(known: _Pool, future: _Future) -> bool:
        return not known.is_limited or (known.active < known.workers and known.queue[0] == id(future))

    def _run(self, site: Site, where: tuple[Any, _Pool], future: _Future, call: Any) -> Any:
        pool, known = where
        if id(future) in known.queue:
            known.queue.remove(id(future))
        known.active += 1
        more: tuple[Any, ...] = ((id(pool), None, True),) if known.is_limited else ()
        change: Callable[[], Any]
        try:
            self.touch(site, future, Op.ACQUIRE, writes=True)
            if not future.set_running_or_notify_cancel():
                return None
            try:
                if isinstance(call, functools.partial):
                    value = self.registry.call(site, call.func, *call.args[:2])(*call.args, **call.keywords)
                else:
                    value = call()
                change = functools.partial(future.set_result, value)
            except Exception as error:  # it belongs to whoever asks the future
                change = functools.partial(future.set_exception, error)
            self.finish(site, future, self._calling_back(site, future, change), more)
        finally:
            known.active -= 1
            known.open -= 1

    def _calling_back(self, site: Site, future: Any, change: Callable[[], Any]) -> Callable[[], Any]:
        """`change` calls the callbacks, while who waits for the future goes on; the pool waits for them, too."""

        def call() -> Any:
            if not future._done_callbacks:
                return change()
            self.calling[id(future)] = False
            try:
                return change()
            finally:
                self.scheduler.step(
                    (2, *self._end_of(future), site, future, Sync(Op.RELEASE, self._has_called(future)))
                )
                self.calling[id(future)] = True

        return call

    @staticmethod
    def _end_of(future: _Future) -> tuple[object, object]:
        return (id(future), "called back"), None

    def _has_called(self, future: _Future) -> Callable[[], bool]:
        return lambda: self.calling.get(id(future), True)

    def map(
        self, registry: ModelRegistry, site: Site, pool: Any, fn: Any, *iterables: Any, timeout: Any = None, **_: Any
    ) -> Iterator[Any]:
        """Executor.map."""
        del timeout
        started = [self.submit(registry, site, pool, fn, *args) for args in zip(*iterables, strict=False)]

        def results() -> Iterator[Any]:
            for future in started:
                yield self.result(registry, site, future)

        return results()

    def shutdown(
        self, _registry: ModelRegistry, site: Site, pool: Any, wait: bool = True, *, cancel_futures: bool = False
    ) -> None:
        """Executor.shutdown."""
        pool._shutdown = True
        self.end_pool(site, pool, wait=wait, cancel_futures=cancel_futures)

    def end_pool(self, site: Site, pool: Any, *, wait: bool, cancel_futures: bool) -> None:
        """Cancel what has not begun, wait for the rest."""
        for future in self.submitted.get(id(pool), ()):
            if cancel_futures:
                self.cancel(self.registry, site, future)
            if wait:
                self.await_one(site, future, None)
                if id(future) in self.calling:
                    over = Sync(Op.JOIN, self._has_called(future), bool, blocks=True, writes=0)
                    self.scheduler.step((2, *self._end_of(future), site, future, over))

    def leave(self, registry: ModelRegistry, site: Site, pool: Any, *_details: object) -> bool:
        """The end of a `with` over an executor."""
        registry.call(site, pool.shutdown)()
        return False

    # ------------------------------------------------------------------ futures

    def result(self, _registry: ModelRegistry, site: Site, future: Any, timeout: float | None = None) -> Any:
        """Future.result."""
        if not self.await_one(site, future, timeout):
            raise TimeoutError
        return future.result(0)

    def exception(self, _registry: ModelRegistry, site: Site, future: Any, timeout: float | None = None) -> Any:
        """Future.exception."""
        if not self.await_one(site, future, timeout):
            raise TimeoutError
        return future.exception(0)

    def look(self, name: str) -> Callable[..., Any]:
        """done, running, cancelled."""

        def model(_registry: ModelRegistry, site: Site, future: Any) -> Any:
            self.touch(site, future, Op.READ, writes=False)
            return getattr(future, name)()

        return model

    def cancel(self, _registry: ModelRegistry, site: Site, future: Any) -> bool:
        """Future.cancel."""
        self.touch(site, future, Op.WRITE, writes=True, more=self._before_others())
        done = bool(future.cancel())
        self._note(future)
        return done

    def add_done_callback(self, registry: ModelRegistry, site: Site, future: Any, callback: Any) -> None:
        """Future.add_done_callback."""
        registry.admit_value(callback)
        self.touch(site, future, Op.WRITE, writes=True)
        future.add_done_callback(callback)

    def end(self, name: str) -> Callable[..., Any]:
        """set_result, set_exception, set_running_or_notify_cancel by the user's own code."""

        def model(_registry: ModelRegistry, site: Site, future: Any, *args: Any) -> Any:
            return self.finish(site, future, functools.partial(getattr(future, name), *args))

        return model

    def wait(
        self,
        _registry: ModelRegistry,
        site: Site,
        fs: Iterable[Any],
        timeout: Any = None,
        return_when: str = "ALL_COMPLETED",
    ) -> Any:
        """concurrent.futures.wait."""
        waited = list(dict.fromkeys(fs))
        if return_when == futures_.ALL_COMPLETED:
            for future in waited:
                if not self.await_one(site, future, timeout):
                    break
        elif waited:
            self.await_any(site, waited, timeout)
        done = {future for future in waited if id(future) in self.over}
        if return_when == futures_.FIRST_EXCEPTION:
            while len(done) < len(waited) and not any(not f.cancelled() and f.exception(0) for f in done):
                if not self.await_any(site, [f for f in waited if f not in done], timeout):
                    break
                done = {future for future in waited if id(future) in self.over}
        return futures_._base.DoneAndNotDoneFutures(done, set(waited) - done)

    def as_completed(
        self, _registry: ModelRegistry, site: Site, fs: Iterable[Any], timeout: float | None = None
    ) -> Iterator[Any]:
        """concurrent.futures.as_completed."""
        left = list(dict.fromkeys(fs))
        while left:
            if not self.await_any(site, left, timeout):
                raise TimeoutError(f"{len(left)} futures unfinished")
            done = [future for future in left if id(future) in self.over]
            yield from done
            left = [future for future in left if future not in done]


def install(registry: ModelRegistry) -> None:
    """Model thread pools and futures."""
    model = Futures(registry)
    registry.futures = model
    pool, future = thread_.ThreadPoolExecutor, futures_.Future
    table: list[tuple[object, Any]] = [
        (pool.submit, model.submit),
        (pool.shutdown, model.shutdown),
        (futures_.Executor.map, model.map),
        (futures_.Executor.__enter__, lambda _registry, _site, executor: executor),
        (futures_.Executor.__exit__, model.leave),
        (future.result, model.result),
        (future.exception, model.exception),
        (future.cancel, model.cancel),
        (future.add_done_callback, model.add_done_callback),
        (futures_.wait, model.wait),
        (futures_.as_completed, model.as_completed),
    ]
    for name in ("done", "running", "cancelled"):
        table.append((getattr(future, name), model.look(name)))
    for name in ("set_result", "set_exception"):
        table.append((getattr(future, name), model.end(name)))
    registry.add_models(table)
