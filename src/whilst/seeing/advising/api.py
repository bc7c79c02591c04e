"""The verb `advise`: run a copy of a script, find the loops that cost, propose a change, and prove it by running it."""

from __future__ import annotations

import ast
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from whilst.measuring.machine import look_at_machine
from whilst.model import Mode, Profile
from whilst.running.policies.choosing import THREADS_PER_PROCESS
from whilst.seeing.advising import agent
from whilst.seeing.advising.advice import Advice, LoopAdvice
from whilst.seeing.advising.edits import AdviseError, Asked, UnwritableError, diff, rewritten, timed
from whilst.seeing.advising.flattening import flattened
from whilst.seeing.advising.judging import LOCKED, Choice, Safety, choose, profile_of, safety_of
from whilst.seeing.advising.loops import Loop, loops_of
from whilst.seeing.advising.proving import LEAST_GAIN, Gain, gain_of
from whilst.seeing.advising.runs import Outcome, Workshop
from whilst.seeing.advising.splitting import Split, Whole, in_vain, split
from whilst.seeing.advising.uses import Program
from whilst.seeing.remedies import CONCURRENT, remedies_for

_LEAST_SHARE: Final = 0.1
_MOST_LOOPS: Final = 8
_MOST_PROBES: Final = 4
_BRIEF_S: Final = 0.1
_LONG: Final = 0.25
"""Of all calls together, the share of one that the others have to wait for."""

_LITTLE: Final = 0.05
"""Of a call, what it may seem to wait though it computes."""
_BUSY: Final = 1.5
"""So many times as long as another run of the same script: the machine had something else to do."""
_MUCH_S: Final = 0.1

Progress = Callable[[str], None]


def advise(
    script: str | os.PathLike[str],
    arguments: Sequence[str] = (),
    *,
    apply: bool = False,
    stdin: bytes = b"",
    timeout_s: float = 600.0,
    allow_effects: bool = False,
    on_progress: Progress | None = None,
) -> Advice:
    """Say which loops of a script to change, and prove it: the changed copy gives the same output, and is faster.

    The script is run some twelve times, on copies of its folder; the user's own files stay as they are.

    Args:
        script: a Python script; `arguments` and `stdin` are what it is given in every run.
        apply: write the change, if it was proved; the text as it was is kept beside it.
        timeout_s: seconds that one run may take.
        allow_effects: let it change files outside its folder, as it would by itself.
        on_progress: told what is being done.
    Returns:
        An `Advice`: `loops`, each with what it is and why, `diff`, and `show()`.
    Raises:
        AdviseError: there is no such script, it is no Python, or its folder is too large to be copied.
    """
    with Workshop(
        os.fspath(script), arguments, stdin=stdin, timeout_s=timeout_s, allows_effects=allow_effects
    ) as workshop:
        source = read_script(workshop.script)
        advisor = Advisor(workshop, source, os.fspath(script), on_progress or _say_nothing)
        advice = advisor.advise()
        if apply and advice.is_proved:
            backup = write_change(workshop.script, source, advisor.text)
            advice = replace(advice, applied_to=os.fspath(script), backup=backup)
    return advice


def _say_nothing(text: str) -> None:
    """Nobody wants to be told."""
    del text


def read_script(path: Path) -> str:
    """Return the text of a script.

    Raises:
        AdviseError: it is no Python text in UTF-8.
    """
    if path.suffix == ".ipynb":
        raise AdviseError(f"{path.name} is a notebook; save it as a script first (jupyter nbconvert --to script).")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            source = file.read()
        compile(source, str(path), "exec", dont_inherit=True)
    except UnicodeDecodeError as error:
        raise AdviseError(f"{path.name} is no text in UTF-8 ({error.reason} at byte {error.start}).") from error
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise AdviseError(
            f"{path.name} is no Python {sys.version_info[0]}.{sys.version_info[1]}{line}: {error}"
        ) from error
    if source.startswith("\ufeff"):
        raise AdviseError(f"{path.name} begins with a byte order mark; save it without.")
    return source


