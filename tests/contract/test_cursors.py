"""Objects of libraries that every use moves on: right in `auto`; elsewhere right, or said, or refused."""

from __future__ import annotations

import codecs
import csv
import difflib
import hashlib
import io
import itertools
import mmap
import random
import re
import struct
import textwrap
import time
import wave
import zlib
from collections.abc import Callable
from configparser import ConfigParser
from typing import Any

import pytest

import whilst
from whilst.errors import WhilstError
from whilst.running.options import Keywords

CALLS = 24
_CONTENT = bytes(range(251)) * 40


def _reader() -> Callable[[int], object]:
    data = mmap.mmap(-1, len(_CONTENT))
    data.write(_CONTENT)

    def call(k: int) -> object:
        data.seek(k * 100)
        time.sleep(0.002)
        return data.read(20)

    return call


def _sound() -> Callable[[int], object]:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(_CONTENT)
    sound = wave.open(io.BytesIO(file.getvalue()))  # noqa: SIM115 - shared by the calls

    def call(k: int) -> object:
        sound.setpos(k * 10)
        time.sleep(0.002)
        return sound.readframes(5)

    return call


def _used(make: Callable[[], Any], use: Callable[[Any, int], object]) -> Callable[[], Callable[[int], object]]:
    """`use` is made with one object for all calls; it waits between two looks at it."""

    def made() -> Callable[[int], object]:
        shared = make()

        def call(k: int) -> object:
            return use(shared, k)

        return call

    return made


def _matches(matcher: difflib.SequenceMatcher[str], k: int) -> float:
    matcher.set_seq1(f"item {k} of many")
    time.sleep(0.002)
    return matcher.ratio()


def _hashes(digest: Any, k: int) -> str:
    digest.update(b"%d" % k)
    time.sleep(0.002)
    return str(digest.hexdigest())


def _decodes(decoder: Any, k: int) -> str:
    begun = decoder.decode(b"\xc3")
    time.sleep(0.002)
    return f"{begun}{decoder.decode(b'%c' % (0xA0 + k % 20))}"


def _takes_first(source: Any, _k: int) -> object:
    time.sleep(0.002)
    for each in source:
        return each
    return None


def _waits_then(method: Callable[[Any], object]) -> Callable[[Any, int], object]:
    def use(shared: Any, _k: int) -> object:
        time.sleep(0.002)
        return method(shared)

    return use


def _sets(config: ConfigParser, k: int) -> str:
    config.set("a", "x", str(k))
    time.sleep(0.002)
    return config.get("a", "x")


def _packs(buffer: bytearray, k: int) -> object:
    struct.pack_into("q", buffer, 0, k)
    time.sleep(0.002)
    return struct.unpack_from("q", buffer, 0)


def _fills(wrapper: textwrap.TextWrapper, k: int) -> str:
    wrapper.width = 10 + k
    time.sleep(0.002)
    return wrapper.fill("one two three four five six")


def _config() -> ConfigParser:
    config = ConfigParser()
    config["a"] = {"x": "0"}
    return config


CURSORS: dict[str, Callable[[], Callable[[int], object]]] = {
    "a memory map": _reader,
    "a sound": _sound,
    "a matcher": _used(lambda: difflib.SequenceMatcher(None, "item 7 of the lot"), _matches),
    "a hash": _used(hashlib.blake2b, _hashes),
    "a compressor": _used(zlib.compressobj, lambda it, k: (it.compress(b"%d" % k), it.flush(zlib.Z_SYNC_FLUSH))),
    "a decoder": _used(codecs.getincrementaldecoder("utf-8"), _decodes),
    "a scanner": _used(lambda: re.compile(r"\d+").scanner("1 22 333 " * 40), _waits_then(lambda it: it.search()[0])),
    "rows": _used(lambda: csv.DictReader(["a,b", *(f"{k},x" for k in range(99))]), _waits_then(next)),
    "a loop over an iterator": _used(lambda: iter(range(99)), _takes_first),
    "a cycle": _used(lambda: itertools.cycle(range(7)), _waits_then(next)),
    "a generator of numbers": _used(lambda: random.Random(3), _waits_then(lambda it: it.random())),
    "a configuration": _used(_config, _sets),
    "a buffer": _used(lambda: bytearray(8), _packs),
    "a wrapper": _used(textwrap.TextWrapper, _fills),
}


@pytest.mark.parametrize("name", CURSORS)
def test_what_every_use_moves_on_is_right_or_said_or_refused(name: str, way: Keywords) -> None:
    right = [*map(CURSORS[name](), range(CALLS))]
    try:
        results = whilst.map(CURSORS[name](), range(CALLS), **way)
    except WhilstError as error:
        assert way.get("mode") != "auto"
        assert "can't" in str(error)  # noqa: PT017 - only where it is refused
        return
    except Exception as error:  # two calls met within the library: then the note says why
        assert any("mix up" in note for note in error.__notes__)  # noqa: PT017 - as above
        return
    assert [*results] == right or (way.get("mode") != "auto" and results.decision.given_up)


@pytest.mark.parametrize(
    "shared",
    [
        pytest.param(re.compile(r"\d"), id="a pattern"),
        pytest.param(struct.Struct("q"), id="a struct"),
        pytest.param(hashlib.sha256(b"salt"), id="a hash to copy"),
        pytest.param(difflib.Differ(), id="a differ"),
    ],
)
def test_what_no_use_changes_holds_nothing_up(shared: Any) -> None:
    use: dict[str, Callable[[int], object]] = {
        "Pattern": lambda k: shared.match(str(k)).group(),
        "Struct": lambda k: shared.pack(k),
        "HASH": lambda k: shared.copy().digest() + bytes([k]),
        "Differ": lambda k: [*shared.compare(["a"], [str(k)])],
    }
    inner = use[type(shared).__name__]

    def call(k: int) -> object:
        time.sleep(0.01)
        return inner(k)

    results = whilst.map(call, range(CALLS))
    assert [*results] == [inner(k) for k in range(CALLS)]
    assert results.decision.mode is whilst.Mode.CONCURRENT, results.decision
