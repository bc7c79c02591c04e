"""What a call's callee and arguments say by themselves, wherever the call stands."""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Final, cast
from weakref import WeakKeyDictionary, WeakSet

from whilst.inspecting import ownership
from whilst.inspecting.objects import attributes_of, is_a
from whilst.measuring.roundtrip import is_itself_alone
from whilst.measuring.writes.abstract_interpreter import Call
from whilst.measuring.writes.abstract_value import ABSENT, ITEM, UNKNOWN, AbstractValue, attribute, subscript

_WRITING: Final = ("insert", "update", "delete", "replac", "create", "drop t", "alter ", "begin ", "pragma")
_NAMED: Final = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, type)
_MOST_KEYS: Final = 64
ANY: Final = "any of its methods"
"""Which attribute of its owner is not known."""
WITH_PARTS: Final = (list, tuple, dict, set, deque)


def holds_alone(value: object) -> bool:
    """Is it a container of objects that are equal to nothing but themselves?"""
    if type(value) not in (dict, set, frozenset, list, tuple, WeakKeyDictionary, WeakSet):
        return False
    return any(map(is_itself_alone, islice(cast("Iterable[object]", value), _MOST_KEYS)))


def is_bare(value: object) -> bool:
    """Is it a sentinel: an object that holds nothing, and that whoever gets it knows by its identity alone?"""
    kind = type(value)
    if kind is object:
        return True
    is_alone = ownership.is_own_type(kind) and not is_a(value, type) and is_itself_alone(value)
    return is_alone and next(attributes_of(value), None) is None


def within(abstract: AbstractValue, depth: int = 3) -> list[AbstractValue]:
    """What is given back, and what of its parts is known."""
    parts = (*abstract.holds, *(abstract.attributes or {}).values()) if depth else ()
    return [abstract, *(each for part in parts for each in within(part, depth - 1))]


def outputs_of(target: object, call: Call) -> tuple[AbstractValue, ...]:
    """`numpy.add(A, B, out=A)`, `numpy.add(A, B, A)`."""
    positional = len(call.arguments) - len(call.names)
    inputs = getattr(target, "nin", positional) if type(target).__name__ == "ufunc" else positional
    outputs = call.arguments[inputs:positional]
    if "out" in call.names:
        outputs += (call.arguments[positional + call.names.index("out")],)
    return tuple(part for each in outputs for part in (each.holds or (each,)))


def bases_in(call: Call) -> list[type]:
    """The user's own classes that a class is made of: by a `class` statement, or `type(name, bases, {})`."""
    given = [each.value for each in (*call.arguments, *held_in(call.arguments))]
    given += [each for value in given if is_a(value, tuple) for each in value]
    return [each for each in given if is_a(each, type) and ownership.is_own_type(each)]


def part_of_another(function: AbstractValue, arguments: Iterable[AbstractValue]) -> AbstractValue:
    """What a function is called with that is passed to another, as to `map`: a part of what else that is passed."""
    for each in arguments:
        if each is not function and (each.holds or (each.is_shared and is_a(each.value, WITH_PARTS))):
            return subscript(each, UNKNOWN)
    code = function.value if is_a(function.value, types.CodeType) else getattr(function.value, "__code__", None)
    if code is None or code.co_argcount != 1:  # a step of a fold is given what it gave before
        return ITEM
    return next((each for each in arguments if each.is_argument and each is not function), ITEM)


def tables_in(value: object) -> list[object]:
    """Tables of functions: the container itself, or those that it holds."""
    if not is_a(value, WITH_PARTS):
        return []
    held: list[object] = list(value.values()) if is_a(value, dict) else list(value)
    tables = [each for each in held[:_MOST_KEYS] if is_a(each, WITH_PARTS)]
    return [each for each in (value, *tables) if each]


def overriding(kind: type) -> list[types.FunctionType]:
    """The methods of the user's own class that take the place of a library's, or are named as those it looks for."""
    theirs = [base for base in kind.__mro__[:-1] if not ownership.is_own_type(base)]
    return [
        value
        for base in kind.__mro__[:-1]
        if theirs
        for name, value in list(vars(base).items())
        if ownership.is_own_function(value)
        and (name.startswith(("visit_", "do_", "handle_")) or any(name in vars(each) for each in theirs))
    ]


def writes_table(text: object) -> bool:
    return is_a(text, str) and text.lstrip()[:6].lower() in _WRITING


def held_in(arguments: Iterable[AbstractValue]) -> tuple[AbstractValue, ...]:
    return tuple(part for argument in arguments for part in argument.holds)


def is_in_place(call: Call) -> bool:
    """`frame.drop(…, inplace=True)`, as pandas has it."""
    named = dict(zip(call.names, call.arguments[len(call.arguments) - len(call.names) :], strict=True))
    return "inplace" in named and named["inplace"].value is not False


def name_of(fn: object) -> str:
    return str(getattr(fn, "__name__", "")) if is_a(fn, _NAMED) else type(fn).__name__


def callable_natively(target: object) -> bool:
    return is_a(target, (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType))


def derived(arguments: tuple[AbstractValue, ...]) -> AbstractValue:
    """What `getattr(owner, name)`, `vars(owner)` or `iter(owner)` gives."""
    owner = arguments[0]
    if len(arguments) == 1 and is_a(owner.value, types.ModuleType):
        return attribute(owner, "__dict__")
    if len(arguments) > 1 and arguments[1].is_constant and isinstance(arguments[1].value, str):
        return attribute(owner, arguments[1].value)
    is_own = owner.made_by is not None and ownership.is_own_type(owner.made_by)
    if len(arguments) > 1 and (is_own or (owner.is_shared and owner.is_known)):
        return AbstractValue(name=f"{owner.name}.{ANY}", owner=owner, attribute=ANY, from_item=arguments[1].from_item)
    return subscript(owner._replace(value=ABSENT), UNKNOWN)._replace(name=owner.name)
