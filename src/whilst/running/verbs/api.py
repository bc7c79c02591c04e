"""The verbs that run calls: map, starmap, imap, imap_unordered, gather.

Each builds a run (`verbs.run`) and has it moved on: map, starmap and gather until the end, imap and imap_unordered as
far as the reader asks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from whilst.running.core.outputs import ListSink, OrderedSink, UnorderedSink
from whilst.running.options import Keywords, LateUnpack, Options, shows_keywords
from whilst.running.results import Results
from whilst.running.verbs.arguments import as_call
from whilst.running.verbs.run import Stream, run_to_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any, Literal, TypeVar, Unpack, overload

    from whilst.running.jobs import How
    from whilst.running.options import OtherKeywords

    T = TypeVar("T")
    R = TypeVar("R")
    A = TypeVar("A")
    B = TypeVar("B")
    C = TypeVar("C")
    Later = Callable[[], Coroutine[Any, Any, R]] | Awaitable[R]
else:  # for those who resolve annotations
    R = Any = object
    Unpack = LateUnpack


if TYPE_CHECKING:

    @overload
    def map(  # noqa: A001 - the name that multiprocessing.Pool has for it
        fn: Callable[[T], Coroutine[Any, Any, R]],
        items: Iterable[T],
        /,
        *,
        errors: Literal["return"],
        **keywords: Unpack[OtherKeywords],
    ) -> Results[R | Exception]: ...
    @overload
    def map(  # noqa: A001 - the name that multiprocessing.Pool has for it
        fn: Callable[[T], Coroutine[Any, Any, R]], items: Iterable[T], /, **keywords: Unpack[Keywords]
    ) -> Results[R]: ...
    @overload
    def map(  # noqa: A001 - the name that multiprocessing.Pool has for it
        fn: Callable[[T], R], items: Iterable[T], /, *, errors: Literal["return"], **keywords: Unpack[OtherKeywords]
    ) -> Results[R | Exception]: ...
    @overload
    def map(  # noqa: A001 - the name that multiprocessing.Pool has for it
        fn: Callable[[T], R], items: Iterable[T], /, **keywords: Unpack[Keywords]
    ) -> Results[R]: ...


@shows_keywords()
def map(fn: Callable[[Any], Any], items: Iterable[Any], /, **keywords: Unpack[Keywords]) -> Results[Any]:  # noqa: A001
    """Make the call `fn(item)` for every item; return the results in the order of the items.

    Args:
        fn: a function or a coroutine function.
        items: any iterable that ends.

    Keywords:
        mode="auto": measures and decides; or "sequential", "concurrent", "parallel", "combined".
        workers=None: how many threads, processes or calls in flight; None: as the mode finds good.
        backend=None: a back end by name ("inline", "threads", "eventloop", "processes", …) instead of the mode's own.
        timeout_s=None: seconds that one call may take before it fails with `TimeoutExceededError`.
        deadline_s=None: seconds that the whole run may take before it fails with `DeadlineExceededError`.
        retries=None: how often at most a call is made again that was lost because its worker died, or that raised one
            of retry_on; None: 0, or 3 with retry_on.
        retry_on=(): exceptions after which a call is made again, after an exponential back-off with full jitter and
            no sooner than their `Retry-After` says.
        rate_per_s=None: how many calls begin per second at most, over the whole run.
        errors="raise": ends the run with the first error; "return" puts errors in the place of results.
        seed=None: a whole number that sets `random` and `numpy.random` for each call, together with the item's number.
        progress=False: True for a bar with rate and time left, if stderr is a terminal.
        on_result=None: called here with (number of the item, result or exception) as each call is done.
        pilot="inline": where mode="auto" makes the first calls; in a "worker" a crash is survived.
        journal=None: a file that remembers finished calls, so that a run that was killed goes on where it stopped.
        on=None: a Dask cluster that makes the calls: a client, a cluster object, or an address as "tcp://host:8786";
            [None, cluster] weighs this machine against it.

    Returns:
        A list with `.decision`, `.timeline` and `.report()`.
    Raises:
        Whatever a call raised: the first item, in their order, whose call fails ends the run, with a note that
        names the item. `imap` gives the results before it first; with errors="return" errors stand in the list.
        WorkerDiedError, TimeoutExceededError, NotPicklableError: a call could not be made or ended.
    """
    __tracebackhide__ = True
    return _map("map", fn, items, "item", keywords)


if TYPE_CHECKING:

    @overload
    def starmap(
        fn: Callable[..., Coroutine[Any, Any, R]],
        items: Iterable[Iterable[Any]],
        /,
        *,
        errors: Literal["return"],
        **keywords: Unpack[OtherKeywords],
    ) -> Results[R | Exception]: ...
    @overload
    def starmap(
        fn: Callable[..., Coroutine[Any, Any, R]], items: Iterable[Iterable[Any]], /, **keywords: Unpack[Keywords]
    ) -> Results[R]: ...
    @overload
    def starmap(
        fn: Callable[..., R],
        items: Iterable[Iterable[Any]],
        /,
        *,
        errors: Literal["return"],
        **keywords: Unpack[OtherKeywords],
    ) -> Results[R | Exception]: ...
    @overload
    def starmap(
        fn: Callable[..., R], items: Iterable[Iterable[Any]], /, **keywords: Unpack[Keywords]
    ) -> Results[R]: ...


@shows_keywords()
def starmap(fn: Callable[..., Any], items: Iterable[Iterable[Any]], /, **keywords: Unpack[Keywords]) -> Results[Any]:
    """Make the call `fn(*item)` for every item; otherwise like `map`."""
    __tracebackhide__ = True
    return _map("starmap", fn, items, "star", keywords)


if TYPE_CHECKING:

    @overload
    def gather(
        *tasks: Later[A], errors: Literal["return"], **keywords: Unpack[OtherKeywords]
    ) -> Results[A | Exception]: ...
    @overload
    def gather(
        *tasks: Callable[[], A], errors: Literal["return"], **keywords: Unpack[OtherKeywords]
    ) -> Results[A | Exception]: ...
    @overload
    def gather(
        *tasks: Callable[[], Any] | Awaitable[Any], errors: Literal["return"], **keywords: Unpack[OtherKeywords]
    ) -> Results[Any]: ...
    @overload
    def gather(first: Later[A], second: Later[B], /, **keywords: Unpack[Keywords]) -> Results[A | B]: ...
    @overload
    def gather(first: Later[A], second: Callable[[], B], /, **keywords: Unpack[Keywords]) -> Results[A | B]: ...
    @overload
    def gather(first: Callable[[], A], second: Later[B], /, **keywords: Unpack[Keywords]) -> Results[A | B]: ...
    @overload
    def gather(first: Callable[[], A], second: Callable[[], B], /, **keywords: Unpack[Keywords]) -> Results[A | B]: ...
    @overload
    def gather(
        first: Later[A], second: Later[B], third: Later[C], /, **keywords: Unpack[Keywords]
    ) -> Results[A | B | C]: ...
    @overload
    def gather(
        first: Later[A], second: Later[B], third: Callable[[], C], /, **keywords: Unpack[Keywords]
    ) -> Results[A | B | C]: ...
    @overload
    def gather(
        first: Later[A], second: Callable[[], B], third: Later[C], /, **keywords: Unpack[Keywords]
    ) -> Results[A | B | C]: ...
    @overload
    def gather(
        first: Later[A], second: Callable[[], B], third: Callable[[], C], /, **keywords: Unpack[Keywords]
    ) -> Results[A | B | C]: ...
    @overload
    def gather(
        first: Callable[[], A], second: Later[B], third: Later[C], /, **keywords: Unpack[Keywords]
    ) -> Results[A | B | C]: ...
    @overload
    def gather(
        first: Callable[[], A], second: Later[B], third: Callable[[], C], /, **keywords: Unpack[Keywords]
    ) -> Results[A | B | C]: ...
    @overload
    def gather(
        first: Callable[[], A], second: Callable[[], B], third: Later[C], /, **keywords: Unpack[Keywords]
    ) -> Results[A | B | C]: ...
    @overload
    def gather(
        first: Callable[[], A], second: Callable[[], B], third: Callable[[], C], /, **keywords: Unpack[Keywords]
    ) -> Results[A | B | C]: ...
    @overload
    def gather(*tasks: Later[A], **keywords: Unpack[Keywords]) -> Results[A]: ...
    @overload
    def gather(*tasks: Callable[[], A], **keywords: Unpack[Keywords]) -> Results[A]: ...
    @overload
    def gather(*tasks: Callable[[], Any] | Awaitable[Any], **keywords: Unpack[Keywords]) -> Results[Any]: ...


@shows_keywords("journal")
def gather(*tasks: Callable[[], Any] | Awaitable[Any], **keywords: Unpack[Keywords]) -> Results[Any]:
    """Do different tasks, each a function without arguments, a coroutine function or an awaitable.

    Returns:
        Their results in the order of the tasks: `a, b = whilst.gather(get_passport, make_slides)`.
    Raises:
        As `map` does.
    """
    __tracebackhide__ = True
    calls = [as_call(task) for task in tasks]
    return _map("gather", as_call, calls, "call", keywords)


if TYPE_CHECKING:

    @overload
    def imap(
        fn: Callable[[T], Coroutine[Any, Any, R]],
        items: Iterable[T],
        /,
        *,
        errors: Literal["return"],
        **keywords: Unpack[OtherKeywords],
    ) -> Stream[R | Exception]: ...
    @overload
    def imap(
        fn: Callable[[T], Coroutine[Any, Any, R]], items: Iterable[T], /, **keywords: Unpack[Keywords]
    ) -> Stream[R]: ...
    @overload
    def imap(
        fn: Callable[[T], R], items: Iterable[T], /, *, errors: Literal["return"], **keywords: Unpack[OtherKeywords]
    ) -> Stream[R | Exception]: ...
    @overload
    def imap(fn: Callable[[T], R], items: Iterable[T], /, **keywords: Unpack[Keywords]) -> Stream[R]: ...


@shows_keywords()
def imap(fn: Callable[[Any], Any], items: Iterable[Any], /, **keywords: Unpack[Keywords]) -> Stream[Any]:
    """Like `map`, but lazily: results come in the order of the items while the run goes on.

    The input may be endless: it is read no further ahead than the workers need. Nothing begins before the first
    result is asked for; whoever stops reading ends the run.
    """
    return Stream("imap", fn, items, OrderedSink(), Options.of("imap", keywords))


if TYPE_CHECKING:

    @overload
    def imap_unordered(
        fn: Callable[[T], Coroutine[Any, Any, R]],
        items: Iterable[T],
        /,
        *,
        errors: Literal["return"],
        **keywords: Unpack[OtherKeywords],
    ) -> Stream[R | Exception]: ...
    @overload
    def imap_unordered(
        fn: Callable[[T], Coroutine[Any, Any, R]], items: Iterable[T], /, **keywords: Unpack[Keywords]
    ) -> Stream[R]: ...
    @overload
    def imap_unordered(
        fn: Callable[[T], R], items: Iterable[T], /, *, errors: Literal["return"], **keywords: Unpack[OtherKeywords]
    ) -> Stream[R | Exception]: ...
    @overload
    def imap_unordered(fn: Callable[[T], R], items: Iterable[T], /, **keywords: Unpack[Keywords]) -> Stream[R]: ...


@shows_keywords()
def imap_unordered(fn: Callable[[Any], Any], items: Iterable[Any], /, **keywords: Unpack[Keywords]) -> Stream[Any]:
    """Like `imap`, but results come as they are completed."""
    return Stream("imap_unordered", fn, items, UnorderedSink(), Options.of("imap_unordered", keywords))


def _map(verb: str, fn: Callable[..., Any], items: Iterable[Any], how: How, keywords: Keywords) -> Results[Any]:
    __tracebackhide__ = True
    results: Results[Any] = Results()
    return results.complete(*run_to_end(verb, fn, items, how, Options.of(verb, keywords), ListSink(results)))
