"""What a loop carries from item to item: names read before they are bound, sums, counters, first maxima. Pure."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field

from whilst.seeing.advising.uses import place_of, uses_of


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
