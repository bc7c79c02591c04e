"""What the machine did not give for a worker, in a sentence with the limit and the remedy."""

from __future__ import annotations

import errno

from whilst.errors import MachineLimitError

_LIMITS = {
    errno.EFBIG: "files may not be as large as the memory it shares (RLIMIT_FSIZE): raise `ulimit -f`",
    errno.ENOMEM: "there is not enough memory, or address space (RLIMIT_AS): free some, or raise `ulimit -v`",
    errno.EAGAIN: "there may be no more processes (RLIMIT_NPROC, or the container's limit): raise `ulimit -u`",
    errno.EMFILE: "this program may open no more files (RLIMIT_NOFILE): close some, or raise `ulimit -n`",
    errno.ENFILE: "the system may open no more files (fs.file-max): close some, or raise that",
}


def machine_limit(error: OSError | MemoryError) -> MachineLimitError:
    """The error to raise in place of one that starting a worker process has met."""
    number = errno.ENOMEM if isinstance(error, MemoryError) else error.errno or 0
    why = _LIMITS.get(number, str(error))
    limit = MachineLimitError(
        number, f"A worker process can't be started: {why}; or pass mode='concurrent' for threads of this process"
    )
    limit.__cause__ = error
    return limit
