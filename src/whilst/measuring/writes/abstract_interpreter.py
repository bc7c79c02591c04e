"""The state of one walk through a function's bytecode: what the function stores to and what it calls.

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
import types
from collections.abc import Callable, Mapping
from typing import Final

from whilst._light import Record
from whilst.inspecting import ownership
from whilst.inspecting.cpython import exception_table_of, line_of
from whilst.measuring.writes.abstract_value import (
    ABSENT,
    FRESH,
    ITEM,
    UNKNOWN,
    AbstractValue,
    blended,
    is_cut,
    joined,
    of_thread_in,
    shared,
)
from whilst.measuring.writes.implicit_calls import TRUTH, own_methods

_RETURNS: Final = ("RETURN_VALUE", "RETURN_CONST")
_NO_FALL_THROUGH: Final = (
    *_RETURNS,
    "RAISE_VARARGS",
    "RERAISE",
    "JUMP_FORWARD",
    "JUMP_BACKWARD",
    "JUMP_BACKWARD_NO_INTERRUPT",
)


_HANDLERS: Final = ("PUSH_EXC_INFO", "CHECK_EXC_MATCH", "POP_EXCEPT")
ORDER: Final = ("<", "<=", ">", ">=")


class Guard(Record):
    """Tests that decide whether what follows is done: of something shared, or of the item."""

    names: tuple[str, ...]
    """Of what is tested, none where it is the item alone; "COUNT <" where its order is: as with a counter, which moves
    on while calls go by."""
    is_of_item: bool
    """What is tested depends on the call's item ("if url in VISITED"): such a test never settles down."""
    is_closed: bool = False
    """As things are, what follows is not done."""
    is_open: bool = False
    """As things are, it is done."""


class Store(Record):
    """An assignment to something that outlives the call. `verb` is how: "sets", "deletes", "adds to"."""

    target: AbstractValue
    line: int | None
    is_locked: bool
    guard: Guard | None
    takes_item: bool = False
    """What is assigned comes from the call's item."""


class Call(Record):
    """A call made by the function: what is called, and with what."""

    callee: AbstractValue
    arguments: tuple[AbstractValue, ...]
    names: tuple[str, ...]
    """Of the last arguments, those passed by keyword."""
    line: int | None
    is_locked: bool
    guard: Guard | None
    is_put_back: bool = False
    """Within `with warnings.catch_warnings()`: filters are what they were afterwards."""


class Frame(Record):
    """A code object with what its names stand for, and who is told of what it does."""

    code: types.CodeType
    globals: Mapping[str, object]
    free: Mapping[str, AbstractValue]
    variables: dict[str, AbstractValue]
    nested: list[types.CodeType]
    """Of the functions made here."""
    given: dict[types.CodeType, AbstractValue]
    """What functions made here were first called with: for a comprehension what it goes through."""
    lost: list[Call]
    """Of what nobody knows."""
    is_locked: bool
    guard: Guard | None
    is_put_back: bool
    on_call: Callable[[Call], AbstractValue]
    on_lock: Callable[[Call], None]
    """`lock.acquire(…)`, `lock.release()`."""
    on_store: Callable[[Store], None]
    on_return: Callable[[AbstractValue], None]
    on_identity: Callable[[AbstractValue, AbstractValue, bool], None]
    """`one is other`, or with True `one == other`."""
    on_search: Callable[[AbstractValue, AbstractValue], None]
    """`one in other`, `other[one]`."""
    on_load: Callable[[AbstractValue, int | None], None] | None = None
    """Something known is looked up, in that line."""


