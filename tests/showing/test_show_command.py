"""`whilst show`, as it is called."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from whilst.cli import main
from whilst.errors import WhilstError
from whilst.model import Timeline, timeline_from_json, timeline_to_json
from whilst.showing.renderers import FORMATS

TILL = """
def careful(till):
    till.append(1)

def careless(till):
    till[0] += 1

racing = (lambda: [0], [careless, careless])
careful_both = (list, [careful, careful])

def total(item):
    return int(item)
"""


def saved(timeline: Timeline, path: Path) -> str:
    path.write_text(timeline_to_json(timeline), encoding="utf-8")
    return str(path)


def test_it_draws_and_writes_what_is_asked(
    concurrent: Timeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, trace = tmp_path / "out.html", tmp_path / "trace.json"
    source = saved(concurrent, tmp_path / "t.json")
    assert main(["show", source, "--html", str(page), "--perfetto", str(trace)]) == 0
    assert "makespan 9 h" in capsys.readouterr().out
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]


def test_a_format_is_one_entry_and_the_commands_offer_it(
    concurrent: Timeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMATS, "again", FORMATS["html"])
    monkeypatch.delitem(sys.modules, "whilst.cli.options")
    monkeypatch.delitem(sys.modules, "whilst.cli.show")
    page = tmp_path / "out.txt"
    assert main(["show", saved(concurrent, tmp_path / "t.json"), "--again", str(page)]) == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(WhilstError, match=r"'none' is no format to write; pass one of 'html', .*'again'"):
        concurrent.to_file(page, "none")


def test_json_gives_the_timeline_back(concurrent: Timeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", saved(concurrent, tmp_path / "t.json"), "--json"]) == 0
    assert timeline_from_json(capsys.readouterr().out) == concurrent


def test_what_plan_wrote_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day, written = str(Path(__file__).parents[2] / "examples" / "story.toml"), tmp_path / "plan.json"
    for arguments, count in ((["--mode", "combined"], 1), ([], 4)):
        assert main(["plan", day, *arguments, "--json"]) == 0
        written.write_text(capsys.readouterr().out, encoding="utf-8")
        assert main(["show", str(written)]) == 0
        assert capsys.readouterr().out.count("makespan") == count


def test_what_check_and_compare_wrote_is_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "whilst_test_till.py").write_text(TILL)
    (tmp_path / "items.txt").write_text("1\n2\n")
    till = str(tmp_path / "whilst_test_till.py")
    options = ["--items", str(tmp_path / "items.txt"), "--modes", "sequential,concurrent"]
    written = tmp_path / "written.json"
    for command, code, said in (
        (["check", f"{till}::racing"], 1, "careless 1 reads state[0]"),
        (["check", f"{till}::careful_both"], 0, "isolated: careful 1, careful 2: there is no interleaving to draw."),
        (["compare", f"{till}::total", *options], 0, "concurrent, 2 threads"),
    ):
        assert main([*command, "--json"]) == code
        written.write_text(capsys.readouterr().out, encoding="utf-8")
        assert main(["show", str(written)]) == 0
        assert said in capsys.readouterr().out


def test_several_files_are_drawn_on_one_axis(
    concurrent: Timeline, sequential: Timeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [saved(concurrent, tmp_path / "a.json"), saved(sequential, tmp_path / "b.json")]
    assert main(["show", *files]) == 0
    out = capsys.readouterr().out
    assert "concurrent  planned" in out
    assert "sequential  planned" in out
    assert main(["show", *files, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["timelines"]) == 2


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("not json", "not JSON"), ('{"format": "other"}', "'format' is 'other'"), ("[]", "no timeline")],
)
def test_a_file_that_is_no_timeline_is_one_line_and_code_two(
    content: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content, encoding="utf-8")
    assert main(["show", str(path)]) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert "bad.json" in error
    assert error.count("\n") == 1


def test_a_missing_file_is_one_line_and_code_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(tmp_path / "none.json")]) == 2
    assert capsys.readouterr().err == f"whilst: There is no file '{tmp_path / 'none.json'}'.\n"
