"""Does a function of a whole give the same for the whole in parts? Tried on samples of its rows.

A sample is a stretch across a real cut, or rows from all over the whole. It is a whole of its own: the
function of it, undivided, is held against what it gives for its parts, joined. Samples begin small and grow while that
costs little. What needs its neighbours (a window, a sum over all) shows where they are cut off; what belongs to a
group, or comes once, among rows that stood far apart.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter, thread_time
from typing import Any, Final

from whilst.errors import SplitError
from whilst.running.call_names import add_note, name_of, short
from whilst.running.splitting.chunks import By
from whilst.running.splitting.division import Division, FileDivision
from whilst.running.splitting.evidence import wrong
from whilst.running.splitting.same import copied, same
from whilst.running.splitting.verdict import SplitAnswer, SplitVerdict

_FIRST_SHARE: Final = 1000
"""A sample has at first this part of all rows; two rows at least."""
_GROWTH: Final = 4
_LEAST_S: Final = 0.005
"""It grows until so much time of a core was spent, or so much of what all of it may take:"""
_SHARE: Final = 0.001
_MANY: Final = 1000
"""Of fewer rows one cut alone is tried, and no rows from all over, where each takes long."""
_MOST_ROWS: Final = 256
"""Once a sample has so many rows, and a 25th of all, it is given up where the cut makes no two parts of it."""
_THINNED_PARTS: Final = 4

Join = Callable[[Sequence[Any]], Any]


def sample(
    fn: Callable[[Any], Any], division: Division, join: Join | None, *, thoroughly: bool = False
) -> SplitVerdict:
    """Try a division before any of the work is done.

    `thoroughly`: at up to 16 cuts, and with ten times the rows.

    Raises:
        SplitError: the parts give something else; the message shows the three values.
        Whatever `fn` raises of every sample.
    """
    cuts, length = division.cuts, division.length
    if not cuts:
        return SplitVerdict(SplitAnswer.PROVED, 0, "there is one part, so nothing was divided")
    count, effort = (16, 10) if thoroughly else (3 if length >= _MANY else 1, 1)
    chosen = sorted({cuts[(2 * number + 1) * len(cuts) // (2 * count)] for number in range(count)})
    wheres = [(partial(_around, division, cut), f"{cut} {division.unit} from the start") for cut in chosen]
    if not callable(division.cut):
        wheres.append((partial(_thinned, division), "all over it"))
    samples = exact = 0
    begun_s = perf_counter()
    for make, where in wheres:
        is_dear = perf_counter() - begun_s > 2 * _LEAST_S and not thoroughly
        if is_dear and length < _MANY and samples:
            break  # each row is long
        tried, equal = _grow(fn, join, make, where, length, effort)
        samples, exact = samples + tried, exact + equal
    if not samples:
        return SplitVerdict(SplitAnswer.NOT_CHECKED, 0, "its parts could not be told from the whole on any sample")
    remarks = ("Floats are regrouped: some differ from the undivided call's in their last digits",)
    return SplitVerdict(
        SplitAnswer.NOT_REFUTED,
        samples,
        f"on {samples} sample{'' if samples == 1 else 's'} across {len(chosen)} of {len(cuts)} cuts",
        (),
        remarks if exact < samples else (),
    )


def _around(division: Division, cut: int, count: int) -> Division:
    """So many rows around a cut; whole parts, where they are more than those next to it."""
    start, stop = max(cut - count // 2, 0), min(cut + count // 2, division.length)
    edges = [0, *division.cuts, division.length]
    if count >= division.length // len(division.cuts):
        start, stop = edges[bisect_right(edges, start) - 1], edges[bisect_left(edges, stop)]
    return division.stretch(start, stop)


def _thinned(division: Division, count: int) -> Division:
    """Rows from all over the whole, in some parts: what belongs together may stand far apart, so they are more."""
    rows = division.whole[:: max(division.length // (_THINNED_PARTS * count), 1)]
    return Division(rows, division.cut, _THINNED_PARTS)


def _grow(
    fn: Callable[[Any], Any],
    join: Join | None,
    make: Callable[[int], Division],
    where: str,
    length: int,
    effort: int,
) -> tuple[int, int]:
    """Try growing samples of one kind; return how many there were, and how many of them gave the very same."""
    tried = exact = 0
    count = max(2, length * effort // _FIRST_SHARE)
    begun_s, begun_cpu_s = perf_counter(), thread_time()
    while True:
        part = make(count)
        is_all = part.length >= length
        is_enough = is_all or part.length > max(_MOST_ROWS, length // 25)
        before_s, before_cpu_s = perf_counter(), thread_time()
        try:
            found = _compare(fn, part, join)
        except SplitError:
            raise
        except Exception as error:  # it may need more rows than these
            if is_enough:
                add_note(error, f"whilst: raised as {name_of(fn)} was tried on {part.length} {part.unit}, {where}")
                raise
            found = None
        if found is not None:
            tried, exact = tried + 1, exact + found
        now_s = perf_counter()
        limit_s = effort * max(_LEAST_S, _SHARE * (now_s - before_s) / (2 * part.length) * length)
        # The next takes longer than this one did.
        is_spent = 2 * thread_time() - before_cpu_s - begun_cpu_s > limit_s or now_s - begun_s > 4 * limit_s
        if is_all or (is_spent if tried else is_enough):
            return tried, exact
        count *= _GROWTH


def _compare(fn: Callable[[Any], Any], division: Division, join: Join | None) -> bool | None:
    """Whether the parts gave the very same, not just nearly; None where there is but one part."""
    # Of copies: the function may change what it is given.
    parts = division.parts()
    if len(parts) < 2:
        return None
    whole = fn(copy_to_try(division.whole))
    results = [fn(copy_to_try(part)) for part in parts]
    joined = (join or division.join)(results)
    if same(joined, whole):
        return same(joined, whole, 0.0)
    raise wrong(
        f"{name_of(fn)} gives something else for parts than for the whole: of {division.length} {division.unit} "
        f"around a cut it gives {short(whole)}, of those before the cut {short(results[0])}, of those after it "
        f"{short(results[1])}; joined, that is {short(joined)}. {_remedy(division)}",
        (whole, results[0], results[1]),
    )


def copy_to_try(part: Any) -> Any:
    """A copy for a function that may change it."""
    try:
        return copied(part)
    except Exception:  # what can't be copied is used as it is
        return part


def _remedy(division: Division) -> str:
    if isinstance(division.cut, By):
        return "Pass join=, which makes one result of those of the parts, or call it undivided."
    if isinstance(division, FileDivision):
        return (
            "What joins two results must make of them what the function gives of both parts (a mean is joined by its "
            "sum and its count, say); what can't be joined is called of the whole file."
        )
    return (
        "What needs rows of another part (a window, a mean, an order) can't be cut there: pass cut=whilst.by('column') "
        "to keep the groups of a frame together, join= to make one result of those of the parts, or call it undivided."
    )
