"""What differs between versions of CPython: its bytecode, its tables, and the little of its behaviour that matters.

A version that is not in `_VERSION` is refused by those who write bytecode; those who only read it go on.
"""

from __future__ import annotations

import dis
import opcode
import sys
from collections.abc import Mapping, Sequence
from types import CodeType
from typing import Any, Final, cast

from whilst._light import Record
from whilst.errors import WhilstError

HAS_ONE_CURRENT_TASK: Final = sys.version_info >= (3, 14)
"""asyncio knows one current task a thread; before, each loop had one."""

SIMPLE_QUEUE_HOLDS_A_LIST: Final = sys.version_info < (3, 13)
"""`SimpleQueue` shows the garbage collector a list of its items; since 3.13, the items themselves."""

Positions = tuple[int | None, int | None, int | None, int | None]


class UnsupportedPythonError(WhilstError, RuntimeError):
    """This interpreter's bytecode is not known to the rewriter."""


class Version(Record):
    """What differs between interpreters."""

    null_first: bool  # a call's NULL lies below the callee (3.11, 3.12), or above it (3.13)
    has_precall: bool
    has_method_bit: bool  # LOAD_ATTR's lowest bit asks for a method (3.12 on); 3.11 has LOAD_METHOD
    load_cell: str  # the instruction that pushes a cell itself
    enters_by_call: bool = False  # `with` looks its two methods up (LOAD_SPECIAL) and calls them (3.14)
    exit_arguments: int = 2  # what the CALL of a with block's ordinary exit counts
    spreads_keywords: bool = False  # CALL_FUNCTION_EX has a slot for keywords, used or not (3.14)
    subscript: int = -1  # BINARY_OP's argument that reads an element: 3.14 has no BINARY_SUBSCR
    strong: Mapping[str, str] = {}  # loads that borrow (3.14) -> those that own


_PLAIN_3_13 = Version(null_first=False, has_precall=False, has_method_bit=True, load_cell="LOAD_FAST")
_SINCE_3_14 = _PLAIN_3_13._replace(
    enters_by_call=True,
    exit_arguments=3,
    spreads_keywords=True,
    subscript=26,  # NB_SUBSCR
    strong={
        "LOAD_FAST_BORROW": "LOAD_FAST",
        "LOAD_FAST_BORROW_LOAD_FAST_BORROW": "LOAD_FAST_LOAD_FAST",
    },
)

_VERSION = {
    (3, 11): Version(null_first=True, has_precall=True, has_method_bit=False, load_cell="LOAD_CLOSURE"),
    (3, 12): Version(null_first=True, has_precall=False, has_method_bit=True, load_cell="LOAD_CLOSURE"),
    (3, 13): _PLAIN_3_13,
    (3, 14): _SINCE_3_14,
    (3, 15): _SINCE_3_14,
}


def version() -> Version:
    """The table's row for this interpreter.

    Raises:
        UnsupportedPythonError: there is none.
    """
    found = _VERSION.get(sys.version_info[:2])
    if found is None or sys.implementation.name != "cpython":
        known = ", ".join(f"{major}.{minor}" for major, minor in _VERSION)
        raise UnsupportedPythonError(
            f"whilst.check rewrites bytecode and knows that of CPython {known}, "
            f"not that of {sys.implementation.name} {sys.version_info[0]}.{sys.version_info[1]}. "
            "Run the check on one of those."
        )
    return found


OP: Mapping[str, int] = dis.opmap
NAME: Sequence[str] = dis.opname
COMMON_CONSTANTS: Sequence[object] = getattr(opcode, "_common_constants", ())  # of LOAD_COMMON_CONSTANT, by argument
EXTENDED_ARG = OP["EXTENDED_ARG"]
JUMPS = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
BACKWARD = frozenset(  # 3.14's END_ASYNC_FOR names the place it came from
    code for name, code in OP.items() if ("BACKWARD" in name or name == "END_ASYNC_FOR") and code in JUMPS
)


def _cache_sizes() -> dict[int, int]:
    entries: Any = getattr(opcode, "_inline_cache_entries", ())  # no public place has them
    if isinstance(entries, Mapping):  # by name, from 3.13 on; from 3.15 on it is no dict
        return {OP[name]: size for name, size in entries.items() if name in OP and size}
    return {code: size for code, size in enumerate(entries) if size}


CACHES = _cache_sizes()


def exception_table_of(code: CodeType) -> Sequence[Any]:
    """Entries with `start`, `end` and `target` (offsets), `depth` and `lasti`."""
    return cast(Any, dis)._parse_exception_table(code)  # type: ignore[no-any-return]  # noqa: SLF001 - no public way


def line_of(instruction: dis.Instruction) -> int | None:
    """The line that begins with this instruction; None where none does."""
    if not instruction.starts_line:  # the line itself until 3.12, a flag since 3.13
        return None
    return getattr(instruction, "line_number", None) or instruction.starts_line


def stores_to_first_argument(code: CodeType) -> bool:
    """Does the code assign to an attribute of its first argument: `self.position = …`?"""
    before = ""
    for instruction in dis.get_instructions(code):
        if instruction.opname == "STORE_ATTR" and before == code.co_varnames[0]:
            return True
        if instruction.opname != "CACHE":
            loaded = instruction.argval if instruction.opname.startswith(("LOAD_FAST", "STORE_FAST_LOAD_FAST")) else ""
            before = loaded[-1] if isinstance(loaded, tuple) else loaded
    return False


def stored_attributes(code: CodeType) -> set[str]:
    """Names of the attributes that the code, or code within it, assigns to."""
    stored = {each.argval for each in dis.get_instructions(code) if each.opname == "STORE_ATTR"}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            stored |= stored_attributes(constant)
    return stored
