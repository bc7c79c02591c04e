"""Whose files are they? Calls are watched while they are made; what they share is told."""

from __future__ import annotations

import csv
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from whilst.measuring.files.filecode import may_touch_files
from whilst.measuring.files.footprints import Footprints
from whilst.measuring.writes.reachable import Reachable
from whilst.measuring.writes.scan import scan
from whilst.measuring.writes.suspects import Reach


def watched(fn: Callable[[object], object], items: Iterable[object], rest: Sequence[object] = ()) -> str:
    """What `fn` is found to share after a few watched calls, in words; "" for nothing."""
    files = Footprints()
    for item in items:
        files.begin(item)
        fn(item)
        files.end()
    return "; ".join(write.what for write in files.writes(rest))


def test_a_file_named_by_the_whole_item_is_nobody_elses(tmp_path: Path) -> None:
    def fn(item: object) -> None:
        (tmp_path / f"out-{item}.txt").write_text("x")

    assert not watched(fn, [3, 4], range(5, 50))


def test_a_file_named_by_a_part_that_other_items_have_too_is_shared(tmp_path: Path) -> None:
    def fn(item: dict[str, object]) -> None:
        (tmp_path / f"{item['kind']}.txt").write_text("x")

    items = [{"n": n, "kind": ("red", "blue", "green")[n % 3]} for n in range(9)]
    assert "whose name other items give" in watched(fn, items[:1], items[1:])  # type: ignore[arg-type]


def test_one_scratch_file_for_all_calls_is_shared_however_its_path_is_put_together(tmp_path: Path) -> None:
    folder = tempfile.mkdtemp(dir=tmp_path)

    def fn(item: object) -> str:
        path = Path(folder).joinpath("scratch.txt")
        path.write_text(str(item))
        return path.read_text()

    assert "scratch.txt, which other calls write" in watched(fn, "ab")


def test_a_temporary_file_of_its_own_is_not_shared(tmp_path: Path) -> None:
    def fn(item: object) -> None:
        with tempfile.NamedTemporaryFile("w+", dir=tmp_path) as file:
            file.write(str(item))

    assert not watched(fn, "abc")


def test_a_file_that_calls_add_to_is_shared_from_the_first_call_on(tmp_path: Path) -> None:
    def fn(item: object) -> None:
        with (tmp_path / f"bucket-{item}.csv").open("a", newline="") as file:
            csv.writer(file).writerow([item])

    assert "which calls add to" in watched(fn, [0])
    assert not watched(fn, [10], range(11, 19))


def test_a_call_that_reads_what_the_last_one_wrote_needs_its_turn(tmp_path: Path) -> None:
    (tmp_path / "s0").write_text("1")

    def fn(item: int) -> None:
        (tmp_path / f"s{item}").write_text((tmp_path / f"s{item - 1}").read_text())

    assert "which other calls read" in watched(fn, [1, 2])  # type: ignore[arg-type]


