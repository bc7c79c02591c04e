"""Values to bytes and back, so that one bad value among many harms nobody else.

Plain values (numbers, text, and tuples of them; small arrays) travel as one pickle. Everything else is pickled one
by one into one stream: a value that can't be pickled, or can't be rebuilt, is then its own failure only, and two
calls that get the same list get a copy each, whatever batches they happen to travel in. Buffers of 64 KiB and more
stay out of the stream (pickle protocol 5) and go through shared memory; so does the stream itself once it is that
long.
"""

from __future__ import annotations

import sys
from _operator import countOf
from _pickle import Pickler, dumps, loads
from itertools import chain

from whilst._light import Record
from whilst.running.worker.transport import byvalue
from whilst.running.worker.transport.functions import Sink
from whilst.running.worker.transport.shared_memory import Inline, Place, private_copy
from whilst.running.worker.transport.wire import INLINE_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, TypeAlias

    from whilst.running.worker.transport.shared_memory import SegmentOwner, SegmentReader
    from whilst.running.worker.transport.wire import Frame

Shape: TypeAlias = tuple[list[int], list[int]] | int | None
"""Of a stream of single pickles: how long each is and how many buffers it has. One pickle of a list: how long that is,
or None if nothing in it can fail to be rebuilt."""

_PLAIN = {int, float, bool, str, bytes, complex, type(None)}
_NONE = b"N."
_LONG = {str, bytes, bytearray}
_SHORT_BYTES = 1 << 14


class Packed(Record):
    """Values as bytes. A value that failed is there as None; its error is in `failures`, by position."""

    shape: Shape
    chunks: list[bytes]
    buffers: list[memoryview]
    failures: dict[int, BaseException]


class Parcel(Record):
    """What goes into a frame: either the payload itself, or the place where it lies with its descriptor."""

    place: Place | Inline | None
    payload: list[Any]
    fd: int


def types_of(values: Sequence[object]) -> set[type]:
    """The types of the values. Most often there is one, and to count it takes two thirds of the time of a set."""
    first = type(values[0]) if values else None
    if first is not None and countOf(map(type, values), first) == len(values):
        return {first}
    return set(map(type, values))


def is_plain(values: Sequence[object], types: set[type] | None = None) -> bool:
    """One pickle will do: no value can fail, and none can be shared and changed. `types`: those of the values."""
    types = types_of(values) if types is None else types
    if types <= _PLAIN:
        return True
    return types == {tuple} and _PLAIN.issuperset(map(type, chain.from_iterable(values)))  # type: ignore[arg-type]


def are_small_arrays(values: Sequence[Any], types: set[type]) -> bool:
    """One pickle will do for different numpy arrays that hold no objects; one each would name the same things again."""
    numpy: Any = sys.modules.get("numpy")
    if len(types) != 1 or getattr(numpy, "ndarray", None) not in types:
        return False
    if any(each.nbytes >= INLINE_BYTES or each.dtype.hasobject for each in values):
        return False
    return len(set(map(id, values))) == len(values)


def pack(
    values: Sequence[object],
    *,
    is_careful: bool = False,
    shares_main: bool = False,
    types: set[type] | None = None,
) -> Packed:
    """Pickle values.

    Args:
        values: what to pickle.
        is_careful: what lives in modules that can't be imported elsewhere goes by value.
        shares_main: what lives in `__main__` need not, since the other side has the same.
        types: those of the values, where somebody has looked already.
    """
    sink = Sink()
    types = types_of(values) if types is None else types
    is_easy = is_plain(values, types)
    if is_easy or are_small_arrays(values, types):
        Pickler(sink, 5).dump(values if type(values) is list else list(values))
        return Packed(None if is_easy else len(values), sink.chunks, [], {})
    buffers: list[memoryview] = []
    pickler = Pickler(sink, 5, buffer_callback=_Outside(buffers))
    modules = byvalue.unreachable(is_careful, shares_main)
    try:
        shape = _dump_all(values, pickler, sink.chunks, buffers)
        if not byvalue.names_any(modules, sink.chunks, 0):
            return Packed(shape, sink.chunks, buffers, {})
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: S110 - which of them failed, and why, is found out below
        pass
    sink.chunks.clear()
    buffers.clear()
    return _pack_warily(values, sink, buffers, modules, is_careful)


def _dump_all(values: Sequence[object], pickler: Pickler, chunks: list[bytes], buffers: list[memoryview]) -> Shape:
    """Plain pickle for all of them, in a loop with nothing else in it."""
    dump, forget = pickler.dump, pickler.clear_memo
    marks = []
    for value in values:
        dump(value)
        forget()
        marks.append((len(chunks), len(buffers)))
    if len(chunks) == len(values) and not buffers:
        return list(map(len, chunks)), [0] * len(values)
    lengths, counts = [], []
    chunk_start = buffer_start = 0
    for chunk_end, buffer_end in marks:
        lengths.append(sum(map(len, chunks[chunk_start:chunk_end])))
        counts.append(buffer_end - buffer_start)
        chunk_start, buffer_start = chunk_end, buffer_end
    return lengths, counts


