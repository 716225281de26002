"""A step as it is written in docs/models.md, through spikes, resets and refractory times.

Both sides are in float64, so that nothing but the order of operations is between them.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from float64_steps import Written, by_graph

from csnn.neurons.models.adex import AdexNeuron
from csnn.neurons.models.izhikevich import IzhikevichNeuron

STEPS = 300
SOLVERS = ("euler", "rk2", "rk4", "ps2", "ps4")
SYNAPSES = (("delta", "cuba"), ("delta", "coba"), ("exp", "coba"))
# Units of weights, and how many of them arrive: mV, parts of the way, nS.
GRIDS = {("delta", "cuba"): 2.0**-4, ("delta", "coba"): 2.0**-10, ("exp", "coba"): 2.0**-4}
# A difference of rounding grows a millionfold on the way up.
TOLERANCE = 1e-8
Setting = tuple[str, str, int, tuple[str, str], float]
ALL: list[Setting] = list(
    itertools.product(("adex", "izhikevich"), SOLVERS, (1, 2), SYNAPSES, (0.0, 0.5))
)


def neuron_of(setting: Setting) -> Any:
    model, solver, substeps, (kernel, coupling), t_ref_ms = setting
    shared: dict[str, Any] = {
        "solver": solver,
        "substeps": substeps,
        "kernel": kernel,
        "coupling": coupling,
        "t_ref_ms": t_ref_ms,
    }
    if kernel == "exp":
        shared |= {"tau_syn_ex_ms": 2.0, "tau_syn_in_ms": 3.0}
    if model == "adex":
        return AdexNeuron(tau_w_ms=20.0, **shared)
    return IzhikevichNeuron(a_per_ms=0.1, c_mV=-50.0, d_mV=2.0, **shared)


def apart(setting: Setting, fault: str = "") -> float:
    """Return the largest difference in any state variable, infinite if spikes differ."""
    neuron = neuron_of(setting)
    synapses = neuron.kernel, neuron.coupling
    rng = np.random.default_rng(7)
    # A volley now and then, so that V also jumps over its peak, and onto a neuron that is held.
    arrivals = rng.poisson((6.0, 2.0), (STEPS, 2)) * rng.choice((1, 8), (STEPS, 2), p=(0.9, 0.1))
    is_adex = neuron.model == "adex"
    initial = {"V": -60.0, "w": 20.0} if is_adex else {"V": -60.0, "u": -13.0}
    drive = {"dc_pA": 1500.0 if is_adex else 20.0, "grid": GRIDS[synapses]}
    if synapses == ("exp", "coba") and not is_adex:
        drive["grid"] /= 64
    with np.errstate(all="ignore"):
        ours = by_graph(neuron, initial, arrivals, **drive)
        written = Written(neuron, fault=fault, **drive).run(initial, arrivals)
    assert ours.keys() == written.keys()
    assert ours["spike"].sum() >= 4
    assert all(np.isfinite(values).all() for values in ours.values())
    if not np.array_equal(ours["spike"], written["spike"]):
        return float("inf")
    differences = (
        np.abs(values - written[name]) / np.maximum(1.0, np.abs(values))
        for name, values in ours.items()
    )
    return max(float(np.nan_to_num(values, nan=np.inf).max()) for values in differences)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("neuron", ["adex", "izhikevich"])
def test_every_state_variable_is_what_the_document_says(neuron: str, solver: str) -> None:
    settings = [setting for setting in ALL if setting[:2] == (neuron, solver)]
    found = {setting: apart(setting) for setting in settings}
    assert {s: d for s, d in found.items() if not d < TOLERANCE} == {}


DELTA, EXP = ("delta", "cuba"), ("exp", "coba")


@pytest.mark.parametrize("neuron", ["adex", "izhikevich"])
@pytest.mark.parametrize(
    ("fault", "solver", "substeps", "synapses", "t_ref_ms"),
    [
        ("stage", "rk2", 1, EXP, 0.5),
        ("stage", "rk4", 1, EXP, 0.5),
        ("stage", "ps2", 1, EXP, 0.5),
        ("stage", "ps4", 1, EXP, 0.5),
        ("part", "euler", 2, DELTA, 0.5),
        ("part", "rk4", 2, EXP, 0.5),
        ("part", "ps2", 2, EXP, 0.5),
        ("bound", "rk2", 1, EXP, 0.0),
        ("bound", "rk4", 1, EXP, 0.0),
        ("part bound", "euler", 2, EXP, 0.0),
        ("part bound", "ps4", 2, EXP, 0.0),
        ("first order", "ps2", 1, EXP, 0.0),
        ("first order", "ps4", 1, EXP, 0.0),
        ("reset", "rk4", 1, EXP, 0.0),
        ("jump", "rk4", 1, DELTA, 0.0),
        ("held jump", "rk4", 1, DELTA, 0.5),
    ],
)
def test_a_step_done_otherwise_is_caught(
    neuron: str, fault: str, solver: str, substeps: int, synapses: tuple[str, str], t_ref_ms: float
) -> None:
    setting = neuron, solver, substeps, synapses, t_ref_ms
    assert apart(setting) < TOLERANCE
    assert apart(setting, fault) > 100 * TOLERANCE
