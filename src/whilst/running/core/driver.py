"""The driver: the one loop that moves a run on, in the thread of whoever wants the results.

It owns the input, the sink and what the run's errors are; it asks the policy what to do (`core.policy`), has calls
made here or by a pool of workers (`core.worker_pool`), and hands on what comes back. It decides nothing itself.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter_ns

from whilst.running.backends.base import Backend, BackendConfig
from whilst.running.call_names import add_note, note_item
from whilst.running.calls.one_argument import Awaiter, per_worker_function
from whilst.running.calls.perform import Cell, perform
from whilst.running.core.policy import INLINE, Directives, Policy, RunStatus
from whilst.running.jobs import CALLER, Batch, Finished, Job, Limits, RunEnd, WorkerFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from whilst.model import Decision
    from whilst.running.core.inputs import Source
    from whilst.running.core.outputs import Sink
    from whilst.running.core.pacing.pace import Pace
    from whilst.running.core.recorder import Recorder
    from whilst.running.core.worker_pool import WorkerPool
    from whilst.running.jobs import Event

_LOOK_EVERY = 16
"""After handing out this many batches, the driver looks at what has come in."""
_LONGEST_WAIT_S = 0.1
"""The policy is asked again, and the progress drawn, at least this often."""
_INPUT_GRACE_S = 0.5
"""After the input has raised, calls already begun get this long to end (an earlier one may raise first)."""


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
        open_backend: Callable[[BackendConfig], Backend],
        pace: Pace | None = None,
    ) -> None:
        self.job, self.source, self.policy, self.sink, self.limits = job, source, policy, sink, limits
        self.recorder = recorder
        self.status = RunStatus(started_ns=recorder.start_ns)
        self.on_progress: Callable[[int], None] | None = None
        self.on_pool: Callable[[], None] | None = None
        """Called before workers are first asked for: calls may overlap from then on."""
        self.on_result: Callable[[int, object], object] | None = None
        """Told what has become of each call, as that is known."""
        source.fn = None if job.how == "call" else job.fn
        self._open_backend = open_backend
        self._pace = pace
        if pace is not None and pace.retrying is not None:
            source.kept = {}
        self._made_as = job
        """The job of the calls made here last, where they are not all of one."""
        self._is_cut = False
        """The run's time was over: nothing more of it is waited for."""
        self._pool: WorkerPool | None = None
        self._config = INLINE
        self._left: int | None = None
        """Of the input, when it was last looked at."""
        self._end = RunEnd()
        self._errors: dict[int, BaseException] = {}
        """Of calls that end the run."""
        self._leftover: deque[Batch] = deque()
        """Calls taken back from a back end that was given up; they come before new ones."""
        self._grace_until_ns: int | None = None

    # What a reader may ask.

    def decision(self) -> Decision:
        """How calls are run, as of now."""
        decision = self.policy.decision()
        return decision if self._pace is None else self._pace.adding_to(lambda: decision)()

    def decision_later(self) -> Callable[[], Decision]:
        """How calls are run, once it is asked for; see `Policy.decision_later`."""
        later = self.policy.decision_later()
        return later if self._pace is None else self._pace.adding_to(later)

    @property
    def is_over(self) -> bool:
        """All is done, or nothing that could still come matters."""
        if self._end.broken is not None:
            return True
        if self._end.failed_id is not None:
            return self._is_over_after(self._end.failed_id)
        if self._is_cut:
            return True
        if not self.source.is_exhausted or self._leftover or (self._pace is not None and self._pace.waiting):
            return False
        return self._pool is None or self._pool.state.is_idle

    def _is_over_after(self, failed_id: int) -> bool:
        """This call has failed: only those before it may still have something to say."""
        if not isinstance(self._errors.get(failed_id), Exception):
            return True  # SystemExit, KeyboardInterrupt: an earlier call is not waited for
        if self._grace_until_ns is not None and perf_counter_ns() > self._grace_until_ns:
            return True
        if any(min(each.ids) < failed_id for each in self._leftover):
            return False
        if self._pace is not None and self._pace.has_waiting_below(failed_id):
            return False
        return self._pool is None or not self._pool.state.has_open_below(failed_id)

    @property
    def failed_id(self) -> int | None:
        """The number of the call that ended the run, once one has."""
        return self._end.failed_id

    @property
    def error(self) -> BaseException | None:
        """What ended the run before its time: the error of the first item, in their order, that has one."""
        return self._end.broken if self._end.failed_id is None else self._errors[self._end.failed_id]

    def run(self) -> None:
        """Go on until the end, and close; raise what a `for` loop would have raised."""
        try:
            while not self.is_over:
                self.advance()
            self.end()
        except BaseException:
            self.close(kill=True)
            raise

    def is_decided(self) -> bool:
        """Whether it is found out how to go on; if not, `advance` makes a call more for it."""
        self._ask()
        return self.policy.is_decided

    def end(self) -> None:
        """Close after the last step: calls that an error made pointless are ended where that harms nothing else.

        A process can be killed and a coroutine cancelled. A thread in a call can't be, so it is waited for, unless
        the program is to be left (Ctrl-C, sys.exit).
        """
        error, pool = self.error, self._pool
        is_leaving = error is not None and not isinstance(error, Exception)
        can_end = pool is not None and pool.can_end_calls
        self.close(kill=is_leaving or self._is_cut or (error is not None and can_end))

    def close(self, *, kill: bool) -> None:
        """End what was started. With `kill` at once."""
        self.recorder.end_ns = perf_counter_ns()
        # Forgotten when it is closed: who is interrupted meanwhile comes again.
        if self._pool is not None:
            self._pool.close(kill=kill)
            self._pool = None

    # One step.

    def advance(self) -> int:
        """Do what there is to do; then block until something more has happened.

        Returns:
            How many calls the reader of a lazy run may make itself now, one by one (`note` is to follow); mostly 0.
        """
        pace = self._pace
        if pace is not None and self._meets_deadline(pace):
            return 0
        has_made_one = False
        directives = self._ask()
        if directives.config != self._config:
            self._change_backend(directives.config)
        if self._pool is not None and directives.config == self._config:
            self._pool.shape(directives)
            if not self._feed(self._pool, directives):
                return 0
        if pace is not None and self._pool is None and self._waits_for(pace):
            return 0
        if self._leftover and self._pool is None:
            self._perform_leftover()
        elif directives.config != self._config or not (pace is None or pace.may_begin()):
            pass  # what is in hand ends first: a call made here meanwhile would overlap with it
        elif directives.inline and self._may_take() and self.source.is_ready():
            if directives.is_plain and self._is_read_directly and self._pool is None:
                return directives.inline
            # One by one where each has a time: nobody is to wait for the second who may learn that the first was late.
            count = 1 if self.limits.is_lazy and self.limits.timeout_s is not None else directives.inline
            self._accept_inline(self._perform(count))
            has_made_one = True
        elif self._pool is None:
            if not self.source.is_ready():
                self.source.wait(None if pace is None else pace.limit_s(None))
            elif self._may_take():
                self._accept_inline(self._perform(1))
        if self._pool is not None and not self.is_over:
            self._look(self._pool, 0 if has_made_one else self._patience_s(self._pool, directives.look_again_s))
        return 0

    def _waits_for(self, pace: Pace) -> bool:
        """Nothing may begin here now: wait a little. Or the next call that is to be made again is due: it is next."""
        wait_s = pace.wait_s(is_in_hand=bool(self._leftover))
        is_wanted = self._leftover or pace.waiting or (not self.source.is_exhausted and self.source.is_ready())
        if wait_s and is_wanted:
            pace.sleep(wait_s)
            return True
        if not self._leftover and (due := pace.due()) is not None:
            self._leftover.append(due)
        return False

    def note(self, finished: Finished) -> None:
        """Calls were made and read outside: their results are not kept."""
        self.policy.observe(finished)
        count = len(finished.ids)
        if count:
            self.recorder.add(finished)
            self.status.done += count
            self.sink.skip(count)
            if self.on_progress is not None:
                self.on_progress(count)
        fatal = {number: error for number, error in finished.errors.items() if self.limits.is_fatal(error)}
        if fatal:
            self._errors.update(fatal)
            self._end_by(min(fatal))
        self._check_input()

    @property
    def _is_read_directly(self) -> bool:
        """Results go to a reader who may as well make the calls; nobody else wants to see them."""
        limits = self.limits
        is_watched = self._pace is not None or self.on_result is not None
        return (
            limits.is_lazy and limits.timeout_s is None and not self._leftover and self.sink.can_skip and not is_watched
        )

    def wake(self) -> None:
        """Have `advance` return, from any thread."""
        pool, pace = self._pool, self._pace
        if pool is not None:
            pool.backend.wake()
        if pace is not None:
            pace.wake()

    @property
    def waits_for_reader(self) -> bool:
        """There is nothing to do until whoever reads a lazy run's results has taken some."""
        return self.status.blocked and self._pool is None and not self.is_over

    def poll(self) -> None:
        """Take in what has happened meanwhile and hand out more, without waiting."""
        if self._pool is not None and not self.is_over:
            self._look(self._pool, 0)
            directives = self._ask()
            if directives.config == self._config:
                self._feed(self._pool, directives)

    def _ask(self) -> Directives:
        status, pool = self.status, self._pool
        status.now_ns = perf_counter_ns()
        status.left = self._left = self.source.left
        if pool is None:
            status.in_hand = status.starting = status.ready = status.idle = status.ending = 0
        else:
            state, roster = pool.state, pool.state.roster
            status.in_hand, status.starting, status.ready = state.in_hand, roster.starting, roster.ready
            status.idle, status.ending = roster.idle, roster.ending
            if status.left is not None:
                status.left += state.waiting
        pace = self._pace
        if pace is not None and status.left is not None:
            status.left += pace.waiting
        directives = self.policy.directives(status)
        if self.limits.is_one_by_one:
            directives = directives._replace(batch=1, inline=min(directives.inline, 1))
        if pace is not None and pace.is_one_by_one:
            directives = directives._replace(inline=min(directives.inline, 1))
            if pace.rate is not None:  # each begins when it is sent
                directives = directives._replace(batch=1, ahead=0)
        status.blocked = self.limits.is_lazy and self._is_far_ahead(directives)
        return directives

    def _is_far_ahead(self, directives: Directives) -> bool:
        """The reader has enough to read, or the one it waits for holds up more than the workers need."""
        slots = directives.slots or directives.config.slots
        at_once = max(directives.workers * (slots + directives.ahead) * directives.batch, 1)
        out = 0 if self._pool is None else self._pool.state.in_hand + self._pool.state.waiting
        return self.sink.undelivered + out >= 2 * at_once

    def _may_take(self) -> bool:
        return self._end.failed_id is None and not self.source.is_exhausted and not self.status.blocked

    # The pool.

    def _change_backend(self, config: BackendConfig) -> None:
        """Let what is in hand finish, then close this back end and open the next."""
        if self._pool is not None:
            self._leftover.extend(self._pool.retreat())
            if self._pool.state.in_hand:
                return
            self._pool.close(kill=False)
            self._pool = None
        self._config = config
        if config == INLINE:
            return
        if (leave := per_worker_function("leave_thread")) is not None:
            leave()
        if self.on_pool is not None:
            self.on_pool()
        from whilst.running.calls.deferred_signals import DeferredSignals
        from whilst.running.core.worker_pool import WorkerPool

        with DeferredSignals():  # a back end that nobody knows of would never be closed
            retrying = None if self._pace is None else self._pace.retrying
            tried = None if retrying is None else retrying.tried
            self._pool = WorkerPool(self._open_backend(config), self.limits, self, self._end, tried)
        items = self.source.inheritable if config.is_forked else None
        if items is not None:
            self._pool.backend.inherit(self.job, items, self.policy.changes_items)
        self.recorder.name_workers(config.backend)

    def _feed(self, pool: WorkerPool, directives: Directives) -> bool:
        """Hand out calls as long as workers take some and the input has some. False: the policy wants others."""
        state, sent, pace = pool.state, 0, self._pace
        if pace is not None and self._end.failed_id is not None:  # an earlier call may yet fail, or come right
            while pace.may_begin() and (due := pace.due()) is not None:
                pace.begun(1)
                pool.submit(due.job, due.ids, due.items)
        while state.is_hungry:
            if pace is not None:
                if not pace.may_begin():
                    break
                if not self._leftover and (due := pace.due()) is not None:
                    self._leftover.append(due)
            sent += 1
            if sent % _LOOK_EVERY == 0 and not self.is_over:
                self._look(pool, 0)  # whoever has ended meanwhile is to be used again, before another is begun with
            if self._leftover:
                each = self._leftover.popleft()
                if pace is not None:
                    pace.begun(len(each.ids))
                pool.submit(each.job, each.ids, each.items)
                continue
            if not self._may_take() or (self.source.waits_for_calls and (state.in_hand or state.waiting)):
                break
            if not self.source.is_ready():
                break
            first = self.source.next_id
            job = self.source.job_of_next(self.job)
            items = self.source.take(self._size(pool, directives))
            if items and not self.policy.admits(first, items):
                self.source.put_back(first, items)
                return False
            if pace is not None:
                self._note_begun(pace, len(items))
            if items:
                pool.submit(job, range(first, first + len(items)), items)
            self._check_input()
            if not items:
                break
            if self.limits.is_lazy:
                self.status.blocked = self._is_far_ahead(directives)
        if self.source.is_exhausted and not state.is_input_over:
            state.is_input_over = True
        return True

    def _size(self, pool: WorkerPool, directives: Directives) -> int:
        """Batches get smaller toward the end, so that all workers end at about the same time."""
        left = self.source.left
        if left is None or directives.batch == 1:
            return directives.batch
        share = 1 if pool.backend.overlaps else 2
        even = -(-left // (share * max(directives.workers, 1)))
        return min(directives.batch, max(even, directives.least))

    def _note_begun(self, pace: Pace, calls: int) -> None:
        """So many new calls begin now; workers know their items."""
        pace.begun(calls)
        if self.source.kept is not None:
            self.source.kept.clear()

    def _patience_s(self, pool: WorkerPool, look_again_s: float | None) -> float | None:
        pace, patience_s = self._pace, None
        if not pool.state.is_idle or pool.state.roster.starting or self.source.is_ready():
            patience_s = pool.patience_s(_LONGEST_WAIT_S if look_again_s is None else look_again_s)
        # Else an input that stays open: nothing happens until there is more of it.
        return patience_s if pace is None else pace.limit_s(patience_s)

    def _look(self, pool: WorkerPool, patience_s: float | None) -> None:
        """Take in what the workers have to say."""
        events = pool.backend.events(patience_s)
        for event in events:
            self._take_in(pool, event)
        if events:
            pool.rebalance()
        pool.end_overdue()

    def _take_in(self, pool: WorkerPool, event: Event) -> None:
        if isinstance(event, Finished):
            if event.errors:
                pool.note_items(event)
            self.status.in_hand = pool.state.in_hand  # when it came: what it says may be due to the others
            if (event.errors or self.policy.inspects_values) and (refused := self.policy.retry_refused(event)):
                event = pool.turn_away(self._taken_back(pool, event), refused)
                directives = self._ask()
                if directives.config == self._config:
                    pool.shape(directives)
            elif event.errors and self._pace is not None:
                event = self._taken_back(pool, event)
            self.policy.observe(event)
            self.recorder.add(event)
            if self._pace is not None:
                self._pace.note(event)
        elif isinstance(event, WorkerFailed) and self.policy.worker_failed(self.status, event.error):
            event = event._replace(is_given_up=True)
        pool.handle(event)

    def _taken_back(self, pool: WorkerPool, event: Finished) -> Finished:
        """The answer without the calls that have failed and are to be made again later."""
        again = []
        for number, error in event.errors.items():
            call = pool.state.find(event.worker, event.number, number)
            if call is not None and self.makes_again(call[0], number, call[1], error):
                again.append(number)
        if not again:
            return event
        self._record_attempts(event, again)
        return pool.turn_away(event, again, is_withheld=True)

    def _record_attempts(self, finished: Finished, again: Sequence[int]) -> None:
        """What was tried is drawn, too."""
        if finished.starts_ns is not None:
            self.recorder.add(finished.without(set(finished.ids).difference(again)))

    def makes_again(self, job: Job, number: int, item: object, error: BaseException) -> bool:
        """This call has failed: is it to be made again later?"""
        pace, failed_id = self._pace, self._end.failed_id
        if pace is None or (failed_id is not None and number > failed_id):
            return False
        return pace.makes_again(job, number, item, error)

    # The end of the run's time.

    def _meets_deadline(self, pace: Pace) -> bool:
        """End the run if its time is over: what is done counts, all else has failed."""
        pace.begin()
        if not pace.is_late:
            return False
        pool = self._pool
        if pool is not None:
            self._look(pool, 0)
        if self.is_over:
            return True
        error = pace.late(self.status.done, self.source.length)
        if self.limits.stops_at_error or self._end.failed_id is not None:
            self._end.broken = error
            return True
        self._is_cut = True
        begun = [] if pool is None else pool.state.take_open()
        begun += [(each.job, *call) for each in self._leftover for call in zip(each.ids, each.items, strict=True)]
        self._leftover.clear()
        for job, number, item in sorted([*begun, *pace.take_all()], key=lambda call: call[1]):
            self.fail(job, number, item, pace.late(self.status.done, self.source.length))
        self._fail_rest(error)
        return True

    def _fail_rest(self, error: BaseException) -> None:
        """What of the input was not begun has failed, by one error for all."""
        source = self.source
        if source.length is None and not source.is_exhausted:  # nobody knows how many there are
            self._settle((source.next_id,), [None], {source.next_id: error})
            return
        while not source.is_exhausted:
            first = source.next_id
            items = source.take(max(source.left or 1, 1))
            if not items:
                break
            ids = range(first, first + len(items))
            self._settle(ids, [None] * len(items), dict.fromkeys(ids, error))

    # Answers.

    def _accept_inline(self, finished: Finished, batch: Batch | None = None) -> None:
        """Take in an answer from here; `batch`: what was made, where it was no part of the input."""
        if self.limits.timeout_s is not None:
            from whilst.running.core.pacing.time_limits import fail_late

            finished = fail_late(finished, self.limits.timeout_s)
        if self._pace is not None:
            finished = self._paced_inline(self._pace, finished, batch)
        if finished.ids:
            self.recorder.add(finished)
            self.deliver(finished.ids, finished)
        if finished.errors:
            fatal = [number for number, error in finished.errors.items() if self.limits.is_fatal(error)]
            if fatal:
                self._end_by(min(fatal))
        self._check_input()

    def _paced_inline(self, pace: Pace, finished: Finished, batch: Batch | None) -> Finished:
        """The answer without the calls that are to be made again; what ended after the run's time has failed."""
        pace.note(finished)
        pace.begun(len(finished.ids), finished.start_ns)
        if pace.is_late:
            finished = pace.fail_late(finished, pace.late(self.status.done, self.source.length))
        again = []
        kept = self.source.kept
        if finished.errors and kept is not None:
            items = kept if batch is None else dict(zip(batch.ids, batch.items, strict=True))
            job = self._made_as if batch is None else batch.job
            again = [
                number
                for number, error in finished.errors.items()
                if number in items and self.makes_again(job, number, items[number], error)
            ]
            if again:  # a batch ends at its first error: the rest of it was taken, and is still to be made
                pace.hold_after(job, sorted(set(items).difference(finished.ids)), items)
        if kept is not None:
            kept.clear()
        if not again:
            return finished
        self._record_attempts(finished, again)
        return finished.without(again)

    def _perform(self, count: int) -> Finished:
        self._made_as = self.source.job_of_next(self.job)
        return self.policy.perform(self._made_as, self.source, count)

    def _perform_leftover(self) -> None:
        batch = self._leftover.popleft()
        awaiter = Awaiter()
        try:
            finished = perform(batch, CALLER, Cell(), awaiter)
        finally:
            awaiter.close()
        self.policy.observe(finished)
        self._accept_inline(finished, batch)

    def _check_input(self) -> None:
        """The input may have raised: that ends the run like an error of the call that it would have been for."""
        if self.source.error is not None and self._end.failed_id is None:
            self._errors[self.source.next_id] = self.source.error
            self._end_by(self.source.next_id)
            if not self.limits.is_lazy:  # a reader is to have the results before it, as from a loop
                self._grace_until_ns = perf_counter_ns() + int(_INPUT_GRACE_S * 1e9)

    def _end_by(self, number: int) -> None:
        self._end.note_failure(number)
        if self._pool is not None:
            self._pool.end_at(number)

    def fail(self, job: Job, number: int, item: object, error: BaseException) -> None:
        """A call has failed without an answer."""
        note_item(error, job, number, item)
        self._settle((number,), [None], {number: error})

    def deliver(self, ids: Sequence[int], finished: Finished) -> None:
        """Hand on an answer, as far as it is one for these calls."""
        values = finished.values
        if ids is not finished.ids:  # some of them were settled otherwise before
            positions = {number: position for position, number in enumerate(finished.ids)}
            values = [values[positions[number]] for number in ids]
        self._settle(ids, values, finished.errors)

    def _settle(self, ids: Sequence[int], values: Sequence[object], errors: Mapping[int, BaseException]) -> None:
        """Hand values to the sink, and errors in their place where they are wanted there."""
        all_ids, all_values = ids, values
        if self._pace is not None and (retrying := self._pace.retrying) is not None:
            for number in ids:
                retrying.settle(number, errors.get(number))
        if errors:
            settled = []
            for number, value in zip(ids, values, strict=True):
                error = errors.get(number)
                if error is None:
                    settled.append((number, value))
                elif self.limits.is_fatal(error):
                    self._errors[number] = error
                    if self._pace is not None:
                        self._pace.drop_above(number)
                else:
                    settled.append((number, error))
            ids, values = [number for number, _ in settled], [value for _, value in settled]
        if ids:
            self.status.done += len(ids)
            self.sink.deliver(ids, values, errors)
            if self.on_progress is not None:
                self.on_progress(len(ids))
        if self.on_result is not None:
            for number, value in zip(all_ids, all_values, strict=True):
                self._tell(self.on_result, number, errors.get(number, value))

    def _tell(self, on_result: Callable[[int, object], object], number: int, outcome: object) -> None:
        try:
            on_result(number, outcome)
        except (StopIteration, StopAsyncIteration) as error:  # which a generator can't pass on
            raise RuntimeError(f"on_result raised {type(error).__name__} for the outcome of call {number}") from error
        except BaseException as error:
            add_note(error, f"whilst: raised by on_result, for the outcome of call {number}")
            raise
