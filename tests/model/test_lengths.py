"""Lengths of time as they are written for people."""

from __future__ import annotations

import pytest

from whilst.model.lengths import seconds_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (3661.4, "3,661 s"),
        (99.97, "100 s"),
        (1.0, "1 s"),
        (0.9999, "1 s"),
        (0.9996e-3, "1 ms"),
        (0.25, "250 ms"),
        (1.4617e-6, "1.46 µs"),
        (3e-10, "0.3 ns"),
    ],
)
def test_a_length_is_written_in_plain_digits(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text
