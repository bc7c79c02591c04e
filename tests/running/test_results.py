"""What a run gives back shows itself in a notebook and in one line."""

from __future__ import annotations

import whilst
from whilst.model import Decision, Evidence, Kind, Mode, Span, Timeline
from whilst.running.results import RunReport


def test_results_show_themselves_in_a_cell() -> None:
    results = whilst.map(str, ["<a>", "b"], mode="sequential")
    shown = results._repr_html_()
    assert "2 calls in" in shown
    assert "sequential, in the calling thread: as asked." in shown
    assert shown.endswith("<pre>[&#x27;&lt;a&gt;&#x27;, &#x27;b&#x27;]</pre>")
    assert len(whilst.map(str, range(1000), mode="sequential")._repr_html_()) < 20_000
    assert whilst.Results([1])._repr_html_() == "<pre>[1]</pre>"


def test_what_can_be_drawn_shows_its_picture_in_a_cell() -> None:
    timeline = whilst.map(str, range(3), mode="sequential").timeline
    assert timeline._repr_html_().startswith("<pre")
    assert "<script" not in timeline._repr_html_()


def test_a_report_is_short_in_a_line() -> None:
    report = whilst.map(str, range(3), mode="sequential").report()
    assert repr(report).startswith("<RunReport: 3 calls in ")
    assert len(repr(report)) < 100


def test_a_report_says_where_overlapping_brought_nothing() -> None:
    evidence = (Evidence("length of a call", 0.002, "s", "a call takes 2 ms"),)
    decision = Decision(Mode.CONCURRENT, "threads", 4, evidence=evidence)
    timeline = Timeline.from_spans([Span("thread 0", "call", Kind.WAIT, 0, 800_000_000)])
    lost = dict(RunReport(decision, timeline, 5, 0, 0.8).answers())
    assert "about 10 ms: not as long as this." in lost["Was that good?"]
    assert lost["What should I change?"].startswith("Overlapping brought nothing")
    won = dict(RunReport(decision, timeline, 500, 0, 0.1).answers())
    assert "about 1 s: 10.0 times as long." in won["Was that good?"]
    assert won["What should I change?"] == "Nothing: no other mode promises to be faster."


def test_a_decision_shows_its_sentences_in_a_cell() -> None:
    shown = Decision(Mode.CONCURRENT, "threads", 4, reason="it waits <long>")._repr_html_()
    assert shown == "<p>concurrent, 4 threads: it waits &lt;long&gt;.</p>"
