"""Another Python on this machine: what it is, and how a program is run by it without what is installed here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from whilst.errors import WhilstError

OLDEST: Final = (3, 9)
_ASK: Final = (
    "import json, sys, sysconfig;"
    "print(json.dumps([sys.implementation.name, list(sys.version_info[:3]),"
    " bool(sysconfig.get_config_var('Py_GIL_DISABLED'))]))"
)
_ANSWER_S: Final = 60.0


class InterpreterError(WhilstError, ValueError):
    """What was named as an interpreter can't be run, or is none that whilst can use."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A CPython: the path to run it by, its version, and whether it is a build that can do without the GIL."""

    path: str
    version: tuple[int, int, int]
    is_free_threaded: bool

    @property
    def name(self) -> str:
        """As people write it: "3.14.7t"."""
        return ".".join(map(str, self.version)) + ("t" if self.is_free_threaded else "")


def this_interpreter() -> Interpreter:
    """The one that runs this program."""
    return Interpreter(sys.executable, sys.version_info[:3], "t" in getattr(sys, "abiflags", ""))


def find_interpreter(path: str | os.PathLike[str], oldest: tuple[int, int] = OLDEST) -> Interpreter:
    """Ask the interpreter at that path (or of that name on PATH) what it is; starts it once.

    Raises:
        InterpreterError: it can't be run, is no CPython, or is older than `oldest`.
    """
    given = os.fspath(path)
    found = shutil.which(given)
    if found is None:
        inner = next((each for each in ("bin/python", "Scripts/python.exe") if (Path(given) / each).exists()), "")
        why = "a folder" if Path(given).is_dir() else "not there, or nothing that can be run"
        hint = Path(given) / inner if inner else "/usr/bin/python3.14t"
        raise InterpreterError(f"{given} is {why}; name a Python interpreter, e.g. {hint}.")
    wanted = f"CPython {oldest[0]}.{oldest[1]} or newer"
    try:
        done = subprocess.run([found, "-I", "-c", _ASK], capture_output=True, text=True, timeout=_ANSWER_S, check=False)
        implementation, version, is_free_threaded = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError, TypeError) as error:
        raise InterpreterError(f"{given} does not answer as a {wanted} would; name another.") from error
    if implementation != "cpython" or tuple(version[:2]) < oldest:
        what = f"{implementation} {'.'.join(map(str, version))}"
        raise InterpreterError(f"{given} is {what}, and {wanted} is needed here; name another.")
    # Absolute, since it will be run in other folders; its links stay, since by them it knows its environment.
    return Interpreter(str(Path(found).absolute()), (version[0], version[1], version[2]), bool(is_free_threaded))


def environment_for(interpreter: Interpreter, folder: Path) -> Mapping[str, str]:
    """The environment to run it in: whilst can be imported, and nothing else of what is installed here.

    Args:
        folder: holds a link to whilst afterwards, and what the interpreter compiles, so that its first run is slow.
    """
    package = Path(__file__).parent.parent
    if not (folder / package.name).exists():
        (folder / package.name).symlink_to(package, target_is_directory=True)
    path = os.environ.get("PYTHONPATH", "")
    env = {**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{folder}" if path else str(folder)}
    env["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")  # no folder of the user's gets files for another version
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__"):
        env.pop(name, None)
    if not interpreter.is_free_threaded:
        env.pop("PYTHON_GIL", None)  # with 0, a build that always has a GIL does not even start
    return env


class Timed(Protocol):
    """Figures of one way of doing the same; `low_s` and `high_s` are the least and the most of its rounds."""

    @property
    def seconds(self) -> float | None: ...
    @property
    def low_s(self) -> float | None: ...
    @property
    def high_s(self) -> float | None: ...


def gain_of_moving(here: Timed | None, there: Timed | None) -> float | None:
    """How many times as fast it is there; None where one of the two was not measured."""
    return here.seconds / there.seconds if here and there and here.seconds and there.seconds else None


def does_moving_pay(here: Timed | None, there: Timed | None, least_gain: float) -> bool | None:
    """Is it faster by the least gain, in all rounds? None where it is, and the rounds differ by more than that."""
    gain = gain_of_moving(here, there)
    if gain is None or gain < least_gain or here is None or there is None:
        return False
    return True if (there.high_s or 0.0) < (here.low_s or 0.0) else None
