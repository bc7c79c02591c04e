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
CLOSES_WITHIN_S = 2.0
"""What is told to a cluster in the end is not waited for any longer."""


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
        self._is_own = is_own
        self._known: dict[str, tuple[str, int]] = {}
        """By address: (id, threads)."""
        self._free: deque[Place] = deque()
        self._refused: dict[str, str] = {}
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
        return f"{self.seats} seats on {workers} Dask worker{'s' * (workers != 1)} of {self.address}"

    def open(self, timeout_s: float) -> None:
        """Find out who is there, and whether all of them can make our calls.

        Raises:
            ClusterError: it doesn't answer in time, or a worker can't.
        """
        try:
            self.client.sync(self._refresh, callback_timeout=timeout_s)
        except (TimeoutError, OSError) as error:
            raise ClusterError(
                f"The Dask cluster at {self.address} does not answer within {timeout_s:g} s. Is it up, and reached "
                f"from here? Pass a larger timeout_s to wait longer."
            ) from error
        if self._refused:
            raise ClusterError("; ".join(f"{address} {why}" for address, why in self._refused.items()))
        _subscribe(self)

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
        _unsubscribe(self)
        self._listeners.clear()
        if self._is_own:
            self._is_own = False
            self.client.close(timeout=CLOSES_WITHIN_S)

    async def _look(self) -> None:
        with contextlib.suppress(Exception):  # what is lost is noticed by whoever waits for it
            await self._refresh()

    async def _refresh(self) -> None:
        scheduler = self.client.scheduler
        threads: dict[str, int] = await scheduler.ncores()
        for address in [each for each in self._known if each not in threads]:
            self._gone(address)
        new = [each for each in threads if each not in self._known and each not in self._refused]
        if not new:
            return
        ask: dict[str, Any] = {"workers": new, "on_error": "ignore"}
        identities = await scheduler.broadcast(msg={"op": "identity"}, **ask)
        versions = await scheduler.broadcast(msg={"op": "versions", "packages": ["whilst"]}, **ask)
        for address in new:
            if address not in identities or address not in versions or address in self._known:
                continue
            why = await self._why_refused(address, versions[address])
            if why:
                self._refused[address] = why
                continue
            worker_id = identities[address]["id"]
            self._known[address] = (worker_id, threads[address])
            self.seats += threads[address]
            self._free.extend(Place(address, worker_id, each) for each in range(threads[address]))
        self._tell(("seats",))

    async def _why_refused(self, address: str, versions: dict[str, Any]) -> str:
        """Why calls can't be made by this Dask worker; "" if they can."""
        here = dask_tasks.version()
        packages = versions["packages"]
        python = ".".join(packages["python"].split(".")[:2])
        ours = f"{sys.version_info[0]}.{sys.version_info[1]}"
        if python != ours:
            return f"runs Python {python}, and this program {ours}: bytes of functions mean something else there"
        found = packages["whilst"]
        if found is None:  # not installed as a package, which is not to say that it isn't there
            answers = await self.client.run(dask_tasks.version, workers=[address], on_error="return")
            found = answers.get(address)
        if not isinstance(found, str):
            return f"has no whilst: install whilst {here} there, as here"
        if found != here:
            return f"has whilst {found}, and this program {here}: install the same there"
        return ""

    def _gone(self, address: str) -> None:
        self._refused.pop(address, None)
        known = self._known.pop(address, None)
        if known is not None:
            self.seats -= known[1]
            self._tell(("gone", address))

    def _tell(self, message: tuple[Any, ...]) -> None:
        for inbox in list(self._listeners):
            inbox.put(message)


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
            f"No Dask scheduler answers at {on} within {patience_s:g} s. Is it up, and reached from here?"
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
        executor.submit(asyncio.run, ask()).result()
