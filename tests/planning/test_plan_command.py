"""`whilst plan`, as typed."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest

import whilst  # noqa: F401 (installs the renderers)
from whilst.cli import main
from whilst.model import timeline_from_json

STORY = str(Path(__file__).parents[2] / "examples" / "story.toml")


def test_four_modes_side_by_side_with_their_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", STORY]) == 0
    out = capsys.readouterr().out
    for mode, hours in {"sequential": 13, "concurrent": 9, "parallel": 10, "combined": 8}.items():
        assert any(line.split()[:3] == [mode, str(hours), str(hours)] for line in out.splitlines())
        assert f"makespan {hours} h" in out


def test_one_mode_as_json_holds_the_plan_and_its_timeline(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", STORY, "--mode", "combined", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert (plain["makespan_s"], plain["is_optimal"], plain["gap"]) == (28800, True, 0)
    assert timeline_from_json(json.dumps(plain["timeline"])).makespan_s == 28800


def test_a_forecast_tells_where_more_executors_stop_paying(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", STORY, "--forecast", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["enough"] == {"parallel": 2, "combined": 2}
    assert (plain["work_s"], plain["span_s"], len(plain["rows"])) == (9 * 3600, 8 * 3600, 128)
    assert main(["plan", STORY, "--forecast"]) == 0
    assert "Work 9 h, span 8 h" in capsys.readouterr().out


def test_files_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, trace = tmp_path / "plan.html", tmp_path / "plan.json"
    assert main(["plan", STORY, "--html", str(page), "--perfetto", str(trace)]) == 0
    assert page.stat().st_size > 0
    assert json.loads(trace.read_text())
    assert capsys.readouterr().err.count("wrote ") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.toml"], "There is no file 'none.toml'."),
        ([STORY, "--mode", "quick"], "Invalid value for '--mode'"),
        ([STORY, "--executor", "asistant"], "Did you mean 'assistant'?"),
        ([STORY, "--mode", "combined", "--executor", "you"], "all executors work"),
        ([STORY, "--executors", "0"], "Invalid value for '--executors'"),
        ([STORY, "--optimal", "0"], "Invalid value for '--optimal'"),
        ([STORY, "--forecast", "--mode", "combined"], "leave --mode out"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_missing_solver_is_bad_input_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    monkeypatch.setitem(sys.modules, "ortools.sat.python.cp_model", None)
    monkeypatch.setattr("whilst.planning.solving.is_gil_off", lambda: False)  # the modules of another process
    source = random.Random(4)
    lines = ["executors = ['a', 'b', 'c', 'd', 'e', 'f']"]
    for job in range(6):
        for stage, who in enumerate(source.sample("abcdef", 6)):
            after = f"after = ['{job}-{stage - 1}']" if stage else ""
            lines.append(
                f"[tasks.{job}-{stage}]\nby = ['{who}']\n{after}\nsteps = [{{ work = {source.randint(1, 99)} }}]"
            )
    day = tmp_path / "day.toml"
    day.write_text("\n".join(lines))
    assert main(["plan", str(day), "--mode", "parallel"]) == 0
    assert "not proved" in capsys.readouterr().out
    assert main(["plan", str(day), "--mode", "parallel", "--optimal", "5"]) == 2
    assert "pip install 'whilst[optimal]'" in capsys.readouterr().err
