"""What a call reads that a clean process may have otherwise: must-catch and must-not-cry-wolf in pairs."""

from __future__ import annotations

import importlib
import json
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest

from whilst.measuring.reads import is_plain, reads_of, set_from_outside, why_not_clean


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make a module of the user's own from its source."""
    monkeypatch.syspath_prepend(tmp_path)
    made: list[str] = []

    def make(source: str, name: str = "of_the_user") -> ModuleType:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        made.append(name)
        return importlib.import_module(name)

    yield make
    for name in made:
        sys.modules.pop(name, None)


SETTINGS = """
    RATE = 7
    NAMES = ["a", "b"]
    MADE = str(RATE)
    class Config:
        rate = 7
        def price(self, x):
            return x * self.rate
    def helper(x):
        return x + RATE
    def other(x):
        return -x
    config = Config()
    config.extra = 1
    def constant(x):
        return RATE * x + len(NAMES)
    def calls(x):
        return helper(x)
    def of_class(x):
        return Config().price(x)
    def computed(x):
        return MADE * x
    def instance(x):
        return config.price(x)
"""


@pytest.mark.parametrize("name", ["constant", "calls", "of_class"])
def test_constants_as_they_stand_in_the_source_are_the_same_everywhere(module, name):
    assert why_not_clean(getattr(module(SETTINGS), name), 1) == ""


@pytest.mark.parametrize("name", ["constant", "calls"])
def test_a_variable_that_was_set_since_is_found(module, name):
    settings = module(SETTINGS)
    settings.RATE = 19
    reads = reads_of(getattr(settings, name))
    assert reads.variables == {("of_the_user", "RATE"): 19}
    assert why_not_clean(getattr(settings, name), 1) == "of_the_user.RATE"


def test_so_is_one_that_was_changed_in_place(module):
    settings = module(SETTINGS)
    settings.NAMES.append("c")
    assert reads_of(settings.constant).variables == {("of_the_user", "NAMES"): ["a", "b", "c"]}


def test_a_class_attribute_that_was_set_since_is_found(module):
    settings = module(SETTINGS)
    settings.Config.rate = 19
    assert reads_of(settings.of_class).variables == {("of_the_user", "Config.rate"): 19}


def test_what_is_computed_at_import_counts_as_set(module):
    settings = module(SETTINGS)
    assert reads_of(settings.computed).variables == {("of_the_user", "MADE"): "7"}
    assert ("of_the_user", "config") in reads_of(settings.instance).variables


def test_a_module_reached_by_an_attribute_or_an_import_is_looked_into(module):
    settings = module(SETTINGS, "settings_of_the_user")
    settings.RATE = 19
    user = module(
        """
        import settings_of_the_user
        def by_attribute(x):
            return settings_of_the_user.RATE
        def by_import(x):
            from settings_of_the_user import RATE
            return RATE
        def by_neither(x):
            return settings_of_the_user.other(x)
        """
    )
    for fn in (user.by_attribute, user.by_import):
        assert reads_of(fn).variables == {("settings_of_the_user", "RATE"): 19}
    assert why_not_clean(user.by_neither, 1) == ""


@pytest.mark.parametrize("replacement", [mock.MagicMock(), lambda x: x, sum])
def test_a_function_that_was_replaced_is_found(module, replacement):
    settings = module(SETTINGS)
    settings.helper = replacement
    assert reads_of(settings.calls).replaced == ("of_the_user.helper",)


def test_a_patched_library_is_found(monkeypatch):
    def dump(x):
        return json.dumps(x)

    assert why_not_clean(dump, 1) == ""
    monkeypatch.setattr(json, "dumps", mock.Mock())
    assert "json.dumps" in why_not_clean(dump, 1)


@pytest.mark.parametrize(
    "source",
    [
        "import csv\ndef fn(x):\n    return csv.reader([x])",
        "import sys\ndef fn(x):\n    return sys.modules[x]",
        "import pickle\ndef fn(x):\n    return pickle.dumps(x)",
        "def fn(x):\n    import logging\n    return logging.getLevelName(x)",
        "def fn(x):\n    return globals()[x]",
        "import threading\nlocal = threading.local()\ndef fn(x):\n    return local.x",
    ],
    ids=["csv", "sys", "pickle", "import", "globals", "local"],
)
def test_libraries_that_keep_settings_and_what_is_not_understood_are_unsure(module, source):
    assert reads_of(module(source).fn).unsure


@pytest.mark.skipif(not sys.flags.hash_randomization, reason="hashes are fixed")
def test_the_order_of_sets_is_another_in_each_program(module, monkeypatch):
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    sets = module("def fn(x):\n    return list({x, 'b'})\ndef other(x):\n    return [x, 'b']")
    assert "sets" in why_not_clean(sets.fn, "a")
    assert why_not_clean(sets.other, "a") == ""


@pytest.mark.parametrize(
    "value", [1, "a", None, [1, (2, {"a": b"c"})], {"a": {"b": [1.5]}}], ids=["int", "str", "None", "list", "dict"]
)
def test_plain_data_is_plain(value):
    assert is_plain(value)


@pytest.mark.parametrize("value", [object(), [object()], {"a": len}, type("Int", (int,), {})(1)])
def test_and_other_objects_are_not(value):
    assert not is_plain(value)


def test_a_library_s_variable_set_from_outside_is_told_from_its_own_affairs(module):
    library = module(
        """
        LIMIT = 10
        FOUND = None
        class Image:
            size = 3
        def find():
            global FOUND
            FOUND = 1
        """
    )
    assert set_from_outside(library) == {}
    library.find()
    assert set_from_outside(library) == {}
    library.LIMIT, library.Image.size = 20, 4
    assert set_from_outside(library) == {"LIMIT": 20, "Image.size": 4}


METHODS = """
    def traced(method):
        def call(*args):
            return method(*args)
        return call

    class Account:
        def show(self):
            return "account"
        __repr__ = show
        @traced
        def count(self):
            return 1

    def calls(k):
        return repr(Account()), Account().count()
"""


def test_a_second_name_of_a_method_and_a_decorated_one_are_in_their_places(module):
    assert reads_of(module(METHODS).calls).replaced == ()


def test_a_method_that_was_replaced_is_found(module):
    of_the_user = module(METHODS)
    of_the_user.Account.count = lambda _: 2
    assert reads_of(of_the_user.calls).replaced == ("of_the_user.Account.count",)
