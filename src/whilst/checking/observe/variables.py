"""The hooks of variables (globals, closure cells, names that exec runs), of loops and of generators."""

from __future__ import annotations

import collections
import sys
import types
from collections.abc import Callable
from typing import Any

from whilst.checking.engine.operations import READS, Store
from whilst.checking.engine.sites import Site
from whilst.checking.observe.access_log import AccessLog
from whilst.checking.observe.containers import Containers
from whilst.inspecting.c_effects import IMMUTABLE

_COROUTINES = (types.CoroutineType, types.AsyncGeneratorType)


class Variables:
    """Hooks of variables, loops and generators."""

    def __init__(self, access_log: AccessLog, containers: Containers) -> None:
        self.access_log, self.containers, self.scheduler = access_log, containers, access_log.scheduler
        self.touch, self.touch_all = access_log.touch, access_log.touch_all
        self.stores: dict[int, list[tuple[Any, Site, Any, Any]]] = {}  # of tasks: caches whose function is running
        self.inside: dict[int, list[Any]] = {}  # of tasks: the generators whose bodies they are in

    # ------------------------------------------------------------------ globals and closures

    def get_global(self, site: Site) -> None:
        """LOAD_GLOBAL of a name that somebody stores."""
        if self.scheduler.cur >= 0:
            self.touch(site, 0, site.space, site.name)

    def set_global(self, site: Site, *values: Any) -> None:
        """STORE_GLOBAL or DELETE_GLOBAL."""
        if self.scheduler.cur < 0:
            return
        if site.is_scheduling_point and values:
            plain = (1, id(site.space), site.name, site, site.space, values[0])
            self.scheduler.step((2, *plain[1:5], Store(plain)))
        else:
            self.touch(site, 1, site.space, site.name, *values)

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
                self.access_log.store_global(site.name)
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

    # ------------------------------------------------------------------ loops and generators

    def loop(self, site: Site, thing: Any) -> Any:
        """GET_ITER: what the loop shall run over instead, so that every turn is seen."""
        if self.scheduler.cur < 0:
            return thing
        kind = type(thing)
        if kind in IMMUTABLE:
            return thing
        self.access_log.site_table.meet(site, kind)
        if not self.containers.holds(thing):
            return thing
        if kind in _COROUTINES:
            return thing
        touched = self.containers.contents(0, thing)
        if kind is types.GeneratorType:
            return self._watched_generator(site, thing)
        if kind is not list and not hasattr(kind, "__next__"):
            self.touch_all(site, touched, READS)  # its iterator remembers how large it was
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
                self.touch_all(site, touched, READS)
            try:
                item = following()
            except StopIteration:
                return
            yield item
