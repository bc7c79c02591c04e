"""Copies of the script's text with some places changed: loops that are timed, stages that are looked into, and the
change that is proposed. Everything that is not changed stays as it was written, comments and all. Pure.
"""

from __future__ import annotations

import ast
import difflib
import keyword
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from whilst.errors import WhilstError
from whilst.seeing.advising import agent
from whilst.seeing.advising.guards import condition
from whilst.seeing.advising.loops import POOLS, Loop, pools_of, source_lines
from whilst.seeing.advising.splitting import Split, submitted


class AdviseError(WhilstError, ValueError):
    """The script can't be advised on; the message says why, and what to do."""


class UnwritableError(Exception):
    """The change can't be put into the text as it stands; says why."""


@dataclass(frozen=True)
class Asked:
    """How the calls of a stage are to be made: `call` is the function's text, up to its first argument.

    `repeats` says that what the loop goes over can be gone over twice; `items_call` draws all items of it.
    """

    call: str
    options: str
    repeats: bool
    items_call: str = "list("
    star_call: str = "whilst.starmap("
    star_options: str = ""


class Text:
    """The script's text, by the positions that `ast` gives (lines from 1, bytes from 0)."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines = [line.encode() for line in source_lines(source)]
        self._starts = [0]
        for line in self.lines:
            self._starts.append(self._starts[-1] + len(line))
        self.newline = "\r\n" if "\r\n" in source else "\n"

    def start(self, node: ast.expr | ast.stmt) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.end_lineno - 1] + node.end_col_offset

    def line_start(self, line: int) -> int:
        return self._starts[line - 1]

    def of(self, node: ast.expr | ast.stmt) -> str:
        return self.source.encode()[self.start(node) : self.end(node)].decode()

    def indent(self, line: int) -> str:
        text = self.lines[line - 1].decode()
        return text[: len(text) - len(text.lstrip())]

    def changed(self, edits: Sequence[tuple[int, int, str]]) -> str:
        """The text with each (start, end, new) done; where two begin at one place, in the order given."""
        content = self.source.encode()
        parts: list[bytes] = []
        at = 0
        for start, end, new in sorted(edits, key=lambda edit: (edit[0], edit[1])):
            if start < at:
                raise UnwritableError("two changes meet in one place")
            parts += [content[at:start], new.encode()]
            at = end
        return b"".join([*parts, content[at:]]).decode()


def timed(source: str, loops: Sequence[Loop]) -> str:
    """The text with every loop noting how long it is under way. Lines stay where they are."""
    text = Text(source)
    edits: list[tuple[int, int, str]] = []
    for loop in loops:
        iterable = loop.node if loop.is_of_pool else loop.iterable
        if iterable is not None:
            assert isinstance(iterable, ast.expr)
            start, end = text.start(iterable), text.end(iterable)
            edits += [(start, start, f"{agent.LOOP}({loop.number}, "), (end, end, ")")]
    return _nested(text, edits)


def _nested(text: Text, edits: Sequence[tuple[int, int, str]]) -> str:
    """Insertions only; of those at one place, closing brackets come first."""
    content = text.source.encode()
    parts: list[bytes] = []
    at = 0
    for start, _, new in sorted(edits, key=lambda edit: (edit[0], edit[2] != ")")):
        parts += [content[at:start], new.encode()]
        at = start
    return b"".join([*parts, content[at:]]).decode()


def rewritten(
    source: str, tree: ast.Module, splits: Sequence[Split], ask: Callable[[Split], Asked], *, imports: bool
) -> str:
    """The text with the loops split, each asking for its calls as `ask` says.

    Raises:
        UnwritableError: a loop is written in a way that this can't change.
    """
    text = Text(source)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    edits: list[tuple[int, int, str]] = []
    for split in splits:
        asked = ask(split)
        if isinstance(split.loop.node, ast.For):
            edits += _statement(text, tree, split, split.loop.node, asked, names)
        else:
            edits += _expression(text, split, asked)
    if imports and splits:
        return _without_pools(text.changed([*edits, *_import(text, tree)]))
    return text.changed(edits)


def _expression(text: Text, split: Split, asked: Asked) -> list[tuple[int, int, str]]:
    node = split.loop.node
    assert isinstance(node, ast.expr)
    options = asked.options
    if isinstance(node, ast.Call):
        new = f"{asked.call}{text.of(node.args[0])}, {_drawn(text.of(node.args[1]), asked)}{options})"
        return [(text.start(node), text.end(node), new)]
    assert isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)
    generator = node.generators[0]
    items, target = text.of(generator.iter), text.of(generator.target)
    if generator.ifs:
        tests = "".join(f" if {text.of(test)}" for test in generator.ifs)
        items = f"[{target} for {target} in {items}{tests}]"
    is_pair = isinstance(node, ast.DictComp)
    value = f"({text.of(node.key)}, {text.of(node.value)})" if isinstance(node, ast.DictComp) else text.of(node.elt)
    fn = None if isinstance(node, ast.DictComp) else _plain_function(text, node.elt, generator.target)
    call = asked.call
    if fn is None and isinstance(generator.target, ast.Name):
        fn = f"lambda {target}: {value}"
    elif fn is None:
        if not isinstance(generator.target, ast.Tuple) or not all(
            isinstance(e, ast.Name) for e in generator.target.elts
        ):
            raise UnwritableError("its variables are part of something else")
        fn = f"lambda {', '.join(text.of(each) for each in generator.target.elts)}: {value}"
        call, options = asked.star_call, options + asked.star_options
    new = f"{call}{fn}, {_drawn(items, asked)}{options})"
    if is_pair:
        new = f"dict({new})"
    elif isinstance(node, ast.ListComp):
        new = f"list({new})"
    elif isinstance(node, ast.SetComp):
        new = f"set({new})"
    start, end = text.start(node), text.end(node)
    if isinstance(node, ast.GeneratorExp) and _shares_brackets(text, split.loop):
        new = f"({new})"
    return [(start, end, new)]


def _shares_brackets(text: Text, loop: Loop) -> bool:
    """`sum(x for x in xs)`: the brackets are those of the call, and of the generator as well."""
    outer = loop.around[0]
    assert isinstance(outer, ast.Call)
    assert isinstance(loop.node, ast.expr)
    return len(outer.args) + len(outer.keywords) == 1 and text.end(loop.node) == text.end(outer)


def _drawn(items: str, asked: Asked) -> str:
    return items if asked.items_call == "list(" else f"{asked.items_call}{items})"


def _plain_function(text: Text, value: ast.expr, target: ast.expr) -> str | None:
    """The function of `f(x)`, where x is the loop's variable."""
    if not isinstance(value, ast.Call) or value.keywords or len(value.args) != 1 or not isinstance(target, ast.Name):
        return None
    (argument,) = value.args
    if not isinstance(argument, ast.Name) or argument.id != target.id:
        return None
    is_plain = isinstance(value.func, ast.Name | ast.Attribute)
    names = {each.id for each in ast.walk(value.func) if isinstance(each, ast.Name)}
    return text.of(value.func) if is_plain and target.id not in names else None


