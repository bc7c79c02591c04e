"""Which instructions are hooked, and what each hook is handed.

Two kinds of hook, each called ahead of its instruction with the objects that the instruction is about to use:

- *watching* hooks look (attribute, item, global and closure accesses, operators, truth tests);
- *replacing* hooks give back what the instruction shall use instead of the object on the stack: the callee of a
  call, the manager of a `with`, the iterable of a `for`. So `with lock:` enters a modelled lock, a call of
  `time.sleep` calls the model's, and a loop over a shared list reads it at every turn, while the code object
  still does the call, the unpacking and the clean-up by itself.

Pitfalls, each met: nothing may stand between KW_NAMES/PRECALL and CALL, nor ahead of END_FOR (FOR_ITER jumps over
a fixed number of units); NULL can't be copied to a hook, so that method loads become plain loads and a NULL; the
callee lies at depth n+1 up to 3.12 and n+2 from 3.13 on; constants are hashed when code objects are compared.
3.14 pushes locals without owning them where the compiler has proved that they live long enough; that proof knows of
no hook, no task that is left waiting and none that is unwound, so here every load owns what it pushes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import CO_GENERATOR
from types import CodeType
from typing import Protocol

from whilst.checking.engine.sites import Site, SiteTemplate
from whilst.checking.instrument.bytecode import Instruction, assemble, call_hook, decode
from whilst.checking.instrument.shared_variables import SharedVariables, cell_name
from whilst.inspecting.cpython import COMMON_CONSTANTS, OP, Version

_MAX_STACK = 8  # what a hook's call may push at once: NULL, callee, site and up to four copies, rounded up
_INPLACE = 13  # BINARY_OP's argument from which on it is the augmented form
_CHECKS = ("CALL", "JUMP_BACKWARD", "RESUME", "SEND", "YIELD", "FOR_ITER", "GET_AWAITABLE", "IMPORT")


@dataclass(frozen=True, slots=True)
class Hooks:
    """What gets called. All take the site first; `call`, `enter` and `loop` return a replacement."""

    get_attr: Callable[..., object]
    set_attr: Callable[..., object]
    get_global: Callable[..., object]
    set_global: Callable[..., object]
    get_cell: Callable[..., object]
    set_cell: Callable[..., object]
    get_name: Callable[..., object]
    set_name: Callable[..., object]
    get_item: Callable[..., object]
    set_item: Callable[..., object]
    contains: Callable[..., object]
    look: Callable[..., object]
    operate: Callable[..., object]
    operate_in_place: Callable[..., object]
    call: Callable[..., object]
    call_spread: Callable[..., object]
    enter: Callable[..., object]
    loop: Callable[..., object]
    instruction: Callable[..., object]
    leave: Callable[..., object]
    await_for: Callable[..., object]
    leave_generator: Callable[..., object]


_TABLE_LOOK = {  # opcode -> depth of the container that is read whole
    "UNPACK_SEQUENCE": 1,
    "UNPACK_EX": 1,
    "LIST_EXTEND": 1,
    "DICT_UPDATE": 1,
    "DICT_MERGE": 1,
    "SET_UPDATE": 1,
    "FORMAT_VALUE": 1,
    "FORMAT_SIMPLE": 1,
    "CONVERT_VALUE": 1,
    "UNARY_NOT": 1,
    "TO_BOOL": 1,
    "GET_LEN": 1,
    "MATCH_KEYS": 2,
    "MATCH_SEQUENCE": 1,
    "MATCH_CLASS": 3,
    "BINARY_SLICE": 3,
}
_AWAITS = ("GET_AWAITABLE", "GET_AITER", "GET_ANEXT")
_LEAVES = ("YIELD_VALUE", "RETURN_VALUE", "RETURN_CONST")
_NAMES = ("LOAD_NAME", "STORE_NAME", "DELETE_NAME")
_TRUTH_JUMPS = ("IF_TRUE", "IF_FALSE", "OR_POP")
_ALREADY_BOOL = ("COMPARE_OP", "CONTAINS_OP", "IS_OP", "UNARY_NOT", "TO_BOOL")


class Owner(Protocol):
    """For whom code is rewritten."""

    hooks: Hooks
    row: Version
    at_every_instruction: bool  # whether every instruction that may touch an object is a scheduling point
    returning: set[int]  # ids of the code objects whose returns are events

    def rewrite(self, code: CodeType, names: SharedVariables) -> CodeType:
        """The code object to run instead of a nested one."""


class CodeRewriter:
    """One code object on its way through."""

    def __init__(self, owner: Owner, code: CodeType, names: SharedVariables) -> None:
        self.owner, self.code, self.names = owner, code, names
        self.hooks, self.row = owner.hooks, owner.row
        self.sites: list[Site] = []
        self.consts: list[object] = [
            owner.rewrite(const, names) if isinstance(const, CodeType) else const for const in code.co_consts
        ]
        self.const_of: dict[int, int] = {}
        self.before: dict[int, list[tuple[int, int]]] = {}
        self.instructions = _plain_method_loads(_owning(decode(code), self.row), self.row)

    def run(self) -> CodeType:
        """The code object with its hooks; its sites are in `sites`."""
        segment = 0
        if self.owner.at_every_instruction:
            for index in switchable(self.instructions):
                self._watch(index, self._site(self.instructions[index], "step", 0), self.hooks.instruction)
        for index, item in enumerate(self.instructions):
            name = item.name
            self._hook(index, item, name, segment)
            segment += name.startswith(_CHECKS)
        return assemble(self.code, self.instructions, self.before, self.consts, _MAX_STACK)

    def _const(self, value: object) -> int:
        index = self.const_of.get(id(value))
        if index is None:
            self.consts.append(value)
            index = self.const_of[id(value)] = len(self.consts) - 1
        return index

    def _site(self, item: Instruction, name: str, segment: int) -> Site:
        offset = item.offset if item.offset is not None else -1
        site = Site(self.code, SiteTemplate(offset, item.position, name, segment), self.names.space)
        self.sites.append(site)
        return site

    def _watch(
        self, index: int, site: Site, hook: Callable[..., object], *depths: int, cell: int | None = None
    ) -> None:
        sequence = call_hook(self._const(hook), self._const(site), depths, self.row)
        if cell is not None:
            at = len(sequence) - (2 if self.row.has_precall else 1)
            sequence.insert(at, (OP[self.row.load_cell], cell))
            sequence = [(op, arg + 1 if op in (OP["CALL"], OP.get("PRECALL")) else arg) for op, arg in sequence]
        self.before.setdefault(index, []).extend([*sequence, (OP["POP_TOP"], 0)])

    def _replace(self, index: int, site: Site, hook: Callable[..., object], depth: int, *others: int) -> None:
        """The hook's result takes the place of the object at `depth`."""
        sequence = call_hook(self._const(hook), self._const(site), (depth, *others), self.row)
        self.before.setdefault(index, []).extend([*sequence, (OP["SWAP"], depth + 1), (OP["POP_TOP"], 0)])

    def _hook(self, index: int, item: Instruction, name: str, segment: int) -> bool:
        """Insert what belongs ahead of this instruction; tell whether that may be an access."""
        if self._hook_variable(index, item, name, segment):
            return True
        if self._hook_container(index, item, name, segment):
            return True
        hooks = self.hooks
        if name in ("RETURN_VALUE", "RETURN_CONST") and id(self.code) in self.owner.returning:
            self._watch(index, self._site(item, "return", segment), hooks.leave)
        if name in _LEAVES and self.code.co_flags & CO_GENERATOR:
            self._watch(index, self._site(item, "yield", segment), hooks.leave_generator)
        if name in _AWAITS:
            self._watch(index, self._site(item, "await", segment), hooks.await_for, 1)
        if name in ("CALL", "CALL_KW"):
            self._hook_call(index, item, name, segment)
        elif name == "CALL_FUNCTION_EX":
            has_keywords = 1 if self.row.spreads_keywords else item.arg & 1
            depth = 2 + has_keywords + (0 if self.row.null_first else 1)
            site = self._site(item, "call", segment)
            self._replace(index, site, hooks.call_spread, depth, 1 + has_keywords)
        elif name in ("BEFORE_WITH", "BEFORE_ASYNC_WITH") or self._begins_with(index, name):
            self._replace(index, self._site(item, "with", segment), hooks.enter, 1)
        elif name in ("GET_ITER", "GET_YIELD_FROM_ITER"):
            self._replace(index, self._site(item, "for", segment), hooks.loop, 1)
        else:
            return False
        return True

    def _hook_variable(self, index: int, item: Instruction, name: str, segment: int) -> bool:
        hooks, code = self.hooks, self.code
        if name == "LOAD_ATTR":
            arg = item.arg >> 1 if self.row.has_method_bit else item.arg
            self._watch(index, self._site(item, code.co_names[arg], segment), hooks.get_attr, 1)
        elif name == "STORE_ATTR":
            self._watch(index, self._site(item, code.co_names[item.arg], segment), hooks.set_attr, 1, 2)
        elif name == "DELETE_ATTR":
            self._watch(index, self._site(item, code.co_names[item.arg], segment), hooks.set_attr, 1)
        elif name == "LOAD_GLOBAL" and code.co_names[item.arg >> 1] in self.names.stored_globals:
            site = self._site(item, code.co_names[item.arg >> 1], segment)
            self._watch(index, site, hooks.get_global)
        elif name == "STORE_GLOBAL":
            site = self._site(item, code.co_names[item.arg], segment)
            self._watch(index, site, hooks.set_global, 1)
        elif name == "DELETE_GLOBAL":
            self._watch(index, self._site(item, code.co_names[item.arg], segment), hooks.set_global)
        elif name in _NAMES and code.co_name == "<module>":  # what exec and eval run
            depths = (1,) if name == "STORE_NAME" else ()
            hook = hooks.get_name if name == "LOAD_NAME" else hooks.set_name
            self._watch(index, self._site(item, code.co_names[item.arg], segment), hook, *depths)
        elif name in ("LOAD_DEREF", "STORE_DEREF", "DELETE_DEREF"):
            variable = cell_name(code, item.arg)
            if variable not in self.names.stored_cells:
                return False
            site = self._site(item, variable, segment)
            hook = hooks.get_cell if name == "LOAD_DEREF" else hooks.set_cell
            self._watch(index, site, hook, cell=item.arg)
        else:
            return False
        return True

    def _hook_container(self, index: int, item: Instruction, name: str, segment: int) -> bool:
        hooks = self.hooks
        previous = self.instructions[index - 1].name if index else ""
        is_slice = previous == "BUILD_SLICE" or (index > 0 and self._is_constant_slice(self.instructions[index - 1]))
        if name == "BINARY_SUBSCR" or (name == "BINARY_OP" and item.arg == self.row.subscript):
            self._watch(index, self._site(item, "[]", segment), hooks.get_item, 2, 1)
        elif name == "STORE_SUBSCR" and is_slice:
            self._watch(index, self._site(item, "[:]=", segment), hooks.operate_in_place, 2, 3)
        elif name == "STORE_SUBSCR":
            self._watch(index, self._site(item, "[]=", segment), hooks.set_item, 2, 1, 3)
        elif name == "DELETE_SUBSCR":
            self._watch(index, self._site(item, "del []", segment), hooks.set_item, 2, 1)
        elif name == "STORE_SLICE":
            self._watch(index, self._site(item, "[:]=", segment), hooks.operate_in_place, 3, 4)
        elif name == "CONTAINS_OP":
            self._watch(index, self._site(item, "in", segment), hooks.contains, 1, 2)
        elif name == "BINARY_OP":
            hook = hooks.operate_in_place if item.arg >= _INPLACE else hooks.operate
            self._watch(index, self._site(item, "operator", segment), hook, 2, 1)
        elif name == "COMPARE_OP":
            self._watch(index, self._site(item, "compare", segment), hooks.operate, 2, 1)
        elif name in _TABLE_LOOK:
            self._watch(index, self._site(item, name.lower(), segment), hooks.look, _TABLE_LOOK[name])
        elif (
            "JUMP" in name
            and any(kind in name for kind in _TRUTH_JUMPS)
            and "TO_BOOL" not in OP
            and previous not in _ALREADY_BOOL
        ):
            self._watch(index, self._site(item, "truth", segment), hooks.look, 1)
        else:
            return False
        return True

    def _hook_call(self, index: int, item: Instruction, name: str, segment: int) -> None:
        at, before = index, self.instructions
        if before[at - 1].name == "PRECALL":
            at -= 1
        if at and before[at - 1].name == "KW_NAMES":
            at -= 1
        if self._is_exit(item, at) or (at and before[at - 1].name == "LOAD_SPECIAL"):
            return  # of a with block, whose manager has been replaced on the way in
        names = 1 if name == "CALL_KW" else 0
        depth = item.arg + names + (1 if self.row.null_first else 2)
        others = tuple(item.arg + names - k for k in range(min(item.arg, 2)))
        self._replace(at, self._site(item, "call", segment), self.hooks.call, depth, *others)

    def _is_exit(self, item: Instruction, at: int) -> bool:
        """Whether a call whose last argument lies ahead of `at` is a with block's ordinary exit."""
        before = self.instructions
        if item.arg != self.row.exit_arguments or not all(self._is_none(k) for k in before[max(at - 3, 0) : at]):
            return False
        if item.arg == 2 or at < 4:
            return True  # three Nones and two arguments: the callee would be None
        callee = before[at - 4]
        return callee.name != "PUSH_NULL" and not (callee.name == "LOAD_GLOBAL" and callee.arg & 1)

    def _begins_with(self, index: int, name: str) -> bool:
        """Whether this is where a `with` that looks its methods up by itself copies its manager."""
        following = self.instructions[index + 1].name if name == "COPY" and self.row.enters_by_call else ""
        return following == "LOAD_SPECIAL"

    def _is_none(self, item: Instruction) -> bool:
        if item.name == "LOAD_COMMON_CONSTANT":  # from 3.15 on
            return COMMON_CONSTANTS[item.arg] is None
        return item.name == "LOAD_CONST" and self.consts[item.arg] is None

    def _is_constant_slice(self, item: Instruction) -> bool:
        return item.name == "LOAD_CONST" and type(self.consts[item.arg]) is slice


