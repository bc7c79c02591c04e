"""Warning filters in a worker: those of the program, without loading the libraries that they name."""

from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Iterator

import pytest

from whilst.running.worker.child import warning_filters


@pytest.fixture(autouse=True)
def own_filters() -> Iterator[None]:
    with warnings.catch_warnings():
        yield
    warning_filters.install(warning_filters.written())


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module that is not loaded yet, with a category of its own."""
    module = types.ModuleType("a_heavy_library")
    exec("class OwnWarning(UserWarning): ...", vars(module))
    monkeypatch.delitem(sys.modules, "a_heavy_library", raising=False)
    return module


def test_filters_arrive_as_they_were() -> None:
    warnings.filterwarnings("error", "too .* yet", RuntimeWarning, r"some\.module")
    there = warning_filters.written()
    warnings.resetwarnings()
    assert warning_filters.written() != there
    warning_filters.install(there)
    assert warning_filters.written() == there
    with pytest.raises(RuntimeWarning, match="too early yet"):
        warnings.warn_explicit("too early yet", RuntimeWarning, "x.py", 1, module="some.module")


def test_a_category_of_a_library_that_is_not_loaded_waits_for_it(
    library: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [
        ("error", None, ("a_heavy_library", "OwnWarning"), None, 0),
        ("ignore", None, ("builtins", "Warning"), None, 0),
    ]
    warning_filters.install(wanted)  # type: ignore[arg-type]
    assert "a_heavy_library" not in sys.modules
    warnings.warn("of no such category", UserWarning, stacklevel=1)
    assert warning_filters.written() == wanted
    monkeypatch.setitem(sys.modules, "a_heavy_library", library)
    warnings.simplefilter("ignore", library.OwnWarning)  # as the library does when it is loaded
    warning_filters.settle_again()
    with pytest.raises(library.OwnWarning):
        warnings.warn("of that category", library.OwnWarning, stacklevel=1)


def test_a_category_that_can_t_be_sent_is_left_out() -> None:
    class Local(UserWarning):
        handle = sys.stderr

    before = warning_filters.written()
    warnings.simplefilter("error", Local)
    assert warning_filters.written() == before
