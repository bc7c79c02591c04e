"""Which code is the user's, and which library calls change shared state.

The scan follows the user's functions alone. Library functions are taken to change nothing that calls share, except
what the tables here name.
"""

from __future__ import annotations

import functools
import io
import os
import sys
import threading
import types
from collections.abc import Iterator, MutableMapping, MutableSequence, MutableSet
from typing import Final, TypeGuard

from whilst.inspecting.objects import attributes_of, is_a, module_of, names_of


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MUTATORS: Final = _words(
    """
    add append appendleft clear difference_update discard extend extendleft insert intersection_update pop popitem
    popleft put put_nowait remove reverse rotate setdefault sort symmetric_difference_update subtract update
    move_to_end __setitem__ __delitem__ __iadd__ __imul__ __ior__ __iand__ __isub__ __ixor__
    byteswap fill itemset frombytes fromfile fromlist resize setflags spawn
    setLevel addHandler removeHandler addFilter removeFilter register
    """
)
"""Methods that change what they are called on, by the names that containers use."""

CHANGES_FIRST_ARGUMENT: Final = _words(
    """
    next setattr delattr setitem delitem iadd iconcat ior iand isub heapify heappush heappop heapreplace heappushpop
    insort insort_left insort_right shuffle SubElement __setattr__ __delattr__
    """
)
"""Library functions that change what they are given first."""

FILLS_ARGUMENT: Final = _words(
    "pack_into readinto readinto1 recv_into recvfrom_into copyto at put place putmask fill_diagonal memmove memset"
)
"""Library functions that change the buffer among their arguments."""

VIEWS_OF_FIRST: Final = _words("asarray asanyarray frombuffer from_buffer as_strided broadcast_to")
"""Library functions that give a view of what they are given first."""

VIEWS_OF_ARRAY: Final = _words("reshape ravel view transpose swapaxes squeeze diagonal")
"""Methods of an array whose result may be a view of it, which writes to it."""

WRITES_FILE: Final = _words("write_text write_bytes touch unlink rename replace symlink_to hardlink_to")
"""Methods of a `pathlib.Path` that change what it names."""

_CONTAINERS: Final = (MutableMapping, MutableSequence, MutableSet)
_CONTAINERS_BY_NAME: Final = {"queue": ("Queue",), "logging": ("Logger", "Handler")}
"""Nobody has one whose module is not loaded, which takes as long as many a scan."""

DATABASES: Final = ("shelve", "dbm", "dbm.gnu", "dbm.ndbm", "dbm.dumb", "dbm.sqlite3")
"""Modules whose `open` gives a file that is written through other ways than Python's files."""

USES_DESCRIPTOR: Final = _words("read write lseek readv writev ftruncate sendfile")
"""Functions of `os` that use an open file by its number, and move its position."""

SETTLED_TYPES: Final = (
    types.ModuleType, types.FunctionType, types.BuiltinFunctionType, threading.local, type, str, bytes, int, float,
)  # fmt: skip
"""Objects whose methods are never taken to change them, whatever they are called."""

EVENT_LOOP: Final = "the event loop of the calling thread"
AT_EXIT: Final = "what atexit calls at the program's end"
HANDLERS: Final = "signal handlers"
FILTERS: Final = "the warning filters"

