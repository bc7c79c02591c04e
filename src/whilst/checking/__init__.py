"""Checking: is the outcome of tasks the same in each and any interleaving?

A question goes through the rooms in this order:

    api            the verbs: a `Question` (setup, tasks, what counts as the outcome) and a budget
    answering/     one question from the first execution to the verdict; many random ones for calls on one object
    search/        which execution comes next: optimal DPOR, preemption bounds, PCT; `parallel` shares it out
    explorer/      runs one execution from a list of choices and says how it ended
    instrument/    rewrites the tasks' code, with a hook ahead of each instruction that may touch something shared
    observe/       the hooks: what is touched is logged, or an event where two tasks meet
    models/        what blocks, starts threads or tells the time is replaced by a model
    engine/        the scheduler: tasks are greenlets; at each event it decides who goes next and writes the trace
    search/        `happens_before` reads the trace; its races say what to run next
    judge/         is the ending that of a sequential order?
    explain/       a counterexample: shrunk, named, described, with a token that runs it again

`sql/` does the same for transactions of a database. Names are loaded when they are asked for: the pytest plugin lives
in this room and must not pay for the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whilst._light import lazily

if TYPE_CHECKING:
    from whilst.checking.api import check, check_operations, replay
    from whilst.checking.question import Question
    from whilst.checking.sql import check_sql

__all__ = ["Question", "check", "check_operations", "check_sql", "replay"]

_HOMES: Final = {
    "whilst.checking.question": ("Question",),
    "whilst.checking.sql": ("check_sql",),
    "whilst.checking.api": ("check", "check_operations", "replay"),
}

__getattr__, __dir__ = lazily(__name__, _HOMES)
