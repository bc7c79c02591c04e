"""The verbs that run calls: map, starmap, imap, imap_unordered, gather.

Each builds a run (job, input, policy, sink) and has the driver move it on: map and gather until the end, imap and
imap_unordered as far as the reader asks.
"""

from __future__ import annotations

import sys
from _contextvars import copy_context
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from time import perf_counter_ns

from whilst.running.backends import open_backend
from whilst.running.call_names import add_note, name_of
from whilst.running.calls.one_argument import Awaiter, per_worker_function
from whilst.running.core.driver import Driver
from whilst.running.core.inline import perform_lazily
from whilst.running.core.inputs import Source
from whilst.running.core.outputs import ListSink, OrderedSink, Sink, UnorderedSink
from whilst.running.core.recorder import Recorder
from whilst.running.jobs import Job, Limits, next_job_id
from whilst.running.options import Keywords, LateUnpack, Options, OptionsError, shows_keywords
from whilst.running.policies.choosing import choose_policy, gives_coroutines
from whilst.running.results import Results

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Any, Literal, TypeVar, Unpack, overload

    from whilst.model import Decision, Timeline
    from whilst.running.calls.caller_loop import CallerLoop
    from whilst.running.core.journal import Journal
    from whilst.running.core.pacing.pace import Pace
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

_POLL_NS = 1_000_000
"""How often workers are fed while the reader takes its time with the results of one batch."""


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
        *tasks: Callable[[], Any] | Awaitable[Any], errors: Literal["return"], **keywords: Unpack[OtherKeywords]
    ) -> Results[Any]: ...
    @overload
    def gather(first: Later[A], second: Later[B], /, **keywords: Unpack[Keywords]) -> Results[A | B]: ...
    @overload
    def gather(
        first: Later[A], second: Later[B], third: Later[C], /, **keywords: Unpack[Keywords]
    ) -> Results[A | B | C]: ...
    @overload
    def gather(*tasks: Later[A], **keywords: Unpack[Keywords]) -> Results[A]: ...
    @overload
    def gather(first: Callable[[], A], second: Callable[[], B], /, **keywords: Unpack[Keywords]) -> Results[A | B]: ...
    @overload
    def gather(
        first: Callable[[], A], second: Callable[[], B], third: Callable[[], C], /, **keywords: Unpack[Keywords]
    ) -> Results[A | B | C]: ...
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


class Stream(Iterable[R]):
    """The results of a lazy run; also knows its `decision` and its `timeline` so far."""

    def __init__(
        self,
        verb: str,
        fn: Callable[..., Any],
        items: Iterable[Any],
        sink: OrderedSink | UnorderedSink,
        options: Options,
    ) -> None:
        self._run = Run(verb, fn, items, "item", options, sink, is_lazy=True)
        self._sink = sink
        self._values: Iterator[R] = _stream(self._run, sink)

    def __iter__(self) -> Iterator[R]:
        # The generator itself: a loop over it costs less than one through __next__. It also ends the run when
        # the loop lets go of it.
        return self._values

    def __next__(self) -> R:
        return next(self._values)

    def close(self) -> None:
        """End the run now: what has not begun never does."""
        self._values.close()  # type: ignore[attr-defined]

    def decide(self) -> Decision:
        """Make only the calls that it takes to decide how to run, and end; their results are dropped."""
        driver, sink = self._run.driver, self._sink
        try:
            with self._run:
                while not (driver.is_over or driver.is_decided()):
                    driver.advance()
                    sink.ready.clear()
                    sink.undelivered = 0
        finally:
            driver.close(kill=True)
        return self.decision

    def call_before_overlap(self, callback: Callable[[], None]) -> None:
        """Have this called before calls are made by anybody but the reader."""
        self._run.driver.on_pool = callback

    def take_exits_as_failures(self) -> None:
        """Before the first result: a call that raises SystemExit has failed, and does not end the program."""
        driver, failures = self._run.driver, (Exception, SystemExit)
        driver.job.failures, driver.limits = failures, driver.limits._replace(failures=failures)

    @property
    def done(self) -> int:
        """How many calls have ended so far."""
        return self._run.driver.status.done

    @property
    def recalled(self) -> int:
        """How many results came from the journal so far."""
        return self._run.recalled

    @property
    def decision(self) -> Decision:
        """How the calls are run, as of now."""
        return self._run.decision_later()()

    @property
    def timeline(self) -> Timeline:
        """Who made which call when, so far."""
        return self._run.timeline()


