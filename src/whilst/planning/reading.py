"""Reads a day from TOML; whatever is wrong is said with file, line, key and remedy.

name = "A passport and a presentation"
unit = "h"                     # ns, us, ms, s, min, h, d; or any word, with unit_s = its seconds
performed_unit_s = 0.1         # real seconds that a unit takes when the day is performed
executors = ["you", "assistant"]

[tasks.draft]
by = ["you", "assistant"]      # who may do it; left out: anybody
after = []                     # the tasks that must be finished before
steps = [{ work = [2, 3, 5], label = "write" }, { wait = 1 }]    # a length, or [low, likely, high]
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Collection, Mapping
from os import PathLike
from pathlib import Path as FilePath
from typing import Any, Final

from whilst.errors import DayError
from whilst.model import Day, Estimate, Kind, Step, Task
from whilst.planning.positions import Path, find_line, find_lines

_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DAY_KEYS: Final = ("name", "unit", "unit_s", "performed_unit_s", "executors", "tasks")
_TASK_KEYS: Final = ("steps", "after", "by")
_STEP_KEYS: Final = ("work", "wait", "label")


def read_day(path: str | PathLike[str]) -> Day:
    """Read a day from a TOML file.

    Raises:
        DayError: the file can't be read, is not TOML, or holds no day that can be planned.
    """
    try:
        text = FilePath(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DayError(f"{path}: there is no such file; pass the path of a day in TOML.") from error
    except UnicodeDecodeError as error:
        raise DayError(f"{path}: this is not UTF-8 text ({error.reason} at byte {error.start}).") from error
    except (OSError, ValueError) as error:
        raise DayError(f"{path}: can't be read: {error}.") from error
    return parse_day(text, str(path))


def parse_day(text: str, source: str = "<day>") -> Day:
    """Read a day from TOML text; `source` is what messages call it.

    Raises:
        DayError: not TOML, or no day that can be planned.
    """
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DayError(_describe_syntax(str(error), source)) from error
    except RecursionError as error:
        raise DayError(f"{source}: this nests too deeply to be a day.") from error
    try:
        return _read_plain(plain)
    except DayError as error:
        raise _located(error, plain, text, source) from error


def _describe_syntax(message: str, source: str) -> str:
    """Move tomllib's "(at line 3, column 7)" to where other messages have their line."""
    said, _, where = message.partition(" (at line ")
    line = where.partition(",")[0]
    remedy = " Give each task a name of its own." if "twice" in said or "overwrite" in said else ""
    place = f"{source}:{line}" if line.isdigit() else source
    column = where.partition("column ")[2].rstrip(")")
    return f"{place}: not valid TOML: {said}{f', column {column}' if column else ''}.{remedy}"


def _located(error: DayError, plain: Mapping[str, Any], text: str, source: str) -> DayError:
    path = _sharpened(_as_path(error), plain)
    line = find_line(find_lines(text), path)
    key = ".".join(_quoted(part) if isinstance(part, str) else f"[{part}]" for part in path).replace(".[", "[")
    place = f"{source}:{line}" if line else source
    located = DayError(f"{place}: {key}: {error}" if key else f"{place}: {error}")
    located.key = tuple(map(str, path))
    return located


def _as_path(error: DayError) -> Path:
    # Numbers of array elements are kept as text in an error's key.
    return tuple(int(part) if part.isdecimal() and position > 2 else part for position, part in enumerate(error.key))


def _sharpened(path: Path, plain: Mapping[str, Any]) -> Path:
    """Point at the one name in a list that is wrong, where the day's own check only knows the list."""
    if len(path) == 3 and path[0] == "tasks" and path[2] in ("after", "by"):
        known = plain["tasks"] if path[2] == "after" else plain["executors"]
        names = plain["tasks"][path[1]].get(path[2])
        for position, name in enumerate(names if isinstance(names, list) else ()):
            if name not in known:
                return (*path, position)
    if len(path) == 2 and path[0] == "executors" and path[1] in plain["executors"]:
        positions = [each for each, name in enumerate(plain["executors"]) if name == path[1]]
        return ("executors", positions[-1])
    return path


def _quoted(part: str) -> str:
    is_bare = part != "" and all(each.isascii() and (each.isalnum() or each in "-_") for each in part)
    return part if is_bare else '"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _read_plain(plain: Mapping[str, Any]) -> Day:
    _check_keys(plain, _DAY_KEYS, (), "a day")
    unit = _typed(plain, "unit", str, "s", (), 'a text such as unit = "h"')
    unit_s = _unit_s(plain, unit)
    tasks = plain.get("tasks", {})
    if not isinstance(tasks, dict):
        raise _fault("Write each task as a table of its own: [tasks.NAME], then its steps, after and by.", "tasks")
    if "executors" not in plain:
        raise _fault('The day has no executors; say who is there, e.g. executors = ["you"].', "executors")
    return Day(
        executors=_names(plain, "executors", ()),
        tasks=tuple(_task(name, task, unit_s) for name, task in tasks.items()),
        name=_typed(plain, "name", str, "", (), "a text"),
        unit=unit,
        unit_s=unit_s,
        performed_unit_s=_number(plain.get("performed_unit_s", 1.0), ("performed_unit_s",), "seconds"),
    )


