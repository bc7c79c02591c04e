"""Items come from whatever a `for` loop takes, in every mode."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import pytest

import whilst
from whilst.model import Mode


class Shorter:
    """Gives more items than it has by its own account, as a pandas frame with more columns than rows does."""

    def __init__(self, said: int, given: int) -> None:
        self.said, self.given = said, given

    def __len__(self) -> int:
        if self.said < 0:
            raise RuntimeError("asked for a length")
        return self.said

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.given))


INPUTS: dict[str, Callable[[], Iterable[object]]] = {
    "a set": lambda: set(range(5)),
    "a dict": lambda: dict.fromkeys("abc"),
    "a view": {1: 2, 3: 4}.items,
    "an array": lambda: memoryview(b"abcde"),
    "a length too short": lambda: Shorter(2, 9),
    "a length too long": lambda: Shorter(9, 2),
    "a length of none": lambda: Shorter(0, 3),
    "no length after all": lambda: Shorter(-1, 3),
}


@pytest.mark.parametrize("mode", ["auto", *(mode.value for mode in Mode)])
@pytest.mark.parametrize("items", INPUTS.values(), ids=INPUTS)
def test_any_iterable_gives_what_a_loop_takes_from_it(items: Callable[[], Iterable[object]], mode: Mode) -> None:
    wanted = [repr(item) for item in items()]
    assert whilst.map(repr, items(), mode=mode, workers=2) == wanted
    if mode not in ("parallel", "combined"):
        assert list(whilst.imap(repr, items(), mode=mode, workers=2)) == wanted


class StopError(BaseException):
    """What is no `Exception`."""


def leave_early(number: int) -> int:
    if number == 7:
        raise StopError
    if number == 6:
        time.sleep(0.2)  # the later call ends first
    return number


def stop(number: int) -> int:
    raise StopIteration(number)


@pytest.mark.parametrize("mode", ["auto", *(mode.value for mode in Mode)])
def test_a_loop_never_sees_a_value_that_has_not_come(mode: Mode) -> None:
    seen = []
    with pytest.raises(StopError):  # noqa: PT012 - the loop is what is tested
        for value in whilst.imap(leave_early, range(20), mode=mode, workers=2):
            seen.append(value)
    assert seen == list(range(len(seen)))


@pytest.mark.parametrize("mode", ["auto", *(mode.value for mode in Mode)])
def test_a_stop_iteration_of_a_call_is_an_error_like_any_other(mode: Mode) -> None:
    with pytest.raises(StopIteration) as caught:
        whilst.map(stop, range(5), mode=mode, workers=2)
    assert caught.value.args == (0,)
