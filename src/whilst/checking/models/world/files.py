"""Files: calls that change something only if they succeed, and locks on files (`flock`).

Whoever makes a directory, or opens a file with O_EXCL, until that succeeds waits for somebody else to remove it: a call
that fails is a look. A `flock` that would block the process is made once the lock can be had.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import operator
import os
import stat
from collections.abc import Callable
from typing import Any, Final

from whilst.checking.engine.events import Op
from whilst.checking.engine.operations import Sync
from whilst.checking.engine.sites import Site
from whilst.checking.observe.c_calls import FILES, Outside
from whilst.checking.observe.registry import ModelRegistry

fcntl: Any = importlib.import_module("fcntl") if os.name == "posix" else None
# Which argument is the path, of calls that change something only if something is there, or nothing.
_THERE: Final[dict[Any, int]] = {os.rmdir: 0, os.unlink: 0, os.remove: 0}
_NOT_THERE: Final[dict[Any, int]] = {os.mkdir: 0, os.link: 1, os.symlink: 1}

_LOCKS: Final = Outside("the file's lock")


def _plain(path: Any) -> Any:
    """A path as text: `pathlib.Path` makes it by Python code, none of which may run while the scheduler measures."""
    return os.fspath(path) if hasattr(type(path), "__fspath__") else path


def _exists(path: Any) -> bool:
    try:
        os.lstat(path)
    except (OSError, TypeError, ValueError):
        return False
    return True


class Files:
    """Which descriptors hold a lock in the running execution."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry
        self._locked: dict[int, tuple[object, bool]] = {}
        self._opened: dict[int, tuple[int, int]] = {}  # by descriptor: which task opened it, and after how many others
        self._counts: dict[int, int] = {}
        registry.empty_each_time(self._opened, self._counts)
        registry.beginning.append(self)

    def begin(self) -> None:
        """A new execution. Who was cut off between locking a file and noting that did not unlock it."""
        for descriptor, (inode, _) in self._locked.items():
            with contextlib.suppress(OSError):
                found = os.fstat(descriptor)
                if (found.st_dev, found.st_ino) == inode:
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
        if self._locked:
            self._locked.clear()

    def _note(self, descriptor: int) -> int:
        """A descriptor's number says nothing: another file gets it once this one is closed."""
        task = self._registry.scheduler.cur
        self._counts[task] = count = self._counts.get(task, 0) + 1
        self._opened[descriptor] = (task, count)
        return descriptor

    def _sync(self, site: Site, sync: Sync) -> None:
        self._registry.access_log.sync(site, (2, id(FILES), None, site, FILES, sync))

    def _try(self, site: Site, measure: Callable[[], Any], needs: Callable[[Any], Any] = bool) -> None:
        """A call that changes something only if what is measured is as needed."""
        self._sync(site, Sync(Op.READ, measure, needs, writes=2))

    def by_path(
        self, call: Any, at: int, needs: Callable[[Any], Any], _registry: Any, site: Site, *arguments: Any, **named: Any
    ) -> Any:
        """A call that makes or removes what a path names."""
        if at < len(arguments) and not named.get("dir_fd"):
            self._try(site, functools.partial(_exists, _plain(arguments[at])), needs)
        else:
            self._registry.touch_outside(site, call)
        return call(*arguments, **named)

    def open(self, _registry: Any, site: Site, path: Any, flags: int, *rest: Any, **named: Any) -> int:
        """os.open."""
        path = _plain(path)
        if flags & os.O_CREAT and flags & os.O_EXCL:
            self._try(site, functools.partial(_exists, path), operator.not_)
        elif flags & (os.O_CREAT | os.O_TRUNC):
            self._try(site, functools.partial(_would_change, path, flags))
        return self._note(os.open(path, flags, *rest, **named))

    def open_file(self, _registry: Any, site: Site, file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
        """open."""
        if isinstance(mode, str) and "x" in mode:
            self._try(site, functools.partial(_exists, _plain(file)), operator.not_)
        else:
            self._registry.touch_outside(site, open)
        opened = open(file, mode, *rest, **named)  # noqa: PTH123, SIM115  # the call that was made
        self._note(opened.fileno())
        return opened

    def close(self, _registry: Any, site: Site, descriptor: int) -> None:
        """os.close."""
        self.give_back(site, descriptor)
        os.close(descriptor)

    def change_mode(self, call: Any, look: Any, _registry: Any, site: Site, file: Any, mode: int, **named: Any) -> None:
        """os.chmod, os.fchmod."""
        self._try(site, functools.partial(_has_other_mode, look, _plain(file), mode))
        call(file, mode, **named)

    # ------------------------------------------------------------------ locks

    def _state(self) -> frozenset[tuple[object, object, bool]]:
        """Which opening of a file has locked it, and whether for itself alone."""
        return frozenset((self._opened.get(each, each), *held) for each, held in self._locked.items())

    def lock(self, _registry: Any, site: Site, file: Any, operation: int) -> None:
        """fcntl.flock."""
        descriptor = file if isinstance(file, int) else file.fileno()
        if operation & fcntl.LOCK_UN:
            self.give_back(site, descriptor)
            fcntl.flock(descriptor, operation)
            return
        found = os.fstat(descriptor)
        inode, is_alone = (found.st_dev, found.st_ino), bool(operation & fcntl.LOCK_EX)

        opening = self._opened.get(descriptor, descriptor)

        def can_be_had(state: Any) -> bool:
            others = [held for held in state or () if held[0] != opening and held[1] == inode]
            return not any(is_alone or other[2] for other in others)

        blocks = not operation & fcntl.LOCK_NB
        kind = Op.ACQUIRE if blocks else Op.TRY
        sync = Sync(kind, self._state, can_be_had, blocks=blocks, writes=1 if blocks else 2)
        self._registry.access_log.sync(site, (2, id(_LOCKS), inode, site, _LOCKS, sync))
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        self._locked[descriptor] = (inode, is_alone)

    def give_back(self, site: Site, descriptor: int) -> None:
        """The descriptor's lock, if it has one, ends: it is unlocked, or closed."""
        held = self._locked.get(descriptor)
        if held is not None:
            sync = Sync(Op.RELEASE, self._state)
            self._registry.access_log.sync(site, (2, id(_LOCKS), held[0], site, _LOCKS, sync))
            self._locked.pop(descriptor, None)


def _would_change(path: Any, flags: int) -> bool:
    """Whether opening makes the file, or cuts it off."""
    try:
        size = os.stat(path).st_size  # noqa: PTH116  # a path may be bytes, or a descriptor
    except (OSError, TypeError, ValueError):
        return True
    return bool(flags & os.O_TRUNC and size)


def _has_other_mode(look: Any, file: Any, mode: int) -> bool:
    try:
        return stat.S_IMODE(look(file).st_mode) != mode
    except (OSError, TypeError, ValueError):
        return True


def install(registry: ModelRegistry) -> None:
    """Model what opens, makes, removes and locks files."""
    files = Files(registry)
    registry.closing = files.give_back
    models = registry.models
    for call, at in _THERE.items():
        models[id(call)] = functools.partial(files.by_path, call, at, bool)
    for call, at in _NOT_THERE.items():
        models[id(call)] = functools.partial(files.by_path, call, at, operator.not_)
    models[id(os.open)] = files.open
    models[id(os.close)] = files.close
    models[id(open)] = files.open_file
    models[id(os.chmod)] = functools.partial(files.change_mode, os.chmod, os.stat)
    if fcntl is None:
        return
    models[id(os.fchmod)] = functools.partial(files.change_mode, os.fchmod, os.fstat)
    models[id(fcntl.flock)] = files.lock
