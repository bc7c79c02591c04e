"""Is advice right, is it safe, and does one get what it promises? On programs whose truth stands in them.

A program's header says what is expected: "# EXPECT change concurrent", "# EXPECT change parallel", "# EXPECT leave" or
"# EXPECT remedy WORD", and a loop's line ends with "# LOOP independent" (or reduction, pipeline, carried). Read as well
are headers of the form "# DIAGNOSIS word" with "# PARALLELISABLE yes/no", and a `truth.json` beside scripts. Each is
advised on in a copy of its folder, changed, and run again beside the program as it was; other modes and numbers of
executors are tried where it was changed. Times want a quiet machine.

Usage: python benchmarks/advising/advise.py [--rounds N] [FOLDER or PROGRAM ...]
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from whilst.seeing.advising import Advice, advise
from whilst.seeing.advising.api import read_script
from whilst.seeing.advising.edits import timed
from whilst.seeing.advising.loops import loops_of
from whilst.seeing.advising.runs import Workshop

PROGRAMS = Path(__file__).parent / "programs"
FREE = ("independent", "reduction", "pipeline")
OTHERS = (("concurrent", 4), ("concurrent", 8), ("concurrent", 16), ("concurrent", 32), ("parallel", 2))
ASKED = re.compile(r'mode="(\w+)", workers=(\d+)')
BY_DIAGNOSIS = {
    "gil-contention": "change parallel", "lock-convoy": "remedy lock", "blocking-call-on-loop": "remedy to_thread",
    "chunk-too-small": "remedy chunksize", "payload": "remedy Send what", "straggler": "remedy longest",
    "handler-lock": "remedy QueueHandler", "capacity": "remedy other side", "submit-and-wait": "change concurrent",
    "waits": "change concurrent", "dependent": "leave", "independent for processes": "change parallel",
    "independent": "change parallel",
}  # fmt: skip
"""The longest that the diagnosis begins with counts. A change in a good mode is right advice as well."""


@dataclass
class Truth:
    """What is so of a program: what to advise, and by line which loops are of which kind ("" for unknown)."""

    expected: str = ""
    loops: dict[int, str] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)
    """Modes in which a change would be unsafe."""


@dataclass
class Found:
    """What one program gave."""

    name: str
    is_right: bool | None = None
    unsafe: list[str] = field(default_factory=list)
    free_loops: int = 0
    recognised: int = 0
    predicted: float | None = None
    measured: float | None = None
    regret: float | None = None
    recording: float = 0.0
    said: str = ""


def truth_of(path: Path) -> Truth:
    source = path.read_text(encoding="utf-8")
    truth = Truth()
    for number, line in enumerate(source.splitlines(), 1):
        if found := re.search(r"# LOOP (\w+)\s*$", line):
            truth.loops[number] = found[1]
    if found := re.search(r"^# EXPECT (.+?)\s*$", source, re.MULTILINE):
        truth.expected = found[1]
    if found := re.search(r"^# DIAGNOSIS\s+(.+)", source, re.MULTILINE):
        begins = [key for key in BY_DIAGNOSIS if found[1].startswith(key)]
        truth.expected = BY_DIAGNOSIS[max(begins, key=len)] if begins else ""
    if found := re.search(r"^# PARALLELISABLE\s+(.+)", source, re.MULTILINE):
        if found[1].startswith("no"):
            truth.forbidden = {"concurrent", "parallel"}
        elif "threads only after" in found[1]:
            truth.forbidden = {"concurrent"}
    listed = path.parent / "truth.json"
    known = json.loads(listed.read_text(encoding="utf-8")).get(path.stem) if listed.exists() else None
    for loop in known["loops"] if known else ():
        if loop["gain"] in ("main", "no"):
            truth.loops[loop["lines"][0]] = "carried" if loop["must_not_touch"] else loop["class"]
    if known:
        truth.expected = "change" if any(loop["gain"] == "main" for loop in known["loops"]) else "leave"
    if truth.expected == "leave":
        truth.forbidden |= {"concurrent", "parallel"} if "carried" in truth.loops.values() else set()
    return truth


def is_right(advice: Advice, truth: Truth) -> bool | None:
    """Is that what was to be said? None where nobody wrote it down."""
    word, _, rest = truth.expected.partition(" ")
    modes = {loop.mode for loop in advice.loops if loop.is_proved}
    if not word:
        return None
    if word == "leave":
        return not modes
    if word == "change":
        return bool(modes) and (not rest or rest in modes)
    text = "\n".join(advice.notes())
    return bool(re.search(rest, text)) or bool(modes - truth.forbidden)


def judge(path: Path, rounds: int) -> Found:
    truth = truth_of(path)
    found = Found(path.stem)
    with tempfile.TemporaryDirectory(prefix="advising-") as scratch, contextlib.chdir(scratch):
        folder = Path(scratch) / "program"
        shutil.copytree(path.parent, folder, ignore=shutil.ignore_patterns("__pycache__", "rewritten"))
        script = folder / path.name
        os.chdir(folder)  # as its user would
        found.recording = recording_cost(script, rounds)
        advice = advise(script, apply=True)
        found.is_right = is_right(advice, truth)
        found.said = advice.title
        for line, kind in truth.loops.items():
            loop = next((each for each in advice.loops if each.line == line), None)
            found.free_loops += kind in FREE
            found.recognised += kind in FREE and loop is not None and loop.kind in FREE
            if loop is not None and loop.is_proved and kind == "carried":
                found.unsafe.append(f"line {line} is carried")
        proved = [loop for loop in advice.loops if loop.is_proved]
        found.unsafe += [f"{loop.mode} in line {loop.line}" for loop in proved if loop.mode in truth.forbidden]
        if proved and advice.seconds and advice.changed_seconds:
            found.predicted = 1.0
            for loop in proved:
                found.predicted *= loop.predicted[0] if loop.predicted else 1.0
            hold_against_others(path.name, folder, advice, found, rounds)
    return found


def recording_cost(script: Path, rounds: int) -> float:
    """The run whose loops are timed, over a plain one."""
    source = read_script(script)
    loops = loops_of(ast.parse(source), source)
    ratios = []
    with Workshop(str(script), (), timeout_s=600.0, allows_effects=False) as workshop:
        for _ in range(rounds):
            plain = workshop.run().seconds
            ratios.append(workshop.look(timed(source, loops))[0].seconds / plain)
    return statistics.median(ratios)


def hold_against_others(name: str, folder: Path, advice: Advice, found: Found, rounds: int) -> None:
    """Run the program as it was, as it was changed, and changed in other ways, in turn."""
    changed = (folder / name).read_text(encoding="utf-8")
    texts = {"before": Path(advice.backup).read_text(encoding="utf-8"), "advised": changed}
    for mode, workers in OTHERS:
        text = ASKED.sub(f'mode="{mode}", workers={workers}', changed)
        if text != changed:
            texts[f"{mode}, {workers}"] = text
    seconds: dict[str, list[float]] = {key: [] for key in texts}
    outputs: dict[str, set[str]] = {key: set() for key in texts}
    for _ in range(rounds):
        for key, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
            start = time.perf_counter()
            done = subprocess.run([sys.executable, name], cwd=folder, capture_output=True, text=True, check=False)
            seconds[key].append(time.perf_counter() - start)
            outputs[key].add(f"{done.returncode}\n{done.stdout}")
    found.measured = statistics.median(
        one / other for one, other in zip(seconds["before"], seconds["advised"], strict=True)
    )
    if outputs["advised"] != outputs["before"] or len(outputs["before"]) > 1:
        found.unsafe.append("the changed program gives something else")
    same = [key for key in texts if outputs[key] == outputs["before"]]
    best = min(statistics.median(seconds[key]) for key in same)
    found.regret = statistics.median(seconds["advised"]) / best - 1


def percentile(values: list[float], share: float) -> str:
    ordered = sorted(values)
    return f"{ordered[min(int(share * len(ordered)), len(ordered) - 1)]:.0%}" if ordered else "-"


def table(all_found: list[Found]) -> None:
    known = [each for each in all_found if each.is_right is not None]
    changed = [each for each in all_found if each.measured is not None]
    off = [abs(each.predicted / each.measured - 1) for each in changed if each.predicted and each.measured]
    regrets = [each.regret for each in changed if each.regret is not None]
    free, seen = sum(each.free_loops for each in all_found), sum(each.recognised for each in all_found)
    slower = [each.name for each in changed if each.measured is not None and each.measured < 1]
    rows: list[tuple[str, str, str, str]] = [
        ("unsafe advice", str(sum(map(bool, (each.unsafe for each in all_found)))), "0", "0"),
        ("a slower program was accepted", str(len(slower)), "0", "0"),
        ("right advice", f"{sum(bool(each.is_right) for each in known)} of {len(known)}", "20 of 25", "25 of 25"),
        ("loops recognised that can be parallelised", f"{seen} of {free}", "70 %", "90 %"),
        ("predicted against measured, median", percentile(off, 0.5), "10 %", "5 %"),
        ("the same, 90th percentile", percentile(off, 0.9), "30 %", "15 %"),
        ("slower than the best mode, 90th percentile", percentile(regrets, 0.9), "10 %", "5 %"),
        ("recording, times as long, most", f"{max(each.recording for each in all_found):.2f}", "2", "1.2"),
    ]
    print(f"\n{'':<44}{'here':>10}{'bound':>12}{'goal':>12}")
    for row in rows:
        print(f"{row[0]:<44}{row[1]:>10}{row[2]:>12}{row[3]:>12}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("where", nargs="*", type=Path, default=[PROGRAMS])
    options = parser.parse_args()
    paths: list[Path] = []
    for where in options.where:
        paths += [where] if where.is_file() else sorted(where.glob("*.py"))
    paths = [path for path in paths if truth_of(path).expected]
    all_found = []
    for path in map(Path.resolve, paths):
        found = judge(path, options.rounds)
        all_found.append(found)
        gain = f"predicted {found.predicted:.2f}, measured {found.measured:.2f}" if found.measured else "not changed"
        also = f", {found.regret:.0%} slower than the best" if found.regret is not None else ""
        right = {True: "right", False: "WRONG", None: "?"}[found.is_right]
        print(f"{found.name:<28} {right:<6} {gain}{also}; recording {found.recording:.2f}", flush=True)
        for each in found.unsafe:
            print(f"    UNSAFE: {each}")
        if not found.is_right:
            print(f"    {found.said}")
    table(all_found)


if __name__ == "__main__":
    main()
