"""What more executors would bring: the makespan of n like calls, or of a day, over numbers of executors.

Work and span are those of a computation's dag (R. P. Brent, The parallel evaluation of general arithmetic expressions,
JACM 21, 1974): no number of executors goes below the span, and k of them not below work / k.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Final

from whilst.errors import DayError
from whilst.model import Day, Drawable, Machine, Mode, Profile, Timeline
from whilst.planning.likecalls import Costs, forecast
from whilst.planning.paths import span_ns
from whilst.planning.planner import plan
from whilst.planning.problem import likely_lengths_ns, make_problem
from whilst.planning.reading import read_day

COUNTS: Final = range(1, 129)
_ENOUGH: Final = 0.01
# Larger days are planned for some numbers of executors only.
_LARGE: Final = 2_000
_FEW_COUNTS: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)


@dataclass(frozen=True, slots=True)
class ScalingRow:
    """Seconds by mode with so many executors; a mode in which the day can't be done by so few is absent."""

    executors: int
    seconds: Mapping[Mode, float]


@dataclass(frozen=True, slots=True, repr=False)
class Scaling(Drawable):
    """Makespan over the number of executors.

    Args:
        work_s: seconds of work in all: what one executor would need without any wait.
        span_s: seconds that no number of executors goes below.
        enough: for each mode the smallest number of executors that comes within 1 % of the best of the table; more
            stop paying there.
        cores: of the machine, where known; more executors than that can't all work at the same instant.
    """

    work_s: float
    span_s: float
    rows: tuple[ScalingRow, ...]
    enough: Mapping[Mode, int]
    name: str = ""
    unit: str = "s"
    unit_s: float = 1.0
    cores: int | None = None

    @property
    def title(self) -> str:
        return f"{self.name}: what more executors would bring" if self.name else "What more executors would bring"

    def timelines(self) -> Sequence[Timeline]:
        return ()

    def table(self) -> Sequence[Sequence[str]]:
        modes = [mode for mode in Mode if any(mode in row.seconds for row in self.rows)]
        heading = ["executors", *(f"{mode} [{self.unit}]" for mode in modes), "speed-up"]
        return [heading, *(self._row(row, modes) for row in self.rows if row.executors in self._shown())]

    def _shown(self) -> set[int]:
        """Few enough rows to read: round numbers up to where nothing changes any more, and the special ones."""
        most = max((row.executors for row in self.rows), default=0)
        interesting = 2 * max(self.enough.values(), default=most)
        return {count for count in _FEW_COUNTS if count <= interesting} | {*self.enough.values(), self.cores or 1, most}

    def _row(self, row: ScalingRow, modes: Sequence[Mode]) -> list[str]:
        """Speed-up is that of the last mode over its smallest number of executors."""
        figures = [f"{row.seconds[mode] / self.unit_s:,.4g}" if mode in row.seconds else "-" for mode in modes]
        alone = next((each.seconds[modes[-1]] for each in self.rows if modes[-1] in each.seconds), 0.0)
        here = row.seconds.get(modes[-1], 0.0)
        return [str(row.executors), *figures, f"{alone / here:.2f}" if here else "-"]

    def notes(self) -> Sequence[str]:
        work, span = self.work_s / self.unit_s, self.span_s / self.unit_s
        notes = [
            f"Work {work:,.4g} {self.unit}, span {span:,.4g} {self.unit}: no number of executors goes below the span."
        ]
        for mode, count in self.enough.items():
            notes.append(
                f"In {mode} mode more than {count} {_plural(count)} bring{'s' if count == 1 else ''} less than 1 %."
            )
        if self.cores is not None:
            notes.append(f"This machine has {self.cores} core{'s' if self.cores != 1 else ''} to work on.")
        return notes

    def to_dict(self) -> dict[str, object]:
        return {
            "name": self.name,
            "work_s": self.work_s,
            "span_s": self.span_s,
            "cores": self.cores,
            "enough": {str(mode): count for mode, count in self.enough.items()},
            "rows": [
                {"executors": row.executors, **{f"{mode}_s": seconds for mode, seconds in row.seconds.items()}}
                for row in self.rows
            ],
        }


def scaling(
    profile: Profile,
    n: int,
    machine: Machine,
    *,
    counts: Iterable[int] = COUNTS,
    costs: Costs | None = None,
    name: str = "",
) -> Scaling:
    """Forecast n like calls over numbers of executors, each taken to have a core of its own.

    Raises:
        UnmeasuredError: see `forecast`.
    """
    rows = tuple(
        ScalingRow(count, forecast(profile, n, machine, executors=count, costs=costs)) for count in sorted(set(counts))
    )
    return Scaling(
        work_s=n * (profile.work_s or 0.0),
        span_s=profile.wall_s,
        rows=rows,
        enough=_enough(rows),
        name=name,
        cores=machine.cores,
    )


def day_scaling(
    day: Day | str | PathLike[str], *, counts: Iterable[int] | None = None, seed: int = 0, cores: int | None = None
) -> Scaling:
    """Plan a day with different numbers of executors, in the modes of several executors.

    With more executors than the day declares, the new ones may do whatever more than one person may do already
    (see `Day.with_executors`); with fewer, the first ones declared are there.

    Args:
        counts: numbers of executors; by default 1 to 128, on a day of more than 2,000 tasks 14 of these.
    Raises:
        DayError: the day can't be read, or can't be done with any of these numbers.
    """
    if not isinstance(day, Day):
        day = read_day(day)
    if counts is None:
        counts = COUNTS if len(day.tasks) <= _LARGE else _FEW_COUNTS
    lengths_ns = likely_lengths_ns(day)
    span_s = span_ns(make_problem(day, Mode.COMBINED, day.executors, lengths_ns)) / 1e9
    rows: list[ScalingRow] = []
    best: dict[Mode, float] = {}
    refusal: DayError | None = None
    for count in sorted(set(counts)):
        seconds: dict[Mode, float] = {}
        for mode in (Mode.PARALLEL, Mode.COMBINED):
            # Once the span is reached nothing can be gained; and a plan for fewer executors is one for more.
            if best.get(mode, span_s + 1) > span_s:
                try:
                    best[mode] = min(
                        plan(day, mode, executors=count, seed=seed, draws=1).makespan_s, best.get(mode, 1e300)
                    )
                except DayError as error:
                    refusal = error
                    continue
            seconds[mode] = best[mode]
        rows.append(ScalingRow(count, seconds))
    if not best:
        raise refusal or DayError("Pass at least one number of executors.")
    return Scaling(
        work_s=sum(task.work_s for task in day.tasks),
        span_s=span_s,
        rows=tuple(rows),
        enough=_enough(rows),
        name=day.name,
        unit=day.unit,
        unit_s=day.unit_s,
        cores=cores,
    )


def _enough(rows: Sequence[ScalingRow]) -> dict[Mode, int]:
    enough: dict[Mode, int] = {}
    for mode in (Mode.PARALLEL, Mode.COMBINED):
        known = [(row.executors, row.seconds[mode]) for row in rows if mode in row.seconds]
        if known:
            best = min(seconds for _, seconds in known)
            enough[mode] = next(count for count, seconds in known if seconds <= best * (1 + _ENOUGH))
    return enough


def _plural(count: int) -> str:
    return "executor" if count == 1 else "executors"
