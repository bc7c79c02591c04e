"""A token holds one interleaving, survives copying, and is refused where it does not fit."""

from __future__ import annotations

import linecache
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst.checking.explain.tokens import Token, digest_of, load_file, reference_to, resolve
from whilst.errors import ReplayError

_names = st.text("abc.:<>_", min_size=1, max_size=8)


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 300)), max_size=20),
    st.lists(_names),
    st.sets(st.tuples(_names, st.integers(0, 300))),
)
def test_a_token_is_read_back_as_it_was_written(
    runs: list[tuple[int, int]], where: list[str], points: set[tuple[str, int]]
) -> None:
    choices = tuple(task for task, length in runs for _ in range(length))
    named = tuple(sorted(f"m:{name}:{offset}" for name, offset in points))
    token = Token("abcd1234", choices, named, tuple(where))
    assert Token.parse(str(token)) == token


def test_a_token_is_short() -> None:
    assert len(str(Token("abcd1234", (0,) * 500 + (1,) * 300 + (0,) * 20))) < 60


@pytest.mark.parametrize("text", ["", "w1", "w2.a.b.c.d", "w1.a.311.$$$.", "hello", "w1.a.311.enoops."])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(ReplayError):
        Token.parse(text)


def test_a_token_of_another_python_is_refused_by_name() -> None:
    with pytest.raises(ReplayError, match=r"made by Python 3\.9"):
        Token.parse(str(Token("abcd1234", (0, 1), (), (), "39")))


@pytest.mark.parametrize("what", [Path, subprocess.run, partial(subprocess.run, ["ls"], check=True), None])
def test_what_has_a_name_is_found_again(what: object) -> None:
    found = resolve(reference_to(what))
    if isinstance(what, partial):
        assert isinstance(found, partial)
        assert (found.func, found.args, found.keywords) == (what.func, what.args, what.keywords)
    else:
        assert found is what


def test_what_has_no_name_says_what_to_do() -> None:
    assert reference_to(lambda: None) == ""
    assert reference_to(partial(subprocess.run, object())) == ""
    with pytest.raises(ReplayError, match="pass them"):
        resolve("")
    with pytest.raises(ReplayError, match="not there any more"):
        resolve("subprocess:gone")
    with pytest.raises(ReplayError, match="can't be imported"):
        resolve("no_such_module_at_all:gone")


def test_the_digest_follows_the_code_that_ran_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "shop_for_digest.py"

    def digest(text: str) -> str:
        file.write_text(text)
        linecache.checkcache(str(file))
        return digest_of((), [(str(file), "Shop.sell"), (str(file), "helper.<locals>.inner")])

    text = "class Shop:\n    def sell(self):\n        self.n -= 1\n"
    text += "def helper():\n    def inner(): return 1\n    return inner\n"
    base = digest(text)
    assert digest("# a comment\n\n" + text + "\ndef another(): pass\n") == base
    assert digest(text.replace("self.n -= 1", "self.n  -=  1  # one less")) == base
    assert digest(text.replace("self.n -= 1", "self.n -= 2")) != base
    assert digest(text.replace("return 1", "return 2")) != base


def test_a_file_is_loaded_once_and_under_its_own_name(tmp_path: Path) -> None:
    file = tmp_path / "stock_for_loading.py"
    file.write_text("def sell(): pass\n")
    before = list(sys.path)
    try:
        module = load_file(str(file))
        assert load_file(str(file)) is module
        assert module.__name__ == "stock_for_loading"
        # By its file: another process does not look for modules in that folder.
        assert reference_to(module.sell) == f"{file.resolve()}:sell"
        assert resolve(reference_to(module.sell)) is module.sell
        with pytest.raises(ImportError):
            load_file(str(tmp_path / "absent.py"))
    finally:
        sys.path[:] = before
        del sys.modules["stock_for_loading"]
