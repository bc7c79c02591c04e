"""A decision is a value: what was chosen, on what evidence, and why not otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

from whilst.model.drawable import Drawable
from whilst.model.mode import Mode

_SINGULAR: Final = {"threads": "thread", "processes": "process", "eventloop": "event loop"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One figure that the decision rests on, e.g. ("share of waiting", 0.97, "", "97 % of a call is waiting")."""

    name: str
    value: float
    unit: str
    text: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """A mode that was not chosen, and why, in a sentence with numbers."""

    mode: Mode
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """A change of mind while the run went on."""

    at_s: float
    """Seconds since the call of the verb."""
    text: str


_LONGEST_REPR = 120


@dataclass(frozen=True, slots=True, repr=False)
class Decision(Drawable):
    """Mode, back end, workers and batch, with the evidence, the modes not chosen, and the changes of mind.

    `batch` is how many calls go to a worker at once; `forecast_s` predicts the seconds of each possible mode;
    `given_up` names what could not be had and was done without, so that nothing falls back in silence.
    """

    mode: Mode
    backend: str
    workers: int
    batch: int = 1
    threads_per_worker: int = 1
    native_threads: int | None = None
    """Threads that BLAS and OpenMP are held to in this process; None: as they like."""
    reason: str = ""
    evidence: tuple[Evidence, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    forecast_s: Mapping[Mode, float] = field(default_factory=dict)
    given_up: tuple[str, ...] = ()
    history: tuple[Change, ...] = ()

    def __repr__(self) -> str:
        text = f"{self.mode.value}, {self.who}: {self.reason or 'as asked'}"
        return f"<Decision: {text if len(text) <= _LONGEST_REPR else text[:_LONGEST_REPR].rpartition(' ')[0] + ' …'}>"

    def __str__(self) -> str:
        parts = [f"{self.mode.value}, {self.who}: {self.reason or 'as asked'}."]
        facts = "; ".join(item.text for item in self.evidence if item.text and item.text not in self.reason)
        if facts:
            parts.append(f"Measured: {facts}.")
        parts += [f"Not {rejection.mode.value}: {rejection.reason.rstrip('.')}." for rejection in self.rejected]
        parts += [f"{text.rstrip('.')}." for text in self.given_up]
        parts += [f"After {change.at_s:.2f} s: {change.text.rstrip('.')}." for change in self.history]
        return " ".join(parts)

    def _repr_html_(self) -> str:
        """In a notebook's cell: the sentences."""
        from html import escape

        return f"<p>{escape(str(self))}</p>"

    def to_dict(self) -> dict[str, object]:
        """Everything, as values that JSON can hold."""
        plain = asdict(self)
        plain["mode"] = self.mode.value
        plain["rejected"] = [{"mode": each.mode.value, "reason": each.reason} for each in self.rejected]
        plain["forecast_s"] = {mode.value: seconds for mode, seconds in self.forecast_s.items()}
        return plain

    @property
    def who(self) -> str:
        """Who makes the calls, and how many at once, in words."""
        if self.backend == "inline":
            return "in the calling thread"
        kind, _, within = self.backend.partition("*")
        noun = _SINGULAR.get(kind, kind) if self.workers == 1 else kind
        inside = f" of {self.threads_per_worker:,} calls at once" if self.threads_per_worker > 1 else ""
        if within and inside:
            inside = (
                f" of {self.threads_per_worker} {within}" if within == "threads" else f" with an event loop{inside}"
            )
        return f"{self.workers:,} {noun}{inside}"
