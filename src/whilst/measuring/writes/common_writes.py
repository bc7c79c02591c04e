"""What several calls of different functions change, as far as their code says: the same variable, attribute or file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from whilst.measuring.writes.abstract_value import ABSENT
from whilst.measuring.writes.scan import scan
from whilst.measuring.writes.suspects import Reach, Suspect


def changed_by_two(calls: Iterable[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]]) -> str:
    """Return what two of the calls change, in words; "" if nothing is seen.

    Not what they change with a lock held, nor what the first of them loads for all.
    """
    by: dict[tuple[object, str], int] = {}
    kept = []  # an id is an object's for as long as that is there
    for number, (fn, args, kwargs) in enumerate(calls):
        for suspect in scan(partial(fn, **kwargs) if kwargs else fn, args, how="star").suspects:
            key = _key_of(suspect)
            kept.append(suspect.root)
            if key is not None and by.setdefault(key, number) != number:
                return suspect.what
    return ""


def _key_of(suspect: Suspect) -> tuple[object, str] | None:
    if suspect.is_hint or suspect.is_locked or suspect.settles:
        return None
    if suspect.reach is Reach.STATEFUL and suspect.root is ABSENT:
        return suspect.what, ""
    is_shared = suspect.reach in (Reach.SHARED, Reach.ARGUMENT, Reach.STATEFUL)
    return (id(suspect.root), suspect.slot) if is_shared and suspect.root is not ABSENT else None
