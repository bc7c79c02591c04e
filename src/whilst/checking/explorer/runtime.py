"""What executions run on: scheduler, hooks, models and the code that calls these hooks.

Making one, and instantiating the code of a module for it, takes longer than most checks. So a runtime serves one
check after the other: `borrow` gives one that knows nothing of earlier checks except code, `give_back` makes it
forget. One that holds what the next check must not see, or must not keep alive, is dropped instead. All but the main
thread use a runtime once, since greenlets belong to the thread that made them and would outlive it.
"""

from __future__ import annotations

import threading
from typing import Final

from whilst.checking.engine.observed import ObservedScheduler
from whilst.checking.engine.scheduler import Scheduler
from whilst.checking.engine.sites import SiteTable
from whilst.checking.instrument.functions import Instrumentation
from whilst.checking.instrument.insert_hooks import Hooks
from whilst.checking.instrument.templates import Rewriter
from whilst.checking.instrument.unseen_code import UnseenCode
from whilst.checking.models import install
from whilst.checking.observe.access_log import AccessLog
from whilst.checking.observe.attributes import Attributes
from whilst.checking.observe.calls import Calls
from whilst.checking.observe.containers import Containers
from whilst.checking.observe.registry import ModelRegistry
from whilst.checking.observe.variables import Variables


class Runtime:
    """The parts, put together. `at_every_instruction`: every instruction is an event (see `random_switches`);
    `is_observed`: a condition is asked after every step (see `observed`)."""

    def __init__(self, *, at_every_instruction: bool, is_observed: bool = False) -> None:
        self.kind = (at_every_instruction, is_observed)
        self.site_table = SiteTable()
        self.scheduler = ObservedScheduler() if is_observed else Scheduler()
        self.access_log = AccessLog(self.scheduler, self.site_table)
        self.attributes, self.containers = Attributes(self.access_log), Containers(self.access_log)
        self.variables = Variables(self.access_log, self.containers)
        self.registry = ModelRegistry(self.access_log, self.attributes, self.containers, self.variables)
        self.calls = Calls(self.registry)
        install(self.registry)
        self.rewriter = Rewriter(self._hooks(), self.site_table, at_every_instruction=at_every_instruction)
        self.instrumentation = Instrumentation(self.rewriter)
        self.registry.admit = self.instrumentation.admit
        self.registry.watch_returns = self.instrumentation.watch_returns
        self.registry.rewrite_source = self.instrumentation.rewrite_source
        self.rewriter.known_codes = self.registry.known_codes
        self.unseen_code = UnseenCode(self.scheduler, self.instrumentation)
        self.registry.call_unknown = self.unseen_code.during
        self.instrumentation.apart = self.unseen_code.apart

    def forget(self, *, was_looked_at: bool) -> bool:
        """The check is over; whether the runtime may serve another one. `was_looked_at`: see `SiteTable`."""
        for part in (self.access_log, self.attributes, self.registry, self.calls):
            part.forget()
        self.registry.threads.restore()
        self.site_table.forget(was_looked_at=was_looked_at)
        self.scheduler.forget()
        return self.instrumentation.forget()

    def end(self) -> None:
        """It won't be used again. Greenlets that are alive and code objects are left alone by the collector."""
        self.scheduler.end()
        self.instrumentation.end()

    def begin(self) -> None:
        """A new execution."""
        self.access_log.begin()
        self.registry.begin()

    def _hooks(self) -> Hooks:
        return Hooks(
            get_attr=self.attributes.get_attr,
            set_attr=self.attributes.set_attr,
            get_global=self.variables.get_global,
            set_global=self.variables.set_global,
            get_cell=self.variables.get_cell,
            set_cell=self.variables.set_cell,
            get_name=self.variables.get_name,
            set_name=self.variables.set_name,
            get_item=self.containers.get_item,
            set_item=self.containers.set_item,
            contains=self.containers.contains,
            look=self.containers.look,
            operate=self.containers.operate,
            operate_in_place=self.containers.operate_in_place,
            call=self.calls.call,
            call_spread=self.calls.call_spread,
            enter=self.calls.enter,
            loop=self.variables.loop,
            instruction=self.access_log.instruction,
            leave=self.variables.leave,
            await_for=self.calls.await_for,
            leave_generator=self.variables.leave_generator,
        )


_IDLE: Final[dict[tuple[bool, bool], Runtime]] = {}


def borrow(*, at_every_instruction: bool, is_observed: bool = False) -> Runtime:
    """A runtime that knows nothing of earlier checks."""
    runtime = _IDLE.pop((at_every_instruction, is_observed), None) if _is_main_thread() else None
    return runtime or Runtime(at_every_instruction=at_every_instruction, is_observed=is_observed)


def give_back(runtime: Runtime, *, was_looked_at: bool) -> None:
    """It may serve the next check. `was_looked_at`: see `SiteTable`."""
    if runtime.forget(was_looked_at=was_looked_at) and _is_main_thread() and runtime.kind not in _IDLE:
        _IDLE[runtime.kind] = runtime
    else:
        runtime.end()


def _is_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident
