"""The canonical form of a value: equal forms mean that no one could tell the values apart by looking at them.

Two executions end alike if their states have equal forms, so a form holds what is *in* the objects and never
which object it is: addresses, identity, aliasing, the order of a plain dict and of a set do not count; the type,
the order of a list, deque or OrderedDict, every attribute and slot, the arguments of an exception do. A form is
hashable, picklable and the same in every process.

Two tiers, and the value alone decides which one it gets, so that equal values always get comparable forms:

- *tree*: nested tuples, for a value whose unfolding has at most `TREE_NODES` nodes and `TREE_DEPTH` levels. It
  needs neither memo nor cycle detection, since a cycle has an infinite unfolding and overruns the depth.
- *graph*: a digest, for all else. Every node is collected once by identity; whatever reaches no cycle is coloured
  leaves first. The cyclic rest is reduced to its coarsest bisimulation (Kanellakis and Smolka's partition
  refinement, CONCUR 1983): colours start from the labels and are replaced by the digest of a node's own and its
  children's colours until no class splits any more. How many rounds that takes is a property of the quotient, so
  bisimilar values end with the same colours, and the quotient, numbered breadth-first with unordered children
  sorted by colour, is the form. Canonical *labelling* (graph isomorphism) was rejected: it would make aliasing
  visible, which the definition leaves out, and it has no good bound.

Refinement takes as many rounds as the longest chain, so its results are kept by *presentation* (the graph as it was
walked): executions mostly end in the same few presentations.
"""

from __future__ import annotations

import collections
from collections.abc import Hashable
from typing import Any, Final

from whilst.errors import WhilstError
from whilst.inspecting.decompose import take_apart
from whilst.inspecting.parts import ADDRESS, NO_ADDRESS, Parts, atom_form, digest

TREE_NODES: Final = 2_000
TREE_DEPTH: Final = 60
GRAPH_NODES: Final = 1_000_000
RECOLOURINGS: Final = 5_000_000
_KNOWN_PRESENTATIONS: Final = 4_096

_PLAIN: Final = frozenset({int, str, bytes, bool, type(None), float})


class StateTooLargeError(WhilstError, ValueError):
    """A state is too large or too entangled to be compared: `outcome=` can say what of it counts."""


class _OverrunError(Exception):
    """The tree tier's budget is used up: take the graph tier."""


def canonical(value: object) -> Hashable:
    """The form of `value`: equal for two values if and only if they hold the same, whatever the objects are.

    Raises:
        StateTooLargeError: more than `GRAPH_NODES` objects are reachable, or a cyclic part is too long.
    """
    try:
        return _tree(value, [TREE_NODES], TREE_DEPTH)
    except _OverrunError:
        return _graph(value)


def opaque_types(value: object) -> frozenset[str]:
    """Names of the types reachable from `value` that can't be looked into (locks, threads, files not counted)."""
    labels = (parts.label for parts in _Graph(value).parts)
    return frozenset(label[1] for label in labels if isinstance(label, tuple) and label[0] == "opaque")


def reachable_ids(value: object, most: int) -> set[int]:
    """The ids of all objects that the form of `value` depends on.

    Raises:
        StateTooLargeError: there are more than `most`.
    """
    return _Graph(value, most).ids


# ---------------------------------------------------------------------------------------------- the tree tier
def _tree(value: Any, budget: list[int], depth: int) -> Hashable:
    kind = type(value)
    if kind in _PLAIN:
        return atom_form(value)
    if depth == 0:
        raise _OverrunError
    depth -= 1
    if kind is list or kind is tuple:
        _spend(budget, len(value))
        return (kind.__name__, *[_tree(item, budget, depth) for item in value])
    if kind is dict:
        _spend(budget, len(value))
        return ("dict", _bag([(_tree(k, budget, depth), _tree(v, budget, depth)) for k, v in value.items()]))
    parts = take_apart(value)
    _spend(budget, len(parts.ordered) + len(parts.unordered))
    ordered = [_tree(child, budget, depth) for child in parts.ordered]
    if not parts.unordered:
        return (parts.label, *ordered)
    return (parts.label, *ordered, _bag([_tree(child, budget, depth) for child in parts.unordered]))


def _spend(budget: list[int], nodes: int) -> None:
    budget[0] -= nodes + 1
    if budget[0] < 0:
        raise _OverrunError


def _bag(forms: list[Any]) -> Hashable:
    """A multiset of forms: two objects with the same form in one set are still two."""
    whole = frozenset(forms)
    return whole if len(whole) == len(forms) else frozenset(collections.Counter(forms).items())


