"""Models of modules that most programs never load: installed when a task first uses something of them."""

from __future__ import annotations

import importlib
from typing import Any, Final

from whilst.checking.observe.registry import ModelRegistry

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
    """Tell the registry where models are, by the module that they are of."""

    def load(room: str) -> Any:
        def loaded(registry: ModelRegistry) -> None:
            for module, other in _ROOMS.items():
                if other == room:
                    registry.late.pop(module, None)
            importlib.import_module(room).install(registry)

        return loaded

    registry.late.update({module: load(room) for module, room in _ROOMS.items()})
