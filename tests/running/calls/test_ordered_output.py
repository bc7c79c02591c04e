"""What overlapping calls print and log comes in the order of their items."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
import threading

import pytest

from whilst.running.calls.ordered_output import OrderedOutput
from whilst.running.verbs.api import map as whilst_map

COUNT = 24


def says(k: int) -> int:
    print("begin", k)
    threading.Event().wait(0.003 * (k % 3))
    print("end", k, file=sys.stderr if k % 2 else sys.stdout)
    return k


async def says_too(k: int) -> int:
    print("begin", k)
    await asyncio.sleep(0.003 * (k % 3))
    print("end", k, file=sys.stderr if k % 2 else sys.stdout)
    return k


def expected(count: int = COUNT) -> tuple[str, str]:
    out = "".join(f"begin {k}\n" + ("" if k % 2 else f"end {k}\n") for k in range(count))
    return out, "".join(f"end {k}\n" for k in range(1, count, 2))


@pytest.mark.parametrize(
    ("fn", "keywords"),
    [
        (says, {"mode": "concurrent", "workers": 6}),
        (says, {"mode": "auto"}),
        (says_too, {"mode": "concurrent"}),
        (says_too, {"mode": "auto"}),
    ],
)
def test_prints_come_as_from_a_loop(fn, keywords, capsys):
    before = sys.stdout, sys.stderr
    whilst_map(fn, range(COUNT), **keywords)
    assert (sys.stdout, sys.stderr) == before
    assert tuple(capsys.readouterr()) == expected()


def test_log_records_come_as_from_a_loop(caplog):
    logger = logging.getLogger("whilst-saying")
    caplog.set_level("INFO", logger.name)

    def fn(k: int) -> None:
        threading.Event().wait(0.003 * (k % 3))
        logger.info("call %d", k)

    whilst_map(fn, range(COUNT), mode="concurrent", workers=6)
    assert [record.getMessage() for record in caplog.records] == [f"call {k}" for k in range(COUNT)]


def test_nothing_is_printed_that_a_loop_would_not_have_come_to(capsys):
    def fn(k: int) -> None:
        threading.Event().wait(0.01 if k == 5 else 0)
        print(k)
        if k == 5:
            raise LookupError(k)

    with pytest.raises(LookupError):
        whilst_map(fn, range(COUNT), mode="concurrent", workers=8)
    assert capsys.readouterr().out == "".join(f"{k}\n" for k in range(6))


def test_whoever_makes_no_call_prints_as_always(capsys):
    gate = threading.Event()

    def stranger():
        print("stranger")
        gate.set()

    def fn(k: int) -> None:
        print("call", k)
        if k == 0:
            thread = threading.Thread(target=stranger)
            thread.start()
            assert gate.wait(30)
            thread.join()

    whilst_map(fn, range(4), mode="concurrent", workers=2)
    assert sorted(capsys.readouterr().out.split("\n")) == sorted(["stranger", *(f"call {k}" for k in range(4)), ""])


def test_the_first_in_progress_writes_through(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    output = OrderedOutput()
    output.install()
    try:
        output.open("a", (0,))
        output.open("b", (1,))
        output.enter("b")
        print("later")
        assert stream.getvalue() == ""
        output.enter("a")
        print("now")
        assert stream.getvalue() == "now\n"
        output.leave()
        output.close("a")
        assert stream.getvalue() == "now\nlater\n"
        output.enter("b")
        print("at once")
        assert stream.getvalue().endswith("at once\n")
        output.leave()
        output.close("b")
    finally:
        output.end()
    assert sys.stdout is stream


def test_a_line_is_never_parted_by_what_the_program_says(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    output = OrderedOutput()
    output.install()

    def speak(key, *texts):
        output.enter(key)
        for text in texts:
            sys.stdout.flush() if text is None else sys.stdout.write(text)
        output.leave()

    try:
        for number in (0, 1):
            output.open(number, (number,))
        speak(0, "begin", " ")
        print("read")
        speak(1, "later", "\n", "and ")
        speak(0, "0", "\n", "dots ...", None, " to the end")
        assert stream.getvalue() == "read\nbegin 0\ndots ..."
        output.close(0)
        print(" read")
        assert stream.getvalue().splitlines()[2:] == ["dots ... to the endlater", " read"]
        output.close(1)
        assert stream.getvalue().endswith(" read\nand ")
    finally:
        output.end()


def test_a_call_that_is_made_again_holds_nobody_up(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    output = OrderedOutput()
    output.install()
    try:
        for number in (0, 1):
            output.open(number, (number,))
        output.close(0, failed=(0,))
        output.enter(1)
        print("one")
        output.leave()
        output.close(1)
        assert stream.getvalue() == ""
        output.open(2, (0,))
        output.close(2)
        assert stream.getvalue() == "one\n"
    finally:
        output.end()
