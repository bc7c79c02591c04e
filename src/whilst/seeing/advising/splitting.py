"""Splits the body of a loop into a stage, whose calls may be made in any order, and what is left, done in order.

The stage is a prefix of the body, and calls at the start of the first statement after it: it binds names of its own and
reads nothing that the loop changes. What is left runs as before, item by item, on what the stage gives: so an append, a
sum, a maximum or a printed line needs no look at all. Pure; what the calls of the stage do beyond their text is judged
by others.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from whilst.seeing.advising.carrying import carried_in, first_of, kind_of, note_idioms, scratch_of
from whilst.seeing.advising.guards import guards_of
from whilst.seeing.advising.loops import DRAINS, FunctionNode, Loop, pools_of
from whilst.seeing.advising.uses import QUIET, Program, Uses, is_builtin, own_names, place_of, uses_of

_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_HEAVY_BUILTINS: Final = frozenset({"sum", "sorted", "map", "filter", "any", "all", "pow", "min", "max"})


@dataclass(frozen=True)
class Split:
    """A loop whose body has a stage.

    Args:
        stage: the statements of it.
        pulled: expressions of the first statement that is left, which belong to the stage.
        needed: names that the stage binds and others read.
        rest: the statements that are left.
        keeps_target: the rest, or what comes after the loop, reads the loop's own variables.
        changes_made, changes_target: the rest may change what the stage gave, or the item.
        shared_write: what own functions of the stage change that outlives the call, and where ("" for nothing seen).
        guards: statements at the head of the body that leave items out.
        kind: "independent", "reduction" or "pipeline", with `carried`, what the rest carries on, in words.
    """

    loop: Loop
    stage: tuple[ast.stmt, ...]
    pulled: tuple[ast.expr, ...]
    needed: tuple[str, ...]
    rest: tuple[ast.stmt, ...]
    keeps_target: bool
    changes_made: bool
    changes_target: bool
    shared_write: str
    kind: str
    carried: str
    reads: frozenset[str] = frozenset()
    """All places that the stage and the functions it calls read, by their text."""
    notes: tuple[str, ...] = ()
    guards: tuple[ast.If, ...] = ()
    scratch: frozenset[str] = frozenset()
    """Of what `shared_write` is about, if all of it is overwritten by each call before it is read."""
    leaves: int = 0
    """The line in which the rest may leave the loop; what was worked on beyond is then in vain."""


@dataclass(frozen=True)
class Whole:
    """A loop that has no stage: `kind` is "carried", "reduction" or "unknown", and why, with the line."""

    loop: Loop
    kind: str
    why: str
    remedy: str = ""
    """What may be done all the same, by hand."""


def split(loop: Loop, program: Program) -> Split | Whole:
    """Find the stage of a loop."""
    node = loop.node
    if isinstance(node, ast.While):
        return Whole(loop, "unknown", f"a while loop (line {node.lineno}): what it goes over is not known beforehand")
    if isinstance(loop.scope, ast.AsyncFunctionDef):
        return _in_coroutine(loop, loop.scope, program)
    if isinstance(loop.around[0], ast.ClassDef):
        return Whole(loop, "unknown", "it stands in the body of a class")
    if isinstance(node, ast.For):
        return _split_statement(loop, node, program)
    return _split_expression(loop, program)


class _Awaited(ast.NodeTransformer):
    """Puts what is awaited in the place of the awaiting."""

    def visit_Await(self, node: ast.Await) -> ast.AST:
        return self.visit(node.value)  # type: ignore[no-any-return]


def _in_coroutine(loop: Loop, scope: ast.AsyncFunctionDef, program: Program) -> Whole:
    """Nothing is changed there; but what is awaited item by item, and needs nothing of the item before, is said."""

    lines = [node.lineno for node in ast.walk(loop.node) if isinstance(node, ast.Await)]
    why = f"it stands in the coroutine function {scope.name}, whose event loop would wait"
    node = _Awaited().visit(copy.deepcopy(loop.node))
    if not lines or not isinstance(node, ast.For):
        return Whole(loop, "unknown", why)
    plain = Program(_Awaited().visit(copy.deepcopy(program.tree)))
    found = _split_statement(replace(loop, node=node), node, plain)
    if isinstance(found, Whole) and found.kind == "carried":
        return Whole(loop, "carried", found.why)
    remedy = (
        f"What line {min(lines)} awaits is awaited item by item: where no item needs the one before, "
        "`async for … in whilst.aimap(function, items)` or asyncio.gather awaits them together. Nobody tried it."
    )
    return Whole(loop, "unknown", why, remedy if isinstance(found, Split) else "")


# ---------------------------------------------------------------------------------------------------- comprehensions


def _split_expression(loop: Loop, program: Program) -> Split | Whole:
    node = loop.node
    assert isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Call)
    if isinstance(node, ast.Call):
        parts: list[ast.expr] = [node.args[0]]
    else:
        if len(node.generators) != 1:
            return Whole(loop, "unknown", f"a comprehension over several loops (line {loop.line})")
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        if not any(_is_heavy(part) for part in parts):
            return Whole(loop, "independent", "its items need no call: there is nothing to hand out")
    if not _is_drained(loop):
        return Whole(loop, "unknown", f"nobody knows what is done between its items (line {loop.line})")
    tests = [] if isinstance(node, ast.Call) else node.generators[0].ifs
    uses = uses_of([*parts, *tests], program.modules)
    reached = program.reached(uses)
    if odd := uses.odd or reached.odd:
        return Whole(loop, "unknown", odd)
    if uses.stores and not isinstance(node, ast.Call):
        targets = {each.id for each in ast.walk(node.generators[0].target) if isinstance(each, ast.Name)}
        for name, line in uses.stores.items():
            if name not in targets:
                return Whole(loop, "carried", f"{name} is bound for others in line {line}")
    changes = {place: line for place, line in uses.changes.items() if place not in _targets_of(loop)}
    if changes:
        return Whole(loop, "unknown", first_of("{} is changed in line {}", changes))
    return Split(
        loop, (), tuple(parts), (), (), False, False, False, _shared_write(program, uses), "independent", "",
        frozenset({*uses.loads, *reached.loads}),
    )  # fmt: skip


def _targets_of(loop: Loop) -> set[str]:
    node = loop.node
    if isinstance(node, ast.Call | ast.While):
        return set()
    target = node.target if isinstance(node, ast.For) else node.generators[0].target
    return {each.id for each in ast.walk(target) if isinstance(each, ast.Name)}


def _is_drained(loop: Loop) -> bool:
    """Is all that it gives taken at once?"""
    if isinstance(loop.node, ast.ListComp | ast.SetComp | ast.DictComp):
        return True
    outer = loop.around[0]
    if not isinstance(outer, ast.Call) or loop.node not in outer.args:
        return False
    if isinstance(outer.func, ast.Name):
        return outer.func.id in DRAINS
    func = outer.func
    return isinstance(func, ast.Attribute) and func.attr == "join" and isinstance(func.value, ast.Constant)


# --------------------------------------------------------------------------------------------------------- statements


def _split_statement(loop: Loop, node: ast.For, program: Program) -> Split | Whole:
    whole = uses_of(node.body, program.modules)
    targets = _targets_of(loop)
    stored = set(whole.stores) | targets
    outside = read_outside(loop, program)
    guards: tuple[ast.If, ...] = ()
    if not targets & ({*whole.stores} | outside):
        within = program.reached(whole)
        moving = {*whole.stores, *whole.changes, *whole.passed, *within.changes, *within.passed}
        guards = guards_of(node.body, moving - targets, program)
    body = node.body[len(guards) :]
    leaves = _leaves(body)
    if whole.odd:
        return Whole(loop, "unknown", whole.odd)
    if not all(isinstance(each, ast.Name | ast.Tuple | ast.List) for each in [node.target]):
        return Whole(loop, "unknown", f"its variable is part of something else (line {node.lineno})")
    over = uses_of([node.iter], program.modules).loads
    if (place := place_of(node.iter)) and (line := whole.changes.get(place)):
        return Whole(loop, "carried", f"{place.removeprefix('.')}, which it goes over, is changed in line {line}")
    stage, made, stopped = _prefix(loop, body, targets, stored, program)
    rest = body[len(stage) :]
    pulled: list[ast.expr] = []
    if rest:
        free_changes = {place for place in whole.changes if place not in made}
        pulled = list(_pullable(rest[0], stored - made, free_changes, program))
        if any(_is_heavy(each) for each in stage):
            pulled = [each for each in pulled if not _shared_write(program, uses_of([each], program.modules))]
    notes = tuple(_notes(rest))
    if not pulled and not any(_is_heavy(each) for each in stage):
        return _without_stage(loop, body, targets, stored, program, stopped)
    # What is left, without what was pulled out of it.
    own = uses_of([*stage, *pulled], program.modules)
    reached = program.reached(own)
    left = _without(rest, pulled, program)
    if stage and not pulled and (whole_value := _value_of(rest, stored - made, program)) is not None:
        less = _without(rest, [whole_value], program)
        kept = {name for name in made - targets if name in less.loads or name in outside}
        if kept < {name for name in made - targets if name in left.loads or name in outside}:
            pulled, left = [whole_value], less  # what is sent back is then no more than what is used
            own = uses_of([*stage, *pulled], program.modules)
            reached = program.reached(own)
    left_reached = program.reached(left)
    if odd := reached.odd or left_reached.odd:
        return Whole(loop, "unknown", odd)
    if conflict := _conflict(own, reached, left, left_reached, made | targets):
        return Whole(loop, "carried", conflict)
    if (own.output or reached.output) and (left.output or left_reached.output):
        first, second = own.output or reached.output, left.output or left_reached.output
        return Whole(loop, "unknown", f"lines {first} and {second} both print, and would no longer take turns")
    if leaves and (own.output or reached.output):
        return Whole(loop, "unknown", in_vain(leaves))
    changed = {**left.roots, **left.changes, **left.passed}
    made_names = made - targets
    needed = [name for name in whole.stores if name in made_names and (name in left.loads or name in outside)]
    kind, carried = kind_of(rest, made, stored)
    changes_target = any(name in changed for name in targets)
    if changes_target and any(name in own.loads or name in reached.loads for name in over if not is_builtin(name)):
        line = next(changed[name] for name in targets if name in changed)
        return Whole(loop, "carried", f"items are changed in line {line}, and looked at as a whole by later ones")
    return Split(
        loop=loop,
        stage=tuple(stage),
        pulled=tuple(pulled),
        needed=tuple(needed),
        rest=tuple(rest),
        keeps_target=any(name in left.loads or name in outside or name in left.stores for name in targets),
        changes_made=any(name in changed for name in made_names),
        changes_target=changes_target,
        shared_write=_shared_write(program, own),
        kind=kind,
        carried=carried,
        reads=frozenset({*own.loads, *reached.loads}),
        notes=notes,
        guards=guards,
        leaves=leaves,
        scratch=scratch_of(program.tree, _shared_writes(program, own)),
    )


def _prefix(
    loop: Loop, body: Sequence[ast.stmt], targets: set[str], stored: set[str], program: Program
) -> tuple[list[ast.stmt], set[str], str]:
    """The statements of the stage, the names bound by then, and why it ends there ("" where it doesn't)."""
    made = set(targets)
    stage: list[ast.stmt] = []
    for position, statement in enumerate(body):
        after = uses_of(body[position + 1 :], program.modules).loads
        read_later = {*after, *read_outside(loop, program)}
        why, bound = _why_not_staged(statement, made, stored, read_later, program)
        shared = _shared_write(program, uses_of([statement], program.modules))
        if shared and any(_is_heavy(each) for each in stage):
            why = shared  # better a smaller stage than one whose calls change what others see
        if why:
            return stage, made, why
        stage.append(statement)
        made |= bound
    return stage, made, ""


def _why_not_staged(
    statement: ast.stmt, made: set[str], stored: set[str], read_later: set[str], program: Program
) -> tuple[str, set[str]]:
    """Why a statement must be done in order ("" if it need not), and the names that it binds."""
    line = statement.lineno
    if any(isinstance(each, ast.Continue) for each in _own_level([statement])):
        return f"continue in line {line}", set()
    if leaves := _leaves([statement]):
        return in_vain(leaves), set()
    if isinstance(statement, ast.Pass | ast.Import | ast.ImportFrom | ast.Raise | ast.Assert):
        return f"line {line} belongs to the loop itself", set()
    uses = uses_of([statement], program.modules)
    carried = carried_in([statement], set(made))
    for name, at in carried.exposed.items():
        if name in stored and name not in made:
            return f"carried: {name}, read in line {at}, was bound by the item before", set()
    maybe = set(uses.stores) - carried.bound - made
    if maybe & read_later:
        name = min(maybe & read_later)
        return f"carried: {name} keeps its value where line {line} does not bind it", set()
    own = made | carried.bound | maybe
    for place, at in uses.changes.items():
        if place not in own and not place.startswith("."):
            return f"{place} is changed in line {at}", set()
        if place.startswith("."):
            return f"an attribute, {place[1:]}, is changed in line {at}", set()
    if uses.output:
        return f"line {uses.output} prints", set()
    if _escaping(statement):
        return f"line {line} makes a function or a generator that is run later", set()
    for each in _own_scope([statement]):
        if isinstance(each, ast.Expr) and (effect := _effect(each, own, program)):
            return effect, set()
        if isinstance(each, ast.With) and any(
            isinstance(item.context_expr, ast.Name | ast.Attribute) and place_of(item.context_expr) not in own
            for item in each.items
        ):
            return f"line {each.lineno} enters what all items share", set()
    return "", carried.bound


def _effect(statement: ast.Expr, own: set[str], program: Program) -> str:
    """Why a statement that is there for its effect alone must be done in order; "" if it need not."""
    line, call = statement.lineno, statement.value
    if isinstance(call, ast.Constant):
        return ""
    if not isinstance(call, ast.Call):
        return f"line {line} is for its effect"
    func = call.func
    if not isinstance(func, ast.Attribute) or place_of(func.value) in own:
        return ""
    root = func.value
    while isinstance(root, ast.Attribute):
        root = root.value
    is_module = isinstance(root, ast.Name) and root.id in program.modules
    return "" if is_module and func.attr != "sleep" else f"line {line} is for its effect, which may have an order"


def _pullable(statement: ast.stmt, carried: set[str], changed: set[str], program: Program) -> Iterator[ast.expr]:
    """Expressions that the first statement that is left evaluates in any case, before it has any effect."""
    match statement:
        case ast.Expr(value=ast.Call() as call):
            parts: list[ast.expr] = [*call.args, *(keyword.value for keyword in call.keywords)]
        case ast.Assign(value=value) | ast.AugAssign(value=value):
            parts = [value]
        case ast.AnnAssign(value=ast.expr() as value):
            parts = [value]
        case ast.If(test=test):
            parts = [test]
        case ast.For(iter=iterable):
            parts = [iterable]
        case _:
            return
    for part in parts:
        yield from _pulled_from(part, carried, changed, program)


def _value_of(rest: Sequence[ast.stmt], carried: set[str], program: Program) -> ast.expr | None:
    """What the first statement that is left keeps of an item, where it has no effect and reads nothing carried."""
    match rest[0] if rest else None:
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr="append" | "add"), args=[value], keywords=[])):
            pass
        case ast.Assign(value=value):
            pass
        case _:
            return None
    if not any(isinstance(each, ast.Subscript | ast.Attribute | ast.Call) for each in ast.walk(value)):
        return None  # nothing is made smaller
    uses = uses_of([value], program.modules)
    is_free = not set(uses.loads) & carried and not uses.changes and not uses.output and not uses.stores
    return value if is_free and not _escaping_expression(value) else None


