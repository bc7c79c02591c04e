"""A verdict: what came of running tasks in each and any interleaving, and the interleaving that shows it.

Data only. `checking/` makes it, `showing/` draws it, and `to_json` writes it down. Everything that refers to the
program is text (a file, a line, a name, a value as it was shown), so that a verdict can be kept and sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from whilst.errors import CheckError
from whilst.model.drawable import Drawable
from whilst.model.record import timeline_to_json
from whilst.model.span import Kind
from whilst.model.timeline import Timeline, TimelineBuilder


class Answer(StrEnum):
    """What was found out; ISOLATED and LINEARIZABLE alone say that every interleaving ends like a sequential order."""

    ISOLATED = "isolated"
    NOT_ISOLATED = "not isolated"
    LINEARIZABLE = "linearizable"
    """Of calls on one object: in all cases tried, some sequential order of them explains what they gave and left."""
    NOT_LINEARIZABLE = "not linearizable"
    DEADLOCK = "deadlock"
    RAISES = "raises"
    """An exception that no sequential order raises."""
    BREAKS_INVARIANT = "breaks the invariant"
    LIVELOCK = "livelock"
    """Tasks poll for ever, and nothing that they look at will change."""
    STEP_BOUND = "step bound reached"
    INCONCLUSIVE = "inconclusive"

    @property
    def is_fault(self) -> bool:
        """Whether there is an interleaving to show for it."""
        return self not in (Answer.ISOLATED, Answer.LINEARIZABLE, Answer.INCONCLUSIVE, Answer.STEP_BOUND)


@dataclass(frozen=True, slots=True)
class Ending:
    """How one execution ended, in the words of a reader: facts by name ("account.balance" -> "50").

    `order` names the tasks for a sequential order and is empty for an interleaving.
    """

    facts: Mapping[str, str]
    order: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of the counterexample: a task touches something that another one may touch.

    `action` is one of "read", "write", "acquire", "try", "release", "call", "start", "join", "resume", "begin" and
    "return" (of a call that is held against a sequential order), or "raise";
    `conflicts` lists the positions of the moments of other tasks that touch the same thing, one of them writing,
    and whose order matters here. `is_switch`: another task went before; `needs_free_threading`: with the GIL,
    this task could not have been interrupted at this point.
    """

    task: int
    action: str
    target: str
    value: str | None
    file: str
    line: int
    function: str
    source: str
    statement: str
    conflicts: tuple[int, ...] = ()
    is_switch: bool = False
    needs_free_threading: bool = False
    did_succeed: bool = True


@dataclass(frozen=True, slots=True)
class BlockedTask:
    """A task that can't go on at the end: what it waits for and, where one task has it, who and since where."""

    task: int
    action: str
    target: str
    file: str
    line: int
    source: str
    holder: int | None = None
    holder_file: str = ""
    holder_line: int = 0
    holder_source: str = ""


