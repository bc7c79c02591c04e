"""Does this program seed the random generator that everybody shares? Then its results depend on the order of draws.

No generator remembers whether it was seeded by a person or by the system, so the program's own source files are
read for a call of `seed`. Asked only where a call was seen to draw from the shared generator.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from whilst.inspecting.ownership import is_own_code

_SEEDS: Final = re.compile(rb"\bseed\s*\(|\bset_state\s*\(|\bsetstate\s*\(")
_MOST_FILES: Final = 500


def is_seeded() -> bool:
    """Return whether any of the user's own modules calls something named `seed`; True where they can't be read."""
    files = 0
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if path is None:
            if name == "__main__":
                return True  # typed in, or in a notebook: nothing to read, so the safe answer
            continue
        if not isinstance(path, str) or not path.endswith(".py") or not is_own_code(path):
            continue
        files += 1
        if files > _MOST_FILES:
            return True
        try:
            text = Path(path).read_bytes()
        except OSError:
            return True
        if _SEEDS.search(text):
            return True
    return False
