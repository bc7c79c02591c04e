"""Rewritten code does what the original does, on whichever interpreter this is, and its hooks are called."""

import asyncio
import dataclasses
import dis
import sys
import types
from collections import Counter
from contextlib import contextmanager

import pytest

from whilst.checking.engine.sites import SiteTable
from whilst.checking.explorer.explorer import Explorer, Program
from whilst.checking.instrument.bytecode import decode
from whilst.checking.instrument.insert_hooks import Hooks
from whilst.checking.instrument.shared_variables import SharedVariables
from whilst.checking.instrument.templates import Rewriter
from whilst.inspecting.cpython import version

REPLACING = {"call", "call_spread", "enter", "loop"}


def hooks_into(seen):
    """Hooks that count themselves and change nothing."""

    def hook(name):
        def run(site, *things):
            seen[name, site.name] += 1
            return things[0] if name in REPLACING else None

        return run

    return Hooks(**{field.name: hook(field.name) for field in dataclasses.fields(Hooks)})


def rewritten(function, *, at_every_instruction=False):
    seen = Counter()
    names = SharedVariables(function.__globals__)
    names.scan(function.__code__)
    code = Rewriter(hooks_into(seen), SiteTable(), at_every_instruction=at_every_instruction).rewrite(
        function.__code__, names
    )
    new = types.FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    return new, seen


class Manager:
    def __init__(self, *, swallows=False):
        self.log = []
        self.swallows = swallows

    def __enter__(self):
        self.log.append("in")
        return self.log

    def __exit__(self, *details):
        self.log.append(details[0].__name__ if details[0] else None)
        return self.swallows

    async def __aenter__(self):
        return self.__enter__()

    async def __aexit__(self, *details):
        await asyncio.sleep(0)
        return self.__exit__(*details)


def withs():
    manager, swallower = Manager(), Manager(swallows=True)
    with manager as log, swallower:
        log.append(1)
        raise KeyError(2)
    with manager:
        return manager.log, swallower.log, [x for x in log if x]


def withs_inside_a_loop():
    managers = [Manager(swallows=True), Manager(swallows=True), Manager(swallows=True)]
    for number, manager in enumerate(managers):
        with manager:
            if number == 1:
                continue
            [][number]
    return managers[0].log, managers[1].log, managers[2].log


def nones():
    def three(a, b, c, /):
        return a, b, c

    def maker():
        return three

    things = [three]
    return three(None, None, None), maker()(None, None, None), things[0](None, None, None), max(*[1, 2], key=None)


def elements():
    things = list(range(9))
    table = {"a": things}
    table["a"][0] += 5
    things[2:4] = (7, 7)
    things[::3] = "xyz"
    del things[1], things[0:2]
    first, *rest = table["a"]
    return first, rest, things[1:3], things[-1], things[1:][0], (1, 2, 3)[1:]


def spreads():
    def take(*arguments, **keywords):
        return arguments, keywords

    pair, named = (1, 2), {"q": 1}
    return take(*pair), take(*pair, **named), take(0, *pair, b=4), take(a=1), take(**named)


def generators():
    def inner():
        got = yield 1
        try:
            yield got
        finally:
            yield from (any(n > 1 for n in (1, 2)), all(n for n in ()))

    def outer():
        value = yield from inner()
        return value

    running = outer()
    return next(running), running.send(5), list(running), tuple(x * y for x in (1, 2) for y in (3, 4))


def matches():
    @dataclasses.dataclass
    class Point:
        x: int
        y: "Undefined" = 0  # noqa: F821  # an annotation that nobody evaluates

    out = []
    for subject in (Point(1, 2), {"k": [1, 2], "z": 0}, [3, 4, 5], "text", None):
        match subject:
            case Point(x=1, y=y):
                out.append(y)
            case {"k": [a, *_], **others}:
                out.append((a, others))
            case [first, *_] if first > 2:
                out.append(first)
            case str():
                out.append(f"{subject!r:>8} {len(subject)}")
            case _:
                out.append(subject)
    return out


