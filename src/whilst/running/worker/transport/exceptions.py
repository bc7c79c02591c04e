"""Exceptions from one process to another, as near to the original as can be.

An exception travels as a description: its pickle if that can be rebuilt (tried here, before it is sent, because an
exception that can't be rebuilt hangs or breaks every other pool), else its class, `args` and attributes one by
one, else its name and text alone. Its traceback becomes real traceback objects again, each line where the user
wrote it, and so do its cause and context.
"""

from __future__ import annotations

import sys
from _pickle import dumps, loads

from whilst._light import Record
from whilst.running.calls.bare import light_import
from whilst.running.process_role import has_parents_main
from whilst.running.worker.transport import serialization

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, TracebackType
    from typing import Any

_MAX_DEPTH = 12
_MAX_FRAMES = 400
_MAX_TEXT = 20_000


class _Line(Record):
    """One entry of a traceback."""

    file: str
    name: str
    qualname: str
    line: int
    end_line: int
    column: int
    end_column: int


class _Description(Record):
    type_name: str
    text: str
    pickled: bytes | None
    parts: tuple[bytes, list[bytes]] | None
    """Class and arguments, where there is no such pickle."""
    attributes: list[tuple[bool, str, bytes]]
    """What it has and its pickle (or parts) would not bring back: (is a slot, name, value)."""
    lines: list[_Line]
    cause: Any
    context: Any
    is_context_suppressed: bool
    members: list[Any] | None
    """The descriptions of an exception group's members, whose tracebacks a pickle would lose."""


def describe(error: BaseException) -> bytes:
    """An exception as bytes. Never raises."""
    try:
        return dumps(_as_plain(_describe(error, 0, set())), 5)
    except Exception:
        text = f"(and it can't be described: {type(error).__name__})"
        return dumps(_as_plain(_Description(_type_name(error), text, None, None, [], [], None, None, True, None)), 5)


def rebuild(data: bytes) -> BaseException:
    """The exception again. Never raises: what can't be rebuilt becomes a RemoteCallError with its name and text."""
    return _rebuild(loads(data))


def _dumps(value: object) -> bytes:
    """A class of `__main__` by its name where the program's is the very same: who catches it, catches that one."""
    return serialization.dumps_one(value, shares_main=has_parents_main())


def _as_plain(description: _Description | None) -> Any:
    """As nested tuples: the other side need not find this module under the same name."""
    if description is None:
        return None
    values = list(description)
    for index, name in enumerate(_Description._fields):
        if name == "lines":
            values[index] = [tuple(line) for line in description.lines]
        elif name in {"cause", "context"}:
            values[index] = _as_plain(values[index])
        elif name == "members" and description.members is not None:
            values[index] = [_as_plain(each) for each in description.members]
    return tuple(values)


def _describe(error: BaseException | None, depth: int, seen: set[int]) -> _Description | None:
    if error is None or depth > _MAX_DEPTH or id(error) in seen:
        return None
    seen.add(id(error))
    pickled, again = _rebuildable_pickle(error)
    members = None
    if isinstance(error, BaseExceptionGroup):
        members = [_describe(each, depth + 1, seen) for each in error.exceptions]
    return _Description(
        _type_name(error),
        _text_of(error),
        pickled,
        _parts_of(error) if pickled is None else None,
        _attributes_beyond(again, error),
        _lines_of(error.__traceback__),
        _describe(error.__cause__, depth + 1, seen),
        _describe(error.__context__, depth + 1, seen) if error.__context__ is not error.__cause__ else None,
        error.__suppress_context__,
        members if members is not None and None not in members else None,
    )


def _type_name(error: BaseException) -> str:
    kind = type(error)
    return (
        kind.__qualname__ if kind.__module__ in {"builtins", "__main__"} else f"{kind.__module__}.{kind.__qualname__}"
    )


def _text_of(error: BaseException) -> str:
    try:
        return str(error)[:_MAX_TEXT]
    except Exception as second:
        return f"(its str() raises {type(second).__name__})"


