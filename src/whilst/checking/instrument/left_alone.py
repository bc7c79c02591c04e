"""Whose functions run as they are, and which functions a callable runs first."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Iterable
from typing import Final

from whilst.inspecting.objects import module_of

# Left as they are and taken for calls without an effect on shared state that matters: modelled elsewhere
# (threading, queue, ...), caches of their own behind a lock of their own (logging, re), or the machinery of tests.
LEFT_ALONE = (
    "whilst", "greenlet", "threading", "_thread", "queue", "logging", "importlib", "_frozen_importlib", "re",
    "enum", "typing", "abc", "_abc", "_py_abc", "warnings", "linecache", "traceback",
    "tokenize", "inspect", "dis", "opcode", "ast", "gc", "encodings", "codecs", "io", "_io", "_pyio",
    "stat", "site", "pytest", "_pytest", "pluggy", "coverage", "hypothesis", "signal", "subprocess",
    "multiprocessing", "asyncio", "selectors", "socket", "ssl", "concurrent.futures", "decimal", "_pydecimal",
    "numbers", "reprlib", "copyreg", "struct", "zipimport", "runpy", "pdb", "bdb", "cmd",
    "_py_warnings", "annotationlib", "_ast_unparse", "_colorize", "concurrent.interpreters",  # from 3.14 on
)  # fmt: skip

# Of those, what is seen into all the same: what calls a method of the user's while it holds a lock (`emit` of a
# handler), and what changes things that tasks share (which handlers there are, which warnings are shown).
_SEEN_IN_LOGGING = """
    Handler.handle Handler.acquire Handler.release Logger.addHandler Logger.removeHandler Logger.hasHandlers
    Logger.callHandlers Logger.setLevel Filterer.addFilter Filterer.removeFilter _acquireLock _releaseLock
"""
_SEEN_IN_WARNINGS = """
    catch_warnings.__enter__ catch_warnings.__exit__ simplefilter filterwarnings resetwarnings _add_filter
"""
_SEEN_INTO = {
    "logging": frozenset(_SEEN_IN_LOGGING.split()),
    "warnings": frozenset(_SEEN_IN_WARNINGS.split()),
    "_py_warnings": frozenset(_SEEN_IN_WARNINGS.split()),
}
# Modules of theirs that have no effect but on what they are given, or that start threads of their own.
_PLAIN = frozenset({"multiprocessing.sharedctypes", "multiprocessing.dummy", "logging.handlers"})
_NAMES = frozenset(LEFT_ALONE)
_PREFIXES = (*(f"{name}." for name in LEFT_ALONE), "sre_")


@functools.lru_cache(maxsize=4096)
def is_module_left_alone(module: str) -> bool:
    """Whether functions of that module run as they are."""
    return (module in _NAMES or module.startswith(_PREFIXES)) and module not in _PLAIN


def is_left_alone(function: types.FunctionType) -> bool:
    """Whether that function runs as it is."""
    module = module_of(function)
    return is_module_left_alone(module) and function.__qualname__ not in _SEEN_INTO.get(module, ())


def is_modelled(module: str) -> bool:
    """Whether that module runs as it is since what matters of it is modelled."""
    return module.partition(".")[0] in MODELLED and is_module_left_alone(module)


MODELLED: Final = frozenset({"threading", "queue", "asyncio", "concurrent", "whilst", "_thread"})


def functions_behind(target: object) -> Iterable[types.FunctionType]:
    """The Python functions that a callable runs first: through partials, bound methods, `__call__`, classes."""
    if isinstance(target, functools.partial):
        yield from functions_behind(target.func)
        given = (*target.args, *target.keywords.values())
        yield from (each for each in given if isinstance(each, types.FunctionType))
    elif isinstance(target, types.MethodType):
        yield from functions_behind(target.__func__)
    elif isinstance(target, types.FunctionType):
        yield target
        wrapped = inspect.unwrap(target)
        if wrapped is not target:
            yield from functions_behind(wrapped)
    elif isinstance(target, type):
        for base in target.__mro__[:-1]:  # in `object` is nothing but C code
            yield from (value for value in vars(base).values() if isinstance(value, types.FunctionType))
    else:
        call = getattr(type(target), "__call__", None)  # noqa: B004  # the function itself is wanted
        if isinstance(call, types.FunctionType):
            yield call
