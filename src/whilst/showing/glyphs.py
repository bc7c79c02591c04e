"""What a terminal can show of a cell's shares: glyphs that tell the kinds apart without colour, in UTF-8 or ASCII."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from whilst.model import Kind

# Readable on dark and light backgrounds, and by readers with any colour vision (after Okabe and Ito). Where there are
# but sixteen colours they become bright blue, dark grey and yellow, which are seen on white and on black.
_STYLES: Final = {Kind.WORK: "#2f6fd6", Kind.WAIT: "#6b7580", Kind.HELD: "#d98500"}
_ON: Final = {Kind.WORK: "bold #ffffff on #2f6fd6", Kind.WAIT: "", Kind.HELD: "bold #241800 on #d98500"}
_BEFORE: Final = {Kind.WAIT: "#a3ccff on #5a6570", Kind.HELD: "#a3ccff on #7a4c00"}
"""A share of work, where most of the rest was of this kind: it stands before its colour."""


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of characters. `levels` are shares of work from just above nothing to just below all of a cell."""

    is_ascii: bool
    work: str
    wait: str
    held: str
    levels: str
    edge: str
    """The first cell of a bar that follows another bar of the same kind."""
    rule: str
    tick: str

    def of_kind(self, kind: Kind) -> str:
        return (self.work, self.wait, self.held)[kind]

    def solid(self, shares: Sequence[float]) -> tuple[str, str]:
        """Glyph and style of a cell that shows one kind: the one that took most of it."""
        idle = 1.0 - sum(shares)
        kind = max(Kind, key=shares.__getitem__)
        # Ties go to what happened, so that half a cell at the end of a bar isn't lost.
        return (self.of_kind(kind), _STYLES[kind]) if shares[kind] >= idle - 1e-6 else (" ", "")

    def dense(self, shares: Sequence[float]) -> tuple[str, str]:
        """Glyph and style of a cell that mixes kinds: as high as its share of work, else what took most of the rest."""
        work = shares[Kind.WORK]
        steps = len(self.levels) + 1
        level = round(work * steps)
        if level == 0:
            return self.solid(shares)
        if level < steps and shares[Kind.HELD] > max(work, shares[Kind.WAIT]):
            return self.held, _STYLES[Kind.HELD]
        rest = max((Kind.WAIT, Kind.HELD), key=shares.__getitem__)
        is_idle = level >= steps or shares[rest] <= (1.0 - work) / 2
        style = _STYLES[Kind.WORK] if is_idle else _BEFORE[rest]
        return (self.work if level >= steps else self.levels[level - 1]), style

    def mixed(self) -> tuple[str, str]:
        """Glyph and style of work before waiting, for a legend."""
        return self.levels[3], _BEFORE[Kind.WAIT]

    def count(self, share: float) -> tuple[str, str]:
        """Glyph and style of a cell that shows how much of a maximum was reached."""
        steps = len(self.levels) + 1
        level = max(1, round(share * steps)) if share > 0 else 0
        glyph = " " if level == 0 else self.work if level >= steps else self.levels[level - 1]
        return glyph, _STYLES[Kind.WAIT]

    @staticmethod
    def style(kind: Kind) -> str:
        return _STYLES[kind]

    @staticmethod
    def label_style(kind: Kind) -> str:
        return _ON[kind]


UTF8: Final = Glyphs(False, "█", "░", "▚", "▁▂▃▄▅▆▇", "▐", "─", "┬")
ASCII: Final = Glyphs(True, "#", ".", "!", "123456789", "|", "-", "+")


def printable(text: str, glyphs: Glyphs, kept: str = "") -> str:
    """The text without control characters (which could drive the terminal) and what the encoding can't show.

    `kept` are control characters that may stay.
    """
    clean = "".join(character if character.isprintable() or character in kept else "?" for character in text)
    if not glyphs.is_ascii:
        return clean
    plain = clean.replace("…", "..").replace("≤", "<=").replace("≥", ">=").replace("·", "|").replace("µ", "u")
    return plain.encode("ascii", "replace").decode("ascii")
