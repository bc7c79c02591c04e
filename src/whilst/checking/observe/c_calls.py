"""C functions, and methods of C types: what they are about to touch, as far as that is known (see `c_effects`).

What is not known is taken for a write of its object and arguments, and said.
"""

from __future__ import annotations

import _string  # type: ignore[import-not-found]  # what string.Formatter is made of
import contextlib
import functools
import io
import itertools
import operator
import types
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from whilst.checking.engine.events import Assumption, Op
from whilst.checking.engine.operations import READS, Sync
from whilst.checking.engine.sites import Site
from whilst.checking.observe.lookups import plain_key
from whilst.checking.observe.registry import ModelRegistry
from whilst.inspecting import c_effects as effects
from whilst.inspecting.c_effects import ATOMS, METHODS, PURE, READERS, WRITERS, family, object_method
from whilst.inspecting.objects import module_of

NOTHING: Any = object()  # no such argument
_CALLS = Sync(Op.CALL, writes=1)


class CCalls:
    """Callees that can't be rewritten."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry, self.scheduler, self.access_log = registry, registry.scheduler, registry.access_log
        self.attributes, self.containers, self.variables = registry.attributes, registry.containers, registry.variables
        self.containers.watch_factory = self._watch_factory
        registry.hand_over = self.hand_over
        registry.touch_outside = self.touch_outside

    def call_builtin(self, site: Site, callee: Any, first: Any, second: Any) -> Any:
        owner = callee.__self__
        kind = type(owner)
        model = self.registry.models.get(id(callee))
        if model is not None:
            return functools.partial(model, self.registry, site)
        if kind is types.ModuleType or owner is None:
            return self._call_function(site, callee, first, second)
        typed = self.registry.type_models.get(kind)
        if typed is not None:
            return typed(self.registry, site, callee)
        if kind is type or isinstance(owner, type):
            return self._call_class_method(site, callee, first, second)
        return self.c_method(site, callee, owner, callee.__name__, first, second)

    def c_method(self, site: Site, callee: Any, owner: Any, name: str, first: Any, second: Any) -> Any:
        """A bound method of a C type: look its effect up along the type's bases."""
        if type(owner) is types.MappingProxyType:
            owner = self.containers.behind(owner)
        for base in type(owner).__mro__:
            effect = METHODS.get((base, name))
            if effect is not None:
                break
        else:
            return self._unknown_method(site, callee, owner, name, first, second)
        is_write, is_keyed = effect
        if is_write and self._may_be_idle(site, owner, name, first):
            return callee
        if is_keyed:
            if name not in effects.VIEWS:
                self.containers.item(site, int(is_write), owner, first, _KEYED.get(name, ""))
            return callee
        touched = [(int(is_write), self._aliased(owner), None)]
        if name in effects.TWO_CONTAINERS and first is not NOTHING:
            touched += self.containers.contents(0, first)
        elif name in _COMPARING:
            touched += self._handed(0, first, 0)
            touched += self.containers.contents(0, owner, 1)[1:]
        self.access_log.touch_all(site, touched, _CALLS)
        if name == "sort" and first is not NOTHING:
            return functools.partial(self._sort, site, callee)
        return callee

    def _may_be_idle(self, site: Site, owner: Any, name: str, first: Any) -> bool:
        """`d.setdefault(k, v)` with k there, `queue.popleft()` on an empty one: whether it changes anything is known
        only when it happens. Whoever polls with such a call waits for somebody else; it is a look."""
        how = (type(owner), name)
        if how not in _MAYBE_IDLE or id(owner) in self.access_log.owner_of_dict:
            return False
        needs: Callable[[Any], Any] = bool
        key = None
        if how in effects.IDLE_IF_EMPTY:
            measure: Callable[[], Any] = owner.__len__
        else:
            key = plain_key(first)
            if key is None:
                return False
            measure = functools.partial(owner.__contains__, first)
            needs = operator.not_ if how in effects.IDLE_IF_THERE else bool
        sync = Sync(Op.READ, measure, needs, writes=2)
        self.access_log.sync(site, (2, id(owner), key, site, owner, sync))
        return True

    def _sort(self, site: Site, method: Any, *, key: Any = None, reverse: bool = False) -> None:
        method(key=self.registry.seen(site, key), reverse=reverse)

    def _watch_factory(self, factory: Any, site: Site, thing: Any, key: Any) -> None:
        """A defaultdict is about to call its factory; what that returns is stored by no instruction."""
        while isinstance(factory, functools.partial):
            factory = factory.func
        function = getattr(factory, "__func__", factory)
        if not isinstance(function, types.FunctionType) or id(function) in self.registry.models:
            return
        if id(function.__code__) not in self.registry.known_codes:
            self.registry.admit(function)
        self.registry.watch_returns(function)
        self.variables.stores.setdefault(self.scheduler.cur, []).append((function, site, thing, key))

    def _aliased(self, owner: Any) -> Any:
        """The object whose `__dict__` this is, or the container itself."""
        return self.access_log.owner_of_dict.get(id(owner), owner)

    def _unknown_method(self, site: Site, callee: Any, owner: Any, name: str, first: Any, second: Any) -> Any:
        kind = type(owner)
        if self.registry.late and self.registry.meet_module(module_of(kind)):
            return self.call_builtin(site, callee, first, second)
        if kind is types.GeneratorType:
            self.access_log.touch(site, 1, owner, None)
            return self.variables.through(site, owner, callee)
        if kind is types.CoroutineType:
            self.access_log.touch(site, 1, owner, None)
            return callee
        if name in ("__setattr__", "__delattr__"):
            self.attributes.write_attr(site, owner, first, second, is_inner=True)
            return callee
        if name == "__getattribute__":
            self.access_log.touch(site, 0, owner, first if type(first) is str else None)
            return callee
        if kind is types.MemberDescriptorType and first is not NOTHING:
            (self._get_attr if name == "__get__" else self._set_slot)(site, first, owner.__name__)
            return callee
        held = family(kind)
        effect = object_method(name)
        if held == "immutable":
            if name in ("format", "format_map"):
                return functools.partial(self._format, site, callee)
            return self.reads(site, callee, first, second)
        if effect == "nothing":
            return callee
        if effect == "reads":
            self.access_log.touch_all(site, [(0, owner, None), *self._handed(0, first, 0)], READS)
            return callee
        if module_of(kind) in _OUTSIDE_OF_MODULE and kind.__name__ not in ("StringIO", "BytesIO"):
            self.touch_outside(site, callee)
            return callee
        if name == "__next__":
            self.access_log.touch_all(site, self.containers.contents(1, owner), _CALLS)
            return callee
        return self.assume(site, callee, f"{module_of(kind)}.{kind.__qualname__}.{name}", owner)

    def _set_slot(self, site: Site, thing: Any, name: str) -> None:
        self.access_log.touch(site, 1, thing, name)

    def _call_class_method(self, site: Site, callee: Any, first: Any, second: Any) -> Any:
        name = callee.__name__
        told = self.registry.clocks.calendar(callee.__self__, name)
        if told is not None:
            return told
        if name == "__setattr__" and first is not NOTHING:
            self.attributes.write_attr(site, callee.__self__, first, second)
            return callee
        return self.reads(site, callee, first, second)

    def _format(self, site: Site, method: Any, *arguments: Any, **keywords: Any) -> Any:
        """str.format, format_map: what it is given is turned into text, and "{0.a[k]}" reads it."""
        self.hand_over(site, repr, (*arguments, *keywords.values()))
        named = arguments[0] if method.__name__ == "format_map" else keywords
        touched = list(_read_by_format(method.__self__, arguments, named))
        for _, thing, name in touched:
            if type(name) is str and family(type(thing)) == "python":
                self.access_log.meet(type(thing))
        self.access_log.touch_all(site, touched, READS)
        return method(*arguments, **keywords)

    def _call_function(self, site: Site, callee: Any, first: Any, second: Any) -> Any:
        """A C function of a module."""
        if callee in READERS:
            return self.reads(site, callee, first, second)
        if callee is weakref.proxy and first is not NOTHING:
            self.access_log.let_go(type(first))
            return callee
        if callee in PURE:
            if callee is vars and first is not NOTHING:
                self.attributes.read_attr(site, first, "__dict__", "dict" if hasattr(first, "__dict__") else "skip")
            return callee
        if callee in WRITERS or callee is next:
            compared = self._handed(0, second, 0) if callee is not next else []
            self.access_log.touch_all(
                site, [*self.containers.contents(1, first, int(callee is not next)), *compared], _CALLS
            )
            if type(first) is types.GeneratorType:
                return self.variables.through(site, first, callee)
        elif callee is setattr or callee is delattr:
            self.attributes.write_attr(site, first, second, None)
        elif callee is getattr or callee is hasattr:
            self._get_attr(site, first, second)
        elif callee is open or module_of(callee) in ("posix", "nt"):
            self.touch_outside(site, callee, first)
        else:
            module = module_of(callee) or "builtins"
            if self.registry.late and self.registry.meet_module(module):
                return self.call_builtin(site, callee, first, second)
            return self.assume(site, callee, f"{module}.{callee.__name__}", None)
        return callee

    def _get_attr(self, site: Site, thing: Any, name: Any) -> None:
        if type(name) is not str:
            return
        key = (type(thing), name)
        how = site.how.get(key)
        if how is None:
            how = self.access_log.site_table.inform(site, key, self.attributes.how_to_read(type(thing), name))
        self.attributes.read_attr(site, thing, name, str(how))

    def reads(self, site: Site, callee: Any, first: Any, second: Any) -> Any:
        self.hand_over(site, callee, (first, second))
        if type(first) is types.GeneratorType and site.is_scheduling_point:
            return self.variables.through(site, first, callee)
        return callee

    def hand_over(self, site: Site, callee: Any, arguments: tuple[Any, ...]) -> None:
        """C code that reads what it is given."""
        touched: list[tuple[int, Any, Any]] = []
        for argument in arguments:
            if argument is not NOTHING and type(argument) not in ATOMS:
                touched += self._handed(int(callee in WRITERS and not touched), argument, effects.depth_of(callee))
        if touched:
            self.access_log.touch_all(site, touched, READS if callee not in WRITERS else _CALLS)

    def _handed(self, code: int, argument: Any, depth: int) -> list[tuple[int, Any, Any]]:
        if argument is NOTHING:
            return []
        if family(type(argument)) == "python":
            self.access_log.meet(type(argument))
            return []
        return self.containers.contents(code, argument, depth)

    def touch_outside(self, site: Site, callee: Any, first: Any = NOTHING) -> None:
        """Files, sockets, databases, the working directory: each is one thing, read or written as a whole."""
        name = callee.__name__
        if name in _HARMLESS_OUTSIDE:
            return
        self.registry.virtual.setdefault("outside", _OUTSIDE_ASSUMED)
        owner = getattr(callee, "__self__", None)
        module = module_of(callee) if isinstance(owner, types.ModuleType) else module_of(type(owner))
        thing = _OUTSIDE_OF_CALL.get(name) or _OUTSIDE_OF_MODULE.get(module, FILES)
        touched: list[tuple[int, Any, Any]] = [(int(name not in _READING_OUTSIDE), thing, None)]
        if thing is FILES and isinstance(first, str) and not first.startswith("/"):
            touched.append((0, _FOLDER, None))
        if name in _MASKED:
            touched.append((0, _MASK, None))
        self.access_log.touch_all(site, touched, _CALLS)
        if name in ("close", "__exit__") and isinstance(owner, io.IOBase) and not owner.closed:
            with contextlib.suppress(OSError):  # one that is in memory has no descriptor
                self.registry.closing(site, owner.fileno())

    def assume(self, site: Site, callee: Any, what: str, owner: Any) -> Any:
        """Nothing is known about it: a write of its self object and of every container among its arguments."""
        if what not in self.registry.assumed and not what.startswith(_OWN):
            location = site.location
            self.registry.assumed[what] = Assumption(what, "a write of its object and arguments", location)

        def call(*arguments: Any, **keywords: Any) -> Any:
            touched: list[tuple[int, Any, Any]] = []
            if owner is not None:
                touched.append((1, owner, None))
            for argument in itertools.chain(arguments, keywords.values()):
                touched += self._handed(1, argument, 3)
            self.access_log.touch_all(site, touched, _CALLS)
            return self.registry.call_unknown(callee, *arguments, **keywords)

        return call


