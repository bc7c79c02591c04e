"""`on=[None, cluster]`: this machine or the cluster, whichever makes the rest sooner, by measured calls in both.

Calls begin here, as mode="auto" makes them. Once it has decided what the rest takes here, and the cluster could be much
faster, each seat is given one real call. The first answer tells what a call takes there and what comes before it. Then
`cost.choose` says which place it is. It is asked again whenever seats come or go, or calls there turn out otherwise. A
call that fails there for being there (something that can't be sent, a module or file that is not there) is made again
here, and calls stay here.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

from whilst import model
from whilst.errors import NotPicklableError
from whilst.running.core.policy import Policy
from whilst.running.jobs import CALLER
from whilst.running.policies.places.cost import START_S, Offer, choose, is_worth_a_trial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from whilst.model import Decision
    from whilst.running.backends.cluster import Cluster
    from whilst.running.core.inputs import Source
    from whilst.running.core.policy import Directives, RunStatus
    from whilst.running.jobs import Finished, Job
    from whilst.running.policies.auto import AutoPolicy
    from whilst.running.policies.places.cluster import ClusterPolicy

_UNKNOWN_COUNT: Final = 256
"""How many calls are taken to be left where the input does not know its length."""
_SHORT_S: Final = 0.05
"""Longer calls made here would hide when the one there was answered."""
_PATIENCE: Final = 2.0
"""A call there that takes this many times as long as it should is not waited for alone."""
_DRIFT: Final = 1.5
"""It is thought about again when calls there take so many times as long as supposed, or less than that part of it."""
_TELLING: Final = 16
"""Fewer calls don't tell."""


