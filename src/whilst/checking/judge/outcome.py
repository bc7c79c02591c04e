"""How an execution ended: one hashable form to compare by, and facts for a person to read.

The form of an outcome is the canonical form of the state and of what each task returned or raised. Identical
tasks (the same callable, twice) are interchangeable, so their results are compared as a bag: which of two
withdrawals was the first is a matter of names, not of the outcome.
"""

from __future__ import annotations

import collections
import inspect
import logging
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from whilst.checking.engine.events import TaskResult
from whilst.checking.judge.canonical import canonical
from whilst.inspecting.decompose import take_apart
from whilst.inspecting.descriptions import LOCKS, WIDTH, describe, is_dull, short
from whilst.inspecting.parts import attributes, type_name

_MOST_FACTS: Final = 200
_ATOMS: Final = (int, str, bytes, bool, float, type(None))


@dataclass(frozen=True, slots=True)
class Judged:
    """What an outcome is compared by, and what an exception is compared by."""

    form: Hashable
    raised: frozenset[tuple[int, str]]  # (class of the task, name of the exception's type)


class Measure:
    """Turns the end of an execution into what it is compared by, and into facts.

    `outcome` is called with the state, or with the state and the tuple of what each task returned (an exception
    stands for a task that raised it); what it returns replaces state and results in the comparison.
    """

    def __init__(self, tasks: Sequence[Callable[..., object]], outcome: Callable[..., object] | None) -> None:
        self.names = task_names(tasks)
        self.takes_results = outcome is not None and _positional(outcome) >= 2
        # An outcome that is given the results in the order of the tasks tells identical ones apart.
        self.classes = tuple(range(len(tasks))) if self.takes_results else _classes(tasks)
        self._bags = [[t for t, c in enumerate(self.classes) if c == each] for each in sorted(set(self.classes))]
        self._outcome = outcome
        self.surroundings: Callable[[], dict[str, object]] = dict  # globals and the like that tasks change

    def judge(self, state: object, results: Sequence[TaskResult]) -> Judged:
        """What this ending is compared by.

        Raises:
            StateTooLargeError: the state can't be compared.
        """
        raised = frozenset(self.errors(results))
        if self._outcome is not None:
            return Judged(canonical(self._chosen(state, results)), raised)
        bags = []
        for bag in self._bags:
            forms = [_result_form(results[task]) for task in bag]
            bags.append(forms[0] if len(forms) == 1 else frozenset(_counts(forms)))
        return Judged((canonical(state), canonical(self.surroundings()), *bags), raised)

    def errors(self, results: Sequence[TaskResult]) -> dict[tuple[int, str], BaseException]:
        """What was raised, by what an exception is compared by."""
        return {
            self.error_key(task, result): result.error
            for task, result in enumerate(results)
            if result.error is not None
        }

    def error_key(self, task: int, result: TaskResult) -> tuple[int, str]:
        """What the exception that a task raised is compared by."""
        return self.classes[task] if task < len(self.classes) else -1, type_name(type(result.error))

    def facts(self, state: object, results: Sequence[TaskResult]) -> dict[str, str]:
        """The same ending by name, for a reader."""
        if self._outcome is not None:
            chosen = self._chosen(state, results)
            found = facts_of("outcome", chosen)
            found.update({k: v for k, v in self._result_facts(results).items() if " raised" in k})
            return found
        found = facts_of("state", state) if state is not None else {}
        for label, value in self.surroundings().items():
            found.update(facts_of(label, value))
        found.update(self._result_facts(results))
        return found

    def _chosen(self, state: object, results: Sequence[TaskResult]) -> object:
        assert self._outcome is not None
        if not self.takes_results:
            return self._outcome(state)
        given = tuple(each.error if each.error is not None else each.value for each in results[: len(self.names)])
        return self._outcome(state, given)

    def _result_facts(self, results: Sequence[TaskResult]) -> dict[str, str]:
        found: dict[str, str] = {}
        for task, result in enumerate(results):
            kind = "callback" if result.is_callback else "thread"
            name = self.names[task] if task < len(self.names) else f"{kind} {task}"
            if result.error is not None:
                found[f"{name} raised"] = short(result.error)
            elif not result.has_finished:
                if task >= len(self.names):  # a daemon's affair, which makes no difference
                    continue
                found[f"{name} finished"] = "no"
            elif result.value is not None:
                found.update(facts_of(f"{name} returned", result.value))
        return found


