"""What each kind of value is made of: a label, children whose order counts and children whose order does not.

The one place that knows the types of the standard library, so that `canonical` can be about equality alone. No
method of a user's class is called (no `__eq__`, `__repr__`, property): a look must not change what it looks at.
What can't be taken apart (a C type without slots, `__dict__` or reduction) is opaque: only its type counts.
"""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import enum
import fractions
import functools
import gc
import io
import itertools
import logging
import pathlib
import queue
import re
import threading
import types
import uuid
import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final

from whilst.inspecting.cpython import SIMPLE_QUEUE_HOLDS_A_LIST
from whilst.inspecting.objects import ByType, module_of, slots_of
from whilst.inspecting.parts import Parts, attributes, type_name


def take_apart(value: object) -> Parts:
    """The label and the children of one value. Atoms (`int`, `str`, …) are the caller's business."""
    kind = type(value)
    taker = _TAKERS.get(kind)
    if taker is None:
        taker = _TAKERS[kind] = _taker_of(kind)
    return taker(value)


def _with_attributes(
    value: object, ordered: Sequence[Any] = (), unordered: Sequence[Any] = (), extra: Hashable = ()
) -> Parts:
    """Parts of an instance: its own attributes follow what its container base holds."""
    own = attributes(value)
    label = (type_name(type(value)), extra, *(name for name, _ in own))
    return Parts(label, [*ordered, *(held for _, held in own)], unordered)


def _holding(value: object, *held: object) -> Parts:
    """Parts of an instance that is its type and what it holds, in this order."""
    return Parts(type_name(type(value)), held)


# ------------------------------------------------------------------------------------------------- containers
def _set(value: Any) -> Parts:
    base: Any = set if isinstance(value, set) else frozenset
    return _with_attributes(value, (), list(base.__iter__(value)))


def _simple_queue(value: Any) -> Parts:
    # Its items can't be asked for, but the collector sees them: a list with the taken ones at its head before
    # 3.13, the items themselves from 3.13 on. Its type, which the collector reports too, is no item.
    seen = gc.get_referents(value)
    items: Sequence[object] = [item for item in seen if item is not type(value)]
    if SIMPLE_QUEUE_HOLDS_A_LIST:
        items = next((item for item in seen if type(item) is list), [])
    return Parts(type_name(type(value)), items[len(items) - value.qsize() :])


def _queue(value: Any) -> Parts:
    # The locks and conditions inside a queue say nothing that its items and counters do not.
    items = list(value.queue)
    if type(value) is queue.PriorityQueue:
        items.sort()  # a heap's layout depends on the order of the puts, what comes out does not
    return Parts((type_name(type(value)), value.maxsize, value.unfinished_tasks), items)


# ---------------------------------------------------------------------------------------------------- scalars
def _by_repr(value: Any) -> Parts:
    return Parts((type_name(type(value)), repr(value)))


def _path(value: Any) -> Parts:
    # A path keeps its text once it is asked for it, and goes another way in the program from then on: a twin is asked.
    twin = object.__new__(type(value))
    for name, held in attributes(value):
        object.__setattr__(twin, name, held)
    return Parts((type_name(type(value)), pathlib.PurePath.__repr__(twin)))


def _text_io(value: Any) -> Parts:
    return Parts(type_name(type(value)), () if value.closed else (value.getvalue(), value.tell()))


def _subclassed_atom(value: Any) -> Parts:
    base: Any = next(base for base in type(value).__mro__ if base in (int, str, bytes, float))
    return _with_attributes(value, (base.__getnewargs__(value)[0],))


# ------------------------------------------------------------------------------------------- code and threads
def _exception(value: Any) -> Parts:
    inner: tuple[Any, ...] = (value.args,)
    if isinstance(value, BaseExceptionGroup):
        inner = (value.message, value.exceptions)
    return _with_attributes(value, inner)


def _function(value: Any) -> Parts:
    cells = [_contents(cell) for cell in value.__closure__ or ()]
    return Parts(("function", f"{module_of(value)}.{value.__qualname__}"), cells, list(value.__dict__.items()))


