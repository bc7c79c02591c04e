"""The verbs that divide one task: reduce, split, divide, and check_split, which only looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, Unpack

from whilst.errors import SplitError
from whilst.model import Decision, Timeline
from whilst.model.decision import Evidence as Figure
from whilst.running.call_names import name_of
from whilst.running.core.outputs import ListSink
from whilst.running.options import Keywords, Options, OptionsError, shows_keywords
from whilst.running.policies.choosing import gives_coroutines
from whilst.running.splitting.chunks import Blocks, By, Chunks, chunks, kind_of
from whilst.running.splitting.division import Cut, Division
from whilst.running.splitting.evidence import Evidence, is_known, require_no_memory
from whilst.running.splitting.fold import NOTHING, Partial, fold_part
from whilst.running.splitting.joining import JoiningSink
from whilst.running.splitting.recursion import Recursion, Tree, solve_in_parts, try_joining
from whilst.running.splitting.same import copied
from whilst.running.splitting.sampling import Join, sample
from whilst.running.splitting.verdict import SplitAnswer, SplitReport, SplitVerdict
from whilst.running.verbs.run import run_to_end

_NOT_CHECKED = SplitVerdict(SplitAnswer.NOT_CHECKED, 0, "nobody looked, since check=False was passed")


@shows_keywords("errors", "on_result")
def reduce(
    step: Callable[[Any, Any], Any],
    items: Iterable[Any],
    initial: Any = NOTHING,
    *,
    of: Callable[[Any], Any] | None = None,
    combine: Callable[[Any, Any], Any] | None = None,
    parts: int | None = None,
    check: bool = True,
    report: Callable[[SplitReport], object] | None = None,
    **keywords: Unpack[Keywords],
) -> Any:
    """Give what `functools.reduce(step, map(of, items), initial)` gives, with the items divided into parts.

    `whilst.reduce(operator.add, range(10**8), 0, of=work)`;
    `whilst.reduce(count_line, whilst.chunks(Path("log.txt")), Counter, combine=operator.add)`.

    Each part is folded by itself, from the initial value on; what the parts gave is joined in order, in a tree that
    depends on their number alone. So the result has the same bits in every mode and with any number of workers.

    Args:
        step: (value, element) -> value; may change and return the value that it is given.
        items: what `whilst.chunks` gives, or anything that it takes; its elements (lines, of a file) are folded.
        initial: what each part begins with, and what comes of no elements at all. Something that can be called
            (`Counter`, `list`) is called for each part, anything else is copied for each. Without it a part begins with
            its first element.
        of: element -> what is folded in its place.
        combine: (value, value of the parts after it) -> value; may change what it is given. None: `step` itself.
        parts: how many at most; see `whilst.chunks`.
        check: hold the partial results against the undivided fold as they come (a few elements are folded again).
        report: is called with a `SplitReport` at the end: decision, timeline, verdict.
        keywords: those of `whilst.map`; a call is a part, so that `timeout_s`, `retries` and `journal` count parts.
    Raises:
        SplitError: the parts don't give what the whole does; the message shows three values.
        TypeError: no elements and no initial value, or what is passed can't be used.
        Whatever `of`, `step` or `combine` raised, with a note that names the element.
    """
    for name, fn in (("step", step), ("of", of), ("combine", combine)):
        _require_function("reduce", name, fn, is_needed=fn is step)
    options = _options("reduce", keywords)
    if kind_of(items) in ("pandas", "polars"):
        raise TypeError(
            "reduce() folds elements, and a frame has none that would be its rows. Pass frame.itertuples() or "
            "frame.iter_rows(), one column as an array."
        )
    divided = _divided(items, parts)
    start = None if initial is NOTHING else initial if callable(initial) else partial(copied, initial)
    if start is not None:
        _begin(start)
    joins = combine or step
    # An operator's types are looked at where they may prove something.
    fold = partial(fold_part, step, of, start, sees_types=check and joins is step and is_known(step))
    sized = divided if isinstance(divided, Chunks) else None
    count = None if sized is None else len(sized)
    evidence = None
    if check:
        first = sized[0] if sized else ()
        is_by_element = joins is step and isinstance(first, Sized) and len(first) == 1
        after = partial(_after, divided)
        evidence = Evidence(joins, step, of, start, after, count, lambda: sink.values, is_by_element=is_by_element)
        require_no_memory(fold, first)

    def see(answer: Partial) -> Any:
        if evidence is not None:
            evidence.see(answer)
        return answer.value

    sink = JoiningSink(joins, see)
    run = run_to_end("reduce", fold, divided if sized is None else list(sized), "item", options, sink)
    if evidence is not None:
        evidence.finish()
    if sink.count:
        result = sink.result()
    elif start is not None:
        result = start()
    else:
        raise TypeError("reduce() of nothing, and there is no initial value: pass one, e.g. reduce(step, items, 0).")
    if report is not None:
        report(_report(run, evidence.verdict() if evidence else _NOT_CHECKED, sink.count))
    return result


@shows_keywords("errors", "on_result")
def split(
    fn: Callable[[Any], Any],
    whole: Any,
    *,
    cut: By | Cut | None = None,
    join: Join | None = None,
    parts: int | None = None,
    check: bool = True,
    report: Callable[[SplitReport], object] | None = None,
    **keywords: Unpack[Keywords],
) -> Any:
    """Give what `fn(whole)` gives, from calls of `fn` on parts of it.

    `image = whilst.split(blur_rows, array)`; `table = whilst.split(clean, frame)`;
    `sums = whilst.split(sum_by_customer, frame, cut=whilst.by("customer"))`.

    Args:
        fn: a function of the whole that does the same for its rows or elements by themselves.
        whole: a numpy array (parts are views of rows; workers forked from this program have them in their memory), a
            pandas or polars frame or series (its index is kept), a list or another sequence.
        cut: None: between rows. `whilst.by("column")`: between groups of rows. A function from a whole to its parts,
            which depends on nothing else.
        join: makes one result of the list of those of the parts; None: arrays and frames along their first axis, lists,
            tuples and texts one after the other.
        parts: how many at most; None: 64.
        check: hold, before the work, samples undivided against the same in parts. It costs some 20 ms of a core, or,
            where rows take long, about 15 rows in a thousand (of fewer than a thousand, four).
        report: is called with a `SplitReport` at the end: decision, timeline, verdict.
        keywords: those of `whilst.map`; a call is a part.
    Returns:
        The joined results; where there is but one part, or nothing to divide, `fn(whole)`.
    Raises:
        SplitError: the parts don't give what the whole does (three values show it), or can't be cut or joined.
        Whatever `fn` raised, with a note that names the part.
    """
    _require_function("split", "fn", fn, is_needed=True)
    options = _options("split", keywords)
    division = Division(whole, cut, parts)
    verdict = _sampled(fn, division, join) if check else _NOT_CHECKED
    divided = division.parts()
    results: list[Any] = []
    run = run_to_end("split", fn, divided, "item", options, ListSink(results))
    joined = results[0] if len(divided) == 1 else (join or division.join)(results)
    if report is not None:
        report(_report(run, verdict, len(divided)))
    return joined


@shows_keywords("errors", "on_result")
def divide(
    solve: Callable[[Any], Any],
    problem: Any,
    *,
    split: Callable[[Any], Iterable[Any]],
    join: Callable[..., Any],
    is_small: Callable[[Any], bool],
    check: bool = True,
    report: Callable[[SplitReport], object] | None = None,
    **keywords: Unpack[Keywords],
) -> Any:
    """Give what `solve(problem)` gives, by divide and conquer.

    `whilst.divide(sorted, xs, split=halve, join=merge, is_small=lambda part: len(part) < 50_000)`.

    The tree of problems depends on the problem alone. Its first levels, down to 64 branches or more (16, where they are
    sequences of about one length), are made here; a branch is a call, and is divided further by whoever makes it.
    Results are joined in order.

    Args:
        solve: problem -> result, of a small one.
        split: problem -> two or more problems.
        join: their results, in order -> result. Called as `join(left, right)`, or with the list of them where it takes
            one argument alone.
        is_small: whether a problem is solved undivided.
        check: hold, before the work, small problems solved undivided against the same divided and joined: some elements
            of a sequence, or, of another problem, a branch that is at least six divisions deep.
        report: is called with a `SplitReport` at the end: decision, timeline, verdict.
        keywords: those of `whilst.map`; a call is a branch.
    Raises:
        SplitError: joined, a problem gives something else than solved (three values show it); or it falls into fewer
            than two, or is divided without end.
        Whatever the functions raised, with a note that names the branch.
    """
    for name, fn in (("solve", solve), ("split", split), ("join", join), ("is_small", is_small)):
        _require_function("divide", name, fn, is_needed=True)
    options = _options("divide", keywords)
    recursion = Recursion(solve, split, join, is_small)
    verdict = try_joining(recursion, problem) if check else _NOT_CHECKED
    tree = Tree(recursion, problem)
    call = partial(solve_in_parts, solve, split, join, is_small)
    if check and len(tree.branches) > 1:
        require_no_memory(call, tree.branches[0])
    results: list[Any] = []
    run = run_to_end("divide", call, tree.branches, "item", options, ListSink(results))
    result = tree.join(results)
    if report is not None:
        report(_report(run, verdict, len(tree.branches)))
    return result


def check_split(
    fn: Callable[[Any], Any],
    whole: Any,
    *,
    cut: By | Cut | None = None,
    join: Join | None = None,
    parts: int | None = None,
) -> SplitVerdict:
    """Say whether `whilst.split(fn, whole, ...)` gives what `fn(whole)` does, as far as stretches of it tell.

    Looks more closely than `split` does: at up to 16 cuts, with ten times the rows. The arguments are those of `split`.

    Returns:
        A verdict, which is true in a condition unless the division was shown to be wrong; `values` are then the three
        that show it: the result of a stretch, of its part before the cut, and of its part after it.
    Raises:
        Whatever `fn` raised of every stretch; SplitError, if the whole can't be cut.
    """
    _require_function("check_split", "fn", fn, is_needed=True)
    division = Division(whole, cut, parts)
    try:
        return _sampled(fn, division, join, thoroughly=True)
    except SplitError as error:
        return SplitVerdict(SplitAnswer.WRONG, 0, str(error), error.values)


def _sampled(
    fn: Callable[[Any], Any], division: Division, join: Join | None, *, thoroughly: bool = False
) -> SplitVerdict:
    if division.cuts:
        require_no_memory(fn, division.stretch(0, 1).whole)
    return sample(fn, division, join, thoroughly=thoroughly)


def _options(verb: str, keywords: Keywords) -> Options:
    options = Options.of(verb, keywords)
    if options.errors != "raise":
        raise OptionsError(f"{verb}() needs all of its parts, so that errors={options.errors!r} has no meaning here.")
    if options.on_result is not None:
        raise OptionsError(f"{verb}() has one result, made of its parts: on_result= is for map() and the like.")
    return options


def _require_function(verb: str, name: str, fn: object, *, is_needed: bool = False) -> None:
    if fn is None and not is_needed:
        return
    if not callable(fn):
        raise TypeError(f"{verb}() takes a function for {name}, got {fn!r}. Pass the function itself, not its result.")
    if gives_coroutines(fn):
        raise TypeError(
            f"{verb}() takes a plain function for {name}, and {name_of(fn)} gives a coroutine. Get what it waits for "
            f"with whilst.map first."
        )


def _divided(whole: Any, parts: int | None) -> Chunks | Blocks:
    if not isinstance(whole, Chunks | Blocks):
        return chunks(whole, parts)
    if parts is not None:
        raise SplitError(f"{whole!r} were cut already: pass parts={parts} to chunks(), or the whole itself.")
    return whole


def _begin(start: Callable[[], Any]) -> None:
    """Before any work: can the initial value be made, for each part anew?"""
    try:
        start()
    except Exception as error:
        raise SplitError(
            f"The initial value can't be made for each part ({type(error).__name__}: {error}). Pass a function without "
            f"arguments that makes it, e.g. list, or lambda: Counter()."
        ) from error


def _after(divided: Chunks | Blocks, number: int) -> Iterator[Any] | None:
    """The elements from a part on; None where they are not known yet."""
    if isinstance(divided, Blocks):
        return chain.from_iterable(divided.first[number:]) if divided.is_known else None
    return chain.from_iterable(divided[each] for each in range(number, len(divided)))


def _report(
    run: tuple[Callable[[], Decision], Callable[[], Timeline], float], verdict: SplitVerdict, parts: int
) -> SplitReport:
    decision = run[0]()
    said = Figure(
        "parts", float(parts), "", f"{parts} part{'' if parts == 1 else 's'}, {verdict.answer}: {verdict.reason}"
    )
    decision = replace(decision, evidence=(*decision.evidence, said), given_up=(*decision.given_up, *verdict.remarks))
    return SplitReport(decision, run[1](), verdict, parts)
