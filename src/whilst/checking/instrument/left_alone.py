"""Whose functions run as they are, and which functions a callable runs first."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Iterable
from typing import Final

__all__ = ["MODELLED", "functions_behind", "is_left_alone", "is_modelled", "is_module_left_alone"]

# Left as they are and taken for calls without an effect on shared state that matters: modelled elsewhere
# (threading, queue, ...), caches of their own behind a lock of their own (logging, re), or the machinery of tests.
LEFT_ALONE = (
    "whilst", "greenlet", "threading", "_thread", "queue", "logging", "importlib", "_frozen_importlib", "re",
    "enum", "typing", "abc", "_abc", "_py_abc", "warnings", "linecache", "traceback",
    "tokenize", "inspect", "dis", "opcode", "ast", "gc", "encodings", "codecs", "io", "_io", "_pyio",
    "stat", "site", "pytest", "_pytest", "pluggy", "coverage", "hypothesis", "random", "signal", "subprocess",
    "multiprocessing", "asyncio", "selectors", "socket", "ssl", "concurrent.futures", "decimal", "_pydecimal",
    "numbers", "unittest.mock", "reprlib", "copyreg", "struct", "zipimport", "runpy", "pdb", "bdb", "cmd",
    "_py_warnings", "annotationlib", "_ast_unparse", "_colorize", "concurrent.interpreters",  # from 3.14 on
)  # fmt: skip

# Of those, what holds a lock while it calls a user's method (`emit` of a handler).
_SEEN_INTO = frozenset({("logging", "Handler.handle"), ("logging", "Handler.acquire"), ("logging", "Handler.release")})
# A module of theirs that has no effect but on what it is given.
_PLAIN = frozenset({"multiprocessing.sharedctypes"})
_NAMES = frozenset(LEFT_ALONE)
_PREFIXES = (*(f"{name}." for name in LEFT_ALONE), "sre_")


def is_module_left_alone(module: str) -> bool:
    """Whether functions of that module run as they are."""
    return (module in _NAMES or module.startswith(_PREFIXES)) and module not in _PLAIN


def is_left_alone(function: types.FunctionType) -> bool:
    """Whether that function runs as it is."""
    module = function.__module__ or ""
    return is_module_left_alone(module) and (module, function.__qualname__) not in _SEEN_INTO


def is_modelled(module: str) -> bool:
    """Whether that module runs as it is since what matters of it is modelled."""
    return module.partition(".")[0] in MODELLED and is_module_left_alone(module)


MODELLED: Final = frozenset({"threading", "queue", "asyncio", "concurrent", "random", "whilst", "_thread"})


def functions_behind(target: object) -> Iterable[types.FunctionType]:
    """The Python functions that a callable runs first: through partials, bound methods, `__call__`, classes."""
    if isinstance(target, functools.partial):
        yield from functions_behind(target.func)
    elif isinstance(target, types.MethodType):
        yield from functions_behind(target.__func__)
    elif isinstance(target, types.FunctionType):
        yield target
        wrapped = inspect.unwrap(target)
        if wrapped is not target:
            yield from functions_behind(wrapped)
    elif isinstance(target, type):
        for base in target.__mro__:
            yield from (value for value in vars(base).values() if isinstance(value, types.FunctionType))
    else:
        call = getattr(type(target), "__call__", None)  # noqa: B004  # the function itself is wanted
        if isinstance(call, types.FunctionType):
            yield call
