"""The page of the story: its figures are those of `whilst.plan`, also in a browser, where whilst runs by Pyodide."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import whilst

ROOT = Path(__file__).parent.parent
PLAY = ROOT / "docs" / "play"


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def assemble() -> Iterator[Any]:
    """The module that writes the page; `story` is what it shows."""
    before = list(sys.path)
    yield loaded(PLAY / "assemble.py")
    sys.path[:] = before
    for name in ("story", "drawing"):
        sys.modules.pop(name, None)


def planned(story: Any, day: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Makespan and bound, in hours, as the library has them."""
    plans = whilst.plan_modes(story.day_of(day)).plans
    return {plan.mode.value: (plan.makespan_s / 3600, plan.bound_s / 3600) for plan in plans}


def shown(answer: dict[str, Any]) -> dict[str, tuple[float, float]]:
    return {mode: (plan["makespan_h"], plan["bound_h"]) for mode, plan in answer["plans"].items()}


def test_the_page_begins_with_the_four_lengths_of_the_story(assemble: Any, tmp_path: Path) -> None:
    assemble.write_page(tmp_path)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    lengths = re.findall(r'<h3 id="h-(\w+)">\w+ <b>([\d.]+) h</b>', text)
    assert lengths == [("sequential", "13"), ("concurrent", "9"), ("parallel", "10"), ("combined", "8")]
    file = whilst.plan_modes(ROOT / "examples" / "story.toml").plans
    assert [plan.makespan_s / 3600 for plan in file] == [float(length) for _, length in lengths]
    assert "{{" not in text


@pytest.mark.parametrize(
    "changed",
    [
        {"assistants": 0},
        {"assistants": 3, "presentations": 4},
        {"line": 0, "draft": 0},
        {"there": 0, "line": 0, "back": 0, "draft": 0, "edits": 0},
        {"line": 7.5, "edits": 0.5, "presentations": 2},
    ],
)
def test_an_answer_has_the_figures_of_plan_and_a_table_behind_each_picture(
    assemble: Any, changed: dict[str, float]
) -> None:
    story = assemble.story
    request = story.first_request()
    request["day"] = {**request["day"], **changed}
    answer = json.loads(story.answer(json.dumps(request)))
    assert shown(answer) == planned(story, request["day"])
    for mode, plan in answer["plans"].items():
        rows = plan["html"].partition("<tbody>")[2].count("<tr>")
        assert rows == len(whilst.plan(story.day_of(request["day"]), mode).timeline)
        assert f'aria-label="{mode}: ' in plan["html"]


def test_the_forecasts_of_calls_are_those_of_the_library(assemble: Any) -> None:
    request = assemble.story.first_request()
    request["calls"] = {"n": 10, "work": 30, "wait": 70, "gil": 50, "cores": 2}
    table = json.loads(assemble.story.answer(json.dumps(request)))["calls"]
    seconds = [float(each) for each in re.findall(r"<td class=number>([\d.]+) s<", table)]
    bounds = whilst.forecast(whilst.Profile(work_s=0.03, wait_s=0.07), 10, whilst.Machine(cores=2))
    loop, overlapped, beside, both = (bounds[mode] for mode in whilst.Mode)
    # Half of the work holds the GIL: two threads do the other half beside it, so no longer than both on two cores.
    assert seconds == pytest.approx([loop, overlapped, 0.15, beside, both, both], rel=5e-3)


