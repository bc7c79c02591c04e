"""What moving to another interpreter would bring: rows with figures, and one sentence that answers. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from whilst.comparing.comparison import all_agree
from whilst.measuring.interpreters import does_moving_pay, gain_of_moving
from whilst.model import Drawable, Timeline, Write

LEAST_GAIN: Final = 1.1
"""So many times as fast must the best way there be, or moving is not worth it."""
_MOSTLY: Final = 0.5
Way = Literal["loop", "thread pool", "process pool", "thread pool, GIL on"]
_WORDS: Final = {"thread pool": "threads", "process pool": "processes"}


@dataclass(frozen=True, slots=True)
class MoveRow:
    """One way of making the calls under one interpreter.

    Args:
        interpreter: its version, "3.14.7t".
        is_here: it is the one that runs this program.
        way: "thread pool, GIL on" is a free-threaded build whose GIL is kept on.
        has_gil: there was a GIL.
        seconds: the median of the rounds; `low_s` and `high_s` the least and the most of them.
        predicted_s: what the calls' work and waiting, measured in the loop of this interpreter, would give.
        agreement: "same" as the loop here, "differs: …", or "unknown".
        error: why there are no figures.
    """

    interpreter: str
    is_here: bool
    way: Way
    workers: int
    has_gil: bool
    seconds: float | None = None
    low_s: float | None = None
    high_s: float | None = None
    cpu_s: float | None = None
    predicted_s: float | None = None
    agreement: str = ""
    error: str = ""

    @property
    def said(self) -> str:
        """For a table."""
        if self.way in ("thread pool", "thread pool, GIL on"):
            return f"{self.workers} threads, {'GIL' if self.has_gil else 'no GIL'}"
        return "loop" if self.way == "loop" else f"{self.workers} processes"

    @property
    def where(self) -> str:
        return f"{'here' if self.is_here else 'there'}, {self.interpreter}"

    def to_dict(self) -> dict[str, object]:
        """All of it, as values that JSON can hold."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, repr=False)
