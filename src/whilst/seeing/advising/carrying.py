"""What a loop carries from item to item: names read before they are bound, sums, counters, first maxima. Pure.

And what it does not carry, though it looks so: variables of the script that each call fills before it reads them.
Threads would still fill one together; a process has one of its own. The text tells only that the first thing that is
done to it is to overwrite it, not that all of it is overwritten: the calls are made in another order, too, before
anything is advised.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from whilst.seeing.advising.loops import FunctionNode
from whilst.seeing.advising.uses import own_names, place_of, uses_of


@dataclass
class Carried:
    """Which names a piece of code reads before it binds them, and which it has bound in any case."""

    exposed: dict[str, int] = field(default_factory=dict)
    bound: set[str] = field(default_factory=set)


def carried_in(statements: Sequence[ast.stmt], bound: set[str]) -> Carried:
    """Follow statements in order: what is read before it is bound?"""
    found = Carried(bound=bound)
    for statement in statements:
        _follow(statement, found)
    return found


def _follow(statement: ast.stmt, found: Carried) -> None:
    def read(node: ast.AST | None) -> None:
        if node is None:
            return
        for name, line in uses_of([node], frozenset()).loads.items():
            if not name.startswith(".") and name not in found.bound:
                found.exposed.setdefault(name, line)

    def branch(statements: Sequence[ast.stmt], also: set[str] = frozenset()) -> set[str]:  # type: ignore[assignment]
        inner = carried_in(statements, found.bound | also)
        for name, line in inner.exposed.items():
            found.exposed.setdefault(name, line)
        return inner.bound

    match statement:
        case ast.If():
            read(statement.test)
            found.bound |= branch(statement.body) & branch(statement.orelse)
        case ast.For():
            read(statement.iter)
            names = {each.id for each in ast.walk(statement.target) if isinstance(each, ast.Name)}
            branch(statement.body, names)
            branch(statement.orelse)
        case ast.While():
            read(statement.test)
            branch(statement.body)
            branch(statement.orelse)
        case ast.With():
            for item in statement.items:
                read(item.context_expr)
                if item.optional_vars is not None:
                    found.bound |= {each.id for each in ast.walk(item.optional_vars) if isinstance(each, ast.Name)}
            found.bound |= branch(statement.body)
        case ast.Try():
            ends = [branch([*statement.body, *statement.orelse])]
            for handler in statement.handlers:
                read(handler.type)
                ends.append(branch(handler.body, {handler.name} if handler.name else set()))
            found.bound |= set.intersection(*ends)
            found.bound |= branch(statement.finalbody)
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.Expr() | ast.Return() | ast.Assert() | ast.Raise():
            read(statement)
            bare = isinstance(statement, ast.AnnAssign) and statement.value is None
            found.bound |= set() if bare else set(uses_of([statement], frozenset()).stores)
        case _:
            read(statement)


def kind_of(rest: Sequence[ast.stmt], made: set[str], stored: set[str]) -> tuple[str, str]:
    carried: dict[str, int] = {}
    reduced: dict[str, int] = {}
    note_idioms(rest, set(made), stored, carried, reduced)
    if carried:
        return "pipeline", first_of("{} goes on from item to item in line {}, in order", carried)
    if reduced:
        return "reduction", first_of("{} is put together in line {}", reduced)
    return "independent", ""


def note_idioms(
    statements: Sequence[ast.stmt], bound: set[str], stored: set[str], carried: dict[str, int], reduced: dict[str, int]
) -> None:
    """Tell sums, counters and first maxima from what is carried in other ways."""
    for statement in statements:
        match statement:
            case ast.AugAssign(
                target=ast.Name(id=name), op=ast.Add() | ast.Mult() | ast.BitOr() | ast.BitAnd() | ast.BitXor()
            ):
                reduced.setdefault(name, statement.lineno)
                inner = carried_in([ast.copy_location(ast.Expr(statement.value), statement)], set(bound))
            case ast.AugAssign(target=ast.Subscript() as target) if place_of(target) not in bound:
                reduced.setdefault(place_of(target) or "", statement.lineno)
                inner = carried_in([ast.copy_location(ast.Expr(statement.value), statement)], set(bound))
            case ast.If(orelse=[]) if best := _maximum(statement):
                for name in best:
                    reduced.setdefault(name, statement.lineno)
                inner = carried_in([statement], bound | best)
            case ast.If() | ast.For() | ast.With():
                names = uses_of([statement.target], frozenset()).stores if isinstance(statement, ast.For) else {}
                parts = [*statement.body, *([] if isinstance(statement, ast.With) else statement.orelse)]
                note_idioms(parts, bound | set(names), stored, carried, reduced)
                continue
            case _:
                inner = carried_in([statement], set(bound))
        for name, line in inner.exposed.items():
            if name in stored and name not in bound and name not in reduced:
                carried.setdefault(name, line)
        bound |= inner.bound


def _maximum(statement: ast.If) -> set[str]:
    """The names that `if x > best: best, which = x, i` keeps; none if it isn't that."""
    if not isinstance(statement.test, ast.Compare) or len(statement.test.ops) != 1:
        return set()
    if not isinstance(statement.test.ops[0], ast.Gt | ast.GtE | ast.Lt | ast.LtE):
        return set()
    if not all(isinstance(each, ast.Assign) for each in statement.body):
        return set()
    names = set(uses_of(statement.body, frozenset()).stores)
    compared = {each.id for each in ast.walk(statement.test) if isinstance(each, ast.Name)}
    return names if names & compared else set()


