"""Which functions are rewritten, when, and how they get their own code back.

A module is taken as a whole the first time one of its functions is called: C code calls into Python (sort keys,
`__eq__`, properties), and such calls are seen only if the callee has been rewritten before. Functions are found
through the garbage collector by their code's file, since a walk through module namespaces misses those held by
descriptors (`cached_property.func`), closures and decorators.
"""

from __future__ import annotations

import functools
import gc
import inspect
import itertools
import operator
import types
from collections.abc import Iterable
from typing import Any

from whilst.checking.rewriting import Rewriter, SharedNames

__all__ = ["Instrumentation", "functions_behind"]

# Left as they are and taken for calls without an effect on shared state that matters: modelled elsewhere
# (threading, queue, ...), caches of their own behind a lock of their own (logging, re), or the machinery of tests.
TRUSTED = (
    "whilst", "greenlet", "threading", "_thread", "queue", "logging", "importlib", "_frozen_importlib", "re",
    "enum", "typing", "abc", "_abc", "_py_abc", "_weakrefset", "warnings", "linecache", "traceback",
    "tokenize", "inspect", "dis", "opcode", "ast", "gc", "encodings", "codecs", "io", "_io", "_pyio",
    "stat", "site", "pytest", "_pytest", "pluggy", "coverage", "hypothesis", "random", "signal", "subprocess",
    "multiprocessing", "asyncio", "selectors", "socket", "ssl", "concurrent.futures", "decimal", "_pydecimal",
    "numbers", "unittest.mock", "reprlib", "copyreg", "struct", "zipimport", "runpy", "pdb", "bdb", "cmd",
    "_py_warnings", "annotationlib", "_ast_unparse", "_colorize", "concurrent.interpreters",  # from 3.14 on
)  # fmt: skip


_NAMES = frozenset(TRUSTED)
_PREFIXES = (*(f"{name}." for name in TRUSTED), "sre_")


def is_trusted(module: str) -> bool:
    """Whether functions of that module run as they are."""
    return module in _NAMES or module.startswith(_PREFIXES)


_MODELLED = frozenset({"threading", "queue", "asyncio", "concurrent", "random", "whilst", "_thread"})


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


class Instrumentation:
    """Rewritten functions and the way back."""

    def __init__(self, rewriter: Rewriter, known_codes: set[int]) -> None:
        self.rewriter = rewriter
        self.known_codes = known_codes
        self.trusted_seen: set[str] = set()
        self._undo: list[tuple[types.FunctionType, types.CodeType, types.CodeType]] = []
        self._functions: list[types.FunctionType] | None = None
        self._files: set[str] = set()
        self._names: dict[int, SharedNames] = {}
        self._keep: list[Any] = []

    def admit(self, function: types.FunctionType) -> None:
        """Rewrite the function's whole module, or note that it stays as it is."""
        if id(function.__code__) in self.known_codes:
            return
        module = function.__module__ or ""
        file = function.__code__.co_filename
        if is_trusted(module):
            if module.partition(".")[0] not in _MODELLED:
                self.trusted_seen.add(module)
            self.known_codes.add(id(function.__code__))
            self._keep.append(function.__code__)
            return
        if file not in self._files:
            self._files.add(file)
            found = self._functions_of(file)
            for each in found:
                self._scan(each)
            for each in found:
                self._rewrite(each)
        if id(function.__code__) not in self.known_codes:
            self._scan(function)
            self._rewrite(function)

    def _functions_of(self, file: str) -> list[types.FunctionType]:
        if self._functions is None:  # without a Python-level loop: a large process has a million objects
            things = gc.get_objects()
            are_functions = map(operator.is_, map(type, things), itertools.repeat(types.FunctionType))
            self._functions = list(itertools.compress(things, are_functions))
        found = [each for each in self._functions if each.__code__.co_filename == file]
        return [each for each in found if not is_trusted(each.__module__ or "")]

    def _scan(self, function: types.FunctionType) -> None:
        names = self._names.setdefault(id(function.__globals__), SharedNames.none())
        names.scan(function.__code__)

    def _rewrite(self, function: types.FunctionType) -> None:
        code = function.__code__
        if id(code) in self.known_codes:
            return
        space = function.__globals__
        names = self._names[id(space)]
        new = self.rewriter.rewrite(code, space, names)
        self._undo.append((function, code, new))
        function.__code__ = new
        self._know(new)

    def _know(self, code: types.CodeType) -> None:
        self.known_codes.add(id(code))
        for const in code.co_consts:
            if isinstance(const, types.CodeType):
                self._know(const)

    def watch_returns(self, function: types.FunctionType) -> None:
        """Make the return of that function an event: a cache stores its result then."""
        for index, (each, code, _) in enumerate(self._undo):
            if each is function and id(code) not in self.rewriter.returning:
                self.rewriter.points |= {site.point for site in self.rewriter.sites if site.is_hot}
                self.rewriter.watch_return(code, function.__globals__)
                new = self.rewriter.rewrite(code, function.__globals__, self._names[id(function.__globals__)])
                self._undo[index] = (function, code, new)
                self._know(new)
                function.__code__ = new

    def share_globals(self, names: set[str]) -> None:
        """Some code stores into a module's namespace from outside: reads of those globals count from now on."""
        if not names:
            return
        self.rewriter.start_over()
        for each in self._names.values():
            each.stored_globals |= names
        for index, (function, code, _) in enumerate(self._undo):
            new = self.rewriter.rewrite(code, function.__globals__, self._names[id(function.__globals__)])
            self._undo[index] = (function, code, new)
            self._know(new)
            function.__code__ = new

    def restore(self) -> None:
        """Give every function its own code back."""
        for function, code, _ in self._undo:
            function.__code__ = code

    def reinstate(self) -> None:
        """After `restore`: the rewritten code again."""
        for function, _, new in self._undo:
            function.__code__ = new
