"""`asyncio.run` and its kin in a task that is a plain function: an event loop of the task's own.

All tasks are greenlets of one thread, for which asyncio knows one running loop at a time, and from CPython 3.14 on one
current task. So, while there is a loop besides that of the coroutine tasks, every switch between greenlets makes the
loop of the task that goes on the running one, and what it was in the midst of the current task.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

import greenlet

from whilst.checking.engine.sites import Site
from whilst.checking.observe.registry import ModelRegistry
from whilst.inspecting.cpython import HAS_ONE_CURRENT_TASK

if TYPE_CHECKING:
    from whilst.checking.models.coroutines.eventloop import VirtualLoop


class Loops:
    """The loops that tasks run for themselves."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry
        self._depth = 0
        self._current: dict[Any, Any] = {}  # of loops that are not the running one: the current task

    def run(self, _registry: ModelRegistry, site: Site, main: Any, **_: Any) -> Any:
        """asyncio.run."""
        return self._run(self._new(site), main, "asyncio.run()")

    def run_in_runner(self, _registry: ModelRegistry, site: Site, _runner: Any, main: Any, **_: Any) -> Any:
        """asyncio.Runner.run; a loop for each, since what a loop remembers between two runs is next to nothing."""
        return self._run(self._new(site), main, "Runner.run()")

    def new(self, _registry: ModelRegistry, site: Site) -> Any:
        """asyncio.new_event_loop, which is then asked to `run_until_complete`."""
        loop = self._new(site)
        loop.run_until_complete = functools.partial(self._run, loop, name="run_until_complete()")
        loop.close = loop.shutdown_asyncgens = loop.shutdown_default_executor = _nothing
        return loop

    def _new(self, site: Site) -> VirtualLoop:
        from whilst.checking.models.coroutines.eventloop import VirtualLoop

        return VirtualLoop(self._registry, site)

    def _run(self, loop: VirtualLoop, main: Coroutine[Any, Any, Any], name: str) -> Any:
        import asyncio

        if self._loop_of(self._registry.scheduler.cur) is not None:
            main.close()
            raise RuntimeError(f"{name} cannot be called from a running event loop")
        if not asyncio.iscoroutine(main):
            raise ValueError(f"a coroutine was expected, got {main!r}")
        before = self._follow()
        self._set_running(None)  # a coroutine task may be in the midst of a step
        loop.begin()
        try:
            return loop.job(lambda _: loop.to_the_end(main), None)
        finally:
            loop.end()
            loop.members.clear()
            main.close()
            self._stop_following(before)

    def _loop_of(self, task: int) -> Any:
        return next((loop for loop in self._registry.loops if task in loop.members), None)

    def _follow(self) -> Callable[..., Any] | None:
        self._depth += 1
        return greenlet.settrace(self._switched) if self._depth == 1 else None

    def _stop_following(self, before: Callable[..., Any] | None) -> None:
        self._depth -= 1
        if self._depth == 0:
            greenlet.settrace(before)
            self._set_running(next(iter(self._registry.loops), None))  # that of the coroutine tasks, if there are any

    def _switched(self, _event: str, _greenlets: object) -> None:
        self._set_running(self._loop_of(self._registry.scheduler.cur))

    def _set_running(self, loop: Any) -> None:
        import asyncio

        running = asyncio._get_running_loop()
        if running is loop:
            return
        if running is not None and HAS_ONE_CURRENT_TASK:
            self._current[running] = _swap_current_task(running, None)
        asyncio._set_running_loop(loop)
        current = self._current.pop(loop, None)
        if current is not None:
            _swap_current_task(loop, current)


def _swap_current_task(loop: Any, task: Any) -> Any:
    from asyncio import tasks

    return tasks._swap_current_task(loop, task)  # type: ignore[attr-defined]  # for event loops that start tasks eagerly


def _nothing(*_: Any) -> None:
    """A loop that is made of tasks of the check has nothing to give back."""


def _as_it_is(function: Callable[[], Any], _registry: ModelRegistry, _site: Site) -> Any:
    return function()


def _as_completed(_registry: ModelRegistry, _site: Site, fs: Iterable[Any], **keywords: Any) -> Any:
    """asyncio.as_completed starts coroutines in the order of a set, by address; here in the order given."""
    import asyncio

    return asyncio.as_completed([asyncio.ensure_future(each) for each in fs], **keywords)


def install(registry: ModelRegistry) -> None:
    """Model what starts event loops."""
    import asyncio

    loops = Loops(registry)
    models = registry.models
    models[id(asyncio.run)] = loops.run
    models[id(asyncio.Runner.run)] = loops.run_in_runner
    models[id(asyncio.Runner.__enter__)] = lambda _registry, _site, runner: runner
    for function in (asyncio.Runner.__exit__, asyncio.Runner.close, asyncio.set_event_loop):
        models[id(function)] = lambda _registry, _site, *_: None
    models[id(asyncio.new_event_loop)] = loops.new
    for read in (asyncio.get_running_loop, asyncio._get_running_loop):
        models[id(read)] = functools.partial(_as_it_is, read)
    models[id(asyncio.as_completed)] = _as_completed
