"""The hooks of containers: which of their elements, or that they as a whole, are read or stored."""

from __future__ import annotations

import array
import collections
import gc
import itertools
import types
from collections.abc import Callable
from typing import Any

from whilst.checking.engine.operations import READS
from whilst.checking.engine.sites import Site
from whilst.checking.observe.access_log import AccessLog
from whilst.checking.observe.lookups import defines_in_python, plain_key
from whilst.inspecting.c_effects import ATOMS, family

_TABLES: tuple[dict[Any, Any], ...] = ({}, collections.OrderedDict())
_DICT_VIEWS = tuple(type(view) for table in _TABLES for view in (table.keys(), table.values(), table.items()))
_MAX_DEPTH = 3  # of containers inside containers that one C call may look into
_FORMATS = frozenset({"format_value", "format_simple", "convert_value"})


class Containers:
    """Hooks of containers."""

    def __init__(self, access_log: AccessLog) -> None:
        self.access_log, self.scheduler = access_log, access_log.scheduler
        self.touch, self.touch_all, self.meet = access_log.touch, access_log.touch_all, access_log.meet
        self.owner_of_dict = access_log.owner_of_dict
        self.watch_factory: Callable[[Any, Site, Any, Any], None] = lambda *_: None

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
            if type(key) not in ATOMS and self.holds(key) and family(type(thing)) == "list":
                self.touch_all(site, [*self.contents(0, thing, 1), *self.contents(0, key)], READS)
                return
            self.item(site, 0, thing, key, "__contains__")

    def item(self, site: Site, code: int, thing: Any, key: Any, method: str, value: Any = None) -> None:
        """One element of a container is read or written by C code."""
        kind = type(thing)
        how = site.how.get(kind)
        if how is None:
            self.meet(kind)
            how = self.access_log.site_table.inform(site, kind, self._how_to_index(kind, method))
        if how == "skip":
            return
        if how == "dict":
            owner = self.owner_of_dict.get(id(thing))
            if owner is not None:
                self.touch(site, code, owner, key if type(key) is str else None, value)
                return
            if code and kind is dict and "__builtins__" in thing and type(key) is str:
                self.access_log.store_global(key)
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

    @staticmethod
    def _how_to_index(kind: type, method: str) -> str:
        if defines_in_python(kind, method):
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
        self.access_log.site_table.meet(site, type(thing))
        if site.name in _FORMATS:
            self.touch_all(site, self.contents(0, thing, _MAX_DEPTH), READS)
        elif self.holds(thing):
            self.touch_all(site, self.contents(0, thing), READS)
        elif site.name == "match_class" and family(type(thing)) == "python":
            self.touch(site, 0, thing, None)

    def operate(self, site: Site, left: Any, right: Any) -> None:
        """A binary operator or a comparison."""
        if type(left) in ATOMS and type(right) in ATOMS:
            return
        if self.scheduler.cur < 0:
            return
        self.access_log.site_table.meet(site, (type(left), type(right)))
        touched = []
        for thing in (left, right):
            if type(thing) not in ATOMS:
                touched += self.contents(0, thing, _MAX_DEPTH)
        if touched:
            self.touch_all(site, touched, READS)

    def operate_in_place(self, site: Site, left: Any, right: Any) -> None:
        """An augmented assignment's operator, or the store of a slice."""
        if type(left) in ATOMS and type(right) in ATOMS:
            return
        if self.scheduler.cur < 0:
            return
        self.access_log.site_table.meet(site, (type(left), type(right)))
        touched: list[tuple[int, Any, Any]] = []
        if self.holds(left):
            touched.append((1, left, None))
        if self.holds(right):
            touched += self.contents(0, right)
        if touched:
            self.touch_all(site, touched, READS)

    def holds(self, thing: Any) -> bool:
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


def _elements(held: str, thing: Any) -> Any:
    """What lies in a container, by C's own methods: a class may have others."""
    if held == "dict":
        return dict.values(thing)
    if isinstance(thing, (bytearray, array.array)):
        return ()
    kind: Any = next(base for base in (set, list, collections.deque) if isinstance(thing, base))
    return [*kind.__iter__(thing)]
