"""Events told for people: names of what is touched, values, places; who waits for whom at a deadlock.

Between two awaits a coroutine is alone, so what it touches there are no events of their own. Here they are: a reader
wants to know what a step did, as far as others had to do with the same things.
"""

from __future__ import annotations

import gc
import types
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from whilst.checking.engine.events import Access, Blocked, Op
from whilst.checking.engine.observed import plain
from whilst.checking.engine.operations import Event, Operation, accesses_of
from whilst.checking.engine.scheduler import Scheduler
from whilst.checking.engine.sites import Site
from whilst.checking.observe.access_log import AccessLog, Placeholder
from whilst.checking.observe.c_calls import Outside
from whilst.inspecting.descriptions import short
from whilst.inspecting.objects import attributes_of, is_a, look_up, module_of

_Inner = tuple[Operation, str | None]  # an access within a step, and the value that it read or wrote
_MOST_OBJECTS = 20_000  # how far the search for names goes
_MOST_CHARACTERS = 80
TIME_OUT = "the time-out"
CALLBACK = "the callback"
_ABSENT = object()


class DescriptionSource(NamedTuple):
    """What the parts of a runtime say of an execution beyond its trace."""

    scheduler: Scheduler
    access_log: AccessLog
    loops: Sequence[Any]  # the event loops that run in it


