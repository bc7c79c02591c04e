"""Timelines to draw, and a browser to draw them in."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from whilst.model import Kind, Timeline, TimelineBuilder

# Test modules are imported one by one, without a package around them.
_SPEC = importlib.util.spec_from_file_location("showing_browser", Path(__file__).with_name("browser.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
driver = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(driver)

HOUR_NS = 3_600_000_000_000
WORK, WAIT, HELD = Kind.WORK, Kind.WAIT, Kind.HELD


@pytest.fixture
def sequential() -> Timeline:
    return _story(
        "sequential",
        ["you"],
        [
            ("you", "passport", WORK, 0, 2, "drive"),
            ("you", "passport", WAIT, 2, 6, "stand in line"),
            ("you", "passport", WORK, 6, 8, "drive back"),
            ("you", "draft", WORK, 8, 11, "write"),
            ("you", "edits", WORK, 11, 13, "edit"),
        ],
    )


@pytest.fixture
def concurrent() -> Timeline:
    return _story(
        "concurrent",
        ["you"],
        [
            ("you", "passport", WORK, 0, 2, "drive"),
            ("you", "passport", WAIT, 2, 6, "stand in line"),
            ("you", "draft", WORK, 2, 5, "write"),
            ("you", "edits", WORK, 5, 6, "edit"),
            ("you", "passport", WORK, 6, 8, "drive back"),
            ("you", "edits", WORK, 8, 9, "edit"),
        ],
    )


@pytest.fixture
def parallel() -> Timeline:
    return _story(
        "parallel",
        ["you", "assistant"],
        [
            ("you", "passport", WORK, 0, 2, "drive"),
            ("you", "passport", WAIT, 2, 6, "stand in line"),
            ("assistant", "draft", WORK, 0, 3, "write"),
            ("you", "passport", WORK, 6, 8, "drive back"),
            ("you", "edits", WORK, 8, 10, "edit"),
        ],
    )


def _story(name: str, executors: list[str], rows: list[tuple[str, str, Kind, int, int, str]]) -> Timeline:
    builder = TimelineBuilder()
    builder.declare(executors=executors, tasks=["passport", "draft", "edits"])
    for executor, task, kind, start, end, label in rows:
        builder.add(executor, task, kind, start * HOUR_NS, end * HOUR_NS, label)
    return builder.build(name=name, unit=("h", 3600.0), cores=len(executors), is_predicted=True)


@pytest.fixture
def tangled() -> Callable[..., Timeline]:
    """Random spans of every kind that overlap each other on their executors."""

    def make(spans: int = 400, executors: int = 5, seed: int = 1, length_ns: int = 1_000_000_000) -> Timeline:
        draw = random.Random(seed)
        builder = TimelineBuilder()
        for number in range(spans):
            start = draw.randrange(length_ns)
            end = min(length_ns, start + int(draw.expovariate(20) * length_ns))
            executor, kind = f"executor {draw.randrange(executors)}", draw.choice(list(Kind))
            builder.add(executor, f"task {number // 4}", kind, start, end, draw.choice(["", "read", "write"]))
        return builder.build(name="tangled", origin_ns=0, cores=2)

    return make


@pytest.fixture
def busy() -> Callable[..., Timeline]:
    """Spans without overlap, very short ones, of which a known share is work."""

    def make(spans: int, executors: int = 10, seed: int = 1) -> Timeline:
        draw = random.Random(seed)
        builder = TimelineBuilder()
        each = spans // executors
        for executor in range(executors):
            now = 0
            for number in range(each):
                kind = (WORK, WAIT, HELD)[number % 3]
                length = int(draw.expovariate(1) * (1e5, 5e5, 5e4)[kind])
                builder.add(f"thread {executor}", f"call {executor * each + number // 3}", kind, now, now + length)
                now += length
        return builder.build(name="busy", cores=2)

    return make


@pytest.fixture
def browser() -> Iterator[Any]:
    """A browser to open pages in; skips where there is none."""
    program = driver.find_browser()
    if program is None:
        pytest.skip(f"no browser here to open the page in: none of {', '.join(driver.NAMES)} is on PATH")
    with driver.Browser(program) as started:
        yield started
