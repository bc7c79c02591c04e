"""Working directory, environment and warning filters of the program at the moment in which calls were asked for.

Threads and loops see those of the process at any time. A worker process is put into those of the moment of the call.
"""

from __future__ import annotations

import os
import sys

from whilst._light import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


class ProcessState(Record):
    """What belongs to a process as a whole and is the same for all its threads."""

    cwd: str | None
    """None: the directory is gone."""
    env: Mapping[Any, Any]
    """As `raw_environment` gives it."""
    filters: Sequence[Any] | None = None
    """As `warning_filters_now` gives them; None: those of the moment in which this is sent."""

    @classmethod
    def now(cls, last: ProcessState | None = None) -> ProcessState:
        """The state of this moment; `last` itself if nothing has changed since."""
        try:
            cwd: str | None = os.getcwd()  # noqa: PTH109 - pathlib is not loaded for this
        except OSError:
            cwd = None
        env, filters = raw_environment(), warning_filters_now()
        if last is not None and last.cwd == cwd and last.env == env and last.filters == filters:
            return last
        return cls(cwd, dict(env), filters)


def warning_filters_now() -> Sequence[Any] | None:
    """The filters that are obeyed here: those of this context, where warnings go by contexts (3.14 without a GIL).

    None where nothing that warns is loaded.
    """
    warnings: Any = sys.modules.get("warnings")
    if warnings is None:
        return None
    get = getattr(warnings, "_get_filters", None)
    return tuple(warnings.filters if get is None else get())


def raw_environment() -> Mapping[Any, Any]:
    """`os.environ` before its names and values are decoded, which takes as long as a short call for each of them."""
    raw: Mapping[Any, Any] | None = getattr(os.environ, "_data", None)
    if raw is None:  # replaced by a plain dict, as tests do
        return {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items()}
    return raw
