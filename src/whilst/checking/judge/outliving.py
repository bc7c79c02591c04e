"""Does a call write anything that outlives it? The engine's log of accesses answers, with the places.

The call is performed once, for real, alone. What it writes to objects that it made itself is its own affair; what it
writes to a global, a class, a closure, an object it was bound to or an argument is there after it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from whilst.checking.explorer.explorer import Explorer, Limits, Program
from whilst.checking.judge.outside_state import Surroundings
from whilst.model.profile import Write

__all__ = ["effects_of"]

# The trampoline must not look like code of this package, which is not instrumented.
_TRAMPOLINE = eval(compile("lambda call: lambda _: call()", "<effects of a call>", "eval"), {"__name__": "effects"})  # noqa: S307 - a constant


def effects_of(call: Callable[[], Any], *, limits: Limits | None = None) -> tuple[Write, ...]:
    """What a call without arguments (a `functools.partial`, say) writes that outlives it; empty if nothing was seen.

    The call happens. What it raises is no effect and is dropped; a call that does not come to an end within the
    limits is cut off, and what it wrote until then is returned.
    """
    surroundings = Surroundings([call])
    with Explorer(Program(lambda: None, (_TRAMPOLINE(call),)), limits or Limits()) as explorer:
        explorer.run(())
        surroundings.note(explorer)
    surroundings.settle()
    return tuple(
        Write(label, where=surroundings.place_of(label), is_confirmed=True, spoils_threads=True)
        for label in surroundings.values()
    )
