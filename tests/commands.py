"""Calling the command line inside a test, and a small network for it."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from csnn.cli import main

# Neurons 100 to 104 start above threshold and spike in step 1.
SMALL = """\
name = "small"

[run]
time_ms = 60.0
warmup_ms = 20.0
seed = 3
threads = 1

[machine]
neurons_per_node = 40

[[population]]
name = "E"
size = 80
poisson = { rate_hz = 12000.0, weight_pA = 90.0 }
V_init_mV = { distribution = "uniform", low = -65.0, high = -50.5 }

[[population]]
name = "I"
size = 20
poisson = { rate_hz = 12000.0, weight_pA = 90.0 }
V_init_mV = { distribution = "uniform", low = -65.0, high = -50.5 }

[[population]]
name = "P"
size = 5
V_init_mV = -40.0

[[projection]]
source = "E"
target = "E"
rule = { name = "fixed_indegree", indegree = 10 }
weight_pA = { distribution = "normal", mu = 90.0, sigma = 9.0, minimum = 0.0 }
delay_ms = { distribution = "normal", mu = 1.5, sigma = 0.75, minimum = 0.1 }

[[projection]]
source = "E"
target = "I"
rule = { name = "pairwise_bernoulli", p = 0.1 }
weight_pA = 90.0
delay_ms = 1.5

[[projection]]
source = "I"
target = "E"
rule = { name = "fixed_total_number", count = 400 }
weight_pA = -360.0
delay_ms = 0.8
"""

RUN_FILES = {"image", "manifest.json", "result.json", "spikes.npz"}
REPORT_FILES = {"report.html", "statistics.json", "figures"}


@dataclass(frozen=True)
class Outcome:
    """What a command returned and printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one strict JSON value."""
        return json.loads(self.out, parse_constant=_refuse)


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is not strict JSON")


def csnn(*arguments: str | Path) -> Outcome:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as leaving:  # argparse: usage and --help
            code = int(leaving.code or 0)
    return Outcome(code, out.getvalue(), err.getvalue())


def succeed(*arguments: str | Path) -> Outcome:
    """Run a command that must succeed."""
    outcome = csnn(*arguments)
    assert outcome.code == 0, outcome
    return outcome


def require_nest() -> None:
    """Skip the test where NEST is not installed; fail it in CI."""
    require_modules("nest", "nest")


def require_modules(extra: str, *modules: str) -> None:
    """Skip the test where modules of an extra are not installed; fail it in CI."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        reason = f"needs {', '.join(missing)}: pip install 'csnn[{extra}]'"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


def network_file(folder: Path, *changes: tuple[str, str], text: str = SMALL) -> Path:
    """Write the small network with replacements, each of which must apply exactly once."""
    for old, new in changes:
        assert text.count(old) == 1, (old, text.count(old))
        text = text.replace(old, new)
    path = folder / "small.toml"
    path.write_text(text, encoding="utf-8")
    return path


def tree(folder: Path) -> dict[str, bytes | str]:
    """Return every file below `folder` with its content; links with what they name."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = path.read_bytes() if path.is_file() else "directory"
    return found


def spikes(directory: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(directory / "spikes.npz") as data:
        assert set(data.files) == {"step", "source"}
        return data["step"], data["source"]


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def refused(outcome: Outcome, *words: str, code: int = 3) -> None:
    """Require one line on standard error that holds `words` in this order, and nothing else."""
    assert outcome.code == code, outcome
    assert outcome.out == ""
    assert outcome.err.endswith("\n")
    assert outcome.err.count("\n") == 1, outcome.err
    at = 0
    for word in words:
        found = outcome.err.find(word, at)
        assert found >= 0, (word, outcome.err)
        at = found + len(word)


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    before = tree(folder)
    yield
    after = tree(folder)
    assert sorted(after) == sorted(before)
    assert after == before


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let every write beyond `size` bytes of a file fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
