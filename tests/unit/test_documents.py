"""What documents link to is there, and nothing in them was left to be filled in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
PLACEHOLDER = re.compile(r"^[A-Z]+_[A-Z_]+$|\bTODO\b|\bTBD\b", re.MULTILINE)


def missing(path: Path, text: str) -> list[str]:
    """Return the links of a document to files that are not there."""
    links = [link for link in LINK.findall(text) if "://" not in link]
    return [link for link in links if not (path.parent / link).exists()]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert missing(path, text) == []
    assert PLACEHOLDER.findall(text) == []


def test_what_is_missing_is_found() -> None:
    text = "![](images/none.svg) [x](rtl.md) [y](https://example.org/z)\nCARD_ROW\n"
    assert missing(ROOT / "docs" / "a.md", text) == ["images/none.svg"]
    assert PLACEHOLDER.findall(text) == ["CARD_ROW"]
