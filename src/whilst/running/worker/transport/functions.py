"""Plain functions by value: of scripts and notebooks, lambdas, closures; with the globals that their code names.

cloudpickle does this and much more, but takes longer to import than all workers take to start, and every worker has
to import it too: a script that maps a lambda over 8 items in parallel takes 0.17 s here and 0.33 s with cloudpickle. So
what is asked of it most, a function that names functions, modules and plain values, is done here. Whatever else turns
up on the way (a class of `__main__`, an empty cell) is `NotPlainError`, and cloudpickle's.

As there, functions that share their globals here share them over there, and a module goes by its name.
"""

from __future__ import annotations

import builtins
import marshal
import sys
from _pickle import Pickler
from types import CellType, CodeType, FunctionType, ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_MAIN = "__main__"
_ABOUT = ("__package__", "__file__", "__path__")
_GIVEN = {"__name__", "__builtins__"}
"""Every namespace has these anyway."""


class NotPlainError(Exception):
    """More than this module knows how to write down."""


def dumps(value: object) -> bytes:
    """Pickle a value whose functions may have to go by value.

    Raises:
        NotPlainError: something is named that only cloudpickle knows to write down.
        Exception: whatever pickling raises.
    """
    sink = Sink()
    _FunctionPickler(sink, 5).dump(value)
    data = b"".join(sink.chunks)
    if _MAIN.encode() in data:  # named by something that has a way of its own
        raise NotPlainError(_MAIN)
    return data


class Sink:
    """What a Pickler writes to. Long byte strings arrive here as the very object: they are not copied."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.chunks.append(data)
        return len(data)


class _FunctionPickler(Pickler):
    def __init__(self, sink: Sink, protocol: int) -> None:
        super().__init__(sink, protocol)
        self._namespaces: dict[int, dict[str, Any]] = {}

    def reducer_override(self, value: Any) -> Any:
        kind = type(value)
        if kind is FunctionType:
            return NotImplemented if _is_found(value) else self._function(value)
        if kind is ModuleType:
            name = value.__name__
            if name == _MAIN or sys.modules.get(name) is not value:
                raise NotPlainError(name)
            return __import__, (name, None, None, ["_"])
        if isinstance(value, type) and value.__module__ == _MAIN:
            raise NotPlainError(value.__qualname__)
        return NotImplemented

    def _function(self, fn: FunctionType) -> tuple[Any, ...]:
        if getattr(fn, "__type_params__", ()):
            raise NotPlainError("type parameters")
        code, scope = fn.__code__, fn.__globals__
        names = set(_names_of(code)) - _GIVEN
        used = {name: scope[name] for name in names if name in scope}
        try:
            cells = [cell.cell_contents for cell in fn.__closure__ or ()]
        except ValueError:
            raise NotPlainError("an empty cell") from None
        about = {name: scope[name] for name in _ABOUT if isinstance(scope.get(name), str)}
        home = scope.get("__name__")
        state = (
            used,
            list(_submodules(used, names)),
            cells,
            fn.__defaults__,
            fn.__kwdefaults__,
            dict(fn.__dict__),
            dict(fn.__annotations__),
            fn.__qualname__,
            None if fn.__module__ == _MAIN else fn.__module__,
            fn.__doc__,
        )
        # One object for all functions of a module in this pickle, thus one over there; filled with each one's state.
        namespace = self._namespaces.setdefault(id(scope), {})
        args = (marshal.dumps(code), namespace, None if home == _MAIN else home, about, fn.__name__)
        return _make_function, args, state, None, None, _fill_function


def _is_found(fn: FunctionType) -> bool:
    """Plain pickle can name it, for everybody."""
    found: Any = sys.modules.get(fn.__module__) if fn.__module__ != _MAIN else None
    for part in fn.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is fn


def _names_of(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for each in code.co_consts:
        if type(each) is CodeType:
            yield from _names_of(each)


def _submodules(used: dict[str, Any], names: set[str]) -> Iterator[str]:
    """Modules that the code gets at through their packages, as in `concurrent.futures`."""
    for value in used.values():
        if type(value) is ModuleType and hasattr(value, "__path__"):
            start = f"{value.__name__}."
            for name in list(sys.modules):
                if name.startswith(start) and names.issuperset(name.removeprefix(start).split(".")):
                    yield name


def _make_function(code: bytes, namespace: dict[str, Any], home: str | None, about: dict[str, str], name: str) -> Any:
    namespace.setdefault("__builtins__", builtins)
    namespace.setdefault("__name__", _MAIN if home is None else home)
    for key, value in about.items():
        namespace.setdefault(key, value)
    loaded: Any = marshal.loads(code)  # noqa: S302 - from this very program
    return FunctionType(loaded, namespace, name, None, tuple(CellType() for _ in loaded.co_freevars))


def _fill_function(fn: Any, state: tuple[Any, ...]) -> None:
    used, modules, cells, defaults, kwdefaults, attributes, annotations, qualname, module, doc = state
    fn.__globals__.update(used)
    for name in modules:
        __import__(name)
    for cell, value in zip(fn.__closure__ or (), cells, strict=True):
        cell.cell_contents = value
    fn.__defaults__, fn.__kwdefaults__, fn.__qualname__, fn.__doc__ = defaults, kwdefaults, qualname, doc
    fn.__module__ = _MAIN if module is None else module
    fn.__annotations__ = annotations
    fn.__dict__.update(attributes)
