"""What runs inside a process that makes calls for `compare`.

A thread of its own reads what comes in, so that the parent is never kept from writing, and the parent never writes
while this process could be kept from answering. Calls are made on the main thread where there is one at a time.
"""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cloudpickle

from whilst.comparing.calling import Sampler, make_call, make_coroutine_call
from whilst.comparing.days.frames import read_frame, write_frame
from whilst.comparing.measures import peak_memory_bytes
from whilst.comparing.outcomes import Failure, Outcome
from whilst.comparing.recording import CallRecord
from whilst.running.policies.choosing import gives_coroutines

__all__ = ["main"]

_Message = tuple[int, bytes] | None
"""An item's number and the item, pickled; None: there are no more."""


def main() -> None:
    """Load the function, then answer calls until told to stop; end at once when the parent is gone."""
    messages, answers = os.dup(0), os.dup(1)
    # What the function reads or prints must not get between the frames, nor into the report.
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    try:
        job = read_frame(messages)
    except EOFError:
        return
    try:
        fn, at_once, folder, arguments = pickle.loads(job)
        os.chdir(folder)
        sys.argv = arguments
    except BaseException as error:
        write_frame(answers, pickle.dumps(str(Failure.of(error))))
        return
    write_frame(answers, pickle.dumps("ready"))
    desk = _Desk(fn, messages, answers)
    with Sampler() as sampler:
        if gives_coroutines(fn):
            import asyncio  # half of this process's start-up, where nobody needs it

            asyncio.run(desk.loop(at_once))
        else:
            _on_threads(desk, at_once, sampler)
    write_frame(answers, pickle.dumps((sampler.samples, peak_memory_bytes())))


def _on_threads(desk: _Desk, at_once: int, sampler: Sampler) -> None:
    inbox: queue.SimpleQueue[_Message] = queue.SimpleQueue()
    threading.Thread(target=desk.read, args=(inbox.put,), daemon=True).start()
    if at_once == 1:
        desk.work_off(inbox, "", sampler)
        return
    lanes = [f", thread {number + 1}" for number in range(at_once)]
    threads = [threading.Thread(target=desk.work_off, args=(inbox, lane, sampler), daemon=True) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class _Desk:
    def __init__(self, fn: Callable[[object], Any], messages: int, answers: int) -> None:
        self._fn, self._messages, self._answers = fn, messages, answers
        self._writing = threading.Lock()

    def read(self, put: Callable[[_Message], object]) -> None:
        """Take in messages until the parent's pipe closes."""
        try:
            while True:
                put(pickle.loads(read_frame(self._messages)))
        except EOFError:
            # The parent is gone, or has given up: nobody is left who would want an answer.
            os._exit(0)

    def work_off(self, inbox: queue.SimpleQueue[_Message], lane: str, sampler: Sampler) -> None:
        sampler.register(lane)
        while (message := inbox.get()) is not None:
            number, payload = message
            try:
                item = pickle.loads(payload)
            except Exception as error:
                self._complain(number, error)
                continue
            self._answer(make_call(self._fn, item, number, lane))
        inbox.put(None)  # for the next thread

    async def loop(self, at_once: int) -> None:
        import asyncio

        inbox: asyncio.Queue[_Message] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def put(message: _Message) -> None:
            # Once the loop is closed nothing is expected but the end of the pipe.
            if not loop.is_closed():
                loop.call_soon_threadsafe(inbox.put_nowait, message)

        threading.Thread(target=self.read, args=(put,), daemon=True).start()

        async def work_off() -> None:
            while (message := await inbox.get()) is not None:
                number, payload = message
                try:
                    item = pickle.loads(payload)
                except Exception as error:
                    self._complain(number, error)
                    continue
                self._answer(await make_coroutine_call(self._fn, item, number, ""))
            inbox.put_nowait(None)

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work_off())

    def _answer(self, record: CallRecord) -> None:
        payload: bytes | None = None
        complaint = ""
        if record.outcome.failure is None:
            try:
                payload = cloudpickle.dumps(record.outcome.value)
            except Exception as error:
                complaint = f"The result of item {record.item} can't be sent back from a process: {Failure.of(error)}"
            record = replace(record, outcome=Outcome())
        self._send(pickle.dumps((record, payload, complaint)))

    def _complain(self, number: int, error: BaseException) -> None:
        self._send(pickle.dumps((None, None, f"Item {number} can't be loaded in another process: {Failure.of(error)}")))

    def _send(self, frame: bytes) -> None:
        with self._writing:
            write_frame(self._answers, frame)
