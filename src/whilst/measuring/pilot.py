"""The first calls of a run, measured while they are made: real calls, made once, whose results are kept.

`Pilot` is told around each call; it never makes one. What it has learnt so far is a `Profile` at any time. The
very first call is kept apart: it may load a model or open a connection that the others only use.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from types import CodeType
from typing import TYPE_CHECKING, Any, Final

from whilst import model
from whilst.inspecting.library_settings import set_for_this_thread
from whilst.inspecting.objects import is_a
from whilst.inspecting.ownership import holds_lock, is_own_type
from whilst.inspecting.settings import settings_now
from whilst.measuring import clocks
from whilst.measuring.callbacks import Callbacks
from whilst.measuring.files.footprints import Footprints
from whilst.measuring.gil_probe import GilProbe, Sightings
from whilst.measuring.writes.abstract_value import ABSENT
from whilst.measuring.writes.item_code import ItemCode
from whilst.measuring.writes.reachable import AROUND, Found, Reachable, libraries_of
from whilst.measuring.writes.scan import scan
from whilst.measuring.writes.snapshots import Watchlist, fingerprint, settings_left, suspected
from whilst.measuring.writes.suspects import Reach, Scan

if TYPE_CHECKING:
    from whilst.measuring import payload

_COLD: Final = 3.0
"""So many times what later calls work may the first ones do, as far as is known of one of them alone,"""
_LEVEL: Final = 1.25
"""and where the next ones worked as much."""
_MANY_CALLS: Final = 16
"""First calls in a smaller number say little about the work of later ones."""
_MANY_ITEMS: Final = 64
_LONG_S: Final = 0.05
"""What takes less in a first call does no harm if every thread does it."""
_LOCKED: Final = 0.1
"""Below this share of a call's waiting a lock held meanwhile limits nothing."""
_DRAWS: Final = "the shared random generator"
_FILE_S: Final = 100e-6
"""What opening, writing or deleting a small file takes."""


