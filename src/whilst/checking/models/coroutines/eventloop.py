"""Coroutine tasks: an event loop without time or I/O, in which any task that is ready may go on next.

Each coroutine task, and each `asyncio.Task` that it makes, is a task of the scheduler; its events are its resumptions.
Between two awaits nothing comes in between, so all coroutine tasks count as one where accesses are concerned: their
accesses are events only if a thread touches the same things. Everything of asyncio runs as it is (Lock, Event,
Queue, gather, TaskGroup, timeout ...): it needs nothing from a loop but `call_soon`, `call_later` and futures.

A sleep ends at once, which makes the sleeper one of those that are ready. Other timers (time-outs) are tasks of their
own that may be resumed at any moment until they are cancelled: early and late. A callback that is no step of a task
runs right after the step that asked for it; one that asks for itself again has another turn after the next step. What
a thread asks for by `call_soon_threadsafe` runs at any moment after that, in the order in which it was asked for.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import itertools
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any

from whilst.checking.engine.events import Op
from whilst.checking.engine.operations import Operation, Sync
from whilst.checking.engine.scheduler import Abort
from whilst.checking.engine.sites import Site, SiteTemplate
from whilst.checking.engine.spin_loops import ROUNDS, TRIES, state_of
from whilst.checking.models.coroutines.steps import CLOCK, Steps, Touched, frames_of, is_of_asyncio, where
from whilst.checking.observe.registry import ModelRegistry
from whilst.inspecting.cpython import Positions
from whilst.inspecting.objects import module_of


def _unmodelled(name: str) -> Callable[..., Any]:
    def ask(self: VirtualLoop, *_: Any, **__: Any) -> Any:
        self._scheduler.unmodelled = f"{name} of an asyncio event loop"
        raise NotImplementedError(self._scheduler.unmodelled)

    return ask


_Loop: Any = asyncio.AbstractEventLoop  # whose other methods raise NotImplementedError, as they should here


class _Task(asyncio.Task[Any]):
    """Tells when it is cancelled, which leaves no other trace in a task that is about to go on anyway."""

    def cancel(self, msg: Any = None) -> bool:
        loop = self.get_loop()
        if isinstance(loop, VirtualLoop):
            loop.note_cancelled(self)
        return super().cancel(msg)


_Task.__name__ = _Task.__qualname__ = "Task"


def _ends_sleep(callback: Any) -> bool:
    return getattr(callback, "__name__", "") == "_set_result_unless_cancelled"


class _Callback:
    """What a callback that belongs to no task is shown as."""

    __slots__ = ()


_CALLBACK = _Callback()


def _identity(handle: Any) -> object:
    """Equal for two callbacks that do the same: a function made anew for each round is still the same."""
    callback = handle._callback
    function = getattr(callback, "__func__", callback)
    code = getattr(function, "__code__", None)
    return id(code or function), id(getattr(callback, "__self__", None)), tuple(map(id, handle._args or ()))


class VirtualLoop(_Loop):  # type: ignore[misc]  # declared abstract in typeshed alone
    """The loop of one execution."""

    def __init__(self, registry: ModelRegistry, site: Site, steps: Steps | None = None) -> None:
        """`steps`: where coroutines are all there is."""
        self._registry = registry
        self._steps = steps if steps is not None and not steps.are_mixed else None
        self._all_steps = steps
        self._scheduler = registry.scheduler
        self._site = site
        self._handles: dict[int, deque[asyncio.Handle]] = {}  # of the scheduler's tasks
        self._soon: deque[asyncio.Handle] = deque()
        self._task_of: dict[int, int] = {}  # id of asyncio.Task or timer -> the scheduler's task
        self._made: list[Any] = []
        self._is_busy = False
        self._ahead: dict[int, tuple[Touched, bool]] = {}  # of tasks: the next step, whether it comes after a sleep
        self._rounds: dict[int, tuple[str, object, int, int]] = {}  # of tasks that sleep: where, with which locals, how
        # often in a row without changing anything, and how many steps there were
        self._children: set[int] = set()  # those of them that a coroutine made
        self.members: set[int] = set()  # the scheduler's tasks that run on it
        self._callbacks = -1  # the scheduler's task that runs callbacks which belong to no step
        self._by_threads: dict[int, Any] = {}  # by id: the futures that threads end
        self._put_off: deque[asyncio.Handle] = deque()  # callbacks that asked for themselves again
        self._exception_handler: Any = None
        self._first = -1  # the task whose bit stands for all coroutine tasks

    # ------------------------------------------------------------------ tasks

    def job(self, function: Callable[..., Any], state: object) -> Any:
        """The body of one of the program's coroutine tasks."""
        task = self._scheduler.cur
        made = self._adopt(_Task(function(state), loop=self), task)
        self._drive(made, task, has_begun=False)
        return made.result()

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None, **_: Any) -> Any:
        """A task made by a coroutine: one of the scheduler's, left alone at the end as asyncio.run would."""
        made: asyncio.Task[Any] = _Task(coro, loop=self, name=name, context=context)
        first = self._soon.pop()  # its first step, which found nobody to belong to yet
        task = self._scheduler.next_child()
        self._scheduler.spawn(functools.partial(self._run_child, made), self._resumption(task, made))
        self._adopt(made, task)
        self._children.add(task)
        self._touch_task(task)
        self._handles[task].append(first)
        self._scheduler.daemons.add(task)
        return made

    def _run_child(self, made: asyncio.Task[Any]) -> Any:
        self._drive(made, self._scheduler.cur, has_begun=True)
        made._log_traceback = False  # its awaiter tells, or nobody asks
        return None if made.cancelled() or made.exception() is not None else made.result()

    def _adopt(self, made: asyncio.Task[Any], task: int) -> asyncio.Task[Any]:
        if self._first < 0:
            self._first = task
        self.members.add(task)
        self._scheduler.groups[task] = 1 << self._first
        self._task_of[id(made)] = task
        self._made.append(made)
        self._handles[task] = deque(handle for handle in self._soon if self._owner(handle) == task)
        for handle in self._handles[task]:
            self._soon.remove(handle)
        made._log_destroy_pending = False  # type: ignore[attr-defined]  # an execution may end early
        return made

    def _drive(self, made: asyncio.Task[Any], task: int, *, has_begun: bool) -> None:
        """Resume it whenever the scheduler says so, until it is done."""
        try:
            while not made.done():
                if not has_begun:
                    operation = self._resumption(task, made)
                    if self._steps is not None and self._ahead[task][1]:
                        self._wake_up(task, made, operation, self._steps)
                    self._scheduler.step(operation)
                has_begun = False
                self._run(self._handles[task].popleft(), made)
        except Abort:
            self._abandon(made)
            raise

    def _resumption(self, task: int, made: Any) -> Operation:
        """The next step of a task, or of a timer, with the place where it goes on."""
        frame, is_asleep, awaited = where(made) if isinstance(made, asyncio.Task) else (None, False, None)
        shown = made if awaited is None else awaited
        site = self._site_of(frame) if frame is not None else self._site
        if self._steps is None:
            sync = Sync(Op.RESUME, self._ready, lambda ready: task in ready, blocks=True)
            return (2, id(self), None, site, shown, sync)
        label = self._steps.label(task, frame)
        self._ahead[task] = (self._steps.announce(label, task), is_asleep)
        more = self._steps.more(label)
        sync = Sync(Op.RESUME, self._ready, lambda ready: task in ready, blocks=True, more=more, is_step=True)
        return (2, ("step", task), label, site, shown, sync)

    def _wake_up(self, task: int, made: Any, operation: Operation, steps: Steps) -> None:
        """A task is about to go on after a sleep. If it goes round as before, it waits for what it looks at (see
        `spin_loops`): for the steps that are known to depend on this one."""
        naps = self._scheduler.pollers.naps
        naps[task] = naps.get(task, 0) + 1
        label, here = operation[2], steps.count - 1
        before = self._rounds.get(task)
        lately = steps.round_since(task, before[3]) if before is not None and before[0] == label else None
        if before is None or lately is None:
            self._rounds[task] = (label, None, 1, here)
            return
        state, rounds = state_of(frames_of(made)), before[2] + 1
        self._rounds[task] = (label, state, rounds, here)
        if state is None or rounds < ROUNDS or (state != before[1] and rounds < TRIES):
            return
        if state != before[1]:
            self._scheduler.pollers.has_waited_asleep = True
        seen, written = lately
        steps.note_waiting(label, task, written)
        self._scheduler.wait_for(seen)

    def _site_of(self, frame: FrameType) -> Site:
        """A place of its own, apart from those of what is hooked there."""
        code, at = frame.f_code, frame.f_lasti
        sites = self._registry.step_sites
        known = sites.get((id(code), at))
        if known is None:
            positions: Positions = (frame.f_lineno, None, None, None)
            if at >= 0:
                positions = next(itertools.islice(code.co_positions(), at // 2, None), positions)
            known = sites[id(code), at] = Site(code, SiteTemplate(-2 - at, positions, "resume", 0), {})
        return known

    def _ready(self) -> frozenset[int]:
        """Tasks that could be resumed; none while a step is under way (a thread may run meanwhile)."""
        if self._is_busy:
            return frozenset()
        ready = frozenset(task for task, handles in self._handles.items() if handles)
        return ready if ready or not self._put_off else frozenset({self._callbacks})

    def _run(self, handle: asyncio.Handle | None, made: asyncio.Task[Any] | None = None) -> None:
        self._is_busy = True
        depth = len(self._scheduler.trace)
        try:
            self._begin_step()
            if handle is not None:
                self._run_one(handle)
            self._run_callbacks()
            self._end_step(made)
            if len(self._scheduler.trace) > depth:  # others, of threads, may have come in between: this is its end
                if self._all_steps is not None:
                    self._all_steps.note_mixed()
                self._scheduler.step((2, id(self), None, self._site, handle, Sync(Op.RESUME, self._ready)))
        finally:
            if self._steps is not None:
                self._steps.stop()
                if self._scheduler.idle:
                    self._tell_pollers(depth - 1)
            self._is_busy = False

    def _tell_pollers(self, depth: int) -> None:
        """A step is over, which began with the event at that depth."""
        event = self._scheduler.trace[depth]
        touched, _ = self._ahead[event[0]]
        written = [(thing, key) for thing, key, code in touched if code]
        if written:
            self._scheduler.pollers.note_step(depth, event, written)

    def _run_callbacks(self) -> None:
        """What the step asked for, and what that asks for in its turn, but nothing twice: it would go on for ever."""
        asked_for = len(self._put_off) + len(self._soon)
        self._soon.extendleft(reversed(self._put_off))
        self._put_off.clear()
        done = set()
        while self._soon:
            handle = self._soon.popleft()
            asked_for -= 1
            what = _identity(handle)
            if asked_for < 0 and what in done:
                self._put_off.append(handle)
                self._task_for_callbacks()
                if self._all_steps is not None:
                    self._all_steps.note_mixed()
                continue
            done.add(what)
            self._run_one(handle)

    def _task_for_callbacks(self) -> int:
        """The task that runs callbacks which belong to no step."""
        if self._callbacks < 0:
            self._callbacks = task = self._scheduler.next_child()
            self._handles[task] = deque()
            self._scheduler.spawn(self._go_on_calling, self._resumption(task, _CALLBACK))
            self._scheduler.daemons.add(task)
            self._scheduler.groups[task] = 1 << max(self._first, 0)
            self.members.add(task)
        return self._callbacks

    def _go_on_calling(self) -> None:
        task = self._scheduler.cur
        while True:
            handles = self._handles[task]
            self._run(handles.popleft() if handles else None)
            self._scheduler.step(self._resumption(task, _CALLBACK))

    def _begin_step(self) -> None:
        if self._steps is not None:
            touched, is_asleep = self._ahead[self._scheduler.cur]
            self._steps.start(touched, uses_loop=not is_asleep)

    def _end_step(self, made: asyncio.Task[Any] | None) -> None:
        if self._steps is None or made is None or not made.done():
            return
        if self._scheduler.cur in self._children or self._steps.are_handed_out:
            self._steps.touch_loop()  # somebody may wait for its end

    def _touch_loop(self) -> None:
        if self._steps is not None:
            self._steps.touch_loop()

    def _touch_task(self, task: int) -> None:
        if self._steps is not None:
            self._steps.touch_loop()
            self._steps.touch_task(task)

    def note_cancelled(self, made: asyncio.Task[Any]) -> None:
        """Somebody asks that task to end."""
        self._touch_task(self._task_of.get(id(made), -1))

    def is_cancelled(self, task: int) -> bool:
        """Whether the next that this task of the scheduler's gets to know is that it is cancelled."""
        made = next((each for each in self._made if self._task_of.get(id(each)) == task), None)
        return made is not None and bool(made.cancelling())

    def _run_one(self, handle: asyncio.Handle) -> None:
        if not handle.cancelled():
            if isinstance(handle, asyncio.TimerHandle):
                self._registry.clocks.wait_until(handle.when())
            handle._run()  # what a loop does with a handle

    async def to_the_end(self, main: Any) -> Any:
        """What `asyncio.run` does: at the end of `main` whatever is left is cancelled and awaited."""
        try:
            return await main
        except GeneratorExit:  # the execution ends early
            self._made = []
            raise
        finally:
            left = [each for each in self._made[1:] if not each.done()]
            for each in left:
                each.cancel()
            if left:
                await asyncio.gather(*left, return_exceptions=True)

    @staticmethod
    def _abandon(made: asyncio.Task[Any]) -> None:
        coroutine = made.get_coro()
        close = getattr(coroutine, "close", None)
        if close is not None:
            try:
                close()
            except (RuntimeError, Exception):  # the execution is over, whatever its clean-up says
                return

    def begin(self) -> None:
        """Make this the running loop of the thread."""
        self._registry.loops.append(self)
        if self._all_steps is not None:
            self._all_steps.begin()
        asyncio._set_running_loop(self)  # public in all but name: for event loops

    def end(self) -> None:
        """There is no running loop any more."""
        asyncio._set_running_loop(None)
        if self in self._registry.loops:
            self._registry.loops.remove(self)
        for made in self._made:
            if not made.done():
                self._abandon(made)
            else:
                made._log_traceback = False
        self._handles.clear()
        self._soon.clear()

    # ------------------------------------------------------------------ callbacks and time

    def _owner(self, handle: asyncio.Handle) -> int | None:
        """The scheduler's task that this is a step of."""
        callback = handle._callback  # type: ignore[attr-defined]
        if getattr(callback, "__name__", "") == "cancel":
            return None
        stepped = getattr(callback, "__self__", None)
        return self._task_of.get(id(stepped))

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        """A step of a task waits until the scheduler resumes that; anything else runs after this step."""
        handle = asyncio.Handle(callback, args, self, context)
        owner = self._owner(handle)
        if owner is not None:
            if owner != self._scheduler.cur:
                self._touch_loop()
            self._handles[owner].append(handle)
        else:
            if not _ends_sleep(callback):
                self._touch_loop()
            is_step = isinstance(getattr(callback, "__self__", None), asyncio.Future)  # of a task that is being made
            if is_step or not self._task_of or (self._is_busy and self._scheduler.cur in self.members):
                self._soon.append(handle)
            elif is_of_asyncio(callback):  # a thread has ended what is awaited, and it is said at once
                self._run_one(handle)
            else:
                self._call_later_on_loop(handle)
        return handle

    def _call_later_on_loop(self, handle: asyncio.Handle) -> None:
        if self._all_steps is not None:
            self._all_steps.note_mixed()
        self._handles[self._task_for_callbacks()].append(handle)

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        """From a thread of the check: an event, and then the callback may run at any moment."""
        if self._scheduler.cur < 0 or self._scheduler.cur in self.members:
            return self.call_soon(callback, *args, context=context)
        self._task_for_callbacks()
        handle = asyncio.Handle(callback, args, self, context)
        self._scheduler.step((2, id(self), None, self._site, _CALLBACK, Sync(Op.RELEASE, self._ready)))
        self._call_later_on_loop(handle)
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        """A sleep's end comes at once; another timer at any moment."""
        if _ends_sleep(callback):
            self._registry.clocks.pass_time(int(delay * 1e9))
            return self.call_soon(callback, *args, context=context)
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        """A timer: a task of its own."""
        handle = asyncio.TimerHandle(when, callback, args, self, context or contextvars.copy_context())
        task = self._scheduler.next_child()
        self._touch_task(task)
        self._scheduler.spawn(functools.partial(self._run, handle), self._resumption(task, handle))
        self._scheduler.daemons.add(task)
        self._scheduler.timers.add(task)
        self._scheduler.groups[task] = 1 << max(self._first, 0)
        self.members.add(task)
        self._task_of[id(handle)] = task
        self._made_timer(handle, task)
        return handle

    def _made_timer(self, handle: asyncio.TimerHandle, task: int) -> None:
        self._handles[task] = deque([handle])
        self._scheduler.keep.append(handle)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        task = self._task_of.get(id(handle))
        if task in self._handles:  # else the execution is over
            self._touch_task(task)
            self._handles[task].clear()

    def time(self) -> float:
        """Later at every look."""
        if self._steps is not None:
            self._steps.touch_loop(CLOCK)
        return float(self._registry.clocks.monotonic_s())

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """A call in a thread of its own (asyncio.to_thread too), or in a process of the executor's."""
        future = self.create_future()
        if module_of(type(executor)) == "concurrent.futures.process":
            self._registry.meet_module("concurrent.futures.process")
            func, args = self._registry.remote(executor, func, *args), ()

        def body() -> Any:
            error, value = None, None
            try:
                value = self._registry.call(self._site, func, *args[:2])(*args)
            except Exception as caught:  # it belongs to whoever awaits the future
                error = caught
            sync = Sync(Op.RELEASE, self._ready, more=((id(future), None, True),))
            self._scheduler.step((2, id(self), None, self._site, future, sync))
            if not future.cancelled():
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(value)
            return value

        self._by_threads[id(future)] = future
        self._registry.threads.spawn(self._site, body, future)
        return future

    def note_await(self, site: Site, thing: Any) -> None:
        """A step goes on at once if what it awaits is done by now, which is up to a thread."""
        if id(thing) in self._by_threads:
            self._registry.access_log.touch(site, 0, thing, None)

    # ------------------------------------------------------------------ what asyncio asks of any loop

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """As long as there is one."""
        return True

    def is_closed(self) -> bool:
        """Never, while it is in use."""
        return False

    def get_task_factory(self) -> None:
        """None: tasks are asyncio's own."""
        return

    def set_exception_handler(self, handler: Any) -> None:
        """What is called with the errors of callbacks."""
        self._exception_handler = handler

    def get_exception_handler(self) -> Any:
        """As it was set."""
        return self._exception_handler

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """An error in a callback counts as one of a task; those of tasks that nobody awaited are their results."""
        if self._exception_handler is not None:
            self._registry.call(self._site, self._exception_handler, self, context)(self, context)
        else:
            self.default_exception_handler(context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """As above."""
        if "handle" in context and isinstance(context.get("exception"), Exception):
            self._registry.callback_errors.append(context["exception"])


for _name in dir(asyncio.AbstractEventLoop):
    if not _name.startswith("_") and _name not in vars(VirtualLoop):
        setattr(VirtualLoop, _name, _unmodelled(_name))
