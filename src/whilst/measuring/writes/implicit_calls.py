"""Methods that an operator, a statement or a builtin calls without naming them, where the user's own class has them."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from types import BuiltinFunctionType
from typing import Final

from whilst.inspecting import ownership
from whilst.inspecting.objects import is_a, look_up
from whilst.measuring.writes.abstract_value import ABSENT, AbstractValue

COMPARE: Final = ("__lt__", "__le__", "__eq__", "__ne__", "__gt__", "__ge__")
TRUTH: Final = ("__bool__", "__len__")
FORMAT: Final = ("__format__", "__str__", "__repr__")
ITERATE: Final = ("__iter__", "__next__", "__len__")
KEY: Final = ("__hash__", "__eq__")
WITH: Final = ("__enter__", "__exit__", "__aenter__", "__aexit__")
UNARY: Final = {"UNARY_NEGATIVE": ("__neg__",), "UNARY_INVERT": ("__invert__",), "UNARY_POSITIVE": ("__pos__",)}
BY_LIBRARY: Final = (
    *KEY, *COMPARE, *TRUTH, *FORMAT, *ITERATE, "__call__", "__getitem__", "__contains__", "__reduce__", "__reduce_ex__",
    "__getstate__", "__copy__", "__deepcopy__", "__int__", "__float__", "__index__", "__bytes__", "__fspath__",
    "__add__", "__radd__", "__mul__", "__sub__", "__reversed__", "__missing__",
)  # fmt: skip
"""What a library's function may call of an object that it is given."""
_SIGNS: Final = {
    "+": "add", "-": "sub", "*": "mul", "/": "truediv", "//": "floordiv", "%": "mod", "**": "pow", "@": "matmul",
    "&": "and", "|": "or", "^": "xor", "<<": "lshift", ">>": "rshift",
}  # fmt: skip
_GOES_THROUGH: Final = (
    "iter", "sorted", "list", "tuple", "set", "frozenset", "dict", "sum", "min", "max", "any", "all", "enumerate",
    "zip", "map", "filter",
)  # fmt: skip
_BY_NAME: Final = {
    "len": ("__len__",), "str": FORMAT, "repr": ("__repr__",), "format": FORMAT, "print": FORMAT, "hash": ("__hash__",),
    "next": ("__next__",), "bool": TRUTH, "int": ("__int__", "__index__"), "float": ("__float__", "__index__"),
    "isinstance": ("__instancecheck__",), "issubclass": ("__subclasscheck__",), "divmod": ("__divmod__",),
    "abs": ("__abs__",), "round": ("__round__",), "reversed": ("__reversed__", *ITERATE), "bytes": ("__bytes__",),
    **dict.fromkeys(_GOES_THROUGH, ITERATE),
}  # fmt: skip
BY_BUILTIN: Final[dict[object, tuple[str, ...]]] = {getattr(builtins, name): each for name, each in _BY_NAME.items()}


AWAITED: Final = {"GET_AWAITABLE": ("__await__",), "GET_AITER": ("__aiter__", "__anext__")}
_NOT_CALLED: Final = ("__init__", "__new__", "__init_subclass__", "__class_getitem__", "__set_name__", "__post_init__")


def all_of(kind: type) -> tuple[str, ...]:
    """The special methods and the properties that the user's own classes give this one: code in C may call any."""
    names = {
        name: None
        for base in kind.__mro__
        if ownership.is_own_type(base)
        for name, each in list(vars(base).items())
        if (name.startswith("__") and name.endswith("__") and name not in _NOT_CALLED) or is_a(each, property)
    }
    return tuple(names)


def operators(sign: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the methods that a binary operator (`+`, `+=`) calls on what stands left, and right of it."""
    name = _SIGNS.get(sign.removesuffix("="))
    return ((f"__i{name}__", f"__{name}__"), (f"__r{name}__",)) if name else ((), ())


def own_methods(owner: AbstractValue, names: Iterable[str]) -> list[AbstractValue]:
    """Return those of the methods that the object's class has as the user's own functions, bound to it."""
    kind = type(owner.value) if owner.is_known else owner.made_by
    if kind is None or owner.is_constant or not ownership.is_own_type(kind) or kind is BuiltinFunctionType:
        return []
    found = []
    for name in names:
        method = look_up(kind, name)
        method = method.fget if is_a(method, property) else method
        if ownership.is_own_function(method):
            root = owner.value if owner.is_known else ABSENT
            found.append(
                AbstractValue(
                    name=f"{owner.name}.{name}", value=method, root=root, is_shared=owner.is_shared, owner=owner,
                    attribute=name,
                )
            )  # fmt: skip
    return found
