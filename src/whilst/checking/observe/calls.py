"""Calls: what a callee is about to touch, and what is called in its stead.

The hook stands right ahead of the CALL, when the arguments have been evaluated. For C code whose effect is known
it tells the scheduler and gives the callee back as it was. A callee that blocks, or that has to do with threads or
time, is exchanged for its model. A Python function is rewritten before it runs for the first time.
"""

from __future__ import annotations

import functools
import io
import types
import weakref
from _thread import _local
from collections.abc import Callable
from typing import Any

from whilst.checking.engine.sites import Site
from whilst.checking.observe.c_calls import NOTHING, CCalls
from whilst.checking.observe.lookups import plain_key
from whilst.checking.observe.registry import Model, ModelRegistry
from whilst.inspecting import c_effects as effects
from whilst.inspecting.c_effects import PURE, READERS, family
from whilst.inspecting.objects import look_up, module_of
from whilst.inspecting.ownership import is_own_code

_BuiltIn = types.BuiltinFunctionType
_Wrapper = types.MethodWrapperType


class Calls:
    """The hooks of calls and of `with` blocks."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry, self.scheduler, self.access_log = registry, registry.scheduler, registry.access_log
        self._models, self._known_codes = registry.models, registry.known_codes
        self._c_calls = CCalls(registry)
        self._managers: dict[type, Model] = {}  # context managers of the user's, as the running check finds them
        registry.call = self.call

    def forget(self) -> None:
        """The check is over."""
        self._managers = {}

    # ------------------------------------------------------------------ hooks

    def call(self, site: Site, callee: Any, first: Any = NOTHING, second: Any = NOTHING) -> Any:
        """CALL, CALL_KW: the callee to use."""
        if self.scheduler.cur < 0:
            return callee if callee is site.quiet else self._call_outside_tasks(site, callee)
        if self.access_log.step is not None:
            self.registry.steps.note_call(callee)
        kind = type(callee)
        if kind not in site.how:
            self.access_log.site_table.inform(site, kind, True)
        if kind is types.FunctionType:
            if id(callee) in self._models:
                return functools.partial(self._models[id(callee)], self.registry, site)
            if id(callee.__code__) not in self._known_codes:
                if self.registry.late and self.registry.meet_module(module_of(callee)):
                    return self.call(site, callee, first, second)
                self.registry.admit(callee)
            return callee
        if kind is types.MethodType:
            return self._call_method(site, callee, first)
        if kind is _BuiltIn or kind is _Wrapper or kind is _SIMPLE_METHOD:
            return self._c_calls.call_builtin(site, callee, first, second)
        if isinstance(callee, type):
            return self._call_type(site, callee, first, second)
        return self._call_other(site, callee, first, second)

    def call_spread(self, site: Site, callee: Any, arguments: Any) -> Any:
        """CALL_FUNCTION_EX."""
        if self.scheduler.cur < 0:
            return self._call_outside_tasks(site, callee)
        items = arguments if type(arguments) is tuple else ()
        if type(arguments) is not tuple:  # f(*shared)
            self._c_calls.hand_over(site, tuple, (arguments,))
            items = tuple(arguments) if type(arguments) is list else ()
        return self.call(site, callee, *items[:2])

    def enter(self, site: Site, manager: Any) -> Any:
        """BEFORE_WITH: a stand-in for managers whose `__enter__` the model has to do."""
        if self.scheduler.cur < 0:
            return manager
        kind = type(manager)
        if kind not in site.how:
            self.access_log.site_table.inform(site, kind, True)
        if self.access_log.step is not None:
            self.registry.steps.note_call(kind)
        make = self.registry.managers.get(kind) or self._managers.get(kind)
        if make is None:
            make = self._managers[kind] = self._how_to_enter(kind)
        return make(self.registry, site, manager)

    def await_for(self, site: Site, thing: Any) -> None:
        """GET_AWAITABLE, GET_AITER, GET_ANEXT."""
        if self.access_log.step is not None:
            self.registry.steps.note_await(thing)
        elif self.scheduler.cur >= 0:
            for loop in self.registry.loops:
                loop.note_await(site, thing)

    # ------------------------------------------------------------------ by kind of callee

    def _call_outside_tasks(self, site: Site, callee: Any) -> Any:
        """Setup and the outcome see the same clock and the same chance as the tasks, and nothing else of the check."""
        registry, kind = self.registry, type(callee)
        model = registry.outside_tasks.get(id(callee))
        if model is not None:
            return functools.partial(model, registry, site)
        if kind is _BuiltIn:
            owner = callee.__self__
            if type(owner) is types.ModuleType:
                site.quiet = callee
            elif isinstance(owner, type):
                return registry.clocks.calendar(owner, callee.__name__) or callee
            elif callee.__name__ == "seed" and type(owner) in registry.type_models:
                return registry.type_models[type(owner)](registry, site, callee)
        elif kind is types.FunctionType:
            if id(callee.__code__) not in self._known_codes and _matters_in_setup(callee):
                registry.admit(callee)
        elif kind is types.MethodType:
            if id(callee.__self__) in registry.redirected:
                return registry.redirect(site, callee)
            if isinstance(callee.__func__, types.FunctionType) and _matters_in_setup(callee.__func__):
                registry.admit(callee.__func__)
        elif kind is type and callee not in self.access_log.met:
            start = getattr(callee, "__init__", None)
            if isinstance(start, types.FunctionType) and _matters_in_setup(start):
                self.access_log.meet(callee)
        return callee

    def _call_method(self, site: Site, callee: types.MethodType, first: Any = NOTHING) -> Any:
        function = callee.__func__
        if id(callee.__self__) in self.registry.redirected:
            callee = self.registry.redirect(site, callee)
        if type(function) is types.FunctionType:
            model = self._models.get(id(function))
            if model is not None:
                return functools.partial(model, self.registry, site, callee.__self__)
            if id(function.__code__) not in self._known_codes:
                if self.registry.late and self.registry.meet_module(module_of(function)):
                    return self._call_method(site, callee)
                self.registry.admit(function)
        elif not isinstance(function, type):  # ExitStack binds a lock's `__exit__`, a class an lru_cache
            inner = self.call(site, function, callee.__self__, first)
            return callee if inner is function else functools.partial(inner, callee.__self__)
        return callee

    def _call_type(self, site: Site, kind: Any, first: Any, second: Any) -> Any:
        model = self._models.get(id(kind))
        if model is not None:
            return functools.partial(model, self.registry, site)
        if first is not NOTHING and issubclass(kind, weakref.ref):
            self.access_log.let_go(type(first))
        if kind in READERS:  # ahead of what was met: `list` is met as the type of an argument, too
            return self._c_calls.reads(site, kind, first, second)
        if kind in PURE:
            return kind
        if self.registry.late and self.registry.meet_module(module_of(kind)):
            return self._call_type(site, kind, first, second)
        if effects.is_made_in_c(kind):
            if not issubclass(kind, BaseException):
                return self._c_calls.reads(site, kind, first, second)
            return kind
        if kind not in self.access_log.met:
            self.access_log.meet(kind)
        return kind

    def _call_other(self, site: Site, callee: Any, first: Any, second: Any) -> Any:
        """Method descriptors, partials, caches, instances with `__call__`."""
        kind = type(callee)
        if kind is types.MethodDescriptorType or kind is types.WrapperDescriptorType:
            if first is NOTHING:
                return callee
            typed = self.registry.type_models.get(type(first))
            if typed is not None:
                return _Unbound(typed(self.registry, site, callee.__get__(first, type(first))))
            self._c_calls.c_method(site, callee, first, callee.__name__, second, NOTHING)
            return callee
        if kind is functools.partial:
            return self._call_partial(site, callee, first, second)
        if kind in self.registry.getters:
            return self.registry.getters[kind](self.registry, site, callee)
        if kind is _LRU:
            return self._call_cached(site, callee)
        function = getattr(kind, "__call__", None)  # noqa: B004  # the function itself is wanted
        if isinstance(function, types.FunctionType):
            model = self._models.get(id(function))
            if model is not None:
                return functools.partial(model, self.registry, site, callee)
            if id(function.__code__) not in self._known_codes:
                self.registry.admit(function)
            return callee
        if kind in _PLAIN_CALLABLES or isinstance(callee, weakref.ref) or not callable(callee):
            return callee
        return self._c_calls.assume(site, callee, f"{module_of(kind)}.{kind.__qualname__}", callee)

    def _call_partial(self, site: Site, callee: Any, first: Any, second: Any) -> Any:
        given = (*callee.args, first, second)
        inner = self.call(site, callee.func, *given[:2])
        if inner is callee.func:
            return callee
        return functools.partial(inner, *callee.args, **callee.keywords)

    def _call_cached(self, site: Site, callee: Any) -> Any:
        """An `lru_cache`: looked up now; stored when the function returns, which is an access of its own."""
        wrapped = getattr(callee.__wrapped__, "__func__", callee.__wrapped__)
        if not isinstance(wrapped, types.FunctionType):
            self.access_log.touch(site, 0, callee, None)
            return callee
        if id(wrapped.__code__) not in self._known_codes:
            self.registry.admit(wrapped)
        self.registry.watch_returns(wrapped)
        stores = self.registry.variables.stores.setdefault(self.scheduler.cur, [])

        def call(*arguments: Any, **keywords: Any) -> Any:
            depth = len(stores)
            key = None if keywords else plain_key(arguments)
            self.access_log.touch(site, 0, callee, key)
            stores.append((wrapped, site, callee, key))
            try:
                return callee(*arguments, **keywords)
            finally:
                del stores[depth:]

        return call

    # ------------------------------------------------------------------ context managers

    def _how_to_enter(self, kind: type) -> Model:
        self.registry.meet_module(module_of(kind))
        enter, leave = look_up(kind, "__enter__"), look_up(kind, "__exit__")
        for function in (enter, leave):
            self.registry.admit_value(function)
        if id(enter) in self._models:
            entering, leaving = self._models[id(enter)], self._models.get(id(leave))

            def stand_in(registry: ModelRegistry, site: Site, manager: Any) -> Any:
                finish = functools.partial(leaving, registry, site, manager) if leaving else manager.__exit__
                return _StandIn(functools.partial(entering, registry, site, manager), finish)

            return stand_in
        if isinstance(enter, types.FunctionType) or enter is None or family(kind) == "python":
            return lambda _registry, _site, manager: manager

        def opaque(registry: ModelRegistry, site: Site, manager: Any) -> Any:
            def touched(method: Any) -> Any:
                def call(*arguments: Any) -> Any:
                    registry.access_log.touch(site, 1, manager, None)
                    if method.__name__ == "__exit__" and isinstance(manager, io.IOBase):
                        registry.touch_outside(site, method)
                    return method(*arguments)

                return call

            return _StandIn(touched(manager.__enter__), touched(manager.__exit__))

        return opaque


class _StandIn:
    """What a `with` runs instead of the manager itself."""

    __slots__ = ("enter", "leave")

    def __init__(self, enter: Callable[[], Any], leave: Callable[..., Any]) -> None:
        self.enter, self.leave = enter, leave

    def __enter__(self) -> Any:
        return self.enter()

    def __exit__(self, *details: object) -> Any:
        return self.leave(*details)


class _Unbound:
    """`Lock.acquire(lock)`: the bound model, called with the object once more in front."""

    __slots__ = ("bound",)

    def __init__(self, bound: Callable[..., Any]) -> None:
        self.bound = bound

    def __call__(self, _owner: Any, *arguments: Any, **keywords: Any) -> Any:
        return self.bound(*arguments, **keywords)


def _matters_in_setup(function: types.FunctionType) -> bool:
    """Whether it may ask for the time or for chance: code of the user's, and what draws from the system."""
    return is_own_code(function.__code__.co_filename) or module_of(function) in ("uuid", "secrets", "random")


_LRU = type(functools.lru_cache(lambda: None))
_SIMPLE_METHOD = type(__import__("queue").SimpleQueue().get)
_PLAIN_CALLABLES = frozenset({types.GenericAlias, _local, type(__import__("typing").List[int])})
is_own_code(__file__)  # now: what it remembers is found out by library code that a check may have rewritten
