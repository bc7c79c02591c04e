"""Values there and back: plain, one by one, by value, and through shared memory."""

from __future__ import annotations

import os
import pickle
import threading
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whilst.running.worker.transport import byvalue
from whilst.running.worker.transport.serialization import dumps_short, is_plain, pack, parcel, unpack
from whilst.running.worker.transport.shared_memory import SegmentOwner, SegmentReader, private_copy


class Channel:
    """A segments_out and a segments_in, as the two ends of a worker's channel."""

    def __init__(self) -> None:
        self.segments_out = SegmentOwner()
        self.segments_in = SegmentReader()

    def carry(self, values: Sequence[Any], *, is_copying: bool) -> tuple[list[Any], dict[int, BaseException]]:
        packed = pack(values)
        sent = parcel(packed, self.segments_out)
        if sent.place is None:
            stream, buffers = memoryview(b"".join(sent.payload)), []
        else:
            stream, buffers = self.segments_in.open(sent.place, (sent.fd,))
        return unpack(packed.shape, stream, buffers, is_copying=is_copying)

    def settle(self) -> None:
        self.segments_out.take_back(self.segments_in.given_back())


@pytest.fixture
def channel() -> Iterator[Channel]:
    channel = Channel()
    yield channel
    channel.segments_out.close()
    channel.segments_in.close()


class Local:
    def __init__(self, value: object) -> None:
        self.value = value


class DiesPickled:
    def __reduce__(self) -> Any:
        raise RuntimeError("not today")


class DiesLoaded:
    def __reduce__(self) -> Any:
        return int, ("no number",)


class ExitsLoaded:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit(3)",)


VALUES = [1, "text", None, (1, 2), {"a": [1]}, {1, 2}, b"bytes", bytearray(b"x"), 1.5, range(3)]


def test_values_come_back_equal(channel: Channel) -> None:
    assert channel.carry(VALUES, is_copying=True) == (VALUES, {})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2.5, "x", None, True, b"y"], True),
        ([(1, "x"), (2, "y")], True),
        ([(1, "x"), 2], False),
        ([(1, [2])], False),
        ([[1], [2]], False),
        ([type("Int", (int,), {})(3)], False),
    ],
)
def test_only_what_cannot_fail_and_cannot_be_shared_is_plain(values: list[object], expected: bool) -> None:
    assert is_plain(values) is expected


def test_two_calls_that_get_the_same_list_get_a_copy_each(channel: Channel) -> None:
    shared = [1]
    (one, two), _ = channel.carry([shared, shared], is_copying=True)
    one.append(2)
    assert two == [1]


def test_a_value_that_can_t_be_pickled_is_the_only_failure() -> None:
    packed = pack([[1], threading.Lock(), DiesPickled(), [2]])
    assert set(packed.failures) == {1, 2}
    values, failures = unpack(packed.shape, memoryview(b"".join(packed.chunks)), [], is_copying=True)
    assert values == [[1], None, None, [2]]
    assert not failures


def test_a_value_that_can_t_be_rebuilt_is_the_only_failure(channel: Channel) -> None:
    values, failures = channel.carry([[1], DiesLoaded(), ExitsLoaded(), [2]], is_copying=True)
    assert values == [[1], None, None, [2]]
    assert isinstance(failures[1], ValueError)
    assert isinstance(failures[2], SystemExit)


def test_lambdas_and_closures_go_by_value(channel: Channel) -> None:
    offset = 5
    (add, nested), _ = channel.carry([lambda x: x + offset, {"fn": [lambda: offset]}], is_copying=True)
    assert add(1) == 6
    assert nested["fn"][0]() == 5


def test_what_lives_in_main_goes_by_value(monkeypatch: pytest.MonkeyPatch, channel: Channel) -> None:
    import sys

    main = sys.modules["__main__"]
    kind = type("Pixel", (), {"__module__": "__main__", "__qualname__": "Pixel"})
    monkeypatch.setattr(main, "Pixel", kind, raising=False)
    pixel = kind()
    pixel.x = 3
    packed = pack([pixel])
    monkeypatch.delattr(main, "Pixel")
    values, failures = unpack(packed.shape, memoryview(b"".join(packed.chunks)), [], is_copying=True)
    assert not failures
    assert values[0].x == 3