def _unit_s(plain: Mapping[str, Any], unit: str) -> float:
    if "unit_s" in plain:
        unit_s = _number(plain["unit_s"], ("unit_s",), "seconds")
        if unit_s <= 0:
            raise _fault(f"A unit must be longer than nothing, got {unit_s:g} seconds.", "unit_s")
        return unit_s
    if unit not in _UNITS:
        # "hours" is closer to "us" than to "h" by its letters.
        meant = next((word for word in ("min", "ms", "h", "d", "s") if unit.lower().startswith(word)), None)
        hint = f"; did you mean {meant!r}?" if meant else f"; known: {', '.join(_UNITS)}."
        raise _fault(f"{unit!r} is no unit{hint} Or say how long it is: unit_s = SECONDS.", "unit")
    return _UNITS[unit]


def _task(name: str, task: Any, unit_s: float) -> Task:
    where = ("tasks", name)
    if not isinstance(task, dict):
        raise _fault(
            f"A task is a table with steps, e.g. [tasks.{_quoted(name)}] and steps = [{{ work = 1 }}].", *where
        )
    _check_keys(task, _TASK_KEYS, where, "a task")
    if "steps" not in task:
        raise _fault("The task has no steps; give it at least one, e.g. steps = [{ work = 1 }].", *where)
    steps = task["steps"]
    if not isinstance(steps, list):
        raise _fault("Steps stand in brackets: steps = [{ work = 1 }, { wait = 2 }].", *where, "steps")
    read = tuple(_step(step, unit_s, (*where, "steps", str(position))) for position, step in enumerate(steps))
    after, by = _names(task, "after", where), _names(task, "by", where)
    if "by" in task and not by:
        raise _fault("Nobody may do this task. Name who may, or leave 'by' out to let anybody do it.", *where, "by")
    try:
        return Task(name, read, after, by)
    except DayError as error:
        raise _fault(str(error), *where) from error


def _step(step: Any, unit_s: float, where: tuple[str, ...]) -> Step:
    if not isinstance(step, dict):
        raise _fault("A step is written { work = LENGTH } or { wait = LENGTH }.", *where)
    _check_keys(step, _STEP_KEYS, where, "a step")
    kinds = [key for key in ("work", "wait") if key in step]
    if len(kinds) != 1:
        both = "both work and wait; make it two steps" if kinds else "neither work nor wait; write { work = LENGTH }"
        raise _fault(f"The step has {both}.", *where)
    label = _typed(step, "label", str, "", where, "a text")
    length = _length(step[kinds[0]], unit_s, (*where, kinds[0]))
    return Step(Kind.WORK if kinds[0] == "work" else Kind.WAIT, length, label)


def _length(value: Any, unit_s: float, where: tuple[str, ...]) -> float | Estimate:
    if not isinstance(value, list):
        return _scaled(value, unit_s, where)
    if len(value) != 3:
        raise _fault(f"An uncertain length has three numbers, [low, likely, high], got {len(value)}.", *where)
    low, likely, high = (_scaled(each, unit_s, (*where, str(at))) for at, each in enumerate(value))
    if not low <= likely <= high:
        raise _fault(f"An uncertain length must rise: [low, likely, high], got {value}.", *where)
    return Estimate(low, likely, high)


def _scaled(value: Any, unit_s: float, where: tuple[str, ...]) -> float:
    number = _number(value, where, "units")
    if number < 0:
        raise _fault(f"A length can't be negative, got {value!r}; write 0 or more.", *where)
    if not math.isfinite(number * unit_s):
        raise _fault(f"The length {value!r} is too large to count; choose a smaller one.", *where)
    return number * unit_s


def _number(value: Any, where: tuple[str, ...], what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _fault(f"This must be a number of {what}, got {_shown(value)}.", *where)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _fault(f"This must be a finite number of {what}, got {_shown(value)}.", *where)
    return number


def _names(table: Mapping[str, Any], key: str, where: tuple[str, ...]) -> tuple[str, ...]:
    value = table.get(key, [])
    if isinstance(value, str):
        raise _fault(f'Names stand in brackets: {key} = ["{value}"].', *where, key)
    if not isinstance(value, list):
        raise _fault(f'This must be a list of names, e.g. {key} = ["a", "b"], got {_shown(value)}.', *where, key)
    for name in value:
        if not isinstance(name, str):
            raise _fault(f'Every name is a text in quotes, got {_shown(name)}; write "{name}".', *where, key)
    return tuple(value)


def _typed(table: Mapping[str, Any], key: str, kind: type[str], default: str, where: tuple[str, ...], what: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, kind):
        raise _fault(f"This must be {what}, got {_shown(value)}.", *where, key)
    return value


def _check_keys(table: Mapping[str, Any], known: Collection[str], where: tuple[str, ...], what: str) -> None:
    for key in table:
        if key not in known:
            raise _fault(f"{key!r} is no key of {what}{_nearest(key, known)}.", *where, key)


def _nearest(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _fault(message: str, *key: str) -> DayError:
    error = DayError(message)
    error.key = key
    return error
