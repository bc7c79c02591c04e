"""Are two results the same? As a reader would say it: floats up to their last digits, dicts in the same order."""

from __future__ import annotations

import cmath
import copy
import math
import pickle
import sys
from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any, Final

from whilst.inspecting.decompose import take_apart

CLOSE: Final = 1e-9
"""Of the result: so far may floats lie apart that were added up in another grouping."""
_CLOSE_BY_BYTES: Final = {2: 1e-2, 4: 1e-4}
"""The same of shorter floats."""
_ATOMS: Final = frozenset({int, str, bytes, bool, type(None)})
_LOOKED_AT: Final = 64


def same(one: Any, other: Any, close: float = CLOSE, scale: float = 0.0) -> bool:
    """Whether both are of one type and hold the same. NaN is like NaN.

    Keys of a dict must come in the same order: whoever loops over it would see another result.

    Args:
        close: so far may floats lie apart, as a part of the larger one; 0: not at all.
        scale: or as a part of this, where it is more: of what they were added up from, though they are near zero. Where
            it is given, one that ran over may be any.
    """
    if one is other:
        return True
    kind = type(one)
    if kind is not type(other):
        return False
    if kind in _ATOMS:
        return bool(one == other)
    if kind is float:
        return (
            one == other
            or (one != one and other != other)
            or math.isclose(one, other, rel_tol=close, abs_tol=close * scale)
            or (scale > 0 and not math.isfinite(one - other))
        )
    if kind is complex:
        return one == other or cmath.isclose(one, other, rel_tol=close, abs_tol=close * scale)
    library = _LIBRARIES.get(kind.__module__.partition(".")[0])
    if library is not None:
        return library(one, other, close, scale)
    if isinstance(one, dict):
        if _are_atoms(one.values()) and one == other:  # by C alone
            return list(one) == list(other)
        if len(one) != len(other) or any(map(_differ, one, other)):
            return False
        return _all_same(one.values(), other.values(), close, scale)
    if kind in (list, tuple):
        if _are_atoms(one) and one == other:
            return True
        return len(one) == len(other) and _all_same(one, other, close, scale)
    return _are_equal(one, other) or _have_same_parts(one, other, close, scale)


def same_at_scale(one: Any, other: Any, *made_from: Any) -> bool:
    """Whether both are the same, where floats that cancel out may differ by what is little for those they came from."""
    if same(one, other):
        return True
    scale = max(map(_magnitude, (one, other, *made_from)))
    return scale > 0 and same(one, other, CLOSE, scale)


def _all_same(one: Iterable[Any], other: Iterable[Any], close: float, scale: float) -> bool:
    return all(map(same, one, other, repeat(close), repeat(scale)))


def _are_atoms(values: Iterable[Any]) -> bool:
    return _ATOMS.issuperset(map(type, values))


def _differ(one: object, other: object) -> bool:
    return one is not other and not _are_equal(one, other)


def _are_equal(one: object, other: object) -> bool:
    try:
        return bool(one == other)
    except Exception:  # whatever a class of the user's raises: its attributes are looked at then
        return False


def _have_same_parts(one: Any, other: Any, close: float, scale: float) -> bool:
    if isinstance(one, set | frozenset):
        return False
    parts, others = take_apart(one), take_apart(other)
    if parts.label != others.label or len(parts.ordered) != len(others.ordered):
        return False
    if not parts.ordered and not parts.unordered:
        try:  # opaque, or nothing but a label
            return pickle.dumps(one) == pickle.dumps(other)
        except Exception:
            return False
    if len(parts.unordered) != len(others.unordered):
        return False
    return _all_same(parts.ordered, others.ordered, close, scale) and _all_same(
        parts.unordered, others.unordered, close, scale
    )