def test_a_module_that_only_this_process_has_goes_by_value_when_careful(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module = types.ModuleType("made_up_here")
    exec("def triple(x):\n    return 3 * x", module.__dict__)
    monkeypatch.setitem(sys.modules, "made_up_here", module)
    assert not byvalue.is_importable("made_up_here")
    packed = pack([module.triple], is_careful=True)
    monkeypatch.delitem(sys.modules, "made_up_here")
    values, failures = unpack(packed.shape, memoryview(b"".join(packed.chunks)), [], is_copying=True)
    assert not failures
    assert values[0](2) == 6


@pytest.mark.parametrize("name", ["json", "numpy.linalg", "whilst.errors", "concurrent.futures"])
def test_modules_on_the_path_are_importable_elsewhere(name: str) -> None:
    __import__(name)
    assert byvalue.is_importable(name)


def test_an_open_file_is_refused_rather_than_copied() -> None:
    with Path(os.devnull).open() as file:
        assert set(pack([file]).failures) == {0}


@pytest.mark.parametrize("is_copying", [True, False])
def test_arrays_travel_outside_the_stream(channel: Channel, is_copying: bool) -> None:
    arrays = [np.arange(100_000.0), np.zeros((300, 300), order="F"), np.arange(10)]
    arrays[1].setflags(write=False)
    packed = pack(arrays)
    assert len(packed.buffers) == 2
    assert sum(map(len, packed.chunks)) < 2000
    values, failures = channel.carry(arrays, is_copying=is_copying)
    assert not failures
    for value, array in zip(values, arrays, strict=True):
        assert np.array_equal(value, array)
        assert value.flags.writeable == array.flags.writeable
        assert value.flags.f_contiguous == array.flags.f_contiguous


def test_arrays_that_are_not_contiguous_or_hold_objects_travel_too(channel: Channel) -> None:
    arrays = [np.arange(200_000.0)[::2], np.array([{"a": 1}, None] * 50_000, dtype=object)]
    values, _ = channel.carry(arrays, is_copying=True)
    assert np.array_equal(values[0], arrays[0])
    assert list(values[1]) == list(arrays[1])


def test_long_byte_strings_are_not_copied_into_the_stream() -> None:
    long = os.urandom(200_000)
    packed = pack([long, [long]])
    assert sum(chunk is long for chunk in packed.chunks) == 2


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 3 << 20])
def test_sizes_around_every_threshold(channel: Channel, size: int) -> None:
    data = os.urandom(size)
    values = [data, bytearray(data), {"s": data.hex()}, np.frombuffer(data, np.uint8)]
    got, failures = channel.carry(values, is_copying=True)
    assert not failures
    assert got[:3] == values[:3]
    assert got[3].tobytes() == data


def test_a_segment_is_used_again_once_nobody_looks_into_it(channel: Channel) -> None:
    array = np.arange(100_000.0)
    for _ in range(5):
        values, _ = channel.carry([array], is_copying=False)
        del values
        channel.settle()
    assert channel.segments_out.place([b"x"], [])[0].segment == 0


def test_a_segment_that_somebody_still_looks_into_is_left_alone(channel: Channel) -> None:
    first, _ = channel.carry([np.full(100_000, 1.0)], is_copying=False)
    kept = first[0][10:20]
    del first
    channel.settle()
    second, _ = channel.carry([np.full(100_000, 2.0)], is_copying=False)
    assert kept.tolist() == [1.0] * 10
    del second, kept
    channel.settle()
    third, fd = channel.segments_out.place([b"x"], [])
    assert not third.is_new
    assert fd == -1


def test_segments_beyond_what_is_worth_keeping_are_dropped(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whilst.running.worker.transport.shared_memory._KEPT_BYTES", 3 << 20)
    values, _ = channel.carry([np.zeros(1 << 20)], is_copying=True)
    del values
    channel.settle()
    assert channel.segments_out.dropped == [0]
    channel.segments_in.drop(channel.segments_out.dropped)


@pytest.mark.parametrize("size", [10, 5 << 20])
def test_a_private_copy_is_writable_if_the_original_was(size: int) -> None:
    original = bytearray(os.urandom(size))
    copy = private_copy(memoryview(original))
    assert bytes(copy) == bytes(original)
    memoryview(copy)[0] = (original[0] + 1) % 256
    assert copy[0] != original[0]
    assert type(private_copy(memoryview(original).toreadonly())) is bytes


def test_only_short_plain_values_are_pickled_twice() -> None:
    assert pickle.loads(dumps_short({"a": 1}) or b"") == {"a": 1}
    assert dumps_short("x" * 100_000) is None
    assert dumps_short(np.zeros(100_000)) is None
    assert dumps_short(threading.Lock()) is None


@pytest.mark.parametrize(
    "view",
    [
        memoryview(b"abc"),
        memoryview(bytearray(b"abc")),
        memoryview(bytes(16)).cast("I"),
        memoryview(bytes(16)).cast("I", (2, 2)),
    ],
)
def test_a_view_of_memory_comes_as_a_view(view):
    again = pickle.loads(byvalue.dumps(view, None))
    assert type(again) is memoryview
    assert (again, again.format, again.shape, again.readonly) == (view, view.format, view.shape, view.readonly)


def test_small_arrays_travel_together_and_stay_apart(channel: Channel) -> None:
    arrays = [np.full(3, k, np.int16) for k in range(5)]
    assert isinstance(pack(arrays).shape, int)
    found, failures = channel.carry(arrays, is_copying=True)
    assert not failures
    assert [each.tolist() for each in found] == [each.tolist() for each in arrays]
    found[0][0] = 99
    assert found[1].tolist() == [1, 1, 1]


@pytest.mark.parametrize("kind", ["one array twice", "arrays of objects", "large ones", "something else among them"])
def test_arrays_that_could_fail_or_be_shared_travel_one_by_one(channel: Channel, kind: str) -> None:
    one = np.arange(4)
    arrays: list[Any] = {
        "one array twice": [one, one],
        "arrays of objects": [np.array([Local(1), "x"]), one],
        "large ones": [np.zeros(1 << 17, np.uint8), one],
        "something else among them": [one, "x"],
    }[kind]
    assert isinstance(pack(arrays).shape, tuple)
    found, failures = channel.carry(arrays, is_copying=True)
    assert not failures
    assert len(found) == 2
    assert found[0] is not found[1]
