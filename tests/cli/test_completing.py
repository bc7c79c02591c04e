"""What a shell offers when Tab is pressed after `whilst run`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from whilst.cli.completing import functions_like

SOURCE = "import os\n\nraise SystemExit('nobody imports this')\n\ndef fetch(url): ...\nasync def follow(url): ...\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop.py").write_text(SOURCE + "def _own(): ...\nclass Parser: ...\n")
    (tmp_path / "bank.py").write_text("def deposits(): ...\n")
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "__init__.py").write_text("def begin(): ...\n")
    (tmp_path / "jobs" / "resize.py").write_text("def resize(path): ...\ndef broken(:\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("begun", "offered"),
    [
        ("", ["bank", "shop", "bank.py", "shop.py", "jobs/"]),
        ("sh", ["shop:fetch", "shop:follow", "shop:Parser"]),
        ("shop:", ["shop:fetch", "shop:follow", "shop:Parser"]),
        ("shop:fo", ["shop:follow"]),
        ("shop.py::fe", ["shop.py::fetch"]),
        ("jobs:be", ["jobs:begin"]),
        ("jobs/re", ["jobs/resize.py"]),
        ("jobs.resize:", []),
        ("nowhere:x", []),
    ],
)
def test_modules_files_and_functions_are_offered(begun: str, offered: list[str]) -> None:
    assert functions_like(begun) == offered


@pytest.mark.parametrize(
    ("words", "at", "offered"),
    [
        (["run", "shop", ":", "fo"], 4, ["follow"]),
        (["run", "shop", ":"], 3, ["fetch", "follow", "Parser"]),
        (["run", "sh"], 2, ["shop:fetch", "shop:follow", "shop:Parser"]),
        (["check", "bank.py", "::", "dep"], 4, ["deposits"]),
        (["compare", "ba"], 2, ["bank:deposits"]),
        (["pl"], 1, ["plan"]),
    ],
)
def test_bash_takes_a_colon_for_the_end_of_a_word(folder: Path, words: list[str], at: int, offered: list[str]) -> None:
    asked = {"_WHILST_COMPLETE": "bash_complete", "COMP_WORDS": "\n".join(["whilst", *words]), "COMP_CWORD": str(at)}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from whilst.cli import main; sys.exit(main())"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **asked},
    )
    assert [line.partition(",")[2] for line in done.stdout.splitlines()] == offered, done.stderr
