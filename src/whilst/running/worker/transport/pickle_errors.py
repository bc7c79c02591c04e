"""What could not cross between two processes: where in it the reason lies, what that is, and what to do about it.

Loaded only once something has failed, on either side. Walks what pickle would walk (containers, attributes, closures,
defaults, partials, bound objects) down to the innermost part that fails although none of its own parts does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from whilst._light import Record
from whilst.running.calls.bare import light_import
from whilst.running.worker.transport.serialization import dumps_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    # A worker that says what failed needs no errors of ours, and so not whilst itself.
    from whilst.errors import NotPicklableError
    from whilst.running.jobs import Job

_MAX_DEPTH = 12
_MAX_PARTS = 2_000


class Culprit(Record):
    """`path` is written as one would in Python: ".client._lock", "['db']", "[3]", "" for the object itself."""

    path: str
    kind: str
    remedy: str


_REMEDIES = (
    ("lock", "Make it inside the function, or pass mode='concurrent' (threads share it)."),
    ("generator", "Turn it into a list before, or pass mode='concurrent'."),
    ("socket", "Open it inside the function, or pass mode='concurrent'."),
    ("TextIOWrapper", "Pass the path and open it inside the function, or pass mode='concurrent'."),
    ("Buffered", "Pass the path and open it inside the function, or pass mode='concurrent'."),
    ("FileIO", "Pass the path and open it inside the function, or pass mode='concurrent'."),
    ("Connection", "Connect inside the function, or pass mode='concurrent'."),
    ("Cursor", "Connect inside the function, or pass mode='concurrent'."),
    ("thread", "Start it inside the function, or pass mode='concurrent'."),
    ("ContextVar", "Make it a global of its module, or pass mode='concurrent'."),
)
_REMEDY = "Make it inside the function, return only plain data of it, or pass mode='concurrent'."


def find_culprit(value: object) -> Culprit:
    """Find what in `value` can't be pickled."""
    stands_for = getattr(type(value), "__stands_for__", None)
    if stands_for is not None:  # ours: what is of the user's in it
        value = stands_for(value)
    path = ""
    seen: set[int] = set()
    for _ in range(_MAX_DEPTH):
        seen.add(id(value))
        for step, part in _parts(value):
            if id(part) not in seen and not _can_travel(part):
                path, value = path + step, part
                break
        else:
            break
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    remedy = next((remedy for word, remedy in _REMEDIES if word.lower() in name.lower()), _REMEDY)
    return Culprit(path, name, remedy)


def _can_travel(value: object) -> bool:
    try:
        dumps_one(value)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return False
    return True


def _parts(value: object) -> Iterator[tuple[str, object]]:
    for count, part in enumerate(_all_parts(value)):
        if count >= _MAX_PARTS:
            return
        yield part


def _all_parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, each in list(value.items()):
            yield f"[{key!r}]", each
            yield f" key {key!r}", key
    elif isinstance(value, (list, tuple)):
        for index, each in enumerate(value):
            yield f"[{index}]", each
    elif isinstance(value, (set, frozenset)):
        for each in value:
            yield " member", each
    yield from _parts_of_callable(value)
    if not isinstance(value, type):
        for name, each in light_import("whilst.inspecting.objects").attributes_of(value):
            yield f".{name}", each
        if type(value).__module__ == "__main__":  # its class goes by value, with all that stands in it
            for name, each in list(vars(type(value)).items()):
                if not name.startswith("__"):
                    yield f".{name}", each


def _parts_of_callable(value: object) -> Iterator[tuple[str, object]]:
    bound = getattr(value, "__self__", None)
    if bound is not None and not isinstance(bound, type) and callable(value):
        yield ".__self__", bound
    if type(value).__name__ == "partial":
        yield ".func", value.func  # type: ignore[attr-defined]
        yield ".args", value.args  # type: ignore[attr-defined]
        yield ".keywords", value.keywords  # type: ignore[attr-defined]
    code = getattr(value, "__code__", None)
    if code is None:
        return
    for name, cell in zip(code.co_freevars, getattr(value, "__closure__", None) or (), strict=False):
        try:
            yield f" (closure variable {name!r})", cell.cell_contents
        except ValueError:
            continue
    yield ".__defaults__", getattr(value, "__defaults__", None)
    yield ".__kwdefaults__", getattr(value, "__kwdefaults__", None)
    namespace = getattr(value, "__globals__", {})
    for name in code.co_names:
        if name in namespace:
            yield f" (global {name!r})", namespace[name]


def noun_of(job: Job) -> str:
    return "one of its arguments" if job.how == "call" else "its argument"


def not_picklable(name: str, noun: str, value: object, cause: BaseException) -> NotPicklableError:
    return refusal(name, noun, find_culprit(value), cause)


def refusal(name: str, noun: str, culprit: tuple[str, str, str], cause: BaseException) -> NotPicklableError:
    path, kind, remedy = culprit
    where = f"{noun} holds a {kind} at {path.strip()}" if path else f"{noun} is a {kind}"
    from whilst.errors import NotPicklableError

    error = NotPicklableError(f"{name} can't cross to another process: {where}, which can't be pickled. {remedy}")
    error.__cause__ = cause
    return error


def unloadable(name: str, noun: str, place: str, cause: BaseException) -> NotPicklableError:
    what = f"{type(cause).__name__}: {cause}"
    from whilst.errors import NotPicklableError

    error = NotPicklableError(
        f"{name}: {noun} was pickled but can't be rebuilt {place} ({what}). "
        "Give its class a __reduce__ that can be undone, or pass mode='concurrent'."
    )
    error.__cause__ = cause
    return error