PROCESS_WIDE: Final[dict[tuple[str, str], str]] = {
    ("posix", "chdir"): "the working directory",
    ("posix", "fchdir"): "the working directory",
    ("nt", "chdir"): "the working directory",
    ("contextlib", "chdir"): "the working directory",
    ("posix", "umask"): "the umask",
    ("posix", "putenv"): "the environment",
    ("posix", "unsetenv"): "the environment",
    ("os", "putenv"): "the environment",
    ("os", "unsetenv"): "the environment",
    ("contextlib", "redirect_stdout"): "sys.stdout",
    ("contextlib", "redirect_stderr"): "sys.stderr",
    ("contextlib", "_RedirectStream"): "sys.stdout",
    ("warnings", "catch_warnings"): FILTERS,
    ("warnings", "simplefilter"): FILTERS,
    ("warnings", "filterwarnings"): FILTERS,
    ("_warnings", "simplefilter"): FILTERS,
    ("_py_warnings", "catch_warnings"): FILTERS,  # where they are from 3.14 on
    ("_py_warnings", "simplefilter"): FILTERS,
    ("_py_warnings", "filterwarnings"): FILTERS,
    ("locale", "setlocale"): "the locale",
    ("signal", "signal"): HANDLERS,
    ("signal", "getsignal"): HANDLERS,
    ("signal", "alarm"): "the alarm clock",
    ("signal", "setitimer"): "the interval timer",
    ("_socket", "setdefaulttimeout"): "the default socket time-out",
    ("_csv", "field_size_limit"): "the field size limit of csv",
    ("sys", "set_int_max_str_digits"): "the limit of digits of integers",
    ("time", "tzset"): "the time zone",
    ("sys", "setrecursionlimit"): "the recursion limit",
    ("sys", "setswitchinterval"): "the switch interval",
    ("sys", "settrace"): "the trace function",
    ("sys", "gettrace"): "the trace function",
    ("sys", "getprofile"): "the profile function",
    ("sys", "setprofile"): "the profile function",
    ("gc", "enable"): "the garbage collector",
    ("gc", "disable"): "the garbage collector",
    ("gc", "collect"): "",
    ("resource", "setrlimit"): "resource limits",
    ("unittest.mock", "patch"): "what it patches",
    ("unittest.mock", "_patch"): "what it patches",
    ("unittest.mock", "_patch_object"): "what it patches",
    ("unittest.mock", "_patch_dict"): "what it patches",
    ("tracemalloc", "start"): "the memory tracer",
    ("faulthandler", "enable"): "the fault handler",
    ("numpy", "seterr"): "numpy's error state",
    ("numpy", "set_printoptions"): "numpy's print options",
    ("decimal", "setcontext"): "",
    ("atexit", "register"): AT_EXIT,
    ("atexit", "unregister"): AT_EXIT,
    ("_asyncio", "get_event_loop"): EVENT_LOOP,
    ("asyncio.events", "get_event_loop"): EVENT_LOOP,
}
"""(module, qualified name) -> what of the whole process it changes: wrong in threads, right in processes."""

_SETS_STATE: Final = ("register", "unregister", "install")
"""How functions begin that leave something in a library, for the rest of the program."""
_LEFT_IN_LIBRARY: Final = frozenset(
    {
        ("mimetypes", "add_type"), ("logging", "addLevelName"), ("logging", "setLoggerClass"), ("logging", "disable"),
        ("logging", "captureWarnings"), ("logging", "basicConfig"), ("calendar", "setfirstweekday"),
        ("copyreg", "pickle"), ("copyreg", "constructor"), ("copyreg", "add_extension"), ("site", "addsitedir"),
        ("email.charset", "add_charset"), ("email.charset", "add_alias"), ("random", "setstate"),
    }
)  # fmt: skip


def left_in_library(target: object) -> str:
    """Return what a function of a library's module leaves there, which the rest of the program finds; "" for nothing.

    By its name: `register_…` and `install_…` in all libraries, `set_…` in Python's own.
    """
    module, name = str(getattr(target, "__module__", None) or ""), str(getattr(target, "__name__", ""))
    if not isinstance(target, types.FunctionType | types.BuiltinFunctionType) or (module, name) in PROCESS_WIDE:
        return ""
    if not isinstance(getattr(target, "__self__", None), types.ModuleType | None):
        return ""
    is_setting = name.startswith("set_") and module.partition(".")[0] in sys.stdlib_module_names
    if is_setting or name.startswith(_SETS_STATE) or (module, name) in _LEFT_IN_LIBRARY:
        return f"what {module.removeprefix('_')}.{name}() sets"
    return ""


