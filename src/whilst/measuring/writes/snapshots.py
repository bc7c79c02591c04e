"""Compares suspects before and after calls: one that changed is convicted, one that stopped changing is cleared.

A fingerprint is cheap and shallow on purpose (some microseconds, a few hundred entries, two levels deep): it is
taken around pilot calls only, and around calls that last long enough to pay for it. What is too big to compare is
never cleared.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from whilst import model
from whilst.inspecting import ownership
from whilst.inspecting.library_state import LibraryState
from whilst.inspecting.objects import attributes_of
from whilst.inspecting.settings import DIRECTORY, ENVIRONMENT, GENERATOR
from whilst.measuring.writes.abstract_interpreter import ORDER, Guard
from whilst.measuring.writes.abstract_value import ABSENT
from whilst.measuring.writes.suspects import Reach, Scan, Suspect

_MOST_ENTRIES: Final = 256
_DEEPEST: Final = 2
_TOLD: Final = (DIRECTORY, ENVIRONMENT)
"""Settings whose changes are seen while they are made."""
_ATOMS: Final = (int, float, complex, str, bytes, bool, type(None))


def fingerprint(value: Any, slot: str = "", depth: int = _DEEPEST) -> object:
    """Return something that compares unequal after `value` was changed, as far as a cheap look can tell.

    Args:
        value: any object; a class or module is looked at through its attributes.
        slot: look at this one attribute (or key of a namespace) alone.
    """
    if slot:
        return fingerprint(_slot_of(value, slot), depth=depth)
    if issubclass(type(value), _ATOMS):
        return value
    if issubclass(type(value), types.CellType):
        try:
            return fingerprint(value.cell_contents, depth=depth)
        except ValueError:
            return ABSENT
    if issubclass(type(value), (types.FunctionType, types.ModuleType, type)) and not slot and depth < _DEEPEST:
        return id(value)
    if issubclass(type(value), Mapping):
        return (id(value), len(value), _entries(_first(value.items()), depth))
    if issubclass(type(value), (list, tuple, deque)):
        return (id(value), len(value), _entries(_ends(value), depth))
    if issubclass(type(value), (set, frozenset)):
        return (id(value), len(value), tuple(map(id, _first(value))))
    return _fingerprint_of_object(value, depth)


def _fingerprint_of_object(value: object, depth: int) -> object:
    if ownership.is_value(type(value)):
        return id(value)
    state = LibraryState().look(value)
    if state is not None:
        return (id(value), state)
    return (id(value), _entries(_first(attributes_of(value)), depth))


def _slot_of(value: Any, slot: str) -> object:
    if issubclass(type(value), Mapping):
        return value.get(slot, ABSENT)
    try:
        return (
            object.__getattribute__(value, slot)
            if not issubclass(type(value), type)
            else value.__dict__.get(slot, ABSENT)
        )
    except AttributeError:
        return ABSENT


def _entries(entries: Iterable[object], depth: int) -> tuple[object, ...]:
    if depth <= 0:
        return tuple(entry if issubclass(type(entry), _ATOMS) else id(entry) for entry in _flat(entries))
    return tuple(fingerprint(entry, depth=depth - 1) for entry in _flat(entries))


def _flat(entries: Iterable[object]) -> Iterable[object]:
    for entry in entries:
        if type(entry) is tuple and len(entry) == 2:
            yield from entry
        else:
            yield entry


def _first(entries: Iterable[object]) -> list[object]:
    """The first entries, and the last where order is insertion: a dict that grows changes its length anyway."""
    taken: list[object] = []
    try:
        for entry in entries:
            taken.append(entry)
            if len(taken) >= _MOST_ENTRIES:
                break
    except RuntimeError:  # another thread changes it while we look: that is a change
        taken.append(object())
    return taken


def _ends(entries: list[object] | tuple[object, ...] | deque[object]) -> list[object]:
    if len(entries) <= _MOST_ENTRIES:
        return list(entries)
    half = _MOST_ENTRIES // 2
    return [entries[k] for k in (*range(half), *range(len(entries) - half, len(entries)))]


def settings_left(before: Mapping[str, object], now: Mapping[str, object]) -> tuple[model.Write, ...]:
    """Return what calls changed in the whole process, or for the calling thread: two looks of `settings_now`."""
    return tuple(
        model.Write(what, is_confirmed=True, is_random=what == GENERATOR, spoils_processes=what != DIRECTORY)
        for what, value in now.items()
        if before.get(what, value) != value
    )


class Watchlist:
    """The suspects of one function, looked at again after every pilot call."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self._watched = [
            suspect
            for suspect in scan.suspects
            if suspect.reach in (Reach.SHARED, Reach.PROCESS)
            and suspect.root is not ABSENT
            and not suspect.is_hint
            and (suspect.reach is Reach.SHARED or suspect.slot or issubclass(type(suspect.root), Mapping))
        ]
        self._prints = [self._look(suspect) for suspect in self._watched]
        self._changed_in: list[list[int]] = [[] for _ in self._watched]
        self._looks = 0

    @property
    def is_empty(self) -> bool:
        return not self._watched

    @property
    def is_unclear(self) -> bool:
        """A suspect that settles by itself changed in the last call, or none was looked at twice."""
        return any(
            suspect.settles and (self._looks < 2 or (bool(looks) and looks[-1] == self._looks - 1))
            for suspect, looks in zip(self._watched, self._changed_in, strict=True)
        )

    @staticmethod
    def _look(suspect: Suspect) -> object:
        try:
            return fingerprint(suspect.root, suspect.slot)
        except Exception as error:  # a user's object may refuse to be looked at in any way: count it as changed
            return (type(error), object())

    def look(self) -> None:
        """Compare with the last look: one call (or more) has run since."""
        for place, suspect in enumerate(self._watched):
            now = self._look(suspect)
            if now != self._prints[place]:
                self._changed_in[place].append(self._looks)
                self._prints[place] = now
        self._looks += 1

    def writes(self, seen: Collection[str] | None = None) -> tuple[model.Write, ...]:
        """Return what the function writes, as far as is known now: the convicted and the not cleared.

        Args:
            seen: settings of the whole process that calls were seen to change; None where nobody looked.

        A suspect is cleared if it is written only under a test that has nothing to do with the item, and the
        last call did not change it: a model that is loaded once, a connection that is opened once. Not so where it
        could have been written in every call that was watched, and never was: something else must come to that.
        """
        found: list[model.Write] = []
        changed = {id(suspect): looks for suspect, looks in zip(self._watched, self._changed_in, strict=True)}
        for suspect in self.scan.suspects:
            if suspect.is_hint:
                continue
            looks = changed.get(id(suspect), [])
            has_settled = suspect.settles and (looks[-1] < self._looks - 1 if looks else not suspect.is_free)
            if has_settled and suspect.reach in (Reach.SHARED, Reach.PROCESS, Reach.ARGUMENT):
                continue
            found.append(_write(suspect, seen, is_confirmed=bool(looks)))
        return tuple(found)


