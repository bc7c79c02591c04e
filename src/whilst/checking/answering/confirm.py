"""Does it happen for real? The tasks of a counterexample in real threads, in a child process, over and over.

What belongs to the outcome is found out ahead, by the check's own engine. The child is a fork: it has the tasks as
they are, whatever they hold, and may crash or hang without harm. It runs the sequential orders for real first, since
what they end like may hold the time of day. Then come the rounds: all threads wait in a loop at one barrier, so that
they begin within a microsecond, with the shortest switch interval. That alone brings out most of what can happen. In
the second half of the time there is noise: each thread begins after a delay of its own and, on a build without the
GIL, stops for a moment ahead of random instructions. With the GIL it does not: a trace function may let the GIL go
where the eval loop never does, and would confirm what can't happen.
"""

from __future__ import annotations

import inspect
import itertools
import json
import os
import random
import select
import signal
import sys
import threading
import time
import traceback
import types
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from whilst._light import has_gil
from whilst.checking.answering.again import question_of
from whilst.checking.answering.checker import REMEMBERED, Checker
from whilst.checking.engine.events import Status, TaskResult
from whilst.checking.explain.tokens import Token
from whilst.checking.explorer.execution import Execution, Limits
from whilst.checking.explorer.explorer import Explorer
from whilst.checking.judge.operations import Scenario
from whilst.checking.judge.sequential import SequentialEndings
from whilst.checking.question import Question
from whilst.errors import CheckError, ReplayError
from whilst.inspecting.ownership import is_foreign
from whilst.model.verdict import Answer, Confirmation, Verdict

_STUCK_S: Final = 2.0  # a round that takes longer, and ten times as long as the tasks one after the other, hangs
_GRACE_S: Final = 10.0
_SWITCH_S: Final = 1e-6
_FIRST, _SECOND = "a spin barrier", "noise"


def confirm(verdict: Verdict, seconds: float) -> Confirmation:
    """See `Verdict.confirm`."""
    if verdict.counterexample is None or verdict.token is None:
        raise CheckError(f"there is nothing to confirm: the verdict is {verdict.answer}, without a counterexample")
    if not hasattr(os, "fork"):
        raise CheckError("confirm() runs the tasks in a fork of this process, which this system does not have")
    if not seconds > 0:
        raise CheckError(f"seconds is how long to try, more than 0, got {seconds!r}")
    rounds = _Rounds(_question_of(verdict.token))
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads: the child uses none of them
        pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            _serve(writer, rounds, seconds)
        finally:
            os._exit(0)
    os.close(writer)
    return _listen(pid, reader, verdict, seconds)


def _question_of(token: str) -> Question:
    if token in REMEMBERED:
        return REMEMBERED[token][0]
    try:
        return question_of(Token.parse(token).where)
    except ReplayError as error:
        raise CheckError(
            f"the tasks of this verdict can't be found again: {error}. Confirm it in the process that made it"
        ) from error


# ------------------------------------------------------------------------------------------------ here
def _listen(pid: int, reader: int, verdict: Verdict, seconds: float) -> Confirmation:
    """What the child says, until it is gone."""
    said: dict[str, Any] = {"rounds": 0, "how": _FIRST}
    deadline = time.monotonic() + seconds + _GRACE_S
    rest = b""
    is_over = False
    try:
        while not is_over:
            ready, _, _ = select.select([reader], [], [], max(deadline - time.monotonic(), 0))
            if not ready:
                break
            data = os.read(reader, 65_536)
            is_over = not data
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                said.update(json.loads(line))
    finally:
        os.close(reader)
        if not is_over:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    ended = said.get("ended", "")
    if not is_over:
        ended = "hang: the process did not answer any more"
    elif code < 0:
        ended = f"crash: {signal.Signals(-code).name}"
    is_meant = said.get("ended") and verdict.answer in (Answer.DEADLOCK, Answer.LIVELOCK)
    happened = bool(said.get("happened") or is_meant)
    needs = verdict.counterexample is not None and verdict.counterexample.needs_free_threading and has_gil()
    return Confirmation(
        happened=happened,
        rounds=said["rounds"],
        how=said["how"],
        ended=ended,
        ending=said.get("ending", ""),
        reason=said.get("reason", "") or ("it takes a build without the GIL, which this one has on" if needs else ""),
    )


