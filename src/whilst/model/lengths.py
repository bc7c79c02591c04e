"""Numbers and lengths of time as a person writes them. Three digits, or all before the point: never 3.66e+03."""

from __future__ import annotations


def number_text(value: float) -> str:
    """Three digits, or all before the point, and no zeros at the end: 13, 8.25, 0.104, 1,234."""
    if value >= 99.95:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    return text if "e" not in text else f"{value:.6f}".rstrip("0").rstrip(".")


def seconds_text(seconds: float) -> str:
    """A length in the unit that leaves something before the point: "4 s", "12.3 ms", "80 µs"."""
    if seconds >= 0.9995 or seconds <= 0:
        return f"{number_text(seconds)} s"
    factor, unit = next((pair for pair in ((1e3, "ms"), (1e6, "µs")) if seconds * pair[0] >= 0.9995), (1e9, "ns"))
    return f"{number_text(seconds * factor)} {unit}"
