"""The documentation site: every page is in it, and what is wrong with one ends the build."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

from commands import require_modules

from csnn.cli.documentation import commands
from csnn.cli.program import make_parser

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# The extension needs no Sphinx to be read.
_EXTENSION = runpy.run_path(str(DOCS / "extensions" / "leftover_pages.py"))
MARK, leftover = _EXTENSION["MARK"], _EXTENSION["leftover"]
TOCTREE = re.compile(r"^(?:```\{toctree\}|\.\. toctree::)\n(.*?)(?:^```$|\Z)", re.M | re.S)
# Numbers, and what is left of a page when they are to be compared.
NUMBER = re.compile(r"(?<![\w.-])\d+(?:,\d{3})*(?:\.\d+)?")


def listed(page: Path) -> set[Path]:
    """Return the pages that the toctrees of a page name."""
    found: set[Path] = set()
    for tree in TOCTREE.findall(page.read_text(encoding="utf-8")):
        for line in map(str.strip, tree.splitlines()):
            if line and not line.startswith(":"):
                for suffix in (".md", ".rst"):
                    found |= set(page.parent.glob(line + suffix))
    return found


def test_the_front_page_leads_to_every_page() -> None:
    index = DOCS / "index.md"
    reached, new = set(), {index}
    while new:
        reached |= new
        new = {page for parent in new for page in listed(parent)} - reached
    pages = {*DOCS.rglob("*.md"), *DOCS.rglob("*.rst")}
    missing = {page.relative_to(DOCS).with_suffix("").as_posix() for page in pages - reached}
    text = index.read_text(encoding="utf-8")
    # Those that nobody listed stand at the end of the front page.
    assert f"\n{MARK}\n" in text
    assert sorted(missing) == leftover(text, missing)
    assert len(reached) > 40


def test_pages_that_nobody_listed_are_added() -> None:
    index = "# x\n\n```{toctree}\n:caption: A\n\nb\nhowto/c\n```\n<!-- further pages -->\n"
    pages = {"index", "b", "long-runs", "a", "results/ten", "howto/c", "howto/d"}
    assert leftover(index, pages) == ["a", "long-runs", "results/ten"]


def test_every_command_stands_on_its_page() -> None:
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    names = [command.prog for command in commands(make_parser())]
    assert len(names) >= 17
    assert [name for name in names if f"\n## {name}\n" not in text] == []


def strangers(section: str, sources: str) -> list[str]:
    """Return the numbers of a section that do not stand in the pages it was taken from."""
    prose = "\n".join(line for line in section.splitlines() if not line.startswith("    "))
    prose = re.sub(r"\]\([^)]*\)", "]", prose)
    known = set(NUMBER.findall(sources))
    return [number for number in NUMBER.findall(prose) if number not in known]


def test_the_numbers_are_those_of_the_pages_they_come_from() -> None:
    text = (DOCS / "numbers.md").read_text(encoding="utf-8")
    _, *sections = re.split(r"^## ", text, flags=re.M)
    compared = 0
    for section in sections:
        linked = set(re.findall(r"\]\((\w+)\.md", section))
        if not linked:
            assert section.startswith("Not measured")
            continue
        sources = "\n".join((DOCS / f"{name}.md").read_text(encoding="utf-8") for name in linked)
        assert strangers(section, sources) == [], section
        compared += len(NUMBER.findall(section))
    assert compared > 100
    assert strangers("took 5.21 s\n    not 7.77\n", "5.20 s of 1.5.21") == ["5.21"]


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

<!-- further pages -->
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
    }
    (tmp_path / "bad").mkdir()
    done = build(tmp_path / "bad", bad)
    assert done.returncode == 1
    for target, page in faults.items():
        name = target.strip("`").rsplit("#")[-1]
        assert re.search(rf"{page}:\d+: WARNING: .*{re.escape(name)}", done.stderr), done.stderr
