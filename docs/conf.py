"""The documentation site: `make docs` builds it into build/docs, with warnings as errors."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

import csnn

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "CsNN"
author = copyright = "CsNN maintainers"
release = version = csnn.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "repository_links",
]
exclude_patterns = ["extensions"]

# Pages read the same on GitHub: its anchors of headings.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

# Docstrings put code between single backticks.
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80
napoleon_google_docstring = False
napoleon_use_rtype = False
# `a, b : float` in Attributes, which napoleon knows for parameters only.
napoleon_custom_sections = [("Attributes", "params_style")]
autodoc_type_aliases = {"npt.ArrayLike": "ArrayLike"}

# Every name of this project that a page refers to must be there.
nitpicky = True
_MODULES = r"csnn\.(rows|packets|hardware\.memory_map)"
_NEURONS = r"csnn\.neurons\.(graph|composition|operators|equations)"
# Others' names, and what a function takes or returns that is no business of its user.
_WITHOUT_PAGE = rf"(?!(csnn|netgen|rtl|hls_models)\.).*|({_MODULES}|{_NEURONS})\.\w+|.*\._\w+"
nitpick_ignore_regex = [("py:.*", _WITHOUT_PAGE)]

html_theme = "furo"
html_title = f"CsNN {release}"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["extensions/static"]
html_css_files = ["tables.css"]

_ARRAY = re.compile(
    r"~?numpy\.ndarray\[~?(?:builtins\.)?tuple\[~?(?:typing\.)?Any, \.\.\.\], "
    r"~?numpy\.dtype\[(~?[\w.]+)\]\]"
)


def _link_exactly(app: Sphinx, doctree: nodes.document) -> None:
    """Let a name link to what has it in the same module only: several modules have a `Recording`.

    Annotations of signatures are whole paths, and lead everywhere.
    """
    for reference in doctree.findall(pending_xref):
        reference.attributes.pop("refspecific", None)


def _shorten(
    app: Sphinx,
    what: str,
    name: str,
    obj: object,
    options: object,
    signature: str | None,
    result: str | None,
) -> tuple[str | None, str | None]:
    """Write arrays in signatures as the sources do."""

    def short(text: str | None) -> str | None:
        return text and _ARRAY.sub(r"NDArray[\1]", text)

    return short(signature), short(result)


def setup(app: Sphinx) -> None:
    """Connect what this file itself adds."""
    app.connect("autodoc-process-signature", _shorten)
    app.connect("doctree-read", _link_exactly)
