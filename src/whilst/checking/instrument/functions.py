"""Which functions are rewritten, when, and how they get their own code back.

A module is taken as a whole the first time one of its functions is called: C code calls into Python (sort keys,
`__eq__`, properties), and such calls are seen only if the callee has been rewritten before.

Most checks of a process are about files that were checked before. What such a file's functions are exchanged for is
kept as a plan, so that entering is one assignment a function. Nothing here keeps a function alive.
"""

from __future__ import annotations

import functools
import sys
import types
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from whilst.checking.engine.sites import Site
from whilst.checking.instrument.function_index import FileFunctions, functions_like
from whilst.checking.instrument.left_alone import MODELLED, is_left_alone
from whilst.checking.instrument.shared_variables import SharedVariables
from whilst.checking.instrument.templates import Rewriter
from whilst.inspecting.objects import module_of

_MOST_SITES: Final = 50_000


class Swap(NamedTuple):
    """A function, its own code, and the code that it has in the meantime."""

    function: weakref.ref[types.FunctionType]
    code: types.CodeType
    new: types.CodeType


class _Plan(NamedTuple):
    """What the functions of one file are exchanged for, as long as the shared names stay at these versions."""

    known: FileFunctions
    versions: list[tuple[SharedVariables, int]]
    swaps: list[Swap]

    def is_current(self) -> bool:
        return all(names.version == version for names, version in self.versions)


