"""Loops that look until something is there, and calls that change something only at times: racy and fixed, in pairs."""

from __future__ import annotations

import collections
import threading
from functools import partial
from typing import Any


class Shop:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.orders: collections.deque[int] = collections.deque()
        self.tokens = ["token"]
        self.owner: dict[str, int] = {}
        self.seen: set[int] = set()
        self.count = 0


def order(shop: Shop) -> None:
    shop.orders.append(1)


def close(shop: Shop) -> None:
    shop.orders.clear()
    shop.orders.append(0)


def look_then_serve(shop: Shop) -> int:
    while not shop.orders:
        pass
    return shop.orders.popleft()


def serve(shop: Shop) -> int:
    """Asks for forgiveness, not for permission."""
    while True:
        try:
            return shop.orders.popleft()
        except IndexError:
            continue


def serve_locked(shop: Shop) -> int:
    while True:
        if shop.orders:
            with shop.lock:
                if shop.orders:
                    return shop.orders.popleft()


def take_token_late(shop: Shop) -> None:
    while not shop.tokens:
        pass
    token = shop.tokens[0]
    count = shop.count
    shop.count = count + 1
    shop.tokens[:] = [token]


def take_token(shop: Shop) -> None:
    """A list with one item is a lock."""
    while True:
        try:
            token = shop.tokens.pop()
            break
        except IndexError:
            continue
    count = shop.count
    shop.count = count + 1
    shop.tokens.append(token)


def own_late(shop: Shop, me: int) -> None:
    while "owner" in shop.owner:
        pass
    shop.owner["owner"] = me
    count = shop.count
    shop.count = count + 1
    shop.owner.pop("owner", None)


def own(shop: Shop, me: int) -> None:
    """So is `setdefault`."""
    while shop.owner.setdefault("owner", me) != me:
        pass
    count = shop.count
    shop.count = count + 1
    del shop.owner["owner"]


def count_new(shop: Shop) -> None:
    if 1 not in shop.seen:
        shop.seen.add(1)
        shop.count += 1


def see(shop: Shop) -> None:
    shop.seen.add(1)
    shop.seen.discard(2)
    shop.owner.pop("nobody", None)


def size_around(shop: Shop) -> int:
    before = len(shop.seen)
    shop.seen.add(1)
    return len(shop.seen) - before


def size_around_locked(shop: Shop) -> int:
    with shop.lock:
        return size_around(shop)


def pair_of(racy: list[Any], fixed: list[Any], expect: str = "not isolated", pattern: str = "") -> Any:
    return (
        {"setup": Shop, "tasks": racy, "expect": expect, "pattern": pattern},
        {"setup": Shop, "tasks": fixed},
    )


def both(task: Any) -> list[Any]:
    return [partial(task, me=1), partial(task, me=2)]


PAIRS: dict[str, Any] = {
    "served when there is one": pair_of([look_then_serve, order, close], [serve, order], "raises"),
    "two wait for two": pair_of([serve, serve, order], [serve_locked, serve_locked, order, order], "livelock"),
    "a token": pair_of([take_token_late] * 2, [take_token] * 2),
    "owned by setdefault": pair_of(both(own_late), both(own)),
    "seen before": pair_of([count_new] * 2, [see] * 3, pattern="check-then-act"),
    "size around an add": pair_of([size_around] * 2, [size_around_locked] * 2),
}
