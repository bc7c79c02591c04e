"""A timeline's columns as few bytes as a page needs, for the page's `unpack.js` to read back.

The spans are sorted by executor and start; starts count from the end before them, tasks from the task before them,
so that most numbers are small or zero. Each column's bytes are then laid out plane by plane (all lowest bytes, then
all second bytes, and so on), which slicing does at C speed and deflate likes: the high planes are runs of zeros and
are left out altogether. Compared with variable-length integers, written byte by byte in Python, this is some twenty
times faster and no larger.

Layout before compression, little-endian: u32 length of the header | header, JSON | planes of start, length, kind,
task, label, detail, in that order, each as many bytes as there are spans; the header says how many planes each has.
"""

from __future__ import annotations

import base64
import json
import zlib
from array import array
from collections.abc import Sequence
from itertools import islice
from operator import le, sub
from typing import Final

from whilst.model import Numbered, Timeline

# Up to this many spans, times keep 30 bits; beyond it 27, which is 1 us in a run of two minutes. Rounded to the
# nearest tick, starts and ends err to both sides, so that shares over many spans stay true.
_FINE_SPANS: Final = 20_000
_FINE_TICKS: Final = 2**30
_COARSE_TICKS: Final = 2**27
_MOST_STRETCHES: Final = 20_000
"""Of the critical path."""


def pack(timeline: Timeline) -> str:
    """Return the timeline as base64 text, of characters that are safe in any HTML context."""
    tick_ns = tick_ns_of(timeline)
    order = _by_executor(timeline)
    counts = [0] * len(timeline.executors)
    for executor in timeline.executor:
        counts[executor] += 1
    half = tick_ns // 2
    starts = [(timeline.start_ns[row] + half) // tick_ns for row in order]
    ends = [(timeline.end_ns[row] + half) // tick_ns for row in order]
    tasks = list(map(timeline.task.__getitem__, order))
    columns = {
        "start": _zigzag(_from_before(starts, ends, counts)),
        "length": array("I", map(sub, ends, starts)),
        "kind": array("I", map(timeline.kind.__getitem__, order)),
        "task": _zigzag(_from_before(tasks, tasks, counts)),
        "label": array("I", map(timeline.label.__getitem__, order)),
        "detail": array("I", map(timeline.detail.__getitem__, order)),
    }
    planes = {name: _planes(column) for name, column in columns.items()}
    header = json.dumps(_header(timeline, tick_ns, counts, {name: len(each) for name, each in planes.items()})).encode()
    body = b"".join(plane for each in planes.values() for plane in each)
    packed = zlib.compress(len(header).to_bytes(4, "little") + header + body, 6)
    return base64.b64encode(packed).decode("ascii")


def tick_ns_of(timeline: Timeline) -> int:
    """Nanoseconds of the page's smallest step of time: a power of ten."""
    most = _FINE_TICKS if len(timeline) <= _FINE_SPANS else _COARSE_TICKS
    tick_ns = 1
    while timeline.makespan_ns // tick_ns >= most:
        tick_ns *= 10
    return tick_ns


def _header(timeline: Timeline, tick_ns: int, counts: list[int], planes: dict[str, int]) -> dict[str, object]:
    tasks = timeline.tasks
    return {
        "name": timeline.name,
        "executors": timeline.executors,
        "tasks": {"stem": tasks.stem, "length": tasks.length} if isinstance(tasks, Numbered) else list(tasks),
        "labels": timeline.labels,
        "details": timeline.details,
        "cores": timeline.cores,
        "unit": timeline.unit,
        "unit_s": timeline.unit_s,
        "is_predicted": timeline.is_predicted,
        "tick_s": tick_ns / 1e9,
        "counts": counts,
        "planes": planes,
        "path": _path(timeline, tick_ns),
    }


def _path(timeline: Timeline, tick_ns: int) -> tuple[list[int], ...] | None:
    """The critical path's stretches: executor, task, ticks since the one before, ticks; None where it is not known.

    Of very many, what lies within one cell of time is said to be where the path is for most of it.
    """
    if timeline.path is None:
        return None
    path = timeline.path
    at_executor = {name: at for at, name in enumerate(timeline.executors)}
    at_task = {name: at for at, name in enumerate(timeline.tasks)}
    executors = [at_executor[name] for name in path.executors]
    tasks = [at_task.get(name, len(at_task)) for name in path.tasks]  # a task may be too short to be drawn
    cell_ns = max(tick_ns, timeline.makespan_ns // _MOST_STRETCHES)
    stretches: list[list[int]] = []  # executor, task, start, end
    shares: dict[tuple[int, int], int] = {}
    since = until = 0

    def close() -> None:
        executor, task = max(shares, key=shares.__getitem__)
        start, end = (since + tick_ns // 2) // tick_ns, (until + tick_ns // 2) // tick_ns
        if stretches and stretches[-1][:2] == [executor, task] and stretches[-1][3] == start:
            stretches[-1][3] = end
        elif end > start:
            stretches.append([executor, task, start, end])

    for start, end, executor, task in zip(path.start_ns, path.end_ns, path.executor, path.task, strict=True):
        where = executors[executor], tasks[task]
        if shares and (start > until or (where not in shares and start - since >= cell_ns)):
            close()
            shares = {}
        if not shares:
            since = start
        shares[where] = shares.get(where, 0) + end - start
        until = end
    if shares:
        close()
    gaps = [
        start - before for (_, _, start, _), before in zip(stretches, [0, *(s[3] for s in stretches)], strict=False)
    ]
    return (
        [each[0] for each in stretches], [each[1] for each in stretches], gaps, [s[3] - s[2] for s in stretches]
    )  # fmt: skip


def _by_executor(timeline: Timeline) -> list[int]:
    """The rows, by executor and then by start."""
    rows: Sequence[int] = range(len(timeline))
    starts = timeline.start_ns
    if not all(map(le, starts, islice(starts, 1, None))):
        rows = sorted(rows, key=starts.__getitem__)
    # Python's sort is stable: one executor's spans stay in order of their starts.
    return sorted(rows, key=timeline.executor.__getitem__)


def _from_before(values: list[int], befores: list[int], counts: list[int]) -> list[int]:
    """Each value less the `before` of the row above it; the first row of each executor as it is."""
    changes = [value - before for value, before in zip(values, [0, *befores[:-1]], strict=True)] if values else []
    at = 0
    for count in counts:
        if count:
            changes[at] = values[at]
        at += count
    return changes


def _zigzag(values: list[int]) -> array[int]:
    """Whole numbers of either sign as small unsigned ones: 0, -1, 1, -2, … become 0, 1, 2, 3, …"""
    return array("I", [value << 1 if value >= 0 else -(value << 1) - 1 for value in values])


def _planes(column: array[int]) -> list[bytes]:
    if not column:
        return []
    width = (max(column).bit_length() + 7) // 8
    if column.itemsize != 4 or array("H", [1]).tobytes() != b"\x01\x00":
        # A platform whose "I" isn't four bytes, lowest first.
        return [bytes((value >> 8 * plane) & 255 for value in column) for plane in range(width)]
    raw = column.tobytes()
    return [raw[plane::4] for plane in range(width)]
