"""A second net: everything mutable that a function can reach by name, compared before and after a few calls.

`scan` reads bytecode and knows what it recognises; whatever it does not (a method that is bound elsewhere,
`numpy.copyto`, `super()`, `exec`, an operator of a class) would go unseen, and a write that goes unseen is a wrong
result. So the state itself is looked at as well: closures, defaults, the globals that the code names, attributes of
the objects it is bound to, transitively through the user's own functions and classes. Nothing is taken for granted
from the code but names; no method of the user's is run.

It sees only what a call really changed while it was watched, and only in what it can look into: plain containers,
arrays, generators of random numbers, iterators, instances of the user's own classes. Of other objects of libraries it
sees their position and what their own attributes are bound to; deeper down they keep what they do to themselves (a
session's pool, a compiled pattern's cache).
"""

from __future__ import annotations

import re
import sys
import threading
import types
from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from whilst._light import Record
from whilst.inspecting import ownership
from whilst.inspecting.cpython import stored_attributes
from whilst.inspecting.library_state import LibraryState
from whilst.inspecting.objects import attributes_of, is_a, look_up, names_of
from whilst.inspecting.settings import settings_now
from whilst.measuring.writes.abstract_value import ABSENT

AROUND: Final = object()
"""Stands for the whole process in what is found."""

_MOST: Final = 4000
"""So many values are looked at (some 2 ms), the rest is left out."""
_MOST_OF_ONE: Final = 256
_MOST_CODE: Final = 200
_ATOMS: Final = (int, float, complex, str, bytes, bool, type(None))
_COUNTED: Final = (list, dict, set, deque)
_INERT: Final = (
    types.ModuleType, types.BuiltinFunctionType, types.MethodDescriptorType, types.CodeType, types.GetSetDescriptorType,
)  # fmt: skip
_CODE: Final = (*_INERT, types.FunctionType, types.MethodType, type)
_OPEN_MODULES: Final = frozenset({"builtins", "collections", "types", "queue", "_queue", "weakref", "argparse"})
"""Library modules whose classes are plain containers."""


class Found(Record):
    """Something that changed: how it is reached, the object, and what holds it, innermost first."""

    name: str
    value: object
    slot: str
    holders: tuple[object, ...]


class _Seen(Record):
    name: str
    value: object
    state: object
    holder: int


class Reachable:
    """What a function, or each of several, can reach by name.

    `look` says what has changed since it was made, or since the last look.
    """

    def __init__(self, fn: Callable[..., object] | tuple[object, ...]) -> None:
        self._fn = fn
        look = _Look(fn)
        self._seen = look.seen
        self.names: frozenset[str] = frozenset(look.names)
        """All names in the code that can be reached: of variables, attributes, methods and modules."""
        self.libraries: frozenset[str] = frozenset(look.libraries)
        """The packages, not the user's own, that something of it comes from."""
        self.variables: frozenset[tuple[int, str]] = frozenset(look.variables)
        """Variables that its code looks up: identity of their namespace (0: that of a function around it), and name."""
        self._borrowed = look.borrowed
        self._codes = look.codes
        self._set_before = self._set_per_thread()
        self.has_grown = False
        """At the last look there was more than before: what became of it, the next one tells."""

    def set_here(self) -> list[tuple[str, str]]:
        """Names of thread-local objects of the user's, with an attribute that this thread has set and another lacks."""
        found = []
        for seen in self._seen.values():
            if issubclass(type(seen.value), threading.local):
                init = look_up(type(seen.value), "__init__")
                codes = [*self._codes, *([init.__code__] if issubclass(type(init), types.FunctionType) else [])]
                stored = {name for code in codes for name in stored_attributes(code)}  # each thread sets these itself
                found += [(seen.name, name) for name in vars(seen.value) if name not in stored]
        return found

    def holds_data(self) -> bool:
        """Is there more than code in it, that somebody else could change?"""
        return any(
            seen.value is not AROUND and not issubclass(type(seen.value), _CODE) and not self._names_code(seen)
            for seen in self._seen.values()
        )

    def _names_code(self, seen: _Seen) -> bool:
        """Is it a variable that stands for a function or a class?"""
        if not issubclass(type(seen.state), dict) or len(seen.state) != 1:  # type: ignore[arg-type]
            return False
        (held,) = seen.state.values()  # type: ignore[attr-defined]
        known = self._seen.get(held[1]) if issubclass(type(held), tuple) and len(held) == 2 else None
        return held is ABSENT or (known is not None and issubclass(type(known.value), _CODE))

    def locks(self) -> list[tuple[str, object]]:
        """What it may hold to keep other calls out, with how it is reached."""
        return [(seen.name, seen.value) for seen in self._seen.values() if ownership.is_lock(seen.value)]

    def has_set_per_thread(self) -> bool:
        """Have thread-local objects got attributes since this was made? Each thread sets them for itself."""
        return bool(self._set_per_thread() - self._set_before)

    def _set_per_thread(self) -> set[tuple[int, str]]:
        locals_ = [seen.value for seen in self._seen.values() if issubclass(type(seen.value), threading.local)]
        return {(id(value), name) for value in locals_ for name in vars(value)}

    def values(self) -> list[object]:
        """All that can be reached, as far as it was looked at."""
        return [seen.value for seen in self._seen.values() if seen.value is not AROUND]

    def borrowed(self) -> list[object]:
        """What is none of the user's own: objects of libraries, and functions and classes that are named."""
        known = (value for value in self.values() if not issubclass(type(value), (*_COUNTED, tuple, *_INERT)))
        return [*self._borrowed, *(value for value in known if libraries_of(value))]

    def look(self) -> list[Found]:
        """Return what is not what it was."""
        before, now = self._seen, _Look(self._fn).seen
        self._seen = now
        self.has_grown = not before.keys() >= now.keys()
        found = []
        for key, seen in now.items():
            was = before.get(key)
            if was is not None and was.value is seen.value and was.state != seen.state:
                found.append(Found(seen.name, seen.value, _slot(was.state, seen.state), _holders(now, seen)))
        return found


