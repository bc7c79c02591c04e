"""The access log: who has touched what, told to the scheduler as an event or noted down.

*Scheduling points, and sites that are logged only.* At first the accesses of a site are logged (who read, who wrote);
nobody switches there. When the log shows that two tasks touched the same thing and one of them wrote, every site that
touched it is promoted to a scheduling point, and the search starts over. Logged accesses are compared with events as
well, so a search that ends without promoting a site has seen every conflict there was. What only one task reaches
costs nothing.

A thing is known by `(id(object), key)`: an attribute's name, a dict's key, a list's index; None is the object as
a whole and overlaps with all of its keys.
"""

from __future__ import annotations

import types
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from whilst.checking.engine.operations import Event, Operation, Sync, accesses_of
from whilst.checking.engine.scheduler import Scheduler
from whilst.checking.engine.sites import Site, SiteTable, is_plain
from whilst.checking.engine.spin_loops import local_state


class LogEntry:
    """Who touched one thing from sites that are logged only: masks of tasks, and the sites."""

    __slots__ = ("count", "local", "reads", "sites", "thing", "writes")

    def __init__(self, thing: object) -> None:
        self.count = 0
        self.local: object = None
        self.reads = self.writes = 0
        self.sites: set[Site] = set()
        self.thing = thing


class Placeholder:
    """Stands in an event for what must not be kept alive by it, having something to do when it goes."""

    __slots__ = ("name", "thing_id")

    def __init__(self, thing: Any) -> None:
        self.thing_id = id(thing)
        self.name = f"generator {thing.__name__}" if type(thing) is types.GeneratorType else type(thing).__name__

    def __repr__(self) -> str:
        return self.name