def _pulled_from(node: ast.expr, carried: set[str], changed: set[str], program: Program) -> Iterator[ast.expr]:
    if not _is_heavy(node):
        return
    uses = uses_of([node], program.modules)
    is_free = not (set(uses.loads) & (carried | changed)) and not uses.changes and not uses.output and not uses.stores
    is_lazy = isinstance(node, ast.GeneratorExp | ast.Lambda | ast.Starred)
    if is_free and not is_lazy and not _escaping_expression(node):
        yield node
        return
    children: list[ast.expr] = []
    match node:
        case ast.Call():
            children = [*node.args, *(keyword.value for keyword in node.keywords)]
        case ast.Tuple() | ast.List() | ast.Set():
            children = node.elts
        case ast.Dict():
            children = [value for key, value in zip(node.keys, node.values, strict=True) if key is not None]
        case ast.BinOp():
            children = [node.left, node.right]
        case ast.Compare():
            children = [node.left, node.comparators[0]]
        case ast.UnaryOp():
            children = [node.operand]
    for child in children:
        yield from _pulled_from(child, carried, changed, program)


def _is_heavy(node: ast.AST) -> bool:
    """Is there a call or a loop in it that could take a while?"""
    for each in ast.walk(node):
        if isinstance(each, ast.ListComp | ast.SetComp | ast.DictComp | ast.For | ast.While):
            return True
        if isinstance(each, ast.Call):
            name = each.func.id if isinstance(each.func, ast.Name) else ""
            if name not in QUIET or name in _HEAVY_BUILTINS - {"min", "max"}:
                return True
    return False


