"""Python code that runs in a task although it was not rewritten: let in for the next execution, or else named.

The hooks let in what rewritten code calls. But C code calls Python functions as well (a decorator made in C, a ctypes
callback, code of the standard library that is left alone), functions that nobody knew of when their file was looked
through. So the interpreter says which code starts to run. What was not rewritten is rewritten then, and the search
starts over; what can't be is kept, since a proof would not hold for it.

From Python 3.12 on, `sys.monitoring` tells of each code object once. Before, a profile function is called at every
call, which costs too much for a search: there it looks at executions in which a place of the code meets something of
a kind for the first time, and at every call of a C function of which nothing is known.
"""

from __future__ import annotations

import _thread
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from whilst.checking.engine.scheduler import Scheduler
from whilst.checking.instrument.function_index import functions_with
from whilst.checking.instrument.functions import Instrumentation
from whilst.checking.instrument.left_alone import is_module_left_alone
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
        self._met: set[tuple[str, str]] = set()
        self.found: list[types.FunctionType] = []  # nobody knew of them, and they were let in
        self.has_learnt = False  # some was let in since this was last set back
        self.left: dict[str, None] = {}  # what could not be, in the order of its discovery

    def start(self) -> None:
        """Look at what the calling thread runs, as far as a task runs there."""
        self._ident = _thread.get_ident()
        self._met, self.found, self.left, self.has_learnt = set(), [], {}, False
        if _MONITORING is None:
            return
        free = [tool for tool in (3, 4) if _MONITORING.get_tool(tool) is None]
        if free:
            self._tool = free[0]
            _MONITORING.use_tool_id(self._tool, _TOOL_NAME)
            _MONITORING.register_callback(self._tool, _MONITORING.events.PY_START, self._on_start)
            _MONITORING.set_events(self._tool, _MONITORING.events.PY_START)

    def stop(self) -> None:
        """Leave the interpreter as it was."""
        self.end_profile()
        if self._tool >= 0:
            _MONITORING.set_events(self._tool, 0)
            _MONITORING.register_callback(self._tool, _MONITORING.events.PY_START, None)
            _MONITORING.free_tool_id(self._tool)
            self._tool = -1

    # ------------------------------------------------------------------ before Python 3.12

    @property
    def can_profile(self) -> bool:
        """False if every call is looked at anyway, or somebody else has a profile function."""
        return self._tool < 0 and not self._is_profiling and sys.getprofile() is None

    def begin_profile(self) -> bool:
        """Look at every call from now on; False if it can't be, or need not."""
        if not self.can_profile:
            return False
        self._is_profiling = True
        sys.setprofile(self._on_profile)
        return True

    def end_profile(self) -> None:
        """Look no longer."""
        if self._is_profiling:
            self._is_profiling = False
            sys.setprofile(None)

    def during(self, call: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Call C code of which nothing is known."""
        has_begun = self.begin_profile()
        try:
            return call(*arguments, **keywords)
        finally:
            if has_begun:
                self.end_profile()

    def during_setup(self, setup: Callable[[], T], is_asked: Callable[[Any], bool]) -> T:
        """Call setup, and let in what asks there for something that is the check's own: `is_asked(C function)`."""
        if sys.getprofile() is not None:
            return setup()

        def look(frame: types.FrameType, event: str, callee: Any) -> None:
            code = frame.f_code
            if event != "c_call" or id(code) in self._known or not is_asked(callee):
                return
            if not code.co_filename.startswith(OWN_FOLDER):
                for function in functions_with(code):
                    self._instrumentation.admit(function)

        sys.setprofile(look)
        try:
            return setup()
        finally:
            sys.setprofile(None)

    def apart(self, work: Callable[[T], None], argument: T) -> None:
        """Long work of our own in the middle of a task (a large module is rewritten): not looked at call by call, and
        not on the time that the execution may take."""
        scheduler, is_profiling = self._scheduler, self._is_profiling
        deadline, scheduler.deadline = scheduler.deadline, None
        begun = time.monotonic()
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
        if self._scheduler.cur < 0:
            return None
        if id(code) in self._known:
            return _MONITORING.DISABLE
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