def write_change(path: Path, before: str, after: str) -> str:
    """Write the changed text; return the path of the copy of the old one.

    Raises:
        AdviseError: the script was changed meanwhile.
    """
    if path.read_bytes() != before.encode():
        raise AdviseError(f"{path.name} was changed while it was tried; run it again.")
    backup = path.with_name(f"{path.name}.before-whilst")
    number = 1
    while backup.exists():
        number += 1
        backup = path.with_name(f"{path.name}.before-whilst-{number}")
    shutil.copy2(path, backup)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "wb") as file:
        file.write(after.encode())
    shutil.copymode(path, name)
    Path(name).replace(path)
    return str(backup)


@dataclass(frozen=True)
class Stage:
    """Calls of a loop that were looked into, and may be made at once in threads or in processes.

    `calls_s` is what they take in all, one after the other.
    """

    split: Split
    profile: Profile
    safety: Safety
    probe: Mapping[str, Any]
    calls_s: float


@dataclass
class Advisor:
    """One script, and what the runs have told so far. `text` is its text with the changes proved by now."""

    workshop: Workshop
    source: str
    name: str
    tell: Progress
    text: str = ""
    accepted: list[tuple[Split, Choice, bool]] = field(default_factory=list)
    """Each split with how it is to be run, and whether what it goes over can be gone over twice."""
    base: list[Outcome] = field(default_factory=list)
    changed: list[Outcome] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    is_comparable: bool = False
    probes: int = 0
    stages: list[Stage] = field(default_factory=list)
    draws_ahead: bool = False
    """What its loops go over is a generator that was made for it, and may be drawn beforehand."""

    def __post_init__(self) -> None:
        self.text = self.source
        self.tree = ast.parse(self.source)
        self.program = Program(self.tree)
        self.loops = loops_of(self.tree, self.source)
        self.machine = look_at_machine()

    def advise(self) -> Advice:
        self.tell("running it, with its loops timed")
        outcome, report = self.workshop.look(timed(self.source, self.loops))
        if why := why_not_run(outcome, report, self.workshop.timeout_s):
            return Advice(self.name, (), remarks=(why,), is_runnable=False)
        self.tell("running it as it is, twice")
        self.base = [self.workshop.run(), self.workshop.run()]
        difference = self.base[0].difference(self.base[1])
        self.is_comparable = not difference
        if difference:
            self.remarks.append(
                f"It does not do the same when it is run again ({difference}): a changed copy can't be held against "
                "it, so that no change can be proved. Times, random numbers without a seed, or answers from elsewhere "
                "do that."
            )
        if report["programs"]:
            self.remarks.append(
                f"It starts other programs ({report['programs'][0]}); what these change is not watched."
            )
        hot = self._hot(report)
        if self.seconds < _BRIEF_S or not hot:
            brief = f"It runs for {self.seconds:.2g} s in all: there is nothing to be gained."
            none = "It has no loop that takes a tenth of its time."
            self.remarks.append(brief if self.seconds < _BRIEF_S else none)
            return self._result(())
        found = [self.judge(loop, noted, report["seconds"]) for loop, noted in hot]
        loops = tuple(each for each in found if each is not None)
        for loop, _ in hot:
            if self.is_comparable and not self.accepted:
                loops = self._try_as_one(loop, loops)
        return self._result(loops)

    def _try_as_one(self, loop: Loop, loops: tuple[LoopAdvice, ...]) -> tuple[LoopAdvice, ...]:
        """Try a loop and the one within it as one; return what is said of all loops then."""
        flat = flattened(self.source, loop, self.program)
        if flat is None:
            return loops
        self.tell(f"looking at the loop in line {loop.line} and the one within it as one")
        other = Advisor(self.workshop, flat.text, self.name, self.tell, base=self.base, is_comparable=True)
        other.draws_ahead = True
        outcome, report = self.workshop.look(timed(flat.text, other.loops))
        one = next(each for each in other.loops if each.line == flat.line)
        noted = report.get("loops", {}).get(str(one.number))
        if noted is None or self.base[0].difference(outcome):
            return loops
        advice = other.judge(one, noted, report["seconds"])
        if advice is None or not advice.is_proved:
            return loops
        self.accepted, self.changed, self.text = other.accepted, other.changed, other.text
        advice = replace(advice, line=loop.line, last_line=loop.last_line, text=loop.text)
        return (advice, *(each for each in loops if not loop.line <= each.line <= loop.last_line))

    @property
    def seconds(self) -> float:
        """Of the script as it is."""
        return min(outcome.seconds for outcome in self.base)

    def _result(self, loops: tuple[LoopAdvice, ...]) -> Advice:
        shown = diff(self.source, self.text, Path(self.name).name) if self.accepted else ""
        remedies: tuple[str, ...] = ()
        if not self.accepted and self.seconds >= _BRIEF_S and CONCURRENT.search(self.source):
            self.tell("tracing it as it is")
            found = remedies_for(self.workshop.trace().get("findings", ()))
            remedies = tuple(f"{finding} {remedy}" for finding, remedy in found.items())
        changed_s = min((outcome.seconds for outcome in self.changed), default=None) if self.accepted else None
        times = [outcome.seconds for outcome in self.base]
        if max(times) > max(_BUSY * min(times), min(times) + _MUCH_S):
            self.remarks.append(
                f"As it is it took {min(times):.2g} to {max(times):.2g} s: the machine was busy with something else, "
                "so that no gain is predicted, and a change that was too slow may be quick on a quiet one."
            )
            loops = tuple(replace(loop, predicted=None) for loop in loops)
        remarks = tuple(self.remarks)
        return Advice(self.name, loops, shown, self.seconds, changed_s, remarks, remedies=remedies)

    def _hot(self, report: Mapping[str, Any]) -> list[tuple[Loop, Mapping[str, Any]]]:
        """The loops that take a tenth of the time, outer ones before those that run within them."""
        total_ns = max(1.0, report["seconds"] * 1e9)
        hot = []
        for loop in self.loops:
            noted = report["loops"].get(str(loop.number))
            if noted is not None and noted["wall_ns"] >= _LEAST_SHARE * total_ns:
                hot.append((loop, noted))
        hot.sort(key=lambda each: (len(each[1]["within"]), -each[1]["wall_ns"]))
        return hot[:_MOST_LOOPS]

    def judge(self, loop: Loop, noted: Mapping[str, Any], total_s: float) -> LoopAdvice | None:
        """What is to be said of one loop; None where a change of one around it is proved already."""
        done = [each.loop for each, _, _ in self.accepted]
        if any(loop.is_within(other) or other.is_within(loop) or other.number in noted["within"] for other in done):
            return None
        found = split(loop, self.program)
        advice = LoopAdvice(
            line=loop.line,
            last_line=loop.last_line,
            text=loop.text,
            share=min(1.0, noted["wall_ns"] / 1e9 / max(total_s, 1e-9)),
            items=noted["items"],
            courses=noted["courses"],
            kind=found.kind,  # type: ignore[arg-type]
            why=found.why if isinstance(found, Whole) else found.carried,
        )
        if isinstance(found, Whole):
            said = "Leave it." if found.kind == "carried" else "Nothing is advised."
            return replace(advice, verdict=found.remedy or said)
        advice = replace(advice, notes=found.notes)
        if self.probes >= _MOST_PROBES:
            return replace(advice, kind="unknown", verdict="It was not looked into: others cost more.")
        self.probes += 1
        return self._try(found, advice)

    def _try(self, found: Split, advice: LoopAdvice) -> LoopAdvice:
        """Look into the calls of a stage; if they may be made at once, have the change proved."""
        self.tell(f"looking into the calls of the loop in line {advice.line}")
        try:
            outcome, report = self.workshop.look(self._with(found, _asking(agent.PROBE, found)))
        except UnwritableError as error:
            return replace(advice, kind="unknown", verdict=f"It can't be changed as it stands: {error}.")
        probe = report.get("probes", {}).get(str(found.loop.number))
        if probe is None:
            return replace(advice, kind="unknown", why="its calls were not seen", verdict="Nothing is advised.")
        if self.is_comparable and (difference := self.base[0].difference(outcome)):
            how = (
                "with its calls apart from the rest"
                if probe["may_read_ahead"]
                else f"what it goes over, a {probe['items_type']}, gives items one by one, and drawn ahead"
            )
            why = f"{how} it does not do the same: {difference}"
            return replace(advice, kind="unknown", why=why, verdict="Nothing is advised.")
        probe["may_read_ahead"] = probe["may_read_ahead"] or self.draws_ahead
        profile = profile_of(probe)
        if found.leaves:
            why = in_vain(found.leaves)
            if not _is_work_alone(probe, profile):
                why = f"{why}, and they do more than compute"
                return replace(advice, kind="unknown", why=why, verdict="Nothing is advised.")
            advice = replace(advice, notes=(*advice.notes, why))
        safety = safety_of(found, probe, profile)
        advice = _with_safety(advice, safety, profile)
        if safety.threads and safety.processes:
            kind = "unknown" if not safety.is_known else _kind_without(advice.kind, safety)
            return replace(advice, kind=kind, why=safety.threads, verdict="Nothing is advised.")  # type: ignore[arg-type]
        assert profile is not None
        calls_s = self._calls_s(found, advice, probe)
        choices, why = choose(profile, probe, safety, self.machine, calls_s)
        self.stages.append(Stage(found, profile, safety, probe, calls_s))
        if probe["calls"] > 3 and probe["longest_s"] > _LONG * calls_s:
            note = f"its longest call takes {probe['longest_s']:.2g} s of {calls_s:.2g} s: begin with it, or divide it"
            advice = replace(advice, notes=(*advice.notes, note))
        kept_s = 0.0 if found.loop.is_of_pool else max(0.0, advice.share * self.seconds - calls_s)
        return self._choose(found, advice, choices, why, probe, kept_s)

    def _calls_s(self, found: Split, advice: LoopAdvice, probe: Mapping[str, Any]) -> float:
        """Seconds that the calls of the stage take, one after the other."""
        if probe["plain_calls"] >= 3:
            total = float(probe["plain_s"] / probe["plain_calls"] * probe["calls"])
        else:
            total = float(probe["total_s"])
        return total if found.loop.is_of_pool else min(total, advice.share * self.seconds)

    def _choose(
        self,
        found: Split,
        advice: LoopAdvice,
        choices: Sequence[Choice],
        why: str,
        probe: Mapping[str, Any],
        kept_s: float,
    ) -> LoopAdvice:
        loop_s = advice.share * self.seconds
        verdict = f"Leave it: {why}." if why else "Leave it."
        for choice in choices:
            around_s = max(0.0, self.seconds - loop_s + kept_s)
            gains = tuple(self.seconds / (around_s + each) for each in (choice.seconds, choice.high_s, choice.low_s))
            predicted = (gains[0], gains[1], gains[2])
            if gains[0] < LEAST_GAIN:
                if advice.predicted is None:
                    advice = replace(advice, predicted=predicted)
                    verdict = f"Leave it: {in_words(choice)} would make the script {gains[0]:.2f} times as fast."
                continue
            if not self.is_comparable:
                verdict = f"Perhaps {in_words(choice)}; it can't be proved, since two runs are not the same."
                return replace(advice, predicted=predicted, verdict=verdict)
            proved, refusal = self._prove(found, choice, bool(probe["can_repeat"]))
            if proved is not None:
                said = f"{in_words(choice)[0].upper()}{in_words(choice)[1:]}: {proved:.1f} times as fast, same output."
                return replace(
                    advice, mode=str(choice.mode), executors=choice.executors, predicted=predicted, measured=proved,
                    is_proved=True, verdict=said,
                )  # fmt: skip
            advice = replace(advice, predicted=predicted)
            verdict = f"{in_words(choice)[0].upper()}{in_words(choice)[1:]}: dropped, {refusal}."
            if not refusal.startswith("it was"):
                return replace(advice, kind="unknown", why=refusal, verdict=verdict)
        return replace(advice, verdict=verdict)

    def _prove(self, found: Split, choice: Choice, can_repeat: bool) -> tuple[float | None, str]:
        """Run the change; return how many times as fast it is, or None and why it is dropped."""
        line = found.loop.line
        if refusal := self.why_ordered(found):
            return None, refusal
        candidate = [*self.accepted, (found, choice, can_repeat)]
        try:
            text = self.changed_text(candidate)
        except UnwritableError as error:
            return None, f"it can't be written: {error}"
        self.tell(f"line {line}: running it with {in_words(choice)}, and as it is, in turn")
        now = self.text if self.accepted else None
        before: list[Outcome] = []
        after: list[Outcome] = []
        gain: Gain | None = None
        while gain is None or gain.is_proved is None:
            for is_changed in (True, False) if len(after) % 2 == 0 else (False, True):
                outcome = self.workshop.run(text if is_changed else now)
                (after if is_changed else before).append(outcome)
                if difference := self.base[0].difference(outcome):
                    doing = "it does not do the same" if is_changed else "two runs of it as it is are not the same"
                    return None, f"{doing}: {difference}"
            if len(after) > 1:
                gain = gain_of([each.seconds for each in before], [each.seconds for each in after])
        (self.changed if self.accepted else self.base).extend(before)
        if not gain.is_proved:
            return None, gain.words
        self.accepted, self.changed, self.text = candidate, after, text
        return gain.ratio, ""

    def why_ordered(self, found: Split) -> str:
        """Why the calls of a stage may not be made in another order, by making them so; "" where they may."""
        self.tell(f"line {found.loop.line}: making its calls in another order")
        outcome, _ = self.workshop.look(self._with(found, _asking(agent.REVERSED, found)))
        difference = self.base[0].difference(outcome)
        return f"with its calls in another order it does not do the same: {difference}" if difference else ""

    def _with(self, found: Split, asked: Asked) -> str:
        return rewritten(self.source, self.tree, [found], lambda _: asked, imports=False)

    def changed_text(self, candidate: Sequence[tuple[Split, Choice, bool]]) -> str:
        """The script with these stages changed.

        Raises:
            UnwritableError: it can't be written.
        """
        how = {id(found): (choice, can_repeat) for found, choice, can_repeat in candidate}

        def ask(found: Split) -> Asked:
            choice, can_repeat = how[id(found)]
            options = f', mode="{choice.mode}", workers={choice.executors}'
            return Asked("whilst.imap(", options, repeats=can_repeat)

        return rewritten(self.source, self.tree, [found for found, _, _ in candidate], ask, imports=True)


