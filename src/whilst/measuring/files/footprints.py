"""Which files and databases calls have in common: what several watched calls did, held against each other.

The code says little about files: a path is put together by helpers, read here and written there, and what
`sqlite3.connect` or a shell command writes stands nowhere. So calls are watched (`auditing`, `commands`). Two calls may
change places only if neither writes what the other reads or writes, so the footprints of a few calls are held against
each other (A. J. Bernstein, "Analysis of Programs for Parallel Processing", 1966), and a name that a call writes is
held against the items to come (`filenames`): is it that item's alone?
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from whilst import model
from whilst.measuring.files.auditing import Footprint, Watch
from whilst.measuring.files.filenames import counts_up, features_in, is_alone


class Footprints:
    """The footprints of the watched calls of one function: `begin` before a call, `end` after it."""

    def __init__(self, *, is_watching: bool = True) -> None:
        self.calls: list[tuple[object, Footprint]] = []
        self._watch = Watch() if is_watching else None
        self._item: object = None

    def begin(self, item: object) -> None:
        """Watch from here on what is done for this item."""
        if self._watch is not None:
            self._item = item
            self._watch.begin()

    def end(self) -> None:
        """The call is over."""
        if self._watch is not None:
            self.calls.append((self._item, self._watch.end()))
            self._item = None

    @property
    def writes_files(self) -> bool:
        """Some call wrote a file, a folder or a database: whose are they? Another call tells more."""
        return any(each.writes or each.makes or each.databases for _, each in self.calls)

    @property
    def leaves_traces(self) -> bool:
        return any(each.leaves_traces for _, each in self.calls)

    @property
    def operations(self) -> int:
        """Small system calls on files, of all watched calls together."""
        return sum(each.operations for _, each in self.calls)

    @property
    def settings(self) -> set[str] | None:
        """Settings of the whole process that watched calls changed; None where nobody watched."""
        return None if self._watch is None else set().union(*(each.settings for _, each in self.calls))

    @property
    def has_connected(self) -> bool:
        return any(each.has_connected for _, each in self.calls)

    def writes(self, rest: Sequence[object] | None = None) -> tuple[model.Write, ...]:
        """Return what calls write that other calls read or write, too.

        Args:
            rest: items still to come, as far as they are known.
        """
        found = [*self._conflicts()]
        for item, footprint in self.calls:
            for path in sorted(footprint.writes | footprint.databases):
                if any(path.startswith(folder + os.sep) for folder in footprint.makes):
                    continue  # in a folder of its own
                named_by = features_in(path, item)
                if path in footprint.adds and not (named_by and rest and is_alone(named_by, item, rest)):
                    found.append(f"the file {path}, which calls add to")
                elif not named_by and path in footprint.databases:
                    found.append(f"the database {path}")
                elif not named_by and path in footprint.updates:
                    found.append(f"the file {path}, which it read before")
                elif named_by and rest and not is_alone(named_by, item, rest):
                    found.append(f"the file {path}, whose name other items give as well")
        numbered = counts_up([(item, self._unnamed(item, footprint)) for item, footprint in self.calls])
        if numbered:
            found.append(f"the file {numbered}, whose name is the next one free")
        if any(footprint.has_printed for _, footprint in self.calls):
            found.append("the output of this program, through commands that it starts")
        return (
            *(model.Write(what, is_confirmed=True) for what in list(dict.fromkeys(found))[:8]),
            *(model.Write(what, is_confirmed=True, spoils_processes=False) for what in sorted(self.settings or ())),
        )

    @staticmethod
    def _unnamed(item: object, footprint: Footprint) -> list[str]:
        """Files that were written under names that are not made of the item."""
        return [path for path in sorted(footprint.writes) if not features_in(path, item)]

    def _conflicts(self) -> Iterator[str]:
        """What one call wrote and another read, wrote or found in a folder."""
        writers: dict[str, int] = {}
        for number, (_, footprint) in enumerate(self.calls):
            for path in footprint.writes | footprint.databases:
                if writers.setdefault(path, number) != number:
                    yield f"the file {path}, which other calls write as well"
        made = {path for _, footprint in self.calls for path in footprint.makes}
        folders = {os.path.dirname(path) for path in writers.keys() | made}  # noqa: PTH120 - a Path would cost more
        for number, (_, footprint) in enumerate(self.calls):
            for path in footprint.reads:
                if writers.get(path, number) != number:
                    yield f"the file {path}, which other calls read"
            for folder in footprint.lists - footprint.makes:
                if folder in folders:
                    yield f"the folder {folder}, whose entries other calls ask for"