def test_in_a_browser_sliders_move_by_keys_and_the_figures_are_those_of_plan(assemble: Any, tmp_path: Path) -> None:
    driver = loaded(ROOT / "tests" / "showing" / "browser.py")
    program = driver.find_browser()
    if program is None:
        pytest.skip(f"no browser here to open the page in: none of {', '.join(driver.NAMES)} is on PATH")
    if not assemble.PYODIDE.exists():
        pytest.skip(f"no Pyodide here: `make docs` has npm bring it to {assemble.PYODIDE}")
    assemble.write_page(tmp_path)
    with driver.Browser(program, timeout_s=250) as browser:
        ready = browser.open(tmp_path / "index.html")
        assert ready["python"], ready

        def press(key: str, code: str) -> None:
            for kind in ("rawKeyDown", "keyUp"):
                number = {"ArrowRight": 39, "ArrowLeft": 37, " ": 32, "Tab": 9}[key]
                browser.poke("Key", type=kind, key=key, code=code, windowsVirtualKeyCode=number)

        def answer() -> dict[str, Any]:
            return dict(json.loads(browser.ask("document.documentElement.dataset.answer")))

        def compare() -> dict[str, Any]:
            found = answer()
            assert shown(found) == planned(assemble.story, found["asked"]["day"])
            headings = browser.ask("[...document.querySelectorAll('.mode h3 b')].map(each => each.textContent)")
            assert headings == [f"{plan['makespan_h']:g} h" for plan in found["plans"].values()]
            return dict(found["asked"]["day"])

        assert shown(answer())["combined"] == (8, 8)
        compare()
        browser.ask("document.querySelector('input[name=line]').focus()")
        for _ in range(3):
            press("ArrowRight", "ArrowRight")
        assert compare()["line"] == 5.5
        # Tab leads from slider to slider and on to the executors, and a space presses what is there.
        for _ in range(4):
            press("Tab", "Tab")
        assert browser.ask("document.activeElement.getAttribute('aria-label')") == "one assistant fewer"
        press("Tab", "Tab")
        press(" ", "Space")
        assert compare()["assistants"] == 2
        browser.ask("document.querySelector('input[name=presentations]').focus()")
        for _ in range(2):
            press("ArrowRight", "ArrowRight")
        assert compare()["presentations"] == 3

        browser.ask("document.querySelector('input[name=cores]').focus()")
        press("ArrowLeft", "ArrowLeft")
        press("ArrowLeft", "ArrowLeft")
        calls = answer()["asked"]["calls"]
        assert calls["cores"] == 2
        profile = whilst.Profile(work_s=calls["work"] / 1e3, wait_s=calls["wait"] / 1e3)
        bounds = whilst.forecast(profile, calls["n"], whilst.Machine(cores=2))
        rows = "[...document.querySelectorAll('table.calls tbody tr')]"
        seconds = [float(each.split()[0]) for each in browser.ask(f"{rows}.map(row => row.cells[2].textContent)")]
        by_hand = [bounds["sequential"], bounds["concurrent"], bounds["parallel"], bounds["combined"]]
        assert [seconds[at] for at in (0, 1, 3, 5)] == pytest.approx(by_hand, rel=5e-3)

        seen = browser.read_aloud()
        pictures = [name for role, name in seen if role == "image"]
        for mode, plan in answer()["plans"].items():
            assert any(name.startswith(f"{mode}: {plan['makespan_h']:g} hours") for name in pictures)
        assert all(name for role, name in seen if role in ("slider", "button", "image"))

        unnamed = "[...document.querySelectorAll('input, button')].filter(e => !(e.labels?.length || e.textContent))"
        assert browser.ask(f"{unnamed}.length") == 0
        assert browser.ask("[...document.querySelectorAll('svg')].every(e => e.getAttribute('aria-label'))")
        asked_for = browser.ask("performance.getEntriesByType('resource').map(each => each.name.split(':')[0])")
        assert set(asked_for) <= {"file", "blob"}
        for width in (420, 1280, 1920):
            browser.resize(width, 900)
            assert browser.ask("document.documentElement.scrollWidth") == width
        colours = []
        for scheme in ("light", "dark"):
            browser.prefer(scheme)
            colours.append(browser.ask("getComputedStyle(document.body).backgroundColor"))
        assert colours == ["rgb(255, 255, 255)", "rgb(20, 24, 28)"]
        browser.ask("document.getElementById('report').click()")
        page = browser.ask("document.getElementById('report-page').srcdoc")
        assert "<canvas" in page
        assert "presentation" in page