def _asking(hook: str, found: Split) -> Asked:
    number = found.loop.number
    call = f"{hook}({number}, "
    return Asked(
        call, "", repeats=False, items_call=f"{agent.ITEMS}({number}, ", star_call=call, star_options=", star=True"
    )


def why_not_run(outcome: Outcome, report: Mapping[str, Any], timeout_s: float) -> str:
    """Why a script can't be advised on, by its first run; "" if it can."""
    if report.get("outside"):
        return (
            f"It changes a file outside its folder, {report['outside'][0]}, and was kept from it. "
            "If that is all right, pass --allow-effects (allow_effects=True)."
        )
    if outcome.has_timed_out:
        return f"It did not end within {timeout_s:g} s; give it less to do, or more time with --timeout."
    if not report:
        how = (
            f"was ended by signal {-outcome.exit_code}"
            if outcome.exit_code < 0
            else f"ended itself ({outcome.exit_code})"
        )
        return f"It {how} before anything could be noted: {outcome.last_words or 'without a word'}."
    ended = str(report["ended"])
    if ended.startswith("EOFError"):
        return "It asks for input, and has none: give it with --stdin FILE (stdin=b'…')."
    if ended not in ("returned", "exited"):
        return f"It raises {ended}; there is nothing to advise until it runs."
    return ""


