"""What the server of workers loads before it serves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from whilst.running.calls.bare import code_to_run


def test_what_lies_in_the_directory_that_it_is_started_in_is_not_loaded(tmp_path: Path) -> None:
    for name in ("selectors", "socket", "pickle"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('loaded from here')\n")
    code = code_to_run("whilst.running.worker.child.fork_server", "_load_multiprocessing")
    code += "\nimport sys; print(sys.path[0] == '', 'multiprocessing.process' in sys.modules)"
    told = subprocess.run([sys.executable, "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (told.stdout, told.stderr) == ("True True\n", "")
