"""Python code that runs in a task although it was not rewritten: let in for the next execution, or else named.

The hooks let in what rewritten code calls. But C code calls Python functions as well (a decorator made in C, a ctypes
callback, code of the standard library that is left alone), functions that nobody knew of when their file was looked
through. So the interpreter says which code starts to run. What was not rewritten is rewritten then, and the search
starts over; what can't be is kept, since a proof would not hold for it.

To look costs as much as several executions of a small program. So it begins with the first execution in which a place
of the code meets something of a kind that it has not met while somebody looked, be it in an earlier check (see
`SiteTable`), and with the first call of a C function of which nothing is known. From Python 3.12 on, where
`sys.monitoring` tells of each code object once, it goes on to the end of the check. Before, a profile function is
called at every call, which costs too much for a search: it looks at just that execution, or that call.
"""

from __future__ import annotations

import _thread
import sys
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from whilst.checking.engine.scheduler import Scheduler
from whilst.checking.instrument.function_index import functions_with
from whilst.checking.instrument.functions import Instrumentation
from whilst.checking.instrument.left_alone import is_module_left_alone
from whilst.inspecting.objects import is_a
from whilst.inspecting.ownership import OWN_FOLDER, is_foreign

_MONITORING: Final[Any] = getattr(sys, "monitoring", None)
_TOOL_NAME: Final = "whilst.check"
_PASSING: Final = (".unseen_code", ".c_calls")  # modules of ours that pass on a call of unknown C code
T = TypeVar("T")
_NEW_LOCALS: Final = 0x2  # CO_NEWLOCALS: the body of a module or class has no locals of its own


