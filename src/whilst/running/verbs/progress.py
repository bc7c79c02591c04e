"""A progress bar: done, rate, time left; on the terminal, or in a notebook's cell. Elsewhere there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, Final

from whilst.model.lengths import number_text

_EVERY_S: Final = 0.1


@contextmanager
def progress_bar(title: str, total: int | None, *, done: int = 0) -> Iterator[Callable[[int], None] | None]:
    """Give a function that takes the number of calls finished since it was last called; None where there is no bar.

    Args:
        done: calls that need not be made, since an earlier run has made them; they count as done, not in the rate.
    """
    if (show := _notebook_display()) is not None:
        with _notebook_bar(title, total, done, show) as advance:
            yield advance
    elif sys.stderr.isatty():
        with _terminal_bar(title, total, done) as advance:
            yield advance
    else:
        yield None


@contextmanager
def _terminal_bar(title: str, total: int | None, done: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    # No refresh thread: the bar is drawn when something was done.
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=False) as bar:
        task = bar.add_task(title, total=total, completed=done, rate="", count=_count(done, total))
        last = 0.0

        def advance(count: int) -> None:
            nonlocal last
            bar.advance(task, count)
            now = bar.get_time()
            if now - last > _EVERY_S:
                last = now
                speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
                rate = f"{number_text(speed)} calls/s" if speed else ""
                bar.update(task, rate=rate, count=_count(round(bar.tasks[0].completed), total))
                bar.refresh()

        try:
            yield advance
        finally:
            bar.update(task, count=_count(round(bar.tasks[0].completed), total))


def _notebook_display() -> Callable[..., Any] | None:
    """IPython's `display` where this is a kernel, whose cells show more than text; else None."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return ipython.display.display if getattr(shell, "kernel", None) is not None else None


@contextmanager
def _notebook_bar(
    title: str, total: int | None, done: int, show: Callable[..., Any]
) -> Iterator[Callable[[int], None]]:
    """One display, renewed in its place: no widgets are needed, and the last state is saved with the notebook."""
    before, start_s = done, time.monotonic()
    last_s = start_s

    def shown() -> dict[str, str]:
        took_s = time.monotonic() - start_s
        rate = (done - before) / took_s if took_s else 0.0
        said = _count(done, total)
        said += f", {number_text(rate)} calls/s" if rate else ""
        said += f", {_clock((total - done) / rate)} left" if rate and total is not None and total > done else ""
        bar = f'<progress value="{done}" max="{total}" style="width: 20em"></progress> ' if total else ""
        return {"text/html": f"<div>{escape(title)} {bar}{escape(said)}</div>", "text/plain": f"{title} {said}"}

    handle = show(shown(), raw=True, display_id=True)

    def advance(count: int) -> None:
        nonlocal done, last_s
        done += count
        now_s = time.monotonic()
        if now_s - last_s > _EVERY_S:
            last_s = now_s
            handle.update(shown(), raw=True)

    try:
        yield advance
    finally:
        handle.update(shown(), raw=True)


def _count(done: int, total: int | None) -> str:
    return f"{done:,} of {total:,}" if total is not None else f"{done:,} done"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
