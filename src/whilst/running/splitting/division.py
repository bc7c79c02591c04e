"""How `split` divides a sequence, an array, a frame or a file, and how the results of the parts become one."""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from whilst.errors import SplitError
from whilst.running.call_names import short
from whilst.running.splitting.chunks import PARTS, Blocks, By, Chunks, cut_evenly, kind_of, slicer_of
from whilst.running.splitting.files import FilePart, end_of_record, last_beginning

Cut = Callable[[Any], Iterable[Any]]


class Division:
    """Of one whole: where it is cut, and in which order its rows are divided.

    Args:
        whole: as `whilst.split` takes it.
        cut: None, `whilst.by(...)`, or a function from a whole to its parts.
        parts: how many at most; None: 64.
    """

    unit = "rows"

    def __init__(self, whole: Any, cut: By | Cut | None, parts: int | None) -> None:
        if isinstance(whole, Chunks | Blocks):
            raise SplitError(f"split() cuts the whole itself, to try it undivided: pass that, not {whole!r}.")
        take = slicer_of(whole)
        if take is None:
            raise SplitError(
                f"split() needs a sequence, an array or a frame, got {short(whole)}. Pass list(…) of it, or fold it "
                f"with whilst.reduce."
            )
        self.whole = whole
        self.length = len(whole)
        self.cut = cut
        self._take = take
        self._order: Any = None
        """Of groups: the positions of the rows, group by group."""
        even = [start for start, _ in cut_evenly(self.length, parts or PARTS)[1:]]
        if cut is None:
            self.cuts = even
        elif isinstance(cut, By):
            self._order, ends = _groups(whole, cut)
            self.cuts = sorted({ends[bisect_left(ends, start)] for start in even} - {self.length})
        elif callable(cut):
            self.cuts = [self.length // 2] if self.length > 1 else []
        else:
            raise TypeError(f"cut must be None, whilst.by('column') or a function that gives the parts, not {cut!r}.")

    def stretch(self, start: int, stop: int) -> Division:
        """The division of some of its rows: at the same cuts, or, of groups, at as many of its own."""
        rows = self._take(start, stop) if self._order is None else self._rows(self._positions(start, stop))
        inner = [cut - start for cut in self.cuts if start < cut < stop]
        division = Division(rows, self.cut, len(inner) + 1)
        if self.cut is None:
            division.cuts = inner
        return division

    def parts(self) -> list[Any]:
        """Its parts, in order."""
        if not self.cuts:
            return [self.whole]
        if self._order is not None:
            return [self._rows(self._positions(*each)) for each in self._bounds()]
        if self.cut is not None:
            return list(self.cut(self.whole))  # type: ignore[operator]  # a function, if it gives no order
        return [self._take(*each) for each in self._bounds()]

    def join(self, results: Sequence[Any]) -> Any:
        """One result of those of its parts, along the first axis.

        Where rows were taken by groups, and each part gave a row for each of its rows, they come back in their order.

        Raises:
            SplitError: nobody knows how to join these.
        """
        joined = concatenated(results)
        if self._order is None or not self._are_by_row(results):
            return joined
        numpy: Any = sys.modules["numpy"]
        back = numpy.argsort(numpy.concatenate([self._positions(*each) for each in self._bounds()]))
        return joined.iloc[back] if kind_of(joined) == "pandas" else joined[back]

    def _bounds(self) -> list[tuple[int, int]]:
        return list(zip([0, *self.cuts], [*self.cuts, self.length], strict=True))

    def _positions(self, start: int, stop: int) -> Any:
        """Of groups: where in the whole the rows of these places are, in the order of the whole."""
        return sys.modules["numpy"].sort(self._order[start:stop])

    def _rows(self, positions: Any) -> Any:
        return self.whole.iloc[positions] if kind_of(self.whole) == "pandas" else self.whole[positions]

    def _are_by_row(self, results: Sequence[Any]) -> bool:
        for result, bounds in zip(results, self._bounds(), strict=True):
            if not kind_of(result) or len(result) != bounds[1] - bounds[0]:
                return False
            if kind_of(result) == "pandas" and not result.index.equals(self.whole.index[self._positions(*bounds)]):
                return False
        return True


class FileDivision(Division):
    """Of a file that was cut: its length and its cuts are in bytes, and a stretch begins and ends where records do.

    Args:
        cut_parts: as `whilst.chunks` gives them, one at least.
    """

    unit = "bytes"

    def __init__(self, cut_parts: Sequence[FilePart]) -> None:
        first, last = cut_parts[0], cut_parts[-1]
        self.whole = replace(first, stop=last.stop)
        self.length = last.stop - first.start
        self._parts = list(cut_parts)
        self.cuts = [each.start - first.start for each in cut_parts[1:]]
        self.cut = lambda _: self._parts
        self._order = None

    def stretch(self, start: int, stop: int) -> FileDivision:
        """Whole records from about there on, up to about there."""
        kept = self._parts[bisect_right(self.cuts, start) : bisect_left(self.cuts, stop) + 1]
        begin = self.whole.start
        kept[-1] = replace(kept[-1], stop=end_of_record(kept[-1], begin + stop))
        kept[0] = replace(kept[0], start=last_beginning(kept[0], begin + start))
        return FileDivision(kept)


def _groups(whole: Any, cut: By) -> tuple[Any, list[int]]:
    """The positions of all rows, group by group, and where each group ends."""
    kind, keys = kind_of(whole), list(cut.keys)
    columns = list(getattr(whole, "columns", ()))
    if kind == "pandas":
        columns += list(whole.index.names)
    if kind not in ("pandas", "polars") or not set(keys) <= set(columns):
        has = f"it has {', '.join(map(repr, columns))}" if columns else "it has no columns"
        raise SplitError(f"{cut!r} can't cut this {type(whole).__qualname__}: {has}. Name columns of a frame.")
    import numpy

    if kind == "pandas":  # as its groupby orders them
        numbers = whole.groupby(keys, sort=True, dropna=False).ngroup().to_numpy()
    else:  # as its group_by(maintain_order=True) does: by their first rows
        polars: Any = sys.modules["polars"]
        rows = polars.int_range(polars.len()).alias("row")
        numbers = whole.select(*keys).with_columns(rows).select(polars.col("row").min().over(keys))["row"].to_numpy()
    order = numbers.argsort(kind="stable")
    ends = numpy.flatnonzero(numpy.diff(numbers[order])) + 1
    return order, [*ends.tolist(), len(whole)]


def concatenated(results: Sequence[Any]) -> Any:
    """The results of parts, one after the other, as one of their type.

    Raises:
        SplitError: they are of different types, or of one that nobody knows how to join.
    """
    first = results[0]
    kinds = {type(each) for each in results}
    if len(kinds) == 1:
        kind = kind_of(first)
        if kind == "numpy" and first.ndim:
            numpy: Any = sys.modules["numpy"]
            return numpy.concatenate(results)
        if kind in ("pandas", "polars"):
            # An empty one has no say in the types of the others.
            return sys.modules[kind].concat([each for each in results if len(each)] or [first])
        if isinstance(first, list | tuple):
            return type(first)(chain.from_iterable(results))
        if isinstance(first, str | bytes):
            return first[:0].join(results)
    named = " and ".join(sorted(each.__qualname__ for each in kinds))
    raise SplitError(
        f"fn gives {named} ({short(first)}), and nobody knows how to join that. Pass join=, a function of the list of "
        f"what the parts gave (sum, max, …), or let fn give an array, a frame, a list or a text; or use whilst.reduce."
    )
