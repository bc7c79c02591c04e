"""Which variables of a module may change after it was loaded: only those are worth watching."""

from __future__ import annotations

from types import CodeType
from typing import Final

from whilst.checking.instrument.bytecode import decode
from whilst.checking.instrument.function_index import nested

_MOST: Final = 20_000


class SharedVariables:
    """The globals and closure cells that code of one module stores. `version` counts how often more were found."""

    __slots__ = ("space", "stored_cells", "stored_globals", "version")

    def __init__(self, space: dict[str, object]) -> None:
        self.space = space
        self.stored_globals: frozenset[str] = frozenset()
        self.stored_cells: frozenset[str] = frozenset()
        self.version = 0

    def scan(self, code: CodeType) -> None:
        """Add what `code`, and the code inside it, stores."""
        self.add(*_stored_by(code))

    def add(self, stored_globals: frozenset[str], stored_cells: frozenset[str] = frozenset()) -> None:
        """Add these names."""
        if stored_globals <= self.stored_globals and stored_cells <= self.stored_cells:
            return
        self.stored_globals |= stored_globals
        self.stored_cells |= stored_cells
        self.version += 1


def _stored_by(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    known = _STORES.get(id(code))
    if known is None:
        stored_globals: set[str] = set()
        stored_cells: set[str] = set()
        for item in decode(code):
            name = item.name
            if name in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                stored_globals.add(code.co_names[item.arg])
            elif name in ("STORE_DEREF", "DELETE_DEREF"):
                stored_cells.add(cell_name(code, item.arg))
        for inner in nested(code):
            more_globals, more_cells = _stored_by(inner)
            stored_globals |= more_globals
            stored_cells |= more_cells
        if len(_STORES) >= _MOST:
            _STORES.clear()
        known = _STORES[id(code)] = (code, frozenset(stored_globals), frozenset(stored_cells))
    return known[1:]


# Holds the code, so that its id stays its own.
_STORES: Final[dict[int, tuple[CodeType, frozenset[str], frozenset[str]]]] = {}


def cell_name(code: CodeType, arg: int) -> str:
    """The variable behind a DEREF's argument: locals that are cells keep their place among the locals."""
    names = code.co_varnames + tuple(n for n in code.co_cellvars if n not in code.co_varnames) + code.co_freevars
    return names[arg]
