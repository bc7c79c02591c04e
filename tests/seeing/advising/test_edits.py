"""The change as text: what a colleague would write, and everything else as it was."""

from __future__ import annotations

import ast
import textwrap

import pytest

from whilst.seeing.advising.edits import Asked, UnwritableError, diff, rewritten, timed
from whilst.seeing.advising.loops import loops_of, source_lines
from whilst.seeing.advising.runs import Outcome
from whilst.seeing.advising.splitting import Split, split
from whilst.seeing.advising.uses import Program

THREADS = Asked("whilst.imap(", ', mode="concurrent", workers=8', repeats=True)


def changed(code: str, asked: Asked = THREADS) -> str:
    source = textwrap.dedent(code).lstrip("\n")
    tree = ast.parse(source)
    outcome = split(loops_of(tree, source)[0], Program(tree))
    assert isinstance(outcome, Split), outcome
    text = rewritten(source, tree, [outcome], lambda _: asked, imports=True)
    ast.parse(text)
    return text


def lines_of(code: str, asked: Asked = THREADS) -> list[str]:
    return [line for line in changed(code, asked).splitlines() if line and "import" not in line]


def test_a_function_of_the_script_is_handed_over_as_it_is() -> None:
    assert lines_of("for i in range(9):  # pages\n    page = fetch(i)\n    pages.append(page)  # kept\n") == [
        'for page in whilst.imap(fetch, range(9), mode="concurrent", workers=8):  # pages',
        "    pages.append(page)  # kept",
    ]


def test_the_item_stays_where_it_is_used() -> None:
    assert lines_of("for i in ids:\n    report[i] = fetch(i)\n") == [
        'for i, result in zip(ids, whilst.imap(fetch, ids, mode="concurrent", workers=8)):',
        "    report[i] = result",
    ]


def test_what_can_be_gone_over_once_only_is_listed_first() -> None:
    text = lines_of("for i in source():\n    report[i] = fetch(i)\n")
    assert text[0] == "items = list(source())"


def test_a_longer_stage_becomes_a_function_with_its_comments() -> None:
    code = """
        def main():
            for path in paths:
                # a comment that stays
                data = read(path)
                size = len(data)
                total += size
                print(path)
    """
    assert lines_of(code) == [
        "def main():",
        "    def work_on_path(path):",
        "        # a comment that stays",
        "        data = read(path)",
        "        size = len(data)",
        "        return size",
        '    for path, size in zip(paths, whilst.imap(work_on_path, paths, mode="concurrent", workers=8)):',
        "        total += size",
        "        print(path)",
    ]


def test_several_names_come_back_as_a_tuple() -> None:
    text = lines_of("for a, b in pairs:\n    x = f(a)\n    y = g(b)\n    out.append((a, x, y))\n")
    assert text[:2] == ["def work_on_item(item):", "    a, b = item"]
    assert "    return x, y" in text
    assert text[-2].startswith("for (a, b), (x, y) in zip(pairs, whilst.imap(work_on_item, pairs, ")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("ys = [f(x) for x in xs]", 'ys = list(whilst.imap(f, xs, mode="concurrent", workers=8))'),
        ("ys = sum(f(x) for x in xs)", 'ys = sum(whilst.imap(f, xs, mode="concurrent", workers=8))'),
        ("ys = list(map(f, xs))", 'ys = list(whilst.imap(f, xs, mode="concurrent", workers=8))'),
        ("ys = [f(x, 1) for x in xs]", 'ys = list(whilst.imap(lambda x: f(x, 1), xs, mode="concurrent", workers=8))'),
        (
            "ys = {x: f(x) for x in xs if x}",
            'ys = dict(whilst.imap(lambda x: (x, f(x)), [x for x in xs if x], mode="concurrent", workers=8))',
        ),
    ],
)
def test_expressions_become_calls(before: str, after: str) -> None:
    assert lines_of(before) == [after]


def test_a_pool_that_nothing_uses_any_more_goes() -> None:
    code = """
        from concurrent.futures import ThreadPoolExecutor
        def main():
            with ThreadPoolExecutor(4) as pool:
                # all at once
                scores = list(pool.map(score, texts))
            print(scores)
    """
    assert changed(code).splitlines() == [
        "import whilst",
        "def main():",
        "    # all at once",
        '    scores = list(whilst.imap(score, texts, mode="concurrent", workers=8))',
        "    print(scores)",
    ]


def test_a_pool_that_is_used_elsewhere_stays() -> None:
    code = """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(4) as pool:
            scores = list(pool.map(score, texts))
            other = pool.submit(print)
    """
    assert "ThreadPoolExecutor(4)" in changed(code)


