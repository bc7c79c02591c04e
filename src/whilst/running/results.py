"""What a run gives back: a list of results that also knows how it came about."""

from __future__ import annotations

from whilst.model.drawable import Drawable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from whilst.model import Decision, Timeline

    R = TypeVar("R")
else:
    R = object


class RunReport(Drawable):
    """One run, to be shown: its decision, its picture and its figures."""

    __slots__ = ("calls", "decision", "failed", "length_s", "timeline")

    def __init__(self, decision: Decision, timeline: Timeline, calls: int, failed: int, length_s: float) -> None:
        self.decision = decision
        self.timeline = timeline
        self.calls = calls
        self.failed = failed
        self.length_s = length_s

    @property
    def title(self) -> str:
        decision = self.decision
        return f"{self.calls} calls in {self.length_s:.3g} s: {decision.mode.value} by {decision.backend}"

    def timelines(self) -> Sequence[Timeline]:
        return (self.timeline,) if self.timeline else ()

    def table(self) -> Sequence[Sequence[str]]:
        line = self.timeline
        rate = self.calls / self.length_s if self.length_s else 0.0
        return (
            ("figure", "value"),
            ("calls", str(self.calls)),
            ("failed", str(self.failed)),
            ("length", f"{self.length_s:.3f} s"),
            ("rate", f"{rate:.4g} calls/s"),
            ("executors", str(len(line.executors))),
            ("work", f"{line.work_s:.3f} s"),
            ("wait", f"{line.wait_s:.3f} s"),
            ("concurrency", f"{line.concurrency:.2f}"),
            ("parallelism", f"{line.parallelism:.2f}"),
        )

    def notes(self) -> Sequence[str]:
        return (str(self.decision),)

    def __str__(self) -> str:
        rows = "\n".join(f"  {name:<12} {value}" for name, value in self.table()[1:])
        return f"{self.title}\n{rows}\n{self.decision}"


class Results(list[R]):
    """A list of results in the order of the items, with the run's `decision`, `timeline` and `report()`.

    It equals a plain list of the same values, and pickles as one: how the run went stays with the process that
    made it.
    """

    __slots__ = ("_decision", "_length_s", "_timeline")

    def complete(
        self, decision: Callable[[], Decision], timeline: Callable[[], Timeline], length_s: float
    ) -> Results[R]:
        """Say how the run went by which this list was filled; return it."""
        self._decision: Decision | Callable[[], Decision] = decision
        self._timeline: Timeline | Callable[[], Timeline] = timeline
        self._length_s = length_s
        return self

    @property
    def decision(self) -> Decision:
        """How the calls were run, and why. Put into words when it is first asked for."""
        if callable(self._decision):
            self._decision = self._decision()
        return self._decision

    @property
    def timeline(self) -> Timeline:
        """Who made which call when. Made of the run's records when it is first asked for."""
        if callable(self._timeline):
            self._timeline = self._timeline()
        return self._timeline

    def report(self) -> RunReport:
        """Decision, picture and figures together; print it, or `.show()` it."""
        failed = sum(isinstance(value, BaseException) for value in self)
        return RunReport(self.decision, self.timeline, len(self), failed, self._length_s)

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)
