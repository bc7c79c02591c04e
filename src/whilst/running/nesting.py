"""How many workers a map may use that is made inside a call of another map.

Each worker says, in the thread that makes the calls, how many workers are left for them: one means that a nested
map runs inline, in the worker itself. Without it n workers with n workers each would share the same cores, and a
nested map that waits for a worker of its own pool would wait for ever.
"""

from __future__ import annotations

# Not `threading`, which a program with one thread may never have loaded.
from _thread import _local

from whilst.running import process_role as share


class _Here(_local):
    workers: int | None = None


_here = _Here()


def enter_worker(workers: int) -> None:
    """From here on this thread makes calls for a pool; maps inside of them may use this many workers."""
    _here.workers = workers


def leave_worker() -> None:
    """This thread makes calls for nobody any more."""
    _here.workers = None


def workers_left() -> int | None:
    """How many workers a map made in this thread may use; None: it is nobody's worker, thus as it likes."""
    return share.nested_workers if _here.workers is None else _here.workers
