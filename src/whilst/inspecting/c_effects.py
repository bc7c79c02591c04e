"""What C code does to the objects it is given, as tables: the part of the world that can't be rewritten.

`METHODS[type, name]` is (is_write, is_keyed): keyed methods touch only the element named by their first argument.
`READERS` read their arguments whole, `PURE` touch nothing that can change, `WRITERS` write their first argument.
What is in none of them is taken for a write of its self object and of every container among its arguments, and
listed as assumed.
"""

from __future__ import annotations

import _bisect
import _heapq
import _thread
import array
import builtins
import collections
import contextvars
import datetime
import decimal
import functools
import io
import itertools
import math
import operator
import random
import re
import stat
import struct
import sys
import threading
import types
import weakref

from whilst.inspecting.objects import ByType

_DICTS = (dict, collections.OrderedDict, collections.defaultdict, collections.Counter)
FAMILY: dict[type, str] = {
    **dict.fromkeys(_DICTS, "dict"),
    set: "set",
    list: "list",
    collections.deque: "list",
    bytearray: "list",
    array.array: "list",
}
IMMUTABLE: frozenset[type] = frozenset(
    {
        str, bytes, int, float, complex, bool, type(None), tuple, frozenset, range, slice, type(Ellipsis),
        type(NotImplemented), types.ModuleType, types.FunctionType, types.MethodType,
        types.BuiltinFunctionType, types.MethodWrapperType, types.MethodDescriptorType,
        types.WrapperDescriptorType, types.ClassMethodDescriptorType, types.GetSetDescriptorType,
        types.MemberDescriptorType, types.CodeType, types.FrameType, types.TracebackType, types.CellType,
        types.GenericAlias, types.MappingProxyType, re.Pattern, re.Match, struct.Struct, datetime.datetime,
        datetime.date, datetime.time, datetime.timedelta, datetime.timezone, decimal.Decimal, property,
        staticmethod, classmethod, functools.partial, operator.itemgetter, operator.attrgetter,
        operator.methodcaller, weakref.ref, _thread.LockType, type(_thread.RLock()), super,
        contextvars.ContextVar, contextvars.Context, contextvars.Token,
    }
)  # fmt: skip

METHODS: dict[tuple[type, str], tuple[bool, bool]] = {}


def _fill(kinds: tuple[type, ...], names: str, *, write: bool, keyed: bool = False) -> None:
    for kind in kinds:
        for name in names.split():
            METHODS[kind, name] = (write, keyed)


