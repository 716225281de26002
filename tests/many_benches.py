"""One program with the test benches of many emitted models."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hls_models.build import FLAGS, compile_cpp
from hls_models.cpp_library import cpp_library
from hls_models.emit_cpp import Block, header, source
from hls_models.vectors import Section, file_content

# Thousands of sums and products: calls take a fraction of the time that copies take to compile.
SMALL = (*FLAGS, "-O1", "-fno-inline")


def build(
    folder: Path,
    blocks: Sequence[Block],
    options: Sequence[str] = (),
    changes: Mapping[str, tuple[str, str]] | None = None,
) -> Path:
    """Compile blocks together and return the program.

    `changes` are replacements in shared headers, by the header's name; each must apply once.
    """
    for name, text in cpp_library().items():
        if changes and name in changes:
            old, new = changes[name]
            assert text.count(old) == 1, (name, old, text.count(old))
            text = text.replace(old, new)
        (folder / name).write_text(text)
    includes, cases = ["#include <climits>", '#include "csnn_bench.h"'], []
    for block in blocks:
        name = block.model.name
        (folder / f"{name}.h").write_text(header(block))
        (folder / f"{name}.inc").write_text(source(block, f"{name}.h"))
        includes.append(f'#include "{name}.inc"')
        bench = f"csnn::run_bench<csnn::{name}::traits>(argv[i + 1], ULONG_MAX)"
        cases.append(f'        if (std::strcmp(argv[i], "{name}") == 0) found = {bench};')
    lines = [
        *includes,
        "int main(int argc, char **argv)",
        "{",
        "    int worst = 0;",
        "    for (int i = 1; i + 1 < argc; i += 2) {",
        "        int found = -1;",
        *cases,
        "        if (found != 0) worst = 1;",
        "    }",
        "    return worst;",
        "}",
    ]
    (folder / "benches.cpp").write_text("\n".join(lines) + "\n")
    compile_cpp([folder / "benches.cpp"], folder / "benches", options, SMALL)
    return folder / "benches"


def run(program: Path, vectors: Mapping[str, tuple[Block, Sequence[Section]]]) -> list[str]:
    """Run the benches of models with their vectors; return what they said, a line for each."""
    arguments = [str(program)]
    for name, (block, sections) in vectors.items():
        path = program.with_name(f"{name}.bin")
        path.write_bytes(file_content(block, sections))
        arguments += [name, str(path)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    lines = done.stdout.splitlines()
    assert done.returncode == int(any(" equal in " not in line for line in lines)), done
    return lines
