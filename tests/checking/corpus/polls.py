"""Loops that look until something is there, and calls that change something only at times: racy and fixed, in pairs."""

from __future__ import annotations

import collections
import threading
import time
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


def take_with_backoff(shop: Shop) -> None:
    """Counts its tries, and sleeps for longer and longer."""
    tries = 0
    while not shop.lock.acquire(blocking=False):
        tries += 1
        time.sleep(0.01 * 2**tries)
    count = shop.count
    shop.count = count + 1
    shop.lock.release()


def take_late_with_backoff(shop: Shop) -> None:
    tries = 0
    while shop.lock.locked():
        tries += 1
        time.sleep(0.01 * 2**tries)
    count = shop.count
    shop.count = count + 1


def take_by_the_clock(shop: Shop) -> None:
    """How long it sleeps hangs on the time."""
    started = time.monotonic()
    while True:
        if shop.lock.acquire(blocking=False):
            break
        waited = time.monotonic() - started
        time.sleep(min(0.05, 0.001 + waited))
    count = shop.count
    shop.count = count + 1
    shop.lock.release()


def count_orders_once_there(shop: Shop) -> int:
    tries = 0
    while not shop.orders:
        tries += 1
        time.sleep(tries)
    return shop.count


def order_then_count(shop: Shop) -> None:
    shop.orders.append(1)
    shop.count = 1


def count_then_order(shop: Shop) -> None:
    shop.count = 1
    shop.orders.append(1)


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
    "a lock tried with backoff": pair_of([take_late_with_backoff] * 2, [take_with_backoff] * 2),
    "a lock tried by the clock": pair_of([take_late_with_backoff, take_by_the_clock], [take_by_the_clock] * 2),
    "a flag looked at with backoff": pair_of(
        [count_orders_once_there, order_then_count], [count_orders_once_there, count_then_order]
    ),
    "seen before": pair_of([count_new] * 2, [see] * 3, pattern="check-then-act"),
    "size around an add": pair_of([size_around] * 2, [size_around_locked] * 2),
}
