"""Schedules that failed, kept in a folder from one run to the next: they are tried first, and go once they don't fail.

One file a question, with one token in it. A token says which task goes on where, and for calls on one object which
calls; nothing in it is imported or run. The folder is its owner's alone and brings a .gitignore of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import Final

_SUFFIX: Final = ".schedule"
_LONGEST_NAME: Final = 60


class KeptSchedules:
    """The schedule of one question, by its name, in a folder that is made when there is something to keep."""

    def __init__(self, folder: str | os.PathLike[str], name: str) -> None:
        self.folder = Path(folder)
        digest = hashlib.blake2b(name.encode(), digest_size=6).hexdigest()
        readable = re.sub(r"\W+", "-", name).strip("-")[-_LONGEST_NAME:]
        self._file = self.folder / f"{readable}-{digest}{_SUFFIX}"

    def token(self) -> str | None:
        """The token that is kept; None if there is none, or it can't be read."""
        try:
            return self._file.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None

    def keep(self, token: str) -> str:
        """Keep that one; why it could not be kept, if so."""
        try:
            if not self.folder.is_dir():
                self.folder.mkdir(mode=0o700, parents=True)
                (self.folder / ".gitignore").write_text("*\n", encoding="ascii")
            # Written aside and put in place: another process may read it. mkstemp makes it its owner's alone.
            handle, aside = tempfile.mkstemp(dir=self.folder, prefix=".", suffix=_SUFFIX)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(f"{token}\n")
            Path(aside).replace(self._file)
        except OSError as error:
            return f"the failing schedule was not kept in {self.folder}: {error.strerror or error}"
        return ""

    def drop(self) -> None:
        """It does not fail any more."""
        with contextlib.suppress(OSError):
            self._file.unlink()
