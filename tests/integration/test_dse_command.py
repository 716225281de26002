"""`csnn dse`: the folder that it writes, the speed by both ways, and what it refuses."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from commands import SMALL, Outcome, csnn, refused, unchanged

FEW = ("--intervals", "1,2", "--processes", 1)


def best(out: Path) -> dict[str, dict[str, str]]:
    """Return the rows of 256 neurons by model."""
    with (out / "best.csv").open(newline="") as file:
        return {row["model"]: row for row in csv.DictReader(file) if row["neurons"] == "256"}


def test_few_models_by_the_papers_step(tmp_path: Path) -> None:
    out = tmp_path / "dse"
    outcome = csnn("dse", "lif_exp_coba_euler", *FEW, "--out", out, "--json")
    assert outcome.code == 0
    answer = json.loads(outcome.out)
    rows = best(out)
    assert list(rows) == ["lif_exp_cuba_exact", "lif_exp_coba_euler"]
    extra = int(rows["lif_exp_coba_euler"]["T"]) - int(rows["lif_exp_cuba_exact"]["T"])
    step_us = float(rows["lif_exp_coba_euler"]["paper_step_us"])
    assert step_us == pytest.approx((3695 + extra) / 150, abs=1e-4)
    assert answer["claim"]["paper"]["ours"]["models"] == 2
    assert list(answer["rests_on"]) == ["paper"]
    assert answer["limits"] == {"luts": 37_073, "dsps": 524}
    assert set(answer["files"]) == {path.name for path in out.iterdir()} - {"manifest.json"}


# Twelve lengths of the ODE unit need more than their ends.
SEVERAL = ("lif_exp_coba_rk4", "lif_exp_cuba_euler", "lif_delta_coba_rk2", "lif_alpha_cuba_ps3",
           "lif_alpha_coba_rk4", "lif_exp_coba_ps4")  # fmt: skip


@pytest.mark.parametrize("dt_ms", [0.1, 0.2])
def test_speed_by_the_performance_model(tmp_path: Path, dt_ms: float) -> None:
    network = tmp_path / "small.toml"
    text = SMALL.replace('name = "small"', f'name = "small"\ndt_ms = {dt_ms}')
    # Delays of as many steps.
    for found, steps in (("minimum = 0.1", 1), ("delay_ms = 0.8", 8), ("delay_ms = 1.5", 15)):
        text = text.replace(found, f"{found.split()[0]} = {dt_ms * steps:.1f}")
    network.write_text(text)
    run = tmp_path / "run"
    assert csnn("run", network, "--out", run).code == 0
    arguments = ("dse", *SEVERAL, *FEW, "--image", run / "image", "--run", run)
    outcome = csnn(*arguments, "--out", tmp_path / "dse")
    assert outcome.code == 0
    assert "performance model of this machine" in outcome.out
    rows = best(tmp_path / "dse")
    base, other = rows["lif_exp_cuba_exact"], rows["lif_exp_coba_rk4"]
    grown_us = float(other["model_step_us"]) - float(base["model_step_us"])
    cycles = int(other["T"]) - int(base["T"])
    # The unit is in the critical path of a machine with few spikes.
    assert grown_us == pytest.approx(cycles / 150, rel=0.05)
    perf = json.loads(csnn("perf", run / "image", "--run", run, "--json").out)
    assert float(base["model_step_us"]) == pytest.approx(perf["mean_us"], abs=1e-4)
    assert float(base["model_speed_up"]) == pytest.approx(1e3 * dt_ms / perf["mean_us"], rel=1e-4)
    assert float(base["model_speed_up"]) == pytest.approx(1 / perf["real_time_factor"], rel=1e-3)
    manifest = json.loads((tmp_path / "dse" / "manifest.json").read_text())
    modelled = re.search(r"longer by ([-\d, ]+) cycles", manifest["rests_on"]["model"])
    assert modelled is not None
    assert len(modelled[1].split(",")) == 5
    assert float(base["paper_step_us"]) == pytest.approx(3695 / 150, abs=1e-4)


def test_images_of_other_models_are_refused(tmp_path: Path) -> None:
    """Their steps have more than LIF in them already."""
    network = tmp_path / "small.toml"
    network.write_text(SMALL.replace("[machine]", '[neuron]\nsolver = "rk4"\n\n[machine]'))
    assert csnn("generate", network, "--out", tmp_path / "image").code == 0
    arguments = ("dse", "lif", *FEW, "--image", tmp_path / "image", "--out", tmp_path / "out")
    refused(csnn(*arguments), "--image", "lif_exp_cuba_rk4")


def test_operators_given_twice_are_explored_once(tmp_path: Path) -> None:
    arguments = ("lif", "izhikevich_delta_cuba_euler", "--operators", "ours", "ours", *FEW)
    outcome = csnn("dse", *arguments, "--out", tmp_path / "dse", "--json")
    claim = json.loads(outcome.out)["claim"]["paper"]["ours"]
    assert (claim["models"], claim["do_not_fit"]) == (2, 0)


def test_operators_by_which_lif_does_not_fit_are_told(tmp_path: Path) -> None:
    """With II = 1 LIF by the vendor takes more than 4,000 look-up tables; delta synapses less."""
    out = tmp_path / "dse"
    limits = ("--operators", "ours", "vendor", "--luts", 4000, "--intervals", 1)
    outcome = csnn("dse", "lif_delta_cuba_exact", *limits, "--out", out)
    assert outcome.code == 0
    said = " ".join(outcome.out.split())
    assert "Operators ours: the claim that no model costs more" in said
    assert "Operators vendor: the claim is not judged: no design of lif_exp_cuba_exact," in said
    with (out / "best.csv").open(newline="") as file:
        rows = {
            (row["model"], row["operators"]): row["paper_speed_up"]
            for row in csv.DictReader(file)
            if row["neurons"] == "256"
        }
    assert bool(rows["lif_delta_cuba_exact", "ours"])
    assert rows["lif_delta_cuba_exact", "vendor"] == ""
    assert ("lif_exp_cuba_exact", "vendor") not in rows


def test_models_that_do_not_fit_are_told(tmp_path: Path) -> None:
    out = tmp_path / "dse"
    outcome = csnn("dse", "lif", "--luts", 700, *FEW, "--out", out)
    assert outcome.code == 0
    said = " ".join(outcome.out.split())
    assert "look-up tables of 700" in said
    assert "Operators ours: the claim is not judged" in said
    assert best(out) == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("adex_exp_coba_rk5",), ("MODEL", "did you mean")),
        (("izhikevich_exp_cuba_exact",), ("MODEL", "linear")),
        (("lif", "--intervals", "0,1"), ("dse.intervals", "from 1 to")),
        (("lif", "--intervals", "1-257"), ("dse.intervals", "from 1 to 256")),
        (("lif", "--intervals", "x"), ("--intervals", "list of numbers")),
        (("lif", "--luts", 0), ("dse.luts", "from 1 to")),
        (("lif", "--dsps", -1), ("dse.dsps", "from 1 to")),
        (("lif", "--processes", 0), ("dse.processes", "from 1 to")),
        (("lif", "--run", "somewhere"), ("--run", "needs --image")),
        (("lif", "--mesh", "3,3,1"), ("--mesh", "needs --image")),
        (("lif", "--image", "nowhere"), ("nowhere",)),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, arguments: tuple[object, ...], words: tuple[str, ...]
) -> None:
    with unchanged(tmp_path):
        outcome: Outcome = csnn("dse", *arguments, "--out", tmp_path / "out")
    refused(outcome, *words)


def test_other_folders_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    with unchanged(tmp_path):
        outcome = csnn("dse", "lif", *FEW, "--out", tmp_path)
    refused(outcome, str(tmp_path))
