"""Functions that C code is given to call: what they do is seen although no instruction calls them.

`sorted(keys, key=shared.get)`, `map(len, rows)`, `iter(queue.get, None)`: a Python function among them has been
rewritten, but a method of a C type, a modelled one or a getter has to be called by a function of ours.
"""

from __future__ import annotations

import _bisect
import functools
import io
import itertools
import operator
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any, Final

from whilst.checking.engine.sites import Site
from whilst.checking.observe.registry import ModelRegistry
from whilst.inspecting.c_effects import PURE

# Which argument is the function: its position, and its keyword.
_TAKERS: Final[dict[Any, tuple[int | None, str]]] = {
    map: (0, ""),
    filter: (0, ""),
    iter: (0, ""),
    functools.reduce: (0, ""),
    itertools.filterfalse: (0, ""),
    itertools.takewhile: (0, ""),
    itertools.dropwhile: (0, ""),
    itertools.starmap: (0, ""),
    itertools.accumulate: (1, "func"),
    itertools.groupby: (1, "key"),
    sorted: (None, "key"),
    min: (None, "key"),
    max: (None, "key"),
    _bisect.bisect_left: (None, "key"),
    _bisect.bisect_right: (None, "key"),
    _bisect.insort_left: (None, "key"),
    _bisect.insort_right: (None, "key"),
}


def seen(registry: ModelRegistry, site: Site, function: Any) -> Any:
    """What C code shall call instead, so that what the function touches is seen."""
    if function is None or not callable(function):
        return function
    if isinstance(function, (type, types.BuiltinFunctionType)) and _is_pure(function):
        return function
    if isinstance(function, (types.FunctionType, types.MethodType)) and registry.call(site, function) is function:
        return function

    def call(*arguments: Any, **keywords: Any) -> Any:
        return registry.call(site, function, *arguments[:2])(*arguments, **keywords)

    return call


def _is_pure(function: Any) -> bool:
    owner = getattr(function, "__self__", None)
    return (isinstance(function, type) or isinstance(owner, types.ModuleType)) and function in PURE


def _take(taker: Any, registry: ModelRegistry, site: Site, *arguments: Any, **keywords: Any) -> Any:
    """A call of a function that takes a function."""
    at, name = _TAKERS[taker]
    if at is not None and at < len(arguments) and (taker is not iter or len(arguments) > 1):
        arguments = (*arguments[:at], seen(registry, site, arguments[at]), *arguments[at + 1 :])
    if keywords.get(name) is not None:
        keywords[name] = seen(registry, site, keywords[name])
    registry.hand_over(site, taker, arguments)
    return taker(*arguments, **keywords)


# ---------------------------------------------------------------------- getters


def _get_attributes(registry: ModelRegistry, site: Site, getter: Any) -> Callable[[Any], Any]:
    names = getter.__reduce__()[1]

    def get(thing: Any) -> Any:
        values = []
        for name in names:
            value = thing
            for part in name.split("."):
                registry.call(site, getattr, value, part)
                value = getattr(value, part)
            values.append(value)
        return values[0] if len(values) == 1 else tuple(values)

    return get


def _get_items(registry: ModelRegistry, site: Site, getter: Any) -> Callable[[Any], Any]:
    keys = getter.__reduce__()[1]

    def get(thing: Any) -> Any:
        values = []
        for key in keys:
            registry.containers.get_item(site, thing, key)
            values.append(thing[key])
        return values[0] if len(values) == 1 else tuple(values)

    return get


def _call_by_name(registry: ModelRegistry, site: Site, getter: Any) -> Callable[[Any], Any]:
    maker, arguments = getter.__reduce__()
    keywords = maker.keywords if isinstance(maker, functools.partial) else {}
    name, *rest = (*maker.args, *arguments) if isinstance(maker, functools.partial) else arguments

    def call(thing: Any) -> Any:
        method = getattr(thing, name)
        return registry.call(site, method, *rest[:2])(*rest, **keywords)

    return call


def _print(registry: ModelRegistry, site: Site, *values: Any, file: Any = None, **how: Any) -> None:
    """print: to `sys.stdout`, which a task may have exchanged (`contextlib.redirect_stdout`)."""
    registry.hand_over(site, print, values)
    if file is None:
        registry.attributes.read_attr(site, sys, "stdout", "module")
    where = sys.stdout if file is None else file
    if isinstance(where, (io.StringIO, io.BytesIO)):
        registry.access_log.touch(site, 1, where, None)
    elif where is not None:
        registry.call(site, where.write)
    print(*values, file=file, **how)


def _warn(warn: Any, registry: ModelRegistry, site: Site, *arguments: Any, **keywords: Any) -> None:
    """warnings.warn: the filters say what becomes of it."""
    registry.access_log.touch(site, 0, vars(warnings), "filters")
    registry.hand_over(site, len, (warnings.filters,))
    keywords["stacklevel"] = keywords.get("stacklevel", 1) + 1
    warn(*arguments, **keywords)


def install(registry: ModelRegistry) -> None:
    """Model what takes functions, and the getters of `operator`."""
    registry.models[id(print)] = _print
    registry.models[id(warnings.warn)] = functools.partial(_warn, warnings.warn)
    for taker in _TAKERS:
        registry.models[id(taker)] = functools.partial(_take, taker)
    registry.getters[operator.attrgetter] = _get_attributes
    registry.getters[operator.itemgetter] = _get_items
    registry.getters[operator.methodcaller] = _call_by_name
    registry.seen = functools.partial(seen, registry)
