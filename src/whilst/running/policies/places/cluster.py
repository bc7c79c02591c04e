"""A policy for a cluster that was asked for: all its seats, and batches as long as its scheduler needs them."""

from __future__ import annotations

import sys

from whilst.running.backends.base import BackendConfig
from whilst.running.backends.cluster import batch_s
from whilst.running.policies.fixed import FixedPolicy
from whilst.running.policies.places.cost import AHEAD_BELOW_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from whilst.running.backends.cluster import Cluster
    from whilst.running.core.policy import Directives, RunStatus
    from whilst.running.policies.caveats import Caveats

_LEAST_NS: Final = 20_000_000
_FIRST: Final = 64
_FIRST_SHARE: Final = 16
"""First batch: at most this many calls, or 1/_FIRST_SHARE of a seat's share. What is too much comes back."""


class ClusterPolicy(FixedPolicy):
    """Follows the cluster as it grows and shrinks. Has the connection, and closes it."""

    def __init__(
        self, cluster: Cluster, workers: int | None, *, is_batched: bool, is_lazy: bool, caveats: Caveats
    ) -> None:
        self.most_seats = workers or sys.maxsize
        super().__init__(
            BackendConfig("dask", on=cluster),
            self._seats_of(cluster),
            cluster.description,
            is_batched=is_batched,
            is_timed=not is_batched,
            is_lazy=is_lazy,
            caveats=caveats,
        )
        self._cluster = cluster
        self._has_begun = is_lazy or not is_batched
        self._batch_ns = int(batch_s(self._workers) * 1e9)
        self._least_ns = _LEAST_NS
        self._ahead_below_ns = int(AHEAD_BELOW_S * 1e9) if is_batched else 0

    def directives(self, status: RunStatus) -> Directives:
        seats = self._seats_of(self._cluster)
        if seats != self._workers:
            self._workers, self._batch_ns = seats, int(batch_s(seats) * 1e9)
            self._reason = self._cluster.description
        if not self._has_begun:
            self._has_begun = True
            self._batch = max(1, min(_FIRST, (status.left or 0) // (_FIRST_SHARE * seats)))
        directives = super().directives(status)
        # Nobody is to be left with two long calls while others have none.
        is_near_end = status.left is not None and status.left < 2 * seats and directives.batch == 1
        return directives._replace(ahead=0) if is_near_end else directives

    def _seats_of(self, cluster: Cluster) -> int:
        return max(min(self.most_seats, cluster.seats), 1)

    def close(self) -> None:
        super().close()
        self._cluster.close()
