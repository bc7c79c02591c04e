"""What a run with `retry_on`, `rate_per_s` or `deadline_s` waits for: calls to be made again, permits, its end.

The driver asks before each call begins, and when one has failed. Nothing here begins or ends a call.
"""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from functools import partial
from heapq import heappop, heappush
from itertools import count
from time import perf_counter_ns

from whilst.errors import DeadlineExceededError
from whilst.model import Evidence
from whilst.model.lengths import seconds_text
from whilst.running.backends import traits_of
from whilst.running.core.pacing.rate_limit import RateLimit
from whilst.running.jobs import CALLER, Batch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Final

    from whilst.model import Decision
    from whilst.running.core.pacing.retrying import Retrying
    from whilst.running.jobs import Finished, Job
    from whilst.running.options import Options

_LONGEST_S: Final = 0.1
"""Whoever waits here looks up this often."""


class Pace:
    """One for each run that has one of the three."""

    def __init__(
        self,
        retrying: Retrying | None,
        rate_per_s: float | None,
        deadline_s: float | None,
        *,
        gives_errors: bool = False,
        has_number: bool = False,
    ) -> None:
        self.retrying = retrying
        self._gives_errors = gives_errors
        """Who asks gets what was done, whatever ends the run."""
        self.rate = None if rate_per_s is None else RateLimit(rate_per_s)
        self._deadline_s = deadline_s
        self._deadline_ns: int | None = None
        self._done: int | None = None
        """Calls that were done when the run's time was over."""
        self._before = 0
        """Calls that another process has made of this run; `_whole`: how many it has in all, where that is so."""
        self._whole: int | None = None
        self._waiting: list[tuple[int, int, Job, int, object]] = []
        """Calls that are to be made again: when (ns), a number that keeps them apart, job, call, item."""
        self._order = count()
        self._news = threading.Event()
        self._length_ns = self._calls = 0
        """Of the calls made so far."""
        self._makers: set[int] = set()
        """Workers that have made some."""
        self._has_number = has_number
        """It was said how many workers there shall be."""

    # ---------------------------------------------------------------- calls that are to be made again

    @property
    def waiting(self) -> int:
        """How many there are."""
        return len(self._waiting)

    def has_waiting_below(self, number: int) -> bool:
        """Is a call before this one to be made again?"""
        return any(each[3] < number for each in self._waiting)

    def drop_above(self, number: int) -> None:
        """This call has ended the run: those after it are not made again."""
        self._waiting = sorted(each for each in self._waiting if each[3] < number)

    def makes_again(self, job: Job, number: int, item: object, error: BaseException) -> bool:
        """The call has raised this: shall it be made again? Then it waits here for its time."""
        wait_s = None if self.retrying is None else self.retrying.wait_s(number, error)
        if wait_s is None:
            return False
        heappush(self._waiting, (perf_counter_ns() + int(wait_s * 1e9), next(self._order), job, number, item))
        return True

    def hold_after(self, job: Job, numbers: Iterable[int], items: Mapping[int, object]) -> None:
        """Calls of the batch that ended with the call that waits here now: they come after it."""
        due_ns = max(self._waiting)[0]
        for number in numbers:
            heappush(self._waiting, (due_ns, next(self._order), job, number, items[number]))

    def due(self) -> Batch | None:
        """The next call whose time has come."""
        if not self._waiting or self._waiting[0][0] > perf_counter_ns():
            return None
        _, _, job, number, item = heappop(self._waiting)
        return Batch(-1, job, (number,), (item,))

    def take_all(self) -> Iterable[tuple[Job, int, object]]:
        """Give up those that wait."""
        waiting, self._waiting = self._waiting, []
        return [(job, number, item) for _, _, job, number, item in waiting]

    # ---------------------------------------------------------------- permits and the end

    def begin(self) -> None:
        """The run begins, unless it has."""
        if self._deadline_s is not None and self._deadline_ns is None:
            self._deadline_ns = perf_counter_ns() + int(self._deadline_s * 1e9)

    def go_on(self, began_ns: int, done: int, whole: int) -> None:
        """This goes on with a run that began then, and of which so many calls are done."""
        self._before, self._whole = done, whole
        if self._deadline_s is not None:
            self._deadline_ns = began_ns + int(self._deadline_s * 1e9)

    @property
    def is_one_by_one(self) -> bool:
        """No more than one call may be begun without asking again."""
        return self.rate is not None or self._deadline_s is not None

    @property
    def is_late(self) -> bool:
        """The run's time is over."""
        return self._deadline_ns is not None and perf_counter_ns() >= self._deadline_ns

    def may_begin(self) -> bool:
        """May one more call begin now?"""
        return self.rate is None or not self.rate.wait_ns(perf_counter_ns())

    def begun(self, calls: int, at_ns: int | None = None) -> None:
        """So many begin now, or have begun before."""
        if self.rate is not None and calls:
            self.rate.begin(perf_counter_ns() if at_ns is None else at_ns, calls)

    def wait_s(self, *, is_in_hand: bool) -> float:
        """How long the caller's own thread waits before its next call: those to be made again come first, as in a loop.

        Args:
            is_in_hand: the next call is none of those that wait here.
        """
        now_ns = perf_counter_ns()
        wait_ns = 0 if self.rate is None else self.rate.wait_ns(now_ns)
        if self._waiting and not is_in_hand:
            wait_ns = max(wait_ns, self._waiting[0][0] - now_ns)
        if self._deadline_ns is not None:
            wait_ns = min(wait_ns, self._deadline_ns - now_ns)
        return max(wait_ns, 0) / 1e9

    def limit_s(self, longest_s: float | None) -> float | None:
        """How long to wait for something else, at most: `longest_s`, or less if something here comes before."""
        now_ns = perf_counter_ns()
        times = [] if longest_s is None else [longest_s]
        if self._waiting:
            times.append((self._waiting[0][0] - now_ns) / 1e9)
        if self.rate is not None and (wait_ns := self.rate.wait_ns(now_ns)):
            times.append(wait_ns / 1e9)
        if self._deadline_ns is not None:
            times.append((self._deadline_ns - now_ns) / 1e9)
        return max(min(times), 0.0) if times else None

    def sleep(self, seconds: float) -> None:
        """Wait so long, or until somebody calls `wake`, or a little if it is long."""
        self._news.wait(min(seconds, _LONGEST_S))
        self._news.clear()

    def wake(self) -> None:
        """From any thread."""
        self._news.set()

    def late(self, done: int, whole: int | None) -> DeadlineExceededError:
        """The error of a run whose time is over."""
        if self._done is None:
            self._done = self._before + done
        whole = whole if self._whole is None else self._whole
        of = "of an unknown number of" if whole is None else f"of {whole:,}"
        remedy = "" if self._gives_errors else ", or pass errors='return' to get what was done"
        return DeadlineExceededError(
            f"deadline_s={self._deadline_s:g} was over when {self._done:,} {of} calls were done. "
            f"Give it more time{remedy}."
        )

    def fail_late(self, finished: Finished, error: BaseException) -> Finished:
        """The last of these calls, made by the caller itself, ended after the deadline: it has failed, as elsewhere."""
        late = [number for number in finished.ids[-1:] if number not in finished.errors]
        return finished._replace(errors={**finished.errors, **dict.fromkeys(late, error)})

    # ---------------------------------------------------------------- what there is to say

    def note(self, finished: Finished) -> None:
        """An answer has come."""
        if finished.worker != CALLER and finished.ids:
            self._makers.add(finished.worker)
        if finished.starts_ns is not None and finished.ends_ns is not None:
            self._calls += len(finished.ends_ns)
            self._length_ns += sum(finished.ends_ns) - sum(finished.starts_ns)

    def adding_to(self, later: Callable[[], Decision]) -> Callable[[], Decision]:
        """The same decision, with what the pace did to the run. Holds on to nothing of the run."""
        found = []
        if self.rate is not None:
            call_s = self._length_ns / 1e9 / self._calls if self._calls else None
            taken = len(self._makers)
            found.append(rate_in_words(self.rate.per_s, call_s, taken if self._has_number else None))
            if taken and not self._has_number:
                later = partial(_as_taken, later, taken)
        if self.retrying is not None and (said := self.retrying.said()):
            found.append(("made again", float(self.retrying.by_error.total()), "", said))
        return partial(_added, later, tuple(found))