class AccessLog:
    """What every hook knows and tells. The hooks are in `attributes`, `containers`, `variables` and `calls`."""

    def __init__(self, scheduler: Scheduler, site_table: SiteTable) -> None:
        self.scheduler = scheduler
        self.site_table = site_table
        self.logs: dict[int, dict[Any, LogEntry]] = {}
        self.learned: set[Site] = set()
        self.owner_of_dict: dict[int, object] = {}
        self.stored_module_names: set[str] = set()
        self.must_rewrite = False
        self.epoch = 0  # of the execution: what a site remembers of an earlier one does not count
        self.dropped: set[type] = {types.GeneratorType}  # what is not kept alive
        self.has_weak = False  # whether it matters when an object goes
        self.has_odd = False  # whether C code may call whatever it likes when it uses something that was met
        self._lasting: set[type] = set()  # what is, of those that were asked about
        self.met: set[type] = set()  # classes made in Python whose code has been rewritten
        self.step: list[tuple[Any, Any, int]] | None = None  # what the running step of a coroutine touches
        self.on_log: Callable[[Site, int, Any, Any, Any], None] | None = None  # of accesses that are no events
        self.admit_class: Callable[[type], None] = lambda _: None

    def begin(self) -> None:
        """Forget the last execution; its objects may go now."""
        self.epoch += 1
        self.logs.clear()
        self.owner_of_dict.clear()

    def forget(self) -> None:
        """The check is over."""
        self.begin()
        self.step = None
        self.learned = set()
        self.dropped, self._lasting, self.has_weak = {types.GeneratorType}, set(), False
        self.stored_module_names, self.met, self.has_odd = set(), set(), False
        self.must_rewrite = False

    def meet(self, kind: type) -> None:
        """An instance turns up: rewrite its class before C code calls its methods."""
        if kind not in self.met:
            self.met.add(kind)
            if not self.has_odd and not is_plain(kind):
                self.note_odd()
            if hasattr(kind, "__del__"):
                self.let_go(kind)
            self.admit_class(kind)

    def note_odd(self) -> None:
        """C code may call whatever it likes when it uses something that was met."""
        if not self.has_odd:
            self.has_odd = True
            self.site_table.count_met += 1

    def let_go(self, kind: type) -> None:
        """It matters when an object of that type goes: `__del__` says something, or a weak reference notices."""
        self.has_weak = True
        if kind not in self.dropped:
            self.dropped.add(kind)
            self._lasting.discard(kind)
            self.site_table.forget_kind(kind)

    # ------------------------------------------------------------------ the two ways out

    def touch(self, site: Site, code: int, thing: Any, key: Any, value: Any = None) -> None:
        """A plain access: code 0 reads, 1 writes."""
        if site.is_scheduling_point:
            self.scheduler.step((code, id(thing), key, site, self.held(thing), value))
        else:
            self.log(site, code, thing, key, value)

    def held(self, thing: Any) -> Any:
        """What an event may hold of it."""
        return Placeholder(thing) if type(thing) in self.dropped else thing

    def log(self, site: Site, code: int, thing: Any, key: Any, value: Any = None) -> None:
        """An access from a site that is no scheduling point: it is remembered."""
        keys = self.logs.get(id(thing))
        if keys is None:
            keys = self.logs[id(thing)] = {}
        entry = keys.get(key)
        if entry is None:
            entry = keys[key] = LogEntry(thing if type(thing) in self._lasting else self._kept(thing))
        if self.step is not None:
            self.step.append((id(thing), key, int(bool(code))))
        if self.on_log is not None:
            self.on_log(site, code, thing, key, value)
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

    def log_many(self, site: Site, thing: Any) -> None:
        """For the 256th time in a row the same place, thing and task, of which the first was logged."""
        self._doubt_polling(site, self.logs[id(thing)][site.name])

    def _kept(self, thing: Any) -> object:
        """Keep it alive, so that nothing else gets its id; but not what has something to do when it is dropped.

        A generator's `finally` and an object's `__del__` run when it goes; then what was logged of it goes too.
        """
        kind = type(thing)
        if kind not in self.dropped and not hasattr(kind, "__del__"):
            self._lasting.add(kind)
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

    def _doubt_polling(self, site: Site, entry: LogEntry) -> None:
        """A logged site that is passed very often in one and the same local state polls: promote it."""
        local = local_state(Scheduler._work.__code__)  # noqa: SLF001
        if entry.local == local or self.scheduler.cur in self.scheduler.pollers.naps:
            self.site_table.promote(site)
            self.learned.add(site)
        entry.local = local

    def sync(self, site: Site, operation: Operation) -> None:
        """A lock or the like: a scheduling point once two tasks use it, or when it has to wait."""
        sync: Sync = operation[5]
        if not site.is_scheduling_point:
            if not sync.blocks or sync.needs is None or sync.measure is None or sync.needs(sync.measure()):
                self.log(site, 1, operation[4], operation[2])
                for thing_id, key, is_write in sync.more:
                    self.log_id(site, is_write, thing_id, key)
                return
            self.learned.add(site)
            self.site_table.promote(site)
        self.scheduler.step(operation)

    def log_id(self, site: Site, is_write: bool, thing_id: int, key: Any) -> None:
        """As `log`, for one of the further things of an operation, which keeps it alive elsewhere."""
        keys = self.logs.setdefault(thing_id, {})
        entry = keys.get(key)
        if entry is None:
            entry = keys[key] = LogEntry(None)
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
        if not site.is_scheduling_point:
            for code, thing, key in touched:
                self.log(site, code, thing, key)
            return
        self.scheduler.keep.append(touched)
        code, thing, key = touched[0]
        more = tuple((id(other), k, bool(c)) for c, other, k in touched[1:])
        self.scheduler.step((2, id(thing), key, site, thing, Sync(sync.kind, writes=code, more=more)))

    def instruction(self, site: Site) -> None:
        """With random switches: ahead of every instruction. It touches nothing but may switch."""
        scheduler = self.scheduler
        if scheduler.cur >= 0:
            if scheduler.patience:
                scheduler.patience -= 1
            else:
                scheduler.step((1, id(site), scheduler.cur, site, site, None))

    def store_global(self, name: str) -> None:
        """A store into a module's namespace that is no STORE_GLOBAL: reads of the name count from now on."""
        if name not in self.stored_module_names:
            self.stored_module_names.add(name)
            self.must_rewrite = True

    # ------------------------------------------------------------------ learning

    def learn(self) -> bool:
        """After an execution: promote the sites that took part in a conflict. True when there were any."""
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
            self.site_table.promote(site)
        if is_new:  # code that is made anew in every execution has new sites of the same names
            self.site_table.named |= {site.key for site in found}
        return is_new

    @staticmethod
    def _learn_whole(keys: dict[Any, LogEntry], found: set[Site]) -> None:
        whole = keys[None]
        for key, entry in keys.items():
            writes = whole.writes or entry.writes
            if key is not None and writes:
                tasks = whole.reads | whole.writes | entry.reads | entry.writes
                if _several(tasks) and _conflict(whole, entry):
                    found |= whole.sites | entry.sites

    def _learn_from_trace(self, found: set[Site]) -> None:
        """An event touched what another task touched from a site that is logged only."""
        logs = self.logs
        for event in self._meeting_logs():
            touched = accesses_of(event)
            others = ~self.scheduler.groups.get(event[0], 1 << event[0])
            for thing, key, is_write in touched:
                for logged, entry in logs.get(thing, {}).items():
                    if key is None or logged is None or key == logged:
                        tasks = (entry.reads | entry.writes if is_write else entry.writes) & others
                        if tasks:
                            found |= entry.sites

    def _meeting_logs(self) -> Iterable[Event]:
        """The events that touched what was also logged; mostly there are none."""
        logs, trace = self.logs, self.scheduler.trace
        meeting = set()
        for thing in logs.keys() & {event[2] for event in trace}:
            keys = {event[3] for event in trace if event[2] == thing}
            logged = logs[thing]
            if None in logged or None in keys or not keys.isdisjoint(logged):
                meeting.add(thing)
        return [event for event in trace if event[2] in meeting or (event[5][0] == 2 and event[5][5].more)]


def _several(mask: int) -> bool:
    return bool(mask & (mask - 1))


def _conflict(one: LogEntry, other: LogEntry) -> bool:
    """Two tasks, one of which writes, on either side."""
    for writer, second in ((one, other), (other, one)):
        both = second.reads | second.writes
        if writer.writes and both and _several(writer.writes | both):
            return True
    return False
