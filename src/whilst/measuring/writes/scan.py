"""What a function writes that outlives its call, as far as its code tells.

Follows the user's own functions transitively, with what they are passed: closures, partials, bound methods,
classes, properties, handlers looked up in a table, functions handed to others. Library code is not followed.
Finds suspects only (`suspicions` says what is one); `Scan.unscanned` says where the trail was lost.
"""

from __future__ import annotations

import builtins
import contextvars
import functools
import operator
import sys
import types
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

from whilst.inspecting import ownership
from whilst.inspecting.objects import is_a, look_up, looks_up_itself
from whilst.measuring.roundtrip import PLAIN, SAME_ANYWHERE, is_itself_alone
from whilst.measuring.writes import implicit_calls as implicit
from whilst.measuring.writes.abstract_interpreter import Call, Frame
from whilst.measuring.writes.abstract_value import (
    ABSENT,
    FRESH,
    ITEM,
    UNKNOWN,
    AbstractValue,
    attribute,
    container,
    is_array,
    is_path_type,
    joined,
    path_type,
    shared,
    subscript,
)
from whilst.measuring.writes.arguments import (
    ANY,
    WITH_PARTS,
    bases_in,
    callable_natively,
    derived,
    held_in,
    holds_alone,
    is_bare,
    is_in_place,
    name_of,
    outputs_of,
    overriding,
    part_of_another,
    tables_in,
    within,
    writes_table,
)
from whilst.measuring.writes.binding import bind, bound_to, cells_of, shape_of, unwrapped
from whilst.measuring.writes.instructions import walk
from whilst.measuring.writes.suspects import Reach, Scan, Suspect
from whilst.measuring.writes.suspicions import Suspicions, is_path, may_be_path, may_change

_LOGGER: Final = "getLogger()"
_ITEM: Final = "its argument"
_DEFAULT: Final = "get()"
_DEEPEST: Final = 24
_ENTERS: Final = ("enter_context", "push", "enter_async_context", "push_async_exit")
"""Of an `ExitStack`."""
_EXECUTES: Final = ("execute", "executemany", "executescript")
_LOOK_UPS: Final = (operator.methodcaller, operator.attrgetter)
_FINDS_CODE: Final = ("import_module", "__import__", "resolve_name", "run_path", "run_module")
_COMPARES: Final = ("is_", "is_not", "eq", "ne")
_CONTAINERS: Final = (list, tuple, dict, zip, enumerate, reversed)
_CALLED: Final = (types.FunctionType, types.MethodType, functools.partial, operator.methodcaller)
_PLAIN: Final = (str, bytes, int, float, dict, list, set, tuple)
"""Types whose methods never wait."""
_MOST_FUNCTIONS: Final = 400
_SEARCHES: Final = ("get", "pop", "setdefault", "index", "count", "__getitem__", "__contains__")
"""Methods of a container that look for what they are given first."""
_PATHS_FROM_PATHS: Final = ("joinpath", "with_name", "with_stem", "with_suffix", "absolute", "resolve", "expanduser")


def scan(
    fn: Callable[..., object],
    sample: object = ABSENT,
    *,
    how: str = "item",
    on_load: Callable[[AbstractValue, Frame, int | None], None] | None = None,
) -> Scan:
    """Scan a function that is going to be called with items like `sample`.

    Args:
        fn: any callable; what is no Python function of the user's own yields an empty scan.
        sample: an item; its type lets methods called on items be followed.
        how: "item" for fn(item), "star" for fn(*item).
        on_load: told of what code looks up, with its frame and the line.
    """
    scanner = _Scanner()
    scanner.on_load = on_load
    item = AbstractValue(name=_ITEM, value=sample, root=sample, is_argument=True, from_item=True)
    if sample is ABSENT or ownership.is_lock(sample):
        item = item._replace(value=ABSENT)
    arguments = [item]
    if how == "star" and is_a(sample, (tuple, list)):
        arguments = [item._replace(value=part, root=part) for part in sample]
    scanner.items = len(arguments)
    callee = AbstractValue(name=name_of(fn), value=fn, root=fn, is_shared=True)
    try:
        returned = scanner.call(Call(callee, tuple(arguments), (), None, is_locked=False, guard=None), "")
    except Exception as error:  # bytecode nobody foresaw: the run must go on, as if it might write anything
        what = f"nobody knows what: its code can't be scanned ({type(error).__name__}: {error})"
        return Scan((Suspect(what, "", Reach.SHARED),), strangers=1)
    scanner.note_result(returned)
    found = scanner.result()
    # What is given back of something written under a lock tells in which order the calls came to it.
    suspects = tuple(
        suspect._replace(is_locked=False)
        if suspect.is_locked and returned.is_shared and returned.root is suspect.root is not ABSENT
        else suspect
        for suspect in found.suspects
    )
    return found._replace(
        suspects=suspects,
        sentinel=scanner.sentinel,
        identity=scanner.identity,
        looks_for=scanner.looks_for,
        kept=scanner.kept_result[0],
        is_kept_by_item=scanner.kept_result[1],
    )


