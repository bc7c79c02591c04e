"""Divide and conquer: the tree of problems, how a branch is solved, and whether joining gives what solving does."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence, Sized
from typing import Any, Final

from whilst.errors import SplitError
from whilst.running.call_names import name_of, short
from whilst.running.splitting.chunks import PARTS, slicer_of
from whilst.running.splitting.evidence import wrong
from whilst.running.splitting.same import same
from whilst.running.splitting.sampling import copy_to_try
from whilst.running.splitting.verdict import SplitAnswer, SplitVerdict

_DEEPEST: Final = 200
"""What is not small after so many divisions never will be."""
_DEEP: Final = 6
"""A branch so deep is, in a balanced tree, at most a 64th of it: to solve it once more costs little."""
_ENOUGH_ALIKE: Final = 16
_ALIKE: Final = 1.25
"""So many times as long as the shortest may the longest be."""
_SAMPLES: Final = (8, 8, 8, 8, 64, 64)
_SHARE: Final = 70
"""So many elements of a sequence are taken for samples, as long as all have at most this part of it."""


class Recursion:
    """The user's four functions, put together. Travels to workers as these.

    Args:
        solve: problem -> result.
        split: problem -> two or more problems.
        join: their results, in order -> result; one by one, or as a list where it takes one argument alone.
        is_small: whether a problem is solved undivided.
    """

    def __init__(
        self,
        solve: Callable[[Any], Any],
        split: Callable[[Any], Iterable[Any]],
        join: Callable[..., Any],
        is_small: Callable[[Any], bool],
    ) -> None:
        self.solve, self.is_small = solve, is_small
        self._split, self._join = split, join

    def divided(self, problem: Any) -> list[Any]:
        """The problems that a problem falls into.

        Raises:
            SplitError: it falls into fewer than two.
        """
        parts = list(self._split(problem))
        if len(parts) < 2:
            raise SplitError(
                f"{name_of(self._split)} makes {len(parts)} of {short(problem)}, which is not small yet. Give two or "
                f"more problems, or have {name_of(self.is_small)} say True for it."
            )
        return parts

    def joined(self, results: Sequence[Any]) -> Any:
        """One result of those of the problems that a problem fell into."""
        return self._join(list(results)) if _takes_a_list(self._join, len(results)) else self._join(*results)

    def in_parts(self, problem: Any, depth: int = 0) -> Any:
        """Solve a problem by dividing it as far as it goes, in this thread."""
        if self.is_small(problem):
            return self.solve(problem)
        if depth > _DEEPEST:
            raise SplitError(
                f"Divided {_DEEPEST} times, {short(problem)} is still not small. Have {name_of(self._split)} make "
                f"smaller problems, or {name_of(self.is_small)} say True for it."
            )
        return self.joined([self.in_parts(part, depth + 1) for part in self.divided(problem)])


def solve_in_parts(
    solve: Callable[[Any], Any],
    split: Callable[[Any], Iterable[Any]],
    join: Callable[..., Any],
    is_small: Callable[[Any], bool],
    problem: Any,
) -> Any:
    """The call that is made of each branch."""
    return Recursion(solve, split, join, is_small).in_parts(problem)


def _takes_a_list(join: Callable[..., Any], count: int) -> bool:
    try:
        signature = inspect.signature(join)
    except (TypeError, ValueError):  # some of C's have none
        return False
    try:
        signature.bind(*range(count))
    except TypeError:
        return _binds_one(signature)
    return False


def _binds_one(signature: inspect.Signature) -> bool:
    try:
        signature.bind(0)
    except TypeError:
        return False
    return True


def _are_alike(branches: Sequence[Any]) -> bool:
    """Whether they are enough, and as long as one another."""
    if len(branches) < _ENOUGH_ALIKE or not all(isinstance(branch, Sized) for branch in branches):
        return False
    lengths = [len(branch) for branch in branches]
    return max(lengths) <= _ALIKE * min(lengths)


class Tree:
    """The top of the tree of problems, level by level: it depends on the problem alone.

    It goes down to 64 branches or more; to 16 where they are sequences of about one length, which end together: each
    level is one more that is joined here, while the workers have nothing to do.
    """

    def __init__(self, recursion: Recursion, problem: Any) -> None:
        self._recursion = recursion
        self._levels: list[list[int]] = []
        """Of each level, into how many each of its problems falls; 1: it is kept for the next level as it is."""
        self.branches = [problem]
        while len(self.branches) < PARTS and not _are_alike(self.branches):
            below: list[Any] = []
            counts: list[int] = []
            for branch in self.branches:
                parts = [branch] if recursion.is_small(branch) else recursion.divided(branch)
                below += parts
                counts.append(len(parts))
            if len(below) == len(self.branches):
                return
            self.branches = below
            self._levels.append(counts)

    def join(self, results: list[Any]) -> Any:
        """The result of the problem, of those of its branches: level by level, in order."""
        for counts in reversed(self._levels):
            rest = iter(results)
            results = [
                next(rest) if count == 1 else self._recursion.joined([next(rest) for _ in range(count)])
                for count in counts
            ]
        (result,) = results
        return result


def try_joining(recursion: Recursion, problem: Any) -> SplitVerdict:
    """Hold small problems, solved undivided, against the same divided once: elements of a sequence, or a real branch.

    Raises:
        SplitError: joined, they give something else.
    """
    if recursion.is_small(problem):
        return SplitVerdict(SplitAnswer.PROVED, 0, "the problem is small, so nothing was divided")
    try:
        is_sequence = slicer_of(problem) is not None
    except (TypeError, SplitError):
        is_sequence = False
    tried = 0
    if is_sequence:
        for number, count in enumerate(_SAMPLES):
            if sum(_SAMPLES[: number + 1]) * _SHARE <= len(problem):
                tried += _try(recursion, problem[number :: len(problem) // count])
    else:
        branch, depth = problem, 0
        while depth < _DEEPEST and not all(map(recursion.is_small, parts := recursion.divided(branch))):
            branch, depth = next(part for part in parts if not recursion.is_small(part)), depth + 1
        if depth >= _DEEP:
            tried += _try(recursion, branch)
    if not tried:
        return SplitVerdict(SplitAnswer.NOT_CHECKED, 0, "no part of the problem is small enough to be solved once more")
    return SplitVerdict(SplitAnswer.NOT_REFUTED, tried, f"on {tried} small problem{'' if tried == 1 else 's'}")


def _try(recursion: Recursion, problem: Any) -> bool:
    try:
        whole = recursion.solve(copy_to_try(problem))
        results = [recursion.solve(part) for part in recursion.divided(copy_to_try(problem))]
    except Exception:  # it is no problem that could come up
        return False
    joined = recursion.joined([copy_to_try(result) for result in results])
    if not same(joined, whole):
        raise wrong(
            f"Divided and joined, {short(problem)} gives {short(joined)}; solved by {name_of(recursion.solve)} it "
            f"gives {short(whole)}. Its parts gave {short(results[0])} and {short(results[1])}: join= must make of the "
            f"results of the parts, in order, what solve makes of the whole.",
            (whole, results[0], results[1]),
        )
    return True
