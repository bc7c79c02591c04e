"""What the verbs give is typed as what the calls give. Held by mypy, which checks the tests as well."""

from __future__ import annotations

from typing import assert_type

import whilst
from whilst.running.verbs.api import Stream


def length(text: str) -> int:
    return len(text)


async def length_later(text: str) -> int:
    return len(text)


def times(text: str, count: int) -> str:
    return text * count


def test_verbs_give_what_the_function_gives() -> None:
    texts = ["a", "bc"]
    assert assert_type(whilst.map(length, texts), whilst.Results[int]) == [1, 2]
    assert assert_type(whilst.map(length_later, texts), whilst.Results[int]) == [1, 2]
    assert assert_type(whilst.starmap(times, [("a", 2)]), whilst.Results[str]) == ["aa"]
    assert list(assert_type(whilst.imap(length, texts), Stream[int])) == [1, 2]
    assert list(assert_type(whilst.imap(length_later, texts), Stream[int])) == [1, 2]
    assert sorted(assert_type(whilst.imap_unordered(length, texts), Stream[int])) == [1, 2]


def test_what_a_worker_has_is_what_its_factory_gives() -> None:
    held = whilst.per_worker(dict[str, int])
    assert assert_type(held(), dict[str, int]) == {}
