"""A connection to a Dask cluster: whether its workers can make our calls, who sits where, and who comes and goes.

A *seat* is one thread of one Dask worker. What is asked and heard here is the scheduler's; the calls are sent by
`running.backends.dask`. Nothing is sent to a worker that runs another Python or another whilst.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

from whilst._light import Record
from whilst.errors import ClusterError, MissingExtraError
from whilst.running.worker.parent import dask_tasks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _queue import SimpleQueue
    from typing import Any

    Client = Any

_ANSWERS_WITHIN_S = 10.0
_LEAST_WAIT_S = 1.0
_LOOK_EVERY_S = 1.0
"""How often the cluster is asked who is there, besides what it tells by itself."""
_SUBSCRIBES_AFTER_S = 0.05
CLOSES_WITHIN_S = 2.0
"""What is told to a cluster in the end is not waited for any longer."""
_BATCH_S = 0.2
"""Aim of a batch's length: some 20 round trips (10 ms)."""
BATCHES_PER_S = 1200
"""More than this no scheduler hands on: many seats get longer batches."""


def batch_s(seats: int) -> float:
    """The length of a batch that so many seats don't overrun the scheduler with."""
    return max(_BATCH_S, 2 * seats / BATCHES_PER_S)


class Place(Record):
    """A seat of the cluster that somebody may take."""

    address: str
    worker_id: str
    """Of the very process: its address may be another's later."""
    number: int


