"""`csnn run` of networks of other neuron models: what it refuses, warns of and names."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from commands import csnn, refused, succeed

from csnn import output
from csnn.image.store import open_image
from csnn.spec.toml import loads

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
    lines = [line for line in outcome.err.splitlines() if "warning" in line]
    assert lines[0] == (
        "csnn: warning: population driven: state of 40 of 40 neurons is no finite number after "
        "step 300 (V); a smaller dt_ms or more substeps may help"
    )
    # The reason.
    assert lines[1].startswith(
        "csnn: warning: population driven: conductances make V of 40 of 40 neurons decay too fast "
        "for euler after step 300: "
    )
    assert len(lines) == 2
    result = json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))
    assert result["warnings"] == [line.removeprefix("csnn: warning: ") for line in lines]
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert all(warning in page for warning in result["warnings"])


def test_a_run_of_numbers_warns_of_nothing(tmp_path: Path) -> None:
    out = run(tmp_path, OVERRUN.replace("50000.0", "1.0"))
    assert json.loads((out / "result.json").read_text("utf-8"))["warnings"] == []


# Neurons that are inhibited alone, with a reversal potential below all others.
INHIBITED = """\
name = "inhibited"

[run]
time_ms = 60.0
warmup_ms = 0.0
threads = 1

[neuron]
coupling = "coba"
solver = "{solver}"
substeps = {substeps}
E_in_mV = -85.0
tau_syn_in_ms = 5.0

[[population]]
name = "E"
size = 40
poisson = {{ rate_hz = 8000.0, weight_nS = 8.0 }}

[[population]]
name = "I"
size = 40

[[projection]]
source = "E"
target = "I"
rule = {{ name = "all_to_all" }}
weight_nS = {weight_nS}
delay_ms = 2.0
"""


@pytest.mark.parametrize(
    ("solver", "substeps", "weight_nS"),
    [("euler", 1, -400.0), ("euler", 8, -400.0), ("euler", 1, -10.0)],
)
def test_inhibited_neurons_that_fire_are_warned_of(
    tmp_path: Path, solver: str, substeps: int, weight_nS: float
) -> None:
    """They fire only where the conductances are too large for a step, and then it is said."""
    text = INHIBITED.format(solver=solver, substeps=substeps, weight_nS=weight_nS)
    out = run(tmp_path, text, "--simulator", "plain")
    result = json.loads((out / "result.json").read_text("utf-8"))
    if substeps > 1 or weight_nS == -10.0:
        assert result["mean_rates_hz"]["I"] == 0.0
        assert result["warnings"] == []
        return
    assert result["mean_rates_hz"]["I"] > 100.0
    [warning] = result["warnings"]
    assert warning.startswith(
        f"population I: conductances make V of 40 of 40 neurons decay too fast for {solver} after "
        "step 600: dt_ms is up to "
    )
    assert re.search(r"must be shorter than 2; .*; substeps = [2-8] would do$", warning)


MIXED = """\
name = "mixed"

[run]
time_ms = 20.0
warmup_ms = 10.0
threads = 1

[neuron]
model = "mat2"
kernel = "beta"
solver = "euler"
substeps = 4
tau_rise_ex_ms = 0.25
omega_mV = -52.5

[[population]]
name = "A"
size = 20

[[population]]
name = "B"
size = 20
neuron = { alpha_1_mV = 31.0 }

