"""The rows of a terminal picture: for each, which shares of each cell's time were work, wait or held off.

An executor's row shows what it does: work if it works on anything, else held off, else wait, else idle. Where tasks
overlap on an executor, rows below it tell them apart, or count them if they are many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Final

from whilst.model import Kind, StepFunction, Timeline

MOST_EXECUTOR_ROWS: Final = 24
_QUIET: Final = 0.01
"""An executor is quiet if its spans take less than this share of what the busiest one's do."""
_MOST_TASK_ROWS: Final = 6
# Which kind a row shows where several are open, by Kind.
_RANK: Final = (3, 1, 2)

Shares = list[list[float]]
"""For each cell the shares of work, wait and held off, in the order of `Kind`; what is left is idle."""


class Layer(Enum):
    """What a row stands for."""

    EXECUTOR = "executor"
    TASK = "task"
    COUNT = "count"
    """How many tasks are in progress, as a share of the most that ever were."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of a row that may carry a label."""

    start_ns: int
    end_ns: int
    kind: Kind
    task: str
    label: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the picture; `bars` is empty where the row is too dense for bars to be told apart."""

    layer: Layer
    name: str
    shares: Shares
    bars: tuple[Bar, ...] = ()
    utilisation: float | None = None


def rows_of(timeline: Timeline, columns: int, cell_ns: float, executors: Sequence[int] | None = None) -> Iterator[Row]:
    """Yield the timeline's rows, `columns` cells of `cell_ns` nanoseconds each.

    `executors` says by their positions which to draw, in which order; left out, it is all, several that are quiet
    in one row.
    """
    busy, quiet = (executors, ()) if executors is not None else busy_and_quiet(timeline)
    by_executor: list[list[int]] = [[] for _ in timeline.executors]
    for row, executor in enumerate(timeline.executor):
        by_executor[executor].append(row)
    starts = timeline.start_ns
    for rows in by_executor:
        rows.sort(key=starts.__getitem__)
    size = -(-len(busy) // MOST_EXECUTOR_ROWS) or 1
    groups = [busy[first : first + size] for first in range(0, len(busy), size)]
    for group in [*groups, quiet] if quiet else groups:
        names = [timeline.executors[each] for each in group]
        if len(group) == 1:
            yield from _executor_rows(timeline, names[0], by_executor[group[0]], columns, cell_ns)
            continue
        name = f"{len(quiet)} nearly idle" if group is quiet else f"{names[0]} … {names[-1]}"
        shares = _mean([_shares(_stretches(timeline, by_executor[each]), columns, cell_ns) for each in group])
        yield Row(Layer.EXECUTOR, name, shares, utilisation=_utilisation(shares, cell_ns, timeline))


def busy_and_quiet(timeline: Timeline) -> tuple[Sequence[int], Sequence[int]]:
    """Positions of the executors, and apart from them of those whose rows would show nothing, if these are several."""
    lengths = [0] * len(timeline.executors)
    for executor, start, end in zip(timeline.executor, timeline.start_ns, timeline.end_ns, strict=True):
        lengths[executor] += end - start
    # Spans of one executor may overlap; no row shows more than the makespan.
    least = _QUIET * min(max(lengths, default=0), timeline.makespan_ns)
    quiet = [at for at, length in enumerate(lengths) if length < least]
    if len(quiet) < 2:
        return range(len(lengths)), ()
    return [at for at, length in enumerate(lengths) if length >= least], quiet


def means_of(steps: StepFunction, columns: int, cell_ns: float) -> list[float]:
    """The mean of a step function over each cell."""
    sums = [0.0] * columns
    for start, end, value in steps:
        if value:
            _spread(sums, start / cell_ns, end / cell_ns, value)
    return sums


def _executor_rows(timeline: Timeline, name: str, rows: list[int], columns: int, cell_ns: float) -> Iterator[Row]:
    shares = _shares(_stretches(timeline, rows), columns, cell_ns)
    overlap = _overlaps(timeline, rows)
    bars = tuple(_bars(timeline, rows, cell_ns, works_only=overlap)) if _is_sparse(shares) else ()
    yield Row(Layer.EXECUTOR, name, shares, bars, _utilisation(shares, cell_ns, timeline))
    if not overlap:
        return
    by_task: dict[int, list[int]] = {}
    for row in rows:
        by_task.setdefault(timeline.task[row], []).append(row)
    if len(by_task) > _MOST_TASK_ROWS:
        yield _count_row(timeline, by_task, columns, cell_ns)
        return
    for task, own in by_task.items():
        shares = _shares(_stretches(timeline, own), columns, cell_ns)
        bars = tuple(_bars(timeline, own, cell_ns)) if _is_sparse(shares) else ()
        yield Row(Layer.TASK, timeline.tasks[task], shares, bars)


def _count_row(timeline: Timeline, by_task: dict[int, list[int]], columns: int, cell_ns: float) -> Row:
    firsts = [timeline.start_ns[rows[0]] for rows in by_task.values()]
    lasts = [max(map(timeline.end_ns.__getitem__, rows)) for rows in by_task.values()]
    steps = StepFunction.counting(firsts, lasts, timeline.makespan_ns)
    most = max(1, steps.maximum)
    return Row(
        Layer.COUNT, f"tasks ≤ {most:,}", [[0.0, mean / most, 0.0] for mean in means_of(steps, columns, cell_ns)]
    )


def _bars(timeline: Timeline, rows: Sequence[int], cell_ns: float, *, works_only: bool = False) -> list[Bar]:
    """What is long enough to be seen; pieces of one step that an interruption too short to be seen parts are one."""
    bars: list[Bar] = []
    for row in rows:
        kind = Kind(timeline.kind[row])
        if works_only and kind != Kind.WORK:
            continue
        start, end = timeline.start_ns[row], timeline.end_ns[row]
        task, label = timeline.tasks[timeline.task[row]], timeline.labels[timeline.label[row]]
        last = bars[-1] if bars else None
        if last and (last.task, last.kind, last.label) == (task, kind, label) and start - last.end_ns < cell_ns / 2:
            bars[-1] = Bar(last.start_ns, max(end, last.end_ns), kind, task, label)
        elif end - start >= cell_ns / 2:
            bars.append(Bar(start, end, kind, task, label))
    return bars


def _is_sparse(shares: Shares) -> bool:
    """Whether bars tell the truth: nearly every cell shows one kind, but for single ones where two bars meet."""
    is_mixed = [max(*cell, 1.0 - sum(cell)) < 0.85 for cell in shares]
    filled = sum(sum(cell) > 0.02 for cell in shares)
    return 10 * sum(one and two for one, two in pairwise(is_mixed)) <= filled


def _overlaps(timeline: Timeline, rows: Sequence[int]) -> bool:
    last = 0
    for start, end in zip(
        map(timeline.start_ns.__getitem__, rows), map(timeline.end_ns.__getitem__, rows), strict=True
    ):
        if start < last:
            return True
        last = max(last, end)
    return False


def _stretches(timeline: Timeline, rows: Sequence[int]) -> list[tuple[int, int, int]]:
    """(start, end, kind) without overlap: where several kinds are open, the one that the row shows."""
    starts, ends, kinds = timeline.start_ns, timeline.end_ns, timeline.kind
    if not _overlaps(timeline, rows):
        return [(starts[row], ends[row], kinds[row]) for row in rows if ends[row] > starts[row]]
    changes = [(starts[row], kinds[row], 1) for row in rows if ends[row] > starts[row]]
    changes += [(ends[row], kinds[row], -1) for row in rows if ends[row] > starts[row]]
    changes.sort()
    found: list[tuple[int, int, int]] = []
    open_spans, shown, since = [0, 0, 0], -1, 0
    for now, kind, change in changes:
        if now > since:
            current = max((each for each in Kind if open_spans[each]), key=_RANK.__getitem__, default=-1)
            if current == shown and found and found[-1][1] == since:
                found[-1] = (found[-1][0], now, shown)
            elif current >= 0:
                found.append((since, now, current))
            shown, since = current, now
        open_spans[kind] += change
    return found


def _shares(stretches: Iterable[tuple[int, int, int]], columns: int, cell_ns: float) -> Shares:
    sums = [[0.0] * columns for _ in Kind]
    for start, end, kind in stretches:
        first, last = start / cell_ns, end / cell_ns
        cell = int(first)
        # Most spans of a dense row lie within one cell; the call would cost more than the sum.
        if last <= cell + 1 and cell < columns:
            sums[kind][cell] += last - first
        else:
            _spread(sums[kind], first, last, 1.0)
    return [list(cell) for cell in zip(*sums, strict=True)]


def _spread(sums: list[float], start: float, end: float, weight: float) -> None:
    """Add to each cell the part of it that [start, end) covers, in cells, times the weight."""
    columns = len(sums)
    first, last = min(int(start), columns - 1), min(int(end), columns - 1)
    if first == last:
        sums[first] += (end - start) * weight
        return
    sums[first] += (first + 1 - start) * weight
    for cell in range(first + 1, last):
        sums[cell] += weight
    sums[last] += (end - last) * weight


def _mean(group: Sequence[Shares]) -> Shares:
    return [[sum(cell[kind] for cell in cells) / len(group) for kind in Kind] for cells in zip(*group, strict=True)]


def _utilisation(shares: Shares, cell_ns: float, timeline: Timeline) -> float:
    worked = sum(cell[Kind.WORK] for cell in shares) * cell_ns
    return worked / timeline.makespan_ns if timeline.makespan_ns else 0.0