class Walker:
    """The state of one walk."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.stack: list[AbstractValue] = []
        self.waiting: dict[int, list[AbstractValue]] = {}  # the stack that a forward jump brings to its target
        self.is_handling = False
        """Within `except`: something about the item has led there."""
        self.guards: list[tuple[int, Guard]] = []  # (offset where it ends, guard)
        self.locked: list[tuple[int, int]] = []  # protected ranges of `with lock:`
        self.put_back: list[tuple[int, int]] = []  # those of `with warnings.catch_warnings():`
        self.holds = frame.is_locked
        self.returned: AbstractValue | None = None
        self.line: int | None = frame.code.co_firstlineno
        self.keywords: tuple[str, ...] = ()
        self.falls_through = True
        self.previous = ""
        self.lock_depth = 0
        self.read_of_thread: set[str] = set()
        """Attributes of thread-local objects that were read so far."""
        self.asks_item = False
        """Some branch so far depends on the item."""

    # ---------------------------------------------------------------- the stack

    def push(self, abstract: AbstractValue) -> None:
        if abstract.of_thread:
            self.read_of_thread.add(abstract.of_thread)
        if self.frame.on_load is not None and (abstract.is_shared or abstract.is_constant):
            self.frame.on_load(abstract, self.line)
        self.stack.append(abstract)

    def pop(self) -> AbstractValue:
        return self.stack.pop() if self.stack else UNKNOWN

    def pop_many(self, count: int) -> list[AbstractValue]:
        taken = [self.pop() for _ in range(count)]
        taken.reverse()
        return taken

    # ---------------------------------------------------------------- one instruction

    def arrive(self, instruction: dis.Instruction) -> None:
        """Keep the line, and take the stack that jumps bring here."""
        self.line = line_of(instruction) or self.line
        offset = instruction.offset
        brought = self.waiting.pop(offset, None)
        if brought is not None:
            if self.falls_through and len(brought) == len(self.stack):
                self.stack = [self._merged(a, b) for a, b in zip(self.stack, brought, strict=True)]
            elif not self.falls_through:
                self.stack = brought
        elif not self.falls_through:
            self.stack = []
        if self.guards:
            returned_before = self.previous in _RETURNS
            # A guarded stretch that ends in a return guards all the rest: `if MODEL is not None: return MODEL`.
            self.guards = [
                (end, guard)
                if offset < end
                else (1 << 30, guard._replace(is_closed=guard.is_open, is_open=guard.is_closed))
                for end, guard in self.guards
                if offset < end or returned_before
            ]

    def leave(self, instruction: dis.Instruction) -> None:
        self.falls_through = instruction.opname not in _NO_FALL_THROUGH
        if instruction.opname in _HANDLERS:
            self.is_handling = instruction.opname != "POP_EXCEPT"
        self.previous = instruction.opname

    def _merged(self, one: AbstractValue, other: AbstractValue) -> AbstractValue:
        """Of two constants which one it is (`"a" if item else "b"`) may be the item's affair."""
        merged = joined(one, other)
        is_choice = self.asks_item and one.is_constant and other.is_constant and one.value != other.value
        return merged._replace(from_item=True, is_cut=True) if is_choice else merged

    def unknown(self, instruction: dis.Instruction) -> None:
        """An instruction without a handler: its stack effect alone."""
        try:
            effect = dis.stack_effect(instruction.opcode, instruction.arg, jump=False)
        except ValueError:
            effect = 0
        touched = self.stack[-max(1, 1 - effect) :]
        for _ in range(max(0, -effect)):
            self.pop()
        made = blended(*touched)
        if effect <= 0 and self.stack and instruction.opname not in ("NOP", "RESUME", "POP_TOP", "CACHE", "PRECALL"):
            self.pop()
            self.push(made)
        for _ in range(max(0, effect)):
            self.push(made)

    def jump(self, instruction: dis.Instruction) -> None:
        condition = self.pop() if "POP_JUMP" in instruction.opname else UNKNOWN
        if instruction.opname.endswith(("IF_TRUE", "IF_FALSE")):
            self.touch(condition, TRUTH, instruction.offset)
        target = instruction.argval
        if not isinstance(target, int) or target <= instruction.offset:
            return
        self.waiting.setdefault(target, list(self.stack))
        if instruction.opname.endswith("OR_POP"):  # `a or b` before 3.12: kept where it jumps
            self.touch(self.pop(), TRUTH, instruction.offset)
        if "POP_JUMP" in instruction.opname:
            self.asks_item = self.asks_item or condition.from_item
            tested = condition.test or (condition.name if condition.is_shared else "")
            if tested or condition.from_item:
                is_skipped = None if condition.from_item else _jumps(instruction.opname, condition.value)
                names = (tested,) if tested else ()
                self.guards.append((target, Guard(names, condition.from_item, is_skipped is True, is_skipped is False)))

    # ---------------------------------------------------------------- what is reported

    @property
    def guard(self) -> Guard | None:
        guards = [] if self.frame.guard is None else [self.frame.guard]
        guards += [guard for _, guard in self.guards]
        if not guards or guards[-1].is_of_item or self.is_handling:
            # The item decides, within whatever else is asked: what is written so may come with any call.
            return next((guard for guard in reversed(guards) if guard.is_of_item and guard.names), None)
        settled = [guard for guard in guards if not guard.is_of_item]
        if len(settled) == 1:
            return settled[0]
        names = tuple(dict.fromkeys(name for guard in settled for name in guard.names))
        return Guard(names, False, any(guard.is_closed for guard in settled), all(guard.is_open for guard in settled))

    def is_locked_at(self, offset: int) -> bool:
        return self.holds or self.lock_depth > 0 or _is_within(offset, self.locked)

    def store(self, target: AbstractValue, offset: int, value: AbstractValue = UNKNOWN) -> None:
        if target.is_shared or target.is_argument:
            self.frame.on_store(Store(target, self.line, self.is_locked_at(offset), self.guard, value.from_item))

    def call(
        self, callee: AbstractValue, arguments: list[AbstractValue], offset: int, names: tuple[str, ...] = ()
    ) -> AbstractValue:
        is_put_back = self.frame.is_put_back or _is_within(offset, self.put_back)
        is_locked = self.is_locked_at(offset)
        call = Call(callee, tuple(arguments), names, self.line, is_locked, self.guard, is_put_back)
        if callee.attribute in ("acquire", "release") and callee.owner and ownership.is_lock(callee.owner.value):
            self.frame.on_lock(call)
            self.lock_depth = max(0, self.lock_depth + (1 if callee.attribute == "acquire" else -1))
            return FRESH
        tainted = callee.from_item or any(argument.from_item for argument in arguments)
        result = self.frame.on_call(call)
        if not result.of_thread and (of_thread := of_thread_in(arguments)):
            result = result._replace(of_thread=of_thread)
        if not tainted or result.from_item:
            return result
        return result._replace(from_item=True, is_cut=is_cut((callee, *arguments)))

    def touch(self, owner: AbstractValue, names: tuple[str, ...], offset: int) -> None:
        """Call those of an object's methods that are the user's own: what is done here calls them unnamed."""
        is_object = owner.is_shared or owner.made_by is not None or (owner.is_argument and owner.is_known)
        if names and is_object:
            for method in own_methods(owner, names):
                self.call(method, [ITEM], offset)

    # ---------------------------------------------------------------- loads and stores

    def load_variable(self, name: str) -> AbstractValue:
        return self.frame.variables.get(name, UNKNOWN)

    def store_variable(self, name: str, abstract: AbstractValue) -> None:
        self.frame.variables[name] = joined(self.frame.variables.get(name), abstract)

    def load_global(self, name: str) -> AbstractValue:
        value = self.frame.globals.get(name, ABSENT)
        if value is ABSENT:
            return _builtin(name)
        return shared(name, value)

    def load_cell(self, name: str) -> AbstractValue:
        if name in self.frame.free:
            return self.frame.free[name]
        return self.load_variable(name)

    def enter_with(self, instruction: dis.Instruction, manager: AbstractValue) -> None:
        if ownership.is_lock(manager.value):
            self.locked += _protected(self.frame.code, instruction.offset)
        if manager.made_by is not None and manager.made_by.__name__ == "catch_warnings":
            self.put_back += _protected(self.frame.code, instruction.offset)


@functools.lru_cache(maxsize=256)
def _builtin(name: str) -> AbstractValue:
    import builtins

    value = getattr(builtins, name, ABSENT)
    return AbstractValue(name=name, value=value)


def _jumps(opname: str, value: object) -> bool | None:
    """Does a conditional jump, now that what is tested has this value? None where that isn't known."""
    if type(value) not in (bool, int, float, str, bytes, type(None)):
        return None
    if opname.endswith("NONE"):
        return (value is None) != opname.endswith("NOT_NONE")
    return bool(value) == opname.endswith("TRUE")


def _is_within(offset: int, ranges: list[tuple[int, int]]) -> bool:
    return any(start <= offset < end for start, end in ranges)


def _protected(code: types.CodeType, offset: int) -> list[tuple[int, int]]:
    """The ranges whose exceptions go where those of the instruction after `offset` go: the body of the `with`."""
    entries = exception_table_of(code)
    inside = [entry for entry in entries if entry.start > offset and entry.start - offset <= 16]
    if not inside:
        return []
    target = min(inside, key=lambda entry: entry.start).target
    return [(entry.start, entry.end) for entry in entries if entry.target == target]
