"""What a call does to files: told by CPython's own audit events (PEP 578) while it is made.

Every way to a file passes an audit event, in pure Python and in C. An audit hook can't be taken out again, and slows
what is audited down for good (`id()` by some tenths of a microsecond). So there is one for the whole process, put in
only once something is to be watched. While no call is watched it only asks whether one is.

What is only asked for (`os.stat`, `Path.exists`) raises no event, nor does what a program does that a call starts:
`commands` looks at the files that the program was told of.
"""

from __future__ import annotations

import os
import sys
from _thread import get_ident
from collections.abc import Callable, Sequence
from typing import Any, Final

from whilst.measuring.files.commands import Commands, redirections

_IGNORED: Final = ("/dev/", "/proc/", "/sys/")
_CHANGES: Final = os.O_WRONLY | os.O_RDWR
_MOST: Final = 512
"""So many paths of one call are kept."""
_COUNTER: Final = slice(24, 28)
"""Where a SQLite file counts its changes (https://sqlite.org/fileformat.html, 1.3.7)."""


class Footprint:
    """What one call (or a few together) did to files. Absolute paths."""

    def __init__(self) -> None:
        self.reads: set[str] = set()
        self.writes: set[str] = set()
        self.adds: set[str] = set()
        """Of `writes`: opened to add to what others have written."""
        self.updates: set[str] = set()
        """Of `writes`: read before in the same call."""
        self.lists: set[str] = set()
        """Folders whose entries were asked for."""
        self.makes: set[str] = set()
        """Folders that were made."""
        self.databases: set[str] = set()
        """SQLite files that are changed afterwards."""
        self.settings: set[str] = set()
        """Of the whole process, that were changed, be it for the time of the call."""
        self.operations = 0
        """Files and folders that were opened, made, moved or deleted."""
        self.has_connected = False
        self.commands: Commands | None = None
        """The programs that it started, which may have written anything."""
        self.has_printed = False
        """Those programs wrote to where this process prints."""

    @property
    def leaves_traces(self) -> bool:
        """Something outside this process may be different afterwards."""
        return bool(self.writes or self.makes or self.databases or self.has_connected or self.commands)

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

    def command(self, words: str | Sequence[str | bytes], cwd: object = None, *, may_print: bool = True) -> None:
        """A program is started: what its words say that it writes, and what there is before it does."""
        if self.commands is None:
            self.commands = Commands()
        self.commands.start(words, cwd, may_print=may_print)
        line = words if isinstance(words, str) else " ".join(map(os.fsdecode, words))
        for name, adds in redirections(line):
            self.write(name if cwd is None else os.path.join(os.fsdecode(cwd), name), adds=adds)  # type: ignore[arg-type]  # noqa: PTH118

    def add(self, other: Footprint) -> None:
        """What another thread did meanwhile counts as done by this call."""
        for name in ("reads", "writes", "adds", "updates", "lists", "makes", "databases", "settings"):
            getattr(self, name).update(getattr(other, name))
        self.operations += other.operations
        self.has_connected = self.has_connected or other.has_connected
        if other.commands is not None:
            other.finish()
            self.commands = self.commands or other.commands
            self.writes |= other.writes
            self.has_printed = self.has_printed or other.has_printed

    def finish(self) -> None:
        """The call is over: what have the programs done that it started?"""
        if self.commands is not None:
            changed = self.commands.changed()
            self.has_printed = self.commands.have_printed(changed | self.writes)
            self.writes |= {path for path in map(_place, changed) if path}


class Watch:
    """What one call does, from `begin` to `end`, in one thread. Calls within calls are told apart.

    What a thread does that watches no call itself is every watched call's doing: one of them may have started it.
    """

    def __init__(self) -> None:
        self._databases: dict[str, object] = {}
        """By path: how each looked before the call."""
        self._noted: _Noted | None = None
        self._outer: _Noted | None = None

    def begin(self) -> None:
        """Watch from here on."""
        _install()
        for path in self._databases:
            self._databases[path] = _look_of(path)
        self._noted, self._outer = _Noted(), _watched.get(get_ident())
        _watched[get_ident()] = self._noted

    def end(self) -> Footprint:
        """The call is over."""
        noted = self._noted
        if noted is None:
            raise RuntimeError("Watch.end() comes after Watch.begin()")
        if self._outer is None:
            _watched.pop(get_ident(), None)
        else:
            _watched[get_ident()] = self._outer
        footprint = noted.footprint
        for other in list(noted.of_others.values()):
            footprint.add(other)
        self._databases = {**noted.databases, **self._databases}
        footprint.databases.update(path for path, before in self._databases.items() if _look_of(path) != before)
        footprint.finish()
        self._noted = self._outer = None
        return footprint


# ---------------------------------------------------------------- the hook


class _Noted:
    """What the hook notes for one watched call. A footprint is written to by one thread only."""

    def __init__(self) -> None:
        self.footprint = Footprint()
        self.of_others: dict[int, Footprint] = {}
        """By thread: what others did meanwhile."""
        self.databases: dict[str, object] = {}
        """Connected to in this call, and how each looked just before."""


