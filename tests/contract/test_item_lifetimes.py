"""Items that are valid only until the next one is drawn: the calls are right in every mode, or refused."""

from __future__ import annotations

import csv
import io
import itertools
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import iterparse

import numpy as np
import pytest

import whilst
from whilst.errors import NotPicklableError
from whilst.running.options import Keywords

COUNT = 12


def groups() -> Iterable[object]:
    return itertools.groupby(range(5 * COUNT), key=lambda k: k // 5)


def total(group: Any) -> object:
    time.sleep(0.001)
    return group[0], sum(group[1])


def buffers() -> Iterator[object]:
    buffer = np.zeros(4)
    for k in range(COUNT):
        buffer[:] = k
        yield buffer[:]


def turns() -> Iterator[object]:
    ring = [bytearray(1), bytearray(1)]
    for k in range(COUNT):
        ring[k % 2][0] = k
        yield ring[k % 2]


def rows() -> Iterator[object]:
    row = {"k": 0}
    for each in csv.DictReader(["k", *map(str, range(COUNT))]):
        row.update({"k": int(each["k"])})
        yield row


def elements() -> Iterator[object]:
    text = "".join(f"<item>{k}</item>" for k in range(COUNT))
    for _, element in iterparse(io.BytesIO(f"<all>{text}</all>".encode())):
        if element.tag == "item":
            yield element
            element.clear()


def temporary_files() -> Iterator[object]:
    for k in range(COUNT):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(str(k))
            file.flush()
            yield file.name


class Downloads:
    """Deletes the file of the last item when it gives the next."""

    def __init__(self) -> None:
        self.numbers = iter(range(COUNT))
        self.last = Path()

    def __iter__(self) -> Downloads:
        return self

    def __next__(self) -> Path:
        self.last.unlink(missing_ok=True) if self.last.name else None
        k = next(self.numbers)
        with tempfile.NamedTemporaryFile("w", delete=False) as file:
            file.write(str(k))
        self.last = Path(file.name)
        return self.last


def unlinked() -> Iterator[object]:
    for k in range(COUNT):
        with tempfile.NamedTemporaryFile(delete=False) as file:
            path = Path(file.name)
        try:
            path.write_text(str(k))
            yield path
        finally:
            path.unlink()


def open_files() -> Iterator[object]:
    for path in unlinked():
        with Path(str(path)).open() as file:
            yield file


def chunks() -> Iterator[object]:
    numbers = iter(range(5 * COUNT))
    for _ in range(COUNT):
        yield itertools.islice(numbers, 5)


INPUTS: dict[str, tuple[Callable[[], Iterable[Any]], Callable[[Any], object]]] = {
    "groups": (groups, total),
    "one buffer": (buffers, lambda frame: float(frame.mean())),
    "two buffers in turn": (turns, lambda frame: frame[0]),
    "one row": (rows, lambda row: row["k"]),
    "elements": (elements, lambda element: element.text),
    "temporary files": (temporary_files, lambda path: Path(path).read_text()),
    "numbered temporary files": (lambda: enumerate(temporary_files()), lambda pair: Path(pair[1]).read_text()),
    "downloads": (Downloads, lambda path: path.read_text()),
    "unlinked files": (unlinked, lambda path: path.read_text()),
    "open files": (open_files, lambda file: file.read()),
    "chunks": (chunks, list),
}


def slowed(call: Callable[[Any], object]) -> Callable[[Any], object]:
    def slow(item: Any) -> object:
        time.sleep(0.001)
        return call(item)

    return slow


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # of an input that could not be sent
@pytest.mark.parametrize("verb", [whilst.map, whilst.imap])
@pytest.mark.parametrize("name", INPUTS)
def test_no_item_is_drawn_before_the_last_one_was_used(name: str, verb: Any, way: Keywords) -> None:
    items, call = INPUTS[name]
    right = [call(item) for item in items()]
    try:
        results = verb(slowed(call), items(), **way)
        got = [*results]
    except NotPicklableError:
        assert name in ("groups", "open files", "chunks")  # what nobody can send to a process
        assert way.get("mode") in ("parallel", "combined")
        return
    if name == "chunks" and way.get("mode") in ("parallel", "combined"):  # a copied iterator leaves its source as it is
        assert "a copy" in results.decision.given_up[-1]
    else:
        assert got == right


def lines(path: Path) -> Iterator[object]:
    with path.open() as file:
        for line in file:  # noqa: UP028 - as people write it
            yield line


def texts(path: Path) -> Iterator[object]:
    for _ in range(COUNT):
        with path.open() as file:
            yield file.read()


def attempts(_path: Path) -> Iterator[object]:
    for k in range(COUNT):
        try:
            yield f"attempt {k}"
        except ValueError:
            return


def slow(item: object) -> object:
    time.sleep(0.02)
    return item


def late_groups() -> Iterator[object]:
    yield from (f"plain {k}" for k in range(5))
    for _, group in itertools.groupby(range(5 * COUNT), key=lambda k: k // 5):
        yield group


def late_buffers() -> Iterator[object]:
    yield from (np.full(4, k) for k in range(8))
    buffer = np.zeros(4)
    for k in range(COUNT):
        buffer[:] = k
        yield buffer[:]


def taken(item: Any) -> object:
    time.sleep(0.002)
    return item if isinstance(item, str) else float(sum(item))


@pytest.mark.parametrize("mode", ["auto", "concurrent"])
@pytest.mark.parametrize("make", [late_groups, late_buffers])
def test_a_kind_of_items_that_comes_late_is_found_out(make: Callable[[], Iterator[object]], mode: str) -> None:
    right = [taken(item) for item in make()]
    assert [*whilst.map(taken, make(), mode=mode)] == right  # type: ignore[call-overload]


@pytest.mark.parametrize("make", [lines, texts, attempts, lambda _path: ((k, str(k)) for k in range(COUNT))])
def test_items_that_last_are_drawn_ahead(make: Callable[[Path], Iterator[object]], tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"{k}\n" for k in range(COUNT)))
    results = whilst.map(slow, make(path))
    assert [*results] == [*make(path)]
    assert results.decision.mode is whilst.Mode.CONCURRENT, results.decision
    assert results.decision.given_up == ()


def test_what_could_not_overlap_is_said() -> None:
    def total_later(group: Any) -> object:
        time.sleep(0.02)  # long enough for overlapping to be worth it on a busy machine, too
        return total(group)

    automatic = whilst.map(total_later, groups()).decision
    assert automatic.mode is whilst.Mode.SEQUENTIAL
    assert "iterators" in str(automatic.rejected[0].reason)
    assert (
        "drawn once the call before it was made" in whilst.map(total, groups(), mode="concurrent").decision.given_up[-1]
    )


section = ""
read = 0


def sections() -> Iterator[int]:
    global section, read
    for k in range(COUNT):
        if k % 4 == 3:
            section = f"part {k}"
        read += 1
        yield k


def in_section(k: int) -> tuple[str, int]:
    time.sleep(0.001)
    return section, k


def in_a_file(path: Path) -> Callable[[], Iterator[int]]:
    def make() -> Iterator[int]:
        for k in range(COUNT):
            path.write_text(str(k))
            yield k

    return make


@pytest.mark.parametrize("mode", ["auto", "concurrent"])
def test_what_an_input_changes_besides_its_items_is_as_in_a_loop(mode: Any, tmp_path: Path) -> None:
    global section
    path = tmp_path / "text"

    def in_file(k: int) -> tuple[str, int]:
        time.sleep(0.001)
        return path.read_text(), k

    for make, call in ((sections, in_section), (in_a_file(path), in_file)):
        section = ""
        expected = [call(k) for k in make()]
        section = ""
        assert whilst.map(call, make(), mode=mode) == expected


def test_to_a_process_goes_what_it_was_when_the_process_began_which_is_said() -> None:
    said = "".join(whilst.map(in_section, sections(), mode="parallel", workers=2).decision.given_up)
    assert "which changes the global section" in said


def test_what_no_call_looks_at_the_input_may_change() -> None:
    results = whilst.map(total_of_one, sections(), mode="concurrent", workers=2)
    assert not results.decision.given_up


def total_of_one(k: int) -> int:
    return k + 1
