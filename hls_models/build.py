"""Compiling emitted C++ with the C++ compiler of this computer, and running its test bench."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from csnn.errors import ToolFailedError, ToolMissingError

# Those of the emitted Makefile.
FLAGS = ("-std=c++14", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror")
FLOAT_CORES = "-DCSNN_FLOAT_CORES"
# Outcomes of a test bench that are answers.
EQUAL, DIFFERENT = 0, 1


def compiler() -> str:
    """Return the C++ compiler, g++ unless CXX names another; ToolMissingError without one."""
    found = shutil.which(os.environ.get("CXX", "g++"))
    if found is None:
        raise ToolMissingError("no C++ compiler: install g++ or name one in CXX")
    return found


def compile_cpp(
    sources: Sequence[Path], to: Path, options: Sequence[str] = (), flags: Sequence[str] = FLAGS
) -> None:
    """Compile and link sources, which find headers beside them; ToolFailedError if that fails."""
    includes = [f"-I{folder}" for folder in sorted({str(path.parent) for path in sources})]
    command = [compiler(), *flags, *options, *includes, *map(str, sources), "-o", str(to)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.splitlines()
        fault = next((line for line in lines if "error" in line.lower()), "no message")
        raise ToolFailedError(f"{Path(command[0]).name}: {fault}")


def run_bench(folder: Path, *, float_cores: bool = False) -> tuple[bool, str]:
    """Build the test bench of an emitted directory elsewhere and run it.

    Parameters
    ----------
    folder : Path
        The directory; nothing is written into it.
    float_cores : bool
        Whether sums and products are those of `float` rather than integers.

    Returns
    -------
    is_equal : bool
    text : str
        What the bench said: the first difference, or how much was compared.

    Raises
    ------
    ToolMissingError, ToolFailedError
        Without a compiler; if it fails, or the bench cannot read its vectors.
    """
    options = (FLOAT_CORES,) if float_cores else ()
    with tempfile.TemporaryDirectory() as temporary:
        program = Path(temporary) / "bench"
        compile_cpp(sorted(folder.glob("*.cpp")), program, options)
        command = [str(program), str(folder / "vectors.bin")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (EQUAL, DIFFERENT):
        text = done.stderr.strip() or f"ended with {done.returncode}"
        raise ToolFailedError(f"test bench: {text}")
    return done.returncode == EQUAL, done.stdout.strip()
