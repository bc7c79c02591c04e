"""What the library advises in Python's words, in those of the command line."""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = {
    "backend": "backend", "errors": "errors", "journal": "journal", "mode": "mode", "on": "on", "pilot": "pilot",
    "retries": "retries", "seed": "seed", "timeout_s": "timeout", "workers": "workers", "rate_per_s": "rate",
    "deadline_s": "deadline",
}  # fmt: skip
_KEYWORD: Final = re.compile(rf"\b({'|'.join(_NAMES)})=(?:'([^']*)'|(\d[\w.]*))")


def as_options(text: str) -> str:
    """The text with `retries=1` written as "--retries 1"."""
    return _KEYWORD.sub(lambda found: f"--{_NAMES[found[1]]} {found[2] or found[3]}", text)
