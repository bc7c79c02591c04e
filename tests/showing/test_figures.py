"""How lengths and shares are written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whilst.model import Kind, Span, Timeline
from whilst.showing.figures import figures_of, is_figure, length_text, percent


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (13, "13 s"),
        (0.1042, "104 ms"),
        (2.5e-5, "25 µs"),
        (3e-9, "3 ns"),
        (12345.6, "12,346 s"),
        (99.96, "100 s"),
    ],
)
def test_a_length_in_seconds_has_the_digits_that_matter(seconds: float, text: str) -> None:
    assert length_text(seconds) == text


def test_a_length_is_written_in_the_unit_of_its_timeline(sequential: Timeline) -> None:
    assert length_text(13 * 3600, sequential) == "13 h"
    assert length_text(0.9 * 3600, sequential) == "0.9 h"
    assert length_text(1.3, replace(sequential, unit_s=0.1)) == "13 h"


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.0001, "< 0.1 %"), (0.004, "0.4 %"), (0.5, "50 %"), (0.995, "99.5 %"), (1, "100 %")],
)
def test_a_share_does_not_hide_that_it_is_not_whole(share: float, text: str) -> None:
    assert percent(share) == text


def test_columns_of_figures_are_known() -> None:
    assert is_figure(["13 h", "-", "", "1.4x"])
    assert not is_figure(["13 h", "no"])
    assert not is_figure(["", "-"])


def test_figures_without_executors_have_no_utilisation() -> None:
    assert figures_of(Timeline.from_spans([])).mean_utilisation is None
    assert figures_of(Timeline.from_spans([Span("a", "t", Kind.WORK, 0, 4)])).mean_utilisation == 1.0
