"""Large buffers in shared memory: who may write to a piece of it, and when it is free again.

A segment is a file without a name (`memfd`), mapped by both sides: there is nothing to unlink, and it is gone when
its last holder is, killed or not. New shared memory costs ten times what copying into memory that is there already
does (the kernel clears every page; measured: 9 ms against 0.7 ms for 8 MiB), so segments are kept and used again.

Each direction has a `SegmentOwner` and a `SegmentReader`, which gives segments back when it is done. A worker
hands arguments to the user's function without a copy; a segment goes back when the last view of it is gone. The
parent copies results out, into memory of its own, and gives the segment back at once: a result that the user keeps
for long would otherwise hold a descriptor and all of its neighbours.
"""

from __future__ import annotations

import gc
import mmap
import os
import sys

from whilst._light import Record
from whilst.running.worker.transport.status_page import anonymous_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_GRAIN_BYTES = 1 << 21
_KEPT_BYTES = 1 << 28
_ALIGNMENT = 64


class Place(Record):
    """Where a payload and its buffers lie: what the other side needs to find them."""

    segment: int
    size_bytes: int
    is_new: bool
    payload: tuple[int, int]
    buffers: tuple[tuple[int, int, bool], ...]
    """(offset, size, is read-only) each."""


class _Segment:
    def __init__(self, number: int, fd: int, size_bytes: int) -> None:
        self.number = number
        self.size_bytes = size_bytes
        self.map = mmap.mmap(fd, size_bytes)
        self.view: memoryview | None = None
        self.watched: Any = None
        self.baseline = 0

    def open(self) -> memoryview:
        self.view = view = memoryview(self.map)
        # Every view cut from this one holds its managed buffer: the count of references tells when all are gone.
        self.watched = next(each for each in gc.get_referents(view) if each is not self.map)
        self.baseline = sys.getrefcount(self.watched)
        return view

    def close_if_unused(self) -> bool:
        """True, and the view is released, if nobody holds a part of it any more."""
        if self.view is None:
            return True
        if sys.getrefcount(self.watched) > self.baseline:
            return False
        self.watched = None
        self.view.release()
        self.view = None
        return True

    def unmap(self) -> None:
        self.view = self.watched = None
        try:
            self.map.close()
        except BufferError:  # still looked at: unmapped with the last view
            pass


class Inline(Record):
    """A payload that travels whole, its buffers behind it: of a frame for a process that shares no memory."""

    sizes: tuple[tuple[int, bool], ...]
    """(size, is read-only): of the payload itself, then of each buffer."""

    def open(self, payload: memoryview) -> tuple[memoryview, list[memoryview]]:
        """The payload and its buffers, which are copies: what they were read into is used again."""
        parts: list[memoryview] = []
        at = 0
        for size, is_readonly in self.sizes:
            part = payload[at : at + size]
            at += size
            parts.append(part if not parts else memoryview(bytes(part) if is_readonly else bytearray(part)))
        return parts[0], parts[1:]


class SegmentOwner:
    """The writing side: finds or makes a segment for what is to be sent."""

    is_shared = True
    """Who reads is on this machine."""

    def __init__(self) -> None:
        self._free: list[_Segment] = []
        self._lent: dict[int, _Segment] = {}
        self._next = 0
        self.dropped: list[int] = []
        """Segments let go of since the other side was last told: it is to unmap them too."""

    def place(self, chunks: Sequence[Any], buffers: Sequence[memoryview]) -> tuple[Place, int]:
        """Copy all of it into one segment. Gives the place and the segment's descriptor (-1: sent before).

        The descriptor is the caller's to close once it is sent.
        """
        payload_bytes = sum(map(len, chunks))
        offset = _aligned(payload_bytes)
        needed = offset
        for buffer in buffers:
            needed += _aligned(buffer.nbytes)
        segment, fd = self._take(needed)
        at = 0
        with memoryview(segment.map) as whole:
            for chunk in chunks:
                whole[at : at + len(chunk)] = chunk
                at += len(chunk)
            places = []
            for buffer in buffers:
                size = buffer.nbytes
                whole[offset : offset + size] = buffer
                places.append((offset, size, buffer.readonly))
                offset += _aligned(size)
        self._lent[segment.number] = segment
        return Place(segment.number, segment.size_bytes, fd >= 0, (0, payload_bytes), tuple(places)), fd

    def take_back(self, numbers: Sequence[int]) -> None:
        """The other side is done with these."""
        for number in numbers:
            segment = self._lent.pop(number, None)
            if segment is not None:
                self._free.append(segment)
        kept = sum(each.size_bytes for each in self._free)
        while kept > _KEPT_BYTES:
            segment = self._free.pop(0)
            kept -= segment.size_bytes
            self.dropped.append(segment.number)
            segment.unmap()

    def close(self) -> None:
        for segment in (*self._free, *self._lent.values()):
            segment.unmap()
        self._free.clear()
        self._lent.clear()

    def _take(self, needed: int) -> tuple[_Segment, int]:
        fitting = [each for each in self._free if needed <= each.size_bytes <= max(4 * needed, _GRAIN_BYTES)]
        if fitting:
            segment = min(fitting, key=lambda each: each.size_bytes)
            self._free.remove(segment)
            return segment, -1
        size = -(-needed // _GRAIN_BYTES) * _GRAIN_BYTES
        fd = anonymous_file("whilst", size)
        try:
            segment = _Segment(self._next, fd, size)
        except BaseException:
            os.close(fd)
            raise
        self._next += 1
        return segment, fd


class Unshared(SegmentOwner):
    """The writing side where nobody who reads shares memory with this process."""

    is_shared = False


class SegmentReader:
    """The reading side."""

    def __init__(self) -> None:
        self._segments: dict[int, _Segment] = {}
        self._in_use: dict[int, _Segment] = {}

    def open(self, place: Place, fds: Sequence[int]) -> tuple[memoryview, list[memoryview]]:
        """The payload and the buffers, as views into the segment."""
        if place.is_new:
            fd = fds[0]
            try:
                self._segments[place.segment] = _Segment(place.segment, fd, place.size_bytes)
            finally:
                os.close(fd)
        segment = self._segments[place.segment]
        view = segment.open()
        self._in_use[place.segment] = segment
        start, size = place.payload
        buffers = []
        for offset, length, is_readonly in place.buffers:
            part = view[offset : offset + length]
            buffers.append(part.toreadonly() if is_readonly else part)
        return view[start : start + size], buffers

    def given_back(self) -> list[int]:
        """The segments of which no view is left; asked again later, those that were still in use."""
        if not self._in_use:
            return []
        free = [number for number, segment in self._in_use.items() if segment.close_if_unused()]
        for number in free:
            del self._in_use[number]
        return free

    def drop(self, numbers: Sequence[int]) -> None:
        """The owner has let go of these."""
        for number in numbers:
            segment = self._segments.pop(number, None)
            if segment is not None:
                self._in_use.pop(number, None)
                segment.unmap()

    def close(self) -> None:
        self._in_use.clear()
        self.drop(tuple(self._segments))


def private_copy(buffer: memoryview) -> bytes | bytearray:
    """The same bytes in this process's own memory.

    Not in huge pages, though filling them can take a quarter of the time: where memory is in pieces, the kernel first
    moves others' pages out of the way, and that took five times as long (measured: 31 ms against 6 ms for 8 MiB).
    """
    return bytes(buffer) if buffer.readonly else bytearray(buffer)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
