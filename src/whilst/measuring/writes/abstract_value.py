"""Where a value in somebody's bytecode comes from, as far as can be told without running it.

The walk in `abstract_interpreter` keeps a stack of these instead of values. Globals, closure cells, default arguments
and the attributes of objects that exist already are known as objects; what a call makes is fresh; all else is
unknown. Only what is shared between calls can be spoilt by overlapping them.
"""

from __future__ import annotations

import functools
import threading
import types
from collections import deque, namedtuple
from collections.abc import Mapping, Sequence
from typing import Final

from whilst._light import Record
from whilst.inspecting import ownership
from whilst.inspecting.cpython import stored_attributes
from whilst.inspecting.objects import is_a, look_up, module_of

_GETTERS: Final = (types.MemberDescriptorType, type(namedtuple("_", "field").field))  # type: ignore[attr-defined]  # noqa: PYI024
"""Descriptors that give what an object holds, and run no code of anybody's."""


_MOST_MEMBERS: Final = 64
"""Of a table of functions."""


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""The object itself is not known."""


class AbstractValue(Record):
    """One value of the abstract stack.

    Args:
        name: what people call it ("global VISITED", "self.done").
        root: the object whose change would show (the dict in `TOTALS["n"]["k"] = 1`).
        is_shared: other calls see the same object.
        is_argument: it belongs to the item of this call.
        from_item: its value depends on the item.
        is_cut: of the item so little is left (`item % 4`, the first letter) that several items give the same.
        made_by: the class of a fresh object; or_made_by: others that it may be of.
        among: it is one of these (a handler looked up in a table).
        test: what a truth value says: the name of the shared thing that it was asked of.
        holds: of a tuple, list or dict made here: those of its parts that others see as well, or that hold such.
        attributes: of an object made here: its attributes that were set to something that others see as well.
        of_thread: the attribute of a thread-local object that it is, or is made of.
    """

    name: str = ""
    value: object = ABSENT
    root: object = ABSENT
    is_shared: bool = False
    is_argument: bool = False
    from_item: bool = False
    is_cut: bool = False
    is_null: bool = False
    is_constant: bool = False
    made_by: type | None = None
    or_made_by: tuple[type, ...] = ()
    owner: AbstractValue | None = None
    attribute: str = ""
    among: tuple[object, ...] = ()
    test: str = ""
    holds: tuple[AbstractValue, ...] = ()
    attributes: dict[str, AbstractValue] | None = None
    of_thread: str = ""

    @property
    def is_known(self) -> bool:
        return self.value is not ABSENT

    @property
    def rank(self) -> int:
        return 4 * self.is_shared + 2 * self.is_argument + self.from_item


UNKNOWN: Final = AbstractValue()
FRESH: Final = AbstractValue()
NULL: Final = AbstractValue(is_null=True)
ITEM: Final = AbstractValue(from_item=True)
CONSTANT_NONE: Final = AbstractValue(value=None, is_constant=True)


def shared(name: str, value: object) -> AbstractValue:
    """Return the abstract value of an object that all calls see."""
    return AbstractValue(name, value, value, is_shared=True)


def joined(left: AbstractValue | None, right: AbstractValue) -> AbstractValue:
    """Return what a variable is that may hold either: the one that can do more harm."""
    if left is None:
        return right
    worse, other = (left, right) if left.rank > right.rank else (right, left)
    among = {id(each): each for each in (*_callables(left), *_callables(right))}
    if len(among) > 1:
        worse = worse._replace(among=tuple(among.values()))
    if worse.made_by is not None and other.made_by is not None and other.made_by is not worse.made_by:
        worse = worse._replace(or_made_by=(*worse.or_made_by, other.made_by, *other.or_made_by))
    if worse.is_constant and (not other.is_constant or other.value != worse.value):
        worse = worse._replace(value=ABSENT, is_constant=False)
    if other.from_item and not worse.from_item:
        return worse._replace(from_item=True, is_cut=other.is_cut)
    return worse._replace(is_cut=False) if worse.is_cut and other.from_item and not other.is_cut else worse


def _callables(abstract: AbstractValue) -> tuple[object, ...]:
    """What would be called if this was."""
    if abstract.among:
        return abstract.among
    is_one = abstract.is_known and not abstract.is_constant and callable(abstract.value)
    return (abstract.value,) if is_one else ()


def is_cut(parts: Sequence[AbstractValue]) -> bool:
    """Whether what is made of these has nothing more of the item than parts that other items have as well."""
    return any(part.from_item for part in parts) and all(part.is_cut for part in parts if part.from_item)


def blended(*parts: AbstractValue, test: str = "") -> AbstractValue:
    """Return the abstract value of a new value that is made of these."""
    from_item, of_thread = any(part.from_item for part in parts), of_thread_in(parts)
    if not (from_item or test or of_thread):
        return UNKNOWN
    return AbstractValue(from_item=from_item, is_cut=is_cut(parts), test=test, of_thread=of_thread)


def of_thread_in(parts: Sequence[AbstractValue]) -> str:
    """The attribute of a thread-local object that one of these is made of."""
    return next((part.of_thread for part in parts if part.of_thread), "")


def container(*parts: AbstractValue) -> AbstractValue:
    """Return the abstract value of a new container of these."""
    return blended(*parts)._replace(
        holds=tuple(part for part in parts if part.is_shared or part.is_argument or part.holds)
    )


def is_plain_tuple(value: object) -> bool:
    """A tuple, or a named one, whose class leaves it at that."""
    kind = type(value)
    return issubclass(kind, tuple) and kind.__getitem__ is tuple.__getitem__ and kind.__iter__ is tuple.__iter__


def is_array(value: object) -> bool:
    """One of numpy's, or what passes for one: pieces of it are views, which write to it."""
    return hasattr(type(value), "__array_interface__")