class Run:
    """What one call of a verb consists of.

    Args:
        awaits: where the run is awaited, the caller's loop; calls are then in no thread of the caller's.
    """

    def __init__(
        self,
        verb: str,
        fn: Callable[..., Any],
        items: Iterable[Any] | Source,
        how: How,
        options: Options,
        sink: Sink,
        *,
        is_lazy: bool,
        awaits: CallerLoop | None = None,
    ) -> None:
        start_ns = perf_counter_ns()
        if awaits is None and "asyncio" in sys.modules:
            from whilst.running.verbs.loop_warning import warn_on_running_loop

            warn_on_running_loop(verb)
        self.context = copy_context()
        self.options = options
        self.name = verb if how == "call" else name_of(fn)
        is_raising = options.errors == "raise"
        if how == "call":
            calls: list[Any] = list(items)  # type: ignore[arg-type]
            items, is_coroutine = calls, bool(calls) and all(gives_coroutines(call[0]) for call in calls)
            if options.retry_on and any(call[0] is _awaited for call in calls):
                raise OptionsError(
                    f"{verb}() takes retry_on with functions and coroutine functions: what is awaited once can't be "
                    f"begun again. Pass lambda: fetch(url) instead of fetch(url)."
                )
        else:
            if not isinstance(items, Source):
                require_call(verb, fn, items)
            is_coroutine = gives_coroutines(fn)
        job = Job(
            next_job_id(),
            fn,
            how,
            is_coroutine=is_coroutine,
            context=self.context,
            seed=options.seed,
            stops_at_error=is_raising,
            timeout_s=options.timeout_s,
        )
        job.awaits, job.is_detached = awaits, awaits is not None
        source, journal = items if isinstance(items, Source) else Source(items, is_lazy=is_lazy), None
        if options.journal is not None:
            if how == "call":
                raise OptionsError("gather() takes no journal: its tasks have no items to be known by.")
            # Loaded by those who ask for it: SQLite is more than a short run otherwise needs.
            from whilst.running.core.journal import journaled

            source, sink, journal = journaled(job, items, sink, options.journal)  # type: ignore[arg-type]
        pace: Pace | None = None
        if options.is_paced:
            from whilst.running.core.pacing.pace import pace_of

            pace = pace_of(options)
        if journal is None and pace is None and options.on_result is None and isinstance(sink, ListSink):
            source.results = sink.values
        policy = choose_policy(job, source, options, is_lazy=is_lazy)
        self._journal: Journal | None = journal
        self._ends_run = False
        self._bar: AbstractContextManager[Callable[[int], None] | None] | None = None
        self.driver = Driver(
            job,
            source,
            policy,
            sink,
            Limits(
                retries=options.most_retries,
                stops_at_error=is_raising,
                timeout_s=options.timeout_s,
                is_lazy=is_lazy,
                is_one_by_one=journal is not None,
                begins_when_sent=options.rate_per_s is not None,
            ),
            Recorder(self.name, start_ns, is_lazy=is_lazy),
            partial(
                open_backend,
                in_background=is_lazy,
                keeps_order_of_output=type(sink) is not UnorderedSink,
                caller_loop=None if awaits is None else awaits.loop,
            ),
            pace,
        )
        self.driver.on_result = options.on_result
        if options.on_result is not None and awaits is not None:
            self.driver.on_result = partial(awaits.call, options.on_result)

        # Of the recorder alone: results must not keep the whole run alive, least of all in a circle.
        self.timeline: Callable[[], Timeline] = partial(self.driver.recorder.timeline, self.name)

    def decision_later(self) -> Callable[[], Decision]:
        """How the calls were run, once it is asked for; see `Policy.decision_later`."""
        later, journal = self.driver.decision_later(), self._journal
        why = self.driver.source.why_one_by_one
        if why:
            return lambda: _drawn_one_by_one(later(), why)
        return later if journal is None else lambda: journal.noted(later())

    @property
    def recalled(self) -> int:
        """How many results came from the journal so far."""
        return 0 if self._journal is None else self._journal.recalled

    def __enter__(self) -> None:
        """Before the first step: what surrounds the run, and is closed with it."""
        if (begin := per_worker_function("begin_run")) is not None:
            self._ends_run = True
            begin()
        if self._journal is not None:
            self._journal.__enter__()
            self.driver.source.start()
        if self.options.progress:
            from whilst.running.verbs.progress import progress_bar

            self._bar = progress_bar(self.name, self.driver.source.length, done=self.recalled)
            self.driver.on_progress = self._bar.__enter__()
            if self._journal is not None:
                self._journal.on_recall = self.driver.on_progress

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._bar is not None:
                self._bar.__exit__(kind, error, trace)
        finally:
            try:
                self.driver.policy.close()
                if self._ends_run and (end := per_worker_function("end_run")) is not None:
                    end()
            finally:
                if self._journal is not None:
                    self._journal.__exit__(kind, error, trace)