def _same_in_numpy(one: Any, other: Any, close: float, scale: float) -> bool:
    numpy: Any = sys.modules["numpy"]
    if not isinstance(one, numpy.ndarray | numpy.generic):
        return _are_equal(one, other)
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.hasobject:
        return same(one.tolist(), other.tolist(), close, scale)
    if one.dtype.kind not in "fc":
        return bool(numpy.array_equal(one, other))
    size = one.dtype.itemsize // (2 if one.dtype.kind == "c" else 1)
    close = close and _CLOSE_BY_BYTES.get(size, close)
    if scale:
        is_finite = numpy.isfinite(one) & numpy.isfinite(other)
        one, other = one[is_finite], other[is_finite]
    return bool(numpy.allclose(one, other, rtol=close, atol=close * scale, equal_nan=True))


def _same_in_pandas(one: Any, other: Any, close: float, scale: float) -> bool:
    testing: Any = sys.modules["pandas"].testing
    name = type(one).__name__
    compare = getattr(testing, {"DataFrame": "assert_frame_equal", "Series": "assert_series_equal"}.get(name, ""), None)
    if compare is None:
        equals = getattr(one, "equals", None)
        return bool(equals(other)) if equals else _are_equal(one, other)
    try:
        compare(one, other, rtol=close, atol=close * scale, check_freq=False)
    except AssertionError:
        return False
    return True


def _same_in_polars(one: Any, other: Any, close: float, scale: float) -> bool:
    if hasattr(one, "columns"):
        columns = zip(one.get_columns(), other.get_columns(), strict=False)
        return one.schema == other.schema and all(_same_in_polars(*pair, close, scale) for pair in columns)
    if not hasattr(one, "to_list"):
        return _are_equal(one, other)
    return one.dtype == other.dtype and one.name == other.name and same(one.to_list(), other.to_list(), close, scale)


_LIBRARIES: Final[dict[str, Callable[[Any, Any, float, float], bool]]] = {
    "numpy": _same_in_numpy, "pandas": _same_in_pandas, "polars": _same_in_polars,
}  # fmt: skip


def _magnitude(value: Any, depth: int = 4) -> float:
    """Of the largest finite float in it, as far as it is looked into; 0 is for none."""
    if isinstance(value, float | complex):
        return abs(value) if cmath.isfinite(value) else 0.0
    if not depth or type(value) in _ATOMS:
        return 0.0
    if hasattr(value, "dtype") or hasattr(value, "dtypes"):
        value = value.to_numpy() if hasattr(value, "to_numpy") else value
        value = value.ravel().tolist()
    elif isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple | set | frozenset):
        value = take_apart(value).ordered
    return max((_magnitude(each, depth - 1) for each in value), default=0.0)


def copied(value: Any) -> Any:
    """A copy that shares nothing that could be changed.

    Raises:
        Exception: it can't be copied; of its own, or of `copy.deepcopy`.
    """
    if type(value) in _ATOMS or type(value) in (float, complex):
        return value
    try:  # as an answer comes from a worker; of large dicts four times as fast as deepcopy
        return pickle.loads(pickle.dumps(value, 5))
    except Exception:
        return copy.deepcopy(value)


def holds_floats(value: Any, depth: int = 3) -> bool:
    """Whether there are floats in it, as far as a look at its first parts tells."""
    if type(value) in _ATOMS:
        return False
    if isinstance(value, float | complex):
        return True
    dtype = getattr(value, "dtype", None)
    if dtype is not None and getattr(dtype, "kind", "") in ("f", "c"):
        return True
    if not depth:
        return False
    if isinstance(value, dict):
        value = value.values()
    elif hasattr(value, "dtypes") and hasattr(value, "columns"):
        return any(getattr(each, "kind", "f" if "Float" in str(each) else "") == "f" for each in value.dtypes)
    elif not isinstance(value, list | tuple | set | frozenset):
        value = getattr(value, "__dict__", {}).values()
    return any(holds_floats(each, depth - 1) for _, each in zip(range(_LOOKED_AT), value, strict=False))
