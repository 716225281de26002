"""Series of AdEx over long times: the exponential is V's, whatever happened before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from csnn.neurons import compiled
from csnn.neurons.models.adex import AdexNeuron
from csnn.neurons.registry import model_of

DT_MS, GRID_PA = 0.1, 1.0
LANES = 4
# Ten seconds below threshold, but for a volley in every two.
STEPS, VOLLEY_STEPS = 100_000, 20_000
DRIVE_PA, WEIGHT_PA, VOLLEY_PA = 450.0, 200, 12_000


def sparse_drive() -> tuple[Any, Any]:
    """Return what arrives on both sides, (STEPS, LANES)."""
    rng = np.random.default_rng(1)
    ex, inh = (WEIGHT_PA * rng.poisson(0.1, (STEPS, LANES)).astype(np.int32) for _ in range(2))
    ex[VOLLEY_STEPS // 2 :: VOLLEY_STEPS] += VOLLEY_PA
    return ex, inh


def no_drive(steps: int) -> tuple[Any, Any]:
    nothing = np.zeros((steps, LANES), dtype=np.int32)
    return nothing, nothing


def course(neuron: AdexNeuron, dc_pA: float, arrivals: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return the times of each lane's spikes in steps, and the last words of its state."""
    model = model_of(neuron)
    constants = model.constants(neuron, dt_ms=DT_MS, weight_grid=GRID_PA, dc_pA=dc_pA)
    packed = model.pack(constants)
    state = np.zeros((len(model.float_states), LANES), dtype=np.float32)
    refractory, spikes = np.zeros(LANES, dtype=np.int32), np.zeros(LANES, dtype=np.uint8)
    step = compiled.load(model).step
    found: list[list[int]] = [[] for _ in range(LANES)]
    for number, (ex, inh) in enumerate(zip(*arrivals, strict=True)):
        step(state, refractory, ex, inh, *packed, spikes, LANES)
        for lane in np.flatnonzero(spikes):
            found[lane].append(number)
    return np.array(found), state


def test_rare_spikes_come_when_they_do_by_runge_kutta() -> None:
    """An exponential carried from step to step fell to 1e-15 of V's (ps1) or doubled (ps2)."""
    arrivals = sparse_drive()
    expected, last = course(AdexNeuron(a_nS=0.0, solver="rk4"), DRIVE_PA, arrivals)
    assert expected.shape == (LANES, STEPS // VOLLEY_STEPS)
    for solver in ("ps2", "ps4", "ps6"):
        times, words = course(AdexNeuron(a_nS=0.0, solver=solver), DRIVE_PA, arrivals)
        assert times.shape == expected.shape, solver
        assert np.abs(times - expected).max() <= 1, solver
        assert words[0] == pytest.approx(last[0], abs=1e-2), solver


def test_first_order_is_eulers() -> None:
    ex, inh = (side[: STEPS // 5] for side in sparse_drive())
    euler = course(AdexNeuron(solver="euler"), DRIVE_PA, (ex, inh))
    series = course(AdexNeuron(solver="ps1"), DRIVE_PA, (ex, inh))
    assert euler[0].size > 0
    assert np.array_equal(series[0], euler[0])
    assert np.array_equal(series[1].view(np.uint32), euler[1].view(np.uint32))


def test_neuron_fires_where_the_exponential_underflows_at_rest() -> None:
    narrow = {"Delta_T_mV": 0.2, "V_peak_mV": -40.0}
    expected = course(AdexNeuron(solver="rk4", **narrow), 900.0, no_drive(5000))[0]
    assert expected.shape[1] > 10
    for solver in ("ps2", "ps4", "ps6"):
        times = course(AdexNeuron(solver=solver, **narrow), 900.0, no_drive(5000))[0]
        # The reset is at the end of a step, so that a spike a step late delays all that follow.
        late = np.diff(times - expected, prepend=0)
        assert np.abs(late).max() <= 1, solver
