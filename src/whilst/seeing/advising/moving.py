"""Should I move? The script as it is, and with its loops changed, under another interpreter beside this one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from whilst.measuring.interpreters import (
    Interpreter,
    does_moving_pay,
    find_interpreter,
    gain_of_moving,
    this_interpreter,
)
from whilst.model import Drawable, Mode, Timeline
from whilst.seeing.advising.advice import Advice
from whilst.seeing.advising.api import Advisor, Stage, in_words, read_script
from whilst.seeing.advising.edits import UnwritableError, diff
from whilst.seeing.advising.judging import Choice, choose
from whilst.seeing.advising.proving import LEAST_GAIN
from whilst.seeing.advising.runs import Outcome, Workshop

_ROUNDS: Final = 3
_OLDEST: Final = (3, 11)
"""That imports whilst, as a changed script does."""
_MISSING: Final = re.compile(r"ModuleNotFoundError: No module named '([^'.]+)")
AS_IT_IS: Final = "as it is"


@dataclass(frozen=True)
class ScriptRow:
    """The script in one form under one interpreter; `low_s` and `high_s` are the least and the most of its runs.

    `mode` is that of its changed loops, None for the script as it is.
    """

    interpreter: str
    is_here: bool
    how: str
    seconds: float | None = None
    low_s: float | None = None
    high_s: float | None = None
    predicted_s: float | None = None
    agreement: str = ""
    mode: Mode | None = None

    def to_dict(self) -> dict[str, object]:
        """All of it, as values that JSON can hold."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**plain, "mode": self.mode and self.mode.value}


@dataclass(frozen=True, repr=False)
class ScriptMove(Drawable):
    """Should the script move? Implements `whilst.model.Report`.

    Args:
        advice: what is advised here; `diffs` the changes that were run there, by how.
        culprits: the extensions that turn the GIL on there; `unsafe` why its loops may not run in threads.
    """

    script: str
    here: str
    there: str
    rows: tuple[ScriptRow, ...]
    advice: Advice
    diffs: Mapping[str, str] = field(default_factory=dict)
    culprits: tuple[str, ...] = ()
    unsafe: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def best(self, *, is_here: bool) -> ScriptRow | None:
        """The quickest form that did the same."""
        fit = [row for row in self.rows if row.is_here is is_here and row.seconds and row.agreement == "same"]
        return min(fit, key=lambda row: row.seconds or 0.0, default=None)

    @property
    def gain(self) -> float | None:
        """How many times as fast the best form there is as the best here."""
        return gain_of_moving(self.best(is_here=True), self.best(is_here=False))

    @property
    def pays(self) -> bool | None:
        """None where it can't be told: the runs differ by more than the gain."""
        return does_moving_pay(self.best(is_here=True), self.best(is_here=False), LEAST_GAIN)

    @property
    def diff(self) -> str:
        """What is changed in the best form there; "" if that is the script as it is."""
        there = self.best(is_here=False)
        return self.diffs.get(there.how, "") if there else ""

    @property
    def agrees(self) -> bool:
        return all(row.agreement in ("same", "") for row in self.rows)

    @property
    def title(self) -> str:
        here, there = self.best(is_here=True), self.best(is_here=False)
        if here is None:
            return self.advice.title
        if there is None:
            why = next((row.agreement for row in self.rows if not row.is_here), "it was not run there")
            return f"{self.script} does not do on {self.there} what it does here: {why}."
        measured = (
            f"On {self.there} {self.script} takes {there.seconds:.2f} s {_with(there)}, against {here.seconds:.2f} s "
            f"here {_with(here)}"
        )
        if self.pays is None:
            return f"{measured}: whether the move pays can't be told, because the runs differ too much."
        if self.pays:
            return f"{measured}: the move pays, because {self._why(there)}."
        return f"{measured}: the move does not pay, because {self._why_not()}."

    def _why(self, there: ScriptRow) -> str:
        if there.mode == Mode.CONCURRENT and there.interpreter.endswith("t") and not self.culprits:
            return "without the GIL its calls are at work at once in threads"
        return "that is quicker there than any form of it here"

    def _why_not(self) -> str:
        if self.culprits:
            return f"{' and '.join(self.culprits)} turns the GIL on there"
        if self.unsafe:
            return f"its loops may not run in threads: {self.unsafe[0]}"
        here_s, there_s = (
            next((row.seconds for row in self.rows if row.is_here is side and row.how == AS_IT_IS), None)
            for side in (True, False)
        )
        if here_s and there_s and there_s > LEAST_GAIN * here_s:
            return f"as it is it takes {there_s / here_s:.2f} times as long there"
        return "what can be gained there can be gained here as well"

    # ------------------------------------------------------------------------------------------------- for renderers

    def timelines(self) -> Sequence[Timeline]:
        return ()

    def table(self) -> Sequence[Sequence[str]]:
        lines = [["interpreter", "how", "seconds", "from", "to", "forecast", "output"]]
        for row in self.rows:
            figures = [_number(each) for each in (row.seconds, row.low_s, row.high_s, row.predicted_s)]
            where = f"{'here' if row.is_here else 'there'}, {row.interpreter}"
            lines.append([where, row.how, *figures, "same" if row.agreement == "same" else "differs"])
        return lines

    def notes(self) -> Sequence[str]:
        said = [
            f"{'Here' if row.is_here else 'There'}, {row.how}: {row.agreement}"
            for row in self.rows
            if row.agreement not in ("", "same")
        ]
        if self.culprits:
            said.append(f"On {self.there} the GIL is on again because of {' and '.join(self.culprits)}.")
        said += self.remarks
        if not self.pays or not self.diff:
            return [*said, *self.advice.notes()]
        shown = self.diff.rstrip("\n")
        return [*said, f"The change that was run on {self.there}; nothing of yours was changed:", "", shown]

    def to_dict(self) -> dict[str, object]:
        """All of it, as values that JSON can hold."""
        return {
            "kind": "move",
            "answer": self.title,
            "pays": self.pays,
            "gain": self.gain,
            "agrees": self.agrees,
            "script": self.script,
            "here": self.here,
            "there": self.there,
            "gil_turned_on_by": list(self.culprits),
            "unsafe_in_threads": list(self.unsafe),
            "diff": self.diff,
            "rows": [row.to_dict() for row in self.rows],
            "advice": self.advice.to_dict(),
            "remarks": list(self.remarks),
        }


