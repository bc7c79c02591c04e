"""What this program has set at run time and a clean worker would not have: collected once a job, sent along with it.

Settings of libraries that are known by name; variables of the user's own modules that the function reads; of libraries
that it uses, the variables that somebody set from outside; and of a script, where the function may look things up in
`__main__` by their names (pickle does), what it defines. A fork of the program needs nothing of this.
"""

from __future__ import annotations

import sys
from _pickle import dumps
from types import FunctionType

from whilst.inspecting.library_settings import changed_settings
from whilst.measuring.reads import is_plain, reads_of
from whilst.running.worker.transport import byvalue
from whilst.running.worker.transport.serialization import dumps_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from whilst.running.jobs import Job

_MOST_BYTES = 1 << 20
"""Of one variable."""


def collect(job: Job) -> bytes:
    """Return the state for a clean worker that makes this job's calls, pickled. What can't be sent is left out."""
    variables: dict[tuple[str, str], object] = {}
    needs_main = True
    if job.how != "call":
        reads = reads_of(job.fn)
        variables.update(reads.variables)
        needs_main = bool(reads.unsure)
    return dumps(
        {
            "settings": _pickled(changed_settings()),
            "variables": _pickled(variables),
            "main": _pickled(_definitions_of_main()) if needs_main else None,
        },
        5,
    )


def _pickled(found: Mapping[Any, object]) -> bytes | None:
    """In one pickle, in which what is one object stays one. Without those that can't be pickled."""
    if not found:
        return None
    try:
        return dumps_one(dict(found))
    except Exception:  # one of them is to blame: whatever its own code raises
        return dumps_one({name: value for name, value in found.items() if _can_be_sent(value)})


def _can_be_sent(value: object) -> bool:
    try:
        return len(dumps_one(value)) <= _MOST_BYTES
    except Exception:
        return False


def _definitions_of_main() -> dict[str, object]:
    """Functions, classes and plain data of `__main__`, by their names."""
    main = sys.modules["__main__"]
    if byvalue.is_importable("__main__"):
        return {}
    found: dict[str, object] = {}
    for name, value in list(vars(main).items()):
        if name.startswith("_"):
            continue
        is_its_own = issubclass(type(value), (FunctionType, type)) and value.__module__ == "__main__"
        if is_its_own or (is_plain(value) and _can_be_sent(value)):
            found[name] = value
    return found
