"""What this process shares with others, if it is a worker: the machine, and perhaps what its program had loaded."""

from __future__ import annotations

import sys
from _contextvars import Context, copy_context
from collections.abc import Callable, Iterable

private: set[int] = set()
"""Descriptors that a worker forked from this program closes at once."""


is_worker = False
"""All calls in this process are made for the program that started it."""
_main_size = -1
tasks_left: int | None = None
"""How many more calls are made here before the process is replaced; None: no limit."""
_context: Context | None = None
"""Of the thread that was forked, as it was then."""


def keep_main() -> None:
    """This process was forked from the program itself just now: what both have in `__main__` is the same."""
    global _main_size, _context
    _main_size = len(vars(sys.modules["__main__"]))
    _context = copy_context()


def has_parents_main() -> bool:
    """What has a name in `__main__` here has it in the program, too: no call has added anything since."""
    return _main_size == len(vars(sys.modules["__main__"]))


def count_task(most: int) -> None:
    """Count a call that is made here; the process is replaced after `most` of them."""
    global tasks_left
    tasks_left = (most if tasks_left is None else tasks_left) - 1


def first_context() -> Context:
    """What calls find in context variables that nothing was sent for: what the program had, in a fork of it."""
    return Context() if _context is None else _context.copy()


def why_not_forked(reached: Callable[[], Iterable[object]] | None = None) -> str:
    """What stands in the way of workers that are forks of this program; "" if nothing does.

    Args:
        reached: gives what the calls can reach; see `inspecting.fork_safety`.
    """
    import os

    from whilst.inspecting.fork_safety import why_not_fork

    return why_not_fork(private, reached) if hasattr(os, "pidfd_open") else "this system has no pidfd"