def _pack_warily(
    values: Sequence[object], sink: Sink, buffers: list[memoryview], modules: Sequence[bytes], is_careful: bool
) -> Packed:
    """One after the other, by value where plain pickle won't do, and the errors of those that can't at all."""
    chunks = sink.chunks
    lengths: list[int] = []
    counts: list[int] = []
    failures: dict[int, BaseException] = {}
    add = _Outside(buffers)
    pickler = Pickler(sink, 5, buffer_callback=add)
    for position, value in enumerate(values):
        begun, buffered = len(chunks), len(buffers)
        try:
            pickler.dump(value)
            if byvalue.names_any(modules, chunks, begun):
                raise _ByValueError
        except KeyboardInterrupt:
            raise
        except BaseException:
            del chunks[begun:]
            del buffers[buffered:]
            try:
                sink.write(byvalue.dumps(value, add, is_careful=is_careful))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a SystemExit out of somebody's __reduce__ is the failure of one value
                del chunks[begun:]
                del buffers[buffered:]
                failures[position] = error
                sink.write(_NONE)
        pickler.clear_memo()
        lengths.append(sum(map(len, chunks[begun:])))
        counts.append(len(buffers) - buffered)
    return Packed((lengths, counts), chunks, buffers, failures)


class _ByValueError(Exception):
    """Plain pickle is not good enough here."""


class _Outside:
    """A Pickler's buffer callback: False (stay out of the stream) for large contiguous buffers."""

    __slots__ = ("_buffers",)

    def __init__(self, buffers: list[memoryview]) -> None:
        self._buffers = buffers

    def __call__(self, buffer: Any) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:
            return True
        if raw.nbytes < INLINE_BYTES:
            return True
        self._buffers.append(raw)
        return False


def dumps_one(value: object, *, shares_main: bool = False) -> bytes:
    """One value as one pickle without outside buffers, by value where it must be; `shares_main` as in `pack`."""
    sink = Sink()
    try:
        Pickler(sink, 5).dump(value)
        if not byvalue.names_any(byvalue.unreachable(False, shares_main), sink.chunks, 0):
            return b"".join(sink.chunks)
    except Exception:
        return byvalue.dumps(value, None)
    return byvalue.dumps(value, None)


def dumps_short(value: object) -> bytes | None:
    """One value as a plain pickle; None where that fails, or is so long that it should not be made twice."""
    if type(value) in _LONG and len(value) > _SHORT_BYTES:  # type: ignore[arg-type]
        return None
    try:
        return dumps(value, 5, buffer_callback=_refuse_long)
    except BaseException:
        return None


def _refuse_long(buffer: Any) -> bool:
    if buffer.raw().nbytes > _SHORT_BYTES:
        raise BufferError
    return True


def parcel(packed: Packed, segments_out: SegmentOwner) -> Parcel:
    """Decide how it travels, and put it into shared memory if that is the way."""
    if not packed.buffers and sum(map(len, packed.chunks)) <= INLINE_BYTES:
        return Parcel(None, packed.chunks, -1)
    if not segments_out.is_shared:
        sizes = [(sum(map(len, packed.chunks)), True), *((each.nbytes, each.readonly) for each in packed.buffers)]
        return Parcel(Inline(tuple(sizes)), [*packed.chunks, *packed.buffers], -1)
    place, fd = segments_out.place(packed.chunks, packed.buffers)
    return Parcel(place, [], fd)


def opened(place: Place | None, frame: Frame, segments_in: SegmentReader) -> tuple[memoryview, list[memoryview]]:
    """The stream and its buffers, wherever they are."""
    if place is None:
        return frame.payload, []
    if len(place) == len(Inline._fields):  # both arrive as plain tuples
        return Inline(place[0]).open(frame.payload)  # type: ignore[arg-type]
    return segments_in.open(Place(*place), frame.fds)


def unpack(
    shape: Shape, stream: memoryview, buffers: Iterable[memoryview], *, is_copying: bool
) -> tuple[list[object], dict[int, BaseException]]:
    """The values, and by position the errors of those that can't be rebuilt (None in their place).

    `is_copying`: buffers are copied into memory of this process; otherwise values look into the segment.
    """
    if shape is None:
        return loads(stream), {}
    if isinstance(shape, int):
        try:
            return loads(stream), {}
        except BaseException as error:
            return [None] * shape, dict.fromkeys(range(shape), error)
    values: list[object] = []
    failures: dict[int, BaseException] = {}
    outside = iter(buffers)
    at = 0
    for length, count in zip(*shape, strict=True):
        own: list[Any] = [next(outside) for _ in range(count)]
        if is_copying:
            own = [private_copy(each) for each in own]
        try:
            values.append(loads(stream[at : at + length], buffers=own))
        # SystemExit and the like included: whatever a __setstate__ does, it is the failure of this value.
        except BaseException as error:
            failures[len(values)] = error
            values.append(None)
        at += length
    return values, failures
