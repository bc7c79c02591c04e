"""Looking at objects without running any code of theirs: what their class defines, and what a key can be known by."""

from __future__ import annotations

import types
import weakref
from typing import Any

from whilst.inspecting.objects import look_up

MISSING = object()
PROXIES = weakref.ProxyTypes
_PLAIN_KEYS = frozenset({int, str, bytes, bool, type(None), float, complex, type})
_MADE_OF_PYTHON = (types.FunctionType, staticmethod, classmethod, property)


def plain_key(key: Any) -> Any:
    """A key that can be compared without running the user's `__eq__`; None (the whole) where there is none."""
    kind = type(key)
    if kind in _PLAIN_KEYS:
        return ("", key) if key is None else key
    if kind is tuple:
        parts = tuple(plain_key(part) for part in key)
        return None if None in parts else parts
    compares_by_identity = look_up(kind, "__eq__") is vars(object)["__eq__"]
    return ("id", id(key)) if compares_by_identity else None


def defines_in_python(kind: type, method: str) -> bool:
    return isinstance(look_up(kind, method), _MADE_OF_PYTHON)


def referent(proxy: Any) -> Any:
    """What a weak proxy stands for; None once that is gone, which using the proxy will say."""
    try:
        return proxy.__dir__.__self__
    except (ReferenceError, AttributeError):
        return None