class _Stream:
    """Stands for `sys.stdout`, and notes that something was written."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.has_heard = False

    def write(self, text: str) -> int:
        self.has_heard = True
        return self._stream.write(text)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Ear:
    """Listens from when it is made until `close`, which says whether something was printed: by a call, or by an input
    while it is asked for an item.

    Calls that overlap print in the order of their items. Where the input prints as well, its lines belong between
    theirs, and there they are only if item and call take turns.
    """

    def __init__(self) -> None:
        self._outer = sys.stdout
        self._stream = None if self._outer is None else _Stream(self._outer)
        if self._stream is not None:
            sys.stdout = self._stream

    def close(self) -> bool:
        if self._stream is None:
            return False
        if sys.stdout is self._stream:  # else somebody has put something else there, who puts it back
            sys.stdout = self._outer
        return self._stream.has_heard


class Pilot:
    """What is known of one function's calls. `begin` before a call, `end` after it.

    Args:
        fn: the function; `how` as in a job: "item" for fn(item), "star" for fn(*item).
        is_coroutine: calls give coroutines, whose waits an event loop overlaps.
        reachable: what calls can reach, as it was before the first call.
        files: what the first call did to files.
    """

    def __init__(
        self,
        fn: Callable[..., object],
        how: str = "item",
        is_coroutine: bool = False,
        *,
        reachable: Reachable | None = None,
        files: Footprints | None = None,
    ) -> None:
        self.fn = fn
        self.how = how
        self.is_coroutine = is_coroutine
        self.reachable = reachable
        self.files = Footprints() if files is None else files
        self.laps: list[clocks.Lap] = []
        self.counts: list[int] = []
        """How many calls each lap stands for."""
        self.seen = Sightings()
        self.scan = Scan()
        self.surroundings: tuple[model.Write, ...] = ()
        self.argument: payload.Payload | None = None
        self.result: payload.Payload | None = None
        self.function: payload.Payload | None = None
        self.rest: Sequence[object] | None = None
        """Items still to come, as far as they can be seen: their names for files must not be those of others."""
        self._item_code = ItemCode()
        self._has_noted_locks = False
        self.unlike = ""
        """Why a worker would work on, or give back, something other than a `for` loop has."""
        self.is_settled = True
        """The first call left nothing changed that the scan knows nothing of."""
        self.is_set_per_thread = False
        """The first call set what every thread sets for itself: a connection, a model."""
        self.callbacks: Callbacks | None = None
        self._strays: dict[str, model.Write] = {}
        self._watchlist: Watchlist | None = None
        self._before: Mapping[str, object] | None = None
        self._sample: object = ABSENT
        self._item_before: object = None
        self._item_after: object = None
        self._item_writes: tuple[model.Write, ...] = ()
        self._gil_probe: GilProbe | None = None
        self._start: clocks.Reading | None = None
        self._ear: _Ear | None = None
        self._input_prints = False
        self._locks: list[tuple[str, object]] = []

    def look_into(self, item: object) -> None:
        """Scan the function with an item at hand, and take the first look at what it may write. Once."""
        if self._watchlist is None:
            self.scan = scan(self.fn, item, how=self.how)
            self._sample = item
            self._item_code.meet(item)
            self._watchlist = Watchlist(self.scan)
            self._item_after = print_of(item)
            if self.reachable is None:
                self.reachable = Reachable(self.fn)
                self._note_thread_state(self.reachable, item)
            else:
                self._note_thread_state(self.reachable, item)
                self.is_set_per_thread = self.reachable.has_set_per_thread()
                found = self.reachable.look()
                self.is_settled = (
                    not self.reachable.has_grown
                    and not any(change.value is AROUND for change in found)
                    and not self._unexplained(found)
                )
            self._locks = [] if self.is_coroutine else self.reachable.locks()
            self.callbacks = Callbacks(self.reachable, item)

    def look_into_others(self, items: Sequence[object]) -> bool:
        """Scan with those items to come that bring other code than the ones before them; is anything found by it?

        No call with such an item was watched: what its code may write counts as written.
        """
        known = {suspect.key for suspect in self.scan.suspects}
        before = len(self._strays)
        for item in self._item_code.new_among(items):
            other = scan(self.fn, item, how=self.how)
            self._strays.update((write.what, write) for write in suspected(other, known))
            if any(suspect.reach is Reach.DRAWS and suspect.key not in known for suspect in other.suspects):
                self._strays[_DRAWS] = model.Write(_DRAWS, is_random=True)
            self.scan = self.scan.joined(other)
        if self._item_code.is_endless:
            what = "nobody knows what: its items bring code of too many kinds"
            self._strays[what] = model.Write(what)
        return len(self._strays) > before

    def _note_thread_state(self, reachable: Reachable, item: object) -> None:
        """What the program set for this thread alone, as it was before the first call."""
        for name, attribute in () if self.is_coroutine else reachable.set_here():
            what = f"what only this thread has, {name.removeprefix('the global ')}.{attribute}"
            self._strays[what] = model.Write(what)
        if "decimal" in sys.modules:
            from whilst.measuring.writes.seeds import FLAGS, flags_asked_for

            if flags_asked_for({*reachable.libraries, *reachable.names, *libraries_of(item)}):
                self._strays[FLAGS] = model.Write(FLAGS)
        for library in () if self.is_coroutine else set_for_this_thread(reachable.libraries | reachable.names):
            what = f"what only this thread has, the options of {library}"
            self._strays[what] = model.Write(what)

    def begin(self, item: object = ABSENT) -> None:
        """A call is about to be made: look at what it may change, start the GIL probe, read the clocks."""
        if self._watchlist is not None:
            self._before = settings_now()
            if self.callbacks is not None:
                self.callbacks.look()
            self._item_before = print_of(item)
            self._gil_probe = GilProbe([lock for _, lock in self._locks])
        self.files.begin(item)
        if self._input_prints:
            self._ear = _Ear()
        self._start = clocks.read()

    def end(self, item: object = ABSENT, *, calls: int = 1) -> clocks.Lap:
        """The call (or so many calls together) is over; it may have raised. Return one call's share of the time."""
        assert self._start is not None
        lap = self._start.until(clocks.read())
        if self._ear is not None and self._ear.close():
            what = "the output of this program, to which its input prints as well"
            self._strays[what] = model.Write(what, is_confirmed=True)
        self._ear = None
        self.files.end()
        if self._gil_probe is not None:
            seen = self._gil_probe.stop()
            self._gil_probe = None
            self._add(seen)
            others_s = max(0.0, lap.others_s - seen.cpu_s)
            lap = lap._replace(others_s=others_s, most_wait_s=seen.most_wait_s(lap.wall_s))
            self._compare(item)
        lap = lap.shared_by(calls)
        self.add(lap, calls)
        return lap

    def add(self, lap: clocks.Lap, calls: int = 1) -> None:
        """Count a lap (one call's share of so many)."""
        self.laps.append(lap)
        self.counts.append(calls)

    def _compare(self, item: object) -> None:
        if self._watchlist is not None and self._before is not None:
            self._watchlist.look()
            found = {write.what: write for write in (*self.surroundings, *settings_left(self._before, settings_now()))}
            self.surroundings = tuple(found.values())
            assert self.reachable is not None
            for change in self._unexplained(self.reachable.look()):
                name = change.name
                if change.slot and change.slot not in name:
                    name = f"{name}.{change.slot}" if change.slot.isidentifier() else f"{name}, {change.slot}"
                is_synchronized = (
                    not is_own_type(type(change.value))
                    and holds_lock(change.value)
                    and change.slot.rpartition(" ")[2] not in self.reachable.names  # who asks sees what others did
                )
                self._strays[name] = model.Write(name, is_confirmed=True, spoils_threads=not is_synchronized)
            for name in () if self.callbacks is None else self.callbacks.look():
                what = f"{name}, by way of a library that calls back"
                self._strays[what] = model.Write(what, is_confirmed=True)
            self._item_after = print_of(item)
            if self._item_after != self._item_before:
                what = "its own argument"
                self._item_writes = (model.Write(what, is_confirmed=True, spoils_threads=False, is_of_item=True),)

    def compare_after_reader(self) -> None:
        """Whoever reads the results has had one: was what calls look at changed since the last call?"""
        if self.reachable is not None and any(change.value is not AROUND for change in self.reachable.look()):
            self._note_reader("what whoever reads the results changes as well")

    def note_reader(self, reader: tuple[CodeType, int, int]) -> None:
        """The loop that reads the results: does its code change what calls look at?"""
        from whilst.measuring.between.reader_code import changed_by_reader

        changed = "" if self.reachable is None else changed_by_reader(reader, self.reachable)
        if changed:
            self._note_reader(f"what whoever reads the results changes as well, {changed}")

    def _note_reader(self, what: str) -> None:
        self._strays[what] = model.Write(what, is_confirmed=True)

    def expect_item(self) -> None:
        """The input is about to be asked for an item: look at what calls can reach."""
        self._ear = _Ear()
        if self.reachable is not None:
            self.reachable.look()

    def compare_after_item(self) -> None:
        """It has given one: does it print, or change what calls look at?"""
        if self._ear is not None:
            self._input_prints = self._ear.close() or self._input_prints
            self._ear = None
        if self.reachable is not None and any(change.value is not AROUND for change in self.reachable.look()):
            what = "what its input changes as well, item by item"
            self._strays[what] = model.Write(what, is_confirmed=True)

    def note_input(self, why_one_by_one: str) -> None:
        """Its items are valid only until the next is drawn."""
        what = f"its input, {why_one_by_one}"
        self._strays[what] = model.Write(what, is_confirmed=True)

    def note_what_is_kept(self, result: object) -> None:
        """A cache gives whoever asks again the same object; calls that ask at the same time get one each."""
        if not self.scan.kept or not may_change(result):
            return
        items = self.rest
        if self.scan.is_kept_by_item and items and not any(map(may_change, items)) and len(set(items)) == len(items):
            return
        what = f"{self.scan.kept}, and it returns: calls that overlap would make one each"
        self._strays[what] = model.Write(what)

    def note_locks_of_items(self) -> None:
        """A reentrant lock of an item to come that this thread has taken can be taken again by this thread alone."""
        if self._has_noted_locks or not self.rest:
            return
        self._has_noted_locks = True
        if not is_a(self.rest[0], (int, float, str, bytes)):
            from whilst.measuring.shared_parts import hold_lock_of_this_thread

            if hold_lock_of_this_thread(self.rest):
                what = "what only this thread has, a lock of an item"
                self._strays[what] = model.Write(what)

    def _unexplained(self, found: Sequence[Found]) -> list[Found]:
        """What has changed though the scan knows of no such write: what it knows it judges better."""
        known: dict[int, set[str]] = {}
        for suspect in self.scan.suspects:
            if suspect.root is not ABSENT and not suspect.is_hint:
                known.setdefault(id(suspect.root), set()).add(suspect.slot)
        unexplained = []
        for change in found:
            slots = known.get(id(change.value), set())
            is_known = "" in slots or change.slot in slots or (bool(slots) and not change.slot)
            is_within = any("" in known.get(id(holder), ()) for holder in change.holders)
            # What coroutines share with their loop, as semaphores and clients, changes while they take turns.
            is_of_loop = self.is_coroutine and not is_own_type(type(change.value))
            if change.value is not AROUND and not is_known and not is_within and not is_of_loop:
                unexplained.append(change)
        return unexplained

    def _add(self, seen: Sightings) -> None:
        self.seen.held += seen.held
        self.seen.free += seen.free
        self.seen.locked += seen.locked
        for what, count in seen.waits.items():
            self.seen.waits[what] = self.seen.waits.get(what, 0) + count

    def forget(self) -> None:
        """The calls to come are not like those measured so far."""
        self.laps.clear()
        self.counts.clear()
        self.seen = Sightings()

    def weigh(self, item: object, result: object, *, is_forked: bool = False, is_inherited: bool = False) -> None:
        """Measure what one call would have to send to another process, and the function itself.

        Args:
            item, result: of one call.
            is_forked: the other process would have all that this one has.
            is_inherited: its items, too, which are not sent then.
        """
        # Imported where something is weighed: calls that wait are on their way before that.
        from whilst.measuring import payload
        from whilst.measuring.roundtrip import parts_of, why_not_pickled, why_not_the_one, why_unlike, why_unlike_sent

        known = self.reachable.values() if self.reachable is not None else ()
        self.unlike = why_not_pickled((item, result), known)
        if self.unlike:
            self.argument = self.result = payload.Payload()
            return
        if self.function is None:
            self.function = payload.measure_function(self.fn)
        self.argument = payload.Payload() if is_inherited else payload.measure(item, "its argument")
        self.result = payload.measure(result, "its result")
        self.unlike = (
            next((f"{what}, and a worker has a copy of it" for what in self.scan.by_identity), "")
            or why_unlike_sent(known, "the function")
            or ("" if is_forked else _unsendable_variable(known))
            or ("" if is_inherited else why_unlike_sent([item], "its argument"))
            # Small items are sent even where others are inherited.
            or why_not_the_one((item, *(self.rest or ())), "its argument", known, self.fn)
            or why_unlike(result, "its result", [id(each) for each in (*known, *parts_of(item))], map(id, known))
        )

    @property
    def why_not_sent(self) -> str:
        """Why the function, or what was weighed, can't cross to another process and back; "" where it can."""
        weighed = [each.why_not for each in (self.function, self.argument, self.result) if each is not None]
        return next(filter(None, weighed), self.unlike)

    # ---------------------------------------------------------------- what is known now

    @property
    def calls(self) -> int:
        return sum(self.counts)

    def _mean(self, clock: str) -> float:
        """Mean of one of the laps' figures over the calls that stand for those to come.

        Without the first call, where there are others; of a function with a cache only the later half, by when
        the cache may be filled.
        """
        wanted = self.calls - 1
        if self.scan.caches and len(self.laps) >= 4:
            wanted = self.calls // 2
        total, seen = 0.0, 0
        for lap, count in zip(reversed(self.laps), reversed(self.counts), strict=True):
            total += count * float(getattr(lap, clock))
            seen += count
            if seen >= wanted:
                break
        return total / max(seen, 1)

    @property
    def mostly_waits(self) -> bool:
        """Do calls wait for more of their time than they work?"""
        return self._mean("wait_s") > self._mean("thread_s")

    @property
    def core_share(self) -> float:
        """The share of its time in which the pilot had what it needed; the rest it was kept off the cores."""
        wall = sum(lap.wall_s for lap in self.laps)
        return min(1.0, sum(lap.alone_s for lap in self.laps) / wall) if wall else 1.0

    @property
    def first_extra_s(self) -> float:
        """What the first call took beyond the others; 0.0 while that can't be told."""
        if len(self.laps) < 2:
            return 0.0
        extra = self.laps[0].alone_s - self._mean("alone_s")
        return extra if extra > 0.5 * self.laps[0].alone_s else 0.0

    @property
    def thread_extra_s(self) -> float:
        """What each new thread works before its calls are like the others; 0.0 while that can't be told."""
        if not self.is_set_per_thread or len(self.laps) < 2:
            return 0.0
        return max(0.0, self.laps[0].thread_s - self._mean("thread_s"))

    @property
    def may_differ(self) -> bool:
        """May the first call be unlike the others, in ways that one alone doesn't show?"""
        return self.scan.caches or bool(self._locks) or (self.is_set_per_thread and self.laps[0].alone_s > _LONG_S)

    def _held_locks(self) -> list[model.Write]:
        """A lock that a call holds while it waits keeps others out here: a worker process would have a copy of it."""
        if (self.seen.locked_share or 0.0) < _LOCKED or not self.seen.waits:
            return []
        names = ", ".join(dict.fromkeys(name for name, _ in self._locks))
        what = f"{names}, held while it waits: a worker would have a lock of its own"
        return [model.Write(what, is_confirmed=True, spoils_threads=False)]

    @property
    def cold(self) -> float:
        """So many times what later calls work may these have worked."""
        if self.calls >= _MANY_CALLS:
            return 1.0
        # The first imports and opens what the others use. If the next ones worked as much there was nothing of that.
        is_level = len(self.laps) > 1 and self._mean("thread_s") > 0.8 * self.laps[0].thread_s
        return _LEVEL if is_level else _COLD

    @property
    def waits_only_in_sleep(self) -> bool:
        if self.seen.waits:
            return self.seen.waits_only_in_sleep
        return self.scan.waits_only_in_sleep

    @property
    def draws(self) -> bool:
        return any(write.is_random for write in self.writes)

    @property
    def writes(self) -> tuple[model.Write, ...]:
        found = list(self._watchlist.writes(self.files.settings)) if self._watchlist is not None else []
        known = {write.what for write in found}
        found += [
            write
            for write in (
                *self.surroundings,
                *self._item_writes,
                *self._strays.values(),
                *self.files.writes(self.rest),
                *self._held_locks(),
            )
            if write.what not in known
        ]
        if self.scan.seeds_itself:  # its draws follow from a seed of its own, wherever it is called
            found = [write for write in found if not write.is_random]
        return tuple(found)

    def share_what_is_written(self, items: Sequence[object]) -> bool:
        """Do two of these items have in common what a call changes of its own?"""
        from whilst.measuring.shared_parts import holds, share_parts

        changed = [each.changed for each in self.scan.suspects if each.reach is Reach.ARGUMENT and not each.is_hint]
        if not changed or any(each is ABSENT for each in changed):
            return share_parts(items)
        if all(each is self._sample for each in changed):
            among = set(map(id, items))
            return share_parts(items, lambda part: id(part) in among)
        others = [item for item in items[:_MANY_ITEMS] if item is not self._sample]
        if any(holds(item, each) for item in others for each in changed):  # behind many other entries, too
            return True
        kinds = set(map(type, changed))
        return share_parts(items, lambda part: type(part) in kinds)

    @property
    def unclear(self) -> bool:
        """Another watched call could clear a suspect."""
        return self._watchlist is not None and self._watchlist.is_unclear

    @property
    def gil_share(self) -> float | None:
        """Of the work, the share that threads can't do side by side; None where nothing was seen.

        Files are opened, read and deleted by small system calls that let go of the GIL and want it back at once:
        each of them a hand-over, which threads spend their time on. So they count as if the GIL was held, though
        nobody finds it held.
        """
        share = self.seen.gil_share
        work = sum(count * lap.thread_s for lap, count in zip(self.laps, self.counts, strict=True))
        if share is None or not work:
            return share
        return max(share, min(1.0, self.files.operations * _FILE_S / work))

    def profile(self) -> model.Profile:
        """Return what is known, as means over the usual calls.

        Raises:
            UnmeasuredError: from the profile's own properties, where no call was measured.
        """
        from dataclasses import replace

        profile = model.Profile(writes=self.writes, is_coroutine=self.is_coroutine)
        if self.laps:
            work, wait = self._mean("thread_s"), self._mean("wait_s")
            share, locked = self.gil_share, self.seen.locked_share
            profile = replace(
                profile,
                work_s=work,
                wait_s=wait,
                gil_s=None if share is None else share * work,
                locked_s=None if locked is None else locked * (wait + (0.0 if share is None else (1 - share) * work)),
                calls=self.calls,
                first_call_s=self.laps[0].alone_s,
                native_s=self._mean("others_s"),
                children_s=self._mean("children_s"),
            )
        if self.argument is None or self.result is None:
            return profile
        why_not = self.why_not_sent
        return replace(
            profile,
            argument_bytes=self.argument.total_bytes,
            result_bytes=self.result.total_bytes,
            pickle_s=self.argument.pickle_s + self.result.pickle_s,
            is_picklable=not why_not,
            why_not=why_not,
        )


def _unsendable_variable(known: Iterable[object]) -> str:
    """A context variable that the function reads, and a worker would not have: its value can't be pickled."""
    for each in known:
        if is_a(each, ContextVar):
            from whilst.measuring import payload

            weight = payload.measure(each.get(None), f"the context variable {each.name!r}")
            if weight.why_not:
                return weight.why_not
    return ""


def may_change(item: object) -> bool:
    """Can the object, or what a tuple holds, have other contents later?"""
    if issubclass(type(item), tuple):
        return any(map(may_change, tuple.__iter__(item)))  # type: ignore[arg-type]
    return item is not ABSENT and not is_a(item, (int, float, str, bytes, frozenset, type(None)))


def print_of(item: object) -> object:
    """Return what is another once the item was changed, as far as a cheap look tells; None for what can't be."""
    if not may_change(item):
        return None
    try:
        return fingerprint(item)
    except Exception as error:  # a user's object may refuse to be looked at
        return type(error)
