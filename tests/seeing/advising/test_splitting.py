"""What the text of a loop tells: which part of its body may be done in any order, and what is carried. In pairs."""

from __future__ import annotations

import ast
import textwrap

import pytest

from whilst.seeing.advising.carrying import scratch_of
from whilst.seeing.advising.loops import loops_of
from whilst.seeing.advising.splitting import Split, Whole, split
from whilst.seeing.advising.uses import Program


def found(code: str, number: int = 0) -> Split | Whole:
    source = textwrap.dedent(code)
    tree = ast.parse(source)
    return split(loops_of(tree, source)[number], Program(tree))


def stage_of(code: str, number: int = 0) -> tuple[list[str], list[str]]:
    outcome = found(code, number)
    assert isinstance(outcome, Split), outcome
    return [ast.unparse(each) for each in outcome.stage], [ast.unparse(each) for each in outcome.pulled]


def test_the_calls_before_what_is_kept_are_the_stage() -> None:
    stage, pulled = stage_of("""
        for i in range(9):
            page = fetch(i)
            pages.append(page)
            print("page", page)
    """)
    assert (stage, pulled) == (["page = fetch(i)"], [])


def test_a_call_within_an_append_is_pulled_out_of_it() -> None:
    assert stage_of("for i in xs:\n    out.append(f(i))") == ([], ["f(i)"])


def test_only_what_is_used_of_a_stage_is_sent_back() -> None:
    outcome = found("""
        for k in range(9):
            series = make(k)
            report[k] = (series[-1], len(series))
    """)
    assert isinstance(outcome, Split)
    assert outcome.needed == ()
    assert [ast.unparse(each) for each in outcome.pulled] == ["(series[-1], len(series))"]


def test_a_sum_and_a_first_maximum_are_a_reduction() -> None:
    outcome = found("""
        for n in range(9):
            steps = collatz(n)
            total += steps
            if steps > best:
                best, best_n = steps, n
    """)
    assert (outcome.kind, isinstance(outcome, Split)) == ("reduction", True)


def test_what_is_left_may_go_on_from_item_to_item() -> None:
    outcome = found("""
        for n in range(9):
            value = f(n)
            average = average * 0.9 + value
    """)
    assert (outcome.kind, isinstance(outcome, Split)) == ("pipeline", True)


@pytest.mark.parametrize(
    "code",
    [
        "for _ in xs:\n    page, cursor = request(cursor)\n    rows.append(page)",
        "for x in xs:\n    average += 0.1 * (x - average)\n    out.append(average)",
        "for i in xs:\n    y = f(out[-1])\n    out.append(y)",
        "for i in xs:\n    y = f(state)\n    state.n = y",
        "def f(i):\n    return i + total\nfor i in xs:\n    y = f(i)\n    total += y",
        "def f(i):\n    return seen.get(i)\nfor i in xs:\n    y = f(i)\n    seen[i] = y",
        "for x in todo:\n    y = f(x)\n    todo.append(y)",
        "for x in xs:\n    if x:\n        last = g(x)\n    y = f(last)\n    out.append(y)",
        "def g(y):\n    global n\n    n += 1\ndef f(i):\n    return i + n\nfor i in xs:\n    y = f(i)\n    print(g(y))",
        "for row in rows:\n    y = f(row, rows)\n    row.total = y",
    ],
)
def test_what_an_item_needs_of_the_one_before_is_carried(code: str) -> None:
    loop = max(range(len(loops_of(ast.parse(code), code))))
    assert found(code, loop).kind == "carried"


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("for x in xs:\n    if x:\n        break\n    y = f(x)\n    out.append(y)\n", "early"),
        ("def f(x):\n    print(x)\n    return x\nfor x in xs:\n    y = f(x)\n    if y:\n        break", "early"),
        ("def g():\n    for x in xs:\n        y = f(x)\n        yield y", "yield"),
        ("async def g():\n    for x in xs:\n        y = f(x)\n        await h(y)", "coroutine"),
        ("def g():\n    for x in xs:\n        global n\n        n = f(x)", "global"),
        ("for x in xs:\n    exec(x)\n    y = f(x)", "exec"),
        ("for x in xs:\n    def y():\n        return x\n    out.append(y())", "definition"),
        ("while x:\n    x = f(x)", "while"),
        ("any(f(x) for x in xs)", "between"),
        ("def f(x):\n    print(x)\n    return x\nfor x in xs:\n    y = f(x)\n    print(y)", "print"),
    ],
)
def test_what_is_not_known_is_said_to_be_unknown(code: str, word: str) -> None:
    outcome = found(code)
    assert isinstance(outcome, Whole)
    assert outcome.kind == "unknown"
    assert word in outcome.why


