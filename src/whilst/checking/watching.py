"""The hooks: what an instruction is about to touch, told to the scheduler.

*Cold and hot.* A place in the code starts cold: its accesses are logged (who read, who wrote) but are no
scheduling points. When a log shows that two tasks touched the same thing and one of them wrote, every place that
touched it turns hot, and the search starts over. Cold accesses are compared with hot ones as well, so a search
that ends without turning anything hot has seen every conflict there was; what only one task reaches costs nothing.

A thing is known by `(id(object), key)`: an attribute's name, a dict's key, a list's index; None is the object as
a whole and overlaps with all of its keys.
"""

from __future__ import annotations

import array
import collections
import gc
import itertools
import sys
import types
import weakref
from _thread import _local
from collections.abc import Callable
from typing import Any

from whilst.checking.effects import ATOMS, family
from whilst.checking.events import Op
from whilst.checking.operations import Operation, Sync
from whilst.checking.polling import local_state
from whilst.checking.scheduler import Scheduler
from whilst.checking.sites import Places, Site

__all__ = ["Dropped", "Watcher", "plain_key"]

_TABLES: tuple[dict[Any, Any], ...] = ({}, collections.OrderedDict())
_DICT_VIEWS = tuple(type(view) for table in _TABLES for view in (table.keys(), table.values(), table.items()))
_MISSING = object()
_PLAIN_KEYS = frozenset({int, str, bytes, bool, type(None), float, complex, type})
_MAX_DEPTH = 3  # of containers inside containers that one C call may look into


def plain_key(key: Any) -> Any:
    """A key that can be compared without running the user's `__eq__`; None (the whole) where there is none."""
    kind = type(key)
    if kind in _PLAIN_KEYS:
        return ("", key) if key is None else key
    if kind is tuple:
        parts = tuple(plain_key(part) for part in key)
        return None if None in parts else parts
    compares_by_identity = _look_up(kind, "__eq__") is vars(object)["__eq__"]
    return ("id", id(key)) if compares_by_identity else None


class Log:
    """Who touched one thing from cold places: masks of tasks, and the places."""

    __slots__ = ("count", "local", "reads", "sites", "thing", "writes")

    def __init__(self, thing: object) -> None:
        self.count = 0
        self.local: object = None
        self.reads = self.writes = 0
        self.sites: set[Site] = set()
        self.thing = thing


class Dropped:
    """Stands in an event for what must not be kept alive by it, having something to do when it goes."""

    __slots__ = ("name", "thing_id")

    def __init__(self, thing: Any) -> None:
        self.thing_id = id(thing)
        self.name = f"generator {thing.__name__}" if type(thing) is types.GeneratorType else type(thing).__name__

    def __repr__(self) -> str:
        return self.name