# --------------------------------------------------------------------------------------------- the graph tier
class _Graph:
    """Every node reachable from a value, once each, in the order of a walk, with its children's numbers."""

    def __init__(self, value: object, most: int | None = None) -> None:
        self._most = GRAPH_NODES if most is None else most
        self.parts: list[Parts] = []
        self.ordered: list[list[int]] = []
        self.unordered: list[list[int]] = []
        self._number: dict[int, int] = {}
        self._nodes: list[object] = []  # keeps temporary nodes (pairs, reductions) alive: no id is reused
        self._visit(value)
        for node in self._nodes:  # grows while it is walked
            parts = _node_parts(node)
            self.parts.append(parts)
            self.ordered.append([self._visit(child) for child in parts.ordered])
            self.unordered.append([self._visit(child) for child in parts.unordered])

    @property
    def ids(self) -> set[int]:
        """The ids of the nodes; those of temporary ones mean nothing."""
        return set(self._number)

    def _visit(self, value: object) -> int:
        number = self._number.get(id(value))
        if number is None:
            number = self._number[id(value)] = len(self._nodes)
            self._nodes.append(value)
            if number >= self._most:
                raise StateTooLargeError(
                    f"more than {self._most:,} objects are reachable from the state: "
                    f"pass outcome= to say what of it counts"
                )
        return number


def _node_parts(value: Any) -> Parts:
    kind = type(value)
    if kind in _PLAIN:
        return Parts(("atom", atom_form(value)))
    if kind in (list, tuple, dict, set, frozenset) and len(value) > 64:
        rows = _plain_rows(value)
        if rows is not None:
            text = "\n".join(rows).encode("utf-8", "backslashreplace")
            return Parts(("plain", kind.__name__, len(rows), digest(text)))
    if kind is dict:
        return Parts("dict", (), list(value.items()))
    return take_apart(value)


def _plain_rows(value: Any) -> list[str] | None:
    """A large container of atoms as text, without a node for each of them; None if it holds anything else."""
    kinds = set(map(type, value))
    if type(value) is dict:
        kinds |= set(map(type, value.values()))
    if not kinds <= _PLAIN:
        return None
    rows = list(map(repr, value.items() if type(value) is dict else value))
    if str in kinds:
        rows = [ADDRESS.sub(NO_ADDRESS, row) if " at 0x" in row else row for row in rows]
    return rows if type(value) in (list, tuple) else sorted(rows)


_known: dict[bytes, bytes] = {}  # presentation -> form, for graphs with cycles; the newest are kept


def _graph(value: object) -> Hashable:
    graph = _Graph(value)
    colours = [digest(_label_text(parts.label)) for parts in graph.parts]
    cyclic = _settle_acyclic(graph, colours)
    if not cyclic:
        return ("graph", colours[0])
    presentation = digest(b"".join(colours) + repr((graph.ordered, graph.unordered)).encode())
    form = _known.get(presentation)
    if form is None:
        if len(_known) >= _KNOWN_PRESENTATIONS:
            _known.clear()
        _refine(graph, colours, cyclic)
        form = _known[presentation] = _quotient(graph, colours)
    return ("cyclic graph", form)


def _label_text(label: Hashable) -> bytes:
    return repr(label).encode("utf-8", "backslashreplace")


def _recoloured(graph: _Graph, colours: list[bytes], node: int) -> bytes:
    ordered = [colours[child] for child in graph.ordered[node]]
    unordered = sorted(colours[child] for child in graph.unordered[node])
    return digest(b"".join((colours[node], len(ordered).to_bytes(8, "big"), *ordered, *unordered)))


def _settle_acyclic(graph: _Graph, colours: list[bytes]) -> list[int]:
    """Give its final colour to every node that reaches no cycle, leaves first; return the others."""
    below = [ordered + unordered for ordered, unordered in zip(graph.ordered, graph.unordered, strict=True)]
    missing = [len(children) for children in below]
    parents: list[list[int]] = [[] for _ in below]
    for node, children in enumerate(below):
        for child in children:
            parents[child].append(node)
    ready = [node for node, count in enumerate(missing) if count == 0]
    for node in ready:  # grows while it is walked
        colours[node] = _recoloured(graph, colours, node)
        for parent in parents[node]:
            missing[parent] -= 1
            if missing[parent] == 0:
                ready.append(parent)
    return [node for node, count in enumerate(missing) if count]


def _refine(graph: _Graph, colours: list[bytes], cyclic: list[int]) -> None:
    """Split the cyclic nodes' colours until bisimilar nodes, and only they, share one."""
    classes = len({colours[node] for node in cyclic})
    left = RECOLOURINGS
    while True:
        left -= len(cyclic)
        if left < 0:
            raise StateTooLargeError(
                f"a cyclic structure of {len(cyclic):,} objects is too entangled to be compared: "
                f"pass outcome= to say what of it counts"
            )
        for node, colour in [(node, _recoloured(graph, colours, node)) for node in cyclic]:
            colours[node] = colour
        now = len({colours[node] for node in cyclic})
        if now == classes:
            return
        classes = now


def _quotient(graph: _Graph, colours: list[bytes]) -> bytes:
    """The digest of the graph of classes, numbered breadth-first from the root's."""
    number = {colours[0]: 0}
    members = [0]
    rows: list[object] = []
    for node in members:  # grows while it is walked
        row: list[int] = []
        children = graph.ordered[node] + sorted(graph.unordered[node], key=colours.__getitem__)
        for child in children:
            if colours[child] not in number:
                number[colours[child]] = len(members)
                members.append(child)
            row.append(number[colours[child]])
        rows.append((colours[node], len(graph.ordered[node]), row))
    return digest(repr(rows).encode())
