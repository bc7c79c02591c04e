"""One question about the code that called: does a `for` loop iterate over the result of this very call?

`for page in whilst.map(fetch, urls): …` is to behave like the loop that it replaces when a call fails: the body
runs for the items before that one, then the error is raised. `pages = whilst.map(fetch, urls)` must raise at once
instead, because whoever does not look at the results would never learn of the error. The two differ in the
instruction that follows the call, and it is looked at only once a call has failed.
"""

from __future__ import annotations

import dis
from types import FrameType

__all__ = ["is_iterating"]

_GET_ITER = dis.opmap.get("GET_ITER")
_CACHE = dis.opmap.get("CACHE", 0)


def is_iterating(frame: FrameType | None) -> bool:
    """Whether the frame, suspended in a call, goes on with a loop over the call's result."""
    if frame is None or _GET_ITER is None:
        return False
    code = frame.f_code.co_code
    at = frame.f_lasti + 2
    while at < len(code) and code[at] == _CACHE:
        at += 2
    return at < len(code) and code[at] == _GET_ITER