class Watcher:
    """Sorts out what is touched. Its methods are the hooks of variables and containers."""

    def __init__(self, scheduler: Scheduler, places: Places) -> None:
        self.scheduler = scheduler
        self.places = places
        self.logs: dict[int, dict[Any, Log]] = {}
        self.learned: set[Site] = set()
        self.owner_of_dict: dict[int, object] = {}
        self.locals: dict[int, list[Any]] = {}
        self.stored_class_names: set[str] = set()
        self.stored_module_names: set[str] = set()
        self.must_rewrite = False
        self.epoch = 0  # of the execution: what a site remembers of an earlier one does not count
        self.stores: dict[int, list[tuple[Any, Site, Any, Any]]] = {}  # of tasks: caches whose function is running
        self.changes_class = False  # whether some code stores into `__class__`
        self.inside: dict[int, list[Any]] = {}  # of tasks: the generators whose bodies they are in
        self.dropped: set[type] = {types.GeneratorType}  # what is not kept alive
        self.met: set[type] = set()  # classes made in Python whose code has been rewritten
        self.step: list[tuple[Any, Any, int]] | None = None  # what the running step of a coroutine touches
        self.admit_class: Callable[[type], None] = lambda _: None
        self.watch_factory: Callable[[Any, Site, Any, Any], None] = lambda *_: None

    def begin(self) -> None:
        """Forget the last execution; its objects may go now."""
        self.epoch += 1
        self.logs.clear()
        self.owner_of_dict.clear()
        self.locals.clear()
        self.stores.clear()
        self.inside.clear()

    def forget(self) -> None:
        """The check is over."""
        self.begin()
        self.step = None
        self.learned = set()
        self.dropped = {types.GeneratorType}
        self.changes_class = False
        self.stored_class_names, self.stored_module_names, self.met = set(), set(), set()
        self.must_rewrite = False

    def meet(self, kind: type) -> None:
        """An instance turns up: rewrite its class before C code calls its methods."""
        if kind not in self.met:
            self.met.add(kind)
            if hasattr(kind, "__del__"):
                self.let_go(kind)
            self.admit_class(kind)

    def let_go(self, kind: type) -> None:
        """It matters when an object of that type goes: `__del__` says something, or a weak reference notices."""
        if kind not in self.dropped:
            self.dropped.add(kind)
            self.places.forget_kind(kind)

    # ------------------------------------------------------------------ the two ways out

    def touch(self, site: Site, code: int, thing: Any, key: Any, value: Any = None) -> None:
        """A plain access: code 0 reads, 1 writes."""
        if site.is_hot:
            held = Dropped(thing) if type(thing) in self.dropped else thing
            self.scheduler.step((code, id(thing), key, site, held, value))
        else:
            self.log(site, code, thing, key)

    def log(self, site: Site, code: int, thing: Any, key: Any) -> None:
        """An access from a cold place: no scheduling point, but remembered."""
        keys = self.logs.get(id(thing))
        if keys is None:
            keys = self.logs[id(thing)] = {}
        entry = keys.get(key)
        if entry is None:
            entry = keys[key] = Log(self._kept(thing))
        if self.step is not None:
            self.step.append((id(thing), key, int(bool(code))))
        scheduler = self.scheduler
        task = scheduler.cur
        bit = scheduler.groups.get(task, 1 << task) if scheduler.groups else 1 << task
        if code:
            entry.writes |= bit
        else:
            entry.reads |= bit
        entry.sites.add(site)
        entry.count += 1
        if not entry.count & 255:
            self._doubt_polling(site, entry)

    def _log_again(self, site: Site, thing: Any) -> None:
        """The same place, thing and task as the last time here: all that is new is that it happened again."""
        site.again += 1
        if not site.again & 255:
            self._doubt_polling(site, self.logs[id(thing)][site.name])

    def _kept(self, thing: Any) -> object:
        """Keep it alive, so that nothing else gets its id; but not what has something to do when it is dropped.

        A generator's `finally` and an object's `__del__` run when it goes; then what was logged of it goes too.
        """
        kind = type(thing)
        if kind not in self.dropped and not hasattr(kind, "__del__"):
            return thing
        gone = id(thing)
        try:
            return weakref.ref(thing, lambda _: self._drop(gone))
        except TypeError:  # slots without one for weak references
            return None

    def _drop(self, gone: int) -> None:
        for entry in self.logs.pop(gone, {}).values():
            if entry.writes and _several(entry.reads | entry.writes):
                self.learned |= entry.sites

    def _doubt_polling(self, site: Site, entry: Log) -> None:
        """A cold place that has been passed very often in one and the same local state polls: make it a point."""
        local = local_state(Scheduler._work.__code__)  # noqa: SLF001
        if entry.local == local:
            self.places.heat(site)
            self.learned.add(site)
        entry.local = local

    def sync(self, site: Site, operation: Operation) -> None:
        """A lock or the like: a scheduling point once two tasks use it, or when it has to wait."""
        sync: Sync = operation[5]
        if not site.is_hot:
            if not sync.blocks or sync.needs is None or sync.measure is None or sync.needs(sync.measure()):
                self.log(site, 1, operation[4], operation[2])
                for thing_id, key, is_write in sync.more:
                    self.log_id(site, is_write, thing_id, key)
                return
            self.learned.add(site)
            self.places.heat(site)
        self.scheduler.step(operation)

    def log_id(self, site: Site, is_write: bool, thing_id: int, key: Any) -> None:
        """As `log`, for one of the further things of an operation, which keeps it alive elsewhere."""
        keys = self.logs.setdefault(thing_id, {})
        entry = keys.get(key)
        if entry is None:
            entry = keys[key] = Log(None)
        if self.step is not None:
            self.step.append((thing_id, key, int(is_write)))
        bit = self.scheduler.groups.get(self.scheduler.cur, 1 << self.scheduler.cur)
        if is_write:
            entry.writes |= bit
        else:
            entry.reads |= bit
        entry.sites.add(site)

    def touch_all(self, site: Site, touched: list[tuple[int, Any, Any]], sync: Sync) -> None:
        """Several things in one indivisible operation: (code, thing, key) each."""
        if not touched:
            return
        if len(touched) == 1:
            code, thing, key = touched[0]
            self.touch(site, code, thing, key)
            return
        if not site.is_hot:
            for code, thing, key in touched:
                self.log(site, code, thing, key)
            return
        self.scheduler.keep.append(touched)
        code, thing, key = touched[0]
        more = tuple((id(other), k, bool(c)) for c, other, k in touched[1:])
        self.scheduler.step((2, id(thing), key, site, thing, Sync(sync.kind, writes=code, more=more)))

    def fine(self, site: Site) -> None:
        """In an audit: ahead of every instruction. It touches nothing but may switch."""
        if self.scheduler.cur >= 0:
            self.scheduler.step((1, id(site), self.scheduler.cur, site, site, None))

    # ------------------------------------------------------------------ learning

    def learn(self) -> bool:
        """After an execution: turn hot what took part in a conflict. True when anything did."""
        found = self.learned
        for keys in self.logs.values():
            for entry in keys.values():
                if entry.writes and _several(entry.reads | entry.writes):
                    found |= entry.sites
            if None in keys and len(keys) > 1:
                self._learn_whole(keys, found)
        if self.logs:
            self._learn_from_trace(found)
        self.learned = set()
        is_new = False
        for site in found:
            is_new = True
            self.places.heat(site)
        if is_new:  # code that is made anew in every execution has new sites of the same names
            self.places.named |= {site.point for site in found}
        return is_new

    @staticmethod
    def _learn_whole(keys: dict[Any, Log], found: set[Site]) -> None:
        whole = keys[None]
        for key, entry in keys.items():
            writes = whole.writes or entry.writes
            if key is not None and writes:
                tasks = whole.reads | whole.writes | entry.reads | entry.writes
                if _several(tasks) and _conflict(whole, entry):
                    found |= whole.sites | entry.sites

    def _learn_from_trace(self, found: set[Site]) -> None:
        """Cold against hot: an event touched what somebody else touched from a cold place."""
        logs = self.logs
        for event in self.scheduler.trace:
            if event[5][0] == 2 and event[5][5].more:
                touched = ((event[2], event[3], event[1]), *event[5][5].more)
            elif event[2] in logs:
                touched = ((event[2], event[3], event[1]),)
            else:
                continue
            others = ~self.scheduler.groups.get(event[0], 1 << event[0])
            for thing, key, is_write in touched:
                for logged, entry in logs.get(thing, {}).items():
                    if key is None or logged is None or key == logged:
                        tasks = (entry.reads | entry.writes if is_write else entry.writes) & others
                        if tasks:
                            found |= entry.sites

    # ------------------------------------------------------------------ attributes

    def get_attr(self, site: Site, thing: Any) -> None:
        """LOAD_ATTR is about to read `site.name` of it."""
        if self.scheduler.cur < 0:
            return
        how = site.how.get(type(thing))
        if how is None:
            how = self._unless_dropped(type(thing), self.how_to_read(type(thing), site.name))
            self.places.inform(site, type(thing), how)
        if how == "skip":
            return
        if how == "instance":
            if site.is_hot:
                self.scheduler.step((0, id(thing), site.name, site, thing, None))
            elif site.memo == (id(thing), self.scheduler.cur, self.epoch):
                self._log_again(site, thing)
            else:
                self.log(site, 0, thing, site.name)
                site.memo = (id(thing), self.scheduler.cur, self.epoch)
                site.again = 0
        else:
            self.read_attr(site, thing, site.name, str(how))

    def _unless_dropped(self, kind: type, how: str) -> str:
        """The short way through `get_attr` and `set_attr` keeps what it touches."""
        return "dropped instance" if how == "instance" and kind in self.dropped else how

    def read_attr(self, site: Site, thing: Any, name: str, how: str) -> None:
        """The less common ways an attribute can be read."""
        if how in ("instance", "dropped instance"):
            self.touch(site, 0, thing, name)
        elif how == "module":
            if site.is_hot or name in self.stored_module_names:
                self.touch(site, 0, vars(thing), name)
        elif how == "class":
            self._read_class(site, thing, name)
        elif how == "default":
            self.touch(site, 0, thing, name)
            if name in self.stored_class_names:
                self._read_class(site, type(thing), name)
        elif how == "method":
            if self.changes_class:
                self.touch(site, 0, thing, "__class__")
            if name in self.stored_class_names:
                self._read_class(site, type(thing), name)
        elif how == "proxy":
            self.get_attr(site, _referent(thing))
        elif how == "dict":
            inner = vars(thing)
            self.owner_of_dict[id(inner)] = thing
            self.scheduler.keep.append(inner)
        elif how == "local":
            self.swap_local(thing)
        elif how == "class of":
            self._read_class(site, type(thing), name)
        elif how == "whole":
            self.touch(site, 0, thing, None)

    def _read_class(self, site: Site, kind: type, name: str) -> None:
        is_stored = name in self.stored_class_names
        touched = []
        for base in kind.__mro__:
            if name in vars(base):
                if is_stored or not isinstance(vars(base)[name], types.FunctionType):
                    touched.append((0, base, name))
                break
            if is_stored and base is not object:  # it is looked up there first, and may be stored there
                touched.append((0, base, name))
        self.touch_all(site, touched, _READS)

    def how_to_read(self, kind: type, name: str) -> str:
        """How reading an attribute of that name from an instance of that type is to be seen."""
        self.meet(kind)
        if issubclass(kind, types.ModuleType):
            return "module"
        if issubclass(kind, type):
            return "class"
        if issubclass(kind, _local):
            return "local"
        if kind in _PROXIES:
            return "proxy"
        if name == "__dict__":
            return "dict" if kind.__dictoffset__ else "skip"
        if name == "__class__" or _defines_in_python(kind, "__getattribute__"):
            return "skip"
        found = _look_up(kind, name)
        if found is _MISSING:
            return "instance" if kind.__dictoffset__ else "skip"
        if isinstance(found, types.MemberDescriptorType):
            return "instance"
        if isinstance(found, (types.FunctionType, classmethod, staticmethod)):
            return "method"
        if isinstance(found, (property, types.MethodDescriptorType, types.WrapperDescriptorType)):
            return "skip"
        if isinstance(found, types.GetSetDescriptorType):
            return "skip" if family(kind) in ("immutable", "python") else "whole"
        if _defines_in_python(type(found), "__get__"):
            self.meet(type(found))
            # A non-data descriptor (cached_property) gives way to the instance's own value.
            return "skip" if hasattr(type(found), "__set__") else "instance"
        return "default" if kind.__dictoffset__ else "class of"

    def set_attr(self, site: Site, thing: Any, value: Any = None) -> None:
        """STORE_ATTR or DELETE_ATTR is about to change `site.name` of it."""
        if self.scheduler.cur < 0:
            return
        kind = type(thing)
        how = site.how.get(kind)
        if how is None:
            self.meet(kind)
            how = self.places.inform(site, kind, self._unless_dropped(kind, self._how_to_write(kind, site.name)))
        if how == "instance":
            if site.is_hot:
                self.scheduler.step((1, id(thing), site.name, site, thing, value))
            elif site.memo == (id(thing), self.scheduler.cur, self.epoch):
                self._log_again(site, thing)
            else:
                self.log(site, 1, thing, site.name)
                site.memo = (id(thing), self.scheduler.cur, self.epoch)
                site.again = 0
        elif how != "skip":
            self.write_attr(site, thing, site.name, value)

    def _how_to_write(self, kind: type, name: str) -> str:
        if issubclass(kind, (type, types.ModuleType, _local)) or kind in _PROXIES or name in ("__dict__", "__class__"):
            return "special"
        if _defines_in_python(kind, "__setattr__"):
            return "skip"
        found = _look_up(kind, name)
        if found is not _MISSING:
            self.meet(type(found))
        has_setter = found is not _MISSING and _defines_in_python(type(found), "__set__")
        return "skip" if has_setter or isinstance(found, property) else "instance"

    def write_attr(self, site: Site, thing: Any, name: str, value: Any, *, is_inner: bool = False) -> None:
        """An attribute is stored or deleted, by an instruction or by setattr; `is_inner`: by object.__setattr__."""
        kind = type(thing)
        if isinstance(thing, type):
            if name not in self.stored_class_names:
                self.stored_class_names.add(name)
                self.must_rewrite = True
            self.touch(site, 1, thing, name, value)
        elif kind is types.ModuleType:
            self._store_global(name)
            self.touch(site, 1, vars(thing), name, value)
        elif isinstance(thing, _local):
            self.swap_local(thing)
        elif kind in _PROXIES:
            self.write_attr(site, _referent(thing), name, value)
        elif name == "__class__":
            self.changes_class = True
            self.touch(site, 1, thing, name, value)
        elif not is_inner and _defines_in_python(kind, "__setattr__"):
            return
        else:
            found = _look_up(kind, name)
            if isinstance(found, property) or (found is not _MISSING and _defines_in_python(type(found), "__set__")):
                return
            self.touch(site, 1, thing, None if name == "__dict__" else name, value)

    def swap_local(self, thing: Any) -> None:
        """Give a `threading.local` the attributes that belong to the running task."""
        task = self.scheduler.cur
        record = self.locals.get(id(thing))
        if record is None:
            # What setup stored belongs to the thread that ran setup, and to no task.
            record = self.locals[id(thing)] = [thing, -1, {}]
        if record[1] == task:
            return
        inner = vars(thing)
        record[2][record[1]] = dict(inner)
        inner.clear()
        mine = record[2].get(task)
        record[1] = task
        if mine is not None:
            inner.update(mine)
        elif _defines_in_python(type(thing), "__init__"):
            given = next((each for each in gc.get_referents(thing) if type(each) is tuple), ())
            type(thing).__init__(thing, *given)
            self.swap_local(thing)  # others may have come in between

    def end(self) -> None:
        """The execution is over; what is left of a `threading.local` is what the thread sees that ran setup."""
        for thing, task, held in self.locals.values():
            if task != -1:
                inner = vars(thing)
                inner.clear()
                inner.update(held.get(-1, {}))
        self.locals.clear()

    # ------------------------------------------------------------------ globals and closures

    def get_global(self, site: Site) -> None:
        """LOAD_GLOBAL of a name that somebody stores."""
        if self.scheduler.cur >= 0:
            self.touch(site, 0, site.space, site.name)

    def set_global(self, site: Site, value: Any = None) -> None:
        """STORE_GLOBAL or DELETE_GLOBAL."""
        if self.scheduler.cur >= 0:
            self.touch(site, 1, site.space, site.name, value)

    def get_cell(self, site: Site, cell: Any) -> None:
        """LOAD_DEREF of a variable that an inner function may store."""
        if self.scheduler.cur >= 0:
            self.touch(site, 0, cell, site.name)

    def set_cell(self, site: Site, *values: Any) -> None:
        """STORE_DEREF or DELETE_DEREF; the cell comes last."""
        if self.scheduler.cur >= 0:
            self.touch(site, 1, values[-1], site.name, values[0] if len(values) > 1 else None)

    def get_name(self, site: Site) -> None:
        """LOAD_NAME in code that exec or eval runs: of its locals, else of its globals."""
        if self.scheduler.cur >= 0:
            frame = sys._getframe(1)  # noqa: SLF001  # the only way to the namespaces of the code that runs
            for space in (frame.f_locals, frame.f_globals):
                if site.name in space:
                    self.touch(site, 0, space, site.name)
                    return

    def set_name(self, site: Site, value: Any = None) -> None:
        """STORE_NAME or DELETE_NAME in code that exec runs."""
        if self.scheduler.cur >= 0:
            frame = sys._getframe(1)  # noqa: SLF001  # as above
            if frame.f_locals is frame.f_globals and "__builtins__" in frame.f_globals:
                self._store_global(site.name)
            self.touch(site, 1, frame.f_locals, site.name, value)

    def leave(self, site: Site) -> None:
        """A function whose results are kept returns: its cache is about to store."""
        if self.scheduler.cur < 0:
            return
        stores = self.stores.get(self.scheduler.cur)
        if stores and stores[-1][0].__code__.co_firstlineno == site.code.co_firstlineno:
            _, asked, cache, key = stores[-1]
            if isinstance(cache, collections.defaultdict):
                stores.pop()
            self.touch(asked, 1, cache, key)

    # ------------------------------------------------------------------ containers

    def get_item(self, site: Site, thing: Any, key: Any) -> None:
        """BINARY_SUBSCR."""
        if self.scheduler.cur >= 0:
            self.item(site, 0, thing, key, "__getitem__")

    def set_item(self, site: Site, thing: Any, key: Any, value: Any = None) -> None:
        """STORE_SUBSCR, DELETE_SUBSCR."""
        if self.scheduler.cur >= 0:
            self.item(site, 1, thing, key, "__setitem__", value)

    def contains(self, site: Site, thing: Any, key: Any) -> None:
        """CONTAINS_OP."""
        if self.scheduler.cur >= 0:
            if type(key) not in ATOMS and self._holds(key) and family(type(thing)) == "list":
                self.touch_all(site, [*self.contents(0, thing, 1), *self.contents(0, key)], _READS)
                return
            self.item(site, 0, thing, key, "__contains__")

    def item(self, site: Site, code: int, thing: Any, key: Any, method: str, value: Any = None) -> None:
        """One element of a container is read or written by C code."""
        kind = type(thing)
        how = site.how.get(kind)
        if how is None:
            self.meet(kind)
            how = self.places.inform(site, kind, self._how_to_index(kind, method))
        if how == "skip":
            return
        if how == "dict":
            owner = self.owner_of_dict.get(id(thing))
            if owner is not None:
                self.touch(site, code, owner, key if type(key) is str else None, value)
                return
            if code and kind is dict and "__builtins__" in thing and type(key) is str:
                self._store_global(key)
            is_made = method == "__getitem__" and not code and issubclass(kind, collections.defaultdict)
            if is_made and not dict.__contains__(thing, key):
                self.touch(site, 1, thing, plain_key(key), value)
                self.watch_factory(thing.default_factory, site, thing, plain_key(key))
            else:
                self.touch(site, code, thing, plain_key(key), value)
        elif how == "list":
            is_element = type(key) is int and key >= 0 and method != "__contains__"
            self.touch(site, code, thing, key if is_element else None, value)
        elif how == "memory":
            self.touch(site, code, thing.obj, None, value)
        elif how == "proxy":
            self.item(site, code, self.behind(thing), key, method, value)
        elif how == "view":
            self.touch(site, 0, thing.mapping if hasattr(thing, "mapping") else thing, None)
        else:
            self.touch(site, code, thing, None, value)

    def _store_global(self, name: str) -> None:
        """A store into a module's namespace that is no STORE_GLOBAL: reads of the name count from now on."""
        if name not in self.stored_module_names:
            self.stored_module_names.add(name)
            self.must_rewrite = True

    @staticmethod
    def _how_to_index(kind: type, method: str) -> str:
        if _defines_in_python(kind, method):
            return "skip"
        held = family(kind)
        if held in ("dict", "set"):
            return "dict"
        if kind in _DICT_VIEWS:
            return "view"
        if kind is memoryview:
            return "memory"
        if kind is types.MappingProxyType:
            return "proxy"
        if held in ("immutable", "python"):
            return "skip"
        return held

    def look(self, site: Site, thing: Any) -> None:
        """Something reads a container whole: truth, unpacking, formatting, a class pattern."""
        if type(thing) in ATOMS or self.scheduler.cur < 0:
            return
        if site.name in _FORMATS:
            self.touch_all(site, self.contents(0, thing, _MAX_DEPTH), _READS)
        elif self._holds(thing):
            self.touch_all(site, self.contents(0, thing), _READS)
        elif site.name == "match_class" and family(type(thing)) == "python":
            self.touch(site, 0, thing, None)

    def operate(self, site: Site, left: Any, right: Any) -> None:
        """A binary operator or a comparison."""
        if type(left) in ATOMS and type(right) in ATOMS:
            return
        if self.scheduler.cur < 0:
            return
        touched = []
        for thing in (left, right):
            if type(thing) not in ATOMS:
                touched += self.contents(0, thing, _MAX_DEPTH)
        if touched:
            self.touch_all(site, touched, _READS)

    def operate_in_place(self, site: Site, left: Any, right: Any) -> None:
        """An augmented assignment's operator, or the store of a slice."""
        if type(left) in ATOMS and type(right) in ATOMS:
            return
        if self.scheduler.cur < 0:
            return
        touched: list[tuple[int, Any, Any]] = []
        if self._holds(left):
            touched.append((1, left, None))
        if self._holds(right):
            touched += self.contents(0, right)
        if touched:
            self.touch_all(site, touched, _READS)

    def _holds(self, thing: Any) -> bool:
        """Whether C code finds something in it that may change; what is made in Python is rewritten instead."""
        held = family(type(thing))
        if held == "python":
            self.meet(type(thing))
            return False
        return held != "immutable"

    def contents(self, code: int, thing: Any, depth: int = 0) -> list[tuple[int, Any, Any]]:
        """What C code touches when it is handed `thing`: (code, container, None) for it and, for iterators and
        views, for what they stand on; with `depth`, also what lies inside."""
        kind = type(thing)
        held = family(kind)
        if held in ("dict", "set", "list"):
            owner = self.owner_of_dict.get(id(thing))
            out = [(code, thing if owner is None else owner, None)]
            if depth:
                out += self._inside(_elements(held, thing), depth)
            return out
        if held == "python":
            self.meet(kind)
            return []
        if kind is memoryview:
            return [(code, thing.obj, None)]
        if kind is types.MappingProxyType:
            return self.contents(code, self.behind(thing), depth)
        if kind in _DICT_VIEWS:
            return [(0, base, None) for base in gc.get_referents(thing)]
        if kind is tuple:
            return self._inside(thing, depth) if depth else []
        if held == "opaque":
            if kind is types.GeneratorType:
                return [(1, thing, None)]
            return [(1 if hasattr(kind, "__next__") else code, thing, None), *self._underlying(thing)]
        return []

    @staticmethod
    def behind(proxy: Any) -> Any:
        """The mapping that a read-only view of it shows."""
        return gc.get_referents(proxy)[0]

    def _inside(self, elements: Any, depth: int) -> list[tuple[int, Any, Any]]:
        """What C code reads of elements that it compares, adds or prints."""
        if not set(map(type, elements)) - ATOMS:
            return []
        return [found for part in list(elements) for found in self.contents(0, part, depth - 1)]

    def _underlying(self, iterator: Any, depth: int = _MAX_DEPTH) -> list[tuple[int, Any, Any]]:
        """The containers that a C iterator reads from."""
        if not depth or not hasattr(type(iterator), "__next__"):
            return []
        out: list[tuple[int, Any, Any]] = []
        for inner in gc.get_referents(iterator):
            held = family(type(inner))
            if held in ("dict", "set", "list"):
                out.append((0, inner, None))
            elif held == "opaque" and hasattr(type(inner), "__next__"):
                out.append((1, inner, None))
                out += self._underlying(inner, depth - 1)
        if type(iterator) is itertools.chain:  # goes through what its source gives
            out += [found for each in list(out) for found in self.contents(0, each[1], 1)[1:]]
        return out

    def loop(self, site: Site, thing: Any) -> Any:
        """GET_ITER: what the loop shall run over instead, so that every turn is seen."""
        if self.scheduler.cur < 0:
            return thing
        kind = type(thing)
        if not self._holds(thing):
            return thing
        if kind in _COROUTINES:
            return thing
        touched = self.contents(0, thing)
        if kind is types.GeneratorType:
            return self._watched_generator(site, thing)
        if kind is not list and not hasattr(kind, "__next__"):
            self.touch_all(site, touched, _READS)  # its iterator remembers how large it was
        return self._watched(site, touched, iter(thing))

    def _watched_generator(self, site: Site, generator: Any) -> Any:
        following = self.through(site, generator, generator.__next__)
        while True:
            if self.scheduler.cur >= 0:
                self.touch(site, 1, generator, None)
            try:
                item = following()
            except StopIteration:
                return
            yield item

    def through(self, site: Site, generator: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        """A call that runs a generator's body: who else comes in the meantime is turned away, so leaving counts."""

        def enter_and_leave(*arguments: Any, **keywords: Any) -> Any:
            if generator.gi_running or generator.gi_frame is None:
                return call(*arguments, **keywords)
            inside = self.inside.setdefault(self.scheduler.cur, [])
            inside.append(generator)
            try:
                return call(*arguments, **keywords)
            except BaseException as error:
                if type(error) is not StopIteration and self.scheduler.cur >= 0:
                    self.touch(site, 1, generator, None)
                raise
            finally:
                inside.pop()

        return enter_and_leave

    def leave_generator(self, site: Site) -> None:
        """A generator that was entered by `through` is about to yield or to return."""
        inside = self.inside.get(self.scheduler.cur)
        if inside and self.scheduler.cur >= 0 and inside[-1].gi_code.co_firstlineno == site.code.co_firstlineno:
            self.touch(site, 1, inside[-1], None)

    def _watched(self, site: Site, touched: list[tuple[int, Any, Any]], iterator: Any) -> Any:
        following = iterator.__next__
        while True:
            if self.scheduler.cur >= 0:
                self.touch_all(site, touched, _READS)
            try:
                item = following()
            except StopIteration:
                return
            yield item


def _several(mask: int) -> bool:
    return bool(mask & (mask - 1))


def _conflict(one: Log, other: Log) -> bool:
    """Two tasks, one of which writes, on either side."""
    for writer, second in ((one, other), (other, one)):
        both = second.reads | second.writes
        if writer.writes and both and _several(writer.writes | both):
            return True
    return False


def _look_up(kind: type, name: str) -> Any:
    for base in kind.__mro__:
        if name in vars(base):
            return vars(base)[name]
    return _MISSING


def _defines_in_python(kind: type, method: str) -> bool:
    return isinstance(_look_up(kind, method), _MADE_OF_PYTHON)


def _referent(proxy: Any) -> Any:
    """What a weak proxy stands for; None once that is gone, which using the proxy will say."""
    try:
        return proxy.__dir__.__self__
    except (ReferenceError, AttributeError):
        return None


_PROXIES = weakref.ProxyTypes
_MADE_OF_PYTHON = (types.FunctionType, staticmethod, classmethod, property)


def _elements(held: str, thing: Any) -> Any:
    """What lies in a container, by C's own methods: a class may have others."""
    if held == "dict":
        return dict.values(thing)
    if isinstance(thing, (bytearray, array.array)):
        return ()
    kind: Any = next(base for base in (set, list, collections.deque) if isinstance(thing, base))
    return [*kind.__iter__(thing)]


_READS = Sync(Op.READ, writes=0)
_FORMATS = frozenset({"format_value", "format_simple", "convert_value"})
_COROUTINES = (types.CoroutineType, types.AsyncGeneratorType)
