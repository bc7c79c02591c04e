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
from dataclasses import dataclass, fields
from types import CodeType
from typing import Final, NamedTuple

from whilst.checking.bytecode import OP, Instruction, Positions, Version, assemble, call_hook, decode, version
from whilst.checking.events import Place

__all__ = ["Hooks", "Rewriter", "Site"]

_MAX_STACK = 8  # what a hook's call may push at once: NULL, callee, site and up to four copies, rounded up
_INPLACE = 13  # BINARY_OP's argument from which on it is the augmented form
_CHECKS = ("CALL", "JUMP_BACKWARD", "RESUME", "SEND", "YIELD", "FOR_ITER", "GET_AWAITABLE", "IMPORT")


class Mark(NamedTuple):
    """What a site says of its instruction, whoever watches it."""

    offset: int
    position: Positions
    name: str
    segment: int  # how many instructions that let the GIL go (calls, jumps back) come before it


class Site:
    """One hooked instruction. `is_hot` turns its accesses into scheduling points; hooks cache by type in `how`."""

    __slots__ = ("again", "code", "how", "is_hot", "memo", "name", "offset", "position", "segment", "space")

    def __init__(self, code: CodeType, mark: Mark, space: dict[str, object]) -> None:
        self.code, self.space = code, space
        self.offset, self.position, self.name, self.segment = mark
        self.is_hot = False
        self.memo: tuple[int, int, int] = (-1, -1, -1)  # id, task and execution of the latest access from here
        self.again = 0
        self.how: dict[type, object] = {}

    @property
    def point(self) -> str:
        """Its name, the same in every process that runs the same code, wherever in its file that stands."""
        return f"{self.space.get('__name__', '')}:{self.code.co_qualname}:{self.offset}"

    @property
    def place(self) -> Place:
        """Where it is, for people."""
        line, end_line, column, end_column = self.position
        code = self.code
        return Place(
            file=code.co_filename,
            line=line or code.co_firstlineno,
            function=code.co_qualname,
            offset=self.offset,
            end_line=end_line or line or code.co_firstlineno,
            column=column or 0,
            end_column=end_column or 0,
        )

    def __repr__(self) -> str:
        return f"<{self.code.co_name}:{self.position[0]} {self.name}>"


@dataclass(frozen=True, slots=True)
class Hooks:
    """What gets called. All take the site first; `call`, `enter` and `loop` return a replacement."""

    get_attr: Callable[..., object]
    set_attr: Callable[..., object]
    get_global: Callable[..., object]
    set_global: Callable[..., object]
    get_cell: Callable[..., object]
    set_cell: Callable[..., object]
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
    fine: Callable[..., object]
    leave: Callable[..., object]


class Rewriter:
    """Rewrites code objects; one for each (code, globals) pair, nested code objects included."""

    def __init__(self, hooks: Hooks, *, is_fine: bool = False) -> None:
        self.hooks = hooks
        self.is_fine = is_fine
        self.row = version()
        self.sites: list[Site] = []
        self.points: frozenset[str] = frozenset()  # of sites that are hot from the start
        self.returning: set[int] = set()  # ids of code objects whose return is an event
        self._done: dict[tuple[int, int], CodeType] = {}
        self._keep: list[CodeType] = []

    def site(self, site: Site) -> Site:
        """Take a new site in."""
        site.is_hot = bool(self.points) and site.point in self.points
        self.sites.append(site)
        return site

    def watch_return(self, code: CodeType, space: dict[str, object]) -> None:
        """From the next `rewrite` on, returning from that code is an event."""
        self.returning.add(id(code))
        self._done.pop((id(code), id(space)), None)

    def start_over(self) -> None:
        """Forget every code object, but not which places are hot."""
        self.points |= {site.point for site in self.sites if site.is_hot}
        self.sites.clear()
        self._done.clear()

    def rewrite(self, code: CodeType, space: dict[str, object], shared_names: SharedNames) -> CodeType:
        """The code object to run instead of `code` in functions whose globals are `space`."""
        known = self._done.get((id(code), id(space)))
        if known is not None:
            return known
        names = (frozenset(shared_names.stored_globals), frozenset(shared_names.stored_cells))
        key = (id(code), self.is_fine, id(code) in self.returning, *names)
        mould = _MOULDS.get(key)
        if mould is None:
            writer = _CodeRewriter(self, code, space, shared_names)
            new = writer.run()
            _keep_mould(key, Mould.of(code, new, self.hooks))
        else:
            new = mould.cast(self, space, shared_names)
        self._done[id(code), id(space)] = new
        self._done[id(new), id(space)] = new
        self._keep += [code, new]
        return new


