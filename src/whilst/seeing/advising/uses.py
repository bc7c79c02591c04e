"""What a piece of code reads and changes, by name, as its text tells; followed into the script's own functions.

A *place* is a variable ("total") or an attribute of whatever object (".count"). Two pieces of code that have no place
in common, one reading it and the other changing it, are taken for independent by this look; it knows nothing of two
names for one object, which is for the looks at the running program to find.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from whilst.seeing.advising.loops import FunctionNode

CHANGING: Final = frozenset(
    {
        "append", "add", "extend", "insert", "update", "setdefault", "pop", "popitem", "popleft", "appendleft",
        "extendleft", "remove", "discard", "clear", "sort", "reverse", "write", "writelines", "put", "put_nowait",
        "subtract", "rotate",
    }
)  # fmt: skip
"""Methods that change what they belong to, whatever container or file it is."""
READING: Final = frozenset(
    {
        "get", "items", "keys", "values", "copy", "index", "count", "join", "split", "rsplit", "splitlines", "strip",
        "lstrip", "rstrip", "startswith", "endswith", "format", "lower", "upper", "title", "replace", "encode",
        "decode", "find", "partition", "rpartition", "isdigit", "isalpha", "most_common", "match", "search", "findall",
        "finditer", "fullmatch", "sub", "group", "groups", "exists", "is_file", "is_dir", "with_suffix", "with_name",
        "read_text", "read_bytes",
    }
)  # fmt: skip
QUIET: Final = frozenset(
    {
        "len", "str", "int", "float", "range", "abs", "round", "isinstance", "issubclass", "repr", "enumerate", "zip",
        "type", "id", "bool", "tuple", "list", "dict", "set", "frozenset", "min", "max", "sum", "sorted", "reversed",
        "any", "all", "format", "print", "ord", "chr", "hash", "divmod", "pow", "bytes", "map", "filter", "iter",
    }
)  # fmt: skip
"""Built-in functions that change nothing that they are given."""
OUTPUT: Final = frozenset({"print", "input"})
ODD: Final = frozenset({"exec", "eval", "locals", "globals", "vars", "setattr", "delattr", "__import__", "breakpoint"})
PROCESS_WIDE: Final = frozenset(
    {"chdir", "seed", "setstate", "environ", "putenv", "umask", "setrecursionlimit", "setlocale"}
)


@dataclass
class Uses:
    """By place, the line of the first time."""

    loads: dict[str, int] = field(default_factory=dict)
    stores: dict[str, int] = field(default_factory=dict)
    """Variables that are bound."""
    changes: dict[str, int] = field(default_factory=dict)
    """Places whose object is changed: an element or an attribute is set, a method that changes is called."""
    roots: dict[str, int] = field(default_factory=dict)
    """Variables of whose object an attribute, however deep, is changed."""
    bare: dict[str, int] = field(default_factory=dict)
    """Variables whose object itself is used, not only an attribute of it."""
    passed: dict[str, int] = field(default_factory=dict)
    """Places that something unknown is given, or is called on: it may change them."""
    output: int = 0
    """The line that prints; 0 for none."""
    odd: str = ""
    """What keeps this look from telling."""

    def add(self, other: Uses) -> None:
        for mine, its in (
            (self.loads, other.loads), (self.stores, other.stores), (self.changes, other.changes),
            (self.passed, other.passed), (self.roots, other.roots), (self.bare, other.bare),
        ):  # fmt: skip
            for place, line in its.items():
                mine.setdefault(place, line)
        self.output = self.output or other.output
        self.odd = self.odd or other.odd


def place_of(node: ast.expr) -> str | None:
    """The place that a target or a receiver belongs to; None where it is nobody's, as what a call gives."""
    while isinstance(node, ast.Subscript | ast.Starred):
        node = node.value
    if isinstance(node, ast.Name):
        return node.id
    return f".{node.attr}" if isinstance(node, ast.Attribute) else None