def _slot(was: object, now: object) -> str:
    """The one attribute that changed, where it is one."""
    if not isinstance(was, dict) or not isinstance(now, dict):
        return ""
    changed = [name for name in {**was, **now} if was.get(name, ABSENT) != now.get(name, ABSENT)]
    return changed[0] if len(changed) == 1 else ""


def _holders(seen: dict[object, _Seen], found: _Seen) -> tuple[object, ...]:
    chain: list[object] = []
    key = found.holder
    while (holder := seen.get(key)) is not None and len(chain) < 32:
        chain.append(holder.value)
        key = holder.holder
    return tuple(chain)


class _Look:
    """One walk over all that can be reached."""

    def __init__(self, fn: Callable[..., object] | tuple[object, ...]) -> None:
        self.seen: dict[object, _Seen] = {}
        self.names: set[str] = set()
        self.codes: list[types.CodeType] = []
        self.libraries: set[str] = set()
        self.variables: set[tuple[int, str]] = set()
        self.borrowed: list[object] = []
        self._todo: deque[tuple[str, object, int]] = deque()
        self._codes = 0
        self._library_state = LibraryState()
        self._look_around()
        self._visit("fn", fn, 0)
        while self._todo and len(self.seen) < _MOST:
            self._visit(*self._todo.popleft())

    def _visit(self, name: str, value: Any, holder: int) -> None:
        if issubclass(type(value), _ATOMS):
            return
        self.libraries |= libraries_of(value)
        if issubclass(type(value), _INERT) and getattr(value, "__self__", None) is None:
            return
        key = id(value)
        if key in self.seen:
            return
        self.seen[key] = _Seen(name, value, None, holder)  # against cycles
        try:
            state = self._state_of(name, value, key)
        except Exception:  # a user's object may refuse to be looked at: then nothing is known of it
            return
        self.seen[key] = _Seen(name, value, state, holder)

    def _add(self, name: str, value: Any, holder: int) -> object:
        """Look at `value` later; return what stands for it in the state of what holds it."""
        if issubclass(type(value), _ATOMS):
            return value if not issubclass(type(value), (str, bytes)) or len(value) < 64 else hash(value)
        self._todo.append((name, value, holder))
        return ("@", id(value))

    def _look_around(self) -> None:
        """What belongs to the whole process, and library code may change without being named."""
        for name, state in settings_now().items():
            self.seen[name] = _Seen(name, AROUND, state, 0)

    # ---------------------------------------------------------------- by kind

    def _state_of(self, name: str, value: Any, key: int) -> object:
        if issubclass(type(value), types.FunctionType):
            return self._function(name, value, key)
        if issubclass(type(value), types.MethodType):
            self._add("self" if name == "fn" else name, value.__self__, key)
            self._add(name, value.__func__, key)
            return None
        if issubclass(type(value), types.BuiltinFunctionType | types.MethodWrapperType):
            if not issubclass(type(value.__self__), types.ModuleType):
                self._add(name, value.__self__, key)
            return None
        if issubclass(type(value), (staticmethod, classmethod)):
            return self._add(name, value.__func__, key)
        if issubclass(type(value), property):
            for part in (value.fget, value.fset):
                self._add(name, part, key)
            return None
        if issubclass(type(value), type):
            return self._class(name, value, key) if ownership.is_own_type(value) else None
        if type(value).__name__ == "partial" and type(value).__module__ == "functools":
            self._add(name, value.func, key)
            return self._entries(name, [*value.args, *value.keywords.values()], key)
        if type(value).__name__ == "_lru_cache_wrapper" or type(value).__name__ == "cached_property":
            self._add(name, getattr(value, "__wrapped__", None) or getattr(value, "func", None), key)
            return None
        return self._data(name, value, key)

    def _data(self, name: str, value: Any, key: int) -> object:
        if is_own := ownership.is_own_type(type(value)):
            self._add(name, type(value), key)  # a container of the user's own class, too
        if issubclass(type(value), dict):
            return self._dict(name, value, key)
        if issubclass(type(value), (list, tuple, deque)):
            kind = next(kind for kind in (list, tuple, deque) if issubclass(type(value), kind))
            length = kind.__len__(value)  # of its own kind
            return length, self._entries(name, _ends(kind, value, length), key), self._attributes(name, value, key)
        if issubclass(type(value), (set, frozenset)):
            length = set.__len__(value) if issubclass(type(value), set) else frozenset.__len__(value)
            return length, self._attributes(name, value, key)
        if is_a(value, getattr(sys.modules.get("logging"), "Logger", ())):
            return self._entries(f"a filter of {name}", list(value.filters), key)
        if issubclass(type(value), threading.local):
            # A session that is opened once per thread is no matter; a counter is, and a list that grows.
            return {name: _count_of(held) for name, held in vars(value).items() if is_a(held, (*_ATOMS, *_COUNTED))}
        special = self._library_state.look(value)
        if special is not None:
            return special
        kind = type(value)
        if is_own or kind.__module__ in _OPEN_MODULES:
            return self._attributes(name, value, key)
        return self._library_state.look_at_any(value)

    # ---------------------------------------------------------------- into it

    def _entries(self, name: str, values: list[Any], key: int) -> tuple[object, ...]:
        return tuple(self._add(f"{name}[…]", value, key) for value in values)

    def _dict(self, name: str, value: dict[Any, Any], key: int) -> object:
        length = dict.__len__(value)
        shown: list[object] = []
        for count, (entry, held) in enumerate(dict.items(value)):
            if count >= _MOST_OF_ONE:
                break
            shown.append(entry if issubclass(type(entry), _ATOMS) else id(entry))
            shown.append(self._add(f"{name}[…]", held, key))
        # An OrderedDict keeps an order of its own.
        order = reversed(value) if type(value) is OrderedDict else reversed(dict.keys(value))
        return length, id(next(order, None)), tuple(shown), self._attributes(name, value, key)

    def _attributes(self, name: str, value: Any, key: int) -> object:
        """An instance's attributes, without asking it for them."""
        held = islice(attributes_of(value), _MOST_OF_ONE)
        return {attribute: self._add(f"{name}.{attribute}", each, key) for attribute, each in held}

    def _class(self, name: str, kind: type, key: int) -> object:
        state: dict[str, object] = {}
        for base in kind.__mro__[1:]:
            self._add(name, base, key)
        if type(kind) is not type:
            self._add(f"type({name})", type(kind), key)
        for attribute, held in list(kind.__dict__.items()):
            if attribute in ("__dict__", "__weakref__", "__doc__", "__module__", "__abstractmethods__", "_abc_impl"):
                continue
            state[attribute] = self._add(f"{kind.__name__}.{attribute}", held, key)
        return state

    def _function(self, name: str, function: types.FunctionType, key: int) -> object:
        """What its code names: cells, defaults, globals. Attributes set on the function itself are its state."""
        code = function.__code__
        self._codes += 1
        if self._codes > _MOST_CODE:
            return None
        for cell_name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
            self._cell(cell_name, cell, key)
        if not ownership.is_own_code(code.co_filename):  # a library's wrapper around something of the user's
            return None
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._add(f"a default of {function.__name__}", default, key)
        names = function.__globals__
        self.names.update(names_of(code))
        self.codes.append(code)
        if not {"import_module", "__import__", "modules"}.isdisjoint(code.co_names):
            self._modules_of_his_own(key)
        for used in dict.fromkeys((*names_of(code), *_words_of(code, names))):
            held = names.get(used, ABSENT)
            if held is not ABSENT and issubclass(type(held), types.ModuleType):
                self._module(used, held, code, key)
            else:
                mark = (id(names), used)
                self.variables.add(mark)
                state = held if held is ABSENT else self._add(f"the global {used}", held, key)
                self.seen.setdefault(mark, _Seen(f"the global {used}", names, {used: state}, key))
        return {attribute: self._add(f"{name}.{attribute}", held, key) for attribute, held in vars(function).items()}

    def _module(self, name: str, module: types.ModuleType, code: types.CodeType, key: int) -> None:
        """Names looked up in the user's own modules."""
        if not ownership.is_own_module(module):
            self.libraries.add(module.__name__.partition(".")[0])
            held = vars(module)
            self.borrowed += [held[used] for used in names_of(code) if used in held]
            # Hooks that a program sets (`warnings.showwarning = …`), and tables that it adds to (`sqlite3.adapters`).
            self.borrowed += [
                each for each in list(held.values()) if ownership.is_own_function(each) or type(each) is dict
            ]
            return
        names = vars(module)
        for used in dict.fromkeys(names_of(code)):
            held = names.get(used, ABSENT)
            if held is not ABSENT and not issubclass(type(held), types.ModuleType):
                state = {used: self._add(f"{name}.{used}", held, key)}
                self.seen.setdefault((id(names), used), _Seen(f"{name}.{used}", module, state, key))

    def _modules_of_his_own(self, key: int) -> None:
        """Modules that are found by a name made up at run time: any of the user's own may be meant."""
        for name, module in list(sys.modules.items()):
            path = getattr(module, "__file__", None)
            if name == "__main__" or path is None or not ownership.is_own_code(path):
                continue
            for used, held in list(vars(module).items()):
                if used.startswith("__") or issubclass(type(held), types.ModuleType):
                    continue
                state = {used: self._add(f"{name}.{used}", held, key)}
                self.seen.setdefault((id(vars(module)), used), _Seen(f"{name}.{used}", module, state, key))

    def _cell(self, name: str, cell: types.CellType, key: int) -> None:
        try:
            held = cell.cell_contents
        except ValueError:
            return
        self.variables.add((0, name))
        self.seen[id(cell)] = _Seen(name, cell, self._add(name, held, id(cell)), key)