def first_of(text: str, places: dict[str, int]) -> str:
    place, line = min(places.items(), key=lambda each: each[1])
    return text.format(place.removeprefix("."), line)


def scratch_of(tree: ast.Module, places: Iterable[str]) -> frozenset[str]:
    """Those of these variables that one function alone uses, and overwrites first; none if it isn't so of all."""
    names = frozenset(places)
    return names if names and all(_is_scratch(tree, name) for name in names) else frozenset()


def _is_scratch(tree: ast.Module, name: str) -> bool:
    users: list[FunctionNode] = []
    bound = 0
    for statement in tree.body:
        mentions = [node for node in ast.walk(statement) if isinstance(node, ast.Name) and node.id == name]
        if not mentions:
            continue
        if isinstance(statement, FunctionNode):
            if name not in own_names(statement):
                users.append(statement)
        elif isinstance(statement, ast.Assign) and all(isinstance(node.ctx, ast.Store) for node in mentions):
            bound += 1
        else:
            return False
    return bound == 1 and len(users) == 1 and _is_overwritten_first(users[0].body, name)


def _is_overwritten_first(body: list[ast.stmt], name: str) -> bool:
    for statement in body:
        if isinstance(statement, ast.Global) or name not in _names_in([statement]):
            continue
        match statement:
            case ast.For(body=inner, orelse=[], iter=iterable) if name not in _names_in([iterable]):
                return _is_overwritten_first(inner, name)
            case ast.With(body=inner, items=items) if name not in _names_in(items):
                return _is_overwritten_first(inner, name)
            case ast.Assign(targets=[target], value=value) if name not in _names_in([value]):
                is_whole = isinstance(target, ast.Name)
                is_element = isinstance(target, ast.Subscript) and name not in _names_in([target.slice])
                return is_whole or (is_element and isinstance(target.value, ast.Name))  # type: ignore[attr-defined]
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(), attr="clear"), args=[], keywords=[])):
                return True
            case _:
                return False
    return False


def _names_in(nodes: Iterable[ast.AST]) -> set[str]:
    return set(_walk_names(nodes))


def _walk_names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        for each in ast.walk(node):
            if isinstance(each, ast.Name):
                yield each.id
