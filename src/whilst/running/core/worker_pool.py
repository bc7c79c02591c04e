"""The workers of one back end: carries out what the state of the pool says, and tells it what happened.

One for each back end that a run has. Loaded when the first worker is needed: a run of short calls in the caller's own
thread never needs one. Decides nothing; answers go to the driver, which made it.
"""

from __future__ import annotations

from collections import deque

from whilst.running.call_names import note_item
from whilst.running.core.messages import (
    Deliver,
    Fail,
    Failed,
    Input,
    Instruction,
    Recall,
    Recalled,
    Send,
    Shaped,
    Start,
    Stop,
    Submitted,
    TurnedAway,
)
from whilst.running.core.pool_state import PoolState
from whilst.running.jobs import Batch, Finished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Protocol

    from whilst.running.backends.base import Backend
    from whilst.running.core.pacing.time_limits import Deadlines
    from whilst.running.core.policy import Directives
    from whilst.running.jobs import Event, Job, Limits, RunEnd

    class Settler(Protocol):
        """Takes what has become of calls."""

        def deliver(self, ids: Sequence[int], finished: Finished) -> None:
            """These calls have been answered."""

        def fail(self, job: Job, number: int, item: object, error: BaseException) -> None:
            """This call has failed without an answer."""

        def makes_again(self, job: Job, number: int, item: object, error: BaseException) -> bool:
            """This call has failed without an answer: is it taken back, to be made again later?"""


class WorkerPool:
    """Opened with its back end; `close` ends both."""

    def __init__(
        self, backend: Backend, limits: Limits, settler: Settler, end: RunEnd, tried: dict[int, int] | None = None
    ) -> None:
        self.backend = backend
        self.state = PoolState(limits, end, overlaps=backend.overlaps, takes_early=backend.takes_early, tried=tried)
        self._settler = settler
        self._deadlines: Deadlines | None = None
        if limits.timeout_s is not None:
            from whilst.running.core.pacing.time_limits import Deadlines

            self._deadlines = Deadlines(limits.timeout_s)

    @property
    def can_end_calls(self) -> bool:
        """A call in progress can be ended without harm to others: its process killed, its coroutine cancelled."""
        return self.backend.can_kill or self.backend.overlaps

    def close(self, *, kill: bool) -> None:
        """End the workers. With `kill` at once."""
        has_abandoned = any(worker.is_abandoned for worker in self.state.workers.values())
        try:
            self.backend.close(kill=kill or has_abandoned or self.state.end.broken is not None)
        except BaseException:
            self.backend.close(kill=True)
            raise

    # What is to be done.

    def shape(self, directives: Directives) -> None:
        """Have the workers and batches that the directives ask for."""
        slots = directives.slots or directives.config.slots
        shape = Shaped(
            directives.workers, directives.batch, directives.ahead, directives.is_timed, slots, directives.least
        )
        if shape != self.state.shape:
            self.handle(shape)

    def submit(self, job: Job, ids: Sequence[int], items: Sequence[object]) -> None:
        """Have these calls made."""
        self.handle(Submitted(job, ids, items))

    def end_at(self, number: int) -> None:
        """This call, which the pool did not make, has ended the run."""
        self.handle(Failed(number))

    def retreat(self) -> list[Batch]:
        """Take back what has not begun; return it, with what waits. What is in progress is still in hand."""
        if self.state.in_hand:
            self._do([Recall(number) for number in list(self.state.workers)], is_assigning=False)
        return [Batch(-1, each.job, each.ids, each.items) for each in self.state.take_waiting()]

    def rebalance(self) -> None:
        """Near the end of the input: whoever has nothing to do takes over from who holds most."""
        if self.state.is_input_over and self.state.roster.idle:
            self._do(self.state.rebalance())

    # What has happened.

    def patience_s(self, longest_s: float) -> float:
        """How long to wait for events at most."""
        return longest_s if self._deadlines is None else min(longest_s, self._deadlines.patience_s)

    def handle(self, event: Input | Event) -> None:
        """Tell the state of the pool, and carry out what it says."""
        self._do(self.state.handle(event))

    def end_overdue(self) -> None:
        """Give up the calls that are over their time, where they have one."""
        if self._deadlines is not None:
            for each in list(self._deadlines.overdue(self.state, self.backend)):
                call = self.state.call_of(each.worker, each.id)
                is_withheld = call is not None and self._settler.makes_again(call[0], each.id, call[1], each.error)
                self.handle(each._replace(is_withheld=is_withheld) if is_withheld else each)

    def note_items(self, event: Finished) -> None:
        """Have each error name its item: here, where the items are, rather than in every worker."""
        for number, error in event.errors.items():
            call = self.state.find(event.worker, event.number, number)
            if call is not None:
                note_item(error, call[0], number, call[1])

    def turn_away(self, event: Finished, refused: Sequence[int], *, is_withheld: bool = False) -> Finished:
        """Have calls that were refused wait for their next turn; return the answer without them.

        Args:
            is_withheld: they wait elsewhere.
        """
        kept = event.without(refused)
        self.state.handle(
            TurnedAway(event.worker, event.number, refused, kept.ids, event.is_last, is_withheld=is_withheld)
        )
        return kept

    def _do(self, instructions: Iterable[Instruction], *, is_assigning: bool = True) -> None:
        """Carry out these instructions, and those that follow from them."""
        backend = self.backend
        todo = deque(instructions)
        while todo:
            instruction = todo.popleft()
            match instruction:
                case Send():
                    backend.send(instruction.worker, instruction.batch)
                case Deliver():
                    self._settler.deliver(instruction.ids, instruction.finished)
                case Start():
                    backend.start_worker(instruction.worker)
                case Stop():
                    backend.stop_worker(instruction.worker, kill=instruction.kill)
                case Recall():
                    back = Recalled(instruction.worker, backend.recall(instruction.worker), is_assigning)
                    todo.extend(self.state.handle(back))
                case Fail():
                    self._settler.fail(instruction.job, instruction.id, instruction.item, instruction.error)
