"""The four ways to run tasks: sequential, concurrent, parallel and combined."""

from __future__ import annotations

from enum import StrEnum

from whilst.errors import WhilstError


class Mode(StrEnum):
    """How tasks share executors; a member equals its plain word, so `mode="combined"` works everywhere."""

    SEQUENTIAL = "sequential"
    """One executor, one task after the other; a wait holds the executor."""
    CONCURRENT = "concurrent"
    """One executor shared by many tasks in overlapping periods; a wait frees it."""
    PARALLEL = "parallel"
    """Several executors at the same instant, whole tasks on each; a wait holds its executor."""
    COMBINED = "combined"
    """Several executors, each shared by many tasks."""

    @classmethod
    def parse(cls, word: str) -> Mode:
        """Return the mode of that name.

        Raises:
            UnknownModeError: the word names no mode.
        """
        try:
            return cls(word)
        except ValueError:
            known = ", ".join(repr(mode.value) for mode in cls)
            raise UnknownModeError(f"{word!r} is no mode; pass one of {known}.") from None

    @property
    def uses_several_executors(self) -> bool:
        return self in (Mode.PARALLEL, Mode.COMBINED)

    @property
    def overlaps_waits(self) -> bool:
        return self in (Mode.CONCURRENT, Mode.COMBINED)


class UnknownModeError(WhilstError, ValueError):
    """A word that names none of the four modes."""
