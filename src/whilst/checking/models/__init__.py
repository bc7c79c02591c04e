"""What blocks, starts threads or tells the time, as the check sees it.

Nothing is replaced: a model reads and changes the state of the real object (the lock itself, `Semaphore._value`,
`Event._flag`, a queue's deque) at one event, and lets the scheduler wait for it. So objects made before the check,
at module level or inside a library, work as well, and code that is not rewritten sees the same state. A model is
called instead of the function it stands for only from rewritten code and only while a task runs.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

from whilst.checking.models import callbacks, futures, locks, queues, signals, sources, threads
from whilst.checking.models.world import chance, clocks, files
from whilst.checking.observe.registry import ModelRegistry

# Most programs never load these: a model is installed when a task first uses something of its module.
_ROOMS: Final = {
    "asyncio.runners": "whilst.checking.models.coroutines.loops",
    "asyncio.events": "whilst.checking.models.coroutines.loops",
    "asyncio.tasks": "whilst.checking.models.coroutines.loops",
    "_asyncio": "whilst.checking.models.coroutines.loops",
    "concurrent.futures.process": "whilst.checking.models.processes",
    "multiprocessing.pool": "whilst.checking.models.pools",
    "multiprocessing.queues": "whilst.checking.models.channels",
    "multiprocessing.synchronize": "whilst.checking.models.semaphores",
    "_multiprocessing": "whilst.checking.models.semaphores",
}


def install(registry: ModelRegistry) -> None:
    """Tell the registry about every model."""
    for room in (locks, signals, threads, queues, clocks, chance, files, futures, callbacks, sources):
        room.install(registry)
    registry.late.update({module: _load(room) for module, room in _ROOMS.items()})


def _load(room: str) -> Any:
    def loaded(registry: ModelRegistry) -> None:
        for module, other in _ROOMS.items():
            if other == room:
                registry.late.pop(module, None)
        importlib.import_module(room).install(registry)

    return loaded
