"""Help fits the terminal; what is nearly right is answered with what was meant."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from whilst.cli import main
from whilst.cli.entry import COMMANDS


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_no_wider_than_the_terminal(
    columns: int, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main([*command.split(), "--help"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= columns


def test_an_example_that_is_folded_is_still_one_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for columns in ("40", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        main(["check", "--help"])
        examples = capsys.readouterr().out.partition("Examples:\n")[2].partition("\n\n")[0]
        told.append([shlex.split(each) for each in examples.replace("\\\n", " ").splitlines()])
    assert told[0] == told[1]
    assert told[0][1][3:5] == ["--budget", "10 min"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("plan stroy.toml", "story.toml"),
        ("compare stroy.toml", "story.toml"),
        ("show srory.toml", "story.toml"),
        ("trace scrip.py", "script.py"),
        ("trace --htlm x script.py", "--html"),
        ("advise scrip.py", "script.py"),
        ("advise --aply script.py", "--apply"),
        ("check scrip.py::deposits", "script.py"),
        ("run scrip.py::deposits --items story.toml", "script.py"),
        ("plan story.toml --mode paralel", "parallel"),
        ("run script:deposits --items story.toml --mode concurent", "concurrent"),
    ],
)
def test_a_name_that_is_misspelt_is_answered_with_the_nearest(
    given: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "story.toml").touch()
    (tmp_path / "script.py").touch()
    assert main(given.split()) == 2
    assert f"Did you mean {meant!r}?" in capsys.readouterr().err
