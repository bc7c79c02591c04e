"""Prints, logs and warnings of a call in a worker, said again in the parent as if the call had run there.

In a worker `sys.stdout` and `sys.stderr` collect what is written, log records go to no handler, and warnings are
not shown; all of it travels with the batch's answer, in the order in which it happened. The parent writes it to
whatever its `sys.stdout` is by now, hands the records to its own loggers, and issues the warnings anew, under its
own filters. What is written to descriptor 2 directly (by C code, a child process, a crash) goes to a file in
memory, is passed on likewise, and is at hand when the worker has died. Descriptor 1 is the parent's own.
"""

from __future__ import annotations

import io
import os
import sys
from _pickle import dumps, loads

from whilst.running import process_role
from whilst.running.worker.transport.serialization import dumps_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from whilst.running.jobs import Job
    from whilst.running.worker.transport.status_page import StatusPage

_OUT, _ERR, _OUT_BYTES, _ERR_BYTES, _LOG, _WARNING, _RAW_ERR = range(7)
_KEPT_RAW_BYTES = 1 << 20
_HERE = __file__.rpartition("/worker/")[0]


class OutputCapture:
    """A worker's side: collects, and hands over what was collected so far."""

    def __init__(self, page: StatusPage, stderr_fd: int) -> None:
        self._page = page
        self._stderr_fd = stderr_fd
        self._stderr_seen = 0
        self._said: list[tuple[int, int, Any]] = []
        self._has_logging = False
        self.serial_here: Callable[[], int] = lambda: -1
        """The serial of the call that runs in this thread; set by whoever makes the calls."""

    def say(self, kind: int, data: Any) -> None:
        self._said.append((self.serial_here(), kind, data))
        if kind == _ERR:
            self._page.keep_tail(data)

    def install(self) -> None:
        sys.stdout = sys.__stdout__ = _Stream(self, _OUT, 1)  # type: ignore[misc,assignment]
        sys.stderr = sys.__stderr__ = _Stream(self, _ERR, 2)  # type: ignore[misc,assignment]
        import warnings

        warnings.showwarning = self._show_warning

    def settle(self, log_levels: dict[str, int] | None, streams: Sequence[str]) -> None:
        """Follow the parent's log levels, and the state of its streams: print to a closed one fails here too."""
        for name, kind, fd, state in (("stdout", _OUT, 1, streams[0]), ("stderr", _ERR, 2, streams[1])):
            stream: _Stream | None = getattr(sys, name)
            if state == "open" and type(stream) is _Stream and not stream.closed:
                continue
            stream = None if state == "none" else _Stream(self, kind, fd)
            if stream is not None and state == "closed":
                stream.close()
            setattr(sys, name, stream)
        self._log_levels = log_levels
        self._has_logging = False
        self.watch_logging()

    def watch_logging(self) -> None:
        """Route `logging` once the user's modules have imported it: it is not imported for its own sake."""
        logging: Any = sys.modules.get("logging")
        if self._has_logging or logging is None or not hasattr(logging, "root"):
            return
        self._has_logging = True
        for name, level in (self._log_levels or {}).items():
            if name == "\0disable":
                if logging.root.manager.disable != level:
                    logging.disable(level)
            elif (logger := logging.getLogger(name or None)).level != level:
                logger.setLevel(level)
        output = self

        def forward(logger: Any, record: Any) -> None:
            output.say(_LOG, _record_bytes(logger, record))

        logging.Logger.callHandlers = forward

    def take(self) -> bytes | None:
        """What was said since the last time, pickled; None for nothing."""
        self._take_raw()
        if not self._said:
            return None
        said, self._said = self._said, []
        return dumps(_joined(said), 5)

    def _take_raw(self) -> None:
        try:
            size = os.fstat(self._stderr_fd).st_size
            if size <= self._stderr_seen:
                return
            data = os.pread(self._stderr_fd, size - self._stderr_seen, self._stderr_seen)
            self._stderr_seen = size
            if size > _KEPT_RAW_BYTES:
                os.ftruncate(self._stderr_fd, 0)
                self._stderr_seen = 0
        except OSError:
            return
        self._said.append((-1, _RAW_ERR, data))

    def _show_warning(
        self, message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        del file, line  # a place to write to is the parent's to choose
        try:
            data = dumps_one((message, category, filename, lineno), shares_main=process_role.has_parents_main())
            loads(data)
        except Exception:
            data = dumps((str(message), UserWarning, filename, lineno), 5)
        self.say(_WARNING, data)


def _joined(said: list[tuple[int, int, Any]]) -> list[tuple[int, int, Any]]:
    """Pieces of one stream that follow each other, as one: `print` writes its end of line apart."""
    joined: list[tuple[int, int, Any]] = []
    pieces: list[str] = []
    last = (-1, -1)
    for serial, kind, data in [*said, (-1, -1, "")]:
        if pieces and (serial, kind) != last:
            joined.append((*last, "".join(pieces)))
            pieces = []
        if kind in {_OUT, _ERR}:
            pieces.append(data)
            last = (serial, kind)
        elif kind >= 0:
            joined.append((serial, kind, data))
    return joined


def _record_bytes(logger: Any, record: Any) -> bytes:
    """As `logging.handlers.QueueHandler` prepares records: arguments merged, traceback as text.

    With the name of the logger, and whether its filters have seen the record: those of the program are here only in
    a fork of it.
    """
    name, is_filtered = logger.name, bool(logger.filters)
    fields = dict(record.__dict__)
    try:
        fields["msg"] = record.getMessage()
    except Exception as error:
        fields["msg"] = f"{record.msg!r} (its arguments don't fit: {error!r})"
    fields["args"] = None
    if record.exc_info:
        import logging

        fields["exc_text"] = record.exc_text or logging.Formatter().formatException(record.exc_info)
    fields["exc_info"] = None
    try:
        return dumps_one((name, is_filtered, fields), shares_main=process_role.has_parents_main())
    except Exception:
        plain = {int, float, str, bool, type(None)}
        fields = {key: value if type(value) in plain else repr(value) for key, value in fields.items()}
        return dumps((name, is_filtered, fields), 5)


class _Stream(io.TextIOBase):
    """`sys.stdout` or `sys.stderr` of a worker."""

    encoding = "utf-8"
    errors = "backslashreplace"
    newlines = None

    def __init__(self, output: OutputCapture, kind: int, fd: int) -> None:
        self._output, self._kind, self._fd = output, kind, fd
        self.name = "<stdout>" if kind == _OUT else "<stderr>"
        self.mode = "w"
        self.buffer = _Bytes(output, kind + 2, fd)
        self.line_buffering = True

    def write(self, text: str, /) -> int:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if text:
            self._output.say(self._kind, text)
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def reconfigure(self, **_options: object) -> None:
        """Nothing to set: text leaves here as text."""


class _Bytes(io.RawIOBase):
    """The `buffer` under it."""

    def __init__(self, output: OutputCapture, kind: int, fd: int) -> None:
        self._output, self._kind, self._fd = output, kind, fd

    def write(self, data: Any, /) -> int:
        data = bytes(data)
        self._output.say(self._kind, data)
        return len(data)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd


class CapturedOutput:
    """The parent's side: what calls have said, until all calls before them are over.

    Calls of an Executor have nothing to do with each other, and are not waited for. What was said after a call whose
    failure ends the run is never said: a `for` loop would not have come there.
    """

    def __init__(self) -> None:
        self._held: list[tuple[int, Job, int, Any]] = []
        """Call, job, kind and what was said."""
        self._failed: dict[Job, set[int]] = {}
        """Calls whose failure ends the run, unless they are made again."""
        self._owed: set[int] = set()
        """Calls that were sent and taken back: output of later ones waits until they are sent again."""
        self._last: list[tuple[int, Any]] = []
        """Kind and what was said after all calls, by workers that ended."""

    @property
    def is_empty(self) -> bool:
        return not (self._held or self._last)

    def hold_last(self, data: bytes) -> None:
        """What a worker said as it ended: after what all calls have said."""
        self._last += [(kind, said) for _, kind, said in loads(data)]

    def hold(self, data: bytes, job: Job, first: int, id_at: Callable[[int], int | None]) -> None:
        """What came with an answer.

        Args:
            data: from `OutputCapture.take`.
            first: the lowest id of the calls that the answer is for.
            id_at: which call has a serial.
        """
        for serial, kind, said in loads(data):
            number = id_at(serial) if serial >= 0 else None
            self._held.append((first if number is None else number, job, kind, said))

    def failed(self, job: Job, ids: Iterable[int]) -> None:
        if job.stops_at_error and job.how != "call":
            self._failed.setdefault(job, set()).update(ids)

    def taken_back(self, ids: Iterable[int]) -> None:
        self._owed.update(ids)

    def sent(self, job: Job, ids: Iterable[int]) -> None:
        if job in self._failed:
            self._failed[job].difference_update(ids)
        if self._owed:
            self._owed.difference_update(ids)

    def say(self, in_hand: Iterable[tuple[Job, int]], *, is_over: bool) -> None:
        """Write what no earlier call can still precede.

        Args:
            in_hand: the lowest ids of the calls that workers have, by their jobs.
            is_over: nothing follows.
        """
        lowest: dict[Job, int] = {}
        for job, number in in_hand:
            lowest[job] = min(number, lowest.get(job, number))
        self._held.sort(key=lambda held: held[0])
        owed = min(self._owed, default=None)
        kept = []
        for each in self._held:
            number, job, kind, said = each
            end = min(self._failed.get(job, ()), default=number)
            is_next = number <= lowest.get(job, number) and (owed is None or number < owed)
            if number <= end and (is_over or job.how == "call" or is_next):
                _replay(kind, said)
            else:
                kept.append(each)
        self._held = [] if is_over else kept
        if is_over:
            for kind, said in self._last:
                _replay(kind, said)
            self._last = []


def _replay(kind: int, said: Any) -> None:
    """Say it again here. A stream or handler that fails is the parent's own trouble."""
    try:
        _replay_one(kind, said)
    # A closed stdout, a filter that turns a warning into an error by now, a handler's own bug: it must not cost
    # the results of calls that went well.
    except Exception:  # noqa: S110
        pass


def _replay_one(kind: int, said: Any) -> None:
    if kind == _RAW_ERR:
        os.write(2, said)
    elif kind == _LOG:
        import logging

        name, is_filtered, fields = loads(said)
        logger = logging.getLogger(name)
        record = logging.makeLogRecord(fields)
        if logger.isEnabledFor(record.levelno) and not logger.disabled:
            (logger.callHandlers if is_filtered else logger.handle)(record)
    elif kind == _WARNING:
        import warnings

        message, category, filename, lineno = loads(said)
        if filename.startswith(_HERE):
            # Laid at the door of the function's caller (stacklevel=2): here that is who called whilst.
            filename, lineno = _user_line()
        module, registry = _module_at(filename)
        warnings.warn_explicit(message, category, filename, lineno, module, registry)
    else:
        stream = sys.stdout if kind in {_OUT, _OUT_BYTES} else sys.stderr
        if stream is None:
            return
        if isinstance(said, bytes):
            buffer = getattr(stream, "buffer", None)
            if buffer is not None:
                stream.flush()
                buffer.write(said)
                return
            said = said.decode("utf-8", "backslashreplace")
        stream.write(said)


_registries: dict[str, dict[Any, Any]] = {}


def _user_line() -> tuple[str, int]:
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "whilst":
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def _module_at(filename: str) -> tuple[str, dict[Any, Any]]:
    """The module whose code stands there, with its register of warnings shown: once means once here too."""
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) == filename:
            return name, module.__dict__.setdefault("__warningregistry__", {})
    return filename.removesuffix(".py"), _registries.setdefault(filename, {})
