"""What mutable objects of the standard library, numpy and pandas hold that no attribute shows.

A state is anything that compares unequal once the object has changed: a position, a length, a checksum.
"""

from __future__ import annotations

import operator
import types
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from whilst.inspecting import ownership
from whilst.inspecting.objects import module_of

__all__ = ["LibraryState"]

_MOST_BYTES: Final = 4 << 20
_MOST_ELEMENTS: Final = 4096


class LibraryState:
    """One look at many objects: of arrays only so many bytes are read in all."""

    def __init__(self) -> None:
        self._bytes = 0

    def look(self, value: Any) -> object:
        """State of what has no Python attributes; None where it has none, or nothing is known of its kind."""
        kind = type(value)
        if module_of(kind) == "numpy" and hasattr(value, "nbytes") and hasattr(value, "dtype"):
            return self._array(value)
        if module_of(kind).startswith("numpy.random") and hasattr(value, "bit_generator"):
            return repr(value.bit_generator.state)
        if module_of(kind).startswith("numpy.random") and hasattr(value, "get_state"):
            return repr(value.get_state())
        if module_of(kind).startswith("numpy.random") and hasattr(value, "n_children_spawned"):
            return value.n_children_spawned
        if module_of(kind).partition(".")[0] == "pandas" and hasattr(value, "_mgr"):
            return tuple(self._array(block) for block in value._mgr.arrays if hasattr(block, "nbytes"))  # noqa: SLF001
        if ownership.is_generator(value):
            return hash(value.getstate())
        if isinstance(value, bytearray) or (module_of(kind) == "array" and kind.__name__ == "array"):
            return len(value), zlib.crc32(memoryview(value).cast("B")[:_MOST_BYTES]) if len(value) else 0
        if module_of(kind) == "_io" and kind.__name__ in ("StringIO", "BytesIO"):
            return None if value.closed else (value.tell(), len(value.getvalue()))
        if module_of(kind) == "itertools" and kind.__name__ in ("count", "repeat"):
            return repr(value)
        if module_of(kind) == "_contextvars" and kind.__name__ == "ContextVar":
            return id(value.get(None))
        if module_of(kind) == "sqlite3" and kind.__name__ == "Connection":
            return value.total_changes
        if hasattr(kind, "makeelement") and hasattr(kind, "iter"):  # a tree of XML: how much hangs on it
            return sum(1 for _ in islice(value.iter(), _MOST_ELEMENTS)), tuple(value.attrib.items())
        if isinstance(value, types.GeneratorType):
            return None if value.gi_frame is None else (value.gi_frame.f_lasti, len(value.gi_frame.f_locals))
        if module_of(kind) == "builtins" and isinstance(value, Iterator):
            return operator.length_hint(value, -1)
        return None

    def _array(self, value: Any) -> object:
        """All of a small array, a sample of a big one."""
        size = int(value.nbytes)
        self._bytes += size
        try:
            if size == 0:
                return 0
            if self._bytes <= _MOST_BYTES and value.flags.c_contiguous:
                return zlib.crc32(memoryview(value).cast("B"))
            flat = value.reshape(-1)
            return size, zlib.crc32(flat[:: max(1, len(flat) // 4096)].tobytes())
        except (AttributeError, TypeError, ValueError):
            return id(value)
