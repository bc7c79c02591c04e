"""What a worker holds, as its parent knows it: which calls were sent, answered, taken back; and what of a dead one.

Pure book-keeping on the parent's side. Calls are numbered by serial in the order in which they were sent; the cell
says how far the worker is.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from whilst.running.worker.cell import AT_LOADING, BEGUN, DOING, RETIRED, SKIP_FROM, SKIP_TO
from whilst.running.worker.segments import Borrower, Lender

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whilst.running.backends.base import Batch
    from whilst.running.worker.cell import Cell
    from whilst.running.worker.parcels import Parcels

__all__ = ["Hands", "OpenBatch", "Unit"]

_FENCE_S = 5e-5
_FAR = (1 << 63) - 1


class OpenBatch:
    """A batch that is not answered in full. It travels as one unit, or as several where one is suspect."""

    __slots__ = ("batch", "units_left")

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.units_left = 0


class Unit:
    """Calls that were sent in one frame."""

    __slots__ = ("answered", "count", "first_serial", "has_failed", "ids", "is_split", "items", "open_batch", "taken")

    def __init__(self, open_batch: OpenBatch, first_serial: int, ids: Sequence[int], items: Sequence[object]) -> None:
        self.open_batch = open_batch
        self.first_serial = first_serial
        self.ids = ids
        self.items = items
        self.count = len(ids)
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

    def open_positions(self) -> list[int]:
        """Neither answered nor taken back."""
        return [each for each in range(self.count) if not self.is_answered(each) and each not in self.taken]


class Hands:
    """One worker's calls."""

    __slots__ = ("borrower", "cell", "jobs", "lender", "next_serial", "results_done_with", "units", "worker")

    def __init__(self, worker: int, cell: Cell) -> None:
        self.worker = worker
        self.cell = cell
        self.units: deque[Unit] = deque()
        self.next_serial = 0
        self.jobs: dict[int, bool] = {}
        """Jobs that the worker knows (in the order in which they came), and whether by value."""
        self.lender = Lender()
        self.borrower = Borrower()
        self.results_done_with: list[int] = []

    @property
    def is_holding(self) -> bool:
        return bool(self.units)

    @property
    def is_retired(self) -> bool:
        return bool(self.cell.words[RETIRED])

    def take(self, open_batch: OpenBatch, ids: Sequence[int], items: Sequence[object]) -> Unit:
        """A unit is being sent."""
        unit = Unit(open_batch, self.next_serial, ids, items)
        self.next_serial += unit.count
        self.units.append(unit)
        open_batch.units_left += 1
        return unit

    def find_unit(self, serial: int) -> Unit | None:
        for unit in self.units:
            if unit.first_serial <= serial < unit.first_serial + unit.count:
                return unit
        return None

    def unit_at(self, serial: int) -> Unit:
        unit = self.find_unit(serial)
        assert unit is not None, f"no unit holds the call of serial {serial}"
        return unit

    def running(self) -> list[tuple[int, int]]:
        found = []
        for serial, start_ns in self.cell.running():
            for unit in self.units:
                position = serial - unit.first_serial
                if 0 <= position < unit.count and not unit.is_answered(position):
                    found.append((unit.ids[position], start_ns))
        return found

    def recall(self) -> list[int]:
        """Take back what has not begun; see `cell` for why nothing is both taken back and made.

        Only one stretch can be out at a time: before the worker has passed it, nothing more is taken back.
        """
        words = self.cell.words
        end = self.next_serial
        if words[SKIP_TO] != _FAR and words[BEGUN] < words[SKIP_TO]:
            return []
        begun = self._begun()
        start = next((first for first in self._boundaries() if first > begun + 1), end)
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
            is_timed = unit.open_batch.batch.is_timed
            if not is_timed and unit.first_serial <= begun:
                continue
            for position in range(max(0, max(start, begun + 1) - unit.first_serial), unit.count):
                if position not in unit.taken and not unit.is_answered(position):
                    unit.taken.add(position)
                    recalled.append(unit.ids[position])
        return recalled

    def _begun(self) -> int:
        return max((self.cell.words[BEGUN], *(serial for serial, _ in self.cell.running())))

    def _boundaries(self) -> list[int]:
        """Serials at which the worker looks whether to go on."""
        found: list[int] = []
        for unit in self.units:
            if unit.open_batch.batch.is_timed:
                found += range(unit.first_serial, unit.first_serial + unit.count)
            else:
                found.append(unit.first_serial)
        return found

    def sort_by_fate(self, parcels: Parcels) -> tuple[list[int], list[int], list[int]]:
        """After its death: the ids of calls (running, lost, not begun)."""
        running_serials = {serial for serial, _ in self.cell.running()}
        begun = self._begun()
        is_loading = self.cell.words[DOING] == AT_LOADING
        running: list[int] = []
        lost: list[int] = []
        not_begun: list[int] = []
        for unit in self.units:
            positions = unit.open_positions()
            if is_loading and positions and unit.first_serial > begun:
                # It died while it unpickled this unit. Alone, the call is to blame; else they go one by one.
                is_loading = False
                if unit.count == 1:
                    running.append(unit.ids[0])
                    continue
                parcels.suspect(unit.open_batch.batch, [unit.ids[each] for each in positions])
            for position in positions:
                serial = unit.first_serial + position
                fate = running if serial in running_serials else lost if serial <= begun else not_begun
                fate.append(unit.ids[position])
        return running, lost, not_begun

    def close(self) -> None:
        self.lender.close()
        self.borrower.close()
        self.units.clear()
