"""A loop within a loop as one loop over what the outer one finds: the same text runs the same, or nothing is made."""

from __future__ import annotations

import ast
import contextlib
import io
import textwrap

import pytest

from whilst.seeing.advising.flattening import Flat, flattened
from whilst.seeing.advising.loops import loops_of
from whilst.seeing.advising.uses import Program


def flat(code: str) -> Flat | None:
    source = textwrap.dedent(code).lstrip("\n")
    tree = ast.parse(source)
    return flattened(source, loops_of(tree, source)[0], Program(tree))


def output(source: str) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(source, "script.py", "exec"), {})
    return said.getvalue()


WALK = """
def main():
    found = []
    for folder, names in [("b", ["y", "x"]), ("a", [])]:
        names.sort()  # in order

        for name in names:
            # each of them
            path = folder + name
            found.append(path)

            print(path)
    print(found)
main()
"""


def test_the_body_has_a_loop_of_its_own() -> None:
    made = flat(WALK)
    assert made is not None
    assert made.text.splitlines()[2:15] == [
        "",
        "    def found_items():",
        '        for folder, names in [("b", ["y", "x"]), ("a", [])]:',
        "            names.sort()  # in order",
        "",
        "            for name in names:",
        "                # each of them",
        "                yield folder, name",
        "",
        "    for folder, name in found_items():",
        "        path = folder + name",
        "        found.append(path)",
        "",
    ]
    assert made.text.splitlines()[made.line - 1] == "    for folder, name in found_items():"
    assert output(made.text) == output(WALK)


@pytest.mark.parametrize(
    "code",
    [
        "for a in xs:\n    for b in a:\n        xs.append(b)",  # what it goes over is changed
        "for a in xs:\n    for b in seen:\n        seen = [b]",
        "for a in xs:\n    print(a)\n    for b in a:\n        print(b)",
        "for a in xs:\n    for b in a:\n        if b: break",
        "def f():\n    for a in xs:\n        for b in a:\n            if b: return b",
        "for a in xs:\n    if not a: break\n    for b in a:\n        use(b)",
        "for a in xs:\n    for b in a:\n        use(b)\nprint(a)",  # its last value is read
        "total = 0\nfor a in xs:\n    total = total + 1\n    for b in a:\n        use(b, total)",
        "for a in xs:\n    for b in a:\n        use(xs)",  # who knows what it does to it
        "for a in xs:\n    rows.append(a)\n    for b in a:\n        use(b, rows)",
        "for a in xs:\n    for b in a: use(b)",
        "for a in xs:\n    for b in a:\n        use(b)\n    print(1)",
        "for a in xs:\n    for b in a:\n        a = use(b)",
        "n = 0\ndef more():\n    global n\n    n += 1\nfor a in range(9):\n    for b in range(n):\n        more()",
    ],
)
def test_what_can_not_be_told_apart_stays_two_loops(code: str) -> None:
    assert flat(code) is None


def test_a_tree_of_files() -> None:
    """What is read of the names before the loops, and what paths are made of, changes nothing."""
    made = flat("""
        import os
        for folder, folders, files in os.walk(root):
            folders.sort()
            for name in sorted(files):
                path = os.path.join(folder, name)
                rows.append((os.path.relpath(path, root), checksum(path)))
        for folder in ("x", "y"):
            print(folder)
    """)
    assert made is not None
    assert "for folder, name in found_items():" in made.text


def test_items_may_be_left_out_by_the_outer_loop() -> None:
    code = """
    for a in range(5):
        if a % 2:
            continue
        for b in range(a):
            print(a, b)
    """
    made = flat(code)
    assert made is not None
    assert output(made.text) == output(textwrap.dedent(code))
