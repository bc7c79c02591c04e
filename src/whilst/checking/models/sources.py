"""Code made or loaded at run time: what `exec` and `eval` run is rewritten like any other, an import is one step.

The same text, run again in the next execution, has the same places. What the standard library runs in this way (the
methods of a dataclass) is its own affair.
"""

from __future__ import annotations

import _thread
import builtins
import functools
import importlib
import sys
import types
from typing import Any

from whilst.checking.engine.sites import Site
from whilst.checking.observe.registry import ModelRegistry
from whilst.inspecting.ownership import is_foreign


def _run(mode: str, registry: ModelRegistry, site: Site, source: Any, *spaces: Any, **keywords: Any) -> Any:
    """exec (mode "exec") or eval ("eval"), called from code of the user's."""
    run = exec if mode == "exec" else eval
    if is_foreign(site.code.co_filename) or not isinstance(source, (str, bytes, types.CodeType)):
        return run(source, *_spaces(spaces, keywords), **keywords)
    space, names = _spaces(spaces, keywords)
    if isinstance(source, (str, bytes)) and mode == "eval":
        source = source.strip()
    return run(registry.rewrite_source(source, mode, space), space, names, **keywords)


class Imports:
    """An import in a task is no affair of others: they would find the module half loaded, which its lock prevents."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._scheduler = registry.scheduler
        self._import: Any = None
        registry.models[id(importlib.import_module)] = lambda _registry, _site, *args, **keywords: self._alone(
            importlib.import_module, *args, **keywords
        )

    def start(self) -> None:
        """From now on."""
        self._import = builtins.__import__
        builtins.__import__ = functools.partial(self._alone, self._import)

    def stop(self) -> None:
        """As before."""
        if self._import is not None:
            builtins.__import__, self._import = self._import, None

    def _alone(self, load: Any, *args: Any, **keywords: Any) -> Any:
        scheduler = self._scheduler
        if scheduler.cur < 0 or _thread.get_ident() != scheduler.ident:
            return load(*args, **keywords)
        task, scheduler.cur = scheduler.cur, -1
        try:
            return load(*args, **keywords)
        finally:
            scheduler.cur = task


def _spaces(given: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, Any]:
    """Globals and locals, those of the caller's frame where they are not given."""
    first, second, *_ = (*given, None, None)
    space, names = keywords.pop("globals", first), keywords.pop("locals", second)
    if space is None:
        frame = sys._getframe(2)  # the frame of the call
        space = frame.f_globals
        names = frame.f_locals if names is None else names
    elif "__builtins__" not in space:
        space["__builtins__"] = sys.modules["builtins"]
    return space, space if names is None else names


def install(registry: ModelRegistry) -> None:
    """Model `exec`, `eval` and imports."""
    registry.imports = Imports(registry)
    registry.models[id(exec)] = functools.partial(_run, "exec")
    registry.models[id(eval)] = functools.partial(_run, "eval")
