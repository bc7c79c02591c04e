"""What the verbs give is typed as what the calls give. Held by mypy, which checks the tests as well."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import assert_type, get_type_hints

import pytest

import whilst
from whilst.running.calls.per_worker import PerWorker
from whilst.running.options import Options
from whilst.running.verbs.awaitable import AsyncStream
from whilst.running.verbs.run import Stream


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


def test_errors_that_are_returned_are_in_the_type() -> None:
    texts = ["a", "bc"]
    assert assert_type(whilst.map(length, texts, errors="return"), whilst.Results[int | Exception]) == [1, 2]
    assert assert_type(whilst.map(length_later, texts, errors="return", seed=1), whilst.Results[int | Exception])
    assert assert_type(whilst.map(length, texts, errors="raise", retries=1), whilst.Results[int]) == [1, 2]
    assert assert_type(whilst.starmap(times, [("a", 2)], errors="return"), whilst.Results[str | Exception]) == ["aa"]
    assert list(assert_type(whilst.imap(length, texts, errors="return"), Stream[int | Exception])) == [1, 2]
    assert list(assert_type(whilst.imap_unordered(length_later, [], errors="return"), Stream[int | Exception])) == []


def none() -> int:
    return 0


async def later() -> str:
    return "later"


def test_different_tasks_give_either_type() -> None:
    assert assert_type(whilst.gather(none, none), whilst.Results[int]) == [0, 0]
    assert assert_type(whilst.gather(later, later), whilst.Results[str]) == ["later"] * 2
    assert assert_type(whilst.gather(none, lambda: "b"), whilst.Results[int | str]) == [0, "b"]
    assert assert_type(whilst.gather(none, none, none, none), whilst.Results[int]) == [0] * 4
    assert assert_type(whilst.gather(none, later), whilst.Results[int | str]) == [0, "later"]
    assert assert_type(whilst.gather(later(), none), whilst.Results[str | int]) == ["later", 0]
    assert assert_type(whilst.gather(none, later, lambda: 1.5), whilst.Results[int | str | float])[1] == "later"
    assert assert_type(whilst.gather(none, none, errors="return"), whilst.Results[int | Exception]) == [0, 0]
    assert assert_type(whilst.gather(later, errors="return"), whilst.Results[str | Exception]) == ["later"]


def test_a_future_has_what_the_coroutine_gives() -> None:
    with whilst.Executor() as executor:
        assert assert_type(executor.submit(length_later, "abc"), Future[int]).result() == 3
        assert assert_type(executor.submit(length, text="abc"), Future[int]).result() == 3


def test_awaitable_verbs_give_what_the_function_gives() -> None:
    async def main() -> None:
        assert assert_type(await whilst.amap(length_later, ["a"]), whilst.Results[int]) == [1]
        assert assert_type(await whilst.amap(length, ["a"], errors="return"), whilst.Results[int | Exception]) == [1]
        assert assert_type(await whilst.astarmap(times, [("a", 2)]), whilst.Results[str]) == ["aa"]
        assert assert_type(await whilst.agather(later(), later), whilst.Results[str]) == ["later"] * 2
        assert assert_type(await whilst.agather(none, later(), none), whilst.Results[int | str])[1] == "later"
        assert assert_type(await whilst.agather(none, errors="return"), whilst.Results[int | Exception]) == [0]
        stream = assert_type(whilst.aimap(length_later, ["a"]), AsyncStream[int])
        assert [each async for each in stream] == [1]
        unordered = assert_type(whilst.aimap_unordered(length, ["a"], errors="return"), AsyncStream[int | Exception])
        assert [each async for each in unordered] == [1]

    asyncio.run(main())


def test_what_a_worker_has_is_what_its_factory_gives() -> None:
    held = whilst.per_worker(dict[str, int])
    assert assert_type(held(), dict[str, int]) == {}


USUAL = dict(zip(Options._fields, Options(), strict=True))
VERBS = (
    whilst.map, whilst.starmap, whilst.imap, whilst.imap_unordered, whilst.amap, whilst.astarmap, whilst.aimap,
    whilst.aimap_unordered,
)  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_a_verbs_signature_shows_each_keyword_with_its_usual_value(verb: Callable[..., object]) -> None:
    shown = inspect.signature(verb)
    keywords = {name: each.default for name, each in shown.parameters.items() if each.kind is each.KEYWORD_ONLY}
    assert keywords == USUAL
    assert not any(each.kind is each.VAR_KEYWORD for each in shown.parameters.values())
    assert "rate_per_s: 'float | None' = None" in str(shown)
    bound = inspect.signature(partial(verb, len)).bind([1], retries=2)
    assert bound.arguments == {"items": [1], "retries": 2}
    assert set(get_type_hints(verb)) == {*list(shown.parameters)[:2], "keywords", "return"}


def test_what_a_verb_refuses_is_not_shown() -> None:
    assert "journal" not in inspect.signature(whilst.gather).parameters
    assert "journal" not in inspect.signature(whilst.agather).parameters
    executor = inspect.signature(whilst.Executor).parameters
    assert {"retry_on", "rate_per_s", "max_workers"} <= executor.keys()
    assert not {"errors", "journal", "progress", "deadline_s", "on_result", "self"} & executor.keys()
    assert "on_result" not in inspect.signature(whilst.reduce).parameters


FUNCTIONS = [name for name in whilst.__all__ if inspect.isfunction(getattr(whilst, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_annotations_of_what_is_public_can_be_resolved(name: str) -> None:
    assert "return" in get_type_hints(getattr(whilst, name))


def test_annotations_of_an_executor_can_be_resolved() -> None:
    for method in (whilst.Executor.__init__, whilst.Executor.submit, whilst.Executor.map):
        assert "return" in get_type_hints(method)


def test_help_names_each_keyword_with_its_usual_value() -> None:
    told = inspect.getdoc(whilst.map) or ""
    for name, usual in USUAL.items():
        shown = f'"{usual}"' if isinstance(usual, str) else usual
        assert f"\n    {name}={shown}: " in told


@contextmanager
def opened() -> Generator[list[int], None, None]:
    yield [1]


@asynccontextmanager
async def opened_later() -> AsyncGenerator[str, None]:
    yield "a"


def test_what_a_worker_has_open_is_typed_as_what_entering_gives() -> None:
    assert_type(whilst.per_worker(opened_later), PerWorker[str])
    lists = assert_type(whilst.per_worker(opened), PerWorker[list[int]])
    lengths = assert_type(whilst.per_worker(partial(length, "abc")), PerWorker[int])
    assert whilst.map(lambda number: (lists()[0], lengths() + number), [0]) == [(1, 3)]
