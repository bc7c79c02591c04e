"""The local state of a task that looks at the same thing again: does it go round as before, or does it get on?

A `while` loop whose locals are as they were will do what it did as long as what it sees does not change. A `for` loop
gets on by itself: how far it has come stands in an iterator on the value stack, which nobody can read, so that two of
its rounds look alike in all that can be read (`sum(x for x in [5, 5])`).
"""

from __future__ import annotations

import dis
import functools
import sys
import types

__all__ = ["local_state"]


def local_state(root: types.CodeType) -> object:
    """The locals of all frames of the running task, by identity; None if it gets on by itself.

    The innermost frame that is in a loop decides, by its innermost loop. Without any loop it is C code or recursion
    that comes back here, and those get on, too. Frames of the engine and below `root` are left out.
    """
    out = []
    is_while: bool | None = None
    frame: types.FrameType | None = sys._getframe(2)  # noqa: SLF001  # the only way to a frame's locals while it runs
    while frame is not None:
        code = frame.f_code
        if code is root:
            break
        if "/whilst/checking/" not in code.co_filename:
            if is_while is None:
                is_while = _is_in_while(code, frame.f_lasti)
                if is_while is False:
                    return None
            out.append((code, frame.f_lasti, tuple(id(value) for value in frame.f_locals.values())))
        frame = frame.f_back
    return tuple(out) if is_while else None


@functools.lru_cache(maxsize=4096)
def _is_in_while(code: types.CodeType, offset: int) -> bool | None:
    """Whether the innermost loop around the instruction is a `while`; None outside all loops."""
    around = [loop for loop in _loops(code) if loop[0] <= offset <= loop[1]]
    return not min(around, key=lambda loop: loop[1] - loop[0])[2] if around else None


@functools.lru_cache(maxsize=512)
def _loops(code: types.CodeType) -> tuple[tuple[int, int, bool], ...]:
    """Loops as (first offset, last offset, is it a `for`)."""
    jumps, exits = [], []
    for each in dis.get_instructions(code):
        if "JUMP_BACKWARD" in each.opname:
            jumps.append((each.argval, each.offset))
        elif each.opname == "FOR_ITER":
            exits.append((each.offset, each.argval))
    # A `for` is left for what lies beyond its jump back; one within a `while` is left for a place in the `while`.
    return tuple((first, last, any(first <= at <= last < beyond for at, beyond in exits)) for first, last in jumps)