class Instrumentation:
    """Rewritten functions and the way back."""

    def __init__(self, rewriter: Rewriter) -> None:
        self.rewriter = rewriter
        self.left_alone_seen: set[str] = set()
        self.apart: Callable[[Callable[[types.FunctionType], None], types.FunctionType], None] = _at_once
        self._names: dict[int, SharedVariables] = {}
        self._plans: dict[str, _Plan] = {}
        # Of the running check:
        self._swapped: list[list[Swap]] = []
        self._files: set[str] = set()
        self._left_alone: list[types.CodeType] = []
        self.is_stale = False  # a function turned up that stores what others were thought to share with nobody
        self._is_spent = False  # it holds what the next check must not meet
        self._compiled: dict[tuple[object, str], types.CodeType] = {}  # by what exec or eval was given
        self._sources: dict[tuple[object, str], types.CodeType] = {}  # the same, rewritten

    # ------------------------------------------------------------------ taking functions in

    def admit(self, function: types.FunctionType) -> None:
        """Rewrite the function's whole module, or note that it stays as it is."""
        code = function.__code__
        known_codes = self.rewriter.known_codes
        if id(code) in known_codes:
            return
        if is_left_alone(function):
            module = module_of(function)
            if module.partition(".")[0] not in MODELLED:
                self.left_alone_seen.add(module)
            known_codes.add(id(code))
            self._left_alone.append(code)
            return
        file = code.co_filename
        if file not in self._files:
            self._files.add(file)
            self.apart(self._exchange, function)
        if id(function.__code__) not in known_codes:
            before = self._names.get(id(function.__globals__))
            version = before.version if before is not None else -1
            swap = self._swap_of(function, self._names_of(function))
            self.is_stale = self.is_stale or (before is not None and before.version != version)
            self._swapped.append([swap])
            function.__code__ = swap.new
            for inner in _held_by(function):
                self.admit(inner)

    def _exchange(self, function: types.FunctionType) -> None:
        file, known = function.__code__.co_filename, functions_like(function)
        plan = self._plans.get(file)
        if plan is None or plan.known is not known or not plan.is_current():
            plan = self._plans[file] = self._plan(known)
        self._swapped.append(plan.swaps)
        for ref, code, new in plan.swaps:
            held = ref()
            if held is not None and held.__code__ is code:
                held.__code__ = new

    def _plan(self, known: FileFunctions) -> _Plan:
        functions = [each for each in known.alive() if id(each.__code__) not in self.rewriter.known_codes]
        spaces = {id(each.__globals__): self._names_of(each) for each in functions}
        swaps = [self._swap_of(each, spaces[id(each.__globals__)]) for each in functions]
        return _Plan(known, [(names, names.version) for names in spaces.values()], swaps)

    def _names_of(self, function: types.FunctionType) -> SharedVariables:
        """The shared names of its module, with those that it stores."""
        names = self._names.get(id(function.__globals__))
        if names is None:
            names = self._names[id(function.__globals__)] = SharedVariables(function.__globals__)
        names.scan(function.__code__)
        return names

    def _swap_of(self, function: types.FunctionType, names: SharedVariables) -> Swap:
        return Swap(weakref.ref(function), function.__code__, self.rewriter.rewrite(function.__code__, names))

    def rewrite_source(self, source: object, mode: str, space: dict[str, Any]) -> types.CodeType:
        """What exec ("exec") or eval ("eval") shall run instead of a source text or a code object."""
        self._is_spent = True
        key = (source, mode)
        if key not in self._compiled:
            text: Any = source
            self._compiled[key] = text if isinstance(text, types.CodeType) else compile(text, "<string>", mode)
        if key not in self._sources:
            names = SharedVariables(space)
            names.scan(self._compiled[key])
            self._sources[key] = self.rewriter.rewrite(self._compiled[key], names)
        _set_space(self._sources[key], space)
        return self._sources[key]

    # ------------------------------------------------------------------ what turns out later

    def watch_returns(self, function: types.FunctionType) -> None:
        """Make the return of that function an event: a cache stores its result then."""
        own = self.rewriter.own_code(function.__code__)
        if own is None:  # it stays as it is
            return
        if id(own) not in self.rewriter.returning:
            self._add_site_keys()
            self.rewriter.returning.add(id(own))
        new = self.rewriter.rewrite(own, self._names_of(function))
        if function.__code__ is new:
            return
        function.__code__ = new
        # Functions that rewritten code makes are in no list: they go with their execution. A plan keeps its own lists.
        for at, swaps in enumerate(self._swapped):
            for index, swap in enumerate(swaps):
                if swap.function() is function:
                    self._swapped[at] = [*swaps[:index], swap._replace(new=new), *swaps[index + 1 :]]
                    return

    def share_globals(self, names: set[str]) -> None:
        """Some code stores into a module's namespace from outside: reads of those globals count from now on."""
        self._is_spent, self.is_stale = self._is_spent or bool(names), False
        self._sources.clear()
        self._add_site_keys()
        for each in self._names.values():
            each.add(frozenset(names))
        self._swapped = [[self._swap_again(swap) for swap in swaps] for swaps in self._swapped]

    def _add_site_keys(self) -> None:
        """Sites are about to be replaced by others of the same names."""
        self.rewriter.add_site_keys(self.rewriter.site_table.site_keys())

    def _swap_again(self, swap: Swap) -> Swap:
        function = swap.function()
        if function is None:
            return swap
        new = self.rewriter.rewrite(swap.code, self._names[id(function.__globals__)])
        function.__code__ = new
        return swap._replace(new=new)

    # ------------------------------------------------------------------ the way back

    def restore(self) -> None:
        """Give every function its own code back."""
        for swaps in self._swapped:
            for ref, code, new in swaps:
                function = ref()
                if function is not None and function.__code__ is new:
                    function.__code__ = code

    def reinstate(self) -> None:
        """After `restore`: the rewritten code again."""
        for swaps in self._swapped:
            for ref, code, new in swaps:
                function = ref()
                if function is not None and function.__code__ is code:
                    function.__code__ = new

    def end(self) -> None:
        """It won't be used again. Rewritten code that lives on holds this, and no namespace is to live by that."""
        self._names.clear()
        self._plans.clear()
        self._compiled.clear()
        self._sources.clear()
        self.rewriter.end()

    def forget(self) -> bool:
        """The check is over; whether what was rewritten may serve the next one."""
        self.rewriter.returning.clear()
        self.rewriter.has_made = False
        self.rewriter.known_codes.difference_update(map(id, self._left_alone))
        self.left_alone_seen = set()
        self._swapped, self._files, self._left_alone = [], set(), []
        self.is_stale = False
        is_small = self.rewriter.site_count < _MOST_SITES
        return is_small and not self._is_spent and all(map(_is_of_a_module, self._names.values()))


def _at_once(work: Callable[[types.FunctionType], None], function: types.FunctionType) -> None:
    work(function)


def _is_of_a_module(names: SharedVariables) -> bool:
    """Whether the namespace is a module's that is still there: others are not to be kept alive."""
    module = sys.modules.get(str(names.space.get("__name__")))
    return module is not None and vars(module) is names.space


def _set_space(code: types.CodeType, space: dict[str, Any]) -> None:
    """The same source is run with other globals: its places are the same, and what they touch is in those."""
    for const in code.co_consts:
        if isinstance(const, Site):
            const.space = space
        elif isinstance(const, types.CodeType):
            _set_space(const, space)


def _held_by(function: types.FunctionType) -> Iterable[types.FunctionType]:
    """The functions in the closure of one that was made anew: nobody else may know of them."""
    for cell in function.__closure__ or ():
        try:
            held = cell.cell_contents
        except ValueError:  # not yet bound
            continue
        while isinstance(held, functools.partial):
            held = held.func
        held = getattr(held, "__func__", held)
        if isinstance(held, types.FunctionType):
            yield held
