"""Which files, databases and commands a call touches: told by CPython's own audit events (PEP 578) while it is made.

The code says little about files: a path is put together by helpers, read here and written there, and what
`sqlite3.connect` or a shell command writes stands nowhere. But every way to a file passes an audit event, in pure
Python and in C. Two calls may change places only if neither writes what the other reads or writes, so the footprints
of a few calls are held against each other (A. J. Bernstein, "Analysis of Programs for Parallel Processing", 1966),
and a name that a call writes is held against the items to come: is it that item's alone?

An audit hook can't be taken out again, and slows what is audited down for good (`id()` by some tenths of a
microsecond). So there is one for the whole process, put in only for functions that may come near a file at all
(`may_touch_files`), beside which it costs nothing. While no call is watched it only asks whether one is.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final

from whilst.measuring import ownership
from whilst.model import Write

__all__ = ["Footprint", "Footprints", "may_touch_files"]

_IGNORED: Final = ("/dev/", "/proc/", "/sys/")
_CHANGES: Final = os.O_WRONLY | os.O_RDWR
_MOST: Final = 512
"""So many paths of one call are kept."""
_MOST_ITEMS: Final = 4096
_REDIRECTION: Final = re.compile(
    r">{1,2}\s*([^\s;&|<>()]+)|\btee\s+(?:-a\s+)?([^\s;&|<>()]+)|\bsed\s+-i\S*\s.*?(\S+)\s*$"
)
_COUNTER: Final = slice(24, 28)
"""Where a SQLite file counts its changes (https://sqlite.org/fileformat.html, 1.3.7)."""


_NEUTRAL: Final = ownership.NEVER_WAITING | frozenset(
    [
        "__main__",
        "numpy",
        "scipy",
        "None",
        "threading",
        "_thread",
        "queue",
        "_queue",
        "contextlib",
        "contextvars",
        "_contextvars",
        "types",
        "weakref",
        "abc",
        "numbers",
        "bisect",
        "heapq",
        "unicodedata",
        "html",
        "textwrap",
        "difflib",
        "pprint",
        "uuid",
        "secrets",
        "warnings",
        "sys",
        "gc",
        "inspect",
        "traceback",
        "itertools",
        "asyncio",
        "concurrent",
        "_random",
        "numbers",
        "locale",
        "logging",
        "calendar",
        "zoneinfo",
        "_io",
        "builtins",
        "__future__",
        "whilst",
    ]
)
"""Packages that nobody reads or writes files with, those of `_FILE_NAMES` excepted."""
_FILE_NAMES: Final = frozenset(
    [
        "open",
        "exec",
        "eval",
        "__import__",
        "import_module",
        "write_text",
        "write_bytes",
        "read_text",
        "read_bytes",
        "unlink",
        "touch",
        "rename",
        "mkdir",
        "makedirs",
        "iterdir",
        "glob",
        "rglob",
        "save",
        "savez",
        "savetxt",
        "load",
        "loadtxt",
        "genfromtxt",
        "tofile",
        "fromfile",
        "memmap",
        "FileHandler",
        "basicConfig",
        "connect",
        "Popen",
        "system",
        "listdir",
        "scandir",
    ]
)


def may_touch_files(names: AbstractSet[str], libraries: AbstractSet[str]) -> bool:
    """Can a function come near a file, by the names in its code and the packages that they come from?"""
    if not names.isdisjoint(_FILE_NAMES):
        return True
    used = libraries | (names & sys.stdlib_module_names)
    return not used <= _NEUTRAL


@dataclass(slots=True)
class Footprint:
    """What one call (or a few together) did to files. Absolute paths."""

    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    adds: set[str] = field(default_factory=set)
    """Of `writes`: opened to add to what others have written."""
    updates: set[str] = field(default_factory=set)
    """Of `writes`: read before in the same call."""
    lists: set[str] = field(default_factory=set)
    """Folders whose entries were asked for."""
    makes: set[str] = field(default_factory=set)
    """Folders that were made."""
    databases: set[str] = field(default_factory=set)
    """SQLite files that are changed afterwards."""
    settings: set[str] = field(default_factory=set)
    """Of the whole process, that were changed, be it for the time of the call."""
    operations: int = 0
    """Files and folders that were opened, made, moved or deleted."""
    has_connected: bool = False
    has_commanded: bool = False
    """It started a program, which may have written anything."""

    @property
    def leaves_traces(self) -> bool:
        """Something outside this process may be different afterwards."""
        return bool(self.writes or self.makes or self.databases or self.has_connected or self.has_commanded)

    def write(self, path: object, *, adds: bool = False) -> None:
        place = _place(path)
        # A folder is opened to make a nameless file in it; the file itself is told separately.
        if place and len(self.writes) < _MOST and not os.path.isdir(place):  # noqa: PTH112
            if place in self.reads:
                self.updates.add(place)
            if adds and place not in self.writes:
                self.adds.add(place)
            self.writes.add(place)

    def read(self, path: object) -> None:
        place = _place(path)
        if place and place not in self.writes and len(self.reads) < _MOST:
            self.reads.add(place)

    def command(self, text: str, cwd: object = None) -> None:
        """A program is started: what its words say that it writes."""
        self.has_commanded = True
        for found in _REDIRECTION.finditer(text[:4096]):
            target = next(group for group in found.groups() if group)
            name = target.strip("\"'")
            if not name.startswith(("&", "$", "/dev/")):
                path = name if cwd is None else os.path.join(os.fsdecode(cwd), name)  # type: ignore[arg-type]  # noqa: PTH118
                self.write(path, adds=not re.match(">[^>]", found.group()))


class Footprints:
    """The footprints of the watched calls of one function: `begin` before a call, `end` after it."""

    def __init__(self, *, is_watching: bool = True) -> None:
        self.calls: list[tuple[object, Footprint]] = []
        self._is_watching = is_watching
        self._databases: dict[str, object] = {}
        """By path: how each looked before the call."""
        self._outer: Footprint | None = None
        self._outer_connections: dict[str, object] = {}
        self._item: object = None

    def begin(self, item: object) -> None:
        """Watch from here on what is done for this item."""
        if not self._is_watching:
            return
        _install()
        self._item = item
        for path in self._databases:
            self._databases[path] = _look_of(path)
        self._outer, _hooked.footprint = _hooked.footprint, Footprint()
        self._outer_connections, _hooked.databases = _hooked.databases, {}

    def end(self) -> None:
        """The call is over."""
        if not self._is_watching:
            return
        footprint, _hooked.footprint = _hooked.footprint, self._outer
        connected, _hooked.databases = _hooked.databases, self._outer_connections
        assert footprint is not None
        self._databases = {**connected, **self._databases}
        footprint.databases.update(path for path, before in self._databases.items() if _look_of(path) != before)
        self.calls.append((self._item, footprint))
        self._item = None

    @property
    def writes_files(self) -> bool:
        """Some call wrote a file or a database: whose are they? Another call tells more."""
        return any(each.writes or each.databases for _, each in self.calls)

    @property
    def leaves_traces(self) -> bool:
        return any(each.leaves_traces for _, each in self.calls)

    @property
    def operations(self) -> int:
        """Small system calls on files, of all watched calls together."""
        return sum(each.operations for _, each in self.calls)

    @property
    def has_connected(self) -> bool:
        return any(each.has_connected for _, each in self.calls)

    def writes(self, rest: Sequence[object] | None = None) -> tuple[Write, ...]:
        """Return what calls write that other calls read or write, too.

        Args:
            rest: items still to come, as far as they are known.
        """
        found = [*self._conflicts()]
        for item, footprint in self.calls:
            for path in sorted(footprint.writes | footprint.databases):
                if any(path.startswith(folder + os.sep) for folder in footprint.makes):
                    continue  # in a folder of its own
                named_by = _features_in(path, item)
                if path in footprint.adds and not (named_by and rest and _is_alone(named_by, item, rest)):
                    found.append(f"the file {path}, which calls add to")
                elif not named_by and path in footprint.databases:
                    found.append(f"the database {path}")
                elif not named_by and path in footprint.updates:
                    found.append(f"the file {path}, which it read before")
                elif named_by and rest and not _is_alone(named_by, item, rest):
                    found.append(f"the file {path}, whose name other items give as well")
        settings = sorted(set().union(*(footprint.settings for _, footprint in self.calls)))
        return (
            *(Write(what, is_confirmed=True) for what in list(dict.fromkeys(found))[:8]),
            *(Write(what, is_confirmed=True, spoils_processes=False) for what in settings),
        )

    def _conflicts(self) -> Iterator[str]:
        """What one call wrote and another read, wrote or found in a folder."""
        writers: dict[str, int] = {}
        for number, (_, footprint) in enumerate(self.calls):
            for path in footprint.writes | footprint.databases:
                if writers.setdefault(path, number) != number:
                    yield f"the file {path}, which other calls write as well"
        folders: dict[str, set[int]] = {}
        for path, number in writers.items():
            folders.setdefault(os.path.dirname(path), set()).add(number)  # noqa: PTH120 - a Path would cost more
        for number, (_, footprint) in enumerate(self.calls):
            for path in footprint.reads:
                if writers.get(path, number) != number:
                    yield f"the file {path}, which other calls read"
            for folder in footprint.lists - footprint.makes:
                if folders.get(folder):
                    yield f"the folder {folder}, whose entries other calls ask for"


# ---------------------------------------------------------------- names and items


def _features_in(path: str, item: object) -> tuple[tuple[object, ...], ...]:
    """Which parts of the item its file's name is made of: keys as `_features` gives them."""
    end = "/".join(path.rsplit(os.sep, 2)[-2:])  # what stands further up is the same for all
    name = os.path.basename(path)  # noqa: PTH119
    words = {*re.split(r"[^0-9A-Za-z]+", end), *re.findall(r"[0-9]+|[A-Za-z]+", name)}
    found = []
    for key, text in _features(item):
        if text and (text in words or (len(text) > 3 and text in end) or text == path):
            found.append(key)
    return tuple(found)


def _features(item: object, depth: int = 2) -> Iterator[tuple[tuple[object, ...], str]]:
    """What of an item may stand in a file's name, each under a key."""
    if isinstance(item, (str, int, float, os.PathLike)):
        text = os.fsdecode(item) if isinstance(item, os.PathLike) else str(item)
        yield (), text
        if not isinstance(item, (int, float)):
            name = os.path.basename(text)  # noqa: PTH119 - pathlib would be imported for it
            yield ("name",), name
            yield ("stem",), os.path.splitext(name)[0]  # noqa: PTH122
    elif depth > 0:
        for key, part in _parts(item):
            for inner, text in _features(part, depth - 1):
                yield (key, *inner), text


def _parts(item: object) -> list[tuple[object, object]]:
    if isinstance(item, Mapping):
        return list(item.items())[:32]
    if isinstance(item, (tuple, list)):
        return list(enumerate(item[:32]))
    own = getattr(item, "__dict__", None)
    return list(own.items())[:32] if isinstance(own, dict) else []


def _is_alone(keys: tuple[tuple[object, ...], ...], item: object, rest: Sequence[object]) -> bool:
    """Does no other item have the same in these parts?"""
    seen = {_parts_at(keys, item)}
    for other in rest[:_MOST_ITEMS]:
        theirs = _parts_at(keys, other)
        if theirs in seen:
            return False
        seen.add(theirs)
    return True


def _parts_at(keys: tuple[tuple[object, ...], ...], item: object) -> tuple[str | None, ...]:
    features = dict(_features(item))
    return tuple(features.get(key) for key in keys)


# ---------------------------------------------------------------- the hook


class _Hooked:
    """What the hook tells its news to."""

    def __init__(self) -> None:
        self.is_installed = False
        self.footprint: Footprint | None = None
        self.databases: dict[str, object] = {}
        """Connected to in this call, and how each looked just before."""


_hooked: Final = _Hooked()


def _install() -> None:
    if not _hooked.is_installed:
        _hooked.is_installed = True
        sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    footprint = _hooked.footprint
    if footprint is None:
        return
    note = _NOTES.get(event)
    if note is not None:
        footprint.operations += event in _OPERATIONS
        _hooked.footprint = None  # what is done here is not the call's doing
        try:
            note(footprint, arguments)
        except Exception:  # noqa: S110 - whatever a path's own code raises must not end the user's call
            pass
        finally:
            _hooked.footprint = footprint


def _place(path: object) -> str:
    """The absolute path, "" for what is no file of anybody's: a number, a device, compiled code."""
    if isinstance(path, int) or path is None:
        return ""
    text = os.fsdecode(path)  # type: ignore[arg-type]  # what is no path raises TypeError, and is left out
    if text.startswith(_IGNORED) or "__pycache__" in text or text == os.devnull:
        return ""
    return os.path.abspath(text)  # noqa: PTH100 - a Path would be built for nothing


def _note_open(footprint: Footprint, arguments: tuple[Any, ...]) -> None:
    path, _, flags = arguments
    if not flags & _CHANGES:
        footprint.read(path)
    else:
        if flags & os.O_RDWR and not flags & (os.O_TRUNC | os.O_EXCL):
            footprint.read(path)
        footprint.write(path, adds=bool(flags & os.O_APPEND))


def _note_rename(footprint: Footprint, arguments: tuple[Any, ...]) -> None:
    footprint.write(arguments[1])
    source = _place(arguments[0])
    footprint.writes.discard(source)  # written under another name first: only the new one stays
    footprint.updates.discard(source)


def _note_remove(footprint: Footprint, arguments: tuple[Any, ...]) -> None:
    place = _place(arguments[0])
    if place in footprint.writes and place not in footprint.reads:
        return  # a temporary file of its own; its name counts, since another call may have the same
    footprint.write(arguments[0])


def _note_popen(footprint: Footprint, arguments: tuple[Any, ...]) -> None:
    command = arguments[1]
    text = command if isinstance(command, str) else " ".join(map(os.fsdecode, command))
    footprint.command(text, arguments[2])


def _note_database(_footprint: Footprint, arguments: tuple[Any, ...]) -> None:
    text = os.fsdecode(arguments[0])
    if text and ":memory:" not in text:
        path = os.path.abspath(text.removeprefix("file:").partition("?")[0])  # noqa: PTH100
        if path not in _hooked.databases:
            _hooked.databases[path] = _look_of(path)


def _note_list(footprint: Footprint, arguments: tuple[Any, ...]) -> None:
    if sys._getframe(2).f_code.co_filename.startswith("<frozen importlib"):  # noqa: SLF001 - whoever asked
        return  # an import looks for its module
    place = _place(arguments[0] if arguments[0] is not None else ".")
    if place:
        footprint.lists.add(place)


def _note_folder(footprint: Footprint, arguments: tuple[Any, ...]) -> None:
    place = _place(arguments[0])
    if place and not os.path.exists(place):  # noqa: PTH110
        footprint.makes.add(place)


def _note_connection(footprint: Footprint, _arguments: tuple[Any, ...]) -> None:
    footprint.has_connected = True


def _note_setting(what: str) -> Callable[[Footprint, tuple[Any, ...]], None]:
    return lambda footprint, _arguments: footprint.settings.add(what)


def _note_system(footprint: Footprint, arguments: tuple[Any, ...]) -> None:
    footprint.command(os.fsdecode(arguments[0]))


_NOTES: Final = {
    "open": _note_open,
    "os.rename": _note_rename,
    "os.remove": _note_remove,
    "os.truncate": lambda footprint, arguments: footprint.write(arguments[0]),
    "os.listdir": _note_list,
    "os.scandir": _note_list,
    "os.mkdir": _note_folder,
    "os.chdir": _note_setting("the working directory, which the whole process shares"),
    "os.putenv": _note_setting("os.environ, which the whole process shares"),
    "os.unsetenv": _note_setting("os.environ, which the whole process shares"),
    "resource.setrlimit": _note_setting("resource limits, which the whole process shares"),
    "sqlite3.connect": _note_database,
    "subprocess.Popen": _note_popen,
    "os.system": _note_system,
    "os.posix_spawn": lambda footprint, arguments: footprint.command(" ".join(map(os.fsdecode, arguments[1]))),
    "socket.connect": _note_connection,
    "socket.sendto": _note_connection,
}


_OPERATIONS: Final = frozenset({"open", "os.rename", "os.remove", "os.mkdir"})


def _look_of(path: str) -> object:
    """How a database looks from outside: differs after anything was written to it."""
    looks: list[object] = []
    for name in (path, f"{path}-wal"):
        try:
            status = os.stat(name)  # noqa: PTH116 - a Path would be built for nothing
            with open(name, "rb") as file:  # noqa: PTH123
                head = file.read(32)
        except OSError:
            looks.append(None)
            continue
        looks.append((status.st_size, status.st_mtime_ns if name != path else 0, head[_COUNTER]))
    return tuple(looks)
