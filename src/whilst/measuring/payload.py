"""What a call would have to send to another process, and how long that takes: measured by pickling it here.

Large buffers (numpy arrays, anything that speaks pickle protocol 5) are counted, not copied: the workers get
them through shared memory. Pickling runs the objects' own code, so it may fail in any way and is cut off when it
grows beyond what could ever pay.
"""

from __future__ import annotations

import pickle
import sys
import time
import types
from collections.abc import Callable
from typing import Final

from whilst._light import Record

_TOO_MUCH_BYTES: Final = 128 << 20


class Payload(Record):
    """Size of something, and how much longer than nothing it takes to pickle. `why_not`: empty where it can be sent."""

    pickled_bytes: int = 0
    buffer_bytes: int = 0
    pickle_s: float = 0.0
    why_not: str = ""

    @property
    def total_bytes(self) -> int:
        return self.pickled_bytes + self.buffer_bytes


class _TooMuchError(Exception):
    """More than `_TOO_MUCH_BYTES`: no need to know how much more."""


class _Counter:
    """A file that counts what is written to it."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: object) -> int:
        length = len(data) if isinstance(data, bytes) else memoryview(data).nbytes  # type: ignore[arg-type]
        self.size += length
        if self.size > _TOO_MUCH_BYTES:
            raise _TooMuchError
        return length


def measure(value: object, noun: str) -> Payload:
    """Pickle a value and forget the bytes.

    Args:
        value: an argument or a result.
        noun: how to call it in `why_not`, e.g. "its result".
    """
    plain = _measure(value, noun, pickle.Pickler)
    # A row of a table, whose class was made for that table: sent by value, like a function.
    if plain.why_not and _is_row(value) and not _measure(tuple(value), noun, pickle.Pickler).why_not:  # type: ignore[arg-type]
        import cloudpickle

        return _measure(value, noun, cloudpickle.Pickler)
    return plain


def measure_function(fn: Callable[..., object]) -> Payload:
    """Pickle a function as it would be sent: by reference where a worker can import it, else by value."""
    plain = _measure(fn, "the function", pickle.Pickler)
    if not plain.why_not and not _is_of_main(fn):
        return plain
    import cloudpickle

    return _measure(fn, "the function", cloudpickle.Pickler)


def _is_row(value: object) -> bool:
    """Is it a named tuple whose class can't be found by its name?"""
    kind = type(value)
    if not issubclass(kind, tuple) or not hasattr(kind, "_fields"):
        return False
    return getattr(sys.modules.get(kind.__module__), kind.__qualname__, None) is not kind


def _is_of_main(fn: object) -> bool:
    owner = fn if issubclass(type(fn), types.FunctionType | type) else type(fn)
    return getattr(owner, "__module__", None) == "__main__"


def _measure(value: object, noun: str, pickler: Callable[..., pickle.Pickler]) -> Payload:
    counter = _Counter()
    buffers: list[int] = []

    def keep_out(buffer: pickle.PickleBuffer) -> bool:
        buffers.append(memoryview(buffer).nbytes)
        return False

    try:
        # What each pickle costs, whatever is in it, is shared by all the calls of a batch. Once to load, once to see.
        for _ in range(2):
            before = time.perf_counter()
            pickler(_Counter(), 5, buffer_callback=keep_out).dump(None)
            begin = time.perf_counter()
        pickler(counter, 5, buffer_callback=keep_out).dump(value)
    except _TooMuchError:
        why_not = f"{noun} takes more than {_TOO_MUCH_BYTES >> 20} MiB to pickle"
        return Payload(_TOO_MUCH_BYTES, sum(buffers), time.perf_counter() - begin, why_not)
    except Exception as error:  # whatever the object's own code raises: it can't be sent
        text = str(error).strip().splitlines()[:1]
        return Payload(why_not=f"{noun} can't be pickled ({type(error).__name__}: {text[0] if text else 'no message'})")
    return Payload(counter.size, sum(buffers), max(0.0, (time.perf_counter() - begin) - (begin - before)))
