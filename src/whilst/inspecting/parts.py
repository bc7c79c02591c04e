"""What a value taken apart is, and how to look at an instance without running any code of its class."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Sequence
from typing import Any, Final, NamedTuple

from whilst.inspecting.objects import ByType, dict_of, filled_slots, module_of, slots_of


class Parts(NamedTuple):
    """One value taken apart; equal parts, level by level, mean equal values."""

    label: Hashable
    ordered: Sequence[Any] = ()
    unordered: Sequence[Any] = ()


class _Kind(NamedTuple):
    """What is found out once about a type."""

    name: str
    slots: tuple[tuple[str, Any], ...]
    is_loop_bound: bool  # asyncio's Lock, Event, Condition, Semaphore, Queue, Barrier


def type_name(kind: type) -> str:
    """`int`, `OrderedDict`, `bank.Account`: the name by which a type counts."""
    return (_KINDS.get(kind) or _met(kind)).name


def attributes(value: object) -> list[tuple[str, Any]]:
    """What an instance holds in `__dict__` and in slots, sorted by name; no property is called."""
    kind = type(value)
    known = _KINDS.get(kind) or _met(kind)
    held = dict(dict_of(value))
    if known.slots:
        held.update(filled_slots(value, known.slots))
    if known.is_loop_bound:  # who waits, and on which loop, is a matter of the schedule
        held = {name: item for name, item in held.items() if name not in _LOOP_BOUND}
    if len(held) < 2:
        return list(held.items())
    return sorted(held.items(), key=_by_name)


_LOOP_BOUND: Final = ("_loop", "_waiters", "_getters", "_putters")
_KINDS: Final[ByType[_Kind]] = ByType()


def _by_name(pair: tuple[Any, Any]) -> str:
    return str(pair[0])


def _met(kind: type) -> _Kind:
    module = module_of(kind)
    name = kind.__qualname__ if module in ("builtins", "collections", "__main__") else f"{module}.{kind.__qualname__}"
    # By name: asyncio itself need not be loaded.
    is_loop_bound = module.startswith("asyncio.") or any(module_of(base) == "asyncio.mixins" for base in kind.__mro__)
    known = _KINDS[kind] = _Kind(name, slots_of(kind), is_loop_bound)
    return known


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
