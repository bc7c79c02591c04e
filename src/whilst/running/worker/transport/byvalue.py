"""What plain pickle can't name or would name wrongly: lambdas, closures, notebooks, scripts, unimportable modules.

Plain pickle writes a function or class down as "module.name". That is fast and right as long as the other process
can import it. cloudpickle writes the thing itself down. It is asked only where plain pickle fails or where the
name would be looked up in `__main__`, which is another module over there, and the thing is more than a plain
function (`functions`); it is imported only then.
"""

from __future__ import annotations

import functools
import io
import sys
from _contextvars import Context, ContextVar
from _thread import RLock
from collections import ChainMap
from types import CodeType, ModuleType

from whilst.running.worker.transport import functions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_MAIN = (b"__main__",)
_CALLABLE = {"function", "partial"}
_SEARCHED_BYTES = 1 << 20
_lock = RLock()
_picklers: list[Any] = []
_importable: dict[str, bool] = {}
_places: dict[int, tuple[Any, str, str]] = {}
_variables: dict[tuple[str, str], ContextVar[Any]] = {}


def unreachable(is_careful: bool, shares_main: bool = False) -> tuple[bytes, ...]:
    """Names of modules that mean something else, or nothing, in another process.

    `shares_main`: that process and this one have the same `__main__`, one being a fork of the other.
    """
    if not is_careful:
        return () if shares_main else _MAIN
    return (*_MAIN, *(module.__name__.encode() for module in _unimportable_modules()))


def names_any(modules: Sequence[bytes], chunks: Sequence[bytes], start: int) -> bool:
    """One of the modules may be named in these chunks (a text that holds the word only costs a detour)."""
    return any(module in chunk for chunk in chunks[start:] if len(chunk) < _SEARCHED_BYTES for module in modules)


def dumps(value: object, buffer_callback: Callable[[Any], Any] | None, *, is_careful: bool = False) -> bytes:
    """Pickle by value. `is_careful`: modules that other processes can't import go by value as well."""
    if not is_careful and type(value).__name__ in _CALLABLE:
        try:
            return functions.dumps(value)
        except Exception:  # noqa: S110 - more than a plain function: cloudpickle knows, or says why not
            pass
    import cloudpickle

    modules = _unimportable_modules() if is_careful else []
    with _lock:
        registered = cloudpickle.list_registry_pickle_by_value()
        added = [module for module in modules if module.__name__ not in registered]
        for module in added:
            cloudpickle.register_pickle_by_value(module)
        try:
            out = io.BytesIO()
            _pickler_class()(out, 5, buffer_callback=buffer_callback).dump(value)
            return out.getvalue()
        finally:
            for module in added:
                cloudpickle.unregister_pickle_by_value(module)


def _pickler_class() -> Any:
    """cloudpickle's, taught what it has no answer to, and untaught an answer that is none.

    A ContextVar is the same variable over there. An open file is not: cloudpickle would send its content. A view of
    memory stays a view, of a copy: cloudpickle would send bytes. And code keeps the name of its file, without which
    no traceback or warning can show a line of it: since 3.1.3 cloudpickle writes "<dynamic-code>" instead.
    """
    if not _picklers:
        import cloudpickle

        base: Any = cloudpickle.Pickler
        reduce_code = base.dispatch_table[CodeType]

        def _reduce_code(code: CodeType) -> tuple[Any, ...]:
            return _rebuild_code, (*reduce_code(code), code.co_filename)

        cached: Any = type(functools.lru_cache(len))
        ours = {
            ContextVar: _reduce_variable,
            io.TextIOWrapper: _refuse_file,
            cached: _reduce_cached,
            functools.cached_property: _reduce_cached_property,
            memoryview: _reduce_view,
            CodeType: _reduce_code,
        }
        generic: Any = functools.singledispatch(len)

        def reducer_override(pickler: Any, value: Any) -> Any:
            if isinstance(value, type) and (place := _alias_of(value)):
                return getattr, place
            reduced = base.reducer_override(pickler, value)
            is_by_name = reduced is NotImplemented
            return (
                reduced
                if is_by_name or getattr(value, "__code__", None) is not generic.__code__
                else _reduce_generic(value)
            )

        members = {"dispatch_table": ChainMap(ours, base.dispatch_table), "reducer_override": reducer_override}
        _picklers.append(type("ByValuePickler", (base,), members))
    return _picklers[0]


def _alias_of(kind: type) -> tuple[ModuleType, str] | None:
    """Where a class of an importable module stands, if not under its own name: `_thread.lock` is `LockType` there.

    cloudpickle would build such a class anew from its members, which one written in C does not survive.
    """
    module = sys.modules.get(kind.__module__)
    if type(module) is not ModuleType or kind.__name__ in vars(module) or not is_importable(kind.__module__):
        return None
    name = next((name for name, value in list(vars(module).items()) if value is kind), None)
    return None if name is None else (module, name)


def _rebuild_code(make: Callable[..., CodeType], args: tuple[Any, ...], filename: str) -> CodeType:
    return make(*args).replace(co_filename=filename)


def _refuse_file(file: Any) -> tuple[Any, ...]:
    raise TypeError(f"cannot pickle {type(file).__name__!r} object")