def _rebuildable_pickle(error: BaseException) -> tuple[bytes | None, BaseException | None]:
    """Its pickle and what loading that gives, if it is the same again."""
    try:
        data = _dumps(error)
        again = loads(data)
        same = type(again).__qualname__ == type(error).__qualname__ and len(again.args) == len(error.args)
        if same and all(map(_is_alike, again.args, error.args)) and str(again) == str(error):
            return data, again
    except Exception:  # noqa: S110 - whatever it was: in parts, then
        pass
    return None, None


def _is_alike(one: object, other: object) -> bool:
    if type(one) in {str, int, float, bytes, bool, type(None), tuple}:
        return type(one) is type(other) and repr(one) == repr(other)
    return type(one).__qualname__ == type(other).__qualname__


def _parts_of(error: BaseException) -> tuple[bytes, list[bytes]] | None:
    """Class and args apart; an argument that can't travel is replaced by its repr."""
    try:
        kind = _dumps(type(error))
        loads(kind)
        return kind, [_part(each) for each in error.args]
    except Exception:
        return None


def _attributes_beyond(again: BaseException | None, error: BaseException) -> list[tuple[bool, str, bytes]]:
    """The attributes that `again` has not, or has otherwise: a pickle keeps `args` and `__dict__` at best."""
    found = []
    for is_slot, name, value, is_builtin in _attributes_of(error):
        try:
            own = getattr(again, name)
            if type(own) is type(value) and (own is value or _part(own) == _part(value)):
                continue
        except Exception:  # noqa: S110 - it has no such attribute, or none that can be compared
            pass
        # `AttributeError.obj` must not be a text that stands for it.
        data = _portable(value) if is_builtin else _part(value)
        if data is not None:
            found.append((is_slot, name, data))
    return found


def _attributes_of(error: BaseException) -> Iterator[tuple[bool, str, object, bool]]:
    """(is a slot, name, value, is Python's own slot): `__dict__`, and the slots of its classes (`NameError.name`)."""
    for name, value in list(error.__dict__.items()):
        yield False, name, value, False
    for kind in type(error).__mro__:
        if kind in {BaseException, BaseExceptionGroup}:
            continue
        for name, slot in list(vars(kind).items()):
            if type(slot).__name__ in {"member_descriptor", "getset_descriptor"} and not name.startswith("__"):
                try:
                    value = slot.__get__(error)
                except Exception:  # noqa: S112 - not set
                    continue
                is_builtin = kind.__module__ == "builtins"
                if value is not None or not is_builtin:
                    yield True, name, value, is_builtin


def _part(value: object) -> bytes:
    """A pickle that was rebuilt; that of its repr, where it has none."""
    data = _portable(value)
    if data is None:
        try:
            data = dumps(repr(value), 5)
        except Exception:
            data = dumps(f"<{type(value).__name__}>", 5)
    return data


def _portable(value: object) -> bytes | None:
    try:
        data = _dumps(value)
        loads(data)
    except Exception:
        return None
    return data


