"""A timeline as a small SVG: what stands in a page until its scripts have drawn, and where there are no scripts.

Its rows are those of the page (`assets/plot.js`), in the same places, so that nothing moves when that is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from itertools import groupby
from typing import Final

from whilst.model import Kind, Timeline
from whilst.showing.figures import length_text
from whilst.showing.rows import Layer, Row, busy_and_quiet, means_of, rows_of

_COLUMNS: Final = 240
_MOST_EXECUTORS: Final = 8
_MOST_ROWS: Final = 20
_TOP, _CURVE, _BELOW, _LEFT = 6, 58, 8, 150
_EXECUTOR, _TASK, _COUNT, _AXIS = 24, 17, 18, 25
_AREAS: Final = {
    "wait": (Kind.WORK, Kind.HELD, Kind.WAIT),
    "held": (Kind.WORK, Kind.HELD),
    "work": (Kind.WORK,),
}
_LEAST: Final = 0.002


def still_of(timeline: Timeline) -> str:
    """Return the SVG, whose colours are those of the page's style; at most some twenty kilobytes."""
    cell_ns = max(timeline.makespan_ns, 1) / _COLUMNS
    shown = _shown(timeline)
    names, bars = [], [_curves(timeline, cell_ns)]
    y = _TOP + _CURVE + _BELOW
    for at, row in enumerate(rows_of(timeline, _COLUMNS, cell_ns, shown)):
        if at == _MOST_ROWS:
            break
        is_executor = row.layer is Layer.EXECUTOR
        y += 6 * (is_executor and at > 0)
        height = _EXECUTOR if is_executor else _COUNT if row.layer is Layer.COUNT else _TASK
        bars.append(_row(row, y, height))
        weight = ' font-weight="600"' if is_executor else ""
        names.append(f'<text x="{10 if is_executor else 22}" y="{y + height // 2 + 4}"{weight}>{_named(row)}</text>')
        y += height + 3
    left_out = len(timeline.executors) - len(shown)
    if left_out:
        names.append(f'<text x="10" y="{y + 13}">… and {left_out:,} more</text>')
        y += 20
    ends = (
        f'<text x="{_LEFT}" y="{y + 16}">{escape(length_text(0, timeline))}</text>'
        f'<text x="100%" dx="-14" y="{y + 16}" text-anchor="end">'
        f"{escape(length_text(timeline.makespan_s, timeline))}</text>"
    )
    drawn = (
        f'<svg x="{_LEFT}" width="calc(100% - {_LEFT + 14}px)" height="{y}" viewBox="0 0 {_COLUMNS} {y}" '
        f'preserveAspectRatio="none">{"".join(bars)}</svg>'
    )
    return (
        f'<svg class="still" aria-hidden="true" width="100%" height="{y + _AXIS}">{"".join(names)}{ends}{drawn}</svg>'
    )


def _shown(timeline: Timeline) -> list[int]:
    """The executors whose rows the page shows at first: by name, numbers as numbers, and no quiet ones."""
    busy, _ = busy_and_quiet(timeline)
    most = _MOST_EXECUTORS + (len(timeline.executors) == _MOST_EXECUTORS + 1)  # a row is no longer than what it says
    return sorted(busy, key=lambda at: _natural(timeline.executors[at]))[:most]


def _natural(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", name.casefold())
    return [(int(part), "") if number % 2 else (-1, part) for number, part in enumerate(parts)]


def _named(row: Row) -> str:
    return escape(row.name if len(row.name) <= 20 else f"{row.name[:5]}…{row.name[-14:]}")


def _curves(timeline: Timeline, cell_ns: float) -> str:
    """Concurrency, and before it parallelism, on one scale."""
    steps = [timeline.concurrency_steps, timeline.parallelism_steps]
    most = max(1, *(each.maximum for each in steps), timeline.cores or 0)
    named = zip(steps, ("concurrency", "work"), strict=True)
    shares = ((name, [mean / most for mean in means_of(each, _COLUMNS, cell_ns)]) for each, name in named)
    return "".join(_area(name, each, _TOP + _CURVE, _CURVE - 8) for name, each in shares)


def _row(row: Row, y: int, height: int) -> str:
    """Work at the bottom, held off above it, then wait: each area is drawn over those that begin at its foot, too."""
    drawn = [f'<rect class="idle" y="{y}" width="{_COLUMNS}" height="{height}"/>']
    for name, kinds in _AREAS.items():
        drawn.append(_area(name, [sum(cell[kind] for kind in kinds) for cell in row.shares], y + height, height))
    return "".join(drawn)


def _area(name: str, shares: Iterable[float], foot: int, rise: int) -> str:
    """The area below a curve of shares, one a column; what is next to nothing is a pixel high."""
    path, x = [f"M0 {foot}"], 0
    for level, cells in groupby(max(round(rise * share), int(share > _LEAST)) for share in shares):
        x += len(list(cells))
        path.append(f"V{foot - level}H{x}")
    return f'<path class="{name}" d="{"".join(path)}V{foot}Z"/>' if len(path) > 2 or level else ""
