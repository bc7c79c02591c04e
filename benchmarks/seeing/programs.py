"""Small programs with a known diagnosis: what must be among the first three things said of each.

`#1` and `#2` mark the lines that a diagnosis names. `says` are patterns, all of which must be found; `{m1}` in one
stands for the number of the line marked `#1`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Program:
    """One program, and what has to be said of it."""

    name: str
    source: str
    says: tuple[str, ...]

    def patterns(self) -> list[re.Pattern[str]]:
        """`says`, with the numbers of the lines."""
        lines = self.source.splitlines()
        numbers = {f"m{line[-1]}": number for number, line in enumerate(lines, 1) if re.search(r"#\d$", line)}
        return [re.compile(pattern.format(**numbers)) for pattern in self.says]


PROGRAMS: Final = (
    Program(
        "threads that work under the GIL",
        """
def crunch(n):
    total = 0
    for i in range(n): total += i * i % 7 #1
    return total
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(crunch, [150_000] * 40)))
""",
        (
            r"gil",
            r"crunch \(.*{m1}\)",
        ),
    ),
    Program(
        "a lock held over a wait",
        """
import threading, time
lock = threading.Lock()
def request():
    time.sleep(0.01) #2
def load():
    for _ in range(8):
        with lock: #1
            request()
threads = [threading.Thread(target=load) for _ in range(8)]
[each.start() for each in threads]
[each.join() for each in threads]
""",
        (
            r"lock:lock",
            r"load \(.*{m1}\)",
            r"held by Thread.*request \(.*{m2}\)",
        ),
    ),
    Program(
        "a lock held over a computation",
        """
def crunch(n):
    total = 0
    for i in range(n): total += i * i % 7 #1
    return total
import threading
lock = threading.Lock()
def work():
    for _ in range(10):
        with lock: #2
            crunch(100_000)
threads = [threading.Thread(target=work) for _ in range(4)]
[each.start() for each in threads]
[each.join() for each in threads]
""",
        (
            r"lock:lock",
            r"work \(.*{m2}\)",
            r"held by Thread.*crunch",
        ),
    ),
    Program(
        "a full queue",
        """
import queue, threading, time
q = queue.Queue(2)
def store(item):
    time.sleep(0.01) #2
def consume():
    while (item := q.get()) is not None: store(item)
def main():
    thread = threading.Thread(target=consume); thread.start()
    for i in range(80):
        q.put(i + 1) #1
    q.put(None); thread.join()
main()
""",
        (
            r"queue(:| is )full",
            r"main \(.*{m1}\)",
            r"store \(.*{m2}\)",
        ),
    ),
    Program(
        "a blocking call in an event loop",
        """
import asyncio, time
def query(i):
    time.sleep(0.02) #1
    return i
async def handle(i):
    await asyncio.sleep(0)
    return query(i)
async def main():
    print(sum(await asyncio.gather(*(handle(i) for i in range(30)))))
asyncio.run(main())
""",
        (
            r"loop",
            r"query \(.*{m1}\)",
        ),
    ),
    Program(
        "a computation in an event loop",
        """
def crunch(n):
    total = 0
    for i in range(n): total += i * i % 7 #1
    return total
import asyncio
async def handle(i):
    await asyncio.sleep(0.01)
    return crunch(200_000)
async def main():
    print(sum(await asyncio.gather(*(handle(i) for i in range(20)))))
asyncio.run(main())
""",
        (
            r"loop",
            r"crunch \(.*{m1}\)",
        ),
    ),
    Program(
        "tasks of asyncio that never overlap",
        """
import asyncio
async def fetch(i):
    await asyncio.sleep(0.02) #1
async def main():
    for i in range(40): await fetch(i)
asyncio.run(main())
""",
        (
            r"One task at a time",
            r"sleep",
            r"fetch \(.*{m1}\)",
        ),
    ),
    Program(
        "an executor that is full",
        """
import asyncio, time
from concurrent.futures import ThreadPoolExecutor
def call(i):
    time.sleep(0.03)
async def handle(i):
    await asyncio.get_running_loop().run_in_executor(pool, call, i) #1
async def main():
    await asyncio.gather(*(handle(i) for i in range(60)))
with ThreadPoolExecutor(3) as pool:
    asyncio.run(main())
""",
        (
            r"executor (being )?full",
            r"handle \(.*{m1}\)",
        ),
    ),
    Program(
        "a semaphore of one",
        """
import asyncio
async def call(i, limit):
    async with limit: #1
        await asyncio.sleep(0.02) #2
