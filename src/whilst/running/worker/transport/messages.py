"""What the frames between a backend, its server and its workers mean, and the shape of their envelopes."""

from __future__ import annotations

from whilst._light import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from whilst.running.worker.transport.serialization import Shape
    from whilst.running.worker.transport.shared_memory import Place

# To a worker, and from it.
JOB, BATCH, STOP, READY, ANSWER, LAST_OUTPUT = 1, 2, 3, 4, 5, 6
# To the server, and from it.
CONNECT, SPAWN, KILL, DIED, FAILED = 11, 12, 13, 14, 15

# Kinds of errors in an answer.
RAISED, UNPICKLABLE, LOST_IN_LOADING = 0, 1, 2


class JobHead(Record):
    """What the calls of a job share. The payload holds the function."""

    id: int
    how: str
    is_coroutine: bool
    seed: int | None
    stops_at_error: bool
    native_threads: int | None
    surroundings: bytes
    shape: Shape
    place: Place | None
    forgotten: Sequence[int]
    """Jobs that won't be asked for again."""


class BatchHead(Record):
    """A batch, or a part of one. The payload holds the items."""

    number: int
    job: int
    first_serial: int
    size: int
    ids: Sequence[int] | None
    """Where the draws depend on them."""
    is_timed: bool
    shape: Shape
    place: Place | None
    given_back: Sequence[int]
    """Segments of results that the parent is done with."""
    dropped: Sequence[int]
    inherited: tuple[int, int] | list[int] | None = None
    """Which of the items that the worker was forked with: (from, to), or each. None: the payload holds them."""


class Answer(Record):
    """Calls of one batch that have ended. The payload holds the values."""

    first_serial: int
    """Of the batch: names it."""
    positions: tuple[int, int] | list[int]
    """Which of its calls: (first, how many), or each."""
    is_last: bool
    shape: Shape
    place: Place | None
    start_ns: int
    end_ns: int
    starts_ns: bytes | None
    ends_ns: bytes | None
    cpu_ns: int
    held_ns: int
    errors: list[tuple[int, int, Any]] | None
    """(position in this answer, kind, what there is to say)."""
    output: bytes | None
    given_back: Sequence[int]
    """Segments of arguments that the worker is done with."""
    dropped: Sequence[int]
    lane: int


class Spawn(Record):
    """A worker to be forked. Descriptors: its socket, page, stderr, stdout, and resource tracker."""

    token: int
    style: str
    slots: int
    memory_limit_bytes: int | None
    items: Sequence[Any] = ()
    """What a fork of the program finds in its memory and need not be sent."""
    is_far: bool = False
    """Its calls are for a program on another machine, with which no memory is shared."""
