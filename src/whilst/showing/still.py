"""A timeline as a small SVG: what stands in a page until its scripts have drawn, and where there are no scripts."""

from __future__ import annotations

from html import escape
from itertools import groupby
from typing import Final

from whilst.model import Kind, Timeline
from whilst.showing.rows import Row, rows_of

_COLUMNS: Final = 240
_MOST_ROWS: Final = 12
_HEIGHT, _GAP = 20, 4
_NAMES: Final = {Kind.WORK: "work", Kind.WAIT: "wait", Kind.HELD: "held"}
_LEVELS: Final = 4
"""A cell's share of a kind is drawn in so many steps of opacity: runs of like cells are one rectangle."""


def still_of(timeline: Timeline) -> str:
    """Return the SVG, whose colours are those of the page's style; at most some ten kilobytes."""
    rows = []
    for row in rows_of(timeline, _COLUMNS, max(timeline.makespan_ns, 1) / _COLUMNS):
        rows.append(row)
        if len(rows) == _MOST_ROWS:
            break
    lines = "".join(_row(row, at * (_HEIGHT + _GAP)) for at, row in enumerate(rows))
    names = "".join(
        f'<text x="0" y="{at * (_HEIGHT + _GAP) + 14}">{escape(row.name[:22])}</text>' for at, row in enumerate(rows)
    )
    height = len(rows) * (_HEIGHT + _GAP)
    bars = f'<svg x="150" width="calc(100% - 164px)" height="{height}" viewBox="0 0 {_COLUMNS} {height}"'
    return (
        f'<svg class="still" aria-hidden="true" width="100%" height="{height}">{names}'
        f'{bars} preserveAspectRatio="none">{lines}</svg></svg>'
    )


def _row(row: Row, y: int) -> str:
    drawn = [f'<rect class="idle" y="{y}" width="{_COLUMNS}" height="{_HEIGHT}"/>']
    for kind, name in _NAMES.items():
        x = 0
        for level, cells in groupby(round(cell[kind] * _LEVELS) for cell in row.shares):
            width = len(list(cells))
            if level:
                shade = f' opacity="{level / _LEVELS:g}"' if level < _LEVELS else ""
                drawn.append(f'<rect class="{name}" x="{x}" y="{y}" width="{width}" height="{_HEIGHT}"{shade}/>')
            x += width
    return "".join(drawn)
