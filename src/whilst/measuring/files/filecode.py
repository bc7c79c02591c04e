"""Can a function come near a file? Told by the names in its code and the packages that they come from.

An audit hook slows what is audited down for good, so most functions are better not watched at all.
"""

from __future__ import annotations

import sys
from collections.abc import Set as AbstractSet
from typing import Final

from whilst.inspecting import ownership

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
