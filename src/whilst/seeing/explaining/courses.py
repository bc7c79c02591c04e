"""Courses: what one task did from its start to its end, pieced together from the lane of its thread.

A thread of a pool is in progress while it has a task, a program's main thread while it does not only wait for tasks
that are seen themselves. So `concurrency` counts tasks, as the model has it, and not threads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from whilst.seeing.explaining.causes import shown_function, task_name
from whilst.seeing.explaining.pieces import Lane, Piece

_PAUSE_NS: Final = 200_000
"""A worker without a task for no longer is taken to be between two calls of one course."""


@dataclass(slots=True)
class Course:
    """One task on one executor; its pieces in order, those without a kind left out."""

    executor: str
    task: str
    lane: Lane
    pieces: list[Piece] = field(default_factory=list)
    is_coroutine: bool = False
    longest_step_ns: int = 0
    """Of a coroutine: for how long it was seen to run without giving the loop back."""

    @property
    def in_progress(self) -> list[Piece]:
        return [piece for piece in self.pieces if piece.kind is not None]


def parted(lane: Lane, task: str, pieces: list[Piece]) -> Iterator[Course]:
    """One course for each stretch without a pause, so that none is in progress between them."""
    current: list[Piece] = []
    for piece in pieces:
        if current and piece.start_ns - current[-1].end_ns > _PAUSE_NS:
            yield Course(lane.name, task, lane, current)
            current = []
        current.append(piece)
    if current:
        yield Course(lane.name, task, lane, current)


def courses_of_lane(lane: Lane) -> Iterator[Course]:
    """A lane, parted where it had no task."""
    current: list[Piece] = []
    for piece in lane.pieces:
        if piece.kind is not None:
            current.append(piece)
        elif current and piece.length_ns > _PAUSE_NS:
            yield Course(lane.name, _name_of(current, lane), lane, current)
            current = []
    if current:
        yield Course(lane.name, _name_of(current, lane), lane, current)


def _name_of(pieces: list[Piece], lane: Lane) -> str:
    names: Counter[str] = Counter()
    for piece in pieces:
        name = shown_function(task_name(piece.stack, lane.process.owned))
        if name:
            names[name] += piece.length_ns + 1
    if names:
        return names.most_common(1)[0][0]
    return lane.name