def _own_level(statements: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """All nodes, without those of inner loops and functions."""
    for statement in statements:
        yield statement
        if not isinstance(statement, ast.For | ast.While | ast.AsyncFor | FunctionNode | ast.Lambda | ast.ClassDef):
            yield from _own_level(list(ast.iter_child_nodes(statement)))


def _leaves(body: Sequence[ast.stmt]) -> int:
    """The line where the body leaves the loop: a break of its own, or any return; 0 for none."""
    for node in _own_level(body):
        if isinstance(node, ast.Break):
            return node.lineno
    return next((node.lineno for node in _own_scope(body) if isinstance(node, ast.Return)), 0)


def in_vain(line: int) -> str:
    """Why a loop that this line leaves is left as it is."""
    return f"it may stop early (line {line}): items after that would be worked on in vain"


def _own_scope(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes, without those of functions and classes defined among them."""
    for node in nodes:
        if not isinstance(node, FunctionNode | ast.Lambda | ast.ClassDef):
            yield node
            yield from _own_scope(ast.iter_child_nodes(node))


def _escaping(statement: ast.stmt) -> bool:
    return any(_escaping_expression(node) for node in ast.iter_child_nodes(statement) if isinstance(node, ast.expr))


def _escaping_expression(node: ast.AST, *, is_argument: bool = False) -> bool:
    """Is there a lambda or a generator that may be run when the call is over? One that is an argument is not."""
    if isinstance(node, ast.Lambda | ast.GeneratorExp):
        return not is_argument
    arguments = [*node.args, *(each.value for each in node.keywords)] if isinstance(node, ast.Call) else []
    return any(_escaping_expression(child, is_argument=child in arguments) for child in _children(node))


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.keyword):
            yield child.value
        else:
            yield child


def _without(rest: Sequence[ast.stmt], pulled: Sequence[ast.expr], program: Program) -> Uses:
    """What the rest uses, without the expressions that were pulled out of it."""
    if not pulled:
        return uses_of(rest, program.modules)
    first, *others = rest

    class Remove(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            if any(node is each for each in pulled):
                return ast.copy_location(ast.Constant(None), node)
            return self.generic_visit(node)

    memo: dict[int, object] = {id(each): each for each in pulled}
    return uses_of([Remove().visit(copy.deepcopy(first, memo)), *others], program.modules)


def _conflict(own: Uses, reached: Uses, left: Uses, left_reached: Uses, made: set[str]) -> str:
    """What the rest changes and the stage of a later item reads; "" for nothing."""
    reads = {**own.loads, **reached.loads}
    changed = {**left.stores, **left.changes, **left_reached.changes}
    for place, line in changed.items():
        if place in reads and place not in made:
            return f"{place.removeprefix('.')}, read in line {reads[place]}, is changed in line {line}"
    used = {**own.bare, **reached.bare}
    for name, line in {**left.roots, **left_reached.roots}.items():
        if name in used and name not in made:
            return f"{name}, used in line {used[name]}, is changed in line {line}"
    for place, line in {**left.passed, **left_reached.passed}.items():
        if place in reads and place not in made and not is_builtin(place):
            return f"{place.removeprefix('.')}, read in line {reads[place]}, may be changed in line {line}"
    return ""


def _shared_write(program: Program, own: Uses) -> str:
    """A variable of the script that functions of the stage change, and where."""
    changes = _shared_writes(program, own)
    return first_of("{} is shared by all calls, and changed in line {}", changes) if changes else ""


def _shared_writes(program: Program, own: Uses) -> dict[str, int]:
    return {place: line for place, line in program.reached(own).changes.items() if not place.startswith(".")}


def read_outside(loop: Loop, program: Program, *, is_later: bool = False) -> set[str]:
    """Names that code beyond the loop reads: what the last item left in them must be there.

    With `is_later`, only code that may run after the loop counts.
    """
    scope = program.tree if isinstance(loop.scope, ast.Module) else loop.scope
    body = scope.body
    if is_later and not any(isinstance(each, ast.For | ast.While) for each in loop.around):
        body = [each for each in body if (each.end_lineno or 0) >= loop.line or isinstance(each, _DEFINITIONS)]
    return set(_read_in(body, loop.node, frozenset()))


def _read_in(nodes: Iterable[ast.AST], leave_out: ast.AST, own: frozenset[str]) -> Iterator[str]:
    """The variables that code reads, without those that are a function's own."""
    for node in nodes:
        if node is leave_out:
            continue
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store) and node.id not in own:
            yield node.id
        if isinstance(node, ast.For):  # in the body, not after it: it may have had no item
            names = {each.id for each in ast.walk(node.target) if isinstance(each, ast.Name)}
            yield from _read_in([node.iter, *node.orelse], leave_out, own)
            yield from _read_in(node.body, leave_out, own | names)
            continue
        inner = own | own_names(node) if isinstance(node, FunctionNode) else own
        yield from _read_in(ast.iter_child_nodes(node), leave_out, inner)


def _without_stage(
    loop: Loop, body: Sequence[ast.stmt], targets: set[str], stored: set[str], program: Program, stopped: str
) -> Whole:
    carried: dict[str, int] = {}
    reduced: dict[str, int] = {}
    note_idioms(body, set(targets), stored, carried, reduced)
    if carried:
        name, line = min(carried.items(), key=lambda each: each[1])
        return Whole(loop, "carried", f"{name} is read in line {line} as the item before left it")
    if stopped.startswith("carried: "):
        return Whole(loop, "carried", stopped.removeprefix("carried: "))
    uses = uses_of(body, program.modules)
    both = {place: line for place, line in uses.changes.items() if place in program.reached(uses).loads}
    if both:
        return Whole(loop, "carried", first_of("{} is changed in line {}, and read by the functions called", both))
    if reduced:
        return Whole(loop, "reduction", first_of("{} is put together in line {}, item by item", reduced))
    if not _is_heavy_body(body):
        return Whole(loop, "independent", "its items need no call: there is nothing to hand out")
    return Whole(loop, "unknown", stopped or "no call in it can be told from the rest")


def _is_heavy_body(body: Sequence[ast.stmt]) -> bool:
    return any(_is_heavy(each) for each in body)


def _notes(rest: Sequence[ast.stmt]) -> Iterator[str]:
    for statement in rest:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sleep":
                yield f"line {node.lineno} sleeps between items: that stays, one after the other"


def submitted(node: ast.expr, tree: ast.Module) -> tuple[ast.expr, Sequence[ast.expr]] | None:
    """`pool.submit(f, x).result()`, which waits for what it has just handed out: f and what it is given."""
    match node:
        case ast.Call(
            func=ast.Attribute(
                value=ast.Call(
                    func=ast.Attribute(value=ast.Name(id=pool), attr="submit"), args=[fn, *args], keywords=[]
                ),
                attr="result",
            ),
            args=[],
        ) if pool in pools_of(tree):
            return fn, args
    return None