def _count_of(value: Any) -> object:
    return value if issubclass(type(value), _ATOMS) else (type(value), len(value))


def _ends(kind: Any, value: Any, length: int) -> list[Any]:
    if length <= _MOST_OF_ONE:
        return list(kind.__iter__(value))
    half = _MOST_OF_ONE // 2
    return [kind.__getitem__(value, place) for place in (*range(half), *range(-half, 0))]


def libraries_of(value: Any) -> set[str]:
    """The package that a function, a class or an object's class comes from; none for what is the user's own."""
    if issubclass(type(value), types.ModuleType):
        return set() if ownership.is_own_module(value) else {value.__name__.partition(".")[0]}
    home = value if issubclass(type(value), (type, types.FunctionType, types.BuiltinFunctionType)) else type(value)
    if issubclass(type(home), types.FunctionType):
        is_own = ownership.is_own_code(home.__code__.co_filename)
    else:
        is_own = issubclass(type(home), type) and ownership.is_own_type(home)
    return set() if is_own else {str(getattr(home, "__module__", None)).partition(".")[0]}


def _words_of(code: types.CodeType, names: dict[str, object]) -> list[str]:
    """Globals that are named in strings: `globals()["total"] += 1`, `exec("total += 1")`."""
    if not {"globals", "exec", "eval"} & set(code.co_names):
        return []
    texts = [text for text in code.co_consts if issubclass(type(text), str)]
    return [word for text in texts for word in re.findall(r"\w+", text) if word in names]
