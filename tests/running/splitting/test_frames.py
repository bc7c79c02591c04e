"""split on frames: the index is kept, and groups are cut only where they may be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import whilst
from whilst import SplitError

pandas = pytest.importorskip("pandas")
GENERATOR = np.random.default_rng(2)
COUNT = 1500
FRAME = pandas.DataFrame(
    {
        "key": GENERATOR.integers(0, 40, COUNT),
        "name": GENERATOR.choice(["a", "b", None], COUNT),
        "x": GENERATOR.integers(0, 1000, COUNT),
    },
    index=GENERATOR.integers(0, 90, COUNT),
)


def clean(frame: Any) -> Any:
    return frame.assign(y=frame["x"] * 2)[frame["x"] > 100]


def totals(frame: Any) -> Any:
    return frame.groupby("key").agg(total=("x", "sum"), count=("x", "size"))


def totals_by_both(frame: Any) -> Any:
    return frame.groupby(["name", "key"], dropna=False)["x"].sum()


def ranked(frame: Any) -> Any:
    return frame.assign(rank=frame.groupby("key")["x"].rank())


def rolling(frame: Any) -> Any:
    return frame.assign(sum=frame["x"].rolling(3).sum())


def test_rows_keep_their_index_also_where_it_repeats() -> None:
    for mode in ("sequential", "parallel"):
        found = whilst.split(clean, FRAME, mode=mode)
        pandas.testing.assert_frame_equal(found, clean(FRAME))


def test_a_series_is_cut_like_a_frame() -> None:
    found = whilst.split(lambda series: series.str.upper(), FRAME["name"])
    pandas.testing.assert_series_equal(found, FRAME["name"].str.upper())


@pytest.mark.parametrize("fn", [totals, totals_by_both, ranked, rolling])
def test_a_cut_within_a_group_or_a_window_is_an_error(fn: Any) -> None:
    with pytest.raises(SplitError, match=r"whilst\.by"):
        whilst.split(fn, FRAME)


@pytest.mark.parametrize(
    ("fn", "keys"), [(totals, ["key"]), (ranked, ["key"]), (totals_by_both, ["name", "key"]), (totals, ["name", "key"])]
)
def test_groups_stay_together_where_they_are_named(fn: Any, keys: list[str]) -> None:
    if fn is totals and "name" in keys:  # its groups are larger than those that are kept together
        with pytest.raises(SplitError):
            whilst.split(fn, FRAME, cut=whilst.by(*keys))
        return
    found = whilst.split(fn, FRAME, cut=whilst.by(*keys))
    expected = fn(FRAME)
    assert found.equals(expected)
    assert found.index.equals(expected.index)


def test_a_column_that_is_not_there_is_said_at_once() -> None:
    with pytest.raises(SplitError, match="it has 'key', 'name', 'x'"):
        whilst.split(totals, FRAME, cut=whilst.by("kye"))


def test_parts_without_a_row_do_not_change_types() -> None:
    def few(frame: Any) -> Any:
        return frame[frame["x"] == frame["x"]][frame["key"] == 3]

    found = whilst.split(few, FRAME)
    pandas.testing.assert_frame_equal(found, few(FRAME))
    nothing = whilst.split(lambda frame: frame[frame["x"] < 0], FRAME)
    pandas.testing.assert_frame_equal(nothing, FRAME[FRAME["x"] < 0])


def test_frames_of_polars() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"key": FRAME["key"].to_numpy(), "x": FRAME["x"].to_numpy()})

    def summed(part: Any) -> Any:
        return part.group_by("key", maintain_order=True).agg(polars.col("x").sum())

    def shares(part: Any) -> Any:
        return part.with_columns(most=polars.col("x").max().over("key"))

    assert whilst.split(lambda part: part.filter(polars.col("x") > 100), frame).equals(
        frame.filter(polars.col("x") > 100)
    )
    with pytest.raises(SplitError):
        whilst.split(summed, frame)
    for fn in (summed, shares):
        assert whilst.split(fn, frame, cut=whilst.by("key")).equals(fn(frame))
