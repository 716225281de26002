"""What docs/numbers.md says is what its pages say of the same quantity, in rows and words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
NUMBER = re.compile(r"(?<![\w.,-])\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)")
LINK = re.compile(r"\]\(([\w/-]+)\.md(?:#([\w-]+))?\)")
# Words between quotation marks, or between two such ends of clauses, must stand together.
QUOTED = re.compile(r'"([^"]+)"')
END = re.compile(r"[.,;:](?=\s|$)|[()]")


@dataclass(frozen=True)
class Row:
    """A row of a table with the heads of its columns; the first column names the row."""

    head: tuple[str, ...]
    cells: tuple[str, ...]

    def __str__(self) -> str:
        return " | ".join(self.cells)


def plain(text: str) -> str:
    """Return text without marks, in single spaces."""
    text = re.sub(r"\]\([^)]*\)|[\[*`]", "", text)
    return " ".join(text.split())


def divided(text: str) -> tuple[list[list[str]], list[str], str]:
    """Return the tables (lists of lines), commands and prose of a page or a part of it."""
    tables: list[list[str]] = []
    commands: list[str] = []
    prose: list[str] = []
    in_table = False
    for line in text.splitlines():
        if line.startswith("|"):
            if not in_table:
                tables.append([])
            tables[-1].append(line)
        elif line.startswith("    "):
            commands.append(line.strip())
        else:
            prose.append(line)
        in_table = line.startswith("|")
    return tables, commands, "\n".join(prose)


def rows(table: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a table; an empty first cell means the same as that above."""
    head, _, *body = ([plain(c) for c in line.strip().strip("|").split("|")] for line in table)
    above = ""
    for cells in body:
        above = cells[0] or above
        yield Row(tuple(head), (above, *cells[1:]))


def anchor(heading: str) -> str:
    """Return the anchor that sites make of a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def part(text: str, wanted: str) -> str:
    """Return what stands below one heading of a page, up to the next; all of it for ""."""
    if not wanted:
        return text
    _, *pieces = re.split(r"^#+ ", text, flags=re.M)
    for piece in pieces:
        heading, _, below = piece.partition("\n")
        if anchor(plain(heading)) == wanted:
            return below
    raise AssertionError(f"no heading {wanted}")


@dataclass(frozen=True)
class Sources:
    """The parts of pages that a part of the numbers names."""

    text: str

    @cached_property
    def tables(self) -> list[list[Row]]:
        return [list(rows(table)) for table in divided(self.text)[0]]

    @cached_property
    def words(self) -> str:
        return plain(self.text)

    def has_words(self, clause: str) -> bool:
        """Return whether these words stand there, not as a part of longer numbers or words."""
        return bool(re.search(rf"(?<![\w.,-]){re.escape(clause)}(?![\w%]|[.,]\d)", self.words))

    def has_row(self, row: Row) -> bool:
        """Return whether rows of this name hold all its cells, each in the column of its name.

        Columns of one table must come from one row of it. A column `x, all` may also be the column
        `all` of the table whose first column is called `x`.
        """
        wanted = dict(zip(row.head[1:], row.cells[1:], strict=True))
        found: set[str] = set()
        for table in self.tables:
            for there in table:
                corner, *heads = there.head
                cells: dict[str, str] = {}
                for head, cell in zip(heads, there.cells[1:], strict=True):
                    for name in (head, f"{corner}, {head}"):
                        cells.setdefault(name, cell)
                common = wanted.keys() & cells.keys()
                if there.cells[0] == row.cells[0] and all(cells[c] == wanted[c] for c in common):
                    found |= common
        return found == wanted.keys()


Claim = Row | str


def claims(section: str) -> list[Claim]:
    """Return the rows of a section, and its clauses with a number."""
    tables, _, prose = divided(section)
    found: list[Claim] = [row for table in tables for row in rows(table)]
    texts = [plain(prose), *{row.head[0] for table in tables for row in rows(table)}]
    quoted = [quote.rstrip(".,") for text in texts for quote in QUOTED.findall(text)]
    others = [clause.strip() for text in texts for clause in END.split(QUOTED.sub(".", text))]
    clauses = quoted + others
    return found + [clause for clause in clauses if NUMBER.search(clause)]


def stands(claim: Claim, sources: Sources) -> bool:
    """Return whether the pages make a claim; a number without a word beside it is none."""
    if isinstance(claim, Row):
        return sources.has_row(claim)
    return bool(re.search(r"[A-Za-z]", claim)) and sources.has_words(claim)


def sources_of(section: str) -> Sources:
    links = dict.fromkeys(LINK.findall(section))
    texts = [(DOCS / f"{page}.md", heading) for page, heading in links]
    return Sources("\n\n".join(part(page.read_text("utf-8"), where) for page, where in texts))


def strangers(section: str, sources: Sources) -> list[str]:
    """Return what a section says that its pages do not."""
    return [str(claim) for claim in claims(section) if not stands(claim, sources)]


BEGINNING, *PIECES = re.split(r"^## ", (DOCS / "numbers.md").read_text("utf-8"), flags=re.M)
SECTIONS = {heading: below for heading, _, below in (piece.partition("\n") for piece in PIECES)}


@pytest.mark.parametrize("heading", SECTIONS)
def test_numbers_are_those_of_the_pages_they_come_from(heading: str) -> None:
    section = SECTIONS[heading]
    sources = sources_of(section)
    assert strangers(section, sources) == []
    pages = {page for page, _ in LINK.findall(section)}
    whole = plain("\n".join((DOCS / f"{page}.md").read_text("utf-8") for page in pages))
    assert [line for line in divided(section)[1] if line not in whole] == []


def test_every_number_is_in_a_claim() -> None:
    assert NUMBER.findall(BEGINNING) == []
    counted = 0
    for section in SECTIONS.values():
        _, _, prose = divided(section)
        of_clauses = "\n".join(claim for claim in claims(section) if isinstance(claim, str))
        corners = "\n".join({r.head[0] for r in claims(section) if isinstance(r, Row)})
        said = NUMBER.findall(plain(prose)) + NUMBER.findall(corners)
        assert sorted(said) == sorted(NUMBER.findall(of_clauses))
        counted += sum(len(NUMBER.findall(str(claim))) for claim in claims(section))
    assert counted > 200


def altered(text: str, others: Sequence[str]) -> Iterator[str]:
    """Yield text with one of its numbers replaced by another of these, every number by each."""
    for found in NUMBER.finditer(text):
        for other in others:
            if other != found.group():
                yield text[: found.start()] + other + text[found.end() :]


def faults(claim: Claim, others: Sequence[str]) -> Iterator[Claim]:
    """Yield a claim with one number altered."""
    if isinstance(claim, str):
        yield from altered(claim, others)
        return
    for column, cell in enumerate(claim.cells):
        for wrong in altered(cell, others):
            yield Row(claim.head, (*claim.cells[:column], wrong, *claim.cells[column + 1 :]))


@pytest.mark.parametrize("heading", SECTIONS)
def test_a_number_altered_to_another_of_the_page_is_found(heading: str) -> None:
    section = SECTIONS[heading]
    sources = sources_of(section)
    others = list(dict.fromkeys(NUMBER.findall(sources.words)))
    assert len(others) > 3
    missed = [
        str(fault)
        for claim in claims(section)
        for fault in faults(claim, others)
        if stands(fault, sources)
    ]
    assert missed == []


PAGE = """\
# P

