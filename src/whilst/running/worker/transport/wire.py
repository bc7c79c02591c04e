"""Frames over a stream socket, with file descriptors where a frame brings some.

A frame is a header, an envelope (a small pickled tuple that says what this is) and a payload (bytes that only the
one concerned unpickles, because loading them may run the user's code and fail). Payloads above `INLINE_BYTES` go
through shared memory instead, so that a frame is one write and one read, and fits into the socket's buffer.
"""

from __future__ import annotations

import array
import os
from _pickle import dumps, loads
from _socket import CMSG_SPACE, MSG_DONTWAIT, SCM_RIGHTS, SOL_SOCKET
from _struct import Struct
from collections import deque

from whilst._light import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Iterator, Sequence
    from typing import Any

INLINE_BYTES = 1 << 16
_HEADER = Struct("<BBIQ")
_FIRST_ROOM_BYTES = 1 << 12
"""Most readers never hear more at once. Fresh memory is dear: the kernel clears it page by page."""
_ROOM_BYTES = 1 << 18
_MAX_FDS = 32
_ANCILLARY_BYTES = CMSG_SPACE(_MAX_FDS * 4)


class Frame(Record):
    """One message. `payload` is a view that is valid until the reader fills its buffer again."""

    kind: int
    envelope: Any
    payload: memoryview
    fds: tuple[int, ...]


def encode(kind: int, envelope: object, payload: Sequence[Any] = (), fd_count: int = 0) -> bytes:
    """One frame as bytes."""
    head = dumps(envelope, 5)
    size = sum(map(len, payload))
    return b"".join((_HEADER.pack(kind, fd_count, len(head), size), head, *payload))


def decode(data: bytes) -> Frame:
    """A frame that arrived whole, and without descriptors."""
    kind, _, head_size, _ = _HEADER.unpack_from(data)
    view = memoryview(data)[_HEADER.size :]
    return Frame(kind, loads(view[:head_size]), view[head_size:], ())


def send_all(sock: socket, data: bytes, fds: Sequence[int] = ()) -> None:
    """Write a frame, waiting until the other side has room for it."""
    sent = _send_some(sock, data, fds, 0) if fds else sock.send(data)
    if sent < len(data):
        rest = memoryview(data)[sent:]
        while rest:
            rest = rest[sock.send(rest) :]


def _send_some(sock: socket, data: Any, fds: Sequence[int], flags: int) -> int:
    return sock.sendmsg([data], [(SOL_SOCKET, SCM_RIGHTS, array.array("i", fds))], flags)


class FrameWriter:
    """The parent's half: never waits. What the socket has no room for is kept until `flush`.

    A parent that waited to write to a worker that waits to write to the parent would wait for ever.
    """

    def __init__(self, sock: socket) -> None:
        self._sock = sock
        self._kept: deque[tuple[memoryview, tuple[int, ...]]] = deque()

    @property
    def is_behind(self) -> bool:
        return bool(self._kept)

    def write(self, data: bytes, fds: tuple[int, ...] = ()) -> None:
        """Send what can be sent now. The descriptors are the writer's from here on: it closes them."""
        self._kept.append((memoryview(data), fds))
        if len(self._kept) == 1:
            self.flush()

    def flush(self) -> None:
        """Go on sending. A socket whose reader is gone drops everything: its death is reported elsewhere."""
        kept = self._kept
        try:
            while kept:
                data, fds = kept[0]
                if fds:
                    sent = _send_some(self._sock, data, fds, MSG_DONTWAIT)
                    _close(fds)
                else:
                    sent = self._sock.send(data, MSG_DONTWAIT)
                if sent < len(data):
                    kept[0] = (data[sent:], ())
                else:
                    kept.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self.drop()

    def drop(self) -> None:
        """Forget what was not sent."""
        while self._kept:
            _close(self._kept.popleft()[1])


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


class FrameReader:
    """Cuts what arrives on a socket into frames."""

    def __init__(self, sock: socket) -> None:
        sock.settimeout(None)  # the program may have set a default for all new sockets
        self._sock = sock
        self._buffer = bytearray(_FIRST_ROOM_BYTES)
        self._start = self._end = 0
        self._fds: deque[int] = deque()

    def fill(self, flags: int = 0) -> bool:
        """Read once; False at the end of the stream. With MSG_DONTWAIT it raises BlockingIOError if empty."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == len(self._buffer):
            self._make_room()
        target = memoryview(self._buffer)[self._end :]
        try:
            count, ancillary, _, _ = self._sock.recvmsg_into([target], _ANCILLARY_BYTES, flags)
        except ConnectionResetError:
            return False
        for level, kind, data in ancillary:
            if level == SOL_SOCKET and kind == SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
                self._fds.extend(numbers)
        self._end += count
        return count > 0

    def frames(self) -> Iterator[Frame]:
        """Yield the whole frames read so far. A frame's payload is to be used before the next `fill`."""
        view = memoryview(self._buffer)
        while self._end - self._start >= _HEADER.size:
            kind, fd_count, head_size, size = _HEADER.unpack_from(view, self._start)
            head_start = self._start + _HEADER.size
            payload_start = head_start + head_size
            end = payload_start + size
            if end > self._end:
                return
            self._start = end
            fds = tuple(self._fds.popleft() for _ in range(fd_count))
            yield Frame(kind, loads(view[head_start:payload_start]), view[payload_start:end], fds)

    def close(self) -> None:
        """Close descriptors that arrived and that nobody took."""
        _close(self._fds)
        self._fds.clear()

    def _make_room(self) -> None:
        """Move what is unread to the front of a new buffer, large enough for the frame that has begun."""
        needed = min(2 * len(self._buffer), _ROOM_BYTES)
        if self._end - self._start >= _HEADER.size:
            _, _, head_size, size = _HEADER.unpack_from(self._buffer, self._start)
            needed = max(needed, _HEADER.size + head_size + size)
        # A new one, since views of the old one may still be held.
        buffer = bytearray(needed)
        unread = self._end - self._start
        buffer[:unread] = memoryview(self._buffer)[self._start : self._end]
        self._buffer, self._start, self._end = buffer, 0, unread
