"""The documentation site: every page is in it, and what is wrong with one ends the build."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import require_modules

from csnn.cli.documentation import commands
from csnn.cli.program import make_parser

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TOCTREE = re.compile(r"^(?:```\{toctree\}|\.\. toctree::)\n(.*?)(?:^```$|\Z)", re.M | re.S)


def listed(page: Path) -> set[Path]:
    """Return the pages that the toctrees of a page name."""
    found: set[Path] = set()
    for tree in TOCTREE.findall(page.read_text(encoding="utf-8")):
        for line in map(str.strip, tree.splitlines()):
            if line and not line.startswith(":"):
                for suffix in (".md", ".rst"):
                    found |= set(page.parent.glob(line + suffix))
    return found


def unlisted(docs: Path) -> list[str]:
    """Return the pages to which no toctree leads from the front page."""
    reached, new = set(), {docs / "index.md"}
    while new:
        reached |= new
        new = {page for parent in new for page in listed(parent)} - reached
    pages = {*docs.rglob("*.md"), *docs.rglob("*.rst")}
    return sorted(page.relative_to(docs).as_posix() for page in pages - reached)


def test_the_front_page_leads_to_every_page() -> None:
    assert unlisted(DOCS) == []
    assert len([*DOCS.rglob("*.md")]) > 40


@pytest.mark.parametrize("lost", ["long-runs", "api/run", "results/index", "decisions/index"])
def test_a_page_that_is_not_listed_is_found(lost: str, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    for page in (*DOCS.rglob("*.md"), *DOCS.rglob("*.rst")):
        copy = docs / page.relative_to(DOCS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(page, copy)
    for name in ("new.md", "howto/new.md", "new/part.rst"):
        (docs / name).parent.mkdir(exist_ok=True)
        (docs / name).write_text("# New\n", encoding="utf-8")
    assert unlisted(docs) == ["howto/new.md", "new.md", "new/part.rst"]
    folder, _, name = f"/{lost}".rpartition("/")
    parent = docs / folder.strip("/") / "index.rst"
    parent = parent if parent.exists() else docs / "index.md"
    text = parent.read_text(encoding="utf-8")
    line = rf"^ *{lost if parent.parent == docs else name}\n"
    assert len(re.findall(line, text, flags=re.M)) == 1
    parent.write_text(re.sub(line, "", text, flags=re.M), encoding="utf-8")
    found = unlisted(docs)
    assert any(page.startswith(f"{lost}.") for page in found)
    assert len(found) >= 4


def test_every_command_stands_on_its_page() -> None:
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    names = [command.prog for command in commands(make_parser())]
    assert len(names) >= 17
    assert [name for name in names if f"\n## {name}\n" not in text] == []


def build(folder: Path, pages: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Build a site of these pages with the settings of the real one."""
    docs = folder / "docs"
    docs.mkdir()
    shutil.copy(DOCS / "conf.py", docs)
    shutil.copytree(DOCS / "extensions", docs / "extensions")
    (folder / "code.py").touch()
    for name, text in pages.items():
        (docs / name).write_text(text, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q",
         "docs", "site"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


INDEX = """\
# Front

See [b](b.md#a-part), [the code](code-link).

```{toctree}
b
c
```
"""
PAGE = "# B\n\n## A part\n\nIn `a` and [code](../code.py).\n"
API = "Api\n===\n\n:class:`csnn.errors.InvalidInputError`\n\n.. automodule:: csnn.errors\n"


def test_a_site_is_built_and_what_is_wrong_ends_the_build(tmp_path: Path) -> None:
    require_modules("docs", "sphinx", "myst_parser", "furo")
    good = {"index.md": INDEX.replace("code-link", "../code.py"), "b.md": PAGE, "c.rst": API}
    (tmp_path / "good").mkdir()
    done = build(tmp_path / "good", good)
    assert (done.returncode, done.stderr) == (0, "")
    front = (tmp_path / "good/site/index.html").read_text(encoding="utf-8")
    assert '<a class="reference internal" href="c.html">' in front
    assert "code.py" in front
    assert 'href="../code.py"' not in front
    assert not (tmp_path / "good/site/_downloads").exists()
    faults = {
        "../none.py": "index.md",
        "b.md#no-part": "index.md",
        "`csnn.errors.NoError`": "c.rst",
    }
    bad = {
        "index.md": INDEX.replace("code-link", "../none.py").replace("a-part", "no-part"),
        "b.md": PAGE,
        "c.rst": API.replace("InvalidInputError", "NoError"),
        "lost.md": "# Lost\n",
    }
    (tmp_path / "bad").mkdir()
    done = build(tmp_path / "bad", bad)
    assert done.returncode == 1
    for target, page in faults.items():
        name = target.strip("`").rsplit("#")[-1]
        assert re.search(rf"{page}:\d+: WARNING: .*{re.escape(name)}", done.stderr), done.stderr
    assert re.search(r"lost\.md: WARNING: .* any toctree", done.stderr), done.stderr