NEVER_WAITING: Final = _words(
    """
    builtins math cmath random re json time datetime itertools functools collections string operator statistics
    hashlib _hashlib zlib struct array copy decimal fractions enum dataclasses typing base64 binascii
    """
)
"""Packages whose functions never wait for anything (`time.sleep` excepted, which is counted by itself)."""

UNSHARABLE_PACKAGES: Final = ("matplotlib.pyplot", "tkinter", "turtle", "pylab")
"""Modules that keep one current state for the whole process."""

LOCK_TYPES: Final = _words(
    """
    lock RLock Lock Condition Semaphore BoundedSemaphore _RLock DummyLock SemLock FileLock UnixFileLock
    """
)
_LOCKS: Final = (type(threading.Lock()), type(threading.RLock()))
_SEMAPHORES: Final = (threading.Semaphore, threading.BoundedSemaphore)


@functools.cache
def _library_folders() -> tuple[str, ...]:
    folders = set(_STANDARD_LIBRARY)
    folders |= {entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))}
    folders.add(OWN_FOLDER)  # whilst itself
    real = set(map(os.path.realpath, folders))
    return tuple(sorted(folder.rstrip("/") + "/" for folder in folders | real))


OWN_FOLDER: Final = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120 - pathlib brings half of urllib along
_LIBRARY_FOLDER: Final = os.path.dirname(os.__file__)  # noqa: PTH120 - likewise
_STANDARD_LIBRARY: Final = (
    _LIBRARY_FOLDER,
    os.path.join(sys.base_exec_prefix, sys.platlibdir, os.path.basename(_LIBRARY_FOLDER)),  # noqa: PTH118, PTH119
)
"""As `sysconfig.get_paths` says, whose import and first call take as long as a short run."""


def is_foreign(file: str) -> bool:
    """Whether the file belongs to the standard library or to this package: its code is not the user's."""
    if file.startswith(OWN_FOLDER):
        return True
    return file.startswith(_STANDARD_LIBRARY) and "site-packages" not in file


@functools.lru_cache(maxsize=2048)
def is_own_code(filename: str) -> bool:
    """Is this the user's own source file (or text: `<stdin>`, `<ipython-input>`), not a library's?"""
    if filename.startswith("<frozen"):
        return False
    if filename.startswith("<"):
        return True
    if filename.startswith(_library_folders()):
        return False
    return "/site-packages/" not in filename and "/dist-packages/" not in filename


def is_own_function(value: object) -> TypeGuard[types.FunctionType]:
    """Is it a Python function of the user's own?"""
    return is_a(value, types.FunctionType) and is_own_code(value.__code__.co_filename)


def is_container(value: object) -> bool:
    """Do its methods do to it what their names in `MUTATORS` say?"""
    if is_a(value, _CONTAINERS):
        return True
    return any(
        is_a(value, getattr(sys.modules.get(module), name, ()))
        for module, names in _CONTAINERS_BY_NAME.items()
        for name in names
    )


def is_own_module(module: types.ModuleType) -> bool:
    """Is it a module of the user's own? One without a file (built in, or made at run time) is not."""
    return is_own_code(getattr(module, "__file__", None) or "<frozen>")


def is_own_type(kind: type) -> bool:
    """Is the class the user's own?"""
    if module_of(kind) in ("builtins", "abc", "typing"):
        return False
    module = sys.modules.get(module_of(kind))
    return is_own_code(getattr(module, "__file__", None) or "<unknown>")


def is_value(kind: type) -> bool:
    """Is it a library's class whose objects are equal by what they hold, and hashable: a path, a date, a fraction?

    Such objects never change; what they keep in themselves beyond that (a path its text, once asked for) is a cache.
    """
    hashes: object = kind.__hash__
    return hashes is not None and hashes is not object.__hash__ and not is_own_type(kind)


