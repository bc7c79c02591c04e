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


_GAIN = 1.1
"""A run that is not so many times as fast as a loop would have been was not worth it."""


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
        return f"{self.calls:,} calls in {_seconds(self.length_s)}: {decision.mode.value} by {decision.backend}"

    def timelines(self) -> Sequence[Timeline]:
        return (self.timeline,) if self.timeline else ()

    def table(self) -> Sequence[Sequence[str]]:
        line = self.timeline
        rate = self.calls / self.length_s if self.length_s else 0.0
        return (
            ("figure", "value"),
            ("calls", f"{self.calls:,}"),
            ("failed", f"{self.failed:,}"),
            *(("made again", each.text) for each in self.decision.evidence if each.name == "made again"),
            ("length", _seconds(self.length_s)),
            ("rate", f"{rate:,.{0 if rate >= 100 else 2}f} calls/s"),
            ("executors", f"{len(line.executors):,}"),
            ("work", _seconds(line.work_s)),
            ("wait", _seconds(line.wait_s)),
            ("concurrency", f"{line.concurrency:.2f}"),
            ("parallelism", f"{line.parallelism:.2f}"),
        )

    def notes(self) -> Sequence[str]:
        return (str(self.decision),)

    answers_say_all = True
    """Of what the notes say."""

    def answers(self) -> Sequence[tuple[str, str]]:
        """See `whilst.model.report.Answering`."""
        decision, line = self.decision, self.timeline
        failed = f" {self.failed:,} failed." if self.failed else ""
        did = f"{self.calls:,} calls in {_seconds(self.length_s)}: {decision.mode.value}, {decision.who}.{failed}"
        facts = "; ".join(item.text for item in decision.evidence if item.text)
        why = [f"{_sentence(decision.reason or 'as asked')}{f' Measured: {facts}.' if facts else ''}"]
        why += [f"After {change.at_s:.2f} s: {_sentence(change.text, as_is=True)}" for change in decision.history]
        others = [f"{each.mode.value.capitalize()}: {_sentence(each.reason, as_is=True)}" for each in decision.rejected]
        found = [("What did it do?", did), ("Was that good?", self._worth()), ("Why?", " ".join(why))]
        if others:
            found.append(("Why not otherwise?", "\n".join(others)))
        if decision.given_up:
            found.append(("What was done without?", "\n".join(map(_sentence, decision.given_up))))
        change = _advice(decision, line)
        if self._times and self._times < _GAIN:
            other = "" if change.startswith("Nothing") else f" {change}"
            change = f"Overlapping brought nothing: a loop, mode='sequential', does as well.{other}"
        return [*found, ("What should I change?", change)]

    def bars(self) -> Sequence[tuple[str, float, str]]:
        """See `whilst.model.report.Answering`."""
        return ()

    def _worth(self) -> str:
        line, decision = self.timeline, self.decision
        call_s = next((item.value for item in decision.evidence if item.name == "length of a call"), None)
        text = ""
        if self._times:
            assert call_s is not None
            alone = f"One after the other they would have taken about {_seconds(call_s * self.calls)}"
            worth = f"{self._times:.1f} times as long" if self._times >= 1 else "not as long as this"
            text = f"{alone}: {worth}. "
        cores = f" of {line.cores} cores" if line.cores else ""
        at_once = f"{_mean(line.concurrency)} calls were in progress, and {_mean(line.parallelism)}{cores} at work"
        return f"{text}On average {at_once}."

    @property
    def _times(self) -> float | None:
        """How many times as fast as one after the other, by the measured calls; None if nobody knows."""
        call_s = next((item.value for item in self.decision.evidence if item.name == "length of a call"), None)
        if not call_s or not self.length_s or self.decision.mode.value == "sequential":
            return None
        return call_s * self.calls / self.length_s

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.title}>"

    def __str__(self) -> str:
        rows = "\n".join(f"  {name:<12} {value}" for name, value in self.table()[1:])
        return f"{self.title}\n{rows}\n{self.decision}"


def _advice(decision: Decision, line: Timeline) -> str:
    """The one change that promises most."""
    # A forecast begins with its length; every other reason is something that a program can be freed of.
    in_the_way = [each for each in decision.rejected if not each.reason.startswith("about ")]
    if in_the_way:
        *others, last = (each.mode.value for each in in_the_way if each.reason == in_the_way[0].reason)
        modes, chosen = (f"{', '.join(others)} and {last}", "they") if others else (last, "it")
        why = _sentence(in_the_way[0].reason, as_is=True)
        return f"What stands in the way of {modes}: {why} Without that {chosen} could be chosen."
    if decision.reason == "as asked":
        return "Nobody looked, since the mode was asked for. Without mode=, or by whilst.compare, the fastest is found."
    if decision.mode.value == "sequential":
        return "Nothing: nothing else promises to be faster."
    if line.cores and line.parallelism > 0.8 * line.cores:
        return "Nothing here: the cores were at work. Less work in a call, or more cores, is what is left."
    return "Nothing: no other mode promises to be faster."


def _mean(value: float) -> str:
    return f"{value:.1f}" if value >= 0.05 or not value else "next to none"


def _seconds(seconds: float) -> str:
    from whilst.model.lengths import seconds_text  # loaded once a report is looked at

    return seconds_text(seconds)


def _sentence(text: str, *, as_is: bool = False) -> str:
    return f"{text[:1] if as_is else text[:1].upper()}{text[1:].rstrip('.')}."


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
        failed = sum(issubclass(type(value), BaseException) for value in self)
        return RunReport(self.decision, self.timeline, len(self), failed, self._length_s)

    def _repr_html_(self) -> str:
        """In a notebook's cell: how the run went, and the values as Python shows them."""
        import reprlib
        from html import escape

        shown = f"<pre>{escape(reprlib.repr(list(self)))}</pre>"
        return self.report()._repr_html_() + shown if hasattr(self, "_decision") else shown

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)
