"""What this process shares with others, if it is a worker: the machine, and perhaps what its program had loaded."""

from __future__ import annotations

import sys

__all__ = ["count_task", "has_parents_main", "keep_main", "nested_workers", "tasks_left"]

nested_workers: int | None = None
"""How many workers a map made in a call here may use; None: this process is nobody's worker. For `running.nesting`."""
_main_size = -1
tasks_left: int | None = None
"""So many calls are made here before the process is to be replaced; None: as many as there are."""


def keep_main() -> None:
    """This process was forked from the program itself just now: what both have in `__main__` is the same."""
    global _main_size
    _main_size = len(vars(sys.modules["__main__"]))


def has_parents_main() -> bool:
    """What has a name in `__main__` here has it in the program, too: no call has added anything since."""
    return _main_size == len(vars(sys.modules["__main__"]))


def count_task(most: int) -> None:
    """One of at most so many calls is made here."""
    global tasks_left
    tasks_left = (most if tasks_left is None else tasks_left) - 1
