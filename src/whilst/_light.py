"""What every room may use at no cost to a short run: a package's names loaded one by one, and NamedTuple without
`typing`, whose import takes longer than all of a worker's start, or than a run of short calls."""

from __future__ import annotations

import sys
from _collections import _tuplegetter  # type: ignore[import-not-found]  # what namedtuple itself is made with

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any
    from typing import NamedTuple as Record  # which at run time is the class below
else:

    class _Missing:
        def __repr__(self) -> str:
            return "(missing)"

    _MISSING = _Missing()
    _new_tuple = tuple.__new__

    class Record(tuple):
        """A tuple whose items have the names that the class annotates, and the defaults that it assigns."""

        __slots__ = ()
        _fields: tuple[str, ...] = ()

        def __init_subclass__(cls) -> None:
            cls._fields = cls.__match_args__ = tuple(cls.__annotations__)
            cls._filled = tuple(cls.__dict__.get(name, _MISSING) for name in cls._fields)
            cls._least = sum(each is _MISSING for each in cls._filled)  # values that it must be given
            cls._most = len(cls._fields)
            for index, name in enumerate(cls._fields):
                setattr(cls, name, _tuplegetter(index, None))

        def __new__(cls, *values: Any, **named: Any) -> Record:  # noqa: PYI034 - Self is in typing
            if named:
                values = cls._completed(values, named)
            elif (count := len(values)) != cls._most:
                values = values + cls._filled[count:] if cls._least <= count < cls._most else cls._completed(values, {})
            return _new_tuple(cls, values)

        @classmethod
        def _completed(cls, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
            count = len(given)
            values = given + tuple(map(named.pop, cls._fields[count:], cls._filled[count:]))
            if named or len(values) != cls._most or any(value is _MISSING for value in values[count : cls._least]):
                raise TypeError(f"{cls.__name__}() takes {', '.join(cls._fields)}; got {values!r} and {named!r}.")
            return values

        def __repr__(self) -> str:
            return f"{type(self).__name__}({', '.join(map('{}={!r}'.format, self._fields, self))})"

        def __reduce__(self) -> tuple[Any, ...]:
            return type(self), tuple(self)

        def _replace(self, **changed: Any) -> Record:
            return _new_tuple(type(self), map(changed.pop, self._fields, self))


def lazily(package: str, homes: Mapping[str, Iterable[str]]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """A package's `__getattr__` and `__dir__` (PEP 562), from the modules that its names are defined in.

    Each is loaded when it is first asked for: a short run needs few of them. A name that was loaded is kept in the
    package, so that the next look-up does not come here.
    """
    home_of = {name: home for home, names in homes.items() for name in names}
    module = sys.modules[package]

    def load(name: str) -> object:
        home = home_of.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(__import__(home, fromlist=[name]), name)
        setattr(module, name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(module), *home_of})

    return load, names


def has_gil() -> bool:
    """Does this program have a GIL now? On a free-threaded build an extension may turn it on."""
    is_enabled = getattr(sys, "_is_gil_enabled", None)
    return is_enabled is None or bool(is_enabled())


__all__ = ["Record", "has_gil", "lazily"]
