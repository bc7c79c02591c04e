"""See what a program really does: what was in progress, what at work, and what held it up, by which line.

`advising` is a room of its own: which loop of a script to change.

From the outside in: `api` holds the verb. In `recording`, a `recorder` runs a program and drains the system's clock
(`perf`, else `schedstat`), while an `agent` in each of its processes notes where its threads and tasks stand; of that
`reading` makes `events`. From there on, in `explaining`, all is pure: `pieces` says what each thread did when, with
`causes` from its stack; `courses` and `coroutines` make tasks of it, `holders` finds who holds what, `reasons` adds up,
and `findings` puts the weightiest patterns into sentences. `remedies` has what to do about each,
and `traced` is what the caller gets.
"""

from __future__ import annotations

from whilst._light import lazily

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from whilst.seeing.api import trace, trace_program
    from whilst.seeing.traced import Trace

__all__ = ["Trace", "trace", "trace_program"]

_HOMES: Final = {"whilst.seeing.api": ("trace_program",), "whilst.seeing.traced": ("Trace",)}

__getattr__, __dir__ = lazily(__name__, _HOMES)
