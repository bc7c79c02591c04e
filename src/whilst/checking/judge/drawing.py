"""Random scenarios: threads of random calls with random arguments, small ones first, the same for the same seed.

An argument is drawn from a list (or range, tuple, set), from a hypothesis strategy, or is itself given. Within one
scenario all that is drawn from one source comes from two of its values: calls that never meet at the same key show
nothing.
"""

from __future__ import annotations

import inspect
import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from whilst.checking.explorer.scripted import Call, Thread
from whilst.errors import CheckError, MissingExtraError
from whilst.inspecting.descriptions import short

_DRAWN: Final = 40  # values of a strategy
_PALETTE: Final = 2  # values of one source in one scenario
_SHAPE: Final = 'a method\'s name, a function of the object, or a tuple of one and its arguments: ("put", range(3))'

Operation = str | Callable[..., object] | Sequence[Any]
Calls = tuple[tuple[Call, ...], ...]  # by thread


class Drawing:
    """What calls are drawn from."""

    def __init__(self, operations: Sequence[Operation], thing: object, seed: int) -> None:
        """`thing` is an object of the kind that is called.

        Raises:
            CheckError: an operation is none, or the object has none of that name.
            MissingExtraError: an argument is a hypothesis strategy, and hypothesis is not installed.
        """
        if isinstance(operations, str | bytes | Mapping) or not isinstance(operations, Sequence) or not operations:
            raise CheckError(f"operations is a list, each entry {_SHAPE}; got {short(operations)}")
        self._seed = seed
        self.operations = [_operation(each, thing) for each in operations]
        self._values = [[self._values_of(source) for source in sources] for _, sources in self.operations]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the operations."""
        return tuple(Call(operation).name for operation, _ in self.operations)

    def scenarios(self, threads: int, calls: int, number: int) -> Iterator[Calls]:
        """At most that many different ones, with up to so many threads, and calls in each."""
        draws = random.Random(self._seed)  # noqa: S311  # repeatable on purpose
        seen = set()
        for at in range(number):
            longest = min(calls, 1 + at * calls // number)
            for _attempt in range(20):
                drawn = self._draw(draws, draws.randint(2, threads), longest)
                key = tuple(sorted(tuple(str(call) for call in each) for each in drawn))
                if key not in seen:
                    seen.add(key)
                    yield drawn
                    break

    def _draw(self, draws: random.Random, threads: int, longest: int) -> Calls:
        palette: dict[str, list[Any]] = {}
        made = []
        for _ in range(threads):
            chosen = [draws.randrange(len(self.operations)) for _ in range(draws.randint(1, longest))]
            made.append(tuple(self._call(draws, at, palette) for at in chosen))
        return tuple(made)

    def _call(self, draws: random.Random, at: int, palette: dict[str, list[Any]]) -> Call:
        operation, sources = self.operations[at]
        arguments = []
        for source, values in zip(sources, self._values[at], strict=True):
            name = repr(source)
            if name not in palette:
                palette[name] = draws.sample(values, min(_PALETTE, len(values)))
            arguments.append(draws.choice(palette[name]))
        return Call(operation, tuple(arguments))

    def _values_of(self, source: Any) -> list[Any]:
        if _is_strategy(source):
            return _from_strategy(source, self._seed)
        if isinstance(source, list | tuple | range | set | frozenset):
            values = sorted(source, key=repr) if isinstance(source, set | frozenset) else list(source)
            if not values:
                raise CheckError(f"there is no value to draw an argument from in {short(source)}")
            return values
        return [source]


def _operation(given: Any, thing: object) -> tuple[str | Callable[..., object], tuple[Any, ...]]:
    """What is called, and what its arguments are drawn from."""
    called, *sources = given if isinstance(given, tuple | list) and given else (given,)
    name = called if isinstance(called, str) else getattr(called, "__name__", "")
    if callable(called) and getattr(type(thing), name, None) is called:  # Stack.push: what `spec` makes has its own
        called = name
    if isinstance(called, str):
        method = getattr(thing, called, None)
        if not callable(method):
            offered = [each for each in dir(thing) if not each.startswith("_") and callable(getattr(thing, each, None))]
            kind = type(thing).__name__
            raise CheckError(f"{kind} has no method {called!r} to call; it has {', '.join(offered) or 'none'}")
    elif callable(called):
        method = called
    else:
        raise CheckError(f"an operation is {_SHAPE}; got {short(given)}")
    if inspect.iscoroutinefunction(method):
        raise CheckError(f"{name} is a coroutine function: check_operations calls from threads; for coroutines, check")
    return called, tuple(sources)


def _is_strategy(source: object) -> bool:
    """Without importing hypothesis: a strategy can't be made without it."""
    return any(base.__module__.startswith("hypothesis.") for base in type(source).__mro__)


def _from_strategy(strategy: Any, seed: int) -> list[Any]:
    """Some of its values, the simplest first, each once."""
    try:
        import hypothesis
    except ImportError as error:
        raise MissingExtraError(
            f"the argument {short(strategy)} is a hypothesis strategy, and hypothesis can't be imported: "
            "pip install 'whilst[hypothesis]', or pass a list of values to draw from"
        ) from error
    found: dict[str, Any] = {}

    @hypothesis.seed(seed)
    @hypothesis.settings(
        database=None,
        max_examples=_DRAWN,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def keep(value: Any) -> None:
        found.setdefault(repr(value), value)

    keep()
    return sorted(found.values(), key=lambda value: len(repr(value)))


def parts_of(calls: Calls) -> Iterator[Calls]:
    """The scenario with some of its calls left out, those with the fewest first; each kind once."""
    places = [(thread, nth) for thread, each in enumerate(calls) for nth in range(len(each))]
    seen = set()
    for size in range(1, len(places)):
        for kept in itertools.combinations(places, size):
            part = tuple(
                tuple(call for nth, call in enumerate(each) if (t, nth) in kept) for t, each in enumerate(calls)
            )
            part = tuple(each for each in part if each)
            key = tuple(sorted(tuple(str(call) for call in each) for each in part))
            if key not in seen:
                seen.add(key)
                yield part


def threads_of(calls: Calls) -> tuple[Thread, ...]:
    """The tasks that make them."""
    return tuple(Thread(*((each.operation, each.arguments) for each in thread)) for thread in calls)


def number_of_orders(threads: int, calls: int) -> int:
    """In how many orders that many calls in each of so many threads can be made."""
    return math.prod(math.comb(calls * threads_so_far, calls) for threads_so_far in range(1, threads + 1))
