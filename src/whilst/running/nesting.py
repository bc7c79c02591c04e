"""Is a map made inside a call of another map? Then it runs inline, in the worker that makes the call.

Each worker says so: a thread for itself, a process for all its threads. Without it n workers with n workers each would
share the same cores, and a nested map that waits for a worker of its own pool would wait for ever.
"""

from __future__ import annotations

# Not `threading`, which a program with one thread may never have loaded.
from _thread import _local

from whilst.running import process_role


class _Here(_local):
    is_worker = False


_here = _Here()


def enter_worker() -> None:
    """From here on this thread makes calls for a pool."""
    _here.is_worker = True


def leave_worker() -> None:
    """This thread makes calls for nobody any more."""
    _here.is_worker = False


def is_in_worker() -> bool:
    """Whether calls are made for a pool in this thread, or in the whole process."""
    return _here.is_worker or process_role.is_worker
