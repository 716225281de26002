"""Code blocks of documents, run as a reader would run them.

Blocks run in order in one folder. `<!-- file: NAME -->` before a block saves it under that name;
`<!-- run: slow -->` leaves it to the slow tests, `<!-- run: no -->` to nobody. A block of `text`
holds lines that the block before it prints, in this order; what depends on the computer, such as
times, is left out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"(?:^<!-- (file|run): (\S+) -->\n)?^```(\w+)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A code block with its mark."""

    language: str
    text: str
    file: str | None
    run: str


def blocks(document: str) -> list[Block]:
    """Return the blocks of a document; directives of the site are none."""
    return [
        Block(
            language,
            text,
            value if mark == "file" else None,
            value if mark == "run" else "yes",
        )
        for mark, value, language, text in BLOCK.findall(document)
    ]


def run(command: list[str], folder: Path, *, stdin: str | None = None) -> tuple[str, str]:
    """Run a command with the environment's programs on the path; return what it printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        input=stdin,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (command, stdin, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def execute(block: Block, folder: Path) -> str:
    """Do what a block says; return what was printed, messages first."""
    if block.file is not None:
        (folder / block.file).write_text(block.text, encoding="utf-8")
        return ""
    out, err = run(_command(block), folder, stdin=block.text if block.language == "sh" else None)
    return err + out


def _command(block: Block) -> list[str]:
    if block.language == "sh":
        return ["bash", "-eu"]
    if block.language == "python":
        return [sys.executable, "-W", "error", "-c", block.text]
    raise ValueError(f"no mark says what to do with a block of {block.language}")


def execute_all(found: Sequence[Block], folder: Path, *runs: str) -> list[str]:
    """Run the blocks with one of these marks, compare what is shown of their output, return it."""
    printed: list[str] = []
    shown = False  # whether the block before was run
    for block in found:
        if block.language == "text":
            if shown:
                compare(block.text, printed[-1])
            continue
        shown = block.run in runs
        if shown:
            printed.append(execute(block, folder))
    return printed


def compare(shown: str, printed: str) -> None:
    """Require that the lines shown were printed in this order, possibly with others between."""
    lines = iter(printed.splitlines())
    for line in shown.splitlines():
        assert line in lines, (line, printed)
