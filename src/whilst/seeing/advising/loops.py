"""Which loops a script has: `for` loops, comprehensions, and calls of `map`, its own and those of a pool.

Pure: from text to nodes. Which of them cost anything, a run tells (see `agent`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Scope = ast.Module | FunctionNode
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

POOLS: Final = frozenset({"ThreadPoolExecutor", "ProcessPoolExecutor", "Pool", "ThreadPool", "InterpreterPoolExecutor"})
MAPS: Final = frozenset({"map", "imap"})
"""Methods of a pool that give results in the order of the items, and begin at once."""
DRAINS: Final = frozenset({"list", "tuple", "set", "frozenset", "sum", "max", "min", "sorted", "dict", "Counter"})
"""What takes all that an iterator gives, and does nothing else meanwhile."""


@dataclass(frozen=True, eq=False)
class Loop:
    """One loop of the script.

    Args:
        number: its place in the text, from 0.
        node: the statement, the comprehension, or the call of `map`.
        around: the nodes that it lies in, innermost first.
    """

    number: int
    node: ast.For | ast.While | Comprehension | ast.Call
    scope: Scope
    around: tuple[ast.AST, ...]
    text: str

    @property
    def line(self) -> int:
        return self.node.lineno

    @property
    def last_line(self) -> int:
        return self.node.end_lineno or self.node.lineno

    @property
    def iterable(self) -> ast.expr | None:
        """What it goes over; None for a `while` loop."""
        if isinstance(self.node, ast.For):
            return self.node.iter
        if isinstance(self.node, ast.Call):
            return self.node.args[1]
        return None if isinstance(self.node, ast.While) else self.node.generators[0].iter

    @property
    def is_of_pool(self) -> bool:
        """`pool.map(…)`: its calls overlap already."""
        return isinstance(self.node, ast.Call) and isinstance(self.node.func, ast.Attribute)

    def is_within(self, other: Loop) -> bool:
        return other.node in self.around


def source_lines(source: str) -> list[str]:
    """The lines with their ends, as `ast` counts them: `str.splitlines` also parts them at form feeds and the like."""
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", source)


def loops_of(tree: ast.Module, source: str) -> list[Loop]:
    """Return the loops in the order of the text."""
    lines = source_lines(source)
    pools = pools_of(tree)
    found: list[Loop] = []
    for node, scope, around in _walk(tree, tree, ()):
        if _is_loop(node, pools):
            text = lines[node.lineno - 1].strip()  # type: ignore[attr-defined]
            found.append(Loop(len(found), node, scope, around, text))  # type: ignore[arg-type]
    return found


def pools_of(tree: ast.Module) -> frozenset[str]:
    """The names that pools of threads or processes are bound to."""
    named: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name) and _is_pool(node.context_expr):
            named.add(node.optional_vars.id)
        elif isinstance(node, ast.Assign) and _is_pool(node.value):
            named |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(named)


def _is_pool(node: ast.expr) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in POOLS


def _is_loop(node: ast.AST, pools: frozenset[str]) -> bool:
    if isinstance(node, ast.For | ast.While):
        return True
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return not any(generator.is_async for generator in node.generators)
    if not isinstance(node, ast.Call) or len(node.args) != 2 or any(isinstance(arg, ast.Starred) for arg in node.args):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id == "map" and not node.keywords
    func = node.func
    return isinstance(func, ast.Attribute) and func.attr in MAPS and getattr(func.value, "id", None) in pools


def _walk(
    node: ast.AST, scope: Scope, around: tuple[ast.AST, ...]
) -> Iterator[tuple[ast.AST, Scope, tuple[ast.AST, ...]]]:
    yield node, scope, around
    inner = node if isinstance(node, FunctionNode) else scope
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, inner, (node, *around))
