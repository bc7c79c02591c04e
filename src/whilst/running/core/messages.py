"""What goes into the state of a pool and comes out of it: events beyond those of the back ends, and instructions."""

from __future__ import annotations

from whilst._light import Record
from whilst.running.jobs import Batch, Event, Finished, Job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias


# Events beyond those of the back ends.


class Submitted(Record):
    """Calls to be made: `items[k]` is call `ids[k]`."""

    job: Job
    ids: Sequence[int]
    items: Sequence[object]


class Shaped(Record):
    """How many workers there are to be from now on, and what batches they get."""

    workers: int
    batch: int = 1
    ahead: int = 1
    is_timed: bool = True
    slots: int = 1
    """Calls in progress at once in one worker."""
    least: int = 1
    """Fewer calls than this are not worth a hand-over of their own."""


class Failed(Record):
    """A call that the pool did not make (the caller did, or the input gave no more) ends the run."""

    id: int


class Recalled(Record):
    """A worker gave calls back that it has not begun."""

    worker: int
    ids: Sequence[int]
    is_assigning: bool = True
    """Give them to others at once; False: they are only collected."""


class TimedOut(Record):
    """A call has run too long. `can_kill`: its worker can be ended; otherwise it is left to itself."""

    worker: int
    id: int
    error: BaseException
    can_kill: bool
    is_withheld: bool = False
    """The call has not failed: it will be made again, and waits elsewhere for that."""


class TurnedAway(Record):
    """Calls of an answer that were refused, since too many were in flight: they wait again. Precedes the answer."""

    worker: int
    number: int
    ids: Sequence[int]
    answered: Sequence[int]
    """The others of that answer."""
    is_last: bool = True
    is_withheld: bool = False
    """They wait elsewhere."""


Input: TypeAlias = Event | Submitted | Shaped | Failed | Recalled | TimedOut | TurnedAway


# Instructions.


class Start(Record):
    worker: int


class Send(Record):
    worker: int
    batch: Batch


class Stop(Record):
    worker: int
    kill: bool = False


class Recall(Record):
    """Ask the back end for calls that have not begun; a `Recalled` is to follow."""

    worker: int


class Deliver(Record):
    """Hand these answers on: values, and errors where there are some."""

    ids: Sequence[int]
    finished: Finished


class Fail(Record):
    """This call has failed without an answer."""

    id: int
    item: object
    job: Job
    error: BaseException


Instruction: TypeAlias = Start | Send | Stop | Recall | Deliver | Fail
