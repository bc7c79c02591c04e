"""The verb `compare`: what would each mode have given me? Performs a day, or real calls, in every mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import TypeVar, overload

from whilst.comparing.comparison import NAIVE, Comparison, ComparisonError, Row
from whilst.comparing.outcomes import Failure, Outcome
from whilst.model import Day, Mode
from whilst.running.call_names import name_of

__all__ = ["NAIVE", "Comparison", "ComparisonError", "Failure", "Outcome", "Row", "compare"]

Item = TypeVar("Item")


@overload
def compare(
    what: Day | str | PathLike[str],
    *,
    modes: Iterable[Mode | str] | None = None,
    workers: int | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Comparison: ...
@overload
def compare(
    what: Callable[[Item], object],
    items: Iterable[Item],
    *,
    modes: Iterable[Mode | str] | None = None,
    workers: int | None = None,
    overlap: int | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Comparison: ...
def compare(
    what: Day | str | PathLike[str] | Callable[[Item], object],
    items: Iterable[Item] | None = None,
    *,
    modes: Iterable[Mode | str] | None = None,
    workers: int | None = None,
    overlap: int | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Perform a day, or a function over items, in every mode, and put the modes side by side.

    A day is planned, then performed for real at its scale (`performed_unit_s`), on naive threads too. A function
    (or coroutine function) is called on every item in every mode, one mode after the other: on this thread; on
    threads or an event loop; on processes; on processes of several threads or calls each. A function that keeps
    state between calls is not reset between the modes; if its results depend on that state, the modes differ,
    and the comparison says where.

    Args:
        what: a Day, the path of a TOML file that holds one, or a function of one argument.
        items: what the function is called on; only with a function, and at least one.
        modes: the modes to compare, by default all; for a day "naive threads" is one more.
        workers: executors in parallel and combined mode; by default the day's own, or as many as there are cores.
        overlap: calls in progress at once in concurrent mode, and on each executor in combined mode; by default
            32 (100 for coroutine functions), but not more than there are items.
        on_progress: told from time to time, in words, how far it has come.
    Returns:
        A comparison with a row for each mode. A mode that fails is a row with an `error`; calls that raise are
        outcomes like others, and the modes must agree on them.
    Raises:
        ComparisonError: no items, no modes, or arguments that don't belong together.
        UnknownModeError: a word that names no mode.
        DayError: the day can't be read.
    """
    report = on_progress or _say_nothing
    for name, number in (("workers", workers), ("overlap", overlap)):
        if number is not None and number < 1:
            raise ComparisonError(f"{name} must be at least 1, got {number}.")
    if not callable(what):
        if items is not None or overlap is not None:
            raise ComparisonError("A day brings its own tasks: pass items and overlap with a function only.")
        from whilst.comparing.days.compare import compare_day

        return compare_day(_day(what, workers), _names(modes, [*Mode, NAIVE]), report)
    if items is None:
        raise ComparisonError(f"What shall {name_of(what)} be called on? Pass items, e.g. compare(fetch, urls[:40]).")
    given = list(items)
    if not given:
        raise ComparisonError("There are no items to call the function on; pass at least one.")
    return _compare_function(what, given, _names(modes, list(Mode)), (workers, overlap), report)


def _compare_function(
    fn: Callable[[Item], object],
    items: Sequence[Item],
    names: Sequence[str],
    sizes: tuple[int | None, int | None],
    report: Callable[[str], None],
) -> Comparison:
    from whilst.comparing.calls import Shape, compare_calls
    from whilst.running.policies.choosing import gives_coroutines

    shape = Shape.of(*sizes, len(items), is_coroutine=gives_coroutines(fn))
    return compare_calls(fn, items, [Mode.parse(name) for name in names], shape, report)  # type: ignore[arg-type]  # items of its own kind


def _day(what: Day | str | PathLike[str], workers: int | None) -> Day:
    from whilst.planning import read_day

    day = what if isinstance(what, Day) else read_day(what)
    return day if workers is None else day.with_executors(workers)


def _names(modes: Iterable[Mode | str] | None, known: Sequence[str]) -> list[str]:
    """The modes asked for, each once, in the order given; the known ones if none was asked for."""
    if modes is None:
        return [str(name) for name in known]
    if isinstance(modes, str):
        modes = [modes]
    names = list(dict.fromkeys(name if name in known else Mode.parse(name).value for name in map(str, modes)))
    if not names:
        raise ComparisonError("No modes to compare; leave `modes` out for all of them.")
    return names


def _say_nothing(text: str) -> None:  # noqa: ARG001 (the shape of a progress report)
    return
