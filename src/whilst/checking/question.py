"""What is asked: a `Question`, and how what a person points at ("bank.py::transfers", a test) becomes one.

A question can be given as a `Question`, as `(setup, tasks)`, as `(setup, tasks, options)` with the keyword arguments
of `whilst.check` that belong to the question, or as a function without arguments that returns one of these.
"""

from __future__ import annotations

import importlib
import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from whilst.checking.explain.tokens import load_file
from whilst.checking.explorer.execution import Program
from whilst.errors import CheckError
from whilst.inspecting.descriptions import short

_OPTIONS: Final = ("outcome", "invariant", "always", "orders", "raises")
_SHAPE: Final = "(setup, tasks), or a function that returns them"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: do these tasks, on the state that `setup` makes, end alike in every interleaving?"""

    setup: Callable[[], Any]
    tasks: tuple[Callable[..., Any], ...]
    outcome: Callable[..., object] | None = None
    invariant: Callable[[Any], object] | None = None
    orders: str | tuple[tuple[int, ...], ...] = "any"
    raises: tuple[type[BaseException], ...] = ()  # what tasks are meant to raise
    always: Callable[[Any], object] | None = None

    def __post_init__(self) -> None:
        if not callable(self.setup):
            raise CheckError(f"setup must be a callable that makes fresh state, got {short(self.setup)}")
        if not self.tasks:
            raise CheckError("there is nothing to check: tasks is empty")
        wrong = _misfit(self.setup)
        if wrong:
            raise CheckError(f"setup is called without arguments, which {short(self.setup)} is not made for: {wrong}")
        for name, asked in (("invariant", self.invariant), ("always", self.always)):
            wrong = "it is no callable" if asked is not None and not callable(asked) else _misfit(asked, None)
            if wrong:
                raise CheckError(f"{name}= is called with the state, which {short(asked)} is not made for: {wrong}")
        for kind in self.raises:
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise CheckError(f"raises= is one or more types of exceptions, got {short(kind)}")
        for task in self.tasks:
            if not callable(task):
                raise CheckError(f"every task must be a callable that takes the state, got {short(task)}")
            wrong = _misfit(task, None)
            if wrong:
                raise CheckError(f"a task is called with the state, which {short(task)} is not made for: {wrong}")

    @property
    def parts(self) -> tuple[Callable[..., Any] | None, ...]:
        """What a token has to name, in this order."""
        return (self.setup, self.outcome, self.invariant, self.always, *self.tasks)

    @property
    def looks_around(self) -> bool:
        """Whether what tasks change outside the state belongs to the outcome."""
        return self.outcome is None

    @property
    def program(self) -> Program:
        """What the engine needs of it."""
        return Program(self.setup, self.tasks, self.always)


def _misfit(function: Callable[..., object] | None, *arguments: object) -> str:
    """Why it can't be called with that many arguments; "" if it can, if it is None, or if C code does not say."""
    if function is None:
        return ""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ""
    try:
        signature.bind(*arguments)
    except TypeError as error:
        return str(error)
    return ""


def find(target: str) -> object:
    """Import what "file.py::name" or "module:name" names.

    Raises:
        CheckError: there is no such file, module or name.
    """
    where, separator, name = target.partition("::") if "::" in target else target.rpartition(":")
    if not separator or not where or not name:
        raise CheckError(f"can't make out {target!r}: write file.py::name or module:name")
    try:
        module = load_file(where) if where.endswith(".py") else importlib.import_module(where)
    except (ImportError, OSError) as error:
        raise CheckError(f"can't import {where}: {error}") from error
    except SystemExit as error:
        raise CheckError(f"can't import {where}: it ends the process, with sys.exit({error.code!r})") from error
    except Exception as error:
        raise CheckError(f"can't import {where}: {type(error).__name__}: {error}{_where(error)}") from error
    found: Any = module
    for part in name.replace("::", ".").split("."):
        found = getattr(found, part, None)
        if found is None:
            offered = ", ".join(sorted(_offered(vars(module)))) or "nothing to check"
            raise CheckError(f"there is no {name} in {where}; it has {offered}")
    return found


def _where(error: BaseException) -> str:
    """The innermost line of a file that an error comes from."""
    frames = [] if isinstance(error, SyntaxError) else traceback.extract_tb(error.__traceback__)
    lines = [f" ({Path(frame.filename).name}, line {frame.lineno})" for frame in frames if frame.filename[:1] != "<"]
    return lines[-1] if lines else ""


def _offered(names: Mapping[str, object]) -> list[str]:
    """Names in a module that look like a question."""
    return [
        name
        for name, value in names.items()
        if isinstance(value, Question)
        or (isinstance(value, tuple) and len(value) in (2, 3) and callable(value[0]) and not name.startswith("_"))
        or (callable(value) and getattr(value, "pytestmark", None))
    ]


def as_question(given: object, name: str = "this") -> Question:
    """The question that `given` stands for.

    Raises:
        CheckError: it stands for none.
    """
    if callable(given) and not isinstance(given, type):
        try:
            given = given()
        except TypeError as error:
            raise CheckError(f"{name} can't be called without arguments: {error}; it should be {_SHAPE}") from error
    if isinstance(given, Question):
        return given
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) not in (2, 3):
        raise CheckError(f"{name} is not a question but {type(given).__name__}: it should be {_SHAPE}")
    setup, tasks, options = (*given, {}) if len(given) == 2 else given
    if not isinstance(options, Mapping) or not set(options) <= set(_OPTIONS):
        raise CheckError(f"the third part of {name} may hold {', '.join(_OPTIONS)}, got {options!r}")
    if not isinstance(tasks, Sequence):
        raise CheckError(f"the second part of {name} is the tasks, a list of callables, got {type(tasks).__name__}")
    try:
        options = dict(options)
        if isinstance(options.get("raises"), type):
            options["raises"] = (options["raises"],)
        return Question(setup, tuple(tasks), **options)
    except (TypeError, ValueError) as error:
        raise CheckError(f"{name}: {error}") from error
