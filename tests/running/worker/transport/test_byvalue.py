"""Classes, and functions that are more than plain, by value: cloudpickle's, and what it was taught here."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from _thread import allocate_lock as thread_lock
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


SCRIPT = """
import functools

class Model:
    @functools.cached_property
    def weight(self):
        return self.factor * 2

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, value):
        return self.weight * value

@functools.singledispatch
def name(value):
    "The name of what it is."
    return "object"

@name.register
def _(value: int):
    return "int"

@name.register
def _(value: list):
    return [name(each) for each in value]
"""


def script() -> dict[str, Any]:
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(SCRIPT, scope)
    return scope


def test_a_class_with_a_cached_property_goes_by_value() -> None:
    copy = pickle.loads(byvalue.dumps(script()["Model"](3), None))
    assert [copy(1), copy(2), vars(copy)] == [6, 12, {"factor": 3, "weight": 6}]


def test_a_function_of_singledispatch_goes_by_value_with_what_is_registered() -> None:
    original = script()["name"]
    assert original([1, "", [2]]) == ["int", "object", ["int"]]  # so that its cache holds something
    copy = pickle.loads(byvalue.dumps(original, None))
    assert copy([1, "", [2]]) == ["int", "object", ["int"]]
    assert (copy.__name__, copy.__doc__) == ("name", "The name of what it is.")
    copy.register(str, len)
    assert (copy("four"), original("four")) == (4, "object")


def test_a_class_that_stands_in_its_module_under_another_name_goes_by_that() -> None:
    own = type(thread_lock())  # `_thread.lock`, which is no name there
    given = pickle.loads(byvalue.dumps([own, lambda: own], None))
    assert given[0] is own
    assert given[1]() is own