def is_path_type(kind: type) -> bool:
    """One of pathlib's, which is not loaded for this: nobody has a path who has not done so."""
    return any(module_of(base).partition(".")[0] == "pathlib" for base in kind.__mro__)


def path_type(abstract: AbstractValue) -> type | None:
    """The class of a path, known or made; None for what is none."""
    kind = abstract.made_by if abstract.made_by is not None else type(abstract.value)
    return kind if is_path_type(kind) else None


def attribute(owner: AbstractValue, name: str) -> AbstractValue:
    """Return the abstract value of `owner.name`, looked up without running a property or `__getattr__`."""
    if owner.attributes and name in owner.attributes:
        return owner.attributes[name]
    label = f"{owner.name}.{name}" if owner.name else ""
    derived = AbstractValue(
        name=label,
        root=owner.root if owner.root is not ABSENT else owner.value,
        is_shared=owner.is_shared,
        is_argument=owner.is_argument,
        from_item=owner.from_item,
        is_cut=owner.is_cut,
        owner=owner,
        attribute=name,
        of_thread=label if is_a(owner.value, threading.local) else owner.of_thread,
    )
    if not owner.is_known:
        return derived if owner.made_by is None else _of_class(owner.made_by, name, derived)
    value = _static_attribute(owner.value, name)
    if value is ABSENT:
        return derived
    if is_a(owner.value, types.ModuleType):
        return AbstractValue(name=label, value=value, root=value, is_shared=True, owner=owner, attribute=name)
    return derived._replace(value=value, root=value if _is_mutable(value) else derived.root)


def _of_class(kind: type, name: str, derived: AbstractValue) -> AbstractValue:
    """An attribute of a fresh object: that of its class, which all share, where no method gives it one of its own."""
    held = _static_attribute(kind, name)
    if not is_a(held, (list, dict, set, bytearray, deque)):
        return derived
    methods = [each for base in kind.__mro__ for each in vars(base).values() if is_a(each, types.FunctionType)]
    if any(name in stored_attributes(each.__code__) for each in methods):
        return derived
    return derived._replace(name=f"{kind.__name__}.{name}", value=held, root=held, is_shared=True)


def _static_attribute(value: object, name: str) -> object:
    """What `value.name` is, where finding out runs no code of the user's."""
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        own = None
    if name == "__dict__" and is_a(value, types.ModuleType):
        return own
    if name == "__class__":
        return type(value)
    if is_a(own, Mapping) and name in own and not is_a(value, type):
        return own[name]
    for kind in value.__mro__ if is_a(value, type) else type(value).__mro__:
        found = kind.__dict__.get(name, ABSENT)
        if found is not ABSENT:
            if is_a(found, _GETTERS) and not is_a(value, type):  # a slot, a field of a named tuple
                try:
                    return found.__get__(value)
                except AttributeError:
                    return ABSENT
            return found
    return look_up(type(value), name, ABSENT) if is_a(value, type) and type(value) is not type else ABSENT


def _is_mutable(value: object) -> bool:
    return not is_a(value, (int, float, complex, str, bytes, bool, type(None), types.FunctionType))


def subscript(owner: AbstractValue, key: AbstractValue) -> AbstractValue:
    """Return the abstract value of `owner[key]`; looked up for real only in plain dicts, lists and tuples."""
    if owner.holds:
        return functools.reduce(joined, owner.holds)
    one_of = getattr(owner.value, "_member_map_", None) if is_a(owner.value, type) else None
    if one_of:  # any of an enumeration's
        first = next(iter(one_of.values()))
        return shared(owner.name, first)
    label = f"{owner.name}[…]" if owner.name else ""
    derived = AbstractValue(
        name=label,
        root=owner.root if owner.root is not ABSENT else owner.value,
        is_shared=owner.is_shared,
        is_argument=owner.is_argument,
        from_item=owner.from_item or key.from_item,
        is_cut=is_cut((owner, key)) or (is_a(owner.value, (str, bytes)) and owner.from_item),
    )
    held = owner.value
    if is_array(held) and getattr(held, "ndim", 0) == 1 and key.made_by is not slice:
        return ITEM if derived.from_item else UNKNOWN  # a number, or a copy
    if type(held) in (dict, list, tuple) or is_plain_tuple(held):
        if key.is_constant:
            try:
                value = held[key.value]  # type: ignore[index]  # a key that doesn't fit raises, as below
            except (KeyError, IndexError, TypeError):
                return derived
            return derived._replace(value=value, root=value if is_a(value, (dict, list, set)) else derived.root)
        members: Sequence[object] = tuple(held.values() if is_a(held, dict) else held)  # type: ignore[arg-type]
        if type(held) is dict and "__builtins__" in held:  # the names of a module
            members = [member for member in members if is_a(member, types.FunctionType)]
        members = members[:_MOST_MEMBERS]
        if members and all(callable(member) for member in members):
            return derived._replace(among=tuple(members))
        kinds = set(map(type, members))
        kind = kinds.pop() if len(kinds) == 1 else type(None)
        if owner.is_argument and (kind in (tuple, list, dict) or ownership.is_own_type(kind)):
            return derived._replace(value=next(iter(members)))
        if ownership.is_own_type(kind):
            return derived._replace(made_by=kind)
    return derived