class Move(Drawable):
    """Should I move? Implements `whilst.model.Report`.

    Args:
        target: the function; `items` how many.
        here, there: versions of the two interpreters.
        culprits: the extensions that turn the GIL on there.
        profile: of one call: the share of it that is waiting, and of its work that with the GIL, where known.
        writes: what its calls change that others see, so that they would race in threads without the GIL.
        raised: how many calls raised in the loop here; `first_raised` says which was the first of them, and what.
        starts_s: seconds to load the function and to make its first call, here and there.
    """

    target: str
    items: int
    here: str
    there: str
    rows: tuple[MoveRow, ...]
    is_there_free_threaded: bool = False
    culprits: tuple[str, ...] = ()
    waiting: float | None = None
    gil_share: float | None = None
    writes: tuple[Write, ...] = ()
    calls_looked_at: int = 0
    starts_s: tuple[float, float] = (0.0, 0.0)
    raised: int = 0
    first_raised: str = ""

    def row(self, *, is_here: bool, way: Way) -> MoveRow | None:
        """That row, if it was measured."""
        found = (row for row in self.rows if row.is_here is is_here and row.way == way and row.seconds is not None)
        return next(found, None)

    @property
    def agrees(self) -> bool | None:
        """Every way gave the same results under both; None where a result can't be compared."""
        return all_agree(row.agreement for row in self.rows)

    @property
    def races(self) -> tuple[Write, ...]:
        """What calls in threads would race for without a GIL."""
        return tuple(each for each in self.writes if each.spoils_threads)

    def best(self, *, is_here: bool) -> MoveRow | None:
        """The quickest way that gives the right results and is safe."""
        fit = [
            row
            for row in self.rows
            if row.is_here is is_here
            and row.seconds is not None
            and row.way != "thread pool, GIL on"
            and not row.agreement.startswith("differs")
            and not (row.way == "thread pool" and self.races)
            and not (row.way == "process pool" and any(each.spoils_processes for each in self.writes))
        ]
        return min(fit, key=lambda row: row.seconds or 0.0, default=None)

    @property
    def gain(self) -> float | None:
        """How many times as fast the best way there is as the best way here."""
        return gain_of_moving(self.best(is_here=True), self.best(is_here=False))

    @property
    def pays(self) -> bool | None:
        """None where it can't be told: the rounds differ by more than the gain."""
        return does_moving_pay(self.best(is_here=True), self.best(is_here=False), LEAST_GAIN)

    # ------------------------------------------------------------------------------------------------- the sentence

    @property
    def title(self) -> str:
        here, there = self.best(is_here=True), self.best(is_here=False)
        if here is None or there is None:
            return f"Nothing could be measured {'here' if here is None else f'on {self.there}'} that gives the results."
        measured = f"On {self.there} {_how(there)} {_seconds(there)} against {_seconds(here)} here {_by(here)}"
        if self.pays is None:
            spans = f"{there.low_s:.2f} to {there.high_s:.2f} s there, {here.low_s:.2f} to {here.high_s:.2f} s here"
            return f"{measured}: whether the move pays can't be told, because the rounds differ too much ({spans})."
        if self.pays:
            return f"{measured}: the move pays, because {self._why(here, there)}."
        return f"{measured}: the move does not pay, because {self._why_not(here)}."

    def _why(self, here: MoveRow, there: MoveRow) -> str:
        if there.way == "thread pool" and not there.has_gil and (here.way != "thread pool" or here.has_gil):
            cores = (there.cpu_s or 0.0) / (there.seconds or 1.0)
            said = f"without the GIL threads are at work at once ({cores:.1f} cores on average)"
            return f"{said}, and nothing has to be sent to a process" if here.way == "process pool" else said
        loop = self._loop_ratio
        if loop is not None and loop <= 1 / LEAST_GAIN:
            return f"one call after the other is {1 / loop:.1f} times as fast there"
        return f"{_WORDS[there.way]} cost less there"

    def _why_not(self, here: MoveRow) -> str:
        threads = self.row(is_here=False, way="thread pool")
        if threads is not None and threads.agreement.startswith("differs"):
            return "threads give other results there"
        would = threads is not None and (threads.seconds or 0.0) * LEAST_GAIN <= (here.seconds or 0.0)
        if self.races and would:
            write = self.races[0]
            return f"threads would race there: {write.what}{_place(write)} is changed by its calls"
        if self.culprits:
            return f"{' and '.join(self.culprits)} turns the GIL on there, so that threads take turns as here"
        if self.waiting is not None and self.waiting > _MOSTLY:
            return f"a call waits for {100 * self.waiting:.0f} % of its time, and waits overlap with a GIL, too"
        loop = self._loop_ratio
        if loop is not None and loop > LEAST_GAIN:
            return f"one call after the other takes {loop:.2f} times as long there"
        if here.way == "loop":
            return "the calls are too short to be shared out: one after the other is quickest"
        if self.gil_share is not None and self.gil_share < _MOSTLY:
            return "most of the work of a call lets go of the GIL, so that threads share the cores here, too"
        if not self.is_there_free_threaded:
            return "there is a GIL on that build, too, and it runs the calls about as fast"
        return f"{_WORDS[here.way]} use the cores here as well"

    @property
    def _loop_ratio(self) -> float | None:
        here, there = self.row(is_here=True, way="loop"), self.row(is_here=False, way="loop")
        return there.seconds / here.seconds if here and there and here.seconds and there.seconds else None

    # ------------------------------------------------------------------------------------------------- for renderers

    def timelines(self) -> Sequence[Timeline]:
        return ()

    def table(self) -> Sequence[Sequence[str]]:
        heading = ["interpreter", "how", "seconds", "forecast", "CPU s", "speed-up", "results"]
        loop = self.row(is_here=True, way="loop")
        lines = [heading]
        for row in self.rows:
            gain = "" if loop is None or not row.seconds or not loop.seconds else f"{loop.seconds / row.seconds:.2f}"
            figures = [_number(row.seconds), _number(row.predicted_s), _number(row.cpu_s)]
            if row.error:
                figures[0] = "failed"
            lines.append([row.where, row.said, *figures, gain, row.agreement.split(" ", 1)[0].rstrip(":")])
        return lines

    def notes(self) -> Sequence[str]:
        said = [f"{self.raised:,} of {self.items:,} calls raised; {self.first_raised}."] if self.raised else []
        said += [f"{row.where}, {row.said}: {row.error}" for row in self.rows if row.error]
        said += [f"{row.where}, {row.said}: {row.agreement}" for row in self.rows if row.agreement not in ("", "same")]
        if self.culprits:
            said.append(
                f"On {self.there} the GIL is on again because of {' and '.join(self.culprits)}: look for a newer "
                "version of it; PYTHON_GIL=0 keeps the GIL off at your own risk."
            )
        for write in self.writes:
            what = "would race without a GIL, and " if write.spoils_threads else ""
            lost = "is lost in processes" if write.spoils_processes else "is shared by threads"
            said.append(f"Its calls change {write.what}{_place(write)}: that {what}{lost}.")
        if not self.writes and self.calls_looked_at:
            said.append(
                f"{self.calls_looked_at:,} calls were looked into: they change nothing that other calls see. "
                "whilst check tries every interleaving."
            )
        here_s, there_s = self.starts_s
        said.append(f"Loading the function and its first call take {here_s:.2f} s here, {there_s:.2f} s there.")
        return said

    def to_dict(self) -> dict[str, object]:
        """Everything but the results, as values that JSON can hold."""
        return {
            "kind": "move",
            "answer": self.title,
            "pays": self.pays,
            "gain": self.gain,
            "agrees": self.agrees,
            "target": self.target,
            "items": self.items,
            "raised": self.raised,
            "here": self.here,
            "there": self.there,
            "gil_turned_on_by": list(self.culprits),
            "waiting_share": self.waiting,
            "gil_share": self.gil_share,
            "writes": [{"what": each.what, "where": each.where, "races": each.spoils_threads} for each in self.writes],
            "rows": [row.to_dict() for row in self.rows],
            "notes": list(self.notes()),
        }


def median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _how(row: MoveRow) -> str:
    return "one call after the other takes" if row.way == "loop" else f"{_WORDS[row.way]} take"


def _by(row: MoveRow) -> str:
    return "one after the other" if row.way == "loop" else f"with {_WORDS[row.way]}"


def _seconds(row: MoveRow) -> str:
    seconds = row.seconds or 0.0
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{1e3 * seconds:.3g} ms"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _place(write: Write) -> str:
    return f" ({write.where})" if write.where else ""