def _owning(instructions: list[Instruction], row: Version) -> list[Instruction]:
    """Turn loads that borrow from a local variable into those that own what they push."""
    owning = {OP[name]: OP[strong] for name, strong in row.strong.items()}
    for item in instructions:
        item.op = owning.get(item.op, item.op)
    return instructions


def _plain_method_loads(instructions: list[Instruction], row: Version) -> list[Instruction]:
    """Turn every method load into a plain load and a NULL, so that a callee is one object in a known slot."""
    out: list[Instruction] = []
    load_attr, load_super = OP["LOAD_ATTR"], OP.get("LOAD_SUPER_ATTR", -1)
    for item in instructions:
        if item.op == OP.get("LOAD_METHOD"):
            plain = (load_attr, item.arg)
        elif row.has_method_bit and item.op in (load_attr, load_super) and item.arg & 1:
            plain = (item.op, item.arg & ~1)
        else:
            out.append(item)
            continue
        out.append(Instruction(*plain, item.offset, item.end, None, item.position))
        out.append(Instruction(OP["PUSH_NULL"], 0, position=item.position))
        if row.null_first:
            out.append(Instruction(OP["SWAP"], 2, position=item.position))
    return out


def switchable(instructions: list[Instruction]) -> Iterator[int]:
    """Where random switches may happen (see `random_switches`): ahead of everything that may touch an object."""
    has_begun = False
    for index, item in enumerate(instructions):
        if has_begun and item.name in _SWITCHABLE and item.offset is not None:
            yield index
        has_begun = has_begun or item.name == "RESUME"


_SWITCHABLE_NAMES = """
    LOAD_ATTR STORE_ATTR DELETE_ATTR LOAD_GLOBAL STORE_GLOBAL LOAD_DEREF STORE_DEREF BINARY_SUBSCR STORE_SUBSCR
    DELETE_SUBSCR BINARY_SLICE STORE_SLICE CONTAINS_OP COMPARE_OP BINARY_OP GET_ITER FOR_ITER UNPACK_SEQUENCE
    BEFORE_WITH LOAD_SPECIAL STORE_FAST LOAD_FAST RETURN_VALUE UNARY_NOT IS_OP BUILD_LIST BUILD_MAP BUILD_TUPLE
"""
_SWITCHABLE = frozenset(_SWITCHABLE_NAMES.split())
