"""What the driver asks while a run goes on: how many workers now, how big a batch, may the caller help?

The driver (`running.core.driver`) owns the input, the back end and the results; a policy owns none of them. It is
shown a `RunStatus`, answers with `Directives`, and is told every answer that comes in. `mode="auto"` is a policy that
makes the first calls inline, decides, and goes on adapting; the policy of a mode that was asked for
(`policies.fixed`) hardly ever changes its directives. Directives may change at any time, the back end included: the
driver lets what is in hand finish and goes on with the new one.
"""

from __future__ import annotations

from whilst._light import Record
from whilst.running.backends.base import BackendConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from whilst.model import Decision
    from whilst.running.core.inputs import Source
    from whilst.running.jobs import Finished, Job


INLINE = BackendConfig()


class Directives(Record):
    """What the driver is to do until the next directives."""

    config: BackendConfig = INLINE
    """The back end to have open. "inline" has none: nothing is started."""
    workers: int = 0
    """How many workers there should be. Growing starts some; shrinking lets some end after what they hold."""
    batch: int = 1
    """How many calls go to a worker at once. The driver cuts batches smaller when little is left."""
    least: int = 1
    """Fewer calls than this are not worth a hand-over of their own, near the end either."""
    ahead: int = 1
    """How many batches a worker holds beyond those that fill its slots, so that it need not wait for more."""
    slots: int | None = None
    """Calls that one worker of an event loop back end has in flight at once; None: as in the config."""
    inline: int = 0
    """How many calls the caller makes itself now, before it looks at events again (0: none; it waits)."""
    is_plain: bool = False
    """Calls made inline need not go through `perform`: where a reader takes results one by one, each is made
    when it is asked for, and a stretch of them is told to `observe` (worker `CALLER`), its length that of the
    calls."""
    is_timed: bool = True
    """Read the clock around every call rather than around every batch: cheap above some 10 µs a call."""
    look_again_s: float | None = None
    """Ask again after this time, though nothing has happened; None: when it suits the driver."""


class RunStatus:
    """The run as it stands. One object, kept up to date by the driver: read it, don't keep it."""

    def __init__(self, started_ns: int = 0) -> None:
        self.started_ns = started_ns
        """`time.perf_counter_ns` when the verb was called."""
        self.now_ns = 0
        self.left: int | None = None
        """Calls that nobody has been given yet; None where the input does not know its length."""
        self.done = 0
        self.in_hand = 0
        """Calls that workers hold, begun or not."""
        self.starting = 0
        """Workers that were started and are not ready yet."""
        self.ready = 0
        self.idle = 0
        """Ready workers that hold nothing."""
        self.ending = 0
        """Workers that were told to end after what they hold."""
        self.blocked = False
        """The reader of a lazy run has not taken what is done: nothing more is read ahead now."""


class Policy:
    """Decides, and never acts: it starts nothing and waits for nothing (its inline calls excepted)."""

    inspects_values: bool = False
    """Also pass answers without errors to `retry_refused`: a refusal may be a return value."""

    @property
    def is_decided(self) -> bool:
        """Whether the next directives rest on all that is to be found out before the run goes on as it will."""
        return True

    def directives(self, status: RunStatus) -> Directives:
        """What to do now. Asked before every wait, thus often: must cost microseconds."""
        raise NotImplementedError

    def perform(self, job: Job, source: Source, count: int) -> Finished:
        """Make up to `count` calls here, in the caller's thread, because the directives said so (`inline`).

        `running.core.inline.perform_inline(job, source, count)` does it the fast way; a pilot measures around it, or
        takes the items with `source.take(count)` and makes the calls as it likes: every item taken must be
        called exactly once, and be answered in what is returned, in order (less where one raised and
        `job.stops_at_error`). The worker of the answer is `CALLER`. KeyboardInterrupt passes through. What the answer
        teaches is learned here: it is not passed to `observe`.
        """
        raise NotImplementedError

    def observe(self, finished: Finished) -> None:
        """An answer came in that `perform` did not make: from a worker, or from the reader of a lazy run."""

    def retry_refused(self, finished: Finished) -> Sequence[int]:  # noqa: ARG002 - mostly no answer is a refusal
        """Return the calls of an answer that were refused rather than carried out, and are to be made again.

        Asked before `observe`, of every answer with errors; of all answers where the policy `inspects_values`.
        """
        return ()

    def worker_failed(self, status: RunStatus, error: BaseException) -> bool:  # noqa: ARG002 - for those that act
        """A worker could not be started. The pool tries again; after some failures the run has failed.

        Returns:
            Whether no more are wanted: the next directives ask for another back end.
        """
        return False

    def admits(self, first: int, items: Sequence[object]) -> bool:  # noqa: ARG002 - for those that look
        """May these items go to the workers that there are? Asked before they do, of all that are taken.

        Args:
            first: the number of the first of them.

        Returns:
            False where the next directives ask for another back end, which makes these calls once the others are over.
        """
        return True

    def changes_items(self, item: object) -> bool:  # noqa: ARG002 - nothing is known of any
        """May a call change an item of this kind, as far as is known?

        Asked where workers could take items from memory that they were forked with: a call that changes one would
        then change it for later calls in that worker, too. Calls that were sent their items have copies.
        """
        return True

    def decision(self) -> Decision:
        """What was decided, with its history. Asked when the run is over, or by a reader in its midst."""
        raise NotImplementedError

    def decision_later(self) -> Callable[[], Decision]:
        """The same, once it is asked for: made of what is known now, and holding on to nothing of the run."""
        decision = self.decision()
        return lambda: decision

    def close(self) -> None:
        """The run is over: let go of what inline calls needed."""
