"""Are the items of an iterator valid only until the next one is drawn? Then reading ahead would spoil them.

Told at the first draw: an item that is an iterator (a group of `groupby`), a generator that is suspended inside a
`with` or `try … finally` which it leaves before its next item. Told by comparing: an item that has changed, closed or
gone (one buffer filled again, an element that was cleared, a temporary file) once the next was drawn. For that the
first items are drawn only after the calls before them were made. Told by its code: what it changes besides, and calls
look at (`measuring.between.input_code`).
"""

from __future__ import annotations

import gc
import io
import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import PurePath
from types import AsyncGeneratorType, FrameType, GeneratorType, ModuleType
from typing import Any, Final

from whilst.inspecting.objects import is_a

# What an input of plain values never needs is imported where it is used.

_PLAIN: Final = (int, float, complex, str, bytes, bool, type(None), range, type)
_ROUNDS: Final = 3
"""So many draws of items that can change are watched: a reader may have some buffers in turn."""
_MOST_SOURCES: Final = 32
_DRAWS: Final = ("__next__", "__anext__")
_GENERATORS: Final = (GeneratorType, AsyncGeneratorType)
_EXCEPT_CLAUSE: Final = {"CHECK_EXC_MATCH", "CHECK_EG_MATCH"}
_RECENT_S: Final = 60.0
"""A file that is older was not made for the item that names it."""


class ItemLifetime:
    """Watches the draws from one iterator, whose items are for calls of `fn` (None: nobody knows)."""

    def __init__(self, iterator: Iterator[object], fn: Any = None) -> None:
        self.reason = ""
        """Why items must be drawn one by one; "" where nothing speaks against reading ahead."""
        self.is_unsure = False
        """The next draw is to wait for the calls before it."""
        self._iterator = iterator
        self._fn = fn
        self._kept: list[object] = []
        self._prints: list[object] = []
        self._settled: set[object] = set(_PLAIN)
        self._draws = 0

    def begin(self) -> None:
        """An item is about to be drawn: look at those that are watched."""
        self._prints = [_print_of(item) for item in self._kept]

    def end(self, item: object) -> bool:
        """This one was drawn. May the next be drawn before its call was made?"""
        self._draws += 1
        if self._kept and [_print_of(kept) for kept in self._kept] != self._prints:
            self.reason = "whose items change once the next is drawn"
        if any(kept is item for kept in self._kept) and not is_a(item, _PLAIN):
            self.reason = self.reason or "which gives the same object again"
        if not self.reason and (self._draws <= _ROUNDS or not self.is_settled(item)):
            self.reason = _why_at_once(self._iterator, item)
        if not self.reason and self._draws == 1 and self._fn is not None:
            self.reason = self._why_by_its_code(self._fn)
        if self.reason:
            self._kept.clear()
            return False
        self.is_unsure = not self.is_settled(item) or (self._draws == 1 and _names_new_file(item))
        if self.is_unsure:
            self._kept.append(item)
            if len(self._kept) > _ROUNDS:
                self._settled.update(map(_kind_of, (item, *_parts(item))))
                self.is_unsure = False
                self._kept.clear()
        else:
            self._kept.clear()
        return not self.is_unsure

    def _why_by_its_code(self, fn: Any) -> str:
        sources = _sources_of(self._iterator)
        if not any(map(_has_own_code, sources)):
            return ""
        from whilst.measuring.between.input_code import changed_by_input

        changed = changed_by_input(sources, fn)
        return changed and f"which changes {changed} between its items"

    def is_settled(self, item: object) -> bool:
        """Is it of a kind that is known to stay as it is?"""
        kind = type(item)
        if kind in _PLAIN or _kind_of(item) in self._settled:
            return True
        if kind is tuple:
            return all(map(self.is_settled, _parts(item)))
        from whilst.inspecting.ownership import is_value

        return is_value(kind) and not is_a(item, Iterator)


def _kind_of(item: object) -> object:
    return (type(item), "a view") if _is_view(item) else type(item)


def _is_view(item: object) -> bool:
    """An array on the memory of another: the arrays before it, which had their own, say nothing about it."""
    return hasattr(type(item), "__array_interface__") and getattr(item, "base", None) is not None


def _parts(item: object) -> tuple[object, ...]:
    return item if is_a(item, tuple) else ()


