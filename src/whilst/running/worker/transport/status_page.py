"""What a worker is doing right now, in a page of memory that it shares with the parent.

The parent looks here instead of asking: which call is running (and since when) for a time-out, and, once a worker
has died, which calls had begun. Calls are counted through the life of a worker (*serial*): both sides count alike,
since calls begin in the order in which they were sent.

Every field is one aligned 64-bit word written by one side only. A worker publishes the serial of a call *before*
it looks whether that call was taken back (`SKIP_FROM`, `SKIP_TO`), and the parent publishes what it takes back
*before* it looks how far the worker is: whichever comes second sees the other, and takes the call as begun.
"""

from __future__ import annotations

import mmap
import os
import sys
from _struct import Struct
from collections.abc import Iterator

BEGUN = 0
"""The highest serial that has begun; below it all have."""
DOING = 1
"""AT_REST, AT_LOADING (unpickling: the user's code, but no call yet) or AT_CALLS."""
RETIRED = 2
"""1: the worker ended by itself between two batches, being over its memory limit."""
SKIP_FROM = 3
SKIP_TO = 4
_TAIL_END = 5
KEPT_COUNT = 6
"""How many results are kept: see `keep`."""
FIRST_SLOT = 8
"""From here on two words a slot: the serial of its running call or NOTHING, and when it began."""

AT_REST, AT_LOADING, AT_CALLS = 0, 1, 2
NOTHING = -1
_FAR = (1 << 63) - 1
_TAIL_BYTES = 4096
_KEPT_BYTES = 1 << 16
_KEPT_HEAD = Struct("<qI")


def anonymous_file(name: str, size_bytes: int, *, is_appended: bool = False) -> int:
    """A descriptor of memory without a name: nothing to unlink, gone with its last holder, however it ends."""
    if sys.platform == "linux":
        fd = os.memfd_create(name, os.MFD_CLOEXEC)
    else:
        import tempfile

        fd, path = tempfile.mkstemp(prefix=name)
        os.unlink(path)
    try:
        os.ftruncate(fd, size_bytes)
    except OSError:
        os.close(fd)
        raise
    if is_appended:
        import fcntl

        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)
    return fd


class StatusPage:
    """The shared pages. `words` is indexed by the names above.

    Besides: a ring of what was written to stderr last, and the results of calls that have ended since the last
    answer, so that they are not lost with a worker that dies in a later call of the same batch.
    """

    def __init__(self, fd: int, slots: int) -> None:
        self.slots = slots
        self._map = mmap.mmap(fd, self.size_bytes(slots))
        whole = memoryview(self._map)
        self._tail = whole[:_TAIL_BYTES]
        self._kept = whole[_TAIL_BYTES : _TAIL_BYTES + _KEPT_BYTES]
        self._kept_end = 0
        self.words = whole[_TAIL_BYTES + _KEPT_BYTES :].cast("q")

    @staticmethod
    def size_bytes(slots: int) -> int:
        return _TAIL_BYTES + _KEPT_BYTES + 8 * (FIRST_SLOT + 2 * slots)

    @classmethod
    def create(cls, slots: int) -> tuple[StatusPage, int]:
        """A new page and its descriptor."""
        fd = anonymous_file("whilst-page", cls.size_bytes(slots))
        try:
            page = cls(fd, slots)
        except (OSError, MemoryError):
            os.close(fd)
            raise
        words = page.words
        words[BEGUN] = NOTHING
        words[SKIP_FROM] = words[SKIP_TO] = _FAR
        for slot in range(slots):
            words[FIRST_SLOT + 2 * slot] = NOTHING
        return page, fd

    def running(self) -> Iterator[tuple[int, int]]:
        """(serial, start_ns) of each call in progress."""
        words = self.words
        for slot in range(self.slots):
            serial = words[FIRST_SLOT + 2 * slot]
            if serial != NOTHING:
                yield serial, words[FIRST_SLOT + 2 * slot + 1]

    def keep(self, serial: int, data: bytes) -> bool:
        """Keep one pickled result until `forget`; False if there is no room."""
        words = self.words
        count = words[KEPT_COUNT]
        start = self._kept_end if count else 0
        end = start + _KEPT_HEAD.size + len(data)
        if end > _KEPT_BYTES:
            return False
        _KEPT_HEAD.pack_into(self._kept, start, serial, len(data))
        self._kept[start + _KEPT_HEAD.size : end] = data
        self._kept_end = end
        # Last: a worker may die between any two of these lines.
        words[KEPT_COUNT] = count + 1
        return True

    def forget(self) -> None:
        """All that was kept has been sent."""
        self.words[KEPT_COUNT] = 0

    def kept(self) -> Iterator[tuple[int, bytes]]:
        """(serial, pickled result) of what was kept and not forgotten; some of it may have been sent."""
        at = 0
        for _ in range(self.words[KEPT_COUNT]):
            serial, size = _KEPT_HEAD.unpack_from(self._kept, at)
            at += _KEPT_HEAD.size + size
            yield serial, bytes(self._kept[at - size : at])

    def keep_tail(self, text: str) -> None:
        """Remember what was written to stderr, for the day this process dies."""
        data = text.encode("utf-8", "backslashreplace")[-_TAIL_BYTES:]
        at = self.words[_TAIL_END] % _TAIL_BYTES
        first = min(len(data), _TAIL_BYTES - at)
        self._tail[at : at + first] = data[:first]
        self._tail[: len(data) - first] = data[first:]
        self.words[_TAIL_END] += len(data)

    def tail(self) -> str:
        end = self.words[_TAIL_END]
        at = end % _TAIL_BYTES
        data = bytes(self._tail[:at]) if end < _TAIL_BYTES else bytes(self._tail[at:]) + bytes(self._tail[:at])
        return data.decode("utf-8", "replace")

    def close(self) -> None:
        self.words.release()
        self._tail.release()
        self._kept.release()
        try:
            self._map.close()
        except BufferError:  # the view between the two: freed with this object
            pass
