"""What an Executor's run is given and gives."""

from __future__ import annotations

import weakref

from whilst.running.executor.callbacks import SubmittedFuture
from whilst.running.executor.submissions import FutureSink


class Large:
    """What a call gave."""


def test_once_a_future_has_a_result_nothing_of_the_answer_holds_it() -> None:
    future, failed = SubmittedFuture[object](), SubmittedFuture[object]()
    sink = FutureSink({3: (future, (Large, (), {}), None, None), 4: (failed, (Large, (), {}), None, None)})  # type: ignore[dict-item]
    values: list[object] = [Large(), None]
    sink.deliver((3, 4), values, {4: ValueError("four")})
    held = weakref.ref(future.result())
    assert isinstance(held(), Large)
    del future
    assert held() is None
    assert values == [None, None]
    assert str(failed.exception()) == "four"