def suspected(scan: Scan, known: Collection[object] = ()) -> tuple[model.Write, ...]:
    """Return what the code alone says that is written.

    Excepted are draws from a generator, what is loaded once (it is written under a test of something that is written
    then, and is no call's item) and what is written under a test that fails, and of something that calls leave alone.

    Args:
        known: keys of suspects that are left out.
    """
    written = {suspect.what.removeprefix("the global ").removesuffix("[…]") for suspect in scan.suspects}

    def may_come(guard: Guard, *, takes_item: bool) -> bool:
        if guard.is_closed and written.isdisjoint(_tested(name) for name in guard.names):
            return False
        return takes_item or written.isdisjoint(_tested(name) for name in guard.names if not name.endswith(ORDER))

    return tuple(
        _write(suspect, None, is_confirmed=False, is_seen=False)
        for suspect in scan.suspects
        if suspect.reach is not Reach.DRAWS
        and suspect.key not in known
        and (suspect.guard is None or not suspect.settles or may_come(suspect.guard, takes_item=suspect.takes_item))
    )


def _tested(name: str) -> str:
    return name.rstrip("<=> ").removesuffix("[…]")


def _write(suspect: Suspect, seen: Collection[str] | None, *, is_confirmed: bool, is_seen: bool = True) -> model.Write:
    """`is_seen`: calls are watched, so that what one of them left changed is known."""
    what = suspect.what
    if suspect.reach is Reach.ARGUMENT:
        what = f"its own argument ({what})"
        return model.Write(what, suspect.where, is_confirmed, spoils_threads=False, is_of_item=True)
    if suspect.reach is Reach.PROCESS:
        label = f"{what}, which the whole process shares"
        # Only some items may change it: first calls that did not can't tell whether it is put back.
        told = next((setting for setting in _TOLD if what.startswith(setting)), "")
        is_unseen = bool(told) and seen is not None and not any(each.startswith(told) for each in seen)
        is_lost = is_confirmed or not is_seen or is_unseen
        return model.Write(label, suspect.where, is_confirmed, spoils_processes=is_lost and not suspect.reverts)
    if suspect.reach is Reach.DRAWS:
        return model.Write(what, suspect.where, is_confirmed, is_random=True)
    # A lock keeps threads from tearing what is written; it doesn't keep the order in which calls ask "seen already?".
    depends_on_order = suspect.guard is not None and suspect.guard.is_of_item and issubclass(type(suspect.root), set)
    has_order = issubclass(type(suspect.root), (list, deque))
    is_safe = suspect.is_locked and not depends_on_order and not has_order
    label = f"{what} (under a lock)" if suspect.is_locked else what
    return model.Write(label, suspect.where, is_confirmed, spoils_threads=not is_safe)