_fill((list, array.array), "append extend insert remove pop clear sort reverse __iadd__ __imul__", write=True)
_fill((list, array.array, bytearray), "__setitem__ __delitem__", write=True)
_fill((array.array,), "fromlist frombytes byteswap fromfile", write=True)
_fill((array.array,), "tolist tobytes buffer_info", write=False)
_fill((list, array.array), "index count copy __len__ __contains__ __iter__ __eq__ __getitem__", write=False)
_fill((list,), "__reversed__ __add__ __mul__ __lt__ __le__ __gt__ __ge__ __ne__", write=False)
_fill((bytearray,), "append extend insert remove pop clear reverse __iadd__ __imul__", write=True)
_fill(
    (bytearray,),
    "index count copy find rfind startswith endswith decode hex split strip replace upper lower __len__ "
    "__getitem__ __contains__ join rsplit splitlines translate",
    write=False,
)
_fill(_DICTS, "get __getitem__ __contains__", write=False, keyed=True)
_fill(_DICTS, "setdefault pop __setitem__ __delitem__ __missing__", write=True, keyed=True)
_fill(_DICTS, "update clear popitem move_to_end __ior__ subtract __init__", write=True)
_fill(_DICTS, "keys values items", write=False, keyed=True)  # a view reads nothing yet: see VIEWS
_fill(_DICTS, "copy __len__ __iter__ __eq__ __ne__ __reversed__ __or__ __ror__ fromkeys", write=False)
_fill((set,), "add discard remove", write=True, keyed=True)
_fill((set,), "__contains__", write=False, keyed=True)
_fill(
    (set,),
    "pop clear update difference_update intersection_update symmetric_difference_update __ior__ __iand__ "
    "__isub__ __ixor__",
    write=True,
)
_fill(
    (set,),
    "copy union difference intersection symmetric_difference issubset issuperset isdisjoint __len__ __iter__ "
    "__eq__ __or__ __and__ __sub__ __xor__",
    write=False,
)
_fill(
    (collections.deque,),
    "append appendleft extend extendleft insert remove pop popleft clear rotate reverse __setitem__ __delitem__ "
    "__iadd__ __imul__",
    write=True,
)
_fill((collections.deque,), "index count copy __len__ __getitem__ __contains__ __iter__ __reversed__", write=False)
_fill((io.StringIO, io.BytesIO), "write writelines truncate seek read readline readlines close __next__", write=True)
_fill((io.StringIO, io.BytesIO), "getvalue tell getbuffer", write=False)
# Keyed methods that change nothing if the key is there already, or if it is not there.
IDLE_IF_THERE = frozenset({(dict, "setdefault"), (collections.OrderedDict, "setdefault"), (set, "add")})
IDLE_IF_NOT_THERE = frozenset(
    {(dict, "pop"), (collections.OrderedDict, "pop"), (set, "discard"), (set, "remove"), (dict, "__delitem__")}
)
# Methods that change nothing if there is nothing in it.
IDLE_IF_EMPTY = frozenset(
    {(list, "pop"), (collections.deque, "pop"), (collections.deque, "popleft"), (set, "pop"), (dict, "popitem")}
)
VIEWS = frozenset({"keys", "values", "items"})
TWO_CONTAINERS = frozenset({"extend", "update", "extendleft", "difference_update", "intersection_update"})

REPRS: frozenset[object] = frozenset({repr, str, print, format, ascii})
READERS: frozenset[object] = REPRS | frozenset(
    {
        struct.pack, struct.unpack,
        len, iter, sorted, sum, min, max, any, all, list, tuple, set, dict, frozenset, enumerate, reversed,
        map, filter, zip, bool, bytes, bytearray, collections.deque, collections.OrderedDict,
        collections.defaultdict, math.fsum, math.prod, functools.reduce, itertools.chain, itertools.islice,
        itertools.cycle, itertools.accumulate, itertools.product, itertools.permutations,
        itertools.combinations, itertools.groupby, itertools.takewhile, itertools.dropwhile,
        itertools.zip_longest, itertools.starmap, itertools.tee, itertools.chain.from_iterable,
        _bisect.bisect_left, _bisect.bisect_right, operator.length_hint, operator.index,
        array.array, memoryview, operator.contains, operator.getitem, operator.eq, operator.ne,
    }
)  # fmt: skip
# Look into what lies in the containers they are given: to compare, to add, to ask for its truth, to go through it.
_COMPARING: frozenset[object] = frozenset(
    {
        sum, sorted, min, max, any, all, dict, math.fsum, math.prod, operator.eq, operator.ne, operator.contains,
        itertools.chain, itertools.chain.from_iterable, itertools.accumulate, itertools.groupby,
        _bisect.bisect_left, _bisect.bisect_right, _bisect.insort_left, _bisect.insort_right,
    }
)  # fmt: skip
ATOMS: frozenset[type] = frozenset({int, str, bytes, bool, type(None), float, complex})


def depth_of(callee: object) -> int:
    """How many containers deep a C function looks into what it is given."""
    if callee in REPRS:
        return 3
    return 1 if callee in _COMPARING else 0


