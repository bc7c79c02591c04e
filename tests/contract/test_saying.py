"""What calls print and log comes as a `for` loop's would: in the order of the items, and nothing after a failure."""

from __future__ import annotations

import logging
import time

import pytest

from whilst.running.options import Keywords
from whilst.running.verbs.api import imap, map  # noqa: A004


class Reject(Exception):
    """What a call raises here."""


def test_prints_come_in_the_order_of_the_items(way: Keywords, capsys: pytest.CaptureFixture[str]) -> None:
    def speak(k: int) -> None:
        print("begin", k)
        time.sleep(0.004 if k % 3 == 0 else 0.001)
        print("end", k)

    map(speak, range(16), **way)
    assert capsys.readouterr().out == "".join(f"begin {k}\nend {k}\n" for k in range(16))


def test_nothing_is_said_after_a_call_that_failed(way: Keywords, capsys: pytest.CaptureFixture[str]) -> None:
    def speak(k: int) -> None:
        print("call", k)
        time.sleep(0.004 if k == 7 else 0.001)
        if k == 7:
            raise Reject

    with pytest.raises(Reject):
        list(map(speak, range(40), **way))
    assert capsys.readouterr().out == "".join(f"call {k}\n" for k in range(8))


def test_a_filter_of_a_logger_sees_each_record_once(way: Keywords, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("whilst.tests.filtered")

    def mark(record: logging.LogRecord) -> bool:
        record.msg = f"<{record.msg}>"
        return True

    def speak(k: int) -> None:
        time.sleep(0.001)
        logger.warning("call %d", k)

    logger.addFilter(mark)
    try:
        map(speak, range(12), **way)
    finally:
        logger.removeFilter(mark)
    assert [record.getMessage() for record in caplog.records] == [f"<call {k}>" for k in range(12)]


def test_prints_of_a_lazy_run_come_in_the_order_of_its_items(way: Keywords, capsys: pytest.CaptureFixture[str]) -> None:
    def speak(k: int) -> None:
        print("begin", k)
        time.sleep(0.004 if k % 3 == 0 else 0.001)
        print("end", k)

    for k, _ in enumerate(imap(speak, range(16), **way)):
        print("read", k)
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if "read" not in line] == [
        f"{word} {k}" for k in range(16) for word in ("begin", "end")
    ]
    assert all(said.index(f"end {k}") < said.index(f"read {k}") for k in range(16))
