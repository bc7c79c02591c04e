"""Options of libraries that a program sets at run time: a fresh process that imports the library lacks them.

Each is known by how it is read, how it is set, and what it is when nobody has set it. Looked at only in libraries that
are loaded. What is a plain variable of a library's module needs no entry: its source says what nobody has set.
"""

from __future__ import annotations

import _thread
import contextlib
import sys
from _contextvars import copy_context
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from whilst._light import Record
from whilst.inspecting.ownership import is_own_code


class _Setting(Record):
    words: str
    module: str
    read: Callable[[Any], object]
    """What of it is not as it is at the start; None where all is."""
    write: Callable[[Any, Any], object]


def changed_settings() -> dict[str, object]:
    """Return what is not at its default, by its words (see `set_settings`)."""
    found: dict[str, object] = {}
    for setting in _SETTINGS:
        module = sys.modules.get(setting.module)
        if module is not None:
            try:
                value = setting.read(module)
            except (AttributeError, ImportError, ValueError):  # half loaded, or a version that has it elsewhere
                continue
            if value is not None:
                found[setting.words] = value
    return found


_OF_THREADS: Final = (
    ("sklearn", lambda module: module.get_config()),
    ("numpy", lambda module: (module.geterr(), repr(module.get_printoptions()))),
    ("torch", lambda module: (module.is_grad_enabled(), module.is_inference_mode_enabled())),
)
"""Options that some versions of a library keep for each thread by itself."""


def set_for_this_thread(libraries: Collection[str]) -> list[str]:
    """Return the libraries, of these, whose options are set here and not in a thread that starts now."""
    known = {name for name, _ in _OF_THREADS}
    others = [name for name in libraries if name not in known and name in sys.modules and _has_set_here(name)]
    return others + _known_to_be_set_here(libraries)


_PLAIN: Final = (bool, int, float, str, bytes, tuple, list, dict, set, frozenset)
_MOST_MODULES: Final = 256
"""Of one library."""
_locals_of: Final[dict[str, tuple[int, list[tuple[Any, Any]]]]] = {}
"""By library: how many modules were loaded, and its thread-local objects, each with its module."""


def _has_set_here(library: str) -> bool:
    """Does a library keep plain values for this thread, which are not those that it begins with anywhere?

    What it begins with stands in one of its module's variables; what is empty has never been set.
    """
    return any(
        isinstance(value, _PLAIN) and value and not any(_is_same(value, each) for each in list(vars(module).values()))
        for held, module in _thread_locals(library)
        for value in list(vars(held).values())
    )


def _is_same(value: object, other: object) -> bool:
    return type(value) is type(other) and bool(value == other)


def _thread_locals(library: str) -> list[tuple[Any, Any]]:
    if library in sys.stdlib_module_names:  # its options are in the tables
        return []
    loaded, found = _locals_of.get(library, (0, []))
    if loaded != len(sys.modules):
        names = [name for name in list(sys.modules) if name == library or name.startswith(f"{library}.")]
        modules = [sys.modules[name] for name in names[:_MOST_MODULES]]
        found = [
            (value, module)
            for module in modules
            if not is_own_code(getattr(module, "__file__", None) or "<frozen>")
            for value in list(vars(module).values())
            if isinstance(value, _thread._local)  # noqa: SLF001 - `threading` is not loaded for this
        ]
        _locals_of[library] = len(sys.modules), found
    return found


def _known_to_be_set_here(libraries: Collection[str]) -> list[str]:
    reads = [(name, sys.modules[name], read) for name, read in _OF_THREADS if name in libraries and name in sys.modules]
    if not reads:
        return []

    def look(found: dict[str, object]) -> None:
        for name, module, read in reads:
            with contextlib.suppress(Exception):  # half loaded, or a version that has it elsewhere
                found[name] = read(module)

    def look_there() -> None:
        try:
            context.run(look, there)
        finally:
            done.release()

    here: dict[str, object] = {}
    there: dict[str, object] = {}
    look(here)
    context = copy_context()
    done = _thread.allocate_lock()
    done.acquire()
    try:
        _thread.start_new_thread(look_there, ())
    except RuntimeError:  # there is no thread to be had
        return []
    done.acquire()
    return [name for name, value in here.items() if there.get(name, value) != value]