def advise_interpreter(
    script: str | os.PathLike[str],
    arguments: Sequence[str],
    interpreter: str | os.PathLike[str],
    *,
    stdin: bytes = b"",
    timeout_s: float = 600.0,
    allow_effects: bool = False,
    on_progress: Callable[[str], None],
) -> ScriptMove:
    """Advise on a script here, then run it under another CPython as it is, in threads and in processes, in turn.

    Args:
        interpreter: 3.11 or newer; nothing has to be installed there but what the script imports. The others: `advise`.
    Raises:
        InterpreterError: there is no such interpreter.
        AdviseError: as `advise` has it.
    """
    there = find_interpreter(interpreter, _OLDEST)
    with Workshop(
        os.fspath(script), arguments, stdin=stdin, timeout_s=timeout_s, allows_effects=allow_effects
    ) as workshop:
        advisor = Advisor(workshop, read_script(workshop.script), os.fspath(script), on_progress)
        advice = advisor.advise()
        names = this_interpreter().name, there.name
        if not advice.is_runnable or not advisor.is_comparable:
            return ScriptMove(os.fspath(script), *names, (), advice)
        return _Mover(workshop, advisor, advice, there).move(*names)


class _Form:
    """The script in one form, and what its runs gave; `text` is None for the script as it is."""

    def __init__(
        self,
        where: Interpreter | None,
        how: str = AS_IT_IS,
        text: str | None = None,
        predicted_s: float | None = None,
        mode: Mode | None = None,
    ) -> None:
        self.where, self.how, self.text, self.predicted_s, self.mode = where, how, text, predicted_s, mode
        self.seconds: list[float] = []