def test_a_file_replaced_by_its_next_version_is_shared(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("0")

    def fn(_item: object) -> None:
        new = path.with_suffix(".new")
        new.write_text(str(int(path.read_text()) + 1))
        new.replace(path)

    assert "state, which it read before" in watched(fn, [7])


def test_counting_the_files_of_a_folder_that_calls_write_to_depends_on_their_order(tmp_path: Path) -> None:
    def fn(item: object) -> int:
        (tmp_path / f"f{item}").write_text("")
        return len(list(tmp_path.iterdir()))

    assert "whose entries other calls ask for" in watched(fn, "ab")


def test_counting_the_folders_that_calls_make_depends_on_their_order(tmp_path: Path) -> None:
    def fn(item: object) -> int:
        (tmp_path / "all" / str(item)).mkdir(parents=True, exist_ok=True)
        return len(list((tmp_path / "all").iterdir()))

    assert "whose entries other calls ask for" in watched(fn, "ab")


def test_listing_a_folder_of_ones_own_does_not(tmp_path: Path) -> None:
    def fn(item: object) -> int:
        own = tempfile.mkdtemp(dir=tmp_path)
        (Path(own) / "inner").mkdir()
        return len(list(Path(own).iterdir()))

    assert not watched(fn, "ab")


def test_writing_a_database_is_shared_and_reading_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    connection = sqlite3.connect(path)
    connection.execute("create table t(v)")
    connection.close()

    def write(item: object) -> None:
        connection = sqlite3.connect(path)
        with connection:
            connection.execute("insert into t values (?)", (item,))
        connection.close()

    def read(_item: object) -> None:
        connection = sqlite3.connect(path)
        connection.execute("select * from t").fetchall()
        connection.close()

    assert not watched(read, "ab")
    assert "the database" in watched(write, ["new"])


def test_a_connection_that_stays_open_is_watched_in_later_calls(tmp_path: Path) -> None:
    connections: list[sqlite3.Connection] = []

    def fn(item: object) -> None:
        if not connections:
            connections.append(sqlite3.connect(tmp_path / "x.db"))
            connections[0].execute("create table t(v)")
            return
        with connections[0]:
            connections[0].execute("insert into t values (?)", (item,))

    try:
        assert "the database" in watched(fn, "abc")
    finally:
        connections[0].close()


@pytest.mark.parametrize(("command", "is_shared"), [("echo x >> {0}/log", True), ("echo x > {0}/{1}.out", False)])
def test_what_a_shell_command_is_told_to_write_counts(tmp_path: Path, command: str, is_shared: bool) -> None:
    def fn(item: object) -> None:
        subprocess.run(["sh", "-c", command.format(tmp_path, item)], check=True)

    assert bool(watched(fn, ["one", "two"], ["three"])) == is_shared


def test_reading_files_shares_nothing(tmp_path: Path) -> None:
    (tmp_path / "table").write_text("x")
    assert not watched(lambda _item: (tmp_path / "table").read_text(), "abc")


def test_what_a_call_writes_reads_back_and_deletes_in_a_folder_of_its_own_is_its_own(tmp_path: Path) -> None:
    def fn(item: object) -> None:
        own = tmp_path / f"d{item}"
        own.mkdir()
        for name in ("a", "b"):
            (own / name).write_text("x")
            (own / name).read_text()
        (own / "b").unlink()

    assert not watched(fn, [0, 1, 2], range(3, 9))


def test_a_folder_that_is_there_already_makes_nothing_ones_own(tmp_path: Path) -> None:
    def fn(item: object) -> None:
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        (out / "last").write_text(str(item))

    assert "other calls write" in watched(fn, [0, 1, 2])


def test_nothing_is_noted_between_calls(tmp_path: Path) -> None:
    files = Footprints()
    files.begin("a")
    files.end()
    (tmp_path / "b").write_text("x")
    assert not files.writes_files


def test_watching_goes_on_after_a_watched_call_within(tmp_path: Path) -> None:
    outer, inner = Footprints(), Footprints()
    outer.begin("a")
    inner.begin("b")
    inner.end()
    (tmp_path / "x").write_text("x")
    outer.end()
    assert outer.writes_files
    assert not inner.writes_files


def test_the_code_tells_a_file_named_by_a_remainder_from_one_named_by_the_item(tmp_path: Path) -> None:
    def cut(item: int) -> None:
        with open(f"{tmp_path}/{item % 4}.txt", "w") as file:  # noqa: PTH123 - the built-in is what is tested
            file.write("x")

    def whole(item: int) -> None:
        with open(f"{tmp_path}/{item % 4}/{item}.txt", "w") as file:  # noqa: PTH123
            file.write("x")

    def stateful(fn: Callable[[int], None]) -> list[str]:
        return [each.what for each in scan(fn, 3).suspects if each.reach is Reach.STATEFUL]

    assert stateful(cut)
    assert not stateful(whole)


def test_only_what_may_come_near_a_file_is_watched() -> None:
    import json
    import math

    def computes(item: float) -> str:
        return json.dumps(math.sqrt(item))

    def opens(item: str) -> str:
        return Path(item).read_text()

    def commands(item: str) -> None:
        subprocess.run([item], check=True)

    def watches(fn: Callable[..., object]) -> bool:
        reachable = Reachable(fn)
        return may_touch_files(reachable.names, reachable.libraries)

    assert not watches(computes)
    assert watches(opens)
    assert watches(commands)


def test_the_next_free_name_depends_on_the_calls_before(tmp_path: Path) -> None:
    def next_free(item: object) -> None:
        number = 0
        while (path := tmp_path / f"img_{number:03}").exists():
            number += 1
        path.write_text(str(item))

    assert "whose name is the next one free" in watched(next_free, ["x4", "x37", "x11"])


def test_names_that_count_up_with_the_items_are_theirs(tmp_path: Path) -> None:
    def padded(item: object) -> None:
        (tmp_path / f"page-{int(str(item)) + 1:04}").write_text("x")

    def enumerated(item: tuple[int, str]) -> None:
        (tmp_path / f"n{item[0]:04}").write_text("x")

    assert not watched(padded, ["7", "8", "9"])
    assert not watched(enumerated, [(7, "c"), (8, "a"), (9, "b")])  # type: ignore[arg-type]


def test_a_folder_that_is_deleted_with_all_it_holds_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # names within the folder are told without it

    def fn(item: object) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            (Path(folder) / "in.txt").write_text(str(item))

    assert not watched(fn, "abc")
