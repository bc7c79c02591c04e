"""The parent's side of jobs, batches and answers: pickled, sent, received, rebuilt; errors made for people.

What can't be pickled never leaves: its calls are answered here. What could be pickled but not be rebuilt over there
is sent once more by value, since the usual reason is a module that only this process can import.
"""

from __future__ import annotations

import array
import itertools
from _pickle import loads

from whilst.running.call_names import describe_call
from whilst.running.jobs import Batch, Event, Finished, Job
from whilst.running.worker.captured_output import CapturedOutput
from whilst.running.worker.parent.in_flight import OpenBatch, UnsentCalls
from whilst.running.worker.parent.pickled_job import PickledJob
from whilst.running.worker.transport import messages, serialization
from whilst.running.worker.transport.messages import Answer
from whilst.running.worker.transport.status_page import FIRST_SLOT
from whilst.running.worker.transport.wire import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from whilst.running.worker.parent.in_flight import InFlight, SentCalls
    from whilst.running.worker.parent.inherited_items import InheritedItems
    from whilst.running.worker.transport.wire import Frame, FrameWriter

_KNOWN_JOBS = 16
_UNIT_BYTES = 1 << 22
_LIGHT = {int, float, bool, type(None)}
_NOT_SENT = serialization.Packed(None, [], [], {})
"""In the place of items that the worker has."""