def _read_by_format(text: object, arguments: Sequence[Any], named: Any) -> Iterator[tuple[int, Any, Any]]:
    """What the fields of a format string read of what they are given, as far as no code of the user's does that."""
    if not isinstance(text, str) or ("." not in text and "[" not in text):
        return
    count = itertools.count()
    for _, field, _, _ in _string.formatter_parser(text):
        if field is None:
            continue
        first, rest = _string.formatter_field_name_split(field)
        first = next(count) if first == "" else first
        try:
            thing = arguments[first] if isinstance(first, int) else named[first]
        except (LookupError, TypeError):
            return  # format will say so
        for is_attribute, name in rest:
            kind = type(thing)
            if is_attribute and name in getattr(thing, "__dict__", ()):
                yield 0, thing, name
                thing = vars(thing)[name]
            elif not is_attribute and kind in (dict, list) and (kind is dict or name < len(thing)):
                yield 0, thing, plain_key(name)
                thing = thing.get(name) if kind is dict else thing[name]
            else:
                break


class Outside:
    """Something that all tasks share outside the program's objects: read or written as a whole."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


FILES: Final = Outside("files")
_DATABASES, _SOCKETS = Outside("the database"), Outside("sockets")
_FOLDER, _MASK = Outside("the working directory"), Outside("the umask")
_OUTSIDE_OF_MODULE: Final = {
    **dict.fromkeys(("_io", "mmap", "posix", "nt"), FILES),
    **dict.fromkeys(("sqlite3", "_sqlite3"), _DATABASES),
    **dict.fromkeys(("_socket", "socket", "select", "_ssl"), _SOCKETS),
}
_OUTSIDE_OF_CALL: Final = {"chdir": _FOLDER, "fchdir": _FOLDER, "getcwd": _FOLDER, "getcwdb": _FOLDER, "umask": _MASK}
_MASKED: Final = frozenset({"open", "mkdir", "mknod", "mkfifo"})
_OUTSIDE_ASSUMED = Assumption("files, sockets and databases", "one shared thing; what they hold is no outcome")
_READING_OUTSIDE_NAMES = (
    "stat lstat fstat listdir scandir access readlink getcwd getcwdb read readline readlines readall tell"
)
_READING_OUTSIDE = frozenset(_READING_OUTSIDE_NAMES.split())
_HARMLESS_OUTSIDE_NAMES = """
    fspath getpid getppid urandom cpu_count strerror get_terminal_size getuid geteuid getgid sched_yield fileno
    isatty readable writable seekable getlogin times uname sysconf putenv unsetenv WEXITSTATUS _path_normpath
    _path_splitroot_ex _path_splitroot _inputhook get_inheritable device_encoding
"""
_HARMLESS_OUTSIDE = frozenset(_HARMLESS_OUTSIDE_NAMES.split())
_KEYED = {"get": "__getitem__", "setdefault": "__setitem__", "pop": "__delitem__", "add": "__contains__"}
_KEYED.update({"discard": "__contains__", "remove": "__contains__"})
_OWN: Final = "whilst."  # models of ours (tasks of event loops): nothing that a reader could assume or doubt
_MAYBE_IDLE = effects.IDLE_IF_THERE | effects.IDLE_IF_NOT_THERE | effects.IDLE_IF_EMPTY
_COMPARING = frozenset({"remove", "index", "count", "sort"})
