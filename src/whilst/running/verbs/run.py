"""What one call of a verb consists of, moved on until its end, or as far as the reader of a stream asks.

A run is a job, its input, a policy, a sink, and what surrounds them: a journal, a bar, what workers have opened.
"""

from __future__ import annotations

import sys
from _contextvars import copy_context
from collections.abc import Callable, Iterable
from functools import partial
from time import perf_counter_ns

from whilst.running.backends import open_backend
from whilst.running.call_names import add_note, name_of
from whilst.running.calls.one_argument import Awaiter, per_worker_function
from whilst.running.core.driver import Driver
from whilst.running.core.inline import perform_lazily
from whilst.running.core.inputs import Source
from whilst.running.core.outputs import ListSink, OrderedSink, Sink, UnorderedSink, reader_here
from whilst.running.core.recorder import Recorder
from whilst.running.jobs import Job, Limits, next_job_id
from whilst.running.options import Options, OptionsError
from whilst.running.policies.choosing import choose_policy, gives_coroutines
from whilst.running.verbs.arguments import awaited, require_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Any, TypeVar

    from whilst.model import Decision, Timeline
    from whilst.running.calls.caller_loop import CallerLoop
    from whilst.running.core.journal import Journal
    from whilst.running.core.pacing.pace import Pace
    from whilst.running.jobs import How

    R = TypeVar("R")
else:  # for those who resolve annotations
    R = object

_POLL_NS = 1_000_000
"""How often workers are fed while the reader takes its time with the results of one batch."""


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
            if options.retry_on and any(call[0] is awaited for call in calls):
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
        if awaits is not None:
            source.reader = awaits.reader
        if journal is None and pace is None and options.on_result is None and isinstance(sink, ListSink):
            source.results = sink.values
        policy = choose_policy(job, source, options, is_lazy=is_lazy)
        self.pace = pace
        self._journal: Journal | None = journal
        self._opened: Any = None
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
        if self._journal is not None:
            self._journal.__enter__()
            self.driver.source.start()
        if self.options.progress:
            from whilst.running.verbs.progress import progress_bar

            self._bar = progress_bar(self.name, self.driver.source.length, done=self.recalled)
            self.driver.on_progress = self._bar.__enter__()
            if self._journal is not None:
                self._journal.on_recall = self.driver.on_progress
        # Last: where something above raises, nothing ends what has begun.
        if (begin := per_worker_function("begin_run")) is not None:
            self._opened = begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._bar is not None:
                self._bar.__exit__(kind, error, trace)
        finally:
            try:
                self.driver.policy.close()
            finally:
                try:
                    if self._opened is not None:
                        per_worker_function("end_run")(self._opened)
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

    def __repr__(self) -> str:
        from whilst.running.verbs.interrupts import how_far

        return f"<Stream: {self._run.name:.60}: {how_far(self._run.driver, self.recalled)}>"

    def __next__(self) -> R:
        __tracebackhide__ = True
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

    def go_on(self, began_ns: int, done: int, whole: int) -> None:
        """Before the first result: this goes on with a run that began then, and of whose calls so many are done."""
        if self._run.pace is not None:
            self._run.pace.go_on(began_ns, done, whole)

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


def _stream(run: Run, sink: OrderedSink | UnorderedSink) -> Iterator[Any]:
    __tracebackhide__ = True
    driver, ready, awaiter = run.driver, sink.ready, Awaiter()
    driver.source.reader = reader_here()
    ends_ns: list[int] = []
    """Of the calls that are made here and now, of which the driver does not know yet."""
    try:
        try:
            with run:
                try:
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
                            ends_ns = []
                            driver.note(
                                (yield from perform_lazily(driver.job, driver.source, stretch, awaiter, ends_ns))
                            )
                            ends_ns = []
                except BaseException:  # whoever stops reading, too: a bar ends with what was done
                    if driver.on_progress is not None and ends_ns:
                        driver.on_progress(len(ends_ns))
                    raise
            driver.end()
        finally:
            try:
                driver.close(kill=True)
            finally:
                awaiter.close()
        error = noted_error(driver)
    except KeyboardInterrupt as interrupt:
        error = interrupt
    if error is not None:
        if isinstance(error, KeyboardInterrupt):
            from whilst.running.verbs.interrupts import say_how_far

            say_how_far(error, driver, run.recalled + len(ends_ns))
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