def is_c_data(value: object) -> bool:
    """Is it one of `ctypes`: a number, an array or a structure as C has it?"""
    return module_of(type(type(value))) == "_ctypes"


def is_lock(value: object) -> bool:
    """Is it something that `with` takes to keep others out?"""
    kind = type(value)
    source = getattr(sys.modules.get(module_of(kind)), "__file__", None)
    return kind.__name__ in LOCK_TYPES and (source is None or not is_own_code(source))


def is_held(lock: object) -> bool:
    """Has somebody taken one of the standard library's locks, so that the next has to wait? Takes nothing itself."""
    if type(lock) in _SEMAPHORES:
        return bool(vars(lock).get("_value") == 0)
    if type(lock) is threading.Condition:
        lock = vars(lock).get("_lock")
    # A reentrant lock says so in no other way before Python 3.14.
    return type(lock) in _LOCKS and repr(lock).startswith("<locked")


def holds_lock(value: object) -> bool:
    """Does an object of a library keep a lock, in itself or in its class? Then it is made for several threads."""
    held = [entry for _, entry in attributes_of(value)]
    held += [entry for base in type(value).__mro__[:-1] for entry in list(vars(base).values())]
    return any(hasattr(type(each), "acquire") and hasattr(type(each), "release") for each in held)


def stateful_kind(value: object, method: str = "") -> str:
    """Return what kind of thing it is if using it from several calls at once would mix them up, else "".

    Args:
        method: the one that is called, where that is known: some leave the object as it is.
    """
    if method == "copy":
        return ""
    if is_a(value, (io.TextIOBase, io.BufferedIOBase, io.RawIOBase)):
        # The standard streams are shared by design, and a worker's output is forwarded.
        return "" if value in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__) else "an open file"
    sockets, randoms = sys.modules.get("socket"), sys.modules.get("random")
    if sockets is not None and is_a(value, sockets.socket):
        return "a socket"
    if randoms is not None and is_a(value, randoms.Random):
        return "" if is_a(value, randoms.SystemRandom) else "a random generator"
    for kind in type(value).__mro__[:-1]:
        name = f"{module_of(kind)}.{kind.__qualname__}"
        if name in _STATEFUL_NAMES:
            return _STATEFUL_NAMES[name]
    if is_a(value, (types.GeneratorType, Iterator)) and not is_lock(value):
        return "an iterator"
    if method.startswith(_MOVES) and hasattr(type(value), "tell") and not is_own_type(type(value)):
        return "an object with a position"
    return ""


_MOVES: Final = ("seek", "read", "write", "setpos", "rewind")
"""How the methods begin that move the position of what has one: of a memory map, a sound file, an image."""


