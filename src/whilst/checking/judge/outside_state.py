"""What tasks change outside the state that they are given: globals, class attributes, closures, bound objects.

Which names a task can reach so is read off its code, once; which of them it changes is seen in the first executions
(their log of writes). Only the latter become part of the outcome: comparing a large table that nobody writes would
cost time in every execution.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

from whilst.checking.explorer.explorer import Explorer
from whilst.checking.judge.canonical import StateTooLargeError, reachable_ids
from whilst.inspecting.objects import module_of, names_of
from whilst.inspecting.ownership import is_foreign

_MACHINERY: Final = frozenset({"whilst", "pytest", "_pytest", "pluggy"})
_MOST: Final = 20_000  # objects behind one name


class _Candidate:
    """A name that code of the tasks can reach, and where to look it up again."""

    def __init__(self, label: str, holder_id: int, key: object, look_up: Callable[[], object]) -> None:
        self.label, self.holder_id, self.key, self.look_up = label, holder_id, key, look_up


class Surroundings:
    """Finds out what belongs to the outcome besides the state; `values()` are looked up at the time of the call."""

    def __init__(self, tasks: Iterable[Callable[..., object]]) -> None:
        self._seen: set[int] = set()
        self._candidates = {each.label: each for task in tasks for each in self._of_callable(task)}
        self._watched: dict[str, _Candidate] = {}
        self._writes: set[tuple[int, object]] = set()
        self.too_large: list[str] = []  # names of what was only looked at on its surface

    def note(self, explorer: Explorer) -> None:
        """Take in what the last execution wrote."""
        for _, is_write, thing_id, key, _, operation in explorer.scheduler.trace:
            if is_write:
                self._writes.add((thing_id, _hashable(key)))
                self._met(operation[4], key)
        for thing_id, keys in explorer.access_log.logs.items():
            for key, log in keys.items():
                if log.writes:
                    self._writes.add((thing_id, _hashable(key)))
                    self._met(log.thing, key)

    def _met(self, thing: object, key: object) -> None:
        """A class or a module that was written to, though no code names it: `type(self).count += 1`."""
        if not isinstance(key, str):
            return
        if isinstance(thing, type):
            candidate = _Candidate(f"{thing.__qualname__}.{key}", id(thing), key, partial(_attribute, thing, key))
        elif isinstance(thing, dict) and "__builtins__" in thing:
            candidate = _Candidate(key, id(thing), key, partial(thing.get, key))
        else:
            return
        self._candidates.setdefault(candidate.label, candidate)

    def settle(self) -> None:
        """Decide, after some executions, what is watched from now on."""
        written = {thing_id for thing_id, _ in self._writes}
        for label, each in self._candidates.items():
            is_stored = each.holder_id in written if each.key is None else (each.holder_id, each.key) in self._writes
            if is_stored or self._holds(each, written):
                self._watched[label] = each

    def _holds(self, candidate: _Candidate, written: set[int]) -> bool:
        value = candidate.look_up()
        if isinstance(value, (type, types.ModuleType, types.FunctionType, str, int, float, bytes, type(None))):
            return False
        try:
            return not written.isdisjoint(reachable_ids(value, _MOST))
        except StateTooLargeError:
            self.too_large.append(candidate.label)
            return id(value) in written

    def values(self) -> dict[str, object]:
        """What is watched, by name."""
        return {label: each.look_up() for label, each in self._watched.items()}

    # ------------------------------------------------------------------------------------- what code can reach
    def _of_callable(self, task: object) -> Iterator[_Candidate]:
        if isinstance(task, partial):
            yield from self._of_callable(task.func)
            for at, value in enumerate(task.args):
                yield _Candidate(f"argument {at + 1}", 0, None, lambda held=value: held)  # type: ignore[misc]
            for name, value in task.keywords.items():
                yield _Candidate(f"argument {name}", 0, None, lambda held=value: held)  # type: ignore[misc]
        elif isinstance(task, types.MethodType):
            yield _Candidate("self", 0, None, lambda held=task.__self__: held)  # type: ignore[misc]
            yield from self._of_callable(task.__func__)
        elif isinstance(task, types.FunctionType):
            yield from self._of_function(task)
            yield from self._of_wrapped(inspect.unwrap(task))
        elif not isinstance(
            task, (type, types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)
        ):
            yield _Candidate(type(task).__name__, 0, None, lambda held=task: held)  # type: ignore[misc]
            yield from self._of_callable(vars(type(task)).get("__call__"))

    def _of_wrapped(self, inner: object) -> Iterator[_Candidate]:
        """What a decorator stands in front of."""
        inner = getattr(inner, "__func__", inner)
        if isinstance(inner, types.FunctionType):
            yield from self._of_function(inner)

    def _of_function(self, function: types.FunctionType) -> Iterator[_Candidate]:
        if (
            id(function) in self._seen
            or is_foreign(function.__code__.co_filename)
            or _is_machinery(module_of(function))
        ):
            return
        self._seen.add(id(function))
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
            yield _Candidate(name, id(cell), None, partial(_contents, cell))
            yield from self._of_inner(_contents(cell))
        yield from self._of_names(function.__globals__, set(names_of(function.__code__)))

    def _of_names(self, space: dict[str, Any], names: set[str]) -> Iterator[_Candidate]:
        for name in names & space.keys():
            value = space[name]
            yield _Candidate(name, id(space), name, partial(space.get, name))
            yield from self._of_inner(value, names)

    def _of_inner(self, value: object, names: set[str] = frozenset()) -> Iterator[_Candidate]:  # type: ignore[assignment]
        if isinstance(value, types.FunctionType):
            yield from self._of_function(value)
        elif isinstance(value, type):
            yield from self._of_class(value)
        elif isinstance(value, types.ModuleType):
            file = getattr(value, "__file__", None)
            if file and not is_foreign(file) and not _is_machinery(value.__name__) and id(value) not in self._seen:
                self._seen.add(id(value))
                yield from self._of_names(vars(value), names)

    def _of_class(self, kind: type) -> Iterator[_Candidate]:
        if id(kind) in self._seen or module_of(kind) in ("builtins", "threading", "queue", "collections", "asyncio"):
            return
        self._seen.add(id(kind))
        for name, value in list(vars(kind).items()):
            if isinstance(value, types.FunctionType):
                yield from self._of_function(value)
            elif isinstance(value, (classmethod, staticmethod)):
                yield from self._of_inner(value.__func__)
            elif isinstance(value, property):
                yield from self._of_inner(value.fget)
            elif not (name.startswith("__") and name.endswith("__")) and not hasattr(value, "__get__"):
                yield _Candidate(f"{kind.__qualname__}.{name}", id(kind), name, partial(_attribute, kind, name))


def _is_machinery(module: object) -> bool:
    """Whether a module only runs what is checked: assertions of tests lead into it."""
    return str(module).partition(".")[0] in _MACHINERY


def _attribute(kind: type, name: str) -> object:
    return vars(kind).get(name)


def _contents(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not yet bound
        return None


def _hashable(key: object) -> object:
    try:
        hash(key)
    except TypeError:
        return None
    return key
