"""queue.Queue, LifoQueue, PriorityQueue and SimpleQueue: put, get, task_done and join as one event each.

Stepped through, a hand-over by Queue is some thirty events on a mutex and three conditions, nearly all of them
forced; as one event each the same outcomes are reached, since every method holds the mutex from start to end.
"""

from __future__ import annotations

import functools
import queue
from typing import Any

from whilst.checking.engine.events import Op
from whilst.checking.engine.sites import Site
from whilst.checking.observe.registry import ModelRegistry

_State = tuple[int, int, int]


def _state(q: Any) -> _State:
    """(room left, or -1 for no bound; items; tasks not done)."""
    size = len(q.queue)
    return (max(0, q.maxsize - size) if q.maxsize > 0 else -1, size, q.unfinished_tasks)


def _has_room(state: _State) -> bool:
    return state[0] != 0


def _has_item(state: _State) -> bool:
    return state[1] > 0


def _is_done(state: _State) -> bool:
    return state[2] == 0


def _is_shut_down(q: Any) -> bool:
    return bool(getattr(q, "is_shutdown", False))


def _is_patient(block: bool, timeout: float | None) -> bool:
    if block and timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
    return block and timeout is None


def _put(
    registry: ModelRegistry, site: Site, q: Any, item: object, block: bool = True, timeout: float | None = None
) -> None:
    def needs(state: _State) -> bool:
        return _has_room(state) or _is_shut_down(q)

    registry.take(site, q, functools.partial(_state, q), needs, is_patient=_is_patient(block, timeout))
    if _is_shut_down(q):
        raise queue.ShutDown  # type: ignore[attr-defined,unused-ignore]  # from 3.13 on
    if not _has_room(_state(q)):
        raise queue.Full
    q._put(item)  # the model works on the real object's state
    q.unfinished_tasks += 1


def _get(registry: ModelRegistry, site: Site, q: Any, block: bool = True, timeout: float | None = None) -> Any:
    def needs(state: _State) -> bool:
        return _has_item(state) or _is_shut_down(q)

    registry.take(site, q, functools.partial(_state, q), needs, is_patient=_is_patient(block, timeout))
    if not _has_item(_state(q)):
        if _is_shut_down(q):
            raise queue.ShutDown  # type: ignore[attr-defined,unused-ignore]  # from 3.13 on
        raise queue.Empty
    return q._get()


def _look(registry: ModelRegistry, site: Site, q: Any) -> None:
    registry.sync(site, q, Op.READ, functools.partial(_state, q), writes=0)


def _size(registry: ModelRegistry, site: Site, q: Any) -> int:
    _look(registry, site, q)
    return len(q.queue)


def _is_empty(registry: ModelRegistry, site: Site, q: Any) -> bool:
    _look(registry, site, q)
    return not q.queue


def _is_full(registry: ModelRegistry, site: Site, q: Any) -> bool:
    _look(registry, site, q)
    return bool(0 < q.maxsize <= len(q.queue))


def _task_done(registry: ModelRegistry, site: Site, q: Any) -> None:
    registry.sync(site, q, Op.RELEASE, functools.partial(_state, q))
    if q.unfinished_tasks <= 0:
        raise ValueError("task_done() called too many times")
    q.unfinished_tasks -= 1


def _join(registry: ModelRegistry, site: Site, q: Any) -> None:
    registry.sync(site, q, Op.JOIN, functools.partial(_state, q), _is_done, blocks=True, writes=0)


def _shut_down(registry: ModelRegistry, site: Site, q: Any, immediate: bool = False) -> None:
    registry.sync(site, q, Op.RELEASE, functools.partial(_state, q))
    q.is_shutdown = True
    if immediate:
        while q.queue:
            q._get()
            if q.unfinished_tasks > 0:
                q.unfinished_tasks -= 1


def _simple(registry: ModelRegistry, site: Site, bound: Any) -> Any:
    """SimpleQueue, which is C."""
    q, name = bound.__self__, bound.__name__
    measure = q.qsize

    def get(block: bool = True, timeout: float | None = None) -> Any:
        registry.take(site, q, measure, bool, is_patient=block and timeout is None)
        return q.get(False)

    def put(item: object, _block: bool = True, _timeout: float | None = None) -> None:
        registry.sync(site, q, Op.RELEASE, measure)
        q.put(item)

    def look() -> Any:
        registry.sync(site, q, Op.READ, measure, writes=0)
        return bound()

    if name in ("get", "get_nowait"):
        return get if name == "get" else functools.partial(get, False)
    return put if name in ("put", "put_nowait") else look


def install(registry: ModelRegistry) -> None:
    """Model the queues."""
    kind = queue.Queue
    table: list[tuple[object, Any]] = [
        (kind.put, _put),
        (kind.get, _get),
        (kind.put_nowait, functools.partial(_put, block=False)),
        (kind.get_nowait, functools.partial(_get, block=False)),
        (kind.qsize, _size),
        (kind.empty, _is_empty),
        (kind.full, _is_full),
        (kind.task_done, _task_done),
        (kind.join, _join),
    ]
    if hasattr(kind, "shutdown"):
        table.append((kind.shutdown, _shut_down))
    registry.add_models(table)
    registry.type_models[queue.SimpleQueue] = _simple