def pace_of(options: Options) -> Pace:
    """What a run with these options waits for."""
    retrying = None
    if options.retry_on:
        from whilst.running.core.pacing.retrying import Retrying

        on = options.retry_on if isinstance(options.retry_on, tuple) else (options.retry_on,)
        retrying = Retrying(on, options.most_retries, seed=options.seed)
    return Pace(
        retrying,
        options.rate_per_s,
        options.deadline_s,
        gives_errors=options.errors == "return",
        has_number=options.workers is not None,
    )


def rate_in_words(per_s: float, call_s: float | None, taken: int | None = None) -> tuple[str, float, str, str]:
    """Name, value, unit and text of what a rate means for the number of calls at once.

    Args:
        per_s: calls that may begin a second.
        call_s: what one takes, if that is known.
        taken: how many of the workers that were asked for had calls to make.
    """
    text = f"no more than {per_s:g} calls begin a second (rate_per_s)"
    if call_s is not None:
        enough = useful_at_once(per_s, call_s)
        text += f": of a call of {seconds_text(call_s)} more than {enough} at once would gain nothing"
        text += f", and {taken} worker{'' if taken == 1 else 's'} had some to make" if taken else ""
    return "rate", per_s, "calls/s", text


def useful_at_once(per_s: float, call_s: float) -> int:
    """By Little's law: calls in progress are the rate at which they begin times how long each takes."""
    return max(math.ceil(per_s * call_s), 1)


def _as_taken(later: Callable[[], Decision], taken: int) -> Decision:
    """With the number of threads that the rate left calls for, where there might have been more."""
    decision = later()
    has_fewer = traits_of(decision.backend).has_threads and taken < decision.workers
    return replace(decision, workers=taken) if has_fewer else decision


def _added(later: Callable[[], Decision], found: tuple[tuple[str, float, str, str], ...]) -> Decision:
    decision = later()
    return replace(decision, evidence=(*decision.evidence, *(Evidence(*each) for each in found)))
