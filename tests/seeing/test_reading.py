"""What agents wrote, read back: whole, cut off in the middle, or nothing of ours."""

from __future__ import annotations

from pathlib import Path

from whilst.seeing.events import Place
from whilst.seeing.recording.reading import read_log, read_logs

HEAD = (
    "h {'pid': 7, 'parent': 1, 'start_ns': 10, 'version': (3, 13, 0), 'has_gil': True, 'argv': ['python', 'x.py'], "
    "'library': '/lib'}\n"
)
BODY = """i 8
c (0, 1, 'main', '/x.py')
p (0, 4, 3, 3, 0, 9, 'CALL')
s 0 0:4
t (99, 0, '', 'MainProcess')
x 20 99:0
t (99, 7, 'MainThread', 'MainProcess')
g 30 99 start [('/x.py', 'main', 4)]
g 35 99 stop []
m (5, 99, 'Task-1')
a 40 5:w:0:Future
a 50 5:d:-1:
x 60 99:-1
e 70
"""


def test_a_whole_log() -> None:
    log = read_log((HEAD + BODY).encode())
    assert log is not None
    assert (log.pid, log.version, log.agents, log.is_whole, log.end_ns) == (7, (3, 13, 0), [8], True, 70)
    (thread,) = log.threads
    assert (thread.native_id, thread.name, list(thread.at_ns), list(thread.stack)) == (
        7,
        "MainThread",
        [20, 60],
        [0, -1],
    )
    assert [(place.function, place.line, place.operation) for place in log.stacks[0]] == [("main", 3, "CALL")]
    ((start, end, ident, stack),) = log.collections
    assert (start, end, ident, list(stack)) == (30, 35, 99, [Place("/x.py", "main", 4)])
    (task,) = log.tasks
    assert (task.name, task.state, list(task.at_ns)) == ("Task-1", ["w", "d"], [40, 50])


def test_a_log_may_end_anywhere() -> None:
    data = (HEAD + BODY).encode()
    for end in range(len(HEAD), len(data)):
        log = read_log(data[:end])
        assert log is not None
        assert log.is_whole == (end == len(data))


def test_what_has_no_head_is_no_log() -> None:
    assert read_log(b"") is None
    assert read_log(b"x 20 99:0\n") is None


def test_a_new_thread_may_have_the_ident_of_one_that_ended() -> None:
    more = "t (99, 12, 'second', 'MainProcess')\nx 80 99:0\n"
    log = read_log((HEAD + BODY + more).encode())
    assert log is not None
    assert [(thread.native_id, list(thread.at_ns)) for thread in log.threads] == [(7, [20, 60]), (12, [80])]


def test_a_record_that_was_cut_says_so(tmp_path: Path) -> None:
    (tmp_path / "7-10").write_text(HEAD + BODY)
    (tmp_path / "8-10").write_text(HEAD.replace("'pid': 7", "'pid': 8").replace("10", "20"))
    (tmp_path / "8-10.cut").touch()
    (tmp_path / "agent.cpython-311.pyc").write_bytes(b"\0\xff")
    logs = read_logs(tmp_path)
    assert [(log.pid, log.notes) for log in logs] == [
        (7, []),
        (8, ["what it noted could not all be written: is the disk full?"]),
    ]
