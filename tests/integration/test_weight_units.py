"""Networks whose weights are not in pA: what commands, reports and files say of their unit."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from commands import csnn, refused, succeed, unchanged

NETWORK = """\
name = "units"

[neuron]
{neuron}

[[population]]
name = "E"
size = 20
poisson = {{ rate_hz = 2000.0, {key} = {weight} }}

[[projection]]
source = "E"
target = "E"
rule = {{ name = "fixed_indegree", indegree = 4 }}
{key} = {weight}
delay_ms = 1.0

[edges]
path = "list.csv"
representation = "{representation}"

[machine]
{grid} = 0.03125
"""
PART = "must be from -1 to 1, a part of the way to the reversal potential"
# Neuron, key and grid, how a number is followed by the unit, and how a label is.
UNITS = {
    "nS": ('model = "adex"\ncoupling = "coba"', "weight_nS", "weight_grid_nS", " nS", "nS"),
    "mV": ('model = "izhikevich"\nkernel = "delta"', "weight_mV", "weight_grid_mV", " mV", "mV"),
    "1": (
        'kernel = "delta"\ncoupling = "coba"',
        *("weight", "weight_grid", "", "part of the way to the reversal potential"),
    ),
}


def description(
    folder: Path, unit: str, weight: str = "0.5", representation: str = "stored"
) -> Path:
    """Write a network and its edge list."""
    neuron, key, grid, *_ = UNITS[unit]
    rows = "".join(f"{source},{(3 * source + 1) % 20},0.26,1.5\n" for source in range(20))
    (folder / "list.csv").write_text(f"source,target,{key},delay_ms\n{rows}", "utf-8")
    path = folder / "units.toml"
    text = NETWORK.format(
        neuron=neuron, key=key, grid=grid, weight=weight, representation=representation
    )
    path.write_text(text, "utf-8")
    return path


def shown(page: str) -> str:
    """Return the text of a page."""
    return html.unescape(re.sub("<[^>]*>", "", page))


@pytest.mark.parametrize("unit", UNITS)
def test_run_and_report(unit: str, tmp_path: Path) -> None:
    _, key, _, after, label = UNITS[unit]
    out = tmp_path / "run"
    options = ("--time-ms", "5", "--warmup-ms", "0", "--simulator", "plain", "--out", out)
    outcome = succeed("run", description(tmp_path, unit), *options)
    note = f"rounding to the grid of 0.03125{after} changes weights of the edge list by up to 0.038"
    assert note in outcome.err
    result = json.loads((out / "result.json").read_text())
    assert result["weight_unit"] == unit
    assert result["image"]["weight_grid"] == 0.03125
    page = (out / "report.html").read_text("utf-8")
    text = shown(page)
    assert f"weight grid ({label})0.03125" in text
    assert f"edge list: largest error of a weight ({label})0.01" in text
    assert f"0.5 ± 0{after or ' '}" in text
    assert note in text
    # No other unit is anywhere but in the parameters of neurons, that of the usual networks least.
    page = re.sub("<h2>Neuron model</h2>.*?</section>", "", page, flags=re.DOTALL)
    assert "pA" not in shown(page)
    succeed("export", "edges", out / "image", "--out", tmp_path / "edges.csv")
    assert (tmp_path / "edges.csv").read_text().startswith(f"source,target,{key},delay_ms\n")


def test_report_of_fitted_edges(tmp_path: Path) -> None:
    path = description(tmp_path, "nS", representation="fitted")
    listed = (tmp_path / "list.csv").read_text().replace("0.26", "0.25")
    (tmp_path / "list.csv").write_text(listed)
    options = ("--time-ms", "5", "--warmup-ms", "0", "--simulator", "plain")
    succeed("run", path, *options, "--out", tmp_path / "run")
    text = shown((tmp_path / "run" / "report.html").read_text("utf-8"))
    assert "edge list: mean of the weights (nS)0.25" in text
    assert "edge list: SD of the weights (nS)0" in text


@pytest.mark.parametrize("unit", UNITS)
def test_weights_that_do_not_fit_are_refused(unit: str, tmp_path: Path) -> None:
    _, key, grid, after, _ = UNITS[unit]
    for weight, place, rule in (
        ("2000.0", f"projection E->E.{key} = 2000.0", f"32767 units of 0.03125{after} = 1023.97"),
        ("1e-3", f"projection E->E.{key} = 0.001", f"rounds to zero on the grid of 0.03125{after}"),
        ("1e300", f"population E.poisson.{key} = 1e+300", f"at most 3.77778e+22{after}"),
        ("-0.5", f"population E.poisson.{key} = -0.5", "must be a finite number > 0"),
        ("nan", f"population E.poisson.{key} = nan", "must be a finite number > 0"),
        ('"x"', f"population E.poisson.{key} = 'x'", "must be a finite number > 0"),
    ):
        path = description(tmp_path, unit, weight)
        with unchanged(tmp_path):
            outcome = csnn("run", path, "--out", tmp_path / "run")
        if unit == "1" and weight in ("2000.0", "1e300"):
            rule = PART
            place = f"projection E->E.weight = {float(weight)}"
        refused(outcome, "units.toml: ", place, rule)
    # The largest grid of the message is one that the user may set.
    path = description(tmp_path, unit, "1e-3")
    outcome = csnn("run", path, "--out", tmp_path / "run")
    refused(outcome, f"unless machine.{grid} is given")


@pytest.mark.parametrize("unit", UNITS)
def test_edges_that_do_not_fit_are_refused(unit: str, tmp_path: Path) -> None:
    _, key, _, after, _ = UNITS[unit]
    path = description(tmp_path, unit)
    good = (tmp_path / "list.csv").read_text()
    for weight, message in (
        ("1e300", f"list.csv: row 1: {key} = 1e+300: must be at most 3.77778e+22{after} in"),
        ("1e-9", f"list.csv: {key} = 1e-09: must round to 1 to 32767 units of the weight grid "
                 f"0.03125{after}"),
        ("nan", f"list.csv: row 1: {key} = nan: must be a finite number"),
    ):  # fmt: skip
        (tmp_path / "list.csv").write_text(good.replace("0.26", weight))
        with unchanged(tmp_path):
            outcome = csnn("run", path, "--out", tmp_path / "run")
        if unit == "1" and weight == "1e300":
            message = f"list.csv: row 1: {key} = 1e+300: {PART}"
        refused(outcome, message)
