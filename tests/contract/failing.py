"""Functions that fail, and what they raise; a module of its own, which worker processes can import too."""

from __future__ import annotations

import dataclasses
import io
import math
import urllib.error
from collections.abc import Callable
from email.message import Message


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    """Nothing can be added to it."""

    code: int = 5


class SealedError(Exception):
    """Refuses attributes in a way of its own."""

    def __setattr__(self, name: str, value: object) -> None:
        raise TypeError("sealed")


class SlotsError(Exception):
    """What it has besides its text is in slots, one of them of a base, one never set."""

    __slots__ = ("code", "unset")

    def __init__(self, code: int) -> None:
        super().__init__(f"failed with {code}")
        self.code = code


class DerivedError(SlotsError):
    __slots__ = ("more",)

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.more = {"code": code}


class ForgetfulError(Exception):
    """Its pickle can be rebuilt, and brings back less than there was."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.reply: dict[str, int] = {}

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), self.args


class Plain:
    """Has no attribute `size`."""

    def __eq__(self, other: object) -> bool:
        return type(other) is Plain

    __hash__ = object.__hash__


def frozen() -> None:
    raise FrozenError(7)


def sealed() -> None:
    raise SealedError("a", 1)


def slots() -> None:
    raise DerivedError(503)


def forgetful() -> None:
    error = ForgetfulError("no")
    error.reply = {"status": 9}
    raise error


def wrong_name() -> None:
    _ = missing_name  # type: ignore[name-defined]  # noqa: F821


def wrong_attribute() -> None:
    _ = Plain().size  # type: ignore[attr-defined]


def wrong_attribute_of_a_module() -> None:
    _ = math.nothing  # type: ignore[attr-defined]


def missing_module() -> None:
    raise ImportError("nothing there", name="nothing", path="/nowhere")


def missing_file() -> None:
    open("/nowhere/at/all")  # noqa: SIM115, PTH123


def two_files() -> None:
    raise OSError(18, "Invalid cross-device link", "/a", None, "/b")


def not_found() -> None:
    raise urllib.error.HTTPError("http://example.org/x", 404, "Not Found", Message(), io.BytesIO(b"gone"))


def stopped() -> None:
    error = ValueError("early")
    error.value = 4  # type: ignore[attr-defined]
    raise error


def caused() -> None:
    try:
        slots()
    except SlotsError as error:
        raise FrozenError from error


CASES: dict[Callable[[], None], tuple[str, ...]] = {
    frozen: ("code",),
    sealed: ("args",),
    slots: ("code", "more"),
    forgetful: ("reply",),
    wrong_name: ("name",),
    wrong_attribute: ("name", "obj"),
    wrong_attribute_of_a_module: ("name", "obj"),
    missing_module: ("name", "path", "msg"),
    missing_file: ("errno", "strerror", "filename", "filename2"),
    two_files: ("errno", "filename", "filename2"),
    not_found: ("filename", "code", "url", "reason"),
    stopped: ("value",),
    caused: ("code",),
}


def fail_at_1(fail: Callable[[], None], number: int) -> int:
    if number == 1:
        fail()
    return number


class FailAt1:
    """A call that can be sent, whatever runs it."""

    def __init__(self, fail: Callable[[], None]) -> None:
        self.fail = fail

    def __call__(self, number: int) -> int:
        return fail_at_1(self.fail, number)


def unsendable() -> None:
    _ = (each for each in ()).size  # type: ignore[attr-defined]
