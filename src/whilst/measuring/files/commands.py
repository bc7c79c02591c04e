"""What the programs do that a call starts: which files they change, and whether they print.

No audit event tells of it. So the files and folders that a command was told of (in its words, or as its working
directory) are looked at before it starts and after the call; what has changed, the call has written. And the kernel
adds up what a process and those of its children write that it has waited for (`wchar` in proc(5)): a command that
writes something, though no file that it was told of changes, writes to where its caller prints.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from typing import Final

from whilst._light import Record

_REDIRECTION: Final = r">{1,2}\s*([^\s;&|<>()]+)|\btee\s+(?:-a\s+)?([^\s;&|<>()]+)|\bsed\s+-i\S*\s.*?(\S+)\s*$"
_WORD: Final = r"[^\s;&|<>()\"'=]+"
"""Compiled where a command is seen (`re` keeps them): most calls start none."""
_LONGEST: Final = 4096
_MOST_LOOKS: Final = 512
"""So many files are looked at around one call (some 2 µs each)."""
_DEEPEST: Final = 2
"""A repository keeps its state in a folder within its folder."""
_MOST_ENTRIES: Final = 256
_MOST_DESCRIPTORS: Final = 256
_TICK_NS: Final = 10_000_000
"""A file's time of change is told by the kernel's coarse clock."""
_IGNORED: Final = ("/dev/", "/proc/", "/sys/")


class _FileState(Record):
    inode: int
    size_bytes: int
    changed_ns: int


def redirections(text: str) -> Iterator[tuple[str, bool]]:
    """What a shell's words say that it writes: the name, and whether it adds to the file."""
    for found in re.finditer(_REDIRECTION, text[:_LONGEST]):
        name = next(group for group in found.groups() if group).strip("\"'")
        if not name.startswith(("&", "$", "/dev/")):
            yield name, not re.match(">[^>]", found.group())


class Commands:
    """The programs that one call starts: `start` before each, `changed` and `have_printed` once the call is over."""

    def __init__(self) -> None:
        self._before: dict[str, _FileState] = {}
        self._places: dict[str, None] = {}
        """Files and folders that the commands were told of, those that are not there yet as well."""
        self._may_print = False
        self._start_ns = 0
        self._written: int | None = None
        """Bytes that other threads and children had written when the first command started."""

    def start(self, words: str | Sequence[str | bytes], cwd: object, *, may_print: bool) -> None:
        """A command is about to be started.

        Args:
            words: a shell's line, or a program and its arguments.
            may_print: its standard output is this process's own.
        """
        if not self._places:
            self._written = _written_elsewhere()
            self._start_ns = time.time_ns() - _TICK_NS
        self._may_print |= may_print
        folder = os.path.abspath(os.fsdecode(cwd or "."))  # type: ignore[arg-type]  # noqa: PTH100 - a Path costs more
        texts = [words] if isinstance(words, str) else [os.fsdecode(word) for word in words[1:]]
        names = [*texts, *(word for text in texts for word in re.findall(_WORD, text[:_LONGEST]))]
        places = dict.fromkeys(os.path.join(folder, name) for name in names if "\0" not in name)  # noqa: PTH118
        self._places |= {**places, folder: None}
        for place in (*places, folder):
            _look_at(place, self._before)

    def changed(self) -> set[str]:
        """Files that are not what they were before the commands, those excepted that this process has open."""
        now: dict[str, _FileState] = {}
        for place in self._places:
            _look_at(place, now)
        found = set()
        for path, look in now.items():
            before = self._before.get(path)
            # What was not looked at before may be new, or one that there was no time to look at.
            if look != before if before is not None else look.changed_ns >= self._start_ns:
                found.add(path)
        found |= {path for path in self._before.keys() - now.keys() if not os.path.lexists(path)}
        mine = _open_here() if found else frozenset()
        return {path for path in found if (now.get(path) or self._before[path]).inode not in mine}

    def have_printed(self, changed: set[str]) -> bool:
        """Have they written something that went to no file they were told of, but to where this process prints?"""
        if not self._may_print or changed or self._written is None:
            return False
        written = _written_elsewhere()
        return written is not None and written > self._written


def _look_at(place: str, looks: dict[str, _FileState], depth: int = _DEEPEST) -> None:
    """Look at a file, or at those in a folder."""
    if place in looks or len(looks) >= _MOST_LOOKS or place.startswith(_IGNORED):
        return
    try:
        status = os.stat(place)  # noqa: PTH116 - a Path would be built for nothing
        if not stat.S_ISDIR(status.st_mode):
            looks[place] = _FileState(status.st_ino, status.st_size, status.st_mtime_ns)
        elif depth > 0:
            for name in sorted(os.listdir(place))[:_MOST_ENTRIES]:  # noqa: PTH208
                _look_at(os.path.join(place, name), looks, depth - 1)  # noqa: PTH118
    except (OSError, ValueError):
        return


def _open_here() -> frozenset[int]:
    """Inodes of the files that this process has open: its log, its output."""
    found = set()
    for number in range(_MOST_DESCRIPTORS):
        try:
            found.add(os.fstat(number).st_ino)
        except OSError:
            continue
    return frozenset(found)


def _written_elsewhere() -> int | None:
    """Bytes written by other threads of this process, and by children that it has waited for; None for unknown."""
    here, own = _written("/proc/self/io"), _written("/proc/thread-self/io")
    return None if here is None or own is None else here - own


def _written(place: str) -> int | None:
    try:
        with open(place) as file:  # noqa: PTH123 - a Path would be built for nothing
            return next((int(line[6:]) for line in file if line.startswith("wchar:")), None)
    except (OSError, ValueError):
        return None