[[population]]
name = "C"
size = 20
"""


def rows(page: str) -> list[list[str]]:
    """Return the cells of the table of parameters."""
    section = re.search(r"<h2>Neuron model</h2>.*?</section>", page, re.DOTALL)
    assert section is not None
    found = re.findall(r"<tr.*?</tr>", section[0])
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in found]


def test_results_and_reports_name_the_neurons(tmp_path: Path) -> None:
    out = run(tmp_path, MIXED)
    found = json.loads((out / "result.json").read_text("utf-8"))["neuron_model"]
    parameters = found.pop("parameters")
    assert found == {
        "model": "mat2_beta_cuba_euler_x4",
        "neuron": "mat2",
        "kernel": "beta",
        "coupling": "cuba",
        "solver": "euler",
        "substeps": 4,
        "substep_ms": 0.025,
    }
    assert [group["populations"] for group in parameters] == [["A", "C"], ["B"]]
    neuron = loads(MIXED).network.population("A").neuron
    expected = {f.name: getattr(neuron, f.name) for f in fields(neuron)}
    for name in ("kernel", "coupling", "solver", "substeps", "E_ex_mV", "E_in_mV"):
        del expected[name]
    assert parameters[0]["values"] == expected
    assert parameters[1]["values"] == expected | {"alpha_1_mV": 31.0}

    page = (out / "report.html").read_text("utf-8")
    assert "neuron model mat2_beta_cuba_euler_x4" in page
    assert "<dt>substeps</dt><dd>4 per step, 0.025 ms each</dd>" in page
    table = rows(page)
    assert table[0] == ["parameter", "A, C", "B"]
    assert ["omega: threshold at rest", "-52.5 mV", "-52.5 mV"] in table
    assert ["alpha_1: what a spike adds to the first part", "37 mV", "31 mV"] in table
    assert ["tau_rise_ex: rise of excitatory synaptic input", "0.25 ms", "0.25 ms"] in table
    assert len(table) == 1 + len(expected)


def test_equal_populations_share_a_column(tmp_path: Path) -> None:
    page = (run(tmp_path, MIXED.replace("31.0", "37.0")) / "report.html").read_text("utf-8")
    assert rows(page)[0] == ["parameter", "all populations"]
    assert "tr class=" not in page


def test_a_report_takes_the_neurons_from_the_image(tmp_path: Path) -> None:
    """Results of runs that did not name them yet get the section, too."""
    out = run(tmp_path, MIXED)
    before = (out / "report.html").read_text("utf-8")
    result = json.loads((out / "result.json").read_text("utf-8"))
    del result["neuron_model"]
    (out / "result.json").write_text(json.dumps(result), "utf-8")
    output.write_manifest(out, open_image(out / "image"))
    succeed("report", out)
    assert rows((out / "report.html").read_text("utf-8")) == rows(before)


ADEX = """\
name = "start"

[run]
time_ms = 5.0
warmup_ms = 0.0
threads = 1

[neuron]
model = "adex"
solver = "{solver}"

[[population]]
name = "E"
size = 3
V_init_mV = {V}
"""


def test_initial_potentials_far_off_do_not_warn(tmp_path: Path) -> None:
    """Warnings are errors here."""
    run(tmp_path, ADEX.format(solver="rk4", V="1e30"), "--simulator", "plain")


@pytest.mark.parametrize("solver", ["ps1", "ps4"])
def test_series_begin_anywhere(tmp_path: Path, solver: str) -> None:
    """The exponential of V = 500 mV is no binary32 number: each neuron fires once, and is reset."""
    out = run(tmp_path, ADEX.format(solver=solver, V="500.0"), "--simulator", "plain")
    result = json.loads((out / "result.json").read_text("utf-8"))
    assert result["warnings"] == []
    assert result["spikes"] == 3


IZHIKEVICH = ADEX.replace('"adex"', '"izhikevich"\nb = 1e20')


@pytest.mark.parametrize(
    ("V", "field", "what"),
    [
        ("1e30", "V_init_mV = 1e+30", "gives values of the state u that leave the range"),
        ("1e39", "V_init_mV = 1e+39", "gives values that leave the range of binary32"),
        ('{ distribution = "uniform", low = 0.0, high = 1e30 }', "V_init_mV = Uniform(low=0.0",
         "gives values of the state u that leave the range of binary32"),
    ],
)  # fmt: skip
def test_initial_values_beyond_binary32(tmp_path: Path, V: str, field: str, what: str) -> None:
    path = tmp_path / "start.toml"
    path.write_text(IZHIKEVICH.format(solver="rk4", V=V), "utf-8")
    outcome = csnn("run", path, "--out", tmp_path / "out")
    refused(outcome, "start.toml", f"population E.{field}", what)