def _print_of(item: object) -> object:
    try:
        if is_a(item, tuple):
            return tuple(map(_print_of, item))
        if is_a(item, io.IOBase):
            return item.closed
        if is_a(item, (str, PurePath)):
            return os.path.lexists(item)
        if is_a(item, memoryview):
            return hash(item.tobytes())
        from whilst.measuring.writes.snapshots import fingerprint

        text = getattr(item, "text", None) if hasattr(type(item), "makeelement") else None
        return fingerprint(item), text
    except Exception as error:  # a user's object may refuse to be looked at, one that was closed among them
        return type(error)


def _names_new_file(item: object) -> bool:
    """Is it, or has it, the name of a file that was written just now?"""
    if is_a(item, tuple):
        return any(map(_names_new_file, item))
    if not is_a(item, (str, PurePath)):
        return False
    try:
        return time.time() - os.lstat(item).st_mtime < _RECENT_S
    except (OSError, ValueError):
        return False


def _why_at_once(iterator: Iterator[object], item: object) -> str:
    if any(is_a(each, Iterator) and not is_a(each, io.IOBase) for each in (item, *_parts(item))):
        return "whose items are iterators, which may be over once the next is drawn"
    for source in _sources_of(iterator):
        if is_a(source, _GENERATORS) and _leaves_block(source, item):
            return "which is suspended inside a block that it leaves before its next item"
    return ""


def _sources_of(iterator: Iterator[object]) -> list[Iterator[object]]:
    """The iterator and those that it draws from, as far as the garbage collector sees them."""
    found = [iterator]
    for source in found:
        for each in gc.get_referents(source):
            if is_a(each, Iterator) and not any(each is known for known in found):
                found.append(each)
        if len(found) >= _MOST_SOURCES:
            break
    return found


def _has_own_code(source: Iterator[object]) -> bool:
    """May its code change what is not its own? Most generators name nothing but what they hold, and that is plain."""
    if not is_a(source, _GENERATORS):
        own = vars(type(source))
        return type(source) in (map, filter) or any(hasattr(own.get(each), "__code__") for each in _DRAWS)
    frame = frame_of(source)
    if frame is None:
        return False
    names = frame.f_globals
    if any(name in names for name in frame.f_code.co_names):
        return True
    return any(not is_a(held, (*_PLAIN, ModuleType, list, tuple, dict, set)) for held in frame.f_locals.values())


def frame_of(generator: Any) -> FrameType | None:
    """Where a generator, or an asynchronous one, is suspended; None once it is over."""
    return generator.gi_frame if is_a(generator, GeneratorType) else generator.ag_frame  # type: ignore[no-any-return]


def _leaves_block(generator: Any, item: object) -> bool:
    """Is the generator suspended in a `with` or `try … finally` that its next item is no longer within?"""
    import dis

    from whilst.inspecting.cpython import exception_table_of

    frame = frame_of(generator)
    if frame is None:
        return False
    code, place = frame.f_code, frame.f_lasti
    entries = list(exception_table_of(code))
    instructions = [each for each in dis.get_instructions(code) if each.opname != "CACHE"]
    at = {each.offset: number for number, each in enumerate(instructions)}

    def handlers_of(offset: int) -> list[int]:
        targets: list[int] = []
        while True:
            target = next((each.target for each in entries if each.start <= offset < each.end), None)
            if target is None or target in targets:
                return targets
            targets.append(target)
            offset = target

    loops = [
        (each.argval, each.offset)
        for each in instructions
        if each.opname.startswith("JUMP_BACKWARD") and each.argval <= place <= each.offset
    ]
    for target in handlers_of(place):
        first = [each.opname for each in islice(instructions, at[target], at[target] + 4)]
        is_block = first[0] == "PUSH_EXC_INFO" and not _EXCEPT_CLAUSE & set(first)
        if is_block and "WITH_EXCEPT_START" in first:
            is_block = not _is_plain_file(generator, item)
        is_round_it = any(target in handlers_of(begin) and target in handlers_of(end) for begin, end in loops)
        if is_block and not is_round_it:
            return True
    return False


def _is_plain_file(generator: object, item: object) -> bool:
    """Are the managers of the generator's `with` blocks open files alone, which the item doesn't hold?"""
    held = gc.get_referents(generator)
    exits = [getattr(each, "__self__", None) for each in held if getattr(each, "__name__", "") == "__exit__"]
    if not exits or not all(is_a(each, io.IOBase) for each in exits):
        return False
    reached = [item]
    for each in islice(reached, 512):
        if any(each is manager for manager in exits):
            return False
        if not is_a(each, _PLAIN) and len(reached) < 512:
            reached.extend(part for part in gc.get_referents(each) if not is_a(part, _PLAIN))
    return True
