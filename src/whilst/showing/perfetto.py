"""Chrome's trace-event JSON, which ui.perfetto.dev and chrome://tracing open.

A timeline becomes a process, and each executor as many threads as its overlapping spans need: on one thread of a
trace, events may only follow or hold each other, so that two tasks which overlap on one executor must be drawn on
two. A task stays on its thread for as long as that one is free. Source: "Trace Event Format", Google, 2016.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Final

from whilst.model import Kind, StepFunction, Timeline
from whilst.showing.pictures import Picture

_CATEGORIES: Final = {Kind.WORK: "work", Kind.WAIT: "wait", Kind.HELD: "held off"}
# The colours by which chrome://tracing knows running, sleeping and runnable threads; Perfetto chooses its own.
_COLOURS: Final = {
    Kind.WORK: "thread_state_running",
    Kind.WAIT: "thread_state_sleeping",
    Kind.HELD: "thread_state_runnable",
}


def write_trace(picture: Picture, path: str | PathLike[str]) -> None:
    """Write the picture's timelines as one trace to `path`.

    Raises:
        OSError: the file can't be written.
    """
    with Path(path).open("w", encoding="utf-8") as file:
        file.write('{"displayTimeUnit":"ms","traceEvents":[\n')
        separator = ""
        for process, (name, timeline) in enumerate(zip(picture.names, picture.timelines, strict=True), start=1):
            for event in _events(name, timeline, process):
                file.write(separator + event)
                separator = ",\n"
        file.write("\n]}\n")


def lanes_of(timeline: Timeline) -> list[int]:
    """For each span the lane of its executor, counted from 0, such that no two spans of a lane overlap."""
    lanes = [0] * len(timeline)
    free: dict[int, list[int]] = {}  # by executor, the lanes that are free, lowest first
    busy: dict[int, list[tuple[int, int]]] = {}  # by executor, (free from, lane)
    last: dict[tuple[int, int], tuple[int, int]] = {}  # by executor and task, (end, lane) of its latest span
    begun: dict[int, int] = {}
    for task, start in zip(timeline.task, timeline.start_ns, strict=True):
        begun[task] = min(start, begun.get(task, start))
    # Of spans that begin together, the one whose task is under way comes first, so that it can keep its lane.
    order = sorted(range(len(timeline)), key=lambda row: (timeline.start_ns[row], begun[timeline.task[row]]))
    overlapping = _overlapping_executors(timeline, order)
    for row in order:
        executor, task = timeline.executor[row], timeline.task[row]
        if executor not in overlapping:
            continue
        start, end = timeline.start_ns[row], timeline.end_ns[row]
        lanes_free, lanes_busy = free.setdefault(executor, []), busy.setdefault(executor, [])
        while lanes_busy and lanes_busy[0][0] <= start:
            heapq.heappush(lanes_free, heapq.heappop(lanes_busy)[1])
        _, wanted = last.get((executor, task), (0, -1))
        if wanted in lanes_free[:_NEAR]:
            lanes_free.remove(wanted)
            heapq.heapify(lanes_free)
            lane = wanted
        else:
            lane = heapq.heappop(lanes_free) if lanes_free else len(lanes_busy)
        heapq.heappush(lanes_busy, (end, lane))
        last[executor, task] = end, lane
        lanes[row] = lane
    return lanes


def _overlapping_executors(timeline: Timeline, order: Sequence[int]) -> set[int]:
    """Those that need more than one lane; most runs have none."""
    last = [0] * len(timeline.executors)
    found = set()
    for row in order:
        executor = timeline.executor[row]
        if timeline.start_ns[row] < last[executor]:
            found.add(executor)
        last[executor] = max(last[executor], timeline.end_ns[row])
    return found


_NEAR: Final = 64  # among how many free lanes a task looks for its own, lest thousands of lanes cost a search each


def _events(name: str, timeline: Timeline, process: int) -> Iterator[str]:
    lanes = lanes_of(timeline)
    yield _metadata("process_name", process, 0, name)
    threads: dict[tuple[int, int], int] = {}
    used = sorted(set(zip(timeline.executor, lanes, strict=True)) | {(at, 0) for at in range(len(timeline.executors))})
    for thread, (executor, lane) in enumerate(used, start=1):
        threads[executor, lane] = thread
        own = timeline.executors[executor]
        yield _metadata("thread_name", process, thread, own if lane == 0 else f"{own} · {lane + 1}")
        yield (
            f'{{"ph":"M","name":"thread_sort_index","pid":{process},"tid":{thread},"args":{{"sort_index":{thread}}}}}'
        )
    tasks = _Quoted(timeline.tasks)
    labels = [json.dumps(label) for label in timeline.labels]
    details = [json.dumps(detail) for detail in timeline.details]
    endings = {
        kind: f'"cat":"{word}","cname":"{_COLOURS[kind]}","pid":{process},' for kind, word in _CATEGORIES.items()
    }
    for row, lane in enumerate(lanes):
        start, end = timeline.start_ns[row], timeline.end_ns[row]
        yield (
            f'{{"ph":"X","name":{tasks[timeline.task[row]]},{endings[Kind(timeline.kind[row])]}'
            f'"tid":{threads[timeline.executor[row], lane]},"ts":{start / 1000},"dur":{(end - start) / 1000},'
            f'"args":{{"step":{labels[timeline.label[row]]},"detail":{details[timeline.detail[row]]}}}}}'
        )
    yield from _counter("concurrency", timeline.concurrency_steps, process)
    yield from _counter("parallelism", timeline.parallelism_steps, process)


def _metadata(what: str, process: int, thread: int, name: str) -> str:
    return json.dumps({"ph": "M", "name": what, "pid": process, "tid": thread, "args": {"name": name}})


def _counter(name: str, steps: StepFunction, process: int) -> Iterator[str]:
    for start_ns, _, value in steps:
        yield f'{{"ph":"C","name":"{name}","pid":{process},"ts":{start_ns / 1000},"args":{{"tasks":{value}}}}}'
    yield f'{{"ph":"C","name":"{name}","pid":{process},"ts":{steps.end_ns / 1000},"args":{{"tasks":0}}}}'


class _Quoted(dict[int, str]):
    """Names as JSON strings, each quoted once and only if asked for."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._names = names

    def __missing__(self, position: int) -> str:
        text = self[position] = json.dumps(self._names[position])
        return text
