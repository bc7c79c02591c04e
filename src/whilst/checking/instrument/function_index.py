"""The functions of a source file, wherever in the process they are held.

They are found through the garbage collector by their code's file: a walk through module namespaces misses those held
by descriptors (`cached_property.func`), closures and decorators. That takes milliseconds for every hundred thousand
objects, and a file of tests is asked about once a test. So the functions of a file are remembered, weakly, until one
turns up whose code was not among theirs. What is made anew from known code (closures) is met when it is called.
"""

from __future__ import annotations

import gc
import itertools
import operator
import types
import weakref
from collections.abc import Iterator
from typing import Final

from whilst.checking.instrument.left_alone import is_module_left_alone
from whilst.inspecting.objects import module_of

_MOST_FILES: Final = 256


class FileFunctions:
    """The functions of one file, as far as they were alive when it was looked through."""

    def __init__(self, functions: list[types.FunctionType]) -> None:
        self.functions = [weakref.ref(function) for function in functions]
        self._keep = [function.__code__ for function in functions]  # so that the ids below stay theirs
        self.codes: set[int] = set()
        for code in self._keep:
            self._note(code)

    def _note(self, code: types.CodeType) -> None:
        self.codes.add(id(code))
        for inner in nested(code):
            self._note(inner)

    def alive(self) -> list[types.FunctionType]:
        """Those that are still there."""
        return [function for each in self.functions if (function := each()) is not None]


_FILES: Final[dict[str, FileFunctions]] = {}


def functions_like(function: types.FunctionType) -> FileFunctions:
    """The functions of the file that this one comes from, itself included unless it was made since."""
    file = function.__code__.co_filename
    known = _FILES.get(file)
    if known is None or id(function.__code__) not in known.codes:
        if len(_FILES) >= _MOST_FILES:
            _FILES.clear()
        known = _FILES[file] = FileFunctions(_look_through(file))
    return known


def functions_with(code: types.CodeType) -> list[types.FunctionType]:
    """Every function that runs this code, whatever its module."""
    return [each for each in gc.get_referrers(code) if isinstance(each, types.FunctionType) and each.__code__ is code]


def _look_through(file: str) -> list[types.FunctionType]:
    """Without a Python-level loop over everything: a large process has a million objects."""
    things = gc.get_objects()
    are_functions = map(operator.is_, map(type, things), itertools.repeat(types.FunctionType))
    functions = [each for each in itertools.compress(things, are_functions) if each.__code__.co_filename == file]
    return [each for each in functions if not is_module_left_alone(module_of(each))]


def nested(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code objects among its constants."""
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield const
