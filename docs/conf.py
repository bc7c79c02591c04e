"""What Sphinx is told. `make docs` builds the site, and every warning is an error there."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.ext.napoleon.docstring import GoogleDocstring
from sphinx.util.docutils import SphinxDirective

import whilst
from whilst.cli.entry import COMMANDS

GIVEN = (
    "whilst.running.results.RunReport",
    "whilst.running.verbs.run.Stream",
    "whilst.running.verbs.awaitable.AsyncStream",
    "whilst.running.calls.per_worker.PerWorker",
    "whilst.running.splitting.chunks.Chunks",
    "whilst.running.splitting.chunks.Blocks",
    "whilst.running.splitting.chunks.By",
    "whilst.running.splitting.verdict.SplitAnswer",
    "whilst.comparing.comparison.Row",
    "whilst.comparing.outcomes.Outcome",
    "whilst.comparing.outcomes.Failure",
    "whilst.planning.planned.Plans",
    "whilst.planning.planned.Percentiles",
    "whilst.planning.likecalls.Costs",
    "whilst.model.decision.Evidence",
    "whilst.model.decision.Rejection",
    "whilst.model.decision.Change",
    "whilst.model.profile.Write",
    "whilst.model.machine.NativePool",
    "whilst.model.curve.StepFunction",
    "whilst.seeing.api.TraceBlock",
    "whilst.seeing.traced.Trace",
    "whilst.seeing.traced.CauseRow",
    "whilst.seeing.advising.advice.Advice",
    "whilst.seeing.advising.advice.LoopAdvice",
    "whilst.model.verdict.Answer",
    "whilst.model.verdict.Counterexample",
    "whilst.model.verdict.Moment",
    "whilst.model.verdict.BlockedTask",
    "whilst.model.verdict.Ending",
    "whilst.model.verdict.Confirmation",
    "whilst.checking.explorer.execution.Limits",
    "whilst.checking.search.strategy.Progress",
    "whilst.checking.explain.kept.KeptSchedules",
    "whilst.model.mode.UnknownModeError",
    "whilst.running.executor.thread.ExecutorClosedError",
    "whilst.seeing.recording.recorder.TraceError",
    "whilst.seeing.advising.edits.AdviseError",
)
"""Each is named in a signature of a public function, or stands in what one gives."""
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

project = "whilst"
author = "The whilst authors"
project_copyright = author
version = release = whilst.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["play/**"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nitpicky = True
# What is named must be there, but for: types of the standard library, whose inventory would have to be fetched; type
# variables, and the keywords, which have a page of their own; what only the verbs hand to what they give; pieces of
# types that are cut at their commas; and what is said of exceptions in words ("Whatever fn raised").
nitpick_ignore_regex = [
    ("py:class", r"(collections\.abc|os|concurrent\.futures(\._base)?|types|asyncio\.\w+)\.\w+|array|PathLike"),
    ("py:class", r"Abstract\w*ContextManager"),
    ("py:class", r"(.*\.)?([A-Z]|Item|Later|\w*Keywords)"),
    ("py:class", r"(.*\.)?\w+Sink"),
    ("py:class", r"(tuple|collections\.abc\.\w+)\[.*"),
    ("py:exc", r"(?!\w+Error$).*"),
]
# Docstrings write `name` for code, as Markdown does.
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Keywords", "params_style")]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = "whilst"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "monokai"


class Generated(SphinxDirective):
    """Something that is written as reStructuredText when the site is built, so that nothing in it can be forgotten."""

    def lines(self) -> list[str]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        parent = nodes.Element()
        self.state.nested_parse(StringList(self.lines(), source=type(self).__name__), 0, parent, match_titles=True)
        return parent.children


class Commands(Generated):
    """What each command says of itself."""

    def lines(self) -> list[str]:
        lines = []
        for name in ("", *COMMANDS):
            command = [sys.executable, "-m", "whilst", *name.split(), "--help"]
            environment = {**os.environ, "COLUMNS": "80"}
            said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
            title = f"whilst {name}".strip()
            lines += [title, "-" * len(title), "", ".. code-block:: text", ""]
            lines += [f"   {line}" for line in said.splitlines()] + [""]
        return lines


class PublicNames(Generated):
    """Every name in `whilst.__all__`: functions, then classes, then errors."""

    def lines(self) -> list[str]:
        objects = {name: getattr(whilst, name) for name in whilst.__all__}
        errors = [name for name, each in objects.items() if isinstance(each, type) and issubclass(each, Exception)]
        classes = [name for name, each in objects.items() if isinstance(each, type) and name not in errors]
        functions = [name for name in objects if name not in errors and name not in classes]
        lines: list[str] = []
        for title, kind, names in (
            ("Functions", "function", functions),
            ("Classes", "class", classes),
            ("Errors", "exception", errors),
        ):
            lines += [title, "-" * len(title), ""]
            for name in names:
                lines += [f".. auto{kind}:: whilst.{name}"]
                lines += ["   :members:", ""] if kind == "class" else [""]
        return lines


class GivenValues(Generated):
    """Classes that no caller makes: what the functions give, and what stands in that; then errors of the commands."""

    def lines(self) -> list[str]:
        lines: list[str] = []
        for name in GIVEN:
            if name.endswith("Error"):
                lines += [f".. autoexception:: {name}", ""]
                continue
            module, _, own = name.rpartition(".")
            given = getattr(importlib.import_module(module), own)
            # What only the verbs and the renderers call is none of the reader's business.
            signature = "" if is_dataclass(given) else "()"
            lines += [f".. autoclass:: {name}{signature}", "   :members:"]
            lines += ["   :exclude-members: answers, bars, answers_say_all, decide, call_before_overlap", ""]
        return lines


class Benchmarks(Generated):
    """What each benchmark measures, and the command that prints it."""

    def lines(self) -> list[str]:
        lines = []
        for path in sorted(BENCHMARKS.glob("*/*.py")):
            text = path.read_text(encoding="utf-8")
            if path.name.startswith("_") or 'if __name__ == "__main__"' not in text:
                continue
            name = path.relative_to(BENCHMARKS).with_suffix("").as_posix()
            said = (ast.get_docstring(ast.parse(text)) or "").partition("\nUsage")[0].strip()
            lines += [name, "-" * len(name), "", *said.splitlines(), ""]
            lines += [".. code-block:: console", "", f"   $ python benchmarks/run_all.py {name}", ""]
        return lines


_UNREADABLE = {"<factory>": "{}", "<the first item>": "...", "~typing.~P": "P", "[~P]": "P"}
"""What Python writes of a default or a ParamSpec, and what can be read: else no part of the signature is."""


def readable(*asked: Any) -> tuple[str, str] | None:
    """Sphinx asks what signature and result to show of an object, its last two arguments."""
    signature, result = asked[-2:]
    if signature is None:
        return None
    for written, meant in _UNREADABLE.items():
        signature = signature.replace(written, meant)
    return signature, result


def without_modules(_: Sphinx, doctree: nodes.document) -> None:
    """Overloads are not asked about (`readable`): what could not be taken apart there loses its modules here."""
    for signature in doctree.findall(addnodes.desc_parameterlist):
        for text in list(signature.findall(nodes.Text)):
            if "~" in text:
                text.parent.replace(text, nodes.Text(re.sub(r"~(?:\w+\.)*~?(\w+)", r"\1", text)))


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-signature", readable)
    app.connect("doctree-read", without_modules)
    app.add_directive("commands", Commands)
    app.add_directive("benchmarks", Benchmarks)
    app.add_directive("given-values", GivenValues)
    # Attributes and results are described in sentences here, in which a colon does not end a type.
    GoogleDocstring._parse_attribute_docstring = lambda self: self._consume_to_end()  # noqa: SLF001 - no option for it
    GoogleDocstring._consume_returns_section = lambda self, **_: [  # noqa: SLF001 - as above
        ("", "", self._dedent(self._consume_to_next_section()))
    ]
    app.add_directive("public-names", PublicNames)
