"""What values of modules are made of that a check should not have to import: known by the names of their types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from whilst.inspecting.parts import Parts, type_name

if TYPE_CHECKING:
    from collections.abc import Callable


def _thing(value: Any) -> Parts:
    return Parts(("thing", type_name(type(value))))


def _ndarray(value: Any) -> Parts:
    if value.dtype.hasobject:
        return Parts((type_name(type(value)), "object", value.shape), value.ravel().tolist())
    return Parts((type_name(type(value)), str(value.dtype), value.shape), (value.tobytes(),))


def _future(value: Any) -> Parts:
    if not value.done():
        return Parts((type_name(type(value)), "pending"))
    if value.cancelled():
        return Parts((type_name(type(value)), "cancelled"))
    error = value._exception  # noqa: SLF001 - exception() would mark it as retrieved
    return Parts((type_name(type(value)), "done"), (error if error is not None else value.result(),))


def _c_value(value: Any) -> Parts:
    return Parts(type_name(type(value)), (value.value,))


def _c_array(value: Any) -> Parts:
    return Parts(type_name(type(value)), tuple(value))


def _c_structure(value: Any) -> Parts:
    names = [field[0] for base in reversed(type(value).__mro__) for field in vars(base).get("_fields_", ())]
    return Parts((type_name(type(value)), *names), [getattr(value, name) for name in names])


def _shared_memory(value: Any) -> Parts:
    # Where in its arena it lies depends on what was freed before.
    return Parts(type_name(type(value)), (bytes(value.create_memoryview()),))


def _semaphore(value: Any) -> Parts:
    is_zero = value._is_zero()  # noqa: SLF001 - its value is not known on every system
    return Parts((type_name(type(value)), is_zero))


def _over_semaphore(value: Any) -> Parts:
    return Parts(type_name(type(value)), (vars(value)["_semlock"],))


def _over_lock(value: Any) -> Parts:
    return Parts(type_name(type(value)), (vars(value)["_lock"],))  # who waits is a matter of the schedule


def _flag(value: Any) -> Parts:
    return Parts(type_name(type(value)), (vars(value)["_flag"],))


FOREIGN: Final[dict[str, Callable[[Any], Parts]]] = {
    # By name, since none of these modules should be imported for it.
    "numpy.ndarray": _ndarray,
    "numpy.generic": _ndarray,
    "asyncio.events.AbstractEventLoop": _thing,
    "_asyncio.Future": _future,
    "asyncio.futures.Future": _future,
    "contextvars.ContextVar": _thing,
    "_contextvars.ContextVar": _thing,
    "_ctypes._SimpleCData": _c_value,
    "_ctypes.Array": _c_array,
    "_ctypes.Structure": _c_structure,
    "multiprocessing.heap.BufferWrapper": _shared_memory,
    "_multiprocessing.SemLock": _semaphore,
    "multiprocessing.synchronize.SemLock": _over_semaphore,
    "multiprocessing.synchronize.Condition": _over_lock,
    "multiprocessing.synchronize.Event": _flag,
    "multiprocessing.connection._ConnectionBase": _thing,
    "multiprocessing.queues.Queue": _thing,
    "multiprocessing.queues.SimpleQueue": _thing,
}
