"""Small programs made of fragments that keep state, each run in a process of its own: with a loop, and in every mode.

A server, started once, has whilst loaded and forks a child for each run, so that one takes some hundredths of a second.
It reads a request a line (JSON) and answers in one. In `auto` the decision is made as if calls worked, or waited, for a
second each: then it does not hang on how busy the machine is.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import whilst

__all__ = ["Outcome", "Program", "Server"]

PATIENCE_S = 30.0
"""Whoever has not answered by then hangs."""
PREAMBLE = """
import time
def pause(x):
    time.sleep((0.006, 0.0, 0.003)[x % 3])
"""
SHAPES = {
    "function": "def call(x):\n    spend(x)\n    return [each(x) for each in CALLS]",
    "method": (
        "class Caller:\n    def run(self, x):\n        spend(x)\n        return [each(x) for each in CALLS]\n"
        "call = Caller().run"
    ),
    "partial": (
        "import functools\ndef inner(calls, x):\n    spend(x)\n    return [each(x) for each in calls]\n"
        "call = functools.partial(inner, CALLS)"
    ),
    "closure": (
        "def around(calls):\n    def inner(x):\n        spend(x)\n        return [each(x) for each in calls]\n"
        "    return inner\ncall = around(CALLS)"
    ),
}
WORKS = "def spend(x):\n    end = time.thread_time() + 0.003\n    while time.thread_time() < end: pass\n    pause(x)"
WAITS = "def spend(x):\n    time.sleep(0.003)\n    pause(x)"
BUSY = """
import threading
gate, lock = threading.Event(), threading.Lock()
threading.Thread(target=gate.wait, daemon=True).start()
lock.acquire()
"""
"""Keeps the program from being forked."""


class Program(NamedTuple):
    """What is run."""

    fragments: tuple[Any, ...]
    shape: str = "function"
    home: str = "main"
    """Where the fragments stand: "main" or a "module" of the user's own."""
    works: bool = False
    is_forked: bool = True
    count: int = 12

    def text(self) -> dict[str, str]:
        """Its files, by name."""
        parts = [PREAMBLE]
        calls = []
        for number, each in enumerate(self.fragments):
            parts.append(each.setup)
            if each.change:
                parts.append(f"def change_{number}():\n{textwrap.indent(each.change, '    ')}")
            parts.append(f"def call_{number}(x):\n{textwrap.indent(each.call, '    ')}\n    return out")
            parts.append(f"def left_{number}():\n    return {each.left}")
            calls.append(f"call_{number}")
        body = "\n".join(parts)
        changes = [f"change_{number}()" for number, each in enumerate(self.fragments) if each.change]
        tail = [WORKS if self.works else WAITS, f"CALLS = ({', '.join(calls)},)", SHAPES[self.shape]]
        tail.append("" if self.is_forked else BUSY)
        tail += changes
        if self.home == "main":
            return {"program.py": "\n".join([body, *tail])}
        return {"of_the_user.py": body, "program.py": "\n".join(["from of_the_user import *", PREAMBLE, *tail])}


class Outcome(NamedTuple):
    """What a run gave: for each fragment its results and what it left, as texts; or an error."""

    results: list[list[str]]
    left: list[str]
    error: str = ""
    said: str = ""
    """By the decision."""
    mode: str = ""
    has_error_of_ours: bool = False


class Server:
    """Use as a context manager."""

    def __enter__(self) -> Self:
        environment = {**os.environ, "PYTHONPATH": str(Path(whilst.__file__).parent.parent)}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, program: Program, mode: str) -> Outcome:
        """Run it in a mode, or with mode "loop" as a `for` loop."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = (program.text(), mode, program.works, program.count, len(program.fragments))
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return Outcome(**json.loads(self._process.stdout.readline()))


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    for line in sys.stdin:
        with tempfile.TemporaryDirectory() as folder:
            print(_run_in_child(folder, line), file=answers, flush=True)


def _run_in_child(folder: str, line: str) -> str:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            os.setsid()
            devnull = os.open(os.devnull, os.O_RDONLY)
            os.dup2(devnull, 0)
            os.close(devnull)
            answer = _run(folder, *json.loads(line))
            os.write(writing, json.dumps(answer._asdict()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    answer = b""
    while select.select([reading], [], [], PATIENCE_S)[0] and (part := os.read(reading, 1 << 16)):
        answer += part
    if not answer:
        os.killpg(pid, signal.SIGKILL)
    os.close(reading)
    os.waitpid(pid, 0)
    return answer.decode() or json.dumps(Outcome([], [], "it hangs, or has died")._asdict())


def _run(folder: str, texts: dict[str, str], mode: str, works: bool, count: int, fragments: int) -> Outcome:
    import types

    for name, text in texts.items():
        Path(folder, name).write_text(text)
    sys.path.insert(0, folder)
    os.chdir(folder)
    path = str(Path(folder, "program.py"))
    program: Any = types.ModuleType("__main__")
    program.__file__ = path
    sys.modules["__main__"] = program
    exec(compile(texts["program.py"], path, "exec"), vars(program))
    home: Any = sys.modules.get("of_the_user", program)
    said = chosen = error = ""
    is_ours = False
    results: Sequence[Any] = []
    try:
        if mode == "loop":
            results = [program.call(x) for x in range(count)]
        else:
            _decide_as_if(works)
            found = whilst.map(program.call, range(count), mode=mode, workers=3)  # type: ignore[call-overload]
            results, chosen = list(found), found.decision.mode.value
            said = " ".join(found.decision.given_up)
    except Exception as raised:
        error, is_ours = f"{type(raised).__name__}: {raised}", isinstance(raised, whilst.WhilstError)
        said = " ".join(getattr(raised, "__notes__", ()))
    columns = [[repr(each[number]) for each in results] for number in range(fragments)]
    left = [_repr(vars(home)[f"left_{number}"]) for number in range(fragments)]
    return Outcome(columns, left, error, said, chosen, is_ours)


def _repr(left: Any) -> str:
    try:
        return repr(left())
    except Exception as error:
        return repr(error)


def _decide_as_if(works: bool) -> None:
    from dataclasses import replace

    from whilst.running.policies import decide

    real = decide.decide

    def decided(profile: Any, machine: Any, given: Any) -> Any:
        work_s, wait_s = (1.0, 0.0) if works else (0.0, 1.0)
        profile = replace(profile, work_s=work_s, wait_s=wait_s, gil_s=work_s)
        return real(profile, replace(machine, cores=4), given._replace(cold=1.0))

    decide.decide = decided


if __name__ == "__main__":
    _serve()
