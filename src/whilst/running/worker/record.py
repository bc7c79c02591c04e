"""NamedTuple without `typing`, whose import takes longer than all of a worker's start.

Type checkers see `typing.NamedTuple`; at run time it is this. Positional construction only.
"""

from __future__ import annotations

from _operator import itemgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
    from typing import NamedTuple as Record
else:

    class Record(tuple):
        """A tuple whose items have the names that the class annotates."""

        __slots__ = ()
        _fields: tuple[str, ...] = ()

        def __init_subclass__(cls) -> None:
            cls._fields = tuple(cls.__annotations__)
            for index, name in enumerate(cls._fields):
                setattr(cls, name, property(itemgetter(index)))

        def __new__(cls, *values: Any) -> Record:  # noqa: PYI034 - Self is in typing
            return tuple.__new__(cls, values)

        def _replace(self, **changed: Any) -> Record:
            return type(self)(*(changed.get(name, old) for name, old in zip(self._fields, self, strict=True)))


__all__ = ["Record"]
