"""An error of `whilst.errors`, in a file of its own: `concurrent.futures`, which its base is from, imports logging.

Nothing else is here, and nobody imports it from here.
"""

from __future__ import annotations

from concurrent.futures import BrokenExecutor

from whilst.errors import WhilstError

__all__ = ["WorkerDiedError"]


class WorkerDiedError(WhilstError, BrokenExecutor):
    """A worker died with this call in its hands: the message names signal or exit code, item and stderr."""


WorkerDiedError.__module__ = "whilst.errors"
