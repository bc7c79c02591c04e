"""The page: one file, safe, and true to the timeline when a real browser draws it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from whilst.model import Kind, Span, Timeline
from whilst.showing import renderers

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">&'\"{{data}}"


def written(value: Any, tmp_path: Path) -> Path:
    page = tmp_path / "page.html"
    renderers.write_html(value, page)
    return page


def test_the_page_asks_nobody_for_anything(sequential: Timeline, tmp_path: Path) -> None:
    text = written(sequential, tmp_path).read_text(encoding="utf-8")
    assert "http://" not in text
    assert "https://" not in text
    assert not re.search(r"<(link|img|iframe|object|script)[^>]*\b(src|href)=", text)
    assert "default-src 'none'" in text


def test_no_hole_of_the_template_stays_open(sequential: Timeline, tmp_path: Path) -> None:
    assert "{{" not in written(sequential, tmp_path).read_text(encoding="utf-8")


def test_names_can_not_leave_their_place(tmp_path: Path) -> None:
    timeline = Timeline.from_spans([Span(HOSTILE, HOSTILE, Kind.WORK, 0, 10, HOSTILE, HOSTILE)], name=HOSTILE)
    text = written([timeline, timeline], tmp_path).read_text(encoding="utf-8")
    assert "<img" not in text
    assert "<script>document" not in text
    assert text.count("</script>") == 3  # one a timeline, one for the page's own


def test_an_empty_timeline_says_so(tmp_path: Path) -> None:
    text = written(Timeline.from_spans([], name="nothing"), tmp_path).read_text(encoding="utf-8")
    assert "this timeline has no spans" in text
    assert "<canvas" not in text


def test_the_figures_stand_in_the_page_as_text(concurrent: Timeline, tmp_path: Path) -> None:
    text = written(concurrent, tmp_path).read_text(encoding="utf-8")
    assert "makespan <b>9 h</b>" in text
    assert "concurrency <b>1.67</b>" in text
    assert re.search(r'<canvas[^>]*aria-label="[^"]*makespan 9 h', text)


def test_a_hundred_thousand_spans_make_a_page_below_a_megabyte(busy: Callable[..., Timeline], tmp_path: Path) -> None:
    assert written(busy(100_000), tmp_path).stat().st_size < 1_000_000


def shares_by_hand(timeline: Timeline, executor: int, columns: int, end_ns: int) -> list[list[float]]:
    """For each column the shares of work, wait, held: work hides held off, which hides a wait. Slow and plain."""
    rows = [row for row in range(len(timeline)) if timeline.executor[row] == executor]
    spans = [(timeline.start_ns[row], timeline.end_ns[row], timeline.kind[row]) for row in rows]
    step = end_ns / columns
    found = []
    for column in range(columns):
        low, high = column * step, (column + 1) * step
        inside = [(max(s, low), min(e, high), k) for s, e, k in spans if s < high and e > low]
        cuts = sorted({low, high, *(t for s, e, _ in inside for t in (s, e))})
        shares = [0.0, 0.0, 0.0]
        for one, two in itertools.pairwise(cuts):
            open_kinds = {k for s, e, k in inside if s <= one and e >= two}
            shown = next((kind for kind in (Kind.WORK, Kind.HELD, Kind.WAIT) if kind in open_kinds), None)
            if shown is not None:
                shares[shown] += (two - one) / step
        found.append(shares)
    return found


def test_a_browser_counts_the_true_shares(browser: Any, tangled: Callable[..., Timeline], tmp_path: Path) -> None:
    timeline, columns = tangled(spans=600), 60
    [reported] = browser.report(written(timeline, tmp_path), columns)["timelines"]
    executors = [row for row in reported["rows"] if row["type"] == "executor"]
    assert [row["name"] for row in executors] == list(timeline.executors)
    for executor, row in enumerate(executors):
        expected = shares_by_hand(timeline, executor, columns, timeline.makespan_ns)
        flat = [share for column in expected for share in column]
        assert row["shares"] == pytest.approx(flat, abs=1e-4)
    mean = sum(reported["concurrency"]) / columns
    assert mean == pytest.approx(timeline.concurrency, rel=1e-4)
    assert sum(reported["parallelism"]) / columns == pytest.approx(timeline.parallelism, rel=1e-4)


def test_a_browser_paints_as_much_work_as_there_was(
    browser: Any, busy: Callable[..., Timeline], tmp_path: Path
) -> None:
    """Spans far below a pixel: the painted area of each colour is what the shares say, not a pixel for each span."""
    timeline = busy(30_000, executors=3)
    page = written(timeline, tmp_path)
    [reported] = browser.report(page, 10, "theme=light")["timelines"]
    for row in reported["rows"]:
        work, wait, held = (sum(row["shares"][kind::3]) / 10 for kind in Kind)
        # Work has no red in it, everything else has plenty; the means of the hatched and the dotted colour stand here.
        expected = wait * 0xC9 + held * 0xD6 + (1 - work - wait - held) * 0xF5
        assert 0.1 < work < 0.2
        assert row["colour"][0] == pytest.approx(expected, abs=3)


def test_a_browser_runs_no_name_as_code(browser: Any, tmp_path: Path) -> None:
    timeline = Timeline.from_spans([Span(HOSTILE, HOSTILE, Kind.WORK, 0, 10, HOSTILE, HOSTILE)], name=HOSTILE)
    document = browser.document(written(timeline, tmp_path))
    assert "data-ready" in document
    title = re.search("<title>(.*?)</title>", document, re.DOTALL)
    assert title is not None
    assert title[1] != "owned"


def test_a_browser_zooms_as_the_address_asks(browser: Any, concurrent: Timeline, tmp_path: Path) -> None:
    [reported] = browser.report(written(concurrent, tmp_path), 4, "zoom=2,6&theme=dark")["timelines"]
    assert (reported["t0"], reported["t1"]) == (2, 6)
    names = [row["name"] for row in reported["rows"]]
    assert names == ["you", "passport", "draft", "edits"]
    you, passport, draft, edits = (row["shares"] for row in reported["rows"])
    assert you == pytest.approx([1, 0, 0] * 4)
    assert passport == pytest.approx([0, 1, 0] * 4)
    assert draft == pytest.approx([1, 0, 0] * 3 + [0, 0, 0])
    assert edits == pytest.approx([0, 0, 0] * 3 + [1, 0, 0])


def test_a_browser_draws_timelines_on_one_axis(
    browser: Any, sequential: Timeline, parallel: Timeline, tmp_path: Path
) -> None:
    empty = Timeline.from_spans([], name="empty")
    reported = browser.report(written([sequential, empty, parallel], tmp_path), 13)["timelines"]
    assert [line["name"] for line in reported] == ["sequential", "parallel"]
    assert {line["t1"] for line in reported} == {13}
    assert reported[1]["rows"][0]["shares"][3 * 10 :] == pytest.approx([0.0] * 9)
