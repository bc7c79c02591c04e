"""Tasks and their steps, as a person declares them: lengths in seconds, nothing measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

from whilst.errors import DayError
from whilst.model.span import Kind


@dataclass(frozen=True, slots=True)
class Estimate:
    """An uncertain length: a triangular distribution over [low_s, high_s] with its mode at likely_s."""

    low_s: float
    likely_s: float
    high_s: float

    def __post_init__(self) -> None:
        for name, value in (("low", self.low_s), ("likely", self.likely_s), ("high", self.high_s)):
            _check_length(value, f"the {name} end of an estimate")
        if not self.low_s <= self.likely_s <= self.high_s:
            raise DayError(
                f"An estimate must rise: low <= likely <= high, got "
                f"({self.low_s:g}, {self.likely_s:g}, {self.high_s:g}) seconds."
            )


@dataclass(frozen=True, slots=True)
class Step:
    """Work (needs an executor's attention) or a wait (does not), of a length in seconds."""

    kind: Kind
    length: float | Estimate
    label: str = ""

    def __post_init__(self) -> None:
        if self.kind not in (Kind.WORK, Kind.WAIT):
            raise DayError(f"A step is work or a wait; {self.kind!r} can only be observed, not declared.")
        if not isinstance(self.length, Estimate):
            _check_length(self.length, f"the length of step {self.label!r}" if self.label else "a step's length")

    @property
    def length_s(self) -> float:
        """Seconds; the likely value where the length is an estimate."""
        return self.length.likely_s if isinstance(self.length, Estimate) else self.length

    @property
    def is_work(self) -> bool:
        return self.kind is Kind.WORK

    @property
    def is_uncertain(self) -> bool:
        return isinstance(self.length, Estimate)


@dataclass(frozen=True, slots=True)
class Task:
    """A course of steps, done in order.

    `after` names the tasks that must be finished before this one starts; `by` the executors that may do it,
    and an empty `by` means any.
    """

    name: str
    steps: tuple[Step, ...]
    after: tuple[str, ...] = ()
    by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise DayError("A task needs a name that is not empty.")
        for field in ("steps", "after", "by"):
            value = getattr(self, field)
            if isinstance(value, str):
                raise DayError(f"Task {self.name!r}: {field} must be a sequence of names, not the string {value!r}.")
            if not isinstance(value, tuple):
                object.__setattr__(self, field, tuple(value))
        if not self.steps:
            raise DayError(f"Task {self.name!r} has no steps; give it at least one, work or wait.")

    @property
    def work_s(self) -> float:
        return math.fsum(step.length_s for step in self.steps if step.is_work)

    @property
    def wait_s(self) -> float:
        return math.fsum(step.length_s for step in self.steps if not step.is_work)

    @property
    def length_s(self) -> float:
        return self.work_s + self.wait_s

    @property
    def is_uncertain(self) -> bool:
        return any(step.is_uncertain for step in self.steps)


def work(length: float | Estimate, label: str = "") -> Step:
    """A step that needs an executor's attention for that many seconds."""
    return Step(Kind.WORK, length, label)


def wait(length: float | Estimate, label: str = "") -> Step:
    """A step that passes by itself in that many seconds."""
    return Step(Kind.WAIT, length, label)


def _check_length(value: float, what: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DayError(f"{what[:1].upper()}{what[1:]} must be a number of seconds, got {value!r}.")
    try:
        is_possible = math.isfinite(value) and value >= 0
    except OverflowError:  # a whole number beyond what a float can hold
        is_possible = False
    if not is_possible:
        raise DayError(f"{what[:1].upper()}{what[1:]} must be finite and not negative, got {value!r} seconds.")
