"""The working directory and the environment of the program at the moment in which calls were asked for.

Threads and loops see those of the process at any time. A worker process is put into those of the moment of the call.
"""

from __future__ import annotations

import os

from whilst._light import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class ProcessState(Record):
    """What belongs to a process as a whole and is the same for all its threads."""

    cwd: str | None
    """None: the directory is gone."""
    env: Mapping[Any, Any]
    """As `raw_environment` gives it."""

    @classmethod
    def now(cls, last: ProcessState | None = None) -> ProcessState:
        """The state of this moment; `last` itself if nothing has changed since."""
        try:
            cwd: str | None = os.getcwd()  # noqa: PTH109 - pathlib is not loaded for this
        except OSError:
            cwd = None
        env = raw_environment()
        if last is not None and last.cwd == cwd and last.env == env:
            return last
        return cls(cwd, dict(env))


def raw_environment() -> Mapping[Any, Any]:
    """`os.environ` before its names and values are decoded, which takes as long as a short call for each of them."""
    raw: Mapping[Any, Any] | None = getattr(os.environ, "_data", None)
    if raw is None:  # replaced by a plain dict, as tests do
        return {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items()}
    return raw