def _counts(forms: Sequence[Hashable]) -> Iterable[tuple[Hashable, int]]:
    """Each form with how often it is there; a Counter takes longer to make than two forms to count."""
    counts: dict[Hashable, int] = {}
    for form in forms:
        counts[form] = counts.get(form, 0) + 1
    return counts.items()


def _result_form(result: TaskResult) -> Hashable:
    if result.error is not None:
        return ("raised", canonical(result.error))
    return ("returned", canonical(result.value)) if result.has_finished else "unfinished"


def _positional(function: Callable[..., object]) -> int:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 1
    return sum(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters)


def _classes(tasks: Sequence[Callable[..., object]]) -> tuple[int, ...]:
    """A number for each task, the same for identical ones."""
    return tuple(next(i for i, other in enumerate(tasks) if other is task) for task in tasks)


def task_names(tasks: Sequence[object]) -> tuple[str, ...]:
    """A name for each task; a name that several have is numbered."""
    names = [_name(task) for task in tasks]
    counts = collections.Counter(names)
    seen: collections.Counter[str] = collections.Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(f"{name} {seen[name]}" if counts[name] > 1 else name)
    return tuple(numbered)


def _name(task: object) -> str:
    if isinstance(task, partial):
        given = [short(each, 20) for each in task.args]
        given += [short(each, 20) for each in task.keywords.values()]
        return f"{_name(task.func)}({', '.join(given)})"
    name = getattr(task, "__name__", "") or type(task).__name__
    return "task" if name == "<lambda>" else str(name)


# -------------------------------------------------------------------------------------------- facts, for reading
def facts_of(root: str, value: object) -> dict[str, str]:
    """What a value holds, by path: {"account.balance": "50"}; at most `_MOST_FACTS` of them."""
    found: dict[str, str] = {}
    _walk(root, value, found, 4, set())
    return found


def differing(facts: Mapping[str, str], others: Mapping[str, str]) -> list[str]:
    """The names of what is not alike, in the order in which they come."""
    return [name for name in {**facts, **others} if facts.get(name) != others.get(name)]


def _walk(path: str, value: Any, found: dict[str, str], depth: int, above: set[int]) -> None:
    if len(found) >= _MOST_FACTS:
        return
    children = None if depth == 0 or id(value) in above else _named_children(value)
    if children is None:
        if not is_dull(value):
            found[path] = short(value)
        return
    if not children:
        found[path] = short(value)
    for suffix, child in children:
        _walk(path + suffix, child, found, depth - 1, above | {id(value)})


def _named_children(value: Any) -> list[tuple[str, Any]] | None:
    """What to descend into; None for what is better shown as a whole."""
    if _fits(value):
        return None
    if isinstance(value, dict):
        return [(f"[{short(key, 30)}]", held) for key, held in dict.items(value)]
    if isinstance(value, (list, tuple, collections.deque)):
        return [(f"[{at}]", held) for at, held in enumerate(tuple(value))]
    if isinstance(value, logging.Logger):
        return [(".handlers", value.handlers), (".filters", value.filters), (".level", value.level)]
    if _has_name(value):
        return [(f".{name}", held) for name, held in attributes(value)]
    return None


def _fits(value: Any) -> bool:
    """True for a value that is one short line: an atom, or a small container of atoms."""
    if type(value) in _ATOMS:
        return True
    if isinstance(value, (list, tuple, set, frozenset, dict, collections.deque)):
        inner = [*value, *value.values()] if isinstance(value, dict) else list(value)
        return all(type(each) in _ATOMS for each in inner) and len(describe(value)) <= WIDTH
    return False


def _has_name(value: object) -> bool:
    """True for an instance of a user's class, whose attributes are worth naming."""
    if isinstance(value, (*_ATOMS, list, tuple, set, frozenset, dict, type, BaseException, *LOCKS)):
        return False
    label = take_apart(value).label  # a text: it is shown as a whole; "thing": a thread, a loop, a file
    if isinstance(label, str) or (isinstance(label, tuple) and label[0] in ("thing", "thread", "logger")):
        return False
    return bool(attributes(value))
