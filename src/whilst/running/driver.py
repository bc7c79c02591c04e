"""The driver: the one loop that moves a run on, in the thread of whoever wants the results.

It owns the input, the back end and the sink; it asks the policy what to do (`running.policy`), feeds the pool
(`running.pool`) with what happened, and carries out what the pool says. It decides nothing itself.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter_ns

from whilst.errors import TimeoutExceededError
from whilst.running.backends.base import CALLER, Backend, Batch, Event, Finished, Job
from whilst.running.calls import Awaiter, Cell, note_item, perform
from whilst.running.messages import (
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
    TimedOut,
    TurnedAway,
)
from whilst.running.policy import INLINE, Orders, Policy, Setup, View
from whilst.running.pool import Pool, Rules
from whilst.running.worker.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from whilst.running.recorder import Recorder
    from whilst.running.sinks import Sink
    from whilst.running.source import Source

__all__ = ["Driver", "Limits"]

_LOOK_EVERY = 16
"""After handing out so many batches, what has come in is looked at."""
_LONGEST_WAIT_S = 0.1
"""So often at least the policy is asked again, and the progress drawn."""
_INPUT_GRACE_S = 0.5
"""After the input has raised, calls already begun get this long to end (an earlier one may raise first)."""


class Limits(Record):
    """What the user asked of a run, as far as the driver cares."""

    retries: int = 0
    stops_at_error: bool = True
    stops_at_exit: bool = True
    """What is no `Exception` (SystemExit, KeyboardInterrupt) in a call ends the run, whatever else does not."""
    timeout_s: float | None = None
    is_lazy: bool = False
    """Somebody reads the results while the run goes on: it must not run far ahead of the reader."""


class Driver:
    """Moves one run on. `advance` until `is_over`, then `error` says whether it failed; `close` in any case."""

    def __init__(
        self,
        job: Job,
        source: Source,
        policy: Policy,
        sink: Sink,
        limits: Limits,
        recorder: Recorder,
        open_backend: Callable[[Setup], Backend],
    ) -> None:
        self.job, self.source, self.policy, self.sink, self.limits = job, source, policy, sink, limits
        self.recorder = recorder
        self.view = View(started_ns=recorder.start_ns)
        self.on_progress: Callable[[int], None] | None = None
        self._open_backend = open_backend
        self._backend: Backend | None = None
        self._setup = INLINE
        self._pool = Pool(Rules())
        self._errors: dict[int, BaseException] = {}
        self.failed_id: int | None = None
        """The number of the item whose error ended the run."""
        self._leftover: deque[Submitted] = deque()
        """Calls taken back from a back end that was given up; they come before new ones."""
        self._grace_until_ns: int | None = None
        self._next_time_check_ns = 0

    # What a reader may ask.

    @property
    def is_over(self) -> bool:
        """All is done, or nothing that could still come matters."""
        if self._pool.broken is not None:
            return True
        if self.failed_id is not None:
            if not isinstance(self._errors.get(self.failed_id), Exception):
                return True  # SystemExit, KeyboardInterrupt: an earlier call is not waited for
            if self._grace_until_ns is not None and perf_counter_ns() > self._grace_until_ns:
                return True
            return not self._pool.has_open_below(self.failed_id) and not self._has_leftover_below(self.failed_id)
        return self.source.is_exhausted and self._pool.is_idle and not self._leftover

    @property
    def error(self) -> BaseException | None:
        """What ended the run before its time: the error of the first item, in their order, that has one."""
        if self.failed_id is not None:
            return self._errors[self.failed_id]
        return self._pool.broken

    def run(self) -> None:
        """Go on until the end, and close; raise what a `for` loop would have raised."""
        try:
            while not self.is_over:
                self.advance()
        except BaseException:
            self.close(kill=True)
            raise
        self.end()

    def end(self) -> None:
        """Close after the last step: calls that an error made pointless are ended where that harms nothing else.

        A process can be killed and a coroutine cancelled. A thread in a call can't be, so it is waited for, unless
        the program is to be left (Ctrl-C, sys.exit).
        """
        error, backend = self.error, self._backend
        is_leaving = error is not None and not isinstance(error, Exception)
        can_end = backend is not None and (backend.can_kill or backend.overlaps)
        self.close(kill=is_leaving or (error is not None and can_end))

    def close(self, *, kill: bool) -> None:
        """End what was started. With `kill` at once."""
        self.recorder.end_ns = perf_counter_ns()
        backend, self._backend = self._backend, None
        if backend is not None:
            has_abandoned = any(worker.is_abandoned for worker in self._pool.workers.values())
            try:
                backend.close(kill=kill or has_abandoned or self._pool.broken is not None)
            except BaseException:
                backend.close(kill=True)
                raise

    # One step.

    def advance(self, *, wait: bool = True) -> int:
        """Do what there is to do; then, unless not to `wait`, block until something more has happened.

        Returns:
            How many calls the reader of a lazy run may make itself now, one by one (`note` is to follow); mostly 0.
        """
        orders = self._ask()
        if orders.setup != self._setup:
            self._change_setup(orders.setup)
        if self._backend is not None and orders.setup == self._setup:
            self._shape(orders)
            self._feed(orders)
        if self._leftover and self._backend is None:
            self._perform_leftover()
        elif orders.inline and self.source.left != 0 and self._may_take():
            if orders.is_plain and self._is_read_directly and self._backend is None:
                return orders.inline
            # One by one where each has a time: nobody is to wait for the second who may learn that the first was late.
            count = 1 if self.limits.is_lazy and self.limits.timeout_s is not None else orders.inline
            self._accept_inline(self.policy.perform(self.job, self.source, count))
            wait = False
        elif self._backend is None:
            if self.source.left == 0 and not self.source.is_exhausted:
                self.source.wait()
            elif self._may_take():
                self._accept_inline(self.policy.perform(self.job, self.source, 1))
            return 0
        if self._backend is not None and not self.is_over:
            self._look(self._patience_s() if wait else 0)
        return 0

    def note(self, finished: Finished) -> None:
        """Calls were made and read outside: their results are not kept."""
        self.policy.observe(finished)
        count = len(finished.ids)
        if count:
            self.recorder.add(finished)
            self.view.done += count
            self.sink.skip(count)
            if self.on_progress is not None:
                self.on_progress(count)
        fatal = {number: error for number, error in finished.errors.items() if self._is_fatal(error)}
        if fatal:
            self._errors.update(fatal)
            self._end_by(min(fatal))
        self._check_input()

    @property
    def _is_read_directly(self) -> bool:
        """Results go to a reader who may as well make the calls; nobody else wants to see them."""
        limits = self.limits
        return limits.is_lazy and limits.timeout_s is None and not self._leftover and self.sink.can_skip

    def wake(self) -> None:
        """Have `advance` return, from any thread."""
        backend = self._backend
        if backend is not None:
            backend.wake()

    def poll(self) -> None:
        """Take in what has happened meanwhile and hand out more, without waiting."""
        if self._backend is not None and not self.is_over:
            self._look(0)
            self._feed(self._ask())

    def _ask(self) -> Orders:
        view, pool = self.view, self._pool
        view.now_ns = perf_counter_ns()
        left = self.source.left
        view.left = None if left is None else left + pool.waiting
        view.in_hand, view.starting, view.ready, view.idle = pool.in_hand, pool.starting, pool.ready, pool.idle
        orders = self.policy.orders(view)
        view.blocked = self.limits.is_lazy and self._is_far_ahead(orders)
        return orders

    def _is_far_ahead(self, orders: Orders) -> bool:
        """The reader has enough to read, or the one it waits for holds up more than the workers need."""
        slots = orders.slots or orders.setup.slots
        at_once = max(orders.workers * (slots + orders.ahead) * orders.batch, 1)
        return self.sink.undelivered + self._pool.in_hand + self._pool.waiting >= 2 * at_once

    def _may_take(self) -> bool:
        return self.failed_id is None and not self.source.is_exhausted and not self.view.blocked

    # The back end.

    def _change_setup(self, setup: Setup) -> None:
        """Let what is in hand finish, then close this back end and open the next."""
        if self._backend is not None:
            if self._pool.in_hand:
                self._do([Recall(number) for number in list(self._pool.workers)], is_assigning=False)
                self._leftover.extend(self._pool.take_waiting())
                if self._pool.in_hand:
                    return
            self._leftover.extend(self._pool.take_waiting())
            self._backend.close(kill=False)
            self._backend = None
        self._setup = setup
        if setup.backend == "inline":
            return
        self._backend = self._open_backend(setup)
        self.recorder.name_workers(_NOUNS.get(setup.backend, "worker"))
        self._pool = Pool(
            Rules(
                retries=self.limits.retries,
                stops_at_error=self.limits.stops_at_error,
                stops_at_exit=self.limits.stops_at_exit,
                overlaps=self._backend.overlaps,
            )
        )
        if self.failed_id is not None:
            self._pool.failed_id = self.failed_id

    def _shape(self, orders: Orders) -> None:
        slots = orders.slots or orders.setup.slots
        shape = Shaped(orders.workers, orders.batch, orders.ahead, orders.is_timed, slots, orders.least)
        if shape != self._pool.shape:
            self._do(self._pool.handle(shape))

    def _feed(self, orders: Orders) -> None:
        """Hand out calls as long as workers take some and the input has some."""
        pool, sent = self._pool, 0
        while pool.is_hungry:
            sent += 1
            if sent % _LOOK_EVERY == 0 and not self.is_over:
                self._look(0)  # whoever has ended meanwhile is to be used again, before another is begun with
            if self._leftover:
                self._do(pool.handle(self._leftover.popleft()))
                continue
            if not self._may_take():
                break
            first = self.source.next_id
            items = self.source.take(self._size(orders))
            if items:
                self._do(pool.handle(Submitted(self.job, range(first, first + len(items)), items)))
            self._check_input()
            if not items:
                break
            if self.limits.is_lazy:
                self.view.blocked = self._is_far_ahead(orders)
        if self.source.is_exhausted and not pool.is_input_over:
            pool.is_input_over = True

    def _size(self, orders: Orders) -> int:
        """Batches get smaller toward the end, so that all workers end at about the same time."""
        left = self.source.left
        if left is None or orders.batch == 1:
            return orders.batch
        share = 1 if self._backend is not None and self._backend.overlaps else 2
        return max(min(orders.batch, -(-left // (share * max(orders.workers, 1)))), min(orders.least, orders.batch), 1)

    def _patience_s(self) -> float | None:
        if self.source.left == 0 and self._pool.is_idle and not self._pool.starting:
            return None  # an input that stays open: nothing happens until there is more of it
        if self.limits.timeout_s is None:
            return _LONGEST_WAIT_S
        return min(_LONGEST_WAIT_S, max((self._next_time_check_ns - perf_counter_ns()) / 1e9, 0.001))

    def _look(self, patience_s: float | None) -> None:
        """Take in what the back end has to say."""
        assert self._backend is not None
        events = self._backend.events(patience_s)
        for event in events:
            self._take_in(event)
        if events and self._pool.is_input_over and self._pool.idle:
            self._do(self._pool.rebalance())
        if self.limits.timeout_s is not None:
            self._check_time(self.limits.timeout_s)

    def _take_in(self, event: Event) -> None:
        if isinstance(event, Finished):
            if event.errors:
                self._note_items(event)
            if (event.errors or self.policy.is_wary) and (refused := self.policy.again(event)):
                event = self._without(event, refused)
            self.policy.observe(event)
            self.recorder.add(event)
        ready = self._pool.ready + self._pool.starting
        self._do(self._pool.handle(event))
        if self._pool.failed_id is not None:
            self._note_failure(self._pool.failed_id)
        if self._pool.ready + self._pool.starting < ready or type(event).__name__ in ("WorkerDied", "WorkerFailed"):
            self.policy.worker_lost(self.view)

    def _note_items(self, event: Finished) -> None:
        """Have each error name its item: here, where the items are, rather than in every worker."""
        for number, error in event.errors.items():
            call = self._pool.find(event.worker, event.number, number)
            if call is not None:
                note_item(error, call[0], number, call[1])

    def _without(self, event: Finished, refused: Sequence[int]) -> Finished:
        """Have calls that were turned away wait for their next turn; return the answer without them."""
        gone = set(refused)
        kept = [position for position, number in enumerate(event.ids) if number not in gone]
        ids = [event.ids[position] for position in kept]
        self._pool.handle(TurnedAway(event.worker, event.number, refused, ids, event.is_last))
        orders = self._ask()
        if self._backend is not None and orders.setup == self._setup:
            self._shape(orders)
        starts, ends = event.starts_ns, event.ends_ns
        return Finished(
            event.worker,
            event.number,
            ids,
            [event.values[position] for position in kept],
            event.start_ns,
            event.end_ns,
            {number: error for number, error in event.errors.items() if number not in gone},
            None if starts is None else [starts[position] for position in kept],
            None if ends is None else [ends[position] for position in kept],
            event.cpu_ns,
            event.lane,
            event.is_last,
        )

    def _do(self, instructions: Iterable[Instruction], *, is_assigning: bool = True) -> None:
        """Carry out what the pool says, and what follows from that."""
        backend, pool = self._backend, self._pool
        assert backend is not None
        todo = deque(instructions)
        while todo:
            instruction = todo.popleft()
            match instruction:
                case Send():
                    backend.send(instruction.worker, instruction.batch)
                case Deliver():
                    self._deliver(instruction.ids, instruction.finished)
                case Start():
                    backend.start_worker(instruction.worker)
                case Stop():
                    backend.stop_worker(instruction.worker, kill=instruction.kill)
                case Recall():
                    back: Input = Recalled(instruction.worker, backend.recall(instruction.worker), is_assigning)
                    todo.extend(pool.handle(back))
                case Fail():
                    self._fail(instruction)

    def _check_time(self, timeout_s: float) -> None:
        """Find calls that are over their time. Looked at when the first of them can be, not before."""
        now = perf_counter_ns()
        if now < self._next_time_check_ns or self._backend is None:
            return
        limit = int(timeout_s * 1e9)
        self._next_time_check_ns = now + limit
        for number, worker in list(self._pool.workers.items()):
            if worker.is_abandoned:
                continue
            for call, start_ns in self._backend.running(number):
                if now - start_ns >= limit:
                    error = self._too_long(timeout_s)
                    self._do(self._pool.handle(TimedOut(number, call, error, self._backend.can_kill)))
                    if self._pool.failed_id is not None:
                        self._note_failure(self._pool.failed_id)
                else:
                    self._next_time_check_ns = min(self._next_time_check_ns, start_ns + limit)

    def _fail_late(self, finished: Finished, timeout_s: float) -> None:
        """Calls in the caller's own thread can't be ended, but they fail all the same, as they do elsewhere."""
        if finished.starts_ns is None or finished.ends_ns is None:
            return
        late = [
            number
            for number, start, end in zip(finished.ids, finished.starts_ns, finished.ends_ns, strict=True)
            if end - start > timeout_s * 1e9 and number not in finished.errors
        ]
        if late:
            error = f"A call ran longer than timeout_s={timeout_s:g}. It was made in the caller's own thread, which "
            error += "can't end it. Pass mode='parallel' to have such calls ended."
            finished.errors = {**finished.errors, **{number: TimeoutExceededError(error) for number in late}}

    def _too_long(self, timeout_s: float) -> TimeoutExceededError:
        assert self._backend is not None
        if self._backend.can_kill:
            return TimeoutExceededError(f"A call ran longer than timeout_s={timeout_s:g}; its process was killed.")
        return TimeoutExceededError(
            f"A call ran longer than timeout_s={timeout_s:g}. A thread can't be killed: it goes on in the "
            f"background until it ends by itself. Pass mode='parallel' to have such calls ended."
        )

    # Answers.

    def _accept_inline(self, finished: Finished) -> None:
        if self.limits.timeout_s is not None:
            self._fail_late(finished, self.limits.timeout_s)
        self.policy.observe(finished)
        if finished.ids:
            self.recorder.add(finished)
            self._deliver(finished.ids, finished)
        if finished.errors:
            fatal = [number for number, error in finished.errors.items() if self._is_fatal(error)]
            if fatal:
                self._end_by(min(fatal))
        self._check_input()

    def _perform_leftover(self) -> None:
        each = self._leftover.popleft()
        batch = Batch(-1, each.job, each.ids, each.items)
        awaiter = Awaiter()
        try:
            self._accept_inline(perform(batch, CALLER, Cell(), awaiter))
        finally:
            awaiter.close()

    def _check_input(self) -> None:
        """The input may have raised: that ends the run like an error of the call that it would have been for."""
        if self.source.error is not None and self.failed_id is None:
            self._errors[self.source.next_id] = self.source.error
            self._end_by(self.source.next_id)
            if not self.limits.is_lazy:  # a reader is to have the results before it, as from a loop
                self._grace_until_ns = perf_counter_ns() + int(_INPUT_GRACE_S * 1e9)

    def _end_by(self, number: int) -> None:
        self._note_failure(number)
        if self._backend is not None:
            self._do(self._pool.handle(Failed(number)))

    def _note_failure(self, number: int) -> None:
        if self.failed_id is None or number < self.failed_id:
            self.failed_id = number

    def _has_leftover_below(self, number: int) -> bool:
        return any(min(each.ids) < number for each in self._leftover)

    def _is_fatal(self, error: BaseException) -> bool:
        return self.limits.stops_at_error or (self.limits.stops_at_exit and not isinstance(error, Exception))

    def _fail(self, failure: Fail) -> None:
        note_item(failure.error, failure.job, failure.id, failure.item)
        self._settle((failure.id,), [None], {failure.id: failure.error})

    def _deliver(self, ids: Sequence[int], finished: Finished) -> None:
        values = finished.values
        if ids is not finished.ids:  # some of them were settled otherwise before
            positions = {number: position for position, number in enumerate(finished.ids)}
            values = [values[positions[number]] for number in ids]
        self._settle(ids, values, finished.errors)

    def _settle(self, ids: Sequence[int], values: Sequence[object], errors: Mapping[int, BaseException]) -> None:
        """Hand values to the sink, and errors in their place where they are wanted there."""
        if errors:
            settled = []
            for number, value in zip(ids, values, strict=True):
                error = errors.get(number)
                if error is None:
                    settled.append((number, value))
                elif self._is_fatal(error):
                    self._errors[number] = error
                else:
                    settled.append((number, error))
            ids, values = [number for number, _ in settled], [value for _, value in settled]
        if ids:
            self.view.done += len(ids)
            self.sink.deliver(ids, values, errors)
            if self.on_progress is not None:
                self.on_progress(len(ids))


_NOUNS = {"threads": "thread", "eventloop": "loop", "processes": "process"}
