"""One question about the code that called: does a `for` loop iterate over the result of this very call?

`for page in whilst.map(fetch, urls): …` is to behave like the loop that it replaces when a call fails: the body
runs for the items before that one, then the error is raised. `pages = whilst.map(fetch, urls)` must raise at once
instead, because whoever does not look at the results would never learn of the error. The two differ in the
instruction that follows the call, and it is looked at only once a call has failed.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

__all__ = ["is_iterating"]


def is_iterating(frame: FrameType | None) -> bool:
    """Whether the frame, suspended in a call, goes on with a loop over the call's result."""
    from opcode import opmap

    get_iter, cache = opmap.get("GET_ITER"), opmap.get("CACHE", 0)
    if frame is None or get_iter is None:
        return False
    code = frame.f_code.co_code
    at = frame.f_lasti + 2
    while at < len(code) and code[at] == cache:
        at += 2
    return at < len(code) and code[at] == get_iter
