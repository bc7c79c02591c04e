"""What the program has set at run time is there in every call, however workers can be started.

Each program sets state of many kinds, stands in one circumstance in which it may or may not be forked, and holds what
calls give in every mode against a loop. In auto that must be the same. A mode by name may refuse, or name in
`given_up` that workers are no forks of the program; it may not differ without a word.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import whilst

SOURCE = str(Path(whilst.__file__).parent.parent)

SETTINGS = """
RATE = 0
TABLE = {}
NAMES = []
class Config:
    rate = 0
class Settings:
    def __init__(self):
        self.rate = 0
settings = Settings()
def fetch(k):
    return "the original"
def asks(k, default=NAMES):
    return RATE, sorted(TABLE.items()), list(default), Config.rate, settings.rate
def patched(k):
    return fetch(k)
"""

PROGRAM = """
import asyncio, contextvars, csv, decimal, functools, gc, json, locale, logging, os, pickle, random, signal, socket
import sys, tempfile, threading, time, warnings
import settings_of_the_user as own
import whilst

own.RATE, own.Config.rate, own.settings.rate = 19, 5, 6
own.TABLE["a"] = 1
own.NAMES.append("x")
csv.field_size_limit(10**7)
logging.addLevelName(25, "NOTE")
logging.getLogger("of.the.user").setLevel(25)
decimal.getcontext().prec = 7
sys.setrecursionlimit(4321)
os.environ["OF_THE_USER"] = "set"
os.chdir(tempfile.mkdtemp())
sys.set_int_max_str_digits(5000)
socket.setdefaulttimeout(12.5)
warnings.simplefilter("error", FutureWarning)
json.JSONEncoder.item_separator = ";"
gc.set_threshold(701)
variable = contextvars.ContextVar("variable", default=0)
variable.set(3)
unsendable = contextvars.ContextVar("unsendable", default=None)
unsendable.set(threading.Lock())
counts = iter(range(3))
own_random = random.Random(5)
CONST = 7
LATE = None
LATE = [1, 2]

class Point:
    scale = 1
    def __init__(self, x):
        self.x = x
    def __eq__(self, other):
        return self.x == other.x
Point.scale = 9

def make(factor):
    def inner(k, *, more=own.RATE):
        return k * factor + more
    return inner

def work(fn, k):
    end = time.thread_time() + 0.004
    while time.thread_time() < end:
        pass
    return fn(k)

def warned(k):
    try:
        warnings.warn("no", FutureWarning)
    except FutureWarning:
        return "raised"
    return "shown"

KINDS = dict(
    module=own.asks,
    attribute=lambda k: (own.RATE, own.Config.rate, own.settings.rate, own.TABLE),
    imported=lambda k: __import__("settings_of_the_user").RATE,
    patched=own.patched,
    closure=make(3),
    csv_limit=lambda k: len(next(csv.reader(["x" * 200_000 + ",1"]))),
    level_name=lambda k: logging.getLevelName(25),
    level=lambda k: logging.getLogger("of.the.user").getEffectiveLevel(),
    decimals=lambda k: str(decimal.Decimal(1) / 3),
    recursion=lambda k: sys.getrecursionlimit(),
    environment=lambda k: os.environ["OF_THE_USER"],
    directory=lambda k: os.getcwd(),
    digits=lambda k: sys.get_int_max_str_digits(),
    time_out=lambda k: socket.getdefaulttimeout(),
    warning=warned,
    encoder=lambda k: json.dumps([1, k]),
    variable=lambda k: variable.get(),
    unsendable=lambda k: type(unsendable.get()).__name__,
    hashes=lambda k: (hash("abc"), list({"a", "b", "c", str(k)})),
    constant=lambda k: sys.modules["__main__"].CONST,
    rebound=lambda k: LATE,
    class_attribute=lambda k: Point(k).scale,
    dumped=lambda k: pickle.loads(pickle.dumps(Point(k))).x,
    collector=lambda k: gc.get_threshold()[0],
    built_in=lambda k: __builtins__.__dict__.get("of_the_user") if hasattr(__builtins__, "__dict__") else None,
)
import builtins
builtins.of_the_user = 11
own.fetch = lambda k: "replaced"

def program():
    for name, kind in KINDS.items():
        fn = functools.partial(work, kind)
        right = [fn(k) for k in range(MANY)]
        for mode in MODES:
            try:
                got = whilst.map(fn, range(MANY), mode=mode, workers=2)
            except whilst.WhilstError as error:
                if mode == "auto":
                    print(name, mode, f"{type(error).__name__}: {error}")
                continue
            except Exception as error:
                if mode == "auto" or not DECISIONS:
                    print(name, mode, f"{type(error).__name__}: {error}")
                continue
            named = any("no forks of this program" in each for each in got.decision.given_up)
            if list(got) != right and (mode == "auto" or not named):
                print(name, mode, "right", right[:2], "got", list(got)[:2], got.decision)

DECISIONS = False
"""

CIRCUMSTANCES = {
    "plain": "program()",
    "log": "logging.basicConfig(filename='app.log'); logging.warning('begun'); program()",
    "socket": """
        server = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(server.getsockname())
        other, _ = server.accept()
        program()
        """,
    "thread": """
        gate = threading.Event()
        threading.Thread(target=gate.wait, daemon=True).start()
        program()
        """,
    "busy": """
        gate, lock = threading.Event(), threading.Lock()
        threading.Thread(target=gate.wait, daemon=True).start()
        lock.acquire()
        program()
        """,
    "handler": """
        def handle(context=contextvars.copy_context()):
            context.run(program)
        thread = threading.Thread(target=handle)
        decimal.DefaultContext.prec = 7
        thread.start()
        thread.join()
        """,
    "loop": """
        async def main():
            program()
        asyncio.run(main())
        """,
}


@pytest.mark.parametrize("modes", ["auto", "parallel combined", "concurrent"])
@pytest.mark.parametrize("circumstance", CIRCUMSTANCES)
def test_what_was_set_is_there_or_it_is_said_that_it_may_not_be(tmp_path: Path, circumstance: str, modes: str) -> None:
    (tmp_path / "settings_of_the_user.py").write_text(SETTINGS)
    script = tmp_path / "program.py"
    many = 60 if modes == "auto" else 6
    body = textwrap.dedent(CIRCUMSTANCES[circumstance]).strip()
    script.write_text(f"{PROGRAM}\nMODES = {modes.split()!r}\nMANY = {many}\n{body}\nprint('done')\n")
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, "PYTHONPATH": SOURCE},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.replace("begun\n", "") == "done\n"
