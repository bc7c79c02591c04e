"""What a value taken apart is, and how to look at an instance without running any code of its class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from whilst.inspecting.objects import attributes_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

__all__ = ["Parts", "attributes", "type_name"]


class Parts(NamedTuple):
    """One value taken apart; equal parts, level by level, mean equal values."""

    label: Hashable
    ordered: Sequence[Any] = ()
    unordered: Sequence[Any] = ()


def type_name(kind: type) -> str:
    """`int`, `OrderedDict`, `bank.Account`: the name by which a type counts."""
    if kind.__module__ in ("builtins", "collections", "__main__"):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def attributes(value: object) -> list[tuple[str, Any]]:
    """What an instance holds in `__dict__` and in slots, sorted by name; no property is called."""
    held = dict(attributes_of(value))
    if _is_loop_bound(type(value)):  # who waits, and on which loop, is a matter of the schedule
        held = {name: item for name, item in held.items() if name not in _LOOP_BOUND}
    return sorted(held.items(), key=lambda pair: str(pair[0]))


_LOOP_BOUND: Final = ("_loop", "_waiters", "_getters", "_putters")


def _is_loop_bound(kind: type) -> bool:
    """asyncio's Lock, Event, Condition, Semaphore, Queue, Barrier; asyncio itself need not be loaded."""
    return kind.__module__.startswith("asyncio.") or any(base.__module__ == "asyncio.mixins" for base in kind.__mro__)
