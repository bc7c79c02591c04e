"""A decision as a panel."""

from __future__ import annotations

from whilst.model import Change, Decision, Evidence, Mode, Rejection
from whilst.showing import renderers


def test_a_decision_shows_its_evidence_and_every_mode() -> None:
    decision = Decision(
        Mode.CONCURRENT,
        "threads",
        32,
        batch=4,
        reason="97 % of a call is waiting",
        evidence=(Evidence("share of waiting", 0.97, "", ""), Evidence("work", 0.003, "s", "3 ms of work a call")),
        rejected=(Rejection(Mode.SEQUENTIAL, "every wait holds the caller"), Rejection(Mode.PARALLEL, "[too slow]")),
        forecast_s={Mode.SEQUENTIAL: 4.1, Mode.CONCURRENT: 0.13},
        given_up=("the timeline of each call",),
        history=(Change(0.8, "workers 32 -> 16"),),
    )
    text = renderers.text(decision, width=80)
    for expected in (
        "concurrent: 32 threads, 4 calls a batch",
        "share of waiting 0.97",
        "3 ms of work a call",
        "sequential     4.1 s  every wait holds the caller",
        "concurrent    130 ms  chosen",
        "parallel              [too slow]",
        "the timeline of each call",
        "after 800 ms: workers 32 -> 16",
    ):
        assert expected in text
    assert "combined" not in text


def test_a_decision_that_was_asked_for_is_short() -> None:
    text = renderers.text(Decision(Mode.SEQUENTIAL, "inline", 1), width=60)
    assert "sequential: in the calling thread" in text
    assert "As asked." in text
    assert len(text.splitlines()) == 3
