"""Each and any interleaving: the engine that performs them, the search over them, the verdict.

Loaded name by name: the pytest plugin lives in this room and must not pay for the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whilst._lazy import lazily

if TYPE_CHECKING:
    from whilst.checking.api import check, replay
    from whilst.checking.judge.outliving import effects_of
    from whilst.checking.question import Question
    from whilst.checking.sql import check_sql

__all__ = ["Question", "check", "check_sql", "effects_of", "replay"]

_HOMES: Final = {
    "whilst.checking.judge.outliving": ("effects_of",),
    "whilst.checking.question": ("Question",),
    "whilst.checking.sql": ("check_sql",),
    "whilst.checking.api": ("check", "replay"),
}

__getattr__, __dir__ = lazily(__name__, _HOMES)