def _contents(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not yet bound
        return NotImplemented


def _builtin(value: Any) -> Parts:
    owner = value.__self__
    inner = () if owner is None or isinstance(owner, types.ModuleType) else (owner,)
    return Parts(("builtin", value.__qualname__), inner)


def _qualified(value: Any) -> Parts:
    return Parts(("builtin", value.__qualname__))


def _lock(value: Any) -> Parts:
    # Whether it was left held counts; who waits on it is a matter of the schedule.
    return Parts(("lock", type_name(type(value)), repr(value).startswith("<locked")))


def _thing(value: Any) -> Parts:
    return Parts(("thing", type_name(type(value))))


def _logger(value: Any) -> Parts:
    label = ("logger", value.name, value.level, value.propagate, value.disabled)
    return Parts(label, tuple(value.handlers), tuple(value.filters))


def _generator(value: Any) -> Parts:
    name = type(value).__name__
    for attribute, inner in (("gi_frame", "gi_yieldfrom"), ("cr_frame", "cr_await"), ("ag_frame", "ag_await")):
        frame = getattr(value, attribute, None)
        if frame is not None:
            below = getattr(value, inner)
            return Parts((name, value.__qualname__, frame.f_lineno), (below,), list(frame.f_locals.items()))
    return Parts((name, value.__qualname__, "finished"))


# ------------------------------------------------------------ values of modules that a check should not have to import
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


def _c_structure(value: Any) -> Parts:
    names = [field[0] for base in reversed(type(value).__mro__) for field in vars(base).get("_fields_", ())]
    return Parts((type_name(type(value)), *names), [getattr(value, name) for name in names])


# ------------------------------------------------------------------------------------------------ everything else
def _object(value: object) -> Parts:
    kind = type(value)
    held = attributes(value)
    if held or kind is object or _is_python_class(kind):
        return _with_attributes(value)
    try:
        reduced = value.__reduce_ex__(2)
    except Exception:  # whatever a foreign __reduce_ex__ raises, the value stays opaque
        return Parts(("opaque", type_name(kind)))
    if isinstance(reduced, str):
        return Parts((type_name(kind), reduced))
    inner = [list(item) if hasattr(item, "__next__") else item for item in reduced[1:]]
    return Parts(type_name(kind), inner)


def _is_python_class(kind: type) -> bool:
    """True if a class statement made it: nothing but C bases that hold no state of their own below it."""
    return bool(kind.__flags__ & (1 << 9)) and kind.__basicsize__ <= object.__basicsize__ + 16 + 8 * len(slots_of(kind))


_OWN_DATA: Final = ("whilst.checking.question", "whilst.checking.engine.events")


def _taker_of(kind: type) -> Callable[[Any], Parts]:
    if module_of(kind).startswith("whilst.checking.") and module_of(kind) not in _OWN_DATA:
        return _thing  # the checker's own stand-ins are no state of the user's
    for base in kind.__mro__:
        taker = _BY_BASE.get(base) or _BY_NAME.get(f"{module_of(base)}.{base.__qualname__}")
        if taker is not None:
            return taker
    return _object


_EMPTY: Final[tuple[Any, ...]] = ([], (), "", b"", range(0), {}, {}.items(), {}.values(), set(), bytearray())
_BY_BASE: Final[dict[type, Callable[[Any], Parts]]] = {
    enum.Enum: lambda value: Parts((type_name(type(value)), getattr(value, "_name_", None) or repr(value))),
    list: lambda value: _with_attributes(value, tuple(list.__iter__(value))),
    tuple: lambda value: _with_attributes(value, tuple(tuple.__iter__(value))),
    collections.deque: lambda value: _with_attributes(
        value, tuple(collections.deque.__iter__(value)), extra=value.maxlen
    ),
    collections.OrderedDict: lambda value: _with_attributes(value, list(collections.OrderedDict.items(value))),
    collections.defaultdict: lambda value: _with_attributes(value, (value.default_factory,), list(dict.items(value))),
    # Counters compare a missing key as zero, so a zero entry makes no difference here either.
    collections.Counter: lambda value: _with_attributes(
        value, (), [pair for pair in dict.items(value) if pair[1] != 0]
    ),
    dict: lambda value: _with_attributes(value, (), list(dict.items(value))),
    set: _set,
    frozenset: _set,
    **dict.fromkeys((bytearray, memoryview), lambda value: _holding(value, bytes(value))),
    array.array: lambda value: Parts((type_name(type(value)), value.typecode), (value.tobytes(),)),
    io.StringIO: _text_io,
    io.BytesIO: _text_io,
    io.IOBase: _thing,
    BaseException: _exception,
    type: lambda value: Parts(("type", type_name(value))),
    types.FunctionType: _function,
    types.MethodType: lambda value: Parts("method", (value.__func__, value.__self__)),
    types.BuiltinFunctionType: _builtin,
    types.MethodWrapperType: _builtin,
    types.MethodDescriptorType: _qualified,
    types.WrapperDescriptorType: _qualified,
    types.ModuleType: lambda value: Parts(("module", value.__name__)),
    types.CellType: lambda value: Parts("cell", (_contents(value),)),
    types.CodeType: lambda value: Parts(("code", value.co_qualname)),
    types.FrameType: _thing,
    types.TracebackType: _thing,
    functools.partial: lambda value: Parts("partial", (value.func, value.args), list(value.keywords.items())),
    types.GeneratorType: _generator,
    types.CoroutineType: _generator,
    types.AsyncGeneratorType: _generator,
    **dict.fromkeys((weakref.ref, weakref.WeakMethod), lambda value: _holding(value, value())),
    threading.Thread: lambda value: Parts(("thread", type_name(type(value)), value.daemon)),
    threading.local: _thing,
    # Who waits is a matter of the schedule.
    threading.Condition: lambda value: _holding(value, vars(value)["_lock"]),
    logging.Logger: _logger,
    logging.Handler: _thing,
    queue.SimpleQueue: _simple_queue,
    queue.Queue: _queue,
    **dict.fromkeys((complex, range, slice, type(...), type(NotImplemented), re.Pattern, itertools.count), _by_repr),
    **dict.fromkeys((datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo), _by_repr),
    **dict.fromkeys((decimal.Decimal, fractions.Fraction, uuid.UUID), _by_repr),
    pathlib.PurePath: _path,
    int: _subclassed_atom,
    str: _subclassed_atom,
    float: _subclassed_atom,
    bytes: lambda value: _with_attributes(value, (bytes.__getitem__(value, slice(None)),)),
    **dict.fromkeys((type(threading.Lock()), type(threading.RLock())), _lock),
    **dict.fromkeys((type(iter(each)) for each in _EMPTY), lambda it: _holding(it, *it.__reduce__()[1:])),
}
_BY_NAME: Final[dict[str, Callable[[Any], Parts]]] = {
    # By name, since none of these modules should be imported for it.
    "numpy.ndarray": _ndarray,
    "numpy.generic": _ndarray,
    "asyncio.events.AbstractEventLoop": _thing,
    "_asyncio.Future": _future,
    "asyncio.futures.Future": _future,
    "contextvars.ContextVar": _thing,
    "_contextvars.ContextVar": _thing,
    "_ctypes._SimpleCData": lambda value: _holding(value, value.value),
    "_ctypes.Array": lambda value: _holding(value, *value),
    "_ctypes.Structure": _c_structure,
    # Where in its arena it lies depends on what was freed before.
    "multiprocessing.heap.BufferWrapper": lambda value: _holding(value, bytes(value.create_memoryview())),
    # Its value is not known on every system.
    "_multiprocessing.SemLock": lambda value: Parts((type_name(type(value)), value._is_zero())),  # noqa: SLF001
    "multiprocessing.synchronize.SemLock": lambda value: _holding(value, vars(value)["_semlock"]),
    "multiprocessing.synchronize.Condition": lambda value: _holding(value, vars(value)["_lock"]),
    "multiprocessing.synchronize.Event": lambda value: _holding(value, vars(value)["_flag"]),
    "multiprocessing.connection._ConnectionBase": _thing,
    "multiprocessing.queues.Queue": _thing,
    "multiprocessing.queues.SimpleQueue": _thing,
}
_TAKERS: Final[ByType[Callable[[Any], Parts]]] = ByType()