def _reduce_view(view: memoryview) -> tuple[Any, ...]:
    parts = (view.tobytes(), view.format, view.shape or (), view.readonly)
    _rebuild_view(*parts)  # what can't be had over there is refused here
    return _rebuild_view, parts


def _rebuild_view(data: bytes, form: str, shape: tuple[int, ...], is_readonly: bool) -> memoryview:
    view = memoryview(data if is_readonly else bytearray(data))
    return view if (form, len(shape)) == ("B", 1) else view.cast(form, shape)  # type: ignore[call-overload]  # any form


def _reduce_cached(cached: Any) -> tuple[Any, ...] | str:
    """A function under `functools.cache`: its own name where that can be found there, else what it wraps."""
    fn = getattr(cached, "__wrapped__", None)
    if fn is None or (is_importable(fn.__module__) and "<locals>" not in fn.__qualname__):
        return str(cached.__reduce__())
    parameters = cached.cache_parameters()
    return _rebuild_cached, (fn, parameters["maxsize"], parameters["typed"])


def _rebuild_cached(fn: Any, maxsize: int | None, typed: bool) -> Any:
    return functools.lru_cache(maxsize, typed)(fn)


def _reduce_cached_property(cached: Any) -> tuple[Any, ...]:
    """With a lock of its own over there: until 3.11 it has one, for which cloudpickle would refuse the whole class."""
    return _rebuild_cached_property, (cached.func, cached.attrname)


def _rebuild_cached_property(fn: Any, name: str | None) -> Any:
    cached = functools.cached_property(fn)
    cached.attrname = name
    return cached


def _reduce_generic(fn: Any) -> tuple[Any, ...]:
    """A function of `functools.singledispatch`: what is registered, without its cache of weak references.

    Filled after it is made, since what is registered may name the function itself.
    """
    return _make_generic, (), (fn.__wrapped__, dict(fn.registry)), None, None, _fill_generic


def _make_generic() -> Any:
    return functools.singledispatch(len)


def _fill_generic(fn: Any, state: tuple[Any, dict[type, Any]]) -> None:
    wrapped, registry = state
    for kind, implementation in registry.items():
        fn.register(kind, implementation)
    functools.update_wrapper(fn, wrapped)


def _reduce_variable(variable: ContextVar[Any]) -> tuple[Any, ...]:
    place = place_of_variable(variable)
    if place is None:
        raise TypeError(f"cannot pickle {variable.name!r}, a ContextVar that is not a module's global")
    return find_variable, (*place, default_of(variable))


def default_of(variable: ContextVar[Any]) -> dict[str, Any]:
    """Its default as the keyword that ContextVar takes; nothing where it has none."""
    try:
        return {"default": Context().run(variable.get)}
    except LookupError:
        return {}


def place_of_variable(variable: ContextVar[Any]) -> tuple[str, str] | None:
    """(module, name) under which the variable can be found."""
    known = _places.get(id(variable))
    if known is not None:
        return known[1:]
    for module_name, module in list(sys.modules.items()):
        namespace = getattr(module, "__dict__", None)
        if type(namespace) is not dict:
            continue
        if namespace.get(variable.name) is variable:
            name: str | None = variable.name
        else:
            name = next((key for key, value in list(namespace.items()) if value is variable), None)
        if name is not None:
            _places[id(variable)] = (variable, module_name, name)
            return module_name, name
    return None


def find_variable(module_name: str, name: str, default: dict[str, Any] | None = None) -> ContextVar[Any]:
    """The ContextVar of that module; one that stands for it where the module can't be imported."""
    if module_name != "__main__":
        try:
            module = sys.modules.get(module_name) or __import__(module_name, fromlist=["_"])
        except ImportError:
            module = None
    else:
        module = sys.modules.get(module_name)
    there = vars(module).get(name) if module is not None else None
    if isinstance(there, ContextVar):
        return there
    known = _variables.get((module_name, name))
    if known is None:
        known = _variables[module_name, name] = ContextVar(name, **(default or {}))
    return known


def is_importable(module_name: str) -> bool:
    """Another process with the same `sys.path` would find this very module under this name."""
    if module_name == "__main__":
        return False
    known = _importable.get(module_name)
    if known is None:
        module = sys.modules.get(module_name)
        known = module is None or _is_found(module_name, module)
        _importable[module_name] = known
    return known


def _is_found(name: str, module: ModuleType) -> bool:
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or name in sys.builtin_module_names:
        return True
    path: Any = None
    parent, _, _ = name.rpartition(".")
    if parent:
        if not is_importable(parent):
            return False
        path = getattr(sys.modules.get(parent), "__path__", None)
    origin = getattr(getattr(module, "__spec__", None), "origin", None) or getattr(module, "__file__", None)
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        if find is None:
            continue
        try:
            spec = find(name, path, None)
        except Exception:  # noqa: S112 - another's import hook: it has no answer for us
            continue
        if spec is not None:
            # A namespace package has no origin: found is found.
            return origin is None or spec.origin is None or spec.origin == origin
    return False


def _unimportable_modules() -> list[ModuleType]:
    return [
        module
        for name, module in list(sys.modules.items())
        if name != "__main__"
        and getattr(module, "__name__", None) == name
        and isinstance(module, type(sys))
        and not is_importable(name)
    ]
