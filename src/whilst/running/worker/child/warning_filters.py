"""Warning filters: written down where a call comes from, and put in place where it is made.

A filter may name a category of a library that the worker has not loaded, and may never need: to load numpy for one
would take longer than most runs. Such a filter waits. No warning can be of that category before the library is
loaded, and once it is (by a function, or an item) all filters are put in place once more: the library has put its
own before them. Patterns are compiled when a warning is first held against them.
"""

from __future__ import annotations

import sys
from _pickle import loads

from whilst.running.calls.process_state import warning_filters_now
from whilst.running.worker.transport.serialization import dumps_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypeAlias

    Pattern: TypeAlias = str | tuple[str, int] | None
    Written: TypeAlias = tuple[str, Pattern, tuple[str, str] | bytes, Pattern, int]

_wanted: list[Written] = []
_missing: set[str] = set()
"""Modules whose categories are named in filters, and that are not loaded here."""


def written(filters: Sequence[Any] | None = None) -> list[Written] | None:
    """Those filters, or those of this program, in order; None if it has none, having loaded nothing that warns."""
    if filters is None:
        filters = warning_filters_now()
    if filters is None:
        return None
    found: list[Written] = []
    for action, message, category, module, line in filters:
        try:
            found.append((action, _pattern(message), _category(category), _pattern(module), line))
        except Exception:  # noqa: S112 - a filter for a category that can't travel
            continue
    return found


def _pattern(given: Any) -> Pattern:
    return given if given is None or isinstance(given, str) else (given.pattern, given.flags)


def _category(given: Any) -> tuple[str, str] | bytes:
    """Where it is found; itself, where that can't be said or means something else in another process."""
    if isinstance(given, _Deferred):
        return given.place
    module, name = given.__module__, given.__qualname__
    if module != "__main__" and getattr(sys.modules.get(module), name, None) is given:
        return module, name
    return dumps_one(given)


def install(wanted: list[Written] | None) -> None:
    """Have these filters here, and no others."""
    if wanted is None:
        return
    _wanted[:] = wanted
    _missing.clear()
    if written() != wanted:
        _put_in_place()


def settle_again() -> None:
    """Something was loaded: perhaps what a filter waits for."""
    if _missing and not _missing.isdisjoint(sys.modules):
        _put_in_place()


def _put_in_place() -> None:
    import warnings

    _missing.clear()
    filters = []
    for action, message, category, module, line in _wanted:
        try:
            filters.append((action, _compiled(message), _found(category), _compiled(module), line))
        except Exception:  # noqa: S112 - its category can't be had here
            continue
    get = getattr(warnings, "_get_filters", None)
    (warnings.filters if get is None else get())[:] = filters  # type: ignore[index]
    mutated = getattr(warnings, "_filters_mutated", None) or getattr(warnings, "_filters_mutated_lock_held", None)
    if mutated is not None:
        mutated()


def _found(category: tuple[str, str] | bytes) -> Any:
    if isinstance(category, bytes):
        return loads(category)
    module = sys.modules.get(category[0])
    if module is None:
        _missing.add(category[0])
        return _Deferred(category[1], (Warning,), {"place": category})
    return getattr(module, category[1])


def _compiled(pattern: Pattern) -> Any:
    return _Pattern(*pattern) if isinstance(pattern, tuple) else pattern


class _Deferred(type):
    """The class of stand-ins for categories of modules that are not loaded: no warning is of such a category yet."""

    place: tuple[str, str]

    def __subclasscheck__(cls, category: type) -> bool:
        return False


class _Pattern:
    """A regular expression, as far as `warnings` uses one."""

    def __init__(self, pattern: str, flags: int) -> None:
        self.pattern, self.flags = pattern, flags
        self._compiled: Any = None

    def match(self, text: str) -> Any:
        if self._compiled is None:
            import re

            self._compiled = re.compile(self.pattern, self.flags)
        return self._compiled.match(text)

    def __eq__(self, other: object) -> bool:
        return (self.pattern, self.flags) == (getattr(other, "pattern", None), getattr(other, "flags", None))

    def __hash__(self) -> int:
        return hash((self.pattern, self.flags))
