"""What is found out at run time: code from text, proxies, finalisers, class attributes, what C binds, contexts."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import functools
import io
import itertools
import logging
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any


class Box:
    def __init__(self, **held: Any) -> None:
        self.lock = threading.Lock()
        for name, value in held.items():
            setattr(self, name, value() if callable(value) else value)


def box(**held: Any) -> Any:
    return partial(Box, **held)


def locked(task: Callable[..., Any]) -> Callable[..., Any]:
    def run(state: Any) -> Any:
        with state.lock:
            return task(state)

    return run


# ------------------------------------------------------------------------------------------------ code from text
def by_exec(state: Box) -> None:
    exec("state.count = state.count + 1")


def by_eval(state: Box) -> None:
    state.count = eval("state.count + 1", {"state": state})


def by_made_function(state: Box) -> None:
    names: dict[str, Any] = {}
    exec("def count(state):\n    state.count = state.count + 1", names)
    names["count"](state)


EXECUTED = 0


def reset_executed() -> Box:
    global EXECUTED
    EXECUTED = 0
    return Box()


def in_globals(_state: Box) -> None:
    exec("EXECUTED = EXECUTED + 1", globals())


def executed(_state: Box) -> int:
    return EXECUTED


# ------------------------------------------------------------------------------------------------ proxies and views
class Counter:
    def __init__(self) -> None:
        self.count = 0


def proxied() -> Box:
    state = Box(held=Counter)
    state.proxy = weakref.proxy(state.held)
    return state


def by_proxy(state: Any) -> None:
    state.proxy.count = state.proxy.count + 1


def viewed() -> Box:
    state = Box(held=lambda: {"count": 0})
    state.view = types.MappingProxyType(state.held)
    return state


def by_view(state: Any) -> None:
    state.held["count"] = state.view["count"] + 1


class Numbering(dict[str, int]):
    def __missing__(self, name: str) -> int:
        self[name] = number = len(self)
        return number


def number_of(state: Any, name: str) -> int:
    return state.numbers[name]


def number_of_locked(state: Any, name: str) -> int:
    with state.lock:
        return state.numbers[name]


# ------------------------------------------------------------------------------------------------ ends of objects
class Guard:
    def __init__(self, state: Any) -> None:
        self.state = state

    def __del__(self) -> None:
        self.state.count = self.state.count + 1


def guard(state: Any) -> None:
    held = Guard(state)
    del held


def watch(state: Any) -> None:
    held = Counter()
    reference = weakref.ref(held, lambda _: setattr(state, "count", state.count + 1))
    del held
    assert reference() is None


# ------------------------------------------------------------------------------------------------ classes
class Base:
    limit = 0


class Derived(Base):
    def __init__(self) -> None:
        self.lock, self.seen = threading.Lock(), (0, 0)

    def look_twice(self) -> None:
        self.seen = (self.limit, self.limit)


def derived() -> Derived:
    Base.limit = 0
    if "limit" in vars(Derived):
        del Derived.limit
    return Derived()


def set_limit(_state: Derived) -> None:
    Derived.limit = 2


class Open:
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def use(self) -> str:
        return "open"


class Closed(Open):
    def use(self) -> str:
        return "closed"


def use_twice(state: Open) -> tuple[str, str]:
    return state.use(), state.use()


def close(state: Open) -> None:
    state.__class__ = Closed


@dataclasses.dataclass(frozen=True)
class Frozen:
    lock: Any = dataclasses.field(default_factory=threading.Lock)
    loads: list[int] = dataclasses.field(default_factory=list)

    def value(self) -> int:
        if not hasattr(self, "_value"):
            self.loads.append(1)
            object.__setattr__(self, "_value", 1)
        return 1


# ------------------------------------------------------------------------------------------------ bound by C code
class Cached:
    def __init__(self) -> None:
        self.lock, self.loads = threading.Lock(), 0

    @functools.cache  # noqa: B019  # what is wrong with it is what is tested
    def get(self, key: int) -> int:
        self.loads += 1
        return key


def get_cached(state: Cached) -> None:
    state.get(1)


def by_exit_stack(state: Any, lock: str) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(getattr(state, lock))
        state.count = state.count + 1


def largest(state: Any) -> int:
    return max(*state.items)


def exchange(state: Any) -> None:
    state.items.pop()
    state.items.append(9)


# ------------------------------------------------------------------------------------------------ text
def formatted(state: Any) -> str:
    return "{0.one}-{0.two}".format(state)  # noqa: UP032  # the method is what is tested


def change_both(state: Any) -> None:
    state.one = 1
    state.two = 1


def redirected(_state: Any, text: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        print(text, end="")
    return out.getvalue()


def redirected_locked(state: Any, text: str) -> str:
    with state.lock:
        return redirected(state, text)


# ------------------------------------------------------------------------------------------------ of each task
CURRENT: contextvars.ContextVar[int] = contextvars.ContextVar("CURRENT", default=0)


def in_context(state: Any) -> None:
    CURRENT.set(CURRENT.get() + 1)
    state.count = state.count + CURRENT.get()


class OfThread(threading.local):
    def __init__(self, first: int) -> None:
        self.items = [first]


class OfAll:
    def __init__(self, first: int) -> None:
        self.items = [first]


def append_own(state: Any) -> int:
    state.held.items.append(1)
    return len(state.held.items)


# ------------------------------------------------------------------------------------------------ iterators, handlers
def numbers() -> Iterator[int]:
    yield from range(4)


def count_up() -> Iterator[int]:
    number = 0
    while number < 4:
        number += 1
        yield number


def following(state: Any) -> int:
    return next(state.generator)


def two_of(state: Any) -> tuple[str, str]:
    return next(state.cycle), next(state.cycle)


def total_of(state: Any) -> int:
    return sum(value for _, value in state.table.items())


def grow(state: Any) -> None:
    state.table["z"] = 1


class Handler(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: Any) -> None:
        count = self.count
        self.count = count + 1


def emit(handler: Handler) -> None:
    handler.emit("record")


def emit_locked(handler: Handler) -> None:
    handler.acquire()
    try:
        handler.emit("record")
    finally:
        handler.release()


def handle(handler: Handler) -> None:
    handler.handle(logging.LogRecord("name", logging.INFO, "path", 1, "message", (), None))


def pair_of(setup: Any, *tasks: Any, expect: str = "not isolated", **how: Any) -> Any:
    """The tasks, and the same with the state's lock around them."""
    safe = {each: locked(each) for each in tasks}
    return (
        {"setup": setup, "tasks": list(tasks), "expect": expect, **how},
        {"setup": setup, "tasks": [safe[each] for each in tasks], **how},
    )