class _Scanner:
    def __init__(self) -> None:
        self.suspicions = Suspicions()
        self.seen: dict[object, AbstractValue] = {}
        """What was followed already, with what that gives back."""
        self.items = 1
        """So many arguments the function is called with."""
        self.depth = 0
        self.functions = 0
        self.on_load: Callable[[AbstractValue, Frame, int | None], None] | None = None
        self.sleeps = False
        self.caches = False
        self.strangers = 0
        self.unscanned: list[str] = []
        self.sentinel = ""
        self.kept: dict[str, bool] = {}
        """What caches keep for items, by name: is it kept by nothing but the item itself?"""
        self.kept_result: tuple[str, bool] = ("", True)
        self.compared: set[int] = set()
        """Objects that something is compared with by identity."""
        self.identity = ""
        self.looks_for = ""
        self.locks: dict[int, list[Call]] = {}
        """By lock, what was done with it."""

    def result(self) -> Scan:
        for calls in self.locks.values():
            self.suspicions.use_lock(calls)
        unique: dict[tuple[object, ...], Suspect] = {}
        for suspect in self.suspicions.suspects:
            key = suspect.key
            if key not in unique or unique[key].is_hint:  # what the user's own code says is no hint
                unique[key] = suspect
        return Scan(
            tuple(unique.values()), self.sleeps, self.strangers, self.caches, self.functions, tuple(self.unscanned)
        )

    def call(self, call: Call, where: str) -> AbstractValue:
        """Follow one call; return what it gives back."""
        callee = call.callee
        if callee.among:
            results = [
                self.call(call._replace(callee=callee._replace(value=each, among=())), where) for each in callee.among
            ]
            return functools.reduce(joined, results)
        self._hand_over(call, where)
        if ownership.bound_generator(callee.value):
            self.suspicions.draw(callee.value, call, where)
            if getattr(callee.value, "__name__", "") in ownership.CHANGES_FIRST_ARGUMENT:
                self.suspicions.change_first_argument(call, where)
            return UNKNOWN
        if is_a(callee.value, functools.cached_property):
            return self._compute_cached(call, where)
        if callee.value is type and len(call.arguments) == 1 and call.arguments[0].is_known:
            return attribute(call.arguments[0], "__class__")
        if is_a(callee.value, weakref.ref):  # what it refers to is somebody else's
            return shared(f"{callee.name}()", callee.value())
        target, bound = unwrapped(callee)
        if is_a(target, functools.partial):
            return self._call_partial(target, call, where)
        if is_a(target, _LOOK_UPS) and call.arguments:
            made_by, given = cast("tuple[Any, tuple[str, ...]]", target.__reduce__())
            if is_a(target, operator.attrgetter):
                held = tuple(self._dotted(call, each, where) for each in given)
                return held[0] if len(held) == 1 else container(*held)
            name = (given or made_by.args)[0]
            held_method = attribute(call.arguments[0], name)
            return self.call(call._replace(callee=held_method, arguments=(ITEM,), names=()), where)
        if type(target).__name__ == "_lru_cache_wrapper":
            self.caches = True
            computes = AbstractValue(value=getattr(target, "__wrapped__", ABSENT))
            kept = self.call(call._replace(callee=computes, arguments=(*bound, *call.arguments)), where)
            # Whoever asks again gets the very same object.
            name = f"what {getattr(target, '__name__', callee.name)} keeps"
            kept = kept if kept.is_shared else kept._replace(name=name, is_shared=True)
            if any(each.from_item for each in call.arguments):
                is_by_item = sum(each.name == _ITEM for each in call.arguments) == self.items
                self.kept[kept.name] = self.kept.get(kept.name, is_by_item) and is_by_item
            return kept
        if is_a(target, types.FunctionType):
            if not ownership.is_own_code(target.__code__.co_filename):
                for each in getattr(target, "registry", {}).values() if hasattr(target, "dispatch") else ():
                    if ownership.is_own_function(each):  # a single-dispatch function has one for each type
                        self._enter(each, [*bound, *call.arguments], call)
                within = getattr(target, "__wrapped__", None)  # a library's wrapper around a function of the user's
                if ownership.is_own_function(within):
                    self._enter(within, [*bound, *call.arguments], call)
                return self._call_library(target, call, where)
            return self._enter(target, [*bound, *call.arguments], call)
        if is_a(target, type):
            return self._construct(target, call, where)
        if callee.made_by in _LOOK_UPS and call.arguments:  # of a name that nobody knows
            looked_up = derived((call.arguments[0], ITEM))
            if callee.made_by is operator.attrgetter:
                return looked_up
            return self.call(call._replace(callee=looked_up, arguments=(ITEM,), names=()), where)
        if target is ABSENT:
            self.strangers += callee.owner is None or not is_a(callee.owner.value, _PLAIN)
            return self._call_unknown(call, where)
        own_call = type(target).__dict__.get("__call__") if not callable_natively(target) else None
        if ownership.is_own_function(own_call):
            return self._enter(own_call, [callee, *call.arguments], call)
        if looks_up_itself(type(target)):  # whatever it is asked for it may have, as what makes columns has: not names
            target = look_up(type(target), "__call__", target)
        return self._call_library(target, call, where)

    def _dotted(self, call: Call, names: str, where: str) -> AbstractValue:
        """`operator.attrgetter("account.owner")` of its argument."""
        held = call.arguments[0]
        for name in names.split("."):
            held = attribute(held, name)
            getter = getattr(held.value, "fget", None) if is_a(held.value, property) else held.value
            if is_a(held.value, (property, functools.cached_property)):
                held = self.call(call._replace(callee=held._replace(value=getter), arguments=(), names=()), where)
        return held

    def _compute_cached(self, call: Call, where: str) -> AbstractValue:
        """A `cached_property` is asked for: if it never was, it is computed, and kept by its object.

        What the object gets by that is told by watched calls. A mode by name loses it with the item; of an object that
        all see only what computing it changes besides is lost, or done twice.
        """
        cached, owner = call.callee.value, call.callee.owner
        assert owner is not None
        if owner.is_argument:
            root = owner.value if owner.is_known else owner.root
            self.suspicions.suspects.append(
                Suspect(call.callee.name, where, Reach.ARGUMENT, root, changed=owner.value, is_hint=True)
            )
        function = getattr(cached, "func", None)
        if ownership.is_own_function(function):
            before, self.suspicions.hints = self.suspicions.hints, True
            self._enter(function, [owner], call)
            self.suspicions.hints = before
        return call.callee._replace(value=ABSENT, root=owner.root if owner.root is not ABSENT else owner.value)

    def _call_partial(self, target: functools.partial[object], call: Call, where: str) -> AbstractValue:
        def fixed(name: str, value: object) -> AbstractValue:
            return shared(f"{name} of the partial", value)

        arguments = [fixed(f"argument {place + 1}", value) for place, value in enumerate(target.args)]
        named = {name: fixed(name, value) for name, value in target.keywords.items()}
        inner = shared(getattr(target.func, "__name__", "fn"), target.func)
        return self.call(
            call._replace(
                callee=inner,
                arguments=(*arguments, *call.arguments, *named.values()),
                names=(*call.names, *named),
            ),
            where,
        )

    def _construct(self, kind: type, call: Call, where: str) -> AbstractValue:
        made = AbstractValue(made_by=kind, attributes={})
        if kind in _LOOK_UPS:
            naming = call.arguments if kind is operator.attrgetter else call.arguments[:1]
            names: list[Any] = [each.value for each in naming if is_a(each.value, str) and not each.from_item]
            if names and len(names) == len(naming):
                return AbstractValue(value=kind(*names))
        if kind is memoryview and call.arguments:
            return call.arguments[0]._replace(value=ABSENT, made_by=kind)
        self.suspicions.process_wide(kind, call, where)
        if hasattr(kind, "_member_map_"):  # an enumeration gives one of those that it has
            return subscript(AbstractValue(name=kind.__name__, value=kind, is_shared=True), UNKNOWN)
        texts = [each.value for each in call.arguments if is_a(each.value, str) and not each.from_item]
        if is_path_type(kind) and not ownership.is_own_type(kind) and texts and len(texts) == len(call.arguments):
            return made._replace(value=kind(*texts))
        for name in ("__init__", "__post_init__"):
            method = look_up(kind, name)
            if ownership.is_own_function(method):
                self._enter(method, [made, *(call.arguments if name == "__init__" else ())], call)
        myself = shared(kind.__name__, kind)
        given = self._enter_makers((look_up(kind, "__new__"), look_up(type(kind), "__call__")), myself, call)
        if given.is_shared:  # the one that there is
            return given
        if issubclass(kind, type):
            self._make_class(call)
        if ownership.is_own_function(ends := look_up(kind, "__del__")):
            self._enter(ends, [made], call)
        if not ownership.is_own_type(kind):
            self._use_in_library(call)
        return made._replace(holds=held_in(call.arguments)) if kind in _CONTAINERS else made

    def _enter_makers(self, makers: Iterable[object], kind: AbstractValue, call: Call) -> AbstractValue:
        given = UNKNOWN
        for maker in makers:
            maker = getattr(maker, "__func__", maker)
            if ownership.is_own_function(maker):
                given = joined(given, self._enter(maker, [kind, *call.arguments], call._replace(names=())))
        return given

    def _make_class(self, call: Call) -> None:
        """A class is made of the user's own, by a `class` statement or a call: its bases and their class know."""
        for base in bases_in(call):
            kind = type(base)
            makers = (look_up(base, "__init_subclass__"), look_up(kind, "__new__"), look_up(kind, "__init__"))
            self._enter_makers(makers, AbstractValue(made_by=base), call)

    def _call_library(self, target: object, call: Call, where: str) -> AbstractValue:
        """A function that is not the user's: nothing is known of it beyond the tables in `ownership`."""
        self.suspicions.process_wide(target, call, where)
        self._use_in_library(call)
        name = getattr(target, "__name__", "") or call.callee.attribute
        self._call_back(call)
        if target is builtins.__build_class__ or name == "new_class":
            self._make_class(call)
        module = getattr(target, "__module__", None) or getattr(getattr(target, "__objclass__", None), "__module__", "")
        if name == "sleep" and module in ("time", "asyncio.tasks"):
            self.sleeps = self.sleeps or call.guard is None or call.guard.is_of_item
        elif str(module).partition(".")[0] not in ownership.NEVER_WAITING or name in ("open", "input", "__import__"):
            self.strangers += 1
        if module == "_operator" and name in _COMPARES and len(call.arguments) == 2:
            self._compare_identity(*call.arguments, name in ("eq", "ne"))
        if name == "id" and module == "builtins" and call.arguments and call.arguments[0].is_argument:
            self.identity = self.identity or "it asks for the id() of its item"
        is_unbound = is_a(target, (types.MethodDescriptorType, types.WrapperDescriptorType))
        is_of_class = call.callee.owner is None or is_a(call.callee.owner.value, type)
        if name in ownership.CHANGES_FIRST_ARGUMENT or (is_unbound and is_of_class and name in ownership.MUTATORS):
            self.suspicions.change_first_argument(call, where)
        if name in ownership.FILLS_ARGUMENT or ownership.is_c_data(target):
            self.suspicions.fill_argument(call, where)
        if name == "open" and module in ownership.DATABASES:
            path = call.arguments[0] if call.arguments else UNKNOWN
            if not path.from_item or path.is_cut:
                self.suspicions.add_file(f"the database {path.value}" if path.is_known else "a database", call, where)
        elif name == "open":
            self.suspicions.open(call, where)
        elif name == "mkdir" and module in ("posix", "nt") and call.arguments:
            path = call.arguments[0]
            if path.is_cut or (not path.from_item and is_path(path.value)):
                self.suspicions.add_file("a folder that several calls make", call, where)
        elif name in ("makedirs", "mkdir") and str(module).partition(".")[0] in ("os", "pathlib"):
            self.suspicions.make_folder(call, where)
        elif name in ownership.WRITES_FILE and may_be_path(call.callee.owner):
            self.suspicions.write_file(call, where)
        elif name in ownership.USES_DESCRIPTOR and module in ("posix", "nt") and call.arguments:
            self.suspicions.use_descriptor(call, where)
        elif name in ("exec", "eval") and module == "builtins":
            self.suspicions.execute(call, where)
        elif name == "input":
            self.suspicions.suspects.append(Suspect("stdin, which all calls read", where, Reach.STATEFUL, ABSENT))
        if name in ("getattr", "vars", "iter", "reversed") and call.arguments:
            if name == "getattr":
                self._touch(call.arguments[0], ("__getattr__", "__getattribute__"), call)
            return derived(call.arguments)
        if name in ownership.VIEWS_OF_FIRST and call.arguments:
            return call.arguments[0]._replace(value=ABSENT, made_by=object)
        if filled := outputs_of(target, call):
            self.suspicions.fill_argument(call._replace(arguments=filled), where)
        if name in _SEARCHES and call.arguments and call.callee.owner is not None:
            self._look_for(call.arguments[0], call.callee.owner)
        if name == "cache_info" and call.callee.owner is not None:
            owner = call.callee.owner
            self.suspicions.suspect(Reach.SHARED, f"how often {owner.name} was asked", owner, call, where)
        if name in ("import_module", "__import__") and call.arguments and is_a(call.arguments[0].value, str):
            found = sys.modules.get(call.arguments[0].value)
            if found is not None and not call.arguments[0].from_item:
                return shared(found.__name__, found)
        if name in _FINDS_CODE and call.arguments and call.arguments[0].from_item:
            what = f"nobody knows what: {name}() finds code for it"
            self.suspicions.suspects.append(Suspect(what, where, Reach.STATEFUL, ABSENT))
        if name == "getLogger" and module == "logging":
            return AbstractValue(name="a logger", root=target, is_shared=True, attribute=_LOGGER)
        if name == "getcontext" and module in ("decimal", "_decimal") and callable(target):
            context = target()
            return shared("the decimal context of this thread", context)
        if is_a(target, types.BuiltinMethodType) and not is_a(target.__self__, (types.ModuleType, type(None))):
            return self._call_unknown(call._replace(callee=bound_to(call.callee, target)), where)
        if is_a(target, (types.MethodType, types.MethodDescriptorType)):
            return self._call_unknown(call, where)
        if name == "register" and call.callee.owner is not None and is_a(call.callee.owner.value, type):
            self.suspicions.write(call.callee.owner, call, where)  # of an abstract class
        if call.callee.owner is not None and not is_a(call.callee.owner.value, ownership.SETTLED_TYPES):
            if is_in_place(call) and (call.callee.owner.is_shared or call.callee.owner.is_argument):
                self.suspicions.write(call.callee.owner, call, where)
            self.suspicions.use_library_object(call.callee.owner, name, call, where)
        return FRESH

    def _call_unknown(self, call: Call, where: str) -> AbstractValue:
        """A method of something: on a container it may change it, on an open file it uses it up."""
        self._use_in_library(call)
        owner, name = call.callee.owner, call.callee.attribute
        if owner is None:
            return UNKNOWN
        if name == ANY:
            self._call_any(owner, call, where)
        if name in _EXECUTES and not owner.from_item and call.arguments and writes_table(call.arguments[0].value):
            self.suspicions.suspects.append(Suspect("a database", where, Reach.STATEFUL, ABSENT, is_hint=True))
        if name in _PATHS_FROM_PATHS and (kind_of_path := path_type(owner)) is not None:
            return AbstractValue(made_by=kind_of_path, from_item=owner.from_item, is_cut=owner.is_cut)
        if owner.made_by is not None:
            if is_path_type(owner.made_by) and name == "mkdir":
                self.suspicions.make_folder(call, where)
            elif is_path_type(owner.made_by) and name in (*ownership.WRITES_FILE, "open"):
                (self.suspicions.open if name == "open" else self.suspicions.write_file)(call, where)
            return self._call_method_of_class(owner, name, call)
        value = owner.value
        if is_a(value, contextvars.ContextVar) and name in ("set", "reset"):
            self.suspicions.set_variable(value, owner.name, call, where, is_reset=name == "reset")
        if is_a(value, (types.ModuleType, *ownership.SETTLED_TYPES)):
            return UNKNOWN
        kind = ownership.stateful_kind(value, name) if owner.is_known else ""
        if kind and owner.is_shared:
            self.suspicions.suspect(Reach.STATEFUL, f"{kind} that all calls use, {owner.name}", owner, call, where)
        elif kind and owner.is_argument:
            self.suspicions.write(owner, call, where)
        elif owner.attribute == _LOGGER and name in ownership.MUTATORS:
            self.suspicions.suspects.append(
                Suspect("a logger", where, Reach.SHARED, ABSENT, "", call.is_locked, call.guard, is_hint=True)
            )
        elif (
            (name in ownership.MUTATORS or (name == "partition" and is_array(value)) or is_in_place(call))
            and (owner.is_shared or owner.is_argument)
            and may_change(value)
        ):
            self.suspicions.write(owner, call, where)
        if is_array(value) and name in ownership.VIEWS_OF_ARRAY:
            return call.callee._replace(value=ABSENT, root=owner.root, made_by=object)
        if name in _SEARCHES and call.arguments:
            self._look_for(call.arguments[0], owner)
        if name in ("get", "setdefault", "pop", "popitem", "__getitem__", "values", "items", "keys"):
            found = subscript(owner._replace(value=value), call.arguments[0] if call.arguments else UNKNOWN)
            is_sentinel = len(call.arguments) == 2 and call.arguments[1].is_shared and is_bare(call.arguments[1].value)
            return call.arguments[1]._replace(attribute=_DEFAULT) if is_sentinel else found
        return FRESH

    def _call_method_of_class(self, owner: AbstractValue, name: str, call: Call) -> AbstractValue:
        results = [
            self._enter(method, [owner._replace(made_by=kind, or_made_by=()), *call.arguments], call)
            for kind in (owner.made_by, *owner.or_made_by)
            if kind is not None and ownership.is_own_function(method := look_up(kind, name))
        ]
        if results:
            return functools.reduce(joined, results)
        self._call_back(call)
        if name in _ENTERS and call.arguments:
            self._touch(call.arguments[0], implicit.WITH, call)
            return call.arguments[0]
        return UNKNOWN

    def _use_in_library(self, call: Call) -> None:
        """What a library is given it may hash, compare, go through or call: calls that are watched tell whether."""
        if self.suspicions.hints:
            return
        self.suspicions.hints = True
        try:
            for argument in call.arguments:
                for each in (argument, *argument.holds):
                    self._touch(each, implicit.BY_LIBRARY, call)
                    if each.is_argument and not each.is_shared:
                        self._use_item(each, call)
        finally:
            self.suspicions.hints = False

    def _use_item(self, item: AbstractValue, call: Call) -> None:
        """An item, or a part of it, is given to a library: what its class writes where that calls it is a hint."""
        kind = type(item.value) if item.is_known else item.made_by
        if kind is None or not ownership.is_own_type(kind):
            return
        found = (self.sleeps, self.caches, self.strangers, self.identity, self.looks_for)
        for method in implicit.own_methods(item, implicit.all_of(kind)):
            self.call(call._replace(callee=method, arguments=(ITEM,), names=()), "")
        self.sleeps, self.caches, self.strangers, self.identity, self.looks_for = found

    def _call_back(self, call: Call) -> None:
        """A library's method of an object of the user's, or one given his class, calls what that class overrides."""
        owner = call.callee.owner
        kinds = {each.value for each in call.arguments if is_a(each.value, type)}
        if owner is not None:
            kinds |= {owner.made_by if owner.made_by is not None else type(owner.value)}
        for kind in kinds:
            if kind is None or not ownership.is_own_type(kind) or self.suspicions.hints:
                continue
            is_owner = owner is not None and owner.is_known and type(owner.value) is kind
            self.suspicions.hints = True
            for function in overriding(kind):
                self._enter(function, [owner if owner and is_owner else AbstractValue(made_by=kind), ITEM], call)
            self.suspicions.hints = False

    def _call_any(self, owner: AbstractValue, call: Call, where: str) -> None:
        """`getattr(owner, name)(…)`, and nobody knows the name: watched calls tell, if it is the same in all."""
        before = self.suspicions.hints
        self.suspicions.hints = before or not call.callee.from_item
        if is_a(owner.value, WITH_PARTS):
            self.suspicions.write(owner, call, where)
        elif is_a(owner.value, types.ModuleType):
            self.call(call._replace(callee=subscript(attribute(owner, "__dict__"), UNKNOWN)), where)
        elif owner.made_by is not None or (
            owner.is_known and (ownership.is_own_type(type(owner.value)) or is_a(owner.value, type))
        ):
            bases = (*getattr(owner.value, "__mro__", ()), *(owner.made_by or type(owner.value)).__mro__)
            methods = {name: each for base in bases for name, each in vars(base).items()}
            for name, each in methods.items():
                each = getattr(each, "__func__", each) if is_a(each, (staticmethod, classmethod)) else each
                if ownership.is_own_function(each) and not name.startswith("__"):
                    self._enter(each, [owner, *call.arguments], call)
        self.suspicions.hints = before

    def _touch(self, owner: AbstractValue, names: tuple[str, ...], call: Call) -> None:
        if owner.is_known and owner.is_shared and not owner.is_constant:
            for method in implicit.own_methods(owner, names):
                self.call(call._replace(callee=method, arguments=(ITEM,), names=()), "")

    def _enter(self, function: types.FunctionType, arguments: list[AbstractValue], call: Call) -> AbstractValue:
        code = function.__code__
        variables = bind(function, arguments, call.names)
        key = (
            code,
            self.suspicions.hints,
            call.is_locked,
            call.is_put_back,
            None if call.guard is None or call.guard.is_of_item else call.guard,
            *shape_of(variables, code),
        )
        if key in self.seen:
            return self.seen[key]
        if self.depth >= _DEEPEST or self.functions >= _MOST_FUNCTIONS:
            self.unscanned.append(function.__qualname__)
            return UNKNOWN
        self.seen[key] = UNKNOWN  # it may call itself
        self.functions += 1
        returned = self._walk(code, function.__globals__, cells_of(function), variables, call)
        if returned.is_shared and returned.is_known:  # its object, its class, the one that there is
            self.seen[key] = returned
        return returned

    def _walk(
        self,
        code: types.CodeType,
        names: Mapping[str, object],
        free: Mapping[str, AbstractValue],
        variables: dict[str, AbstractValue],
        call: Call,
        lost: list[Call] | None = None,
    ) -> AbstractValue:
        place = f"{code.co_filename}:{{line}} in {code.co_qualname}"
        frame = Frame(
            code, names, free, variables, [], {}, [] if lost is None else lost,
            call.is_locked, call.guard, call.is_put_back,
            on_call=lambda inner: self._call_from(frame, inner, place.format(line=inner.line)),
            on_lock=self._use_lock,
            on_store=lambda store: self.suspicions.store(store, place.format(line=store.line), frame),
            on_return=self._returns,
            on_identity=self._compare_identity, on_search=self._look_for,
            on_load=None if (on_load := self.on_load) is None else lambda value, line: on_load(value, frame, line),
        )  # fmt: skip
        self.depth += 1
        try:
            returned = walk(frame)
            for inner in frame.nested:  # lambdas, comprehensions, inner functions: taken to be called
                outer = {**free, **frame.variables}
                known = {name: outer.get(name, UNKNOWN) for name in inner.co_freevars if name in free}
                local = {name: outer.get(name, UNKNOWN) for name in inner.co_freevars if name not in free}
                arguments = dict.fromkeys(inner.co_varnames[: inner.co_argcount], ITEM)
                if arguments:  # the first: of a comprehension what it goes through
                    arguments[next(iter(arguments))] = frame.given.get(inner, ITEM)
                self._walk(inner, names, known, {**local, **arguments}, call, frame.lost)
            if frame.lost:
                self._call_held(frame)
        finally:
            self.depth -= 1
        return returned

    def _call_from(self, frame: Frame, call: Call, where: str) -> AbstractValue:
        text = call.arguments[0].value if call.arguments else None
        if (call.callee.value is eval or call.callee.value is exec) and is_a(text, str):
            try:
                code = compile(text.strip(), "<text>", "eval" if call.callee.value is eval else "exec")
            except (SyntaxError, ValueError):
                return self.call(call, where)
            self._walk(code, frame.globals, {}, dict(frame.variables), call)
        for each in call.arguments:
            if is_a(each.value, types.CodeType):  # made here, and handed to another
                frame.given.setdefault(each.value, part_of_another(each, call.arguments))
        callee = call.callee
        is_unknown = callee.value is ABSENT and callee.owner is None and callee.made_by is None and not callee.among
        if is_unknown and callee.from_item:
            frame.lost.append(call)
        return self.call(call, where)

    def _call_held(self, frame: Frame) -> None:
        """Something is called that nobody knows: it may be one of the functions in a table that is named here."""
        call = frame.lost[0]
        for name in frame.code.co_names:
            for table in tables_in(frame.globals.get(name)):
                self.call(call._replace(callee=subscript(shared(name, table), UNKNOWN)), "")

    def _use_lock(self, call: Call) -> None:
        assert call.callee.owner is not None
        self.locks.setdefault(id(call.callee.owner.value), []).append(call)

    def _compare_identity(self, one: AbstractValue, other: AbstractValue, is_equality: bool) -> None:
        for item, known in ((one, other), (other, one)):
            self.compared.add(id(known.value))
            if item.is_argument and known.is_shared and not known.is_known and holds_alone(known.root):
                self.identity = self.identity or f"it asks whether its item is one of {known.name.removesuffix('[…]')}"
            if not (item.is_argument and known.is_known and known.is_shared) or is_a(known.value, SAME_ANYWHERE):
                continue
            if not is_equality or (is_itself_alone(known.value) and not (item.is_known and is_a(item.value, PLAIN))):
                self.identity = self.identity or f"it asks whether its item is {known.name}"

    def _look_for(self, one: AbstractValue, where: AbstractValue) -> None:
        """The item, or a part of it, is looked for among others, some of which equal only themselves."""
        is_of_kind = not one.is_known or not is_a(one.value, PLAIN)
        is_among = where.is_known and where.is_shared and holds_alone(where.value)
        is_among = is_among or any(each.is_known and is_itself_alone(each.value) for each in where.holds)
        if one.is_argument and is_of_kind and is_among:
            name = where.name or " and ".join(each.name for each in where.holds)
            self.looks_for = self.looks_for or f"it looks for its item, or a part of it, in {name}"

    def _returns(self, abstract: AbstractValue) -> None:
        if self.depth == 1:
            self.note_result(abstract)

    def note_result(self, abstract: AbstractValue) -> None:
        """The run gets this, or what holds it."""
        for each in within(abstract):
            is_told_apart = each.attribute == _DEFAULT and id(each.value) in self.compared
            if each.is_shared and is_bare(each.value) and not is_told_apart:
                self.sentinel = self.sentinel or each.name
            if each.name in self.kept and not self.kept_result[0]:
                self.kept_result = each.name, self.kept[each.name]

    def _hand_over(self, call: Call, where: str) -> None:
        """Functions passed to others are taken to be called; open files passed to others, to be used."""
        for argument in call.arguments:
            for each in argument.among:
                if ownership.is_own_function(each):
                    self.call(call._replace(callee=shared(argument.name, each), arguments=(ITEM,), names=()), where)
            if not argument.is_known or argument.is_constant or argument.value is call.callee.value:
                continue
            if is_a(argument.value, (types.MethodDescriptorType, types.BuiltinMethodType)):
                owner = argument.owner.value if argument.owner else getattr(argument.value, "__self__", None)
                if not is_a(owner, (types.ModuleType, type, type(None))):  # `map(SEEN.append, …)`
                    self.call(call._replace(callee=argument, arguments=(ITEM,), names=()), where)
            elif is_a(argument.value, _CALLED):
                target = argument.value.__func__ if is_a(argument.value, types.MethodType) else argument.value
                code = getattr(target, "__code__", None)
                if code is None or ownership.is_own_code(code.co_filename):
                    given = (part_of_another(argument, call.arguments),)
                    self.call(call._replace(callee=argument, arguments=given, names=()), where)
            elif argument.is_shared and (kind := ownership.stateful_kind(argument.value)):
                self.suspicions.suspect(
                    Reach.STATEFUL, f"{kind} that all calls use, {argument.name}", argument, call, where
                )
