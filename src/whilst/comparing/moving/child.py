"""Makes the calls and reads the clocks, as a script of any CPython: `python child.py REQUEST REPORT`, two JSON files.

Standard library only, and nothing of whilst's: the interpreter that is asked about may have nothing installed, and both
interpreters are measured by these same lines. REQUEST holds `target`, `items`, `ways`, `threads` and `processes`;
REPORT whether there was a GIL, who turned it on, and for each way its seconds and a digest of what each call gave.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import multiprocessing
import os
import re
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, Tuple  # noqa: UP035 - as old a Python as there may be

_DEEPEST = 50
_SHORT = 60
_BATCHES = 4
"""For each worker, as multiprocessing.Pool.map makes them."""
_loaded: list[Any] = []
"""The function and the items: in this process, and in each worker that is not a fork of it."""
_Outcome = Tuple[bool, Any]  # noqa: UP006
"""Whether it returned, and its value, or else the type and the message of what it raised."""


def main() -> None:
    request_path, report_path = sys.argv[1:]
    own = os.path.dirname(os.path.abspath(__file__))  # stands first, and would hide modules of the user's
    sys.path[:] = ["", *(folder for folder in sys.path if os.path.abspath(folder) != own)]
    with open(request_path, encoding="utf-8") as file:
        request = json.load(file)
    report = _report(request)
    with open(report_path, "w", encoding="utf-8") as file:
        json.dump(report, file)


def _report(request: dict[str, Any]) -> dict[str, Any]:
    culprits: list[str] = []
    _listen(culprits)
    start = time.perf_counter()
    try:
        _load(request["target"], request["items"])
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        return {"error": f"{type(error).__name__}: {error}", "missing": missing}
    _calls(0, 1)  # what the very first call imports and sets up would count for one way only
    report: dict[str, Any] = {"start_s": time.perf_counter() - start, "ways": {}}
    for way in request["ways"]:
        try:
            report["ways"][way] = _measured(way, request)
        except Exception as error:
            report["ways"][way] = {"error": f"{type(error).__name__}: {error}"}
    report["has_gil"] = getattr(sys, "_is_gil_enabled", lambda: True)()
    report["culprits"] = culprits
    return report


def _listen(culprits: list[str]) -> None:
    """Keep the names of the extensions that turn the GIL on; the interpreter warns of the first of them, once."""
    shown = warnings.showwarning

    def show(message: Any, *rest: Any, **named: Any) -> None:
        found = re.search(r"GIL\) has been enabled to load module '([^']+)'", str(message))
        if found is None:
            shown(message, *rest, **named)
        elif found[1] not in culprits:
            culprits.append(found[1])

    warnings.showwarning = show
    # Also where warnings are errors: the extension could not be imported, and nobody would know why.
    warnings.filterwarnings("always", message="The global interpreter lock")


# ---------------------------------------------------------------------------------------------------------- the calls
def _load(target: str, items: list[Any]) -> None:
    """Find the function as the command does: "module:name", or "path/to/file.py:name"."""
    if _loaded:
        return
    place, _, path = target.partition(":")
    if place.endswith(".py"):
        folder, name = os.path.split(os.path.realpath(place))
        sys.path.insert(0, folder)
        place = name[: -len(".py")]
    found: Any = importlib.import_module(place)
    for part in path.lstrip(":").split("."):
        found = getattr(found, part)
    _loaded[:] = [found, items]


def _calls(start: int, stop: int) -> list[_Outcome]:
    fn, items = _loaded
    outcomes: list[_Outcome] = []
    for item in items[start:stop]:
        try:
            outcomes.append((True, fn(item)))
        except (Exception, SystemExit) as error:
            outcomes.append((False, (type(error).__name__, str(error))))
    return outcomes


def _measured(way: str, request: dict[str, Any]) -> dict[str, Any]:
    count, workers = len(request["items"]), request["processes" if way == "process pool" else "threads"]
    size = max(1, count // (workers * _BATCHES))
    starts = range(0, count, size)
    stops = [min(count, start + size) for start in starts]
    cpu_before_s, start_s = _cpu_s(), time.perf_counter()
    if way == "loop":
        parts = [_calls(0, count)]
    elif way == "thread pool":
        with ThreadPoolExecutor(workers) as threads:
            parts = list(threads.map(_calls, starts, stops))
    else:
        # A fork has what is loaded already; where it is not safe, the worker loads it anew.
        context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
        given = (request["target"], request["items"])
        with ProcessPoolExecutor(workers, context, initializer=_load, initargs=given) as processes:
            parts = list(processes.map(_calls, starts, stops))
    seconds = time.perf_counter() - start_s
    outcomes = [outcome for part in parts for outcome in part]
    return {
        "seconds": seconds,
        "cpu_s": _cpu_s() - cpu_before_s,
        "digests": [_digest(outcome) for outcome in outcomes],
        "shown": [_shown(outcome) for outcome in outcomes],
        "raised": [number for number, (has_returned, _) in enumerate(outcomes) if not has_returned],
    }


def _cpu_s() -> float:
    """CPU seconds of this process, and of the children that have ended."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


