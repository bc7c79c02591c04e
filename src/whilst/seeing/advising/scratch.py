"""Variables of the script that each call fills before it reads them: no call needs what another left there. Pure.

Threads would still fill one together; a process has one of its own. The text tells only that the first thing that is
done to it is to overwrite it, not that all of it is overwritten: the calls are made in another order, too, before
anything is advised.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from whilst.seeing.advising.loops import FunctionNode
from whilst.seeing.advising.uses import own_names


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
