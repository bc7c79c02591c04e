"""What objects and code hold, seen without running any code of theirs: attributes, slots, class members, names."""

from __future__ import annotations

import types
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any, Final, Generic, TypeGuard, TypeVar

    T = TypeVar("T")
else:  # `typing` takes longer to load than a short run

    class Generic:
        def __class_getitem__(cls, _: object) -> type:
            return cls

    T = None


def is_a(value: object, kinds: type | tuple[type, ...]) -> TypeGuard[Any]:
    """`isinstance` by the type alone: a `__class__` of the user's is not asked."""
    return issubclass(type(value), kinds)


def module_of(thing: object) -> str:
    """The module of a class or function, "" if that is not told by a text: a `__module__` may be a property."""
    kind = type(thing)
    if kind is type or (kind is not _FUNCTION and issubclass(kind, type)):
        module = _MODULE_OF_TYPE.__get__(thing)
    elif kind is _FUNCTION or issubclass(kind, _WITH_MODULE):
        module = getattr(thing, "__module__", None)
    else:
        return module_of(kind)
    return module if type(module) is str else ""


_MODULE_OF_TYPE: Final[Any] = vars(type)["__module__"]
_FUNCTION: Final[Any] = types.FunctionType
_WITH_MODULE: Final = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.MethodDescriptorType)


class ByType(Generic[T]):
    """What is known of types, none of which is kept alive by it.

    A WeakKeyDictionary is Python code, which a check rewrites if a task uses one: our look-ups would pass for theirs.
    """

    def __init__(self) -> None:
        self._held: dict[int, tuple[weakref.ref[type], T]] = {}

    def get(self, kind: type) -> T | None:
        """What is known of that type."""
        found = self._held.get(id(kind))
        return found[1] if found is not None else None

    def __setitem__(self, kind: type, known: T) -> None:
        number, held = id(kind), self._held
        held[number] = (weakref.ref(kind, lambda _: held.pop(number, None)), known)


def look_up(kind: type, name: str, default: Any = None) -> Any:
    """What the class or the first of its bases has under that name: a descriptor, not what it would give."""
    for base in kind.__mro__:
        if name in vars(base):
            return vars(base)[name]
    return default


_SLOTS: Final[ByType[tuple[tuple[str, Any], ...]]] = ByType()


def slots_of(kind: type) -> tuple[tuple[str, Any], ...]:
    """The slots that Python classes declare, with their descriptors; a C type's members are its own business."""
    slots = _SLOTS.get(kind)
    if slots is None:
        slots = _SLOTS[kind] = tuple(
            (name, member)
            for base in kind.__mro__
            if "__slots__" in vars(base)
            for name, member in vars(base).items()
            if type(member) is types.MemberDescriptorType
        )
    return slots


def looks_up_itself(kind: type) -> bool:
    """Does the class look attributes up by code of its own?"""
    return type(look_up(kind, "__getattribute__")) is types.FunctionType or look_up(kind, "__getattr__") is not None


def ask(value: object, name: str, default: Any = None) -> Any:
    """`getattr`, but of an object whose class looks attributes up by code of its own: that code may count, or log."""
    if looks_up_itself(type(value)):
        return next((held for own, held in attributes_of(value) if own == name), default)
    return getattr(value, name, default)


def memory_of(array: Any) -> tuple[int, int]:
    """Address of the first byte of a numpy array, and of the one after the last; the same twice where it is empty."""
    first = last = array.__array_interface__["data"][0]
    for length, stride in zip(array.shape, array.strides, strict=True):
        if stride < 0:
            first += (length - 1) * stride
        else:
            last += (length - 1) * stride
    return first, last + array.itemsize if array.size else first


def dict_of(value: object) -> Mapping[str, Any]:
    """An object's own `__dict__`, empty where it has none."""
    try:
        own = object.__getattribute__(value, "__dict__")
    except (AttributeError, TypeError):
        return _NO_DICT
    return own if isinstance(own, (dict, types.MappingProxyType)) else _NO_DICT


_NO_DICT: Final[Mapping[str, Any]] = types.MappingProxyType({})


def filled_slots(value: object, slots: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield what those slots hold; what was never filled is left out."""
    for name, slot in slots:
        try:
            yield name, slot.__get__(value)
        except AttributeError:
            continue


def attributes_of(value: object) -> Iterator[tuple[str, Any]]:
    """Yield what an object's `__dict__` and its slots hold; slots that were never filled are left out."""
    yield from list(dict_of(value).items())
    yield from filled_slots(value, slots_of(type(value)))


def names_of(code: types.CodeType) -> Iterator[str]:
    """Yield every name that the code, or code within it, looks up or sets; some of them more than once."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from names_of(constant)