def _lines_of(trace: TracebackType | None) -> list[_Line]:
    """The traceback's entries, without the worker's own at its head."""
    is_own = light_import("whilst.running.call_names").is_own
    lines: list[_Line] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        if lines or not is_own(trace):
            lines.append(_line_of(trace, code))
        trace = trace.tb_next
    if len(lines) > _MAX_FRAMES:
        lines[_MAX_FRAMES // 2 : -_MAX_FRAMES // 2] = []
    return lines


def _line_of(trace: TracebackType, code: CodeType) -> _Line:
    line = trace.tb_lineno or code.co_firstlineno
    where: tuple[int | None, ...] = (None,) * 4
    if trace.tb_lasti >= 0:
        for index, position in enumerate(code.co_positions()):
            if index == trace.tb_lasti // 2:
                where = position
                break
    start, end, column, end_column = where
    if start != line or end is None or column is None or end_column is None:
        end, column, end_column = line, 0, 0
    return _Line(code.co_filename, code.co_name, code.co_qualname, line, end, column, end_column)


def _rebuild(plain: Any) -> BaseException:
    if plain is None:
        raise ValueError("no description")
    described = _Description(*plain)
    error = _instance(described)
    try:
        # Past the `__setattr__` of its class, which may refuse (a frozen dataclass).
        put = object.__setattr__
        put(error, "__traceback__", _traceback(described.lines))
        if described.context is not None:
            put(error, "__context__", _rebuild(described.context))
        if described.cause is not None:
            put(error, "__cause__", _rebuild(described.cause))
        put(error, "__suppress_context__", described.is_context_suppressed)
        if described.members is not None and isinstance(error, BaseExceptionGroup):
            for member, again in zip(error.exceptions, described.members, strict=True):
                put(member, "__traceback__", _traceback(_Description(*again).lines))
    except Exception:  # noqa: S110 - the exception itself matters more than what hangs on it
        pass
    return error


def _put_attributes(error: BaseException, attributes: list[tuple[bool, str, bytes]]) -> None:
    for is_slot, name, data in attributes:
        try:
            if is_slot:
                object.__setattr__(error, name, loads(data))
            else:
                error.__dict__[name] = loads(data)
        except Exception:  # noqa: S112 - one that can't be set
            continue


def _instance(described: _Description) -> BaseException:
    if described.pickled is not None:
        try:
            error = loads(described.pickled)
            if isinstance(error, BaseException):
                _put_attributes(error, described.attributes)
                return error
        except BaseException:  # noqa: S110 - even a SystemExit out of somebody's __setstate__
            pass
    if described.parts is not None:
        try:
            pickled_kind, args = described.parts
            kind = loads(pickled_kind)
            if described.members is not None:  # its own __init__ never sees them, nor do they pass through a pickle
                members = [_rebuild(each) for each in described.members]
                error = BaseExceptionGroup.__new__(kind, loads(args[0]), members)
                error.args = (*error.args[:2], *(loads(each) for each in args[2:]))
            else:
                base = next(each for each in kind.__mro__ if each.__module__ == "builtins")
                error = base.__new__(kind)
                base.__init__(error, *(loads(each) for each in args))
            assert isinstance(error, BaseException)
            _put_attributes(error, described.attributes)
            if _text_of(error) == described.text or error.args:
                return error
        except BaseException:  # noqa: S110 - as above
            pass
    from whilst.errors import RemoteCallError

    stand_in = RemoteCallError(f"{described.type_name}: {described.text}")
    stand_in.type_name = described.type_name
    return stand_in


def _traceback(lines: list[Any]) -> TracebackType | None:
    """Real traceback objects with the given files, functions and lines; innermost last."""
    from types import TracebackType

    trace: TracebackType | None = None
    frames: dict[Any, TracebackType] = {}
    for entry in reversed(lines):
        made = frames.get(entry)
        if made is None:
            made = frames[entry] = _raise_at(_Line(*entry))
        trace = TracebackType(trace, made.tb_frame, made.tb_lasti, made.tb_lineno)
    return trace


def _raise_at(line: _Line) -> TracebackType:
    """Compile and run a `raise` that stands exactly there, under that name."""
    import ast

    where = {
        "lineno": line.line,
        "end_lineno": line.end_line,
        "col_offset": line.column,
        "end_col_offset": line.end_column,
    }
    module = ast.Module([ast.Raise(ast.Name("error", ast.Load(), **where), None, **where)], [])
    code = compile(module, line.file, "exec").replace(co_name=line.name, co_qualname=line.qualname)
    file_module = _module_name_of(line.file)
    try:
        exec(code, {"error": _HereError, "__name__": file_module, "__file__": line.file})  # noqa: S102 - our own code
    except _HereError as here:
        trace = here.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        assert trace is not None
        return trace
    raise AssertionError("unreachable: the code above raises")


class _HereError(Exception):
    pass


def _module_name_of(file: str) -> str:
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) == file:
            return name
    return "<worker>"
