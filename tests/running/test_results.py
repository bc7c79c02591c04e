"""What a run gives back shows itself in a notebook and in one line."""

from __future__ import annotations

import whilst


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
