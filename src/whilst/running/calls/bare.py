"""Modules of whilst in an interpreter that has not loaded whilst itself: to load all would outlast forking a worker."""

from __future__ import annotations

import sys
from _thread import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ROOT = __file__.rsplit("/running/", 1)[0]
_loading = RLock()


def light_import(name: str) -> Any:
    """Import a module of whilst that needs no other.

    Nothing stands in for whilst meanwhile: a call in another thread may be importing the real one.
    """
    if "whilst" in sys.modules:
        return __import__(name, fromlist=["_"])
    with _loading:
        module = sys.modules.get(name)
        if module is None:
            from _frozen_importlib import _load  # type: ignore[attr-defined]
            from _frozen_importlib_external import spec_from_file_location

            file = f"{_ROOT}/{'/'.join(name.split('.')[1:])}.py"
            module = _load(spec_from_file_location(name, file))
    return module


def boot(name: str) -> Any:
    """Import a module that needs others, where nothing else runs yet: empty packages stand in for those above it."""
    if "whilst" in sys.modules:
        return __import__(name, fromlist=["_"])
    stand_ins = {"whilst": _ROOT, "whilst.running": _ROOT + "/running"}
    for each, path in stand_ins.items():
        module: Any = type(sys)(each)
        module.__path__ = [path]
        sys.modules[each] = module
    try:
        return __import__(name, fromlist=["_"])
    finally:
        for each in stand_ins:
            del sys.modules[each]


def code_to_run(module: str, function: str, *arguments: int) -> str:
    """The source text by which a bare interpreter boots with that module and calls a function of it."""
    return (
        f"own = {{'__file__': {__file__!r}, '__name__': {__name__!r}}}\n"
        f"exec(open({__file__!r}, encoding='utf-8').read(), own)\n"
        f"own['boot']({module!r}).{function}(*{arguments!r})"
    )