_MAY_BE_WHY = ("It ", "Workers ")
"""What a function does, and what its workers may lack, may be why it failed."""


def _drawn_one_by_one(decision: Decision, why: str) -> Decision:
    from dataclasses import replace

    text = (
        f"Calls did not overlap: each item was drawn once the call before it was made, from an input {why}; "
        f"to a process goes a copy of it"
    )
    return replace(decision, given_up=(*decision.given_up, text))


def _map(verb: str, fn: Callable[..., Any], items: Iterable[Any], how: How, keywords: Keywords) -> Results[Any]:
    __tracebackhide__ = True
    results: Results[Any] = Results()
    return results.complete(*run_to_end(verb, fn, items, how, Options.of(verb, keywords), ListSink(results)))


def run_to_end(
    verb: str, fn: Callable[..., Any], items: Iterable[Any], how: How, options: Options, sink: Sink
) -> tuple[Callable[[], Decision], Callable[[], Timeline], float]:
    """Make all calls; return what gives the decision and the timeline, and the length in seconds.

    Raises:
        Whatever ended the run: see `map`. What the sink raises ends it at once.
    """
    __tracebackhide__ = True  # a notebook leaves such frames out
    run = Run(verb, fn, items, how, options, sink, is_lazy=False)
    driver = run.driver
    try:
        with run:
            driver.run()
        error = noted_error(driver)
    except KeyboardInterrupt as interrupt:
        error = interrupt
    if error is not None:
        if isinstance(error, KeyboardInterrupt):
            from whilst.running.verbs.interrupts import say_how_far

            say_how_far(error, driver, run.recalled)
        try:
            raise error
        finally:
            # The error's traceback holds this frame: without this the frame would hold the error.
            del error, run, driver, sink
    length_s = (driver.recorder.end_ns - driver.recorder.start_ns) / 1e9
    return run.decision_later(), run.timeline, length_s


def _stream(run: Run, sink: OrderedSink | UnorderedSink) -> Iterator[Any]:
    driver, ready, awaiter = run.driver, sink.ready, Awaiter()
    try:
        with run:
            while True:
                while ready:
                    chunk = ready.popleft()
                    sink.undelivered -= len(chunk)
                    next_poll_ns = perf_counter_ns() + _POLL_NS
                    for value in chunk:
                        yield value
                        if perf_counter_ns() > next_poll_ns:
                            driver.poll()
                            next_poll_ns = perf_counter_ns() + _POLL_NS
                if driver.is_over:
                    break
                stretch = driver.advance()
                if stretch:
                    driver.note((yield from perform_lazily(driver.job, driver.source, stretch, awaiter)))
        driver.end()
    finally:
        driver.close(kill=True)
        awaiter.close()
    error = noted_error(driver)
    if error is not None:
        try:
            raise error
        finally:
            del error, run, driver, sink


def noted_error(driver: Driver) -> BaseException | None:
    """What the run failed with, with notes of what was given up that may be why."""
    error = driver.error
    if isinstance(error, Exception):
        for text in driver.policy.decision().given_up:
            if text.startswith(_MAY_BE_WHY):
                add_note(error, f"whilst: {text}")
    return error


def require_call(verb: str, fn: object, items: object) -> None:
    """Before any work: something to call, and something to call it on."""
    if not callable(fn):
        raise TypeError(f"{verb}() makes calls of a function, got {fn!r}. Pass the function itself: {verb}(fn, items).")
    is_async = hasattr(items, "__aiter__") and verb.startswith("a")
    if not (hasattr(items, "__iter__") or hasattr(items, "__getitem__") or is_async):
        if hasattr(items, "__aiter__"):
            raise TypeError(f"{verb}() takes items to loop over, got the async iterable {items!r}. Use a{verb}().")
        raise TypeError(f"{verb}() takes items to loop over, got {items!r}. For a single call, pass [{items!r}].")


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def as_call(task: Callable[[], Any] | Awaitable[Any]) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    if isinstance(task, Awaitable):
        return _awaited, (task,), {}
    if not callable(task):
        raise TypeError(
            f"gather() takes functions without arguments, got {task!r}. To pass arguments, write "
            f"functools.partial(fn, …) or lambda: fn(…)."
        )
    return task, (), {}