async def main():
    limit = asyncio.Semaphore(1)
    await asyncio.gather(*(call(i, limit) for i in range(40)))
asyncio.run(main())
""",
        (
            r"lock:limit",
            r"call \(.*{m1}\)",
            r"held by Task.*{m2}",
        ),
    ),
    Program(
        "each result waited for before the next",
        """
import time
from concurrent.futures import ThreadPoolExecutor
def fetch(i):
    time.sleep(0.02) #2
    return i
def main():
    with ThreadPoolExecutor(8) as pool:
        for i in range(50):
            pool.submit(fetch, i).result() #1
main()
""",
        (
            r"One by one: main \(.*{m1}\)",
            r"lock:future",
            r"fetch \(.*{m2}\)",
        ),
    ),
    Program(
        "a pool of processes with short calls",
        """
from concurrent.futures import ProcessPoolExecutor
def tiny(n):
    return n + 1
def main():
    with ProcessPoolExecutor(2) as pool:
        print(sum(pool.map(tiny, range(6000)))) #1
if __name__ == '__main__': main()
""",
        (
            r"handing",
            r"main \(.*{m1}\)",
            r"short",
        ),
    ),
    Program(
        "one long task that comes last",
        """
def crunch(n):
    total = 0
    for i in range(n): total += i * i % 7 #1
    return total
from concurrent.futures import ProcessPoolExecutor
def main():
    with ProcessPoolExecutor(2) as pool:
        print(sum(pool.map(crunch, [60_000] * 40 + [5_000_000])))
if __name__ == '__main__': main()
""",
        (
            r"worker of 2 is busy alone",
            r"crunch \(.*{m1}\)",
        ),
    ),
    Program(
        "programs that are started one by one",
        """
import subprocess
def convert():
    subprocess.run(['sleep', '0.1'], check=True) #1
for _ in range(6):
    convert()
""",
        (
            r"child",
            r"convert \(.*{m1}\)",
        ),
    ),
    Program(
        "an import that takes its time",
        """
import importlib.machinery, sys, time
class Slow:
    def find_spec(self, name, path, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name == 'slow' else None
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        time.sleep(0.6)
sys.meta_path.insert(0, Slow())
import slow #1
""",
        (
            r"import|sleep",
            r"(line |:){m1}|exec_module",
        ),
    ),
    Program(
        "a database that is locked",
        """
import os, sqlite3, tempfile, threading, time
path = tempfile.mktemp()
def write():
    base = sqlite3.connect(path, timeout=30)
    for i in range(4):
        base.execute('insert into t values (1)') #1
        time.sleep(0.02) #2
        base.commit()
base = sqlite3.connect(path); base.execute('create table t (x)'); base.commit()
threads = [threading.Thread(target=write) for _ in range(6)]
[each.start() for each in threads]
[each.join() for each in threads]
os.unlink(path)
""",
        (
            r"lock:database",
            r"write \(.*{m1}\)",
        ),
    ),
    Program(
        "a plain loop that waits",
        """
import time
def fetch(i):
    time.sleep(0.02) #1
for i in range(50):
    fetch(i)
""",
        (
            r"One task at a time",
            r"sleep",
            r"fetch \(.*{m1}\)",
        ),
    ),
    Program(
        "a plain loop that works",
        """
def crunch(n):
    total = 0
    for i in range(n): total += i * i % 7 #1
    return total
for i in range(30):
    crunch(200_000)
""",
        (
            r"on one core",
            r"crunch \(.*{m1}\)",
        ),
    ),
    Program(
        "a lock between processes",
        """
import multiprocessing, time
def work(lock):
    for _ in range(15):
        with lock: #1
            time.sleep(0.01) #2
if __name__ == '__main__':
    lock = multiprocessing.Lock()
    several = [multiprocessing.Process(target=work, args=(lock,)) for _ in range(4)]
    [each.start() for each in several]
[each.join() for each in several]
""",
        (
            r"lock:lock",
            r"work \(.*{m1}\)",
            r"held by .*{m2}",
        ),
    ),
    Program(
        "threads that are started and waited for one by one",
        """
import threading, time
def fetch(i):
    time.sleep(0.02) #2
def main():
    for i in range(40):
        thread = threading.Thread(target=fetch, args=(i,))
        thread.start()
        thread.join() #1
main()
""",
        (
            r"(One by one: main \(.*{m1}\).*thread|lock:thread main \(.*{m1}\))",
            r"fetch \(.*{m2}\)",
        ),
    ),
    Program(
        "a pool of too few threads",
        """
import time
from concurrent.futures import ThreadPoolExecutor
def fetch(i):
    time.sleep(0.03) #1
def main():
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(fetch, range(90)))
main()
""",
        (
            r"All 3 threads of the pool",
            r"sleep",
            r"fetch \(.*{m1}\)",
        ),
    ),
    Program(
        "threads that write one file through to the disk",
        """
