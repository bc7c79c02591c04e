"""Finds what a command line names: "module:function", "file.py:function", and items in a file."""

from __future__ import annotations

import builtins
import difflib
import importlib
import importlib.util
import json
import os
import stat
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

import click

from whilst.errors import WhilstError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_FEW: Final = 6


class FunctionName(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.4
    """MODULE:FUNCTION or FILE.py::FUNCTION, as it is written; a shell can complete it."""

    name = "function"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """See click."""
        from click.shell_completion import CompletionItem

        from whilst.cli.completing import functions_like

        return [CompletionItem(name) for name in functions_like(incomplete)]


class InputError(WhilstError, ValueError):
    """The command line names something that isn't there, or isn't what it should be."""


def load_object(name: str) -> object:
    """Import what "module:name" (or "path/to/file.py:name") says; the name may have dots, the colon may be two.

    The current directory comes first on the import path, as it does for `python -m`.

    Raises:
        InputError: no such module, file or name (with the nearest one), or the module can't be imported.
    """
    place, colon, path = name.partition(":")
    if not colon or not place or not path:
        example = name.strip(":") or "shop"
        raise InputError(
            f"{name!r} names no function; write MODULE:FUNCTION, e.g. {example}:fetch or {example}::fetch."
        )
    found: object = _load_module(place, path)
    path = path.removeprefix(":")  # as `whilst check` and pytest write it
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            own = _own(found)
            raise InputError(f"{place} has no {path!r}.{nearest(part, own) or _some(own)}") from None
    return found


def load_function(name: str) -> Callable[[object], object]:
    """As `load_object`, for something that can be called.

    Raises:
        InputError: it can't be.
    """
    found = load_object(name)
    if not callable(found):
        raise InputError(f"{name} can't be called, it is of type {type(found).__name__}; name a function.")
    return found


def load_exception(name: str) -> type[Exception]:
    """As `load_object`, for an exception class; a dot may stand for the colon, and Python's own need no module.

    Raises:
        InputError: it is none (with those of that name that there are in modules).
    """
    module, dot, last = name.rpartition(".")
    if ":" in name or dot:
        found = load_object(name if ":" in name else f"{module}:{last}")
    else:
        found = getattr(builtins, name, None)
    if isinstance(found, type) and issubclass(found, Exception):
        return found
    known = () if ":" in name or dot else _exceptions_called(name)
    if known:
        raise InputError(f"{name!r} is none of Python's own exceptions; write {' or '.join(known)}.")
    near = nearest(name, (each for each, kind in vars(builtins).items() if isinstance(kind, type)))
    raise InputError(f"{name!r} names no exception; write ConnectionError, or MODULE:EXCEPTION, e.g. shop:Busy.{near}")


_RAISING: Final = (
    "urllib.error", "http.client", "socket", "ssl", "sqlite3", "subprocess", "asyncio", "requests", "httpx", "aiohttp",
    "urllib3.exceptions", "botocore.exceptions", "redis.exceptions", "psycopg", "pymysql.err", "grpc",
)  # fmt: skip
"""Modules whose exceptions calls are often made again for."""


def _exceptions_called(name: str) -> list[str]:
    """Exception classes of this name, as "module.name", in modules that are loaded or that often raise."""
    for place in _RAISING:
        with suppress(Exception):  # not installed, or not to be loaded here: then it is not what was meant
            importlib.import_module(place)
    found = {}
    for module in list(sys.modules.values()):
        kind = getattr(module, "__dict__", {}).get(name)
        if isinstance(kind, type) and issubclass(kind, Exception):
            found[kind] = f"{kind.__module__}.{kind.__qualname__}"
    return sorted(set(found.values()))[:_FEW]


def read_items(path: Path, *, as_json: bool = False, may_be_none: bool = False) -> list[object]:
    """One item a line: the text of the line, or the value it holds where lines are JSON.

    Lines are JSON when asked for, or when the file is called *.jsonl or *.ndjson; never by their look, since a
    line 12 may well be meant as text. Empty lines at the end don't count; "-" is standard input. A file without
    items is an empty list where there `may_be_none`.

    Raises:
        InputError: no such file, not UTF-8, no items, or a line that is no JSON (with its number).
    """
    where = "standard input" if str(path) == "-" else str(path)
    try:
        raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        near = near_file(path) if isinstance(error, FileNotFoundError) else ""
        raise InputError(f"Can't read the items in {where}: {error.strerror or error}.{near}") from error
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(f"{where}, line {line}: this is not UTF-8; save the file as UTF-8 text.") from error
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    if not as_json and path.suffix not in (".jsonl", ".ndjson"):
        if lines != [""]:
            return list(lines)
        if not may_be_none:
            raise InputError(f"{where} holds no items; write one a line.")
        return []
    items = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            items.append(json.loads(line))
        except ValueError as error:
            raise InputError(f"{where}, line {number}: this is not JSON ({error}).") from error
    if not items and not may_be_none:
        raise InputError(f"{where} holds no items; write one JSON value a line.")
    return items


def put_here_first() -> None:
    """Have the current directory first on the import path, as it is for `python -m`."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def _load_module(place: str, name: str) -> ModuleType:
    put_here_first()
    try:
        return _load_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
            near = nearest(place, modules_here())
            if not near and Path(place).is_dir():
                near = f" {place!r} is a folder; name a file in it, as {place.rstrip('/')}/jobs.py:{name}."
            raise InputError(f"There is no module {place!r}.{near}") from None
        raise InputError(f"{place} can't be imported: {error}.") from error
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"{place} can't be imported: {type(error).__name__}: {error}.") from error


def _load_file(path: Path) -> ModuleType:
    """Import a file by its stem, from its own folder, so that a worker process can import it by that name too."""
    if not path.is_file():
        raise InputError(f"There is no file {str(path)!r}.{near_file(path, '*.py')}")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = importlib.import_module(path.stem)
    if Path(str(module.__file__)).resolve() != path.resolve():
        raise InputError(f"{path} can't be imported: another module called {path.stem!r} comes before it.")
    return module


def modules_here() -> list[str]:
    """What can be imported from the current directory."""
    return [path.stem for path in Path.cwd().glob("*.py")]


def near_file(path: Path, pattern: str = "*") -> str:
    """The file beside it that may have been meant."""
    return nearest(str(path), map(str, path.parent.glob(pattern)))


def require_file(name: str, noun: str, pattern: str = "*", else_hint: str = "") -> None:
    """What a command reads is there; what looks like an option may be one that is misspelt.

    Args:
        else_hint: said where no other file is spelt like it.
    Raises:
        InputError: it isn't (with the file, or the option, that is spelt most like it).
    """
    path = Path(name)
    if path.exists():
        return
    context = click.get_current_context(silent=True)
    if name.startswith("-") and context is not None:
        options = [option for each in context.command.params for option in each.opts if option.startswith("--")]
        raise InputError(f"There is no option {name!r}.{nearest(name, options)}")
    raise InputError(f"There is no {noun} {name!r}.{near_file(path, pattern) or else_hint}")


def _own(owner: object) -> list[str]:
    """What it has that can be called, what was imported into it excepted (unless there is nothing else)."""
    names = [name for name in dir(owner) if not name.startswith("_") and callable(getattr(owner, name, None))]
    home = getattr(owner, "__name__", None)
    return [name for name in names if getattr(getattr(owner, name, None), "__module__", None) == home] or names


def _some(own: list[str]) -> str:
    more = f" and {len(own) - _FEW} more" if len(own) > _FEW else ""
    return f" It has {', '.join(own[:_FEW])}{more}." if own else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """A question whether the name that is spelt most like it was meant; "" where none is."""
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


def require_writable(path: Path | None) -> None:
    """Find out before any work whether this file can be written; what it holds is left as it is.

    Raises:
        InputError: it can't be.
    """
    if path is None or (path.exists() and not path.is_file()):  # a pipe, say, is opened once
        return
    is_new = not path.exists()
    try:
        path.open("ab").close()
        if is_new:
            path.unlink()
    except OSError as error:
        raise InputError(f"Can't write {path}: {error.strerror or error}.") from error


def require_different(files: dict[str, Path | None], written: int) -> None:
    """No file that is written is another one of these: what that holds would be gone. "-" is no file.

    Args:
        files: by the option that names each; the last so many are `written`, and so may be those before them.
    Raises:
        InputError: two options name the same file.
    """
    places = {option: _place(path) for option, path in files.items() if path is not None and str(path) != "-"}
    for option, other in combinations(places, 2):
        if other in list(files)[-written:] and places[option] is not None and places[option] == places[other]:
            raise InputError(
                f"{option} {files[option]} and {other} {files[other]} are the same file; name another one for {other}."
            )


def _place(path: Path) -> object:
    """The same for two names of one file; None for what may be used twice, as /dev/null."""
    try:
        found = path.stat()
    except OSError:  # not there yet
        return os.path.realpath(path)
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None