def _is_work_alone(probe: Mapping[str, Any], profile: Profile | None) -> bool:
    """Whether calls that nobody asked for would cost time, and do nothing else."""
    if profile is None or profile.writes or probe["effects"] or not probe["plain_calls"]:
        return False
    return (profile.wait_s or 0.0) + (profile.children_s or 0.0) < _LITTLE * profile.wall_s


def _with_safety(advice: LoopAdvice, safety: Safety, profile: Profile | None) -> LoopAdvice:
    asyncio = safety.threads
    notes = advice.notes
    if profile is not None:
        if not asyncio and (profile.wait_s or 0.0) < 0.2 * profile.wall_s:
            asyncio = "its calls are at work, and an event loop overlaps waits only"
        locked = (profile.locked_s or 0.0) / profile.wall_s if profile.wall_s else 0.0
        if locked > LOCKED:
            share = f"{100 * min(locked, 1.0):.0f} %"
            notes = (*notes, f"its calls hold a lock for {share} of their time: hold it only around what it protects")
    return replace(advice, no_threads=safety.threads, no_processes=safety.processes, no_asyncio=asyncio, notes=notes)


def _kind_without(kind: str, safety: Safety) -> str:
    """A stage that changes what others see is not known to be independent."""
    del safety
    return "unknown" if kind in ("independent", "reduction", "pipeline") else kind


def in_words(choice: Choice) -> str:
    each = f" of {THREADS_PER_PROCESS} threads each" if choice.mode is Mode.COMBINED else ""
    return f"{choice.executors} {'threads' if choice.mode is Mode.CONCURRENT else 'processes'}{each}"