class TaskChannel:
    """What all workers of a back end have in common."""

    def __init__(self, native_threads: int | None) -> None:
        self._native_threads = native_threads
        self._jobs: dict[Job, PickledJob] = {}
        self._keys = itertools.count()
        self._suspects: set[tuple[int, int]] = set()
        self._output = CapturedOutput()
        self.inherited: InheritedItems | None = None
        """What workers that are forked from here on need not be sent."""

    def suspect(self, calls: Iterable[tuple[Job, int]]) -> None:
        """One of these ended a worker while it was unpickled: from now on each travels alone."""
        self._suspects.update((id(job), each) for job, each in calls)

    def send(self, in_flight: InFlight, writer: FrameWriter, batch: Batch) -> list[Event]:
        """Pickle and send; gives the answers for what could not be pickled."""
        self._output.sent(batch.job, batch.ids)
        state = self._state(batch.job)
        error = state.packed(in_flight.shares_main)[1]
        if error is not None:
            return [_failed(in_flight.worker, batch, batch.ids, dict.fromkeys(batch.ids, error), is_last=True)]
        open_batch, types = OpenBatch(batch), serialization.types_of(batch.items)
        ends = [len(batch.ids)]
        inherited = self.inherited if in_flight.has_items else None
        is_inherited = inherited is not None and inherited.are_worth_it(batch.job, batch.ids, batch.items, types)
        if is_inherited:
            pass
        elif self._suspects and any((id(batch.job), each) in self._suspects for each in batch.ids):
            ends = list(range(1, len(batch.ids) + 1))
        elif not types <= _LIGHT:
            ends = _cut(batch.items)
        start = 0
        for end in ends:
            ids, items = batch.ids[start:end], batch.items[start:end]
            known = types if len(ends) == 1 else None
            part = UnsentCalls(open_batch, ids, items, known, len(ends) > 1, is_inherited)
            in_flight.waiting.append(part)
            start = end
        open_batch.units_left = len(ends)
        return self.pump(in_flight, writer)

    def note_taken_back(self, ids: Iterable[int]) -> None:
        """These have not begun, and are to be sent again."""
        self._output.taken_back(ids)

    def hold(self, in_flight: InFlight, batch: Batch) -> None:
        """Have it in hand without sending it: its worker has died, and that is about to be said."""
        open_batch = OpenBatch(batch)
        open_batch.units_left = 1
        in_flight.waiting.append(UnsentCalls(open_batch, batch.ids, batch.items))

    def pump(self, in_flight: InFlight, writer: FrameWriter) -> list[Event]:
        """Send what waits, as far as there is room."""
        events: list[Event] = []
        while in_flight.has_room:
            events += self._send_unit(in_flight, writer, in_flight.waiting.popleft())
        return events

    def receive(self, in_flight: InFlight, writer: FrameWriter, frame: Frame) -> list[Event]:
        """An answer, as what has finished."""
        answer = Answer(*frame.envelope)
        in_flight.segments_out.take_back(answer.given_back)
        values, failures = self._values(in_flight, frame, answer)
        unit = in_flight.find_unit(answer.first_serial)
        if unit is None:
            # All of it was answered or taken back, and this is the worker saying that it saw the latter.
            return []
        positions = _positions(unit, answer)
        if answer.output is not None:
            first = min(_chosen(unit.ids, positions), default=0)
            self._output.hold(answer.output, unit.open_batch.batch.job, first, in_flight.id_at)
        again: list[int] = []
        errors = self._errors(in_flight, unit, answer, positions, failures, again)
        if again:
            keep = [index for index, position in enumerate(positions) if position not in again]
            values = [values[index] for index in keep]
            positions = [positions[index] for index in keep]
        unit.note(positions)
        if errors:
            unit.has_failed = True
            self._output.failed(unit.open_batch.batch.job, errors)
        events: list[Event] = []
        if again:
            events += self._send_by_value(in_flight, writer, unit, again)
        is_last = self._settle_unit(in_flight, writer, unit, answer, events)
        events += self.pump(in_flight, writer)
        if not positions and not is_last:
            return events
        return [
            *events,
            Finished(
                in_flight.worker,
                unit.open_batch.batch.number,
                _chosen(unit.ids, positions),
                values,
                answer.start_ns,
                answer.end_ns,
                errors,
                _column(answer.starts_ns),
                _column(answer.ends_ns),
                answer.cpu_ns,
                answer.lane,
                is_last,
                held_ns=answer.held_ns,
            ),
        ]

    def recover(self, in_flight: InFlight) -> list[Event]:
        """Answers that a dead worker had kept in its page and not sent."""
        found: dict[int, tuple[SentCalls, list[int], list[object]]] = {}
        for serial, data in in_flight.page.kept():
            unit = in_flight.find_unit(serial)
            if unit is None or unit.is_answered(serial - unit.first_serial):
                continue
            try:
                value = loads(data)
            except BaseException:  # noqa: S112 - it counts as lost: the worker that could tell why is gone
                continue
            _, positions, values = found.setdefault(unit.first_serial, (unit, [], []))
            positions.append(serial - unit.first_serial)
            values.append(value)
        events: list[Event] = []
        for unit, positions, values in found.values():
            unit.note(positions)
            is_last = False
            if not unit.has_open:
                in_flight.units.remove(unit)
                unit.open_batch.units_left -= 1
                is_last = unit.open_batch.units_left == 0
            start_ns = in_flight.page.words[FIRST_SLOT + 1]
            number, ids = unit.open_batch.batch.number, _chosen(unit.ids, positions)
            events.append(Finished(in_flight.worker, number, ids, values, start_ns, start_ns, is_last=is_last))
        return events

    def replay_output(self, everybody: Iterable[InFlight], *, is_over: bool = False) -> None:
        """Say again what calls have said, in the order of the calls. `is_over`: nothing follows."""
        if not self._output.is_empty:
            self._output.say([each for in_flight in everybody for each in in_flight.lowest_ids()], is_over=is_over)

    def hold_last_output(self, data: bytes) -> None:
        """What a worker said after all of its calls: it is said in the end."""
        self._output.hold_last(data)

    def close(self) -> None:
        self.replay_output((), is_over=True)
        self._jobs.clear()
        self._suspects.clear()

    def _state(self, job: Job) -> PickledJob:
        state = self._jobs.get(job)
        if state is None:
            while len(self._jobs) >= _KNOWN_JOBS:
                self._jobs.pop(next(iter(self._jobs)))
            state = self._jobs[job] = PickledJob(job, next(self._keys))
        return state

    def _send_unit(self, in_flight: InFlight, writer: FrameWriter, waiting: UnsentCalls) -> list[Event]:
        """Send one unit; gives the answers for calls that can't be sent."""
        open_batch, ids, items = waiting.open_batch, waiting.ids, waiting.items
        batch = open_batch.batch
        job = batch.job
        state = self._state(job)
        cares, shares_main = state.cares(in_flight.shares_main), in_flight.shares_main
        packed = _NOT_SENT
        if not waiting.is_inherited:
            packed = serialization.pack(items, is_careful=cares, shares_main=shares_main, types=waiting.types)
            if packed.failures and in_flight.has_items and self.inherited is not None:
                waiting = waiting._replace(is_inherited=self.inherited.may_be_used(job, ids, items))
                packed = _NOT_SENT if waiting.is_inherited else packed
        events: list[Event] = []
        if packed.failures:
            from whilst.running.worker.transport.pickle_errors import not_picklable, noun_of

            errors: dict[int, BaseException] = {}
            for position, error in packed.failures.items():
                number, item = ids[position], items[position]
                errors[number] = not_picklable(describe_call(job, number, item), noun_of(job), item, error)
            good = [position for position in range(len(ids)) if position not in packed.failures]
            open_batch.units_left -= not good
            is_last = open_batch.units_left == 0
            events.append(_failed(in_flight.worker, batch, list(errors), errors, is_last=is_last))
            if not good:
                return events
            waiting = waiting._replace(ids=[ids[each] for each in good], items=[items[each] for each in good])
            packed = serialization.pack(waiting.items, is_careful=cares, shares_main=shares_main)
        self._introduce(in_flight, writer, state)
        unit = in_flight.take(waiting)
        parcel = serialization.parcel(packed, in_flight.segments_out)
        dropped, in_flight.segments_out.dropped = in_flight.segments_out.dropped, []
        given_back, in_flight.results_done_with = in_flight.results_done_with, []
        head = (
            batch.number,
            state.key,
            unit.first_serial,
            unit.count,
            unit.ids if job.seed is not None else None,
            batch.is_timed,
            packed.shape,
            None if parcel.place is None else tuple(parcel.place),
            given_back,
            dropped,
            _named(unit.ids) if unit.is_inherited else None,
        )
        _write(writer, messages.BATCH, head, parcel)
        return events

    def _introduce(self, in_flight: InFlight, writer: FrameWriter, state: PickledJob) -> None:
        """Send the job, unless this worker knows it as it is now."""
        cares = state.cares(in_flight.shares_main)
        if in_flight.jobs.get(state.key) == cares:
            return
        in_flight.jobs.pop(state.key, None)
        forgotten = []
        while len(in_flight.jobs) >= _KNOWN_JOBS:
            forgotten.append(next(iter(in_flight.jobs)))
            del in_flight.jobs[forgotten[-1]]
        in_flight.jobs[state.key] = cares
        parcel = serialization.parcel(state.packed(in_flight.shares_main)[0], in_flight.segments_out)
        surroundings = state.surroundings_for(in_flight.shares_main)
        _write(writer, messages.JOB, self._job_head(state, parcel, surroundings, in_flight, forgotten), parcel)

    def _job_head(
        self,
        state: PickledJob,
        parcel: serialization.Parcel,
        surroundings: bytes,
        in_flight: InFlight,
        forgotten: Sequence[int] = (),
    ) -> tuple[Any, ...]:
        job = state.job
        return (
            state.key,
            job.how,
            job.is_coroutine,
            job.seed,
            job.stops_at_error,
            self._native_threads,
            surroundings,
            state.packed(in_flight.shares_main)[0].shape,
            None if parcel.place is None else tuple(parcel.place),
            forgotten,
        )

    def _values(self, in_flight: InFlight, frame: Frame, answer: Answer) -> tuple[list[Any], dict[int, BaseException]]:
        stream, buffers = serialization.opened(answer.place, frame, in_flight.segments_in)
        values, failures = serialization.unpack(answer.shape, stream, buffers, is_copying=True)
        del stream, buffers
        if answer.place is not None:
            in_flight.results_done_with += in_flight.segments_in.given_back()
        in_flight.segments_in.drop(answer.dropped)
        return values, failures

    def _errors(
        self,
        in_flight: InFlight,
        unit: SentCalls,
        answer: Answer,
        positions: Sequence[int],
        failures: dict[int, BaseException],
        again: list[int],
    ) -> dict[int, BaseException]:
        """The errors by id; positions that are worth another try, by value, are added to `again`."""
        errors: dict[int, BaseException] = {}
        if not failures and not answer.errors:
            return errors
        # Loaded by the first failure.
        from whilst.running.worker.transport.exceptions import rebuild
        from whilst.running.worker.transport.pickle_errors import noun_of, refusal, unloadable

        job = unit.open_batch.batch.job
        for index, error in failures.items():
            name = describe_call(job, unit.ids[positions[index]], unit.items[positions[index]])
            errors[unit.ids[positions[index]]] = lost = unloadable(name, "its result", "here", error)
            lost.has_begun = True
        for index, kind, told in answer.errors or ():
            position = positions[index]
            number = unit.ids[position]
            if kind == messages.RAISED:
                errors[number] = rebuild(told)
            elif kind == messages.UNPICKLABLE:
                path, what, remedy, cause = told
                name = describe_call(job, number, unit.items[position])
                errors[number] = refused = refusal(name, "its result", (path, what, remedy), rebuild(cause))
                refused.has_begun = True
            else:
                unit.is_split = True
                if not self._state(job).cares(in_flight.shares_main):
                    again.append(position)
                    continue
                name = describe_call(job, number, unit.items[position])
                errors[number] = unloadable(name, noun_of(job), "in a worker", rebuild(told))
        return errors

    def _send_by_value(
        self, in_flight: InFlight, writer: FrameWriter, unit: SentCalls, again: list[int]
    ) -> list[Event]:
        state = self._state(unit.open_batch.batch.job)
        state.is_careful = True
        unit.taken.update(again)
        return self._resend(in_flight, writer, unit, again)

    def _resend(
        self, in_flight: InFlight, writer: FrameWriter, unit: SentCalls, positions: Sequence[int]
    ) -> list[Event]:
        ids = [unit.ids[each] for each in positions]
        items = [unit.items[each] for each in positions]
        unit.open_batch.units_left += 1
        again = UnsentCalls(unit.open_batch, ids, items, None, unit.is_large, unit.is_inherited)
        return self._send_unit(in_flight, writer, again)

    def _settle_rest(
        self, in_flight: InFlight, writer: FrameWriter, unit: SentCalls, positions: Sequence[int]
    ) -> list[Event]:
        """The worker says that it has not begun these, and won't."""
        return self._resend(in_flight, writer, unit, positions)

    def _settle_unit(
        self, in_flight: InFlight, writer: FrameWriter, unit: SentCalls, answer: Answer, events: list[Event]
    ) -> bool:
        """Note a unit that is done; True if its batch is."""
        left = unit.open_positions() if unit.has_open else []
        if left and (unit.is_split or not answer.is_last):
            return False
        if left and not (unit.open_batch.batch.job.stops_at_error and unit.has_failed):
            # Taken back in the very moment in which it was to begin: neither side has it now.
            events += self._settle_rest(in_flight, writer, unit, left)
        if not left and not answer.is_last and not unit.is_split:
            return False
        in_flight.units.remove(unit)
        unit.open_batch.units_left -= 1
        return unit.open_batch.units_left == 0


