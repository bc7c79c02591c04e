"""NamedTuple without `typing`, whose import takes longer than all of a worker's start, or than a run of short calls.

Type checkers see `typing.NamedTuple`; at run time it is this.
"""

from __future__ import annotations

from _collections import _tuplegetter  # type: ignore[import-not-found]  # what namedtuple itself is made with

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
    from typing import NamedTuple as Record
else:

    class _Missing:
        def __repr__(self) -> str:
            return "(missing)"

    _MISSING = _Missing()

    class Record(tuple):
        """A tuple whose items have the names that the class annotates, and the defaults that it assigns."""

        __slots__ = ()
        _fields: tuple[str, ...] = ()

        def __init_subclass__(cls) -> None:
            cls._fields = cls.__match_args__ = tuple(cls.__annotations__)
            cls._filled = tuple(cls.__dict__.get(name, _MISSING) for name in cls._fields)
            cls._required = sum(each is _MISSING for each in cls._filled)
            for index, name in enumerate(cls._fields):
                setattr(cls, name, _tuplegetter(index, None))

        def __new__(cls, *values: Any, **named: Any) -> Record:  # noqa: PYI034 - Self is in typing
            count = len(values)
            if count < len(cls._fields):
                rest = cls._filled[count:]
                values += tuple(map(named.pop, cls._fields[count:], rest)) if named else rest
            is_short = count < cls._required and any(value is _MISSING for value in values)
            if named or is_short or len(values) != len(cls._fields):
                raise TypeError(f"{cls.__name__}() takes {', '.join(cls._fields)}; got {values!r} and {named!r}.")
            return tuple.__new__(cls, values)

        def __repr__(self) -> str:
            return f"{type(self).__name__}({', '.join(map('{}={!r}'.format, self._fields, self))})"

        def __reduce__(self) -> tuple[Any, ...]:
            return type(self), tuple(self)

        def _replace(self, **changed: Any) -> Record:
            return tuple.__new__(type(self), map(changed.pop, self._fields, self))


__all__ = ["Record"]
