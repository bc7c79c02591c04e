"""What all that looks at calls knows: which models there are, and which code is to be rewritten before it runs."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from typing import Any

from whilst.checking.engine.events import Assumption, Op
from whilst.checking.engine.operations import Sync
from whilst.checking.engine.sites import Site, is_plain
from whilst.checking.instrument.left_alone import is_modelled
from whilst.checking.observe.access_log import AccessLog
from whilst.checking.observe.attributes import Attributes
from whilst.checking.observe.containers import Containers
from whilst.checking.observe.variables import Variables
from whilst.inspecting import c_effects as effects
from whilst.inspecting.objects import module_of

Model = Callable[..., Any]  # model(registry, site, *arguments of the call), self first for methods


class ModelRegistry:
    """The models, what they work with, and the way in for functions and classes."""

    def __init__(
        self, access_log: AccessLog, attributes: Attributes, containers: Containers, variables: Variables
    ) -> None:
        self.access_log, self.scheduler = access_log, access_log.scheduler
        self.attributes, self.containers, self.variables = attributes, containers, variables
        self.call: Callable[..., Any]  # (site, callee, first, second): what to call in its stead, see `calls`
        self.hand_over: Callable[[Site, Any, tuple[Any, ...]], None]  # see `c_calls`
        self.touch_outside: Callable[[Site, Any], None]  # a call that has to do with files and the like, see `c_calls`
        self.closing: Callable[[Site, int], None] = lambda _site, _descriptor: None  # a file's descriptor
        self.admit: Callable[[types.FunctionType], None] = lambda _: None
        self.call_unknown: Callable[..., Any] = lambda callee, *arguments, **keywords: callee(*arguments, **keywords)
        access_log.admit_class = self.admit_class
        self.watch_returns: Callable[[types.FunctionType], None] = lambda _: None
        self.rewrite_source: Callable[[object, str, dict[str, Any]], types.CodeType]  # for exec and eval
        self.models: dict[int, Model] = {}  # id of a function -> its model
        self.type_models: dict[type, Callable[[Any, Site, Any], Any]] = {}  # of C methods, by type of self
        self.managers: dict[type, Model] = {}  # type of a context manager -> what makes its stand-in
        self.known_codes: set[int] = set()
        self.assumed: dict[str, Assumption] = {}
        self.virtual: dict[str, Assumption] = {}  # what was given a stand-in of another nature
        self.has_identity = False  # whether a task asked who it is
        self.redirected: dict[int, object] = {}  # id of an object -> its methods go to another one
        self.redirect: Callable[[Site, types.MethodType], Any] = lambda _, method: method
        self.outside_tasks: dict[int, Model] = {}  # models that hold in setup and in the outcome, too
        self.getters: dict[type, Callable[[Any, Site, Any], Any]] = {}  # of `operator`
        self.seen: Callable[[Site, Any], Any] = lambda _, function: function  # what C code shall call instead of it
        self.generations: dict[int, list[Any]] = {}  # of barriers
        self.callback_errors: list[Exception] = []  # of event loops in this execution
        self._emptied: list[Any] = [self.generations, self.callback_errors, variables.stores, variables.inside]
        # Set by `models.install`; here for those models that work on each other's objects.
        self.locks: Any = None
        self.conditions: Any = None
        self.threads: Any = None
        self.clocks: Any = None
        self.futures: Any = None
        self.imports: Any = None
        self.steps: Any = None  # of coroutine tasks, where all tasks are such
        self.step_sites: dict[tuple[int, int], Site] = {}  # where they go on, by code and instruction
        self.loops: list[Any] = []  # event loops that run in this execution
        self.remote: Callable[..., Callable[[], Any]]  # a call in a process of an executor's
        self.beginning: list[Any] = []  # models that have something to do when an execution begins
        self.late: dict[str, Callable[[Any], None]] = {}  # module -> what installs its models when it is first met

    def add_models(self, table: Iterable[tuple[object, Model]]) -> None:
        """By function: its model."""
        self.models.update((id(function), model) for function, model in table)

    def sync(self, site: Site, thing: object, *how: Any, **more: Any) -> None:
        """One event on a thing, with what `Sync` takes."""
        self.access_log.sync(site, (2, id(thing), None, site, thing, Sync(*how, **more)))

    def take(
        self, site: Site, thing: object, measure: Callable[[], Any], needs: Callable[[Any], Any], *, is_patient: bool
    ) -> None:
        """Wait until there is something to take, or, without patience, see whether there is."""
        kind, writes = (Op.ACQUIRE, 1) if is_patient else (Op.TRY, 2)
        self.sync(site, thing, kind, measure, needs, blocks=is_patient, writes=writes)

    def begin(self) -> None:
        """A new execution."""
        for held in filter(None, self._emptied):
            held.clear()
        for models in self.beginning:
            models.begin()

    def empty_each_time(self, *held: Any) -> None:
        """These dicts, lists or sets are about one execution, and emptied when the next one begins."""
        self._emptied += held

    def is_asked_in_setup(self, callee: Any) -> bool:
        """Whether that C function tells the time or draws by chance: in setup, too, that is the check's own affair."""
        if id(callee) in self.outside_tasks:
            return True
        owner = getattr(callee, "__self__", None)
        return isinstance(owner, type) and self.clocks.calendar(owner, callee.__name__) is not None

    def meet_module(self, name: str) -> bool:
        """Something of that module is about to be used; whether there are models of it that were not known yet."""
        install = self.late.pop(name, None)
        if install is not None:
            install(self)
        return install is not None

    def forget(self) -> None:
        """The check is over."""
        self.begin()
        self.assumed, self.virtual, self.has_identity = {}, {}, False
        self.steps, self.step_sites = None, {}

    def admit_class(self, kind: type) -> None:
        """Rewrite what a class and its bases define: C code calls it without a CALL of ours."""
        meta: type = type(kind)
        for base in kind.__mro__ if meta is type else (*kind.__mro__, *meta.__mro__):
            if base is object or base is type:
                continue
            module = module_of(base)
            self.meet_module(module)
            if not is_modelled(module) and not effects.is_made_in_c(base):
                for value in list(vars(base).values()):
                    self.admit_value(value)

    def admit_value(self, value: object) -> None:
        """Rewrite the function that a class attribute holds, whatever it is wrapped in."""
        if isinstance(value, (staticmethod, classmethod)):
            value = value.__func__
        if isinstance(value, property):
            for function in (value.fget, value.fset, value.fdel):
                if function is not None:
                    self.admit_value(function)
            return
        inner = getattr(value, "func", None)
        if not isinstance(value, types.FunctionType) and isinstance(inner, types.FunctionType):
            value = inner
        if isinstance(value, types.FunctionType):
            if id(value.__code__) not in self.known_codes:
                self.admit(value)
        elif not is_plain(type(value)) and (hasattr(type(value), "__get__") or callable(value)):
            self.access_log.note_odd()
