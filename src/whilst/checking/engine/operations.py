"""What tasks are about to do, and what has happened.

An *operation* is a tuple `(code, object_id, key, site, object[, sync])`: code 0 reads, 1 writes, 2 is described by
its `Sync`. An *event* is an operation that has happened: `(task, is_write, object_id, key, before, operation)`,
where `before` is what `sync.measure()` said just before it; the search needs it to tell whether a blocked
operation could have gone first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

from whilst.checking.engine.events import Op

Operation = tuple[Any, ...]
Event = tuple[int, bool, Any, Any, Any, Operation]
# Event -> the depth from which on it waited for a write, and the things that it waited for.
HeldOff = dict[int, tuple[int, Collection[tuple[Any, Any]]]]
Accesses = tuple[tuple[Any, Any, bool], ...]


class Sync:
    """What makes an operation more than a read or a write.

    `measure()` gives the state that decides, `needs(state)` whether the operation can go (or, where it does not
    block, whether it succeeds). `writes`: 0 never, 1 always, 2 when it succeeds, 3 when `measure()` is true. `more` are
    further (object_id, key, is_write) that it touches at the same time.
    """

    __slots__ = ("blocks", "is_step", "kind", "measure", "more", "needs", "writes")

    def __init__(
        self,
        kind: Op,
        measure: Callable[[], Any] | None = None,
        needs: Callable[[Any], Any] | None = None,
        *,
        blocks: bool = False,
        writes: int = 1,
        more: Accesses = (),
        is_step: bool = False,
    ) -> None:
        self.kind, self.measure, self.needs = kind, measure, needs
        self.blocks, self.writes, self.more = blocks, writes, more
        self.is_step = is_step  # of a coroutine: all events are such steps, each with the set of those that are ready
        # A step's key is its label, what it is known to depend on is in `more` (see `models.coroutines.steps`).

    def does_write(self, state: Any) -> Any:
        """Whether it writes in that state, as `measure()` gives it."""
        if self.writes < 2 or self.needs is None:
            return state if self.writes > 2 else self.writes
        return self.needs(state)


class Store(Sync):
    """A plain write to a dict. One of what stands there already changes nothing, which is a look: `measure()` says
    whether it changes anything."""

    __slots__ = ("plain",)

    def __init__(self, plain: Operation) -> None:
        _, _, key, _, space, value = plain
        super().__init__(Op.WRITE, lambda: dict.get(space, key, Store) is not value, writes=3)
        self.plain = plain


READS: Final = Sync(Op.READ, writes=0)  # of several things at once
MIXED: Final = "await:mixed"  # steps of coroutines are not all there is: every one depends on every other
SHARED_RANDOM: Final = "random:shared"  # the hidden generator of `random` is state that tasks share
STEPS_LOOP: Final = "asyncio"  # what all share that use more of asyncio than sleeps


def names_of(step: Operation) -> Iterator[str]:
    """What is known of a step's dependences, by names that other processes understand."""
    for thing, _, _ in step[5].more:
        yield f"{step[2]}|{STEPS_LOOP}" if thing[1] == STEPS_LOOP else thing[1]


def accesses_of(event: Event) -> Accesses:
    """All that an event touched, as (object_id, key, is_write)."""
    operation = event[5]
    first = (event[2], event[3], event[1])
    if operation[0] != 2 or not operation[5].more:
        return (first,)
    return (first, *operation[5].more)


def accesses_wanted(operation: Operation) -> Accesses:
    """All that a pending operation would touch; what depends on the state counts as a write."""
    if operation[0] != 2:
        return ((operation[1], operation[2], operation[0] == 1),)
    return ((operation[1], operation[2], bool(operation[5].writes)), *operation[5].more)


def overlap(some: Accesses, others: Accesses) -> bool:
    """Whether they depend on each other: one thing, of which one of the two writes."""
    return any(a == c and (x or y) and (b is None or d is None or b == d) for a, b, x in some for c, d, y in others)


def touches(operation: Operation | None, event: Event) -> bool:
    """Whether a pending operation depends on an event, in the state right before that event."""
    if operation is None:
        return True
    if operation[0] != 2:
        if event[5][0] != 2:
            if operation[1] != event[2] or not (event[1] or operation[0] == 1):
                return False
            key, other = operation[2], event[3]
            return key is None or other is None or key == other
        return overlap(accesses_wanted(operation), accesses_of(event))
    sync = operation[5]
    writes = sync.writes if sync.writes < 2 else sync.does_write(sync.measure())
    return overlap(((operation[1], operation[2], bool(writes)), *sync.more), accesses_of(event))
