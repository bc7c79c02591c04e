"""Where a whole is cut: by what it is alone, and never within an element, a line or a character."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Iterator
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import whilst
from whilst import SplitError
from whilst.running.splitting.division import FileDivision
from whilst.running.splitting.files import FilePart

ON_DISK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
TEXTS = st.text(alphabet="aé𝄞 \r\n\x0b\u2028", max_size=60)


@given(st.lists(st.integers()), st.integers(1, 70))
def test_the_parts_of_a_list_put_together_are_the_list(whole: list[int], parts: int) -> None:
    found = whilst.chunks(whole, parts)
    assert list(chain.from_iterable(found)) == whole
    assert len(found) == min(parts, len(whole))
    assert len({len(part) for part in found} | {0}) <= 3
    assert max((len(part) for part in found), default=0) - min((len(part) for part in found), default=0) <= 1


def test_of_a_range_ranges_travel() -> None:
    parts = list(whilst.chunks(range(10**9)))
    assert len(parts) == 64
    assert all(type(part) is range for part in parts)
    assert sum(map(len, parts)) == 10**9
    assert len(pickle.dumps(parts)) < 5_000


@ON_DISK
@given(text=TEXTS, parts=st.integers(1, 40))
def test_the_parts_of_a_file_put_together_are_the_file(tmp_path: Path, text: str, parts: int) -> None:
    path = tmp_path / "text"
    path.write_bytes(text.encode())
    found = list(whilst.chunks(path, parts, at="line"))
    assert b"".join(part.read() for part in found) == path.read_bytes()
    with path.open(encoding="utf-8") as file:
        assert list(chain.from_iterable(found)) == list(file)


@ON_DISK
@given(
    data=st.text(alphabet="a;\n", max_size=40).map(str.encode),
    separator=st.sampled_from([b"\n", b"\n\n", b";\n;", b";", b"a;a"]),
    parts=st.integers(1, 40),
)
def test_records_are_those_that_one_reader_finds(tmp_path: Path, data: bytes, separator: bytes, parts: int) -> None:
    path = tmp_path / "records"
    path.write_bytes(data)
    *whole, rest = data.split(separator)
    expected = [each + separator for each in whole] + ([rest] if rest else [])
    assert list(chain.from_iterable(whilst.chunks(path, parts, at=separator))) == expected


def test_a_long_file_is_cut_without_being_read_and_folded_without_being_held(tmp_path: Path) -> None:
    path = tmp_path / "long"
    line = b"some words in a line, and some more of them\n"
    path.write_bytes(line * 200_000)
    tracemalloc.start()
    try:
        parts = whilst.chunks(path, 4)
        assert sum(1 for part in parts for _ in part) == 200_000
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_what_is_written_to_a_file_later_belongs_to_no_part(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("one\ntwo\nthree")
    parts = whilst.chunks(path, 2)
    with path.open("a") as file:
        file.write(" and\nfour\n")
    assert list(chain.from_iterable(parts)) == ["one\n", "two\n", "three"]


def test_a_file_that_became_shorter_is_an_error_and_no_shorter_result(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("one\ntwo\nthree\n")
    parts = whilst.chunks(path, 2)
    path.write_text("one\n")
    with pytest.raises(SplitError, match="has become shorter"):
        list(parts[1])
    with pytest.raises(SplitError, match="has become shorter"):
        parts[1].read()


def test_a_part_of_a_file_is_found_from_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").write_text("one\n")
    monkeypatch.chdir(tmp_path)
    (part,) = whilst.chunks(Path("log"))
    monkeypatch.chdir("/")
    assert part == FilePart(str(tmp_path / "log"), 0, 4)
    assert pickle.loads(pickle.dumps(part)) == part
    assert list(part) == ["one\n"]


def test_parts_of_an_array_are_views_also_where_it_is_not_contiguous() -> None:
    whole = np.arange(60).reshape(10, 6)[::2, ::3]
    parts = list(whilst.chunks(whole, 3))
    assert [len(part) for part in parts] == [2, 2, 1]
    assert all(part.base is whole.base for part in parts)
    assert np.array_equal(np.concatenate(parts), whole)


def test_parts_of_a_frame_keep_their_index() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": range(5)}, index=[7, 7, 8, 9, 9])
    parts = list(whilst.chunks(frame, 2))
    assert [list(part.index) for part in parts] == [[7, 7, 8], [9, 9]]
    assert pandas.concat(parts).equals(frame)


def test_parts_of_a_polars_frame() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": range(5)})
    assert polars.concat(list(whilst.chunks(frame, 2))).equals(frame)
    with pytest.raises(TypeError, match="collect"):
        whilst.chunks(frame.lazy())


def test_an_iterable_is_read_as_its_parts_are_asked_for() -> None:
    drawn = 0

    def numbers() -> Iterator[int]:
        nonlocal drawn
        while True:
            yield drawn
            drawn += 1

    parts = list(islice(whilst.chunks(numbers()), 40))
    assert [len(part) for part in parts] == [1] * 16 + [2] * 16 + [4] * 8
    assert drawn == sum(map(len, parts)) - 1  # the last one drawn


def test_blocks_never_get_larger_than_is_held_easily() -> None:
    assert max(map(len, whilst.chunks(iter(range(200_000))))) == 4096


@pytest.mark.parametrize("whole", [[], (), range(0), "", np.empty((0, 3))])
def test_nothing_has_no_parts(whole: Any) -> None:
    assert list(whilst.chunks(whole)) == []


def test_an_empty_file_has_no_parts(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert list(whilst.chunks(tmp_path / "empty")) == []


def test_what_can_not_be_cut_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("one\n")
    with pytest.raises(SplitError, match="parts must be"):
        whilst.chunks([1], 0)
    with pytest.raises(SplitError, match=r"pathlib.Path\('log.txt'\)"):
        whilst.chunks("log.txt", at="line")
    with pytest.raises(SplitError, match="A file has no rows"):
        whilst.chunks(tmp_path / "log", at="row")
    with pytest.raises(SplitError, match="at must be"):
        whilst.chunks(tmp_path / "log", at=b"")
    with pytest.raises(SplitError, match="Leave parts= out"):
        whilst.chunks(iter([1]), 3)
    with pytest.raises(SplitError, match="no first axis"):
        whilst.chunks(np.array(3))
    with pytest.raises(TypeError, match="can't be cut"):
        whilst.chunks(3)
    with pytest.raises(FileNotFoundError):
        whilst.chunks(tmp_path / "nowhere")
    with pytest.raises(SplitError, match="no regular file"):
        whilst.chunks(Path("/dev/null"))
    with pytest.raises(TypeError, match="names of columns"):
        whilst.by()


@pytest.mark.parametrize("at", ["line", b"\r\n", b"\n\n", b"bb"])
@pytest.mark.parametrize("count", [2, 9, 60, 4000])
def test_a_stretch_of_a_file_is_whole_records_around_its_cuts(tmp_path: Path, at: Any, count: int) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"r\xc3\xa4cord %d bbb\r\n\n\n" % x * (x % 3) for x in range(80)) + b"no end")
    division = FileDivision(list(whilst.chunks(path, 6, at=at)))
    separator = b"\n" if at == "line" else at
    ends = {0, *accumulate(map(len, FilePart(str(path), 0, path.stat().st_size, separator)))}
    assert {*division.cuts, division.length} <= ends
    for cut in division.cuts:
        stretch = division.stretch(max(cut - count // 2, 0), min(cut + count // 2, division.length))
        assert {stretch.whole.start, stretch.whole.stop} <= ends
        assert stretch.whole.start < cut < stretch.whole.stop
        assert cut - stretch.whole.start in stretch.cuts
        assert b"".join(part.read() for part in stretch.parts()) == stretch.whole.read()