class Describer:
    """Names objects by the path that leads to them from the state, and notes values while events happen."""

    def __init__(self, source: DescriptionSource, state: object) -> None:
        self._source, self._scheduler = source, source.scheduler
        self.names: dict[int, str] = {}
        self._keep: list[object] = []
        self._state = state
        self._values: list[str | None] = []
        self._within: dict[int, list[_Inner]] = {}  # of steps, by their index
        self._resumed: dict[int, int] = {}  # of tasks: the index of their latest step
        self._unnamed: dict[str, int] = {}
        self._name_all(state, "state")

    # ------------------------------------------------------------------ names

    def _name_all(self, root: object, name: str) -> None:
        """Breadth first from `root`, the shortest path wins."""
        waiting: list[tuple[str, object]] = [(name, root)]
        at = 0
        while at < len(waiting) and at < _MOST_OBJECTS:
            path, thing = waiting[at]
            at += 1
            if id(thing) in self.names or is_a(thing, _ATOMS):
                continue
            self.names[id(thing)] = path
            self._keep.append(thing)
            if not is_a(thing, _RUNNING) and not module_of(type(thing)).startswith(_LIBRARIES):
                waiting += self._inside(path, thing)

    def _inside(self, path: str, thing: object) -> list[tuple[str, object]]:
        if is_a(thing, dict):
            return [(f"{path}[{_key(key)}]", value) for key, value in list(thing.items())]
        if is_a(thing, (list, tuple)):
            return [(f"{path}[{index}]", value) for index, value in enumerate(thing)]
        if is_a(thing, (set, frozenset)):
            return [(f"{path}{{...}}", value) for value in thing]
        out = [(f"{path}.{key}", value) for key, value in attributes_of(thing)]
        if not out and not is_a(thing, type):
            out = [(f"{path}...", value) for value in gc.get_referents(thing) if not isinstance(value, type)]
        return out

    def name_of(self, thing: object) -> str:
        """A path from the state, a module's or class's own name, or the type and a number."""
        known = self.names.get(thing.thing_id if is_a(thing, Placeholder) else id(thing))
        if known is not None:
            return known
        if is_a(thing, type):
            name = thing.__qualname__
        elif is_a(thing, dict) and "__name__" in thing and "__builtins__" in thing:
            name = str(thing["__name__"])
        elif is_a(thing, types.CellType):
            name = "closure"
        elif is_a(thing, Outside):
            name = repr(thing)
        else:
            kind = thing.name if is_a(thing, Placeholder) else type(thing).__name__
            self._unnamed[kind] = number = self._unnamed.get(kind, 0) + 1
            name = f"<{kind} {number}>"
        self.names[id(thing)] = name
        self._keep.append(thing)
        return str(name)

    # ------------------------------------------------------------------ values

    def note(self, event: Event) -> None:
        """Just before an event happens: the value to be read, or the one to be written."""
        operation = event[5]
        if operation[0] == 2 and operation[5].kind is Op.RESUME:
            self._resumed[event[0]] = len(self._values)
            is_cancelled = any(loop.is_cancelled(event[0]) for loop in self._source.loops)
            self._values.append("cancelled" if is_cancelled else None)
        else:
            self._values.append(self._value(operation))

    def note_within(self, site: Site, code: int, thing: Any, key: Any, value: Any) -> None:
        """Just before an access that is no event; it matters if it is a part of a coroutine's step."""
        step = self._resumed.get(self._scheduler.cur)
        if step is not None:
            operation = (code, id(thing), key, site, self._source.access_log.held(thing), value)
            self._within.setdefault(step, []).append((operation, self._value(operation)))

    def _value(self, operation: Operation) -> str | None:
        """The value that is read or written. Code of the standard library that tells it runs in nobody's name."""
        operation = plain(operation)
        if operation[0] == 2:
            return None
        task, self._scheduler.cur = self._scheduler.cur, -1
        try:
            if operation[0] == 1:
                return _text(operation[5]) if operation[5] is not None else None
            return _read(operation)
        finally:
            self._scheduler.cur = task

    # ------------------------------------------------------------------ events

    def accesses(self, trace: list[Event], outer: dict[int, int]) -> tuple[Access, ...]:
        """The whole trace; `outer`: the numbers of its tasks as others know them."""
        counts: dict[int, int] = {}
        latest: dict[int, Site] = {}
        out: list[Access] = []
        within = self._meeting(trace) if self._within else {}
        for index, event in enumerate(trace):
            task = event[0]
            nth = counts.get(task, 0)
            counts[task] = nth + 1
            value = self._values[index] if index < len(self._values) else None
            site = event[5][3]
            can_switch = _can_switch(latest.get(task), site)
            latest[task] = site
            out.append(self._access((len(out), outer.get(task, task), nth), event, value, can_switch))
            for operation, inner in within.get(index, ()):
                part = (task, bool(operation[0]), operation[1], operation[2], None, operation)
                out.append(self._access((len(out), outer.get(task, task), nth), part, inner, can_switch=True))
        return tuple(out)

    def _meeting(self, trace: list[Event]) -> dict[int, list[_Inner]]:
        """Those accesses within steps that have to do with what another task touches, one of the two writing."""
        touched: dict[Any, list[tuple[int, Any, bool]]] = {}
        for index, event in enumerate(trace):
            for operation, _ in self._within.get(index, ()):
                touched.setdefault(operation[1], []).append((event[0], operation[2], bool(operation[0])))
            for thing, key, is_write in accesses_of(event):
                touched.setdefault(thing, []).append((event[0], key, bool(is_write)))

        def meets(task: int, operation: Operation) -> bool:
            key = operation[2]
            return any(
                other != task and (is_write or operation[0]) and (key is None or k is None or k == key)
                for other, k, is_write in touched[operation[1]]
            )

        return {
            index: [each for each in parts if meets(trace[index][0], each[0])] for index, parts in self._within.items()
        }

    def _access(self, numbers: tuple[int, int, int], event: Event, value: str | None, can_switch: bool) -> Access:
        index, task, nth = numbers
        _task, is_write, thing_id, key, before, operation = event
        kind, did_succeed, more = Op(operation[0]) if operation[0] < 2 else Op.CALL, True, ()
        if operation[0] == 2:
            sync = operation[5]
            kind, more = sync.kind, sync.more
            if kind is Op.TRY:
                did_succeed = bool(sync.needs(before))
            elif kind is Op.READ and is_write and sync.needs is not None:
                kind = Op.WRITE
        site = operation[3]
        return Access(
            index=index,
            task=task,
            nth=nth,
            op=kind,
            target=self._target(operation),
            key=key,
            object_id=thing_id,
            location=site.location,
            value=value,
            did_succeed=did_succeed,
            can_switch_with_gil=can_switch,
            also=more,
            is_write=bool(is_write),
        )

    def _target(self, operation: Operation) -> str:
        operation = plain(operation)
        if operation[0] == 2 and operation[5].kind is Op.RESUME:
            return self._awaited(operation[4])
        thing, key = operation[4], _without_ids(operation[2])
        name = self.name_of(thing)
        if operation[0] == 2 or key is None:
            return name
        if is_a(thing, types.CellType):
            return str(key)
        if is_a(thing, (list, set)) or (is_a(thing, dict) and "__builtins__" not in thing):
            return f"{name}[{_key(key)}]"
        return f"{name}.{key}"

    def _awaited(self, thing: object) -> str:
        """What a coroutine waited for, as far as that is worth a name: the coroutine itself is none."""
        kind = type(thing)
        if kind.__name__ == "TimerHandle":
            return TIME_OUT
        if kind.__name__ == "_Callback":
            return CALLBACK
        return "" if kind.__name__ == "Task" and module_of(kind).startswith("whilst.") else self.name_of(thing)

    # ------------------------------------------------------------------ deadlocks

    def blocked(self, stuck: dict[int, Operation], held: dict[int, Any], outer: dict[int, int]) -> tuple[Blocked, ...]:
        """Who waits, for what, held by whom since where."""
        out = []
        for task, operation in sorted(stuck.items()):
            holder = held.get(operation[1])
            sync = operation[5] if operation[0] == 2 else None
            out.append(
                Blocked(
                    task=outer.get(task, task),
                    op=sync.kind if sync is not None else Op(operation[0]),
                    target=self._target(operation) or f"coroutine {operation[4].get_coro().__name__}",
                    object_id=operation[1],
                    location=operation[3].location,
                    holder=outer.get(holder[1], holder[1]) if holder else None,
                    holder_location=holder[2].location if holder else None,
                )
            )
        return tuple(out)


