"""Runs copies of the script in a scratch folder, and compares what they did. Nothing of the user's is changed here.

Every run has a fresh copy of the folder at the same place, so that what a script says of its own whereabouts is the
same each time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from whilst import errors
from whilst.measuring.interpreters import Interpreter, environment_for
from whilst.seeing.advising.edits import AdviseError

_LEFT_OUT: Final = frozenset(
    {".git", ".hg", ".venv", "venv", "node_modules", "__pycache__", ".mypy_cache", ".tox", ".idea"}
)
_MOST_FILES: Final = 20_000
_MOST_BYTES: Final = 1 << 29
_MOST_OUTPUT: Final = 1 << 26
_LINE_NUMBERS: Final = re.compile(rb"(\.py:|, line )\d+")
"""In warnings and tracebacks: a changed script has its lines elsewhere."""
_GIL_IS_ON: Final = re.compile(rb"^.*GIL\) has been enabled to load module '([^']+)'.*\n?", re.MULTILINE)
"""What a build without the GIL warns of, once, where an extension turns it on: no doing of the script."""
_GRACE_S: Final = 5.0
_START: Final = "from whilst.seeing.advising.agent import main; main()"


@dataclass(frozen=True)
class Outcome:
    """What one run did: `files` are those that it made or changed, with a digest of what they hold."""

    seconds: float
    exit_code: int
    stdout: bytes
    stderr: bytes
    files: Mapping[str, str] = field(default_factory=dict)
    has_timed_out: bool = False
    culprits: tuple[str, ...] = ()
    """The extensions that turned the GIL on."""

    @property
    def last_words(self) -> str:
        lines = self.stderr.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def difference(self, other: Outcome) -> str:
        """In which way another run did not do the same; "" if it did."""
        if self.exit_code != other.exit_code:
            why = f" ({other.last_words})" if other.last_words else ""
            return f"exit code {other.exit_code} in place of {self.exit_code}{why}"
        if self.stdout != other.stdout:
            return _first_difference(self.stdout, other.stdout, "the output")
        mine, its = (_LINE_NUMBERS.sub(rb"\1", each.stderr) for each in (self, other))
        if mine != its:
            return _first_difference(mine, its, "stderr")
        for name in sorted({*self.files, *other.files}):
            if self.files.get(name) != other.files.get(name):
                return f"the file {name} is not the same"
        return ""


def _first_difference(one: bytes, other: bytes, where: str) -> str:
    mine, its = one.decode(errors="replace").splitlines(), other.decode(errors="replace").splitlines()
    for number, (a, b) in enumerate(zip(mine, its, strict=False), 1):
        if a != b:
            return f"line {number} of {where} is {b[:60]!r} in place of {a[:60]!r}"
    return f"{where} has {len(its):,} lines in place of {len(mine):,}"


class Workshop:
    """A scratch folder for copies of the script's folder; a context manager, after which nothing is left.

    Args:
        script: the user's script; `arguments` and `stdin` are given to every run.
        timeout_s: seconds that one run may take.
    Raises:
        AdviseError: there is no such script, or its folder is too large to copy.
    """

    def __init__(
        self, script: str, arguments: Sequence[str], *, stdin: bytes = b"", timeout_s: float, allows_effects: bool
    ) -> None:
        path = Path(script)
        if not path.exists():
            raise AdviseError(f"There is no script {script!r}.")
        if not path.is_file():
            raise AdviseError(f"{script!r} is no file; name a script.")
        self.script = path.resolve()
        self.arguments = list(arguments)
        self._stdin = stdin
        self.timeout_s = timeout_s
        self.allows_effects = allows_effects
        here = Path.cwd().resolve()
        wide = here if here in self.script.parents and _is_small(here) else self.script.parent
        if not _is_small(wide):
            raise AdviseError(
                f"The folder {wide} is too large to be copied for trying the script "
                f"(more than {_MOST_FILES:,} files or {_MOST_BYTES >> 20} MB); move the script to a folder of its own."
            )
        self.original = wide
        self._scratch = ""
        self._cwd = here
        self._takes_signal = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(
                signal.SIGTERM, _leave
            )  # by default nobody would end the run, or take the scratch folder away
            self._takes_signal = True
        self._scratch = tempfile.mkdtemp(prefix="whilst-advise-")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._takes_signal:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _remove(Path(self._scratch))

    @property
    def copy(self) -> Path:
        return Path(self._scratch) / self.original.name if self.original.name else Path(self._scratch) / "copy"

    @property
    def _copied_script(self) -> Path:
        return self.copy / self.script.relative_to(self.original)

    def run(self, text: str | None = None, interpreter: Interpreter | None = None) -> Outcome:
        """Run the script, with that text in place of its own, as the user would; or under another interpreter."""
        self._make_copy(text)
        before = _state(self.copy)
        script = self._copied_script
        path = sys.executable if interpreter is None else interpreter.path
        seconds, child, out, err, timed_out = self._start([path, str(script), *self.arguments], interpreter)
        culprits = tuple(dict.fromkeys(each.decode() for each in _GIL_IS_ON.findall(err)))
        err = _GIL_IS_ON.sub(b"", err)
        after = _state(self.copy)
        changed = {name: _digest(self.copy / name) for name in after if after[name] != before.get(name)}
        changed.update({name: "(removed)" for name in before if name not in after})
        return Outcome(seconds, child, out, err, changed, timed_out, culprits)

    def look(self, text: str) -> tuple[Outcome, dict[str, Any]]:
        """Run that text with the agent around it; return what it did and the agent's report ({} for none)."""
        self._make_copy(text)
        report = Path(self._scratch) / "report.json"
        report.unlink(missing_ok=True)
        allows = "1" if self.allows_effects else "0"
        command = [
            sys.executable, "-c", _START, str(report), str(self.copy), str(self.original), allows,
            str(self._copied_script), *self.arguments,
        ]  # fmt: skip
        before = _state(self.copy)
        seconds, code, out, err, timed_out = self._start(command)
        after = _state(self.copy)
        changed = {name: _digest(self.copy / name) for name in after if after[name] != before.get(name)}
        changed.update({name: "(removed)" for name in before if name not in after})
        try:
            # What is said of places is said of the user's own files.
            found = json.loads(report.read_text(encoding="utf-8").replace(f"{self.copy}{os.sep}", ""))
        except (OSError, ValueError):
            found = {}
        return Outcome(seconds, code, out, err, changed, timed_out), found

    def trace(self) -> dict[str, Any]:
        """What `whilst trace` says of the script as it is; {} if it says nothing."""
        self._make_copy(None)
        report = Path(self._scratch) / "trace.json"
        self._start(
            [sys.executable, "-m", "whilst", "trace", "--json", str(report), str(self._copied_script), *self.arguments]
        )
        try:
            return dict(json.loads(report.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    def _make_copy(self, text: str | None) -> None:
        _remove(self.copy)
        shutil.copytree(
            self.original, self.copy, symlinks=True, ignore=lambda _, names: _LEFT_OUT.intersection(names),
            ignore_dangling_symlinks=True, copy_function=_copy,
        )  # fmt: skip
        for folder, _, names in os.walk(self.copy):
            for each in (Path(folder), *(Path(folder) / name for name in names)):
                if not each.is_symlink():
                    each.chmod(each.stat().st_mode | stat.S_IWUSR | stat.S_IRUSR)
        if text is not None:
            self._copied_script.unlink()
            self._copied_script.write_bytes(text.encode())

    def _start(
        self, command: list[str], interpreter: Interpreter | None = None
    ) -> tuple[float, int, bytes, bytes, bool]:
        within = self._cwd == self.original or self.original in self._cwd.parents
        cwd = self.copy / self._cwd.relative_to(self.original) if within else self._cwd
        root = str(Path(errors.__file__).parent.parent)
        path = os.environ.get("PYTHONPATH", "")
        env = {**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{root}" if path else root}
        if interpreter is not None:
            lent = Path(self._scratch) / "lent"
            lent.mkdir(exist_ok=True)
            env = dict(environment_for(interpreter, lent))
        else:
            env["PYTHONDONTWRITEBYTECODE"] = "1"
        env["PYTHONHASHSEED"] = os.environ.get("PYTHONHASHSEED", "0")
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as given:
            given.write(self._stdin)
            given.seek(0)
            start = time.perf_counter()
            child = subprocess.Popen(
                command, cwd=cwd, env=env, stdin=given, stdout=out, stderr=err, start_new_session=True
            )
            timed_out = False
            try:
                child.wait(self.timeout_s)
            except subprocess.TimeoutExpired:
                timed_out = True
            finally:
                seconds = time.perf_counter() - start
                _end(child)
            return seconds, child.returncode, _read(out), _read(err), timed_out


def _leave(number: int, frame: object) -> None:
    """End as the signal would have ended it, but in order."""
    del frame
    raise SystemExit(128 + number)


def _read(file: Any) -> bytes:
    file.seek(0)
    return file.read(_MOST_OUTPUT)  # type: ignore[no-any-return]


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the run and all that it started: they are a session of their own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is None:
            try:
                os.killpg(child.pid, number)
                child.wait(_GRACE_S)
            except (ProcessLookupError, PermissionError, subprocess.TimeoutExpired):
                continue
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _copy(source: str, target: str) -> str:
    """Copy a file; what is no plain file (a socket, a pipe) stays away."""
    if stat.S_ISREG(Path(source).lstat().st_mode):
        shutil.copy2(source, target)
    return target


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    todo = [str(folder)]
    while todo:
        try:
            with os.scandir(todo.pop()) as found:
                for entry in found:
                    if entry.name in _LEFT_OUT:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    else:
                        yield entry
        except OSError:
            continue


def _is_small(folder: Path) -> bool:
    count = size = 0
    for entry in _entries(folder):
        count += 1
        try:
            size += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
        if count > _MOST_FILES or size > _MOST_BYTES:
            return False
    return True


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for entry in _entries(folder):
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        found[os.path.relpath(entry.path, folder)] = (status.st_mtime_ns, status.st_size)
    return found


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return str(error.strerror)


def _remove(path: Path) -> None:
    if not path.exists():
        return
    try:
        shutil.rmtree(path)
    except PermissionError:  # the script took away its own right to change a folder
        path.chmod(stat.S_IRWXU)
        for folder, inner, _ in os.walk(path):
            for each in (Path(folder) / name for name in inner):
                if not each.is_symlink():
                    each.chmod(stat.S_IRWXU)  # before it is walked into
        shutil.rmtree(path, ignore_errors=True)
