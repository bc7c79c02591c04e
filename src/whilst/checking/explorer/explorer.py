"""One execution from a list of choices: the contract between the engine and everything built on it.

    with Explorer(Program(setup, tasks), Limits()) as explorer:
        execution = explorer.run((0, 0, 1))          # the first three events belong to tasks 0, 0, 1
        again = explorer.run(execution.choices)      # exactly the same execution
        alone = explorer.run_order((1, 0))           # the tasks one after the other, each to its end

A *choice* is the number of the task whose pending event happens next. Tasks are numbered from 0 in the order of
the program; a thread that a task starts gets the next free number. When the choices are used up, the running task
goes on as long as it can, then the lowest number that can. Nothing but the choices, and the *points*, decides.

*Points* are the places in the code that count as events. Fresh, an explorer has none but locks that are waited for
and threads that are started; `search` finds out which are needed and sets them. So choices mean something only
together with their points: `Execution.site_keys` names those that occur in it, and `Explorer(..., site_keys=...)` with
just these repeats it, in another process too.

A time-out needs no choice of its own: an acquire with a time-out is an event that may be scheduled at any
moment; it gets the lock when that is free and times out when it is not. That covers early and late.
"""

from __future__ import annotations

import functools
import gc
import inspect
import itertools
import math
import operator
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from whilst.checking.engine.events import Assumption, TaskResult
from whilst.checking.engine.fingerprint import Fingerprint
from whilst.checking.engine.observed import ObservedScheduler
from whilst.checking.engine.sites import Site, SiteTemplate
from whilst.checking.engine.watchdog import Watchdog
from whilst.checking.explorer.describe import Describer, DescriptionSource, needs_free_threading_along, types_within
from whilst.checking.explorer.execution import Ending, Execution, Limits, Plan, Program
from whilst.checking.explorer.runtime import Runtime, borrow, give_back
from whilst.checking.explorer.scripted import Thread
from whilst.checking.instrument.left_alone import functions_behind, is_module_left_alone
from whilst.checking.models.world.clocks import Clocks
from whilst.inspecting.descriptions import short
from whilst.inspecting.objects import module_of

if TYPE_CHECKING:
    from whilst.checking.models.coroutines.eventloop import VirtualLoop
    from whilst.checking.observe.registry import ModelRegistry

T = TypeVar("T")
_COLLECT_EVERY = 500  # executions between two collections of garbage, which is put off while tasks run
_WAITS_ASLEEP = Assumption(
    "a loop that looks again after a sleep", "goes on once what it looks at has changed, or nobody else can go on"
)
_COLLECT_MORE_EVERY = 20 * _COLLECT_EVERY


