"""What Sphinx is told. `make docs` builds the site, and every warning is an error there."""

from __future__ import annotations

import subprocess
import sys

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import whilst

project = "whilst"
author = "The whilst authors"
project_copyright = author
version = release = whilst.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["play/**"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nitpicky = True
# Types in signatures need no page: those of other projects have an inventory that would have to be fetched, those of
# whilst that are not public have none.
nitpick_ignore_regex = [("py:.*", ".*")]
# Docstrings write `name` for code, as Markdown does.
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "whilst"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "monokai"


class CommandHelp(SphinxDirective):
    """What a command says of itself: `{command-help} run`."""

    required_arguments = 0
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        command = [sys.executable, "-m", "whilst", *self.arguments, "--help"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return [nodes.literal_block(done.stdout, done.stdout, language="text")]


class PublicNames(SphinxDirective):
    """Every name in `whilst.__all__`: functions, then classes, then errors, so that none can be forgotten."""

    def run(self) -> list[nodes.Node]:
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
                # What the docstring of a class has for its fields stands there once, not again for each.
                lines += [f".. auto{kind}:: whilst.{name}"]
                lines += ["   :members:", ""] if kind == "class" else [""]
        return self.parse_content_to_nodes(lines)

    def parse_content_to_nodes(self, lines: list[str]) -> list[nodes.Node]:  # type: ignore[override]
        parent = nodes.Element()
        self.state.nested_parse(StringList(lines, source="whilst.__all__"), 0, parent, match_titles=True)
        return parent.children


def setup(app: Sphinx) -> None:
    app.add_directive("command-help", CommandHelp)
    app.add_directive("public-names", PublicNames)
