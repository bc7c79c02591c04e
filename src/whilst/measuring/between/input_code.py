"""What an input's own code changes from one item to the next, and calls may look at: a section, a setting, a file.

Such an input is not to be read ahead: a call would see what belongs to a later item.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from functools import partial
from types import AsyncGeneratorType, CellType, FunctionType, GeneratorType
from typing import Any, Final

from whilst.inspecting import ownership
from whilst.inspecting.objects import is_a, look_up
from whilst.measuring.files.filecode import may_touch_files
from whilst.measuring.writes.reachable import Reachable
from whilst.measuring.writes.scan import scan
from whilst.measuring.writes.suspects import Reach, Suspect

_FILES: Final = ("the file ", "a file ", "a folder ", "the database ", "a database")
_NO_NAMES: Final = frozenset(["self", "cls", "the", "global", "its", "argument", "of", "partial"])


def changed_by_input(sources: Iterable[Iterator[object]], fn: Any) -> str:
    """Return what iterators change while they are drawn from, in words; "" for nothing that calls of `fn` may look at.

    Their code is the user's own, or is not looked at.
    """
    suspects = [each for source in sources for each in _suspects_of(source)]
    if not suspects:
        return ""
    reachable = Reachable(fn)
    touches_files = may_touch_files(reachable.names, reachable.libraries)
    for each in suspects:
        if _may_be_seen(each, reachable.names, touches_files=touches_files):
            return f"{each.what} ({each.where})" if each.where else each.what
    return ""


def _suspects_of(source: Iterator[object]) -> Iterator[Suspect]:
    for function in _functions_of(source):
        with suppress(Exception):  # a user's object may refuse to be looked at
            yield from scan(function, (), how="star").suspects


def _functions_of(source: Iterator[object]) -> list[Callable[..., object]]:
    if is_a(source, (GeneratorType, AsyncGeneratorType)):
        frame = source.gi_frame if is_a(source, GeneratorType) else source.ag_frame
        if frame is None or not ownership.is_own_code(frame.f_code.co_filename):
            return []
        code, variables = frame.f_code, frame.f_locals
        cells = tuple(CellType(variables[name]) if name in variables else CellType() for name in code.co_freevars)
        function = FunctionType(code, frame.f_globals, code.co_name, None, cells)
        return [partial(function, *(variables.get(name) for name in code.co_varnames[: code.co_argcount]))]
    if type(source) in (map, filter):
        reduced: Any = source.__reduce__()
        called = reduced[1][0]
        return [called] if ownership.is_own_function(called) else []
    draws = look_up(type(source), "__next__", None) or look_up(type(source), "__anext__", None)
    return [draws.__get__(source)] if ownership.is_own_function(draws) else []


def _may_be_seen(suspect: Suspect, names: Collection[str], *, touches_files: bool) -> bool:
    if suspect.is_hint or suspect.settles or suspect.reach in (Reach.DRAWS, Reach.ARGUMENT):
        return False
    if suspect.reach is Reach.PROCESS:
        return not suspect.reverts
    if suspect.what.startswith(_FILES):
        return touches_files
    words = set(re.findall(r"[^\W\d]\w*", suspect.what)) - _NO_NAMES
    return not words.isdisjoint(names)
