"""What a call's callee is behind its wrappers, and what its parameters, cells and object hold in that call."""

from __future__ import annotations

import types
from collections.abc import Mapping

from whilst.inspecting.objects import attributes_of, is_a, look_up
from whilst.measuring.writes.abstract_value import ABSENT, FRESH, ITEM, UNKNOWN, AbstractValue, shared
from whilst.measuring.writes.suspicions import may_change


def unwrapped(callee: AbstractValue) -> tuple[object, list[AbstractValue]]:
    """The function behind bound methods, static and class methods, with what it is bound to."""
    value = callee.value
    if is_a(value, types.MethodType):
        owner = value.__self__
        name = callee.owner.name if callee.owner is not None and callee.owner.name else type(owner).__name__
        if not callee.owner:
            name = owner.__name__ if is_a(owner, type) else "self"
        return value.__func__, [shared(name, owner)]
    if is_a(value, staticmethod):
        return value.__func__, []
    if is_a(value, classmethod):
        owner_of = callee.owner
        held = owner_of.value if owner_of else ABSENT
        kind = held if is_a(held, type) or held is ABSENT else type(held)
        return value.__func__, [shared(getattr(kind, "__name__", "cls"), kind)]
    if is_a(value, types.FunctionType) and callee.owner is not None:
        owner_value = callee.owner.value
        if is_a(owner_value, type) and value is look_up(type(owner_value), callee.attribute):
            return value, [callee.owner]  # of its class's class
        if callee.owner.is_known and not is_a(owner_value, (types.ModuleType, type)):
            own = dict(attributes_of(owner_value))
            if callee.attribute not in own:
                return value, [callee.owner]  # found on the class, called on the instance
        elif callee.owner.made_by is not None:
            return value, [callee.owner]
    return value, []


def bind(
    function: types.FunctionType, arguments: list[AbstractValue], names: tuple[str, ...]
) -> dict[str, AbstractValue]:
    """Give parameters what they are passed; the rest hold their defaults, which all calls share."""
    code = function.__code__
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    variables: dict[str, AbstractValue] = {}
    defaults = function.__defaults__ or ()
    for name, value in zip(parameters[code.co_argcount - len(defaults) : code.co_argcount], defaults, strict=False):
        variables[name] = shared(f"the default of {name}", value)
    for name, value in (function.__kwdefaults__ or {}).items():
        variables[name] = shared(f"the default of {name}", value)
    positional = arguments[: len(arguments) - len(names)] if names else arguments
    for name, abstract in zip(code.co_varnames[: code.co_argcount], positional, strict=False):
        variables[name] = abstract
    for name, abstract in zip(names, arguments[len(positional) :], strict=False):
        if name in parameters:
            variables[name] = abstract
    if code.co_flags & 0x04:
        rest = positional[code.co_argcount :]
        variables[code.co_varnames[len(parameters)]] = ITEM if any(o.from_item for o in rest) else FRESH
    return variables


def shape_of(variables: Mapping[str, AbstractValue], code: types.CodeType) -> tuple[object, ...]:
    """What of the arguments makes a difference to the walk; two calls of one shape are walked once."""
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    chosen = [variables.get(name, UNKNOWN) for name in names]
    return tuple(
        (
            abstract.rank,
            id(abstract.value) if abstract.is_known and abstract.is_shared else abstract.made_by,
            abstract.is_argument and abstract.owner is not None,  # the item, or what it holds
        )
        for abstract in chosen
    )


def cells_of(function: types.FunctionType) -> dict[str, AbstractValue]:
    free: dict[str, AbstractValue] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            value = cell.cell_contents
        except ValueError:  # not filled yet
            continue
        free[name] = AbstractValue(name=name, value=value, root=value if may_change(value) else cell, is_shared=True)
    return free


def bound_to(callee: AbstractValue, method: types.BuiltinMethodType) -> AbstractValue:
    """A method of a built-in object (`SEEN.append`), however it was come by: with the object that it changes."""
    if callee.owner is not None and callee.owner.value is method.__self__:
        return callee
    value = method.__self__
    name = callee.name.removesuffix(f".{method.__name__}") or type(value).__name__
    return callee._replace(owner=shared(name, value), attribute=method.__name__)
