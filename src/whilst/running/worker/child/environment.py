"""What surrounds a call: directory, environment, import path, context variables, log levels, warning filters.

Taken in the parent when a job is first sent, and put in place by a worker before the job's first batch, so that a
function finds what it would have found in a `for` loop. What can't travel (a context variable that holds a socket)
is left out: the function meets the variable's default, as it does in a new thread.
"""

from __future__ import annotations

import os
import sys
from _pickle import dumps, loads

from whilst.running import process_role
from whilst.running.calls.process_state import raw_environment
from whilst.running.worker.child import warning_filters
from whilst.running.worker.transport import byvalue
from whilst.running.worker.transport.serialization import dumps_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextvars import Context
    from typing import Any

    from whilst.running.calls.process_state import ProcessState

_THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_DECIMAL = "decimal_context"


def capture(context: Context | None, state: ProcessState) -> bytes:
    """The parent's surroundings, pickled."""
    variables = []
    for variable, value in context.items() if context is not None else ():
        place = ("decimal", _DECIMAL) if variable.name == _DECIMAL else byvalue.place_of_variable(variable)
        if place is not None:
            try:
                default = {} if place[1] == _DECIMAL else byvalue.default_of(variable)
                variables.append((*place, dumps_one((value, default))))
            except Exception:  # noqa: S112 - see above: what can't travel is left out
                continue
    return dumps(
        {
            "path": list(sys.path),
            "argv": list(getattr(sys, "argv", [])),
            "recursion_limit": sys.getrecursionlimit(),
            "cwd": state.cwd,
            "env": state.env,
            "variables": variables,
            "log_levels": _log_levels(),
            "warning_filters": warning_filters.written(state.filters),
            "streams": [_state_of(sys.stdout), _state_of(sys.stderr)],
            "authkey": _authkey(),
        },
        5,
    )


def with_program(surroundings: bytes, program: bytes) -> bytes:
    """The same with what the program has set at run time, for a worker that is no fork of it."""
    return dumps({**loads(surroundings), "program": program}, 5)


def program_of(surroundings: bytes) -> bytes | None:
    """What `with_program` has added."""
    found: bytes | None = loads(surroundings).get("program")
    return found


def _authkey() -> bytes | None:
    """By which this program's processes know each other: a `Manager`'s proxy, sent to a worker, needs it there."""
    if "multiprocessing.connection" not in sys.modules:
        return None
    process: Any = sys.modules["multiprocessing.process"]
    return bytes(process.current_process().authkey)


def _log_levels() -> dict[str, int] | None:
    """The levels that were set, by logger; "" is the root, None as a name would be `logging.disable`."""
    logging: Any = sys.modules.get("logging")
    if logging is None:
        return None
    manager = logging.root.manager
    levels = {"": logging.root.level, "\0disable": manager.disable}
    for name, logger in list(manager.loggerDict.items()):
        level = getattr(logger, "level", 0)
        if level:
            levels[name] = level
    return levels


def _state_of(stream: Any) -> str:
    if stream is None:
        return "none"
    return "closed" if getattr(stream, "closed", False) is True else "open"


def settle(data: bytes, native_threads: int | None) -> Context:
    """Put a worker into the captured surroundings; gives the context in which its calls are made."""
    found: dict[str, Any] = loads(data)
    # Before the directory changes: relative entries, "" among them, mean the new one either way.
    if sys.path != found["path"]:
        sys.path[:] = found["path"]
    sys.argv = found["argv"]
    if sys.getrecursionlimit() != found["recursion_limit"]:
        sys.setrecursionlimit(found["recursion_limit"])
    set_environment(found["env"])
    if found["cwd"] is not None:
        set_directory(found["cwd"])
    if native_threads is not None:
        _limit_native_threads(native_threads)
    warning_filters.install(found["warning_filters"])
    if found["authkey"] is not None:
        from multiprocessing import process

        process.current_process().authkey = found["authkey"]
    context = process_role.first_context()
    for module, name, pickled in found["variables"]:
        try:
            value, default = loads(pickled)
            if name == _DECIMAL:
                import decimal

                context.run(decimal.setcontext, value)
            else:
                context.run(byvalue.find_variable(module, name, default).set, value)
        except Exception:  # noqa: S112 - the module or the value can't be had here
            continue
    return context


_given_env: Mapping[bytes, bytes] | None = None
"""The parent's environment, as far as is known here. What calls and imports here have set themselves stays."""


def set_environment(env: Mapping[bytes, bytes]) -> None:
    """Change in `os.environ` what has changed in the parent's."""
    global _given_env
    before = dict(raw_environment()) if _given_env is None else _given_env
    _given_env = env
    if before == env:
        return
    for name in {*before, *env}:
        value = env.get(name)
        if value == before.get(name):
            continue
        if value is None:
            os.environ.pop(os.fsdecode(name), None)
        else:
            os.environ[os.fsdecode(name)] = os.fsdecode(value)


def set_directory(cwd: str) -> None:
    try:
        if os.getcwd() == cwd:
            return
    except OSError:  # the old one is gone
        pass
    try:
        os.chdir(cwd)
    except OSError:  # the new one is gone too: the call will find out, as it would have in a `for` loop
        pass


def log_settings(data: bytes) -> tuple[dict[str, int] | None, list[str]]:
    """(log levels, states of stdout and stderr): what `OutputCapture.settle` takes."""
    found = loads(data)
    return found["log_levels"], found["streams"]


def _limit_native_threads(count: int) -> None:
    """For libraries that are still to be loaded, then for those that are.

    `putenv` rather than `os.environ`: the libraries read C's environment, the user's function must not see it.
    """
    for name in _THREAD_LIMITS:
        os.putenv(name, str(count))
    if "numpy" in sys.modules or "torch" in sys.modules:
        try:
            import threadpoolctl
        except ImportError:
            return
        threadpoolctl.threadpool_limits(count)
