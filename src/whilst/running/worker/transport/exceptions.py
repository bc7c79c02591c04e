"""Exceptions from one process to another, as near to the original as can be.

An exception travels as a description: its pickle if that can be rebuilt (tried here, before it is sent, because an
exception that can't be rebuilt hangs or breaks every other pool), else its class, `args` and attributes one by
one, else its name and text alone. Its traceback becomes real traceback objects again, each line where the user
wrote it, and so do its cause and context.
"""

from __future__ import annotations

import sys
from _pickle import dumps, loads

from whilst._record import Record
from whilst.running import process_role as share
from whilst.running.worker.transport import serialization as payload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, TracebackType
    from typing import Any

__all__ = ["describe", "rebuild"]

_MAX_DEPTH = 12
_MAX_FRAMES = 400
_MAX_TEXT = 20_000
_HERE = __file__.rpartition("/")[0].rpartition("/")[0]


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
    parts: tuple[bytes, list[bytes], dict[str, bytes]] | None
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
        return dumps(_as_plain(_Description(_type_name(error), text, None, None, [], None, None, True, None)), 5)


def rebuild(data: bytes) -> BaseException:
    """The exception again. Never raises: what can't be rebuilt becomes a RemoteCallError with its name and text."""
    return _rebuild(loads(data))


def _dumps(value: object) -> bytes:
    """A class of `__main__` by its name where the program's is the very same: who catches it, catches that one."""
    return payload.dumps_one(value, shares_main=share.has_parents_main())


def _as_plain(description: _Description | None) -> Any:
    """As nested tuples: the other side need not find this module under the same name."""
    if description is None:
        return None
    values = list(description)
    values[4] = [tuple(line) for line in description.lines]
    values[5], values[6] = _as_plain(description.cause), _as_plain(description.context)
    values[8] = [_as_plain(each) for each in description.members] if description.members is not None else None
    return tuple(values)


def _describe(error: BaseException | None, depth: int, seen: set[int]) -> _Description | None:
    if error is None or depth > _MAX_DEPTH or id(error) in seen:
        return None
    seen.add(id(error))
    pickled = _rebuildable_pickle(error)
    members = None
    if isinstance(error, BaseExceptionGroup):
        members = [_describe(each, depth + 1, seen) for each in error.exceptions]
    return _Description(
        _type_name(error),
        _text_of(error),
        pickled,
        _parts_of(error) if pickled is None else None,
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


def _rebuildable_pickle(error: BaseException) -> bytes | None:
    """Its pickle, if loading that gives the same again."""
    try:
        data = _dumps(error)
        again = loads(data)
        same = type(again).__qualname__ == type(error).__qualname__ and len(again.args) == len(error.args)
        if same and all(map(_is_alike, again.args, error.args)) and str(again) == str(error):
            return data
    except Exception:  # noqa: S110 - whatever it was: in parts, then
        pass
    return None


def _is_alike(one: object, other: object) -> bool:
    if type(one) in {str, int, float, bytes, bool, type(None), tuple}:
        return type(one) is type(other) and repr(one) == repr(other)
    return type(one).__qualname__ == type(other).__qualname__


def _parts_of(error: BaseException) -> tuple[bytes, list[bytes], dict[str, bytes]] | None:
    """Class, args and attributes apart; a part that can't travel is replaced by its repr."""
    try:
        kind = _dumps(type(error))
        loads(kind)
        return (
            kind,
            [_part(each) for each in _args_of(error)],
            {str(key): _part(value) for key, value in error.__dict__.items()},
        )
    except Exception:
        return None


def _args_of(error: BaseException) -> tuple[object, ...]:
    """What its built-in base is made with: an OSError keeps its file's name apart from `args`."""
    if isinstance(error, OSError) and error.filename is not None and len(error.args) == 2:
        return (*error.args, error.filename)
    return error.args


def _part(value: object) -> bytes:
    try:
        data = _dumps(value)
        loads(data)
    except Exception:
        try:
            return dumps(repr(value), 5)
        except Exception:
            return dumps(f"<{type(value).__name__}>", 5)
    return data


def _lines_of(trace: TracebackType | None) -> list[_Line]:
    """The traceback's entries, without the worker's own at its head."""
    lines: list[_Line] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        if lines or not code.co_filename.startswith(_HERE):
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
        error.__traceback__ = _traceback(described.lines)
        if described.context is not None:
            error.__context__ = _rebuild(described.context)
        if described.cause is not None:
            error.__cause__ = _rebuild(described.cause)
        error.__suppress_context__ = described.is_context_suppressed
        if described.members is not None and isinstance(error, BaseExceptionGroup):
            for member, again in zip(error.exceptions, described.members, strict=True):
                member.__traceback__ = _traceback(_Description(*again).lines)
    except Exception:  # noqa: S110 - the exception itself matters more than what hangs on it
        pass
    return error


def _instance(described: _Description) -> BaseException:
    if described.pickled is not None:
        try:
            error = loads(described.pickled)
            if isinstance(error, BaseException):
                return error
        except BaseException:  # noqa: S110 - even a SystemExit out of somebody's __setstate__
            pass
    if described.parts is not None:
        try:
            pickled_kind, args, state = described.parts
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
            error.__dict__.update({key: loads(value) for key, value in state.items()})
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
