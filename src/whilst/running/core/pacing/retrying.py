"""Whether and when a call that raised is made again: exponential back-off with full jitter.

After its k-th attempt (k from 0) a call waits for a time drawn evenly from 0 to min(30 s, 0.1 s * 2^k): the "full
jitter" of Marc Brooker, "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015). Of the ways compared there it
takes the fewest attempts: calls that failed together must not come back together. Where the exception says when to
come again (`Retry-After`, RFC 9110, section 10.2.3), that time is waited for first, and the drawn one besides, for the
same reason. Waits for nothing itself.
"""

from __future__ import annotations

import random
import time
from collections import Counter, deque

from whilst.model.lengths import seconds_text
from whilst.running.call_names import add_note, short

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Final

BASE_S: Final = 0.1
"""The longest wait after the first attempt; it doubles with each."""
LONGEST_S: Final = 30.0
_MOST_DOUBLINGS: Final = 40
_MOST_NOTED: Final = 8
"""Attempts that an error tells of: the last ones."""


class Retrying:
    """What became of the attempts of calls, by their numbers.

    Args:
        on: a call that raised one of these is made again.
        most: how often at most. Shared with calls that were lost with their worker (`tried`).
        seed: the waits of call k are drawn from (seed, k); None: at random.
        now_s: the time of day in seconds, which a `Retry-After` may name a point in.
    """

    def __init__(
        self,
        on: tuple[type[BaseException], ...],
        most: int,
        *,
        seed: int | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._on = on
        self._most = most
        self._seed = seed
        self._now_s = now_s
        self._random = random.Random()  # noqa: S311 - no secrets
        self.tried: dict[int, int] = {}
        """How often each open call was made again so far."""
        self._attempts: dict[int, deque[str]] = {}
        """What those of open calls raised."""
        self.by_error: Counter[str] = Counter()
        """Calls made again, by the name of what they raised."""
        self.waited_s = 0.0
        """All waits together."""

    def wait_s(self, number: int, error: BaseException) -> float | None:
        """The call has raised this: after how many seconds is it made again? None: never."""
        tried = self.tried.get(number, 0)
        if not isinstance(error, self._on) or tried >= self._most:
            return None
        self.tried[number] = tried + 1
        said_s = retry_after_s(error, self._now_s())
        wait_s = (said_s or 0.0) + self._draw(number, tried)
        name = type(error).__name__
        self.by_error[name] += 1
        self.waited_s += wait_s
        why = f", as long as its Retry-After and {seconds_text(wait_s - said_s)}" if said_s else ""
        raised = f"{name}: {short(str(error))}"
        told = f"whilst: attempt {tried + 1} raised {raised}; made again {seconds_text(wait_s)} later{why}"
        self._attempts.setdefault(number, deque(maxlen=_MOST_NOTED)).append(told)
        return wait_s

    def _draw(self, number: int, tried: int) -> float:
        most_s = min(LONGEST_S, BASE_S * 2 ** min(tried, _MOST_DOUBLINGS))
        if self._seed is None:
            return self._random.uniform(0, most_s)
        return random.Random(f"{self._seed} {number} {tried}").uniform(0, most_s)  # noqa: S311

    def settle(self, number: int, error: BaseException | None) -> None:
        """That is the end of the call: an error gets the trace of what was tried before."""
        attempts, tried = self._attempts.pop(number, None), self.tried.pop(number, 0)
        if error is None or attempts is None:
            return
        for told in attempts:
            add_note(error, told)
        add_note(error, f"whilst: attempt {tried + 1} was the last (retries={self._most})")

    def said(self) -> str:
        """What was made again, in words; "" for nothing."""
        if not self.by_error:
            return ""
        count = self.by_error.total()
        by = ", ".join(f"{each:,} after {name}" for name, each in self.by_error.most_common())
        waited = f"with waits of {seconds_text(self.waited_s)} in all"
        return f"{count:,} attempt{'' if count == 1 else 's'} more ({by}), {waited}"


def retry_after_s(error: BaseException, now_s: float) -> float | None:
    """When an exception says to come again: `retry_after`, or the header of its answer, in seconds or as a date.

    Args:
        now_s: the time of day, seconds since the epoch.
    """
    try:
        for said in _said_by(error):
            seconds = _seconds(said, now_s)
            if seconds is not None:
                return seconds
    except Exception:  # a user's object may refuse to be asked
        return None
    return None


def _said_by(error: Any) -> Iterator[object]:
    yield getattr(error, "retry_after", None)
    for holder in (error, getattr(error, "response", None)):
        headers: Mapping[str, object] | None = getattr(holder, "headers", None)
        if headers is not None:
            for name in ("Retry-After", "retry-after"):
                yield headers.get(name)


def _seconds(said: object, now_s: float) -> float | None:
    if isinstance(said, bytes):
        said = said.decode("ascii", "replace")
    if hasattr(said, "total_seconds"):
        said = said.total_seconds()
    if said is None or isinstance(said, bool) or not isinstance(said, str | int | float):
        return None
    try:
        seconds = float(said)
    except ValueError:
        from email.utils import parsedate_to_datetime

        try:
            seconds = parsedate_to_datetime(str(said)).timestamp() - now_s
        except ValueError:
            return None
    return max(seconds, 0.0) if seconds < float("inf") else None  # neither inf nor nan
