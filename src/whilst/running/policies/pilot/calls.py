"""The first calls of mode="auto": real ones, made in the caller's thread, measured while they are made.

The first has nothing but clocks read around it: if it is over in microseconds, most often nothing else is ever looked
into. The next ones are watched: a probe asks for the GIL, the code was scanned for what it writes, what can be
reached is looked at before and after, and so are the files that are touched. One more is made with BLAS and OpenMP
held to one thread where they were seen to fill other cores: it tells whether two such calls side by side would be
faster. Makes calls and measures them; what follows from it is decided elsewhere.
"""

from __future__ import annotations

import builtins
import math
import time
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType

from whilst.measuring import clocks
from whilst.running.calls.perform import Cell, perform
from whilst.running.jobs import CALLER, Batch, Finished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import Any, Final

    from whilst.measuring.files.footprints import Footprints
    from whilst.measuring.pilot import Pilot
    from whilst.measuring.writes.reachable import Reachable
    from whilst.model import Decision
    from whilst.running.calls.one_argument import Awaiter
    from whilst.running.core.inputs import Source
    from whilst.running.jobs import Job

_SLOW_S: Final = 1e-3
"""Items for longer calls are taken from an iterator one by one until it is decided."""
_WATCHED_S: Final = 0.012
"""So long is watched in all before the share of the GIL is believed (the GIL probe looks every few milliseconds)."""
_MOST_CALLS: Final = 64
_FILE_CALLS: Final = 4
"""How many calls that write files are watched: only several names together tell whose the files are."""
_FILE_WORDS: Final = frozenset(
    [
        "open",
        "exec",
        "eval",
        "__import__",
        "import_module",
        "os",
        "io",
        "pathlib",
        "shutil",
        "tempfile",
        "subprocess",
        "sqlite3",
        "dbm",
        "shelve",
        "zipfile",
        "tarfile",
        "gzip",
        "bz2",
        "lzma",
        "mmap",
        "csv",
        "write_text",
        "write_bytes",
        "unlink",
        "touch",
        "rename",
        "mkdir",
        "rmdir",
        "hardlink_to",
        "symlink_to",
    ]
)
"""Names of what is imported within a function, or needs no import, and writes files."""
_LOOP_S: Final = 0.05
"""Of a run that takes less, a function's next one is not looked into if the last was looked into and best made here."""
_LONGEST_REMEMBERED_S: Final = 0.2
"""To look into a longer run costs less than a hundredth of it."""
_LIKE: Final = 1.5
"""Runs up to this many times as long are like the last one."""
_MOST_REMEMBERED: Final = 256
_made_here: Final[dict[CodeType, tuple[float, float, Callable[[], Decision] | None]]] = {}
"""Of functions whose last run was short and made in the caller's thread: seconds of a call, those of a run up to which
there is nothing to be gained by finding that out again, map after map, and what was said of it. It is the mode that a
look could only have confirmed."""
_NATIVE_SHARE: Final = 0.2
_WORTH_TRIAL: Final = 8
"""Fewer calls left than this do not pay for a trial with fewer native threads."""


