"""Where to cut a whole: it depends on the whole alone, so that the parts are the same whoever works on them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any, Final, overload

from whilst.errors import SplitError
from whilst.running.splitting.files import cut_file

PARTS: Final = 64
"""So many where nobody says how many: enough for 16 workers to end at about the same time."""
_OF_EACH_SIZE: Final = 16
_LARGEST_BLOCK: Final = 4096
_KEPT: Final = 48
"""Of an iterable without a length, so many blocks of one element come first, then so many of two, and so on."""


class Chunks(Sequence[Any]):
    """The parts of a whole, in order; each is made when it is asked for. As `chunks` makes it."""

    def __init__(self, count: int, part: Callable[[int], Any], name: str) -> None:
        self._count, self._part, self._name = count, part, name

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, number: int) -> Any: ...
    @overload
    def __getitem__(self, number: slice) -> list[Any]: ...
    def __getitem__(self, number: int | slice) -> Any:
        if isinstance(number, slice):
            return [self._part(each) for each in range(self._count)[number]]
        return self._part(range(self._count)[number])

    def __repr__(self) -> str:
        return f"{self._count:,} parts of {self._name}"


class Blocks:
    """The parts of an iterable whose length nobody knows: lists, of ever more elements. Can be read once.

    The sizes depend on what came before alone: 16 blocks of one element, 16 of two, 16 of four, up to 4,096. So a few
    long ones are shared out well, and many short ones cost little.
    """

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = iter(items)
        self.first: list[list[Any]] = []
        """The first of them, kept so that they can be looked at again."""
        self.is_known = False
        """No more will be kept."""

    def __iter__(self) -> Iterator[list[Any]]:
        number = 0
        while block := list(islice(self._items, min(1 << number // _OF_EACH_SIZE, _LARGEST_BLOCK))):
            if number < _KEPT:
                self.first.append(block)
            self.is_known = self.is_known or number >= _KEPT
            number += 1
            yield block
        self.is_known = True

    def __repr__(self) -> str:
        return f"the parts of {_named(self._items)}"


class By:
    """How to cut a frame: as `by` makes it."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = keys

    def __repr__(self) -> str:
        return f"by({', '.join(map(repr, self.keys))})"


def by(*keys: str) -> By:
    """Cut a frame between groups: rows with the same values in these columns stay together.

    `whilst.split(fn, frame, cut=whilst.by("customer"))`. Parts come in the order of the keys, as those of pandas'
    `groupby(keys)` do; within a group rows keep their order. Rows without a key (NaN, None) are in the last part.
    """
    if not keys or not all(isinstance(key, str) for key in keys):
        raise TypeError(f"by() takes names of columns, got {keys!r}. Write by('customer'), or by('year', 'month').")
    return By(keys)


def chunks(whole: Any, parts: int | None = None, *, at: str | bytes | None = None) -> Chunks | Blocks:
    """Cut a whole into parts, in order, each of about the same size. The cuts depend on the whole alone.

    Args:
        whole: a sequence (a part of a range is a range, so that ranges travel and not numbers), a path to a file
            (`pathlib.Path`), a numpy array (a part is a view of rows: `array[a:b]`), a pandas or polars frame or
            series (`frame[a:b]` by position, index kept), or any iterable.
        parts: how many at most; None: 64, or as many as there are elements. Of an iterable without a length the parts
            are lists of 1 to 4,096 elements, whose sizes depend on their place alone, and are made as they are asked
            for.
        at: "row": between elements (rows of an array or frame). "line": of a file of text in UTF-8, after its lines.
            bytes: of a file, after this separator. None: "line" for a path, "row" for all else.
    Returns:
        A sequence of parts. Of a file each is a path and two offsets, with the lines (str) or records (bytes) in a
        loop, and `read()`; the parts put together are the file, of the size that it had when it was cut.
    Raises:
        OSError: the file can't be read.
        SplitError, TypeError: this can't be cut, or not at that.
    """
    if parts is not None and (not isinstance(parts, int) or isinstance(parts, bool) or parts < 1):
        raise SplitError(f"parts must be a whole number of at least 1, or None, got {parts!r}.")
    if at is not None and not (at in ("row", "line") or (isinstance(at, bytes) and at)):
        raise SplitError(f"at must be 'row', 'line', or bytes that end a record of a file, e.g. b'\\n', got {at!r}.")
    if isinstance(whole, os.PathLike):
        if at == "row":
            raise SplitError(f"A file has no rows: pass at='line', or at=b'…' with what ends a record, for {whole}.")
        separator = at if isinstance(at, bytes) else None
        found = cut_file(os.fsdecode(whole), parts or PARTS, separator)
        return Chunks(len(found), found.__getitem__, os.fsdecode(whole))
    if at not in (None, "row"):
        hint = f"For a file, pass pathlib.Path({whole!r})." if isinstance(whole, str) else "Pass a pathlib.Path."
        raise SplitError(f"Only a file is cut at={at!r}, and {_named(whole)} is none. {hint}")
    take = slicer_of(whole)
    if take is None:
        if parts is not None:
            raise SplitError(
                f"{_named(whole)} can't be cut into {parts} parts, since only reading it tells how long it is. Leave "
                f"parts= out, or pass list(…) of it."
            )
        return Blocks(whole)
    length = len(whole)
    bounds = cut_evenly(length, parts or PARTS)
    return Chunks(len(bounds), lambda number: take(*bounds[number]), _named(whole))


def cut_evenly(length: int, parts: int) -> list[tuple[int, int]]:
    """From where to where each of up to so many parts goes; their lengths differ by at most one, none is empty."""
    parts = min(parts, length)
    short, longer = divmod(length, parts) if parts else (0, 0)
    starts = [number * short + min(number, longer) for number in range(parts + 1)]
    return list(pairwise(starts))


def slicer_of(whole: Any) -> Callable[[int, int], Any] | None:
    """What gives the elements or rows from one position to another; None where they can only be read one by one.

    Raises:
        TypeError, SplitError: it has no elements, or none in an order.
    """
    kind = kind_of(whole)
    if kind == "pandas":
        return lambda start, stop: whole.iloc[start:stop]
    if kind == "polars":
        return lambda start, stop: whole.slice(start, stop - start)
    if kind == "numpy" and not whole.ndim:
        raise SplitError(f"This array has no first axis along which it could be cut: {whole!r}. Pass an array of rows.")
    if kind == "numpy" or isinstance(whole, Sequence | bytearray | memoryview):
        return lambda start, stop: whole[start:stop]
    if not hasattr(whole, "__iter__"):
        raise TypeError(
            f"{_named(whole)} can't be cut: it is no sequence, file (pathlib.Path), array, frame or iterable. "
            f"{'Collect it first: whole.collect().' if hasattr(whole, 'collect') else 'Pass one of these.'}"
        )
    return None


def kind_of(value: object) -> str:
    """Is it a "numpy" array, a "pandas" or a "polars" frame or series? "" for all else; nothing is imported."""
    root = type(value).__module__.partition(".")[0]
    module = sys.modules.get(root)
    names = {"numpy": ("ndarray",), "pandas": ("DataFrame", "Series"), "polars": ("DataFrame", "Series")}.get(root, ())
    kinds = tuple(getattr(module, name) for name in names)
    if not kinds and "numpy" in sys.modules:
        root, kinds = "numpy", (sys.modules["numpy"].ndarray,)
    return root if isinstance(value, kinds) else ""


def _named(value: object) -> str:
    return f"this {type(value).__qualname__}"
