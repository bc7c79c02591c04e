"""What planning gives back: plans that say how good they are, and how that is known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from whilst.model import Drawable, Mode, Timeline, timeline_to_json


@dataclass(frozen=True, slots=True)
class Percentiles:
    """The makespan of the plan's policy when uncertain lengths are drawn: seconds, over so many seeded draws."""

    p10_s: float
    p50_s: float
    p90_s: float
    draws: int
    seed: int

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, slots=True, repr=False)
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

    @property
    def title(self) -> str:
        return self.timeline.name

    def timelines(self) -> Sequence[Timeline]:
        return (self.timeline,)

    def table(self) -> Sequence[Sequence[str]]:
        return _table([self])

    def notes(self) -> Sequence[str]:
        return _notes(self)

    answers_say_all = True
    """Of what the notes say."""

    def answers(self) -> Sequence[tuple[str, str]]:
        """See `whilst.model.report.Answering`."""
        line = self.timeline
        at_once = f"{line.concurrency:.2f} tasks are in progress on average, {line.parallelism:.2f} of them worked on"
        shorter = "No" if self.is_optimal else f"Perhaps, by {100 * max(self.gap, 0.0001):.2f} % at most"
        proof, *drawn = _notes(self)
        found = [("How long does it take?", f"{_length(self)}, {self.mode}. {at_once}."),
                 ("Can it be shorter?", f"{shorter}. {proof}")]  # fmt: skip
        found += (("If steps take longer?", each) for each in drawn)
        return [*found, ("What should I change?", _remedy(self))]

    def bars(self) -> Sequence[tuple[str, float, str]]:
        """See `whilst.model.report.Answering`."""
        return ()

    def to_dict(self) -> dict[str, object]:
        """Everything as JSON-ready values; "timeline" is what `timeline_to_json` writes."""
        return {
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
            "percentiles": self.percentiles.to_dict() if self.percentiles else None,
            "timeline": json.loads(timeline_to_json(self.timeline)),
        }


@dataclass(frozen=True, slots=True, repr=False)
class Plans(Drawable):
    """One day in several modes, side by side; `refusals` says why a mode can't be planned."""

    name: str
    plans: tuple[Plan, ...]
    refusals: Mapping[Mode, str] = field(default_factory=dict)

    def __getitem__(self, mode: Mode | str) -> Plan:
        for plan in self.plans:
            if plan.mode == mode:
                return plan
        raise KeyError(mode)

    @property
    def title(self) -> str:
        return self.name

    def timelines(self) -> Sequence[Timeline]:
        return tuple(plan.timeline for plan in self.plans)

    def table(self) -> Sequence[Sequence[str]]:
        heading, *rows = _table(self.plans)
        rows += [[str(mode), *("-" for _ in heading[1:])] for mode in self.refusals]
        order = [str(mode) for mode in Mode]
        return [heading, *sorted(rows, key=lambda row: order.index(row[0]))]

    def notes(self) -> Sequence[str]:
        notes = [f"{plan.mode}: {note}" for plan in self.plans for note in _notes(plan)]
        return [*notes, *(f"{mode}: can't be planned. {why}" for mode, why in self.refusals.items())]

    def answers(self) -> Sequence[tuple[str, str]]:
        """See `whilst.model.report.Answering`."""
        if not self.plans:
            return ()
        lengths = ", ".join(f"{plan.mode} {_length(plan)}" for plan in self.plans)
        open_ = [
            f"{plan.mode} by {100 * max(plan.gap, 0.0001):.2f} % at most" for plan in self.plans if not plan.is_optimal
        ]
        shorter = f"Perhaps: {', '.join(open_)}." if open_ else "No: each of these is proved to be the shortest."
        why = "\n".join(f"{str(plan.mode).capitalize()}: {' '.join(_notes(plan))}" for plan in self.plans)
        best = min(self.plans, key=lambda plan: plan.makespan_s)
        found = [("How long does it take?", f"{lengths}."), ("Can it be shorter?", shorter), ("Why?", why),
                 ("What should I change?", f"Take {best.mode}, the shortest. {_remedy(best)}")]  # fmt: skip
        return [*found, *((f"Why not {mode}?", f"It can't be planned. {why}") for mode, why in self.refusals.items())]

    answers_say_all = True
    """Of what the notes say."""

    def bars(self) -> Sequence[tuple[str, float, str]]:
        """See `whilst.model.report.Answering`."""
        alone = next((plan.makespan_s for plan in self.plans if plan.mode is Mode.SEQUENTIAL), None)
        if not alone:
            return ()
        ranked = sorted((plan for plan in self.plans if plan.makespan_s), key=lambda plan: plan.makespan_s)
        times = [(plan, alone / plan.makespan_s) for plan in ranked]
        return [(str(plan.mode), ratio, f"{ratio:.2f} times, {_length(plan)}") for plan, ratio in times]

    def to_dict(self) -> dict[str, object]:
        return {
            "name": self.name,
            "plans": [plan.to_dict() for plan in self.plans],
            "refusals": {str(mode): why for mode, why in self.refusals.items()},
        }


def _table(plans: Sequence[Plan]) -> list[list[str]]:
    unit = plans[0].timeline.unit if plans else "s"
    heading = ["mode", f"makespan [{unit}]", f"bound [{unit}]", "gap", "concurrency", "parallelism", "optimal"]
    return [heading, *map(_row, plans)]


def _row(plan: Plan) -> list[str]:
    return [
        str(plan.mode),
        f"{plan.makespan_s / plan.timeline.unit_s:,.6g}",
        f"{plan.bound_s / plan.timeline.unit_s:,.6g}",
        # Rounding must not make a plan look proved that is not.
        "0 %" if not plan.gap else f"{100 * max(plan.gap, 0.0001):.2f} %",
        f"{plan.timeline.concurrency:.2f}",
        f"{plan.timeline.parallelism:.2f}",
        "yes" if plan.is_optimal else "not proved",
    ]


def _length(plan: Plan) -> str:
    return f"{plan.makespan_s / plan.timeline.unit_s:,.6g} {plan.timeline.unit}"


def _remedy(plan: Plan) -> str:
    """What would make it shorter still."""
    if not plan.is_optimal:
        return "A better order may be found: whilst plan --optimal 60, or optimal_s=60, looks for one for a minute."
    if "critical path" in plan.bound_reason:
        return "To be shorter it takes shorter steps on its critical path; more executors bring nothing."
    if plan.mode is Mode.SEQUENTIAL:
        return "To be shorter it takes less to do, or a mode that overlaps."
    return f"To be shorter it takes more executors, or less to do: it is as long as {plan.bound_reason}."


def _notes(plan: Plan) -> list[str]:
    proof = f"{plan.proof[:1].upper()}{plan.proof[1:]}"
    notes = [f"{proof}." if plan.is_optimal else f"{proof}; the bound is {plan.bound_reason}."]
    if drawn := plan.percentiles:
        ends = " / ".join(f"{each / plan.timeline.unit_s:,.4g}" for each in (drawn.p10_s, drawn.p50_s, drawn.p90_s))
        notes.append(
            f"Of {drawn.draws:,} drawn days 10 / 50 / 90 % end by {ends} {plan.timeline.unit} (seed {drawn.seed})."
        )
    return notes
