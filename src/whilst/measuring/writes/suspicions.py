"""Turns a store or a call into a suspect: containers that change, files, settings, draws of random numbers.

It asks the tables of `ownership`; following the code is the scan's work.
"""

from __future__ import annotations

import os
import threading
import types
from collections.abc import Sequence

from whilst.inspecting import ownership
from whilst.inspecting.cpython import stores_to_first_argument
from whilst.inspecting.objects import is_a
from whilst.inspecting.ownership import holds_lock
from whilst.measuring.writes.abstract_interpreter import Call, Frame, Store
from whilst.measuring.writes.abstract_value import ABSENT, AbstractValue, is_array, is_path_type, shared
from whilst.measuring.writes.suspects import SEED, Reach, Suspect

_REVERTING = frozenset(["contextlib", "unittest.mock", "catch_warnings", "_RedirectStream", "alarm", "setitimer"])
"""Modules and names of what puts a setting back when it is over."""


class Suspicions:
    """The suspects so far. `where` is a place in the code, for people."""

    def __init__(self) -> None:
        self.suspects: list[Suspect] = []
        self.hints = False
        """What is added now is a hint: code that a library may call."""

    def store(self, store: Store, where: str, frame: Frame) -> None:
        target = store.target
        if target.owner is not None and is_a(target.owner.value, threading.local):
            if target.of_thread:  # watched calls tell whether it goes on from call to call
                self.suspects.append(
                    Suspect(
                        target.name, where, Reach.SHARED, target.owner.value, target.attribute,
                        guard=store.guard, is_hint=True,
                    )
                )  # fmt: skip
            return
        module = target.owner.value if target.owner is not None else None
        if is_a(module, types.ModuleType) and not ownership.is_own_module(module):
            self._add(Reach.PROCESS, target.name, target, store, where)
            return
        if _is_environment(target):
            self._add(Reach.PROCESS, "os.environ", target, store, where)
            return
        if target.is_argument:
            self._add(Reach.ARGUMENT, target.name or "its argument", target, store, where)
        elif target.is_shared:
            self._add(Reach.SHARED, _labelled(target, frame), target, store, where)

    def write(self, owner: AbstractValue, call: Call, where: str) -> None:
        if _is_environment(owner):
            self.suspect(Reach.PROCESS, "os.environ", owner, call, where)
        elif owner.is_argument:
            self.suspect(Reach.ARGUMENT, owner.name or "its argument", owner, call, where)
        else:
            self.suspect(Reach.SHARED, owner.name, owner, call, where)

    def change_first_argument(self, call: Call, where: str) -> None:
        if not call.arguments:
            return
        first = call.arguments[0]
        if not (first.is_shared or first.is_argument) or is_a(first.value, types.ModuleType):
            return
        kind = ownership.stateful_kind(first.value) if first.is_known else ""
        if kind:
            if first.is_shared:
                self.suspect(Reach.STATEFUL, f"{kind} that all calls use, {first.name}", first, call, where)
            else:
                self.write(first, call, where)
        else:
            self.write(first, call, where)

    def fill_argument(self, call: Call, where: str) -> None:
        """`struct.pack_into(…, BUFFER)`, `file.readinto(BUFFER)`: whichever of its arguments is a buffer."""
        for argument in call.arguments:
            is_others = argument.is_shared or argument.is_argument
            if is_others and argument.is_known and _is_buffer(argument.value):
                self.write(argument, call, where)

    def open(self, call: Call, where: str) -> None:
        """A file that is not the item's own, opened to add to it: its lines are in the order of the calls."""
        named = dict(zip(call.names, call.arguments[len(call.arguments) - len(call.names) :], strict=True))
        positional = call.arguments[: len(call.arguments) - len(call.names)]
        owner = call.callee.owner
        is_method = owner is not None and not is_a(owner.value, types.ModuleType)
        path = owner if is_method else positional[0] if positional else named.get("file")
        place = 0 if is_method else 1
        mode = named.get("mode") or (positional[place] if len(positional) > place else None)
        letters = mode.value if mode is not None and is_a(mode.value, str) else ""
        if path is None:
            return
        if "a" in letters and (not path.from_item or path.is_cut):
            what = f"the file {path.value}" if is_a(path.value, str) else "a file that calls add to"
            self.add_file(what, call, where)
        elif set(letters) & set("wx+"):
            self._write_named(path, call, where)

    def make_folder(self, call: Call, where: str) -> None:
        """A folder, by a function that may find it made: watched calls tell what they made."""
        owner = call.callee.owner
        is_method = owner is not None and not is_a(owner.value, types.ModuleType)
        path = owner if is_method else next(iter(call.arguments), None)
        if path is not None and path.is_cut:
            what = "a folder that several calls make"
            self.suspects.append(Suspect(what, where, Reach.STATEFUL, guard=call.guard, is_hint=True))

    def write_file(self, call: Call, where: str) -> None:
        """A method of a `Path` that changes what it names."""
        owner = call.callee.owner
        if owner is not None:
            self._write_named(owner, call, where)

    def _write_named(self, path: AbstractValue, call: Call, where: str) -> None:
        """A file is written. Its name may be the item's own; one that is the same for several items is shared."""
        if path.from_item and path.is_cut:
            self.add_file("a file whose name several items give", call, where)
        # Where a path is put together by a library's function, nobody can tell whether the item had a part in it:
        # `footprints` sees its name.
        elif not path.from_item and is_path(path.value):
            self.add_file(f"the file {path.value}", call, where)

    def use_lock(self, calls: Sequence[Call]) -> None:
        """A lock that is only taken, or only given back, counts something: a semaphore's turns."""
        last = calls[-1]
        owner = last.callee.owner
        if owner is None or not owner.is_shared:
            return
        is_tried = any(call.arguments and call.callee.attribute == "acquire" for call in calls)
        if len({call.callee.attribute for call in calls}) == 1:
            # Turns that nobody asks for can be given back in any order.
            self.suspect(Reach.SHARED, owner.name, owner, last._replace(is_locked=not is_tried), "")
        elif is_tried:
            # `if lock.acquire(blocking=False)`: in a loop nobody else ever has it.
            self.suspect(Reach.PROCESS, f"whether {owner.name} is taken", owner, last, "", reverts=True)

    def add_file(self, what: str, call: Call, where: str) -> None:
        self.suspects.append(Suspect(what, where, Reach.STATEFUL, ABSENT, "", call.is_locked, call.guard))

    def use_library_object(self, owner: AbstractValue, name: str, call: Call, where: str) -> None:
        """A method, written in Python, of a library's object: a connection, a container, a logger."""
        kind = ownership.stateful_kind(owner.value, name) if owner.is_known else ""
        if kind and owner.is_shared:
            self.suspect(Reach.STATEFUL, f"{kind} that all calls use, {owner.name}", owner, call, where)
        elif (kind and owner.is_argument) or (
            (name in ownership.MUTATORS or name == "set")  # as that of a ConfigParser
            and (owner.is_shared or owner.is_argument)
            and ownership.is_container(owner.value)  # `session.put` sends, and changes nothing here
        ):
            self.write(owner, call, where)
        elif owner.is_shared and owner.is_known and _sets_itself(call.callee.value) and not holds_lock(owner.value):
            self.suspects.append(
                Suspect(owner.name, where, Reach.SHARED, owner.value, "", call.is_locked, call.guard, is_hint=True)
            )

    def use_descriptor(self, call: Call, where: str) -> None:
        """`os.read(fd, …)`: an open file by its number."""
        number = call.arguments[0]
        if is_a(number.value, int) and not number.from_item and (number.is_shared or number.is_constant):
            name = number.name or f"descriptor {number.value}"
            self.suspect(Reach.STATEFUL, f"an open file that all calls use, {name}", number, call, where)

    def set_variable(self, variable: object, name: str, call: Call, where: str, *, is_reset: bool) -> None:
        """Of the context: in a loop the next call finds it; where calls have contexts of their own none does."""
        if is_reset:
            self.suspects = [each for each in self.suspects if each.root is not variable]
        else:
            self.suspects.append(
                Suspect(name, where, Reach.SHARED, variable, "", call.is_locked, call.guard, is_hint=True)
            )

    def execute(self, call: Call, where: str) -> None:
        """`exec(text, names)` calls what the text names, and assigns in a namespace that others see."""
        if not call.arguments or call.arguments[0].from_item or not call.arguments[0].is_known:
            what = "nobody knows what: it runs text as code"
            self.suspects.append(Suspect(what, where, Reach.STATEFUL, ABSENT))
        names = call.arguments[1] if len(call.arguments) > 1 else None
        if names is not None and names.is_shared:
            self.write(names, call, where)

    def process_wide(self, target: object, call: Call, where: str) -> None:
        module = getattr(target, "__module__", None) or ""
        name = getattr(target, "__qualname__", "")
        setting = ownership.PROCESS_WIDE.get((module, name))
        if not setting and ownership.sets_alarm(target):
            setting = "signal handlers"
        if setting:
            if setting == ownership.EVENT_LOOP:  # another thread has none, and a forked process shares its descriptors
                self.suspect(Reach.STATEFUL, setting, call.callee, call, where)
                return
            if setting == ownership.AT_EXIT:  # a worker ends before the program, and has a list of its own
                self.suspect(Reach.SHARED, setting, call.callee, call, where)
                return
            if name in ("getsignal", "gettrace", "getprofile"):  # a worker has none of the program's
                self.suspect(Reach.SHARED, setting, call.callee, call, where)
                return
            reverts = module in _REVERTING or name in _REVERTING
            reverts = reverts or (call.is_put_back and setting == ownership.FILTERS)
            self.suspect(Reach.PROCESS, setting, call.callee, call, where, reverts=reverts)
        elif left := ownership.left_in_library(target):
            self.suspects.append(Suspect(left, where, Reach.SHARED, ABSENT, "", call.is_locked, call.guard))
        elif module in ownership.UNSHARABLE_PACKAGES:
            self.suspect(
                Reach.PROCESS, f"the state that {module} keeps for the whole process", call.callee, call, where
            )

    def draw(self, target: object, call: Call, where: str) -> None:
        owner = getattr(target, "__self__", None)
        if getattr(target, "__name__", "") == "seed":
            self.suspect(Reach.PROCESS, SEED, call.callee, call, where)
            return
        abstract = shared("the shared random generator", owner)
        self.suspect(Reach.DRAWS, "the shared random generator", abstract, call, where)

    def suspect(
        self, reach: Reach, what: str, target: AbstractValue, call: Call, where: str, *, reverts: bool = False
    ) -> None:
        root = target.root if target.root is not ABSENT else target.value
        locked, guard, takes_item = call.is_locked, call.guard, any(each.from_item for each in call.arguments)
        self.suspects.append(
            Suspect(what, where, reach, root, "", locked, guard, reverts, target.value, self.hints, takes_item)
        )

    def _add(self, reach: Reach, what: str, target: AbstractValue, store: Store, where: str) -> None:
        root, slot, locked, guard = target.root, target.attribute, store.is_locked, store.guard
        changed = target.owner.value if slot and target.owner is not None else target.value
        self.suspects.append(
            Suspect(
                what, where, reach, root, slot, locked, guard,
                changed=changed, is_hint=self.hints, takes_item=store.takes_item,
            )
        )  # fmt: skip