def count_of(state: Any) -> int:
    return int(state.count)


PAIRS = {
    "exec": pair_of(box(count=0), by_exec, by_exec),
    "eval": pair_of(box(count=0), by_eval, by_eval),
    "function made by exec": pair_of(box(count=0), by_made_function, by_made_function),
    "exec in globals()": pair_of(reset_executed, in_globals, in_globals, outcome=executed),
    "weakref.proxy": pair_of(proxied, by_proxy, by_proxy, outcome=lambda state: state.held.count),
    "mapping proxy": pair_of(viewed, by_view, by_view, outcome=lambda state: state.held),
    "__missing__": (
        {
            "setup": box(numbers=Numbering),
            "tasks": [partial(number_of, name="a"), partial(number_of, name="b")],
        },
        {
            "setup": box(numbers=Numbering),
            "tasks": [partial(number_of_locked, name="a"), partial(number_of_locked, name="b")],
        },
    ),
    "__del__": pair_of(box(count=0), guard, guard),
    "callback of a weak reference": pair_of(box(count=0), watch, watch),
    "class attribute, inherited": pair_of(derived, Derived.look_twice, set_limit, outcome=lambda state: state.seen),
    "__class__": pair_of(Open, use_twice, close),
    "frozen, loaded once": pair_of(Frozen, Frozen.value, Frozen.value, outcome=lambda state: len(state.loads)),
    "method with lru_cache": pair_of(Cached, get_cached, get_cached, outcome=lambda state: state.loads),
    "lock in an ExitStack": (
        {
            "setup": box(count=0, none=contextlib.nullcontext),
            "tasks": [partial(by_exit_stack, lock="none"), partial(by_exit_stack, lock="lock")],
        },
        {"setup": box(count=0), "tasks": [partial(by_exit_stack, lock="lock")] * 2},
    ),
    "spread call": pair_of(box(items=lambda: [1, 2, 3]), largest, exchange),
    "str.format of attributes": pair_of(box(one=0, two=0), formatted, change_both),
    "redirect_stdout": (
        {"setup": Box, "tasks": [partial(redirected, text="a"), partial(redirected, text="b")]},
        {"setup": Box, "tasks": [partial(redirected_locked, text="a"), partial(redirected_locked, text="b")]},
    ),
    "context variable": pair_of(box(count=0), in_context, in_context),
    "threading.local with arguments": (
        {
            "setup": box(held=partial(OfAll, 0)),
            "tasks": [append_own, append_own],
            "outcome": lambda _, results: results,
        },
        {"setup": box(held=partial(OfThread, 0)), "tasks": [append_own, append_own]},
    ),
    "generator entered twice": pair_of(
        box(generator=count_up), following, following, expect="raises", outcome=lambda _, results: results
    ),
    "identical tasks told apart by their results": pair_of(
        box(cycle=partial(itertools.cycle, "abc")), two_of, two_of, outcome=lambda _, results: results
    ),
    "dict gone through by a generator": pair_of(box(table=lambda: {"a": 1, "b": 2}), total_of, grow, expect="raises"),
    "logging handler": (
        {"setup": Handler, "tasks": [emit, emit_locked], "outcome": count_of},
        {"setup": Handler, "tasks": [handle, emit_locked], "outcome": count_of},
    ),
}
