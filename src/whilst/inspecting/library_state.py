"""What mutable objects of the standard library, numpy and pandas hold that no attribute shows.

A state is anything that compares unequal once the object has changed: a position, a length, a checksum.
"""

from __future__ import annotations

import io
import operator
import types
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from whilst.inspecting import ownership
from whilst.inspecting.objects import attributes_of, dict_of, look_up, module_of

_MOST_BYTES: Final = 4 << 20
_MOST_ELEMENTS: Final = 4096
_MOST_ATTRIBUTES: Final = 256
_ATOMS: Final = (int, float, complex, str, bytes, bool, type(None))


def _checksum(data: bytes | memoryview) -> int:
    from zlib import crc32  # few runs need it, and it takes longer to be loaded than most modules of this size

    return crc32(data)


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
        if issubclass(type(value), bytearray) or (module_of(kind) == "array" and kind.__name__ == "array"):
            return len(value), _checksum(memoryview(value).cast("B")[:_MOST_BYTES]) if len(value) else 0
        if ownership.is_c_data(value):
            return _checksum(bytes(value)[:_MOST_BYTES])
        if module_of(kind) == "_io" and kind.__name__ in ("StringIO", "BytesIO"):
            return None if value.closed else (value.tell(), len(value.getvalue()))
        if module_of(kind) == "itertools" and kind.__name__ in ("count", "repeat"):
            return repr(value)
        if module_of(kind) == "_contextvars" and kind.__name__ == "ContextVar":
            return id(value.get(None))
        if hasattr(kind, "__array_interface__") and any(module_of(base) == "PIL.Image" for base in kind.__mro__):
            return self._image(value)
        if module_of(kind) == "sqlite3" and kind.__name__ == "Connection":
            return value.total_changes
        if hasattr(kind, "makeelement") and hasattr(kind, "iter"):  # a tree of XML: how much hangs on it
            return sum(1 for _ in islice(value.iter(), _MOST_ELEMENTS)), tuple(value.attrib.items())
        if issubclass(type(value), types.GeneratorType):
            return None if value.gi_frame is None else (value.gi_frame.f_lasti, len(value.gi_frame.f_locals))
        if module_of(kind) == "builtins" and issubclass(type(value), Iterator):
            return operator.length_hint(value, -1)
        return None

    def look_at_any(self, value: Any) -> dict[str, object]:
        """State of a library's object of any kind: its position, its attributes, and where what it holds has got to."""
        kind = type(value)
        if ownership.is_lock(value) and type(getattr(value, "_value", None)) is int:  # a semaphore
            return {"its value": value._value}  # noqa: SLF001 - no public way to ask
        if ownership.is_value(kind) or ownership.is_lock(value) or module_of(kind).startswith(("asyncio", "_asyncio")):
            return {}
        state = attributes_now(value)
        state["its position"] = _position(value)
        for name, held in islice(attributes_of(value), _MOST_ATTRIBUTES):
            if issubclass(type(held), (list, deque)):  # a growing dict may be a cache: that is nobody's affair
                state[f"the length of its {name}"] = len(held)
            if hasattr(type(held), "__array_interface__"):  # what is drawn on, what is filled
                state[f"the contents of its {name}"] = self.look(held)
            if _position(held) is not None or ownership.is_generator(held):
                state[f"the position of its {name}"] = _position(held) or self.look(held)
        return state

    def _array(self, value: Any) -> object:
        """All of a small array, a sample of a big one."""
        size = int(value.nbytes)
        self._bytes += size
        try:
            if size == 0:
                return 0
            if self._bytes <= _MOST_BYTES and value.flags.c_contiguous:
                return _checksum(memoryview(value).cast("B"))
            flat = value.reshape(-1)
            return size, _checksum(flat[:: max(1, len(flat) // 4096)].tobytes())
        except (AttributeError, TypeError, ValueError):
            return id(value)

    def _image(self, value: Any) -> object:
        """The pixels of one that was read, or made; of a big one a sample. Reading one is not for us to do."""
        held = dict_of(value)
        if held.get("tile") or held.get("_im", held.get("im")) is None:
            return None
        size = value.width * value.height * len(value.getbands())
        self._bytes += size
        pixels = value if self._bytes <= _MOST_BYTES else value.resize((64, 64), 0)
        return value.mode, value.size, _checksum(pixels.tobytes())


def attributes_now(value: object) -> dict[str, object]:
    """What an object's attributes are bound to: plain values, and which objects."""
    return {
        name: held if issubclass(type(held), _ATOMS) else id(held)
        for name, held in islice(attributes_of(value), _MOST_ATTRIBUTES)
    }


def _position(value: object) -> object:
    """Where an object written in C has got to, if it can say so; files are known for what they are anyway."""
    if issubclass(type(value), io.IOBase):
        return None
    for name in ("tell", "getstate"):
        method = look_up(type(value), name)
        if issubclass(type(method), types.MethodDescriptorType):
            try:
                return method(value)
            except Exception:  # it is closed
                return None
    return None
