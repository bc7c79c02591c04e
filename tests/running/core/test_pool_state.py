"""Random histories of a worker pool, without a thread: whatever happens, each call is settled exactly once."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from whilst.errors import WorkerDiedError
from whilst.running.core.messages import (
    Deliver,
    Fail,
    Failed,
    Recall,
    Recalled,
    Send,
    Shaped,
    Start,
    Stop,
    Submitted,
    TimedOut,
)
from whilst.running.core.pool_state import PoolState
from whilst.running.jobs import (
    Batch,
    Finished,
    Job,
    Limits,
    RunEnd,
    WorkerDied,
    WorkerFailed,
    WorkerReady,
    WorkerStopped,
)

JOB = Job(1, len)


class Worker:
    """What a back end would know of a worker: the batches it was sent, and how far it has come."""

    def __init__(self) -> None:
        self.is_ready = False
        self.is_stopping = False
        self.batches: list[tuple[Batch, list[int]]] = []
        """Each with the calls that are not answered; the first call of the first batch is the one in progress."""

    def held(self) -> list[int]:
        return [number for _, numbers in self.batches for number in numbers]


class PoolHistory(RuleBasedStateMachine):
    @initialize(
        retries=st.integers(0, 2),
        stops=st.booleans(),
        overlaps=st.booleans(),
        takes_early=st.booleans(),
        workers=st.integers(0, 4),
    )
    def begin(self, retries: int, stops: bool, overlaps: bool, takes_early: bool, workers: int) -> None:
        self.state = PoolState(
            Limits(retries=retries, stops_at_error=stops), RunEnd(), overlaps=overlaps, takes_early=takes_early
        )
        self.workers: dict[int, Worker] = {}
        self.takes_early = takes_early
        self.submitted: set[int] = set()
        self.settled: set[int] = set()
        self.timed_out: set[int] = set()
        self.begun: dict[int, int] = {}
        self.do(Shaped(workers))

    def do(self, event: object) -> None:
        todo = self.state.handle(event)  # type: ignore[arg-type]
        while todo:
            instruction = todo.pop(0)
            match instruction:
                case Start(worker):
                    assert worker not in self.workers
                    self.workers[worker] = Worker()
                case Send():
                    worker = self.workers[instruction.worker]
                    assert worker.is_ready or self.takes_early
                    assert not worker.is_stopping
                    batch = instruction.batch
                    assert len(batch.ids) == len(batch.items) > 0
                    assert [f"item {number}" for number in batch.ids] == list(batch.items)
                    worker.batches.append((batch, list(batch.ids)))
                case Deliver():
                    for number in instruction.ids:
                        self.settle(number)
                case Fail():
                    assert isinstance(instruction.error, WorkerDiedError | TimeoutError)
                    self.settle(instruction.id)
                case Stop():
                    if instruction.worker in self.workers:
                        self.workers[instruction.worker].is_stopping = True
                case Recall():
                    todo += self.state.handle(Recalled(instruction.worker, self.recall(instruction.worker)))

    def settle(self, number: int) -> None:
        assert number in self.submitted
        assert number not in self.settled
        self.settled.add(number)

    def recall(self, number: int) -> list[int]:
        """All but the call in progress, as a back end that takes back exactly."""
        worker = self.workers.get(number)
        if worker is None:
            return []
        back = worker.held()[1:]
        for _, numbers in worker.batches:
            numbers[:] = [each for each in numbers if each not in back]
        return back

    def some_worker(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.workers)))

    @rule(count=st.integers(1, 9))
    def submit(self, count: int) -> None:
        first = len(self.submitted)
        ids = range(first, first + count)
        if self.state.end.failed_id is not None:
            return  # the driver takes nothing more from the input
        self.submitted.update(ids)
        self.do(Submitted(JOB, ids, [f"item {number}" for number in ids]))

    @rule(workers=st.integers(0, 5), batch=st.integers(1, 6), ahead=st.integers(0, 2), slots=st.integers(1, 3))
    def shape(self, workers: int, batch: int, ahead: int, slots: int) -> None:
        self.do(Shaped(workers, batch, ahead, True, slots))

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def become_ready(self, data: st.DataObject) -> None:
        number = self.some_worker(data)
        if not self.workers[number].is_ready:
            self.workers[number].is_ready = True
            self.do(WorkerReady(number))

    @precondition(lambda self: any(worker.is_ready and worker.batches for worker in self.workers.values()))
    @rule(data=st.data(), is_partial=st.booleans(), fails=st.booleans(), gives_back=st.booleans())
    def finish(self, data: st.DataObject, is_partial: bool, fails: bool, gives_back: bool) -> None:
        """Answer a batch: all of it, a part while the rest goes on, or one whose rest is not made there."""
        busy = sorted(n for n, worker in self.workers.items() if worker.is_ready and worker.batches)
        number = data.draw(st.sampled_from(busy))
        worker = self.workers[number]
        batch, numbers = worker.batches[0]
        done = numbers[: max(len(numbers) // 2, 1)] if is_partial else list(numbers)
        errors: dict[int, BaseException] = {}
        is_last = gives_back or len(done) == len(numbers)
        if fails and done:
            errors = {done[-1]: ValueError()}
            if self.state.limits.stops_at_error:
                done, is_last = done[: len(done)], True
        numbers[:] = numbers[len(done) :]
        if is_last:
            worker.batches.pop(0)
        values = [None] * len(done)
        self.do(Finished(number, batch.number, done, values, 0, 1, errors, is_last=is_last))

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), lost=st.integers(0, 2))
    def die(self, data: st.DataObject, lost: int) -> None:
        number = self.some_worker(data)
        held = self.workers.pop(number).held()
        running, rest = held[:1], held[1:]
        self.do(WorkerDied(number, running, rest[lost:], rest[:lost], exit_code=-9))

    @precondition(lambda self: any(not worker.is_ready for worker in self.workers.values()))
    @rule(data=st.data())
    def fail_to_start(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(n for n, worker in self.workers.items() if not worker.is_ready)))
        del self.workers[number]
        self.do(WorkerFailed(number, OSError("no")))

    @precondition(lambda self: any(worker.is_stopping and not worker.held() for worker in self.workers.values()))
    @rule()
    def stop(self) -> None:
        number = next(n for n, worker in self.workers.items() if worker.is_stopping and not worker.held())
        del self.workers[number]
        self.do(WorkerStopped(number))

    @precondition(lambda self: self.state.limits.stops_at_error)
    @rule(ahead=st.integers(0, 3))
    def fail_elsewhere(self, ahead: int) -> None:
        self.do(Failed(len(self.submitted) + ahead))

    @precondition(lambda self: any(worker.held() for worker in self.workers.values()))
    @rule(data=st.data(), can_kill=st.booleans())
    def time_out(self, data: st.DataObject, can_kill: bool) -> None:
        number = data.draw(st.sampled_from(sorted(n for n, worker in self.workers.items() if worker.held())))
        call = self.workers[number].held()[0]
        self.timed_out.add(call)
        self.do(TimedOut(number, call, TimeoutError(), can_kill))

    @rule()
    def rebalance(self) -> None:
        for instruction in self.state.rebalance():
            assert isinstance(instruction, Recall)
            self.do(Recalled(instruction.worker, self.recall(instruction.worker)))

    @invariant()
    def counts_are_right(self) -> None:
        state = getattr(self, "state", None)
        if state is None:
            return
        open_calls = sum(len(held.open) for worker in state.workers.values() for held in worker.held.values())
        assert state.in_hand == open_calls == sum(worker.calls for worker in state.workers.values())
        assert state.roster.starting == sum(not worker.is_ready for worker in state.workers.values())
        assert state.roster.ready == sum(worker.is_usable for worker in state.workers.values())
        assert state.waiting == sum(len(each.ids) for each in state._queue)
        if state.end.broken is None:
            assert state.roster.ready + state.roster.starting >= 0

    @invariant()
    def nobody_is_idle_while_calls_wait(self) -> None:
        state = getattr(self, "state", None)
        if state is not None and state.waiting:
            assert not state.roster.idle

    def teardown(self) -> None:
        """Let everything come to its end: no call may be left over."""
        if not hasattr(self, "state"):
            return
        self.do(Shaped(2))
        for _ in range(300):
            if self.state.end.broken is not None or (self.state.is_idle and not self.state.waiting):
                break
            for number, worker in list(self.workers.items()):
                if not worker.is_ready:
                    worker.is_ready = True
                    self.do(WorkerReady(number))
                elif worker.batches:
                    batch, numbers = worker.batches.pop(0)
                    done = list(numbers)
                    self.do(Finished(number, batch.number, done, [None] * len(done), 0, 1))
                elif worker.is_stopping:
                    del self.workers[number]
                    self.do(WorkerStopped(number))
        else:
            raise AssertionError("it never ends")
        if self.state.end.broken is not None:
            return
        left = self.submitted - self.settled
        failed_id = self.state.end.failed_id
        assert all(failed_id is not None and number >= failed_id for number in left), left


TestPoolHistory = PoolHistory.TestCase
TestPoolHistory.settings = settings(
    max_examples=80, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_a_pool_whose_last_workers_can_not_be_started_goes_on_with_the_others() -> None:
    state = PoolState(Limits(), RunEnd())
    assert state.handle(Shaped(3)) == [Start(0), Start(1), Start(2)]
    state.handle(WorkerReady(0))
    again = [state.handle(WorkerFailed(number, OSError("no"))) for number in range(1, 4)]
    assert again == [[Start(3)], [Start(4)], []]
    assert state.handle(WorkerFailed(4, OSError("no"))) == []
    assert state.end.broken is None
    (sent,) = state.handle(Submitted(JOB, range(1), ["item 0"]))
    assert isinstance(sent, Send)
    assert sent.worker == 0
    assert state.handle(WorkerDied(0, [0], [], [], exit_code=-9))[-1] == Start(5)


def test_a_pool_without_any_worker_to_be_had_is_broken() -> None:
    state = PoolState(Limits(), RunEnd())
    state.handle(Shaped(2))
    for number in range(5):
        state.handle(WorkerFailed(number, OSError("no")))
    assert isinstance(state.end.broken, OSError)