def set_settings(found: Mapping[str, object]) -> None:
    """Have the same settings in this process."""
    for setting in _SETTINGS:
        if setting.words in found:
            setting.write(__import__(setting.module, fromlist=["_"]), found[setting.words])


def _unless(default: object) -> Callable[[object], object]:
    return lambda value: None if value == default else value


def _each_by(function: str) -> Callable[[Any, Mapping[Any, object]], None]:
    """Have what was found, item by item, by that function of the module."""

    def write(module: Any, found: Mapping[Any, object]) -> None:
        for key, value in found.items():
            getattr(module, function)(key, value)

    return write


def _locale(module: Any) -> object:
    # At its start Python takes the encoding from the environment, and leaves all else as C has it.
    categories = (module.LC_COLLATE, module.LC_MONETARY, module.LC_NUMERIC, module.LC_TIME)
    now = {category: module.setlocale(category) for category in categories}
    return now if any(each not in ("C", "POSIX") for each in now.values()) else None


def _digits(module: Any) -> object:
    usual = module.flags.int_max_str_digits
    usual = module.int_info.default_max_str_digits if usual < 0 else usual
    return _unless(usual)(module.get_int_max_str_digits())


_LEVELS: Final = {50: "CRITICAL", 40: "ERROR", 30: "WARNING", 20: "INFO", 10: "DEBUG", 0: "NOTSET"}


def _level_names(module: Any) -> object:
    names = {level: name for level, name in module._levelToName.items() if _LEVELS.get(level) != name}  # noqa: SLF001
    return names or None


_PRINTING: Final = {
    "precision": 8, "threshold": 1000, "edgeitems": 3, "linewidth": 75, "suppress": False, "nanstr": "nan",
    "infstr": "inf", "sign": "-", "floatmode": "maxprec", "legacy": False,
}  # fmt: skip


def _numpy_printing(module: Any) -> object:
    options = module.get_printoptions()
    return {name: options[name] for name, usual in _PRINTING.items() if options.get(name, usual) != usual} or None


def _pandas_options(module: Any) -> object:
    values, known = module._global_config, module._registered_options  # noqa: SLF001 - no public way to list them
    found = {}
    for key, option in known.items():
        value = values
        for part in key.split("."):
            value = value[part]
        if value != option.defval and not callable(value):
            found[key] = value
    return found or None


_SETTINGS: Final = (
    _Setting(
        "the field size limit of csv",
        "_csv",
        lambda module: _unless(131072)(module.field_size_limit()),
        lambda module, value: module.field_size_limit(value),
    ),
    _Setting("the locale", "_locale", _locale, _each_by("setlocale")),
    _Setting("the limit of digits of integers", "sys", _digits, lambda module, n: module.set_int_max_str_digits(n)),
    _Setting(
        "the default time-out of sockets",
        "_socket",
        lambda module: module.getdefaulttimeout(),
        lambda module, value: module.setdefaulttimeout(value),
    ),
    _Setting("the names of logging's levels", "logging", _level_names, _each_by("addLevelName")),
    _Setting(
        "the class of logging's loggers",
        "logging",
        lambda module: _unless(module.Logger)(module.getLoggerClass()),
        lambda module, kind: module.setLoggerClass(kind),
    ),
    _Setting(
        "numpy's error state",
        "numpy",
        lambda module: _unless({"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"})(
            module.geterr()
        ),
        lambda module, found: module.seterr(**found),
    ),
    _Setting("numpy's print options", "numpy", _numpy_printing, lambda module, found: module.set_printoptions(**found)),
    _Setting("pandas' options", "pandas._config.config", _pandas_options, _each_by("set_option")),
    _Setting(
        "the largest image that Pillow opens",
        "PIL.Image",
        lambda module: _unless((1024 * 1024 * 1024 // 4 // 3,))((module.MAX_IMAGE_PIXELS,)),
        lambda module, value: setattr(module, "MAX_IMAGE_PIXELS", value[0]),
    ),
)
