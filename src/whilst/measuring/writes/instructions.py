"""What each instruction of CPython 3.11 to 3.14 does to the abstract stack, one handler each.

An instruction without a handler here is given its stack effect and no meaning.
"""

from __future__ import annotations

import builtins
import dis
import functools
import operator
import sys
import types
from collections import defaultdict
from collections.abc import Callable
from functools import cached_property
from typing import TypeAlias

from whilst.inspecting import ownership
from whilst.inspecting.objects import is_a, look_up
from whilst.measuring.writes import implicit_calls as implicit
from whilst.measuring.writes.abstract_interpreter import ORDER, Frame, Walker
from whilst.measuring.writes.abstract_value import (
    ABSENT,
    CONSTANT_NONE,
    FRESH,
    ITEM,
    NULL,
    UNKNOWN,
    AbstractValue,
    attribute,
    blended,
    container,
    is_array,
    is_plain_tuple,
    joined,
    path_type,
    shared,
    subscript,
)

_Handler: TypeAlias = Callable[[Walker, dis.Instruction], object]
_HANDLERS: dict[str, _Handler] = {
    "PUSH_NULL": lambda walker, _: walker.push(NULL),
    "POP_TOP": lambda walker, _: walker.pop(),
    "LOAD_BUILD_CLASS": lambda walker, _: walker.push(AbstractValue("class", builtins.__build_class__)),
    "SET_FUNCTION_ATTRIBUTE": lambda walker, _: walker.push(walker.pop_many(2)[1]),
    "IMPORT_FROM": lambda walker, it: walker.push(attribute((walker.stack or [UNKNOWN])[-1], it.argval)),
}
_TELLING = frozenset(
    ["atexit", "bisect", "contextlib", "csv", "decimal", "heapq", "locale", "logging", "operator", "random", "signal",
     "socket", "warnings"]
)  # fmt: skip
"""Modules of Python's own whose functions are known for what they change."""
_PLAIN = (bool, int, float, str, bytes, type(None))
_COMPARED: dict[str, Callable[..., object]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_SUPER = "super()"
_ENTER = "__enter__()"
_EXIT = "__exit__()"


def walk(frame: Frame) -> AbstractValue:
    """Report every store and call of `frame.code` to the frame, and return the abstract value of what it returns."""
    walker = Walker(frame)
    for instruction in _instructions_of(frame.code):
        walker.arrive(instruction)
        handler = _HANDLERS.get(instruction.opname)
        if handler is not None:
            handler(walker, instruction)
        elif "JUMP" in instruction.opname:
            walker.jump(instruction)
        else:
            walker.unknown(instruction)
        walker.leave(instruction)
    return walker.returned or FRESH


@functools.lru_cache(maxsize=512)
def _instructions_of(code: types.CodeType) -> tuple[dis.Instruction, ...]:
    return tuple(dis.get_instructions(code))


def _on(*names: str) -> Callable[[_Handler], _Handler]:
    def register(handler: _Handler) -> _Handler:
        for name in names:
            _HANDLERS[name] = handler
        return handler

    return register


_on("LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW", "LOAD_FAST_AND_CLEAR")(
    lambda walker, it: walker.push(walker.load_variable(it.argval))
)
_on("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_CLOSURE", "LOAD_FROM_DICT_OR_DEREF")(
    lambda walker, it: walker.push(walker.load_cell(it.argval))
)
_on("STORE_FAST", "STORE_NAME")(lambda walker, it: walker.store_variable(it.argval, walker.pop()))


@_on("RESUME", "NOP", "CACHE", "PRECALL", "EXTENDED_ARG", "COPY_FREE_VARS", "MAKE_CELL", "NOT_TAKEN", "RETURN_CONST")
def _nothing(_walker: Walker, _instruction: dis.Instruction) -> None:
    pass


@_on("LOAD_CONST", "LOAD_SMALL_INT")
def _load_const(walker: Walker, instruction: dis.Instruction) -> None:
    value = instruction.argval
    if is_a(value, types.CodeType):
        walker.frame.nested.append(value)
    walker.push(CONSTANT_NONE if value is None else AbstractValue(value=value, is_constant=True))


@_on("LOAD_NAME")
def _load_name(walker: Walker, instruction: dis.Instruction) -> None:
    name = instruction.argval  # in the body of a class
    walker.push(walker.load_variable(name) if name in walker.frame.variables else walker.load_global(name))


@_on("LOAD_GLOBAL")
def _load_global(walker: Walker, instruction: dis.Instruction) -> None:
    pushes_null = instruction.opname == "LOAD_GLOBAL" and bool((instruction.arg or 0) & 1)
    if pushes_null:
        walker.push(NULL)  # before or after the callable, by version; `_call` takes whichever is not null
    walker.push(walker.load_global(instruction.argval))


@_on("LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW_LOAD_FAST_BORROW")
def _load_fast_twice(walker: Walker, instruction: dis.Instruction) -> None:
    for name in instruction.argval:
        walker.push(walker.load_variable(name))


@_on("STORE_FAST_STORE_FAST")
def _store_fast_twice(walker: Walker, instruction: dis.Instruction) -> None:
    for name in instruction.argval:
        walker.store_variable(name, walker.pop())


@_on("STORE_FAST_LOAD_FAST")
def _store_fast_load_fast(walker: Walker, instruction: dis.Instruction) -> None:
    stored, loaded = instruction.argval
    walker.store_variable(stored, walker.pop())
    walker.push(walker.load_variable(loaded))


@_on("STORE_GLOBAL", "DELETE_GLOBAL")
def _store_global(walker: Walker, instruction: dis.Instruction) -> None:
    value = walker.pop() if instruction.opname == "STORE_GLOBAL" else UNKNOWN
    name = instruction.argval
    abstract = walker.load_global(name)
    root = walker.frame.globals
    target = abstract._replace(name=name, root=root, value=root, attribute=name, is_shared=True)
    walker.store(target, instruction.offset, value)


@_on("STORE_DEREF", "DELETE_DEREF")
def _store_deref(walker: Walker, instruction: dis.Instruction) -> None:
    value = walker.pop() if instruction.opname == "STORE_DEREF" else UNKNOWN
    name = instruction.argval
    if name in walker.frame.free:
        walker.store(walker.frame.free[name], instruction.offset, value)
    else:
        walker.store_variable(name, value)


@_on("LOAD_ATTR", "LOAD_METHOD")
def _load_attr(walker: Walker, instruction: dis.Instruction) -> None:
    owner = walker.pop()
    is_of_super = owner.attribute == _SUPER and owner.owner is not None
    found = _of_super(owner.owner or owner, instruction.argval) if is_of_super else attribute(owner, instruction.argval)
    arg = instruction.arg or 0
    is_method = instruction.opname == "LOAD_METHOD" or (dis.stack_effect(instruction.opcode, arg) > 0)
    if is_method:
        walker.push(NULL)
    walker.push(_read_property(walker, found, instruction.offset))


def _read_property(walker: Walker, found: AbstractValue, offset: int) -> AbstractValue:
    if not found.is_known and found.owner is not None:
        walker.touch(found.owner, ("__getattr__",), offset)
    owner = found.owner
    if owner is not None and owner.is_known:
        walker.touch(owner, ("__getattribute__",), offset)
    if found.is_known:
        walker.touch(found, ("__get__",), offset)
    if is_a(found.value, functools.partialmethod):
        return found._replace(value=found.value.func)
    if owner is not None and owner.is_known and is_a(look_up(type(owner.value), found.attribute), cached_property):
        return walker.call(found._replace(value=look_up(type(owner.value), found.attribute)), [], offset)
    if is_a(found.value, functools.singledispatchmethod):
        return found._replace(value=ABSENT, among=tuple(found.value.dispatcher.registry.values()))
    if owner is None or not is_a(found.value, (property, types.GetSetDescriptorType)):
        return found
    getter = getattr(found.value, "fget", None)
    given = UNKNOWN if getter is None else walker.call(found._replace(value=getter), [], offset)
    if ownership.is_own_function(getter) or is_a(owner.value, (type, types.ModuleType)):
        return given
    # What a library makes of an object may be a view of it: `frame.loc[0, "x"] = 1`, `array.T[0] = 1`.
    root = owner.root if owner.root is not ABSENT else owner.value
    return found._replace(value=ABSENT, root=root, made_by=object)


@_on("LOAD_SUPER_ATTR")
def _load_super_attr(walker: Walker, instruction: dis.Instruction) -> None:
    owner = walker.pop()
    walker.pop_many(2)
    found = _of_super(owner, instruction.argval)
    if (instruction.arg or 0) & 1:
        walker.push(NULL)
    walker.push(found)


def _of_super(owner: AbstractValue, name: str) -> AbstractValue:
    """`super().name` in a method of `owner`."""
    kinds = type(owner.value).__mro__[1:] if owner.is_known else owner.made_by.__mro__[1:] if owner.made_by else ()
    value = next((kind.__dict__[name] for kind in kinds if name in kind.__dict__), ABSENT)
    return attribute(owner._replace(value=ABSENT, made_by=None), name)._replace(value=value, owner=owner)


@_on("STORE_ATTR", "DELETE_ATTR")
def _store_attr(walker: Walker, instruction: dis.Instruction) -> None:
    owner = walker.pop()
    value = walker.pop() if instruction.opname == "STORE_ATTR" else UNKNOWN
    if owner.attributes is not None and value.is_shared:
        owner.attributes[instruction.argval] = joined(owner.attributes.get(instruction.argval), value)
    if (state := (owner.attributes or {}).get("__dict__")) is not None:  # `self.__dict__ = self._state`
        walker.store(state, instruction.offset, value)
    target = attribute(owner._replace(attributes=None), instruction.argval)
    walker.touch(owner, ("__setattr__", "__delattr__"), instruction.offset)
    if target.is_known:
        walker.touch(target, ("__set__", "__delete__"), instruction.offset)
    is_last = target.of_thread in walker.read_of_thread and value.from_item and walker.guard is None
    if owner.made_by is types.ModuleType:
        target = target._replace(is_shared=True)
    if value.of_thread != target.of_thread and not is_last:  # this thread does not go on with what it left
        target = target._replace(of_thread="")
    root = owner.value if owner.is_known else owner.root
    walker.store(target._replace(root=root, value=root, owner=owner), instruction.offset, value)


@_on("BINARY_SUBSCR")
def _binary_subscr(walker: Walker, instruction: dis.Instruction) -> None:
    owner, key = walker.pop_many(2)
    _subscribe(walker, owner, key, instruction.offset)


def _subscribe(walker: Walker, owner: AbstractValue, key: AbstractValue, offset: int) -> None:
    walker.touch(owner, ("__getitem__", "__missing__"), offset)
    walker.touch(key, (*implicit.KEY, "__index__"), offset)
    walker.frame.on_search(key, owner)
    if is_a(owner.value, type) and look_up(owner.value, "__class_getitem__") is not None:
        walker.call(attribute(owner, "__class_getitem__"), [key], offset)
    if is_a(owner.value, defaultdict) and not (key.is_constant and key.value in owner.value):
        walker.store(owner, offset)  # makes what is not there
    walker.push(subscript(owner, key))


@_on("BUILD_SLICE")
def _build_slice(walker: Walker, instruction: dis.Instruction) -> None:
    parts = walker.pop_many(instruction.arg or 2)
    for part in parts:
        walker.touch(part, ("__index__",), instruction.offset)
    walker.push(blended(*parts)._replace(made_by=slice))


@_on("BUILD_TUPLE", "BUILD_LIST", "BUILD_SET", "BUILD_MAP")
def _build_container(walker: Walker, instruction: dis.Instruction) -> None:
    is_map = instruction.opname == "BUILD_MAP"
    parts = walker.pop_many((instruction.arg or 0) * (1 + is_map))
    if is_map or instruction.opname == "BUILD_SET":
        for key in parts[:: 1 + is_map]:
            walker.touch(key, implicit.KEY, instruction.offset)
    if instruction.opname == "BUILD_SET":
        for part in parts:
            walker.frame.on_search(part, container(*(each for each in parts if not each.is_argument)))
    walker.push(container(*parts))


@_on("BUILD_CONST_KEY_MAP")
def _build_table(walker: Walker, instruction: dis.Instruction) -> None:
    walker.pop()
    walker.push(container(*walker.pop_many(instruction.arg or 0)))


@_on("SET_ADD", "MAP_ADD")
def _add_key(walker: Walker, instruction: dis.Instruction) -> None:
    key, *_ = walker.pop_many(2 if instruction.opname == "MAP_ADD" else 1)
    walker.touch(key, implicit.KEY, instruction.offset)


@_on("LIST_EXTEND", "SET_UPDATE", "DICT_UPDATE", "DICT_MERGE")
def _extend(walker: Walker, instruction: dis.Instruction) -> None:
    _go_through(walker, walker.pop(), instruction.offset)


def _go_through(walker: Walker, source: AbstractValue, offset: int) -> None:
    """`[*source]`, `{**source}`, `f(*source)`."""
    walker.touch(source, ("keys", "__getitem__", *implicit.ITERATE), offset)
    if source.is_known and source.is_shared:
        walker.call(AbstractValue(name="iter", value=iter), [source], offset)  # uses an iterator up


@_on("UNPACK_SEQUENCE")
def _unpack(walker: Walker, instruction: dis.Instruction) -> None:
    source = walker.pop()
    walker.touch(source, implicit.ITERATE, instruction.offset)
    count = instruction.arg or 0
    if type(source.value) is list or is_plain_tuple(source.value):
        parts = [subscript(source, AbstractValue(value=place, is_constant=True)) for place in range(count)]
    elif source.holds or (source.is_shared and not source.is_known):
        parts = [subscript(source, UNKNOWN)] * count
    else:
        parts = [blended(source)] * count
    for part in reversed(parts):
        walker.push(part)


@_on(*implicit.UNARY)
def _unary(walker: Walker, instruction: dis.Instruction) -> None:
    operand = walker.pop()
    walker.touch(operand, implicit.UNARY[instruction.opname], instruction.offset)
    walker.push(blended(operand))


@_on("BINARY_SLICE")
def _binary_slice(walker: Walker, instruction: dis.Instruction) -> None:
    owner, *ends = walker.pop_many(3)
    for end in ends:
        walker.touch(end, ("__index__",), instruction.offset)
    if is_array(owner.value):
        walker.push(subscript(owner, AbstractValue(made_by=slice)))
        return
    is_piece = owner.is_cut or (owner.from_item and is_a(owner.value, (str, bytes)))
    walker.push(AbstractValue(from_item=owner.from_item, is_cut=is_piece))


@_on("STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE")
def _store_subscr(walker: Walker, instruction: dis.Instruction) -> None:
    count = {"STORE_SUBSCR": 3, "DELETE_SUBSCR": 2, "STORE_SLICE": 4}[instruction.opname]
    taken = walker.pop_many(count)
    owner = taken[1] if instruction.opname != "DELETE_SUBSCR" else taken[0]
    walker.touch(owner, ("__setitem__", "__delitem__"), instruction.offset)
    walker.touch(taken[-1], implicit.KEY, instruction.offset)
    if owner.value is walker.frame.globals and taken[-1].is_constant:  # `globals()["TOTAL"] = …`
        name = str(taken[-1].value)
        walker.store(owner._replace(name=name, attribute=name), instruction.offset, taken[0])
        return
    target = owner._replace(name=f"{owner.name}[…]" if owner.name else "", attribute="")
    walker.store(target, instruction.offset, UNKNOWN if count == 2 else taken[0])


@_on("BINARY_OP")
def _binary_op(walker: Walker, instruction: dis.Instruction) -> None:
    left, right = walker.pop_many(2)
    sign = instruction.argrepr
    if sign == "[]":
        _subscribe(walker, left, right, instruction.offset)
        return
    for owner, names in zip((left, right), implicit.operators(sign), strict=True):
        walker.touch(owner, names, instruction.offset)
    is_same = sign.endswith("=") and _changes_in_place(left, sign)
    if is_same:
        walker.store(left, instruction.offset, right)  # `SEEN |= {...}` changes the set that others see
    made = blended(left, right)
    if sign in ("%", "//", "&", ">>", "%=", "//=", "&=", ">>=") and left.from_item and not is_a(left.value, str):
        made = made._replace(is_cut=True)
    if sign == "/":
        made = made._replace(made_by=path_type(left) or path_type(right))
    walker.push(left if is_same else made)


def _changes_in_place(left: AbstractValue, sign: str) -> bool:
    """Is it the object itself that `+=` changes? Of a view it is the array that it belongs to."""
    if not left.is_known:
        return left.is_shared and is_array(left.root)
    kind = type(left.value)
    return not ownership.is_own_type(kind) and look_up(kind, implicit.operators(sign)[0][0]) is not None


@_on("CONTAINS_OP", "IS_OP", "COMPARE_OP")
def _compare(walker: Walker, instruction: dis.Instruction) -> None:
    left, right = walker.pop_many(2)
    if instruction.opname == "IS_OP":
        walker.frame.on_identity(left, right, False)
    elif instruction.opname == "CONTAINS_OP":
        walker.touch(right, ("__contains__", *implicit.ITERATE), instruction.offset)
        walker.touch(left, implicit.KEY, instruction.offset)
        walker.frame.on_search(left, right)
        walker.call(AbstractValue(name="iter", value=iter), [right], instruction.offset)  # uses an iterator up
    else:
        if instruction.argval in ("==", "!="):
            walker.frame.on_identity(left, right, True)
        for each in (left, right):
            walker.touch(each, implicit.COMPARE, instruction.offset)
    tested = next((abstract.name for abstract in (right, left) if abstract.is_shared), "")
    if tested and instruction.argval in ORDER:
        tested = f"{tested} {instruction.argval}"
    outcome = _outcome(instruction, left, right) if tested else ABSENT
    walker.push(blended(left, right, test=tested)._replace(value=outcome))


def _outcome(instruction: dis.Instruction, left: AbstractValue, right: AbstractValue) -> object:
    """What a comparison of plain values gives."""
    one, other = left.value, right.value
    if left.from_item or right.from_item or type(one) not in _PLAIN or type(other) not in _PLAIN:
        return ABSENT
    if instruction.opname == "IS_OP":
        return (one is other) != bool(instruction.arg)
    compare = _COMPARED.get(str(instruction.argval))
    try:
        return ABSENT if compare is None else compare(one, other)
    except TypeError:
        return ABSENT


@_on("UNARY_NOT", "TO_BOOL")
def _negate(walker: Walker, instruction: dis.Instruction) -> None:
    abstract = walker.pop()
    walker.touch(abstract, implicit.TRUTH, instruction.offset)
    test = abstract.test or (abstract.name if abstract.is_shared else "")
    value: object = ABSENT
    if test and type(abstract.value) in _PLAIN:
        value = bool(abstract.value) != (instruction.opname == "UNARY_NOT")
    walker.push(AbstractValue(from_item=abstract.from_item, test=test, value=value))


@_on("IMPORT_NAME")
def _import_name(walker: Walker, instruction: dis.Instruction) -> None:
    (_level, names) = walker.pop_many(2)
    name = instruction.argval
    if not names.value:  # `import a.b` binds a, `from a.b import c` looks into a.b
        name = name.partition(".")[0]
    if name in _TELLING and name not in sys.modules:
        __import__(name)  # as the call itself is about to
    module = sys.modules.get(name, ABSENT)
    made_by = types.ModuleType if module is ABSENT else None  # workers alone have loaded it
    walker.push(AbstractValue(name=name, value=module, root=module, is_shared=module is not ABSENT, made_by=made_by))


@_on("COPY")
def _copy(walker: Walker, instruction: dis.Instruction) -> None:
    depth = instruction.arg or 1
    walker.push(walker.stack[-depth] if len(walker.stack) >= depth else UNKNOWN)


@_on("SWAP")
def _swap(walker: Walker, instruction: dis.Instruction) -> None:
    depth = instruction.arg or 1
    if len(walker.stack) >= depth:
        walker.stack[-1], walker.stack[-depth] = walker.stack[-depth], walker.stack[-1]


@_on("GET_ITER", "GET_AWAITABLE", "GET_YIELD_FROM_ITER", "GET_AITER")
def _get_iter(walker: Walker, instruction: dis.Instruction) -> None:
    # What is iterated over keeps its abstract value, so that `for node in TREE: node.seen = True` is seen.
    source = walker.stack[-1] if walker.stack else UNKNOWN
    walker.touch(source, implicit.AWAITED.get(instruction.opname, ()), instruction.offset)
    if source.is_known and source.is_shared:
        walker.call(AbstractValue(name="iter", value=iter), [source], instruction.offset)  # uses an iterator up


@_on("FORMAT_VALUE", "FORMAT_SIMPLE", "FORMAT_WITH_SPEC")
def _format(walker: Walker, instruction: dis.Instruction) -> None:
    has_spec = instruction.opname == "FORMAT_WITH_SPEC" or (
        instruction.opname == "FORMAT_VALUE" and (instruction.arg or 0) & 4
    )
    parts = walker.pop_many(2 if has_spec else 1)
    walker.touch(parts[0], implicit.FORMAT, instruction.offset)
    walker.push(blended(*parts))


@_on("FOR_ITER")
def _for_iter(walker: Walker, instruction: dis.Instruction) -> None:
    source = walker.stack[-1] if walker.stack else UNKNOWN
    walker.touch(source, ("__iter__", "__next__"), instruction.offset)
    walker.push(subscript(source, UNKNOWN))


@_on("MAKE_FUNCTION")
def _make_function(walker: Walker, instruction: dis.Instruction) -> None:
    code = walker.pop()
    if sys.version_info < (3, 13):
        walker.pop_many((instruction.arg or 0).bit_count())
    walker.push(AbstractValue(value=code.value))


@_on("KW_NAMES")
def _kw_names(walker: Walker, instruction: dis.Instruction) -> None:
    names = walker.frame.code.co_consts[instruction.arg or 0]  # not `argval`: 3.11 leaves it a number
    walker.keywords = names if is_a(names, tuple) else ()


@_on("CALL", "CALL_KW")
def _call(walker: Walker, instruction: dis.Instruction) -> None:
    names, walker.keywords = walker.keywords, ()
    if instruction.opname == "CALL_KW":
        constant = walker.pop().value
        names = constant if is_a(constant, tuple) else ()
    arguments = walker.pop_many(instruction.arg or 0)
    first, second = walker.pop_many(2)
    callee = second if first.is_null else first
    if callee.attribute == _ENTER and callee.owner is not None:
        walker.push(callee.owner)  # what it gives, most often itself
        return
    if is_a(callee.value, types.CodeType):  # a comprehension, or a function made here: walked once this code was
        given = arguments or [each for each in (first, second) if each is not callee]
        walker.frame.given.setdefault(callee.value, given[0] if given else UNKNOWN)
        enclosed = (walker.load_cell(name) for name in callee.value.co_freevars)
        walker.push(blended(callee, *given, *enclosed))
        return
    if callee.value is super and not arguments and walker.frame.code.co_varnames:  # before 3.12
        myself = walker.load_variable(walker.frame.code.co_varnames[0])
        walker.push(AbstractValue(owner=myself, attribute=_SUPER))
        return
    if callee.value is globals:
        names_here = walker.frame.globals
        walker.push(shared("globals()", names_here))
        return
    if callee.is_known and callable(callee.value):
        for each in arguments:
            try:
                walker.touch(each, implicit.BY_BUILTIN.get(callee.value, ()), instruction.offset)
            except TypeError:  # it can't be hashed: none of these
                break
    walker.push(walker.call(callee, arguments, instruction.offset, names))


@_on("CALL_FUNCTION_EX")
def _call_function_ex(walker: Walker, instruction: dis.Instruction) -> None:
    has_mapping = bool((instruction.arg or 0) & 1) or instruction.arg is None
    spread = walker.pop_many(2 if has_mapping else 1)
    for each in spread:
        _go_through(walker, each, instruction.offset)
    first, second = walker.pop_many(2)
    callee = second if first.is_null else first
    if callee.is_null:
        callee = first
    walker.push(walker.call(callee, [ITEM if any(o.from_item for o in spread) else UNKNOWN], instruction.offset))


@_on("BEFORE_WITH", "BEFORE_ASYNC_WITH")
def _before_with(walker: Walker, instruction: dis.Instruction) -> None:
    manager = walker.pop()
    walker.touch(manager, implicit.WITH, instruction.offset)
    walker.enter_with(instruction, manager)
    walker.push(AbstractValue(attribute=_EXIT, owner=manager))
    walker.push(manager)  # what __enter__ gives, most often itself


@_on("LOAD_SPECIAL")
def _load_special(walker: Walker, instruction: dis.Instruction) -> None:
    manager = walker.pop()
    walker.touch(manager, implicit.WITH, instruction.offset)
    walker.enter_with(instruction, manager)
    enters = instruction.arg in (0, 2)  # `__enter__`, `__aenter__`
    walker.push(AbstractValue(attribute=_ENTER if enters else _EXIT, owner=manager))
    walker.push(NULL)


@_on("RETURN_VALUE")
def _return_value(walker: Walker, _instruction: dis.Instruction) -> None:
    abstract = walker.pop()
    walker.frame.on_return(abstract)
    walker.returned = joined(walker.returned, abstract)
