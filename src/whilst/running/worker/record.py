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

    class Record(tuple):
        """A tuple whose items have the names that the class annotates, and the defaults that it assigns."""

        __slots__ = ()
        _fields: tuple[str, ...] = ()
        _field_defaults = {}  # noqa: RUF012 - never changed in place

        def __init_subclass__(cls) -> None:
            cls._fields = cls.__match_args__ = tuple(cls.__annotations__)
            cls._field_defaults = {name: cls.__dict__[name] for name in cls._fields if name in cls.__dict__}
            for index, name in enumerate(cls._fields):
                setattr(cls, name, _tuplegetter(index, None))

        def __new__(cls, *values: Any, **named: Any) -> Record:  # noqa: PYI034 - Self is in typing
            if len(values) == len(cls._fields) and not named:
                return tuple.__new__(cls, values)
            given = {**cls._field_defaults, **dict(zip(cls._fields, values, strict=False)), **named}
            if len(values) > len(cls._fields) or given.keys() != set(cls._fields):
                raise TypeError(f"{cls.__name__}() takes {', '.join(cls._fields)}; got {values!r}, {named!r}.")
            return tuple.__new__(cls, [given[name] for name in cls._fields])

        def __repr__(self) -> str:
            return f"{type(self).__name__}({', '.join(map('{}={!r}'.format, self._fields, self))})"

        def __reduce__(self) -> tuple[Any, ...]:
            return type(self), tuple(self)

        def _replace(self, **changed: Any) -> Record:
            return type(self)(*(changed.get(name, old) for name, old in zip(self._fields, self, strict=True)))


__all__ = ["Record"]
