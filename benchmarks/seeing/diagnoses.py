"""Of how many programs is the right diagnosis (cause, line, holder) among the first three things said?

Usage: python benchmarks/seeing/diagnoses.py [NUMBER | perf | schedstat | stacks ...]
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path

from programs import PROGRAMS, Program

from whilst.seeing import Trace, trace_program
from whilst.seeing.recording.recorder import CLOCKS


def first_three(trace: Trace) -> str:
    """The sentence with the first finding, then the findings and causes that follow it, three in all."""
    rest = [*trace.findings[1:2], *(f"{row.cause} {row.where} held by {row.held_by}" for row in trace.causes)]
    return "\n".join((trace.sentence, *rest[:3]))


def traced(program: Program, clocks: tuple[str, ...]) -> Trace:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.py"
        path.write_text(program.source)
        with quiet():
            return trace_program([str(path)], clocks=clocks)


@contextlib.contextmanager
def quiet():
    """The programs' own output goes nowhere."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def main() -> None:
    clocks = tuple(each for each in sys.argv[1:] if each in CLOCKS) or CLOCKS
    wanted = [int(each) for each in sys.argv[1:] if each.isdigit()] or range(len(PROGRAMS))
    right, unknown = 0, []
    for number in wanted:
        program = PROGRAMS[number]
        trace = traced(program, clocks)
        said = first_three(trace)
        missing = [pattern.pattern for pattern in program.patterns() if not pattern.search(said)]
        right += not missing
        unknown.append(trace.unknown_share)
        verdict = "WRONG" if missing else "right"
        print(f"{number:2} {verdict}  {program.name}  ({trace.clock}, {trace.unknown_share:.1%} unknown)")
        if missing:
            print("   not said:", *missing, "\n   " + said.replace("\n", "\n   "))
    mean = sum(unknown) / len(unknown)
    print(f"{right} of {len(wanted)} right; off-core time without a cause: mean {mean:.1%}, most {max(unknown):.1%}")


if __name__ == "__main__":
    main()