def _statement(
    text: Text, tree: ast.Module, split: Split, node: ast.For, asked: Asked, names: set[str]
) -> list[tuple[int, int, str]]:
    indent, newline = text.indent(node.lineno), text.newline
    first = node.body[0]
    header_end = node.iter.end_lineno or node.lineno
    if text.lines[node.lineno - 1][: node.col_offset].strip() or first.lineno <= header_end:
        raise UnwritableError("it is written on one line with its body")
    inner = text.indent(first.lineno)
    pulled = {id(each): new_name("result", names) for each in split.pulled}
    given = [*split.needed, *pulled.values()]
    target = text.of(node.target)
    lead: list[str] = []
    fn = _stage_function(text, tree, split, node)
    if fn is None:
        fn = new_name(f"work_on_{target}" if target.isidentifier() and target.strip("_") else "work_on_item", names)
        lead += _stage_lines(text, tree, split, node, fn, inner, indent, names)
    items = text.of(node.iter)
    if isinstance(node.iter, ast.Tuple) and not items.startswith("("):
        items = f"({items})"
    if split.guards:
        each = f"({target})" if isinstance(node.target, ast.Tuple) and not target.startswith("(") else target
        tests = "".join(f" if {condition(guard.test, text.of)}" for guard in split.guards)
        listed = f"[{each} for {target} in {_drawn(items, asked)}{tests}]"
    else:
        listed = f"{asked.items_call}{items})"
    if split.keeps_target and (split.guards or not (asked.repeats and _is_simple(node.iter))):
        name = new_name("items", names)
        lead.insert(0, f"{indent}{name} = {listed}{newline}")
        items = name
    elif split.guards or asked.items_call != "list(":
        items = listed
    calls = f"{asked.call}{fn}, {items}{asked.options})"
    made = ", ".join(given) or new_name("_", set())
    if split.keeps_target:
        made = f"({made})" if len(given) > 1 else made
        outer = f"({target})" if isinstance(node.target, ast.Tuple) and not target.startswith("(") else target
        header = f"{outer}, {made} in zip({items}, {calls})"
    else:
        header = f"{made} in {calls}"
    at = text.line_start(node.lineno)
    edits = [(at, at, "".join(lead)), (text.start(node.target), text.end(node.iter), header)]
    if split.stage:
        last = split.stage[-1].end_lineno or 0
        if split.rest and split.rest[0].lineno <= last:
            raise UnwritableError("two of its statements stand on one line")
        stage_start = text.line_start(header_end + 1)
        edits.append((stage_start, text.line_start(last + 1), "" if split.rest else f"{inner}pass{newline}"))
    else:
        edits += [
            (text.line_start(each.lineno), text.line_start((each.end_lineno or 0) + 1), "") for each in split.guards
        ]
    edits += [(text.start(each), text.end(each), pulled[id(each)]) for each in split.pulled]
    return edits


