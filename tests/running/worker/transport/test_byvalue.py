"""Classes, and functions that are more than plain, by value: cloudpickle's, and what it was taught here."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import whilst
from whilst.running.worker.transport import byvalue

BOXES = """\
import warnings

class Box:
    def open(self):
        return [self.look(each) for each in (1,)]

    def look(self, each):
        warnings.warn("a box", stacklevel=1)
        return (lambda: each // 0)()
"""
SOURCE, PATHS = str(Path(whilst.__file__).parent.parent), os.environ.get("PYTHONPATH", "").split(os.pathsep)
THERE = "import pickle, sys; pickle.load(sys.stdin.buffer)().open()"


def test_tracebacks_and_warnings_of_a_class_show_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "boxes.py"
    file.write_text(BOXES)
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(BOXES, str(file), "exec"), scope)
    done = subprocess.run(
        [sys.executable, "-c", THERE],
        input=byvalue.dumps(scope["Box"], None),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([SOURCE, *PATHS])},
        timeout=60,
    )
    said = done.stderr.decode()
    for line in (5, 9):
        assert f'File "{file}", line {line}, in ' in said
    assert f"{file}:8: UserWarning: a box" in said
    assert "return (lambda: each // 0)()" in said
    assert "ZeroDivisionError" in said


def test_constants_that_a_decorator_put_into_code_are_kept_and_so_is_its_file() -> None:
    marked = object

    def fn() -> object:
        return 12345

    code = fn.__code__
    consts: Any = tuple(marked if each == 12345 else each for each in code.co_consts)
    fn.__code__ = code.replace(co_consts=consts)
    copy = pickle.loads(byvalue.dumps(fn, None, is_careful=True))
    assert copy() is marked
    assert copy.__code__.co_filename == __file__