def test_a_name_that_is_bound_on_one_way_only_is_not_taken_into_the_stage() -> None:
    """Its value may be that of an item before."""
    stage, pulled = stage_of("""
        for x in xs:
            y = f(x)
            if y:
                last = g(y)
            out.append(last)
    """)
    assert (stage, pulled) == (["y = f(x)"], [])


def test_the_last_item_of_a_loop_is_still_there_after_it() -> None:
    outcome = found("for x in xs:\n    y = f(x)\n    out.append(1)\nprint(x, y)")
    assert isinstance(outcome, Split)
    assert (outcome.needed, outcome.keeps_target) == (("y",), True)


def test_a_name_that_a_later_loop_binds_anew_need_not_be_kept() -> None:
    outcome = found("""
        for i in xs:
            y = f(i)
            total += g(y)
        for y in ys:
            print(y)
    """)
    assert isinstance(outcome, Split)
    assert outcome.needed == ()


def test_a_name_that_is_read_after_a_later_loop_is_kept() -> None:
    """The later loop may have no item."""
    outcome = found("""
        for i in xs:
            y = f(i)
            total += g(y)
        for y in ys:
            pass
        print(y)
    """)
    assert isinstance(outcome, Split)
    assert outcome.needed == ("y",)


def test_an_item_that_is_added_to_is_no_reduction() -> None:
    """It may be the next item's neighbour."""
    assert found("for a, b in zip(rows, rows[1:]):\n    v = f(a)\n    b['v'] += v\n", 0).kind != "reduction"


def test_a_shared_buffer_that_calls_fill_is_named() -> None:
    outcome = found("""
        buffer = [0] * 4
        def checksum(i):
            buffer[0] = i
            return sum(buffer)
        for i in xs:
            sums.append(checksum(i))
    """)
    assert isinstance(outcome, Split)
    assert outcome.shared_write == "buffer is shared by all calls, and changed in line 4"


def test_a_buffer_of_the_call_is_not_shared() -> None:
    outcome = found("""
        def checksum(i):
            buffer = [0] * 4
            buffer[0] = i
            return sum(buffer)
        for i in xs:
            sums.append(checksum(i))
    """)
    assert isinstance(outcome, Split)
    assert outcome.shared_write == ""


def test_a_pool_that_waits_for_what_it_has_just_handed_out_is_seen_through() -> None:
    stage, pulled = stage_of("""
        with ThreadPoolExecutor(8) as pool:
            for i in range(9):
                total.append(pool.submit(fetch, i).result())
    """)
    assert (stage, pulled) == ([], ["pool.submit(fetch, i).result()"])


@pytest.mark.parametrize(
    "code", ["[f(x) for x in xs]", "sum(f(x) for x in xs)", "list(map(f, xs))", "{f(x) for x in xs}"]
)
def test_comprehensions_and_map_are_loops_too(code: str) -> None:
    assert isinstance(found(code), Split)


def test_a_database_that_all_items_share_is_used_in_order() -> None:
    stage, pulled = stage_of("""
        for path in paths:
            rows = extract(path)
            with db:
                db.executemany("insert", rows)
            loaded += len(rows)
    """)
    assert (stage, pulled) == (["rows = extract(path)"], [])


def test_a_file_of_the_item_is_opened_in_the_stage() -> None:
    stage, _ = stage_of("""
        for path in paths:
            with open(path) as file:
                text = file.read()
            pages.append(text)
    """)
    assert len(stage) == 1


def test_a_comprehension_that_binds_a_name_for_others_is_carried() -> None:
    assert found("[total := f(total, x) for x in xs]").kind == "carried"


@pytest.mark.parametrize("test", ["not x", "x.lower() in known", "len(x) > 3 and x != last_one", "i % 2"])
def test_items_may_be_left_out_by_what_stays_as_it_is(test: str) -> None:
    outcome = found(f"for i, x in xs:\n    if {test}:\n        continue\n    y = f(x)\n    out.append(y)")
    assert isinstance(outcome, Split), outcome
    assert [ast.unparse(each.test) for each in outcome.guards] == [test]
    assert [ast.unparse(each) for each in outcome.stage] == ["y = f(x)"]