class WeighedPolicy(Policy):
    """See the module's text. Has the connection to the cluster, and closes it."""

    def __init__(self, here: AutoPolicy, there: ClusterPolicy, cluster: Cluster) -> None:
        self._here, self._there, self._cluster = here, there, cluster
        self._is_there = self._is_trying = False
        self._tried_since_ns = self._started_ns = 0
        self._tried_call_s = 0.0
        """Of a call here, when one was tried there."""
        self._offer: Offer | None = None
        """As the call there showed it."""
        self._weighed_seats: int | None = None
        """There were so many when it was last thought about; None: think."""
        self._count = self._length_ns = 0
        """Calls that the cluster has answered since that was last held against the offer, and their length."""
        self._why = "the cluster was not looked at: what is left here is short, or nothing was measured"
        self._hindrance = ""
        """What a call there showed to be in the way."""
        self._evidence: tuple[model.Evidence, ...] = ()
        self._history: list[model.Change] = []

    @property
    def inspects_values(self) -> bool:  # type: ignore[override]
        """See `Policy.inspects_values`."""
        return self._here.inspects_values and not (self._is_there or self._is_trying)

    # ---------------------------------------------------------------- the driver asks

    def directives(self, status: RunStatus) -> Directives:
        """See `Policy.directives`."""
        self._started_ns = status.started_ns
        here = None if self._is_there or self._is_trying else self._here.directives(status)
        if not self._is_trying and self._cluster.seats != self._weighed_seats and status.left != 0:
            self._weigh(status)
        if self._is_trying:
            return self._trial(status)
        if self._is_there:
            return self._there.directives(status)
        return here or self._here.directives(status)

    def perform(self, job: Job, source: Source, count: int) -> Finished:
        """See `Policy.perform`."""
        return self._here.perform(job, source, count)

    def observe(self, finished: Finished) -> None:
        """See `Policy.observe`."""
        if finished.made_by is None or finished.worker == CALLER:  # of no seat
            self._here.observe(finished)
        elif finished.ids:
            self._there.observe(finished)
            if self._offer is None and self._is_trying:
                self._learn_from_trial(finished)
            else:
                self._follow(finished)

    def retry_refused(self, finished: Finished) -> Sequence[int]:
        """See `Policy.retry_refused`."""
        if finished.made_by is None:
            return self._here.retry_refused(finished)
        again = [number for number, error in finished.errors.items() if self._is_of_the_place(error)]
        if again:
            error = finished.errors[again[0]]
            self._stay_here(f"a call failed there ({type(error).__name__}: {error}), and was made again here")
        return again

    def worker_failed(self, status: RunStatus, error: BaseException) -> bool:
        """See `Policy.worker_failed`: without the cluster, this machine makes the rest."""
        if self._is_there or self._is_trying:
            self._stay_here(str(error))
            return True
        return self._here.worker_failed(status, error)

    def changes_items(self, item: object) -> bool:
        """See `Policy.changes_items`."""
        return self._here.changes_items(item)

    def decision(self) -> Decision:
        """See `Policy.decision`."""
        return self.decision_later()()

    def decision_later(self) -> Callable[[], Decision]:
        """See `Policy.decision_later`."""
        later = self._there.decision_later() if self._is_there else self._here.decision_later()
        return partial(_with_place, later, self._why, self._evidence, tuple(self._history))

    def close(self) -> None:
        """See `Policy.close`."""
        try:
            self._here.close()
        finally:
            self._there.close()

    # ---------------------------------------------------------------- weighing

    def _weigh(self, status: RunStatus) -> None:
        """Think about where the rest is to be made; what is not known yet is asked for again."""
        left = _UNKNOWN_COUNT if status.left is None else status.left
        known = self._here.forecast_s(left)
        if known is None:
            return
        here_s, call_s = known
        seats = self._weighed_seats = self._cluster.seats
        hindrance = self._hindrance or self._here.why_not_elsewhere()
        if hindrance:
            self._why = f"not on the cluster: {hindrance}"
        elif self._offer is not None:
            self._choose(left, here_s)
        elif is_worth_a_trial(left, here_s, call_s, min(seats, self._there.most_seats)):
            self._is_trying, self._tried_since_ns, self._tried_call_s = True, time.perf_counter_ns(), call_s
        else:
            self._why = choose(left, here_s, self._offered(Offer(0, call_s=call_s))).why + "; no call was tried there"

    def _offered(self, offer: Offer) -> Offer:
        return offer._replace(seats=min(self._cluster.seats, self._there.most_seats), queued=self._cluster.queued)

    def _choose(self, left: int, here_s: float) -> None:
        assert self._offer is not None
        choice = choose(left, here_s, self._offered(self._offer), is_there=self._is_there)
        if choice.is_there != self._is_there:
            self._is_there = choice.is_there
            self._note(f"{'on the cluster' if choice.is_there else 'on this machine'} from here on: {choice.why}")
        self._why = choice.why
        self._evidence = (
            model.Evidence("rest on this machine", round(choice.here_s, 6), "s", ""),
            model.Evidence("rest on the cluster", round(choice.there_s, 6), "s", ""),
        )

    def _trial(self, status: RunStatus) -> Directives:
        """What is short goes on here meanwhile, and all does when it takes too long."""
        waited_s = (status.now_ns - self._tried_since_ns) / 1e9
        goes_on = self._tried_call_s <= _SHORT_S or waited_s > _PATIENCE * (self._tried_call_s + START_S)
        goes_on = goes_on and status.in_hand > 0
        return self._there.directives(status)._replace(batch=1, inline=int(goes_on and not status.blocked))

    def _learn_from_trial(self, finished: Finished) -> None:
        self._is_trying = False
        call_s = (finished.end_ns - finished.start_ns) / 1e9
        took_s = (time.perf_counter_ns() - self._tried_since_ns) / 1e9
        offer = Offer(0, call_s=call_s)
        self._offer = offer._replace(start_s=max(took_s - call_s - offer.round_trip_s, 0.0))
        self._weighed_seats = None  # think again, with what is known now

    def _follow(self, finished: Finished) -> None:
        """Are calls there what the one call was? Seats that share cores, or a network, are not."""
        self._count += len(finished.ids)
        self._length_ns += finished.end_ns - finished.start_ns
        if self._offer is None or self._count < max(_TELLING, self._cluster.seats // 2):
            return
        call_s, self._count, self._length_ns = self._length_ns / 1e9 / self._count, 0, 0
        if not 1 / _DRIFT < call_s / max(self._offer.call_s, 1e-9) < _DRIFT:
            self._offer, self._weighed_seats = self._offer._replace(call_s=call_s), None

    def _is_of_the_place(self, error: BaseException) -> bool:
        """Did it fail for being there, and may it be made again?"""
        if isinstance(error, NotPicklableError):
            return not error.has_begun or not self._here.leaves_traces
        is_missing = isinstance(error, ImportError | FileNotFoundError)
        is_first = self._offer is None and isinstance(error, Exception)
        return (is_missing or is_first) and not self._here.leaves_traces

    def _stay_here(self, why: str) -> None:
        self._is_there = self._is_trying = False
        self._weighed_seats = self._cluster.seats
        self._hindrance = why
        self._why = f"not on the cluster: {why}"
        self._note(f"on this machine from here on: {why}")

    def _note(self, text: str) -> None:
        self._history.append(model.Change(round((time.perf_counter_ns() - self._started_ns) / 1e9, 4), text))


def _with_place(
    later: Callable[[], Decision], why: str, evidence: tuple[model.Evidence, ...], history: tuple[model.Change, ...]
) -> Decision:
    found = later()
    return replace(
        found,
        reason=f"{found.reason}; {why}",
        evidence=(*found.evidence, *evidence),
        history=tuple(sorted((*found.history, *history), key=lambda change: change.at_s)),
    )
