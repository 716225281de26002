"""`csnn run` of networks of other neuron models: what it refuses, warns of and names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import csnn, refused, succeed

UNSTABLE = """\
name = "unstable"

[run]
time_ms = 20.0
warmup_ms = 10.0
threads = 1

[neuron]
kernel = "beta"
solver = "{solver}"
{neuron}

[[population]]
name = "E"
size = 30
poisson = {{ rate_hz = 8000.0, weight_pA = 90.0 }}
"""

# A conductance that makes V decay faster than a step of Euler can follow; MAT2 has no reset.
OVERRUN = """\
name = "overrun"

[run]
time_ms = 20.0
warmup_ms = 10.0
threads = 1

[neuron]
model = "mat2"
coupling = "coba"
solver = "euler"

[[population]]
name = "quiet"
size = 3

[[population]]
name = "driven"
size = 40
poisson = { rate_hz = 20000.0, weight_nS = 50000.0 }
"""


def run(folder: Path, text: str, *options: str) -> Path:
    path = folder / "network.toml"
    path.write_text(text, "utf-8")
    succeed("run", path, "--out", folder / "out", *options)
    return folder / "out"


@pytest.mark.parametrize(
    ("solver", "field", "value"),
    [("rk2", "tau_rise_ex_ms", 0.04), ("euler", "tau_syn_ex_ms", 0.02), ("rk4", "tau_m_ms", 0.03)],
)
def test_steps_too_long_are_refused(tmp_path: Path, solver: str, field: str, value: float) -> None:
    path = tmp_path / "unstable.toml"
    path.write_text(UNSTABLE.format(solver=solver, neuron=f"{field} = {value}"), "utf-8")
    outcome = csnn("run", path, "--out", tmp_path / "out")
    words = ("unstable.toml", f"population E.neuron.{field} = {value}", "substeps must be >= ")
    refused(outcome, *words)


def test_what_is_no_number_at_the_end_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "network.toml"
    path.write_text(OVERRUN, "utf-8")
    outcome = succeed("run", path, "--out", tmp_path / "out", "--quiet")
    [line] = [line for line in outcome.err.splitlines() if "warning" in line]
    assert line == (
        "csnn: warning: population driven: state of 40 of 40 neurons is no finite number after "
        "step 300 (V); a smaller dt_ms or more substeps may help"
    )
    result = json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))
    assert result["warnings"] == [line.removeprefix("csnn: warning: ")]
    assert result["warnings"][0] in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_a_run_of_numbers_warns_of_nothing(tmp_path: Path) -> None:
    out = run(tmp_path, OVERRUN.replace("50000.0", "1.0"))
    assert json.loads((out / "result.json").read_text("utf-8"))["warnings"] == []
