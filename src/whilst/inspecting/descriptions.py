"""Values as text in the manner of `repr`, from what they hold: no code of the user's is called, no address is shown.

A `__repr__` may take the very lock that a waiting task holds, and may change what it describes.
"""

from __future__ import annotations

import collections
import pathlib
import threading
from collections.abc import Sequence
from typing import Any, Final

from whilst.errors import WhilstError
from whilst.inspecting.decompose import take_apart
from whilst.inspecting.parts import atom_form, attributes, type_name

WIDTH: Final = 60
ATOMS: Final = (int, str, bytes, bool, float, type(None))
LOCKS: Final = (type(threading.Lock()), type(threading.RLock()), threading.Condition, threading.Event)


def is_dull(value: object) -> bool:
    """What no reader of an ending looks for: a lock that is free, code."""
    return isinstance(value, LOCKS) and "<locked" not in describe(value)


def short(value: object, width: int = WIDTH) -> str:
    """One line of at most `width` characters; no code of the user's is called."""
    text = " ".join(describe(value).split())
    return text if len(text) <= width else text[: width - 1] + "…"


def describe(value: Any, depth: int = 3) -> str:
    """A value as text in the manner of `repr`, from what it holds: no user's `__repr__`, no addresses."""
    if type(value) in ATOMS:
        form = atom_form(value)
        return repr(form) if type(value) is str and isinstance(form, str) else repr(value)
    if depth == 0:
        return "…"
    try:
        return _described(value, depth - 1)
    except WhilstError:
        raise
    except Exception:  # a value in an odd state must not hide the verdict
        return f"<{type_name(type(value))}>"


def _described(value: Any, depth: int) -> str:
    name = type_name(type(value)).rpartition(".")[2]
    if isinstance(value, LOCKS[:2]):
        return "<locked>" if repr(value).startswith("<locked") else "<unlocked>"
    if isinstance(value, BaseException):
        return f"{name}({_listed(value.args, depth)})"
    if isinstance(value, type):
        return value.__qualname__
    if isinstance(value, dict):
        pairs = [f"{describe(k, depth)}: {describe(v, depth)}" for k, v in list(dict.items(value))[:40]]
        inner = "{" + ", ".join(pairs) + "}"
        return inner if type(value) is dict else f"{name}({inner})"
    if isinstance(value, (list, tuple, set, frozenset, collections.deque)):
        return _container(value, name, depth)
    if isinstance(value, bytearray):
        return repr(value)
    if hasattr(value, "__qualname__"):
        return str(value.__qualname__)
    label, ordered, _ = take_apart(value)
    if isinstance(label, tuple) and label[0] == "thing":
        return f"<{name}>"
    if isinstance(label, str) and ordered:  # what it holds is all that counts: a number of ctypes, a queue
        return f"{name}({_listed(ordered, depth)})"
    held = [] if isinstance(value, pathlib.PurePath) else attributes(value)
    if held:
        return f"{name}({', '.join(f'{k}={describe(v, depth)}' for k, v in held[:12] if not is_dull(v))})"
    return label[1] if isinstance(label, tuple) and len(label) == 2 and isinstance(label[1], str) else f"<{name}>"


def _container(value: Any, name: str, depth: int) -> str:
    if isinstance(value, (set, frozenset)):
        try:
            items = sorted(value)
        except TypeError:
            items = list(value)
        inner = _listed(items, depth)
        return f"{{{inner}}}" if type(value) is set and value else f"{name}({inner})"
    inner = _listed(tuple(value), depth)
    if type(value) is list:
        return f"[{inner}]"
    if type(value) is tuple:
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return f"{name}([{inner}])"


def _listed(items: Sequence[object], depth: int) -> str:
    shown = [describe(item, depth) for item in items[:40]]
    return ", ".join([*shown, "…"] if len(items) > 40 else shown)