class _HookName(str):
    """The field of `Hooks` that a constant comes from."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Mould:
    """A code object's rewritten form without what belongs to one explorer: its hooks and sites.

    Assembling takes most of the time of entering an explorer, and a module of tests is entered once a test.
    """

    code: CodeType  # the original; held, so that its id stays its own
    form: CodeType
    extra: tuple[object, ...]  # the constants that were added: `Mark` for a site, `_HookName` for a hook

    @classmethod
    def of(cls, code: CodeType, new: CodeType, hooks: Hooks) -> Mould:
        """Take the form of what was just assembled."""
        names = {id(getattr(hooks, field.name)): field.name for field in fields(hooks)}
        extra: list[object] = []
        for const in new.co_consts[len(code.co_consts) :]:
            if isinstance(const, Site):
                extra.append(Mark(const.offset, const.position, const.name, const.segment))
            elif id(const) in names:
                extra.append(_HookName(names[id(const)]))
            else:
                extra.append(const)
        return cls(code, new.replace(co_consts=()), tuple(extra))

    def cast(self, owner: Rewriter, space: dict[str, object], shared_names: SharedNames) -> CodeType:
        """The code object with the hooks of `owner` and sites of its own."""
        consts: list[object] = [
            owner.rewrite(const, space, shared_names) if isinstance(const, CodeType) else const
            for const in self.code.co_consts
        ]
        for held in self.extra:
            if isinstance(held, Mark):
                consts.append(owner.site(Site(self.code, held, space)))
            else:
                consts.append(getattr(owner.hooks, held) if isinstance(held, _HookName) else held)
        return self.form.replace(co_consts=tuple(consts))


_MOST_MOULDS: Final = 20_000
_MOULDS: Final[dict[tuple[object, ...], Mould]] = {}


def _keep_mould(key: tuple[object, ...], mould: Mould) -> None:
    if len(_MOULDS) >= _MOST_MOULDS:
        _MOULDS.clear()
    _MOULDS[key] = mould


@dataclass(slots=True)
class SharedNames:
    """Names of one module whose variables may change after it was loaded: stored globals, stored closure cells."""

    stored_globals: set[str]
    stored_cells: set[str]

    @classmethod
    def none(cls) -> SharedNames:
        """Nothing found yet."""
        return cls(set(), set())

    def scan(self, code: CodeType) -> None:
        """Add what `code`, and the code inside it, stores."""
        known = _STORES.get(id(code))
        if known is None:
            found = SharedNames.none()
            for item in decode(code):
                name = item.name
                if name in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                    found.stored_globals.add(code.co_names[item.arg])
                elif name in ("STORE_DEREF", "DELETE_DEREF"):
                    found.stored_cells.add(_cell_name(code, item.arg))
            for inner in nested(code):
                found.scan(inner)
            if len(_STORES) >= _MOST_MOULDS:
                _STORES.clear()
            known = _STORES[id(code)] = (code, found)
        self.stored_globals |= known[1].stored_globals
        self.stored_cells |= known[1].stored_cells


_STORES: Final[dict[int, tuple[CodeType, SharedNames]]] = {}  # holds the code, so that its id stays its own


def nested(code: CodeType) -> Iterator[CodeType]:
    """The code objects among its constants."""
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield const


def _cell_name(code: CodeType, arg: int) -> str:
    """The variable behind a DEREF's argument: locals that are cells keep their place among the locals."""
    names = code.co_varnames + tuple(n for n in code.co_cellvars if n not in code.co_varnames) + code.co_freevars
    return names[arg]


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
_TRUTH_JUMPS = ("IF_TRUE", "IF_FALSE", "OR_POP")
_ALREADY_BOOL = ("COMPARE_OP", "CONTAINS_OP", "IS_OP", "UNARY_NOT", "TO_BOOL")


class _CodeRewriter:
    """One code object on its way through."""

    def __init__(self, owner: Rewriter, code: CodeType, space: dict[str, object], shared_names: SharedNames) -> None:
        self.owner, self.code, self.space, self.shared_names = owner, code, space, shared_names
        self.hooks, self.row = owner.hooks, owner.row
        self.consts: list[object] = [
            owner.rewrite(const, space, shared_names) if isinstance(const, CodeType) else const
            for const in code.co_consts
        ]
        self.const_of: dict[int, int] = {}
        self.before: dict[int, list[tuple[int, int]]] = {}
        self.instructions = _plain_method_loads(_owning(decode(code), self.row), self.row)

    def run(self) -> CodeType:
        segment = 0
        if self.owner.is_fine:
            for index in fine_points(self.instructions):
                self._watch(index, self._site(self.instructions[index], "step", 0), self.hooks.fine)
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
        return self.owner.site(Site(self.code, Mark(offset, item.position, name, segment), self.space))

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
        elif name == "LOAD_GLOBAL" and code.co_names[item.arg >> 1] in self.shared_names.stored_globals:
            site = self._site(item, code.co_names[item.arg >> 1], segment)
            self._watch(index, site, hooks.get_global)
        elif name == "STORE_GLOBAL":
            site = self._site(item, code.co_names[item.arg], segment)
            self._watch(index, site, hooks.set_global, 1)
        elif name == "DELETE_GLOBAL":
            self._watch(index, self._site(item, code.co_names[item.arg], segment), hooks.set_global)
        elif name in ("LOAD_DEREF", "STORE_DEREF", "DELETE_DEREF"):
            variable = _cell_name(code, item.arg)
            if variable not in self.shared_names.stored_cells:
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


def fine_points(instructions: list[Instruction]) -> Iterator[int]:
    """Where an opcode-level audit may switch: ahead of everything that may touch an object."""
    has_begun = False
    for index, item in enumerate(instructions):
        if has_begun and item.name in _FINE and item.offset is not None:
            yield index
        has_begun = has_begun or item.name == "RESUME"


_FINE_NAMES = """
    LOAD_ATTR STORE_ATTR DELETE_ATTR LOAD_GLOBAL STORE_GLOBAL LOAD_DEREF STORE_DEREF BINARY_SUBSCR STORE_SUBSCR
    DELETE_SUBSCR BINARY_SLICE STORE_SLICE CONTAINS_OP COMPARE_OP BINARY_OP GET_ITER FOR_ITER UNPACK_SEQUENCE
    BEFORE_WITH LOAD_SPECIAL STORE_FAST LOAD_FAST RETURN_VALUE UNARY_NOT IS_OP BUILD_LIST BUILD_MAP BUILD_TUPLE
"""
_FINE = frozenset(_FINE_NAMES.split())