def cells_and_exceptions():
    total = 0

    def add(n):
        nonlocal total
        total += n
        return total

    try:
        try:
            add(1)
            raise ExceptionGroup("both", [ValueError(1), TypeError(2)])
        except* ValueError as group:
            add(len(group.exceptions) * 10)
        finally:
            add(100)
    except* TypeError:
        add(1000)
    x = y = total
    return x, y, (lambda: total)(), add(0) if x is not None and not y < 0 else None


@contextmanager
def opened(log):
    log.append("open")
    try:
        yield log
    finally:
        log.append("close")


def asynchronous():
    async def count(n):
        for k in range(n):
            await asyncio.sleep(0)
            yield k

    async def main():
        manager = Manager(swallows=True)
        with opened([]) as log:
            async with manager as inner:
                inner += [k async for k in count(3)]
                async for k in count(9):
                    if k == 4:
                        raise LookupError(k)
        return manager.log, log

    return asyncio.run(main())


class Base:
    kind = "base"

    def name(self, suffix=""):
        return self.kind + suffix


class Derived(Base):
    kind = "derived"

    def name(self, suffix=""):
        return super().name(suffix=suffix + "!") + super().kind


def supers():
    return Derived().name("?"), Derived.name(Derived())


PROGRAMS = [
    withs, withs_inside_a_loop, nones, elements, spreads, generators, matches, cells_and_exceptions, asynchronous,
    supers, Derived.name,
]  # fmt: skip


@pytest.mark.parametrize("at_every_instruction", [False, True], ids=["", "fine"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__qualname__)
def test_rewritten_code_gives_what_the_original_gives(program, at_every_instruction):
    new, seen = rewritten(program, at_every_instruction=at_every_instruction)
    arguments = (Derived(),) if program is Derived.name else ()
    for _ in range(40):  # often enough for the interpreter to specialise its instructions
        assert new(*arguments) == program(*arguments)
    assert seen


def test_a_with_enters_through_one_hook_and_its_exit_through_none():
    new, seen = rewritten(withs_inside_a_loop)
    new()
    assert seen["enter", "with"] == 3
    assert seen["call", "call"] == 4  # three managers and enumerate; neither __enter__ nor __exit__


def test_calls_with_nones_are_calls():
    new, seen = rewritten(nones)
    new()
    assert seen["call", "call"] == 4  # three(), maker() and what it gave, things[0]()
    assert seen["call_spread", "call"] == 1


def test_elements_and_slices_are_told_apart():
    new, seen = rewritten(elements)
    new()
    assert seen["set_item", "[]="] == 1
    assert seen["operate_in_place", "[:]="] == 2
    assert seen["set_item", "del []"] == 2
    assert seen["get_item", "[]"] >= 4


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__qualname__)
def test_no_rewritten_load_borrows(program):
    new, _ = rewritten(program)
    names = {item.name for item in decode(new.__code__)}
    assert not {name for name in names if "BORROW" in name}
    if sys.version_info >= (3, 14):
        assert any("BORROW" in item.name for item in decode(program.__code__)) or not program.__code__.co_nlocals
        assert set(version().strong) == {name for name in dis.opmap if "BORROW" in name}


@pytest.mark.skipif(sys.version_info < (3, 14), reason="template strings came with 3.14")
def test_template_strings_keep_what_they_hold():
    space = {}
    source = "[(p.value, p.conversion, p.format_spec) for p in t'{x!r:>{x}} {x}'.interpolations]"
    exec(f"def run(x):\n  return {source}", space)
    new, _ = rewritten(space["run"])
    assert new(3) == space["run"](3) == [(3, "r", ">3"), (3, None, "")]


@dataclasses.dataclass
class Point:
    x: int = 0


def test_rewriting_code_while_a_task_runs_calls_nothing_that_is_watched():
    def task(_):
        dataclasses.fields(Point)
        space = {}
        exec("def late(number):\n    return number + 1", space)  # rewritten when it is called
        return space["late"](1)

    with Explorer(Program(list, (task,))) as explorer:
        for _ in range(2):
            explorer.run_order((0,))
            assert id(Point) in explorer.access_log.logs
            assert id(Hooks) not in explorer.access_log.logs