def _can_switch(earlier: Site | None, later: Site) -> bool:
    """Whether the GIL may have been let go in between: not within a straight piece of one function."""
    if earlier is None or earlier.code is not later.code:
        return True
    return earlier.segment != later.segment or later.offset <= earlier.offset


def needs_free_threading(trace: Sequence[Event]) -> bool:
    """Whether a task was interrupted where the GIL's eval loop never lets another one in."""
    return any(needs_free_threading_along(trace))


def needs_free_threading_along(trace: Sequence[Event]) -> Iterator[bool]:
    """The same for the events up to each one."""
    last, does_need = -1, False
    latest: dict[int, Site] = {}
    for event in trace:
        task, site = event[0], event[5][3]
        if not does_need and task != last and task in latest and not _can_switch(latest[task], site):
            does_need = True
        yield does_need
        latest[task] = site
        last = task


def types_within(root: object) -> tuple[set[type], bool]:
    """The types of everything that can be reached from `root`, as far as it is not too much; whether anything of it is
    referred to weakly."""
    waiting: list[object] = [root]
    seen: set[int] = set()
    found: set[type] = set()
    has_weak = False
    while waiting and len(seen) < _MOST_OBJECTS:
        thing = waiting.pop()
        kind = type(thing)
        if kind in _ATOM_TYPES or id(thing) in seen or (kind not in found and issubclass(kind, _ATOMS)):
            continue
        seen.add(id(thing))
        found.add(kind)
        has_weak = has_weak or bool(weakref.getweakrefcount(thing))
        waiting += gc.get_referents(thing)
    return found, has_weak


_ATOMS = (str, bytes, int, float, complex, bool, type(None), type, types.ModuleType, types.FunctionType)
_ATOM_TYPES = frozenset(_ATOMS)


def _without_ids(key: object) -> object:
    """Keys that are compared by identity say nothing to a reader."""
    if not isinstance(key, tuple):
        return key
    return "…" if len(key) == 2 and key[0] == "id" else tuple(_without_ids(part) for part in key)


# What leads to all and everything: frames, and what waits for them. Names are not looked for behind those.
_RUNNING = (types.FrameType, types.CodeType, types.TracebackType, types.CoroutineType, types.GeneratorType)
_LIBRARIES = ("asyncio", "_asyncio", "whilst.", "_contextvars")


def _key(value: object) -> str:
    return short(value, 30)


def _text(value: object) -> str:
    if type(value) is Placeholder:
        return f"<{value.name}>"
    return short(value, _MOST_CHARACTERS)


def _class_value(thing: object, key: str) -> object:
    """A slot's or a class's value; a property or the like is not asked, since asking runs code."""
    found = look_up(type(thing), key, _ABSENT)
    if isinstance(found, types.MemberDescriptorType):
        return found.__get__(thing)
    if found is _ABSENT or hasattr(type(found), "__get__"):
        raise AttributeError(key)
    return found


def _read(operation: Operation) -> str | None:
    """What a read is about to find."""
    thing, key = operation[4], operation[2]
    found: Any
    try:
        if is_a(thing, types.CellType):
            found = thing.cell_contents
        elif is_a(thing, dict):
            found = thing if key is None else dict.get(thing, key, _ABSENT)  # `[]` may make it: `__missing__`
            if found is _ABSENT:
                return None
        elif is_a(thing, list):
            found = thing if key is None else list.__getitem__(thing, key)
        elif key is None:
            found = thing
        elif isinstance(key, str):
            inner = dict(attributes_of(thing))
            found = inner[key] if key in inner else _class_value(thing, key)
        else:
            return None
    except Exception:  # absent, or not readable: then there is no value to show
        return None
    return _text(found)
