"""The front page lists every page: `<!-- further pages -->` stands for those it does not name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

MARK = "<!-- further pages -->"
_TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```$", re.M | re.S)


def leftover(index: str, pages: set[str]) -> list[str]:
    """Return the pages that no toctree of the front page names.

    A folder of which it names a page keeps its own list, and Sphinx refuses a page outside of it.
    """
    named = {line.strip() for tree in _TOCTREE.findall(index) for line in tree.splitlines()}
    folders = {name.split("/")[0] for name in named if "/" in name}
    rest = pages - named - {"index"}
    return sorted(page for page in rest if page.split("/")[0] not in folders)


def _add(app: Sphinx, docname: str, source: list[str]) -> None:
    if docname != "index":
        return
    found = leftover(source[0], set(app.env.found_docs))
    tree = "\n".join(["```{toctree}", ":caption: Further", "", *found, "```"]) if found else ""
    source[0] = source[0].replace(MARK, tree)


def _read_again(app: Sphinx, *changes: Any) -> list[str]:
    """Read the front page anew whenever pages came or went."""
    _, added, _, removed = changes
    return ["index"] if added | removed else []


def setup(app: Sphinx) -> dict[str, Any]:
    """Replace the mark when the front page is read."""
    app.connect("source-read", _add)
    app.connect("env-get-outdated", _read_again)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