_watched: Final[dict[int, _Noted]] = {}
"""By thread: the call that is watched there."""
_noting: Final[set[int]] = set()
"""Threads that are in the hook: what is done there is no call's doing."""
_left_out: Final[set[int]] = set()
_has_hook: Final[list[bool]] = []


def _install() -> None:
    if not _has_hook:
        _has_hook.append(True)
        sys.addaudithook(_hook)


def overlook(thread: int, *, is_over: bool = False) -> None:
    """Whatever the thread of this number does, no call does it, until it `is_over`."""
    (_left_out.discard if is_over else _left_out.add)(thread)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watched:
        return
    note = _NOTES.get(event)
    if note is None:
        return
    here = get_ident()
    if here in _left_out or here in _noting:
        return
    _noting.add(here)
    try:
        own = _watched.get(here)
        for noted in (own,) if own is not None else tuple(_watched.values()):
            footprint = noted.footprint if own is not None else noted.of_others.setdefault(here, Footprint())
            footprint.operations += event in _OPERATIONS
            if note is _note_database:
                _note_look(noted, arguments)
            else:
                note(footprint, arguments)
    except Exception:  # noqa: S110 - whatever a path's own code raises must not end the user's call
        pass
    finally:
        _noting.discard(here)


def _place(path: object) -> str:
    """The absolute path, "" for what is no file of anybody's: a number, a device, compiled code."""
    if isinstance(path, int) or path is None:
        return ""
    text = os.fsdecode(path)  # type: ignore[arg-type]  # what is no path raises TypeError, and is left out
    if text.startswith(_IGNORED) or (sys.pycache_prefix or "__pycache__") in text or text == os.devnull:
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


def _under(path: object, folder_fd: object) -> object:
    """A path that may be relative to an open folder; None where nobody knows which."""
    if folder_fd in (-1, None) or os.path.isabs(os.fsdecode(path)):  # type: ignore[arg-type]  # noqa: PTH117
        return path
    try:
        return os.path.join(os.readlink(f"/proc/self/fd/{folder_fd}"), os.fsdecode(path))  # type: ignore[arg-type]  # noqa: PTH115, PTH118
    except OSError:
        return None


def _note_rename(footprint: Footprint, arguments: tuple[Any, ...]) -> None:
    old, new, old_fd, new_fd = arguments
    footprint.write(_under(new, new_fd))
    source = _place(_under(old, old_fd))
    if source in footprint.writes:
        footprint.writes.discard(source)  # written under another name first: only the new one stays
        footprint.updates.discard(source)
    elif source:
        footprint.writes.add(source)  # taken out of its folder


def _note_remove(footprint: Footprint, arguments: tuple[Any, ...]) -> None:
    path = _under(*arguments)
    place = _place(path)
    if place in footprint.writes and place not in footprint.reads:
        return  # a temporary file of its own; its name counts, since another call may have the same
    footprint.write(path)


def _note_popen(footprint: Footprint, arguments: tuple[Any, ...]) -> None:
    # Whoever raises the event knows where the output goes: to a pipe or a file, or to where this process prints.
    asked = sys._getframe(2).f_locals.get("c2pwrite", -1)  # noqa: SLF001
    footprint.command(arguments[1], arguments[2], may_print=asked == -1)


def _note_database(_footprint: Footprint, _arguments: tuple[Any, ...]) -> None:
    """See `_note_look`."""


def _note_look(noted: _Noted, arguments: tuple[Any, ...]) -> None:
    """How a database looks before it is connected to."""
    text = os.fsdecode(arguments[0])
    if text and ":memory:" not in text:
        path = os.path.abspath(text.removeprefix("file:").partition("?")[0])  # noqa: PTH100
        if path not in noted.databases:
            noted.databases[path] = _look_of(path)


def _note_list(footprint: Footprint, arguments: tuple[Any, ...]) -> None:
    if sys._getframe(2).f_code.co_filename.startswith("<frozen importlib"):  # noqa: SLF001 - whoever asked
        return  # an import looks for its module
    place = _place(arguments[0] if arguments[0] is not None else ".")
    if place:
        footprint.lists.add(place)


def _note_folder(footprint: Footprint, arguments: tuple[Any, ...]) -> None:
    path, _, folder_fd = arguments
    place = _place(_under(path, folder_fd))
    if place and not os.path.exists(place):  # noqa: PTH110
        footprint.makes.add(place)


def _note_connection(footprint: Footprint, _arguments: tuple[Any, ...]) -> None:
    footprint.has_connected = True


def _note_setting(what: str) -> Callable[[Footprint, tuple[Any, ...]], None]:
    return lambda footprint, _arguments: footprint.settings.add(what)


def _note_spawn(footprint: Footprint, arguments: tuple[Any, ...]) -> None:
    if sys._getframe(2).f_globals.get("__name__") != "subprocess":  # noqa: SLF001 - it has told of it already
        footprint.command(arguments[1])


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
    "os.posix_spawn": _note_spawn,
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
