"""Who is to blame that something can't be pickled."""

from __future__ import annotations

import functools
import socket
import threading
from typing import Any

import pytest

from whilst.running.worker.transport.pickle_errors import find_culprit


class Client:
    def __init__(self) -> None:
        self.name = "client"
        self._lock = threading.Lock()

    def fetch(self, url: str) -> str:
        return url


class Slotted:
    __slots__ = ("inner",)

    def __init__(self, inner: object) -> None:
        self.inner = inner


class Refuses:
    def __reduce__(self) -> Any:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "path", "kind"),
    [
        (threading.Lock(), "", "_thread.lock"),
        ({"clients": [1, Client()]}, "['clients'][1]._lock", "_thread.lock"),
        (Client().fetch, ".__self__._lock", "_thread.lock"),
        (functools.partial(print, 1, Client()), ".args[1]._lock", "_thread.lock"),
        (Slotted(Slotted(x for x in "ab")), ".inner.inner", "generator"),
        ([1, Refuses()], "[1]", "Refuses"),
    ],
)
def test_the_path_leads_to_the_innermost_part(value: object, path: str, kind: str) -> None:
    culprit = find_culprit(value)
    assert culprit.path == path
    assert culprit.kind.endswith(kind)


def test_a_closure_variable_is_named() -> None:
    lock = threading.Lock()

    def uses_lock() -> bool:
        return lock.locked()

    assert find_culprit(uses_lock).path == " (closure variable 'lock')"


def test_the_remedy_fits_the_kind() -> None:
    with socket.socket() as sock:
        assert "Open it inside the function" in find_culprit({"s": sock}).remedy
    assert "list" in find_culprit(iter_of()).remedy


def iter_of() -> Any:
    yield 1


def test_an_object_that_contains_itself_ends() -> None:
    loop: dict[str, object] = {"lock": threading.Lock()}
    loop["self"] = loop
    assert find_culprit(loop).path == "['lock']"


def test_what_a_class_of_a_script_holds_is_named() -> None:
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec("import threading\nclass Counter:\n    guard = threading.Lock()", scope)
    culprit = find_culprit(scope["Counter"]())
    assert (culprit.path, culprit.kind) == (".guard", "_thread.lock")
