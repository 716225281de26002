"""The page of the command line: up to date, and complete."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
from commands import csnn

from csnn.cli import documentation, program
from csnn.cli.options import add_command

ROOT = Path(__file__).resolve().parents[3]
# Options as `--help` shows them, at the beginning of a line.
OPTION = re.compile(r"^  (--[a-z-]+)", re.M)


def sections(text: str) -> dict[str, str]:
    """Return the text under each heading of the second level."""
    _, *rest = re.split(r"^## (.+)$", text, flags=re.M)
    return dict(zip(rest[::2], rest[1::2], strict=True))


def test_the_document_is_up_to_date() -> None:
    written = (ROOT / documentation.DEFAULT_PATH).read_text(encoding="utf-8")
    assert written == documentation.document(), "run python -m csnn.cli.documentation"


def test_the_module_writes_the_document(tmp_path: Path) -> None:
    target = tmp_path / "cli.md"
    documentation.main([str(target)])
    assert target.read_text(encoding="utf-8") == documentation.document()


def test_every_command_stands_there_with_what_its_help_shows() -> None:
    text = documentation.document()
    found = sections(text)
    shared = text[: text.index("\n## ")]
    assert len(found) >= len(program.COMMANDS)
    for name, section in found.items():
        assert f"[`{name}`](#{name.replace(' ', '-')})" in shared
        outcome = csnn(*name.split()[1:], "--help")
        assert outcome.code == 0
        options = OPTION.findall(outcome.out)
        assert {"--json", "--quiet"} <= set(options)
        for option in options:
            assert re.search(rf"^\| `{option}[ `]", shared + section, re.M), (name, option)
        for line in outcome.out.split("example:", 1)[1].strip().splitlines():
            assert line.strip() in section


def test_a_command_and_an_option_more_change_the_document(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def add_nap(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        nap = add_command(commands, "nap", lambda options: 0, "sleep", "\n  csnn nap --long")
        nap.add_argument("--long", nargs="+", metavar="MS", required=True, help="<a> 100%% *_b_*")

    monkeypatch.setattr(program, "COMMANDS", (*program.COMMANDS, add_nap))
    section = sections(documentation.document())["csnn nap"]
    assert "```text\ncsnn nap --long MS ... [options]\n```" in section
    assert r"| `--long MS ...` | \<a> 100% \*\_b\_\* (required) |" in section
    assert "--json" not in section
