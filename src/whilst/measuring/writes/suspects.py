"""The nouns of a scan: what a function may write that outlives its call, and what else its code tells.

`scan` finds suspects, `snapshots` convicts or clears them.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from whilst._light import Record
from whilst.measuring.writes.abstract_interpreter import Guard
from whilst.measuring.writes.abstract_value import ABSENT

SEED: Final = "the seed of the shared random generator"


class Reach(Enum):
    """How far a write goes, and so which modes it spoils."""

    SHARED = "shared"
    """Memory that other calls see: lost by processes, raced for by threads."""
    ARGUMENT = "argument"
    """The call's own item: lost by processes, fine in threads while no two calls share an item."""
    PROCESS = "process"
    """A setting of the whole process for the time of the call: mixed up by threads, right in processes."""
    DRAWS = "draws"
    """The shared random generator: which call draws what depends on the order."""
    STATEFUL = "stateful"
    """An open file, connection or iterator that all calls use: no two of them at once, and not elsewhere."""


class Suspect(Record):
    """Something that may be written. `root` is the object whose change would show (ABSENT where unknown)."""

    what: str
    where: str
    reach: Reach
    root: object = ABSENT
    slot: str = ""
    """The one attribute or global name of `root` that is assigned, where it is one."""
    is_locked: bool = False
    guard: Guard | None = None
    reverts: bool = False
    """Of a setting: it is what it was once the call is over."""
    changed: object = ABSENT
    """What is changed itself, where the code tells which object that is."""
    is_hint: bool = False
    """The code of a library says so, at a glance: where calls can be watched, they tell whether it is true."""
    takes_item: bool = False
    """What is written comes from the call's item."""

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it from others: no object of the user's is compared."""
        guard = self.guard if self.settles else None
        return (self.what, self.reach, id(self.root), self.slot, self.is_locked, guard, self.takes_item)

    @property
    def settles(self) -> bool:
        """It is written only while something that has nothing to do with the item says so: a lazy load."""
        return self.guard is not None and not self.guard.is_of_item

    @property
    def is_free(self) -> bool:
        """As things were when the code was looked at, nothing kept it from being written."""
        return self.guard is not None and self.guard.is_open


class Scan(Record):
    """All that was found in a function and what it calls."""

    suspects: tuple[Suspect, ...] = ()
    sleeps: bool = False
    """It calls `time.sleep` or `asyncio.sleep`: such waits meet no limit."""
    strangers: int = 0
    """Calls into libraries (or of things unknown) that could wait for something else."""
    caches: bool = False
    """It goes through `functools.lru_cache` or `cache`."""
    functions: int = 0
    unscanned: tuple[str, ...] = ()
    identity: str = ""
    """It asks which object its item is, in words; a copy is another."""
    looks_for: str = ""
    """It looks for its item, or a part of it, where that is found by being the same object, in words."""
    sentinel: str = ""
    """A bare `object()` that it may return: whoever gets it knows it by its identity alone."""

    kept: str = ""
    """What a cache keeps for the item, and it may return: two calls at the same time would each make one."""
    is_kept_by_item: bool = True
    """It is kept by the item itself: other items never get it."""

    def joined(self, other: Scan) -> Scan:
        """What calls of two kinds do together."""
        known = {suspect.key for suspect in self.suspects}
        return Scan(
            (*self.suspects, *(suspect for suspect in other.suspects if suspect.key not in known)),
            self.sleeps and other.sleeps,
            self.strangers + other.strangers,
            self.caches or other.caches,
            max(self.functions, other.functions),
            (*self.unscanned, *other.unscanned),
            self.identity or other.identity,
            self.looks_for or other.looks_for,
            self.sentinel or other.sentinel,
            self.kept or other.kept,
            self.is_kept_by_item and other.is_kept_by_item,
        )

    @property
    def by_identity(self) -> tuple[str, ...]:
        """What it does with objects that a copy can't stand for, in words."""
        returned = self.sentinel and f"it returns {self.sentinel}"
        return tuple(filter(None, (self.identity, self.looks_for, returned)))

    @property
    def seeds_itself(self) -> bool:
        """It seeds the shared random generator before it draws, as far as the code tells."""
        return any(suspect.what == SEED and suspect.guard is None for suspect in self.suspects)

    @property
    def waits_only_in_sleep(self) -> bool:
        """As far as the code tells."""
        return self.sleeps and not self.strangers and not self.unscanned
