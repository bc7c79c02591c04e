"""The axis that all timelines of a terminal picture share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from whilst.model import Timeline
from whilst.showing.glyphs import Glyphs
from whilst.showing.pictures import shared_unit


@dataclass(frozen=True, slots=True)
class Axis:
    """`columns` cells, `cells_per_step` of them between two ticks that are `step` units apart."""

    columns: int
    step: float
    cells_per_step: int
    unit: str
    is_shared: bool
    factor: float = 1.0
    """How many of the written unit make one of the axis's: 1000 where seconds are written in ms."""

    @classmethod
    def of(cls, timelines: Sequence[Timeline], width: int) -> Axis:
        """Choose the axis for these timelines, at most `width` cells wide.

        A step takes a whole number of cells, so that bars which end on whole hours end on whole cells.
        """
        unit = shared_unit(timelines)
        lengths = [line.makespan_s / (line.unit_s if unit is not None else 1.0) for line in timelines]
        end = max(lengths, default=0.0) or 1.0
        factor, written = 1.0, unit or "s"
        if written == "s" and end < 1:
            factor, written = next((pair for pair in ((1e3, "ms"), (1e6, "µs")) if end * pair[0] >= 1), (1e9, "ns"))
        step = _step(end * factor, width)
        cells_per_step = max(1, int(step / (end * factor) * width + 1e-9))
        columns = min(width, math.ceil(end * factor / step * cells_per_step - 1e-9))
        return cls(max(1, columns), step, cells_per_step, written, unit is not None, factor)

    def cell_ns(self, timeline: Timeline) -> float:
        """Nanoseconds of the timeline's clock that a cell stands for."""
        unit_s = timeline.unit_s if self.is_shared else 1.0
        return self.step / self.factor * unit_s * 1e9 / self.cells_per_step

    def lines(self, gutter: int, glyphs: Glyphs) -> Iterator[Text]:
        """The rule with its ticks, and the figures below them."""
        rule = [glyphs.rule] * self.columns
        figures = " " * 0
        for number in range(self.columns // self.cells_per_step + 1):
            at = number * self.cells_per_step
            if at < self.columns:
                rule[at] = glyphs.tick
            figure = f"{round(number * self.step, 9):g}"
            if len(figures) <= at and at + len(figure) <= self.columns + 6:
                figures = figures.ljust(at) + figure
        unit = self.unit.replace("µ", "u") if glyphs.is_ascii else self.unit
        yield Text(" " * gutter + "".join(rule), "dim")
        yield Text(" " * gutter + figures + f" {unit}", "dim", no_wrap=True)


def _step(end: float, width: int) -> float:
    """The smallest step of 1, 2 or 5 times a power of ten whose figures have room between the ticks."""
    power = 10.0 ** math.floor(math.log10(end))
    for size in (power * each for each in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)):
        figures = max(len(f"{round(size * number, 9):g}") for number in range(1, min(50, int(end / size) + 2)))
        if size / end * width >= figures + 3:
            return size
    return power * 10
