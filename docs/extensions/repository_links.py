"""Links of a page to files outside docs/ name the file: the site has no page for it.

On GitHub such a link opens the file. A link to a file that is not there stays as it is, and the
build refuses it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


class RepositoryLinks(SphinxTransform):
    """Put the text of such a link, and the path of its file unless the text has it."""

    # Before files to be downloaded are collected.
    default_priority = 5

    def apply(self, **kwargs: Any) -> None:
        """Replace the links of one page."""
        source = Path(self.env.srcdir).resolve()
        page = Path(self.env.doc2path(self.env.docname)).resolve().parent
        for kind in (download_reference, pending_xref):
            for link in list(self.document.findall(kind)):
                target = str(link.get("reftarget", "")).split("#")[0]
                if link.get("reftype") != "myst" or not target:
                    continue
                path = (page / target).resolve()
                if not path.exists() or path.is_relative_to(source):
                    continue
                shown = path.relative_to(source.parent).as_posix()
                text = link.astext()
                replacement = [*link.children]
                if shown not in text and path.name not in text:
                    replacement += [nodes.Text(" ("), nodes.literal("", shown), nodes.Text(")")]
                link.replace_self(replacement)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the transform."""
    app.add_transform(RepositoryLinks)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
