"""A policy for a cluster that was asked for: all its seats, and batches as long as its scheduler needs them."""

from __future__ import annotations

import sys

from whilst.running.backends.base import BackendConfig
from whilst.running.policies.fixed import FixedPolicy
from whilst.running.policies.places.cost import AHEAD_BELOW_S, batch_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from whilst.running.backends.cluster import Cluster
    from whilst.running.core.policy import Directives, RunStatus
    from whilst.running.policies.caveats import Caveats

_LEAST_NS: Final = 20_000_000


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
        self._has_begun = True  # with one call: nothing that was sent is taken back
        self._batch_ns = int(batch_s(self._workers) * 1e9)
        self._least_ns = _LEAST_NS
        self._ahead_below_ns = int(AHEAD_BELOW_S * 1e9) if is_batched else 0

    def directives(self, status: RunStatus) -> Directives:
        seats = self._seats_of(self._cluster)
        if seats != self._workers:
            self._workers, self._batch_ns = seats, int(batch_s(seats) * 1e9)
            self._reason = self._cluster.description
        return super().directives(status)

    def _seats_of(self, cluster: Cluster) -> int:
        return max(min(self.most_seats, cluster.seats), 1)

    def close(self) -> None:
        super().close()
        self._cluster.close()