# ------------------------------------------------------------------------------------------------ in the child
def _serve(writer: int, rounds: _Rounds, seconds: float) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def say(**what: Any) -> None:
        os.write(writer, json.dumps(what).encode() + b"\n")

    try:
        rounds.run(seconds, say)
    except BaseException as error:  # the parent tells the user
        say(reason=f"it could not be tried: {''.join(traceback.format_exception_only(error)).strip()}")


class _StuckError(Exception):
    """A round did not come to its end."""


class _Rounds:
    """The rounds of one question."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._draws = random.Random(0)  # noqa: S311
        self._stuck_s = _STUCK_S
        with Explorer(question.program, Limits()) as explorer:
            checker = Checker(question, explorer, time.monotonic())
            checker.prepare()
        self._judge = checker.judge

    def run(self, seconds: float, say: Callable[..., None]) -> None:
        """Until it has happened, or the time is up."""
        reason = "" if isinstance(self._question, Scenario) else self._in_sequence()
        if reason:
            say(reason=reason)
            return
        sys.setswitchinterval(_SWITCH_S)
        began = time.monotonic()
        for number in itertools.count(1):
            passed = time.monotonic() - began
            if passed >= seconds:
                return
            is_noisy = passed >= seconds / 2
            say(rounds=number, how=_SECOND if is_noisy else _FIRST)  # ahead of it: it may be the last
            try:
                ending = self._round(is_noisy=is_noisy)
            except _StuckError as error:
                sys.setswitchinterval(0.005)  # threads that go round and round would not let this one speak
                say(ended=f"hang: {error}")
                return
            if ending is not None:
                say(happened=True, ending=ending)
                return

    def _in_sequence(self) -> str:
        """The sequential orders for real; why nothing can be held against them, if so."""
        known: SequentialEndings = self._judge.sequential
        forms = set()
        known.endings.clear()
        for order in known.orders:
            seen = set()
            for _ in range(2):
                state, results, began = self._question.setup(), {}, time.monotonic()
                try:
                    for task in order:
                        results.update(self._together(state, [task], is_noisy=False))
                except _StuckError:
                    break  # no sequential order: a task waits for another one
                self._stuck_s = max(self._stuck_s, 10 * (time.monotonic() - began))
                judged = self._judge.measure.judge(state, [results[task] for task in range(len(results))])
                known.raised |= judged.raised
                known.endings[judged.form] = None  # type: ignore[assignment]
                seen.add(judged.form)
            forms |= seen
            if len(seen) > 1:
                return "one and the same order, run twice for real, ends in two ways: outcome= says what counts"
        return ""

    def _round(self, *, is_noisy: bool) -> str | None:
        """How it ended, if no sequential order ends so."""
        question = self._question
        state = question.history.begin_execution() if isinstance(question, Scenario) else question.setup()
        broken: list[str] = []
        results = self._together(state, range(len(question.tasks)), is_noisy=is_noisy, broken=broken)
        ordered = tuple(results[task] for task in range(len(results)))
        if broken:
            return broken[0]
        finding = self._judge.judge(Execution((), Status.DONE, state, ordered))
        if finding is None or finding.answer is Answer.INCONCLUSIVE:
            return None
        facts = self._judge.measure.facts(state, ordered)
        return ", ".join(f"{name} = {value}" for name, value in list(facts.items())[:6])

    def _together(
        self, state: object, tasks: Sequence[int], *, is_noisy: bool, broken: list[str] | None = None
    ) -> dict[int, TaskResult]:
        """The tasks at once, each in a thread of its own, coroutines in one event loop."""
        results: dict[int, TaskResult] = {}
        given = [(task, self._question.tasks[task]) for task in tasks]
        coroutines = [pair for pair in given if inspect.iscoroutinefunction(pair[1])]
        self._draws.shuffle(coroutines)
        jobs = [_job(task, function, state, results) for task, function in given if (task, function) not in coroutines]
        if coroutines:
            jobs.append(_loop_job(coroutines, state, results))
        barrier = _SpinBarrier(len(jobs))
        threads = []
        for job in jobs:
            noise = _Noise(self._draws.getrandbits(32)) if is_noisy else None
            threads.append(threading.Thread(target=_run, args=(job, barrier, noise), daemon=True))
        watch = self._question.always
        is_over = threading.Event()
        if watch is not None and broken is not None:
            threading.Thread(target=_watch, args=(watch, state, is_over, broken), daemon=True).start()
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + self._stuck_s
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0.001))
        is_over.set()
        stuck = [thread for thread in threads if thread.is_alive()]
        if stuck:
            raise _StuckError(", ".join(_place_of(thread) for thread in stuck))
        return results


def _job(
    task: int, function: Callable[..., object], state: object, results: dict[int, TaskResult]
) -> Callable[[], Any]:
    def job() -> None:
        try:
            results[task] = TaskResult(True, function(state))
        except BaseException as error:  # a task's outcome
            results[task] = TaskResult(True, None, error)

    return job


def _loop_job(
    coroutines: Sequence[tuple[int, Any]], state: object, results: dict[int, TaskResult]
) -> Callable[[], Any]:
    import asyncio  # most tasks are functions

    async def main() -> None:
        done = await asyncio.gather(*(function(state) for _, function in coroutines), return_exceptions=True)
        for (task, _), value in zip(coroutines, done, strict=True):
            is_error = isinstance(value, BaseException)
            results[task] = TaskResult(True, None, value) if is_error else TaskResult(True, value)

    return lambda: asyncio.run(main())


class _SpinBarrier:
    """Waited for in a loop: whoever sleeps at a lock is woken much too late."""

    def __init__(self, count: int) -> None:
        self._left = [None] * count

    def wait(self) -> None:
        self._left.pop()  # indivisible, with the GIL and without
        while self._left:
            pass


def _run(job: Callable[[], object], barrier: _SpinBarrier, noise: _Noise | None) -> None:
    barrier.wait()
    if noise is None:
        job()
        return
    noise.delay()
    if not has_gil():
        sys.settrace(noise.trace)
    try:
        job()
    finally:
        sys.settrace(None)


class _Noise:
    """Random delays of one thread."""

    def __init__(self, seed: int) -> None:
        self._draws = random.Random(seed)  # noqa: S311
        self._rate = self._draws.choice((0.01, 0.1, 0.3))

    def delay(self) -> None:
        """Up to some hundred microseconds, short ones as often as long ones."""
        for _ in range(1 << self._draws.randrange(14)):
            pass

    def trace(self, frame: types.FrameType, event: str, _argument: object) -> Any:
        """A trace function of threads."""
        if event == "call":
            if is_foreign(frame.f_code.co_filename):
                return None
            frame.f_trace_opcodes = True
        elif event == "opcode" and self._draws.random() < self._rate:
            self.delay()
        return self.trace


def _watch(always: Callable[[Any], object], state: object, is_over: threading.Event, broken: list[str]) -> None:
    while not is_over.is_set():
        try:
            holds = always(state)
        except Exception as error:
            broken.append(f"always= fails: {error}")
            return
        if not (holds or holds is None):
            broken.append("what always= asks for does not hold")
            return


def _place_of(thread: threading.Thread) -> str:
    """Where a thread stands, in code of the user's."""
    at = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001
    while at is not None:
        file = at.f_code.co_filename
        if not is_foreign(file):
            return f"{Path(file).name}:{at.f_lineno}"
        at = at.f_back
    return "a thread"
