"""What executions run on: scheduler, hooks, models and the code that calls these hooks.

Making one, and instantiating the code of a module for it, takes longer than most checks. So a runtime serves one
check after the other: `borrow` gives one that knows nothing of earlier checks except code, `give_back` makes it
forget. One that holds what the next check must not see, or must not keep alive, is dropped instead. All but the main
thread use a runtime once, since greenlets belong to the thread that made them and would outlive it.
"""

from __future__ import annotations

import threading
from typing import Final

from whilst.checking.engine.scheduler import Scheduler
from whilst.checking.engine.sites import SiteTable
from whilst.checking.instrument.functions import Instrumentation
from whilst.checking.instrument.insert_hooks import Hooks
from whilst.checking.instrument.templates import Rewriter
from whilst.checking.instrument.unseen_code import UnseenCode
from whilst.checking.models import install
from whilst.checking.observe.calls import Caller
from whilst.checking.observe.variables import Watcher

__all__ = ["Runtime", "borrow", "give_back"]


class Runtime:
    """The parts, put together. `at_every_instruction`: every instruction is an event, for audits."""

    def __init__(self, *, at_every_instruction: bool) -> None:
        self.at_every_instruction = at_every_instruction
        self.site_table = SiteTable()
        self.scheduler = Scheduler()
        self.watcher = Watcher(self.scheduler, self.site_table)
        self.caller = Caller(self.watcher)
        install(self.caller)
        self.rewriter = Rewriter(
            _hooks(self.watcher, self.caller), self.site_table, at_every_instruction=at_every_instruction
        )
        self.instrumentation = Instrumentation(self.rewriter)
        self.caller.admit = self.instrumentation.admit
        self.caller.watch_returns = self.instrumentation.watch_returns
        self.caller.rewrite_source = self.instrumentation.rewrite_source
        self.caller.known_codes = self.rewriter.known_codes
        self.unseen_code = UnseenCode(self.scheduler, self.instrumentation)
        self.caller.call_unknown = self.unseen_code.during

    def forget(self) -> bool:
        """The check is over; whether the runtime may serve another one."""
        self.watcher.forget()
        self.caller.forget()
        self.caller.threads.restore()
        self.site_table.forget()
        self.scheduler.forget()
        return self.instrumentation.forget()

    def end(self) -> None:
        """It won't be used again. Greenlets that are alive and code objects are left alone by the collector."""
        self.scheduler.end()
        self.instrumentation.end()


_IDLE: Final[dict[bool, Runtime]] = {}


def borrow(*, at_every_instruction: bool) -> Runtime:
    """A runtime that knows nothing of earlier checks."""
    runtime = _IDLE.pop(at_every_instruction, None) if _is_main_thread() else None
    return runtime or Runtime(at_every_instruction=at_every_instruction)


def give_back(runtime: Runtime) -> None:
    """It may serve the next check."""
    if runtime.forget() and _is_main_thread() and runtime.at_every_instruction not in _IDLE:
        _IDLE[runtime.at_every_instruction] = runtime
    else:
        runtime.end()


def _is_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def _hooks(watcher: Watcher, caller: Caller) -> Hooks:
    return Hooks(
        get_attr=watcher.get_attr,
        set_attr=watcher.set_attr,
        get_global=watcher.get_global,
        set_global=watcher.set_global,
        get_cell=watcher.get_cell,
        set_cell=watcher.set_cell,
        get_name=watcher.get_name,
        set_name=watcher.set_name,
        get_item=watcher.get_item,
        set_item=watcher.set_item,
        contains=watcher.contains,
        look=watcher.look,
        operate=watcher.operate,
        operate_in_place=watcher.operate_in_place,
        call=caller.call,
        call_spread=caller.call_spread,
        enter=caller.enter,
        loop=watcher.loop,
        instruction=watcher.instruction,
        leave=watcher.leave,
        await_for=caller.await_for,
        leave_generator=watcher.leave_generator,
    )
