"""What planning gives back: a plan that says how good it is, and how it is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from whilst.model import Drawable, Mode, Timeline

__all__ = ["Percentiles", "Plan"]


@dataclass(frozen=True, slots=True)
class Percentiles:
    """The makespan of the plan's policy when uncertain lengths are drawn: seconds, over so many seeded draws."""

    p10_s: float
    p50_s: float
    p90_s: float
    draws: int
    seed: int


@dataclass(frozen=True, slots=True)
class Plan(Drawable):
    """A day planned in one mode.

    Args:
        timeline: the predicted timeline, uncertain steps at their likely length.
        bound_ns: no schedule is shorter than this; `bound_reason` says why.
        proof: how the plan is known to be optimal ("meets its lower bound: …", "proved by the solver"), or what
            keeps it from being known ("not proved: …").
        is_optimal: no schedule of this day in this mode is shorter.
        rule: what found the schedule.
        percentiles: of the makespan, where a length is uncertain.
    """

    mode: Mode
    timeline: Timeline
    bound_ns: int
    bound_reason: str
    proof: str
    is_optimal: bool
    rule: str
    percentiles: Percentiles | None = None

    @property
    def makespan_ns(self) -> int:
        return self.timeline.makespan_ns

    @property
    def makespan_s(self) -> float:
        return self.timeline.makespan_s

    @property
    def bound_s(self) -> float:
        return self.bound_ns / 1e9

    @property
    def gap(self) -> float:
        """By how much the makespan exceeds the bound, as a share of the bound; at most so much is left to gain."""
        return self.makespan_ns / self.bound_ns - 1 if self.bound_ns else 0.0

    def to_plain(self) -> Mapping[str, object]:
        """Everything but the timeline as JSON-ready values."""
        plain: dict[str, object] = {
            "mode": str(self.mode),
            "makespan_s": self.makespan_s,
            "bound_s": self.bound_s,
            "bound_reason": self.bound_reason,
            "gap": self.gap,
            "is_optimal": self.is_optimal,
            "proof": self.proof,
            "rule": self.rule,
            "concurrency": self.timeline.concurrency,
            "parallelism": self.timeline.parallelism,
        }
        if self.percentiles:
            plain["percentiles"] = {
                "p10_s": self.percentiles.p10_s,
                "p50_s": self.percentiles.p50_s,
                "p90_s": self.percentiles.p90_s,
                "draws": self.percentiles.draws,
                "seed": self.percentiles.seed,
            }
        return plain
