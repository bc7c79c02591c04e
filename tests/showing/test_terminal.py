"""Terminal text: what a reader sees, in any width, encoding and colour."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from whilst.model import Drawable, Kind, Span, Timeline
from whilst.seeing.advising.advice import Advice
from whilst.showing import renderers, terminal
from whilst.showing.pictures import NotDrawableError, picture_of

SEQUENTIAL = """\
sequential  planned
you          █ passport █░░░░ stand in line ░░░░░█ passport █▐█ draft: write ██▐██ edits ██   69 %
             ┬─────┬─────┬─────┬─────┬─────┬─────┬─────┬─────┬─────┬─────┬─────┬─────┬─────
             0     1     2     3     4     5     6     7     8     9     10    11    12    13 h
makespan 13 h · concurrency 1.00 · parallelism 0.69 of 1 core · ≥ 2 at work 0 % · utilisation 69 %

  ██ work   ░░ wait   ▚▚ held off   ▁▄▇ share of work   (blank) idle"""

CONCURRENT_IN_ASCII = """\
concurrent  planned
you          ### passport ###|#### draft: write #####| edits |## passport ###|#edits#  100 %
  passport   #### drive #####........ stand in line .........## drive back ##
  draft                      ######## write #########
  edits                                              # edit #                # edit #
             +-------+-------+-------+-------+-------+-------+-------+-------+-------
             0       1       2       3       4       5       6       7       8       9 h
makespan 9 h | concurrency 1.67 | parallelism 1.00 of 1 core | >= 2 at work 0 % | utilisation 100 %

  ## work   .. wait   !! held off   1 5 9 share of work in tenths   (blank) idle"""


def printed(value: Any, *, encoding: str = "utf-8", width: int = 100, **options: Any) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", newline="\n")
    terminal.show(value, Console(file=file, width=width, highlight=False, legacy_windows=False, **options))
    file.flush()
    raw = file.buffer.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in raw.decode(encoding).splitlines())


def test_the_story_one_after_the_other(sequential: Timeline) -> None:
    assert renderers.text(sequential, width=100) == SEQUENTIAL


def test_a_terminal_without_utf8_gets_ascii(concurrent: Timeline) -> None:
    assert printed(concurrent, encoding="ascii").strip() == CONCURRENT_IN_ASCII


def test_names_that_ascii_lacks_do_not_break_the_terminal() -> None:
    timeline = Timeline.from_spans([Span("Zoë", "日本 µ", Kind.WORK, 0, 10**9, "…≤")], name="über")
    assert "Zo?" in printed(timeline, encoding="ascii")


def test_no_color_is_respected(concurrent: Timeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    plain = printed(concurrent, force_terminal=True, color_system="truecolor")
    assert "38;2" not in plain
    assert "48;2" not in plain
    monkeypatch.delenv("NO_COLOR")
    assert "38;2" in printed(concurrent, force_terminal=True, color_system="truecolor")


def test_the_kinds_differ_without_colour() -> None:
    timeline = Timeline.from_spans(
        [Span("you", "t", Kind.WORK, 0, 10), Span("you", "t", Kind.WAIT, 10, 20), Span("you", "t", Kind.HELD, 20, 30)]
    )
    line = renderers.text(timeline, width=80).splitlines()[1]
    assert {"█", "░", "▚"} <= set(line)


def test_several_timelines_share_one_axis(sequential: Timeline, parallel: Timeline) -> None:
    lines = renderers.text([sequential, parallel], width=100).splitlines()
    assert len({line for line in lines if line.strip().startswith("0     1")}) == 1
    assert sum(line.strip().startswith("0     1") for line in lines) == 2


def test_units_that_differ_are_drawn_in_seconds(sequential: Timeline) -> None:
    other = Timeline.from_spans([Span("you", "t", Kind.WORK, 0, 46_800 * 10**9)], name="in seconds")
    text = renderers.text([sequential, other], width=100)
    ends = [line.rindex("█") for line in text.splitlines() if line.startswith("you")]
    assert ends[0] == ends[1]
    assert "45000 s" in text


def test_thousands_of_spans_fold_into_shares(busy: Callable[..., Timeline]) -> None:
    lines = renderers.text(busy(3000, executors=2), width=100).splitlines()
    [row] = [line for line in lines if line.startswith("thread 0")]
    levels = [max(0, " ▁▂▃▄▅▆▇█".find(cell)) / 8 for cell in row[18:-8].strip()]
    # A sixth of the time is work; no cell of some hundred spans looks busy.
    assert max(levels) < 0.8
    assert sum(levels) / len(levels) == pytest.approx(0.154, abs=0.05)


def test_interruptions_too_short_to_be_seen_do_not_break_a_bar() -> None:
    spans = []
    for piece in range(50):
        start = piece * 10_000
        spans.append(Span("you", "draft", Kind.WORK, start, start + 9_900, "write"))
        spans.append(Span("you", "draft", Kind.HELD, start + 9_900, start + 10_000, "write"))
    spans.append(Span("you", "edits", Kind.WORK, 500_000, 700_000, "edit"))
    line = renderers.text(Timeline.from_spans(spans), width=80).splitlines()[1]
    assert line.count("draft: write") == 1
    assert line.count("edits") == 1
    assert line.count("▐") == 1


def test_an_idle_executor_does_not_make_a_picture_dense(sequential: Timeline) -> None:
    idle = replace(sequential, executors=("you", "assistant"))
    lines = renderers.text(idle, width=100).splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["sequential", "you", "assistant"]
    assert lines[2].split() == ["assistant", "0", "%"]


def test_hundreds_of_executors_fold_into_few_rows(busy: Callable[..., Timeline]) -> None:
    lines = renderers.text(busy(6000, executors=200), width=100).splitlines()
    assert len(lines) < 40
    assert any(line.startswith("thread 0 … thread 8") for line in lines)


def test_many_tasks_on_one_executor_are_counted(tangled: Callable[..., Timeline]) -> None:
    text = renderers.text(tangled(spans=200, executors=1), width=100)
    assert "tasks ≤ " in text


@pytest.mark.parametrize("value", [Timeline.from_spans([]), Timeline.from_spans([Span("you", "t", Kind.WORK, 0, 0)])])
def test_nothing_to_draw_is_said(value: Timeline) -> None:
    assert "Nothing to draw" in renderers.text(value, width=80)


def test_control_characters_do_not_reach_the_terminal() -> None:
    hostile = "\x1b[2J\x07\r\n[bold]x[/bold]"
    timeline = Timeline.from_spans([Span(hostile, hostile, Kind.WORK, 0, 10**9, hostile)], name=hostile)
    text = renderers.text(timeline, width=100)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]x[/bold]" in text


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(names, names, st.sampled_from(Kind), st.integers(0, 10**6), st.integers(0, 10**5)), max_size=25),
    st.integers(30, 200),
)
def test_every_line_fits_the_width(rows: Sequence[tuple[str, str, Kind, int, int]], width: int) -> None:
    timeline = Timeline.from_spans(
        [Span(executor, task, kind, start, start + length, task) for executor, task, kind, start, length in rows]
    )
    for line in renderers.text(timeline, width=width).splitlines():
        assert cell_len(line) <= width or line.startswith(("makespan", "  ██ work"))


