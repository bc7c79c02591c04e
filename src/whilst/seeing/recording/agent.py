"""What runs inside a traced process: a thread that notes where every other thread, and every asyncio task, stands.

Standard library only, and nothing of whilst: it is loaded by its path into programs that may not have whilst at all.
It changes nothing that the program can notice, but for one more thread of the system: no thread object, no open file,
no signal handler. It notes only what changed, in lines of text that `reading.py` reads, and appends them to a file of
its process in the recorder's folder; once that can't be written any more, it ends.

Sampling, not hooks: one mechanism for every version, no cost per call or per step of a task, and nothing that a lock,
a C extension or another event loop could get past. What lasts shorter than the period is known by its share.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # without enum, which `signal` brings
import _thread
import gc
import os
import sys
from itertools import islice
from time import monotonic_ns, thread_time_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType
    from typing import Any

    Frames = list[tuple[CodeType, int]]

_PERIOD_S = 0.005
_ALONE_S = 0.01  # of a process of one thread, and where no thread holds up another, but a look would: without a GIL
_FLUSH_FIRST_NS, _FLUSH_NS = 10_000_000, 100_000_000
_LONGEST_S = 0.05
_BUDGET = 80  # between looks passes at least so many times what one takes: 1.25 % of a core
_TASKS_BUDGET = 160  # of looks at tasks; a loop waits for each
_BEAT_NS = 1_000_000_000
_FEWER_AFTER = 4_000  # looks; from then on they become rarer, so that a program may run for days
_DEEPEST = 60
_AGAIN = 20  # a thread seen twice at one place is walked again after so many looks
_ASYNC_RUNS = {"base_events.py": "run_forever", "runners.py": "run"}
_HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)
_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
_INTERPRETERS = ("_interpreters", "_xxsubinterpreters")  # frames of another interpreter can't be looked at safely


async def _nothing() -> None:
    """Gives a coroutine whose type can be asked for, without `types`, which imports more."""


_SUSPENDED = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))
_made: Any = _nothing()
_COROUTINE: Any = type(_made)
_made.close()
del _made


class _Log:
    """Lines for one process: codes, places, stacks and threads are numbered when they first come by."""

    def __init__(self, folder: str) -> None:
        self.started_ns = monotonic_ns()
        self.path = os.path.join(folder, f"{os.getpid()}-{self.started_ns}")
        self.lines: list[str] = []
        self._is_like_the_recorder = os.environ.get("WHILST_TRACE_PYTHON") == _PYTHON
        self._codes: dict[int, tuple[int, CodeType]] = {}
        self._places: set[tuple[int, int]] = set()
        self._stacks: dict[tuple[tuple[int, int], ...], int] = {}
        self._beat_at = 0
        self._flush_at, self._flush_ns = self.started_ns + _FLUSH_FIRST_NS, _FLUSH_FIRST_NS

    def stack_of(self, frames: Frames) -> int:
        """The number of a stack of (code, last instruction), innermost first."""
        key = tuple([(self._code(code), last) for code, last in frames])
        number = self._stacks.get(key)
        if number is None:
            number = self._stacks[key] = len(self._stacks)
            for (code, last), (known, _) in zip(key, frames, strict=False):
                if (code, last) not in self._places:
                    self._places.add((code, last))
                    self._place(code, last, known)
            self.lines.append(f"s {number} " + " ".join([f"{code}:{last}" for code, last in key]))
        return number

    def _code(self, code: CodeType) -> int:
        entry = self._codes.get(id(code))
        if entry is None:  # kept, so that its id stays its own
            entry = self._codes[id(code)] = (len(self._codes), code)
            about = (entry[0], code.co_firstlineno, code.co_qualname, code.co_filename)
            self.lines.append(f"c {about!r}")
        return entry[0]

    def _place(self, number: int, last: int, code: CodeType) -> None:
        position = next(islice(code.co_positions(), last // 2, None), (None,) * 4) if last >= 0 else (None,) * 4
        operation: int | str = code.co_code[last] if last >= 0 else ""
        if last >= 0 and not self._is_like_the_recorder:  # whose names the numbers stand for
            from opcode import opname

            operation = opname[code.co_code[last]]
        line = position[0] or code.co_firstlineno
        self.lines.append(f"p {(number, last, line, *position[1:], operation)!r}")

    def flush(self, now: int, *, is_last: bool = False) -> None:
        if now < self._flush_at and not is_last:
            return
        self._flush_ns = min(self._flush_ns * 2, _FLUSH_NS)
        self._flush_at = now + self._flush_ns
        if not self.lines and now < self._beat_at:
            return
        self._beat_at = now + _BEAT_NS
        self.lines.append(f"b {now}")  # still here
        data = ("\n".join(self.lines) + "\n").encode("utf-8", "surrogateescape")
        self.lines.clear()
        # Opened for each write: a program may close every descriptor, and a file of its own would get our number.
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while data:
                data = data[os.write(file, data) :]
        finally:
            os.close(file)


class Agent:
    """The looking thread of this process; ended before a fork, so that a program of one thread forks as one."""

    def __init__(self, folder: str, on_look: Callable[[int], None] | None = None) -> None:
        self._folder = folder
        self._on_look = on_look
        self._is_over = False
        self._native_id = 0
        self._begin()

    def _begin(self) -> None:
        self._log = _Log(self._folder)
        self._seen: dict[int, tuple[tuple[int, int], int, int, bool]] = {}
        self._named: dict[int, int] = {}
        self._tasks: dict[int, tuple[str, int]] = {}
        self._loops: dict[int, Any] = {}
        self._tasks_at = 0
        self._raw: dict[int, int] = {}
        self._others: set[int] = set()
        self._first = _thread.get_ident(), _thread.get_native_id()
        about = {
            "pid": os.getpid(),
            "parent": os.getppid(),
            "start_ns": self._log.started_ns,
            "version": tuple(sys.version_info[:3]),
            "has_gil": bool(_HAS_GIL()),
            "argv": [str(each) for each in getattr(sys, "orig_argv", [])[:20]],
            "library": os.path.dirname(os.__file__),
        }
        self._log.lines.append(f"h {about!r}")

    def start(self) -> None:
        self._wake, self._ended = _thread.allocate_lock(), _thread.allocate_lock()
        self._wake.acquire()
        self._ended.acquire()
        _thread.start_new_thread(self._run, ())

    def stop(self) -> None:
        """End the thread and write what it noted; returns once the system's thread has gone."""
        native = self._native_id
        self._wake.release()
        if not self._ended.acquire(True, 1.0):
            return
        for _ in range(200):
            if not native or not os.path.exists(f"/proc/self/task/{native}"):
                break
            self._wake.acquire(True, 0.0002)

    def _run(self) -> None:
        self._native_id = _thread.get_native_id()
        self._log.lines.append(f"i {self._native_id}")
        try:
            _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
            wake = self._wake
            while True:
                spent = self._look()
                age_s = (monotonic_ns() - self._log.started_ns) / 1e9
                usual_s = _PERIOD_S if len(self._seen) > 1 and _HAS_GIL() else _ALONE_S
                period_s = max(usual_s, age_s / _FEWER_AFTER, spent * _BUDGET / 1e9)
                if wake.acquire(True, min(period_s, _LONGEST_S)):
                    break
            self._log.flush(monotonic_ns(), is_last=True)
        except OSError:  # the folder has gone, or the disk is full: an empty file says so
            self._is_over = True
            try:
                os.close(os.open(self._log.path + ".cut", os.O_WRONLY | os.O_CREAT, 0o600))
            except OSError:
                pass
        except BaseException as error:  # never the program's; the interpreter may be ending
            self._is_over = True
            self._log.lines.append(f"n {monotonic_ns()} {error!r}")
            try:
                self._log.flush(0, is_last=True)
            except OSError:
                pass
        finally:
            self._ended.release()

    def finish(self) -> None:
        """The last look's end is the record's."""
        if not self._is_over:
            self._is_over = True
            self._log.lines.append(f"e {monotonic_ns()}")
            self.stop()

    # -------------------------------------------------------------------------------------------------- one look

    def _look(self) -> int:
        """See where all threads stand and, if it is time to, all tasks. Return the nanoseconds that threads took."""
        now, before = monotonic_ns(), thread_time_ns()
        log = self._log
        for name in _INTERPRETERS:
            module = sys.modules.get(name)
            if module is None or len(module.list_all()) < 2:
                continue
            raise RuntimeError("the program uses sub-interpreters, whose frames can't be looked at safely")
        threads = getattr(sys.modules.get("threading"), "_active", {})
        me, seen, parts = _thread.get_ident(), self._seen, []
        frames = sys._current_frames()
        for ident, frame in frames.items():
            if ident == me:
                continue
            key = (id(frame), frame.f_lasti)
            last = seen.get(ident)
            thread = threads.get(ident)
            if thread is None and ident not in self._raw and ident != self._first[0]:
                self._match(frames, threads)
            known = self._raw.get(ident, 0) if thread is None else getattr(thread, "_native_id", 0)
            if self._named.get(ident) != known:  # an ident is given to the next thread once its own has ended
                last = None if self._named.get(ident) else last
                self._named[ident] = known
                self._name(ident, thread)
            looks = last[1] if last is not None and last[0] == key else 0
            if last is not None and looks % _AGAIN and last[3]:
                seen[ident] = (key, looks + 1, last[2], True)
                continue
            # Without a GIL it may be running: only what is its innermost frame is safe then.
            is_whole = _HAS_GIL() or (looks > 0 and self._is_asleep(known, looks))
            stack = self._stack(frame, ident) if is_whole else [(frame.f_code, key[1])]
            number = log.stack_of(stack)
            if last is None or last[2] != number:
                parts.append(f"{ident}:{number}")
            seen[ident] = (key, looks + 1, number, is_whole)
        for ident in [each for each in seen if each not in frames]:
            del seen[ident]
            self._named.pop(ident, None)
            self._raw.pop(ident, None)
            self._loops.pop(ident, None)
            parts.append(f"{ident}:-1")
        del frame, frames
        if parts:
            log.lines.append(f"x {now} " + " ".join(parts))
        spent = thread_time_ns() - before
        if self._loops and now >= self._tasks_at:
            self._look_at_tasks(now)
        if self._on_look is not None:
            self._on_look(now)
        log.flush(now)
        return spent

    @staticmethod
    def _is_asleep(native: int, looks: int) -> bool:
        """Is a thread off its core that stood at one place for some looks? Where the system does not say, many tell."""
        try:
            file = os.open(f"/proc/self/task/{native}/stat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return looks >= _AGAIN
        try:
            return os.read(file, 512).rpartition(b")")[2].split()[0] in (b"S", b"D")
        except (OSError, IndexError):  # it has ended
            return False
        finally:
            os.close(file)

    def _match(self, frames: dict[int, FrameType], threads: dict[int, Any]) -> None:
        """Find the system's numbers of threads that `threading` does not know: both come in order of their birth."""
        try:
            every = {int(name) for name in os.listdir("/proc/self/task")}
        except OSError:
            return
        # Copied at once: without a GIL, threads begin and end meanwhile.
        taken = {getattr(thread, "_native_id", 0) for thread in threads.copy().values()} | set(self._raw.values())
        free = sorted(every - taken - self._others - {self._native_id, self._first[1]})
        ours = (self._first[0], _thread.get_ident())
        new = [each for each in reversed(frames) if each not in threads and each not in self._raw and each not in ours]
        if len(new) == len(free):
            self._raw.update(zip(new, free, strict=True))
        elif not new:
            self._others.update(free)  # of a library in C

    def _name(self, ident: int, thread: Any) -> None:
        native, name = getattr(thread, "_native_id", None) or self._raw.get(ident, 0), getattr(thread, "_name", "")
        if ident == self._first[0]:  # the one that started us: the main thread, or the one that forked
            native, name = self._first[1], name or "MainThread"
        # Both modules may be in the middle of their import.
        process = getattr(sys.modules.get("multiprocessing.process"), "_current_process", None)
        own = getattr(process, "_name", "MainProcess")
        self._log.lines.append(f"t {(ident, native, str(name), str(own))!r}")

    def _stack(self, innermost: FrameType, ident: int) -> Frames:
        found: Frames = []
        frame: FrameType | None = innermost
        while frame is not None and len(found) < _DEEPEST:
            code = frame.f_code
            found.append((code, frame.f_lasti))
            if ident not in self._loops and _ASYNC_RUNS.get(os.path.basename(code.co_filename)) == code.co_name:
                this = frame.f_locals.get("self")
                loop = getattr(this, "_loop", None) if code.co_name == "run" else this
                if loop is not None:
                    self._loops[ident] = loop
            frame = frame.f_back
        return found

    def _look_at_tasks(self, now: int) -> None:
        """Note every task that changed: r(unning), h(eld off by the loop), w(aiting), d(one)."""
        before = thread_time_ns()
        asyncio = sys.modules["asyncio"]
        parts, alive = [], set()
        for ident, loop in list(self._loops.items()):
            try:
                tasks, current = asyncio.all_tasks(loop), asyncio.current_task(loop)
            except RuntimeError:
                continue
            for task in tasks:
                future = getattr(task, "_fut_waiter", None)
                state = "r" if task is current else "h" if future is None or future.done() else "w"
                alive.add(id(task))
                key = (state, id(future))
                known = self._tasks.get(id(task))
                if known is None:
                    self._log.lines.append(f"m {(id(task), ident, str(task.get_name()))!r}")
                elif known == key:
                    continue
                stack = self._log.stack_of(self._awaits(task.get_coro()))
                self._tasks[id(task)] = key
                parts.append(f"{id(task)}:{state}:{stack}:{type(future).__name__ if state == 'w' else ''}")
            if loop.is_closed():
                del self._loops[ident]
        for each in [each for each in self._tasks if each not in alive]:
            del self._tasks[each]
            parts.append(f"{each}:d:-1:")
        if parts:
            self._log.lines.append(f"a {now} " + " ".join(parts))
        self._tasks_at = now + _TASKS_BUDGET * (thread_time_ns() - before)

    @staticmethod
    def _awaits(coroutine: Any) -> Frames:
        """Where a suspended coroutine stands, what it awaits last first."""
        found: Frames = []
        while coroutine is not None and len(found) < _DEEPEST:
            if type(coroutine) is _COROUTINE:  # nearly always
                frame, inner = coroutine.cr_frame, coroutine.cr_await
            else:
                names = next((each for each in _SUSPENDED if hasattr(coroutine, each[0])), None)
                frame, inner = [getattr(coroutine, name) for name in names] if names else (None, None)
            if frame is None:
                break
            found.append((frame.f_code, frame.f_lasti))
            coroutine = inner
        return found[::-1]

    # ------------------------------------------------------------------------------------------ what the program does

    def before_fork(self) -> None:
        if not self._is_over:
            self.stop()

    def after_fork_in_parent(self) -> None:
        if not self._is_over:
            self.start()

    def after_fork_in_child(self) -> None:
        if not self._is_over:
            self._begin()
            self.start()

    def on_gc(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] < 2 or self._is_over:
            return
        places: list[tuple[str, str, int | None]] = []
        now, frame = monotonic_ns(), sys._getframe(1) if phase == "start" else None
        while frame is not None and len(places) < _DEEPEST:  # not by number: those belong to the looking thread
            places.append((frame.f_code.co_filename, frame.f_code.co_qualname, frame.f_lineno))
            frame = frame.f_back
        self._log.lines.append(f"g {now} {_thread.get_ident()} {phase} {places!r}")


_agent: Agent | None = None


def start(folder: str, on_look: Callable[[int], None] | None = None) -> None:
    """Look at this process from now on, and at what it forks; the notes go into the folder."""
    global _agent
    is_first = _agent is None
    _agent = Agent(folder, on_look)
    if is_first:
        os.register_at_fork(
            before=lambda: _agent.before_fork() if _agent else None,
            after_in_parent=lambda: _agent.after_fork_in_parent() if _agent else None,
            after_in_child=lambda: _agent.after_fork_in_child() if _agent else None,
        )
    gc.callbacks.append(_agent.on_gc)
    import atexit

    atexit.register(finish)
    _agent.start()


def is_looking() -> bool:
    """Is this process looked at already, also by another who started it?"""
    other = sys.modules.get("_whilst_trace_agent")
    return any(each is not None and not each._is_over for each in (_agent, getattr(other, "_agent", None)))


def finish() -> None:
    """Look no more."""
    import atexit

    atexit.unregister(finish)
    if _agent is not None:
        _agent.finish()
        if _agent.on_gc in gc.callbacks:
            gc.callbacks.remove(_agent.on_gc)
