"""Thread (started inside a task), Timer, join, identities, thread-local data."""

from __future__ import annotations

import _thread
import functools
import threading
from collections.abc import Callable
from typing import Any

from whilst.checking.engine.events import Op
from whilst.checking.engine.operations import Sync
from whilst.checking.engine.sites import Site
from whilst.checking.observe.registry import ModelRegistry

_FIRST_IDENT = 1_000_000
_STARTERS = [name for name in ("_start_new_thread", "_start_joinable_thread") if hasattr(threading, name)]


class Finish:
    """Whether a started task has come to its end; its waiters wait for this object."""

    __slots__ = ("error", "is_over", "value")

    def __init__(self) -> None:
        self.is_over = False
        self.value: Any = None
        self.error: BaseException | None = None

    def measure(self) -> bool:
        """What a join asks."""
        return self.is_over


class Threads:
    """Which Thread object stands for which task, in the running execution."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry = registry
        self.scheduler = registry.scheduler
        self.of_task: dict[int, threading.Thread] = {}
        self.finish: dict[int, Finish] = {}  # id of Thread -> Finish
        self.started: dict[int, int] = {}  # id of Thread -> task
        self.made: dict[int, int] = {}  # task -> how many threads without a name it has made
        self._counter: Callable[[], int] | None = None
        self._starters: dict[str, Callable[..., Any]] = {}
        self._ident = 0
        registry.empty_each_time(self.of_task, self.finish, self.started, self.made)

    def take_over(self) -> None:
        """Number threads that tasks make, and start those alone that are modelled, until `restore`."""
        self._ident = _thread.get_ident()
        if self._counter is None:
            module: Any = threading
            self._counter, module._counter = module._counter, self._next_number
            for name in _STARTERS:
                self._starters[name] = start = getattr(module, name)
                setattr(module, name, functools.partial(self._start_for_real, start))

    def restore(self) -> None:
        """Let names be counted by the process again."""
        if self._counter is not None:
            module: Any = threading
            module._counter, self._counter = self._counter, None
            for name, start in self._starters.items():
                setattr(module, name, start)

    def _start_for_real(self, start: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """A thread that code which is left alone starts in a task: nobody could say when it does what."""
        if self.scheduler.cur >= 0 and _thread.get_ident() == self._ident:
            self.scheduler.unmodelled = "a thread that the standard library starts by itself"
            raise RuntimeError(self.scheduler.unmodelled)
        return start(*arguments, **keywords)

    def _next_number(self) -> int:
        """What "Thread-1" and the like are numbered by: the same in every interleaving."""
        task = self.scheduler.cur
        self.made[task] = number = self.made.get(task, 0) + 1
        if task < 0:
            return number
        self.registry.has_identity = True
        return (self.scheduler.outer[task] + 1) * 1_000 + number

    def spawn(
        self, site: Site, body: Callable[[], Any], name: object, *, is_daemon: bool = False
    ) -> tuple[int, Finish]:
        """Start a task that runs `body`; two events: the parent's start of it, the child's own beginning."""
        scheduler = self.scheduler
        finish = Finish()
        scheduler.keep.append((finish, name))
        scheduler.step((2, id(finish), "start", site, name, Sync(Op.START, lambda: False)))

        def run() -> Any:
            try:
                finish.value = body()
            except Exception as error:
                finish.error = error
                raise
            finally:
                if not scheduler.is_killing:
                    scheduler.step((2, id(finish), "end", site, name, Sync(Op.RELEASE, finish.measure)))
                    finish.is_over = True
            return finish.value

        begin = Sync(Op.START, lambda: True, bool, blocks=True, writes=0)
        task = scheduler.spawn(run, (2, id(finish), "start", site, name, begin))
        if is_daemon:
            scheduler.daemons.add(task)
        return task, finish

    def start(self, _registry: ModelRegistry, site: Site, thread: Any) -> None:
        """Thread.start."""
        if not thread._initialized:  # the model works on the real object's state
            raise RuntimeError("thread.__init__() not called")
        if id(thread) in self.started or thread._started.is_set():
            raise RuntimeError("threads can only be started once")
        run = type(thread).run
        body: Callable[[], Any] = thread.run
        if run is threading.Timer.run:
            body = functools.partial(self._run_timer, site, thread)
        elif run is threading.Thread.run:
            body = functools.partial(self._run_target, site, thread)
        else:
            self.registry.admit_value(run)
        self.started[id(thread)] = -1
        task, finish = self.spawn(site, body, thread, is_daemon=thread.daemon)
        self.started[id(thread)] = task
        self.finish[id(thread)] = finish
        self.of_task[task] = thread
        thread._ident = _FIRST_IDENT + self.scheduler.outer[task]
        thread._started._flag = True

    def _run_target(self, site: Site, thread: Any) -> None:
        target = thread._target
        if target is not None:
            arguments, keywords = thread._args, thread._kwargs
            self.registry.call(site, target, *arguments[:2])(*arguments, **keywords)

    def _run_timer(self, site: Site, timer: Any) -> None:
        """It goes off at any moment after its start, unless it was cancelled before."""
        from whilst.checking.models.signals import wait_event

        if not wait_event(self.registry, site, timer.finished, timer.interval):
            self.registry.call(site, timer.function, *timer.args[:2])(*timer.args, **timer.kwargs)
        self.registry.call(site, timer.finished.set)()

    def cancel(self, registry: ModelRegistry, site: Site, timer: Any) -> None:
        """Timer.cancel."""
        registry.call(site, timer.finished.set)()

    def join(self, _registry: ModelRegistry, site: Site, thread: Any, timeout: float | None = None) -> None:
        """Thread.join."""
        finish = self.finish.get(id(thread))
        if finish is None:
            if id(thread) not in self.started and not thread._started.is_set():
                raise RuntimeError("cannot join thread before it is started")
            return
        if self.started.get(id(thread)) == self.scheduler.cur:
            raise RuntimeError("cannot join current thread")
        self.wait(site, finish, thread, timeout)

    def wait(self, site: Site, finish: Finish, thing: object, timeout: float | None) -> bool:
        """Until a started task is over; False when the time was out first."""
        is_patient = timeout is None
        kind = Op.JOIN if is_patient else Op.TRY
        sync = Sync(kind, finish.measure, bool, blocks=is_patient, writes=0)
        self.scheduler.step((2, id(finish), "end", site, thing, sync))
        return finish.is_over

    def is_alive(self, _registry: ModelRegistry, site: Site, thread: Any) -> bool:
        """Thread.is_alive."""
        finish = self.finish.get(id(thread))
        if finish is None:
            return bool(thread.is_alive())
        sync = Sync(Op.READ, finish.measure, writes=0)
        self.scheduler.step((2, id(finish), "end", site, thread, sync))
        return not finish.is_over

    def ident(self, _registry: ModelRegistry, _site: Site) -> int:
        """threading.get_ident."""
        self.registry.has_identity = True
        return _FIRST_IDENT + self.scheduler.outer[self.scheduler.cur]

    def current(self, _registry: ModelRegistry, _site: Site) -> threading.Thread:
        """threading.current_thread."""
        self.registry.has_identity = True
        task = self.scheduler.cur
        thread = self.of_task.get(task)
        if thread is None:
            thread = threading.Thread(name=f"task-{task}")
            thread._ident = _FIRST_IDENT + self.scheduler.outer[task]  # type: ignore[attr-defined]  # a task has no thread of its own
            thread._started._flag = True  # type: ignore[attr-defined]
            self.of_task[task] = thread
        return thread


def install(registry: ModelRegistry) -> None:
    """Model `threading.Thread` and what tells threads apart."""
    threads = Threads(registry)
    registry.threads = threads
    table: list[tuple[object, Any]] = [
        (threading.Thread.start, threads.start),
        (threading.Thread.join, threads.join),
        (threading.Thread.is_alive, threads.is_alive),
        (threading.Timer.cancel, threads.cancel),
        (threading.current_thread, threads.current),
        (_thread.get_ident, threads.ident),
        (threading.get_ident, threads.ident),
        (threading.get_native_id, threads.ident),
    ]
    registry.add_models(table)
