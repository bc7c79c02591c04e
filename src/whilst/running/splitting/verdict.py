"""What was found out about a division, and how it went: values to read and to print."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from whilst.model import Decision, Timeline


class SplitAnswer(StrEnum):
    """What is known of a division. Only PROVED is certain; NOT_REFUTED rests on the samples that were tried."""

    PROVED = "proved"
    NOT_REFUTED = "not refuted"
    WRONG = "wrong"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class SplitVerdict:
    """Does the whole, divided, give what it gives undivided? True in a condition unless it was shown not to, or not
    looked at.

    Args:
        answer: "proved", "not refuted", "wrong" or "not checked".
        triples: on so many neighbouring triples of partial results (for `split`: of stretches across a cut) it held.
        reason: the sentence that says what was tried, or what differs.
        values: where it is wrong, the three values that show it.
        remarks: what a reader should know besides, e.g. that floats were regrouped.
    """

    answer: SplitAnswer
    triples: int
    reason: str
    values: tuple[object, ...] = ()
    remarks: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.answer in (SplitAnswer.PROVED, SplitAnswer.NOT_REFUTED)

    def __str__(self) -> str:
        return " ".join(f"{text.rstrip('.')}." for text in (f"{self.answer}: {self.reason}", *self.remarks))


@dataclass(frozen=True, slots=True)
class SplitReport:
    """How a divided run went: `decision` (with what was given up), `timeline` (an entry a part), `verdict`, `parts`."""

    decision: Decision
    timeline: Timeline
    verdict: SplitVerdict
    parts: int

    def __str__(self) -> str:
        return f"{self.parts} part{'' if self.parts == 1 else 's'}. {self.verdict} {self.decision}"
