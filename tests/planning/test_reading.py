"""Every fault of a day in TOML is named with file, line, key and remedy."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst.errors import DayError
from whilst.model import Day, Estimate, Task, wait, work
from whilst.planning import parse_day, read_day
from whilst.planning.positions import find_lines

GOOD = """\
unit = "min"
executors = ["you", "me"]

[tasks.cook]
steps = [{ work = 5 }, { wait = 10, label = "boil" }]

[tasks.eat]
after = ["cook"]
by = [
    "you",
    "me",
]
steps = [
    { work = [1, 2, 3] },
]
"""


def refusal(text: str) -> str:
    with pytest.raises(DayError) as caught:
        parse_day(textwrap.dedent(text), "day.toml")
    return str(caught.value)


def refusal_or_none(text: str) -> str:
    try:
        parse_day(text)
    except DayError as error:
        return str(error)
    return "none"


def test_a_good_day_is_read_in_its_unit() -> None:
    assert parse_day(GOOD) == Day(
        ("you", "me"),
        (
            Task("cook", (work(300), wait(600, "boil"))),
            Task("eat", (work(Estimate(60, 120, 180)),), after=("cook",), by=("you", "me")),
        ),
        unit="min",
        unit_s=60,
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        (
            '"cook"]',
            '"cok"]',
            8,
            "tasks.eat.after[0]: Task 'eat' comes after an unknown task 'cok'. Did you mean 'cook'?",
        ),
        (
            '    "me",',
            '    "mee",',
            11,
            "tasks.eat.by[1]: Task 'eat' is to be done by an unknown executor 'mee'. Did you",
        ),
        ('"me"]', '"you"]', 2, "executors[1]: There are two executors called 'you'"),
        ("wait = 10", "wait = -10", 5, "tasks.cook.steps[1].wait: A length can't be negative, got -10"),
        ("work = 5", "work = inf", 5, "tasks.cook.steps[0].work: This must be a finite number of units, got inf"),
        ("work = 5", "work = nan", 5, "tasks.cook.steps[0].work: This must be a finite number"),
        ("work = 5", f"work = 1{400 * '0'}", 5, "tasks.cook.steps[0].work: This must be a finite number"),
        ("work = 5", "work = 1e308", 5, "is too large to count; choose a smaller one"),
        ("work = 5", "work = true", 5, "tasks.cook.steps[0].work: This must be a number of units, got True"),
        ("work = 5", 'work = "5"', 5, "This must be a number of units, got '5'"),
        ("work = 5", "wrok = 5", 5, "tasks.cook.steps[0].wrok: 'wrok' is no key of a step; did you mean 'work'?"),
        ("{ work = 5 }", "{ work = 5, wait = 1 }", 5, "both work and wait; make it two steps"),
        ("{ work = 5 }", "{}", 5, "neither work nor wait; write { work = LENGTH }"),
        ("{ work = 5 }", "5", 5, "A step is written { work = LENGTH }"),
        ("[1, 2, 3]", "[1, 2]", 14, "three numbers, [low, likely, high], got 2"),
        ("[1, 2, 3]", "[3, 2, 1]", 14, "tasks.eat.steps[0].work: An uncertain length must rise"),
        ("[1, 2, 3]", "[1, -2, 3]", 14, "tasks.eat.steps[0].work[1]: A length can't be negative"),
        ("after =", "afer =", 8, "tasks.eat.afer: 'afer' is no key of a task; did you mean 'after'?"),
        ('["cook"]', '"cook"', 8, 'tasks.eat.after: Names stand in brackets: after = ["cook"]'),
        ('["cook"]', "[1]", 8, "Every name is a text in quotes, got 1"),
        ('["cook"]', '["eat"]', 8, "wait for each other: 'eat' after 'eat'"),
        ('"min"', '"hours"', 1, "unit: 'hours' is no unit; did you mean 'h'?"),
        ('"min"', "5", 1, "unit: This must be a text"),
        ("executors =", "excutors =", 2, "excutors: 'excutors' is no key of a day; did you mean 'executors'?"),
        ('["you", "me"]', "[]", 2, "executors: The day has no executor; declare at least one"),
        ("[tasks.eat]", "[tasks.cook]", 7, "Give each task a name of its own"),
        ("[tasks.eat]", "[tasks.eat", 7, "not valid TOML"),
        ("steps = [{ work = 5 }", "steps = []\nother = [{ work = 5 }", 6, "'other' is no key of a task"),
        ("[{ work = 5 }, { wait", "[]#", 5, "tasks.cook: Task 'cook' has no steps"),
    ],
)
def test_faults_name_line_key_and_remedy(old: str, new: str, line: int, said: str) -> None:
    assert GOOD.count(old) >= 1
    message = refusal(GOOD.replace(old, new, 1))
    assert said in message
    # An empty list of steps belongs to the task, whose heading stands a line above.
    assert message.startswith((f"day.toml:{line}: ", f"day.toml:{line - 1}: tasks.cook: "))


def test_a_cycle_is_shown_as_the_cycle() -> None:
    message = refusal("""
        executors = ["you"]
        [tasks.a]
        steps = [{ work = 1 }]
        after = ["c"]
        [tasks.b]
        steps = [{ work = 1 }]
        after = ["a"]
        [tasks.c]
        steps = [{ work = 1 }]
        after = ["b"]
    """)
    assert "'a' after 'c' after 'b' after 'a'" in message
    assert message.startswith("day.toml:5: tasks.a.after: ")
    assert "Take one of the 'after' away" in message


def test_a_cycle_that_nobody_would_read_is_shown_by_its_ends() -> None:
    tasks = "".join(
        f"[tasks.t{each}]\nafter = ['t{(each + 1) % 3000}']\nsteps = [{{ work = 1 }}]\n" for each in range(3000)
    )
    message = refusal(f"executors = ['you']\n{tasks}")
    assert "'t0' after 't1' after" in message
    assert "after (2,986 more) after" in message
    assert "after 't2999' after 't0'. Take" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "day.toml: executors: The day has no executors"),
        ("executors = ['you']", "day.toml: tasks: The day has no tasks; there is nothing to plan"),
        ("tasks = 3\nexecutors = ['you']", "day.toml:1: tasks: Write each task as a table of its own: [tasks.NAME]"),
        ("executors = 'you'", "day.toml:1: executors: Names stand in brackets"),
        ("executors = ['you']\n[[tasks]]\nname = 'a'", "day.toml:2: tasks: Write each task as a table of its own"),
        ("executors = ['you']\n[tasks.a]\nby = ['you']", "day.toml:2: tasks.a: The task has no steps"),
        ("executors = ['you']\n[tasks.'a b']\nsteps = 3", 'day.toml:3: tasks."a b".steps: Steps stand in brackets'),
        ("executors = ['you']\n[tasks.a]\nsteps = [{work = 1}]\nby = []", "day.toml:4: tasks.a.by: Nobody may do this"),
        ("executors = ['you']\n[tasks.'']\nsteps = [{work = 1}]", 'day.toml:2: tasks."": A task needs a name'),
        ("executors = ['you']\ntasks.a = 3", "day.toml:2: tasks.a: A task is a table with steps"),
        (
            "executors = ['you', '']\n[tasks.a]\nsteps = [{work=1}]",
            "day.toml:1: executors: A name of the day's executors",
        ),
        (
            "unit = 'shift'\nunit_s = -1\nexecutors=['you']\n[tasks.a]\nsteps=[{work=1}]",
            "day.toml:2: unit_s: A unit must be longer than nothing",
        ),
    ],
)
def test_whole_days_that_are_none(text: str, said: str) -> None:
    assert said in refusal(text)


def test_a_word_of_ones_own_is_a_unit_once_its_seconds_are_said() -> None:
    day = parse_day("unit = 'shift'\nunit_s = 28800\nexecutors = ['you']\n[tasks.a]\nsteps = [{ work = 0.5 }]")
    assert (day.unit, day.tasks[0].work_s) == ("shift", 14400)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DayError, match="there is no such file"):
        read_day(tmp_path / "none.toml")
    with pytest.raises(DayError, match="can't be read"):
        read_day(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DayError, match="not UTF-8"):
        read_day(tmp_path / "binary")
    (tmp_path / "deep.toml").write_text(f"a = {5000 * '['}{5000 * ']'}")
    with pytest.raises(DayError):
        read_day(tmp_path / "deep.toml")


def test_lines_are_found_through_every_construct_of_toml() -> None:
    text = textwrap.dedent('''\
        # a comment with [brackets] and "quotes
        plain = "a # no comment" # a comment
        long = """
        [not.a.table]
        \\""" still inside""" # after
        raw = \'\'\'
        'x' = 1\'\'\'\'
        "quoted \\u00e9".dotted = 1
        nested = [
            [1, 2], # one
            # two
            [3, { key = [
                4] }],
        ]
        when = 1979-05-27 07:32:00Z
        [[fruit]]
        name = 'apple'
        [[fruit.variety]]
        name = "red"
        [[fruit.variety]]
        name = "green"
        [[fruit]]
        [fruit."a.b" . c]
        last = 1''')
    lines = find_lines(text)
    assert {path: lines[path] for path in lines if path[-1] != "name"} == {
        ("plain",): 2,
        ("long",): 3,
        ("raw",): 6,
        ("quoted é",): 8,
        ("quoted é", "dotted"): 8,
        ("nested",): 9,
        ("nested", 0): 10,
        ("nested", 0, 0): 10,
        ("nested", 0, 1): 10,
        ("nested", 1): 12,
        ("nested", 1, 0): 12,
        ("nested", 1, 1): 12,
        ("nested", 1, 1, "key"): 12,
        ("nested", 1, 1, "key", 0): 13,
        ("when",): 15,
        ("fruit",): 16,
        ("fruit", 0): 16,
        ("fruit", 0, "variety"): 18,
        ("fruit", 0, "variety", 0): 18,
        ("fruit", 0, "variety", 1): 20,
        ("fruit", 1): 22,
        ("fruit", 1, "a.b", "c"): 23,
        ("fruit", 1, "a.b", "c", "last"): 24,
    }
    assert lines[("fruit", 0, "variety", 1, "name")] == 21


@given(st.text(max_size=60))
def test_no_text_gives_anything_but_a_day_or_a_day_error(text: str) -> None:
    assert refusal_or_none(text).startswith(("<day>", "none"))


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3), st.lists, max_leaves=4)
)
def test_no_value_of_a_length_gives_anything_but_a_day_or_a_day_error(value: object) -> None:
    written = repr(value).replace("None", "''").replace("True", "true").replace("False", "false")
    text = f"executors = ['you']\n[tasks.a]\nsteps = [{{ work = {written} }}]"
    assert refusal_or_none(text).startswith(("<day>:3: ", "none"))