def _stage_function(text: Text, tree: ast.Module, split: Split, node: ast.For) -> str | None:
    """A function of the script that is all of the stage."""
    value: ast.expr | None = None
    if not split.stage and len(split.pulled) == 1:
        value = split.pulled[0]
    elif len(split.stage) == 1 and not split.pulled:
        (only,) = split.stage
        is_kept = isinstance(only, ast.Assign) and [text.of(each) for each in only.targets] == list(split.needed)
        if isinstance(only, ast.Assign | ast.Expr) and (is_kept or not (isinstance(only, ast.Assign) or split.needed)):
            value = only.value
    if value is None:
        return None
    handed = submitted(value, tree)
    if handed is not None:
        fn, arguments = handed
        is_one = len(arguments) == 1 and isinstance(arguments[0], ast.Name) and isinstance(node.target, ast.Name)
        if is_one and arguments[0].id == node.target.id:  # type: ignore[attr-defined]
            return text.of(fn)
        return None
    return _plain_function(text, value, node.target)


def _stage_lines(
    text: Text, tree: ast.Module, split: Split, node: ast.For, name: str, inner: str, indent: str, names: set[str]
) -> list[str]:
    newline = text.newline
    target = text.of(node.target)
    parameter = target if target.isidentifier() else new_name("item", names)
    before = text.lines[node.lineno - 2].decode().strip() if node.lineno > 1 else ""
    is_beside = bool(indent and before and not before.endswith(":"))
    space = [newline] * is_beside if indent else [newline, newline]
    lines = [*space, f"{indent}def {name}({parameter}):{newline}"]
    if parameter != target:
        lines.append(f"{inner}{target} = {parameter}{newline}")
    if split.stage:
        header_end = node.iter.end_lineno or node.lineno
        last = split.stage[-1].end_lineno or 0
        left_out = {line for each in split.guards for line in range(each.lineno, (each.end_lineno or 0) + 1)}
        numbers = [number for number in range(header_end + 1, last + 1) if number not in left_out]
        kept = [text.lines[number - 1].decode() for number in numbers]
        if kept and not kept[-1].endswith(("\n", "\r")):
            kept[-1] += newline
        lines += kept
    values = [*split.needed]
    for each in split.pulled:
        handed = submitted(each, tree)
        if handed is not None:
            values.append(f"{text.of(handed[0])}({', '.join(text.of(argument) for argument in handed[1])})")
        else:
            value = text.of(each)
            values.append(f"({value})" if "\n" in value and len(split.pulled) + len(split.needed) == 1 else value)
    if values:
        lines.append(f"{inner}return {', '.join(values)}{newline}")
    return [*lines, newline, *([] if indent else [newline])]


