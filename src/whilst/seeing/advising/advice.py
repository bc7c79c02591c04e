"""What `advise` gives back: each loop that costs something, what it is, and the change that was proved, as a diff."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from whilst.model import Drawable, Timeline

Kind = Literal["independent", "reduction", "pipeline", "carried", "unknown"]


@dataclass(frozen=True)
class LoopAdvice:
    """One loop.

    Args:
        line, last_line: where it stands; `text` is its first line.
        share: of the script's time, from 0 to 1; 1 is all of it.
        items, courses: over how many items it went in all, in how many courses.
        kind: "independent": its items have nothing to do with each other; "reduction": but for a sum, a maximum, a
            count; "pipeline": part of the work on an item is independent, and the rest goes on from item to item;
            "carried": an item needs what the one before left; "unknown".
        why: what makes it that, with the line.
        no_threads, no_processes, no_asyncio: why not so; "" where it may be done so; None where nobody looked.
        mode, executors: what is advised; None for nothing.
        predicted: how many times as fast the whole script would be: (likely, least, most); None if not predicted.
        measured: how many times as fast it was.
        is_proved: the change was run, gave the same output, and was faster.
        verdict: what is advised, or why nothing is, in a sentence.
        notes: what else is to be known.
    """

    line: int
    last_line: int
    text: str
    share: float
    items: int
    courses: int
    kind: Kind
    why: str
    no_threads: str | None = None
    no_processes: str | None = None
    no_asyncio: str | None = None
    mode: str | None = None
    executors: int | None = None
    predicted: tuple[float, float, float] | None = None
    measured: float | None = None
    is_proved: bool = False
    verdict: str = ""
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """All of it, as values that JSON can hold."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, repr=False)
class Advice(Drawable):
    """What to change in a script; implements `whilst.model.Report`.

    Args:
        script: its path.
        loops: those that carry most of the time, the costliest first.
        diff: the proved changes together, as `patch` takes them; "" for none.
        seconds, changed_seconds: of the script as it is, and with the changes; None where it was not measured.
        remarks: what is to be said of the whole.
        applied_to, backup: the file that was changed and where its text was kept; "" where nothing was changed.
        is_runnable: the script ran to its end.
    """

    script: str
    loops: tuple[LoopAdvice, ...]
    diff: str = ""
    seconds: float | None = None
    changed_seconds: float | None = None
    remarks: tuple[str, ...] = ()
    applied_to: str = ""
    backup: str = ""
    is_runnable: bool = True
    remedies: tuple[str, ...] = ()
    """Of a script that overlaps already: what holds it up, and what to do about it."""

    @property
    def is_proved(self) -> bool:
        """There is a change that was proved."""
        return bool(self.diff)

    @property
    def title(self) -> str:
        if self.is_proved and self.seconds and self.changed_seconds:
            gain = self.seconds / self.changed_seconds
            return (
                f"{self.script}: {gain:.1f} times as fast, with the same output "
                f"({self.seconds:.2f} s, {self.changed_seconds:.2f} s with the change below)."
            )
        if not self.is_runnable:
            return f"{self.script}: nothing can be advised."
        if self.remedies:
            return f"{self.script}: no loop is changed, but something holds it up."
        return f"{self.script}: leave it as it is."

    def timelines(self) -> Sequence[Timeline]:
        return ()

    def table(self) -> Sequence[Sequence[str]]:
        heading = ("line", "share", "loop", "is", "advice", "predicted", "measured")
        rows = [
            (
                str(loop.line),
                f"{100 * loop.share:.0f} %",
                loop.text if len(loop.text) <= 48 else f"{loop.text[:47]}…",
                loop.kind,
                f"{loop.mode}, {loop.executors}" if loop.mode else "-",
                "{:.1f} ({:.1f} to {:.1f})".format(*loop.predicted) if loop.predicted else "-",
                f"{loop.measured:.1f}" if loop.measured else "-",
            )
            for loop in self.loops
        ]
        return [heading, *rows] if rows else ()

    def notes(self) -> Sequence[str]:
        said = [f"Line {loop.line}: {each}" for loop in self.loops for each in _sentences(loop)]
        lines = [*self.remedies, *said, *self.remarks]
        if self.diff:
            lines += ["", self.diff.rstrip("\n")]
        if self.applied_to:
            lines += ["", f"Changed {self.applied_to}. To undo it: mv {self.backup} {self.applied_to}"]
        elif self.diff:
            lines += ["", "Nothing was changed; --apply writes it."]
        return lines

    answers_say_all = True
    """Of what the notes say."""

    def answers(self) -> Sequence[tuple[str, str]]:
        """See `whilst.model.report.Answering`."""
        length = f"It took {self.seconds:.2f} s. " if self.seconds else ""
        costs = [
            f"{100 * loop.share:.0f} % of that in line {loop.line}, {loop.text.rstrip(':')}" for loop in self.loops
        ]
        found = [("What did it do?", f"{length}{'; '.join(costs)}".rstrip(": ") + ("" if not costs else "."))]
        if self.is_proved and self.seconds and self.changed_seconds:
            gain = self.seconds / self.changed_seconds
            could = f"No: with the change below {self.changed_seconds:.2f} s, {gain:.1f} times as fast, same output."
        elif not self.is_runnable:
            could = "Nobody can tell: it did not run to its end."
        else:
            could = "No: something holds it up." if self.remedies else "Yes: no change was found that is worth making."
        found.append(("Was that good?", could))
        why = []
        for loop in self.loops:
            sentences = (f"{each[:1].upper()}{each[1:]}" for each in _sentences(loop))
            why.append(f"Line {loop.line}: {' '.join(sentences)}")
        found.append(("Why?", "\n".join([*why, *self.remarks]) or "No loop takes much of its time."))
        found.append(("What should I change?", "\n".join(self.remedies) or self.diff.rstrip("\n") or "Nothing."))
        if self.applied_to:
            found.append(("Was it changed?", f"Yes, {self.applied_to}. To undo it: mv {self.backup} {self.applied_to}"))
        elif self.diff:
            found.append(("Was it changed?", "No; whilst advise --apply writes it."))
        return found

    def bars(self) -> Sequence[tuple[str, float, str]]:
        """See `whilst.model.report.Answering`."""
        return ()

    def to_dict(self) -> dict[str, object]:
        """All of it, as values that JSON can hold."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            **plain,
            "remarks": list(self.remarks),
            "remedies": list(self.remedies),
            "loops": [loop.to_dict() for loop in self.loops],
        }


def _sentences(loop: LoopAdvice) -> list[str]:
    first = f"{loop.kind}{f': {loop.why}' if loop.why else ''}."
    threads, processes = _allowed(loop.no_threads), _allowed(loop.no_processes)
    lines = [first]
    if loop.no_threads is not None:
        lines.append(f"for threads {threads}; for processes {processes}; for asyncio {_allowed(loop.no_asyncio)}.")
    if loop.verdict:
        lines.append(loop.verdict)
    return [*lines, *(f"{note[0].upper()}{note[1:]}." for note in loop.notes)]


def _allowed(why_not: str | None) -> str:
    if why_not is None:
        return "unknown"
    return f"no, {why_not}" if why_not else "yes"
