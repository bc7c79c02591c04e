"""Runs in the process of a copy of the script: times its loops, looks into the calls of stages, keeps it in its folder.

Started by `runs`, which reads the report that this writes. The copy's text calls what `LOOP` and its like name.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import json
import os
import sys
import tempfile
import threading
import time
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

LOOP: Final = "_whilst_loop"
ITEMS: Final = "_whilst_items"
PROBE: Final = "_whilst_probe"
REVERSED: Final = "_whilst_reversed"

_TINY_NS: Final = 5_000
"""Of a loop whose whole course is shorter, on average over its first courses, only the number is noted."""
_ALL_COURSES: Final = 500
"""After so many of a loop only one of `_ONE_OF` is timed."""
_ONE_OF: Final = 16
_WATCHED_CALLS: Final = 6
_WATCHED_S: Final = 1.0
_REITERABLE: Final = (list, tuple, range, dict, set, frozenset, str, bytes)
_VIEWS: Final = ("dict_keys", "dict_values", "dict_items")
_READ_AHEAD: Final = (
    "enumerate",
    "zip",
    "reversed",
    "list_reverseiterator",
    "range_iterator",
    "TextIOWrapper",
    "_reader",
)
"""Types of iterators whose items may be drawn beforehand: what they go over is in the script's text, or on disk."""


_OUTWARD: Final = (
    "open", "os.", "socket.", "subprocess.", "shutil.", "sqlite3.", "builtins.input", "urllib.", "ftplib.", "smtplib.",
    "imaplib.", "poplib.", "telnetlib.", "http.", "fcntl.", "signal.", "syslog.", "time.sleep", "winreg.",
)  # fmt: skip
"""Of events of the interpreter: what a call does beyond computing."""


