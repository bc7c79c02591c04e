"""Queue, JoinableQueue and SimpleQueue of `multiprocessing` between the tasks of one process.

What is put travels as bytes, as it would, but not through a pipe that a thread of the queue's own writes into. What
lay in the real queue when a task first uses it is taken over; it is lost to others afterwards.
"""

from __future__ import annotations

import functools
import multiprocessing.queues as queues
import queue
from collections import deque
from multiprocessing.reduction import ForkingPickler
from typing import Any

from whilst.checking.engine.events import Op
from whilst.checking.engine.sites import Site
from whilst.checking.observe.registry import ModelRegistry

_TAKEN_OVER_WITHIN_S = 5.0  # a queue's thread may be about to write what was put


class _Channel:
    """What is in one queue in the running execution."""

    __slots__ = ("items", "most", "unfinished")

    def __init__(self, q: Any) -> None:
        self.items: deque[bytes] = deque()
        self.most = getattr(q, "_maxsize", 0) or 0
        for _ in range(_count(q)):
            self.items.append(_pickled(q.get() if self.most == 0 else q.get(True, _TAKEN_OVER_WITHIN_S)))
        waiting = getattr(q, "_unfinished_tasks", None)
        self.unfinished = int(waiting.get_value()) if waiting is not None else len(self.items)

    def has_room(self) -> bool:
        return not self.most or len(self.items) < self.most

    def measure(self) -> tuple[bool, bool, bool]:
        """(there is room, there is something, all is done)."""
        return self.has_room(), bool(self.items), not self.unfinished


def _count(q: Any) -> int:
    """How much was put into the real one and not yet got."""
    if isinstance(q, queues.SimpleQueue):
        return 0 if q.empty() else 1
    try:
        return int(q.qsize())
    except NotImplementedError:  # macOS does not know
        return 0 if q.empty() else 1


def _pickled(item: object) -> bytes:
    return bytes(ForkingPickler.dumps(item))


class Channels:
    """The queues of the running execution."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry = registry
        self.known: dict[int, tuple[Any, _Channel]] = {}  # by id; with the queue, so that the id stays its own
        registry.empty_each_time(self.known)

    def _of(self, q: Any) -> _Channel:
        if id(q) not in self.known:
            self.known[id(q)] = (q, _Channel(q))
        return self.known[id(q)][1]

    def _sync(self, site: Site, q: Any, kind: Op, at: int | None = None, *, blocks: bool = False) -> None:
        """An event; `at`: the part of what is measured that it needs."""
        needs = None if at is None else (lambda state: bool(state[at]))
        writes = 0 if kind in (Op.READ, Op.JOIN) else 2 if kind is Op.TRY else 1
        self.registry.sync(site, q, kind, self._of(q).measure, needs, blocks=blocks, writes=writes)

    def put(
        self,
        _registry: ModelRegistry,
        site: Site,
        q: Any,
        item: object,
        block: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Queue.put."""
        channel = self._of(q)
        if getattr(q, "_closed", False):
            raise ValueError(f"Queue {q!r} is closed")
        data = _pickled(item)
        is_patient = block and timeout is None
        self._sync(site, q, Op.ACQUIRE if is_patient else Op.TRY, 0, blocks=is_patient)
        if not channel.has_room():
            raise queue.Full
        channel.items.append(data)
        channel.unfinished += 1

    def get(
        self, _registry: ModelRegistry, site: Site, q: Any, block: bool = True, timeout: float | None = None
    ) -> Any:
        """Queue.get."""
        channel = self._of(q)
        is_patient = block and timeout is None
        self._sync(site, q, Op.ACQUIRE if is_patient else Op.TRY, 1, blocks=is_patient)
        if not channel.items:
            raise queue.Empty
        return ForkingPickler.loads(channel.items.popleft())

    def size(self, _registry: ModelRegistry, site: Site, q: Any) -> int:
        """Queue.qsize."""
        self._sync(site, q, Op.READ)
        return len(self._of(q).items)

    def is_empty(self, registry: ModelRegistry, site: Site, q: Any) -> bool:
        """Queue.empty."""
        return not self.size(registry, site, q)

    def is_full(self, registry: ModelRegistry, site: Site, q: Any) -> bool:
        """Queue.full."""
        self.size(registry, site, q)
        return not self._of(q).has_room()

    def task_done(self, _registry: ModelRegistry, site: Site, q: Any) -> None:
        """JoinableQueue.task_done."""
        self._sync(site, q, Op.RELEASE)
        channel = self._of(q)
        if channel.unfinished <= 0:
            raise ValueError("task_done() called too many times")
        channel.unfinished -= 1

    def join(self, _registry: ModelRegistry, site: Site, q: Any) -> None:
        """JoinableQueue.join."""
        self._sync(site, q, Op.JOIN, 2, blocks=True)


def install(registry: ModelRegistry) -> None:
    """Model the three classes."""
    channels = Channels(registry)

    def at_once(model: Any) -> Any:
        return functools.partial(_at_once, model)

    kind, simple, joinable = queues.Queue, queues.SimpleQueue, queues.JoinableQueue
    table: list[tuple[object, Any]] = [
        (kind.put, channels.put),
        (kind.get, channels.get),
        (kind.put_nowait, at_once(channels.put)),
        (kind.get_nowait, at_once(channels.get)),
        (kind.qsize, channels.size),
        (kind.empty, channels.is_empty),
        (kind.full, channels.is_full),
        (joinable.put, channels.put),
        (joinable.task_done, channels.task_done),
        (joinable.join, channels.join),
        (simple.put, channels.put),
        (simple.get, channels.get),
        (simple.empty, channels.is_empty),
    ]
    registry.add_models(table)


def _at_once(model: Any, registry: ModelRegistry, site: Site, q: Any, *item: object) -> Any:
    return model(registry, site, q, *item, block=False)
