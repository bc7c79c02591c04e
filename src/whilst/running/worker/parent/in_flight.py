"""What a worker holds, as its parent knows it: which calls were sent, answered, taken back; and what of a dead one.

Pure book-keeping on the parent's side. Calls are numbered by serial in the order in which they were sent; the page
says how far the worker is.
"""

from __future__ import annotations

import time
from collections import deque

from whilst._light import Record
from whilst.running.worker.transport.shared_memory import SegmentOwner, SegmentReader
from whilst.running.worker.transport.status_page import AT_LOADING, BEGUN, DOING, RETIRED, SKIP_FROM, SKIP_TO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from whilst.running.jobs import Batch, Job
    from whilst.running.worker.transport.status_page import StatusPage

_FENCE_S = 5e-5
_LARGE_UNDER_WAY = 2
_FAR = (1 << 63) - 1


class Fates(Record):
    """What has become of the calls of a dead worker, by id."""

    running: list[int]
    lost: list[int]
    not_begun: list[int]
    suspects: list[tuple[Job, int]]
    """One of these ended the worker while it was unpickled."""


class OpenBatch:
    """A batch that is not answered in full. It travels as one unit; as several where it is large or suspect."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.units_left = 0


class UnsentCalls(Record):
    """Calls that are to be sent in one frame, once the worker holds little enough."""

    open_batch: OpenBatch
    ids: Sequence[int]
    items: Sequence[Any]
    types: set[type] | None = None
    """Of the items, if that is known."""
    is_large: bool = False
    is_inherited: bool = False
    """The worker has the items in its memory: their numbers are sent."""


class SentCalls:
    """Calls that were sent in one frame."""

    def __init__(self, sent: UnsentCalls, first_serial: int) -> None:
        self.open_batch = sent.open_batch
        self.first_serial = first_serial
        self.ids = sent.ids
        self.items = sent.items
        self.is_large = sent.is_large
        self.is_inherited = sent.is_inherited
        self.count = len(sent.ids)
        self.answered: set[int] | int = 0
        """How many from the front, as long as they are answered in order; else which positions."""
        self.taken: set[int] = set()
        self.is_split = False
        """Some of its arguments could not be rebuilt: the worker answers for the others one by one."""
        self.has_failed = False

    def note(self, positions: Sequence[int] | range) -> None:
        """These were answered."""
        if isinstance(self.answered, int):
            if isinstance(positions, range) and positions.start == self.answered:
                self.answered = positions.stop
                return
            self.answered = set(range(self.answered))
        self.answered.update(positions)

    def is_answered(self, position: int) -> bool:
        return position < self.answered if isinstance(self.answered, int) else position in self.answered

    @property
    def has_open(self) -> bool:
        """Something is neither answered nor taken back."""
        answered = self.answered if isinstance(self.answered, int) else len(self.answered)
        return answered + len(self.taken) < self.count or bool(self.taken and self.open_positions())

    def open_positions(self) -> list[int]:
        """Neither answered nor taken back."""
        if isinstance(self.answered, int):
            rest = range(self.answered, self.count)
            return sorted(set(rest) - self.taken) if self.taken else list(rest)
        return sorted(set(range(self.count)) - self.taken - self.answered)


class InFlight:
    """One worker's calls."""

    def __init__(self, worker: int, page: StatusPage) -> None:
        self.worker = worker
        self.page = page
        self.units: deque[SentCalls] = deque()
        self.waiting: deque[UnsentCalls] = deque()
        self.next_serial = 0
        self.jobs: dict[int, bool] = {}
        """Jobs that the worker knows (in the order in which they came), and whether by value."""
        self.segments_out = SegmentOwner()
        self.segments_in = SegmentReader()
        self.results_done_with: list[int] = []
        self.has_items = False
        """It was forked when the items of the run were there."""
        self.shares_main = False
        """What this program has in `__main__`, the worker has too."""

    @property
    def is_holding(self) -> bool:
        return bool(self.units or self.waiting)

    @property
    def is_retired(self) -> bool:
        return bool(self.page.words[RETIRED])

    def take(self, sent: UnsentCalls) -> SentCalls:
        """A unit is being sent."""
        unit = SentCalls(sent, self.next_serial)
        self.next_serial += unit.count
        self.units.append(unit)
        return unit

    @property
    def has_room(self) -> bool:
        """The next unit may be sent: at most two large ones are under way, so that their memory is used again."""
        if not self.waiting or not self.waiting[0].is_large:
            return bool(self.waiting)
        return sum(unit.is_large for unit in self.units) < _LARGE_UNDER_WAY

    def id_at(self, serial: int) -> int | None:
        """Which call that is; None where it is over and forgotten."""
        unit = self.find_unit(serial)
        return None if unit is None else unit.ids[serial - unit.first_serial]

    def find_unit(self, serial: int) -> SentCalls | None:
        for unit in self.units:
            if unit.first_serial <= serial < unit.first_serial + unit.count:
                return unit
        return None

    def running(self) -> list[tuple[int, int]]:
        found = []
        for serial, start_ns in self.page.running():
            for unit in self.units:
                position = serial - unit.first_serial
                if 0 <= position < unit.count and not unit.is_answered(position):
                    found.append((unit.ids[position], start_ns))
        return found

    def lowest_ids(self) -> Iterator[tuple[Job, int]]:
        """For each job the lowest id among the calls that have not been answered (of each unit)."""
        for unit in self.units:
            positions = unit.open_positions()
            if positions:
                yield unit.open_batch.batch.job, min(unit.ids[each] for each in positions)
        for waiting in self.waiting:
            yield waiting.open_batch.batch.job, min(waiting.ids)

    def recall_waiting(self) -> tuple[list[int], list[Batch]]:
        """Take back what has not been sent; and the batches of which nothing is left by that."""
        recalled: list[int] = []
        over: list[Batch] = []
        while self.waiting:
            waiting = self.waiting.pop()
            recalled += waiting.ids
            waiting.open_batch.units_left -= 1
            if waiting.open_batch.units_left == 0:
                over.append(waiting.open_batch.batch)
        return recalled, over

    def recall(self) -> list[int]:
        """Take back what has not begun; see `status_page` for why nothing is both taken back and made.

        Only one stretch can be out at a time: before the worker has passed it, nothing more is taken back.
        """
        words = self.page.words
        end = self.next_serial
        if words[SKIP_TO] != _FAR and words[BEGUN] < words[SKIP_TO]:
            return []
        start = self._begun() + 1
        if start >= end:
            return []
        words[SKIP_FROM] = _FAR
        words[SKIP_TO] = end
        words[SKIP_FROM] = start
        # What the worker published before it could see this has arrived by now.
        time.sleep(_FENCE_S)
        begun = self._begun()
        recalled = []
        for unit in self.units:
            first = max(0, max(start, begun + 1) - unit.first_serial)
            if first < unit.count:
                positions = [each for each in unit.open_positions() if each >= first]
                unit.taken.update(positions)
                recalled += [unit.ids[each] for each in positions]
        return recalled

    def _begun(self) -> int:
        return max((self.page.words[BEGUN], *(serial for serial, _ in self.page.running())))

    def sort_by_fate(self) -> Fates:
        """After its death: what has become of its calls."""
        running_serials = {serial for serial, _ in self.page.running()}
        begun = self._begun()
        is_loading = self.page.words[DOING] == AT_LOADING
        suspects: list[tuple[Job, int]] = []
        running: list[int] = []
        lost: list[int] = []
        not_begun: list[int] = []
        for unit in self.units:
            positions = unit.open_positions()
            if is_loading and unit.first_serial > begun:
                # It died while it unpickled this unit. Alone, the call is to blame; else they go one by one, those
                # among them too that were taken back in the meantime.
                is_loading = False
                if unit.count == 1:
                    running += [unit.ids[each] for each in positions]
                    continue
                suspects += [(unit.open_batch.batch.job, each) for each in unit.ids]
            for position in positions:
                serial = unit.first_serial + position
                fate = running if serial in running_serials else lost if serial <= begun else not_begun
                fate.append(unit.ids[position])
        for waiting in self.waiting:
            not_begun += waiting.ids
        return Fates(running, lost, not_begun, suspects)

    def close(self) -> None:
        self.segments_out.close()
        self.segments_in.close()
        self.units.clear()
        self.waiting.clear()
