"""Parts of a file: a path and two offsets each, which begin and end where records do."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import BinaryIO

from whilst.errors import SplitError

_READ_BYTES = 1 << 16
_FIRST_BACK = 64


@dataclass(frozen=True, slots=True, repr=False)
class FilePart:
    """The records of a file from byte `start` to byte `stop`; nothing of it is in memory, and it travels as these.

    In a loop it gives lines as `open(path, encoding="utf-8")` does (str, ends of lines as "\\n"), or, with a
    `separator`, records as bytes, each with the separator at its end (the last record of a file may lack it).
    `read()` gives its bytes as they are.
    """

    path: str
    start: int
    stop: int
    separator: bytes | None = None
    """None: lines of text."""

    def __iter__(self) -> Iterator[str | bytes]:
        return chain.from_iterable(self.blocks())

    def __repr__(self) -> str:
        return f"bytes {self.start} to {self.stop} of {self.path}"

    def read(self) -> bytes:
        """All its bytes.

        Raises:
            SplitError: the file has become shorter since it was cut.
        """
        with Path(self.path).open("rb") as file:
            file.seek(self.start)
            data = file.read(self.stop - self.start)
        if len(data) < self.stop - self.start:
            raise _shorter(self)
        return data

    def blocks(self) -> Iterator[list[str] | list[bytes]]:
        """Its records, some 64 KiB of them at a time."""
        with _Stretch(self) as raw, io.BufferedReader(raw, _READ_BYTES) as buffered:
            if self.separator is not None:
                yield from _records(buffered, self.separator)
                return
            with io.TextIOWrapper(buffered, encoding="utf-8") as text:
                while lines := text.readlines(_READ_BYTES):
                    yield lines


class _Stretch(io.RawIOBase):
    """Some bytes of a file as a file of their own."""

    def __init__(self, part: FilePart) -> None:
        self._part = part
        self._file = Path(part.path).open("rb", buffering=0)  # noqa: SIM115 - closed with this
        self._file.seek(part.start)
        self._left = part.stop - part.start

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)[: self._left]  # type: ignore[arg-type]
        count = self._file.readinto(view) or 0
        if not count and self._left:
            raise _shorter(self._part)
        self._left -= count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _shorter(part: FilePart) -> SplitError:
    return SplitError(f"{part.path} has become shorter since it was cut: {part} are no longer there. Cut it again.")


def _records(file: BinaryIO, separator: bytes) -> Iterator[list[bytes]]:
    rest = b""
    while data := file.read(_READ_BYTES):
        *whole, rest = (rest + data).split(separator)
        if whole:
            yield [each + separator for each in whole]
    if rest:
        yield [rest]


def cut_file(path: str, parts: int, separator: bytes | None) -> list[FilePart]:
    """Up to `parts` parts of about the same size, each of whole records; none of an empty file.

    The size is that of this moment: what is written to the file later belongs to no part.

    Raises:
        OSError: it can't be read.
        SplitError: it is no regular file, so that it has no offsets.
    """
    path = os.path.abspath(path)  # noqa: PTH100 - a worker may be in another directory; links stay as they are
    with Path(path).open("rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise SplitError(
                f"{path} is no regular file, so that no part of it can be found by its offset. Open it and "
                f"pass the open file."
            )
        size = status.st_size
        cuts = [0]
        for number in range(1, parts):
            target = size * number // parts
            if target > cuts[-1]:
                cuts.append(_end_of_record(file, cuts[-1], target, separator or b"\n", size))
    cuts.append(size)
    return [FilePart(path, start, stop, separator) for start, stop in pairwise(cuts) if stop > start]


def end_of_record(part: FilePart, target: int) -> int:
    """The first end of a record of this part at `target` or after it."""
    if target <= part.start:
        return part.start
    with Path(part.path).open("rb") as file:
        return _end_of_record(file, part.start, target, part.separator or b"\n", part.stop)


def last_beginning(part: FilePart, target: int) -> int:
    """Where a record of this part begins: at `target` or as little before it as is needed for one to be left."""
    found, back = end_of_record(part, target), _FIRST_BACK
    while found >= part.stop and target > part.start:
        target, back = max(target - back, part.start), 4 * back
        found = end_of_record(part, target)
    return found


def _end_of_record(file: BinaryIO, begin: int, target: int, separator: bytes, size: int) -> int:
    """The first end of a record at `target` or after it, where a record begins at `begin`.

    A separator that can overlap with itself (a blank line after a line) is looked for from a known beginning on: from
    the midst of three in a row one would find another one than whoever reads the file from its start.
    """
    if _overlaps_itself(separator):
        while begin < target:
            begin = _after_next(file, begin, separator, size)
        return begin
    return _after_next(file, max(begin, target - len(separator)), separator, size)


def _overlaps_itself(separator: bytes) -> bool:
    return any(separator.startswith(separator[-length:]) for length in range(1, len(separator)))


def _after_next(file: BinaryIO, start: int, separator: bytes, size: int) -> int:
    """Where the next separator from `start` on ends; the size of the file where there is none."""
    file.seek(start)
    kept = b""
    at = start
    while at < size and (data := file.read(min(_READ_BYTES, size - at))):
        at += len(data)
        searched = kept + data
        found = searched.find(separator)
        if found >= 0:
            return at - len(searched) + found + len(separator)
        kept = searched[len(searched) - len(separator) + 1 :] if len(separator) > 1 else b""
    return size
