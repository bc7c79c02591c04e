"""The hooks of attributes: which object or class holds it, descriptors and `threading.local` included."""

from __future__ import annotations

import gc
import types
from _thread import _local
from typing import Any

from whilst.checking.engine.events import Op
from whilst.checking.engine.operations import READS, Sync
from whilst.checking.engine.sites import Site
from whilst.checking.observe.access_log import AccessLog
from whilst.checking.observe.lookups import MISSING, PROXIES, defines_in_python, referent
from whilst.inspecting.c_effects import family
from whilst.inspecting.objects import look_up, module_of

_WRITES = Sync(Op.WRITE, writes=1)


class Attributes:
    """Hooks of attributes."""

    def __init__(self, access_log: AccessLog) -> None:
        self.access_log, self.scheduler, self.site_table = access_log, access_log.scheduler, access_log.site_table
        self.touch, self.touch_all, self.meet = access_log.touch, access_log.touch_all, access_log.meet
        self._locals: dict[int, list[Any]] = {}  # by id of a `threading.local`: it, whose it is now, those of others
        self.forget()

    def forget(self) -> None:
        """The check is over."""
        self.sharing_dicts: set[tuple[str, str]] = set()  # names of types whose instances some code gives a `__dict__`
        self.stored_class_names: set[str] = set()
        self.changes_class = False  # whether some code stores into `__class__`

    def get_attr(self, site: Site, thing: Any) -> None:
        """LOAD_ATTR is about to read `site.name` of it."""
        scheduler = self.scheduler
        task = scheduler.cur
        if task < 0:
            return
        how = site.how.get(type(thing))
        if how is None:
            how = self._unless_dropped(type(thing), self.how_to_read(type(thing), site.name))
            self.site_table.inform(site, type(thing), how)
        if how == "skip":
            return
        if how == "instance":
            if site.is_scheduling_point:
                scheduler.step((0, id(thing), site.name, site, thing, None))
                return
            memo = (id(thing), task, self.access_log.epoch)
            if site.memo == memo:
                site.again += 1
                if not site.again & 255:
                    self.access_log.log_many(site, thing)
            else:
                self.access_log.log(site, 0, thing, site.name)
                site.memo, site.again = memo, 0
        else:
            self.read_attr(site, thing, site.name, str(how))

    def _unless_dropped(self, kind: type, how: str) -> str:
        """The short way through `get_attr` and `set_attr` keeps what it touches, and knows it by the instance."""
        if how != "instance":
            return how
        is_odd = kind in self.access_log.dropped or self._shares_dict(kind)
        return "dropped instance" if is_odd else how

    def _shares_dict(self, kind: type) -> bool:
        shared = self.sharing_dicts
        return bool(shared) and (module_of(kind), kind.__qualname__) in shared

    def _touch_attr(self, site: Site, code: int, thing: Any, name: str, value: Any = None) -> None:
        """An attribute of an instance. Those that were given a `__dict__` may share it (Borg): it is known by that."""
        kind = type(thing)
        if self._shares_dict(kind) and kind.__dictoffset__:
            self.touch_all(site, [(code, vars(thing), name), (0, thing, "__dict__")], _WRITES if code else READS)
        else:
            self.touch(site, code, thing, name, value)

    def _share_dict(self, kind: type) -> None:
        """Some code gives instances of that type a `__dict__`. Known by name: classes may be made anew."""
        name = (module_of(kind), kind.__qualname__)
        if name not in self.sharing_dicts:
            self.sharing_dicts.add(name)
            self.site_table.forget_kind(kind)
            self.access_log.owner_of_dict.clear()
            self.access_log.must_rewrite = True  # what was noted until now is known by the instances

    def read_attr(self, site: Site, thing: Any, name: str, how: str) -> None:
        """The less common ways an attribute can be read."""
        if how in ("instance", "dropped instance"):
            self._touch_attr(site, 0, thing, name)
        elif how == "module":
            if site.is_scheduling_point or name in self.access_log.stored_module_names:
                self.touch(site, 0, vars(thing), name)
        elif how == "class":
            self._read_class(site, thing, name)
        elif how == "default":
            self._touch_attr(site, 0, thing, name)
            if name in self.stored_class_names:
                self._read_class(site, type(thing), name)
        elif how == "method":
            if self.changes_class:
                self.touch(site, 0, thing, "__class__")
            if name in self.stored_class_names:
                self._read_class(site, type(thing), name)
        elif how == "proxy":
            self.get_attr(site, referent(thing))
        elif how == "dict":
            inner = vars(thing)
            if self._shares_dict(type(thing)):
                self.touch(site, 0, thing, "__dict__")
            else:
                self.access_log.owner_of_dict[id(inner)] = thing
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
        self.touch_all(site, touched, READS)

    def how_to_read(self, kind: type, name: str) -> str:
        """How reading an attribute of that name from an instance of that type is to be seen."""
        self.meet(kind)
        if issubclass(kind, types.ModuleType):
            return "module"
        if issubclass(kind, type):
            return "class"
        if issubclass(kind, _local):
            return "local"
        if kind in PROXIES:
            return "proxy"
        if name == "__dict__":
            return "dict" if kind.__dictoffset__ else "skip"
        if name == "__class__" or defines_in_python(kind, "__getattribute__"):
            return "skip"
        found = look_up(kind, name, MISSING)
        if found is MISSING:
            return "instance" if kind.__dictoffset__ else "skip"
        if isinstance(found, types.MemberDescriptorType):
            return "instance"
        if isinstance(found, (types.FunctionType, classmethod, staticmethod)):
            return "method"
        if isinstance(found, (property, types.MethodDescriptorType, types.WrapperDescriptorType)):
            return "skip"
        if isinstance(found, types.GetSetDescriptorType):
            return "skip" if family(kind) in ("immutable", "python") else "whole"
        if defines_in_python(type(found), "__get__"):
            self.meet(type(found))
            # A non-data descriptor (cached_property) gives way to the instance's own value.
            return "skip" if hasattr(type(found), "__set__") else "instance"
        return "default" if kind.__dictoffset__ else "class of"

    def set_attr(self, site: Site, thing: Any, value: Any = None) -> None:
        """STORE_ATTR or DELETE_ATTR is about to change `site.name` of it."""
        scheduler = self.scheduler
        task = scheduler.cur
        if task < 0:
            if site.name == "__dict__":
                self._share_dict(type(thing))
            return
        kind = type(thing)
        how = site.how.get(kind)
        if how is None:
            self.meet(kind)
            how = self.site_table.inform(site, kind, self._unless_dropped(kind, self._how_to_write(kind, site.name)))
        if how == "instance":
            if site.is_scheduling_point:
                scheduler.step((1, id(thing), site.name, site, thing, value))
                return
            memo = (id(thing), task, self.access_log.epoch)
            if site.memo == memo:
                site.again += 1
                if not site.again & 255:
                    self.access_log.log_many(site, thing)
            else:
                self.access_log.log(site, 1, thing, site.name, value)
                site.memo, site.again = memo, 0
        elif how != "skip":
            self.write_attr(site, thing, site.name, value)

    def _how_to_write(self, kind: type, name: str) -> str:
        if issubclass(kind, (type, types.ModuleType, _local)) or kind in PROXIES or name in ("__dict__", "__class__"):
            return "special"
        if defines_in_python(kind, "__setattr__"):
            return "skip"
        found = look_up(kind, name, MISSING)
        if found is not MISSING:
            self.meet(type(found))
        has_setter = found is not MISSING and defines_in_python(type(found), "__set__")
        return "skip" if has_setter or isinstance(found, property) else "instance"

    def write_attr(self, site: Site, thing: Any, name: str, value: Any, *, is_inner: bool = False) -> None:
        """An attribute is stored or deleted, by an instruction or by setattr; `is_inner`: by object.__setattr__."""
        kind = type(thing)
        if isinstance(thing, type):
            if name not in self.stored_class_names:
                self.stored_class_names.add(name)
                self.access_log.must_rewrite = True
            self.touch(site, 1, thing, name, value)
        elif kind is types.ModuleType:
            self.access_log.store_global(name)
            self.touch(site, 1, vars(thing), name, value)
        elif isinstance(thing, _local):
            self.swap_local(thing)
        elif kind in PROXIES:
            self.write_attr(site, referent(thing), name, value)
        elif name == "__class__":
            self.changes_class = True
            self.touch(site, 1, thing, name, value)
        elif not is_inner and defines_in_python(kind, "__setattr__"):
            return
        else:
            found = look_up(kind, name, MISSING)
            if isinstance(found, property) or (found is not MISSING and defines_in_python(type(found), "__set__")):
                return
            if name == "__dict__":
                self._share_dict(kind)
                self.touch(site, 1, thing, name, value)
            else:
                self._touch_attr(site, 1, thing, name, value)

    def swap_local(self, thing: Any) -> None:
        """Give a `threading.local` the attributes that belong to the running task."""
        task = self.scheduler.cur
        record = self._locals.get(id(thing))
        if record is None:
            # What setup stored belongs to the thread that ran setup, and to no task.
            record = self._locals[id(thing)] = [thing, -1, {}]
        if record[1] == task:
            return
        inner = vars(thing)
        record[2][record[1]] = dict(inner)
        inner.clear()
        mine = record[2].get(task)
        record[1] = task
        if mine is not None:
            inner.update(mine)
        elif defines_in_python(type(thing), "__init__"):
            held = gc.get_referents(thing)
            given = next((each for each in held if type(each) is tuple), ())
            # Besides these, a `threading.local` refers to a dict by weak references, of what each thread has.
            named = next((each for each in held if type(each) is dict and each and set(map(type, each)) == {str}), {})
            type(thing).__init__(thing, *given, **named)
            self.swap_local(thing)  # others may have come in between

    def end(self) -> None:
        """The execution is over; what is left of a `threading.local` is what the thread sees that ran setup."""
        for thing, task, held in self._locals.values():
            if task != -1:
                inner = vars(thing)
                inner.clear()
                inner.update(held.get(-1, {}))
        self._locals.clear()