@dataclass(frozen=True, slots=True)
class Counterexample:
    """The shortest interleaving found whose ending no sequential order gives.

    Args:
        tasks: one name for each task, threads that tasks started included.
        moments: what happened, in order.
        pattern: the field's name for it ("lost update"); sentence: the same as one sentence.
        reached: how this interleaving ended; sequential: how each different sequential order ends.
        switches: how often another task went on than before.
        needs_free_threading: it can't happen while a GIL is on.
        is_shortest: no interleaving with fewer switches fails (proved by trying all), else the shortest found.
    """

    tasks: tuple[str, ...]
    moments: tuple[Moment, ...]
    pattern: str
    sentence: str
    reached: Ending
    sequential: tuple[Ending, ...]
    switches: int
    needs_free_threading: bool = False
    is_shortest: bool = False
    blocked: tuple[BlockedTask, ...] = ()
    error: str = ""

    def timeline(self) -> Timeline:
        """The interleaving as a picture: one executor, every moment one unit long, a gap is a task waiting."""
        builder = TimelineBuilder()
        unit = 1_000_000_000
        last: dict[int, int] = {}
        for at, moment in enumerate(self.moments):
            name = self.tasks[moment.task]
            before = last.get(moment.task)
            if before is not None and before < at:
                builder.add("schedule", name, Kind.HELD, before * unit, at * unit, "", "another task is on")
            detail = f"{moment.file}:{moment.line} {moment.statement}"
            builder.add("schedule", name, Kind.WORK, at * unit, (at + 1) * unit, self.label(moment), detail)
            last[moment.task] = at + 1
        for blocked in self.blocked:
            start = last.get(blocked.task, 0)
            end = max(len(self.moments), start) + 1
            text = f"{blocked.action} {blocked.target}"
            detail = f"{blocked.file}:{blocked.line} {blocked.source}"
            builder.add("schedule", self.tasks[blocked.task], Kind.WAIT, start * unit, end * unit, text, detail)
        return builder.build(name=self.sentence, origin_ns=0, unit=("steps", 1.0), facts={"pattern": self.pattern})

    @staticmethod
    def label(moment: Moment) -> str:
        """A moment in a few words: "write account.balance = 50"."""
        if moment.value is None:
            return f"{moment.action} {moment.target}"
        return f"{moment.action} {moment.target} {'→' if moment.action == 'read' else '='} {moment.value}"

    @property
    def remark(self) -> str:
        """How short it is, and whether a GIL keeps it from happening, in a sentence or two."""
        shortest = "no interleaving with fewer switches fails" if self.is_shortest else "the shortest that was found"
        switches = f"{self.switches} context switch{'es' if self.switches != 1 else ''}, {shortest}."
        if self.needs_free_threading:
            lines = sorted({moment.line for moment in self.moments if moment.needs_free_threading})
            where = f"line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines))}"
            return (
                f"{switches} On a free-threaded build only: the GIL's eval loop lets no other thread in before {where}."
            )
        if not any(moment.file for moment in self.moments):  # statements of a database: no GIL has a part in it
            return switches
        return f"{switches} It can happen with the GIL as well as without."


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Whether real threads came to where a counterexample leads; true exactly if they did.

    `rounds` were made until then, `how` says with what ("a spin barrier", then "noise"). `ended` names the crash or the
    hang that the tries came to ("crash: SIGSEGV"), `ending` is how the round ended that confirms it, `reason` says why
    it can't happen here, or could not be tried.
    """

    happened: bool
    rounds: int
    how: str
    ended: str = ""
    ending: str = ""
    reason: str = ""

    def __bool__(self) -> bool:
        return self.happened

    def __str__(self) -> str:
        rounds = f"{self.rounds:,} round{'s' if self.rounds != 1 else ''}"
        if self.happened:
            what = self.ended or self.ending
            return f"It happened for real, in round {self.rounds:,} with {self.how}{f': {what}' if what else ''}."
        if self.ended:
            return f"It did not happen: real threads came to a {self.ended}, in round {self.rounds:,} with {self.how}."
        return f"It did not happen in {rounds} of real threads: {self.reason or 'which proves nothing'}."


_confirm: Callable[[Verdict, float], Confirmation] | None = None


def install_confirm(confirm: Callable[[Verdict, float], Confirmation]) -> None:
    """Say how a verdict is confirmed; called once, by the room that makes verdicts on threads."""
    global _confirm
    _confirm = confirm


@dataclass(frozen=True, slots=True, repr=False)
class Verdict(Drawable):
    """The answer to "is the outcome the same in every interleaving as in some sequential order?".

    True in a condition exactly if it is `ISOLATED` or `LINEARIZABLE`. `executions` were run to their end, `guarantee`
    says what of all interleavings they stand for, `reason` why it is inconclusive, `assumed` what could not be seen
    into.
    `token` goes to `whilst.replay`, which runs the counterexample again.
    """

    answer: Answer
    tasks: tuple[str, ...]
    executions: int
    guarantee: str
    elapsed_s: float
    reason: str = ""
    assumed: tuple[str, ...] = ()
    sequential: tuple[Ending, ...] = ()
    counterexample: Counterexample | None = None
    token: str | None = None
    estimate: float | None = None
    audited: int = 0  # executions with random switches at any instruction, made to test a proof

    @property
    def is_isolated(self) -> bool:
        """Whether every interleaving ends like some sequential order, as far as was assumed."""
        return self.answer in (Answer.ISOLATED, Answer.LINEARIZABLE)

    def __bool__(self) -> bool:
        return self.is_isolated

    def confirm(self, seconds: float = 10.0) -> Confirmation:
        """Run the tasks in real threads, over and over, until they come to where the counterexample leads.

        They run in a fork of this process, which may crash or hang: that is named. First all threads begin at once, at
        a barrier; in the second half of the time each begins after a random delay and, without the GIL, is held up
        ahead of random instructions. That it did not happen proves nothing.

        Args:
            seconds: how long to try.
        Raises:
            CheckError: there is no counterexample, or its tasks can't be found again.
        """
        if _confirm is None:
            raise CheckError(f"only what whilst.check has found can be confirmed by threads, not {self.title!r}")
        return _confirm(self, seconds)

    @property
    def title(self) -> str:
        """One line: the answer, the pattern, and what it was asked of."""
        found = self.counterexample
        pattern = f" ({found.pattern})" if found and found.pattern != self.answer else ""
        return f"{self.answer}{pattern}: {', '.join(self.tasks)}"

    def timelines(self) -> Sequence[Timeline]:
        """The counterexample's picture, if there is one."""
        return (self.counterexample.timeline(),) if self.counterexample else ()

    def table(self) -> Sequence[Sequence[str]]:
        """What came out beside what the sequential orders give; empty if there is no counterexample."""
        found = self.counterexample
        if found is None or not found.sequential:
            return ()
        names = list(dict.fromkeys([*found.reached.facts, *(key for end in found.sequential for key in end.facts)]))
        heading = ["", "this interleaving", *(" → ".join(end.order) for end in found.sequential)]
        rows = [
            [name, found.reached.facts.get(name, "-"), *(end.facts.get(name, "-") for end in found.sequential)]
            for name in names
        ]
        return [heading, *rows]

    def notes(self) -> Sequence[str]:
        """What the answer rests on, a sentence each."""
        found = self.counterexample
        said = [found.sentence, found.remark] if found else []
        said.append(self.effort)
        if self.reason:
            said.append(self.reason)
        if self.assumed:
            said.append(f"Assumed: {'; '.join(self.assumed)}.")
        if self.token:
            said.append(f"Replay token: {self.token}")
        return said

    @property
    def effort(self) -> str:
        """How much was run, and what it stands for."""
        runs = f"{self.executions:,} execution{'s' if self.executions != 1 else ''}"
        return f"{runs} in {self.elapsed_s:.2f} s: {self.guarantee}."

    def to_dict(self) -> dict[str, object]:
        """The whole verdict in plain types, as JSON has them; "timeline" is the counterexample's picture."""
        found = self.counterexample
        return {**asdict(self), "timeline": found and json.loads(timeline_to_json(found.timeline()))}

    def to_json(self) -> str:
        """The whole verdict as JSON, one object."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
