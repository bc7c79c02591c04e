"""Is a reduction that is done in parts the reduction itself? Tried on the partial results as they come.

A fold may be cut where its `combine` is associative, takes the initial value as an identity, and does to a partial
result what `step` does to elements. Each of the three is held against the real partial results:

- (a b) c and a (b c), for neighbours a, b, c;
- initial with a, and a with initial, is a;
- a, folded on over the first elements after it, is a combined with those elements folded by themselves.

At some cuts a is what all parts before it give together, from the left and from the right. At the beginning and at the
end what `extremes` makes of these is tried as well; and at the end the elements of the parts that gave the least and
the greatest number, folded on from the other: what is rare is most often there.

Known operators on known types need no trial: they are proved. All else is refuted, by a `SplitError` with the three
values, or "not refuted".
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import combinations, islice
from time import perf_counter, thread_time
from typing import Any, Final

from whilst.errors import SplitError
from whilst.measuring.clocks import blocks
from whilst.measuring.writes.abstract_value import ABSENT
from whilst.measuring.writes.scan import scan
from whilst.measuring.writes.suspects import Reach
from whilst.running.call_names import name_of, short
from whilst.running.splitting.extremes import extreme_triples, outer_elements
from whilst.running.splitting.fold import NOTHING, Partial, continue_fold
from whilst.running.splitting.same import copied, holds_floats, same, same_at_scale
from whilst.running.splitting.verdict import SplitAnswer, SplitVerdict

_WHOLE: Final = (int, bool)
_ASSOCIATIVE: Final[dict[Callable[..., Any], tuple[type, ...]]] = {
    operator.add: (*_WHOLE, Fraction), operator.iadd: (*_WHOLE, Fraction),
    operator.mul: (*_WHOLE, Fraction), operator.imul: (*_WHOLE, Fraction),
    operator.and_: _WHOLE, operator.or_: _WHOLE, operator.xor: _WHOLE,
    min: _WHOLE, max: _WHOLE, math.gcd: _WHOLE, math.lcm: _WHOLE,
}  # fmt: skip
"""Associative on all values of these types, mixed as well."""
_ASSOCIATIVE_ON_ONE: Final[dict[Callable[..., Any], tuple[type, ...]]] = {
    operator.add: (str, bytes, list, tuple), operator.concat: (str, bytes, list, tuple),
    operator.or_: (set, frozenset), operator.and_: (set, frozenset), operator.xor: (set, frozenset),
    min: (str, bytes), max: (str, bytes),
}  # fmt: skip
"""Associative on values that are all of one of these types."""
_IDENTITIES: Final[dict[Callable[..., Any], int]] = {
    operator.add: 0, operator.iadd: 0, operator.mul: 1, operator.imul: 1, operator.or_: 0, operator.xor: 0,
    operator.and_: -1,
}  # fmt: skip
"""For numbers. Of all others, and of min, max, gcd and lcm, the initial value is tried on the partial results."""
_IN_PLACE: Final = (operator.iadd, operator.imul)
_LEFT_ALONE: Final = (*_WHOLE, float, Fraction, str, bytes, list, tuple, dict, set, frozenset, Counter)
"""Types whose values no operator changes, but those in place."""
_SELECTS: Final = (min, max)
"""Give one of their arguments: floats are not added up."""
_SHARE: Final = 0.01
"""More triples than the first are tried while all checks together took less than this part of the run so far."""
_LEAST_S: Final = 1e-3
"""So long may they take on a core however short the run is, and the check at a cut as well."""
_PIECE: Final = 1024
_UNKNOWN_PARTS: Final = 64
"""Of an input whose length nobody knows no value is tried that stands for more parts than these."""


def is_known(step: Callable[..., Any]) -> bool:
    """Whether this is an operator that is known to be associative on some types."""
    try:
        return step in _ASSOCIATIVE or step in _ASSOCIATIVE_ON_ONE
    except TypeError:  # an object with a call that can't be hashed
        return False


class Evidence:
    """Of one reduction; `see` each partial result in order, before it is joined.

    Args:
        combine: joins two partial results.
        step, of: how the partial results are made.
        start: gives the initial value; None: there is none.
        after: the elements from a part on, in order; None where they are not known yet.
        count: how many parts there are; None: nobody knows.
        trees: gives what the partial results that were seen before were joined to, in order.
        is_by_element: each part is one element, and `combine` is `step`.
    """

    def __init__(
        self,
        combine: Callable[[Any, Any], Any],
        step: Callable[[Any, Any], Any],
        of: Callable[[Any], Any] | None,
        start: Callable[[], Any] | None,
        after: Callable[[int], Iterator[Any] | None],
        count: int | None,
        trees: Callable[[], list[Any]],
        *,
        is_by_element: bool = False,
    ) -> None:
        self._combine, self._step, self._of, self._start, self._after = combine, step, of, start, after
        self._trees, self._count = trees, count or _UNKNOWN_PARTS
        self._cuts = {0} if count is None else {0, count // 2 - 1, count - 2}
        self._is_by_element = is_by_element
        self._seen = 0
        self._last: list[Any] = []
        self._triples = self._made_triples = 0
        self._triple_s = 0.0
        """So long took the last one."""
        self._some: list[Any] = []
        """The first partial results, what larger stretches gave, and some elements folded by themselves."""
        self._elements: list[Any] = []
        self._outermost: list[tuple[Any, int]] = []
        """The least and the greatest partial result, and their numbers, where all so far are numbers."""
        self._kinds: set[type] | None = set()
        """Of all that was folded; None once it was not looked at."""
        self._is_pure = is_known(combine) and combine not in _IN_PLACE
        self._has_floats = self._changes_arguments = False
        self._open: tuple[int, Any] | None = None
        """A partial result, and its number, that is to be folded on once the next elements are known."""
        self._began_s = perf_counter()
        self._spent_s = 0.0

    def see(self, given: Partial) -> None:
        """The next partial result, in the order of the parts.

        Raises:
            SplitError: it shows that the parts don't give what the whole does.
        """
        began_cpu_s = thread_time()
        number, value = self._seen, given.value
        self._seen += 1
        if given.kinds and self._kinds is not None:
            self._kinds |= given.kinds
        else:
            self._kinds = None
        self._note_outermost(value, number)
        self._has_floats = self._has_floats or (holds_floats(value) and self._combine not in _SELECTS)
        if self._may_take(0.0) or not self._triples:
            # A copy: what is joined may be changed by that.
            self._last = [*self._last[-2:], self._copy(value)]
            if self._start is not None:
                self._check_identity(self._start, value)
            if len(self._last) == 3:
                self._check_triple(*self._last)
            if number < 3:
                self._some += self._last[-1:]
        else:
            self._last = []
        if number in self._cuts and (not number or self._may_take(len(self._trees()) * self._triple_s)):
            whole = self._whole_so_far(value)
            # Of one element each, combined by what folds them, no element tells more than the triples do.
            self._open = None if self._is_by_element else (number, whole)
        self._spent_s += thread_time() - began_cpu_s
        self._finish_cut()
        if number == 2:
            self._try_extremes()

    def finish(self) -> None:
        """What was put off until all is known."""
        self._finish_cut()
        self._try_outermost()
        self._try_extremes()

    def _note_outermost(self, value: Any, number: int) -> None:
        if type(value) not in (int, float) or (number and not self._outermost):
            self._outermost = []
        elif not number:
            self._outermost = [(value, 0), (value, 0)]
        elif value < self._outermost[0][0]:
            self._outermost[0] = value, number
        elif value > self._outermost[1][0]:
            self._outermost[1] = value, number

    def _try_outermost(self) -> None:
        if self._is_by_element or not self._outermost or self._proof() or not self._may_take(-_LEAST_S):
            return
        (least, at_least), (greatest, at_greatest) = self._outermost
        began_s = thread_time()
        for value, number in ((greatest, at_least), (least, at_greatest)):
            if least != greatest and (elements := self._after(number)) is not None:
                self._check_cut(f"from part {number + 1} on", value, elements, is_made=True)
        self._spent_s += thread_time() - began_s

    def _finish_cut(self) -> None:
        """The check at a cut waits until the elements after it are known."""
        if self._open is not None and (elements := self._after(self._open[0] + 1)) is not None:
            began_cpu_s = thread_time()
            number, value = self._open
            self._check_cut(f"after part {number + 1}", value, elements)
            self._open = None
            self._spent_s += thread_time() - began_cpu_s

    def _may_take(self, more_s: float) -> bool:
        """Whether so much time of a core may be spent besides what was."""
        return self._spent_s + more_s < max(5 * _LEAST_S, _SHARE * (perf_counter() - self._began_s))

    def verdict(self) -> SplitVerdict:
        """What it all comes to."""
        remarks = []
        if self._has_floats:
            remarks.append("Floats are regrouped: the last digits may be others than those of one long loop")
        if self._changes_arguments:
            remarks.append(f"{name_of(self._combine)} changes its arguments, so that it was tried on copies")
        if self._seen == 1:
            return SplitVerdict(SplitAnswer.PROVED, 0, "there is one part, so nothing was divided", (), tuple(remarks))
        proof = self._proof()
        if proof:
            return SplitVerdict(SplitAnswer.PROVED, self._triples, proof, (), tuple(remarks))
        tried = f"on {self._triples} triple{'' if self._triples == 1 else 's'} of {self._seen} partial results"
        tried += f", {self._made_triples} of them of what those combine to" if self._made_triples else ""
        return SplitVerdict(SplitAnswer.NOT_REFUTED, self._triples, tried, (), tuple(remarks))

    def _proof(self) -> str:
        kinds, step = self._kinds, self._step
        if not kinds or self._combine is not step or not is_known(step):
            return ""
        start = NOTHING if self._start is None else self._start()
        types = kinds if start is NOTHING else kinds | {type(start)}
        is_by_number = types <= set(_ASSOCIATIVE.get(step, ()))
        if not is_by_number and not (len(types) == 1 and types <= set(_ASSOCIATIVE_ON_ONE.get(step, ()))):
            return ""
        if start is not NOTHING:
            is_identity = start == _IDENTITIES.get(step) if is_by_number else step not in _SELECTS and not start
            if not is_identity or (step is operator.and_ and not is_by_number):
                return ""
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        return f"{name_of(step)} is associative on {names}"

    def _copy(self, value: Any) -> Any:
        """A copy, where `combine` or `step` may change the value."""
        return value if self._is_pure and type(value) in _LEFT_ALONE else self._copy_of(value)

    def _copy_of(self, value: Any) -> Any:
        try:
            return copied(value)
        except Exception as error:
            raise SplitError(
                f"A partial result can't be copied ({error}), which the check of the parts needs, since combine may "
                f"change it: {short(value)}. Pass check=False, or give results that can be copied."
            ) from error

    def _elements_to_fold(self, elements: list[Any]) -> list[Any]:
        """Copies, where `step` may change what it is given: they will be folded once more, in their part."""
        return elements if is_known(self._step) and self._step not in _IN_PLACE else self._copy_of(elements)

    def _joined(self, one: Any, other: Any) -> Any:
        """As `combine` has it, of copies."""
        left, right = self._copy(one), self._copy(other)
        value = self._combine(left, right)
        if not self._changes_arguments and not (left is one and right is other):
            self._changes_arguments = not (same(left, one) and same(right, other))
        return value

    def _check_identity(self, start: Callable[[], Any], value: Any) -> None:
        for is_left in (True, False):
            initial = start()
            try:
                got = self._joined(initial, value) if is_left else self._joined(value, initial)
            except SplitError:
                raise
            except Exception:  # it need not take one: nothing but partial results is ever joined
                return
            if not same(got, value):
                order = (initial, value) if is_left else (value, initial)
                raise wrong(
                    f"The initial value is no identity of {name_of(self._combine)}, yet each part begins with it: "
                    f"{_call(self._combine, *order)} gives {short(got)}, not {short(value)}. Begin with a value that "
                    f"changes nothing (0 for a sum, 1 for a product, [] for a list), and add yours to the result.",
                    (initial, value, got),
                )

    def _check_triple(self, one: Any, two: Any, three: Any, *, is_made: bool = False) -> Any:
        """Return what they combine to. `is_made`: by `extremes`, so that floats may cancel out."""
        began_s = thread_time()
        left = self._joined(self._joined(one, two), three)
        right = self._joined(one, self._joined(two, three))
        self._triples += 1
        self._made_triples += is_made
        if not same(left, right) and not (is_made and same_at_scale(left, right, one, two, three)):
            kind = "values that partial results combine to" if is_made else "partial results"
            raise wrong(
                f"{name_of(self._combine)} is not associative on three {kind}, {short(one)}, {short(two)} and "
                f"{short(three)}: from the left they give {short(left)}, from the right {short(right)}. "
                f"{_remedy(left, right)}",
                (one, two, three),
            )
        self._triple_s = thread_time() - began_s
        return left

    def _whole_so_far(self, value: Any) -> Any:
        """What all parts up to this one give together; tried from the left and from the right."""
        whole, *others = [*self._trees(), self._copy(value)]
        while others:
            if len(others) > 1:
                whole = self._check_triple(whole, others.pop(0), others.pop(0), is_made=True)
            else:
                whole = self._joined(whole, others.pop())
        if self._seen > 1 and self._triple_s < _LEAST_S / 4:
            self._some.append(whole)
        return whole

    def _try_extremes(self) -> None:
        """On what partial results combine to, and on elements by themselves: as long as that costs little."""
        if self._triple_s > _LEAST_S / 4:
            self._some.clear()  # they are large: what single elements give must do
        if self._proof() or not (self._seen == 3 or self._may_take(-_LEAST_S)):
            return
        began_s, until = thread_time(), _Budget(self._began_s)
        pool = list(self._some)
        for element in self._elements:
            with suppress(Exception):  # it may be none that a part could begin with
                pool.append(self._by_itself(element))
        if self._start is not None:
            for value in pool:
                self._check_identity(self._start, value)
            pool.append(self._start())
        for pair in combinations(self._elements, 2):
            if until.is_spent() or self._combine is self._step:
                break
            self._check_pair(*pair)
        until = _Budget(self._began_s)
        for triple in extreme_triples(pool, self._joined, self._count) if pool else ():
            if until.is_spent():
                break
            with _only_differences():
                self._check_triple(*triple, is_made=True)
        self._spent_s += thread_time() - began_s

    def _by_itself(self, element: Any) -> Any:
        begun = NOTHING if self._start is None else self._start()
        return continue_fold(self._step, None, begun, self._elements_to_fold([element]))[0]

    def _check_pair(self, one: Any, other: Any) -> None:
        """Two elements in their order, folded, against each folded by itself."""
        with _only_differences():
            first, second = self._by_itself(one), self._by_itself(other)
            on, _ = continue_fold(self._step, None, copied(first), self._elements_to_fold([other]))
            parted = self._joined(first, second)
            if not same_at_scale(on, parted, first, second):
                raise wrong(
                    f"Whole and parts differ on two elements, {short(one)} and {short(other)}: folded by "
                    f"{name_of(self._step)} they give {short(on)}, but {_call(self._combine, first, second)} gives "
                    f"{short(parted)}. {_remedy(on, parted)}",
                    (first, second, on),
                )

    def _check_cut(self, where: str, value: Any, elements: Iterator[Any], *, is_made: bool = False) -> None:
        """The first elements after a cut, folded on from a partial result, against the same folded by themselves.

        One element at least, and more of them as long as that costs little. `is_made`: the undivided fold never has
        this result before these elements.
        """
        on, alone = copied(value), NOTHING if self._start is None else self._start()
        count, size, until = 0, 1, _Budget(self._began_s)
        tried: list[Any] = []
        try:
            while piece := list(islice(elements, size)):
                folded = piece if self._of is None else list(map(self._of, piece))
                tried += folded
                on, _ = continue_fold(self._step, None, on, self._elements_to_fold(folded))
                alone, _ = continue_fold(self._step, None, alone, self._elements_to_fold(folded))
                count, size = count + len(piece), min(2 * size, _PIECE)
                if until.is_spent():
                    break
        except SplitError:
            raise
        except Exception:  # the part that they belong to says so, and where
            return
        if not count:
            return
        self._elements += outer_elements(tried)
        try:
            parted = self._joined(value, alone)
        except SplitError:
            raise
        except Exception as error:  # which the undivided fold did not meet
            if is_made:
                return
            raise wrong(
                f"{_call(self._combine, value, alone)}, which joins two partial results, raised "
                f"{type(error).__name__}: {error}. The undivided fold gives {short(on)}. {_COMBINE}",
                (value, alone, on),
            ) from error
        if not same_at_scale(on, parted, value, alone):
            raise wrong(
                f"Whole and parts differ {where}: {short(value)}, folded on by {name_of(self._step)} "
                f"over the next {count} element{'' if count == 1 else 's'}, gives {short(on)}; those folded by "
                f"themselves are {short(alone)}, and {name_of(self._combine)} makes {short(parted)} of both. "
                f"{_remedy(on, parted) if self._combine is not self._step else _COMBINE}",
                (value, on, parted),
            )


@contextmanager
def _only_differences() -> Iterator[None]:
    """What a function raises on values that this program may never meet is no finding."""
    try:
        yield
    except SplitError:
        raise
    except Exception:  # noqa: S110
        pass


class _Budget:
    """So long may one check go on: time on a core, and time by the clock, where elements are waited for.

    A thread that never gave its core away did not wait: others have its core, and the check must see as much as ever.
    """

    def __init__(self, began_s: float) -> None:
        now_s = perf_counter()
        # The last piece is as long as all before it.
        self._until_cpu_s = thread_time() + max(_LEAST_S, _SHARE / 3 * (now_s - began_s)) / 2
        self._until_s = now_s + 15 * _LEAST_S + _SHARE / 6 * (now_s - began_s)
        self._blocks = blocks()

    def is_spent(self) -> bool:
        if thread_time() > self._until_cpu_s:
            return True
        return perf_counter() > self._until_s and not 0 <= blocks() == self._blocks


_COMBINE: Final = (
    "Pass combine=, which joins two partial results (operator.add where step appends, say). If they can't be joined, "
    "or step remembers something between its calls, this must be one loop: functools.reduce."
)


def _remedy(one: Any, other: Any) -> str:
    if holds_floats(one) and holds_floats(other):
        return (
            "These floats must not be regrouped, or their order counts: fold fractions.Fraction or whole numbers, or "
            "keep one loop (functools.reduce); check=False takes what comes."
        )
    return "Pass a combine that joins two neighbouring partial results, or keep one loop (functools.reduce)."


def _call(combine: Callable[..., Any], one: Any, other: Any) -> str:
    return f"{name_of(combine)}({short(one)}, {short(other)})"


def wrong(message: str, values: tuple[object, ...]) -> SplitError:
    """The error that shows a division to be wrong, by three values."""
    error = SplitError(message)
    error.values = values
    return error


def require_no_memory(fn: Callable[..., Any], part: object) -> None:
    """Before any work: does its code change something that outlives its calls?

    Raises:
        SplitError: it does. Parts side by side would each change a copy, and the check's calls would count as well.
    """
    try:
        found = scan(fn, part)
    except Exception:  # a user's object may refuse to be looked at: then nothing is known of it
        return
    for each in found.suspects:
        if (
            each.reach is Reach.SHARED
            and each.root is not ABSENT
            and not (each.settles or each.is_locked or each.is_hint)
        ):
            where = f" ({each.where})" if each.where else ""
            raise SplitError(
                f"{name_of(fn)} changes {each.what}{where}, which outlives the call: parts side by side would not see "
                f"what the others changed. Return what it remembers in its result; check=False takes what comes."
            )