class Cluster:
    """A connection to a cluster, and who sits where in it. Made by `connect`; whoever has made it closes it."""

    def __init__(self, client: Client, *, is_own: bool) -> None:
        self.client = client
        self._is_own, self._is_closed = is_own, False
        self._known: dict[str, tuple[str, int]] = {}
        """By address: (id, threads)."""
        self._free: deque[Place] = deque()
        self._refused: dict[str, str] = {}
        """By address: a sentence that says who can't make our calls, why, and what to do."""
        self._listeners: list[SimpleQueue[Any]] = []
        self._looked_s = 0.0
        self.address: str = client.scheduler.address
        self.seats = 0
        """How many there are now."""

    @property
    def queued(self) -> int:
        """Seats that were asked for and are not there yet, as far as the cluster's own object tells."""
        made_by = getattr(self.client, "cluster", None)
        missing = set(getattr(made_by, "plan", ())) - set(getattr(made_by, "observed", ()))
        if not missing:
            return 0
        template = getattr(made_by, "new_spec", None) or {}
        options = template.get("options", {})
        threads = options.get("nthreads") or options.get("cores") or self.seats // max(len(self._known), 1)
        return len(missing) * max(int(threads), 1)

    @property
    def description(self) -> str:
        """Where calls are made, in words."""
        workers = len(self._known)
        return f"{self.seats:,} seats on {workers} Dask worker{'s' * (workers != 1)} of {self.address}"

    def open(self, timeout_s: float) -> None:
        """Find out who is there, and whether all of them can make our calls.

        Raises:
            ClusterError: it doesn't answer in time, or a worker can't.
        """
        try:
            self.client.sync(self._ask_all, callback_timeout=timeout_s)
        except (TimeoutError, OSError) as error:
            raise ClusterError(
                f"The scheduler at {self.address}, or one of its workers, does not answer within {timeout_s:g} s. "
                f"Restart what hangs, or pass a larger timeout_s to wait longer (at most {_ANSWERS_WITHIN_S:g} s)."
            ) from error
        self._looked_s = time.monotonic()
        if self._refused:
            raise ClusterError("; ".join(self._refused.values()) + ".")
        # Not now: the client waits for 10 ms after each of its messages, and the first calls are to be sent.
        self.client.loop.add_callback(self.client.loop.call_later, _SUBSCRIBES_AFTER_S, self._subscribe)

    def listen(self, inbox: SimpleQueue[Any]) -> None:
        """Have it told who comes and goes."""
        self._listeners.append(inbox)

    def unlisten(self, inbox: SimpleQueue[Any]) -> None:
        """No more of that."""
        with contextlib.suppress(ValueError):
            self._listeners.remove(inbox)

    def take(self) -> Place | None:
        """A seat that nobody has; None if there is none now."""
        while self._free:
            place = self._free.popleft()
            if self._known.get(place.address, ("",))[0] == place.worker_id:
                return place
        return None

    def give_back(self, place: Place) -> None:
        """Nobody sits there any more."""
        self._free.append(place)

    def look(self) -> None:
        """Ask who is there, now and then: what comes of it is told."""
        if time.monotonic() - self._looked_s > _LOOK_EVERY_S:
            self._looked_s = time.monotonic()
            self.client.loop.add_callback(self._look)

    @property
    def is_lost(self) -> bool:
        """The client has no scheduler any more."""
        return str(self.client.status) != "running"

    def hear(self, event: Any) -> None:
        """In Dask's thread: something has happened there."""
        action = event.get("action") if isinstance(event, dict) else None
        if action == "remove-worker":
            self._gone(event["worker"])
        elif action == "add-worker":
            self.client.loop.add_callback(self._look)

    def close(self) -> None:
        """Let go of it, and end the client if it was made here."""
        self._is_closed = True
        self.client.loop.add_callback(_unsubscribe, self)
        self._listeners.clear()
        if self._is_own:
            self._is_own = False
            self.client.close(timeout=CLOSES_WITHIN_S)

    def _subscribe(self) -> None:
        if not self._is_closed:
            _subscribe(self)

    async def _look(self) -> None:
        with contextlib.suppress(Exception):  # what is lost is noticed by whoever waits for it
            await self._refresh()

    async def _ask_all(self) -> None:
        """One question to each at the same time, so that a run begins after one round trip."""
        questions = [self._introduce(None)]
        if self.client not in _read_by_scheduler:
            questions.append(self._ask_scheduler())
        await asyncio.gather(*questions)

    async def _ask_scheduler(self) -> None:
        """It loads what is sent through it: whilst has to be there, too."""
        try:
            await self.client.run_on_scheduler(dask_tasks.version)
        except (ImportError, AttributeError) as error:
            self._refused[self.address] = f"The Dask scheduler at {self.address} {_why_refused(error)}"
        except Exception:  # it runs no functions for others, or is gone: the first batch would tell
            return
        else:
            _read_by_scheduler.add(self.client)

    async def _refresh(self) -> None:
        there = await self.client.scheduler.ncores()
        for address in [each for each in self._known if each not in there]:
            self._gone(address)
        new = [each for each in there if each not in self._known and each not in self._refused]
        if new:
            await self._introduce(new)

    async def _introduce(self, addresses: list[str] | None) -> None:
        """Have these Dask workers, or all, say who they are."""
        told = await self.client.run(dask_tasks.introduce, workers=addresses, on_error="return")
        for address, answer in told.items():
            if address in self._known or isinstance(answer, OSError):  # which is gone again
                continue
            why = _why_refused(answer)
            if why:
                self._refused[address] = f"The Dask worker at {address} {why}"
                continue
            worker_id, threads, *_ = answer
            self._known[address] = (worker_id, threads)
            self.seats += threads
            self._free.extend(Place(address, worker_id, each) for each in range(threads))
        self._tell(("seats",))

    def _gone(self, address: str) -> None:
        self._refused.pop(address, None)
        known = self._known.pop(address, None)
        if known is not None:
            self.seats -= known[1]
            self._tell(("gone", address))

    def _tell(self, message: tuple[Any, ...]) -> None:
        for inbox in list(self._listeners):
            inbox.put(message)


def _why_refused(answer: Any) -> str:
    """Why calls can't be made by a Dask worker that introduces itself so; "" if they can."""
    here, ours = dask_tasks.version(), sys.version_info[:2]
    remedy = f"run pip install 'whilst[dask]=={here}' there"
    if isinstance(answer, Exception):
        is_missing = isinstance(answer, ImportError) and answer.name in {None, "whilst"}
        what = "has no whilst" if is_missing else f"has another whilst than this program, {here} ({answer})"
        return f"{what}: {remedy}"
    _, _, python, found = answer
    if python != ours:
        theirs, own = (".".join(map(str, each)) for each in (python, ours))
        return f"runs Python {theirs}, and this program {own}, whose functions it can't load: start it with {own}"
    if found != here:
        return f"has whilst {found}, and this program {here}: {remedy}"
    return ""