import os, tempfile, threading
path = tempfile.mktemp()
def store():
    with open(path, 'ab') as file:
        for _ in range(60):
            file.write(b'x' * 200_000)
            file.flush()
            os.fsync(file.fileno()) #1
threads = [threading.Thread(target=store) for _ in range(4)]
[each.start() for each in threads]
[each.join() for each in threads]
os.unlink(path)
""",
        (
            r"io:file",
            r"store \(.*{m1}\)",
        ),
    ),
    Program(
        "full garbage collections",
        """
import gc
class Node: pass
kept = []
def grow():
    for _ in range(20_000):
        node = Node(); node.me = node; kept.append(node)
    gc.collect() #1
def main():
    for _ in range(12): grow()
main()
""",
        (
            r"garbage collection \(gc\)",
            r"grow \(.*{m1}\)",
        ),
    ),
    Program(
        "threads that import the same slow module",
        """
import importlib.machinery, sys, threading, time
class Slow:
    def find_spec(self, name, path, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name == 'slow' else None
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        time.sleep(0.6)
sys.meta_path.insert(0, Slow())
def use():
    import slow #1
threads = [threading.Thread(target=use) for _ in range(4)]
[each.start() for each in threads]
[each.join() for each in threads]
""",
        (
            r"import",
            r"use \(.*{m1}\)",
        ),
    ),
    Program(
        "results that are large",
        """
from concurrent.futures import ProcessPoolExecutor
def table(k):
    return [float(i ^ k) for i in range(200_000)]
def main():
    with ProcessPoolExecutor(2) as pool:
        print(sum(len(each) for each in pool.map(table, range(30)))) #1
if __name__ == '__main__': main()
""",
        (
            r"handing",
            r"main \(.*{m1}\)",
            r"large",
        ),
    ),
    Program(
        "a semaphore of one in threads",
        """
import threading, time
limit = threading.Semaphore(1)
def request():
    time.sleep(0.01) #2
def call():
    for _ in range(8):
        with limit: #1
            request()
threads = [threading.Thread(target=call) for _ in range(8)]
[each.start() for each in threads]
[each.join() for each in threads]
""",
        (
            r"lock:limit",
            r"call \(.*{m1}\)",
            r"held by Thread.*request \(.*{m2}\)",
        ),
    ),
    Program(
        "consumers that wait for a slow producer",
        """
import queue, threading, time
q = queue.Queue()
def produce():
    time.sleep(0.01) #2
def consume():
    while q.get() is not None: pass #1
def main():
    threads = [threading.Thread(target=consume) for _ in range(4)]
    [each.start() for each in threads]
    for i in range(70):
        produce(); q.put(i)
    [q.put(None) for _ in threads]; [each.join() for each in threads]
main()
""",
        (
            r"queue(:| is )empty",
            r"consume \(.*{m1}\)",
            r"produce \(.*{m2}\)",
        ),
    ),
    Program(
        "a socket that is read in a coroutine",
        """
import asyncio, socket, threading, time
def serve(listener):
    while True:
        connection, _ = listener.accept()
        time.sleep(0.02)
        connection.sendall(b'x'); connection.close()
def ask(address):
    with socket.create_connection(address) as connection:
        return connection.recv(1) #1
async def handle(address):
    await asyncio.sleep(0)
    ask(address)
async def main():
    listener = socket.create_server(('127.0.0.1', 0), backlog=100)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    await asyncio.gather(*(handle(listener.getsockname()) for _ in range(30)))
asyncio.run(main())
""",
        (
            r"loop",
            r"io:socket",
            r"ask \(.*{m1}\)",
        ),
    ),
    Program(
        "threads that wait for an event that comes late",
        """
import threading, time
ready = threading.Event()
def prepare():
    time.sleep(0.6) #2
def work():
    ready.wait() #1
def main():
    threads = [threading.Thread(target=work) for _ in range(4)]
    [each.start() for each in threads]
    prepare(); ready.set()
    [each.join() for each in threads]
main()
""",
        (
            r"lock:event",
            r"work \(.*{m1}\)",
            r"prepare \(.*{m2}\)",
        ),
    ),
)
