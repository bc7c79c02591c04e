"""One function's bytecode, walked once with origins instead of values: what it stores to and what it calls.

An abstract interpretation in one pass (no fixpoint): the stack is tracked exactly inside basic blocks and carried
along forward jumps, variables hold the join of what is stored to them. What is not understood becomes unknown,
which is never reported: the scan finds suspects, it proves nothing. Written for the instructions of CPython 3.11
to 3.14; an instruction that it does not know is given its stack effect and no meaning.

Two regions matter to the verdict and are followed: what runs under a lock (`with lock:`), and what runs only when
a test of something shared has said so ("if MODEL is None", "if key not in CACHE").
"""

from __future__ import annotations

import dis
import functools
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from whilst.measuring.origins import (
    ABSENT,
    CONSTANT_NONE,
    FRESH,
    ITEM,
    NULL,
    UNKNOWN,
    Origin,
    attribute,
    joined,
    subscript,
)

__all__ = ["Call", "Frame", "Guard", "Store", "walk"]

_RETURNS: Final = ("RETURN_VALUE", "RETURN_CONST")
_NO_FALL_THROUGH: Final = (
    *_RETURNS,
    "RAISE_VARARGS",
    "RERAISE",
    "JUMP_FORWARD",
    "JUMP_BACKWARD",
    "JUMP_BACKWARD_NO_INTERRUPT",
)


class Guard(NamedTuple):
    """A test of something shared that decides whether what follows is done."""

    name: str
    is_of_item: bool
    """What is tested depends on the call's item ("if url in VISITED"): such a test never settles down."""


class Store(NamedTuple):
    """An assignment to something that outlives the call. `verb` is how: "sets", "deletes", "adds to"."""

    target: Origin
    line: int | None
    is_locked: bool
    guard: Guard | None


class Call(NamedTuple):
    """A call made by the function: what is called, and with what."""

    callee: Origin
    arguments: tuple[Origin, ...]
    names: tuple[str, ...]
    """Of the last arguments, those passed by keyword."""
    line: int | None
    is_locked: bool
    guard: Guard | None


@dataclass(slots=True)
class Frame:
    """A code object with what its names stand for."""

    code: types.CodeType
    globals: Mapping[str, object]
    free: Mapping[str, Origin]
    variables: dict[str, Origin]
    is_locked: bool = False
    guard: Guard | None = None
    on_call: Callable[[Call], Origin] = field(default=lambda _call: UNKNOWN)
    on_store: Callable[[Store], None] = field(default=lambda _store: None)
    is_lock: Callable[[Origin], bool] = field(default=lambda _origin: False)
    returned: Origin | None = None
    nested: list[types.CodeType] = field(default_factory=list)


def walk(frame: Frame) -> Origin:
    """Report every store and call of `frame.code` to the frame, and return the origin of what it returns."""
    walker = _Walker(frame)
    for instruction in instructions_of(frame.code):
        walker.step(instruction)
    return frame.returned or FRESH


@functools.lru_cache(maxsize=512)
def instructions_of(code: types.CodeType) -> tuple[dis.Instruction, ...]:
    return tuple(dis.get_instructions(code))