class Explorer:
    """Runs executions of one program; instruments on entry, leaves everything as it was on exit."""

    def __init__(
        self,
        program: Program,
        limits: Limits | None = None,
        *,
        site_keys: Iterable[str] | None = None,
        at_every_instruction: bool = False,
        started: tuple[int, ...] | None = None,
    ) -> None:
        """`site_keys`: see above. `at_every_instruction`: every instruction is an event (see `random_switches`)."""
        self.program = program
        self.limits = limits or Limits()
        self._at_every_instruction, self._site_keys = at_every_instruction, site_keys
        kinds = map(_is_coroutine, program.tasks)
        self._tasks = [
            (task, not kind and _is_plain(task), kind) for task, kind in zip(program.tasks, kinds, strict=True)
        ]
        self._has_coroutines = any(is_coroutine for _, _, is_coroutine in self._tasks)
        self._are_plain = all(is_plain for _, is_plain, _ in self._tasks)
        self.started = started or Clocks.now_outside()
        self._runs = 0
        self._last: Execution | None = None
        self._count_met = self._count_to_see = 0  # see `_has_met_more`: as it was after the last execution
        self._must_look = self._has_missed = False  # the next execution; one that should have been, and was not
        self.times_learnt = 0  # after how many executions `learn` was true
        self._had_gc = False

    def __enter__(self) -> Self:
        self._process_wide = _process_wide()
        is_observed = self.program.always is not None
        self._use(borrow(at_every_instruction=self._at_every_instruction, is_observed=is_observed))
        self.registry.clocks.started = self.started
        self._had_gc = gc.isenabled()
        gc.disable()
        self._watchdog.start()
        self.unseen_code.start()
        self.registry.imports.start()
        self.registry.threads.take_over()
        try:
            if self._site_keys is not None:
                self.rewriter.add_site_keys(self._site_keys)
            self._of_setup = list(functions_behind(self.program.setup))
            functions = [self._of_setup, *map(functions_behind, (*self.program.tasks, self.program.always))]
            for function in itertools.chain.from_iterable(functions):
                self.instrumentation.admit(function)
            self._must_look = self.rewriter.has_made
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _use(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.scheduler, self.access_log, self.registry = runtime.scheduler, runtime.access_log, runtime.registry
        self.rewriter, self.instrumentation = runtime.rewriter, runtime.instrumentation
        self.unseen_code = runtime.unseen_code
        self.scheduler.limit_steps, self.scheduler.limit_s = self.limits.steps, self.limits.seconds
        self._source = DescriptionSource(self.scheduler, self.access_log, self.registry.loops)
        self._watchdog = Watchdog(self.scheduler)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._watchdog.stop()
        self.unseen_code.stop()
        self.registry.imports.stop()
        self.instrumentation.restore()
        self.registry.threads.restore()
        self._last = None
        was_looked_at = error is None and not (self._must_look or self._has_missed or self.access_log.has_odd)
        give_back(self._runtime, was_looked_at=was_looked_at and not (self.unseen_code.found or self.unseen_code.left))
        if self._had_gc:
            gc.enable()
        self._give_back()

    def _let_go(self) -> None:
        """What the last execution made must not be found through weak references."""
        if self._last is not None:
            self._last.let_go()
        self._last = None
        self.scheduler.begin(0)
        self._runtime.begin()

    def _give_back(self) -> None:
        """Two tasks that redirect a stream, or catch warnings, leave that so, which neither the next execution nor
        anybody else is to find; what `setup` makes afresh is its own affair."""
        stdin, stdout, stderr, showwarning, filters, held = self._process_wide
        has_streams = sys.stdin is stdin and sys.stdout is stdout and sys.stderr is stderr
        has_filters = warnings.showwarning is showwarning and warnings.filters is filters and tuple(filters) == held
        if not (has_streams and has_filters):
            sys.stdin, sys.stdout, sys.stderr, warnings.showwarning = stdin, stdout, stderr, showwarning
            filters[:] = held
            warnings.filters = filters
            mutated = getattr(warnings, "_filters_mutated", None)
            if mutated is not None:
                mutated()

    def run(self, choices: Sequence[int] = (), *, record: bool = False) -> Execution:
        """Run once; `choices` may be a prefix. A choice that can't be honoured ends it as DIVERGED."""
        return self._execute(choices, record=record, are_outer=True)

    def run_order(self, order: Sequence[int], *, defers_timers: int = 0) -> Execution:
        """The tasks one after the other in this order; DEADLOCK when one blocks for ever on its own.

        Time-outs of event loops that are pending run out before the next task, except after the places in the order
        that `defers_timers` names, a bit each.
        """
        self.scheduler.defers_timers = defers_timers
        return self._execute((), order=order)

    @property
    def has_met_timer(self) -> bool:
        """Whether a time-out could run out between two tasks of the last order that was run."""
        return self.scheduler.has_met_timer

    def learn(self) -> bool:
        """Turn places into points that the last execution showed to be shared; True when there were any."""
        is_new = self.access_log.learn()
        if self.unseen_code.has_learnt:
            self.unseen_code.has_learnt, is_new = False, True
        if self.registry.steps is not None and self.registry.steps.learn():
            is_new = True
        if self.program.always is not None:
            is_new = self._learn_observed() or is_new
        is_new = self.catch_up() or is_new
        self.times_learnt += is_new
        return is_new

    def _learn_observed(self) -> bool:
        """Writes of what `always` reads become events that depend on each other (see `observed`)."""
        assert isinstance(self.scheduler, ObservedScheduler)
        logs = self.access_log.logs
        written = ((i, key, log.sites) for i, keys in logs.items() for key, log in keys.items() if log.writes)
        new = self.scheduler.learn(written)
        if self.registry.steps is None:
            for site in new:
                self.rewriter.site_table.promote(site)
            self.rewriter.site_table.named |= {site.key for site in new}
        return bool(new)

    def _observe(self, state: object) -> None:
        """From now on `always` is asked after every step."""
        always, scheduler, log = self.program.always, self.scheduler, self.access_log
        assert always is not None
        assert isinstance(scheduler, ObservedScheduler)
        if self.registry.steps is not None:
            self.registry.steps.note_mixed()  # whoever looks on can tell the order of any two steps

        def ask() -> str:
            step, on_log = log.step, log.on_log
            log.step, log.on_log = None, lambda _site, _code, thing, key, _value: scheduler.note((id(thing), key))
            try:
                holds = always(state)
            except Exception as error:
                said = str(error) if isinstance(error, AssertionError) else short(error)
                return f"always= fails: {said}" if said else "always= fails"
            finally:
                log.step, log.on_log = step, on_log
            return "" if holds or holds is None else "what always= asks for does not hold"

        scheduler.ask = ask

    def catch_up(self) -> bool:
        """Rewrite the code that reads globals which turned out to be stored from outside; True when there was any."""
        if not self.access_log.must_rewrite and not self.instrumentation.is_stale:
            return False
        self.access_log.must_rewrite = False
        self.instrumentation.share_globals(self.access_log.stored_module_names)
        return True

    def known_site_keys(self) -> frozenset[str]:
        """The names of all places that count as events by now."""
        return self.rewriter.site_table.site_keys()

    def adopt(self, site_keys: Iterable[str]) -> None:
        """Let these places count as events, too: somebody else has learnt so."""
        self.rewriter.add_site_keys(frozenset(site_keys) - self.known_site_keys())

    @property
    def has_identity(self) -> bool:
        """Whether a task asked who it is, or drew random numbers: then no two tasks are interchangeable."""
        return self.registry.has_identity

    @property
    def has_asked_the_time(self) -> bool:
        """Whether setup or a task looked at a clock."""
        return "time" in self.registry.virtual

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """What was not seen into, over all executions so far."""
        left_alone = [
            Assumption(f"module {name}", "without effect on shared state")
            for name in sorted(self.instrumentation.left_alone_seen)
        ]
        polling = [_WAITS_ASLEEP] if self.scheduler.pollers.has_waited_asleep else []
        return (*self.registry.assumed.values(), *self.registry.virtual.values(), *polling, *left_alone)

    # ------------------------------------------------------------------ for the search

    def begin_in_fork(self) -> None:
        """In a copy of the process, which has no watchdog yet."""
        self._watchdog = Watchdog.in_fork(self.scheduler)
        self._watchdog.start()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """For a while every function has its own code back, and another explorer may run."""
        if self.access_log.has_weak:
            self._let_go()
        self._watchdog.stop()
        self.instrumentation.restore()
        self.registry.imports.stop()
        self.registry.threads.restore()
        try:
            yield
        finally:
            self.registry.imports.start()
            self.registry.threads.take_over()
            self.instrumentation.reinstate()
            self._watchdog.start()

    def ending_at(self, monotonic_s: float, work: Callable[[], T]) -> T:
        """Do some work, in which no execution goes on beyond that time, by `time.monotonic`."""
        self.scheduler.ends_at = monotonic_s
        try:
            return work()
        finally:
            self.scheduler.ends_at = math.inf

    @contextmanager
    def noting_enabled(self, gates: Mapping[int, int]) -> Iterator[Callable[[], list[tuple[list[int], object]]]]:
        """For a while runs remember for each event which tasks could have gone on there; gives `along`."""
        self.scheduler.keeps_enabled = True
        try:
            yield functools.partial(self.along, gates)
        finally:
            self.scheduler.keeps_enabled = False

    def along(self, gates: Mapping[int, int]) -> list[tuple[list[int], object]]:
        """For each event of the last run: the tasks that could have gone on there (see `noting_enabled`), and what had
        happened by then: equal if all that depends on each other did so in the same order.

        Of identical tasks (`gates`) that have not begun only the first could.
        """
        trace = self.scheduler.trace
        begun = {*gates, *gates.values()} - {event[0] for event in trace}  # what has no events is in nobody's way
        done, needs = Fingerprint(), False
        states = []
        able = self.enabled_along()
        for at, (event, needs_then) in enumerate(zip(trace, needs_free_threading_along(trace), strict=True)):
            if gates:
                able[at] = [
                    task for task in able[at] if task in begun or gates.get(task, task) in begun or task not in gates
                ]
                begun.add(event[0])
            states.append((done.value, needs))
            done.add(event)
            needs = needs_then
        return list(zip(able, states, strict=True))

    def enabled_along(self) -> list[list[int]]:
        """For each event of the last run: the tasks that could have gone on there (see `noting_enabled`)."""
        outer = self.scheduler.outer
        return [[outer[task] for task in enabled] for enabled in self.scheduler.enabled_along]

    def gates(self) -> dict[int, int]:
        """Task -> the identical task before it: the same function with the same variables around it."""
        last: dict[object, int] = {}
        out: dict[int, int] = {}
        if self.has_identity:
            return out
        for number, task in enumerate(self.program.tasks):
            key = _identity(task)
            if key in last:
                out[number] = last[key]
            last[key] = number
        return out

    def execute(self, plan: Plan) -> Execution:
        """Make the execution that a search asks for."""
        scheduler = self.scheduler
        scheduler.gates, scheduler.picker, scheduler.keeps_enabled = plan.gates, plan.picker, plan.keeps_enabled
        try:
            return self._execute(plan.choices, sleep=plan.sleep, sleep_from=plan.sleep_from)
        finally:
            scheduler.gates, scheduler.picker, scheduler.keeps_enabled = {}, None, False

    def _execute(
        self,
        plan: Sequence[int],
        *,
        record: bool = False,
        are_outer: bool = False,
        sleep: int = 0,
        sleep_from: int = 0,
        order: Sequence[int] | None = None,
    ) -> Execution:
        """It is slow to look at all that runs (see `unseen_code`): this is done for the first execution of code that
        was rewritten for it, and for any in which something was met for the first time, which is made once more for
        that. A picker may not choose the same twice: then it is the next one that is looked at."""
        scheduler = self.scheduler
        self._runs += 1
        self._give_back()
        if self.access_log.has_weak:
            self._let_go()
        scheduler.begin(len(self._tasks))
        self._runtime.begin()
        if self.access_log.has_weak or self._runs % _COLLECT_EVERY == 0:
            # What is new, and now and then what has lasted for a while.
            gc.collect(1 if self._runs % _COLLECT_MORE_EVERY == 0 else 0)
        if self._runs > 1:
            state = self.program.setup()
        else:
            state = self.unseen_code.during_setup(self.program.setup, self._of_setup, self.registry.is_asked_in_setup)
            kinds, self.access_log.has_weak = types_within(state)
            for kind in kinds:
                self.access_log.meet(kind)
        describer = loop = None
        if record:
            describer = Describer(self._source, state)
            scheduler.on_event = describer.note
            self.access_log.on_log = describer.note_within if self._has_coroutines else None
        if self._are_plain:
            jobs: list[Callable[[], object]] = [functools.partial(task, state) for task in self.program.tasks]
        else:
            loop = self._loop() if self._has_coroutines else None
            jobs = [self._job(*each, state, loop) for each in self._tasks]
        if self.program.always is not None:
            self._observe(state)
        has_begun = False
        if self._must_look or (self._runs == 1 and self.access_log.has_odd):
            self._must_look, has_begun = False, self.unseen_code.begin_look()
            self._has_missed = self._has_missed or not self.unseen_code.is_looking
        try:
            scheduler.run(jobs, plan, are_outer=are_outer, sleep=sleep, sleep_from=sleep_from, order=order)
        finally:
            if has_begun:
                self.unseen_code.end_look()
            if record:
                scheduler.on_event = self.access_log.on_log = None
            held = self.registry.locks.end()
            self._runtime.attributes.end()
            if loop is not None:
                loop.end()
        self._last = self._execution(state, describer, held)
        has_met_more = self._count_met != self.rewriter.site_table.count_met and self._has_met_more()
        if has_met_more and not (has_begun or self.unseen_code.is_looking):
            self._must_look = True
            if scheduler.picker is None and self.unseen_code.can_look:
                return self._execute(
                    plan, record=record, are_outer=are_outer, sleep=sleep, sleep_from=sleep_from, order=order
                )
        return self._last

    def _has_met_more(self) -> bool:
        """Whether a place has met something that must be looked at since this was last asked."""
        table, last = self.rewriter.site_table, self._count_to_see
        self._count_met = table.count_met
        self._count_to_see = table.count_met if self.access_log.has_odd else table.count_new
        return self._count_to_see != last

    def _job(
        self, task: Callable[..., object] | Thread, is_plain: bool, is_coroutine: bool, state: object, loop: Any
    ) -> Callable[[], object]:
        """A task that is a function of the standard library itself is called as instrumented code would call it."""
        if is_plain or is_coroutine:
            return functools.partial(task, state) if is_plain else functools.partial(loop.job, task, state)
        if isinstance(task, Thread):
            return functools.partial(task.perform, self.registry, state)
        arguments: tuple[Any, ...] = (state,)
        keywords: dict[str, Any] = {}
        inner: Any = task
        while isinstance(inner, functools.partial):
            arguments, keywords = (*inner.args, *arguments), {**inner.keywords, **keywords}
            inner = inner.func
        code = _call_as_code.__code__
        site = Site(code, SiteTemplate(0, (code.co_firstlineno + 2, None, None, None), "call", 0), {})
        site.is_scheduling_point = True
        return functools.partial(_call_as_code, self.registry, site, inner, arguments, keywords)

    def _loop(self) -> VirtualLoop:
        """An event loop for the coroutine tasks; asyncio is loaded for them alone."""
        from whilst.checking.models.coroutines.eventloop import VirtualLoop
        from whilst.checking.models.coroutines.steps import Steps

        if self.registry.steps is None and all(is_coroutine for _, _, is_coroutine in self._tasks):
            self.registry.steps = Steps(self.access_log, self.rewriter.site_table)
        code = next(
            function.__code__
            for task, _, is_coroutine in self._tasks
            if is_coroutine
            for function in functions_behind(task)
        )
        site = Site(code, SiteTemplate(0, (code.co_firstlineno, None, None, None), "resume", 0), {})
        site.is_scheduling_point = True
        loop = VirtualLoop(self.registry, site, self.registry.steps)
        loop.begin()
        return loop

    def _execution(self, state: object, describer: Describer | None, held: dict[int, Any]) -> Execution:
        scheduler, sites = self.scheduler, self.rewriter.site_table
        outer, trace, results = scheduler.outer, scheduler.trace, scheduler.results
        tasks = [results.get(task, _CUT_SHORT) for task in scheduler.numbers]
        choices = map(_TASK_OF, trace)
        if self.registry.callback_errors:
            tasks += [TaskResult(True, None, error, is_callback=True) for error in self.registry.callback_errors]
        return Execution(
            tuple(choices) if len(tasks) == len(self._tasks) else tuple([outer[task] for task in choices]),
            scheduler.status,
            state,
            tuple(tasks),
            scheduler.reason,
            trace,
            Ending(self._source, describer, outer, scheduler.stuck, held, sites.scheduling_points, sites.named),
        )


def _process_wide() -> tuple[Any, ...]:
    """The standard streams, and how warnings are shown: the list of filters, and what is in it."""
    filters: Any = warnings.filters
    return sys.stdin, sys.stdout, sys.stderr, warnings.showwarning, filters, tuple(filters)


_CUT_SHORT = TaskResult(has_finished=False)
_TASK_OF = operator.itemgetter(0)  # of an event


def _call_as_code(
    registry: ModelRegistry, site: Site, task: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> object:
    """Call a task that no code of the user calls."""
    if isinstance(task, types.MethodDescriptorType) and arguments:
        task, arguments = task.__get__(arguments[0], type(arguments[0])), arguments[1:]  # CPython asks for both
    return registry.call(site, task, *arguments[:2])(*arguments, **keywords)


def _is_plain(task: Any) -> bool:
    """Whether calling it with the state is all there is to it, if it is no coroutine function."""
    inner = task
    while isinstance(inner, functools.partial):
        inner = inner.func
    return not isinstance(inner, Thread) and not _is_foreign(inner)


def _is_foreign(task: Any) -> bool:
    """Whether a callable is C, or a function of a module that stays as it is."""
    function = getattr(task, "__func__", task)
    if isinstance(function, types.FunctionType):
        return is_module_left_alone(module_of(function))
    return isinstance(function, (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType))


def _identity(task: Callable[..., object]) -> object:
    if not isinstance(task, types.FunctionType) or task.__closure__ or task.__kwdefaults__:
        return id(task)
    defaults = tuple([id(value) for value in task.__defaults__ or ()])
    return (id(task.__code__), id(task.__globals__), defaults, bool(task.__dict__) and id(task))


def _is_coroutine(task: Callable[..., object]) -> bool:
    while isinstance(task, functools.partial):
        task = task.func
    if isinstance(task, types.FunctionType) and not task.__dict__:  # one may be marked as a coroutine function
        return bool(task.__code__.co_flags & inspect.CO_COROUTINE)
    return inspect.iscoroutinefunction(task) or inspect.iscoroutinefunction(getattr(task, "__call__", None))  # noqa: B004
