"""What one execution made is not met by the next; what fails once fails again when it is recorded and replayed."""

from __future__ import annotations

import ctypes
import threading
import weakref
from pathlib import PurePath
from typing import ClassVar

from whilst.checking import check, replay
from whilst.checking.judge.outcome import facts_of
from whilst.inspecting.descriptions import describe
from whilst.inspecting.parts import attributes
from whilst.model.verdict import Answer


class Gate:
    """One for each name as long as somebody holds it."""

    known: ClassVar[weakref.WeakValueDictionary[str, Gate]] = weakref.WeakValueDictionary()

    def __init__(self) -> None:
        self.is_held = False

    @classmethod
    def of(cls, name: str) -> Gate:
        found = cls.known.get(name)
        if found is None:
            found = cls.known[name] = cls()
        return found


class House:
    def __init__(self) -> None:
        self.gate = Gate.of("front")
        self.was_held = self.gate.is_held
        self.count = 0
        self.lock = threading.Lock()


def enter(house: House) -> None:
    if house.gate.is_held:
        raise RuntimeError("held")
    house.gate.is_held = True
    house.count += 1
    house.gate.is_held = False


def enter_locked(house: House) -> None:
    with house.lock:
        enter(house)


def enter_and_stay(house: House) -> None:
    with house.lock:
        house.gate.is_held = True
        house.count += 1


def test_what_setup_finds_through_a_weak_reference_is_not_of_an_earlier_execution() -> None:
    assert check(House, [enter_and_stay, enter_and_stay], outcome=lambda house: (house.was_held, house.count))
    assert check(House, [enter_locked, enter_locked], outcome=lambda house: house.count)


def test_a_race_for_what_is_found_through_a_weak_reference_is_caught_and_replayed() -> None:
    verdict = check(House, [enter, enter], outcome=lambda house: house.count)
    assert verdict.answer is Answer.RAISES
    assert verdict.token is not None
    assert replay(verdict.token).answer is Answer.RAISES


def spoil(_: House) -> None:
    gate = Gate.of("back")
    was_held, gate.is_held = gate.is_held, True
    raise ValueError("was held" if was_held else "was free")


def test_an_exception_that_is_kept_keeps_nothing_alive_that_its_functions_held() -> None:
    verdict = check(House, [spoil, enter_locked], outcome=lambda _, results: str(results[0]), raises=ValueError)
    assert verdict.answer is Answer.ISOLATED
    assert [each.facts["outcome"] for each in verdict.sequential] == ["'was free'"]


class Index:
    def __init__(self) -> None:
        self.sizes: dict[PurePath, int] = {}
        self.lock = threading.Lock()


def add(index: Index) -> str:
    path = PurePath("a") / "b"
    index.sizes[path] = index.sizes.get(path, 0) + 1
    return str(path)


def add_locked(index: Index) -> str:
    with index.lock:
        return add(index)


def test_paths_that_are_recorded_are_left_as_they_were() -> None:
    verdict = check(Index, [add, add])
    assert verdict.answer is Answer.NOT_ISOLATED
    assert verdict.token is not None
    assert replay(verdict.token).answer is Answer.NOT_ISOLATED
    assert check(Index, [add_locked, add_locked])


def test_telling_a_path_leaves_nothing_behind_in_it() -> None:
    path = PurePath("a") / "b"
    before = attributes(path)
    assert describe(path) == f"{type(path).__name__}('a/b')"
    assert attributes(path) == before


def test_a_number_of_ctypes_is_told_by_its_value() -> None:
    assert facts_of("state", {"number": ctypes.c_int(3)}) == {"state['number']": "c_int(3)"}
