"""Timelines to draw, and a browser to draw them in."""

from __future__ import annotations

import html
import json
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from whilst.model import Kind, Timeline, TimelineBuilder

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


class Browser:
    """A headless Chromium that opens one page a call, with a profile of its own that is thrown away."""

    def __init__(self, program: str, profile: Path) -> None:
        self._command = [
            program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--no-first-run",
            "--force-device-scale-factor=1",
            "--window-size=1200,900",
            "--virtual-time-budget=20000",
            f"--user-data-dir={profile}",
        ]

    def document(self, page: Path, fragment: str = "") -> str:
        """The page's document once its scripts have run."""
        return self._run("--dump-dom", f"{page.as_uri()}#{fragment}")

    def report(self, page: Path, columns: int, fragment: str = "") -> dict[str, Any]:
        """The shares that stand behind the picture, as the page's own scripts count them."""
        document = self.document(page, f"report={columns}&{fragment}")
        found = re.search(r'<pre id="report"[^>]*>(.*?)</pre>', document, re.DOTALL)
        assert found, f"the page reported nothing: {document[-3000:]}"
        return dict(json.loads(html.unescape(found[1])))

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, *arguments], capture_output=True, text=True, encoding="utf-8", timeout=60, check=True
        )
        return done.stdout


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    program = next((found for name in names if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser here to open the page in: none of {', '.join(names)} is on PATH")
    profile = tmp_path / "profile"
    yield Browser(program, profile)
    shutil.rmtree(profile, ignore_errors=True)