def _sets_itself(method: object) -> bool:
    """Does a method of a library store to an attribute of its own object, as far as its own code says?"""
    function = method.__func__ if is_a(method, types.MethodType) else method
    if not is_a(function, types.FunctionType) or not function.__code__.co_argcount:
        return False
    return stores_to_first_argument(function.__code__)


def _is_buffer(value: object) -> bool:
    return is_a(value, (bytearray, memoryview)) or is_array(value) or ownership.is_c_data(value)


def may_be_path(owner: AbstractValue | None) -> bool:
    return owner is not None and (is_path(owner.value) or (owner.from_item and not owner.is_known))


def is_path(value: object) -> bool:
    """A path that is known before the call, the null device excepted."""
    return (is_a(value, str) or is_path_type(type(value))) and str(value) != os.devnull


def may_change(value: object) -> bool:
    return value is ABSENT or not is_a(value, (*ownership.SETTLED_TYPES, tuple, frozenset))


def _is_environment(abstract: AbstractValue) -> bool:
    return abstract.value is os.environ or abstract.root is os.environ  # not by ==: an array would compare its elements


def _labelled(target: AbstractValue, frame: Frame) -> str:
    if target.root is frame.globals or target.value is frame.globals:
        return f"the global {target.name}"
    return target.name or "something that all calls share"
