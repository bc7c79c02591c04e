"""Every Python example in the documents runs as it stands there."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

import whilst
from whilst.comparing.comparison import Comparison, Row
from whilst.running.options import Options
from whilst.seeing.advising.advice import Advice, LoopAdvice
from whilst.seeing.traced import CauseRow, Trace

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"^```\{code-block\} python\n(.*?)^```", re.MULTILINE | re.DOTALL)
"""Code of others that may not be installed here, and files that pytest is to read."""
PAGES = sorted(str(path.relative_to(ROOT)) for path in DOCS.rglob("*.md"))
WITH_EXAMPLES = [name for name in PAGES if FENCE.search((ROOT / name).read_text(encoding="utf-8"))]


def examples(name: str) -> str:
    """All Python blocks of a document, in order, each at its own line so that a traceback names the right one."""
    text = (ROOT / name).read_text(encoding="utf-8")
    lines = [""] * text.count("\n")
    for match in FENCE.finditer(text):
        first = text.count("\n", 0, match.start(1))
        for offset, line in enumerate(match[1].splitlines()):
            lines[first + offset] = line
    return "\n".join(lines)


@pytest.mark.parametrize("name", ["README.md", *WITH_EXAMPLES])
def test_the_examples_of_a_document_run_as_they_stand(name: str, tmp_path: Path) -> None:
    code = examples(name)
    assert "import whilst" in code
    # As a script in a folder of its own, since some write files. The examples that the project ships are there.
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    script = tmp_path / Path(name).name
    script.write_text(code, encoding="utf-8")
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


def test_code_that_is_only_shown_can_be_compiled() -> None:
    blocks = [(name, block[1]) for name in PAGES for block in SHOWN.finditer((ROOT / name).read_text(encoding="utf-8"))]
    assert blocks
    for name, code in blocks:
        compile(code, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_reference_names_every_keyword_of_a_run() -> None:
    keywords = (DOCS / "reference" / "keywords.md").read_text(encoding="utf-8")
    assert [name for name in Options._fields if f"`{name}`" not in keywords] == []


def said_in(folder: str) -> Iterator[str]:
    """Each string of the code there, what is filled in left out."""
    for path in sorted((ROOT / "src" / "whilst" / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_every_sentence_of_a_decision_that_is_explained_is_one_that_it_says() -> None:
    page = (DOCS / "explanation" / "decisions.md").read_text(encoding="utf-8")
    said = "\n".join(chain(said_in("running"), said_in("measuring"), said_in("model")))
    rows = [line.split(" | ")[0].removeprefix("| ") for line in page.splitlines() if line.startswith("| ")]
    sentences = [row for row in rows if " " in row and "`" not in row and row not in OWN_WORDS]
    # What is filled in: numbers with their unit, and "…".
    filled_in = re.compile(
        r"…|(?:a tenth and )?[+-]?\d[\d.,]*(?: (?:ms|s|MB|calls(?: were)?)\b|%)?|; |: |\bparallel\b|[()]"
    )
    parts = [part.strip(" ,") for sentence in sentences for part in filled_in.split(sentence)]
    assert len(sentences) > 40
    assert [part for part in parts if len(part) > 6 and part not in said] == []


OWN_WORDS = ("it says", "the table in 3 above", "concurrent, or parallel")
"""Of tables in that page, what is no sentence of a decision."""


def test_the_formats_have_the_keys_that_are_written() -> None:
    page = (DOCS / "reference" / "formats.md").read_text(encoding="utf-8")
    row, loop = Row("sequential"), LoopAdvice(1, 2, "for", 0.5, 3, 1, "unknown", "")
    trace = Trace("p", "s", (), (CauseRow("sleep", 1.0, 1.0, "", ""),), whilst.Timeline.from_spans([]), "perf", 0.0, ())
    plans = whilst.plan_modes(ROOT / "examples" / "story.toml")
    for written in (
        plans.plans[0].to_dict(), plans.to_dict(), row.to_dict(), Comparison("day", "t", (row,)).to_dict(),
        trace.to_dict(), Advice("s", (loop,)).to_dict(), loop.to_dict(),
    ):  # fmt: skip
        assert [key for key in written if f"`{key}`" not in page] == []


def test_links_between_the_documents_lead_to_files() -> None:
    link = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)[^)]*\)")
    for name in ("README.md", "CONTRIBUTING.md", *PAGES):
        text = re.sub(r"^```.*?^```", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for target in link.findall(text):
            assert ((ROOT / name).parent / target).exists(), f"{name}: {target}"


def test_links_of_the_built_site_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("docs_links", DOCS / "links.py")
    assert spec is not None
    assert spec.loader is not None
    links = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(links)
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text(
        '<a href="sub/b.html#there">, <a class="x" href="sub/b.html#gone">, <img src="c.png">'
    )
    (tmp_path / "sub" / "b.html").write_text(
        '<p id="there"> <a href="../a.html?v=1"> <a href="https://whilst.example">'
    )
    assert list(links.broken_links(tmp_path)) == [
        "a.html: c.png leads nowhere",
        "a.html: there is no #gone in sub/b.html",
    ]
