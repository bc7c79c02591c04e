"""A token: one interleaving as a short text, which refuses to be run on other code.

    w1.<digest of the code>.<version of Python>.<choices>.<where setup and tasks are found, which places count>

Choices are run lengths ("0 three times, 1 twice") packed as bytes, and count the events at the engine's points.
"w1p." in front says that setup and tasks have no names to be found by. The digest is over the syntax trees of the
functions that the interleaving went through, so that a comment, a blank line or an edit elsewhere in the file does
not matter and any change to what ran does. Choices count events, and those can differ between versions of Python:
the version is part of the token.
"""

from __future__ import annotations

import ast
import base64
import functools
import hashlib
import importlib
import importlib.machinery
import importlib.util
import linecache
import sys
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

from whilst.errors import ReplayError
from whilst.inspecting.objects import module_of
from whilst.inspecting.ownership import is_foreign, is_own_code

_PREFIX: Final = "w1"
_PREFIX_PARTIAL: Final = "w1p"  # setup and tasks have to be passed to a replay


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says. `where` refers to setup, outcome, invariant, always, each task; empty if one has no name."""

    digest: str
    choices: tuple[int, ...]
    site_keys: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    python: str = f"{sys.version_info.major}{sys.version_info.minor}"

    def __str__(self) -> str:
        names = "\0".join(("\n".join(self.where), "\n".join(_grouped(self.site_keys))))
        prefix = _PREFIX if self.where else _PREFIX_PARTIAL
        return ".".join((prefix, self.digest, self.python, _pack(_to_bytes(self.choices)), _pack(names.encode())))

    @classmethod
    def parse(cls, text: str) -> Token:
        """Read a token.

        Raises:
            ReplayError: it is none, it was cut off, or it was made by another version of Python.
        """
        text = "".join(text.split())  # a terminal may have wrapped it
        parts = text.split(".")
        if len(parts) != 5 or parts[0] not in (_PREFIX, _PREFIX_PARTIAL):
            raise ReplayError(f"{_brief(text)} is no replay token: one begins with '{_PREFIX}.' and has five parts")
        _, digest, python, choices, names = parts
        try:
            where, separator, site_keys = _unpack(names).decode().partition("\0")
            if not separator:
                raise ValueError("no names")
            found = cls(digest, _from_bytes(_unpack(choices)), tuple(_ungrouped(site_keys)), _lines(where), python)
        except (ValueError, zlib.error) as error:
            raise ReplayError(f"the replay token {_brief(text)} is damaged: was it copied whole?") from error
        here = f"{sys.version_info.major}{sys.version_info.minor}"
        if python != here:
            raise ReplayError(
                f"the replay token was made by Python {python[:1]}.{python[1:]}, this is {here[:1]}.{here[1:]}: "
                f"the interleaving is counted in steps that differ between them; check again here"
            )
        return found


def is_partial(token: str) -> bool:
    """Whether setup and tasks have to be passed with it."""
    return token.startswith(f"{_PREFIX_PARTIAL}.")


def _lines(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n")) if text else ()


def _grouped(site_keys: Iterable[str]) -> list[str]:
    """ "m:f:10", "m:f:24" -> "m:f:10,24"."""
    grouped: dict[str, list[str]] = {}
    for key in sorted(site_keys):
        function, _, offset = key.rpartition(":")
        grouped.setdefault(function, []).append(offset)
    return [f"{function}:{','.join(offsets)}" for function, offsets in grouped.items()]


def _ungrouped(text: str) -> list[str]:
    split = [line.rpartition(":") for line in _lines(text)]
    return sorted(f"{function}:{offset}" for function, _, offsets in split for offset in offsets.split(","))


def _brief(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "…")


def _pack(data: bytes) -> str:
    squeezed = zlib.compress(data, 9)
    body = b"z" + squeezed if len(squeezed) < len(data) else b"p" + data
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def _unpack(text: str) -> bytes:
    body = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    return zlib.decompress(body[1:]) if body[:1] == b"z" else body[1:]


def _to_bytes(choices: Sequence[int]) -> bytes:
    data = bytearray()
    for task, group in groupby(choices):
        for number in (task, len(list(group))):
            while number > 127:
                data.append(number & 127 | 128)
                number >>= 7
            data.append(number)
    return bytes(data)


def _from_bytes(data: bytes) -> tuple[int, ...]:
    numbers: list[int] = []
    number = shift = 0
    for byte in data:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(number)
            number = shift = 0
    if shift or len(numbers) % 2 or sum(numbers[1::2]) > 10_000_000:
        raise ValueError("odd choices")
    return tuple(task for task, length in zip(numbers[::2], numbers[1::2], strict=True) for _ in range(length))


# ------------------------------------------------------------------------------------------------ the code's digest
def digest_of(functions: Iterable[Callable[..., object]], places: Iterable[tuple[str, str]]) -> str:
    """A short digest of the code of these functions and of the (file, function) places; the standard library's
    functions are left out, since the version of Python stands for them."""
    wanted = {(file, function) for file, function in places if not is_foreign(file)}
    rest = hashlib.blake2b(digest_size=6)
    for function in functions:
        code = _code_of(function)
        if code is not None:
            wanted.add((code.co_filename, code.co_qualname))
    named = sorted((Path(file).name, name, file) for file, name in wanted)
    for base, name, file in named:
        rest.update(f"{base}\n{name}\n{_syntax(file, name)}\n".encode())
    return base64.urlsafe_b64encode(rest.digest()).decode()


def _code_of(function: object) -> CodeType | None:
    while isinstance(function, partial):
        function = function.func
    function = getattr(function, "__func__", function)
    if isinstance(function, type):
        function = vars(function).get("__init__")
    code = getattr(function, "__code__", None)
    return code if isinstance(code, CodeType) else None


def _syntax(file: str, function: str) -> str:
    linecache.checkcache(file)
    found = _functions(file, "".join(linecache.getlines(file))).get(function.replace("<locals>.", ""))
    return found if found is not None else "unknown"


@functools.lru_cache(maxsize=64)
def _functions(file: str, text: str) -> dict[str, str]:
    """Every function's syntax tree as text, by its qualified name without the "<locals>"."""
    found: dict[str, str] = {}

    def walk(node: ast.AST, path: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                name = f"{path}.{child.name}" if path else child.name
                if not isinstance(child, ast.ClassDef):
                    found[name] = found.get(name, "") + ast.dump(child)
                walk(child, name)
            elif isinstance(child, ast.Lambda):
                name = f"{path}.<lambda>" if path else "<lambda>"
                found[name] = found.get(name, "") + ast.dump(child)
                walk(child, name)
            else:
                walk(child, path)

    try:
        walk(ast.parse(text, file), "")
    except (SyntaxError, ValueError):
        return {}
    return found


# -------------------------------------------------------------------------------------------- where things are found
_NOTHING: Final = "-"


def reference_to(function: object) -> str:
    """ "module:qualname" ("path.py:qualname" for a script) if that finds it again, "" if nothing does, "-" for None.

    A partial with plain arguments is its function's reference, a tab, and the arguments.
    """
    if function is None:
        return _NOTHING
    if isinstance(function, partial):
        inner, given = reference_to(function.func), (function.args, function.keywords)
        try:
            is_plain = ast.literal_eval(repr(given)) == given
        except (ValueError, SyntaxError, TypeError):
            is_plain = False
        return f"{inner}\t{given!r}" if inner and is_plain else ""
    module, name = module_of(function), getattr(function, "__qualname__", None)
    held = sys.modules.get(module) if isinstance(module, str) else None
    if held is None or not isinstance(module, str) or not isinstance(name, str) or _dig(held, name) is not function:
        return ""
    if module == "__main__" or _is_nowhere(module, tuple(sys.path)):
        file = getattr(held, "__file__", None)
        return f"{_resolved(Path(file).absolute())}:{name}" if file else ""
    return f"{module}:{name}"


@functools.lru_cache(maxsize=64)
def _resolved(file: Path) -> Path:
    return file.resolve()


@functools.lru_cache(maxsize=64)
def _is_nowhere(module: str, _path: tuple[str, ...]) -> bool:
    """Whether a process started elsewhere could not import this module by its name: only what is installed is found
    by every process. A file within a package is imported by its name all the same, since it may import its siblings."""
    try:
        spec = importlib.machinery.PathFinder.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return True
    return spec is None or ("." not in module and spec.origin is not None and is_own_code(spec.origin))


def _dig(module: ModuleType, name: str) -> object:
    held: object = module
    for part in name.split("."):
        held = getattr(held, part, None)
    return held


def resolve(reference: str) -> Callable[..., object] | None:
    """Find what `reference_to` named; None for None.

    Raises:
        ReplayError: it is not there any more.
    """
    if reference == _NOTHING:
        return None
    if not reference:
        raise ReplayError(
            "the token does not say where setup and tasks are found (a lambda or a local function has no name to be "
            "found by): pass them, whilst.replay(token, setup, tasks)"
        )
    reference, _, given = reference.partition("\t")
    where, _, name = reference.rpartition(":")
    try:
        module = load_file(where) if where.endswith(".py") else importlib.import_module(where)
    except (ImportError, OSError) as error:
        raise ReplayError(f"the replay token refers to {reference}, which can't be imported: {error}") from error
    found = _dig(module, name)
    if not callable(found):
        raise ReplayError(f"the replay token refers to {name} in {where}, which is not there any more")
    if given:
        args, keywords = ast.literal_eval(given)
        return partial(found, *args, **keywords)
    return found


def load_file(path: str) -> ModuleType:
    """Import a file as a module of its own; the same module when it has been loaded already.

    Raises:
        ImportError, OSError: there is no such file, or it is no Python.
    """
    whole = str(Path(path).resolve())
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and str(Path(file).resolve()) == whole:
            return module
    name = Path(whole).stem
    spec = importlib.util.spec_from_file_location(name if name not in sys.modules else f"{name}_", whole)
    if spec is None or spec.loader is None or not Path(whole).is_file():
        raise ImportError(f"no Python file at {path}")
    module = importlib.util.module_from_spec(spec)
    folder = str(Path(whole).parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # as running the file would
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module