@pytest.mark.parametrize(
    ("test", "after"),
    [
        ("x in seen", "seen.add(x)"),
        ("y == x", "pass"),
        ("x.exists()", "pass"),
        ("exists(x)", "pass"),
        ("total > 9", "total += y"),
        ("out", "pass"),
        ("(z := x)", "pass"),
        ("not print(x)", "pass"),
        ("cache.full", "cache.full = y"),
    ],
)
def test_what_the_loop_or_anybody_changes_leaves_out_no_item_beforehand(test: str, after: str) -> None:
    outcome = found(f"for x in xs:\n    if {test}:\n        continue\n    y = f(x)\n    out.append(y)\n    {after}")
    assert isinstance(outcome, Whole) or not outcome.guards


def test_the_last_item_is_the_same_where_it_is_read_later() -> None:
    outcome = found("for x in xs:\n    if not x:\n        continue\n    y = f(x)\n    out.append(y)\nprint(x)")
    assert isinstance(outcome, Whole)


@pytest.mark.parametrize(
    "body",
    [
        "for k in range(9):\n        b[k] = x + k\n    return sum(b)",
        "b.clear()\n    b.append(x)\n    return b[0]",
        "b[:] = [x] * 9\n    b[0] += 1\n    return sum(b)",
        "y = x\n    global b\n    b = [y]\n    return b",
    ],
)
def test_what_each_call_overwrites_first_is_scratch(body: str) -> None:
    assert scratch_of(ast.parse(f"b = [0] * 9\ndef f(x):\n    {body}\nfor x in xs:\n    out.append(f(x))"), ["b"])


@pytest.mark.parametrize(
    ("body", "after"),
    [
        ("b[0] += x\n    return b[0]", ""),
        ("b.append(x)\n    return len(b)", ""),
        ("y = b[0]\n    b[0] = x\n    return y", ""),
        ("if x:\n        b[0] = x\n    return b[0]", ""),
        ("b[b[1]] = x\n    return b[0]", ""),
        ("for k in b:\n        b[0] = k\n    return b[0]", ""),
        ("b[0] = x\n    return b[0]", "print(b)"),
        ("b[0] = x\n    return b[0]", "def g():\n    return b"),
        ("b[0] = x\n    return b[0]", "b = []"),
    ],
)
def test_what_is_read_first_or_by_others_is_not(body: str, after: str) -> None:
    assert not scratch_of(ast.parse(f"b = [0] * 9\ndef f(x):\n    {body}\n{after}"), ["b"])


@pytest.mark.parametrize("way", ["break", "return y"])
def test_a_loop_may_be_left_in_what_is_done_in_order(way: str) -> None:
    outcome = found(f"def g():\n    for x in xs:\n        y = f(x)\n        if y > 3:\n            {way}")
    assert isinstance(outcome, Split), outcome
    assert [ast.unparse(each) for each in outcome.stage] == ["y = f(x)"]
    assert outcome.leaves == 5


def test_what_a_coroutine_awaits_item_by_item_is_said() -> None:
    own = "async def f(x):\n    await sleep(x)\n    return x\n"
    outcome = found(f"{own}async def g():\n    for x in xs:\n        total += await f(x)")
    assert isinstance(outcome, Whole)
    assert "What line 6 awaits" in outcome.remedy
    outcome = found("async def g():\n    for x in xs:\n        y = await f(x)\n        total += y")
    assert isinstance(outcome, Whole)
    assert (outcome.kind, "What line 3 awaits" in outcome.remedy) == ("unknown", True)
    outcome = found(
        "async def g():\n    for _ in xs:\n        page, cursor = await f(cursor)\n        out.append(page)"
    )
    assert isinstance(outcome, Whole)
    assert (outcome.kind, outcome.remedy) == ("carried", "")
    outcome = found("async def g():\n    for x in xs:\n        y = f(x)\n        out.append(y)")
    assert isinstance(outcome, Whole)
    assert outcome.remedy == ""


@pytest.mark.parametrize(
    "code",
    [
        "def f(x):\n    global most\n    most -= 1\n    return x\nfor x in xs:\n    if x > most:\n        continue\n",
        "def f(x):\n    seen.add(x)\n    return x\nfor x in xs:\n    if x in seen:\n        continue\n",
        "class A:\n    def get(self):\n        return self.n\nfor x in xs:\n    if x.get():\n        continue\n",
        "class A:\n    @property\n    def up(self):\n        return 1\nfor x in xs:\n    if x.up:\n        continue\n",
    ],
)
def test_what_functions_of_the_script_change_or_do_leaves_out_no_item_beforehand(code: str) -> None:
    outcome = found(f"{code}    y = f(x)\n    out.append(y)")
    assert isinstance(outcome, Whole) or not outcome.guards