@pytest.mark.parametrize(
    ("head", "first"),
    [
        ('"""Doc."""\n', '"""Doc."""\n\nimport whilst\n'),
        (
            "from __future__ import annotations\nimport os\n",
            "from __future__ import annotations\nimport os\nimport whilst\n",
        ),
        ("#!/usr/bin/env python\n", "#!/usr/bin/env python\nimport whilst\n"),
        ("import whilst\n", "import whilst\nfor"),
    ],
)
def test_the_import_stands_with_the_others(head: str, first: str) -> None:
    assert changed(f"{head}for i in xs:\n    ys.append(f(i))\n").startswith(first)


def test_windows_line_ends_and_letters_beyond_ascii_stay() -> None:
    text = changed("for é in ['ü', 'ö']:\r\n    out.append(f(é))\r\nprint('ß')\r\n")
    assert "\n" not in text.replace("\r\n", "")
    assert "for result in whilst.imap(f, ['ü', 'ö']" in text


def test_a_loop_on_one_line_is_left_to_the_user() -> None:
    with pytest.raises(UnwritableError):
        changed("for i in xs: out.append(f(i))\n")


def test_timed_copies_do_what_the_script_does() -> None:
    code = (
        "out = [y for x in [[1, 2], [3]] for y in map(abs, x)]\n"
        "for z in [w for w in out]:\n    out.append(z)\n    break"
    )
    seen: set[int] = set()

    def loop(number: int, iterable: object) -> object:
        seen.add(number)
        return iterable

    names: dict[str, object] = {"_whilst_loop": loop}
    exec(timed(code, loops_of(ast.parse(code), code)), names)
    assert names["out"] == [1, 2, 3, 1]
    assert len(seen) == len(loops_of(ast.parse(code), code)) == 4


def test_the_diff_says_where_no_line_ends() -> None:
    assert diff("a\nb", "a\nc", "s.py") == (
        "--- a/s.py\n+++ b/s.py\n@@ -1,2 +1,2 @@\n a\n"
        "-b\n\\ No newline at end of file\n+c\n\\ No newline at end of file\n"
    )


@pytest.mark.parametrize("line", ["\x0c", "# a comment\u2028that goes on", "x = '\x1c'"])
def test_lines_are_counted_as_python_counts_them(line: str) -> None:
    source = f"{line}\nfor k in range(3):\r\n    print(k)\n"
    assert "".join(source_lines(source)) == source
    assert len(source_lines(source)) == 3
    [loop] = loops_of(ast.parse(source), source)
    assert loop.text == "for k in range(3):"


def test_what_a_script_says_on_stderr_is_held_against_the_change() -> None:
    def outcome(stderr: bytes) -> Outcome:
        return Outcome(1.0, 0, b"out", stderr)

    one = outcome(b"script.py:3: UserWarning: careful\n  warn()\na\nb\n")
    assert one.difference(outcome(b"script.py:14: UserWarning: careful\n  warn()\na\nb\n")) == ""
    assert "line 3 of stderr" in one.difference(outcome(b"script.py:3: UserWarning: careful\n  warn()\nb\na\n"))


def test_items_that_are_left_out_are_left_out_beforehand() -> None:
    code = """
        for name in names:
            # only texts
            if not name.endswith(".txt"):
                continue
            if name in skipped:
                continue
            # its size
            text = read(name)
            total += len(text)
    """
    assert lines_of(code) == [
        'for text in whilst.imap(read, [name for name in names if name.endswith(".txt") if name not in skipped], '
        'mode="concurrent", workers=8):',
        "    total += len(text)",
    ]
    code = """
        for i, row in enumerate(rows):
            if len(row) < 3:
                continue
            found[i] = work(row)
    """
    assert lines_of(code) == [
        "items = [(i, row) for i, row in enumerate(rows) if not (len(row) < 3)]",
        "def work_on_item(item):",
        "    i, row = item",
        "    return work(row)",
        'for (i, row), result in zip(items, whilst.imap(work_on_item, items, mode="concurrent", workers=8)):',
        "    found[i] = result",
    ]


def test_a_loop_that_is_left_early_stays_one() -> None:
    assert lines_of("for n in ns:\n    found = f(n)\n    if found:\n        break\nelse:\n    print(0)\n") == [
        'for found in whilst.imap(f, ns, mode="concurrent", workers=8):',
        "    if found:",
        "        break",
        "else:",
        "    print(0)",
    ]