class _Visitor(ast.NodeVisitor):
    def __init__(self, modules: frozenset[str]) -> None:
        self.uses = Uses()
        self._modules = modules
        self._bound: list[set[str]] = []

    def visit_Name(self, node: ast.Name, *, is_owner: bool = False) -> None:
        if any(node.id in bound for bound in self._bound):
            return
        if isinstance(node.ctx, ast.Load):
            self.uses.loads.setdefault(node.id, node.lineno)
            if not is_owner:
                self.uses.bare.setdefault(node.id, node.lineno)
            if node.id in ODD:
                self._note_odd(f"{node.id}() in line {node.lineno}")
        else:
            self.uses.stores.setdefault(node.id, node.lineno)
            if isinstance(node.ctx, ast.Del):
                self._note_odd(f"del in line {node.lineno}")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name):
            self.visit_Name(node.value, is_owner=True)
        else:
            self.visit(node.value)
        if isinstance(node.ctx, ast.Load):
            self.uses.loads.setdefault(f".{node.attr}", node.lineno)
        else:
            self._change(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load):
            self._change(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.uses.loads.setdefault(node.target.id, node.lineno)
        else:
            self.visit(_as_loaded(node.target))
        self.visit(node.value)
        self.visit(node.target)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        func = node.func
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        if isinstance(func, ast.Name):
            if func.id in OUTPUT:
                self.uses.output = self.uses.output or node.lineno
            if func.id not in QUIET:
                self._pass(arguments, node.lineno)
            return
        if not isinstance(func, ast.Attribute):
            self._pass(arguments, node.lineno)
            return
        root = _root(func)
        if root in self._modules:
            if func.attr in PROCESS_WIDE:
                self.uses.changes.setdefault(f".{func.attr}", node.lineno)
            if root in ("logging", "warnings") or (root == "sys" and func.attr == "write"):
                self.uses.output = self.uses.output or node.lineno
            if not _is_of_paths(func):
                self._pass(arguments, node.lineno)
        elif func.attr in CHANGING:
            self._change(func.value)
        elif func.attr not in READING:
            self._pass([func.value, *arguments], node.lineno)

    def _change(self, node: ast.expr) -> None:
        place = place_of(node)
        if place is not None and not any(place in bound for bound in self._bound):
            self.uses.changes.setdefault(place, node.lineno)
            if (root := _root(node)) and place.startswith("."):
                self.uses.roots.setdefault(root, node.lineno)

    def _pass(self, nodes: Iterable[ast.expr], line: int) -> None:
        for node in nodes:
            inner = node.value if isinstance(node, ast.Starred | ast.Subscript) else node
            if isinstance(inner, ast.Tuple | ast.List | ast.Set):
                self._pass(inner.elts, line)
            elif isinstance(inner, ast.Dict):
                self._pass(inner.values, line)
            place = place_of(inner) if isinstance(inner, ast.Name | ast.Attribute | ast.Subscript) else None
            if place is not None and not any(place in bound for bound in self._bound):
                self.uses.passed.setdefault(place, line)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        bound: set[str] = set()
        for generator in node.generators:
            self.visit(generator.iter)
            bound |= {each.id for each in ast.walk(generator.target) if isinstance(each, ast.Name)}
            self._bound.append(bound)
            for test in generator.ifs:
                self.visit(test)
        for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(part)
        for _ in node.generators:
            self._bound.pop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension  # noqa: N815 (ast's names)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._bound.append({arg.arg for arg in ast.walk(node.args) if isinstance(arg, ast.arg)})
        self.visit(node.body)
        self._bound.pop()

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self.uses.stores.setdefault(node.name, node.lineno)
        self._note_odd(f"the definition of {node.name} in line {node.lineno}")

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _definition  # noqa: N815 (ast's names)

    def _scoped(self, node: ast.Global | ast.Nonlocal) -> None:
        self._note_odd(f"{'global' if isinstance(node, ast.Global) else 'nonlocal'} in line {node.lineno}")

    visit_Global = visit_Nonlocal = _scoped  # noqa: N815 (ast's names)

    def _suspended(self, node: ast.Yield | ast.YieldFrom | ast.Await | ast.AsyncFor | ast.AsyncWith) -> None:
        word = "yield" if isinstance(node, ast.Yield | ast.YieldFrom) else "await"
        self._note_odd(f"{word} in line {node.lineno}")
        self.generic_visit(node)

    visit_Yield = visit_YieldFrom = visit_Await = visit_AsyncFor = visit_AsyncWith = _suspended  # noqa: N815

    def _imported(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            self.uses.stores.setdefault((alias.asname or alias.name).split(".")[0], node.lineno)

    visit_Import = visit_ImportFrom = _imported  # noqa: N815 (ast's names)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.uses.stores.setdefault(node.name, node.lineno)
        self.generic_visit(node)

    def _note_odd(self, what: str) -> None:
        self.uses.odd = self.uses.odd or what


def _as_loaded(target: ast.expr) -> ast.expr:
    copied = ast.parse(ast.unparse(target), mode="eval").body
    for node in ast.walk(copied):
        ast.copy_location(node, target)
    return copied


def _is_of_paths(func: ast.Attribute) -> bool:
    """`os.path.join` and its like: they change nothing that they are given."""
    match func.value:
        case ast.Attribute(value=ast.Name(id="os"), attr="path"):
            return True
    return False


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def uses_of(nodes: Sequence[ast.AST], modules: frozenset[str]) -> Uses:
    """What these statements or expressions do themselves."""
    visitor = _Visitor(modules)
    for node in nodes:
        visitor.visit(node)
    return visitor.uses


class Program:
    """The script's own functions and classes, by name, and what they use."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.modules = _modules_of(tree)
        self._functions: dict[str, list[FunctionNode]] = {}
        self._classes: dict[str, ast.ClassDef] = {}
        for node in ast.walk(tree):
            if isinstance(node, FunctionNode):
                self._functions.setdefault(node.name, []).append(node)
            elif isinstance(node, ast.ClassDef):
                self._classes[node.name] = node

    def defines(self, name: str) -> bool:
        return name in self._functions or name in self._classes

    def reached(self, uses: Uses) -> Uses:
        """What the functions that a piece of code may call use beyond their own local variables."""
        total = Uses()
        seen: set[int] = set()
        todo = list(self._called(uses))
        while todo:
            function = todo.pop()
            if id(function) in seen:
                continue
            seen.add(id(function))
            inner = self._outside_of(function)
            total.add(inner)
            todo += self._called(inner)
        return total

    def _called(self, uses: Uses) -> list[FunctionNode]:
        found: list[FunctionNode] = []
        for place in uses.loads:
            name = place.removeprefix(".")
            found += self._functions.get(name, [])
            if name in self._classes:
                found += [each for each in ast.walk(self._classes[name]) if isinstance(each, FunctionNode)]
        return found

    def _outside_of(self, function: FunctionNode) -> Uses:
        """What a function uses that is not its own: variables of others, and attributes of whatever."""
        uses = uses_of(function.body, self.modules)
        own = own_names(function)
        declared = _declared_in(function)

        def outside(places: dict[str, int]) -> dict[str, int]:
            return {place: line for place, line in places.items() if place not in own}

        changes = {**outside(uses.changes), **{name: uses.stores[name] for name in declared if name in uses.stores}}
        odd = "" if uses.odd.startswith(("global", "nonlocal", "yield", "the definition")) else uses.odd
        return Uses(
            loads=outside(uses.loads), changes=changes, roots=outside(uses.roots), bare=outside(uses.bare),
            passed=outside(uses.passed), output=uses.output, odd=odd,
        )  # fmt: skip


def own_names(function: FunctionNode) -> frozenset[str]:
    """The variables of a function, those of functions within it included."""
    own: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, FunctionNode) and node is not function:
            own.add(node.name)
    return frozenset(own - _declared_in(function))


def _declared_in(function: FunctionNode) -> set[str]:
    """Names that are somebody else's by a `global` or `nonlocal`."""
    return {name for node in ast.walk(function) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}


def _modules_of(tree: ast.Module) -> frozenset[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return frozenset(names)


def is_builtin(name: str) -> bool:
    return hasattr(builtins, name)
