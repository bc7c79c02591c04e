"""What of a program's surroundings holds on another machine, where its calls are made.

There a call is to find what it would have found in a `for` loop, and what belongs to the machine is to stay: where
Python and its libraries are, which devices a scheduler has given to its worker.
"""

from __future__ import annotations

import os
import sys
from _pickle import dumps, loads

from whilst.running.calls.process_state import raw_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_IMPORTED_WITH: dict[Any, Any] = dict(raw_environment())


def for_elsewhere(surroundings: bytes) -> bytes:
    """What `environment.capture` gave, with what tells the other machine which of it is the program's own doing."""
    found: dict[str, Any] = loads(surroundings)
    start, own = _environment_at_start(), (sys.prefix, sys.base_prefix, sys.exec_prefix)
    found["inherited"] = [name for name, value in found["env"].items() if start.get(name) == value]
    found["taken_out"] = [name for name in start if name not in found["env"]]
    found["path"] = [each for each in found["path"] if not each.startswith(own)]
    return dumps(found, 5)


def as_here(surroundings: bytes) -> bytes:
    """The same for a worker process of this machine.

    What the program has set or taken out of its environment holds here too; what it inherited, only where there is
    nothing of that name. Directories that exist here are searched for modules after those of this machine.
    """
    found: dict[str, Any] = loads(surroundings)
    env = dict(raw_environment())
    inherited = set(found.pop("inherited"))
    for name, value in found["env"].items():
        if name not in inherited or name not in env:
            env[name] = value
    for name in found.pop("taken_out"):
        env.pop(name, None)
    found["env"] = env
    found["path"] = [*sys.path, *(each for each in found["path"] if each not in sys.path and os.path.isdir(each))]
    return dumps(found, 5)


def _environment_at_start() -> Mapping[Any, Any]:
    """That of this program when it began; where the system doesn't tell, when this was imported."""
    try:
        with open("/proc/self/environ", "rb") as file:
            pairs = (entry.partition(b"=") for entry in file.read().split(b"\0"))
            return {name: value for name, _, value in pairs if name}
    except OSError:
        return _IMPORTED_WITH