WRITERS: frozenset[object] = frozenset(
    {
        _heapq.heappush, _heapq.heappop, _heapq.heapify, _heapq.heapreplace, _heapq.heappushpop,
        _bisect.insort_left, _bisect.insort_right, operator.setitem, operator.delitem, operator.iadd,
        operator.iconcat, operator.ior, operator.iand, operator.isub,
    }
)  # fmt: skip
PURE: frozenset[object] = frozenset(
    {
        isinstance, issubclass, id, type, callable, hash, ord, chr, abs, divmod, pow, round, super, object,
        int, float, complex, range, slice, property, staticmethod, classmethod, bin, hex, oct, locals, globals,
        vars, dir, eval, exec, compile, input, breakpoint, __import__, builtins.__build_class__,
        sys.exc_info, sys.getrefcount, sys.getsizeof, sys.intern, itertools.count, itertools.repeat,
        functools.partial, functools.lru_cache, operator.itemgetter, operator.attrgetter,
        operator.methodcaller, weakref.ref, weakref.getweakrefcount, types.SimpleNamespace, types.MethodType,
        types.MappingProxyType, _thread.allocate_lock, _thread.LockType, _thread.RLock, threading.local,
        functools.cmp_to_key, operator.add, operator.sub, operator.mul, operator.lt, operator.gt,
        operator.le, operator.ge, operator.not_, operator.truth, operator.is_, operator.is_not, operator.neg,
        random.Random, aiter, anext, _thread.get_native_id, sys.exception,
        sys.getrecursionlimit, sys.getswitchinterval, sys.is_finalizing, sys.audit, struct.calcsize,
        contextvars.copy_context, sys._getframe,  # noqa: SLF001  # what user code calls
    }
    | {function for module in (math, stat) for function in vars(module).values() if callable(function)}
) - {math.fsum, math.prod}  # fmt: skip

_READING_METHODS = """
    __reduce_ex__ __reduce__ __sizeof__ __dir__ __format__ __repr__ __str__ __eq__ __ne__ __lt__ __le__ __gt__
    __ge__ __len__ __getstate__ __contains__ __getitem__ __bool__ __int__ __float__ __index__ __copy__
    __deepcopy__ __add__ __sub__ __mul__ __or__ __and__
"""
_HARMLESS_METHODS = """
    __hash__ __init__ __init_subclass__ __subclasshook__ __class__ __new__ __iter__ __enter__ mro with_traceback
    add_note __instancecheck__ __subclasscheck__ __subclasses__ __prepare__ __call__
"""
_OBJECT_READS = frozenset(_READING_METHODS.split())
_OBJECT_NOTHING = frozenset(_HARMLESS_METHODS.split())


def object_method(name: str) -> str:
    """What a method that many C types share does to its object: "reads", "nothing", or "unknown"."""
    if name in _OBJECT_READS:
        return "reads"
    return "nothing" if name in _OBJECT_NOTHING else "unknown"


_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_family_of: dict[type, str] = {}
_family_of_class: ByType[str] = ByType()  # of types that may go again


def family(kind: type) -> str:
    """How instances of a type hold what they hold.

    "dict", "set" and "list" are containers that C code reads and writes; "immutable" can't change; "python" is
    made of attributes and Python methods, which are rewritten; "opaque" is any other C type.
    """
    known = _family_of.get(kind) or _family_of_class.get(kind)
    if known is None:
        known = _find_family(kind)
        if kind.__flags__ & _HEAP_TYPE:
            _family_of_class[kind] = known
        else:
            _family_of[kind] = known
    return known


def _find_family(kind: type) -> str:
    for base in kind.__mro__:
        if base in FAMILY:
            return FAMILY[base]
    if kind in IMMUTABLE or issubclass(kind, (BaseException, type)):
        return "immutable"
    made_in_c = [base for base in kind.__mro__ if base is not object and is_made_in_c(base)]
    if not made_in_c:
        return "python"
    if all(base in IMMUTABLE for base in made_in_c):
        return "python" if kind.__dictoffset__ else "immutable"
    return "opaque"


def is_made_in_c(kind: type) -> bool:
    """Static types, and heap types with methods of C's own; a class statement makes neither."""
    if not kind.__flags__ & _HEAP_TYPE:
        return True
    own = (types.MethodDescriptorType, types.WrapperDescriptorType)
    return any(isinstance(value, own) and value.__objclass__ is kind for value in vars(kind).values())
