"""Rewritten code objects: a template for the whole process, and an instance for each runtime that runs it.

Decoding and assembling take a millisecond a function, so a template is kept as long as the process lives. An instance
is a template with the hooks of one runtime and sites of its own; it is kept as long as the runtime (see `runtime`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from types import CodeType
from typing import Final, NamedTuple

from whilst.checking.engine.sites import Site, SiteTable, SiteTemplate
from whilst.checking.instrument.insert_hooks import CodeRewriter, Hooks
from whilst.checking.instrument.shared_variables import SharedVariables
from whilst.inspecting.cpython import version


class Instance(NamedTuple):
    """One code object as it runs in one module: `code` is the original, held so that its id stays its own."""

    code: CodeType
    new: CodeType
    sites: list[Site]
    version: int  # of the module's shared names when it was made


class Rewriter:
    """Rewrites code objects; one for each (code, globals) pair, nested code objects included."""

    def __init__(self, hooks: Hooks, site_table: SiteTable, *, at_every_instruction: bool = False) -> None:
        self.hooks, self.site_table = hooks, site_table
        self.at_every_instruction = at_every_instruction
        self.row = version()
        self.known_codes: set[int] = set()  # ids of what was made here; callers add what shall stay as it is
        self.returning: set[int] = set()  # ids of code objects whose return is an event
        self.site_count = 0
        self.has_made = False  # whether anything was rewritten that had not been in an earlier check
        self._instances: dict[tuple[int, int, bool], Instance] = {}
        self._own: dict[int, CodeType] = {}  # id of what was made here -> what it was made of
        self._outdated: list[Instance] = []  # code that may still run, so that its id stays its own

    def rewrite(self, code: CodeType, names: SharedVariables) -> CodeType:
        """The code object to run instead of `code` in functions whose globals are those of `names`."""
        is_returning = id(code) in self.returning
        key = (id(code), id(names.space), is_returning)
        known = self._instances.get(key)
        if known is not None:
            if known.version == names.version:
                return known.new
            self._outdated.append(known)
        form = (id(code), self.at_every_instruction, is_returning, names.stored_globals, names.stored_cells)
        template = _TEMPLATES.get(form)
        if template is None:
            writer = CodeRewriter(self, code, names)
            new = writer.run()
            instance = Instance(code, new, writer.sites, names.version)
            _keep_template(form, Template.of(code, new, self.hooks))
        else:
            instance = template.instantiate(self, names)
        self._instances[key], self.has_made = instance, True
        self.known_codes.add(id(instance.new))
        self._own[id(instance.new)] = code
        self.site_count += len(instance.sites)
        self.site_table.promote_named(instance.sites)
        return instance.new

    def own_code(self, new: CodeType) -> CodeType | None:
        """What that was made of, if it was made here."""
        return self._own.get(id(new))

    def end(self) -> None:
        """Let go of all code: it holds the hooks, which lead back here."""
        self._instances.clear()
        self._own.clear()
        self._outdated.clear()

    def add_site_keys(self, site_keys: Iterable[str]) -> None:
        """Promote the sites of these keys, those of code to come as well."""
        new = frozenset(site_keys) - self.site_table.named
        if not new:
            return
        self.site_table.named |= new
        functions = {key.rpartition(":")[0] for key in new}
        for instance in list(self._instances.values()):
            if instance.sites and instance.sites[0].key.rpartition(":")[0] in functions:
                self.site_table.promote_named(instance.sites)


class _HookName(str):
    """The field of `Hooks` that a constant comes from."""

    __slots__ = ()


# Asked for here: code is rewritten while a task runs, and `fields` may be code that is watched.
_HOOKS: Final = tuple(field.name for field in fields(Hooks))


@dataclass(frozen=True, slots=True)
class Template:
    """A code object's rewritten form without what belongs to one explorer: its hooks and sites.

    Assembling takes most of the time of entering an explorer, and a module of tests is entered once a test.
    """

    code: CodeType  # the original; held, so that its id stays its own
    form: CodeType
    extra: tuple[object, ...]  # the constants that were added: `SiteTemplate` for a site, `_HookName` for a hook

    @classmethod
    def of(cls, code: CodeType, new: CodeType, hooks: Hooks) -> Template:
        """Take the form of what was just assembled."""
        names = {id(getattr(hooks, name)): name for name in _HOOKS}
        extra: list[object] = []
        for const in new.co_consts[len(code.co_consts) :]:
            if isinstance(const, Site):
                extra.append(SiteTemplate(const.offset, const.position, const.name, const.segment))
            elif id(const) in names:
                extra.append(_HookName(names[id(const)]))
            else:
                extra.append(const)
        return cls(code, new.replace(co_consts=()), tuple(extra))

    def instantiate(self, owner: Rewriter, names: SharedVariables) -> Instance:
        """The code object with the hooks of `owner` and sites of its own."""
        space = names.space
        sites: list[Site] = []
        consts: list[object] = [
            owner.rewrite(const, names) if isinstance(const, CodeType) else const for const in self.code.co_consts
        ]
        for held in self.extra:
            if isinstance(held, SiteTemplate):
                sites.append(Site(self.code, held, space))
                consts.append(sites[-1])
            else:
                consts.append(getattr(owner.hooks, held) if isinstance(held, _HookName) else held)
        return Instance(self.code, self.form.replace(co_consts=tuple(consts)), sites, names.version)


_MOST_TEMPLATES: Final = 20_000
_TEMPLATES: Final[dict[tuple[object, ...], Template]] = {}


def _keep_template(key: tuple[object, ...], template: Template) -> None:
    if len(_TEMPLATES) >= _MOST_TEMPLATES:
        _TEMPLATES.clear()
    _TEMPLATES[key] = template
