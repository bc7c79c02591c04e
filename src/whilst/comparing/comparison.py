"""What `compare` gives back: a row for each mode, with figures, a timeline, and what is to be said about it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from whilst.comparing.outcomes import Outcome
from whilst.errors import WhilstError
from whilst.model import Drawable, Profile, Timeline, timeline_to_json
from whilst.model.lengths import seconds_text
from whilst.model.report import CAREFUL

NAIVE: Final = "naive threads"
"""Compared with the modes of a day: one free thread a task, as somebody would write it who knows no better."""
_FAR: Final = 1.0
"""A forecast that is off by more than this share of it did not hold."""
_GAIN: Final = 1.1
_TAKES: Final = {
    "concurrent": "Let one executor work on another task while one waits. That takes tasks that can be interrupted.",
    "parallel": "Give tasks to several executors. That takes tasks that are independent.",
    "combined": "Give tasks to several executors that work on another while one waits. That takes tasks that are "
    "independent and can be interrupted.",
    NAIVE: "Start a thread for each task.",
}
"""What each mode of a day asks for."""


class ComparisonError(WhilstError, ValueError):
    """There is nothing to compare, or not like that."""


@dataclass(frozen=True, slots=True)
class Row:
    """One mode. What wasn't measured is None; a mode that failed has an `error` and no figures.

    Args:
        name: the mode's word, or "naive threads".
        seconds: from the start to the last result, measured, in real seconds.
        predicted_s: the plan's makespan at the performed scale, or the forecast; in real seconds.
        planned: the plan's timeline, where a day was performed, at the performed scale.
        start_up_s: the part of `seconds` before the first call could begin.
        speed_up: over the sequential row.
        cpu_s: CPU seconds of this process and its children.
        peak_memory_bytes: the largest resident memory of all processes together (each one's own peak, summed).
        who: what realised the mode, e.g. "2 processes of 16 threads".
        agreement: "same", or how its results differ from the first row's; "" where nothing was returned.
        outcomes: what each call gave, in the order of the items; None for a day.
    """

    name: str
    seconds: float | None = None
    predicted_s: float | None = None
    timeline: Timeline | None = None
    planned: Timeline | None = None
    start_up_s: float | None = None
    speed_up: float | None = None
    cpu_s: float | None = None
    peak_memory_bytes: int | None = None
    who: str = ""
    agreement: str = ""
    outcomes: Sequence[Outcome] | None = None
    error: str = ""

    @property
    def ratio(self) -> float | None:
        """Measured over predicted."""
        return self.seconds / self.predicted_s if self.seconds is not None and self.predicted_s else None

    @property
    def concurrency(self) -> float | None:
        return self.timeline.concurrency if self.timeline else None

    @property
    def parallelism(self) -> float | None:
        return self.timeline.parallelism if self.timeline else None

    @property
    def raised(self) -> int:
        """How many calls raised."""
        return sum(each.failure is not None for each in self.outcomes or ())

    def to_dict(self) -> dict[str, object]:
        """Figures and timelines, as values that JSON can hold; results themselves stay out."""
        return {
            "name": self.name,
            "who": self.who,
            "seconds": self.seconds,
            "predicted_s": self.predicted_s,
            "ratio": self.ratio,
            "start_up_s": self.start_up_s,
            "speed_up": self.speed_up,
            "concurrency": self.concurrency,
            "parallelism": self.parallelism,
            "planned_concurrency": self.planned.concurrency if self.planned else None,
            "planned_parallelism": self.planned.parallelism if self.planned else None,
            "held_s": self.timeline.held_s if self.timeline else None,
            "cpu_s": self.cpu_s,
            "peak_memory_bytes": self.peak_memory_bytes,
            "agreement": self.agreement,
            "raised": self.raised,
            "error": self.error,
            "planned": None if self.planned is None else json.loads(timeline_to_json(self.planned)),
            "timeline": None if self.timeline is None else json.loads(timeline_to_json(self.timeline)),
        }


def all_agree(agreements: Iterable[str]) -> bool | None:
    """Do all say "same"? None where one can't be compared, or none is there; those that are empty say nothing."""
    said = [text for text in agreements if text]
    if any(text.startswith("differs") for text in said):
        return False
    return True if said and all(text == "same" for text in said) else None


@dataclass(frozen=True, slots=True, repr=False)
class Comparison(Drawable):
    """Every mode side by side. `comparison["concurrent"]` is that row.

    `kind` says what was compared: a "day" (planned against performed) or a "function" (over items).
    `profile` is what one call is like, as the sequential run measured it.
    """

    kind: Literal["day", "function"]
    title: str
    rows: tuple[Row, ...]
    unit: str = "s"
    unit_s: float = 1.0
    """Real seconds of one unit, e.g. 0.1 for an hour that was performed in 0.1 s."""
    profile: Profile | None = None
    remarks: tuple[str, ...] = ()
    disturbed: str = ""
    """What kept executors from cores that the figures take for granted."""

    def __getitem__(self, name: str) -> Row:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"{name!r} was not compared; there are {[row.name for row in self.rows]}.")

    @property
    def agrees(self) -> bool | None:
        """All modes that ran gave the same results; None where a result can't be compared, or none came back."""
        return all_agree(row.agreement for row in self.rows)

    @property
    def raised(self) -> int:
        """How many calls raised, in the mode in which most did."""
        return max((row.raised for row in self.rows), default=0)

    def timelines(self) -> Sequence[Timeline]:
        """Planned and measured under each other for a day, measured ones for a function."""
        found = []
        for row in self.rows:
            found += [timeline for timeline in (row.planned, row.timeline) if timeline is not None]
        return found

    def table(self) -> Sequence[Sequence[str]]:
        """One row a mode; heading first."""
        return self._day_table() if self.kind == "day" else self._function_table()

    def notes(self) -> Sequence[str]:
        """Why modes failed, which results differ, and what explains the figures."""
        said = [f"{row.name}: {row.error}" for row in self.rows if row.error]
        said += [f"{row.name}: {row.agreement}" for row in self.rows if row.agreement not in ("", "same")]
        return [*said, *self.remarks, *([self.disturbed] if self.disturbed else [])]

    def answers(self) -> Sequence[tuple[str, str]]:
        """See `whilst.model.report.Answering`."""
        said = [(CAREFUL, self.disturbed)] if self.disturbed else []
        best = self._ranked[0] if self._ranked else None
        if best is None or best.seconds is None:
            return [*said, ("Which is fastest?", "None: no mode could be measured.")]
        fastest = f"{best.name}{f', {best.who}' if best.who else ''}: {self._length(best.seconds)}"
        if best.speed_up and best.name != "sequential":
            fastest += f", {best.speed_up:.1f} times as fast as one after the other"
        agree = {
            True: "Yes, in every mode that ran.",
            False: "No: see the notes. A mode that gives other results is no choice.",
            None: "Nobody can say: what came back can't be compared.",
        }[self.agrees]
        said.append(("Which is fastest?", f"{fastest}."))
        if any(row.agreement for row in self.rows):
            said.append(("Are the results the same?", agree))
        if why := self._why(best):
            said.append(("Why?", why))
        ratios = [(row.name, row.ratio) for row in self.rows if row.ratio is not None]
        if ratios:
            name, worst = max(ratios, key=lambda each: abs(math.log(each[1])))
            off = abs(worst - 1)
            told = f"Within {100 * off:.0f} % in every mode (most in {name})."
            if off > _FAR:
                took = f"{worst:,.0f}" if worst >= 10 else f"{worst:.2g}"
                told = f"No: {name} took {took} times what was foretold. The table has each."
            said.append(("Was it as foretold?", told))
        return [*said, ("What should I change?", self._change(best))]

    def _why(self, best: Row) -> str:
        """What a call is like, and what overlapped."""
        text = ""
        if self.profile is not None:
            works, waits = (seconds_text(each or 0.0) for each in (self.profile.work_s, self.profile.wait_s))
            text = f"A call works for {works} and waits for {waits}. "
        what = "calls" if self.kind == "function" else "tasks"
        shown = dict.fromkeys(row.name for row in self.rows if row.name in ("sequential", best.name))
        said = [
            f"{name.capitalize()}: {self[name].concurrency:.1f} {what} in progress on average, "
            f"{self[name].parallelism:.1f} at work."
            for name in shown
            if self[name].timeline is not None
        ]
        return text + " ".join(said)

    def _change(self, best: Row) -> str:
        """The one change that promises most."""
        if self.agrees is False:
            return "First what makes the results differ; until then, keep the loop."
        if best.name == "sequential" or not best.speed_up or best.speed_up < _GAIN:
            text = "Nothing: no mode brings a tenth here."
        elif self.kind == "function":
            function = self.title.rpartition(" over ")[0]
            text = (
                f"The loop: whilst.map({function}, items) chooses by itself, mode={best.name!r} insists on this mode."
            )
        else:
            text = _TAKES.get(best.name, "Nothing.")
        return f"{text} But measure again when the machine is quiet." if self.disturbed else text

    def bars(self) -> Sequence[tuple[str, float, str]]:
        """See `whilst.model.report.Answering`."""
        return [
            (row.name, row.speed_up, f"{row.speed_up:.2f} times, {self._length(row.seconds)}")
            for row in self._ranked
            if row.speed_up is not None
        ]

    @property
    def _ranked(self) -> list[Row]:
        """What was measured, best first."""
        return sorted((row for row in self.rows if row.seconds and not row.error), key=lambda row: row.seconds or 0.0)

    def to_dict(self) -> dict[str, object]:
        """Everything but results, as values that JSON can hold."""
        profile = self.profile
        return {
            "kind": self.kind,
            "title": self.title,
            "unit": self.unit,
            "unit_s": self.unit_s,
            "agrees": self.agrees,
            "rows": [row.to_dict() for row in self.rows],
            "profile": None
            if profile is None
            else {"work_s": profile.work_s, "wait_s": profile.wait_s, "calls": profile.calls},
            "notes": list(self.notes()),
        }

    def _day_table(self) -> list[list[str]]:
        lines = [["mode", "planned", "measured", "ratio", "concurrency", "parallelism", "held off"]]
        for row in self.rows:
            lines.append(
                [
                    row.name,
                    self._length(row.predicted_s),
                    self._length(row.seconds) if not row.error else "failed",
                    _number(row.ratio, ".3f"),
                    _number(row.concurrency, ",.2f"),
                    _number(row.parallelism, ".2f"),
                    self._length(row.timeline.held_s if row.timeline else None),
                ]
            )
        return lines

    def _function_table(self) -> list[list[str]]:
        # Eighty columns hold this, and no more; the captions of the pictures spell the two means out.
        lines = [["mode", "seconds", "forecast", "speed-up", "conc.", "paral.", "CPU s", "memory", "results"]]
        for row in self.rows:
            lines.append(
                [
                    row.name,
                    _number(row.seconds, ",.3f") if not row.error else "failed",
                    _number(row.predicted_s, ",.3f"),
                    _number(row.speed_up, ",.2f"),
                    _number(row.concurrency, ",.2f"),
                    _number(row.parallelism, ".2f"),
                    _number(row.cpu_s, ",.2f"),
                    "" if row.peak_memory_bytes is None else f"{row.peak_memory_bytes / 2**20:,.0f} MiB",
                    row.agreement.split(" ", 1)[0].rstrip(":"),
                ]
            )
        return lines

    def _length(self, seconds: float | None) -> str:
        return "" if seconds is None else f"{seconds / self.unit_s:,.2f} {self.unit}"


def _number(value: float | None, form: str) -> str:
    return "" if value is None or not math.isfinite(value) else format(value, form)
