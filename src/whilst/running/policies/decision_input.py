"""What a decision depends on besides the call and the machine, and what the machinery itself takes."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["UNKNOWN_COUNT", "Costs", "DecisionInput"]

UNKNOWN_COUNT: Final = 256
"""How many calls are taken to be left where the input does not know its length."""


class Costs(NamedTuple):
    """Seconds that the machinery takes, by the studies' floors on a machine with two cores."""

    thread_start_s: float = 200e-6
    """With what its first and last steps take from others that want the GIL."""
    thread_call_s: float = 20e-6
    loop_call_s: float = 25e-6
    fork_s: float = 0.012
    worker_s: float = 0.005
    """One more worker process, where there are more than cores."""
    server_s: float = 0.04
    process_call_s: float = 5e-6
    batch_s: float = 150e-6
    byte_s: float = 1.0e-9
    buffer_byte_s: float = 0.25e-9
    """Per byte of a large buffer, through shared memory, one way."""


class DecisionInput(NamedTuple):
    """What the decision depends on besides the call and the machine."""

    left: int | None = None
    """Calls that are still to be made; None where the input does not know its length."""
    can_fork: bool = False
    """This process has one thread: workers may be forked from it, and have all that it has loaded."""
    workers_are_up: bool = False
    """Processes run already: their start costs nothing more."""
    server_start_s: float = 0.0
    """What importing the program's modules adds to the start of a clean worker."""
    first_call_extra_s: float = 0.0
    """What the first call took beyond the others: a clean worker pays it again, a forked one does not."""
    waits_only_in_sleep: bool = False
    """Its waits are sleeps, which meet no limit however many wait at once."""
    limited_native_s: float | None = None
    """Seconds of one call with BLAS and OpenMP held to one thread, where that was tried."""
    tried_threads: float | None = None
    """How many times faster two calls on two threads were than one after the other, where that was tried."""
    most_workers: int | None = None
    """As the caller asked."""
    is_seeded: bool = False
    """Somebody seeds the shared random generator, so that the order of the draws matters."""
    has_own_seed: bool = False
    """The run has a seed of its own: every item's draws are its own."""
    cold: float = 1.0
    """So many times what later calls work may the measured ones do, which came first: they import, open and cache."""
    most_threads: int = 256
    costs: Costs = Costs()

    @property
    def calls(self) -> int:
        return UNKNOWN_COUNT if self.left is None else self.left

    @property
    def process_start_s(self) -> float:
        if self.workers_are_up:
            return 0.0
        if self.can_fork:
            return self.costs.fork_s
        return self.costs.server_s + self.server_start_s + self.first_call_extra_s
