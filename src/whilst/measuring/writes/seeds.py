"""What a program's own source files say that no object tells: is the random generator seeded, are flags asked for?

No generator remembers whether it was seeded by a person or by the system, and every calculation with decimals sets
flags that hardly anybody reads. So the source of the program's own modules is searched, where a call was seen to draw
from the generator that everybody shares, or uses decimals.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from whilst.inspecting.ownership import is_own_code

_SEEDS: Final = re.compile(rb"\bseed\s*\(|\bset_state\s*\(|\bsetstate\s*\(")
FLAGS: Final = "the flags of this thread's decimal context"
_FLAGS: Final = re.compile(rb"\.flags\b|\bclear_flags\b")
_MOST_FILES: Final = 500


def is_seeded() -> bool:
    """Return whether any of the user's own modules calls something named `seed`; True where they can't be read."""
    return any(text is None or _SEEDS.search(text) for text in _sources())


def flags_asked_for(names: Collection[str]) -> bool:
    """Return whether any of the user's own modules asks which flags calculations with decimals have set.

    Args:
        names: modules and classes that calls use; without decimals among them nothing is read.
    """
    if "decimal" not in sys.modules or {"decimal", "_decimal", "Decimal"}.isdisjoint(names):
        return False
    return any(text is not None and b"decimal" in text and _FLAGS.search(text) for text in _sources())


def _sources() -> Iterator[bytes | None]:
    """The source of each of the user's own modules; None for what can't be read."""
    files = 0
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if path is None:
            if name == "__main__":
                yield None  # typed in, or in a notebook: nothing to read
            continue
        if not isinstance(path, str) or not path.endswith(".py") or not is_own_code(path):
            continue
        files += 1
        try:
            yield Path(path).read_bytes() if files <= _MOST_FILES else None
        except OSError:
            yield None