class Agent:
    """What is noted of one run. `start_ns` is when the script began."""

    def __init__(self, folder: str, original: str, *, allows_effects: bool) -> None:
        self.folder = os.path.realpath(folder)
        self.original = os.path.realpath(original)
        self.temporary = os.path.realpath(tempfile.gettempdir())
        self.allows_effects = allows_effects
        self.loops: dict[int, dict[str, Any]] = {}
        self.probes: dict[int, dict[str, Any]] = {}
        self.outside: list[str] = []
        self.programs: list[str] = []
        self.active = threading.local()
        self.is_quiet = False
        self.effects: list[str] | None = None
        """What the call that is being made does to the world beyond, as its audit events tell; None: no call is."""

    # ------------------------------------------------------------------------------------------------------- loops

    def loop(self, number: int, iterable: Iterable[Any]) -> Iterable[Any]:
        """Stands around what a loop goes over: how long was it under way, and how often?"""
        noted = self.loops.get(number)
        if noted is None:
            noted = self.loops[number] = {"courses": 0, "items": 0, "wall_ns": 0, "within": []}
        courses = noted["courses"] = noted["courses"] + 1
        if courses <= _ALL_COURSES:
            return self._timed(number, iterable, noted, 1)
        if courses % _ONE_OF or noted["wall_ns"] < courses * _TINY_NS:
            return iterable
        return self._timed(number, iterable, noted, _ONE_OF)

    def _timed(self, number: int, iterable: Iterable[Any], noted: dict[str, Any], stands_for: int) -> Iterator[Any]:
        stack: list[int] = self.active.__dict__.setdefault("stack", [])
        for outer in stack:
            if outer != number and outer not in noted["within"]:
                noted["within"].append(outer)
        stack.append(number)
        count = 0
        start_ns = time.perf_counter_ns()
        try:
            for item in iterable:
                count += 1
                yield item
        finally:
            noted["wall_ns"] += (time.perf_counter_ns() - start_ns) * stands_for
            noted["items"] += count * stands_for
            if number in stack:
                stack.remove(number)

    # ------------------------------------------------------------------------------------------------------ stages

    def _of(self, number: int) -> dict[str, Any]:
        return self.probes.setdefault(
            number,
            {"courses": 0, "calls": 0, "total_s": 0.0, "longest_s": 0.0, "plain_s": 0.0, "plain_calls": 0,
             "items_type": "", "may_read_ahead": True, "can_repeat": True, "shares_items": False, "profile": None,
             "is_watched": False, "error": "", "effects": []},
        )  # fmt: skip

    def items(self, number: int, iterable: Iterable[Any]) -> list[Any]:
        """Draw all items; note whether that may be done beforehand."""
        noted = self._of(number)
        kind = type(iterable)
        noted["items_type"] = kind.__name__
        noted["can_repeat"] = isinstance(iterable, _REITERABLE) or kind.__name__ in _VIEWS
        is_array = hasattr(iterable, "__array__") or hasattr(iterable, "__array_interface__")
        noted["may_read_ahead"] = noted["can_repeat"] or is_array or kind.__name__ in _READ_AHEAD
        drawn = list(iterable)
        changeable = [id(item) for item in drawn if not isinstance(item, (int, float, str, bytes, bool, type(None)))]
        noted["shares_items"] = len(set(changeable)) < len(changeable)
        return drawn

    def probe(self, number: int, fn: Callable[..., Any], items: list[Any], *, star: bool = False) -> Iterator[Any]:
        """Make the calls of a stage one after the other, and look into the first of them."""
        noted = self._of(number)
        noted["courses"] += 1
        watch = _Watch(fn, "star" if star else "item", items, noted) if items and not noted["is_watched"] else None
        noted["is_watched"] = noted["is_watched"] or bool(items)
        call: Callable[[Any], Any] = partial(_apply, fn) if star else fn
        for index, item in enumerate(items):
            is_watched = watch is not None and watch.wants(index)
            make = partial(watch.call, index) if is_watched and watch is not None else call
            self.effects = None if is_watched else noted["effects"]  # who looks opens files as well
            start = time.perf_counter()
            result = make(item)
            took = time.perf_counter() - start
            self.effects = None
            noted["calls"] += 1
            noted["total_s"] += took
            if not is_watched:  # the look at a call takes time itself
                noted["plain_s"] += took
                noted["plain_calls"] += 1
                noted["longest_s"] = max(noted["longest_s"], took)
            yield result
        if watch is not None:
            watch.close()

    def reversed(self, number: int, fn: Callable[..., Any], items: list[Any], *, star: bool = False) -> Iterator[Any]:
        """Make the calls of a stage last first, all of them before anything else goes on."""
        self._of(number)["courses"] += 1
        ends: list[tuple[str, Any, BaseException | None]] = []
        for item in reversed(items):
            said, result, error = io.StringIO(), None, None
            with contextlib.redirect_stdout(said):
                try:
                    result = fn(*item) if star else fn(item)
                except Exception as raised:  # it belongs to its item, whose turn comes later
                    error = raised
            ends.append((said.getvalue(), result, error))
        for text, result, error in reversed(ends):
            sys.stdout.write(text)
            if error is not None:
                raise error
            yield result

    # ------------------------------------------------------------------------------------------------------ effects

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Keep the script from changing what lies outside its folder: the user's own files are no scratch paper."""
        if self.is_quiet:
            return
        if self.effects is not None and event.startswith(_OUTWARD) and event not in self.effects:
            self.effects.append(event)
        for path in _written(event, arguments):
            if not self._may_write(path):
                self.is_quiet = True
                self.outside.append(f"{path}{_where(self.folder)}")
                self.is_quiet = False
                raise PermissionError(f"whilst advise keeps this run in its folder; it would change {path}.")
        if event == "subprocess.Popen" and len(self.programs) < 20:
            self.programs.append(str(arguments[0] or arguments[1][0]))
        elif event == "os.system":
            self.programs.append(str(arguments[0]))

    def _may_write(self, path: str) -> bool:
        if self.allows_effects or path.startswith(("/dev/", "/proc/")) or path == os.devnull:
            return True
        real = os.path.realpath(path)
        if _is_in(real, self.folder):
            return True
        if "__pycache__" in real:
            return True
        return _is_in(real, self.temporary) and not _is_in(real, self.original)


def _apply(fn: Callable[..., Any], arguments: Any) -> Any:
    return fn(*arguments)


