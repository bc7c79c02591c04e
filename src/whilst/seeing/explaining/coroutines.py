"""asyncio tasks as courses of their own: waiting for what, held off by the loop, or running on its thread."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from whilst.model import Kind
from whilst.seeing.events import NOWHERE, SeenTask, Stack
from whilst.seeing.explaining.causes import Cause, Owned, Role, own_place, shown_function, task_name, wait_of
from whilst.seeing.explaining.courses import Course, parted
from whilst.seeing.explaining.pieces import Lane, Piece, Process

_JOINS = ("Task", "_GatheringFuture")


def courses_of_tasks(process: Process, end_ns: int) -> Iterator[Course]:
    """All courses of the loops of a process: of each task, and of each loop for what no task does."""
    if process.log is None or not process.log.tasks:
        return
    pools = [
        lane for lane in process.lanes if lane.name.rpartition(" ")[2].startswith(("asyncio_", "ThreadPoolExecutor"))
    ]
    for lane in process.lanes:
        tasks = [task for task in process.log.tasks if lane.seen is not None and task.thread == lane.seen.ident]
        if tasks:
            yield from _courses_on(lane, tasks, len(pools), end_ns)


def _courses_on(lane: Lane, tasks: list[SeenTask], pool_size: int, end_ns: int) -> Iterator[Course]:
    process = lane.process
    loop: list[Piece] = []
    running: list[tuple[int, int, Course]] = []
    queued: list[tuple[int, int, Course, Stack]] = []
    courses = []
    for task in tasks:
        outermost = next((process.stacks[number] for number in task.stack if number >= 0), NOWHERE)
        function = shown_function(task_name(outermost, process.owned)) or "task"
        course = Course(lane.name, f"{task.name} {function}", lane, [], is_coroutine=True)
        courses.append(course)
        ends = [*task.at_ns[1:], end_ns]
        for start, end, state, number, future in zip(
            task.at_ns, ends, task.state, task.stack, task.future, strict=False
        ):
            stack = process.stacks[number] if number >= 0 else NOWHERE
            where = own_place(stack, process.owned)
            if state == "r":
                running.append((start, end, course))
                course.longest_step_ns = max(course.longest_step_ns, end - start)
            elif state == "h":
                course.pieces.append(Piece(start, end, Kind.HELD, Cause("loop", "", where), stack, where))
            elif state == "w":
                cause = _awaited(stack, future, process.owned)
                if cause.kind == "executor":
                    queued.append((start, end, course, stack))
                kind = Kind.WAIT if cause.role is Role.TASK else None
                course.pieces.append(Piece(start, end, kind, cause, stack, where))
    _part_running(lane, running, loop)
    _part_queued(queued, pool_size)
    for course in courses:
        course.pieces.sort(key=lambda piece: piece.start_ns)
    yield from courses
    yield from parted(lane, "event loop", loop)


def _awaited(stack: Stack, future: str, owned: Owned) -> Cause:
    cause = wait_of(stack, owned)
    if cause is not None and cause.kind != "io:file":
        return cause
    where = own_place(stack, owned)
    if future in _JOINS:
        return Cause("lock", "task", where, Role.COORDINATING)
    return Cause("unknown", "", where)


def _part_running(lane: Lane, running: list[tuple[int, int, Course]], loop: list[Piece]) -> None:
    """What the loop's thread does is done by the task that was running then, or by the loop itself."""
    running.sort(key=lambda each: each[0])
    at = 0
    for piece in lane.pieces:
        if piece.kind is None:
            continue
        since = piece.start_ns
        while at < len(running) and running[at][1] <= since:
            at += 1
        position = at
        while position < len(running) and running[position][0] < piece.end_ns:
            start, end, course = running[position]
            if start > since:
                loop.append(_cut(piece, since, start))
            course.pieces.append(_cut(piece, max(start, since), min(end, piece.end_ns)))
            since = min(end, piece.end_ns)
            position += 1
        if since < piece.end_ns:
            loop.append(_cut(piece, since, piece.end_ns))


def _cut(piece: Piece, start: int, end: int) -> Piece:
    return Piece(start, max(start, end), piece.kind, piece.cause, piece.stack, piece.where)


def _part_queued(queued: list[tuple[int, int, Course, Stack]], servers: int) -> None:
    """A task that waits for a thread of a pool that has none to spare is held off: first come, first served."""
    if not servers:
        return
    busy_until: list[int] = []
    for start, end, course, stack in sorted(queued, key=lambda each: each[:2]):
        while busy_until and busy_until[0] <= start:
            heapq.heappop(busy_until)
        served = start
        if len(busy_until) >= servers:
            served = min(heapq.heappop(busy_until), end)
        heapq.heappush(busy_until, end)
        if served > start:
            where = own_place(stack, course.lane.process.owned)
            cause = Cause("queue", "executor full", where)
            course.pieces.append(Piece(start, served, Kind.HELD, cause, stack, where))
            for piece in course.pieces:
                if piece.start_ns == start and piece.cause is not None and piece.cause.kind == "executor":
                    piece.start_ns = served