# -------------------------------------------------------------------------------------------------------- the results
def _shown(outcome: _Outcome) -> str:
    has_returned, value = outcome
    if not has_returned:
        return f"the exception {value[0]}: {value[1]}"[:_SHORT]
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


def _digest(outcome: _Outcome) -> str:
    """The same text for the same value in every version of Python; it begins with "?" where nobody can be sure."""
    reader = _Reader()
    try:
        reader.feed(outcome)
    except Exception:
        return "?"
    return ("" if reader.is_sure else "?") + reader.hash.hexdigest()[:24]


class _Reader:
    """Reads a value part by part into a hash, by types that every Python has."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.is_sure = True
        self._path: list[int] = []

    def feed(self, value: Any) -> None:
        if id(value) in self._path or len(self._path) > _DEEPEST:
            self._note("again", self._path.index(id(value)) if id(value) in self._path else "deep")
            self.is_sure = self.is_sure and id(value) in self._path
            return
        self._path.append(id(value))
        try:
            self._feed(value)
        finally:
            self._path.pop()

    def _note(self, *words: object) -> None:
        for word in words:
            self.hash.update(word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogatepass"))
            self.hash.update(b"\0")

    def _feed(self, value: Any) -> None:
        kind = type(value)
        if value is None or kind in (bool, str, bytes, complex):
            self._note(kind.__name__, len(value) if kind in (str, bytes) else "", value)
        elif kind is int:
            self._note("int", hex(value))  # in decimal, very long ones are refused
        elif kind is float:
            self._note("float", value.hex())
        elif kind in (list, tuple):
            self._note(kind.__name__, len(value))
            for each in value:
                self.feed(each)
        elif isinstance(value, (set, frozenset)):
            self._note(kind.__name__, *sorted(map(self._apart, value)))
        elif isinstance(value, dict):
            self._note(kind.__name__, *sorted(map(self._apart, value.items())))
        elif isinstance(value, type) or hasattr(value, "__code__"):
            self._note(value.__module__, value.__qualname__)
            self.is_sure = self.is_sure and "<" not in value.__qualname__  # a lambda, or made in a function
        elif isinstance(value, BaseException):
            self._note(kind.__module__, kind.__qualname__, value)
        elif hasattr(value, "dtype") and hasattr(value, "tobytes") and not value.dtype.hasobject:
            self._note("array", value.dtype.str, value.shape, value.tobytes())
        else:
            self._feed_object(value, kind)

    def _feed_object(self, value: Any, kind: type) -> None:
        """By what a pickle would hold. Of a library's objects that may be another thing in another version of it."""
        home = str(getattr(sys.modules.get(kind.__module__), "__file__", "") or "")
        if "site-packages" in home or "dist-packages" in home:
            self.is_sure = False
        reduced = value.__reduce_ex__(4)
        self._note(kind.__module__, kind.__qualname__)
        for number, part in enumerate(reduced if isinstance(reduced, tuple) else (reduced,)):
            if number > 2 and part is not None:  # what is in it, one by one
                part = list(part)
            self.feed(part)

    def _apart(self, value: Any) -> str:
        """The digest of a part whose place says nothing."""
        reader = _Reader()
        reader._path = list(self._path)
        reader.feed(value)
        self.is_sure = self.is_sure and reader.is_sure
        return reader.hash.hexdigest()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
