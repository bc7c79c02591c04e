"""What a call reads that may be another in a process that this program did not fork.

A clean process imports what the function names. It has none of what the program has set since: a variable of a module,
an option of a library, a mock, a class attribute. The function's code is read for that, own functions and classes
followed; nothing is run. Three kinds of reads come out of it:

- its item, what travels with it (its closure, its defaults, the globals of a script or notebook), code of modules that
  keep no settings, constants that stand in the source as they are now: the same everywhere, and not worth a word;
- `variables` of the user's own modules that are plain data: another there, unless they are sent;
- `unsure`: all else, in words. Code that is not understood is among them.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import dis
import functools
import os
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from whilst.inspecting import ownership
from whilst.inspecting.library_settings import changed_settings
from whilst.inspecting.objects import is_a

_MOST_FUNCTIONS: Final = 200
_MOST_MODULES: Final = 60
"""Of one library."""
_ATOMS: Final = (int, float, complex, str, bytes, bool, type(None), bytearray, range, slice, type(...))
_LITERALS: Final = (*_ATOMS[:7], list, tuple, dict)
_STATELESS: Final = frozenset(
    """
    math cmath json time datetime itertools functools collections string operator statistics hashlib _hashlib _sha1
    _sha2 _sha256 _sha512 _md5 _blake2 zlib struct array copy decimal _decimal fractions enum dataclasses typing base64
    binascii re bisect _bisect heapq _heapq textwrap unicodedata html numbers abc gzip bz2 lzma random _random io _io
    numpy builtins _collections _operator _functools _struct _json contextlib types keyword posixpath genericpath
    os posix
    """.split()  # noqa: SIM905 - reads better than a list of quoted words
)
"""Packages whose functions give the same everywhere; what of theirs can be set, `changed_settings` looks at."""
_UNSAFE_BUILTINS: Final = frozenset(
    ["globals", "vars", "locals", "eval", "exec", "compile", "__import__", "open", "input", "breakpoint", "id"]
)
_HASHES: Final = frozenset(["hash", "set", "frozenset"])
_SETS: Final = frozenset(["BUILD_SET", "SET_ADD", "SET_UPDATE"])
_READS: Final = _SETS | {"LOAD_GLOBAL", "LOAD_NAME", "IMPORT_NAME"}
_DESCRIPTORS: Final = (types.MemberDescriptorType, types.GetSetDescriptorType, types.WrapperDescriptorType)
_CLASS_BOOKKEEPING: Final = frozenset(
    """
    __dict__ __weakref__ __doc__ __module__ __qualname__ __annotations__ __abstractmethods__ _abc_impl __slots__
    __match_args__ __firstlineno__ __static_attributes__ __parameters__ __annotate_func__ __annotations_cache__
    """.split()  # noqa: SIM905 - as above
)
_SET_WORDS: Final = "sets or hashes of text, whose order is another in each program"


class Reads(NamedTuple):
    """What a function reads that may be another in a clean process."""

    variables: dict[tuple[str, str], object]
    """By module and name (dotted, of a class's attribute): plain data of the user's own modules, and what was set in
    those of libraries."""
    unsure: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    """Of these, functions, classes and mocks that somebody has put in the place of others."""


def why_not_clean(fn: Callable[..., object], item: object) -> str:
    """Return what the calls read that may be another in a clean process; "" if it is all known to be the same.

    Args:
        fn: the function that is going to be called.
        item: one of its items.
    """
    found = reads_of(fn, item)
    variables = [f"{module}.{name}" for module, name in found.variables]
    return next(iter((*found.replaced, *variables, *found.unsure, *changed_settings())), "")


def reads_of(fn: Callable[..., object], item: object = None) -> Reads:
    """Read the function's code for what it reads. Raises nothing: what can't be looked at is `unsure`."""
    reader = _Reader()
    try:
        reader.value(fn, "the function", is_sent=True)
        reader.item(item)
    except Exception as error:  # bytecode nobody foresaw, an object that refuses to be looked at
        reader.unsure.append(f"nobody knows what (its code can't be read: {type(error).__name__})")
    unsure, replaced = dict.fromkeys(reader.unsure), dict.fromkeys(reader.replaced)
    return Reads(reader.variables, tuple(unsure), tuple(replaced))


class _Reader:
    def __init__(self) -> None:
        self.variables: dict[tuple[str, str], object] = {}
        self.unsure: list[str] = []
        self.replaced: list[str] = []
        self._seen: set[object] = set()
        self._functions = 0
        self._patches: dict[str, str] = {}

    def item(self, value: object) -> None:
        """An argument: plain data, an array; of other classes nobody knows what they look at."""
        if not is_plain(value):
            has_sets = is_a(value, (set, frozenset)) and not _has_fixed_hashes()
            of_its_class = f"what belongs to the class {type(value).__qualname__} of its items"
            self.unsure.append(_SET_WORDS if has_sets else of_its_class)

    def value(self, value: Any, name: str, *, is_sent: bool) -> None:
        """Something that is reached by `name`. `is_sent`: it travels with the function, as it is now."""
        if is_a(value, _ATOMS) or id(value) in self._seen:
            return
        self._seen.add(id(value))
        kind = type(value)
        if kind is types.FunctionType:
            self._function(value)
        elif is_a(value, types.ModuleType):
            self._module(value, frozenset())
        elif is_a(value, type):
            self._class(value)
        elif (inner := _parts_of_callable(value)) is not None:
            for each in inner:
                self.value(each, name, is_sent=is_sent)
        elif callable(value) and not ownership.is_own_type(kind):
            self._library(value, name)
        else:
            self._data(value, name)

    def _data(self, value: Any, name: str) -> None:
        """Data that travels."""
        if ownership.is_own_type(type(value)):
            self._class(type(value))
            parts = list(getattr(value, "__dict__", {}).values())
        elif type(value) in (list, tuple, dict):
            parts = [*value, *value.values()] if type(value) is dict else list(value)
        elif is_plain(value):
            return
        else:
            self.unsure.append(f"{name}, a {type(value).__name__}")
            return
        for each in parts[:1000]:
            self.value(each, name, is_sent=True)

    def _function(self, fn: types.FunctionType) -> None:
        code = fn.__code__
        if not ownership.is_own_code(code.co_filename):
            self._library(fn, fn.__name__)
            self.value(getattr(fn, "__wrapped__", None), fn.__name__, is_sent=True)
            return
        self._functions += 1
        if self._functions > _MOST_FUNCTIONS:
            self.unsure.append("more than can be looked through")
            return
        home = str(fn.__globals__.get("__name__"))
        for cell in fn.__closure__ or ():
            # A closure is no part of a module: it travels with its function.
            self.value(cell.cell_contents, f"a variable around {fn.__name__}", is_sent=True)
        for each in (*(fn.__defaults__ or ()), *(fn.__kwdefaults__ or {}).values(), *vars(fn).values()):
            if home == "__main__" or isinstance(each, _ATOMS) or callable(each):
                self.value(each, f"a default of {fn.__name__}", is_sent=home == "__main__")
            else:
                self.unsure.append(f"a default of {home}.{fn.__name__}")
        names = _names_of(code)
        for opname, name in _instructions_of(code):
            if opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                self._name(name, fn.__globals__, home, names)
            elif opname == "IMPORT_NAME" and (module := sys.modules.get(name)) is not None:
                self._module(module, names)
            elif opname in _SETS and not _has_fixed_hashes():
                self.unsure.append(_SET_WORDS)

    def _name(self, name: str, scope: dict[str, Any], home: str, names: frozenset[str]) -> None:
        if name not in scope:
            value = getattr(builtins, name, None)
            if name in _HASHES and not _has_fixed_hashes():
                self.unsure.append(_SET_WORDS)
            elif name in _UNSAFE_BUILTINS:
                self.unsure.append(f"what {name}() gives")
            elif name == "__builtins__" or not _is_builtin(value):
                self.unsure.append(f"the builtin {name}")
        elif scope[name] is builtins:
            self.unsure.append("the builtins")
        elif issubclass(type(scope[name]), types.ModuleType):
            self._module(scope[name], names)
        elif home == "__main__":
            self.value(scope[name], name, is_sent=True)
        else:
            self._variable(home, name, scope[name])

    def _variable(self, module: str, name: str, value: Any) -> None:
        """Of one of the user's own modules, which a clean process imports anew."""
        label = f"{module}.{name}"
        if is_a(value, (types.FunctionType, type)):
            if _is_in_place(value, name, module):
                self.value(value, label, is_sent=False)
            else:
                self.replaced.append(label)
        elif _is_mock(value) or name in _definitions_of(_source_of(module)):
            self.replaced.append(label)
        elif _is_as_written(module, name, value):
            return
        elif is_plain(value):
            self.variables[module, name] = value
        elif ownership.is_own_type(type(value)) and is_plain(parts := dict(getattr(value, "__dict__", {}))) and parts:
            self.variables[module, name] = value
            self._class(type(value))
        elif (inner := _parts_of_callable(value)) is not None:
            for each in inner:
                self.value(each, label, is_sent=False)
        elif callable(value) and not ownership.is_own_type(type(value)):
            self._library(value, label)
        else:
            self.unsure.append(label)

    def _module(self, module: types.ModuleType, names: frozenset[str]) -> None:
        """`names`: those that the code uses, of attributes among others."""
        name = module.__name__
        if ownership.is_own_code(getattr(module, "__file__", None) or "<frozen"):
            if name == "__main__":
                self.unsure.append("variables of __main__")
                return
            for attribute in names & vars(module).keys():
                value = vars(module)[attribute]
                if (name, attribute) in self._seen:
                    continue
                self._seen.add((name, attribute))
                if isinstance(value, types.ModuleType):
                    self._module(value, names)
                elif not attribute.startswith("__"):
                    self._variable(name, attribute, value)
            return
        if name.partition(".")[0] not in _STATELESS:
            self.unsure.append(f"what the program may have set in {name}")
        for each in _modules_of(name.partition(".")[0]):
            found = set_from_outside(sys.modules[each])
            self.variables.update({(each, variable): value for variable, value in found.items()})
        patch = self._patch_of(module)
        if patch:
            self.replaced.append(f"{name}.{patch}")

    def _library(self, value: Any, name: str) -> None:
        module = getattr(value, "__module__", None)
        owner = getattr(value, "__self__", None)
        if module is None and owner is not None and not isinstance(owner, types.ModuleType):
            self.value(owner, name, is_sent=True)  # a method of a built-in object
            return
        if _is_mock(value):
            self.replaced.append(name)
            return
        found = sys.modules.get(str(module or getattr(type(value), "__module__", None)))
        if found is None:
            self.unsure.append(name)
        else:
            self._module(found, frozenset())

    def _class(self, kind: type) -> None:
        if not ownership.is_own_type(kind):
            self._library(kind, kind.__qualname__)
            return
        if kind in self._seen:
            return
        self._seen.add(kind)
        for base in (*kind.__mro__[1:-1], *([type(kind)] if type(kind) is not type else [])):
            self._class(base)
        for attribute, value in list(vars(kind).items()):
            if attribute in _CLASS_BOOKKEEPING or isinstance(value, _DESCRIPTORS):
                continue
            label = f"{kind.__qualname__}.{attribute}"
            if kind.__module__ == "__main__":
                self.value(value, label, is_sent=True)
            elif isinstance(value, types.FunctionType) and not _is_of_class(value, kind, label):
                self.replaced.append(f"{kind.__module__}.{label}")
            elif _parts_of_callable(value) is not None or callable(value):
                self.value(value, label, is_sent=False)
            elif not attribute.startswith("__"):
                self._variable(kind.__module__, label, value)

    def _patch_of(self, module: types.ModuleType) -> str:
        """A function of the user's own, or a mock, that somebody has put there or into one of its classes."""
        name = module.__name__
        if name not in self._patches:
            self._patches[name] = next(
                (
                    attribute
                    for attribute, value in list(vars(module).items())
                    if _is_foreign(value)
                    or (
                        isinstance(value, type)
                        and value.__module__ == name
                        and any(map(_is_foreign, list(vars(value).values())))
                    )
                ),
                "",
            )
        return self._patches[name]


def is_plain(value: object, depth: int = 6) -> bool:
    """Is it data that is the same wherever it is unpickled: numbers, text, dates, containers and arrays of such?"""
    kind = type(value)
    if is_a(value, _ATOMS):
        return kind in _ATOMS
    if kind in (list, tuple):
        return depth > 0 and all(is_plain(each, depth - 1) for each in value)  # type: ignore[attr-defined]
    if kind is dict:
        entries: dict[object, object] = value  # type: ignore[assignment]
        return depth > 0 and all(is_plain(k, depth - 1) and is_plain(v, depth - 1) for k, v in entries.items())
    if kind in (set, frozenset):
        return _has_fixed_hashes() and all(is_plain(each, depth - 1) for each in value)  # type: ignore[attr-defined]
    if kind.__module__ in ("datetime", "decimal", "fractions", "pathlib", "_decimal"):
        return True
    return kind.__module__ == "numpy" and not getattr(getattr(value, "dtype", None), "hasobject", True)


def _parts_of_callable(value: Any) -> list[object] | None:
    """What a wrapper, partial or bound method calls, and with what; None for what is none of these."""
    if is_a(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if is_a(value, types.MethodType):
        return [value.__func__, value.__self__]
    if is_a(value, (staticmethod, classmethod)):
        return [value.__func__]
    if is_a(value, property):
        return [value.fget, value.fset, value.fdel]
    if type(value).__name__ in ("_lru_cache_wrapper", "cached_property"):
        return [getattr(value, "__wrapped__", None) or getattr(value, "func", None)]
    return None


def _is_builtin(value: object) -> bool:
    """As Python has it: a function or class of its own, a constant, what `site` adds; None, of a name nobody has."""
    if value is None or is_a(value, (bool, type(...), type(NotImplemented))):
        return True
    return getattr(value, "__module__", None) in ("builtins", "_io", "io", "_sitebuiltins", "site")


def _modules_of(package: str) -> list[str]:
    """Those that are loaded; none of a package with so many that they can't be read through."""
    names = [name for name in list(sys.modules) if name == package or name.startswith(f"{package}.")]
    return names if len(names) <= _MOST_MODULES else []


def _is_as_written(module: str, name: str, value: object) -> bool:
    """The module's source gives it this very value, in one place: whoever imports it has the same."""
    written = _literals_of(_source_of(module))
    return name in written and repr(written[name]) == repr(value)


def set_from_outside(module: types.ModuleType) -> dict[str, object]:
    """Return the variables (dotted, of its classes) that have another value than the one place that assigns them says.

    A variable that the module itself assigns again somewhere is its own affair.
    """
    found: dict[str, object] = {}
    for name, written in _literals_of(_source_of(module.__name__)).items():
        value: Any = module
        for part in name.split("."):
            value = vars(value).get(part, written) if hasattr(value, "__dict__") else written
        # What a module fills while it is imported differs from its source as well.
        if isinstance(value, _ATOMS) and type(value) in _LITERALS and repr(value) != repr(written):
            found[name] = value
    return found


def _source_of(module: str) -> str:
    path = getattr(sys.modules.get(module), "__file__", None)
    return path if isinstance(path, str) and path.endswith(".py") else ""


@functools.lru_cache(maxsize=16)
def _tree_of(path: str) -> ast.Module:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib brings half of urllib along
            return ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


@functools.lru_cache(maxsize=512)
def _definitions_of(path: str) -> frozenset[str]:
    """Names of functions and classes that a module defines, and nothing decorates."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return frozenset(each.name for each in _tree_of(path).body if isinstance(each, kinds) and not each.decorator_list)


@functools.lru_cache(maxsize=512)
def _literals_of(path: str) -> dict[str, object]:
    """Variables of a module and of its classes that are assigned once, a literal."""
    tree = _tree_of(path)
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    local = {id(node) for function in functions for node in ast.walk(function) if isinstance(node, ast.Name)}
    stored: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)) and not isinstance(node.ctx, ast.Load) and id(node) not in local:
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                continue  # an instance's own
            name = node.id if isinstance(node, ast.Name) else node.attr
            stored[name] = stored.get(name, 0) + 1
        elif isinstance(node, ast.Global):  # whoever says so means to assign it
            stored.update(dict.fromkeys(node.names, 2))
    found: dict[str, object] = {}
    bodies = [("", tree.body)] + [(f"{each.name}.", each.body) for each in tree.body if isinstance(each, ast.ClassDef)]
    for prefix, body in bodies:
        for statement in body:
            target: ast.expr | None = statement.target if isinstance(statement, ast.AnnAssign) else None
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                target = statement.targets[0]
            value = getattr(statement, "value", None)
            if isinstance(target, ast.Name) and value is not None and stored.get(target.id) == 1:
                try:
                    found[prefix + target.id] = ast.literal_eval(value)
                except (ValueError, TypeError, SyntaxError, MemoryError):
                    continue
    return found


def _is_foreign(value: object) -> bool:
    if isinstance(value, types.FunctionType):
        return ownership.is_own_code(value.__code__.co_filename) and not value.__code__.co_filename.startswith("<")
    if isinstance(value, type):
        file = getattr(sys.modules.get(value.__module__), "__file__", None)
        return isinstance(file, str) and ownership.is_own_code(file)
    return _is_mock(value)


def _is_mock(value: object) -> bool:
    return any(kind.__module__ in ("unittest.mock", "mock.mock") for kind in type(value).__mro__)


def _is_in_place(value: Any, name: str, module: str) -> bool:
    """A function or class stands where it was defined, or is that of another module, by its own name there."""
    if value.__module__ == module and value.__qualname__ == name:
        return getattr(getattr(value, "__code__", None), "co_filename", "") in (
            "",
            getattr(sys.modules.get(module), "__file__", None),
        )
    found: Any = sys.modules.get(value.__module__)
    if value.__module__ == module or found is None:
        return False
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is value


def _is_of_class(function: types.FunctionType, kind: type, label: str) -> bool:
    """A method by its own name, another name of a method (`__repr__ = __str__`), or what a decorator made of one."""
    if function.__qualname__ == label or vars(kind).get(function.__name__) is function:
        return True
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # it is empty
            if isinstance(cell.cell_contents, types.FunctionType) and cell.cell_contents.__qualname__ == label:
                return True
    return False


def _codes_of(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code and that of its inner functions."""
    yield code
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from _codes_of(each)


def _names_of(code: types.CodeType) -> frozenset[str]:
    return frozenset(name for each in _codes_of(code) for name in each.co_names)


def _instructions_of(code: types.CodeType) -> Iterator[tuple[str, str]]:
    """What it reads by name, imports, or makes: (instruction, name)."""
    for each in _codes_of(code):
        for instruction in dis.get_instructions(each):
            if instruction.opname in _READS:
                yield instruction.opname, str(instruction.argval)


def _has_fixed_hashes() -> bool:
    """Every process of this program gives text the same hash."""
    return not sys.flags.hash_randomization or os.environ.get("PYTHONHASHSEED", "random").isdigit()
