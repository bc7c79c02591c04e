"""Every Python example in the documents runs as it stands there."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from whilst.running.options import Options

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
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr


def test_code_that_is_only_shown_can_be_compiled() -> None:
    blocks = [(name, block[1]) for name in PAGES for block in SHOWN.finditer((ROOT / name).read_text(encoding="utf-8"))]
    assert blocks
    for name, code in blocks:
        compile(code, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_reference_names_every_keyword_of_a_run() -> None:
    keywords = (DOCS / "reference" / "keywords.md").read_text(encoding="utf-8")
    assert [name for name in Options._fields if f"`{name}`" not in keywords] == []


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