def _cut(items: Sequence[Any]) -> list[int]:
    """Where to cut a batch, so that no unit is much larger than it need be: large ones wait for each other's memory."""
    ends = []
    size = 0
    for position, item in enumerate(items):
        more = _size_of(item)
        if size and size + more > _UNIT_BYTES:
            ends.append(position)
            size = 0
        size += more
    return [*ends, len(items)]


def _size_of(item: Any) -> int:
    """About how many bytes it has, as far as that is seen at once."""
    kind = type(item)
    if kind in _LIGHT:
        return 0
    if kind is tuple:
        return sum(map(_size_of, item)) if len(item) < 16 else 0
    if kind in {str, bytes, bytearray}:
        return len(item)
    size = item.nbytes if hasattr(kind, "nbytes") else 0
    return size if type(size) is int else 0


def _named(ids: Sequence[int]) -> tuple[int, int] | list[int]:
    """The numbers of calls, as short as can be."""
    return (ids.start, ids.stop) if isinstance(ids, range) else list(ids)


def _write(writer: FrameWriter, kind: int, head: tuple[Any, ...], parcel: serialization.Parcel) -> None:
    if parcel.fd >= 0:
        writer.write(encode(kind, head, parcel.payload, 1), (parcel.fd,))
    else:
        writer.write(encode(kind, head, parcel.payload))


def _positions(unit: SentCalls, answer: Answer) -> Sequence[int]:
    """The positions within the unit, of which the answer may be for a part."""
    offset = answer.first_serial - unit.first_serial
    if isinstance(answer.positions, list):
        return [offset + each for each in answer.positions] if offset else answer.positions
    first, count = answer.positions
    return range(offset + first, offset + first + count)


def _chosen(ids: Sequence[int], positions: Sequence[int]) -> Sequence[int]:
    if isinstance(positions, range):
        return ids if len(positions) == len(ids) else ids[positions.start : positions.stop]
    return [ids[each] for each in positions]


def _column(data: bytes | None) -> Sequence[int] | None:
    if data is None:
        return None
    column = array.array("q")
    column.frombytes(data)
    return column


def _failed(
    worker: int, batch: Batch, ids: Sequence[int], errors: dict[int, BaseException], *, is_last: bool
) -> Finished:
    return Finished(worker, batch.number, ids, [None] * len(ids), 0, 0, errors, is_last=is_last)
