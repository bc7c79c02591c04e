"""Length-framed pickles over a pipe, and the start of an own worker process.

A fresh interpreter, not a fork: forking a process that has threads can deadlock the child, and `multiprocessing`'s
other start methods import the user's `__main__` again, which asks for an `if __name__` guard. A worker lives as
long as its standard input stays open, so it never outlives the process that started it, however that ends.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, Final

from whilst.errors import WorkerDiedError

__all__ = ["Child", "read_frame", "write_frame"]

_HEADER: Final = struct.Struct("<Q")


def write_frame(fd: int, payload: bytes) -> None:
    """Write the whole frame, however long."""
    for block in (_HEADER.pack(len(payload)), payload):
        view = memoryview(block)
        while view:
            view = view[os.write(fd, view) :]


def read_frame(fd: int) -> bytes:
    """Read one whole frame.

    Raises:
        EOFError: the other end is closed.
    """
    (size,) = _HEADER.unpack(_read_exactly(fd, _HEADER.size))
    return _read_exactly(fd, size)


def _read_exactly(fd: int, size: int) -> bytes:
    blocks = []
    while size:
        block = os.read(fd, min(size, 1 << 20))
        if not block:
            raise EOFError("the other end of the pipe is closed")
        blocks.append(block)
        size -= len(block)
    return b"".join(blocks)


class Child:
    """A worker process that runs `main()` of a module and speaks in frames."""

    def __init__(self, module: str, name: str, stack: ExitStack, *, pass_fds: Sequence[int] = ()) -> None:
        """Start the process; it is ended when the stack closes."""
        self.name = name
        self._stderr: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (it is one)
        # The child has the parent's import path, however the parent came by it, and none of its threads.
        code = f"import sys; sys.path[:] = {[str(each) for each in sys.path]!r}; from {module} import main; main()"
        command = [sys.executable, *subprocess._args_from_interpreter_flags(), "-c", code]  # type: ignore[attr-defined]  # noqa: SLF001 (as multiprocessing does)
        with _without_ctrl_c():
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                pass_fds=tuple(pass_fds),
                bufsize=0,
            )
            # Still without Ctrl-C: between the start and this line nobody would end the process.
            stack.callback(self._kill)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        """What to select on for the child's next frame, or its death."""
        return self._from.fileno()

    def send(self, value: object) -> None:
        """Pickle and send.

        Raises:
            WorkerDiedError: nobody is there to receive it.
        """
        self.send_bytes(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))

    def send_bytes(self, payload: bytes) -> None:
        try:
            write_frame(self._to.fileno(), payload)
        except BrokenPipeError:
            raise self._death() from None

    def receive(self) -> object:
        """The child's next frame, unpickled.

        Raises:
            WorkerDiedError: it died; the message names signal or exit code and what it last wrote to stderr.
        """
        return pickle.loads(self.receive_bytes())

    def receive_bytes(self) -> bytes:
        try:
            return read_frame(self._from.fileno())
        except EOFError:
            raise self._death() from None

    def _kill(self) -> None:
        """End the process at once and reap it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _death(self) -> WorkerDiedError:
        try:
            code = self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            return WorkerDiedError(f"The worker of {self.name} closed its pipe and goes on running; it was killed.")
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self._stderr.seek(0)
        tail = self._stderr.read()[-2000:].decode(errors="replace").strip()
        last = f" Its last words: {tail}" if tail else ""
        return WorkerDiedError(f"The worker of {self.name} {how} before it had finished.{last}")


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """A child started in here never sees Ctrl-C: its parent does, and ends it. The mask is inherited, so that
    there is no moment, while the child's interpreter starts, in which Ctrl-C would make it print a traceback."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
