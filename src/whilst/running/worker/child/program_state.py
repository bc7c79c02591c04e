"""What the program had set at run time, put in place in a clean worker (see `worker.parent.program_state`)."""

from __future__ import annotations

import sys
from _pickle import loads

from whilst.running.calls.bare import light_import

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def install(data: bytes) -> None:
    """Set what was sent. Raises whatever importing the modules, or setting an option, raises."""
    found = loads(data)
    if found["settings"] is not None:
        light_import("whilst.inspecting.library_settings").set_settings(loads(found["settings"]))
    for (module, path), value in (loads(found["variables"]) if found["variables"] is not None else {}).items():
        owner: Any = sys.modules.get(module) or __import__(module, fromlist=["_"])
        *within, name = path.split(".")
        for part in within:
            owner = getattr(owner, part)
        _set(owner, name, value)
    if found["main"] is not None:
        vars(sys.modules["__main__"]).update(loads(found["main"]))


def share_definitions(fn: Any) -> None:
    """Let `__main__` have what a function that came by value brought along: pickle looks it up there by its name."""
    while (inner := getattr(fn, "func", None) or getattr(fn, "__func__", None)) is not None:
        fn = inner
    scope = getattr(fn, "__globals__", None)
    main = vars(sys.modules["__main__"])
    if type(scope) is dict and scope is not main and scope.get("__name__") == "__main__":
        main.update({name: value for name, value in scope.items() if not name.startswith("__")})
        main.setdefault(getattr(fn, "__name__", "_"), fn)


def _set(owner: Any, name: str, value: Any) -> None:
    """In place where that can be: others may hold the very object."""
    there: Any = getattr(owner, name, None)
    kind: type = type(there)
    if kind is not type(value):
        setattr(owner, name, value)
    elif kind is list:
        there[:] = value
    elif kind in (dict, set):
        there.clear()
        there.update(value)
    elif hasattr(there, "__dict__") and not isinstance(there, type):
        there.__dict__.clear()
        there.__dict__.update(value.__dict__)
    else:
        setattr(owner, name, value)