_read_by_scheduler: weakref.WeakSet[Client] = weakref.WeakSet()
"""Clients whose scheduler has whilst."""
_heard_by: weakref.WeakKeyDictionary[Client, list[Cluster]] = weakref.WeakKeyDictionary()
"""A client has one handler for what happens in its cluster; runs that use it at the same time share it."""
_TOPIC = "all"


def _subscribe(cluster: Cluster) -> None:
    heard_by = _heard_by.setdefault(cluster.client, [])
    heard_by.append(cluster)
    if len(heard_by) == 1:

        def hear(event: tuple[float, Any]) -> None:
            for each in list(heard_by):
                each.hear(event[1])

        cluster.client.subscribe_topic(_TOPIC, hear)


def _unsubscribe(cluster: Cluster) -> None:
    heard_by = _heard_by.get(cluster.client, [])
    if cluster in heard_by:
        heard_by.remove(cluster)
        if not heard_by and not cluster.is_lost:
            with contextlib.suppress(ValueError):
                cluster.client.unsubscribe_topic(_TOPIC)


def connect(on: object, timeout_s: float | None) -> Cluster:
    """Connect to a cluster.

    Args:
        on: a `distributed.Client`, a cluster object, an address, or None for the client that is current.
        timeout_s: within which it has to answer: at least 1 s, at most 10.

    Raises:
        MissingExtraError: Dask is not installed.
        ClusterError: it doesn't answer, or its workers can't make our calls.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise MissingExtraError(
            "Calls on a cluster need Dask, which is not installed. Run: pip install 'whilst[dask]'."
        ) from error
    patience_s = min(max(timeout_s or _ANSWERS_WITHIN_S, _LEAST_WAIT_S), _ANSWERS_WITHIN_S)
    client: Client = on
    is_own = False
    try:
        if on is None:
            client = distributed.default_client()
        elif not isinstance(on, distributed.Client):
            if isinstance(on, str):
                _ask_scheduler(on, patience_s)
            client = distributed.Client(on, timeout=patience_s, set_as_default=False)
            is_own = True
    except (ValueError, TypeError) as error:
        raise ClusterError(
            f"on={on!r} names no Dask cluster: pass a distributed.Client, a cluster, or an address as "
            f"'tcp://host:8786'."
        ) from error
    except (OSError, TimeoutError) as error:
        raise ClusterError(
            f"No Dask scheduler answers at {on} within {patience_s:g} s. Start one there with 'dask scheduler', or "
            f"correct the address."
        ) from error
    if client.asynchronous:
        raise ClusterError(f"{client!r} belongs to an event loop: pass one made without asynchronous=True.")
    try:
        cluster = Cluster(client, is_own=is_own)
        cluster.open(patience_s)
    except BaseException:
        if is_own:
            client.close(timeout=CLOSES_WITHIN_S)
        raise
    return cluster


def _ask_scheduler(address: str, timeout_s: float) -> None:
    """See whether a scheduler answers: a client waits for ever for one that takes its connection and says nothing.

    Raises:
        OSError, ValueError, TimeoutError: none does in time, or this is no address.
    """
    distributed: Any = import_module("distributed")

    async def ask() -> None:
        security = distributed.Security().get_connection_args("client")
        async with asyncio.timeout(timeout_s), distributed.rpc(address, connection_args=security) as scheduler:
            await scheduler.ncores()

    # In a thread of its own: this one may be running an event loop.
    with ThreadPoolExecutor(1) as executor:
        try:
            executor.submit(asyncio.run, ask()).result()
        except (OSError, TimeoutError):
            raise
        except Exception as error:  # bytes that mean something else are taken for lengths, and what not
            raise ValueError(f"what answers at {address} is no Dask scheduler") from error