_STATEFUL_NAMES: Final = {
    "sqlite3.Connection": "a database connection",
    "sqlite3.Cursor": "a database cursor",
    "psycopg.Connection": "a database connection",
    "psycopg.Cursor": "a database cursor",
    "psycopg2.extensions.connection": "a database connection",
    "psycopg2.extensions.cursor": "a database cursor",
    "http.client.HTTPConnection": "an HTTP connection",
    "http.client.HTTPSConnection": "an HTTP connection",
    "ftplib.FTP": "an FTP connection",
    "smtplib.SMTP": "an SMTP connection",
    "imaplib.IMAP4": "an IMAP connection",
    "poplib.POP3": "a POP3 connection",
    "telnetlib.Telnet": "a telnet connection",
    "xmlrpc.client.ServerProxy": "an XML-RPC connection",
    "multiprocessing.connection._ConnectionBase": "a pipe",
    "pymysql.connections.Connection": "a database connection",
    "serial.serialutil.SerialBase": "a serial port",
    "numpy.random._generator.Generator": "a random generator",
    "numpy.random.mtrand.RandomState": "a random generator",
    "subprocess.Popen": "a child process",
    "_csv.writer": "a CSV writer",
    "csv.DictWriter": "a CSV writer",
    "zipfile.ZipFile": "an archive",
    "tarfile.TarFile": "an archive",
    "_hashlib.HASH": "a hash in progress",
    "_hashlib.HASHXOF": "a hash in progress",
    "_hashlib.HMAC": "a hash in progress",
    "hmac.HMAC": "a hash in progress",
    "_blake2.blake2b": "a hash in progress",
    "_blake2.blake2s": "a hash in progress",
    "zlib.Compress": "a compression in progress",
    "zlib.Decompress": "a decompression in progress",
    "zlib._ZlibDecompressor": "a decompression in progress",
    "_bz2.BZ2Compressor": "a compression in progress",
    "_bz2.BZ2Decompressor": "a decompression in progress",
    "_lzma.LZMACompressor": "a compression in progress",
    "_lzma.LZMADecompressor": "a decompression in progress",
    "_sre.SRE_Scanner": "a search in progress",
    "pyexpat.xmlparser": "a parser in progress",
    "xml.etree.ElementTree.XMLParser": "a parser in progress",
    "xml.etree.ElementTree.XMLPullParser": "a parser in progress",
    "_pickle.Pickler": "a pickler",
    "_pickle.Unpickler": "an unpickler",
    "codecs.IncrementalDecoder": "a decoder in progress",
    "codecs.IncrementalEncoder": "an encoder in progress",
    "_multibytecodec.MultibyteIncrementalDecoder": "a decoder in progress",
    "_multibytecodec.MultibyteIncrementalEncoder": "an encoder in progress",
    "sqlite3.Blob": "an object with a position",
    "tarfile.ExFileObject": "an open file",
    "cv2.VideoCapture": "a video in progress",
}
"""What shows nothing of its state, or of which every use moves it on."""


def sets_alarm(target: object) -> bool:
    """Does a library's function or context manager set a signal handler or a timer: in the main thread alone?

    Its code says so, or that of a function of the same module that it wraps, encloses or names.
    """
    todo: list[object] = [target]
    seen: set[int] = set()
    # Not a function's own `__module__`: a wrapper has that of what it wraps.
    home = getattr(target, "__globals__", {}).get("__name__") or getattr(target, "__module__", None)
    while todo and len(seen) < _MOST_FOLLOWED:
        each = todo.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, type) and each.__module__ == home:
            todo.extend(vars(each).values())
        if not isinstance(each, types.FunctionType):
            continue
        todo.append(getattr(each, "__wrapped__", None))
        names = set(names_of(each.__code__))
        if is_own_code(each.__code__.co_filename) or "main_thread" in names:  # followed by itself; or it takes care
            continue
        if names & _ALARMS and sys.modules.get("signal") is not None:
            return True
        if each.__globals__.get("__name__") == home:
            todo.extend(each.__globals__.get(name) for name in names)
    return False


_ALARMS: Final = frozenset({"SIGALRM", "setitimer", "ITIMER_REAL"})
_MOST_FOLLOWED: Final = 64


def bound_generator(value: object) -> bool:
    """Is it a function of the random generator that the whole program shares (`random.random`, `numpy.random.rand`)?"""
    owner = getattr(value, "__self__", None) if not is_own_type(type(value)) else None
    if owner is None:
        numpys = sys.modules.get("numpy.random")
        return numpys is not None and value is getattr(numpys, "seed", None)  # bound to it, though it does not say so
    randoms = sys.modules.get("random")
    if randoms is not None and owner is getattr(randoms, "_inst", None):
        return True
    numpy_random = sys.modules.get("numpy.random.mtrand")
    return numpy_random is not None and owner is getattr(numpy_random, "_rand", None)


def is_generator(value: object) -> bool:
    """Is it one of `random`'s own kind?"""
    randoms = sys.modules.get("random")
    return randoms is not None and is_a(value, randoms.Random)
