"""What a call gave, and whether two modes gave the same.

Equality is the values' own, with care where it misleads: NaN equals NaN here, arrays are compared as a whole,
values without an equality of their own by what they hold. Exceptions are the same if type and message are.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, is_dataclass
from typing import Final

from whilst.inspecting.objects import attributes_of
from whilst.running.calls.sampling import Sample, describe_error

_DEEPEST: Final = 60
_SHORT: Final = 60


@dataclass(frozen=True, slots=True)
class Failure:
    """The exception of a call, by type and message."""

    type_name: str
    message: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        return cls(*describe_error(error))

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}" if self.message else self.type_name


@dataclass(frozen=True, slots=True)
class Outcome:
    """The value of one call, or its failure."""

    value: object = None
    failure: Failure | None = None

    @classmethod
    def of(cls, sample: Sample) -> Outcome:
        return cls(sample.value) if sample.error is None else cls(failure=Failure(*sample.error))


def describe_difference(first: Sequence[Outcome], second: Sequence[Outcome]) -> str:
    """ "same", or "differs" with the first difference, or "unknown" where a value can't be compared."""
    differing: list[int] = []
    unknown: list[int] = []
    for number, (one, other) in enumerate(zip(first, second, strict=True)):
        found = _compare(one, other)
        if found is None:
            unknown.append(number)
        elif not found:
            differing.append(number)
    if differing:
        at = differing[0]
        many = f" for {len(differing):,} of {len(first):,} items" if len(differing) > 1 else ""
        return f"differs{many}: item {at} gave {_shown(second[at])}, not {_shown(first[at])}"
    if unknown:
        return f"unknown: the result of item {unknown[0]} ({_shown(second[unknown[0]])}) has no equality to compare by"
    return "same"


def is_same(one: object, other: object, depth: int = 0) -> bool | None:
    """Whether two values are equal; None if that can't be told."""
    if one is other:
        return True
    if depth > _DEEPEST:
        return None
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, (str, bytes, int)) and isinstance(other, (str, bytes, int)):
        return one == other
    # By name: a class that cloudpickle has sent to and fro may have become another object.
    if (type(one).__module__, type(one).__qualname__) != (type(other).__module__, type(other).__qualname__):
        return _by_equality(one, other) or False
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return _same_mapping(one, other, depth)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and _all(is_same(a, b, depth + 1) for a, b in zip(one, other, strict=True))
    if isinstance(one, BaseException) and isinstance(other, BaseException):
        return Failure.of(one) == Failure.of(other)
    if isinstance(one, AbstractSet):
        return _by_equality(one, other)
    if hasattr(one, "dtype") and hasattr(one, "shape"):
        return _same_array(one, other)
    return _same_object(one, other, depth)


def _compare(one: Outcome, other: Outcome) -> bool | None:
    if one.failure is not None or other.failure is not None:
        return one.failure == other.failure
    return is_same(one.value, other.value)


def _same_mapping(one: Mapping[object, object], other: Mapping[object, object], depth: int) -> bool | None:
    if len(one) != len(other) or any(key not in other for key in one):
        return False
    return _all(is_same(value, other[key], depth + 1) for key, value in one.items())


def _same_array(one: object, other: object) -> bool | None:
    """NumPy's arrays and scalars, without importing NumPy: bit for bit, else equal with NaN equal to NaN."""
    try:
        if (one.shape, one.dtype) != (other.shape, other.dtype):  # type: ignore[attr-defined]
            return False
        if one.tobytes() == other.tobytes() and not one.dtype.hasobject:  # type: ignore[attr-defined]
            return True
        return is_same(one.tolist(), other.tolist())  # type: ignore[attr-defined]
    except Exception:
        return _by_equality(one, other)


def _same_object(one: object, other: object, depth: int) -> bool | None:
    equals = getattr(one, "equals", None)
    if callable(equals):  # pandas and polars: `==` gives a frame there
        try:
            return bool(equals(other))
        except Exception:
            return None
    found = _by_equality(one, other)
    if found is True:
        return True
    if type(one).__eq__ is not object.__eq__ and not is_dataclass(one):
        return found  # its own equality has the last word; a dataclass's may be misled by a NaN in a field
    mine, theirs = dict(attributes_of(one)), dict(attributes_of(other))
    if mine or theirs:
        return is_same(mine, theirs, depth + 1)
    try:
        return True if pickle.dumps(one) == pickle.dumps(other) else None
    except Exception:
        return None


def _by_equality(one: object, other: object) -> bool | None:
    try:
        return bool(one == other)
    except Exception:
        return None


def _all(found: Iterable[bool | None]) -> bool | None:
    """Three-valued: False wins over None wins over True."""
    unknown = False
    for each in found:
        if each is False:
            return False
        unknown = unknown or each is None
    return None if unknown else True


def _shown(outcome: Outcome) -> str:
    if outcome.failure is not None:
        return f"the exception {str(outcome.failure)[:_SHORT]}"
    try:
        text = repr(outcome.value)
    except Exception:
        text = f"<{type(outcome.value).__name__}>"
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"
