"""A timeline as JSON-ready values, and back, with every contradiction named."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final

from whilst.errors import TimelineError
from whilst.model.timeline import Numbered, Timeline

FORMAT: Final = "whilst timeline 1"
_CODES: Final = {
    "start_ns": "q",
    "end_ns": "q",
    "kind": "B",
    "executor": "I",
    "task": "I",
    "label": "I",
    "detail": "I",
}


def timeline_to_json(timeline: Timeline) -> str:
    """Write the timeline as one JSON object; `timeline_from_json` gives an equal one back."""
    return json.dumps(_plain(timeline))


def _plain(timeline: Timeline) -> dict[str, object]:
    tasks = timeline.tasks
    plain: dict[str, object] = {
        "format": FORMAT,
        "name": timeline.name,
        "cores": timeline.cores,
        "unit": timeline.unit,
        "unit_s": timeline.unit_s,
        "is_predicted": timeline.is_predicted,
        "facts": dict(timeline.facts),
        "after": {task: list(names) for task, names in timeline.after.items()},
        "executors": list(timeline.executors),
        "tasks": {"stem": tasks.stem, "length": tasks.length} if isinstance(tasks, Numbered) else list(tasks),
        "labels": list(timeline.labels),
        "details": list(timeline.details),
        "columns": {column: getattr(timeline, column).tolist() for column in _CODES},
    }
    if timeline.path is not None:
        plain["path"] = _plain(timeline.path)
    return plain


def timeline_from_json(text: str | bytes) -> Timeline:
    """Read what `timeline_to_json` wrote.

    Raises:
        TimelineError: not JSON, not a timeline, or columns that contradict themselves.
    """
    try:
        plain = json.loads(text)
    except ValueError as error:
        raise TimelineError(f"This is no timeline: it is not JSON ({error}).") from error
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        found = plain.get("format") if isinstance(plain, dict) else type(plain).__name__
        raise TimelineError(f"This is no timeline: its 'format' is {found!r}, not {FORMAT!r}.")
    try:
        return _from_plain(plain)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        if isinstance(error, TimelineError):
            raise
        missing = f"no entry {error}" if isinstance(error, KeyError) else str(error)
        raise TimelineError(f"This timeline is damaged: {missing}.") from error


def _from_plain(plain: Mapping[str, Any]) -> Timeline:
    tasks: Sequence[str]
    if isinstance(plain["tasks"], dict):
        tasks = Numbered(str(plain["tasks"]["stem"]), int(plain["tasks"]["length"]))
    else:
        tasks = tuple(plain["tasks"])
    return Timeline(
        executors=tuple(plain["executors"]),
        tasks=tasks,
        labels=tuple(plain["labels"]),
        details=tuple(plain["details"]),
        name=plain["name"],
        after={task: tuple(names) for task, names in plain["after"].items()},
        cores=plain["cores"],
        unit=plain["unit"],
        unit_s=plain["unit_s"],
        is_predicted=plain["is_predicted"],
        facts=dict(plain["facts"]),
        path=_from_plain(plain["path"]) if plain.get("path") is not None else None,
        **{column: array(code, plain["columns"][column]) for column, code in _CODES.items()},
    )
