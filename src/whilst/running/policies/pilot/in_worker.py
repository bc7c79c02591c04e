"""`pilot="worker"`: mode auto for a function that may take its process down: no call is ever made by the caller.

The first calls go to worker processes and are measured there. What can be told without a call (the scan of the code)
decides whether workers are allowed at all; then processes work on, each with several calls at once if the first ones
were found to wait. Less is known than after a pilot in the caller's process (nobody compared what the calls write
before and after), so whatever the scan suspects counts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from whilst.measuring.pilot import Pilot
from whilst.model import Change, Decision, Evidence, Mode, Rejection
from whilst.running.backends.base import BackendConfig
from whilst.running.core.inputs import Source
from whilst.running.core.policy import Directives, Policy, RunStatus
from whilst.running.jobs import Finished, Job
from whilst.running.options import OptionsError
from whilst.running.policies.decide import hazards
from whilst.running.policies.evidence import DecisionInput
from whilst.running.policies.fixed import FixedPolicy

_PILOT_CALLS: Final = 4
_WAITS_FROM: Final = 0.5
"""From this share of waiting on, a worker makes several calls at once."""
_CALLS_AT_ONCE: Final = 16


def pilot_in_worker_policy(job: Job, source: Source, config: BackendConfig, workers: int) -> PilotInWorkerPolicy:
    """Return the policy for one call of a verb.

    Raises:
        OptionsError: the function writes what a worker would lose, so its first call can't be made in one.
    """
    pilot = Pilot(job.fn, how=job.how, is_coroutine=job.is_coroutine)
    sample = source.peek(1)
    if job.how != "call":
        pilot.look_into(sample[0] if sample else None)
    no_threads, no_processes = hazards(pilot.writes, DecisionInput(has_own_seed=job.seed is not None))
    if no_processes:
        raise OptionsError(
            f"pilot='worker' can't be had: {no_processes}, and a worker's changes are lost. "
            f"Leave it out, or have the function return what it writes."
        )
    return PilotInWorkerPolicy(config, workers, no_threads)


class PilotInWorkerPolicy(FixedPolicy):
    """Processes from the first call on; overlapping calls in each once they are found to wait."""

    def __init__(self, config: BackendConfig, workers: int, no_threads: str) -> None:
        super().__init__(config, workers, "its first calls were made in workers, as asked", is_batched=True)
        self._no_threads = no_threads
        self._calls = 0
        self._wall_ns = self._cpu_ns = 0
        self._changes: tuple[Change, ...] = ()
        self._start_ns: int | None = None

    def directives(self, status: RunStatus) -> Directives:
        """See `Policy.directives`."""
        if self._start_ns is None:
            self._start_ns = status.started_ns
        return super().directives(status)

    def observe(self, finished: Finished) -> None:
        """See `Policy.observe`."""
        super().observe(finished)
        if self._config.slots > 1 or self._changes:
            return
        self._calls += len(finished.ids)
        self._wall_ns += finished.end_ns - finished.start_ns
        self._cpu_ns += finished.cpu_ns
        if self._calls >= _PILOT_CALLS and self._waits > _WAITS_FROM and not self._no_threads:
            self._overlap(finished.end_ns)

    @property
    def _waits(self) -> float:
        """The share of the calls' time that they waited."""
        return max(0.0, 1 - self._cpu_ns / self._wall_ns) if self._wall_ns else 0.0

    def _overlap(self, now_ns: int) -> None:
        self._config = self._config._replace(backend="processes*threads", slots=_CALLS_AT_ONCE)
        at_s = (now_ns - (self._start_ns or now_ns)) / 1e9
        text = f"{_CALLS_AT_ONCE} calls at once in each process, since {100 * self._waits:.0f} % of a call is waiting"
        self._changes = (Change(round(at_s, 4), text),)

    def changes_items(self, item: object) -> bool:  # noqa: ARG002 - nor any other
        """See `Policy.changes_items`: the scan found no such write, or this policy would have been refused."""
        return False

    decision_later = Policy.decision_later  # not that of a fixed policy, which knows no history

    def decision(self) -> Decision:
        """See `Policy.decision`."""
        rejected = [
            Rejection(Mode.SEQUENTIAL, "a call that ends its process would take the program with it"),
            Rejection(Mode.CONCURRENT, "a call that ends its process would take the program with it"),
        ]
        if self._config.slots == 1:
            why = self._no_threads or f"{100 * self._waits:.0f} % of a call is waiting"
            rejected.append(Rejection(Mode.COMBINED, why))
        evidence: tuple[Evidence, ...] = ()
        if self._calls:
            evidence = (Evidence("wait share", self._waits, "", f"{100 * self._waits:.0f} % of a call is waiting"),)
        return replace(
            super().decision(),
            rejected=tuple(rejected),
            evidence=evidence,
            history=self._changes,
        )
