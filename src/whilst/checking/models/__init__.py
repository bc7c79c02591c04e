"""What blocks, starts threads or tells the time, as the check sees it.

Nothing is replaced: a model reads and changes the state of the real object (the lock itself, `Semaphore._value`,
`Event._flag`, a queue's deque) at one event, and lets the scheduler wait for it. So objects made before the check,
at module level or inside a library, work as well, and code that is not rewritten sees the same state. A model is
called instead of the function it stands for only from rewritten code and only while a task runs.
"""

from __future__ import annotations

from whilst.checking.models import callbacks, futures, late, locks, queues, signals, sources, threads
from whilst.checking.models.world import chance, clocks, files
from whilst.checking.observe.registry import ModelRegistry


def install(registry: ModelRegistry) -> None:
    """Tell the registry about every model."""
    for room in (locks, signals, threads, queues, clocks, chance, files, futures, callbacks, sources, late):
        room.install(registry)