class _Watch:
    """Looks into the first calls of a stage, as a run in mode "auto" does."""

    def __init__(self, fn: Callable[..., Any], how: str, items: list[Any], noted: dict[str, Any]) -> None:
        from whilst.measuring.pilot import Pilot

        self._fn = fn
        self._how = how
        self._noted = noted
        self._pilot = Pilot(fn, how)
        self._items = items
        self._between: list[str] = []
        self._last: tuple[Any, Any] | None = None
        self._start = time.perf_counter()

    def wants(self, index: int) -> bool:
        return index < 2 or (index < _WATCHED_CALLS and time.perf_counter() - self._start < _WATCHED_S)

    def call(self, index: int, item: Any) -> Any:
        pilot = self._pilot
        pilot.rest = self._items[index + 1 :]
        if index == 0:
            pilot.look_into(item)
        elif pilot.reachable is not None:  # what the rest of the loop has changed meanwhile is no call's doing
            for change in pilot.reachable.look():
                self._between.append(f"{change.name}.{change.slot}" if change.slot else change.name)
        pilot.begin(item)
        try:
            result = self._fn(*item) if self._how == "star" else self._fn(item)
        finally:
            pilot.end(item)
        self._last = (item, result)
        if index == 1:
            self._report()
        return result

    def close(self) -> None:
        self._report()

    def _report(self) -> None:
        pilot = self._pilot
        try:
            if self._last is not None:
                pilot.note_locks_of_items()
                pilot.weigh(*self._last, is_forked=True)
            profile = pilot.profile()
        except Exception as error:  # a look that fails is no fault of the script: it is then not known
            self._noted["error"] = f"{type(error).__name__}: {error}"
            return
        self._noted["profile"] = asdict(profile)
        self._noted["unlike"] = pilot.unlike
        self._noted["between"] = self._between
        self._noted["waits_only_in_sleep"] = pilot.waits_only_in_sleep
        self._noted["unscanned"] = list(pilot.scan.unscanned)
        self._noted["shares_written"] = pilot.share_what_is_written(list(pilot.rest or ()))


def _written(event: str, arguments: tuple[Any, ...]) -> list[str]:
    """The paths that an event of the interpreter is about to change."""
    paths: list[Any] = []
    if event == "open":
        path, mode, flags = arguments
        if isinstance(mode, str):
            is_writing = bool(set(mode) & set("wax+"))
        else:
            is_writing = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
        paths = [path] if is_writing else []
    elif event in (
        "os.remove",
        "os.mkdir",
        "os.rmdir",
        "os.truncate",
        "os.chmod",
        "os.chown",
        "os.utime",
        "shutil.rmtree",
    ):
        paths = [arguments[0]]
    elif event in ("os.rename", "os.link", "os.symlink"):
        paths = list(arguments[:2]) if event == "os.rename" else [arguments[1]]
    elif event == "sqlite3.connect" and not str(arguments[0]).startswith((":memory:", "file:")):
        paths = [arguments[0]]
    found = []
    for path in paths:
        if isinstance(path, (str, bytes, os.PathLike)):
            found.append(os.fsdecode(path))
    return [path for path in found if path]


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _where(folder: str) -> str:
    frame = sys._getframe(2)  # noqa: SLF001 - the one way to the caller's line
    while frame is not None:
        name = os.path.realpath(frame.f_code.co_filename)
        if _is_in(name, folder):
            return f" (line {frame.f_lineno} of {Path(name).name})"
        if frame.f_back is None:
            break
        frame = frame.f_back
    return ""


def main() -> None:
    """Run the script as `python script …` would, with the hooks in place, and write the report."""
    report, folder, original, allows, script, *rest = sys.argv[1:]
    agent = Agent(folder, original, allows_effects=allows == "1")
    hooks = {LOOP: agent.loop, ITEMS: agent.items, PROBE: agent.probe, REVERSED: agent.reversed}
    for name, hook in hooks.items():
        setattr(builtins, name, hook)
    source = Path(script).read_bytes()
    owner = os.getpid()
    sys.argv = [script, *rest]
    sys.path[0] = str(Path(script).parent)
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=script, __builtins__=builtins, __cached__=None)
    sys.modules["__main__"] = module
    code = compile(source, script, "exec")
    sys.addaudithook(agent.audit)
    start = time.perf_counter()
    has_ended = "returned"
    try:
        exec(code, module.__dict__)  # noqa: S102 - this is what the user asked for
    except SystemExit:
        has_ended = "exited"
        raise
    except BaseException as error:
        has_ended = f"{type(error).__name__}: {error}"
        raise
    finally:
        if os.getpid() == owner:
            agent.is_quiet = True
            seconds = time.perf_counter() - start
            text = json.dumps(
                {"seconds": seconds, "ended": has_ended, "loops": agent.loops, "probes": agent.probes,
                 "outside": agent.outside, "programs": agent.programs},
                default=repr,
            )  # fmt: skip
            Path(report).write_text(text, encoding="utf-8")
            agent.is_quiet = False