class _Mover:
    def __init__(self, workshop: Workshop, advisor: Advisor, advice: Advice, there: Interpreter) -> None:
        self._workshop, self._advisor, self._advice, self._there = workshop, advisor, advice, there
        self._remarks: list[str] = []
        self._ordered: dict[int, str] = {}

    def move(self, here_name: str, there_name: str) -> ScriptMove:
        forms = [_Form(None), _Form(self._there)]
        for where in (None, self._there):
            found = (self._form(where, mode) for mode in (Mode.CONCURRENT, Mode.PARALLEL))
            forms += [form for form in found if form is not None]
        reference = self._advisor.base[0]
        dropped: dict[int, str] = {}
        culprits: dict[str, None] = {}
        for number in range(_ROUNDS + 1):
            for form in forms if number % 2 else forms[::-1]:
                if id(form) in dropped or (number == 0 and form.where is None):
                    continue
                name = there_name if form.where else here_name
                self._advisor.tell(f"round {number} of {_ROUNDS}: {name}, {form.how}")
                outcome = self._workshop.run(form.text, form.where)
                if difference := reference.difference(outcome):
                    dropped[id(form)] = difference + _remedy(form, outcome)
                culprits |= dict.fromkeys(outcome.culprits)
                if number:  # in the first, what it imports is compiled there
                    form.seconds.append(outcome.seconds)
        rows = tuple(_row(form, dropped.get(id(form), "same"), (here_name, there_name)) for form in forms)
        unsafe = tuple(f"{loop.no_threads} (line {loop.line})" for loop in self._advice.loops if loop.no_threads)
        return ScriptMove(
            self._advisor.name, here_name, there_name, tuple(sorted(rows, key=lambda row: not row.is_here)),
            self._advice, self._diffs(forms), tuple(culprits), unsafe, tuple(dict.fromkeys(self._remarks)),
        )  # fmt: skip

    def _diffs(self, forms: Sequence[_Form]) -> dict[str, str]:
        """Of the forms that were run there: what is changed, by how."""
        source, name = self._advisor.source, Path(self._advisor.name).name
        return {form.how: diff(source, form.text, name) for form in forms if form.where and form.text}

    def _form(self, where: Interpreter | None, mode: Mode) -> _Form | None:
        """The script with its costliest loops in that mode, as far as they may be, and it would be quicker."""
        machine = self._advisor.machine
        if where is not None:
            machine = replace(machine, has_gil=not where.is_free_threaded)
        chosen: list[tuple[Stage, Choice]] = []
        for stage in self._advisor.stages:
            within = any(
                stage.split.loop.is_within(each.split.loop) or each.split.loop.is_within(stage.split.loop)
                for each, _ in chosen
            )
            why = stage.safety.threads if mode is Mode.CONCURRENT else stage.safety.processes
            choices, _ = choose(stage.profile, stage.probe, stage.safety, machine, stage.calls_s)
            choice = next((each for each in choices if each.mode is mode), None)
            if within or why or choice is None or choice.seconds * LEAST_GAIN > stage.calls_s:
                continue
            if refusal := self._why_ordered(stage):
                self._remarks.append(f"Line {stage.split.loop.line}: {refusal}.")
                continue
            chosen.append((stage, choice))
        if not chosen:
            return None
        try:
            text = self._advisor.changed_text(
                [(stage.split, choice, bool(stage.probe["can_repeat"])) for stage, choice in chosen]
            )
        except UnwritableError as error:
            self._remarks.append(f"In {mode} mode it can't be written: {error}.")
            return None
        saved_s = sum(stage.calls_s - choice.seconds for stage, choice in chosen)
        how = " and ".join(dict.fromkeys(in_words(choice) for _, choice in chosen))
        return _Form(where, how, text, max(0.0, self._advisor.seconds - saved_s), mode)

    def _why_ordered(self, stage: Stage) -> str:
        """Asked once of each stage; what was proved here was asked already."""
        line = stage.split.loop.line
        if line not in self._ordered:
            is_proved = any(stage.split is split for split, _, _ in self._advisor.accepted)
            self._ordered[line] = "" if is_proved else self._advisor.why_ordered(stage.split)
        return self._ordered[line]


def _row(form: _Form, agreement: str, names: tuple[str, str]) -> ScriptRow:
    name = names[form.where is not None]
    row = ScriptRow(
        name, form.where is None, form.how, predicted_s=form.predicted_s, agreement=agreement, mode=form.mode
    )
    if agreement != "same":
        return row
    seconds = sorted(form.seconds)
    return replace(row, seconds=seconds[len(seconds) // 2], low_s=seconds[0], high_s=seconds[-1])


def _remedy(form: _Form, outcome: Outcome) -> str:
    """What to do where a module is missing there."""
    found = _MISSING.search(outcome.last_words)
    return f"; install it there: {form.where.path} -m pip install {found[1]}" if found and form.where else ""


def _with(row: ScriptRow) -> str:
    return AS_IT_IS if row.how == AS_IT_IS else f"with {row.how}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