class _Walker:
    """The state of one walk."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.stack: list[Origin] = []
        self.waiting: dict[int, list[Origin]] = {}  # the stack that a forward jump brings to its target
        self.guards: list[tuple[int, Guard]] = []  # (offset where it ends, guard)
        self.locked: list[tuple[int, int]] = []  # protected ranges of `with lock:`
        self.holds = frame.is_locked
        self.line: int | None = frame.code.co_firstlineno
        self.keywords: tuple[str, ...] = ()
        self.falls_through = True
        self.previous = ""
        self.lock_depth = 0

    # ---------------------------------------------------------------- the stack

    def push(self, origin: Origin) -> None:
        self.stack.append(origin)

    def pop(self) -> Origin:
        return self.stack.pop() if self.stack else UNKNOWN

    def pop_many(self, count: int) -> list[Origin]:
        taken = [self.pop() for _ in range(count)]
        taken.reverse()
        return taken

    # ---------------------------------------------------------------- one instruction

    def step(self, instruction: dis.Instruction) -> None:
        if instruction.starts_line:  # the line itself until 3.12, a flag since 3.13
            self.line = getattr(instruction, "line_number", None) or instruction.starts_line or self.line
        self._arrive(instruction)
        name = instruction.opname
        handler = _HANDLERS.get(name)
        if handler is not None:
            handler(self, instruction)
        elif "JUMP" in name:
            self.jump(instruction)
        else:
            self._unknown(instruction)
        self.falls_through = name not in _NO_FALL_THROUGH
        self.previous = name

    def _arrive(self, instruction: dis.Instruction) -> None:
        offset = instruction.offset
        brought = self.waiting.pop(offset, None)
        if brought is not None:
            if self.falls_through and len(brought) == len(self.stack):
                self.stack = [joined(a, b) for a, b in zip(self.stack, brought, strict=True)]
            elif not self.falls_through:
                self.stack = brought
        elif not self.falls_through:
            self.stack = []
        if self.guards:
            returned_before = self.previous in _RETURNS
            # A guarded stretch that ends in a return guards all the rest: `if MODEL is not None: return MODEL`.
            self.guards = [
                (end if offset < end or not returned_before else 1 << 30, guard)
                for end, guard in self.guards
                if offset < end or returned_before
            ]

    def _unknown(self, instruction: dis.Instruction) -> None:
        try:
            effect = dis.stack_effect(instruction.opcode, instruction.arg, jump=False)
        except ValueError:
            effect = 0
        touched = self.stack[-max(1, 1 - effect) :]
        for _ in range(max(0, -effect)):
            self.pop()
        from_item = any(origin.from_item for origin in touched)
        if effect <= 0 and self.stack and instruction.opname not in ("NOP", "RESUME", "POP_TOP", "CACHE", "PRECALL"):
            self.pop()
            self.push(Origin(from_item=from_item))
        for _ in range(max(0, effect)):
            self.push(Origin(from_item=from_item))

    def jump(self, instruction: dis.Instruction) -> None:
        condition = self.pop() if "POP_JUMP" in instruction.opname else UNKNOWN
        target = instruction.argval
        if not isinstance(target, int) or target <= instruction.offset:
            return
        self.waiting.setdefault(target, list(self.stack))
        if "POP_JUMP" in instruction.opname:
            tested = condition.test or (condition.name if condition.is_shared else "")
            if tested:
                self.guards.append((target, Guard(tested, condition.from_item)))

    # ---------------------------------------------------------------- what is reported

    @property
    def guard(self) -> Guard | None:
        guards = [guard for _, guard in self.guards]
        if self.frame.guard is not None:
            guards.append(self.frame.guard)
        settled = next((guard for guard in guards if not guard.is_of_item), None)
        return settled or (guards[0] if guards else None)

    def is_locked_at(self, offset: int) -> bool:
        return self.holds or self.lock_depth > 0 or any(start <= offset < end for start, end in self.locked)

    def store(self, target: Origin, offset: int) -> None:
        if target.is_shared or target.is_argument:
            self.frame.on_store(Store(target, self.line, self.is_locked_at(offset), self.guard))

    def call(self, callee: Origin, arguments: list[Origin], offset: int, names: tuple[str, ...] = ()) -> Origin:
        if callee.attribute in ("acquire", "release") and callee.owner and self.frame.is_lock(callee.owner):
            self.lock_depth = max(0, self.lock_depth + (1 if callee.attribute == "acquire" else -1))
            return FRESH
        tainted = callee.from_item or any(argument.from_item for argument in arguments)
        result = self.frame.on_call(
            Call(callee, tuple(arguments), names, self.line, self.is_locked_at(offset), self.guard)
        )
        return replace(result, from_item=True) if tainted and not result.from_item else result

    # ---------------------------------------------------------------- loads and stores

    def load_variable(self, name: str) -> Origin:
        return self.frame.variables.get(name, UNKNOWN)

    def store_variable(self, name: str, origin: Origin) -> None:
        self.frame.variables[name] = joined(self.frame.variables.get(name), origin)

    def load_global(self, name: str) -> Origin:
        value = self.frame.globals.get(name, ABSENT)
        if value is ABSENT:
            return _builtin(name)
        return Origin(name=name, value=value, root=value, is_shared=True)

    def load_cell(self, name: str) -> Origin:
        if name in self.frame.free:
            return self.frame.free[name]
        return self.load_variable(name)

    def enter_with(self, instruction: dis.Instruction, manager: Origin) -> None:
        if self.frame.is_lock(manager):
            self.locked += _protected(self.frame.code, instruction.offset)


@functools.lru_cache(maxsize=256)
def _builtin(name: str) -> Origin:
    import builtins

    value = getattr(builtins, name, ABSENT)
    return Origin(name=name, value=value)


def _protected(code: types.CodeType, offset: int) -> list[tuple[int, int]]:
    """The ranges whose exceptions go where those of the instruction after `offset` go: the body of the `with`."""
    entries = dis._parse_exception_table(code)  # type: ignore[attr-defined]  # noqa: SLF001 - no public reader exists
    inside = [entry for entry in entries if entry.start > offset and entry.start - offset <= 16]
    if not inside:
        return []
    target = min(inside, key=lambda entry: entry.start).target
    return [(entry.start, entry.end) for entry in entries if entry.target == target]


_Handler = Callable[[_Walker, dis.Instruction], None]
_HANDLERS: dict[str, _Handler] = {}


def _on(*names: str) -> Callable[[_Handler], _Handler]:
    def register(handler: _Handler) -> _Handler:
        for name in names:
            _HANDLERS[name] = handler
        return handler

    return register


@_on("RESUME", "NOP", "CACHE", "PRECALL", "EXTENDED_ARG", "COPY_FREE_VARS", "MAKE_CELL", "NOT_TAKEN")
def _nothing(_walker: _Walker, _instruction: dis.Instruction) -> None:
    pass


@_on("PUSH_NULL")
def _push_null(walker: _Walker, _instruction: dis.Instruction) -> None:
    walker.push(NULL)


@_on("LOAD_CONST", "LOAD_SMALL_INT")
def _load_const(walker: _Walker, instruction: dis.Instruction) -> None:
    value = instruction.argval
    if isinstance(value, types.CodeType):
        walker.frame.nested.append(value)
    walker.push(CONSTANT_NONE if value is None else Origin(value=value, is_constant=True))


@_on("LOAD_GLOBAL", "LOAD_NAME")
def _load_global(walker: _Walker, instruction: dis.Instruction) -> None:
    pushes_null = instruction.opname == "LOAD_GLOBAL" and bool((instruction.arg or 0) & 1)
    if pushes_null:
        walker.push(NULL)  # before or after the callable, by version; `_call` takes whichever is not null
    walker.push(walker.load_global(instruction.argval))


@_on("LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW", "LOAD_FAST_AND_CLEAR")
def _load_fast(walker: _Walker, instruction: dis.Instruction) -> None:
    walker.push(walker.load_variable(instruction.argval))


@_on("LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW_LOAD_FAST_BORROW")
def _load_fast_twice(walker: _Walker, instruction: dis.Instruction) -> None:
    for name in instruction.argval:
        walker.push(walker.load_variable(name))


@_on("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_CLOSURE", "LOAD_FROM_DICT_OR_DEREF")
def _load_deref(walker: _Walker, instruction: dis.Instruction) -> None:
    walker.push(walker.load_cell(instruction.argval))


@_on("STORE_FAST")
def _store_fast(walker: _Walker, instruction: dis.Instruction) -> None:
    walker.store_variable(instruction.argval, walker.pop())


@_on("STORE_FAST_STORE_FAST")
def _store_fast_twice(walker: _Walker, instruction: dis.Instruction) -> None:
    for name in instruction.argval:
        walker.store_variable(name, walker.pop())


@_on("STORE_FAST_LOAD_FAST")
def _store_fast_load_fast(walker: _Walker, instruction: dis.Instruction) -> None:
    stored, loaded = instruction.argval
    walker.store_variable(stored, walker.pop())
    walker.push(walker.load_variable(loaded))


@_on("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_NAME")
def _store_global(walker: _Walker, instruction: dis.Instruction) -> None:
    if instruction.opname != "DELETE_GLOBAL":
        walker.pop()
    name = instruction.argval
    origin = walker.load_global(name)
    root = walker.frame.globals
    walker.store(replace(origin, name=name, root=root, value=root, attribute=name, is_shared=True), instruction.offset)


@_on("STORE_DEREF", "DELETE_DEREF")
def _store_deref(walker: _Walker, instruction: dis.Instruction) -> None:
    value = walker.pop() if instruction.opname == "STORE_DEREF" else UNKNOWN
    name = instruction.argval
    if name in walker.frame.free:
        walker.store(walker.frame.free[name], instruction.offset)
    else:
        walker.store_variable(name, value)


@_on("LOAD_ATTR", "LOAD_METHOD")
def _load_attr(walker: _Walker, instruction: dis.Instruction) -> None:
    found = attribute(walker.pop(), instruction.argval)
    arg = instruction.arg or 0
    is_method = instruction.opname == "LOAD_METHOD" or (dis.stack_effect(instruction.opcode, arg) > 0)
    if is_method:
        walker.push(NULL)
    walker.push(_read_property(walker, found, instruction.offset))


def _read_property(walker: _Walker, found: Origin, offset: int) -> Origin:
    if isinstance(found.value, property) and found.owner is not None and found.value.fget is not None:
        getter = replace(found, value=found.value.fget)
        return walker.call(getter, [], offset)
    return found


@_on("LOAD_SUPER_ATTR")
def _load_super_attr(walker: _Walker, instruction: dis.Instruction) -> None:
    owner = walker.pop()
    walker.pop_many(2)
    kinds = type(owner.value).__mro__[1:] if owner.is_known else owner.made_by.__mro__[1:] if owner.made_by else ()
    value = next((kind.__dict__[instruction.argval] for kind in kinds if instruction.argval in kind.__dict__), ABSENT)
    found = replace(attribute(replace(owner, value=ABSENT), instruction.argval), value=value, owner=owner)
    if (instruction.arg or 0) & 1:
        walker.push(NULL)
    walker.push(found)


@_on("STORE_ATTR", "DELETE_ATTR")
def _store_attr(walker: _Walker, instruction: dis.Instruction) -> None:
    owner = walker.pop()
    if instruction.opname == "STORE_ATTR":
        walker.pop()
    target = attribute(owner, instruction.argval)
    root = owner.value if owner.is_known else owner.root
    walker.store(replace(target, root=root, value=root, owner=owner), instruction.offset)


@_on("BINARY_SUBSCR")
def _binary_subscr(walker: _Walker, _instruction: dis.Instruction) -> None:
    owner, key = walker.pop_many(2)
    walker.push(subscript(owner, key))


@_on("BINARY_SLICE")
def _binary_slice(walker: _Walker, _instruction: dis.Instruction) -> None:
    owner, *_ = walker.pop_many(3)
    walker.push(Origin(from_item=owner.from_item))


@_on("STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE")
def _store_subscr(walker: _Walker, instruction: dis.Instruction) -> None:
    count = {"STORE_SUBSCR": 3, "DELETE_SUBSCR": 2, "STORE_SLICE": 4}[instruction.opname]
    taken = walker.pop_many(count)
    owner = taken[1] if instruction.opname != "DELETE_SUBSCR" else taken[0]
    walker.store(replace(owner, name=f"{owner.name}[…]" if owner.name else ""), instruction.offset)


@_on("BINARY_OP")
def _binary_op(walker: _Walker, instruction: dis.Instruction) -> None:
    left, right = walker.pop_many(2)
    sign = instruction.argrepr
    if sign == "[]":
        walker.push(subscript(left, right))
        return
    if sign.endswith("=") and type(left.value) in (list, dict, set, bytearray):
        walker.store(left, instruction.offset)  # `SEEN |= {...}` changes the set that others see
    is_same = sign.endswith("=") and type(left.value) in (list, dict, set, bytearray)
    walker.push(left if is_same else Origin(from_item=left.from_item or right.from_item))


@_on("CONTAINS_OP", "IS_OP", "COMPARE_OP")
def _compare(walker: _Walker, _instruction: dis.Instruction) -> None:
    left, right = walker.pop_many(2)
    tested = next((origin.name for origin in (right, left) if origin.is_shared), "")
    walker.push(Origin(from_item=left.from_item or right.from_item, test=tested))


@_on("UNARY_NOT", "TO_BOOL")
def _negate(walker: _Walker, _instruction: dis.Instruction) -> None:
    origin = walker.pop()
    walker.push(Origin(from_item=origin.from_item, test=origin.test or (origin.name if origin.is_shared else "")))


@_on("POP_JUMP_IF_NONE", "POP_JUMP_IF_NOT_NONE", "POP_JUMP_FORWARD_IF_NONE", "POP_JUMP_FORWARD_IF_NOT_NONE")
def _jump_if_none(walker: _Walker, instruction: dis.Instruction) -> None:
    walker.jump(instruction)


@_on("IMPORT_NAME")
def _import_name(walker: _Walker, instruction: dis.Instruction) -> None:
    (_level, names) = walker.pop_many(2)
    name = instruction.argval
    if not names.value:  # `import a.b` binds a, `from a.b import c` looks into a.b
        name = name.partition(".")[0]
    module = sys.modules.get(name, ABSENT)
    walker.push(Origin(name=name, value=module, root=module, is_shared=module is not ABSENT))


@_on("IMPORT_FROM")
def _import_from(walker: _Walker, instruction: dis.Instruction) -> None:
    walker.push(attribute(walker.stack[-1] if walker.stack else UNKNOWN, instruction.argval))


@_on("COPY")
def _copy(walker: _Walker, instruction: dis.Instruction) -> None:
    depth = instruction.arg or 1
    walker.push(walker.stack[-depth] if len(walker.stack) >= depth else UNKNOWN)


@_on("SWAP")
def _swap(walker: _Walker, instruction: dis.Instruction) -> None:
    depth = instruction.arg or 1
    if len(walker.stack) >= depth:
        walker.stack[-1], walker.stack[-depth] = walker.stack[-depth], walker.stack[-1]


@_on("POP_TOP")
def _pop_top(walker: _Walker, _instruction: dis.Instruction) -> None:
    walker.pop()


@_on("GET_ITER", "GET_AWAITABLE", "GET_YIELD_FROM_ITER", "GET_AITER")
def _get_iter(_walker: _Walker, _instruction: dis.Instruction) -> None:
    pass  # what is iterated over keeps its origin, so that `for node in TREE: node.seen = True` is seen


@_on("FOR_ITER")
def _for_iter(walker: _Walker, _instruction: dis.Instruction) -> None:
    source = walker.stack[-1] if walker.stack else UNKNOWN
    walker.push(subscript(source, UNKNOWN))


@_on("KW_NAMES")
def _kw_names(walker: _Walker, instruction: dis.Instruction) -> None:
    names = instruction.argval
    walker.keywords = names if isinstance(names, tuple) else ()


@_on("CALL", "CALL_KW")
def _call(walker: _Walker, instruction: dis.Instruction) -> None:
    names, walker.keywords = walker.keywords, ()
    if instruction.opname == "CALL_KW":
        constant = walker.pop().value
        names = constant if isinstance(constant, tuple) else ()
    arguments = walker.pop_many(instruction.arg or 0)
    first, second = walker.pop_many(2)
    callee = second if first.is_null else first
    walker.push(walker.call(callee, arguments, instruction.offset, names))


@_on("CALL_FUNCTION_EX")
def _call_function_ex(walker: _Walker, instruction: dis.Instruction) -> None:
    has_mapping = bool((instruction.arg or 0) & 1) or instruction.arg is None
    spread = walker.pop_many(2 if has_mapping else 1)
    first, second = walker.pop_many(2)
    callee = second if first.is_null else first
    if callee.is_null:
        callee = first
    walker.push(walker.call(callee, [ITEM if any(o.from_item for o in spread) else UNKNOWN], instruction.offset))


@_on("BEFORE_WITH", "BEFORE_ASYNC_WITH")
def _before_with(walker: _Walker, instruction: dis.Instruction) -> None:
    manager = walker.pop()
    walker.enter_with(instruction, manager)
    walker.push(UNKNOWN)  # __exit__
    walker.push(manager)  # what __enter__ gives, most often itself


@_on("LOAD_SPECIAL")
def _load_special(walker: _Walker, instruction: dis.Instruction) -> None:
    manager = walker.pop()
    walker.enter_with(instruction, manager)
    walker.push(UNKNOWN)
    walker.push(NULL)


@_on("RETURN_VALUE")
def _return_value(walker: _Walker, _instruction: dis.Instruction) -> None:
    walker.frame.returned = joined(walker.frame.returned, walker.pop())


@_on("RETURN_CONST")
def _return_const(_walker: _Walker, _instruction: dis.Instruction) -> None:
    pass
