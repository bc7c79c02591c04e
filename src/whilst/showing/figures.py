"""The figures that stand with every picture, and how lengths of time are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whilst.model import StepFunction, Timeline
from whilst.model.lengths import number_text, seconds_text


@dataclass(frozen=True, slots=True)
class Figures:
    """A timeline's figures; seconds are the timeline's own, not yet in its unit."""

    makespan_s: float
    concurrency: float
    parallelism: float
    parallel_share: float
    work_s: float
    wait_s: float
    held_s: float
    utilisation: Mapping[str, float]
    spans: int
    tasks: int
    cores: int | None
    parallelism_steps: StepFunction

    @property
    def mean_utilisation(self) -> float | None:
        """The mean over the executors; None where there is none."""
        return sum(self.utilisation.values()) / len(self.utilisation) if self.utilisation else None

    def sentences(self, timeline: Timeline) -> list[tuple[str, str]]:
        """(name, value) in the order in which a reader asks."""
        pairs = [
            ("makespan", length_text(self.makespan_s, timeline)),
            ("concurrency", f"{self.concurrency:.2f}"),
            ("parallelism", f"{self.parallelism:.2f}" + (f" of {_cores(self.cores)}" if self.cores else "")),
            ("≥ 2 at work", percent(self.parallel_share)),
        ]
        if self.mean_utilisation is not None:
            pairs.append(("utilisation", percent(self.mean_utilisation)))
        if self.held_s:
            pairs.append(("held off", length_text(self.held_s, timeline)))
        return pairs


def figures_of(timeline: Timeline) -> Figures:
    # Counted once and kept, since it takes longer than all the rest together.
    steps = timeline.parallelism_steps
    return Figures(
        makespan_s=timeline.makespan_s,
        concurrency=timeline.concurrency,
        parallelism=timeline.parallelism,
        parallel_share=steps.share_at_least(2),
        work_s=timeline.work_s,
        wait_s=timeline.wait_s,
        held_s=timeline.held_s,
        utilisation=timeline.utilisation,
        spans=len(timeline),
        tasks=len(timeline.tasks),
        cores=timeline.cores,
        parallelism_steps=steps,
    )


def length_text(seconds: float, timeline: Timeline | None = None) -> str:
    """A length of time as a person writes it: "9 h" in the timeline's unit, "12.3 ms" where that is seconds."""
    unit, unit_s = (timeline.unit, timeline.unit_s) if timeline is not None else ("s", 1.0)
    if unit == "s" and unit_s == 1.0 and seconds > 0:
        return seconds_text(seconds)
    return f"{number_text(seconds / unit_s)} {unit}"


def percent(share: float) -> str:
    """A share as a percentage, with a decimal where it would else read 0 or hide that it isn't quite whole."""
    value = 100 * share
    if 0 < value < 0.05:
        return "< 0.1 %"
    decimals = 1 if 0 < value < 10 or 99 < value < 99.95 else 0
    return f"{value:.{decimals}f} %"


def is_figure(texts: Sequence[str]) -> bool:
    """Whether a column of a table holds figures, which are aligned on the right."""
    filled = [text.strip() for text in texts if text.strip() not in ("", "-", "–", "—")]  # noqa: RUF001 - dashes meant
    return bool(filled) and all(text.lstrip("+-−~≈≤≥<>×x ")[:1].isdigit() for text in filled)  # noqa: RUF001 - as above


def _cores(count: int) -> str:
    return "1 core" if count == 1 else f"{count} cores"
