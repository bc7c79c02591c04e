"""What a value taken apart is, and how to look at an instance without running any code of its class."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Sequence
from typing import Any, Final, NamedTuple

from whilst.inspecting.objects import attributes_of, module_of


class Parts(NamedTuple):
    """One value taken apart; equal parts, level by level, mean equal values."""

    label: Hashable
    ordered: Sequence[Any] = ()
    unordered: Sequence[Any] = ()


def type_name(kind: type) -> str:
    """`int`, `OrderedDict`, `bank.Account`: the name by which a type counts."""
    if module_of(kind) in ("builtins", "collections", "__main__"):
        return kind.__qualname__
    return f"{module_of(kind)}.{kind.__qualname__}"


def attributes(value: object) -> list[tuple[str, Any]]:
    """What an instance holds in `__dict__` and in slots, sorted by name; no property is called."""
    held = dict(attributes_of(value))
    if _is_loop_bound(type(value)):  # who waits, and on which loop, is a matter of the schedule
        held = {name: item for name, item in held.items() if name not in _LOOP_BOUND}
    return sorted(held.items(), key=lambda pair: str(pair[0]))


_LOOP_BOUND: Final = ("_loop", "_waiters", "_getters", "_putters")


def _is_loop_bound(kind: type) -> bool:
    """asyncio's Lock, Event, Condition, Semaphore, Queue, Barrier; asyncio itself need not be loaded."""
    return module_of(kind).startswith("asyncio.") or any(module_of(base) == "asyncio.mixins" for base in kind.__mro__)


ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")
NO_ADDRESS: Final = " at 0x…"
_LONG: Final = 256  # longer strings are digested, so that a form stays small


def atom_form(value: Any) -> Hashable:
    """The form of an `int`, `str`, `bytes`, `bool`, `float` or None."""
    kind = type(value)
    if kind is int or value is None:
        return value  # type: ignore[no-any-return]  # an int or None
    if kind is str:
        text: str = ADDRESS.sub(NO_ADDRESS, value) if " at 0x" in value else value
        return text if len(text) <= _LONG else ("str", len(text), digest(text.encode("utf-8", "surrogatepass")))
    if kind is bytes:
        return ("bytes", value if len(value) <= _LONG else (len(value), digest(value)))
    # 1, 1.0 and True are equal in Python and are not the same outcome; repr keeps NaN equal to itself.
    return (kind.__name__, repr(value))


def digest(data: bytes) -> bytes:
    """16 bytes that stand for these."""
    return hashlib.blake2b(data, digest_size=16).digest()
