"""What a mode that was asked for may do to a function's results: said in the decision, since nothing was measured.

Looked for once somebody asks for the decision: a run that was told how to run is not held up for it. Only a function
that results must not keep alive, with what it encloses or is bound to, is looked into as the run ends.
"""

from __future__ import annotations

from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType

from whilst.running.backends import traits_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from whilst.measuring.writes.item_code import ItemCode
    from whilst.measuring.writes.suspects import Scan
    from whilst.running.core.glimpse import CommonParts, Glimpse
    from whilst.running.core.inputs import Source
    from whilst.running.jobs import Job

_MOST = 3
_MOST_FUNCTIONS = 64
_PLAIN = frozenset([int, float, str, bytes, bool, type(None)])
_CHANGEABLE = (list, dict, set, bytearray)


class Caveats:
    """Of one run. Called, it gives sentences."""

    def __init__(self, job: Job, backend: str, source: Source, why_clean: str = "") -> None:
        self._source: Source | None = source
        source.is_glimpsed = True
        self._glimpse: Glimpse | None = None
        self._common: CommonParts | None = None
        self._item_code: ItemCode | None = None
        self._kinds: list[Glimpse] = []
        """Of items that brought code which none before them did."""
        self._asked_for = source.asked_for
        self._reader: tuple[CodeType, int, int] | None = None
        self._functions: dict[object, tuple[Glimpse, Glimpse]] = {}
        """Where each call is of a function of its own: by their code."""
        self._why_clean = why_clean
        """What kept workers from being forks of the program; "" where they are, or are no processes."""
        self._how = job.how
        self._traits = traits_of(backend)
        self._fn = job.fn
        self._has_seed = job.seed is not None

    def meet(self, items: Sequence[object]) -> None:
        """These items are about to be sent: keep a glimpse of those that bring code of their own."""
        if self._how == "call":
            self._meet_functions(items)
            return
        if _PLAIN.issuperset(map(type, items)):
            return
        from whilst.measuring.writes.item_code import ItemCode
        from whilst.running.core.glimpse import Glimpse

        if self._item_code is None:
            self._item_code = ItemCode()
        self._kinds += [Glimpse(item) for item in self._item_code.new_among(items)]

    def _meet_functions(self, calls: Sequence[Any]) -> None:
        """Of calls that are each of a function of its own: keep a glimpse of each function, with its arguments."""
        for function, arguments, _ in map(self._asked_for, calls):
            code = getattr(function, "__code__", None) or type(function)
            if code not in self._functions and len(self._functions) < _MOST_FUNCTIONS:
                from whilst.running.core.glimpse import Glimpse

                self._functions[code] = Glimpse(function), Glimpse(tuple(arguments))

    def without_function(self) -> Callable[[], tuple[str, ...]]:
        """Return what gives the same sentences, and keeps nothing alive but a function that encloses nothing."""
        fn = self._fn
        if self._source is not None:
            self._glimpse, self._common = self._source.glimpse, self._source.common
            self._reader, self._source = self._source.reader, None
        if type(fn) is FunctionType and not fn.__closure__:
            return self
        if type(fn) is BuiltinFunctionType and type(fn.__self__) is ModuleType:
            return self
        said = self()
        return lambda: said

    def __call__(self) -> tuple[str, ...]:
        """Return what its code says that this back end does not keep as a `for` loop would."""
        said: list[str] = []
        if self._how == "call":
            if self._traits.is_remote:
                start = "are forks made at first"
                if self._why_clean:
                    start = f"are no forks of this program ({self._why_clean})"
                said.append(
                    f"Workers {start}: what the program sets later, or elsewhere than in arguments, is not sent to them"
                )
            for function, arguments in list(self._functions.values()):
                said += self._said_of(function.sample(), [arguments.sample() or ()], "star", None)
        elif self._traits.module:
            source = self._source
            glimpse, common = (self._glimpse, self._common) if source is None else (source.glimpse, source.common)
            try:
                samples = [None if each is None else each.sample() for each in (glimpse, *self._kinds)]
            except Exception:  # a user's object may refuse to be looked at: then nothing is known of it
                return ()
            said += self._said_of(self._fn, samples, self._how, common)
            said += self._said_of_reader(self._reader if source is None else source.reader)
        told = tuple(dict.fromkeys(said))
        return (*told[:_MOST], f"And {len(told) - _MOST} more of this kind") if len(told) > _MOST else told

    def _said_of(self, fn: Any, samples: Sequence[Any], how: str, common: CommonParts | None) -> list[str]:
        """Of one function, that is called with items like these."""
        from functools import reduce

        from whilst.measuring.writes.scan import scan
        from whilst.measuring.writes.snapshots import suspected
        from whilst.measuring.writes.suspects import Scan
        from whilst.running.policies.explain import write_in_words

        is_far = self._traits.is_remote
        try:
            found = reduce(Scan.joined, [scan(fn, sample, how=how) for sample in samples])
            writes = suspected(found)
            is_common = common is not None and _is_changed(common, samples[0], found)
        except Exception:  # as above
            return []
        overlaps = self._traits.shares_process
        said = list(self._unsure(fn))
        for write in writes:
            changes = write_in_words(write).replace("it changes", "It changes", 1)
            if is_far and write.spoils_processes:
                said.append(f"{changes}, which processes lose or mix up")
            elif overlaps and write.spoils_threads:
                said.append(f"{changes}, which calls that overlap may mix up")
            elif overlaps and write.is_of_item and is_common:
                said.append(f"{changes}, which items have in common: calls that overlap may mix it up")
        if is_far:
            said += [f"{what[0].upper()}{what[1:]}, and a worker has a copy of it" for what in found.by_identity]
        said += self._draws(found)
        from whilst.measuring.callbacks import Callbacks
        from whilst.measuring.writes.reachable import Reachable
        from whilst.measuring.writes.seeds import FLAGS, flags_asked_for

        reachable = Reachable(fn)
        written = dict.fromkeys(suspect.what for suspect in Callbacks(reachable).suspects)
        if written:
            loses = "which processes lose or mix up" if is_far else "which calls that overlap may mix up"
            said.append(f"What a library that it uses may call back changes {', '.join([*written][:_MOST])}, {loses}")
        if self._traits.module and flags_asked_for(reachable.libraries | reachable.names):
            said.append(f"It sets {FLAGS}: those of another are not given back")
        if overlaps:
            from whilst.inspecting.library_settings import set_for_this_thread

            said += [
                f"It uses what only this thread has, the options of {library}: other threads lack them"
                for library in set_for_this_thread(reachable.libraries | reachable.names)
            ]
            for name, attribute in reachable.set_here():
                held = f"{name.removeprefix('the global ')}.{attribute}"
                said.append(f"It uses what only this thread has, {held}: other threads lack it")
        return said

    def _said_of_reader(self, reader: tuple[CodeType, int, int] | None) -> tuple[str, ...]:
        if reader is None:
            return ()
        from whilst.measuring.between.reader_code import changed_by_reader
        from whilst.measuring.writes.reachable import Reachable

        changed = changed_by_reader(reader, Reachable(self._fn))
        text = "It looks at what whoever reads its results changes"
        return (f"{text}, {changed}: calls made ahead do not see that",) if changed else ()

    def changes_items(self, item: object) -> bool:
        """Return whether its code may change an item like this one, or can't be followed."""
        from whilst.measuring.writes.scan import scan
        from whilst.measuring.writes.suspects import Reach

        try:
            found = scan(self._fn, item, how=self._how)
        except Exception:  # a user's object may refuse to be looked at
            return True
        return bool(found.unscanned) or any(suspect.reach is Reach.ARGUMENT for suspect in found.suspects)

    def _draws(self, found: Scan) -> tuple[str, ...]:
        from whilst.measuring.writes.seeds import is_seeded
        from whilst.measuring.writes.suspects import Reach

        draws = any(suspect.reach is Reach.DRAWS for suspect in found.suspects)
        if self._has_seed or found.seeds_itself or not (draws and is_seeded()):
            return ()
        return ("It draws random numbers, which this program seeds: only in order come the same; seed= gives the same",)

    def _unsure(self, fn: Callable[..., Any]) -> tuple[str, ...]:
        """What of the calls' reads could neither be shown to be the same in a clean process, nor be sent there."""
        if not self._why_clean:
            return ()
        from whilst.measuring.reads import reads_of

        unsure = reads_of(fn).unsure
        if not unsure:
            return ()
        listed = ", ".join(unsure[:_MOST]) + (" and more" if len(unsure) > _MOST else "")
        return (f"Workers are no forks of this program ({self._why_clean}): {listed} may be another there",)


def _is_changed(common: CommonParts, sample: object, found: Scan) -> bool:
    """Do calls change what two items have in common, as far as the code tells?"""
    from whilst.inspecting import ownership
    from whilst.measuring.writes.abstract_value import ABSENT
    from whilst.measuring.writes.suspects import Reach

    for changed in (suspect.changed for suspect in found.suspects if suspect.reach is Reach.ARGUMENT):
        if changed is ABSENT or changed is None:
            kinds = common.kinds
            if any(each in _CHANGEABLE or hasattr(each, "__next__") or ownership.is_own_type(each) for each in kinds):
                return True
        elif type(changed) in (common.item_kinds if changed is sample else common.kinds):
            return True
    return False
