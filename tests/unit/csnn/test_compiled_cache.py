"""What is compiled is used again, until something that is compiled into it has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import csnn

OUTER = """
from csnn._numba import jit
from csnn.inner import add

@jit
def outer(x):
    return add(x) + 1
"""
INNER = """
from csnn._numba import jit
from csnn.constant import STEP

@jit
def add(x):
    return x + {} * STEP
"""
SHOW = """
from csnn.outer import outer
print(outer(0), sum(outer.stats.cache_hits.values()))
"""


def test_a_changed_function_or_constant_is_compiled_anew(tmp_path: Path) -> None:
    """Numba alone looks at the file of the function that is called, not at those it calls."""
    package = tmp_path / "csnn"
    package.mkdir()
    (package / "__init__.py").touch()
    source = Path(csnn.__file__).parent / "_numba.py"
    shutil.copy(source, package)
    (package / "outer.py").write_text(OUTER)

    def show(factor: int, step: int) -> str:
        (package / "inner.py").write_text(INNER.format(factor))
        (package / "constant.py").write_text(f"STEP = {step}\n")
        # Python takes a file of the same size and second for the one whose bytecode it has kept.
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
        environment.pop("NUMBA_CACHE_DIR", None)
        done = subprocess.run(
            [sys.executable, "-c", SHOW], env=environment, cwd=tmp_path, text=True,
            capture_output=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    assert show(1, 10) == "11 0"
    assert show(1, 10) == "11 1"
    assert show(2, 10) == "21 0"
    assert show(2, 30) == "61 0"
    assert show(2, 30) == "61 1"
