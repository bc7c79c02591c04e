"""A progress bar on the terminal: done, rate, time left. Nothing at all where stderr is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(title: str, total: int | None, *, is_wanted: bool) -> Iterator[Callable[[int], None] | None]:
    """Give a function that takes the number of calls finished since it was last called; None where there is no bar."""
    if not is_wanted or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    # No refresh thread: the bar is drawn when something was done.
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=False) as bar:
        task = bar.add_task(title, total=total, rate="")
        last = 0.0

        def advance(count: int) -> None:
            nonlocal last
            bar.advance(task, count)
            now = bar.get_time()
            if now - last > 0.1:
                last = now
                speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
                bar.update(task, rate=f"{speed:,.4g} calls/s" if speed else "")
                bar.refresh()

        yield advance