def _is_simple(node: ast.expr) -> bool:
    """Is it as cheap and as plain to write twice as a name?"""
    if isinstance(node, ast.Name):
        return True
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range" and not node.keywords:
        return all(isinstance(each, ast.Name | ast.Constant) for each in node.args)
    return False


def new_name(wanted: str, names: set[str]) -> str:
    name, number = wanted, 1
    while name in names or keyword.iskeyword(name):
        number += 1
        name = f"{wanted}_{number}"
    names.add(name)
    return name


def _import(text: Text, tree: ast.Module) -> list[tuple[int, int, str]]:
    """`import whilst`, below the imports that the script begins with."""
    line = 0
    body = tree.body
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        line = body[0].end_lineno or 0
        body = body[1:]
    has_import = False
    for statement in body:
        if isinstance(statement, ast.Import) and any(
            alias.name == "whilst" and not alias.asname for alias in statement.names
        ):
            return []
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            break
        line, has_import = statement.end_lineno or 0, True
    if not line:
        line = (body[0].lineno if body else 1) - 1
        return [(text.line_start(line + 1), text.line_start(line + 1), f"import whilst{text.newline * 2}")]
    at = text.line_start(line + 1)
    return [(at, at, f"{'' if has_import else text.newline}import whilst{text.newline}")]


def _without_pools(source: str) -> str:
    """Take away `with ThreadPoolExecutor(8) as pool:` where nothing is left that uses the pool, and its import."""
    tree = ast.parse(source)
    text = Text(source)
    for around in ast.walk(tree):
        if isinstance(around, ast.With) and len(around.items) == 1 and _is_unused_pool(around.items[0], tree):
            if around.body[0].lineno <= around.lineno or spans_lines(around):
                continue
            outer, inner = text.indent(around.lineno), text.indent(around.body[0].lineno)
            header_end = around.items[0].optional_vars.end_lineno or around.lineno  # type: ignore[union-attr]
            edits = [(text.line_start(around.lineno), text.line_start(header_end + 1), "")]
            for line in range(header_end + 1, (around.end_lineno or header_end) + 1):
                if text.lines[line - 1].decode().startswith(inner):
                    start = text.line_start(line)
                    edits.append((start, start + len(inner.encode()), outer))
            return _without_pools(_without_import(text.changed(edits)))
    return source


def _is_unused_pool(item: ast.withitem, tree: ast.Module) -> bool:
    name = item.optional_vars
    if not isinstance(name, ast.Name) or name.id not in pools_of(tree):
        return False
    return not any(
        isinstance(node, ast.Name) and node.id == name.id and isinstance(node.ctx, ast.Load) for node in ast.walk(tree)
    )


def spans_lines(node: ast.AST) -> bool:
    """Is there a text over several lines, which would be indented otherwise?"""
    return any(
        isinstance(each, ast.Constant | ast.JoinedStr) and each.lineno != each.end_lineno for each in ast.walk(node)
    )


def _without_import(source: str) -> str:
    tree = ast.parse(source)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    text = Text(source)
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and len(statement.names) == 1:
            (alias,) = statement.names
            if alias.name in POOLS and (alias.asname or alias.name) not in names:
                last = statement.end_lineno or statement.lineno
                return text.changed([(text.line_start(statement.lineno), text.line_start(last + 1), "")])
    return source


def diff(before: str, after: str, name: str) -> str:
    """A unified diff, as `patch` takes it."""
    lines = difflib.unified_diff(source_lines(before), source_lines(after), f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