class UnseenCode:
    """Looks for such code while it is started."""

    def __init__(self, scheduler: Scheduler, instrumentation: Instrumentation) -> None:
        self._scheduler, self._instrumentation = scheduler, instrumentation
        self._known = instrumentation.rewriter.known_codes
        self._ident = 0
        self._tool = -1
        self._is_profiling = False
        self.is_looking = False  # whether code that starts in a task is seen
        self._met: set[tuple[str, str]] = set()
        self._quiet_setups: set[tuple[int, ...]] = set()  # the code of those that ask for nothing unseen
        self.found: list[types.FunctionType] = []  # nobody knew of them, and they were let in
        self.has_learnt = False  # some was let in since this was last set back
        self.left: dict[str, None] = {}  # what could not be, in the order of its discovery

    def start(self) -> None:
        """A check begins; what matters is what the calling thread runs."""
        self._ident = _thread.get_ident()
        self._met, self.found, self.left, self.has_learnt = set(), [], {}, False

    def stop(self) -> None:
        """Leave the interpreter as it was."""
        self.end_look()
        if self._tool >= 0:
            _MONITORING.set_events(self._tool, 0)
            _MONITORING.register_callback(self._tool, _MONITORING.events.PY_START, None)
            _MONITORING.free_tool_id(self._tool)
            self._tool, self.is_looking = -1, False

    # ------------------------------------------------------------------ looking

    @property
    def can_look(self) -> bool:
        """Whether nobody else has taken what it takes to look."""
        return bool(self._free_tools()) or sys.getprofile() is None

    def begin_look(self) -> bool:
        """Look at every call from now on; whether `end_look` is to be called."""
        if self.is_looking or self._monitor() or not self.can_look:
            return False
        self._is_profiling = self.is_looking = True
        sys.setprofile(self._on_profile)
        return True

    def _monitor(self) -> bool:
        """Be told of code that starts until `stop`; False if the interpreter can't do that."""
        free = self._free_tools()
        if not free:
            return False
        self._tool, self.is_looking = free[0], True
        _MONITORING.use_tool_id(self._tool, _TOOL_NAME)
        _MONITORING.register_callback(self._tool, _MONITORING.events.PY_START, self._on_start)
        _MONITORING.set_events(self._tool, _MONITORING.events.PY_START)
        return True

    @staticmethod
    def _free_tools() -> list[int]:
        return [tool for tool in (3, 4) if _MONITORING.get_tool(tool) is None] if _MONITORING is not None else []

    def end_look(self) -> None:
        """Look no longer, where that costs much."""
        if self._is_profiling:
            self._is_profiling = self.is_looking = False
            sys.setprofile(None)

    def during(self, call: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Call C code of which nothing is known."""
        has_begun = self.begin_look()
        try:
            return call(*arguments, **keywords)
        finally:
            if has_begun:
                self.end_look()

    def during_setup(
        self, setup: Callable[[], T], functions: Sequence[types.FunctionType], is_asked: Callable[[Any], bool]
    ) -> T:
        """Call setup, and let in what asks there for something that is the check's own: `is_asked(C function)`.

        Setup of the same code, that of `functions`, in which nothing was let in is not looked at again.
        """
        own = self._instrumentation.rewriter.own_code
        has_more = setup.__closure__ if type(setup) is types.FunctionType else not is_a(setup, type)
        codes = [] if has_more else [own(function.__code__) for function in functions]
        known = () if None in codes else tuple(map(id, codes))
        if sys.getprofile() is not None or known in self._quiet_setups:
            return setup()
        has_admitted = False

        def look(frame: types.FrameType, event: str, callee: Any) -> None:
            nonlocal has_admitted
            code = frame.f_code
            if event != "c_call" or id(code) in self._known or not is_asked(callee):
                return
            if not code.co_filename.startswith(OWN_FOLDER):
                for function in functions_with(code):
                    self._instrumentation.admit(function)
                    has_admitted = True

        sys.setprofile(look)
        try:
            state = setup()
        finally:
            sys.setprofile(None)
        if known and not has_admitted:
            self._quiet_setups.add(known)
        return state

    def apart(self, work: Callable[[T], None], argument: T) -> None:
        """Long work of our own in the middle of a task (a large module is rewritten): not looked at call by call, and
        not on the time that the execution may take."""
        scheduler, is_profiling = self._scheduler, self._is_profiling
        deadline, scheduler.deadline = scheduler.deadline, None
        begun = time.monotonic() if deadline is not None else 0.0
        if is_profiling:
            sys.setprofile(None)
        try:
            work(argument)
        finally:
            if is_profiling:
                sys.setprofile(self._on_profile)
            if deadline is not None:
                scheduler.deadline = deadline + time.monotonic() - begun

    def _on_profile(self, frame: types.FrameType, event: str, _: object) -> None:
        if event == "call" and self._scheduler.cur >= 0 and id(frame.f_code) not in self._known:
            self._look(frame)

    # ------------------------------------------------------------------ what was found

    def _on_start(self, code: types.CodeType, _: int) -> Any:
        if id(code) in self._known or code.co_filename.startswith(OWN_FOLDER):
            return _MONITORING.DISABLE
        if self._scheduler.cur < 0:
            return None
        if _thread.get_ident() != self._ident:
            return None
        return None if self._look(sys._getframe(1)) else _MONITORING.DISABLE  # noqa: SLF001  # what has just begun

    def _look(self, frame: types.FrameType) -> bool:
        """Whether this code is worth another look, when it runs again."""
        code = frame.f_code
        module = str(frame.f_globals.get("__name__", ""))
        if code.co_filename.startswith(OWN_FOLDER) or is_module_left_alone(module) or not code.co_flags & _NEW_LOCALS:
            return False
        if not self._is_of_a_task(frame):
            return True
        name = (code.co_filename, code.co_qualname)
        functions = functions_with(code)
        for function in functions:
            self._instrumentation.admit(function)
        if functions and name not in self._met:
            self._met.add(name)
            self.found += functions
            self.has_learnt = True
        elif not self._is_nested(frame):
            self.left[f"{code.co_qualname} ({Path(code.co_filename).name}:{code.co_firstlineno})"] = None
        return True

    def _is_of_a_task(self, frame: types.FrameType) -> bool:
        """Whether it is the affair of the task: not that of an import, nor of code that is left alone and calls the
        standard library."""
        is_library = is_foreign(frame.f_code.co_filename) or frame.f_code.co_filename.startswith("<")
        back = frame.f_back
        while back is not None:
            module = str(back.f_globals.get("__name__", ""))
            if module.startswith("importlib"):
                return False
            if back.f_code.co_filename.startswith(OWN_FOLDER):
                if is_library and not module.endswith(_PASSING):
                    return False
            elif is_module_left_alone(module):
                return not is_library
            elif id(back.f_code) in self._known:
                return True
            back = back.f_back
        return True

    def _is_nested(self, frame: types.FrameType) -> bool:
        """Whether it is a part of code that was found already: a comprehension of it, or a function it made."""
        back = frame.f_back
        while back is not None and id(back.f_code) not in self._known:
            if (back.f_code.co_filename, back.f_code.co_qualname) in self._met:
                return frame.f_code.co_qualname.startswith(back.f_code.co_qualname)
            back = back.f_back
        return False
