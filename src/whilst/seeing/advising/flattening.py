"""Two loops, one within the other, as one over what the outer one finds: `for … in os.walk(…): for name in files:`.

What stands before the inner loop, and its head, become a generator that yields what the body of the inner one uses;
then that body has a loop of its own, which can be split as any other. What the generator does is done no later than
before, and perhaps earlier: so it must not read what the body changes, nor change what the body reads. Pure.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from whilst.seeing.advising.carrying import carried_in
from whilst.seeing.advising.edits import Text, UnwritableError, new_name, spans_lines
from whilst.seeing.advising.loops import FunctionNode, Loop
from whilst.seeing.advising.splitting import read_outside
from whilst.seeing.advising.uses import Program, is_builtin, uses_of

NAME: Final = "found_items"


@dataclass(frozen=True)
class Flat:
    """The text with the two loops as one, which stands at `line`; `name` is the generator's."""

    text: str
    name: str
    outer: Loop
    line: int


def flattened(source: str, loop: Loop, program: Program) -> Flat | None:
    """Return the text with this loop and the one that its body ends with as one; None where that can't be told."""
    outer = loop.node
    if not isinstance(outer, ast.For) or outer.orelse or isinstance(loop.scope, ast.AsyncFunctionDef):
        return None
    *before, inner = outer.body
    if not isinstance(inner, ast.For) or inner.orelse or isinstance(loop.around[0], ast.ClassDef):
        return None
    used = _yielded(loop, outer, before, inner, program)
    if not used or any(_leaves(each) for each in before) or _leaves_outer(inner.body):
        return None
    try:
        return _written(source, loop, outer, inner, used, program)
    except UnwritableError:
        return None


def _yielded(loop: Loop, outer: ast.For, before: list[ast.stmt], inner: ast.For, program: Program) -> tuple[str, ...]:
    """The names that the body of the inner loop needs; none if the two can't be told from each other."""
    head: list[ast.AST] = [outer.target, outer.iter, *before, inner.target, inner.iter]
    first, body = uses_of(head, program.modules), uses_of(inner.body, program.modules)
    first_reached, body_reached = program.reached(first), program.reached(body)
    if first.odd or body.odd or first_reached.odd or first.output or first_reached.output:
        return ()
    reads = {*first.loads, *first_reached.loads}
    changed_by_body = {*body.stores, *body.changes, *body_reached.changes, *body.roots, *body_reached.roots}
    changed_by_head = {*first.changes, *first_reached.changes, *first.roots, *first_reached.roots}
    if reads & changed_by_body or changed_by_head & {*body.loads, *body_reached.loads}:
        return ()
    bound = set(first.stores)
    if bound & ({*body.stores} | read_outside(loop, program, is_later=True)):
        return ()
    if reads & {*body.passed, *body_reached.passed} - {place for place in reads if is_builtin(place)}:
        return ()  # what is given to others may be changed by them
    own = {each.id for each in ast.walk(outer.target) if isinstance(each, ast.Name)}
    if any(name in bound - own for name in carried_in(before, set(own)).exposed):
        return ()  # what the item before left
    return tuple(name for name in first.stores if name in body.loads)


def _leaves(statement: ast.stmt) -> bool:
    return any(
        isinstance(node, ast.Break | ast.Return | ast.Yield | ast.Await | ast.Global) for node in ast.walk(statement)
    )


def _leaves_outer(body: list[ast.stmt]) -> bool:
    """A break of the inner loop would end both."""
    return any(isinstance(node, ast.Break) for node in _level(body)) or any(
        isinstance(node, ast.Return) for statement in body for node in ast.walk(statement)
    )


def _level(nodes: list[ast.stmt]) -> Iterator[ast.AST]:
    for node in nodes:
        yield node
        if not isinstance(node, ast.For | ast.While | FunctionNode | ast.ClassDef | ast.Lambda):
            yield from _level(list(ast.iter_child_nodes(node)))  # type: ignore[arg-type]


def _written(source: str, loop: Loop, outer: ast.For, inner: ast.For, used: tuple[str, ...], program: Program) -> Flat:
    text = Text(source)
    head_end = inner.iter.end_lineno or inner.lineno
    body_start, last = inner.body[0].lineno, inner.end_lineno or inner.lineno
    if body_start <= head_end or spans_lines(outer) or text.lines[outer.lineno - 1][: outer.col_offset].strip():
        raise UnwritableError("it is written on few lines")
    names = {node.id for node in ast.walk(program.tree) if isinstance(node, ast.Name)}
    names |= {node.name for node in ast.walk(program.tree) if isinstance(node, FunctionNode | ast.ClassDef)}
    name = new_name(NAME, names)
    indent, step = text.indent(outer.lineno), text.indent(inner.lineno).removeprefix(text.indent(outer.lineno))
    inner_indent, newline = text.indent(body_start), text.newline
    given = ", ".join(used)
    before = text.lines[outer.lineno - 2].decode().strip() if outer.lineno > 1 else ""
    space = [newline] * (1 if indent else 2)
    lines = [*(space if before and not before.endswith(":") else []), f"{indent}def {name}():{newline}"]
    for number in range(outer.lineno, body_start):
        head = text.lines[number - 1].decode()
        lines.append(f"{step}{head}" if head.strip() else head)
    lines += [f"{step}{inner_indent}yield {given}{newline}", *space]
    line = outer.lineno + len(lines)
    lines.append(f"{indent}for {given} in {name}():{newline}")
    for number in range(body_start, last + 1):
        line_text = text.lines[number - 1].decode()
        shorter = line_text.removeprefix(inner_indent)
        if shorter == line_text and line_text.strip() and not line_text.lstrip().startswith("#"):
            raise UnwritableError("its lines are not indented alike")
        lines.append(f"{indent}{step}{shorter}" if line_text.strip() else line_text)
    start, end = text.line_start(outer.lineno), text.line_start(last + 1)
    changed = text.changed([(start, end, "".join(lines))])
    ast.parse(changed)
    return Flat(changed, name, loop, line)
