"""What the rest of a run takes on a cluster, and which of the two places is to make it: pure, on figures of one call.

There, n calls go in batches to the seats. A batch costs the scheduler 1/1,200 s, and a round trip, which only calls
too long to be sent ahead wait for. Before the first answer lies a start: the function travels and processes begin.
Seats that are queued make nothing until they are there, and nobody knows when that is; so they count for nothing, are
named, and the question is asked again when they come. Waiting for them would leave this machine idle.
"""

from __future__ import annotations

import math

from whilst._light import Record
from whilst.model.lengths import seconds_text
from whilst.running.backends.cluster import BATCHES_PER_S, batch_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

AHEAD_BELOW_S: Final = 2.0
"""Where calls are longer than this, a round trip is nothing beside one."""
ROUND_TRIP_S: Final = 0.015
"""The client sends every 10 ms."""
START_S: Final = 0.15
"""Before one call there tells how long it takes: a process, and a function that is not large."""
_GAIN: Final = 0.9
"""What moves must become this much shorter."""
_WORTH_A_TRIAL: Final = 0.8
_NEXT_TO_NOTHING: Final = 0.03
"""Of what is left, this may be spent on finding out that calls are faster there."""


class Offer(Record):
    """A cluster as it is now, and one call there."""

    seats: int
    queued: int = 0
    """Seats that were asked for, and are not there."""
    call_s: float = 0.0
    """With its argument and result on their way."""
    start_s: float = START_S
    """Beyond the call, before the first answer."""
    round_trip_s: float = ROUND_TRIP_S


def seconds_there(n: int, offer: Offer) -> float:
    """The makespan of n more calls on the seats of a cluster; infinite without one."""
    if n < 1:
        return 0.0
    if not offer.seats:
        return math.inf
    call_s = max(offer.call_s, 1e-7)
    size = max(1, min(int(batch_s(offer.seats) / call_s), n // (2 * offer.seats)))
    batches = math.ceil(n / size)
    each_s = size * call_s + (offer.round_trip_s if call_s > AHEAD_BELOW_S else 0.0)
    made_s = max(math.ceil(batches / offer.seats) * each_s, batches / BATCHES_PER_S)
    return offer.start_s + 2 * offer.round_trip_s + made_s


def is_worth_a_trial(n: int, here_s: float, call_s: float, seats: int) -> bool:
    """Could it be so much faster there that each seat is given one call, to see by the first answer?

    Args:
        here_s: what n calls take on this machine.
        call_s: one of them here, which is what one is taken to be there, too; unless so many are left that it costs
            next to nothing to see whether they are faster there.
    """
    best_s = seconds_there(n, Offer(seats, call_s=call_s))
    return best_s < _WORTH_A_TRIAL * here_s or (seats > 0 and START_S + call_s < _NEXT_TO_NOTHING * here_s)


class Choice(Record):
    """Which place it is, and what speaks for it."""

    is_there: bool
    here_s: float
    there_s: float
    why: str


def choose(n: int, here_s: float, offer: Offer, *, is_there: bool = False) -> Choice:
    """Where n calls are to be made from now on.

    Args:
        here_s: what they take on this machine.
        is_there: they are made on the cluster now. Either place must bring a tenth to be moved to.
    """
    there_s = seconds_there(n, offer._replace(start_s=0.0) if is_there else offer)
    goes = there_s * _GAIN < here_s if is_there else there_s < _GAIN * here_s
    queued = f"; {_count(offer.queued, 'more seat')} queued, and not waited for" if offer.queued else ""
    if not offer.seats:
        return Choice(False, here_s, there_s, f"the cluster has no seat now{queued}")
    why = (
        f"{_count(n, 'call')} on {_count(offer.seats, 'seat')} there: about {seconds_text(there_s)} "
        f"({seconds_text(offer.call_s)} a call, {seconds_text(0.0 if is_there else offer.start_s)} to start); "
        f"on this machine about {seconds_text(here_s)}{queued}"
    )
    return Choice(goes, here_s, there_s, why)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