class Report(Drawable):
    title = "The story, performed"

    def __init__(self, *timelines: Timeline) -> None:
        self._timelines = timelines

    def timelines(self) -> Sequence[Timeline]:
        return self._timelines

    def table(self) -> Sequence[Sequence[str]]:
        return [("mode", "planned", "why"), ("sequential", "13 h", ""), ("parallel", "", "a lambda can't be sent")]

    def notes(self) -> Sequence[str]:
        return ["Naive threads take 10 h."]


def test_a_report_shows_title_table_notes_and_timelines(sequential: Timeline) -> None:
    text = Report(sequential).to_text(width=100)
    assert text.startswith("The story, performed\n\nmode        planned  why\nsequential     13 h\n")
    assert "Naive threads take 10 h." in text
    assert "sequential  planned" in text


def test_names_that_begin_alike_give_their_beginning_to_the_title(sequential: Timeline, parallel: Timeline) -> None:
    both = [replace(line, name=f"My day: {line.name}") for line in (sequential, parallel)]
    lines = renderers.text(both, width=100).splitlines()
    assert lines[:3] == ["My day", "", "sequential  planned"]
    assert "parallel  planned" in lines


def test_reports_of_one_kind_share_a_table(sequential: Timeline, parallel: Timeline) -> None:
    text = renderers.text([Report(sequential), Report(parallel)], width=100)
    assert text.count("planned  why") == 1
    assert text.count("a lambda can't be sent") == 2
    assert "sequential: Naive threads take 10 h." in text


def test_a_report_without_timelines_is_a_table() -> None:
    text = Report().to_text(width=80)
    assert "a lambda can't be sent" in text
    assert "share of work" not in text


class Wide(Report):
    def table(self) -> Sequence[Sequence[str]]:
        names = [f"measured {at}" for at in range(8)]
        return [("mode", *names, "results"), *((mode, *"12345678", "same") for mode in ("sequential", "parallel"))]


@pytest.mark.parametrize("width", [24, 40, 60])
def test_a_table_that_is_too_wide_goes_on_below_with_the_names_of_its_rows(width: int) -> None:
    lines = Wide().to_text(width=width).splitlines()
    assert len([line for line in lines if line.startswith("mode  ")]) == len(
        [line for line in lines if line.startswith("sequential  ")]
    )
    cells = [cell for line in lines if line.startswith("sequential  ") for cell in line.split()[1:]]
    assert cells == [*"12345678", "same"]
    assert max(map(cell_len, lines)) <= max(width, len("sequential  measured 0"))


def test_a_table_that_fits_is_one() -> None:
    assert Wide().to_text(width=140).count("mode  ") == 1


def test_what_can_not_be_drawn_is_named() -> None:
    with pytest.raises(NotDrawableError, match="int can't be drawn"):
        picture_of(3)


def test_a_diff_is_never_wrapped_and_a_sentence_only_for_a_reader_at_a_terminal() -> None:
    long = "a sentence of many words " * 8
    diff = f"--- a/s.py\n+++ b/s.py\n@@ -1 +1 @@\n-\tfetch('\xa0')  \n+\t{'x' * 200}\x1b\n"
    advice = Advice("s.py", (), diff, 2.0, 1.0, remarks=(long.strip(),))
    file = io.StringIO()
    terminal.show(advice, Console(file=file, width=60))
    piped = file.getvalue()
    assert f"\n{diff}" in piped
    assert f"\n{long.strip()}\n" in piped
    shown = printed(advice, width=60, force_terminal=True, color_system=None)
    assert long.strip() not in shown
    assert f"+\t{'x' * 200}?\n" in shown  # but nothing drives the terminal
    assert "-\tfetch('" in advice.to_text(width=60)
