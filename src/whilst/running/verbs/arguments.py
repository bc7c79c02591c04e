"""What the verbs are given: something to call and something to call it on, or tasks. Loads nothing of a run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def require_call(verb: str, fn: object, items: object) -> None:
    """Before any work: something to call, and something to call it on."""
    if not callable(fn):
        raise TypeError(f"{verb}() makes calls of a function, got {fn!r}. Pass the function itself: {verb}(fn, items).")
    is_async = hasattr(items, "__aiter__") and verb.startswith("a")
    if not (hasattr(items, "__iter__") or hasattr(items, "__getitem__") or is_async):
        if hasattr(items, "__aiter__"):
            raise TypeError(f"{verb}() takes items to loop over, got the async iterable {items!r}. Use a{verb}().")
        raise TypeError(f"{verb}() takes items to loop over, got {items!r}. For a single call, pass [{items!r}].")


async def awaited(awaitable: Awaitable[Any]) -> Any:
    """What a task that can be awaited gives, as a function gives it."""
    return await awaitable


def as_call(task: Callable[[], Any] | Awaitable[Any]) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """One task of `gather`, as a function and its arguments.

    Raises:
        TypeError: it is neither a function nor awaitable.
    """
    if isinstance(task, Awaitable):
        return awaited, (task,), {}
    if not callable(task):
        raise TypeError(
            f"gather() takes functions without arguments, got {task!r}. To pass arguments, write "
            f"functools.partial(fn, …) or lambda: fn(…)."
        )
    return task, (), {}