## Some part

Took 5.20 s per run, version 1.5.21, and 4 s **in all**.

| a | x | y |
| --- | --- | --- |
| one | 1 | 2 |
| | 3 | 4 |

| b | x |
| --- | --- |
| one | 7 |

## Other part

Took 9 s per run.
"""
HEAD = "| | x | y |\n| --- | --- | --- |\n"


@pytest.mark.parametrize(
    ("section", "wrong"),
    [
        ("It took 2 s.\n\nTook 5.20 s per run (4 s in all).\n", ["It took 2 s"]),
        ("Took 5.21 s per run, 5.21 s", ["Took 5.21 s per run", "5.21 s"]),
        ("20 s per run: 5.20. 4, 4 s in", ["20 s per run", "5.20", "4"]),
        ("Took 9 s per run", ["Took 9 s per run"]),
        (HEAD + "| one | 1 | 2 |\n| one | 3 | 4 |\n", []),
        (HEAD + "| one | 1 | 4 |\n| | 3 | 2 |\n", ["one | 1 | 4", "one | 3 | 2"]),
        (HEAD + "| two | 1 | 2 |\n", ["two | 1 | 2"]),
        ("| | a, x | b, x |\n| --- | --- | --- |\n| one | 3 | 7 |\n", []),
        ("| | a, x | b, x |\n| --- | --- | --- |\n| one | 7 | 7 |\n", ["one | 7 | 7"]),
        ('It "took 4 s", they say', ["took 4 s"]),
        ('It said "Took 5.20 s per run, version 1.5.21, and 4 s".', []),
        ('"version 1.5.21, and 5 s".', ["version 1.5.21, and 5 s"]),
        ("| | y | z |\n| --- | --- | --- |\n| one | 2 | 2 |\n", ["one | 2 | 2"]),
        ("| took 3 s | y |\n| --- | --- |\n| one | 2 |\n", ["took 3 s"]),
    ],
    ids=str,
)  # fmt: skip
def test_what_a_page_does_not_say_is_found(section: str, wrong: list[str]) -> None:
    assert strangers(section, Sources(part(PAGE, "some-part"))) == wrong
