"""Each and any interleaving: the engine that performs them, the search over them, the verdict.

Loaded name by name: the pytest plugin lives in this room and must not pay for the engine.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from whilst.checking.outliving import effects_of
    from whilst.checking.question import Question
    from whilst.checking.sql import check_sql
    from whilst.checking.verbs import check, replay

__all__ = ["Question", "check", "check_sql", "effects_of", "replay"]

_HOMES: Final = {
    "Question": "whilst.checking.question",
    "check": "whilst.checking.verbs",
    "check_sql": "whilst.checking.sql",
    "effects_of": "whilst.checking.outliving",
    "replay": "whilst.checking.verbs",
}


def __getattr__(name: str) -> object:
    """Load a name from its module the first time it is asked for."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'whilst.checking' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
