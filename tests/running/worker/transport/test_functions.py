"""Plain functions by value: what is written down here is what a bare process needs, and the rest is cloudpickle's."""

from __future__ import annotations

import functools
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import whilst
from whilst.running.worker.transport import functions
from whilst.running.worker.transport.functions import NotPlainError

SOURCE = str(Path(whilst.__file__).parent.parent)
FACTOR = 3


def there_and_back(fn: Callable[..., Any]) -> Callable[..., Any]:
    made: Callable[..., Any] = pickle.loads(functions.dumps(fn))
    return made


def make(step: int) -> Callable[[int], int]:
    def add(x: int, *, more: int = 0) -> int:
        """Add."""
        return twice(x) + step + more

    def twice(x: int) -> int:
        return 2 * x

    add.note = "mine"  # type: ignore[attr-defined]
    return add


def test_a_closure_is_the_same_function_again() -> None:
    fn, copy = make(5), there_and_back(make(5))
    assert copy is not fn
    assert copy(2, more=1) == fn(2, more=1) == 10
    for name in ("__name__", "__qualname__", "__doc__", "__module__", "__kwdefaults__", "__annotations__", "__dict__"):
        assert getattr(copy, name) == getattr(fn, name), name


def test_a_lambda_takes_the_globals_along_that_it_names() -> None:
    copy = there_and_back(lambda x: os.fspath(str(x * FACTOR) + "end"))
    assert copy(2) == "6end"
    assert "SOURCE" not in copy.__globals__


def test_what_can_be_imported_goes_by_its_name() -> None:
    assert there_and_back(make) is make
    assert there_and_back(functools.partial(make, 2)).func is make  # type: ignore[attr-defined]


def test_functions_of_one_pickle_share_their_globals() -> None:
    scope: dict[str, Any] = {"__name__": "nowhere"}
    exec(
        "count = 0\ndef tick():\n    global count\n    count += 1\n    return tock()\ndef tock():\n    return count\n",
        scope,
    )
    tick = there_and_back(scope["tick"])
    assert [tick(), tick()] == [1, 2]
    assert scope["count"] == 0


def test_a_function_may_name_itself() -> None:
    scope: dict[str, Any] = {"__name__": "nowhere"}
    exec("def fact(n):\n    return n * fact(n - 1) if n else 1\n", scope)
    assert there_and_back(scope["fact"])(5) == 120


def test_what_is_more_than_plain_is_left_to_others() -> None:
    def early() -> int:
        return late

    with pytest.raises(NotPlainError):
        functions.dumps(early)
    late = 1
    assert there_and_back(early)() == 1


def test_a_script_whose_program_has_threads_needs_no_cloudpickle_for_its_functions(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import collections.abc, functools, math, sys, threading, whilst
            gate = threading.Event()
            threading.Thread(target=gate.wait).start()
            busy = threading.Lock()
            busy.acquire()                                  # so workers come from a bare server
            SCALE = 10
            def scaled(x):
                return helper(x) + math.floor(0.5) + len(collections.abc.__name__)
            def helper(x):
                return x * SCALE if x < 3 else helper(2)
            def wrap(fn):
                @functools.wraps(fn)
                def wrapper(*args):
                    return fn(*args)
                return wrapper
            @wrap
            def wrapped(x):
                return (__name__, wrapped.__module__, wrapped.__wrapped__.__qualname__, x)
            for fn in (scaled, wrapped, lambda x: x + SCALE):
                assert list(map(fn, range(6))) == whilst.map(fn, range(6), mode="parallel", workers=2), fn
            print("cloudpickle" in sys.modules)
            class Box:
                def __call__(self, x):
                    return Box, x
            found = whilst.map(Box(), range(2), mode="parallel", workers=2)
            print(found == [(Box, 0), (Box, 1)], "cloudpickle" in sys.modules)
            gate.set()
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": SOURCE},
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "False\nTrue True\n"
