"""Time, ids and chance: one clock for setup and tasks, the same draws in every execution, one shared generator."""

from __future__ import annotations

import datetime
import random
import secrets
import threading
import time
import uuid
from typing import Any


class Bucket:
    """Filled an hour ago: a refill is due."""

    def __init__(self) -> None:
        self.filled_at = time.time() - 3600
        self.filled_on = datetime.datetime.now() - datetime.timedelta(hours=1)
        self.started = time.monotonic()
        self.tokens = 0
        self.lock = threading.Lock()


def refill(bucket: Bucket) -> None:
    if time.time() - bucket.filled_at > 60:
        tokens = bucket.tokens
        bucket.tokens = tokens + 10


def refill_locked(bucket: Bucket) -> None:
    with bucket.lock:
        refill(bucket)


def refill_by_date(bucket: Bucket) -> None:
    if datetime.datetime.now() - bucket.filled_on > datetime.timedelta(minutes=1):
        tokens = bucket.tokens
        bucket.tokens = tokens + 10


def refill_by_date_locked(bucket: Bucket) -> None:
    with bucket.lock:
        refill_by_date(bucket)


class Entry:
    """Stamped by whoever wrote it last; nobody may find a stamp that lies ahead of its own clock."""

    def __init__(self) -> None:
        self.at = time.monotonic()
        self.hits = 0
        self.lock = threading.Lock()


def stamp(entry: Entry) -> None:
    time.sleep(10)
    with entry.lock:
        entry.at = time.monotonic()


def age(entry: Entry) -> bool:
    with entry.lock:
        return time.monotonic() >= entry.at


def age_counted(entry: Entry) -> bool:
    hits = entry.hits
    entry.hits = hits + 1
    return age(entry)


class Session:
    def __init__(self) -> None:
        self.id, self.token = uuid.uuid4(), secrets.token_hex(8)
        self.since, self.day = datetime.datetime.now(datetime.UTC), datetime.date.today()
        self.at, self.salt, self.draws = time.time(), random.random(), random.Random()
        self.n = 0
        self.lock = threading.Lock()


def bump(session: Session) -> None:
    n = session.n
    session.n = n + 1


def bump_locked(session: Session) -> None:
    with session.lock:
        bump(session)


def name_job(session: Session) -> tuple[Any, ...]:
    bump(session)
    return uuid.uuid4(), secrets.token_urlsafe(4), random.choice("abc")


def name_job_locked(session: Session) -> tuple[Any, ...]:
    with session.lock:
        bump(session)
    return uuid.uuid4(), secrets.token_urlsafe(4), random.choice("abc")


class Game:
    def __init__(self) -> None:
        self.deck = [1, 2, 3, 4]
        self.draws = random.Random(7)
        self.lock = threading.Lock()


def roll(_: Game) -> tuple[float, float]:
    random.seed(1)
    return random.random(), random.random()


def roll_locked(game: Game) -> tuple[float, float]:
    with game.lock:
        return roll(game)


def shuffle(game: Game) -> None:
    random.shuffle(game.deck)


def cut(game: Game) -> None:
    game.deck[:] = sorted(game.deck)


def shuffle_locked(game: Game) -> None:
    with game.lock:
        shuffle(game)


def cut_locked(game: Game) -> None:
    with game.lock:
        cut(game)


def bell(game: Game) -> list[float]:
    return [game.draws.gauss(0, 1), game.draws.gauss(0, 1)]


def bell_locked(game: Game) -> list[float]:
    with game.lock:
        return bell(game)


def bell_of_all(_: Game) -> list[float]:
    return [random.gauss(0, 1), random.gauss(0, 1)]


def bell_of_all_locked(game: Game) -> list[float]:
    with game.lock:
        return bell_of_all(game)


def ask(setup: Any, *tasks: Any, **options: Any) -> dict[str, Any]:
    return {"setup": setup, "tasks": list(tasks), **options}


PAIRS = {
    "a refill that is due": (ask(Bucket, refill, refill), ask(Bucket, refill_locked, refill_locked)),
    "a refill that is due by date": (
        ask(Bucket, refill_by_date, refill_by_date),
        ask(Bucket, refill_by_date_locked, refill_by_date_locked),
    ),
    "no stamp lies ahead": (
        ask(Entry, stamp, age_counted, age_counted, outcome=lambda entry, results: (entry.hits, results[1:])),
        ask(Entry, stamp, age, outcome=lambda _, results: results[1]),
    ),
    "ids and times in the state": (ask(Session, bump, bump), ask(Session, bump_locked, bump_locked)),
    "ids made by tasks": (ask(Session, name_job, name_job), ask(Session, name_job_locked, name_job_locked)),
    "one seed for all": (ask(Game, roll, roll), ask(Game, roll_locked, roll_locked)),
    "a deck shuffled and cut": (
        ask(Game, shuffle, cut, outcome=lambda game: game.deck),
        ask(Game, shuffle_locked, cut_locked, outcome=lambda game: game.deck),
    ),
    "gauss of one generator": (ask(Game, bell, bell), ask(Game, bell_locked, bell_locked)),
    "gauss of the hidden generator": (
        ask(Game, bell_of_all, bell_of_all),
        ask(Game, bell_of_all_locked, bell_of_all_locked),
    ),
}