class PilotCalls:
    """Makes the first calls. `pilot` is what is known from them.

    Args:
        awaiter: awaits the coroutines that calls give.
        is_lazy: somebody reads the results one by one: no call is made before its turn.
    """

    def __init__(self, job: Job, source: Source, awaiter: Awaiter, *, is_lazy: bool) -> None:
        self._job = job
        self._source = source
        self._awaiter = awaiter
        self._is_lazy = is_lazy
        self._measured: Pilot | None = None
        self._first_lap: clocks.Lap | None = None
        self._reachable: Reachable | None = None
        self._files: Footprints | None = None
        self._unseen: Sequence[object] | None = None
        """The item of the first call, if nothing was looked at before that."""
        self._first_print: object = None
        """Of that item, as it was before its call; None where that can't be seen, or can't change."""
        self._has_tried = False
        self.call_s = 0.0
        """The last call."""
        self.last: tuple[object, object] | None = None
        """Item and result of the last call that gave one."""
        self._next_print: object = None
        """Of the next item, as it was when the last call was over; None where it can't be seen, or can't change."""
        self.limited_native_s: float | None = None
        """Seconds of a call with BLAS and OpenMP held to one thread, once that was tried."""

    @property
    def pilot(self) -> Pilot:
        if self._measured is None:
            from whilst.measuring.files.footprints import Footprints
            from whilst.measuring.pilot import Pilot

            if self._unseen is not None:
                self._look_at(self._unseen[0])
            self._measured = Pilot(
                self._job.fn,
                self._job.how,
                self._job.is_coroutine,
                reachable=self._reachable,
                files=self._files or Footprints(is_watching=False),
            )
            if self._first_lap is not None:
                self._measured.add(self._first_lap)
        return self._measured

    def first(self) -> Finished:
        """Make one call with nothing but the clocks read around it."""
        first = self._source.next_id
        items = self._source.take(1)
        if not items:
            return _nothing(first)
        preloading = None
        if not _names_nothing(self._job.fn):
            left = self._source.left
            if left is not None and self.is_known(left):
                self._unseen = items
            else:
                self._look_at(items[0]).begin(items[0])
        if self._files is not None:
            from whilst.running.core.preload import preload

            preloading = preload()
        try:
            start = clocks.read(is_short=True)
            finished = self._make(first, items)
            self._first_lap = start.until(clocks.read(is_short=True))
        finally:
            if preloading is not None:
                preloading.stop()
            if self._files is not None:
                self._files.end()
        if preloading is not None:
            others_s = max(0.0, self._first_lap.others_s - preloading.cpu_s)
            self._first_lap = self._first_lap._replace(others_s=others_s)
        self._keep(items, finished, self._first_lap)
        return finished

    def is_known(self, left: int, call_s: float | None = None) -> bool:
        """Was the last run of this function best made here, and is this one as short, by its first call?

        Args:
            left: how many calls there are.
            call_s: seconds of one; as they were in the last run where none is given.
        """
        code = _code_of(self._job.fn)
        known = None if code is None else _made_here.get(code)
        if known is None:
            return False
        known_s, bound_s, _ = known
        call_s = known_s if call_s is None else call_s
        return call_s <= 2 * known_s and left * call_s <= bound_s

    def said_of_last(self) -> Callable[[], Decision] | None:
        """What was said of the last run of this function, which is known; None where it was not looked into, either."""
        code = _code_of(self._job.fn)
        known = None if code is None else _made_here.get(code)
        return None if known is None else known[2]

    def remember(self, call_s: float, calls: int, later: Callable[[], Callable[[], Decision]] | None = None) -> None:
        """A run of so many calls, made here, is over: if it was short, and worked, no other mode would be faster.

        Args:
            later: gives what says the decision, and holds on to nothing of the run.
        """
        code, pilot = _code_of(self._job.fn), self._measured
        if code is None:
            return
        run_s = call_s * calls
        bound_s, said = _LIKE * run_s, None
        if pilot is not None and pilot.laps:  # it was looked into
            if pilot.mostly_waits or run_s > _LONGEST_REMEMBERED_S:
                _made_here.pop(code, None)
                return
            bound_s, said = max(_LOOP_S, bound_s), None if later is None else later()
        elif run_s > _LOOP_S or self.is_known(calls, call_s):
            return
        if len(_made_here) >= _MOST_REMEMBERED:
            _made_here.clear()
        _made_here[code] = call_s, bound_s, said

    def _look_at(self, item: object) -> Footprints:
        """See what calls can reach, as it is now, and whether they may come by files."""
        from whilst.measuring.files.filecode import may_touch_files
        from whilst.measuring.files.footprints import Footprints
        from whilst.measuring.pilot import print_of
        from whilst.measuring.writes.reachable import Reachable, libraries_of

        self._reachable = Reachable(self._job.fn)
        self._first_print = print_of(item)
        # What an item can do is not known by its name: a path of a library's class has methods of its own.
        libraries = self._reachable.libraries | libraries_of(item)
        self._files = Footprints(is_watching=may_touch_files(self._reachable.names, libraries))
        return self._files

    def is_enough(self) -> bool:
        """Does the first call tell all? It mostly waited, and its function writes nothing."""
        if self.last is None or self._unseen is not None or self._next_print is not None:
            return False
        from whilst.measuring.pilot import may_change, print_of

        if self._first_print is not None and print_of(self.last[0]) != self._first_print:
            return False  # what its calls do to their items is looked at with the next one
        pilot = self.pilot
        pilot.look_into(self.last[0])
        if self._is_lazy and pilot.reachable is not None and pilot.reachable.holds_data():
            return False  # whether whoever reads the results changes it, the next call tells
        if pilot.callbacks is not None and pilot.callbacks.found:
            return False  # whether calls come by these, the next one tells
        lap = pilot.laps[0]
        if not pilot.is_settled or pilot.may_differ or self._source.waits_for_calls:
            return False
        if self._source.peek(1) is None and (may_change(self.last[0]) or not _names_nothing(self._job.fn)):
            return False  # what the input does to its items, or to what calls look at, the next one tells
        if pilot.files.writes_files or pilot.unclear:  # whose they are, and whether it settles, another call tells
            return False
        return lap.wait_s > 0.5 * lap.alone_s and lap.children_s < 0.2 * lap.alone_s and not pilot.writes

    def another(self) -> Finished:
        """Make one call (or some short ones together) under the GIL probe."""
        from whilst.measuring.pilot import print_of

        pilot = self.pilot
        first = self._source.next_id
        is_pulled = self._source.peek(1) is None
        if self._is_lazy:
            pilot.compare_after_reader()
        # An iterator may go by what the calls have done so far: then they must take turns.
        if is_pulled:
            pilot.expect_item()
        try:
            items = self._source.take(1 if is_pulled and self.call_s > _SLOW_S else self._size())
        finally:
            if is_pulled:
                pilot.compare_after_item()
        if not items:
            return _nothing(first)
        pilot.look_into(items[0])
        if self._next_print is not None and print_of(items[0]) != self._next_print:
            pilot.note_input("which whoever reads the results changes")
        if self._is_trial_due():
            return self._try_limited(first, items)
        pilot.begin(items[0])
        made = 1
        try:
            finished = self._make(first, items)
            made = max(1, len(finished.ids))
        finally:
            lap = pilot.end(items[0], calls=made)
        self._keep(items, finished, lap)
        return finished

    def is_clear(self, left: int | None) -> bool:
        """Nothing more to learn from a watched call."""
        pilot = self.pilot
        if pilot.unclear and pilot.calls < 6:
            return False
        if pilot.files.writes_files and pilot.calls < _FILE_CALLS and not pilot.files.writes():
            return False
        if pilot.reachable is not None and pilot.reachable.has_grown and pilot.calls < 6:
            return False  # what became of what is new, the next call tells
        if pilot.scan.caches and pilot.calls < min(32, (left or 256) // 30):
            return False  # a cache may be filling: a few per cent of the calls are made here to see
        laps = pilot.laps[1:]
        watched = sum(lap.alone_s for lap in laps)
        looks = pilot.seen.held + pilot.seen.free + sum(pilot.seen.waits.values())
        is_seen = bool(laps) and (looks >= 4 or watched >= 4 * _WATCHED_S or pilot.calls >= 2 * _MOST_CALLS)
        return is_seen and not (self._wants_trial(left))

    def forget(self) -> None:
        """The calls to come are not like those made so far."""
        self.pilot.forget()

    # ---------------------------------------------------------------- native threads

    def _wants_trial(self, left: int | None) -> bool:
        """BLAS or OpenMP fill other cores: what would a call take with one thread of them?"""
        pilot = self.pilot
        if self._has_tried or self._is_lazy or pilot.writes or (left is not None and left < _WORTH_TRIAL):
            return False
        laps = pilot.laps[1:] or pilot.laps
        return sum(lap.others_s for lap in laps) > _NATIVE_SHARE * sum(lap.alone_s for lap in laps)

    def _is_trial_due(self) -> bool:
        return not self._has_tried and self.pilot.calls >= 2 and self._wants_trial(self._source.left)

    def _try_limited(self, first: int, items: Sequence[object]) -> Finished:
        self._has_tried = True
        with limited_native_threads(1):
            start = clocks.read()
            finished = self._make(first, items)
            lap = start.until(clocks.read())
        self.limited_native_s = lap.alone_s / max(1, len(finished.ids))
        return finished

    # ---------------------------------------------------------------- calls

    def _make(self, first: int, items: Sequence[object]) -> Finished:
        batch = Batch(-1, self._job, range(first, first + len(items)), items)
        return perform(batch, CALLER, Cell(), self._awaiter)

    def _keep(self, items: Sequence[object], finished: Finished, lap: clocks.Lap) -> None:
        self.call_s = lap.alone_s
        if not finished.errors:
            self.last = (items[0], finished.values[0])
        following = self._source.peek(1) if self._is_lazy else None
        if following:
            from whilst.measuring.pilot import print_of

            self._next_print = print_of(following[0])

    def _size(self) -> int:
        """How many calls to watch together: short ones must add up to something the GIL probe can see."""
        if self._is_lazy or self.pilot.files.writes_files:
            return 1
        return max(1, min(_MOST_CALLS, math.ceil(0.5 * _WATCHED_S / max(self.call_s, 1e-6))))


def limited_native_threads(count: int) -> AbstractContextManager[object]:
    """Hold the BLAS and OpenMP of this process to `count` threads within."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:  # pragma: no cover - a required dependency, but a run must not fail for it
        from contextlib import nullcontext

        return nullcontext()
    limits: Callable[..., Any] = threadpool_limits
    return limits(limits=count)  # type: ignore[no-any-return]


def _code_of(fn: Any) -> CodeType | None:
    """The code that calls of this run, where that is the user's own Python."""
    if issubclass(type(fn), MethodType):
        fn = fn.__func__
    if not issubclass(type(fn), FunctionType):
        fn = getattr(type(fn), "__call__", None)  # noqa: B004 - its code is asked for, not whether there is any
    return fn.__code__ if issubclass(type(fn), FunctionType) else None


def _nothing(first: int) -> Finished:
    now = time.perf_counter_ns()
    return Finished(CALLER, -1, range(first, first), [], now, now)


def _names_nothing(fn: Any) -> bool:
    """Is it a plain function that gets at nothing but its arguments and builtins? Most very short ones are.

    A builtin (`len`, `str`) is like a function that does nothing but call it.
    """
    if type(fn) in (BuiltinFunctionType, type):
        name = str(getattr(fn, "__name__", ""))
        return vars(builtins).get(name) is fn and name not in _FILE_WORDS
    if not issubclass(type(fn), FunctionType) or fn.__closure__ or fn.__defaults__ or fn.__kwdefaults__:
        return False
    code = fn.__code__
    if not _FILE_WORDS.isdisjoint(code.co_names):
        return False
    return not any(isinstance(each, CodeType) for each in code.co_consts) and fn.__globals__.keys().isdisjoint(
        code.co_names
    )
