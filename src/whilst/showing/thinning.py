"""A timeline of very many spans as a page draws it: what is too short to be seen is put together, and no time is lost.

An executor's short spans within one cell of time become one span for each kind, as long as they were in sum, with the
task, label and detail of the longest. So shares stay true wherever a cell is looked at as a whole; in a cell the order
is not kept. Where an executor's spans overlap, those of each task are put together instead. Figures are never taken
from the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from whilst.model import Kind, Timeline, TimelineBuilder

MOST_SPANS: Final = 150_000
"""Some 1.5 MB of a page."""

_Parts = dict[int, tuple[int, int, int]]
"""By kind: nanoseconds in sum, the longest, and its row."""


def thinned(timeline: Timeline, most: int = MOST_SPANS) -> Timeline:
    """Return a timeline of at most so many spans (more only where more tasks than that overlap)."""
    if len(timeline) <= most:
        return timeline
    overlapping = _overlapping(timeline)
    cell_ns = max(1, len(Kind) * len(timeline.executors) * timeline.makespan_ns // most)
    while True:
        rows = list(_rows(timeline, cell_ns, overlapping))
        if len(rows) <= most or cell_ns > timeline.makespan_ns:
            return _built(timeline, rows)
        cell_ns *= 2


def _rows(timeline: Timeline, cell_ns: int, overlapping: set[int]) -> Iterator[tuple[int, int, int]]:
    """(start, end, the row whose names it has) of each span that is drawn."""
    open_cells: dict[tuple[int, int], tuple[int, int, _Parts]] = {}
    columns = zip(timeline.start_ns, timeline.end_ns, timeline.kind, timeline.executor, timeline.task, strict=True)
    for row, (start, end, kind, executor, task) in enumerate(columns):
        length = end - start
        key = executor, task if executor in overlapping else -1
        cell = start // cell_ns
        open_cell = open_cells.get(key)
        if open_cell is not None and (open_cell[0] != cell or length >= cell_ns):
            yield from _closed(open_cell)
            del open_cells[key]
            open_cell = None
        if length >= cell_ns:
            yield start, end, row
            continue
        if open_cell is None:
            open_cell = open_cells[key] = cell, start, {}
        parts = open_cell[2]
        total, longest, of = parts.get(kind, (0, -1, row))
        parts[kind] = (total + length, length, row) if length > longest else (total + length, longest, of)
    for open_cell in open_cells.values():
        yield from _closed(open_cell)


def _closed(cell: tuple[int, int, _Parts]) -> Iterator[tuple[int, int, int]]:
    _, now, parts = cell
    for total, _, row in parts.values():
        yield now, now + total, row
        now += total


def _overlapping(timeline: Timeline) -> set[int]:
    """The executors of which two spans overlap."""
    ends: dict[int, int] = {}
    found = set()
    for executor, start, end in zip(timeline.executor, timeline.start_ns, timeline.end_ns, strict=True):
        last = ends.get(executor, 0)
        if start < last:
            found.add(executor)
        ends[executor] = max(last, end)
    return found


def _built(timeline: Timeline, rows: list[tuple[int, int, int]]) -> Timeline:
    builder = TimelineBuilder()
    builder.declare(executors=timeline.executors)
    for start, end, row in rows:
        builder.add(
            timeline.executors[timeline.executor[row]],
            timeline.tasks[timeline.task[row]],
            Kind(timeline.kind[row]),
            start,
            end,
            timeline.labels[timeline.label[row]],
            timeline.details[timeline.detail[row]],
        )
    built = builder.build(origin_ns=0)
    return replace(
        built, name=timeline.name, cores=timeline.cores, unit=timeline.unit, unit_s=timeline.unit_s,
        is_predicted=timeline.is_predicted, facts=timeline.facts, path=timeline.path,
    )  # fmt: skip
