"""Frames: cut, put together again, with descriptors, and never waiting on the parent's side."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from whilst.running.worker.transport.wire import FrameReader, FrameWriter, encode, send_all


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    yield one, other
    one.close()
    other.close()


def test_a_frame_arrives_as_it_was_sent(pair: tuple[socket.socket, socket.socket]) -> None:
    send_all(pair[0], encode(7, ("head", 1), [b"pay", b"load"]))
    reader = FrameReader(pair[1])
    assert reader.fill()
    [(kind, envelope, payload, fds)] = [(f.kind, f.envelope, bytes(f.payload), f.fds) for f in reader.frames()]
    assert (kind, envelope, payload, fds) == (7, ("head", 1), b"payload", ())


@pytest.mark.parametrize("cut", [1, 5, 14, 15, 40])
def test_frames_survive_being_cut_anywhere(pair: tuple[socket.socket, socket.socket], cut: int) -> None:
    data = b"".join(encode(1, number, [bytes([number]) * 30]) for number in range(5))
    reader = FrameReader(pair[1])
    seen = []
    for start in range(0, len(data), cut):
        pair[0].sendall(data[start : start + cut])
        assert reader.fill()
        seen += [(frame.envelope, bytes(frame.payload)) for frame in reader.frames()]
    assert seen == [(number, bytes([number]) * 30) for number in range(5)]


def test_a_frame_larger_than_the_reader_s_buffer_arrives(pair: tuple[socket.socket, socket.socket]) -> None:
    big = os.urandom(1 << 20)
    writer = FrameWriter(pair[0])
    writer.write(encode(1, None, [b"first"]))
    writer.write(encode(2, None, [big]))
    reader = FrameReader(pair[1])
    seen: list[bytes] = []
    while len(seen) < 2:
        writer.flush()
        assert reader.fill()
        seen += [bytes(frame.payload) for frame in reader.frames()]
    assert seen == [b"first", big]


def test_the_writer_keeps_what_the_socket_has_no_room_for(pair: tuple[socket.socket, socket.socket]) -> None:
    writer = FrameWriter(pair[0])
    while not writer.is_behind:
        writer.write(encode(1, None, [bytes(1 << 16)]))
    writer.write(encode(2, "last"))
    reader = FrameReader(pair[1])
    last = None
    while last is None:
        assert reader.fill()
        last = next((frame.envelope for frame in reader.frames() if frame.kind == 2), None)
        writer.flush()
    assert last == "last"
    assert not writer.is_behind


def test_the_writer_does_not_mind_that_the_reader_is_gone(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].close()
    writer = FrameWriter(pair[0])
    writer.write(encode(1, None))
    writer.write(encode(2, None))
    assert not writer.is_behind


def test_descriptors_travel_with_their_frame_and_are_closed_here(pair: tuple[socket.socket, socket.socket]) -> None:
    writer = FrameWriter(pair[0])
    fds = [os.memfd_create(f"test-{number}") for number in range(3)]
    for number, fd in enumerate(fds):
        os.write(fd, b"%d" % number)
        writer.write(encode(1, number, (), 1), (fd,))
    reader = FrameReader(pair[1])
    seen = []
    while len(seen) < 3:
        assert reader.fill()
        seen += list(reader.frames())
    for number, frame in enumerate(seen):
        assert os.pread(frame.fds[0], 9, 0) == b"%d" % number
        os.close(frame.fds[0])


def test_descriptors_nobody_took_are_closed_with_the_reader(pair: tuple[socket.socket, socket.socket]) -> None:
    fd = os.memfd_create("test")
    send_all(pair[0], encode(1, None, (), 1), (fd,))
    os.close(fd)
    reader = FrameReader(pair[1])
    assert reader.fill()
    reader.close()


def test_the_end_of_the_stream_is_told_from_silence(pair: tuple[socket.socket, socket.socket]) -> None:
    reader = FrameReader(pair[1])
    with pytest.raises(BlockingIOError):
        reader.fill(socket.MSG_DONTWAIT)
    pair[0].close()
    assert not reader.fill(socket.MSG_DONTWAIT)
