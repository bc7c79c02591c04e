"""Every race of the corpus is caught, and its fixed twin is proved safe: must-catch and must-not-cry-wolf, in pairs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

import whilst
from whilst.model.verdict import Answer

CORPUS = Path(__file__).parent / "corpus"
sys.path.insert(0, str(CORPUS.parent))  # for what the files of the corpus share
# What the engine does not do yet; a case that starts to pass has to leave this list (xfail is strict).
OPEN: dict[str, str] = {}


def cases() -> list[Any]:
    found = []
    for path in sorted(CORPUS.glob("*.py")):
        for name, pair in load(path).PAIRS.items():
            for kind, case in zip(("racy", "fixed"), pair, strict=True):
                case = dict(case)
                since = case.pop("since", (3, 11))
                expected = case.pop("expect", "not isolated" if kind == "racy" else "isolated")
                pattern = case.pop("pattern", "")
                label = f"{path.stem}: {name} ({kind})"
                marks = [pytest.mark.xfail(reason=OPEN[label])] if label in OPEN else []
                if sys.version_info >= since:
                    found.append(pytest.param(case, expected, pattern, id=label, marks=marks))
    return found


def load(path: Path) -> Any:
    name = f"corpus_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.mark.parametrize(("case", "expected", "pattern"), cases())
def test_a_race_is_caught_and_its_fixed_twin_is_proved(case: dict[str, Any], expected: str, pattern: str) -> None:
    verdict = whilst.check(**case, budget="20000 executions")
    assert verdict.answer == expected, verdict.to_text(width=120)
    if verdict.answer.is_fault:
        found = verdict.counterexample
        assert found is not None
        assert found.moments or found.blocked
        assert found.pattern
        assert not pattern or found.pattern == pattern, verdict.to_text(width=120)
        assert found.sentence.endswith(".")
        assert found.switches <= 8
        assert verdict.answer is not Answer.NOT_ISOLATED or found.reached.facts not in [
            end.facts for end in found.sequential
        ]
        assert verdict.token is not None
        if found.needs_free_threading and len(found.tasks) == 2:  # half of them; a replay costs as much as a check
            return
        again = whilst.replay(verdict.token)
        assert again.answer is verdict.answer
        assert again.counterexample is not None
        assert again.counterexample.moments == found.moments
    else:
        assert verdict.counterexample is None
